"""What goes with copies of a table: the page "what you may conclude", and the rules for combining them as programs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from synthrelease.core.contracts import RunFacts
from synthrelease.core.formatting import number
from synthrelease.report.templating import environment

PAGE = "what-you-may-conclude.html"
_READERS = {".csv": ("pd.read_csv", "read.csv"), ".parquet": ("pd.read_parquet", "arrow::read_parquet")}


def copies_files(facts: RunFacts, names: tuple[str, ...]) -> Mapping[str, str]:
    """Return the texts that go with the copies called ``names``, by file name: the page, and Python and R."""
    here = resources.files("synthrelease.report")
    rows, real = facts.rows["synthetic"] // facts.copies, facts.rows["train"]
    suffix = "." + names[0].partition(".")[2]
    python, r = _READERS.get(suffix, ("your_reader", "your_reader"))
    page = (
        environment()
        .get_template("copies.html")
        .render(
            copies=facts.copies,
            rows=number(rows),
            real=number(real),
            plain_rows=rows,
            plain_real=real,
            first=names[0],
            last=names[-1],
            pattern=f"synthetic-*{suffix}",
            python_reader=python,
            r_reader=r,
        )
    )
    return {
        PAGE: page,
        "combining.py": here.joinpath("combining.py").read_text(encoding="utf-8"),
        "combining.R": here.joinpath("templates", "combining.R").read_text(encoding="utf-8"),
    }
