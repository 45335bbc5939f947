"""CSV: the delimiter, quotes and encoding are found from a sample, then the rows are streamed into columns of text.

The file is never held as a whole: it is checked block by block, and its columns are dictionary-encoded while reading.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from synthrelease.core.errors import InputError
from synthrelease.data.formats import archives
from synthrelease.data.formats.location import Place, damaged
from synthrelease.data.formats.typed_columns import encoded
from synthrelease.data.raw_table import Dialect, RawColumn, TableFile, counted

_DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 17
_SAMPLE_CHARACTERS = 65_536
_SAMPLE_LINES = 5
_BLOCK_BYTES = 1 << 24
_TEXT = pa.dictionary(pa.int32(), pa.string())
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet (.zip, .xlsx)",
    b"\x1f\x8b": "gzip-compressed (.gz)",
    b"PAR1": "a Parquet file (.parquet)",
    b"ARROW1": "a Feather file (.feather)",
    b"ORC": "an ORC file (.orc)",
    b"$FL2": "an SPSS file (.sav)",
    b"<stata_dta>": "a Stata file (.dta)",
    b"SQLite format 3": "an SQLite database (sqlite:///FILE)",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (save it as .xlsx)",
}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read(place: Place) -> TableFile:
    """Read delimited text (``, ; tab |``; UTF-8 or UTF-16 with or without mark, else Latin-1), packed or not."""
    encoding, has_text = _checked(place)
    if not has_text:
        raise InputError(f"A table must hold rows, however {place.name} is empty. Give the full export.")
    try:
        with archives.opened(place) as stream:
            sample = _sample(stream, encoding)
        dialect, header, width = _sniffed(sample, encoding)
        dialect = _packed(dialect, place)
        body = _body(place, dialect, min(width, len(header)) if _ends_blank(header, width) else len(header), sample)
    except pa.ArrowException as error:
        # Arrow quotes the offending row in its message, so only the kind of error is passed on.
        raise damaged(place, "CSV", error) from None
    columns = []
    for position, spelled in enumerate(header):
        name = spelled or f"Unnamed: {position}"
        if position < body.num_columns:
            texts = body.column(position)
            # Let each column go once it is taken over, so that the table is not held twice.
            body = body.set_column(position, "", pa.nulls(body.num_rows))
        else:
            texts = pa.chunked_array([pa.array([""] * body.num_rows)])
        columns.append(_raw_column(name, spelled, texts, dialect))
    return TableFile(tuple(columns), body.num_rows, dialect, format=_suffix(dialect))


def _packed(dialect: Dialect, place: Place) -> Dialect:
    return Dialect(
        dialect.delimiter,
        dialect.encoding,
        dialect.newline,
        dialect.is_header_quoted,
        dialect.quoted,
        archives.packing_of(place.file),
    )


def _suffix(dialect: Dialect) -> str:
    return f"csv.{dialect.packing}" if dialect.packing else "csv"


def _ends_blank(header: list[str], width: int) -> bool:
    """Whether a header ends in delimiters over rows that do not: those columns hold nothing."""
    return len(header) > width > 0 and not any(header[width:])


def _checked(place: Place) -> tuple[str, bool]:
    """Go through the file once: its encoding, and whether it holds more than white space.

    Raises:
        InputError: It is binary, by its first bytes or by a NUL character.
    """
    is_utf8, has_text, has_nul = True, False, False
    with archives.opened(place) as stream:
        start = stream.read(16)
        marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        encoding = marked or _unmarked_utf16(start) or "utf-8"
        found = next((name for magic, name in _FOREIGN.items() if start.startswith(magic)), None)
        if found is not None:
            raise InputError(
                f"A table must be CSV text or bear the suffix of its format, however {place.name} is {found}. "
                "Give it that suffix, or save it as UTF-8 CSV."
            )
        decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding.startswith("utf-16") else "strict")
        block = start
        while block:
            has_text = has_text or bool(block.strip())
            if encoding.startswith("utf-16"):
                has_nul = has_nul or "\x00" in decoder.decode(block)
            else:
                has_nul = has_nul or b"\x00" in block
                is_utf8 = is_utf8 and _decodes(decoder, block)
            block = stream.read(1 << 20)
        if is_utf8 and not encoding.startswith("utf-16"):
            is_utf8 = _decodes(decoder, b"", final=True)
    if has_nul:
        raise InputError(
            f"A table must be text, however {place.name} is binary or holds NUL characters. Save it as UTF-8 CSV."
        )
    return encoding if is_utf8 else "latin-1", has_text


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _unmarked_utf16(start: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of a Western header is NUL."""
    if len(start) < 4:
        return None
    if not any(start[1::2]) and all(start[0::2]):
        return "utf-16-le"
    return "utf-16-be" if not any(start[0::2]) and all(start[1::2]) else None


def _sample(stream: IO[bytes], encoding: str) -> str:
    """The first whole lines, at least five of them: a header may be very long."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    text = ""
    while block := stream.read(_SAMPLE_BYTES):
        text += decoder.decode(block)
        if text.count("\n") >= _SAMPLE_LINES:
            break
    else:
        return text
    end = 0
    for _ in range(_SAMPLE_LINES):
        end = text.find("\n", end) + 1
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


def _lines_of_header(sample: str) -> int:
    """How many lines the header takes up, with blank ones before it and breaks inside its quotes."""
    reader = csv.reader(io.StringIO(sample, newline=None))
    csv.field_size_limit(max(csv.field_size_limit(), len(sample)))
    next((record for record in reader if record), None)
    return reader.line_num


def _body(place: Place, dialect: Dialect, width: int, sample: str) -> pa.Table:
    """Read all records below the header as columns of text, each dictionary-encoded block by block."""
    ragged: list[int] = []

    def on_invalid(_row: Any) -> str:
        ragged.append(1)
        return "skip"

    names = [f"f{position}" for position in range(width)]
    lines = _lines_of_header(sample)
    if not "".join(io.StringIO(sample, newline=None).readlines()[lines:]).strip("\n"):
        return pa.table({name: pa.array([], _TEXT) for name in names})
    with archives.opened(place) as stream:
        if dialect.encoding == "latin-1" and stream.peek(3).startswith(b"\xef\xbb\xbf"):  # type: ignore[attr-defined]
            stream.read(3)
        table = pacsv.read_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pacsv.ReadOptions(
                column_names=names,
                skip_rows=lines,
                block_size=_BLOCK_BYTES,
                encoding="utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=on_invalid
            ),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, _TEXT), strings_can_be_null=False),
        )
    if ragged:
        raise InputError(
            f"Every row must have as many cells as the header ({width}), however {counted(len(ragged), 'row')} of "
            f"{place.name} is longer or shorter. Export it again, with quotes around cells that hold the delimiter."
        )
    return table


def _raw_column(name: str, header: str, texts: pa.ChunkedArray, dialect: Dialect) -> RawColumn:
    codes, labels = encoded(texts)
    has_comma = (
        dialect.delimiter != ","
        and pc.any(pc.match_substring_regex(labels, _DECIMAL_COMMA)).as_py()
        and not pc.any(pc.match_substring_regex(labels, r"^[+-]?\d+\.\d+$")).as_py()
    )
    return RawColumn(name=name, header=header, codes=codes, labels=labels, decimal="," if has_comma else ".")
