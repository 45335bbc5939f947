"""An inspection as a conversation in the terminal: warnings first, then each column that needs a decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from synthrelease.core.formatting import clean, shorten
from synthrelease.workflows.inspect.profile import ColumnView, Inspection
from synthrelease.workflows.inspect.schema_merge import Merged

_PLAIN = 20
"""Columns of this weight or less need no decision of their own and are summed up."""

_MOST_ALIKE = 4
"""More columns than this about which the same is to be decided are summed up as well."""

_NAME_LETTERS = 28
_WIDEST = 110


def show(inspection: Inspection, console: Console) -> None:
    """Print the warnings, the table of columns, and what to do next."""
    columns = inspection.columns
    console.print(f"\n[bold]{inspection.rows:,} rows, {_columns(len(columns))}[/bold]  {_sum_of_kinds(columns)}")
    warned = [column for column in columns if column.warnings]
    for column in warned:
        for warning in column.warnings:
            console.print(f"[yellow]warning[/yellow] {_name(column.name)}: {escape(warning)}")
    for remark in inspection.remarks:
        console.print(f"[cyan]found[/cyan]   {escape(clean(remark))}")
    if inspection.unit is None:
        console.print("[yellow]ask[/yellow]     Can a patient have several rows? Then name the column with --unit.")
    if inspection.target is None:
        console.print("[yellow]ask[/yellow]     What would a model predict? Name the column with --target.")
    groups = _grouped([column for column in columns if not column.warnings])
    summed = [group for group in groups if group[0].weight <= _PLAIN or len(group) > _MOST_ALIKE]
    names = {column.name for group in summed for column in group}
    single = [column for column in columns if column.name not in names]
    if single:
        console.print(_table(single, console.width))
    for group in summed:
        console.print(f"\n[bold]{_columns(len(group))}:[/bold] {escape(group[0].decide) or 'nothing to decide'}")
        console.print(Padding(", ".join(_name(column.name) for column in group), (0, 0, 0, 2)))


def show_merged(merged: Merged, path: Path, console: Console) -> None:
    """Say what came into an existing schema and what was commented out."""
    console.print(f"\n[bold]{escape(path.name)}[/bold] was brought up to date; what was written in it stays.")
    for names, what in ((merged.added, "added"), (merged.gone, "commented out, no longer in the table")):
        if names:
            console.print(f"  {len(names)} {what}: {', '.join(map(_name, names))}")
    if not (merged.added or merged.gone):
        console.print("  No column came or went.")


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _grouped(columns: Sequence[ColumnView]) -> list[list[ColumnView]]:
    """Columns about which the same is to be decided, in their order."""
    groups: dict[str, list[ColumnView]] = {}
    for column in columns:
        groups.setdefault(column.decide, []).append(column)
    return list(groups.values())


def _sum_of_kinds(columns: Sequence[ColumnView]) -> str:
    kinds: dict[str, int] = {}
    for column in columns:
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda pair: -pair[1]))


def _name(name: str) -> str:
    return escape(shorten(name, _NAME_LETTERS)) or "(no name)"


def _table(columns: Sequence[ColumnView], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, width=min(width, _WIDEST), pad_edge=False, show_edge=False)
    table.add_column("column", style="bold", overflow="fold", ratio=4)
    table.add_column("kind, role", overflow="fold", min_width=16)
    table.add_column("found", overflow="fold", ratio=6)
    table.add_column("decide", overflow="fold", ratio=5)
    for column in columns:
        role = "" if column.role in ("feature", column.kind) else f"\n{column.role.replace('_', '-')}"
        found = "; ".join((*column.facts, *column.warnings))
        table.add_row(_name(column.name), f"{column.kind}{role}", escape(clean(found)), escape(column.decide))
    return table
