"""The whole flow, top to bottom: from a real table to a verdict.

``build`` trains, generates, audits, decides and reports. ``audit`` does the same for a table that anything else made,
from the audit on. Both give back an ``Outcome`` with the very objects that the report shows.
"""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path

from synthrelease import (
    budget,
    canary,
    checks,
    conditions,
    constraints,
    filing,
    gate,
    generators,
    history,
    outcomes,
    patients,
    policy,
    promise,
    record,
    refitting,
    repairs,
    report,
    runs,
    schema,
    tables,
    trail,
    transforms,
)
from synthrelease import levels as label_levels
from synthrelease.audit import MINIMUM_ROWS, NOT_TESTED
from synthrelease.audit import run as run_checks
from synthrelease.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    FitSettings,
    Generator,
    Policy,
    PrivacyClaim,
    Refits,
    RunFacts,
    Schema,
    Split,
    Table,
    Verdict,
)
from synthrelease.demonstration import demo, demo_files
from synthrelease.errors import InputError
from synthrelease.filing import Filing
from synthrelease.formats import Place, place_of
from synthrelease.intake import (
    Listener,
    Run,
    Silent,
    coarse,
    coarsen,
    coded,
    derived,
    kept_apart,
    learned_levels,
    parted,
    training_table,
)
from synthrelease.making import Maker, Wish
from synthrelease.runs import RunFolder
from synthrelease.trail import Trail

EXIT_CODES: Mapping[str, int] = {"release": 0, "refuse": 3, "undecided": 4}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a steward may set for a build.

    ``holdout``: real rows kept apart by the steward; every row of the table is then trained on. ``rows``: synthetic
    rows (as many as the table has, unless said). ``seed``: fixes everything random; drawn afresh and recorded unless
    given. ``generator``: "gan" unless named, and "marginals" with ``epsilon``. ``epsilon`` and ``delta``: the budget of
    differential privacy. ``effort`` multiplies the training time, ``overrides`` are single settings of the generator.
    ``conditions``: what every row must meet, as ``conditions.parsed`` reads it; ``balance``: a column whose classes are
    made equally frequent. ``shadow_models`` and ``folds``: how many times the generator is trained again
    for the shadow-model attack and the cross-audit (as the policy says, unless given). ``register``: the folder of the
    register (``register.place`` says which unless given); ``source``: under which name several extracts of the same
    patients count as one. ``audit``: "canary" trains once more, with planted rows, to test the claim of ``epsilon``.
    """

    holdout: Path | Place | None = None
    target: str | None = None
    rows: int | None = None
    seed: int | None = None
    generator: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    effort: float = 1.0
    overrides: Mapping[str, float] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    balance: str | None = None
    force: bool = False
    shadow_models: int | None = None
    folds: int | None = None
    register: Path | None = None
    source: str | None = None
    audit: str | None = None


@dataclass(frozen=True, slots=True)
class AuditTables:
    """The tables of an audit: what the maker of ``synthetic`` trained on, what it never saw, and what it made.

    ``reference`` is a further real sample that attackers may hold; without it attacks cross-fit one from the holdout.
    """

    train: Path | Place
    holdout: Path | Place
    synthetic: Path | Place
    reference: Path | Place | None = None


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


def build(
    table: Path | str | Place,
    *,
    schema_file: Path | str,
    out: Path | str,
    policy_name: str = "partner_handoff",
    options: BuildOptions | None = None,
    listener: Listener | None = None,
) -> Outcome:
    """Train on a real table, generate a synthetic one, audit it, decide by the policy and write the run folder.

    Args:
        table: a file with one row a patient or encounter, or ``place_of(...)`` for a sheet or a database's table.
        schema_file: what the columns mean; ``synthrelease inspect`` drafts one.
        out: the run folder to make.
        policy_name: a policy that comes with the package, or a TOML file.
        options: see ``BuildOptions``.
        listener: hears stages, training steps and notices.

    Raises:
        InputError: something handed over breaks a rule; nothing has been written then.
        TrainingError: the generator could not be trained; the run folder is cleared.
        ClaimError: planted rows refute the claim; the run folder is cleared.
    """
    options, table = options or BuildOptions(), place_of(table)
    _check(options)
    rules = policy.load(policy_name, known_checks())
    meaning = schema.load(Path(schema_file), target=options.target)
    name = options.generator or (generators.DEFAULT if options.epsilon is None else generators.PRIVATE[0])
    fit = generators.load(name)
    ordered = bool(options.conditions) or options.balance is not None
    promise.check(options.epsilon, options.delta, meaning, rules, generator=name, ordered=ordered)
    run = Run(meaning, Path(schema_file), rules, _seed(options), listener or Silent(), table.name)
    coarsen(run)
    with run.stage("Reading the table"):
        exact = training_table(run, table)
        source = coarse(run, exact)
        constraints.check(source.table)
        split = _split(run, options, exact, source.table)
        found = promise.learned(split.train, options.epsilon, options.delta, min_cell=rules.min_cell)
        split, look = learned_levels(run, source, split, found)
        wish, leading = _wish(options, split, rules.min_cell)
    real_rows = sum(int(conditions.meets(wish.conditions, each.frame).sum()) for each in (split.train, split.holdout))
    rows = options.rows or (max(real_rows, MINIMUM_ROWS) if wish.conditions else len(source.table))
    run.packages += ("torch",)
    run.settings |= {"rows": rows, "effort": options.effort, "holdout": "file" if options.holdout else "split"}
    run.settings |= {"conditions": ", ".join(each.words for each in wish.conditions)} if wish.conditions else {}
    run.settings |= {"balanced": options.balance} if options.balance else {}
    noted = _trail(run, options, exact.digest or table)
    with runs.claimed(Path(out), force=options.force, started=run.started()) as folder:
        filing.begin(run, folder, noted, event="build")
        with run.stage("Training the generator"):
            privacy = None if found is None else found.budget
            settings = FitSettings(derived(run.seed, "fit"), options.effort, options.overrides, leading, privacy)
            started = time.perf_counter()
            maker = _trained(run, split.train, fit, settings)
            took = time.perf_counter() - started
            maker.save(folder.internal)
            if run.claim is not None:
                look, rows = promise.public_look(look), _private_rows(options, run.claim, maker, rows)
        if options.audit is not None:
            _audit_claim(run, split.train, fit, settings)
        with run.stage("Generating synthetic rows"):
            quarantined = folder.quarantine / f"synthetic.{look.format}"
            frames = maker.frames(rows, wish, seed=lambda purpose: derived(run.seed, purpose), on_end=run.left_out)
            tables.write(frames, look, quarantined, seed=derived(run.seed, "surrogates"))
            made = _read_back(run, quarantined, split.train.schema, {})
        evidence = _evidence(run, split, made, wish)
        if not wish.conditions and not wish.classes:
            again = refitting.Refitting(fit, settings, rules.min_cell)
            evidence = replace(evidence, refits=replace(_refits(options, rules, again), seconds=took))
        run.digests |= _input_digests(folder, {"table": exact.digest or table, "holdout": options.holdout})
        return _judge(
            run,
            Filing(folder, quarantined, noted),
            evidence,
            budget.result(run.claim, units=promise.units_of(split.train)),
        )


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

    Of ``options`` only ``target``, ``seed``, ``force``, ``register`` and ``source`` apply. Raises as ``build`` does.
    """
    options = options or BuildOptions()
    _check_are_files(*(place for _, place in _each(files)))
    rules = policy.load(policy_name, known_checks())
    meaning = schema.load(Path(schema_file), target=options.target)
    run = Run(meaning, Path(schema_file), rules, _seed(options), listener or Silent(), files.synthetic.name)
    coarsen(run, is_audit=True)
    with run.stage("Reading the tables"):
        exact = training_table(run, files.train, minimum_rows=MINIMUM_ROWS)
        apart = [kept_apart(run, place) for place in (files.holdout, files.reference) if place is not None]
        for at, other in enumerate(apart):
            for earlier in (exact, *apart[:at]):
                tables.check_disjoint(earlier, other)
        train = coarse(run, exact).table
        constraints.check(train)
        known = label_levels.learned(train, min_cell=rules.min_cell)
        made = coded(run, coarse(run, tables.read(files.synthetic, run.wanted, origin="synthetic")), known)
        if made.layout.notice:
            run.notice(made.layout.notice)
        real = [label_levels.coded(each, known) for each in (train, *(coarse(run, each).table for each in apart))]
    run.generator = "unknown"
    noted = _trail(run, options, exact.digest or files.train)
    with runs.claimed(Path(out), force=options.force, started=run.started()) as folder:
        filing.begin(run, folder, noted, event="audit")
        quarantined = folder.quarantine / f"synthetic.{made.layout.format}"
        # Written anew and not copied: whatever stands in its identifier and text columns is replaced.
        tables.write([tables.numbered(made.table)], made.layout, quarantined, seed=derived(run.seed, "surrogates"))
        if replaced := [column.name for column in known.columns if column not in known.learned]:
            run.notice(f"Replaced in what would be handed over, not learned nor audited: {', '.join(replaced)}.")
        judged = _read_back(run, quarantined, known, made.table.outside)
        evidence = Evidence(
            real[0], real[1], judged, derived(run.seed, "audit"), rules.confidence, real[2] if len(real) > 2 else None
        )
        run.digests |= _input_digests(folder, dict(_each(files)))
        return _judge(run, Filing(folder, quarantined, noted), evidence, budget.result(None, made_here=False))


def _read_back(run: Run, path: Path, meaning: Schema, outside: Mapping[str, int]) -> Table:
    """Take the digest of the table in quarantine and read it: what is audited is what would be handed over."""
    run.digests["synthetic (SHA-256)"] = outcomes.sha256(path)
    table = tables.read(path, meaning, origin="synthetic").table
    return replace(table, outside={**table.outside, **outside})


def _trail(run: Run, options: BuildOptions, what: Path | Place | bytes) -> Trail:
    """Find the source in the register, and refuse it before anything is written if the policy's caps are reached."""
    found = trail.of_source(options.register, what, name=run.source, alias=options.source)
    trail.check(found, run.policy, asked=options.epsilon or 0.0)
    return found


def _judge(run: Run, filed: Filing, evidence: Evidence, ledger: CheckResult) -> Outcome:
    """Audit, decide, write the internal files, and release the table if the verdict says so and nobody must sign."""
    with run.stage("Auditing the synthetic table"):
        results = (*run_checks(evidence, on_check=lambda title: run.listener.stage(f"  {title}")), ledger)
    verdict = gate.decide(run.policy, results, known_checks())
    facts = _facts(run, filed.folder, evidence)
    with run.stage("Writing the report"):
        page = report.render(verdict, results, facts, known_checks())
        filed.write(run, verdict, results, facts, page=page, note=ledger.note)
    is_released = filed.finish(
        verdict, facts, record.run_record(verdict, facts, run.seed, EXIT_CODES[verdict.decision])
    )
    released = filed.folder.release / filed.table.name if is_released else None
    return Outcome(verdict, results, facts, filed.folder.path, released)


def known_checks() -> Mapping[str, CheckSpec]:
    """Every check that a policy's rule may name: those that are measured, and the privacy ledger."""
    return {**checks.specs(), budget.SPEC.name: budget.SPEC}


def _check(options: BuildOptions) -> None:
    _check_are_files(options.holdout)
    canary.check(options.audit, options.epsilon)
    if options.rows is not None and options.rows < MINIMUM_ROWS:
        raise InputError(
            f"--rows must be at least {MINIMUM_ROWS}, or nothing can be audited, however it is {options.rows}."
        )
    if not 0 < options.effort <= 100:
        raise InputError(f"--effort must lie above 0 and at most at 100, however it is {options.effort}. Try 1.")


def _seed(options: BuildOptions) -> int:
    return secrets.randbelow(2**31) if options.seed is None else options.seed


def _wish(options: BuildOptions, split: Split, min_cell: int) -> tuple[Wish, tuple[str, ...]]:
    """Read which rows are wanted, and which columns had better be written first for that."""
    wanted = conditions.parsed(options.conditions, split.train.schema)
    conditions.check(split.train, wanted, min_cell=min_cell)
    for each in ("train", "holdout") if wanted else ():
        found = len(conditions.restricted(getattr(split, each), wanted))
        if found < MINIMUM_ROWS:
            raise InputError(
                f"An audit compares made rows with at least {MINIMUM_ROWS} real ones of their kind, however {found} "
                f"rows of the {each} part meet the --condition. Widen it."
            )
    if options.balance is None:
        return Wish(wanted), conditions.leading(split.train, wanted)
    if options.balance in {each.column for each in wanted}:
        raise InputError(f"{options.balance!r} can stand in --condition or in --balance, not in both. Leave one out.")
    if split.train.schema.unit is not None:
        raise InputError(
            "--balance counts rows, however this table has several rows a patient, who keep their labels. "
            "Aggregate it to one row a patient first."
        )
    classes = conditions.classes(split.train, options.balance, min_cell=min_cell)
    rarest = [leading for each in classes if (leading := conditions.leading(split.train, (*wanted, each)))]
    return Wish(wanted, classes), max(rarest, key=len, default=())


def _evidence(run: Run, split: Split, made: Table, wish: Wish) -> Evidence:
    """The tables that are compared: of made-to-order rows, with the real rows of their kind."""
    train, holdout = (conditions.restricted(each, wish.conditions) for each in (split.train, split.holdout))
    evidence = Evidence(train, holdout, made, derived(run.seed, "audit"), run.policy.confidence)
    if wish.conditions:
        words = ", ".join(each.words for each in wish.conditions)
        run.notice(
            f"Every row meets {words}. The generator learned from all training rows; the audit compares with the "
            f"{len(train):,} training and {len(holdout):,} holdout rows that meet it, and trains no generator again."
        )
    if not wish.classes:
        return evidence
    column = wish.classes[0].column
    thinned = conditions.proportional(made, train, column, seed=derived(run.seed, "proportional"))
    run.notice(
        f"The classes of {column!r} were made equally frequent, which they are not among patients. Likeness and "
        f"usefulness are judged on {len(thinned):,} of the {len(made):,} rows, in which the classes have their real "
        "shares; privacy on all of them. The audit trains no generator again."
    )
    return replace(evidence, proportional=thinned)


def _refits(options: BuildOptions, rules: Policy, again: refitting.Refitting) -> Refits:
    return Refits(
        again,
        rules.shadow_models if options.shadow_models is None else options.shadow_models,
        rules.folds if options.folds is None else options.folds,
    )


def _trained(run: Run, train: Table, fit: Generator, settings: FitSettings) -> Maker:
    """Train the generator, and learn how rows obey the constraints and belong to patients."""
    transform = transforms.fit(train) if settings.privacy is None else transforms.public(train.schema)
    fitted = fit(transform.apply(train), settings, run.listener.step)
    if settings.privacy is not None:
        run.claim = promise.claimed(fitted, train, settings.privacy)
    for text in fitted.notices:
        run.notice(text)
    run.generator, run.history = str(fitted.description["generator"]), history.figures(fitted)
    run.settings |= dict(transform.wrap(fitted).description)
    plan, habits = _learned_habits(run, train)
    return Maker(run.generator, transform, fitted, plan, habits)


def _audit_claim(run: Run, train: Table, fit: Generator, settings: FitSettings) -> None:
    """Hold the claim against an attack, before there is any row that could be released."""
    assert run.claim is not None  # noqa: S101 - refused without --epsilon
    with run.stage("Training once more with planted rows"):
        transform = transforms.public(train.schema)
        again = replace(settings, seed=derived(run.seed, "canary"))
        run.canary = canary.audited(
            transform.apply(train), fit, again, run.claim, run.listener.step, transform.declared
        )


def _split(run: Run, options: BuildOptions, exact: tables.Source, rows: Table) -> Split:
    if options.epsilon is None or options.holdout is not None:
        return parted(run, exact, rows, options.holdout)
    return promise.parted(rows, holdout_share=tables.holdout_share_of(len(rows)))


def _private_rows(options: BuildOptions, claim: PrivacyClaim, maker: Maker, rows: int) -> int:
    """How many rows to write: as the steward says, as many as is public, or as many as noise says there are."""
    if options.rows is not None or claim.asked.rows_are_public:
        return rows
    return max(MINIMUM_ROWS, int(maker.fitted.description["units"]))


def _learned_habits(run: Run, train: Table) -> tuple[repairs.Plan, patients.Habits | None]:
    if run.claim is not None:
        for text in (promise.BESIDE, promise.NOT_REPEATABLE, *([] if train.schema.unit else [promise.ROW_UNIT])):
            run.notice(text)
        return repairs.public_plan(train.schema), None
    plan = repairs.plan(train, min_cell=run.policy.min_cell)
    habits = patients.habits(train, min_cell=run.policy.min_cell)
    if habits is not None:
        run.notice(patients.NOT_MODELLED)
    elif train.units is not None:
        run.notice("Too few patients have several rows to learn from: each synthetic row is a patient of its own.")
    return plan, habits


def _each(files: AuditTables) -> Iterator[tuple[str, Path | Place | None]]:
    """The tables of an audit by name."""
    return ((each.name, getattr(files, each.name)) for each in fields(files))


def _check_are_files(*places: Path | Place | None) -> None:
    """Refuse databases where only a file can be fingerprinted.

    Raises:
        InputError: one of the places is a database.
    """
    if any(isinstance(place, Place) and place.path is None for place in places):
        raise InputError("A holdout and the tables of an audit must be files, however a database is given. Export it.")


def _input_digests(folder: RunFolder, files: Mapping[str, Path | Place | bytes | None]) -> dict[str, str]:
    """HMAC-SHA256 of the real files under a key that stays inside: a plain hash of a small table can be guessed."""
    key = secrets.token_bytes(32)
    runs.write_text(folder.internal / "digest.key", key.hex() + "\n")
    (folder.internal / "digest.key").chmod(0o600)
    return {f"{name} (HMAC)": tables.digest(path, key) for name, path in files.items() if path is not None}


def _facts(run: Run, folder: RunFolder, evidence: Evidence) -> RunFacts:
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
        columns=record.column_facts(meaning, was_made_here=run.generator != "unknown"),
        target=meaning.target,
        unit="row" if meaning.unit is None else f"patient (column {meaning.unit})",
        digests=digests,
        versions={name: metadata.version(name) for name in ("synthrelease", *run.packages)}
        | {"python": platform.python_version()},
        seconds=dict(run.seconds),
        not_tested=NOT_TESTED,
        notices=tuple(run.notices),
        history=run.history,
        run_id=run.run_id,
        attempts=run.attempts,
        contact=meaning.contact,
        terms=meaning.terms,
        privacy=budget.record(run.claim),
        canary=None if run.canary is None else run.canary.record(),
    )


__all__ = ["AuditTables", "BuildOptions", "Outcome", "audit", "build", "demo", "demo_files", "known_checks"]
