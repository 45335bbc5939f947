"""A style says how cells are spelled and nothing else; the public one is the same whatever the cells are."""

import dataclasses
import inspect
import typing

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthrelease.core.contracts import Column, LearnedSchema, Schema, Treatment
from synthrelease.data import file_style, table_reader, table_writer
from synthrelease.data.file_style import ColumnFormat, ColumnStyle, FileFormat, FileStyle

SCHEMA = LearnedSchema(
    (
        Column("id", "identifier", "identifier"),
        Column("dose", "numeric", bounds=(0.0, 100.0), missing=("?", "-")),
        Column("ward", "categorical", categories=("A", "B", "C")),
    ),
    missing=("n/a",),
)


def read(folder, name, *, decimals, mark, prefix):
    rows = [f'{prefix}{n:04d},{mark if n % 7 == 0 else f"{n / 3:.{decimals}f}"},"{"AB"[n % 2]}"' for n in range(120)]
    path = folder / name
    path.write_text("\n".join(["id,dose,ward", *rows]) + "\n", encoding="utf-8")
    return table_reader.read(path, SCHEMA)


def test_a_learned_style_is_how_the_cells_are_spelled(tmp_path):
    style = read(tmp_path, "a.csv", decimals=3, mark="n/a", prefix="P").style
    number, dose, ward = style.columns
    assert dose.decimals == (3, 3)
    assert dose.mark == "n/a"
    assert ward.is_quoted
    assert not dose.is_quoted
    assert len(number.taken) == 120
    assert style.taken("id") == number.taken
    assert style.taken("dose") == style.taken("no such column") == frozenset()
    assert "P0001" not in repr(style)


def test_a_public_style_is_the_same_for_any_cells(tmp_path):
    one = read(tmp_path, "a.csv", decimals=3, mark="?", prefix="P")
    other = read(tmp_path, "b.csv", decimals=1, mark="n/a", prefix="Q")
    assert one.style != other.style
    assert file_style.public(SCHEMA, one.style.format) == file_style.public(SCHEMA, other.style.format)
    style = file_style.public(SCHEMA, one.style.format)
    assert style.columns == (ColumnStyle(), ColumnStyle(decimals=(0, 15), mark="?"), ColumnStyle())
    table_writer.write([one.table.frame], SCHEMA, style, tmp_path / "out.csv", seed=1)
    assert "?" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_neither_a_style_nor_a_format_holds_a_meaning_and_the_public_one_gets_no_cells():
    kinds = typing.get_type_hints(file_style.public)
    assert kinds == {"schema": LearnedSchema, "kind": FileFormat, "return": FileStyle}
    assert typing.get_type_hints(file_style.learned)["return"] is FileStyle
    held = {type_ for each in (FileStyle, ColumnStyle, FileFormat, ColumnFormat) for type_ in _held(each)}
    assert not held & {Column, Schema, LearnedSchema}
    assert list(inspect.signature(table_writer.write).parameters) == ["frames", "schema", "style", "path", "seed"]


def _held(kind):
    for each in typing.get_type_hints(kind).values():
        yield from (each, *typing.get_args(each))


def test_a_style_without_an_entry_for_each_column_is_refused():
    kind = FileFormat((ColumnFormat("a", "a"), ColumnFormat("b", "b")))
    with pytest.raises(ValueError, match="one entry for each column"):
        FileStyle(kind, (ColumnStyle(),))


def test_one_style_writes_any_schema_of_the_same_columns(tmp_path):
    """Coarser labels and bounds need no other style: dictionary order, types and rounding follow the schema."""
    cells = pa.table({"dose": [0.5, 99.5] * 60, "ward": pa.array(["B", "A"] * 60).dictionary_encode()})
    pq.write_table(cells, tmp_path / "t.parquet")
    schema = LearnedSchema(SCHEMA.columns[1:])
    source = table_reader.read(tmp_path / "t.parquet", schema)
    assert source.style.columns[1].levels == ("B", "A", "C")
    coarse = dataclasses.replace(
        schema.columns[1], categories=("rest", "B"), treatment=Treatment(merge=(("rest", ("A", "C")),))
    )
    coarse_schema = LearnedSchema((dataclasses.replace(schema.columns[0], bounds=(0.0, 99.6)), coarse))
    frame = pd.DataFrame({"dose": [99.58, 1.0], "ward": pd.Categorical(["rest", "B"], categories=["rest", "B"])})
    table_writer.write([frame], coarse_schema, source.style, tmp_path / "out.parquet", seed=0)
    written = pq.read_table(tmp_path / "out.parquet")
    assert written["ward"].chunk(0).dictionary.to_pylist() == ["B", "rest"]
    assert written["dose"].to_pylist()[0] == pytest.approx(99.6)


def test_a_column_of_numbers_turns_to_text_for_merged_labels_alone(tmp_path):
    pq.write_table(pa.table({"ward": [1, 2, 3] * 40}), tmp_path / "t.parquet")
    plain = Column("ward", "categorical", categories=("1", "2", "3"))
    style = table_reader.read(tmp_path / "t.parquet", LearnedSchema((plain,))).style
    merged = Column("ward", "categorical", categories=("1", "2+"), treatment=Treatment(merge=(("2+", ("2", "3")),)))
    for column, kind in ((plain, pa.int64()), (merged, pa.string())):
        frame = pd.DataFrame({"ward": pd.Categorical(column.categories)})
        table_writer.write([frame], LearnedSchema((column,)), style, tmp_path / "out.parquet", seed=0)
        assert pq.read_schema(tmp_path / "out.parquet").field("ward").type == kind
