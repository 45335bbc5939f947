"""The whole flow, top to bottom: from a real table to a verdict.

``build`` trains, generates, audits, decides and reports. ``audit`` does the same for a table that anything else made,
from the audit on. Both give back an ``Outcome`` with the very objects that the report shows.
"""

from __future__ import annotations

import json
import platform
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthrelease import (
    budget,
    bundle,
    checks,
    constraints,
    drafting,
    generators,
    patients,
    policy,
    record,
    repairs,
    report,
    runs,
    schema,
    tables,
)
from synthrelease import levels as label_levels
from synthrelease.audit import MINIMUM_ROWS, NOT_TESTED
from synthrelease.audit import run as run_checks
from synthrelease.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    Figure,
    FitSettings,
    Fitted,
    Line,
    Policy,
    RunFacts,
    Schema,
    Split,
    Table,
    TrainingStep,
    Verdict,
)
from synthrelease.errors import InputError
from synthrelease.runs import RunFolder

EXIT_CODES: Mapping[str, int] = {"release": 0, "refuse": 3, "undecided": 4}

NOTABLE_SHARE = 0.05
"""More rows than this left out for breaking a constraint are worth a notice."""


class Listener(Protocol):
    """Hears how a run goes on; the command line draws it."""

    def stage(self, title: str) -> None:
        """A new stage has begun."""
        ...

    def step(self, step: TrainingStep) -> None:
        """Training has come so far."""
        ...

    def notice(self, text: str) -> None:
        """Something the steward should know."""
        ...


class Silent:
    """A listener that says nothing."""

    def stage(self, title: str) -> None:
        """Ignore it."""

    def step(self, step: TrainingStep) -> None:
        """Ignore it."""

    def notice(self, text: str) -> None:
        """Ignore it."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a steward may set for a build.

    ``holdout``: real rows kept apart by the steward; every row of the table is then trained on. ``rows``: synthetic
    rows (as many as the table has, unless said). ``seed``: fixes everything random; drawn afresh and recorded unless
    given. ``effort`` multiplies the training time.
    """

    holdout: Path | None = None
    target: str | None = None
    rows: int | None = None
    seed: int | None = None
    generator: str = "gan"
    effort: float = 1.0
    force: bool = False


@dataclass(frozen=True, slots=True)
class AuditTables:
    """The tables of an audit: what the maker of ``synthetic`` trained on, what it never saw, and what it made.

    ``reference`` is a further real sample that attackers may hold; without it attacks cross-fit one from the holdout.
    """

    train: Path
    holdout: Path
    synthetic: Path
    reference: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run: the verdict, what it rests on, and where it lies. ``released`` is the released table, if any."""

    verdict: Verdict
    results: tuple[CheckResult, ...]
    facts: RunFacts
    folder: Path
    released: Path | None

    @property
    def exit_code(self) -> int:
        """0 release, 3 refuse, 4 undecided."""
        return EXIT_CODES[self.verdict.decision]

    @property
    def report(self) -> Path:
        """The internal report."""
        return self.folder / "internal" / "report.html"


@dataclass(slots=True)
class _Run:
    """What a run gathers on its way to the report."""

    schema: Schema
    schema_file: Path
    policy: Policy
    seed: int
    listener: Listener
    source: str
    created: str = field(default_factory=runs.utc_now)
    seconds: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    generator: str = ""
    history: tuple[Figure, ...] = ()
    packages: tuple[str, ...] = ("numpy", "pandas", "scikit-learn", "faiss-cpu")

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a stage and time it."""
        self.listener.stage(title)
        started = time.perf_counter()
        yield
        self.seconds[title] = round(time.perf_counter() - started, 2)

    def notice(self, text: str) -> None:
        """Tell the steward now, and the reader of the report later."""
        self.notices.append(text)
        self.listener.notice(text)

    def left_out(self, share: float) -> None:
        """Say that so many rows broke a constraint and were left out, where that may bend the table."""
        if share > NOTABLE_SHARE:
            self.notice(
                f"{share:.0%} of the rows drawn broke a constraint and others were drawn instead, so that the columns "
                "it names may be distributed otherwise than in the real table."
            )

    def started(self) -> dict[str, Any]:
        """What ``run.json`` says while the run is under way."""
        return {"created": self.created, "source": self.source, "policy": self.policy.name}


def build(
    table: Path | str,
    *,
    schema_file: Path | str,
    out: Path | str,
    policy_name: str = "partner_handoff",
    options: BuildOptions | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Train on a real table, generate a synthetic one, audit it, decide by the policy and write the run folder.

    Args:
        table: CSV or Parquet file with one row a patient or encounter.
        schema_file: what the columns mean; ``synthrelease inspect`` drafts one.
        out: the run folder to make.
        policy_name: a policy that comes with the package, or a TOML file.
        options: see ``BuildOptions``.
        listener: hears stages, training steps and notices.

    Raises:
        InputError: something handed over breaks a rule; nothing has been written then.
        TrainingError: the generator could not be trained; the run folder is cleared.
    """
    options, table = options or BuildOptions(), Path(table)
    _check(options)
    rules = policy.load(policy_name, known_checks())
    meaning = schema.load(Path(schema_file), target=options.target)
    fit = generators.load(options.generator)
    run = _Run(meaning, Path(schema_file), rules, _seed(options), listener or Silent(), table.name)
    with run.stage("Reading the table"):
        source = tables.read(table, meaning)
        constraints.check(source.table)
        split, layout = _learned_levels(run, source, _split(run, source, options))
    rows = options.rows or len(source.table)
    run.packages += ("torch",)
    run.settings |= {"rows": rows, "effort": options.effort, "holdout": "file" if options.holdout else "split"}
    with runs.claimed(Path(out), force=options.force, started=run.started()) as folder:
        for text in folder.notices:
            run.notice(text)
        with run.stage("Training the generator"):
            settings = FitSettings(seed=_derived(run.seed, "fit"), effort=options.effort)
            fitted = fit(split.train, settings, run.listener.step)
            fitted.save(folder.internal)
            rules_of_rows, habits = _learned_habits(run, folder, split.train)
            run.generator, run.history = options.generator, _history(fitted)
            run.settings |= dict(fitted.description)
        with run.stage("Generating synthetic rows"):
            quarantined = folder.quarantine / f"synthetic.{layout.format}"
            frames = patients.dealt(
                repairs.obeying(fitted, rules_of_rows, rows, seed=_derived(run.seed, "sample"), on_end=run.left_out),
                habits,
                unit=meaning.unit,
                seed=_derived(run.seed, "patients"),
                mend=lambda frame: repairs.mended(frame, rules_of_rows, seed=_derived(run.seed, "mend")),
            )
            tables.write(frames, layout, quarantined, seed=_derived(run.seed, "surrogates"))
            made = _read_back(run, quarantined, split.train.schema, {})
        evidence = Evidence(split.train, split.holdout, made, _derived(run.seed, "audit"), rules.confidence)
        run.digests |= _input_digests(folder, {"table": table, "holdout": options.holdout})
        return _judge(run, folder, evidence, quarantined, budget.result(fitted.spends))


def audit(
    files: AuditTables,
    *,
    schema_file: Path | str,
    out: Path | str,
    policy_name: str = "partner_handoff",
    options: BuildOptions | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Put a synthetic table that anything else made through the same checks, policy and report.

    Of ``options`` only ``target``, ``seed`` and ``force`` apply. Raises as ``build`` does.
    """
    options = options or BuildOptions()
    rules = policy.load(policy_name, known_checks())
    meaning = schema.load(Path(schema_file), target=options.target)
    run = _Run(meaning, Path(schema_file), rules, _seed(options), listener or Silent(), files.synthetic.name)
    with run.stage("Reading the tables"):
        train = tables.read(files.train, meaning, minimum_rows=MINIMUM_ROWS)
        constraints.check(train.table)
        holdout = _kept_apart(run, files.holdout)
        tables.check_disjoint(train, holdout)
        known = label_levels.learned(train.table, min_cell=rules.min_cell)
        synthetic = _coded(run, tables.read(files.synthetic, meaning, origin="synthetic"), known)
        reference = None if files.reference is None else _kept_apart(run, files.reference)
        if reference is not None:
            tables.check_disjoint(train, reference)
            tables.check_disjoint(holdout, reference)
    run.generator = "unknown"
    with runs.claimed(Path(out), force=options.force, started=run.started()) as folder:
        for text in folder.notices:
            run.notice(text)
        quarantined = folder.quarantine / f"synthetic.{synthetic.layout.format}"
        # Written anew and not copied: whatever stands in its identifier and text columns is replaced.
        tables.write(
            [tables.numbered(synthetic.table)], synthetic.layout, quarantined, seed=_derived(run.seed, "surrogates")
        )
        run.notice("Identifiers and withheld columns of the synthetic table are replaced in the table to hand over.")
        made = _read_back(run, quarantined, known, synthetic.table.outside)
        real, apart = (label_levels.coded(side.table, known) for side in (train, holdout))
        others = None if reference is None else label_levels.coded(reference.table, known)
        evidence = Evidence(real, apart, made, _derived(run.seed, "audit"), rules.confidence, others)
        run.digests |= _input_digests(folder, asdict(files))
        return _judge(run, folder, evidence, quarantined, budget.result(None))


def _read_back(run: _Run, path: Path, meaning: Schema, outside: Mapping[str, int]) -> Table:
    """Take the digest of the table in quarantine and read it: what is audited is what would be handed over."""
    run.digests["synthetic (SHA-256)"] = bundle.sha256(path)
    table = tables.read(path, meaning, origin="synthetic").table
    return replace(table, outside={**table.outside, **outside})


def demo_files(folder: Path) -> tuple[Path, Path]:
    """Write the Wisconsin breast-cancer table that scikit-learn carries, and a drafted schema: (table, schema)."""
    table, schema_file = folder / "wisconsin-breast-cancer.csv", folder / "schema.toml"
    tables.demo(table)
    draft = drafting.draft(table, target="diagnosis")
    schema_file.write_text(f'purpose = "to show what synthrelease does"\n{_without_purpose(draft)}', encoding="utf-8")
    return table, schema_file


def _without_purpose(draft: str) -> str:
    return "\n".join(line for line in draft.splitlines() if not line.startswith("purpose ="))


@contextmanager
def demo() -> Iterator[tuple[Path, Path]]:
    """The demonstration table and its schema, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="synthrelease-demo-") as folder:
        yield demo_files(Path(folder))


def _judge(run: _Run, folder: RunFolder, evidence: Evidence, table: Path, ledger: CheckResult) -> Outcome:
    """Audit, decide, write the internal files, and release the table if the verdict says so."""
    with run.stage("Auditing the synthetic table"):
        results = (*run_checks(evidence, on_check=lambda title: run.listener.stage(f"  {title}")), ledger)
    verdict = policy.decide(run.policy, results, known_checks())
    (folder.internal / "schema.toml").write_bytes(run.schema_file.read_bytes())
    facts = _facts(run, folder, evidence)
    with run.stage("Writing the report"):
        runs.write_text(folder.internal / "policy.toml", run.policy.text)
        runs.write_json(folder.internal / "ledger.json", {"claim": None, "spends": [], "note": ledger.note})
        runs.write_json(folder.internal / "audit.json", record.audit_record(verdict, results, facts))
        runs.write_text(folder.internal / "report.html", report.render(verdict, results, facts, known_checks()))
    released = verdict.decision == "release"
    if released:
        bundle.stage(folder, table, facts, verdict)
    folder.record("finished", record.run_record(verdict, facts, run.seed, EXIT_CODES[verdict.decision]))
    if released:
        bundle.publish(folder)
    return Outcome(verdict, results, facts, folder.path, folder.release / table.name if released else None)


def known_checks() -> Mapping[str, CheckSpec]:
    """Every check that a policy's rule may name: those that are measured, and the privacy ledger."""
    return {**checks.specs(), budget.SPEC.name: budget.SPEC}


def _check(options: BuildOptions) -> None:
    if options.rows is not None and options.rows < MINIMUM_ROWS:
        raise InputError(
            f"--rows must be at least {MINIMUM_ROWS}, or nothing can be audited, however it is {options.rows}."
        )
    if not 0 < options.effort <= 100:
        raise InputError(f"--effort must lie above 0 and at most at 100, however it is {options.effort}. Try 1.")


def _seed(options: BuildOptions) -> int:
    return secrets.randbelow(2**31) if options.seed is None else options.seed


def _derived(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that one stage's draws never depend on another's."""
    words = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)
    return int(words[0] >> 1)


def _split(run: _Run, source: tables.Source, options: BuildOptions) -> Split:
    if options.holdout is None:
        return tables.split(source.table, seed=_derived(run.seed, "split"))
    holdout = _kept_apart(run, options.holdout)
    tables.check_disjoint(source, holdout)
    return Split(source.table, holdout.table)


def _learned_levels(run: _Run, source: tables.Source, split: Split) -> tuple[Split, tables.Layout]:
    """Learn the labels that the schema leaves open from the training rows, and code both sides by them."""
    meaning = label_levels.learned(split.train, min_cell=run.policy.min_cell)
    for name, cells in label_levels.merged(split.train, meaning).items():
        run.notice(
            f"{name!r}: {len(meaning.column(name).categories):,} labels were learned; {cells:,} training cells with "
            f"labels of fewer than {run.policy.min_cell} patients stand as {meaning.column(name).other or 'missing'!r}."
        )
    both = Split(label_levels.coded(split.train, meaning), label_levels.coded(split.holdout, meaning))
    return both, label_levels.laid_out(source.layout, meaning)


def _coded(run: _Run, made: tables.Source, known: Schema) -> tables.Source:
    """Code a vendor's table by the learned labels, so that it is handed over without any other label."""
    for name, cells in label_levels.merged(made.table, known).items():
        if cells:
            run.notice(f"{name!r}: {cells:,} synthetic cells hold labels of too few training patients; replaced.")
    return tables.Source(label_levels.coded(made.table, known), label_levels.laid_out(made.layout, known))


def _learned_habits(run: _Run, folder: RunFolder, train: Table) -> tuple[repairs.Plan, patients.Habits | None]:
    """Learn how rows obey the constraints and belong to patients; the latter is noted in ``model.json``."""
    plan = repairs.plan(train, min_cell=run.policy.min_cell)
    habits = patients.habits(train, min_cell=run.policy.min_cell)
    if habits is not None:
        path = folder.internal / "model.json"
        runs.write_json(path, {**json.loads(path.read_text(encoding="utf-8")), "patients": habits.to_json()})
        run.notice(patients.NOT_MODELLED)
    elif train.units is not None:
        run.notice("Too few patients have several rows to learn from: each synthetic row is a patient of its own.")
    return plan, habits


def _kept_apart(run: _Run, path: Path) -> tables.Source:
    """Read real rows that no generator sees. Nothing is learned from them, so a cell outside the domain is no fault.

    Raises:
        InputError: the file does not fit the schema, or does not say which patient a row belongs to.
    """
    source = tables.read(path, run.schema, origin="synthetic", minimum_rows=MINIMUM_ROWS)
    table = source.table
    if run.schema.unit is not None and table.units is None:
        raise InputError(
            f"Real rows must name their patient in {run.schema.unit!r}, however {path.name} has no such column. Add it."
        )
    for name, cells in table.outside.items():
        number = run.schema.column(name).is_number
        what = "kept for the audit" if number else "counted as missing"
        run.notice(f"{path.name}, column {name!r}: {cells:,} outside what the schema declares, {what}.")
    return replace(source, table=replace(table, origin="real", outside={}))


def _input_digests(folder: RunFolder, files: Mapping[str, Path | None]) -> dict[str, str]:
    """HMAC-SHA256 of the real files under a key that stays inside: a plain hash of a small table can be guessed."""
    key = secrets.token_bytes(32)
    runs.write_text(folder.internal / "digest.key", key.hex() + "\n")
    (folder.internal / "digest.key").chmod(0o600)
    return {f"{name} (HMAC)": tables.digest(path, key) for name, path in files.items() if path is not None}


def _history(fitted: Fitted) -> tuple[Figure, ...]:
    """The training losses as a figure."""
    steps = fitted.history
    names = sorted({name for step in steps for name in step.losses})
    lines = tuple(
        Line(
            name,
            tuple(float(step.step) for step in steps if name in step.losses),
            tuple(float(step.losses[name]) for step in steps if name in step.losses),
        )
        for name in names
    )
    figure = Figure(
        name="training",
        kind="curve",
        title="Training losses",
        caption="Losses that settle show that training came to rest; they say nothing about privacy or quality.",
        x_label="update",
        y_label="loss",
        lines=lines,
    )
    return (figure,) if lines else ()


def _facts(run: _Run, folder: RunFolder, evidence: Evidence) -> RunFacts:
    meaning = run.schema
    sizes = {"train": evidence.train, "holdout": evidence.holdout, "synthetic": evidence.synthetic}
    digests = {
        **run.digests,
        "schema (SHA-256)": meaning.digest,
        "policy (SHA-256)": run.policy.digest,
    }
    return RunFacts(
        run=folder.path.resolve().name,
        source=run.source,
        created=run.created,
        purpose=meaning.purpose or "not stated in the schema",
        generator=run.generator,
        settings=dict(run.settings),
        rows={name: len(table) for name, table in sizes.items()},
        columns=record.column_facts(meaning),
        target=meaning.target,
        unit="row" if meaning.unit is None else f"patient (column {meaning.unit})",
        digests=digests,
        versions={name: metadata.version(name) for name in ("synthrelease", *run.packages)}
        | {"python": platform.python_version()},
        seconds=dict(run.seconds),
        not_tested=NOT_TESTED,
        notices=tuple(run.notices),
        history=run.history,
    )


__all__ = ["AuditTables", "BuildOptions", "Outcome", "audit", "build", "demo", "known_checks"]
