"""Parquet, Feather and ORC: read by pyarrow and written in the input's types."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
from pyarrow import orc

from synthrelease.data.formats.location import Place, damaged
from synthrelease.data.formats.typed_columns import Collected, raw_column
from synthrelease.data.raw_table import TableFile

_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_INDEX = re.compile(r"^__index_level_\d+__$")


def read_parquet(place: Place) -> TableFile:
    """Read a Parquet file one column at a time, so that it is never held as a whole."""
    try:
        with pq.ParquetFile(place.file) as file:
            kind: pa.Schema = file.schema_arrow
            if len(set(kind.names)) < len(kind.names) or any("." in name for name in kind.names):
                return _table_file(file.read(), "parquet")
            columns = tuple(
                raw_column(name, file.read(columns=[name]).column(0)) for name in kind.names if not _INDEX.match(name)
            )
            rows = file.metadata.num_rows
    except _DAMAGE as error:
        raise damaged(place, "Parquet", error) from None
    return TableFile(columns, rows, None, (kind.metadata or {}).get(b"pandas", b""), "parquet")


def read_feather(place: Place) -> TableFile:
    """Read a Feather (Arrow IPC) file."""
    try:
        table = pf.read_table(place.file, memory_map=False)
        # Its offsets and codes are taken on trust otherwise, and false ones would end the process.
        table.validate(full=True)
        return _table_file(table, "feather")
    except _DAMAGE as error:
        raise damaged(place, "Feather", error) from None


def read_orc(place: Place) -> TableFile:
    """Read an ORC file."""
    try:
        return _table_file(orc.ORCFile(place.file).read(), "orc")
    except _DAMAGE as error:
        raise damaged(place, "ORC", error) from None


def _table_file(table: pa.Table, suffix: str) -> TableFile:
    # Row labels that pandas stored without a name are no column of the table.
    columns = tuple(
        raw_column(name, table.column(position))
        for position, name in enumerate(table.column_names)
        if not _INDEX.match(name)
    )
    pandas = (table.schema.metadata or {}).get(b"pandas", b"")
    return TableFile(columns, table.num_rows, None, pandas, suffix)


def write_parquet(file: IO[bytes], schema: pa.Schema, _details: Any) -> AbstractContextManager[Any]:
    """Open a Parquet file for tables of this schema."""
    sink: AbstractContextManager[Any] = pq.ParquetWriter(file, schema)
    return sink


def write_feather(file: IO[bytes], schema: pa.Schema, _details: Any) -> AbstractContextManager[Any]:
    """Open a Feather file; it is written as a whole, because each of its dictionaries can stand there only once."""
    return Collected(lambda table: pf.write_feather(table, file), schema)


def write_orc(file: IO[bytes], _schema: pa.Schema, _details: Any) -> AbstractContextManager[Any]:
    """Open an ORC file; it takes its types from the first table."""
    return _OrcSink(file)


class _OrcSink:
    """pyarrow's ORC writer under the method name that its Parquet writer has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._writer = orc.ORCWriter(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._writer.close()

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""
        self._writer.write(table)
