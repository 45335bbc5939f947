"""Drafts: valid as they stand, right about kinds, silent about people."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest
from conftest import real_file
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.errors import InputError
from synthrelease.data import table_reader
from synthrelease.schema import schema_file
from synthrelease.workflows.inspect.draft_schema import draft, friendly_bounds

ROWS = 240


def column(values, tmp_path, *, name="x", suffix="csv", **options):
    """Draft a table of one column and a filler; return the column as declared and the draft."""
    frame = pd.DataFrame({name: (list(values) * ROWS)[:ROWS] if len(values) < ROWS else list(values)})
    frame["filler"] = np.random.default_rng(0).normal(size=len(frame))
    path = tmp_path / f"t.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    text = draft(path, **options)
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    return schema_file.load(tmp_path / "s.toml").column(name), text


@pytest.mark.parametrize(
    ("values", "name", "kind", "categories"),
    [
        ([0, 1], "x", "boolean", ("0", "1")),
        (["yes", "no"], "x", "boolean", ("no", "yes")),
        ([True, False], "x", "boolean", ("False", "True")),
        (["M", "F"], "x", "categorical", ("F", "M")),
        ([1, 2, 3, 5], "admission_type_id", "categorical", ("1", "2", "3", "4", "5")),
        ([1, 2, 3, 5], "visits", "integer", ()),
        ([0.5, 2, 3.25], "x", "numeric", ()),
        (["None", "Norm", ">7", ">8"], "x", "ordinal", ("None", "Norm", ">7", ">8")),
        (["[10-20)", "[0-10)", "[90-100)"], "x", "ordinal", ("[0-10)", "[10-20)", "[90-100)")),
        (["80+", "<18", "18-39", "40-79"], "x", "ordinal", ("<18", "18-39", "40-79", "80+")),
        (["Stage II", "Stage I", "Stage IIIA", "Stage IIIB"], "x", "ordinal", None),
        (["high", "low", "medium"], "x", "ordinal", ("low", "medium", "high")),
        (["red", "blue", "green"], "x", "categorical", ("blue", "green", "red")),
        (["2024-01-01", "2024-02-03"], "x", "date", ()),
        ([None], "x", "text", ()),
    ],
)
def test_kinds(tmp_path, values, name, kind, categories):
    found, _ = column(values, tmp_path, name=name)
    assert found.kind == kind
    assert categories is None or found.categories == categories


def test_native_truth_values_in_parquet(tmp_path):
    found, _ = column([True, False], tmp_path, suffix="parquet")
    assert (found.kind, found.categories) == ("boolean", ("False", "True"))


def test_levels_of_few_rows_are_counted_and_never_named(tmp_path):
    values = ["common"] * 150 + ["second"] * 80 + ["rarest-of-all"] * 10
    found, text = column(values, tmp_path)
    assert "# 1 level is held by fewer than 11 rows" in text
    assert "rarest" not in text
    assert found.categories == ("common", "second")
    table = table_reader.read(tmp_path / "t.csv", schema_file.load(tmp_path / "s.toml")).table
    assert table.frame["x"].isna().sum() == 10


def test_too_many_levels_are_withheld(tmp_path):
    found, text = column([f"level {n}" for n in range(60)], tmp_path)
    assert (found.kind, found.role) == ("text", "excluded")
    assert "60 different cells" in text
    assert "level 1" not in text


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id", list(range(500, 500 + ROWS))),
        ("MRN", list(range(500, 500 + ROWS))),
        ("email", ["somebody@example.org"]),
        ("surname", ["Virtanen", "Smith"]),
        ("reference", [f"Q{n * 7}" for n in range(ROWS)]),
        ("contact", [f"c{n}@example.org" for n in range(30)]),
        ("x", list(range(1, ROWS + 1))),
        ("doctor_id", [n % 80 + 1000 for n in range(ROWS)]),
    ],
)
def test_identifiers_are_proposed_without_a_value(tmp_path, name, values):
    found, text = column(values, tmp_path, name=name)
    assert (found.kind, found.role) == ("identifier", "identifier")
    assert str(values[-1]) not in text or len(str(values[-1])) < 4
    assert "replaced by surrogates" in text


def test_quantities_are_no_identifiers(tmp_path):
    rng = np.random.default_rng(1)
    for name, values in (("weight_g", rng.permutation(ROWS) * 7 + 3), ("x", rng.normal(size=ROWS))):
        assert column(values, tmp_path, name=name)[0].is_number


def test_a_patients_number_that_repeats_is_the_unit(tmp_path):
    values = [n // 2 + 100_000 for n in range(ROWS)]
    assert column(values, tmp_path, name="patient_nbr")[0].role == "unit"
    assert column(range(ROWS), tmp_path, name="patient_nbr")[0].role == "identifier"
    assert column(["a", "b", "c"], tmp_path, name="family", unit="family")[0].role == "unit"


@pytest.mark.parametrize(
    ("values", "marks", "kind"),
    [
        (["1.5", "N/A", "2"], ("N/A",), "numeric"),
        (["7", "nan", "NULL", "."], (".", "NULL", "nan"), "integer"),
        (["red", "blue", "?", "NA"], ("?", "NA"), "categorical"),
        (["red", "None", "Unknown"], (), "categorical"),
        (["red", "blue", ""], (), "categorical"),
    ],
)
def test_missing_marks(tmp_path, values, marks, kind):
    found, text = column(values, tmp_path)
    assert (found.kind, found.missing) == (kind, marks)
    assert ("cells are missing" in text) == (bool(marks) or "" in values)


def test_marks_known_to_the_steward(tmp_path):
    found, text = column(["red", "blue", "unclear"], tmp_path, missing=["unclear"])
    assert found.categories == ("blue", "red")
    assert tomllib.loads(text)["missing"] == ["unclear"]


def test_zeros_that_stand_apart_are_remarked_on(tmp_path):
    rng = np.random.default_rng(0)
    pressure = rng.integers(50, 120, ROWS)
    pressure[:20] = 0
    assert "0 stands apart" in column(pressure, tmp_path)[1]
    assert "0 stands apart" not in column(rng.integers(0, 120, ROWS), tmp_path)[1]


def test_targets(tmp_path):
    def target(frame: pd.DataFrame, **options: str) -> str | None:
        frame.to_csv(tmp_path / "t.csv", index=False)
        return tomllib.loads(draft(tmp_path / "t.csv", **options)).get("target")

    frame = pd.DataFrame({"diagnosis": [0, 1] * 120, "a": np.arange(240) / 7, "b": ["x", "y", "z"] * 80})
    assert target(frame) == "diagnosis"
    assert target(frame.drop(columns="diagnosis")) == "b"
    assert target(frame[["b", "a"]]) is None
    assert target(frame, target="a") == "a"
    graded = frame.assign(grade=np.arange(240) % 4)
    assert target(graded, target="grade") == "grade"
    assert 'kind = "categorical"\ncategories = ["0", "1", "2", "3"]' in draft(tmp_path / "t.csv", target="grade")
    frame["note"] = [f"patient {n} came by" for n in range(240)]
    with pytest.raises(InputError, match="A target must hold numbers"):
        target(frame, target="note")
    with pytest.raises(InputError, match="never learned"):
        target(frame, target="a", unit="a")
    for key in ("target", "unit"):
        with pytest.raises(InputError, match=rf"The {key} must be a column.*'zz'"):
            target(frame, **{key: "zz"})


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_bounds_contain_the_values_and_are_round(low, width):
    high = low + width
    bottom, top = (float(bound) for bound in friendly_bounds(low, high))
    assert bottom <= low
    assert high <= top
    assert bottom < top


def test_bounds_by_hand():
    assert friendly_bounds(0.08, 82.0) == ("0", "100")
    assert friendly_bounds(1.0, 14.0) == ("0", "15")
    assert friendly_bounds(0.0, 199.0) == ("0", "200")
    assert friendly_bounds(0.0526, 0.1634) == ("0.05", "0.2")
    assert friendly_bounds(-3.0, -3.0)[0] != friendly_bounds(-3.0, -3.0)[1]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
            lambda n: n.strip() == n
        ),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_any_header_gives_a_valid_draft(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    names = ["learned", *(name for name in names if not name.startswith("'") and name != "learned")]
    frame = pd.DataFrame({name: ["u", "v"] * 60 for name in names} | {"\n<script>\"'": range(120)})
    for suffix in ("csv", "parquet"):
        path = folder / f"t.{suffix}"
        frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
        (folder / "s.toml").write_text(draft(path), encoding="utf-8")
        assert [c.name for c in schema_file.load(folder / "s.toml").columns] == list(frame)


@pytest.mark.parametrize("name", ["wdbc", "pima", "stroke", "adult"])
def test_known_tables(tmp_path, name):
    path = real_file(name)
    (tmp_path / "s.toml").write_text(draft(path), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "s.toml")
    assert meaning.target == {"wdbc": "diagnosis", "pima": "Outcome", "stroke": "stroke", "adult": "income"}[name]
    assert [c.name for c in meaning.columns if not c.is_learned] == (["id"] if name in ("wdbc", "stroke") else [])
    assert len(table_reader.read(path, meaning).table) > 500


def test_a_time_and_its_event_are_offered_as_a_commented_analysis(tmp_path):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"survival_months": rng.integers(0, 90, 60), "died": rng.integers(0, 2, 60)})
    path = tmp_path / "trial.csv"
    frame.to_csv(path, index=False)
    text = draft(path)
    assert '# outcome = { time = "survival_months", event = "died" }' in text
    assert "analyses" not in tomllib.loads(text)
    frame.rename(columns={"died": "smoker"}).to_csv(path, index=False)
    assert "[[analyses]]" not in draft(path)
    frame.rename(columns={"died": "censored"}).to_csv(path, index=False)
    assert '# Check "censored": 1 must mean that the event happened' in draft(path)
