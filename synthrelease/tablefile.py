"""A table file as it is spelled: CSV or Parquet read into columns of text, before a schema gives them meaning.

Nothing is guessed here: an empty cell, ``NA`` and ``?`` are three different texts. Only Parquet's own nulls are
missing already. Messages name columns and counts, never a cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from synthrelease.errors import InputError, listing

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
"""What counts as a number: never ``inf``, ``nan``, ``1_000`` or a number with a unit."""

TRUTHS = {"true": True, "1": True, "yes": True, "y": True, "false": False, "0": False, "no": False, "n": False}
"""What a label, in lower case, stands for in a column of truth values."""

_DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_CHARACTERS = 65_536
_BLOCK_BYTES = 1 << 24
_PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x1f\x8b": "gzip-compressed",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_INDEX = re.compile(r"^__index_level_\d+__$")

Codes = np.ndarray[Any, np.dtype[np.int32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is spelled; a written table follows it."""

    delimiter: str = ","
    encoding: str = "utf-8"
    newline: str = "\n"
    is_header_quoted: bool = False
    quoted: frozenset[int] = frozenset()
    """Positions of the columns whose cells stand in quotes."""


@dataclass(frozen=True, slots=True)
class RawColumn:
    """One column: ``labels[codes[i]]`` is the text of row i, code -1 a Parquet null.

    ``header`` is the name as the file spells it, ``type`` the Arrow type of a Parquet column (None for CSV).
    ``decimal`` is the decimal mark of its numbers, ``levels`` the texts of a Parquet dictionary in its order.
    """

    name: str
    header: str
    codes: Codes
    labels: pa.Array
    type: pa.DataType | None = None
    decimal: Literal[".", ","] = "."
    levels: tuple[str, ...] = ()

    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """How many rows hold each label: int64, one per label."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))

    def missing(self, marks: Collection[str]) -> Flags:
        """Which labels stand for a missing value: bool, one per label. An empty cell always does."""
        return np.isin(np.asarray(self.trimmed().to_pylist(), dtype=object), ["", *(mark.strip() for mark in marks)])

    def trimmed(self) -> pa.Array:
        """The labels without white space around them."""
        return pc.utf8_trim_whitespace(self.labels)

    def numbers(self) -> Floats:
        """The value of each label: float64, NaN for what is no finite number."""
        texts = self.trimmed()
        if self.decimal == ",":
            texts = pc.replace_substring(texts, ",", ".", max_replacements=1)
        values = pc.cast(pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, None), pa.float64())
        floats: Floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(np.isfinite(floats), floats, np.nan)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file's columns in file order. ``dialect`` is None for Parquet, ``pandas`` is its pandas metadata (or empty)."""

    columns: tuple[RawColumn, ...]
    rows: int
    dialect: Dialect | None
    pandas: bytes = b""


def counted(count: int, thing: str) -> str:
    """Spell a count with its noun."""
    return f"1 {thing}" if count == 1 else f"{count} {thing}s"


def read_file(path: Path) -> TableFile:
    """Read a CSV (``, ; tab |``; UTF-8 with or without mark, else Latin-1) or Parquet file.

    Raises:
        InputError: The file is missing, empty, holds no row, is no such file, or repeats a column name.
    """
    content = _content(path)
    try:
        table = _parquet(content) if path.suffix.lower() in _PARQUET_SUFFIXES else _csv(content, path)
    except pa.ArrowException as error:
        # Arrow quotes the offending row in its message, so only the kind of error is passed on.
        raise InputError(
            f"A table must be readable as {path.suffix.lstrip('.') or 'CSV'}, however {path.name} is damaged "
            f"({type(error).__name__}). Export it again."
        ) from None
    repeated = [name for name, count in Counter(column.name for column in table.columns).items() if count > 1]
    if repeated:
        problems = [f"{name!r} names more than one column" for name in repeated]
        raise InputError(
            listing(f"Column names must be unique. Rename these in {path.name}, in the schema too:", problems)
        )
    if not table.rows:
        raise InputError(
            f"A table must hold rows, however {path.name} has a header and nothing else. Give the full export."
        )
    return table


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"A table must be a file, however {path} is a folder. Name the file inside it.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"The table must exist, however {path} does not. Check the path.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"The table must be readable, however {path} is not ({reason}). Check its rights.") from None
    if not content.strip():
        raise InputError(f"A table must hold rows, however {path.name} is empty. Give the full export.")
    return content


def _csv(content: bytes, path: Path) -> TableFile:
    _refuse_foreign(content, path)
    text, encoding = _decoded(content)
    dialect, header, width = _sniffed(_sample(text), encoding)
    if len(header) > width > 0 and not any(header[width:]):
        # A header that ends in delimiters over rows that do not: those columns hold nothing.
        body = _arrow_table(_without_first_record(text), dialect, width, path)
        for position in range(width, len(header)):
            body = body.append_column(f"f{position}", pa.array([""] * body.num_rows))
    else:
        body = _arrow_table(text, dialect, len(header), path).slice(1)
    names = [name or f"Unnamed: {position}" for position, name in enumerate(header)]
    columns = [
        _raw_csv(name, spelled, body.column(position), dialect)
        for position, (name, spelled) in enumerate(zip(names, header, strict=True))
    ]
    return TableFile(columns=tuple(columns), rows=body.num_rows, dialect=dialect)


def _refuse_foreign(content: bytes, path: Path) -> None:
    found = next((name for magic, name in _FOREIGN.items() if content.startswith(magic)), None)
    if found is None and b"\x00" in content:
        found = "binary"
    if found is not None:
        raise InputError(
            f"A table must be CSV text or a .parquet file, however {path.name} is {found}. Save it as UTF-8 CSV."
        )


def _decoded(content: bytes) -> tuple[str, str]:
    if content.startswith(b"\xef\xbb\xbf"):
        try:
            return content.decode("utf-8-sig"), "utf-8-sig"
        except UnicodeDecodeError:
            return content[3:].decode("latin-1"), "latin-1"
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _sample(text: str) -> str:
    """The first whole lines, at least five of them: a header may be very long."""
    if len(text) <= _SAMPLE_CHARACTERS:
        return text
    end = 0
    for _ in range(5):
        end = text.find("\n", end) + 1 or len(text)
    return text[: max(end, text.rfind("\n", 0, _SAMPLE_CHARACTERS) + 1)]


def _sniffed(sample: str, encoding: str) -> tuple[Dialect, list[str], int]:
    """Choose the delimiter under which most sampled rows are as wide as each other, then the widest.

    Returns the dialect, the header's cells and the commonest width of the rows.
    """

    def judged(delimiter: str) -> tuple[bool, bool, int]:
        header, *rows = _records(sample, delimiter)
        widths = Counter(len(record) for record in rows or [header])
        width, count = widths.most_common(1)[0]
        return len(header) > 1, count >= 0.9 * widths.total(), width

    delimiter = max(_DELIMITERS, key=judged)
    header, *rows = _records(sample, delimiter)
    widths = Counter(len(record) for record in rows)
    quoted = frozenset(
        position for position in range(len(header)) if _mostly_quoted([r[position] for r in rows if len(r) > position])
    )
    dialect = Dialect(
        delimiter=delimiter,
        encoding=encoding,
        newline="\r\n" if "\r\n" in sample else "\n",
        is_header_quoted=any(cell.startswith('"') and delimiter not in cell for cell in header),
        quoted=quoted,
    )
    return (
        dialect,
        [_bare(cell) for cell in header],
        next((width for width, _ in widths.most_common(1)), 0),
    )


def _records(sample: str, delimiter: str) -> list[list[str]]:
    """Cut a sample into at most 200 records of cells that still carry their quotes."""
    mark = re.escape(delimiter)
    cell = re.compile(rf'("(?:[^"]|"")*"|[^{mark}\r\n]*)({mark}|\r\n|\n|\r|$)')
    records: list[list[str]] = [[]]
    position = 0
    while position < len(sample) and len(records) <= 200:
        found = cell.match(sample, position)
        if found is None:  # text after a closing quote: no delimiter under which this sample makes sense
            break
        records[-1].append(found.group(1))
        position = found.end()
        if found.group(2) != delimiter:
            records.append([])
    return [record for record in records[:-1] if record != [""]] or [[""]]


def _bare(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _mostly_quoted(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and 2 * sum(cell.startswith('"') for cell in filled) > len(filled)


def _without_first_record(text: str) -> str:
    stream = io.StringIO(text, newline="")
    next(csv.reader(iter(stream.readline, "")))
    return stream.read()


def _arrow_table(text: str, dialect: Dialect, width: int, path: Path) -> pa.Table:
    """Read all records, the header among them, as text columns f0, f1, ..."""
    ragged: list[int] = []

    def on_invalid(_row: Any) -> str:
        ragged.append(1)
        return "skip"

    table = pacsv.read_csv(
        pa.BufferReader(text.encode()),
        read_options=pacsv.ReadOptions(autogenerate_column_names=True, block_size=_BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
        ),
        convert_options=pacsv.ConvertOptions(
            column_types={f"f{position}": pa.string() for position in range(width)}, strings_can_be_null=False
        ),
    )
    if ragged:
        raise InputError(
            f"Every row must have as many cells as the header ({width}), however {counted(len(ragged), 'row')} of "
            f"{path.name} is longer or shorter. Export it again, with quotes around cells that hold the delimiter."
        )
    return table


def _raw_csv(name: str, header: str, texts: pa.ChunkedArray, dialect: Dialect) -> RawColumn:
    codes, labels = _encoded(texts)
    has_comma = (
        dialect.delimiter != ","
        and pc.any(pc.match_substring_regex(labels, _DECIMAL_COMMA)).as_py()
        and not pc.any(pc.match_substring_regex(labels, r"^[+-]?\d+\.\d+$")).as_py()
    )
    return RawColumn(name=name, header=header, codes=codes, labels=labels, decimal="," if has_comma else ".")


def _encoded(texts: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Split a text column into int32 codes (-1 = null) and distinct labels in order of first appearance."""
    combined = pa.concat_arrays(texts.chunks) if texts.num_chunks != 1 else texts.chunk(0)
    encoded = combined.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, encoded.dictionary


def _parquet(content: bytes) -> TableFile:
    table = pq.read_table(pa.BufferReader(content))
    # Row labels that pandas stored without a name are no column of the table.
    fields = [field for field in table.schema if not _INDEX.match(field.name)]
    metadata = table.schema.metadata or {}
    columns = []
    for position, field in enumerate(table.schema):
        if field in fields:
            values = table.column(position)
            codes, labels = _encoded(_as_text(values, field.type))
            columns.append(RawColumn(field.name, field.name, codes, labels, field.type, levels=_levels(values)))
    return TableFile(tuple(columns), table.num_rows, dialect=None, pandas=metadata.get(b"pandas", b""))


def _levels(values: pa.ChunkedArray) -> tuple[str, ...]:
    """The values of a dictionary column in the dictionary's order; nothing for other columns."""
    if not pa.types.is_dictionary(values.type) or not values.num_chunks:
        return ()
    dictionary = pa.chunked_array([values.unify_dictionaries().chunk(0).dictionary])
    return tuple(text for text in _as_text(dictionary, dictionary.type).to_pylist() if text is not None)


def _as_text(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Spell Parquet values as text: integral floats without a point, NaN as null, truth values True and False."""
    if pa.types.is_dictionary(kind):
        return _as_text(values.cast(kind.value_type), kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # No text can be made of these; they can only be excluded, and their presence is all that counts.
        return pc.if_else(pc.is_valid(values), "unreadable", pa.scalar(None, pa.string()))
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "True", "False")
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
        return (values if not pa.types.is_float16(kind) else values.cast(pa.float32())).cast(pa.string())
    return values.cast(pa.string())
