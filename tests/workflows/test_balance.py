"""``synthrelease balance``: what it writes, and its answer to tables that it cannot balance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from conftest import drafted, ward

from synthrelease.cli.main import main
from synthrelease.workflows.run_options import BALANCE_METHODS


@pytest.fixture
def numbers(tmp_path: Path) -> tuple[Path, Path]:
    """Numbers only, two classes of 90 and 30 rows, with spellings worth keeping."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"P-{row:05d}" for row in rng.permutation(9_000)[:120]],
            "size": [f"{value:.2f}" for value in rng.normal(20, 3, 120)],
            "count": rng.integers(0, 40, 120),
            "ill": np.where(np.arange(120) < 90, "no", "yes"),
        }
    )
    path = tmp_path / "numbers.csv"
    frame.to_csv(path, index=False)
    return path, drafted(path, tmp_path, "ill")


def balanced(path: Path, schema_file: Path, *more: str) -> tuple[Result, Path]:
    out = path.parent / "out.csv"
    words = ["balance", str(path), "--schema", str(schema_file), "--out", str(out), "--effort", "0.02", *more]
    return CliRunner().invoke(main, words), out


@pytest.mark.parametrize("method", ["gan", "smote", "adasyn"])
def test_real_rows_keep_their_spelling_and_made_ones_are_marked(numbers, method):
    result, out = balanced(*numbers, "--method", method)
    assert result.exit_code == 0, result.output
    assert "no claim is made" in " ".join(result.output.split())
    assert "yes: 30 real rows" in result.output
    lines, real = out.read_text().splitlines(), numbers[0].read_text().splitlines()
    assert lines[0] == real[0] + ",synthetic"
    assert lines[1:121] == [line + ",0" for line in real[1:]]
    frame = pd.read_csv(out)
    made = frame[frame["synthetic"] == 1]
    assert set(made["ill"]) == {"yes"}
    assert len(made) == 60 if method != "adasyn" else 50 <= len(made) <= 70
    assert not set(made["id"]) & set(frame["id"][:120])
    assert (made["count"] % 1 == 0).all()


def test_mixed_tables_with_gaps_work_with_the_gan(ward_files, tmp_path):
    table = tmp_path / "ward.csv"
    table.write_bytes(ward_files[0].read_bytes())
    result, out = balanced(table, ward_files[1], "--column", "made")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(out)
    assert len(set(frame["readmitted"].value_counts())) == 1
    assert frame["made"].sum() == len(frame) - 400


def test_smotenc_works_with_labels_and_numbers(tmp_path):
    path = tmp_path / "mixed.csv"
    ward(300).dropna().to_csv(path, index=False)
    result, out = balanced(path, drafted(path, tmp_path, "readmitted"), "--method", "smotenc")
    assert result.exit_code == 0, result.output
    frame = pd.read_csv(out)
    assert len(set(frame["readmitted"].value_counts())) == 1
    assert set(frame["sex"]) == {"F", "M"}


@pytest.mark.parametrize("method", [method for method in BALANCE_METHODS if method != "gan"])
def test_missing_values_are_refused_by_what_cannot_work_with_them(tmp_path, method):
    path = tmp_path / "gaps.csv"
    frame = ward(200)
    frame[["age", "pressure", "stay", "sex", "readmitted"] if method == "smotenc" else
          ["age", "pressure", "stay", "readmitted"]].to_csv(path, index=False)  # fmt: skip
    result, out = balanced(path, drafted(path, tmp_path, "readmitted"), "--method", method)
    assert result.exit_code == 2
    assert "cannot work with missing values, however some stand in 1 column ('pressure'" in result.output
    assert "--method gan" in result.output
    assert not out.exists()


@pytest.mark.parametrize("method", ["smote", "adasyn"])
def test_labels_are_refused_by_what_works_with_numbers(ward_files, tmp_path, method):
    result, out = balanced(*ward_files, "--method", method, "--out", str(tmp_path / "out.csv"))
    assert result.exit_code == 2
    assert "works with numbers only, however labels stand in 2 columns ('sex', 'smoker')" in result.output
    assert "--method smotenc or gan" in result.output
    assert not out.exists()


@pytest.mark.parametrize(("method", "code", "words"), [
    ("gan", 2, "A GAN learns a class from at least 10 rows, however a class of 'ill' has 3"),
    ("smote", 0, "A class has 3 rows: 2 neighbours were used."),
    ("adasyn", 0, "A class has 3 rows: 2 neighbours were used."),
])  # fmt: skip
def test_a_class_of_three_rows_gets_a_clear_answer(numbers, tmp_path, method, code, words):
    frame = pd.read_csv(numbers[0], dtype=str)
    frame["ill"] = np.where(np.arange(120) % 40 == 7, "yes", "no")
    path = tmp_path / "three.csv"
    frame.to_csv(path, index=False)
    result, out = balanced(path, drafted(path, tmp_path, "ill"), "--method", method)
    text = " ".join(result.output.split())
    assert result.exit_code == code, text
    assert words in text
    assert out.exists() == (code == 0)


def test_one_class_only_gets_a_clear_answer(numbers, tmp_path):
    path = tmp_path / "one.csv"
    pd.read_csv(numbers[0], dtype=str).assign(ill="no").to_csv(path, index=False)
    result, out = balanced(path, numbers[1])
    assert result.exit_code == 2
    assert "does not hold two classes" in result.output
    assert not out.exists()


@pytest.mark.parametrize(("more", "words"), [
    (["--target", "size"], "Classes are labels, however the target 'size' is numeric"),
    (["--column", "count"], "needs a name of its own"),
    (["--method", "smotenc"], "however no column holds labels. Use --method smote"),
    (["--generator", "copy-machine"], "Choose one of the known generators"),
    (["--out", "missing-folder/out.csv"], "in a folder that exists"),
    (["--out", "out.parquet"], "written as CSV"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused_and_nothing_is_written(numbers, more, words):
    result, out = balanced(*numbers, *more)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert not out.exists()


def test_a_table_is_never_overwritten(numbers):
    before = numbers[0].read_bytes()
    result, _ = balanced(*numbers, "--out", str(numbers[0]))
    assert result.exit_code == 2
    assert "never overwritten" in result.output
    assert numbers[0].read_bytes() == before


def test_equal_classes_are_left_alone(numbers, tmp_path):
    frame = pd.read_csv(numbers[0], dtype=str)
    frame["ill"] = np.where(np.arange(120) % 2 == 0, "yes", "no")
    path = tmp_path / "equal.csv"
    frame.to_csv(path, index=False)
    result, out = balanced(path, drafted(path, tmp_path, "ill"))
    assert result.exit_code == 0
    assert "nothing was made" in result.output
    assert len(pd.read_csv(out)) == 120


def test_constraints_hold_in_made_rows(numbers, tmp_path):
    rule = '\n[[constraints]]\nrule = "count <= 39"\n\n[[constraints]]\nrule = "size > 0"\n'
    schema_file = tmp_path / "ruled.toml"
    schema_file.write_text(numbers[1].read_text() + rule)
    result, out = balanced(numbers[0], schema_file)
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out)["count"].max() <= 39
