"""Where tables and runs lie, as the words of a command line say, and how to spell that for the next command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from synthrelease.core import files
from synthrelease.data.formats import Place, place_of


def chosen_place(table: str, *, sheet: str | None, table_name: str | None, query: str | None) -> Place:
    """The place that TABLE and the options for its rows name; InputError where they do not go together."""
    return place_of(table, sheet=sheet, table=table_name, query=query)


def at_sheet(path: Path, sheet: str | None) -> Place:
    """The place of a file; ``--sheet`` holds for each of several files that is a workbook."""
    place = place_of(path)
    return place_of(path, sheet=sheet) if place.has_sheets else place


@contextmanager
def material(place: Place | None, schema_file: Path | None) -> Iterator[tuple[Place | Path, Path]]:
    """The table and its schema; those of the demonstration where no table is given."""
    if place is None:
        from synthrelease.workflows import demo_table

        with demo_table.demo() as made:
            yield made
    elif schema_file is None:
        raise click.UsageError(f"TABLE needs --schema. Draft one: synthrelease inspect {hint(place)} --out schema.toml")
    else:
        yield place, schema_file


def hint(place: Place) -> str:
    """Spell a place for a command line to try; a database's address may hold a password and is left out."""
    if place.path is None:
        return f"DATABASE_ADDRESS {'--query SQL' if place.table is None else f'--table {place.table}'}"
    sheet = "" if place.sheet is None else f" --sheet '{place.sheet}'"
    return f"{quoted(place.path)}{sheet}"


def run_folder(out: Path | None, name: str) -> Path:
    """The folder that --out names, or a new one that is called after the table and the time."""
    if out is not None:
        return out
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "table"
    return Path("reports") / f"{stem}-{files.utc_now().replace(':', '')}"


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    text = str(path)
    return f"'{text}'" if re.search(r"[^\w./-]", text) else text
