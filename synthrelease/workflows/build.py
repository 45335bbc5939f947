"""The whole flow, top to bottom: from a real table to a verdict.

``build`` trains, generates, audits, decides and reports. ``audit`` does the same for a table that anything else made,
from the audit on. Both give back an ``Outcome`` with the very objects that the report shows.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from synthrelease.core.contracts import (
    Evidence,
    FitSettings,
    Generator,
    OpenedSchema,
    Policy,
    PrivacyClaim,
    Refits,
    Split,
    Table,
)
from synthrelease.core.errors import InputError
from synthrelease.data import file_style, splitting, table_writer
from synthrelease.data.formats import Place, place_of
from synthrelease.data.table_reader import Source
from synthrelease.evaluation.runner import MINIMUM_ROWS
from synthrelease.governance import policy_file, run_folder
from synthrelease.privacy import claim as privacy_claim
from synthrelease.report.figures import training_curves
from synthrelease.schema import constraints, row_conditions
from synthrelease.schema import schema_file as schema_reader
from synthrelease.synthesis import canary_audit, constraint_repair, generators, patient_grouping, refit
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.synthesis.synthesizer import Maker, Wish
from synthrelease.workflows import private_preparation, record_run
from synthrelease.workflows.judge import (
    Outcome,
    check_are_files,
    input_digests,
    judge,
    known_checks,
    read_back,
    seed_of,
    source_of,
)
from synthrelease.workflows.prepare_tables import (
    coarse,
    coarsen,
    learned_levels,
    parted,
    training_table,
)
from synthrelease.workflows.record_run import Filing
from synthrelease.workflows.run_context import Listener, Run, Silent, derived
from synthrelease.workflows.run_options import BuildOptions


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
    rules = policy_file.load(policy_name, known_checks())
    meaning = schema_reader.load(Path(schema_file), target=options.target)
    name = options.generator or (generators.DEFAULT if options.epsilon is None else generators.PRIVATE[0])
    fit = generators.load(name)
    ordered = bool(options.conditions) or options.balance is not None
    private_preparation.check(options.epsilon, options.delta, meaning, rules, generator=name, ordered=ordered)
    run = Run(meaning, Path(schema_file), rules, seed_of(options), listener or Silent(), table.name)
    coarsen(run)
    with run.stage("Reading the table"):
        exact = training_table(run, table)
        source = coarse(run, exact)
        constraints.check(source.table)
        parts = _split(run, options, exact, source.table)
        found = private_preparation.learned(parts.train, options.epsilon, options.delta, min_cell=rules.min_cell)
        split, style = learned_levels(run, source, parts, found), source.style
        wish, leading = _wish(options, split, rules.min_cell)
    real_rows = sum(
        int(row_conditions.meets(wish.conditions, each.frame).sum()) for each in (split.train, split.holdout)
    )
    rows = options.rows or (max(real_rows, MINIMUM_ROWS) if wish.conditions else len(source.table))
    run.packages += ("torch",)
    run.settings |= {"rows": rows, "effort": options.effort, "holdout": "file" if options.holdout else "split"}
    run.settings |= {"conditions": ", ".join(each.words for each in wish.conditions)} if wish.conditions else {}
    run.settings |= {"balanced": options.balance} if options.balance else {}
    noted = source_of(run, options, exact.digest or table)
    with run_folder.claimed(Path(out), force=options.force, started=run.started()) as folder:
        record_run.begin(run, folder, noted, event="build")
        with run.stage("Training the generator"):
            privacy = None if found is None else found.budget
            settings = FitSettings(derived(run.seed, "fit"), options.effort, options.overrides, leading, privacy)
            started = time.perf_counter()
            maker = _trained(run, split.train, fit, settings)
            took = time.perf_counter() - started
            maker.save(folder.internal)
            if run.claim is not None:
                rows = _private_rows(options, run.claim, maker, rows)
                style = file_style.public(split.train.schema, style.format)
        if options.audit is not None:
            _audit_claim(run, split.train, fit, settings)
        with run.stage("Generating synthetic rows"):
            quarantined = folder.quarantine / f"synthetic.{style.format.suffix}"
            frames = maker.frames(rows, wish, seed=lambda purpose: derived(run.seed, purpose), on_end=run.left_out)
            table_writer.write(frames, split.train.schema, style, quarantined, seed=derived(run.seed, "surrogates"))
            made = read_back(run, quarantined, split.train.schema, {})
        evidence = _evidence(run, split, made, wish)
        if not wish.conditions and not wish.classes:
            again = refit.Refitting(fit, settings, rules.min_cell)
            evidence = replace(evidence, refits=replace(_refits(options, rules, again), seconds=took))
        run.digests |= input_digests(folder, {"table": exact.digest or table, "holdout": options.holdout})
        return judge(
            run,
            Filing(folder, quarantined, noted),
            evidence,
            privacy_claim.result(run.claim, units=private_preparation.units_of(split.train)),
        )


def _check(options: BuildOptions) -> None:
    check_are_files(options.holdout)
    canary_audit.check(options.audit, options.epsilon)
    if options.rows is not None and options.rows < MINIMUM_ROWS:
        raise InputError(
            f"--rows must be at least {MINIMUM_ROWS}, or nothing can be audited, however it is {options.rows}."
        )
    if not 0 < options.effort <= 100:
        raise InputError(f"--effort must lie above 0 and at most at 100, however it is {options.effort}. Try 1.")


def _wish(options: BuildOptions, split: Split, min_cell: int) -> tuple[Wish, tuple[str, ...]]:
    """Read which rows are wanted, and which columns had better be written first for that."""
    wanted = row_conditions.parsed(options.conditions, split.train.schema)
    row_conditions.check(split.train, wanted, min_cell=min_cell)
    for each in ("train", "holdout") if wanted else ():
        found = len(row_conditions.restricted(getattr(split, each), wanted))
        if found < MINIMUM_ROWS:
            raise InputError(
                f"An audit compares made rows with at least {MINIMUM_ROWS} real ones of their kind, however {found} "
                f"rows of the {each} part meet the --condition. Widen it."
            )
    if options.balance is None:
        return Wish(wanted), row_conditions.leading(split.train, wanted)
    if options.balance in {each.column for each in wanted}:
        raise InputError(f"{options.balance!r} can stand in --condition or in --balance, not in both. Leave one out.")
    if split.train.schema.unit is not None:
        raise InputError(
            "--balance counts rows, however this table has several rows a patient, who keep their labels. "
            "Aggregate it to one row a patient first."
        )
    classes = row_conditions.classes(split.train, options.balance, min_cell=min_cell)
    rarest = [leading for each in classes if (leading := row_conditions.leading(split.train, (*wanted, each)))]
    return Wish(wanted, classes), max(rarest, key=len, default=())


def _evidence(run: Run, split: Split, made: Table, wish: Wish) -> Evidence:
    """The tables that are compared: of made-to-order rows, with the real rows of their kind."""
    train, holdout = (row_conditions.restricted(each, wish.conditions) for each in (split.train, split.holdout))
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
    thinned = row_conditions.proportional(made, train, column, seed=derived(run.seed, "proportional"))
    run.notice(
        f"The classes of {column!r} were made equally frequent, which they are not among patients. Likeness and "
        f"usefulness are judged on {len(thinned):,} of the {len(made):,} rows, in which the classes have their real "
        "shares; privacy on all of them. The audit trains no generator again."
    )
    return replace(evidence, proportional=thinned)


def _refits(options: BuildOptions, rules: Policy, again: refit.Refitting) -> Refits:
    return Refits(
        again,
        rules.shadow_models if options.shadow_models is None else options.shadow_models,
        rules.folds if options.folds is None else options.folds,
    )


def _trained(run: Run, train: Table, fit: Generator, settings: FitSettings) -> Maker:
    """Train the generator, and learn how rows obey the constraints and belong to patients."""
    transform = datetime_transforms.fit(train) if settings.privacy is None else datetime_transforms.public(train.schema)
    fitted = fit(transform.apply(train), settings, run.listener.step)
    if settings.privacy is not None:
        run.claim = private_preparation.claimed(fitted, train, settings.privacy)
    for text in fitted.notices:
        run.notice(text)
    run.generator, run.history = str(fitted.description["generator"]), training_curves.figures(fitted)
    run.settings |= dict(transform.wrap(fitted).description)
    plan, habits = _learned_habits(run, train)
    return Maker(run.generator, transform, fitted, plan, habits)


def _audit_claim(run: Run, train: Table, fit: Generator, settings: FitSettings) -> None:
    """Hold the claim against an attack, before there is any row that could be released."""
    assert run.claim is not None  # noqa: S101 - refused without --epsilon
    with run.stage("Training once more with planted rows"):
        transform = datetime_transforms.public(train.schema)
        again = replace(settings, seed=derived(run.seed, "canary"))
        run.canary = canary_audit.audited(
            transform.apply(train), fit, again, run.claim, run.listener.step, transform.declared
        )


def _split(
    run: Run, options: BuildOptions, exact: Source[OpenedSchema], rows: Table[OpenedSchema]
) -> Split[OpenedSchema]:
    if options.epsilon is None or options.holdout is not None:
        return parted(run, exact, rows, options.holdout)
    return private_preparation.parted(rows, holdout_share=splitting.holdout_share_of(len(rows)))


def _private_rows(options: BuildOptions, claim: PrivacyClaim, maker: Maker, rows: int) -> int:
    """How many rows to write: as the steward says, as many as is public, or as many as noise says there are."""
    if options.rows is not None or claim.asked.rows_are_public:
        return rows
    return max(MINIMUM_ROWS, int(maker.fitted.description["units"]))


def _learned_habits(run: Run, train: Table) -> tuple[constraint_repair.Plan, patient_grouping.Habits | None]:
    if run.claim is not None:
        for text in (
            private_preparation.BESIDE,
            private_preparation.NOT_REPEATABLE,
            *([] if train.schema.unit else [private_preparation.ROW_UNIT]),
        ):
            run.notice(text)
        return constraint_repair.public_plan(train.schema), None
    plan = constraint_repair.plan(train, min_cell=run.policy.min_cell)
    habits = patient_grouping.habits(train, min_cell=run.policy.min_cell)
    if habits is not None:
        run.notice(patient_grouping.NOT_MODELLED)
    elif train.units is not None:
        run.notice("Too few patients have several rows to learn from: each synthetic row is a patient of its own.")
    return plan, habits
