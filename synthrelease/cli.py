"""The command line: parse, call, print, choose the exit code. Nothing is decided here."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from synthrelease import conversation, inspection, merging, pipeline, policy, runs
from synthrelease.contracts import Policy, Rule, TrainingStep
from synthrelease.errors import SynthreleaseError
from synthrelease.formats import Place, place_of
from synthrelease.wording import limit_in_words

_WORDS = {"release": "RELEASE", "refuse": "DO NOT RELEASE", "undecided": "HUMAN REVIEW NEEDED"}
_COLOURS = {"release": "green", "refuse": "red", "undecided": "yellow"}
_FILE = click.Path(path_type=Path)


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


def _reported(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our own errors, a full disk and Ctrl-C into one message and an exit code; anything else is a bug."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except SynthreleaseError as error:
            _stop(f"Error: {error}", error.exit_code)
        except KeyboardInterrupt:
            _stop("Stopped. Nothing was released, and what the run had written has been cleared.", 1)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            _stop(f"Error: could not finish, because of the system: {error.strerror}{where}. Nothing was released.", 1)

    return wrapped


def _stop(message: str, code: int) -> None:
    click.echo(message, err=True)
    sys.exit(code)


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
    """


@main.command()
@click.argument("table", type=str)
@_chosen_rows
@click.option("--out", type=_FILE, help="Where to write the schema; printed when left out.")
@click.option("--target", metavar="COL", help="The column that models predict.")
@click.option("--unit", metavar="COL", help="The column that numbers the patients.")
@click.option("--missing", metavar="MARK", multiple=True, help="A mark that means missing; may be repeated.")
@click.option("--force", is_flag=True, help="Replace an existing schema file, edits and all.")
@_reported
def inspect(
    table: str, sheet: str | None, table_name: str | None, query: str | None,
    out: Path | None, target: str | None, unit: str | None, missing: tuple[str, ...], force: bool,
) -> None:  # fmt: skip
    """Draft a commented schema of TABLE (a file or a database address) for a person to review.

    It also says what to decide. An existing schema is brought up to date: what a person wrote in it stays.

    \b
    Example:
      synthrelease inspect patients.csv --target readmitted --unit patient_nbr --missing '?' --out schema.toml
    """
    place = place_of(table, sheet=sheet, table=table_name, query=query)
    known = merging.settings(out) if out is not None and out.exists() and not force else None
    found = inspection.inspect(place, target=target, unit=unit, missing=missing, known=known)
    conversation.show(found, Console(stderr=True, highlight=False))
    if out is None:
        click.echo(found.schema)
        return
    if known is not None:
        merged = merging.merge(out, found.schema, target=target, unit=unit)
        runs.write_text(out, merged.text)
        conversation.show_merged(merged, out, Console(stderr=True, highlight=False))
    else:
        runs.write_text(out, found.schema)
        click.echo(f"Drafted {out}. ", nl=False)
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
@click.option("--generator", default="gan", show_default=True, metavar="NAME", help="How rows are made.")
@click.option("--effort", type=float, default=1.0, show_default=True, help="Multiplies the training time.")
@click.option("--shadow-models", type=click.IntRange(0, 256), help="Trainings for the shadow-model attack (0 or 8 up).")
@click.option("--folds", type=click.IntRange(0, 50), help="Trainings for the cross-audit of small tables.")
@click.option("--force", is_flag=True, help="Replace a finished run in the run folder.")
@_reported
def build(
    table: str | None, demo: bool, schema_file: Path | None, policy_name: str, out: Path | None,
    sheet: str | None, table_name: str | None, query: str | None, holdout: Path | None, **chosen: Any
) -> None:  # fmt: skip
    """Train on TABLE, make a synthetic table, audit it, and release it if the policy allows.

    TABLE is a file, or a database address with --table or --query.

    \b
    Exit code: 0 released, 3 refused, 4 undecided, 2 bad input, 1 could not finish.
    \b
    Examples:
      synthrelease build --demo --policy internal_sandbox
      synthrelease build patients.csv --schema schema.toml --policy partner_handoff --out runs/first
    """
    options = pipeline.BuildOptions(holdout=None if holdout is None else _at_sheet(holdout, sheet), **chosen)
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
            with pipeline.demo() as (demo_table, demo_schema):
                target = _run_folder(out, demo_table.stem)
                result = pipeline.build(
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
            result = pipeline.build(
                place,
                schema_file=schema_file,
                out=_run_folder(out, place.stem),
                policy_name=policy_name,
                options=options,
                listener=screen,
            )
    _show(result)


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
@click.option("--force", is_flag=True, help="Replace a finished run in the run folder.")
@_reported
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
        result = pipeline.audit(
            pipeline.AuditTables(
                _at_sheet(train, sheet),
                _at_sheet(holdout, sheet),
                _at_sheet(synthetic, sheet),
                None if reference is None else _at_sheet(reference, sheet),
            ),
            schema_file=schema_file,
            out=_run_folder(out, synthetic.stem),
            policy_name=policy_name,
            options=pipeline.BuildOptions(**chosen),
            listener=screen,
        )
    _show(result)


@main.command()
@click.argument("name", required=False)
@_reported
def policies(name: str | None) -> None:
    """List the policies, or explain the policy NAME (a name or a TOML file) in plain words.

    \b
    Example:
      synthrelease policies partner_handoff
    """
    known = pipeline.known_checks()
    if name is not None:
        _explain(policy.load(name, known))
        return
    for each in policy.names():
        loaded = policy.load(each, known)
        blocking = sum(rule.severity == "block" for rule in loaded.rules)
        click.echo(f"{loaded.name} {loaded.version}: {loaded.title}")
        click.echo(f"    for {loaded.recipient}")
        click.echo(f"    {blocking} blocking rules, {len(loaded.rules) - blocking} that warn\n")
    click.echo("Explain one: synthrelease policies NAME. Make your own: copy its TOML file and change it.")
    click.echo(f"They lie in {policy.folder()}")


def _explain(loaded: Policy) -> None:
    known = pipeline.known_checks()
    click.echo(f"{loaded.name} {loaded.version}: {loaded.title}")
    if loaded.derived_from:
        click.echo(f"Derived from {loaded.derived_from}. It asks for less in {len(loaded.loosened)} points:")
        for item in loaded.loosened:
            click.echo(f"  {item}")
    click.echo(f"For {loaded.recipient}. To be signed by: {', '.join(loaded.sign_off)}.")
    click.echo(
        f"A rule is met when the whole interval (each end at {loaded.confidence:.0%} confidence) is within the limit,\n"
        "breached when the whole interval lies beyond it, and has no evidence otherwise.\n"
        "A breached blocking rule refuses the table; a blocking rule without evidence leaves it undecided."
    )
    demands = _demands(loaded)
    if demands:
        click.echo(f"Real tables are made coarser first: {'; '.join(demands)}.")
    for severity, title in (("block", "Blocking rules"), ("warn", "Rules that warn")):
        click.echo(f"\n{title}")
        for rule in (rule for rule in loaded.rules if rule.severity == severity):
            spec = next(spec for spec in known[rule.check].metrics if spec.name == rule.metric)
            click.echo(f"  {spec.question}")
            click.echo(
                f"    {rule.metric}: {limit_in_words(rule, spec.unit)}; at least {rule.min_n:,} {_counted(rule)} to "
                f"decide, at {rule.confidence:.0%} confidence"
            )
            click.echo(
                f"    measured by: {known[rule.check].title.lower()}. {_first_sentence(known[rule.check].about)}"
            )
            click.echo(f"    why: {rule.why}")
            click.echo(f"    source: {rule.source}")


def _counted(rule: Rule) -> str:
    """What a rule's smallest number counts."""
    return {"shadow": "shadow models", "self_test": "patients"}.get(rule.check, "rows")


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".") + "."


def _demands(loaded: Policy) -> list[str]:
    """What a policy wants coarser, in words."""
    wants = loaded.generalise
    dates = {"shift": "dates are moved by random weeks", None: ""}.get(
        wants.dates, f"of dates the {wants.dates} is kept"
    )
    ages = "" if wants.ages is None else f"ages above {wants.ages:g} are one group"
    steps = [f"numbers of role {role} are rounded to {step:g}" for role, step in wants.round_to.items()]
    return [text for text in (dates, ages, "postcodes keep three characters" if wants.zip3 else "", *steps) if text]


def _show(result: pipeline.Outcome) -> None:
    """Print the verdict, what decided it, where the report is, and what to do next; exit by the verdict."""
    verdict, console = result.verdict, Console(highlight=False)
    decision = verdict.decision
    name = f"{verdict.policy.name} {verdict.policy.version}"
    console.print(f"\n[bold {_COLOURS[decision]}]{_WORDS[decision]}[/] under the policy {escape(name)}")
    console.print(escape(verdict.deciding), soft_wrap=True)
    warnings = [o for o in verdict.outcomes if o.rule.severity == "warn" and o.outcome != "met"]
    for outcome in warnings:
        state = "breached" if outcome.outcome == "breached" else "no evidence"
        console.print(
            f"[yellow]warning[/] ({state}): {escape(outcome.question)} [dim]{outcome.rule.metric}[/]", soft_wrap=True
        )
    console.print(f"Report: {escape(str(result.report))}", soft_wrap=True)
    if result.released is not None:
        console.print(f"Released table: {escape(str(result.released))}", soft_wrap=True)
    console.print(_next_step(result), soft_wrap=True)
    sys.exit(result.exit_code)


def _next_step(result: pipeline.Outcome) -> str:
    *most, last = result.verdict.policy.sign_off
    who = f"{', '.join(most)} and {last}" if most else last
    if result.verdict.decision == "release":
        recipient = result.verdict.policy.recipient
        return f"Next: read the report and have it signed by the {who}; then the folder release/ may go to {recipient}."
    stays = "Next: read the report's first page. The table stays in quarantine/."
    if result.verdict.decision == "undecided":
        return (
            f"{stays} More rows in the holdout, or a policy for a closer circle of recipients, may decide it; else the "
            f"{who} must judge by other means."
        )
    if result.facts.generator == "unknown":
        return f"{stays} Give the findings to whoever made it."
    known = pipeline.known_checks()
    breached = [o for o in result.verdict.outcomes if o.outcome == "breached" and o.rule.severity == "block"]
    if any(known[outcome.rule.check].family == "privacy" for outcome in breached):
        return (
            f"{stays} It is too close to real patients: train less (--effort 0.5) or declare coarser columns. Trying "
            "seeds until one passes is no remedy."
        )
    return f"{stays} Its quality is too low: train longer (--effort 3), or merge or exclude the columns it names."


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
    return Path("reports") / f"{stem}-{runs.utc_now().replace(':', '')}"


def _quoted(path: Path) -> str:
    text = str(path)
    return f"'{text}'" if re.search(r"[^\w./-]", text) else text
