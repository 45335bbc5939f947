"""The commands that make a run or draw from one: ``build``, ``audit``, ``sample``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from synthrelease.cli.error_handling import reported
from synthrelease.cli.options import CONDITIONS, EFFORT, FILE, POLICY, REGISTER, SHEET, SOURCE, chosen_rows
from synthrelease.core.privacy_types import CLAIM_AUDITS
from synthrelease.workflows.run_options import AuditTables, BuildOptions, Multiple


def _rows(value: Any) -> int | Multiple:
    """How many rows: a number, or a multiple such as 5x."""
    text = str(value).strip().lower()
    try:
        found = Multiple(float(text[:-1])) if text.endswith("x") else int(text)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number of rows nor a multiple such as 5x.") from None
    if isinstance(found, Multiple) and not 0 < found.times < math.inf:
        raise click.BadParameter(f"{value!r} must be a multiple above 0, such as 5x.")
    return found


@click.command()
@click.argument("table", type=str, required=False)
@chosen_rows
@click.option("--demo", is_flag=True, help="Use the Wisconsin breast-cancer table in place of TABLE.")
@click.option("--schema", "schema_file", type=FILE, help="What the columns mean; drafted by `inspect`.")
@POLICY
@click.option("--out", type=FILE, help="The run folder.  [default: reports/<table>-<UTC time>]")
@click.option("--holdout", type=FILE, help="Real rows kept apart; every row of TABLE is then trained on.")
@click.option("--target", metavar="COL", help="The column that models predict; overrides the schema's.")
@click.option(
    "--rows",
    type=_rows,
    metavar="N|Nx",
    help="Synthetic rows to make, or a multiple of the real ones (5x).  [default: as many as TABLE has]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="Makes a run repeatable; drawn and recorded unless given."
)
@click.option("--generator", metavar="NAME", help="How rows are made; `list` explains.  [default: gan]")
@click.option("--epsilon", type=float, help="Differential privacy with this budget, for one patient.")
@click.option(
    "--audit",
    type=click.Choice(CLAIM_AUDITS),
    help="Train once more with planted rows, to test the claim of --epsilon.",
)
@click.option("--delta", type=float, help="Its chance of failure.  [default: at most 1e-6]")
@EFFORT
@click.option(
    "--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting of the generator; repeatable."
)
@CONDITIONS
@click.option("--balance", metavar="COL", help="Make the classes of this column equally frequent.")
@click.option(
    "--sharpen-labels",
    is_flag=True,
    help="Draw the target's labels more decisively than learned, for machine learning; effects come out too large.",
)
@click.option(
    "--copies",
    type=int,
    metavar="M",
    help="Make M tables that leave together: their spread says what the real rows leave open, for honest intervals.",
)
@click.option("--shadow-models", type=click.IntRange(0, 256), help="Trainings for the shadow-model attack (0 or 8 up).")
@click.option("--folds", type=click.IntRange(0, 50), help="Trainings for the cross-audit of small tables.")
@click.option(
    "--null-columns",
    type=click.IntRange(0, 50),
    help="Train once more with so many columns that depend on nothing: which effects are invented (0 or 4 up).",
)
@SOURCE
@REGISTER
@click.option("--force", is_flag=True, help="Replace a finished run in the run folder.")
@reported
def build(
    table: str | None, demo: bool, schema_file: Path | None, policy_name: str, out: Path | None,
    sheet: str | None, table_name: str | None, query: str | None, holdout: Path | None, **chosen: Any
) -> None:  # fmt: skip
    """Train on TABLE, make a synthetic table, audit it, and release it if the policy allows.

    TABLE is a file, or a database address with --table or --query.

    \b
    Exit code: 0 the policy says release, 3 refused, 4 undecided, 2 bad input, 1 could not finish.
    \b
    Examples:
      synthrelease build --demo --policy internal_sandbox
      synthrelease build patients.csv --schema schema.toml --policy partner_handoff --out runs/first
      synthrelease build patients.csv --schema schema.toml --condition "sex=F, age=60..80" --rows 500
    """
    if chosen["generator"] == "list":
        from synthrelease.cli import explain_view

        for line in explain_view.of_generators():
            click.echo(line)
        return
    chosen["overrides"] = _settings(chosen["overrides"])
    if demo == (table is not None):
        raise click.UsageError("Give either TABLE or --demo.")
    if demo and schema_file is not None:
        raise click.UsageError("--demo brings its own schema; leave --schema out.")

    from synthrelease.cli import places, progress_view, verdict_view
    from synthrelease.workflows import build as workflow

    options = BuildOptions(holdout=None if holdout is None else places.at_sheet(holdout, sheet), **chosen)
    place = None if table is None else places.chosen_place(table, sheet=sheet, table_name=table_name, query=query)
    with progress_view.screen() as screen, places.material(place, schema_file) as (real, meaning):
        result = workflow.build(
            real,
            schema_file=meaning,
            out=places.run_folder(out, real.stem),
            policy_name=policy_name,
            options=options,
            listener=screen,
        )
    verdict_view.show(result)


def _settings(texts: tuple[str, ...]) -> dict[str, float]:
    """Read NAME=VALUE; the generator knows the names and their ranges."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise click.BadParameter(f"{text!r} must read NAME=NUMBER.", param_hint="--set") from None
    return found


@click.command()
@click.argument("run", type=FILE)
@click.option(
    "--rows", type=_rows, metavar="N|Nx", required=True, help="Rows to make, or a multiple of the real ones (5x)."
)
@CONDITIONS
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes the rows repeatable; drawn unless given.")
@click.option("--out", type=FILE, help="A new file in the table's format.  [default: in RUN/quarantine]")
@reported
def sample(run: Path, rows: int | Multiple, conditions: tuple[str, ...], seed: int | None, out: Path | None) -> None:
    """Draw more rows from the generator of a finished build, RUN. They are not audited.

    \b
    Example:
      synthrelease sample runs/first --rows 100000
    """
    from synthrelease.workflows import sample as workflow

    done = workflow.sample(run, rows, out=out, seed=seed, wanted=conditions)
    click.echo(f"Wrote {done.rows:,} rows to {done.path} (seed {done.seed}).")
    for text in done.notices:
        click.echo(text)


@click.command()
@click.option("--train", type=FILE, required=True, help="Real rows that the synthetic table was made from.")
@click.option("--holdout", type=FILE, required=True, help="Real rows that its maker never saw.")
@click.option("--synthetic", type=FILE, required=True, help="The synthetic table to judge.")
@click.option("--reference", type=FILE, help="A further real sample that an attacker may hold.")
@click.option("--schema", "schema_file", type=FILE, required=True, help="What the columns mean.")
@POLICY
@click.option("--out", type=FILE, help="The run folder.  [default: reports/<synthetic>-<UTC time>]")
@SHEET
@click.option("--target", metavar="COL", help="The column that models predict; overrides the schema's.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes the audit repeatable.")
@SOURCE
@REGISTER
@click.option("--force", is_flag=True, help="Replace a finished run in the run folder.")
@reported
def audit(
    train: Path, holdout: Path, synthetic: Path, reference: Path | None, schema_file: Path, policy_name: str,
    out: Path | None, sheet: str | None, **chosen: Any,
) -> None:  # fmt: skip
    """Put a synthetic table that anything else made through the same gate.

    \b
    Example:
      synthrelease audit --train train.csv --holdout holdout.csv --synthetic vendor.csv \\
        --schema schema.toml --policy partner_handoff --out runs/vendor
    """
    from synthrelease.cli import places, progress_view, verdict_view
    from synthrelease.workflows import audit as workflow

    with progress_view.screen() as screen:
        result = workflow.audit(
            AuditTables(
                places.at_sheet(train, sheet),
                places.at_sheet(holdout, sheet),
                places.at_sheet(synthetic, sheet),
                None if reference is None else places.at_sheet(reference, sheet),
            ),
            schema_file=schema_file,
            out=places.run_folder(out, synthetic.stem),
            policy_name=policy_name,
            options=BuildOptions(**chosen),
            listener=screen,
        )
    verdict_view.show(result)


COMMANDS: tuple[click.Command, ...] = (build, audit, sample)
