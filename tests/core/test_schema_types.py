"""The states of a schema are types: at run time a learned one is checked at birth, and mypy refuses one for another."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mypy import api

from synthrelease.core.contracts import (
    Column,
    DeclaredSchema,
    LearnedSchema,
    ModelledSchema,
    OpenedSchema,
    Schema,
    Table,
)

STATES = (DeclaredSchema, OpenedSchema, LearnedSchema, ModelledSchema)
OPEN = Column("code", "categorical", learns_levels=True)
DECLARED = DeclaredSchema(
    (OPEN, Column("n", "numeric")), target="n", missing=("?",), purpose="a test", digest="00", rows_per_unit=3
)

TYPED = """
from pathlib import Path
import pandas as pd
from synthrelease.core.contracts import (
    DeclaredSchema, Evidence, LearnedSchema, ModelledSchema, OpenedSchema, Schema, Table,
)
from synthrelease.core.contracts import Generator
from synthrelease.data import file_style, learned_categories, table_reader, table_writer
from synthrelease.data.file_style import FileFormat, FileStyle
from synthrelease.data.raw_table import TableFile
from synthrelease.synthesis import constraint_repair
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.synthesis.encoding.table_encoder import Encoder


def accepted(declared: DeclaredSchema, path: Path) -> None:
    opened = table_reader.read(path, declared)
    known = learned_categories.learned(opened.table, min_cell=5)
    table = learned_categories.coded(opened.table, known)
    constraint_repair.plan(table, min_cell=5)
    Encoder.fit(datetime_transforms.fit(table).apply(table))
    table_writer.write([table.frame], known, opened.style, path, seed=1)
    table_writer.write([table.frame], known, file_style.public(known, opened.style.format), path, seed=1)
    anything: Table[Schema] = table
    Evidence(table, table, table_reader.read(path, known, origin="synthetic").table, 1)


def refused(
    declared: DeclaredSchema, opened: Table[OpenedSchema], learned: Table, file: TableFile, style: FileStyle
) -> None:
    learned_categories.coded(opened, declared)  # type: ignore[arg-type]
    learned_categories.coded(opened, opened.schema)  # type: ignore[arg-type]
    constraint_repair.plan(opened, min_cell=5)  # type: ignore[arg-type]
    datetime_transforms.fit(opened)  # type: ignore[arg-type]
    datetime_transforms.public(declared)  # type: ignore[arg-type]
    Encoder.fit(learned)  # type: ignore[arg-type]
    Evidence(opened, learned, learned, 1)  # type: ignore[arg-type]
    table_writer.write([], declared, style, Path(), seed=1)  # type: ignore[arg-type]
    file_style.public(declared, style.format)  # type: ignore[arg-type]
    file_style.public(learned.schema, style)  # type: ignore[arg-type]
    file_style.public(learned.schema, file)  # type: ignore[arg-type]
    same: Table = opened  # type: ignore[assignment]
"""
"""Strict mypy reports an ``ignore`` that hides no error: a refusal that has gone missing is found as well."""


@pytest.mark.slow
def test_mypy_refuses_one_state_for_another(tmp_path):
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    settings = Path(__file__).parents[2] / "pyproject.toml"
    output, errors, code = api.run(["--config-file", str(settings), str(tmp_path / "typed.py")])
    assert code == 0, output + errors


def test_a_change_of_state_keeps_everything_but_the_columns():
    columns = (dataclasses.replace(OPEN, categories=("A", "B")), DECLARED.columns[1])
    for state in STATES:
        there = state.of(DECLARED, columns)
        assert type(there) is state
        assert there.columns == columns
        assert dataclasses.asdict(dataclasses.replace(there, columns=DECLARED.columns[1:])) == dataclasses.asdict(
            dataclasses.replace(DECLARED, columns=DECLARED.columns[1:])
        )


def test_no_state_passes_for_another():
    for one, other in itertools.permutations(STATES, 2):
        assert not issubclass(one, other)
        assert issubclass(one, Schema)
        columns = DECLARED.columns[1:]
        assert one(columns) != other(columns)


def test_a_learned_schema_has_every_label():
    with pytest.raises(ValueError, match="'code' are still to be learned"):
        LearnedSchema.of(DECLARED, DECLARED.columns)
    unseen = dataclasses.replace(OPEN, role="excluded")
    assert LearnedSchema.of(DECLARED, (unseen,)).learned == ()


def test_a_table_by_another_schema_keeps_its_patients_and_origin():
    table = Table(
        pd.DataFrame({"n": [1.0, 2.0]}), OpenedSchema(DECLARED.columns[1:]), "real", np.array([4, 4]), {"n": 1}
    )
    known = LearnedSchema(DECLARED.columns[1:])
    same = table.by(known, table.frame)
    assert same.schema is known
    assert (same.origin, same.outside) == ("real", {"n": 1})
    assert same.units is table.units


def test_marks_are_the_tables_and_the_columns_own():
    assert DECLARED.marks(Column("x", "numeric", missing=("-",))) == {"?", "-"}
