"""What an inspection tells: counts, never cells; the most dangerous first; readable at 80 columns."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import real_file, ward
from rich.console import Console

from synthrelease.cli import inspect_view
from synthrelease.workflows.inspect.profile import Inspection, inspect


def inspected(frame: pd.DataFrame, tmp_path: Path, **options: str) -> Inspection:
    frame.to_csv(tmp_path / "t.csv", index=False)
    return inspect(tmp_path / "t.csv", **options)


def told(inspection: Inspection, width: int = 80) -> str:
    stream = io.StringIO()
    inspect_view.show(inspection, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def view(inspection: Inspection, name: str):
    return next(column for column in inspection.columns if column.name == name)


def odd_ward() -> pd.DataFrame:
    frame = ward(400)
    frame["region"] = np.where(np.arange(400) % 4, "North", "north")
    frame.loc[:39, "region"] = "South "
    frame.loc[:19, "stay"] = 999
    frame["sex_code"] = (frame["sex"] == "M").astype(int) + 1
    frame["e_mail"] = [f"secret{number}@example.org" for number in range(400)]
    frame["always"] = "same"
    return frame


def test_oddities_are_warned_of_first_and_as_counts(tmp_path):
    inspection = inspected(odd_ward(), tmp_path)
    text = told(inspection)
    for fragment in (
        "blanks around the cell in 40 rows",
        "1 label is spelled in several ways",
        "999 in 20 rows, apart from all others",
        "sex and sex_code tell the same",
    ):
        assert fragment in " ".join(text.split()), text
    assert text.index("warning") < text.index("decide")
    assert any("e-mail address, HIPAA class F" in fact for fact in view(inspection, "e_mail").facts)
    assert "secret" not in text + inspection.schema


def test_the_most_dangerous_columns_come_first(tmp_path):
    names = [column.name for column in inspected(odd_ward(), tmp_path).columns]
    assert set(names[:2]) == {"patient_id", "e_mail"}
    assert names[-1] == "always"
    assert names.index("region") < names.index("age")


def test_every_line_fits_80_columns(tmp_path):
    frame = odd_ward().rename(columns={"age": "a very long name of a column that nobody would like to read in full"})
    frame["<b>[red]x"] = 1.5
    assert max(map(len, told(inspected(frame, tmp_path)).splitlines())) <= 80


def test_dependences_need_support(tmp_path):
    rng = np.random.default_rng(0)
    ward_of = rng.integers(0, 12, 600)
    frame = pd.DataFrame({"ward": ward_of, "floor": ward_of // 3, "noise": rng.integers(0, 5, 600)})
    frame["rare"] = np.where(np.arange(600) == 7, "yes", "no")
    frame["measure"] = rng.normal(size=600)
    remarks = inspected(frame, tmp_path).remarks
    assert remarks == ("floor follows from ward. Exclude one of them?",)


def test_repeated_rows_and_patients_are_counted(tmp_path):
    frame = pd.concat([ward(200), ward(200).head(30)])
    remarks = inspected(frame, tmp_path).remarks
    assert "patient_id stands for 200 patients in 230 rows." in remarks
    assert any(remark.startswith("30 rows repeat another row") for remark in remarks)


def test_zeros_in_pima(tmp_path):
    inspection = inspect(real_file("pima"))
    assert view(inspection, "Insulin").warnings == ("0 in 374 rows, apart from all others",)
    assert not view(inspection, "Pregnancies").warnings


def test_education_in_adult():
    assert any("education and education-num tell the same" in remark for remark in inspect(real_file("adult")).remarks)


MEASURED = """
import re, sys
from pathlib import Path
from synthrelease.workflows.inspect.profile import inspect
found = inspect(Path(sys.argv[1]))
# ru_maxrss would count the pages of the process that started this one; VmHWM counts our own alone.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
sys.stderr.write(peak.group(1))
sys.stdout.write(found.schema)
"""


@pytest.mark.slow
def test_the_diabetes_table_needs_no_help():
    """101,766 rows and 50 columns: everything that a steward would declare is found, in 20 s and 1 GiB."""
    path = real_file("diabetes130")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    assert float(done.stderr.split()[-1]) < 2**20  # KiB
    document = tomllib.loads(done.stdout)
    columns = document["columns"]
    assert document["unit"] == "patient_nbr"
    assert document["target"] == "readmitted"
    assert columns["encounter_id"] == {"role": "identifier"}
    assert columns["race"]["missing"] == ["?"]
    assert columns["A1Cresult"]["categories"] == ["None", "Norm", ">7", ">8"]
    for name in ("admission_type_id", "discharge_disposition_id", "admission_source_id"):
        assert columns[name]["kind"] == "categorical"
    inspection = inspect(path)
    for name in ("examide", "citoglipton"):
        assert view(inspection, name).decide.startswith("constant")
    assert columns["age"]["kind"] == "ordinal"
    assert columns["age"]["categories"][0] == "[0-10)"
    for name in ("diag_1", "diag_2", "diag_3"):
        assert any("different cells" in fact or "values" in fact for fact in view(inspection, name).facts)
