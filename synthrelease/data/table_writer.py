"""Writing canonical rows as a table file: what they mean is said by a schema, how they are spelled by a file style."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from synthrelease.core.contracts import NO_TREATMENT, Column, LearnedSchema
from synthrelease.core.errors import InputError
from synthrelease.data import arrow_cells, file_style, formats
from synthrelease.data.file_style import ColumnFormat, ColumnStyle, FileFormat, FileStyle, harmless
from synthrelease.data.formats.archives import packed
from synthrelease.data.pseudonyms import Surrogates
from synthrelease.data.raw_table import STATA_MISSING, Codes, Dialect, Floats
from synthrelease.schema import datetimes

WITHHELD = "withheld"
"""What stands in a released text column instead of its cells."""

_FULL_PRECISION = 10
"""From this many decimals on, a number is written with as many digits as it needs: more would be noise."""


@dataclass(frozen=True, slots=True)
class _Written:
    """One column of the file: what it means, where it stands, how it is spelled, and its surrogates if it needs any."""

    column: Column
    place: ColumnFormat
    style: ColumnStyle
    surrogates: Surrogates | None

    @property
    def type(self) -> pa.DataType | None:
        """The Arrow type: the file's own, or text where that cannot hold the labels that a treatment made.

        Labels that are learned get no other type: ``check`` has refused those that do not fit.
        """
        kind, column = self.place.type, self.column
        if kind is None or column.learns_levels or column.treatment == NO_TREATMENT:
            return kind
        return kind if arrow_cells.holds(kind, column.categories) else pa.string()

    @property
    def levels(self) -> tuple[str, ...]:
        """The column's labels in the order of the file's dictionary, new ones last."""
        known = frozenset(self.column.categories)
        kept = (level for level in self.style.levels if level in known)
        return tuple(dict.fromkeys([*kept, *self.column.categories]))


def check(schema: LearnedSchema, style: FileStyle) -> None:
    """Refuse a file whose types cannot hold what the schema's learned labels are written as.

    Raises:
        InputError: a typed column has no room for the label that stands for rare ones.
    """
    types = {place.name: place.type for place in style.format.columns}
    for column in schema.learned:
        kind = types.get(column.name)
        if (
            kind is not None
            and column.learns_levels
            and "string" not in str(kind)
            and column.other in column.categories
        ):
            raise InputError(
                f"{column.name!r} is stored as {kind}, which cannot hold the label {column.other!r} for rare "
                f'labels. Write other = "" to make them missing, or store the column as text.'
            )


def write(frames: Iterable[pd.DataFrame], schema: LearnedSchema, style: FileStyle, path: Path, *, seed: int) -> int:
    """Stream canonical frames of ``schema`` into a file spelled by ``style``; return the number of rows written.

    Identifier and unit columns get fresh surrogates drawn from ``seed``, excluded ones a placeholder. Frames may number
    their patients (int64, -1 = alone) in the unit's column: a patient's surrogate is then the same in all its rows. The
    file appears under its name only when it is whole and on disk.

    Raises:
        InputError: An identifier's integer type has no room for as many surrogates.
    """
    columns = _written(schema, style, seed)
    dialect = style.format.dialect
    with _whole_file(path) as file:
        if dialect is None:
            return _write_typed(frames, columns, style.format, file)
        member = path.name.removesuffix(f".{dialect.packing}")
        with packed(file, dialect.packing, member) as stream:
            return _write_csv(frames, columns, dialect, stream)


def _written(schema: LearnedSchema, style: FileStyle, seed: int) -> tuple[_Written, ...]:
    """Bring together, column by column, what the schema and the style say; each supply has a seed of its own."""
    real = frozenset[str]().union(*(each.taken for each in style.columns))

    def surrogates(at: int, column: Column) -> Surrogates | None:
        if column.role not in ("identifier", "unit") or style.columns[at].is_blank:
            return None
        longest = arrow_cells.digits(style.format.columns[at].type)
        return Surrogates(style.columns[at].taken, np.random.default_rng([seed, at]), longest=longest, others=real)

    meant = [file_style.declared(schema, place.name) for place in style.format.columns]
    return tuple(
        _Written(column, place, look, surrogates(at, column))
        for at, (column, place, look) in enumerate(zip(meant, style.format.columns, style.columns, strict=True))
    )


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a sibling that takes the name ``path`` once it is flushed to disk, and is removed if anything fails."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(frames: Iterable[pd.DataFrame], columns: tuple[_Written, ...], dialect: Dialect, file: IO[bytes]) -> int:
    spell = _speller(dialect)
    headers = [spell(harmless(each.place.header), dialect.is_header_quoted) for each in columns]
    file.write((dialect.delimiter.join(headers) + dialect.newline).encode(dialect.encoding))
    # The mark stands once, at the beginning.
    body_encoding = {"utf-8-sig": "utf-8", "utf-16": f"utf-16-{sys.byteorder[0]}e"}.get(
        dialect.encoding, dialect.encoding
    )
    rows = 0
    for frame in frames:
        cells = [_csv_cells(each, frame, spell) for each in columns]
        lines = [dialect.delimiter.join(row) for row in zip(*cells, strict=True)]
        if len(columns) == 1:  # an empty line would not count as a row
            lines = [line or '""' for line in lines]
        file.write("".join(f"{line}{dialect.newline}" for line in lines).encode(body_encoding))
        rows += len(frame)
    return rows


def _speller(dialect: Dialect) -> Callable[[str, bool], str]:
    """Return the function that spells a cell, with quotes where asked for or needed."""
    special = (dialect.delimiter, '"', "\n", "\r")

    def spell(text: str, quoted: bool) -> str:
        if quoted or any(mark in text for mark in special):
            return '"' + text.replace('"', '""') + '"'
        return text

    return spell


def _csv_cells(each: _Written, frame: pd.DataFrame, spell: Callable[[str, bool], str]) -> list[str]:
    column, quoted = each.column, each.style.is_quoted
    mark = spell(each.style.mark, quoted) if each.style.mark else ""
    if each.style.is_blank and not column.is_learned:
        return [mark] * len(frame)
    if each.surrogates is not None:
        return [spell(harmless(value), quoted) for value in _fresh(column, frame, each.surrogates)]
    if not column.is_learned:
        return [spell(WITHHELD, quoted) if column.kind == "text" else mark] * len(frame)
    if column.is_number:
        return [mark if text is None else spell(text, quoted) for text in _number_texts(frame, each)]
    # Code -1, a missing value, picks the last entry.
    spelled = np.array([*(spell(harmless(label), quoted) for label in column.categories), mark], dtype=object)
    cells: list[str] = spelled[_label_codes(frame[column.name], column.categories)].tolist()
    return cells


def _fresh(column: Column, frame: pd.DataFrame, supply: Surrogates) -> list[str]:
    """Surrogates for a column: one a row, or one a patient where the frame numbers the patients."""
    if column.role == "unit" and column.name in frame:
        return supply.of(frame[column.name].to_numpy(dtype=np.int64))
    return supply.draw(len(frame))


def _label_codes(values: pd.Series[Any], labels: tuple[str, ...]) -> Codes:
    """Codes of a categorical column in the order of ``labels``; -1 = missing."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    # Not astype: to pandas, dtypes with the same categories in another order are equal, and it would change nothing.
    return values.cat.set_categories(list(labels)).cat.codes.to_numpy().astype(np.int32)


def _rounded(frame: pd.DataFrame, each: _Written) -> Floats:
    """Round to the decimals of the style; what rounding would push out of the bounds stays on them."""
    values = frame[each.column.name].to_numpy(dtype=np.float64)
    _, most = each.style.decimals
    if most >= _FULL_PRECISION:
        return values
    low, high = each.column.bounds or (-np.inf, np.inf)
    whole = np.abs(values) >= 2.0**53  # such numbers have no decimals, and rounding the largest would overflow
    close = (
        np.where(whole, values, np.round(np.where(whole, 0.0, values), most)) + 0.0
    )  # adding 0.0 turns -0.0 into 0.0
    return np.where((values >= low) & (values <= high), np.clip(close, low, high), close)


def _number_texts(frame: pd.DataFrame, each: _Written) -> list[str | None]:
    """Spell a column's numbers (or dates and times), None where missing."""
    if each.column.is_moment:
        return datetimes.spell(frame[each.column.name].to_numpy(), each.column)
    distinct, inverse = np.unique(_rounded(frame, each), return_inverse=True)
    fewest, most = each.style.decimals
    texts = np.empty(len(distinct), dtype=object)
    texts[:] = [None if np.isnan(value) else _spelled(float(value), fewest, most) for value in distinct]
    if each.place.decimal == ",":
        texts[:] = [None if text is None else text.replace(".", ",") for text in texts]
    cells: list[str | None] = texts[inverse].tolist()
    return cells


def _spelled(value: float, fewest: int, most: int) -> str:
    if most >= 17:
        text = repr(value)
        return text.removesuffix(".0") if fewest == 0 else text
    text = f"{value:.{most}f}" if most < _FULL_PRECISION else repr(round(value, most))
    if "e" in text:
        text = f"{value:.{most}f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(fewest, "0")
    return f"{whole}.{decimals}" if decimals else whole


def _write_typed(
    frames: Iterable[pd.DataFrame], columns: tuple[_Written, ...], kind: FileFormat, file: IO[bytes]
) -> int:
    schema = arrow_cells.output_schema([(each.place.header, each.type) for each in columns], kind.pandas)
    rows = 0
    with formats.writer(kind.suffix)(file, schema, kind.details) as sink:
        for frame in frames:
            arrays = [_typed_cells(each, frame) for each in columns]
            sink.write_table(pa.Table.from_arrays(arrays, schema=schema))
            rows += len(frame)
    return rows


def _typed_cells(each: _Written, frame: pd.DataFrame) -> pa.Array:
    column, kind = each.column, each.type
    if each.surrogates is not None:
        return arrow_cells.from_texts(_fresh(column, frame, each.surrogates), kind)
    if not column.is_learned:
        is_withheld = column.kind == "text" and not each.style.is_blank
        texts: list[str | None] = [WITHHELD if is_withheld else None] * len(frame)
        return arrow_cells.from_texts(texts, kind) if arrow_cells.is_text(kind) else pa.nulls(len(frame), kind)
    mark = each.style.mark
    if STATA_MISSING.match(mark):  # the Stata writer puts it in the place of nulls
        mark = ""
    if column.is_moment:
        return arrow_cells.from_moments(frame[column.name].to_numpy(dtype=np.float64), column, kind, missing=mark)
    if column.is_number:
        return arrow_cells.from_numbers(_rounded(frame, each), kind, missing=mark)
    levels = each.levels
    return arrow_cells.from_labels(_label_codes(frame[column.name], levels), [*levels, mark or None], kind)
