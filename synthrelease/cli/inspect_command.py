"""``synthrelease inspect``: a drafted schema, and what there is to decide."""

from __future__ import annotations

from pathlib import Path

import click

from synthrelease.cli.error_handling import reported
from synthrelease.cli.options import FILE, chosen_rows


@click.command()
@click.argument("table", type=str)
@chosen_rows
@click.option("--out", type=FILE, help="Where to write the schema; printed when left out.")
@click.option("--target", metavar="COL", help="The column that models predict.")
@click.option("--unit", metavar="COL", help="The column that numbers the patients.")
@click.option("--missing", metavar="MARK", multiple=True, help="A mark that means missing; may be repeated.")
@click.option("--force", is_flag=True, help="Replace an existing schema file, edits and all.")
@click.option("--for-dp", is_flag=True, help="List what to declare before `build --epsilon`, and why; needs --out.")
@reported
def inspect(
    table: str, sheet: str | None, table_name: str | None, query: str | None, out: Path | None, target: str | None,
    unit: str | None, missing: tuple[str, ...], force: bool, for_dp: bool,
) -> None:  # fmt: skip
    """Draft a commented schema of TABLE (a file or a database address) for a person to review.

    It also says what to decide. An existing schema is brought up to date: what a person wrote in it stays.

    \b
    Example:
      synthrelease inspect patients.csv --target readmitted --unit patient_nbr --missing '?' --out schema.toml
    """
    if for_dp and out is None:
        raise click.UsageError("--for-dp looks at the schema in a file; name it with --out.")
    from rich.console import Console

    from synthrelease.cli import inspect_view, places
    from synthrelease.core import files
    from synthrelease.schema import schema_file as schema_reader
    from synthrelease.synthesis import private_requirements
    from synthrelease.workflows.inspect import profile, schema_merge

    place = places.chosen_place(table, sheet=sheet, table_name=table_name, query=query)
    known = schema_merge.settings(out) if out is not None and out.exists() and not force else None
    found = profile.inspect(place, target=target, unit=unit, missing=missing, known=known)
    inspect_view.show(found, Console(stderr=True, highlight=False))
    if out is None:
        click.echo(found.schema)
        return
    if known is not None:
        merged = schema_merge.merge(out, found.schema, target=target, unit=unit)
        files.write_text(out, merged.text)
        inspect_view.show_merged(merged, out, Console(stderr=True, highlight=False))
    else:
        files.write_text(out, found.schema)
        click.echo(f"Drafted {out}. ", nl=False)
    for line in ("", *private_requirements.advice(schema_reader.load(out))) if for_dp else ():
        click.echo(f"  {line}".rstrip())
    click.echo("Review it (kinds, roles, bounds, categories), then:")
    click.echo(f"  synthrelease build {places.hint(place)} --schema {places.quoted(out)} --out runs/first")
