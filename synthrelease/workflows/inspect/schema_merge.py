"""Bring an edited schema up to date with its table: what a person wrote stays, to the comment.

New columns come in as drafted. Columns that the table no longer has are commented out and not lost.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from synthrelease.core.errors import InputError

_NOTE = "# No longer in the table; commented out by inspect:"


@dataclass(frozen=True, slots=True)
class Merged:
    """The schema after merging, and the columns that came and went, in their order."""

    text: str
    added: tuple[str, ...]
    gone: tuple[str, ...]


def settings(path: Path) -> Mapping[str, Any]:
    """The content of an existing schema file.

    Raises:
        InputError: The file is no TOML with a table of columns, so that nothing can be merged into it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        document = {}
    columns = document.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(entry, dict) for entry in columns.values()):
        raise InputError(
            f"Only a schema can be brought up to date, however {path} is none. "
            "Correct it, choose another --out, or replace it with --force."
        )
    return document


def merge(path: Path, drafted: str, *, target: str | None = None, unit: str | None = None) -> Merged:
    """Merge a fresh draft into the schema file at ``path``; nothing is written.

    ``target`` and ``unit`` are the steward's answers of now: they are added where the schema has none. A target or unit
    of the schema that is no longer a column is commented out as well.

    Raises:
        InputError: The file is no schema, says something else than ``target`` or ``unit``, or is written in a way
            that cannot be merged safely.
    """
    before, fresh = settings(path), tomllib.loads(drafted)
    for key, answer in (("target", target), ("unit", unit)):
        if answer is not None and before.get(key, answer) not in (answer, *_absent(before.get(key), fresh)):
            raise InputError(
                f"What a person wrote in a schema is kept, however {path.name} names another {key} than {answer!r}. "
                f"Change {key} in the file, or replace the file with --force."
            )
    added = tuple(name for name in fresh["columns"] if name not in before["columns"])
    gone = tuple(name for name in before["columns"] if name not in fresh["columns"])
    expected = _expected(before, fresh, {"target": target, "unit": unit})
    try:
        text = _merged(path.read_text(encoding="utf-8-sig"), drafted, expected, (added, gone))
        is_whole = tomllib.loads(text) == expected
    except (TOMLKitError, tomllib.TOMLDecodeError):
        is_whole = False
    if not is_whole:
        raise InputError(
            f"A schema is merged only if nothing in it changes by that, however {path.name} is written in a way that "
            "does not allow it. Write each column as a [columns.name] block, or use another --out."
        )
    return Merged(text, added, gone)


def _absent(name: str | None, fresh: Mapping[str, Any]) -> tuple[str, ...]:
    return (name,) if name is not None and name not in fresh["columns"] else ()


def _expected(before: Mapping[str, Any], fresh: Mapping[str, Any], answers: Mapping[str, str | None]) -> dict[str, Any]:
    """What the merged file must say, worked out apart from how it is written."""
    kept = {name: entry for name, entry in before["columns"].items() if name in fresh["columns"]}
    new = {name: entry for name, entry in fresh["columns"].items() if name not in kept}
    expected = {key: value for key, value in before.items() if key not in answers or value in fresh["columns"]}
    expected |= {key: answer for key, answer in answers.items() if answer is not None}
    return expected | {"columns": kept | new}


def _merged(
    text: str, drafted: str, expected: Mapping[str, Any], changes: tuple[tuple[str, ...], tuple[str, ...]]
) -> str:
    added, gone = changes
    document, draft = tomlkit.parse(text), tomlkit.parse(drafted)
    columns, fresh = document["columns"], draft["columns"]
    notes: list[str] = []
    for key in ("target", "unit"):
        if key in document and key not in expected:
            notes.append(f"# {key} = {document[key].as_string()}")
            del document[key]
        elif key in expected and document.get(key) != expected[key]:
            document[key] = expected[key]
    for name in gone:
        notes += _as_comment(name, columns[name])
        del columns[name]
    body = tomlkit.dumps(document).rstrip() + "\n"
    for name in added:
        body += "\n" + _block(name, fresh[name])
    return body + ("\n" + "\n".join([_NOTE, *notes]) + "\n" if notes else "")


def _block(name: str, entry: Any) -> str:
    """A column of the draft with its comments, as a block of its own."""
    alone = tomlkit.document()
    columns = tomlkit.table(is_super_table=True)
    columns.append(name, entry)
    alone.append("columns", columns)
    return tomlkit.dumps(alone).strip() + "\n"


def _as_comment(name: str, entry: Any) -> list[str]:
    """The lines of a column that has gone, each behind a hash."""
    if not isinstance(entry, Table):
        table = tomlkit.table()
        table.update(entry)
        entry = table
    return [f"# {line}".rstrip() for line in _block(name, entry).strip().splitlines()]
