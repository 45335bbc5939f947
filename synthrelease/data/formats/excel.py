"""Excel workbooks: one worksheet is read by calamine and written by XlsxWriter.

Its first row that is not blank is the header. Other sheets, formulas and formatting are not kept.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from synthrelease.core.errors import InputError
from synthrelease.data.formats.archives import check_workbook
from synthrelease.data.formats.location import Place, damaged
from synthrelease.data.formats.typed_columns import Gathered, spelled
from synthrelease.data.raw_table import NUMBER, RawColumn, TableFile

MOST_ROWS = 1_048_575
"""Rows that fit a worksheet below its header."""

_BLOCK_ROWS = 10_000
_SECOND = pa.timestamp("us")
_CREATED = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).replace(tzinfo=None)
_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    datetime.date: pa.date32(),
    datetime.datetime: _SECOND,
    datetime.time: pa.time64("us"),
    datetime.timedelta: pa.duration("us"),
}


@dataclass(frozen=True, slots=True)
class Worksheet:
    """What the writer needs to know of a sheet: its name, and the text columns whose numbers are number cells."""

    name: str
    mixed: frozenset[str]


def read(place: Place) -> TableFile:
    """Read one worksheet; ``place.sheet`` chooses it where more than one holds cells.

    Raises:
        InputError: The workbook is damaged, unpacks to too much, or it is not clear which sheet is meant.
    """
    check_workbook(place)
    try:
        with CalamineWorkbook.from_path(str(place.file)) as workbook:
            sheet = _chosen(workbook, place)
            gathered, header = _gathered(sheet.iter_rows(), sheet.width)
            name = sheet.name
    except CalamineError as error:
        raise damaged(place, "an Excel workbook (.xlsx)", error) from None
    columns, mixed = [], set()
    for position, cell in enumerate(header):
        spelling = _spell(cell) or ""
        raw = _raw_column(gathered, position, spelling)
        columns.append(raw)
        if len(gathered.kinds[position] - {type(None), str}) and raw.type == pa.string():
            mixed.add(spelling)
    # A sheet may be formatted further to the right than its table reaches.
    kept = tuple(raw for raw in columns if raw.header or len(raw.labels))
    details = Worksheet(name, frozenset(mixed))
    return TableFile(kept, gathered.rows, None, format="xlsx", details=details)


def _chosen(workbook: CalamineWorkbook, place: Place) -> CalamineSheet:
    names = workbook.sheet_names
    if place.sheet is not None:
        if place.sheet not in names:
            raise InputError(
                f"--sheet must name a sheet of {place.name}, however it has none of that name. "
                f"Choose one of: {', '.join(map(repr, names))}."
            )
        sheet = workbook.get_sheet_by_name(place.sheet)
        if not sheet.height:
            raise InputError(
                f"A table must hold rows, however the sheet {place.sheet!r} of {place.name} is empty. Choose another."
            )
        return sheet
    filled = [name for name in names if workbook.get_sheet_by_name(name).height]
    if not filled:
        raise InputError(f"A table must hold rows, however {place.name} is empty. Give the full export.")
    if len(filled) > 1:
        raise InputError(
            f"A table is one sheet of a workbook, however {place.name} has {len(filled)} with cells in them. "
            f"Choose one by --sheet: {', '.join(map(repr, filled))}."
        )
    return workbook.get_sheet_by_name(filled[0])


def _gathered(rows: Iterator[list[Any]], width: int) -> tuple[Gathered, list[Any]]:
    """The cells below the first row that holds any, without blank rows; and that row."""
    header = next((row for row in rows if any(cell != "" for cell in row)), [""] * width)
    gathered, block = Gathered(len(header), _spell), list[list[Any]]()
    for row in rows:
        if any(cell != "" for cell in row):
            block.append([None if cell == "" else cell for cell in row])
        if len(block) == _BLOCK_ROWS:
            gathered.add(block)
            block = []
    if block:
        gathered.add(block)
    return gathered, header


def _spell(value: object) -> str | None:
    """Spell a cell: Excel knows no integers, so a number without a fraction is written as one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return spelled(value)


def _raw_column(gathered: Gathered, position: int, header: str) -> RawColumn:
    codes, labels = gathered.column(position)
    kinds = gathered.kinds[position] - {type(None)}
    kind = _type(kinds, labels)
    if kind == _SECOND and datetime.date in kinds:
        labels = pc.if_else(
            pc.equal(pc.utf8_length(labels), 10), pc.binary_join_element_wise(labels, "00:00:00", " "), labels
        )
    return RawColumn(header or f"Unnamed: {position}", header, codes, labels, kind)


def _type(kinds: set[type], labels: pa.Array) -> pa.DataType:
    """The type that holds all cells of a column; text where they are of several kinds."""
    if kinds and kinds <= {int, float}:
        is_whole = not pc.any(pc.match_substring_regex(labels, r"[.eE]")).as_py()
        return pa.int64() if is_whole else pa.float64()
    if kinds == {datetime.date, datetime.datetime}:
        return _SECOND
    return _TYPES.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def write(file: IO[bytes], schema: pa.Schema, details: Any) -> _Sink:
    """Open a workbook of one sheet; rows are streamed into it."""
    return _Sink(file, schema, details if isinstance(details, Worksheet) else Worksheet("Sheet1", frozenset()))


class _Sink:
    """Streams tables into a worksheet."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, sheet: Worksheet) -> None:
        options = {"constant_memory": True, "tmpdir": str(Path(file.name).parent), "nan_inf_to_errors": True}
        self._workbook = xlsxwriter.Workbook(file, options)
        # The time of writing would make two files of the same seed differ.
        self._workbook.set_properties({"created": _CREATED})
        self._sheet = self._workbook.add_worksheet(sheet.name)
        self._schema, self._mixed, self._row = schema, sheet.mixed, 0
        self._formats = {
            kind: self._workbook.add_format({"num_format": shown})
            for kind, shown in (
                ("date32", "yyyy-mm-dd"),
                ("timestamp", "yyyy-mm-dd hh:mm:ss"),
                ("time64", "hh:mm:ss"),
                ("duration", "[h]:mm:ss"),
            )
        }

    def __enter__(self) -> Self:
        for position, name in enumerate(self._schema.names):
            self._sheet.write_string(0, position, name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._workbook.close()

    def write_table(self, table: pa.Table) -> None:
        """Append rows.

        Raises:
            InputError: They do not fit a worksheet.
        """
        if self._row + table.num_rows > MOST_ROWS:
            raise InputError(
                f"A worksheet holds at most {MOST_ROWS:,} rows, however more are asked for. "
                "Set --rows lower, or give the table as CSV or Parquet."
            )
        puts = [self._put(field) for field in self._schema]
        columns = [column.to_pylist() for column in table.columns]
        for cells in zip(*columns, strict=True):
            self._row += 1
            for position, (put, cell) in enumerate(zip(puts, cells, strict=True)):
                if cell is not None:
                    put(self._row, position, cell)

    def _put(self, field: pa.Field) -> Any:
        """The function that writes one column's cells: text is never taken for a formula."""
        sheet, kind = self._sheet, field.type
        if pa.types.is_boolean(kind):
            return sheet.write_boolean
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return sheet.write_number
        if pa.types.is_temporal(kind):
            shown = self._formats[re.split(r"\W", str(kind))[0]]
            return lambda row, column, cell: sheet.write_datetime(row, column, cell, shown)
        if field.name in self._mixed:
            return lambda row, column, cell: (
                sheet.write_number(row, column, float(cell))
                if re.fullmatch(NUMBER, cell)
                else sheet.write_string(row, column, cell)
            )
        return sheet.write_string
