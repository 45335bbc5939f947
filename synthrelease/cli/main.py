"""The command line: parse, call, print, choose the exit code. Nothing is decided here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from synthrelease.cli import explain_view, governance_commands, inspect_view, verdict_view
from synthrelease.cli.error_handling import reported
from synthrelease.core import files
from synthrelease.core.contracts import TrainingStep
from synthrelease.data.formats import Place, place_of
from synthrelease.governance import policy_file
from synthrelease.schema import schema_file as schema_reader
from synthrelease.synthesis import canary_audit, private_requirements
from synthrelease.synthesis.generators.autoregressive_gan.config import EFFORTS
from synthrelease.workflows import audit as audit_run
from synthrelease.workflows import balance as balance_workflow
from synthrelease.workflows import build as build_run
from synthrelease.workflows import demo_table as demonstration
from synthrelease.workflows import judge, run_options
from synthrelease.workflows import sample as sampling_run
from synthrelease.workflows.inspect import profile, schema_merge

_FILE = click.Path(path_type=Path)


def _effort(value: Any) -> float:
    """How long to train, as a name or a number."""
    try:
        return EFFORTS.get(str(value)) or float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor one of {', '.join(EFFORTS)}.") from None


_EFFORT = click.option(
    "--effort", type=_effort, default="standard", show_default=True, metavar="|".join(EFFORTS),
    help="How long to train: a name, or a number that multiplies the standard time.",
)  # fmt: skip
_SOURCE = click.option(
    "--source", metavar="NAME", help="Extracts of the same patients under one NAME count as one source."
)
_SHEET = click.option("--sheet", metavar="NAME", help="The sheet of a workbook that has more than one.")


def _chosen_rows(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which part of TABLE is meant."""
    name = click.option("--table", "table_name", metavar="NAME", help="The table to read; TABLE is a database address.")
    query = click.option("--query", metavar="SQL", help="The rows to read; TABLE is a database address.")
    return _SHEET(name(query(command)))


class _Screen:
    """Draws a run: a line a stage, a bar for training on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.last = 0.0

    def stage(self, title: str) -> None:
        """Print the stage."""
        self._end_bar()
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(title)}", soft_wrap=True)

    def notice(self, text: str) -> None:
        """Print the notice."""
        self._end_bar()
        self.console.print(f"[yellow]note:[/yellow] {escape(text)}", soft_wrap=True)

    def step(self, step: TrainingStep) -> None:
        """Move the bar, or print a line now and then where there is no terminal."""
        losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
        if not self.console.is_terminal:
            if time.monotonic() - self.last > 5 or step.step in (0, step.steps):
                self.last = time.monotonic()
                self.console.print(f"         update {step.step:,} of {step.steps:,}  {losses}")
            return
        if self.bar is None:
            columns = (BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f} updates"), TimeElapsedColumn())
            left = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, *left, console=self.console, transient=True)
            self.bar.add_task("", total=step.steps)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=step.step, description=losses)

    def _end_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    close = _end_bar


@contextmanager
def _screen() -> Iterator[_Screen]:
    screen = _Screen(Console(stderr=True, highlight=False))
    try:
        yield screen
    finally:
        screen.close()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="synthrelease")
def main() -> None:
    """Build synthetic tables, audit them, and release them only when a policy says so.

    \b
    Begin with:
      synthrelease build --demo
    With a table of your own:
      synthrelease inspect patients.csv --target readmitted --out schema.toml
      synthrelease build patients.csv --schema schema.toml --policy partner_handoff --out runs/first
    Where people must sign before the table may leave:
      synthrelease review runs/first
      synthrelease handoff runs/first --recipient "Partner" --out package.zip
    """


@main.command()
@click.argument("table", type=str)
@_chosen_rows
@click.option("--out", type=_FILE, help="Where to write the schema; printed when left out.")
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
    place = place_of(table, sheet=sheet, table=table_name, query=query)
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
    click.echo(f"  synthrelease build {_hint(place)} --schema {_quoted(out)} --out runs/first")


@main.command()
@click.argument("table", type=str, required=False)
@_chosen_rows
@click.option("--demo", is_flag=True, help="Use the Wisconsin breast-cancer table in place of TABLE.")
@click.option("--schema", "schema_file", type=_FILE, help="What the columns mean; drafted by `inspect`.")
@click.option(
    "--policy", "policy_name", default="partner_handoff", show_default=True, metavar="NAME_OR_FILE",
    help="The policy that decides; see `synthrelease policies`.",
)  # fmt: skip
@click.option("--out", type=_FILE, help="The run folder.  [default: reports/<table>-<UTC time>]")
@click.option("--holdout", type=_FILE, help="Real rows kept apart; every row of TABLE is then trained on.")
@click.option("--target", metavar="COL", help="The column that models predict; overrides the schema's.")
@click.option("--rows", type=int, help="Synthetic rows to make.  [default: as many as TABLE has]")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="Makes a run repeatable; drawn and recorded unless given."
)
@click.option("--generator", metavar="NAME", help="How rows are made; `list` explains.  [default: gan]")
@click.option("--epsilon", type=float, help="Differential privacy with this budget, for one patient.")
@click.option(
    "--audit",
    type=click.Choice(canary_audit.AUDITS),
    help="Train once more with planted rows, to test the claim of --epsilon.",
)
@click.option("--delta", type=float, help="Its chance of failure.  [default: at most 1e-6]")
@_EFFORT
@click.option(
    "--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One setting of the generator; repeatable."
)
@click.option(
    "--condition", "conditions", multiple=True, metavar="COL=WHAT",
    help="Make only such rows: sex=F, ward=A|B, age=60..80; commas join conditions.",
)  # fmt: skip
@click.option("--balance", metavar="COL", help="Make the classes of this column equally frequent.")
@click.option("--shadow-models", type=click.IntRange(0, 256), help="Trainings for the shadow-model attack (0 or 8 up).")
@click.option("--folds", type=click.IntRange(0, 50), help="Trainings for the cross-audit of small tables.")
@_SOURCE
@governance_commands.REGISTER
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
        for line in explain_view.of_generators():
            click.echo(line)
        return
    chosen["overrides"] = _settings(chosen["overrides"])
    options = run_options.BuildOptions(holdout=None if holdout is None else _at_sheet(holdout, sheet), **chosen)
    if demo == (table is not None):
        raise click.UsageError("Give either TABLE or --demo.")
    if table is not None and schema_file is None:
        raise click.UsageError(
            "TABLE needs --schema. Draft one: synthrelease inspect "
            f"{_hint(place_of(table, sheet=sheet, table=table_name, query=query))} --out schema.toml"
        )
    if demo and schema_file is not None:
        raise click.UsageError("--demo brings its own schema; leave --schema out.")
    with _screen() as screen:
        if table is None:
            with demonstration.demo() as (demo_table, demo_schema):
                target = _run_folder(out, demo_table.stem)
                result = build_run.build(
                    demo_table,
                    schema_file=demo_schema,
                    out=target,
                    policy_name=policy_name,
                    options=options,
                    listener=screen,
                )
        else:
            assert schema_file is not None  # noqa: S101 - refused above
            place = place_of(table, sheet=sheet, table=table_name, query=query)
            result = build_run.build(
                place,
                schema_file=schema_file,
                out=_run_folder(out, place.stem),
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


@main.command()
@click.argument("run", type=_FILE)
@click.option("--rows", type=click.IntRange(1), required=True, help="Rows to make.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="COL=WHAT",
    help="Make only such rows: sex=F, ward=A|B, age=60..80; commas join conditions.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes the rows repeatable; drawn unless given.")
@click.option("--out", type=_FILE, help="A new file in the table's format.  [default: in RUN/quarantine]")
@reported
def sample(run: Path, rows: int, conditions: tuple[str, ...], seed: int | None, out: Path | None) -> None:
    """Draw more rows from the generator of a finished build, RUN. They are not audited.

    \b
    Example:
      synthrelease sample runs/first --rows 100000
    """
    done = sampling_run.sample(run, rows, out=out, seed=seed, wanted=conditions)
    click.echo(f"Wrote {rows:,} rows to {done.path} (seed {done.seed}).")
    for text in done.notices:
        click.echo(text)


@main.command()
@click.option("--train", type=_FILE, required=True, help="Real rows that the synthetic table was made from.")
@click.option("--holdout", type=_FILE, required=True, help="Real rows that its maker never saw.")
@click.option("--synthetic", type=_FILE, required=True, help="The synthetic table to judge.")
@click.option("--reference", type=_FILE, help="A further real sample that an attacker may hold.")
@click.option("--schema", "schema_file", type=_FILE, required=True, help="What the columns mean.")
@click.option(
    "--policy", "policy_name", default="partner_handoff", show_default=True, metavar="NAME_OR_FILE",
    help="The policy that decides; see `synthrelease policies`.",
)  # fmt: skip
@click.option("--out", type=_FILE, help="The run folder.  [default: reports/<synthetic>-<UTC time>]")
@_SHEET
@click.option("--target", metavar="COL", help="The column that models predict; overrides the schema's.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Makes the audit repeatable.")
@_SOURCE
@governance_commands.REGISTER
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
    with _screen() as screen:
        result = audit_run.audit(
            run_options.AuditTables(
                _at_sheet(train, sheet),
                _at_sheet(holdout, sheet),
                _at_sheet(synthetic, sheet),
                None if reference is None else _at_sheet(reference, sheet),
            ),
            schema_file=schema_file,
            out=_run_folder(out, synthetic.stem),
            policy_name=policy_name,
            options=run_options.BuildOptions(**chosen),
            listener=screen,
        )
    verdict_view.show(result)


@main.command()
@click.argument("name", required=False)
@reported
def policies(name: str | None) -> None:
    """List the policies, or explain the policy NAME (a name or a TOML file) in plain words.

    \b
    Example:
      synthrelease policies partner_handoff
    """
    known = judge.known_checks()
    if name is not None:
        for line in explain_view.of_policy(policy_file.load(name, known), known):
            click.echo(line)
        return
    for each in policy_file.names():
        loaded = policy_file.load(each, known)
        blocking = sum(rule.severity == "block" for rule in loaded.rules)
        click.echo(f"{loaded.name} {loaded.version}: {loaded.title}")
        click.echo(f"    for {loaded.recipient}")
        click.echo(f"    {blocking} blocking rules, {len(loaded.rules) - blocking} that warn\n")
    click.echo("Explain one: synthrelease policies NAME. Make your own: copy its TOML file and change it.")
    click.echo(f"They lie in {policy_file.folder()}")


@main.command()
@click.argument("table", type=str)
@_chosen_rows
@click.option("--schema", "schema_file", type=_FILE, required=True, help="What the columns mean; drafted by `inspect`.")
@click.option(
    "--method", type=click.Choice(balance_workflow.METHODS), default="gan", show_default=True, help="How rows are made."
)
@click.option("--out", type=_FILE, required=True, help="The CSV file to write.")
@click.option("--target", metavar="COL", help="The class column; overrides the schema's.")
@click.option("--column", default="synthetic", show_default=True, metavar="NAME", help="Marks made rows with 1.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Makes it repeatable.")
@click.option("--generator", default="gan", show_default=True, metavar="NAME", help="The generator of --method gan.")
@_EFFORT
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
    with _screen() as screen:
        done = balance_workflow.balance(
            place_of(table, sheet=sheet, table=table_name, query=query),
            schema_file=schema_file,
            out=out,
            options=balance_workflow.BalanceOptions(**chosen),
            on_step=screen.step,
        )
        for text in done.notices:
            screen.notice(text)
    for label, rows in done.real.items():
        click.echo(f"{label}: {rows:,} real rows, {done.made.get(label, 0):,} made")
    click.echo(f"Wrote {out}; {chosen['column']} is 1 in made rows.")


@main.command()
@click.option("--experiment", type=click.IntRange(1, 3), required=True, help="1, 2, or 3, which goes beyond the paper.")
@click.option("--data", type=_FILE, required=True, help="The folder with the paper's tables.")
@click.option("--out", type=_FILE, default=Path("reports/paper"), show_default=True, help="Where results are kept.")
@click.option("--quick", is_flag=True, help="Three repetitions of 300 epochs of the small networks.")
@click.option("--as-published", is_flag=True, help="Also with the leak of the authors' code, named as such.")
@click.option("--repetitions", type=int, help="Trainings a row.  [default: 20 or 5, as the paper]")
@click.option("--epochs", type=int, help="Of the paper's networks.  [default: 1500]")
@click.option("--generator", "more", multiple=True, metavar="NAME", help="One more row; may be repeated.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one a core]")
@reported
def paper(experiment: Any, data: Path, out: Path, **chosen: Any) -> None:
    """Reproduce Tanaka & Aranha (2019), "Data Augmentation Using GANs", beside its published figures.

    A run that was stopped goes on where it was: give the same command again.

    \b
    Example:
      synthrelease paper --experiment 1 --data tables/ --quick --out reports/paper
    """
    from synthrelease.workflows.paper import experiments

    options = experiments.PaperOptions(experiment, data, out, **chosen)
    console = Console(stderr=True, highlight=False)
    done = experiments.reproduce(
        options, on_trial=lambda progress: console.print(_trial_line(progress), soft_wrap=True)
    )
    for line in done.lines:
        click.echo(line)
    click.echo(f"Report: {done.page}\nFigures: {done.table}")


def _trial_line(progress: Any) -> str:
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left / 60:,.0f} min left"
    last = f"  {escape(progress.last)}" if progress.last else ""
    return f"{progress.done:,} of {progress.trials:,} trials, {progress.seconds / 60:,.0f} min{left}{last}"


for each in governance_commands.COMMANDS:
    main.add_command(each)


def _at_sheet(path: Path, sheet: str | None) -> Place:
    """The place of a file; ``--sheet`` holds for each of several files that is a workbook."""
    place = place_of(path)
    return place_of(path, sheet=sheet) if place.has_sheets else place


def _hint(place: Place) -> str:
    """Spell a place for a command line to try; a database's address may hold a password and is left out."""
    if place.path is None:
        return f"DATABASE_ADDRESS {'--query SQL' if place.table is None else f'--table {place.table}'}"
    sheet = "" if place.sheet is None else f" --sheet '{place.sheet}'"
    return f"{_quoted(place.path)}{sheet}"


def _run_folder(out: Path | None, name: str) -> Path:
    if out is not None:
        return out
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "table"
    return Path("reports") / f"{stem}-{files.utc_now().replace(':', '')}"


def _quoted(path: Path) -> str:
    text = str(path)
    return f"'{text}'" if re.search(r"[^\w./-]", text) else text
