"""The table of ``build --demo``: breast tumours of Wisconsin, which scikit-learn carries, with a drafted schema."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthrelease.workflows import wisconsin
from synthrelease.workflows.inspect import draft_schema


def demo_files(folder: Path) -> tuple[Path, Path]:
    """Write the Wisconsin breast-cancer table that scikit-learn carries, and a drafted schema: (table, schema)."""
    table, schema_file = folder / "wisconsin-breast-cancer.csv", folder / "schema.toml"
    wisconsin.write_wisconsin(table)
    draft = draft_schema.draft(table, target="diagnosis").replace(
        "[columns.diagnosis]\n", '[columns.diagnosis]\nrole = "sensitive"\n'
    )
    schema_file.write_text(f'purpose = "to show what synthrelease does"\n{_without_purpose(draft)}', encoding="utf-8")
    return table, schema_file


def _without_purpose(draft: str) -> str:
    return "\n".join(line for line in draft.splitlines() if not line.startswith("purpose ="))


@contextmanager
def demo() -> Iterator[tuple[Path, Path]]:
    """The demonstration table and its schema, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="synthrelease-demo-") as folder:
        yield demo_files(Path(folder))
