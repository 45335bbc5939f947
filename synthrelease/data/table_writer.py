"""The look of a table file, and writing synthetic rows in that look.

A layout is learned from the real file and lives in memory only: it holds the real identifiers, so that no surrogate
repeats one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from synthrelease.core.contracts import Column, Schema
from synthrelease.data import arrow_cells, formats
from synthrelease.data.formats.archives import packed
from synthrelease.data.pseudonyms import Surrogates
from synthrelease.data.raw_table import STATA_MISSING, Codes, Dialect, Floats, RawColumn, TableFile
from synthrelease.schema import datetimes

WITHHELD = "withheld"
"""What stands in a released text column instead of its cells."""

_FULL_PRECISION = 10
"""From this many decimals on, a number is written with as many digits as it needs: more would be noise."""

Texts = np.ndarray[Any, np.dtype[np.object_]]


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """How one column is spelled. ``decimals``: fewest and most digits after the decimal mark.

    ``mark`` is the commonest spelling of a missing value, ``is_blank`` says that no cell holds one, ``taken`` are the
    real values of an identifier or unit column. ``type`` is None in a CSV file.
    """

    column: Column
    header: str
    decimals: tuple[int, int] = (0, 0)
    decimal: Literal[".", ","] = "."
    mark: str = ""
    is_blank: bool = False
    is_quoted: bool = False
    type: pa.DataType | None = None
    levels: tuple[str, ...] = ()
    """The categories in the order of the Parquet dictionary, where the column has one."""
    taken: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is needed to write a table that looks like the one read: never stored. ``columns`` are in file order."""

    columns: tuple[ColumnLayout, ...]
    dialect: Dialect | None
    pandas: bytes = b""
    format: str = "csv"
    """The format, as a file name's suffix without its dot."""
    details: Any = None
    notice: str = ""
    """What the steward should know about the format."""


def marks_of(column: Column, schema: Schema) -> frozenset[str]:
    """The spellings of a missing value in this column, besides an empty cell."""
    return frozenset({*schema.missing, *column.missing})


def layout_of(file: TableFile, schema: Schema) -> Layout:
    """Learn a file's look. Columns that the schema does not declare (they are nameless and blank) stay blank."""
    declared = {column.name: column for column in schema.columns}
    columns = []
    for position, raw in enumerate(file.columns):
        column = declared.get(raw.name, Column(raw.name, kind="text", role="excluded"))
        look = _column_layout(raw, column, schema)
        quoted = file.dialect is not None and position in file.dialect.quoted
        columns.append(replace(look, is_quoted=quoted))
    return Layout(tuple(columns), file.dialect, file.pandas, file.format, file.details, file.notice)


def _column_layout(raw: RawColumn, column: Column, schema: Schema) -> ColumnLayout:
    missing, counts = raw.missing(marks_of(column, schema)), raw.counts()
    nulls = int((raw.codes < 0).sum())
    marks = [(int(counts[at]), raw.labels[int(at)].as_py()) for at in np.flatnonzero(missing)]
    commonest, mark = max([(nulls, ""), *marks])
    declared = frozenset(column.categories)
    is_identifier = column.role in ("identifier", "unit")
    return ColumnLayout(
        column=column,
        header=raw.header,
        decimals=_decimals(raw, missing) if column.is_number and not column.is_moment else (0, 0),
        decimal=raw.decimal,
        mark=mark if commonest and _harmless(mark) == mark else "",
        is_blank=bool(missing.all()),
        type=raw.type,
        levels=tuple(dict.fromkeys([*(level for level in raw.levels if level in declared), *column.categories])),
        taken=frozenset(map(_identity, raw.labels.filter(pa.array(~missing)).to_pylist()))
        if is_identifier
        else frozenset(),
    )


def _identity(label: str) -> str:
    """The value that a cell stands for, without white space and the apostrophe that a spreadsheet hides."""
    text = label.strip()
    return text[1:] if text.startswith("'") and _harmless(text[1:]) == text else text


def _decimals(raw: RawColumn, missing: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int]:
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


def recast(layout: Layout, schema: Schema) -> Layout:
    """Return the look of the same file for a schema whose domains have become coarser."""
    declared = {column.name: column for column in schema.columns}
    return replace(layout, columns=tuple(_recast(look, declared) for look in layout.columns))


def _recast(look: ColumnLayout, declared: Mapping[str, Column]) -> ColumnLayout:
    column = declared.get(look.column.name, look.column)
    if column == look.column:
        return look
    levels = tuple(dict.fromkeys([*(level for level in look.levels if level in column.categories), *column.categories]))
    kind = look.type
    if kind is not None and column.categories and not arrow_cells.holds(kind, column.categories):
        kind = pa.string()
    return replace(look, column=column, levels=levels, type=kind)


def write(frames: Iterable[pd.DataFrame], layout: Layout, path: Path, *, seed: int) -> int:
    """Stream canonical frames into a file that looks like the input; return the number of rows written.

    Identifier and unit columns get fresh surrogates drawn from ``seed``, excluded ones a placeholder. Frames may number
    their patients (int64, -1 = alone) in the unit's column: a patient's surrogate is then the same in all its rows. The
    file appears under its name only when it is whole and on disk.

    Raises:
        InputError: An identifier's integer type has no room for as many surrogates.
    """
    real = frozenset[str]().union(*(look.taken for look in layout.columns))
    supplies = {
        look.column.name: Surrogates(
            look.taken, np.random.default_rng([seed, at]), longest=arrow_cells.digits(look.type), others=real
        )
        for at, look in enumerate(layout.columns)
        if look.column.role in ("identifier", "unit") and not look.is_blank
    }
    with _whole_file(path) as file:
        if layout.dialect is None:
            return _write_typed(frames, layout, file, supplies)
        member = path.name.removesuffix(f".{layout.dialect.packing}")
        with packed(file, layout.dialect.packing, member) as stream:
            return _write_csv(frames, layout, stream, supplies)


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


def _write_csv(frames: Iterable[pd.DataFrame], layout: Layout, file: IO[bytes], supplies: dict[str, Surrogates]) -> int:
    dialect = layout.dialect or Dialect()
    spell = _speller(dialect)
    headers = [spell(_harmless(look.header), dialect.is_header_quoted) for look in layout.columns]
    file.write((dialect.delimiter.join(headers) + dialect.newline).encode(dialect.encoding))
    # The mark stands once, at the beginning.
    body_encoding = {"utf-8-sig": "utf-8", "utf-16": f"utf-16-{sys.byteorder[0]}e"}.get(
        dialect.encoding, dialect.encoding
    )
    rows = 0
    for frame in frames:
        columns = [_csv_cells(look, frame, supplies, spell) for look in layout.columns]
        lines = [dialect.delimiter.join(cells) for cells in zip(*columns, strict=True)]
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


def _harmless(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers are left alone."""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text.replace(",", "."))
    except ValueError:
        return f"'{text}"
    return text


def _csv_cells(
    look: ColumnLayout, frame: pd.DataFrame, supplies: dict[str, Surrogates], spell: Callable[[str, bool], str]
) -> list[str]:
    column, quoted = look.column, look.is_quoted
    mark = spell(look.mark, quoted) if look.mark else ""
    if look.is_blank and not column.is_learned:
        return [mark] * len(frame)
    if look.column.name in supplies:
        return [spell(_harmless(value), quoted) for value in _fresh(look, frame, supplies)]
    if not column.is_learned:
        return [spell(WITHHELD, quoted) if column.kind == "text" else mark] * len(frame)
    if column.is_number:
        return [
            mark if text is None else spell(text, quoted) for text in number_texts(frame[column.name].to_numpy(), look)
        ]
    # Code -1, a missing value, picks the last entry.
    spelled = np.array([*(spell(_harmless(label), quoted) for label in column.categories), mark], dtype=object)
    cells: list[str] = spelled[label_codes(frame[column.name], column)].tolist()
    return cells


def _fresh(look: ColumnLayout, frame: pd.DataFrame, supplies: dict[str, Surrogates]) -> list[str]:
    """Surrogates for a column: one a row, or one a patient where the frame numbers the patients."""
    supply = supplies[look.column.name]
    if look.column.role == "unit" and look.column.name in frame:
        return supply.of(frame[look.column.name].to_numpy(dtype=np.int64))
    return supply.draw(len(frame))


def label_codes(values: pd.Series[Any], column: Column) -> Codes:
    """Codes of a categorical column in the declared order; -1 = missing."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    # Not astype: to pandas, dtypes with the same categories in another order are equal, and it would change nothing.
    return values.cat.set_categories(list(column.categories)).cat.codes.to_numpy().astype(np.int32)


def rounded(values: Floats, look: ColumnLayout) -> Floats:
    """Round to the decimals of the column; what rounding would push out of the bounds stays on them."""
    _, most = look.decimals
    if most >= _FULL_PRECISION:
        return values
    low, high = look.column.bounds or (-np.inf, np.inf)
    whole = np.abs(values) >= 2.0**53  # such numbers have no decimals, and rounding the largest would overflow
    close = (
        np.where(whole, values, np.round(np.where(whole, 0.0, values), most)) + 0.0
    )  # adding 0.0 turns -0.0 into 0.0
    return np.where((values >= low) & (values <= high), np.clip(close, low, high), close)


def number_texts(values: Floats, look: ColumnLayout) -> list[str | None]:
    """Spell numbers (or dates and times) as the column does, None where missing."""
    if look.column.is_moment:
        return datetimes.spell(values, look.column)
    distinct, inverse = np.unique(rounded(values, look), return_inverse=True)
    fewest, most = look.decimals
    texts = np.empty(len(distinct), dtype=object)
    texts[:] = [None if np.isnan(value) else _spelled(float(value), fewest, most) for value in distinct]
    if look.decimal == ",":
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
    frames: Iterable[pd.DataFrame], layout: Layout, file: IO[bytes], supplies: dict[str, Surrogates]
) -> int:
    schema = arrow_cells.output_schema([(look.header, look.type) for look in layout.columns], layout.pandas)
    rows = 0
    with formats.writer(layout.format)(file, schema, layout.details) as sink:
        for frame in frames:
            arrays = [_typed_cells(look, frame, supplies) for look in layout.columns]
            sink.write_table(pa.Table.from_arrays(arrays, schema=schema))
            rows += len(frame)
    return rows


def _typed_cells(look: ColumnLayout, frame: pd.DataFrame, supplies: dict[str, Surrogates]) -> pa.Array:
    column = look.column
    kind: pa.DataType = look.type
    if look.column.name in supplies:
        return arrow_cells.from_texts(_fresh(look, frame, supplies), kind)
    if not column.is_learned:
        texts: list[str | None] = [WITHHELD if column.kind == "text" and not look.is_blank else None] * len(frame)
        return arrow_cells.from_texts(texts, kind) if arrow_cells.is_text(kind) else pa.nulls(len(frame), kind)
    mark = "" if STATA_MISSING.match(look.mark) else look.mark  # the Stata writer puts it in the place of nulls
    if column.is_moment:
        return arrow_cells.from_moments(frame[column.name].to_numpy(dtype=np.float64), column, kind, missing=mark)
    if column.is_number:
        values = rounded(frame[column.name].to_numpy(dtype=np.float64), look)
        return arrow_cells.from_numbers(values, kind, missing=mark)
    codes = label_codes(frame[column.name], replace(column, categories=look.levels))
    return arrow_cells.from_labels(codes, [*look.levels, mark or None], kind)
