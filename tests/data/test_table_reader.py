"""Tables: read by the schema, written back alike, split by patient."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import real_file
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.contracts import Column, DeclaredSchema, LearnedSchema, OpenedSchema, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.data import fingerprint, splitting, table_reader, table_writer
from synthrelease.data.formats import read_file
from synthrelease.schema import schema_file
from synthrelease.workflows import wisconsin
from synthrelease.workflows.inspect import draft_schema

CLINIC = Schema(
    columns=(
        Column("id", "identifier", "identifier"),
        Column("age", "integer", bounds=(0, 120)),
        Column("bmi", "numeric", bounds=(10, 70), missing=("N/A",)),
        Column("smoker", "categorical", categories=("no", "yes", "=quit")),
        Column("note", "text", "excluded"),
        Column("ill", "boolean", "target", categories=("0", "1")),
    ),
    target="ill",
)


def clinic(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bmi = np.round(rng.uniform(15, 45, rows), 1).astype(str).astype(object)
    bmi[::10] = "N/A"
    return pd.DataFrame(
        {
            "id": rng.permutation(np.arange(10_000, 10_000 + rows)),
            "age": rng.integers(0, 99, rows),
            "bmi": bmi,
            "smoker": rng.choice(["no", "yes", "=quit"], rows),
            "note": [f"saw patient {n}, fine" for n in range(rows)],
            "ill": np.arange(rows) % 3 == 0,
        }
    ).assign(ill=lambda f: f["ill"].astype(int))


def saved(frame: pd.DataFrame, path: Path, **options: object) -> Path:
    frame.to_csv(path, index=False, **options)
    return path


def back(source: table_reader.Source, folder: Path, seed: int = 1) -> Path:
    out = folder / f"out.{source.style.format.suffix}"
    assert table_writer.write([source.table.frame], source.table.schema, source.style, out, seed=seed) == len(
        source.table
    )
    return out


def refused(path: Path, meaning: Schema = CLINIC, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        table_reader.read(path, meaning, **options)
    return str(caught.value)


def test_the_canonical_form(tmp_path):
    source = table_reader.read(saved(clinic(), tmp_path / "t.csv"), CLINIC)
    frame = source.table.frame
    assert list(frame) == ["age", "bmi", "smoker", "ill"]
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "float64", "category", "category"]
    assert list(frame["smoker"].cat.categories) == ["no", "yes", "=quit"]
    assert frame["bmi"].isna().sum() == 12
    assert source.table.units is None
    assert source.table.outside == {}
    assert frame["age"].tolist() == clinic()["age"].astype(float).tolist()


def test_the_frame_follows_the_schema_and_the_file_its_own_order(tmp_path):
    turned = clinic()[["ill", "note", "age", "id", "smoker", "bmi"]]
    source = table_reader.read(saved(turned, tmp_path / "t.csv"), CLINIC)
    assert list(source.table.frame) == ["age", "bmi", "smoker", "ill"]
    assert list(pd.read_csv(back(source, tmp_path))) == list(turned)


def test_writing_back_keeps_values_and_dtypes_and_no_identifier(tmp_path):
    before = pd.read_csv(saved(clinic(), tmp_path / "t.csv"))
    source = table_reader.read(tmp_path / "t.csv", CLINIC)
    out = back(source, tmp_path)
    after = pd.read_csv(out)
    assert dict(after.dtypes) == dict(before.dtypes)
    for name in ("age", "bmi", "ill"):
        pd.testing.assert_series_equal(after[name], before[name])
    assert set(after["smoker"]) == {"no", "yes", "'=quit"}
    assert set(after["note"]) == {"withheld"}
    assert not set(after["id"]) & set(before["id"])
    assert after["id"].is_unique
    assert after["id"].between(10_000, 99_999).all()
    assert "N/A" in out.read_text()
    pd.testing.assert_frame_equal(table_reader.read(out, CLINIC).table.frame, source.table.frame)


def test_writing_follows_the_seed_and_streams(tmp_path):
    source = table_reader.read(saved(clinic(), tmp_path / "t.csv"), CLINIC)
    whole = back(source, tmp_path).read_bytes()
    halves = [source.table.frame.iloc[:50], source.table.frame.iloc[50:]]
    assert table_writer.write(iter(halves), source.table.schema, source.style, tmp_path / "b.csv", seed=1) == 120
    assert (tmp_path / "b.csv").read_bytes() == whole
    table_writer.write(iter(halves), source.table.schema, source.style, tmp_path / "b.csv", seed=2)
    assert (tmp_path / "b.csv").read_bytes() != whole


def test_a_write_that_fails_leaves_nothing(tmp_path):
    source = table_reader.read(saved(clinic(), tmp_path / "t.csv"), CLINIC)

    def frames():
        yield source.table.frame
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        table_writer.write(frames(), source.table.schema, source.style, tmp_path / "out.csv", seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_all_problems_of_a_real_table_are_listed_without_a_cell(tmp_path):
    frame = clinic().astype(object)
    frame.loc[0, "age"] = "very old"
    frame.loc[1:2, "age"] = 33.5
    frame.loc[3, "age"] = 777
    frame.loc[4, "age"] = -inf if (inf := float("inf")) else 0
    frame.loc[5:6, "smoker"] = "sometimes"
    frame.loc[7, "ill"] = None
    message = refused(saved(frame.drop(columns="note").assign(extra=1), tmp_path / "t.csv"))
    for said in (
        "'age' is integer, however 2 cells are not numbers",
        "'age' is integer, however 2 cells are not whole",
        "'age' is integer, however 1 cell is above the bounds",
        "'smoker' must hold one of its 3 categories, however 2 cells (1 different label)",
        "'ill' is the target and must be known, however it is missing in 1 row",
        "'note' is declared",
        "'extra' is in the table",
    ):
        assert said in message
    for cell in ("very", "33.5", "777", "sometimes"):
        assert cell not in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"id,age,bmi,smoker,note,ill\n", "header and nothing else"),
        (b"PAR1\x00\x01", "is a Parquet file"),
        (b"PK\x03\x04", "spreadsheet"),
        (b"id,age\n\x00\x01,2\n", "is binary"),
        (b"\xff\xfei\x00d\x00", "header and nothing else"),
        (b"a,a,b\n1,2,3\n", "'a' names more than one column"),
        (b"a,b,c\n1,2,3\nsecret,1\n4,5,6\n", "however 1 row"),
        (b'a,b\n1,2\n"secret,3\n4,5\n', ""),
    ],
)
def test_files_that_are_no_table(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    message = refused(path)
    assert said in message
    assert "secret" not in message


def test_paths_that_are_no_table(tmp_path):
    assert "does not" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)
    (tmp_path / "t.parquet").write_bytes(b"not parquet at all, secret")
    assert "damaged" in refused(tmp_path / "t.parquet")


def test_too_few_rows_and_one_class(tmp_path):
    assert "at least 100 rows, however there are 50" in refused(saved(clinic(50), tmp_path / "t.csv"))
    assert len(table_reader.read(tmp_path / "t.csv", CLINIC, minimum_rows=20).table) == 50
    assert "does not hold two classes" in refused(saved(clinic().assign(ill=1), tmp_path / "t.csv"))


def test_integers_beyond_exactness_are_refused(tmp_path):
    frame = clinic()
    frame["age"] = frame["age"].astype("int64") + 2**53 + 2
    wide = replace(CLINIC, columns=tuple(replace(c, bounds=None) if c.name == "age" else c for c in CLINIC.columns))
    assert "beyond 2**53" in refused(saved(frame, tmp_path / "t.csv"), wide)


def test_a_vendors_table_is_counted_and_not_refused(tmp_path):
    frame = clinic().drop(columns=["id", "note"]).astype(object)
    frame.loc[0, "age"] = 150
    frame.loc[1, "age"] = 20.25
    frame.loc[2, "age"] = "n/k"
    frame.loc[3, "smoker"] = "sometimes"
    frame.loc[4:5, "ill"] = [0.93, 0.1]
    frame.loc[6, "ill"] = "1.0"
    table = table_reader.read(saved(frame, tmp_path / "s.csv"), CLINIC, origin="synthetic", cells="lenient").table
    assert table.outside == {"age": 3, "smoker": 1, "ill": 2}
    assert table.frame["age"].tolist()[:2] == [150, 20.25]
    assert table.frame[["age", "smoker"]].isna().sum().tolist() == [1, 1]
    assert table.frame["ill"].tolist()[4:7] == ["1", "0", "1"]
    made = {"origin": "synthetic", "cells": "lenient"}
    assert "'age' is declared" in refused(saved(frame.drop(columns="age"), tmp_path / "s.csv"), **made)
    assert "at least 20 rows" in refused(saved(frame.head(9), tmp_path / "s.csv"), **made)


def test_real_rows_that_nothing_is_learned_from_are_read_leniently_and_stay_real(tmp_path):
    frame = clinic().astype(object)
    frame.loc[0, "age"] = 150
    path = saved(frame, tmp_path / "holdout.csv")
    table = table_reader.read(path, CLINIC, cells="lenient", minimum_rows=20).table
    assert table.origin == "real"
    assert table.outside == {"age": 1}
    few = saved(frame.head(9), tmp_path / "few.csv")
    assert "a real table needs at least 20 rows" in refused(few, cells="lenient", minimum_rows=20)
    assert "above the bounds" in refused(path, cells="strict")


def test_a_vendors_numbers_are_written_back_unclipped(tmp_path):
    frame = clinic().drop(columns=["id", "note"])
    frame.loc[0, "age"] = 150
    source = table_reader.read(saved(frame, tmp_path / "s.csv"), CLINIC, origin="synthetic", cells="lenient")
    assert pd.read_csv(back(source, tmp_path))["age"][0] == 150


def test_undeclared_labels_count_as_missing_where_the_schema_says_so(tmp_path):
    smoker = Column("smoker", "categorical", categories=("no", "yes"), missing=("*",))
    meaning = replace(CLINIC, columns=tuple(smoker if c.name == "smoker" else c for c in CLINIC.columns))
    source = table_reader.read(saved(clinic(), tmp_path / "t.csv"), meaning)
    assert source.table.frame["smoker"].isna().sum() == (clinic()["smoker"] == "=quit").sum()
    assert "quit" not in back(source, tmp_path).read_text()


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ({"sep": ";"}, "utf-8"),
        ({"sep": "\t"}, "utf-8-sig"),
        ({"sep": "|", "quoting": 1}, "latin-1"),
        ({"quoting": 2}, "utf-8"),
        ({"lineterminator": "\r\n"}, "utf-8"),
        ({"sep": ";", "decimal": ","}, "utf-8"),
    ],
)
def test_every_dialect_comes_back(tmp_path, options, encoding):
    frame = clinic().assign(bmi=lambda f: pd.to_numeric(f["bmi"], errors="coerce")).rename(columns={"age": "âge"})
    columns = tuple(replace(c, name="âge") if c.name == "age" else c for c in CLINIC.columns)
    path = saved(frame, tmp_path / "t.csv", encoding=encoding, **options)
    source = table_reader.read(path, replace(CLINIC, columns=columns))
    out = back(source, tmp_path)
    reading = {key: options[key] for key in ("sep", "decimal") if key in options} | {"encoding": encoding}
    before, after = pd.read_csv(path, **reading), pd.read_csv(out, **reading)
    assert list(after) == list(before)
    assert dict(after.dtypes) == dict(before.dtypes)
    pd.testing.assert_frame_equal(after[["âge", "bmi", "ill"]], before[["âge", "bmi", "ill"]])
    assert read_file(out).dialect == read_file(path).dialect


def test_headers_that_a_spreadsheet_would_run(tmp_path):
    names = {"age": "=cmd|'/C calc'!A0", "bmi": "-", "ill": 'a "b"\n.c', "smoker": "<script>alert(1)</script>"}
    columns = tuple(replace(c, name=names.get(c.name, c.name)) for c in CLINIC.columns)
    meaning = replace(CLINIC, columns=columns, target=names["ill"])
    source = table_reader.read(saved(clinic().rename(columns=names), tmp_path / "t.csv"), meaning)
    out = back(source, tmp_path)
    assert list(pd.read_csv(out)) == ["id", "'=cmd|'/C calc'!A0", "'-", names["smoker"], "note", names["ill"]]
    pd.testing.assert_frame_equal(table_reader.read(out, meaning).table.frame, source.table.frame)


def test_a_header_longer_than_its_rows(tmp_path):
    lines = saved(clinic(), tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([lines[0] + ",", *lines[1:]]))
    source = table_reader.read(tmp_path / "t.csv", CLINIC)
    before, after = pd.read_csv(tmp_path / "t.csv"), pd.read_csv(back(source, tmp_path))
    assert list(after) == list(before) == [*clinic(), "Unnamed: 6"]
    assert dict(after.dtypes) == dict(before.dtypes)


@pytest.mark.parametrize(
    "cells",
    [
        ["67", "1.32", "8"],
        ["1.50", "2.25", "3.00"],
        ["1.0", "2.0", "3.0"],
        ["1e-5", "12.5", "3E2"],
        ["0.266150712059631", "12.9108180144244", "-7.5"],
        ["-0.001", "0", "5"],
    ],
)
def test_numbers_come_back_to_the_last_digit(tmp_path, cells):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{cell},{at % 2}\n" for at, cell in enumerate(cells * 40)))
    meaning = Schema((Column("x", "numeric"), Column("y", "boolean", "target", categories=("0", "1"))), target="y")
    out = back(table_reader.read(path, meaning), tmp_path)
    rows = [[line.split(",")[0] for line in each.read_text().splitlines()[1:]] for each in (path, out)]
    assert [float(cell) for cell in rows[0]] == [float(cell) for cell in rows[1]]
    if not any("e" in cell.lower() for cell in cells):
        assert rows[0] == rows[1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6), min_size=2, max_size=6),
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=8),
)
def test_any_labels_and_numbers_survive(tmp_path_factory, labels, numbers):
    folder = tmp_path_factory.mktemp("any")
    labels = list(dict.fromkeys(label.strip() for label in labels))
    labels = [label for label in labels if label and not label.startswith("'") and "'" + label not in labels]
    if not labels:
        return
    frame = pd.DataFrame({"l": (labels * 120)[:120], "n": (numbers * 120)[:120]})
    meaning = Schema((Column("l", "categorical", categories=tuple(labels)), Column("n", "numeric")))
    for suffix in ("csv", "parquet"):
        path = folder / f"t.{suffix}"
        frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
        source = table_reader.read(path, meaning)
        assert source.table.frame["l"].tolist() == frame["l"].tolist()
        assert source.table.frame["n"].tolist() == frame["n"].tolist()
        again = table_reader.read(back(source, folder), meaning).table.frame
        pd.testing.assert_frame_equal(again, source.table.frame)


def test_parquet_keeps_its_types(tmp_path):
    rows = 120
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"P{n:05d}" for n in rng.permutation(rows)],
            "i8": rng.integers(0, 100, rows).astype("int8"),
            "nullable": pd.array([None if n % 7 == 0 else n for n in range(rows)], dtype="Int64"),
            "f32": rng.normal(size=rows).astype("float32"),
            "flag": rng.random(rows) < 0.5,
            "maybe": pd.array([None if n % 5 == 0 else n % 2 == 0 for n in range(rows)], dtype="boolean"),
            "cat": pd.Categorical(rng.choice(["a", "b"], rows), categories=["b", "a"], ordered=True),
            "when": pd.date_range("2020-01-01", periods=rows),
            "code": rng.integers(1, 4, rows).astype("uint16"),
        },
        index=pd.Index(range(1000, 1000 + rows)),
    )
    frame.attrs["secret"] = "of the real rows"
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    meaning = Schema(
        (
            Column("id", "identifier", "identifier"),
            Column("i8", "integer", bounds=(0, 500)),
            Column("nullable", "integer"),
            Column("f32", "numeric"),
            Column("flag", "boolean", categories=("False", "True")),
            Column("maybe", "boolean", categories=("no", "yes")),
            Column("cat", "ordinal", categories=("a", "b")),
            Column("when", "text", "excluded"),
            Column("code", "categorical", categories=("1", "2", "3")),
        )
    )
    source = table_reader.read(path, meaning)
    out = back(source, tmp_path)
    before, after = pd.read_parquet(path).reset_index(drop=True), pd.read_parquet(out)
    assert dict(after.dtypes) == dict(before.dtypes)
    learned = [column.name for column in meaning.learned]
    pd.testing.assert_frame_equal(after[learned], before[learned])
    assert after["when"].isna().all()
    assert after["id"].str.fullmatch(r"P\d{5}").all()
    assert not set(after["id"]) & set(before["id"])
    assert b"of the real rows" not in out.read_bytes()
    assert pq.read_schema(out).names == list(frame)


def test_parquet_written_by_others(tmp_path):
    table = pa.table(
        {
            "x": pa.array([1.5, None, float("nan")] * 40, pa.float64()),
            "s": pa.array(["u", None, "?"] * 40, pa.large_string()),
            "d": pa.array([Decimal("1.25"), Decimal(2), Decimal("-3.5")] * 40, pa.decimal128(8, 2)),
            "nested": pa.array([[1], None, [2]] * 40),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    meaning = Schema(
        (
            Column("x", "numeric"),
            Column("s", "categorical", categories=("u",), missing=("?",)),
            Column("d", "numeric"),
            Column("nested", "text", "excluded"),
        )
    )
    source = table_reader.read(tmp_path / "t.parquet", meaning)
    assert source.table.frame.isna().sum().tolist() == [80, 80, 0]
    after = pq.read_table(back(source, tmp_path))
    assert after.schema.types == table.schema.types
    assert after["d"].to_pylist() == table["d"].to_pylist()
    assert after["nested"].null_count == 120


def visits(patients: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    frame = pd.DataFrame({"ill": pd.Categorical(np.where(units % 10 == 0, "1", "0"), categories=["0", "1"])})
    meaning = Schema((Column("ill", "boolean", "target", categories=("0", "1")),), target="ill")
    return Table(frame=frame, schema=meaning, origin="real", units=units.astype(np.int64))


@given(st.integers(20, 300), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_no_patient_is_on_both_sides(patients, seed):
    table = visits(patients, seed)
    split = splitting.split(table, seed=seed)
    assert len(split.train) + len(split.holdout) == len(table)
    assert split.train.units is not None
    assert split.holdout.units is not None
    assert not set(split.train.units) & set(split.holdout.units)
    assert len(split.train)
    assert len(split.holdout)


def test_a_split_keeps_the_share_and_the_classes():
    split = splitting.split(visits(3000), seed=1)
    rows = len(split.train) + len(split.holdout)
    assert abs(len(split.holdout) / rows - 0.3) < 0.002
    shares = [(table.frame["ill"] == "1").mean() for table in (split.train, split.holdout)]
    assert abs(shares[0] - shares[1]) < 0.005
    again = splitting.split(visits(3000), seed=1)
    pd.testing.assert_frame_equal(again.holdout.frame, split.holdout.frame)
    assert splitting.split(visits(3000), seed=2).holdout.units.tolist() != split.holdout.units.tolist()


def test_large_tables_hold_out_at_most_50_000_rows():
    meaning = Schema((Column("x", "numeric"),))
    frame = pd.DataFrame({"x": np.zeros(300_000)})
    assert len(splitting.split(Table(frame, meaning, "real"), seed=0).holdout) == 50_000
    assert len(splitting.split(Table(frame.head(20_000), meaning, "real"), seed=0).holdout) == 4_000


def test_a_rare_class_reaches_both_sides():
    ill = pd.Categorical(["1", "1"] + ["0"] * 98, categories=["0", "1"])
    meaning = Schema((Column("ill", "boolean", "target", categories=("0", "1")),), target="ill")
    split = splitting.split(Table(pd.DataFrame({"ill": ill}), meaning, "real"), seed=0)
    assert [(part.frame["ill"] == "1").sum() for part in (split.train, split.holdout)] == [1, 1]


def test_splits_that_cannot_be():
    with pytest.raises(InputError, match="at least 20 patients, however the table has 5"):
        splitting.split(visits(5), seed=0)
    with pytest.raises(InputError, match="between 0 and 1"):
        splitting.split(visits(50), seed=0, holdout_share=1.0)


def test_units_are_read_and_kept_apart(tmp_path):
    frame = clinic().assign(id=lambda f: f["id"] // 2)
    columns = tuple(replace(c, role="unit") if c.name == "id" else c for c in CLINIC.columns)
    meaning = replace(CLINIC, columns=columns, unit="id")
    source = table_reader.read(saved(frame, tmp_path / "t.csv"), meaning)
    assert source.table.units is not None
    assert source.table.units.dtype == np.int64
    assert len(set(source.table.units)) == frame["id"].nunique()
    assert pd.read_csv(back(source, tmp_path))["id"].is_unique
    with pytest.raises(InputError, match="stand in both"):
        splitting.check_disjoint(source, source)
    other = table_reader.read(saved(frame.assign(id=lambda f: f["id"] + 90_000), tmp_path / "o.csv"), meaning)
    for rows in (np.arange(100), np.arange(len(frame))[::-1]):
        with pytest.raises(InputError, match="other people than the table"):
            splitting.check_disjoint(source, replace(other, table=other.table.take(rows)))
    fresh = clinic(seed=77).assign(id=lambda f: f["id"] // 2 + 90_000)
    splitting.check_disjoint(source, table_reader.read(saved(fresh, tmp_path / "f.csv"), meaning))
    frame["id"] = frame["id"].astype(object)
    frame.loc[0, "id"] = None
    assert "must name each row's patient, however it does not in 1 row" in refused(
        saved(frame, tmp_path / "t.csv"), meaning
    )


def test_the_digest_is_keyed(tmp_path):
    (tmp_path / "t").write_bytes(b"x" * 3_000_000)
    expected = hmac.new(b"key", b"x" * 3_000_000, hashlib.sha256).hexdigest()
    assert fingerprint.digest(tmp_path / "t", b"key") == expected
    assert fingerprint.digest(tmp_path / "t", b"other") != expected


def test_the_demonstration_table(tmp_path):
    wisconsin.write_wisconsin(tmp_path / "d.csv")
    frame = pd.read_csv(tmp_path / "d.csv")
    assert frame.shape == (569, 31)
    assert frame.columns[-1] == "diagnosis"
    assert frame["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}
    assert frame["diagnosis"][0] == "malignant"


@pytest.mark.parametrize("name", ["wdbc", "pima", "stroke"])
def test_known_tables_come_back(tmp_path, name):
    path = real_file(name)
    (tmp_path / "schema.toml").write_text(draft_schema.draft(path), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "schema.toml")
    source = table_reader.read(path, meaning)
    before, after = pd.read_csv(path), pd.read_csv(back(source, tmp_path))
    assert dict(after.dtypes) == dict(before.dtypes)
    learned = [c.name for c in meaning.learned if "*" not in c.missing]
    pd.testing.assert_frame_equal(after[learned], before[learned])
    for column in meaning.columns:
        if column.role == "identifier":
            assert not set(after[column.name]) & set(before[column.name])


OPEN = DeclaredSchema((Column("n", "numeric"), Column("code", "categorical", learns_levels=True)))


def test_the_state_of_a_table_follows_from_the_schema_it_is_read_by(tmp_path):
    cells = pd.DataFrame({"n": range(120), "code": [*["A", "B"] * 59, "A", "rare"]})
    path = saved(cells, tmp_path / "t.csv")
    opened = table_reader.read(path, OPEN).table
    assert type(opened.schema) is OpenedSchema
    assert opened.schema.column("code").categories == ("A", "B", "rare")
    known = LearnedSchema.of(OPEN, (OPEN.columns[0], replace(OPEN.columns[1], categories=("A", "B"))))
    read = table_reader.read(path, known, origin="synthetic", cells="lenient").table
    assert read.schema is known
    assert read.outside == {"code": 1}


def test_a_table_read_whole_keeps_every_label_even_where_there_is_none(tmp_path):
    path = saved(pd.DataFrame({"n": range(120), "code": ["A", "rare", *["B"] * 118]}), tmp_path / "t.csv")
    whole = table_reader.read_whole(path, OPEN, minimum_rows=100)
    assert type(whole.table.schema) is LearnedSchema
    assert whole.table.schema.column("code").categories == ("A", "B", "rare")
    path = saved(pd.DataFrame({"n": range(120), "code": ""}), tmp_path / "empty.csv")
    empty = table_reader.read_whole(path, OPEN, minimum_rows=100).table
    assert empty.frame["code"].isna().all()
    assert empty.schema.column("code").categories == ()
    with pytest.raises(InputError, match="at least 200 rows"):
        table_reader.read_whole(path, OPEN, minimum_rows=200)
