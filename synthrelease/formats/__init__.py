"""Table formats: one module a family, one line a format in ``FORMATS``; the rest of the package sees ``TableFile``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from synthrelease.errors import InputError, listing
from synthrelease.formats import arrowfiles, csvtext, excel, statistics
from synthrelease.formats.place import Place, place_of
from synthrelease.tablefile import TableFile

__all__ = ["FORMATS", "Format", "Place", "place_of", "read_file", "writer"]

Writer = Callable[[IO[bytes], pa.Schema, Any], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its file names: how it is read, and how tables of Arrow types are written (None: as CSV)."""

    suffixes: tuple[str, ...]
    read: Callable[[Place], TableFile]
    write: Writer | None = None


FORMATS: tuple[Format, ...] = (
    Format((".parquet", ".pq"), arrowfiles.read_parquet, arrowfiles.write_parquet),
    Format((".feather", ".arrow"), arrowfiles.read_feather, arrowfiles.write_feather),
    Format((".orc",), arrowfiles.read_orc, arrowfiles.write_orc),
    Format((".xlsx", ".xlsm"), excel.read, excel.write),
    Format((".dta",), statistics.read_dta, statistics.write_dta),
    Format((".sav", ".zsav"), statistics.read_sav, statistics.write_sav),
    Format((".sas7bdat", ".xpt"), statistics.read_sas),
)
"""Every other suffix is read as delimited text, packed (.gz, .zip) or not."""


def read_file(where: Path | str | Place) -> TableFile:
    """Read a table file in the format that its suffix names, or a database's table.

    Raises:
        InputError: It is missing, empty, holds no row, is no such file, or repeats a column name.
    """
    place = place_of(where)
    if place.path is None:
        from synthrelease.formats import database  # SQLAlchemy is slow to import, and only databases need it

        table = database.read(place)
    else:
        _check_file(place.path)
        known = next((each for each in FORMATS if place.path.suffix.lower() in each.suffixes), None)
        table = (known.read if known else csvtext.read)(place)
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
