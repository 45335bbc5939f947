"""From typed values to columns of text: Arrow arrays as Parquet and its like hold them, or Python values of rows."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthrelease.data.raw_table import Codes, RawColumn

UNREADABLE = "unreadable"
"""Stands for a value of which no text can be made (lists, bytes); such a column can only be excluded."""

OPAQUE: frozenset[type] = frozenset({bytes, bytearray, memoryview, list, tuple, dict, set})


def raw_column(name: str, values: pa.ChunkedArray) -> RawColumn:
    """Turn one Arrow column into a column of text that remembers its type."""
    codes, labels = encoded(as_text(values, values.type))
    labels.validate(full=True)  # libraries take it on trust that a damaged file's texts are UTF-8
    return RawColumn(name, name, codes, labels, values.type, levels=_levels(values))


def encoded(texts: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Split a text column into int32 codes (-1 = null) and distinct labels in order of first appearance."""
    if not pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_encode()
    if not texts.num_chunks:
        return np.empty(0, np.int32), pa.array([], pa.string())
    chunks = texts.unify_dictionaries().chunks
    codes = [pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32) for chunk in chunks]
    return np.concatenate(codes), chunks[-1].dictionary.cast(pa.string())


def _levels(values: pa.ChunkedArray) -> tuple[str, ...]:
    """The values of a dictionary column in the dictionary's order; nothing for other columns."""
    if not pa.types.is_dictionary(values.type) or not values.num_chunks:
        return ()
    dictionary = pa.chunked_array([values.unify_dictionaries().chunk(0).dictionary])
    return tuple(text for text in as_text(dictionary, dictionary.type).to_pylist() if text is not None)


def as_text(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Spell typed values as text: integral floats without a point, NaN as null, truth values True and False."""
    if pa.types.is_dictionary(kind):
        return as_text(values.cast(kind.value_type), kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # No text can be made of these; they can only be excluded, and their presence is all that counts.
        return pc.if_else(pc.is_valid(values), UNREADABLE, pa.scalar(None, pa.string()))
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "True", "False")
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
        return (values if not pa.types.is_float16(kind) else values.cast(pa.float32())).cast(pa.string())
    return values.cast(pa.string())


class Collected:
    """A sink for formats that are written as a whole: it gathers tables and hands them over when all went well."""

    def __init__(self, finish: Callable[[pa.Table], None], schema: pa.Schema) -> None:
        self._finish, self._schema, self._tables = finish, schema, list[pa.Table]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            table = pa.concat_tables(self._tables or [self._schema.empty_table()])
            self._finish(table.unify_dictionaries().combine_chunks())

    def write_table(self, table: pa.Table) -> None:
        """Take up some rows."""
        self._tables.append(table)


class Gathered:
    """Columns of text gathered from blocks of rows of Python values; only the texts are kept."""

    def __init__(self, width: int, spell: Callable[[object], str | None]) -> None:
        self.rows = 0
        self.kinds: list[set[type]] = [set() for _ in range(width)]
        self._chunks: list[list[pa.Array]] = [[] for _ in range(width)]
        self._spell = spell

    def add(self, rows: Sequence[Sequence[object]]) -> None:
        """Take up a block of rows, each as wide as the table."""
        self.rows += len(rows)
        for position, cells in enumerate(zip(*rows, strict=True)):
            self.kinds[position].update(map(type, cells))
            texts = pa.array([self._spell(cell) for cell in cells], pa.string())
            self._chunks[position].append(texts.dictionary_encode())

    def column(self, position: int) -> tuple[Codes, pa.Array]:
        """Codes and labels of a column, which is let go."""
        chunks, self._chunks[position] = self._chunks[position], []
        return encoded(pa.chunked_array(chunks, type=pa.dictionary(pa.int32(), pa.string())))


def spelled(value: object) -> str | None:
    """Spell a Python value as a database or workbook hands it over; None stays missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value) if value == value else None
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else None
    if type(value) in OPAQUE:
        return UNREADABLE
    return str(value)
