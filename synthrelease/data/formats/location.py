"""Where a table lies: a file and, in a workbook, its sheet; or a database and its table or query.

A database address may hold a password, so it is never shown: not in messages, not in ``repr``, not in a run's record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthrelease.core.errors import InputError

WORKBOOKS = frozenset({".xlsx", ".xlsm"})
_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9_]*)(\+[A-Za-z0-9_]+)?://")
_PATH_WITHOUT_SLASH = re.compile(r"^(postgres|postgresql|sqlite|mysql|mariadb|mssql|oracle)(\+[A-Za-z0-9_]+)?:/")


@dataclass(frozen=True, slots=True)
class Place:
    """A file (``path``) or a database (``url``), never both; ``place_of`` checks that.

    ``sheet`` chooses a worksheet of a workbook, ``table`` or ``query`` the rows of a database.
    """

    path: Path | None = None
    sheet: str | None = None
    url: str = field(default="", repr=False)
    table: str | None = None
    query: str | None = field(default=None, repr=False)

    @property
    def file(self) -> Path:
        """The file's path; an error in a database's place."""
        if self.path is None:
            raise ValueError("a database has no path")
        return self.path

    @property
    def backend(self) -> str:
        """The kind of database, such as ``postgresql``."""
        found = _ADDRESS.match(self.url)
        return {"postgres": "postgresql"}.get(found.group(1), found.group(1)) if found else "database"

    @property
    def name(self) -> str:
        """What messages and the report call the table: no address and no text of a query is in it."""
        if self.path is not None:
            return self.path.name
        return f"{self.backend} query" if self.table is None else f"{self.backend} table {self.table}"

    @property
    def stem(self) -> str:
        """A short name without suffixes, for a run folder."""
        return self.name.split(".")[0] or self.name

    @property
    def has_sheets(self) -> bool:
        """Whether the file is a workbook by its suffix."""
        return self.path is not None and self.path.suffix.lower() in WORKBOOKS


def place_of(where: Path | str | Place, **chosen: Any) -> Place:
    """Return the place that a path or a SQLAlchemy address names; ``chosen`` may set ``sheet``, ``table``, ``query``.

    Raises:
        InputError: What was chosen does not belong to such a place, or a database lacks a table or query.
    """
    if isinstance(where, Place):
        return where
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if isinstance(where, str) and _ADDRESS.match(where):
        place = Place(url=where, **chosen)
        if (place.table is None) == (place.query is None):
            raise InputError("A database needs either --table NAME or --query SQL. Give one of the two.")
        if place.sheet is not None:
            raise InputError("--sheet belongs to a workbook, however a database is given. Leave it out.")
        return place
    if _PATH_WITHOUT_SLASH.match(str(where)):
        raise InputError(
            "A database address must be text such as postgresql://host/name, however a path is given. Pass it as text."
        )
    if re.search(r":.*@|//.*@", str(where)) and not Path(where).exists():
        # Shown as a path that does not exist, it would show its password.
        raise InputError(
            "A database address must begin like postgresql://, however the one given does not. Correct its beginning."
        )
    place = Place(path=Path(where), **chosen)
    if place.table is not None or place.query is not None:
        raise InputError("--table and --query belong to a database, however a file is given. Leave them out.")
    if place.sheet is not None and not place.has_sheets:
        raise InputError(f"--sheet belongs to a workbook (.xlsx), however {place.name} is none. Leave it out.")
    return place


def damaged(place: Place, kind: str, error: BaseException) -> InputError:
    """The error for a file that its library cannot read; libraries may quote cells, so only the kind is passed on."""
    return InputError(
        f"A table must be readable as {kind}, however {place.name} is damaged or is something else "
        f"({type(error).__name__}). Export it again, with the suffix of its format."
    )
