"""A direct identifier is never learned unless the schema answers for it by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import drafted, real_file, ward
from made_up_identifiers import ROWS, harmless, hospital_tables, identifying

import synthrelease
from synthrelease import BuildOptions, InputError
from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.data import table_reader
from synthrelease.schema import schema_file as schema_reader
from synthrelease.schema.identifiers.screening import screen


def table_of(frame: pd.DataFrame, columns: list[Column], units: np.ndarray | None = None) -> Table:
    return Table(frame, Schema(tuple(columns)), "real", units)


def numbers(name: str, values: object, **options: str) -> Table:
    frame = pd.DataFrame({name: np.asarray(values, dtype=np.float64)})
    return table_of(frame, [Column(name, "integer", **options)])


@pytest.mark.parametrize("letter", sorted({case.letter for case in identifying()}))
def test_every_class_is_refused_as_categories_or_numbers(letter):
    for case in (case for case in identifying() if case.letter == letter):
        values = pd.Categorical(case.texts)
        frame = pd.DataFrame({case.name: values})
        column = Column(case.name, "categorical", categories=tuple(values.categories))
        with pytest.raises(InputError, match=rf"HIPAA class {letter}") as caught:
            screen(table_of(frame, [column]))
        assert not any(len(text) > 3 and text in str(caught.value) for text in case.texts), case.name
        answered = replace(column, not_an_identifier="made up")
        (notice,) = screen(table_of(frame, [answered]))
        assert "because the schema says: made up" in notice


def test_harmless_columns_pass():
    for case in harmless():
        values = pd.Categorical(case.texts)
        column = Column(case.name, "categorical", categories=tuple(values.categories))
        assert screen(table_of(pd.DataFrame({case.name: values}), [column])) == (), case.name


def test_numbers_that_identify():
    rng = np.random.default_rng(0)
    for name in ("patient_nbr", "MRN", "encounter_id", "zip"):
        with pytest.raises(InputError, match=name):
            screen(numbers(name, rng.permutation(90_000)[:ROWS] + 10_000))
    assert screen(numbers("weight_g", rng.permutation(3000)[:ROWS] + 800)) == ()
    assert screen(numbers("visits", rng.integers(0, 9, ROWS))) == ()


def test_one_value_a_patient_is_found_though_it_repeats():
    patients = np.repeat(np.arange(150), 2)
    frame = pd.DataFrame({"x": (patients * 7919 % 10_007).astype(np.float64)})
    columns = [Column("x", "integer")]
    assert screen(table_of(frame, columns)) == ()
    with pytest.raises(InputError, match="each patient has one value"):
        screen(table_of(frame, columns, patients))


def test_excluded_columns_are_not_searched():
    frame = pd.DataFrame({"age": np.arange(200.0) % 80})
    columns = [Column("age", "integer"), Column("name", "text", "excluded"), Column("id", "identifier", "identifier")]
    assert screen(table_of(frame, columns)) == ()


def leaky(tmp_path: Path, line: str = "") -> tuple[Path, Path]:
    frame = ward(200).assign(mrn=np.random.default_rng(0).permutation(90_000)[:200] + 100_000)
    frame.to_csv(tmp_path / "ward.csv", index=False)
    text = drafted(tmp_path / "ward.csv", tmp_path, "readmitted").read_text(encoding="utf-8")
    head, rest = text.split("[columns.mrn]")
    (tmp_path / "s.toml").write_text(
        f'{head}[columns.mrn]\nkind = "integer"\n{line}' + "".join(rest.partition("\n\n[")[1:]), encoding="utf-8"
    )
    return tmp_path / "ward.csv", tmp_path / "s.toml"


def test_a_build_refuses_and_writes_nothing_until_the_schema_answers(tmp_path):
    table, schema_file = leaky(tmp_path)
    options = BuildOptions(seed=1, effort=0.05)
    with pytest.raises(InputError, match="'mrn' looks like a medical record number") as caught:
        synthrelease.build(table, schema_file=schema_file, out=tmp_path / "run", options=options)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    leaky(tmp_path, 'not_an_identifier = "a lab value, mean reticulocyte number"\n')
    result = synthrelease.build(table, schema_file=schema_file, out=tmp_path / "run", options=options)
    assert "mean reticulocyte number" in result.report.read_text(encoding="utf-8")
    assert any(
        "mean reticulocyte" in text for text in json.loads((tmp_path / "run" / "run.json").read_text())["notices"]
    )


def test_an_audit_refuses_as_well(tmp_path):
    table, schema_file = leaky(tmp_path)
    files = synthrelease.AuditTables(table, table, table)
    with pytest.raises(InputError, match="direct identifier"):
        synthrelease.audit(files, schema_file=schema_file, out=tmp_path / "run", options=BuildOptions(seed=1))


@pytest.mark.parametrize("reason", ['""', '"  "'])
def test_an_empty_reason_is_none(tmp_path, reason):
    _, schema_file = leaky(tmp_path, f"not_an_identifier = {reason}\n")
    with pytest.raises(InputError, match="gives the reason"):
        schema_reader.load(schema_file)


@pytest.mark.parametrize("name", ["wdbc", "pima", "stroke", "adult", "creditcard_sample", "diabetes130"])
def test_drafted_schemas_of_real_tables_pass_unedited(tmp_path, name):
    path = real_file(name)
    meaning = schema_reader.load(drafted(path, tmp_path, None))
    assert screen(table_reader.read(path, meaning).table) == ()


@pytest.mark.parametrize("name", sorted(hospital_tables(100)))
def test_tables_headed_like_known_exports_are_drafted_rightly(tmp_path, name):
    frame, unit, expected = hospital_tables()[name]
    path = tmp_path / f"{name}.csv"
    frame.to_csv(path, index=False)
    meaning = schema_reader.load(drafted(path, tmp_path, None))
    assert meaning.unit == unit
    assert {column.name for column in meaning.columns if not column.is_learned} == expected
    assert screen(table_reader.read(path, meaning).table) == ()
