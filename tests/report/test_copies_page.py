"""The page that goes with copies, and the programs beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import sample
from test_internal_report import Page, assert_nothing_foreign

from synthrelease.report import combining
from synthrelease.report.copies_page import PAGE, copies_files


def files_of(suffix: str = "csv"):
    facts = replace(sample().facts, copies=4, rows={"train": 1_234, "holdout": 300, "synthetic": 8_000})
    return copies_files(facts, tuple(f"synthetic-{copy:02d}.{suffix}" for copy in range(1, 5)))


def test_the_page_says_how_many_there_are_and_how_to_read_them():
    html = files_of()[PAGE]
    words = Page(html).words
    for said in ("4 copies", "2,000 rows", "1,234 real rows", "real_rows=1234", "rows = 2000", "T = V + B / 4"):
        assert said in words
    assert "Rubin" in words
    assert "Associations between other columns may come out too weak" in words
    assert_nothing_foreign(html)


@pytest.mark.parametrize(
    ("suffix", "reader"), [("csv", "pd.read_csv"), ("parquet", "pd.read_parquet"), ("sav", "your_reader")]
)
def test_the_programs_read_the_format_of_the_copies(suffix, reader):
    assert (
        f'[{reader}(name) for name in sorted(glob.glob("synthetic-*.{suffix}"))]' in Page(files_of(suffix)[PAGE]).words
    )


def test_the_module_goes_along_as_it_is_and_r_has_the_same_functions():
    files = files_of()
    assert "import synthrelease" not in files["combining.py"]
    assert files["combining.py"] == Path(combining.__file__).read_text(encoding="utf-8")
    found = re.findall(r"^(\w+) <- function", files["combining.R"], re.MULTILINE)
    assert found == ["combine_copies", "one_table", "chi_squared_copies"]
