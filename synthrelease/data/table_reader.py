"""Read a table file as its schema declares it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, overload

import numpy as np
import pandas as pd
import pyarrow as pa

from synthrelease.core.contracts import (
    Column,
    DeclaredSchema,
    LearnedSchema,
    OpenedSchema,
    Origin,
    Schema,
    State_co,
    Table,
)
from synthrelease.core.errors import InputError, listing
from synthrelease.data import file_style, learned_categories
from synthrelease.data.file_style import FileStyle
from synthrelease.data.formats import Place, place_of, read_file
from synthrelease.data.raw_table import TRUTHS, Codes, Flags, Floats, RawColumn, TableFile, counted
from synthrelease.schema import datetimes, generalisation
from synthrelease.schema.schema_file import ANY_OTHER

MINIMUM_ROWS: Mapping[Origin, int] = {"real": 100, "synthetic": 20}
"""Fewer rows than this are refused: nothing could be learned from them, or said about them."""


_LARGEST_EXACT_INTEGER = 2**53


Cells = Literal["strict", "lenient"]
"""Whether every cell must lie in its column's domain, or is kept where possible and counted."""


Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Source(Generic[State_co]):
    """A table as read, and how its file is spelled.

    The table is an opened one where it was read by a declared schema, and ``Source`` alone holds one read by a learned
    schema. ``digest``: the SHA-256 of a database's rows, empty for a file.
    """

    table: Table[State_co]
    style: FileStyle
    digest: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """One learned column: its canonical values, and what is wrong with its cells, if anything."""

    series: pd.Series[Any]
    outside: int
    problems: tuple[str, ...]


@overload
def read(
    where: Path | Place,
    schema: DeclaredSchema,
    *,
    origin: Origin = "real",
    cells: Cells = "strict",
    minimum_rows: int | None = None,
) -> Source[OpenedSchema]: ...


@overload
def read(
    where: Path | Place,
    schema: LearnedSchema,
    *,
    origin: Origin = "real",
    cells: Cells = "strict",
    minimum_rows: int | None = None,
) -> Source[LearnedSchema]: ...


def read(
    where: Path | Place,
    schema: Schema,
    *,
    origin: Origin = "real",
    cells: Cells = "strict",
    minimum_rows: int | None = None,
) -> Source[Schema]:
    """Read a file, or a database's table, as ``schema`` says. The frame's columns stand in the schema's order.

    By a declared schema, the table has every label of the file in the columns that leave theirs open; by a learned one
    it has the learned labels and no others.

    ``cells``: "strict" demands that the table fits its schema to the cell, as one does that a generator learns from.
    "lenient" is for tables that nothing is learned from: they may lack identifiers and excluded columns, and cells
    outside the domain are kept where possible and counted in ``Table.outside``: numbers stay as they are, labels that
    look like numbers move to the nearest declared one, the rest is missing.

    Raises:
        InputError: The file is no table, or does not fit the schema; every problem is listed.
    """
    place = place_of(where)
    file = _renamed(read_file(place), schema)
    if not isinstance(schema, LearnedSchema):
        schema = learned_categories.opened(file, schema)
    problems = [*_column_problems(file, schema, cells), *_size_problems(file, origin, minimum_rows)]
    style, content = file_style.learned(file, schema), file.digest
    columns = {raw.name: raw for raw in file.columns}
    units = None if schema.unit not in columns else _units(columns[schema.unit], schema)
    del file  # each column's text is let go as soon as it is parsed
    parsed = {
        column.name: _parse(columns.pop(column.name), column, schema, cells)
        for column in schema.learned
        if column.name in columns
    }
    if cells == "strict":
        problems += [problem for each in parsed.values() for problem in each.problems]
        problems += _target_problems(schema, parsed)
    if units is not None and cells == "strict" and (units < 0).any():
        rows = counted(int((units < 0).sum()), "row")
        problems.append(f"{schema.unit!r} must name each row's patient, however it does not in {rows}. Remove the rows")
    if problems:
        raise InputError(listing(f"A table must fit its schema. Correct {place.name} or the schema:", problems))
    table = Table(
        frame=pd.DataFrame({name: each.series for name, each in parsed.items()}),
        schema=schema,
        origin=origin,
        units=units,
        outside={name: each.outside for name, each in parsed.items() if each.outside},
    )
    return Source(table, style, content)


def read_whole(where: Path | Place, schema: DeclaredSchema, *, minimum_rows: int) -> Source[LearnedSchema]:
    """Read a real table with all its labels, rare ones too: only for rows that stay beside the real ones.

    Raises:
        InputError: as ``read``.
    """
    source = read(where, schema, minimum_rows=minimum_rows)

    def settled(column: Column) -> Column:  # in a column without any label, nothing is left to learn
        return replace(column, learns_levels=False) if learned_categories.is_open(column) else column

    opened = source.table.schema
    known = LearnedSchema.of(opened, tuple(settled(column) for column in opened.columns))
    return Source(source.table.by(known, source.table.frame), source.style, source.digest)


def _renamed(file: TableFile, schema: Schema) -> TableFile:
    """Give columns their declared names: a leading apostrophe may hide a header from a spreadsheet."""
    declared = {column.name for column in schema.columns}
    present = {raw.name for raw in file.columns}

    def name(spelled: str) -> str:
        bare = spelled[1:] if spelled.startswith("'") else spelled.strip()
        return bare if spelled not in declared and bare in declared - present else spelled

    return replace(file, columns=tuple(replace(raw, name=name(raw.name)) for raw in file.columns))


def _column_problems(file: TableFile, schema: Schema, cells: Cells) -> Iterator[str]:
    present = {raw.name: raw for raw in file.columns}
    for column in schema.columns:
        if column.name not in present and (cells == "strict" or column.is_learned):
            yield f"{column.name!r} is declared, however the table has no such column. Remove it, or export it too"
    declared = {column.name for column in schema.columns}
    for raw in file.columns:
        is_nothing = raw.header == "" and bool(raw.missing(()).all())
        if raw.name not in declared and not is_nothing:
            yield f"{raw.name!r} is in the table, however the schema does not declare it. Declare it (or exclude it)"


def _size_problems(file: TableFile, origin: Origin, minimum_rows: int | None) -> Iterator[str]:
    needed = MINIMUM_ROWS[origin] if minimum_rows is None else minimum_rows
    if file.rows < needed:
        yield f"a {origin} table needs at least {needed} rows, however there are {file.rows}. Give a larger export"


def _target_problems(schema: Schema, parsed: Mapping[str, _Parsed]) -> Iterator[str]:
    if schema.target is None or schema.target not in parsed:
        return
    values = parsed[schema.target].series
    missing = int(values.isna().sum())
    if missing:
        rows = counted(missing, "row")
        yield (
            f"{schema.target!r} is the target and must be known, however it is missing in {rows}. "
            "Remove those rows, or declare the labels that count as missing"
        )
    if values.nunique() < 2:
        things = "values" if schema.column(schema.target).is_number else "classes"
        yield f"{schema.target!r} is the target, however it does not hold two {things}. Choose another target, or none"


def _parse(raw: RawColumn, column: Column, schema: Schema, cells: Cells) -> _Parsed:
    missing = raw.missing(schema.marks(column))
    return _numbers(raw, column, missing) if column.is_number else _labels(raw, column, missing, cells)


_REMEDIES = {
    "not numbers": "Correct them, or list what means missing under `missing`",
    "not spelled as its format says": "Correct them, list the spelling under `format` or the mark under `missing`",
    "not whole": 'Correct them, or declare kind = "numeric"',
    "beyond 2**53 and so not exact": "Declare the column an identifier",
    "below the bounds": "Correct them, or widen `bounds`",
    "above the bounds": "Correct them, or widen `bounds`",
}


def _numbers(raw: RawColumn, column: Column, missing: Flags) -> _Parsed:
    counts = raw.counts()
    values = np.where(missing, np.nan, _moments(raw, column) if column.is_moment else raw.numbers())
    if column.is_moment and ANY_OTHER in column.missing:
        missing = missing | np.isnan(values)
    low, high = column.bounds or (-np.inf, np.inf)
    is_integer = column.kind == "integer"
    flaws: dict[str, Flags] = {
        "not spelled as its format says" if column.is_moment else "not numbers": ~missing & np.isnan(values),
        "not whole": is_integer & np.isfinite(values) & (values != np.rint(values)),
        "beyond 2**53 and so not exact": is_integer & (np.abs(values) > _LARGEST_EXACT_INTEGER),
        "below the bounds": values < low,
        "above the bounds": values > high,
    }
    problems = []
    for flaw, where in flaws.items():
        found = int(counts[where].sum())
        if found:
            are = "is" if found == 1 else "are"
            problems.append(
                f"{column.name!r} is {column.kind}, however {counted(found, 'cell')} {are} {flaw}. {_REMEDIES[flaw]}"
            )
    outside = int(counts[np.logical_or.reduce(list(flaws.values()))].sum())
    # Code -1, a null, picks the last entry.
    return _Parsed(pd.Series(np.append(values, np.nan)[raw.codes]), outside, tuple(problems))


def _moments(raw: RawColumn, column: Column) -> Floats:
    """The days that each label stands for: float64, NaN for what does not fit the column's format or Arrow type."""
    texts = raw.trimmed().to_pylist()
    kind = raw.type
    if kind is None or not pa.types.is_temporal(kind):
        days = datetimes.parse(texts, column)
    else:
        days = datetimes.from_parquet(texts, column, kind.unit if pa.types.is_duration(kind) else "")
    return np.floor(days) if column.kind == "date" else days


def _labels(raw: RawColumn, column: Column, missing: Flags, cells: Cells) -> _Parsed:
    counts = raw.counts()
    codes = _label_codes(raw, column)
    codes[missing] = -1
    unknown = ~missing & (codes < 0)
    if cells == "lenient":
        snapped = _nearest(raw, column)
        codes = np.where(unknown, snapped, codes)
    outside = int(counts[unknown].sum())
    problems = []
    if outside and ANY_OTHER not in column.missing:
        problems.append(
            f"{column.name!r} must hold one of its {len(column.categories)} categories, however "
            f"{counted(outside, 'cell')} ({counted(int(unknown.sum()), 'different label')}) do not. "
            "Declare the labels, or correct the cells"
        )
    coded = np.append(codes, -1)[raw.codes]  # code -1, a null, picks the last entry
    values = pd.Categorical.from_codes(coded, dtype=pd.CategoricalDtype(list(column.categories)))
    return _Parsed(pd.Series(values), outside, tuple(problems))


def _label_codes(raw: RawColumn, column: Column) -> Codes:
    """Find each label among the categories: as spelled, then bare, then (for numbers and truth values) by value."""
    exact = {category: code for code, category in enumerate(column.categories)}
    bare = {category.strip(): code for code, category in enumerate(column.categories)}
    values = {value: code for code, value in reversed(list(enumerate(_values(column)))) if value is not None}
    truths = {TRUTHS.get(category.lower()): code for category, code in exact.items()}
    is_truth = raw.type is not None and pa.types.is_boolean(raw.type)

    def code(label: str, value: float) -> int:
        text = label.strip()
        for spelled in (label, text, text[1:] if text.startswith("'") else text):
            if (found := exact.get(spelled, bare.get(spelled))) is not None:
                return found
        if column.treatment.zip3:
            return exact.get(generalisation.zip3(text), -1)
        if is_truth:
            return truths.get(text == "True", -1)
        return values.get(value, -1)

    labels = raw.labels.to_pylist()
    return np.array([code(*pair) for pair in zip(labels, raw.numbers().tolist(), strict=True)], dtype=np.int32)


def _values(column: Column) -> list[float | None]:
    """The value of each category that is a number, else None."""
    if not column.categories:
        return []
    numbers = RawColumn("", "", np.empty(0, np.int32), pa.array(column.categories, pa.string())).numbers()
    return [None if np.isnan(number) else float(number) for number in numbers]


def _nearest(raw: RawColumn, column: Column) -> Codes:
    """The category nearest to each label that is a number; -1 for other labels and where no category is a number."""
    values = np.array([np.nan if value is None else value for value in _values(column)])
    numbers = raw.numbers()
    if np.isnan(values).all():
        return np.full(len(numbers), -1, dtype=np.int32)
    distances = np.abs(numbers[:, None] - np.where(np.isnan(values), np.inf, values)[None, :])  # (labels, categories)
    nearest = np.argmin(np.where(np.isnan(distances), np.inf, distances), axis=1)
    return np.where(np.isnan(numbers), -1, nearest).astype(np.int32)


def _units(raw: RawColumn, schema: Schema) -> Integers:
    """Number the patients in order of appearance: int64 per row, -1 where the patient is missing."""
    missing = raw.missing(schema.marks(schema.column(raw.name)))
    labels = pd.Series(raw.trimmed().to_pylist(), dtype=object).mask(missing)
    codes, _ = pd.factorize(labels)
    units: Integers = np.append(codes, -1)[raw.codes].astype(np.int64)
    return units


def numbered(table: Table[Schema]) -> pd.DataFrame:
    """The rows with their patients' numbers in the unit's column, where the table has any: for ``write``."""
    unit = table.schema.unit
    return table.frame if unit is None or table.units is None else table.frame.assign(**{unit: table.units})
