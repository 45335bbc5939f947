"""The list of copies that leave together: it stands for them where a run has one table.

A signature, the register and a package are bound to the list, and the list to every copy. So no copy can be left out,
exchanged or added without being found out, and none is released alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from synthrelease.core.files import sha256, write_json
from synthrelease.governance.typed_json import STRICT, Hex64

NAME = "synthetic.json"
Count = Annotated[int, Field(ge=1)]


class CopiesList(BaseModel):
    """``synthetic.json``: each copy's file name and SHA-256, its rows, and how many real ones all were learned from."""

    model_config = STRICT
    format: Literal["synthrelease-copies"]
    version: Literal[1]
    real_rows: Count
    rows: Count
    copies: Annotated[Mapping[str, Hex64], Field(min_length=2)]


def file_name(copy: int, suffix: str) -> str:
    """What the file of a copy is called, counted from 1."""
    return f"synthetic-{copy:02d}.{suffix}"


def write(folder: Path, copies: Iterable[Path], *, rows: int, real_rows: int) -> Path:
    """Write the list of the copies in a folder, and return where it lies."""
    listed = CopiesList(
        format="synthrelease-copies",
        version=1,
        real_rows=real_rows,
        rows=rows,
        copies={path.name: sha256(path) for path in copies},
    )
    write_json(folder / NAME, listed.model_dump(mode="json"))
    return folder / NAME


def read(content: bytes) -> CopiesList | None:
    """Read a list of copies; None if it is damaged, or of a version that is not known here."""
    try:
        return CopiesList.model_validate_json(content)
    except ValidationError:
        return None


def changed(table: Path) -> list[str]:
    """Name the copies of a list that are missing or changed; nothing where ``table`` is a table and no list."""
    if table.name != NAME:
        return []
    listed = read(table.read_bytes())
    if listed is None:
        return [NAME]
    there = {name: table.with_name(name) for name in listed.copies}
    return [name for name, path in there.items() if not path.is_file() or sha256(path) != listed.copies[name]]


def with_copies(table: Path) -> list[Path]:
    """The files that leave with a table: itself, and if it is a list the copies on it."""
    listed = read(table.read_bytes()) if table.name == NAME else None
    return [table, *(table.with_name(name) for name in (listed.copies if listed else ()))]
