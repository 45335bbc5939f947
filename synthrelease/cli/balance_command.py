"""``synthrelease balance``: more rows of the rare classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthrelease.cli.error_handling import reported
from synthrelease.cli.options import EFFORT, FILE, chosen_rows
from synthrelease.workflows.run_options import BALANCE_METHODS


@click.command()
@click.argument("table", type=str)
@chosen_rows
@click.option("--schema", "schema_file", type=FILE, required=True, help="What the columns mean; drafted by `inspect`.")
@click.option(
    "--method", type=click.Choice(BALANCE_METHODS), default="gan", show_default=True, help="How rows are made."
)
@click.option("--out", type=FILE, required=True, help="The CSV file to write.")
@click.option("--target", metavar="COL", help="The class column; overrides the schema's.")
@click.option("--column", default="synthetic", show_default=True, metavar="NAME", help="Marks made rows with 1.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Makes it repeatable.")
@click.option("--generator", default="gan", show_default=True, metavar="NAME", help="The generator of --method gan.")
@EFFORT
@click.option(
    "--typical", type=click.FloatRange(0, 1, max_open=True), default=0.25, show_default=True,
    help="Of --method gan: keep made rows that look at least as typical of their class as this share of real ones.",
)  # fmt: skip
@reported
def balance(
    table: str,
    sheet: str | None,
    table_name: str | None,
    query: str | None,
    schema_file: Path,
    out: Path,
    **chosen: Any,
) -> None:
    """Make rows of the rare classes of TABLE until all are as large as the largest.

    Real and made rows are written together, with a column that tells them apart. The result stays in the house.

    \b
    Example:
      synthrelease balance patients.csv --schema schema.toml --target readmitted --out balanced.csv
    """
    from synthrelease.cli import places, progress_view
    from synthrelease.workflows import balance as workflow

    with progress_view.screen() as screen:
        done = workflow.balance(
            places.chosen_place(table, sheet=sheet, table_name=table_name, query=query),
            schema_file=schema_file,
            out=out,
            options=workflow.BalanceOptions(**chosen),
            on_step=screen.step,
        )
        for text in done.notices:
            screen.notice(text)
    for label, rows in done.real.items():
        click.echo(f"{label}: {rows:,} real rows, {done.made.get(label, 0):,} made")
    click.echo(f"Wrote {out}; {chosen['column']} is 1 in made rows.")
