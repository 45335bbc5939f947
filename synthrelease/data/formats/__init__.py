"""Table formats: one module a family, one line a format in ``FORMATS``; the rest of the package sees ``TableFile``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from synthrelease.core.errors import InputError, listing
from synthrelease.data.formats import arrow_files, csv_files, excel, stata_spss_sas
from synthrelease.data.formats.location import Place, place_of
from synthrelease.data.raw_table import TableFile

_log = logging.getLogger(__name__)
__all__ = ["FORMATS", "Format", "Place", "place_of", "read_file", "writer"]

Writer = Callable[[IO[bytes], pa.Schema, Any], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its file names: how it is read, and how tables of Arrow types are written (None: as CSV)."""

    suffixes: tuple[str, ...]
    read: Callable[[Place], TableFile]
    write: Writer | None = None


FORMATS: tuple[Format, ...] = (
    Format((".parquet", ".pq"), arrow_files.read_parquet, arrow_files.write_parquet),
    Format((".feather", ".arrow"), arrow_files.read_feather, arrow_files.write_feather),
    Format((".orc",), arrow_files.read_orc, arrow_files.write_orc),
    Format((".xlsx", ".xlsm"), excel.read, excel.write),
    Format((".dta",), stata_spss_sas.read_dta, stata_spss_sas.write_dta),
    Format((".sav", ".zsav"), stata_spss_sas.read_sav, stata_spss_sas.write_sav),
    Format((".sas7bdat", ".xpt"), stata_spss_sas.read_sas),
)
"""Every other suffix is read as delimited text, packed (.gz, .zip) or not."""


def read_file(where: Path | str | Place) -> TableFile:
    """Read a table file in the format that its suffix names, or a database's table.

    Raises:
        InputError: It is missing, empty, holds no row, is no such file, or repeats a column name.
    """
    place = place_of(where)
    if place.path is None:
        from synthrelease.data.formats import database  # SQLAlchemy is slow to import, and only databases need it

        table = database.read(place)
    else:
        _check_file(place.path)
        known = next((each for each in FORMATS if place.path.suffix.lower() in each.suffixes), None)
        table = (known.read if known else csv_files.read)(place)
    repeated = [name for name, count in Counter(column.name for column in table.columns).items() if count > 1]
    if repeated:
        problems = [f"{name!r} names more than one column" for name in repeated]
        raise InputError(
            listing(f"Column names must be unique. Rename these in {place.name}, in the schema too:", problems)
        )
    if not table.columns or not table.rows:
        raise InputError(
            f"A table must hold rows, however {place.name} has a header and nothing else. Give the full export."
        )
    _log.info("read %s: %d rows, %d columns", place.name, table.rows, len(table.columns))
    return table


def writer(name: str) -> Writer:
    """How tables of Arrow types are written in the format ``name`` (a suffix without its dot)."""
    write = next(each.write for each in FORMATS if f".{name}" in each.suffixes)
    if write is None:
        raise ValueError(f"{name} files are read only")
    return write


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"A table must be a file, however {path} is a folder. Name the file inside it.")
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except FileNotFoundError:
        raise InputError(f"The table must exist, however {path} does not. Check the path.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"The table must be readable, however {path} is not ({reason}). Check its rights.") from None
    if not start:
        raise InputError(f"A table must hold rows, however {path.name} is empty. Give the full export.")
