"""How a table's file is spelled, apart from what its columns mean.

A style is learned from the real file, or made from the schema alone where differential privacy forbids to look. It
lives in memory only: a learned one holds the real identifiers, so that no surrogate repeats one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthrelease.core.contracts import Column, LearnedSchema, Schema
from synthrelease.data.raw_table import Dialect, Flags, RawColumn, TableFile

_ALL_DIGITS = 15
"""Decimals that the public style allows a number: all that a float64 holds."""


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """A column's place in its file: ``header`` is its name as spelled there, ``type`` its Arrow type (None in CSV).

    ``decimal`` is the decimal mark of its numbers.
    """

    name: str
    header: str
    type: pa.DataType | None = None
    decimal: Literal[".", ","] = "."


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What kind of file a table lies in, without any of its cells. ``columns`` are in file order.

    ``suffix`` is that of its name, without the dot. ``dialect`` is None for typed formats, ``pandas`` is their pandas
    metadata (or empty). ``details`` is what a format remembers for its own writer, ``notice`` what the steward should
    know of the format.
    """

    columns: tuple[ColumnFormat, ...]
    suffix: str = "csv"
    dialect: Dialect | None = None
    pandas: bytes = b""
    details: Any = None
    notice: str = ""


@dataclass(frozen=True, slots=True)
class ColumnStyle:
    """How one column's cells are spelled. ``decimals``: fewest and most digits after the decimal mark.

    ``mark`` is the commonest spelling of a missing value, ``is_blank`` says that no cell holds a value, ``is_quoted``
    that cells stand in quotes. ``levels`` are labels in the order of the file's dictionary, the rest as declared.
    ``taken`` are the real values of an identifier or unit column.
    """

    decimals: tuple[int, int] = (0, 0)
    mark: str = ""
    is_blank: bool = False
    is_quoted: bool = False
    levels: tuple[str, ...] = ()
    taken: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class FileStyle:
    """What is needed, beside a schema, to write a table like the one read: one of ``columns`` for each of the format's.

    Never stored.
    """

    format: FileFormat
    columns: tuple[ColumnStyle, ...]

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.format.columns):
            raise ValueError("a style has one entry for each column of its format")

    def taken(self, name: str) -> frozenset[str]:
        """The real values of the identifier or unit column ``name``; none if the file has no such column."""
        named = zip(self.format.columns, self.columns, strict=True)
        return next((style.taken for place, style in named if place.name == name), frozenset())


def learned(file: TableFile, schema: Schema) -> FileStyle:
    """Learn how a file is spelled. ``schema`` is the one it is read by, with every label of the file in it."""
    return FileStyle(_format_of(file), tuple(_learned(at, file, schema) for at in range(len(file.columns))))


def public(schema: LearnedSchema, kind: FileFormat) -> FileStyle:
    """Choose a spelling by the schema and the file's format alone: no cell, and no identifier, has a part in it."""
    return FileStyle(kind, tuple(_public(declared(schema, each.name), each) for each in kind.columns))


def declared(schema: Schema, name: str) -> Column:
    """The schema's column of that name, or one never learned: a file may have nameless columns without any value."""
    return next((each for each in schema.columns if each.name == name), Column(name, kind="text", role="excluded"))


def harmless(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers are left alone."""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text.replace(",", "."))
    except ValueError:
        return f"'{text}"
    return text


def _format_of(file: TableFile) -> FileFormat:
    # Which columns stand in quotes is told from cells: it belongs to their styles.
    dialect = None if file.dialect is None else replace(file.dialect, quoted=frozenset())
    columns = tuple(ColumnFormat(raw.name, raw.header, raw.type, raw.decimal) for raw in file.columns)
    return FileFormat(columns, file.format, dialect, file.pandas, file.details, file.notice)


def _public(column: Column, place: ColumnFormat) -> ColumnStyle:
    has_decimals = column.is_number and column.kind != "integer"
    mark = "" if place.type is not None else next((mark for mark in column.missing if mark != "*"), "")
    return ColumnStyle(decimals=(0, _ALL_DIGITS) if has_decimals else (0, 0), mark=mark)


def _learned(position: int, file: TableFile, schema: Schema) -> ColumnStyle:
    raw = file.columns[position]
    column = declared(schema, raw.name)
    missing = raw.missing(schema.marks(column))
    known = frozenset(column.categories)
    return ColumnStyle(
        decimals=_decimals(raw, missing) if column.is_number and not column.is_moment else (0, 0),
        mark=_commonest_mark(raw, missing),
        is_blank=bool(missing.all()),
        is_quoted=file.dialect is not None and position in file.dialect.quoted,
        levels=tuple(dict.fromkeys([*(level for level in raw.levels if level in known), *column.categories])),
        taken=_identities(raw, missing) if column.role in ("identifier", "unit") else frozenset(),
    )


def _commonest_mark(raw: RawColumn, missing: Flags) -> str:
    """The spelling that most missing cells have; "" for an empty cell, and for what a spreadsheet would run."""
    counts = raw.counts()
    nulls = int((raw.codes < 0).sum())
    marks = [(int(counts[at]), raw.labels[int(at)].as_py()) for at in np.flatnonzero(missing)]
    cells, mark = max([(nulls, ""), *marks])
    return mark if cells and harmless(mark) == mark else ""


def _identities(raw: RawColumn, missing: Flags) -> frozenset[str]:
    return frozenset(map(_identity, raw.labels.filter(pa.array(~missing)).to_pylist()))


def _identity(label: str) -> str:
    """The value that a cell stands for, without white space and the apostrophe that a spreadsheet hides."""
    text = label.strip()
    return text[1:] if text.startswith("'") and harmless(text[1:]) == text else text


def _decimals(raw: RawColumn, missing: Flags) -> tuple[int, int]:
    """Fewest and most decimals among the labels that are numbers; an exponent asks for full precision."""
    texts = raw.trimmed().filter(pa.array(~missing & np.isfinite(raw.numbers())))
    if not len(texts):
        return (0, 0)
    if pc.any(pc.match_substring_regex(texts, "[eE]")).as_py():
        return (0, 17)
    places = pc.find_substring(texts, raw.decimal)  # -1: no mark
    lengths = pc.if_else(pc.less(places, 0), 0, pc.subtract(pc.subtract(pc.binary_length(texts), places), 1))
    least_most = pc.min_max(lengths).as_py()
    return (least_most["min"], least_most["max"])
