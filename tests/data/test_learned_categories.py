"""Labels that are learned: counted in training patients, rare ones merged and never seen again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import synthrelease
from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.core.errors import InputError, SchemaError
from synthrelease.data import learned_categories, splitting, table_reader, table_writer
from synthrelease.schema import schema_file
from synthrelease.workflows.inspect import draft_schema

TOML = """
unit = "pid"
target = "y"
[columns.pid]
[columns.age]
kind = "integer"
[columns.code]
kind = "categorical"
categories = "learn"
{more}
[columns.y]
kind = "boolean"
categories = ["no", "yes"]
"""


def coded_ward(patients: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two visits a patient; 40 codes of which the last ones are rare, and one patient's own code many times over."""
    rng = np.random.default_rng(seed)
    pid = np.repeat(np.arange(patients) + 10_000, 2)
    code = np.array([f"I{k:02d}" for k in rng.geometric(0.15, len(pid)).clip(1, 40)])
    code[pid == 10_007] = "SECRET"
    more = pd.DataFrame({"pid": 10_007, "age": 50, "code": "SECRET", "y": "no"}, index=range(30))
    rows = pd.DataFrame({"pid": pid, "age": rng.integers(20, 90, len(pid)), "code": code})
    rows["y"] = rng.choice(["no", "yes"], len(pid))
    return pd.concat([rows, more], ignore_index=True)


@pytest.fixture
def files(tmp_path):
    coded_ward().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "s.toml").write_text(TOML.format(more=""), encoding="utf-8")
    return tmp_path / "t.csv", tmp_path / "s.toml"


def test_levels_are_counted_in_patients_and_not_in_rows():
    column = Column("code", "categorical", categories=("a", "b", "c"), learns_levels=True)
    codes = pd.Categorical.from_codes([0] * 6 + [1] * 6 + [2, -1], ["a", "b", "c"])
    units = np.array([1, 1, 2, 2, 3, 3, *[4] * 6, 5, 6])
    table = Table(pd.DataFrame({"code": codes}), Schema((column,)), "real", units)
    found = learned_categories.learned(table, min_cell=3)
    assert found.columns[0].categories == ("a", "Other")
    coded = learned_categories.coded(table, found).frame["code"]
    assert coded.astype(object).fillna("-").tolist() == ["a"] * 6 + ["Other"] * 7 + ["-"]
    assert learned_categories.merged(table, found) == {"code": 7}
    with pytest.raises(InputError, match="at least 4 training patients"):
        learned_categories.learned(table, min_cell=4)


def test_the_holdout_is_coded_by_the_training_labels(files):
    source = table_reader.read(files[0], schema_file.load(files[1]))
    split = splitting.split(source.table, seed=1)
    known = learned_categories.learned(split.train, min_cell=10)
    holdout = learned_categories.coded(split.holdout, known)
    assert holdout.frame["code"].cat.categories.tolist() == list(known.column("code").categories)
    assert holdout.frame["code"].notna().all()


def test_a_rare_label_never_reaches_a_file_of_the_run(files, tmp_path):
    options = synthrelease.BuildOptions(seed=1, effort=0.05)
    out = tmp_path / "run"
    result = synthrelease.build(
        files[0], schema_file=files[1], out=out, policy_name="internal_sandbox", options=options
    )
    real = pd.read_csv(files[0])
    held = real.groupby("code")["pid"].nunique()
    rare = set(held.index[held < 4])
    assert "SECRET" in rare
    for path in (path for path in out.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(f'"{label}"'.encode() in content or f",{label},".encode() in content for label in rare), path
    made = pd.read_csv(next(out.glob("*/synthetic.csv")))
    assert "Other" in set(made["code"])
    assert len(made) == len(real)
    assert "learned from training rows" in next(c.domain for c in result.facts.columns if c.name == "code")


def test_an_audit_replaces_rare_labels_before_anything_is_handed_over(files, tmp_path):
    rows = pd.read_csv(files[0])
    is_train = rows["pid"] < 10_150
    rows[is_train].to_csv(tmp_path / "train.csv", index=False)
    rows[~is_train].to_csv(tmp_path / "holdout.csv", index=False)
    coded_ward(seed=5).to_csv(tmp_path / "made.csv", index=False)
    parts = synthrelease.AuditTables(*(tmp_path / f"{name}.csv" for name in ("train", "holdout", "made")))
    result = synthrelease.audit(parts, schema_file=files[1], out=tmp_path / "run", policy_name="internal_sandbox")
    made = pd.read_csv(next((tmp_path / "run").glob("*/synthetic.csv")))
    assert "SECRET" not in set(made["code"])
    assert made["pid"].nunique() == 300  # patients keep their rows together
    assert any("too few training patients" in notice for notice in result.facts.notices)


def test_a_parquet_dictionary_names_learned_labels_alone_and_a_number_type_has_no_other(files, tmp_path):
    rows = coded_ward()
    table = pa.Table.from_pandas(rows.assign(code=rows["code"].astype("category")), preserve_index=False)
    pq.write_table(table, tmp_path / "t.parquet")
    source = table_reader.read(tmp_path / "t.parquet", schema_file.load(files[1]))
    known = learned_categories.learned(source.table, min_cell=10)
    table_writer.check(known, source.style)
    coded = learned_categories.coded(source.table, known)
    table_writer.write([coded.frame], known, source.style, tmp_path / "out.parquet", seed=0)
    assert b"SECRET" not in (tmp_path / "out.parquet").read_bytes()
    numbers = rows.assign(code=np.arange(len(rows)) % 9 + (np.arange(len(rows)) == 5) * 100)
    pq.write_table(pa.Table.from_pandas(numbers, preserve_index=False), tmp_path / "n.parquet")
    source = table_reader.read(tmp_path / "n.parquet", schema_file.load(files[1]))
    with pytest.raises(InputError, match='other = ""'):
        table_writer.check(learned_categories.learned(source.table, min_cell=10), source.style)
    files[1].write_text(TOML.format(more='other = ""'), encoding="utf-8")
    source = table_reader.read(tmp_path / "n.parquet", schema_file.load(files[1]))
    known = learned_categories.learned(source.table, min_cell=10)
    assert learned_categories.coded(source.table, known).frame["code"].isna().sum() == 1
    table_writer.check(known, source.style)


@pytest.mark.parametrize(
    ("more", "word"),
    [('missing = ["*"]', "declared"), ('missing = ["-"]\nother = "-"', "other")],
)
def test_a_schema_that_learns_says_nothing_else(tmp_path, more, word):
    path = tmp_path / "s.toml"
    path.write_text(TOML.format(more=more), encoding="utf-8")
    with pytest.raises(SchemaError, match=word):
        schema_file.load(path)


def test_a_draft_proposes_to_learn_where_many_labels_repeat(tmp_path):
    rng = np.random.default_rng(0)
    codes = [f"E{k:03d}x" for k in rng.integers(0, 120, 6_000)]
    once = [f"note {k}" for k in range(6_000)]
    frame = pd.DataFrame({"diag": codes, "remark": once, "x": rng.normal(size=6_000)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "s.toml").write_text(draft_schema.draft(tmp_path / "t.csv"), encoding="utf-8")
    meaning = schema_file.load(tmp_path / "s.toml")
    assert meaning.column("diag").learns_levels
    assert meaning.column("remark").kind == "text"
    assert "E000x" not in (tmp_path / "s.toml").read_text()
