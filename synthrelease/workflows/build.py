"""The whole flow, top to bottom: from a real table to a verdict.

``build`` trains, generates, audits, decides and reports. Real rows stand behind a ``core.preparation.Preparation``:
until the synthetic table is written, this module holds none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from synthrelease.core import diagnostics
from synthrelease.core.contracts import DeclaredSchema, FitSettings, Generator, Policy, PrivacyClaim, Refits
from synthrelease.core.errors import InputError
from synthrelease.data import table_writer
from synthrelease.data.formats import Place, place_of
from synthrelease.governance import policy_file
from synthrelease.report.figures import training_curves
from synthrelease.schema import schema_file as schema_reader
from synthrelease.synthesis import (
    canary_audit,
    generators,
    label_sharpening,
    pair_signals,
    patient_grouping,
    private_requirements,
)
from synthrelease.synthesis.maker import Learner, Maker, Wish
from synthrelease.synthesis.refit import Refitting
from synthrelease.workflows import (
    asked_rows,
    copies,
    made_to_order,
    ordinary_preparation,
    private_preparation,
    record_run,
)
from synthrelease.workflows.finish_run import Outcome, Written, input_digests, judge, known_checks, read_back, source_of
from synthrelease.workflows.ordinary_preparation import OrdinaryPreparation
from synthrelease.workflows.prepare_tables import check_are_files
from synthrelease.workflows.private_preparation import PrivatePreparation
from synthrelease.workflows.record_run import Filing
from synthrelease.workflows.run_context import PACKAGES, Listener, Production, Run, begun
from synthrelease.workflows.run_options import BuildOptions, Multiple

Prepared: TypeAlias = OrdinaryPreparation | PrivatePreparation


@diagnostics.recorded()
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
    _check_possible(options, meaning, rules=rules, generator=name)
    run = begun(meaning, rules, schema_file=Path(schema_file), source=table.name, options=options, listener=listener)
    with run.recorder.stage("Reading the table"):
        preparation = _prepared(run, table, options)
    columns = len(preparation.schema().value.learned)
    asked_rows.check_memory(preparation.planned_rows().value, columns, copies=options.copies or 1)
    content = preparation.fingerprint().value or table
    noted = source_of(run, options, content)
    with record_run.opened(run, Path(out), noted, force=options.force, event="build") as (folder, attempts):
        order = preparation.order().value
        settings = FitSettings(
            run.derived("fit"),
            options.effort,
            options.overrides,
            order.leading,
            sharpen_labels=options.sharpen_labels,
        )
        with run.recorder.stage("Training the generator"):
            started = time.perf_counter()
            maker, claim = _trained(run, preparation, fit=fit, settings=settings)
            took = time.perf_counter() - started
            maker.save(folder.internal)
        canary = None
        if claim is not None and options.audit is not None:
            planted = replace(settings, seed=run.derived("canary"))
            with run.recorder.stage("Training once more with planted rows"):
                step = run.recorder.listener.step
                canary = canary_audit.audited(preparation, claim, fit=fit, settings=planted, on_step=step)
        wish, recipe = order.wish, copies.Recipe(preparation, fit, settings, maker)
        written = _written(run, preparation, recipe=recipe, count=options.copies, folder=folder.quarantine)
        made = written.made
        evidence = made_to_order.evidence(run, preparation.for_audit(made).value, made=made, wish=wish)
        if written.copies:
            evidence = copies.evidence(run, evidence, written)
        if wish == Wish():
            again = recipe.refitting() if written.copies else Refitting(preparation, fit, settings)
            evidence = replace(evidence, refits=_refits(run, options, again, took))
        digests = written.digests | input_digests(folder.internal, {"table": content, "holdout": options.holdout})
        produced = Production(
            maker.generator,
            settings=_settings(options, wish, preparation.planned_rows().value) | _described(maker),
            history=training_curves.figures(maker.fitted),
            packages=(*PACKAGES, "torch"),
            claim=claim,
            canary=canary,
            labels_are_sharpened=label_sharpening.is_done(maker.fitted),
            copies=len(written.copies) or 1,
            signals=pair_signals.of(maker.fitted),
        )
        return judge(run, Filing(folder, written.path, noted, attempts, digests), produced=produced, evidence=evidence)


def _check(options: BuildOptions) -> None:
    check_are_files(options.holdout)
    canary_audit.check(options.audit, options.epsilon)
    if not 0 < options.effort <= 100:
        raise InputError(f"--effort must lie above 0 and at most at 100, however it is {options.effort}. Try 1.")


def _check_possible(options: BuildOptions, schema: DeclaredSchema, *, rules: Policy, generator: str) -> None:
    """Refuse what schema, policy, generator and other options do not allow, before any row is read."""
    asked_rows.check(options, schema)
    is_to_order = bool(options.conditions) or options.balance is not None
    private_requirements.check(options.epsilon, options.delta, schema, rules, generator=generator, ordered=is_to_order)
    is_sharpened = label_sharpening.asked(options.sharpen_labels, options.overrides)
    if is_sharpened:
        label_sharpening.check(schema, rules, generator=generator, epsilon=options.epsilon)
    copies.check(copies.Asked(options.copies, generator, options.epsilon is not None, is_to_order, is_sharpened))


def _prepared(run: Run, table: Place, options: BuildOptions) -> Prepared:
    """Put the real rows behind what may be known of them: the one place where the two kinds are told apart."""
    if options.epsilon is None:
        return ordinary_preparation.read(run, table, options=options)
    return private_preparation.read(run, table, options=options, epsilon=options.epsilon)


def _trained(
    run: Run, preparation: Learner, *, fit: Generator, settings: FitSettings
) -> tuple[Maker, PrivacyClaim | None]:
    """Train the generator, and learn how rows obey the constraints and belong to patients."""
    fitted = preparation.trained(fit, settings, run.recorder.listener.step).value
    claim = preparation.claim(fitted).value
    for text in fitted.notices:
        run.recorder.notice(text)
    maker = Maker.of(preparation, fitted)
    for text in _remarks(maker, claim):
        run.recorder.notice(text)
    return maker, claim


def _written(run: Run, preparation: Prepared, *, recipe: copies.Recipe, count: int | None, folder: Path) -> Written:
    """Make the synthetic table, or ``count`` copies of it, in a folder, and read back what was written."""
    style, learned, maker = preparation.style().value, preparation.schema().value, recipe.first
    rows = preparation.rows(maker.fitted).value

    def write(frames: Iterator[pd.DataFrame], path: Path, seed: int) -> None:
        table_writer.write(frames, learned, style, path, seed=seed)

    if count is not None:
        asked = copies.Order(count, rows, style.format.suffix, write)
        return copies.made(run, recipe, asked, schema=learned, folder=folder)
    path, wish = folder / f"synthetic.{style.format.suffix}", preparation.order().value.wish
    with run.recorder.stage("Generating synthetic rows"):
        write(maker.frames(rows, wish, seed=run.derived, on_end=run.recorder.left_out), path, run.derived("surrogates"))
        return Written(path, *read_back(path, learned))


def _remarks(maker: Maker, claim: PrivacyClaim | None) -> Iterator[str]:
    """What the reader of the report should know of the way in which the rows were learned."""
    unit = maker.schema.unit
    if claim is not None:
        yield private_preparation.BESIDE
        yield private_preparation.NOT_REPEATABLE
        if not unit:
            yield private_preparation.ROW_UNIT
    elif maker.habits is not None:
        yield patient_grouping.NOT_MODELLED
    elif unit:
        yield "Too few patients have several rows to learn from: each synthetic row is a patient of its own."


def _settings(options: BuildOptions, wish: Wish, rows: int) -> dict[str, Any]:
    """What was asked for, as the report lists it."""
    said: dict[str, Any] = {"rows": rows, "effort": options.effort, "holdout": "file" if options.holdout else "split"}
    if options.copies is not None:
        said["copies"] = options.copies
    if isinstance(options.rows, Multiple):
        said["multiple"] = options.rows.times
    if wish.conditions:
        said["conditions"] = ", ".join(each.words for each in wish.conditions)
    if options.balance:
        said["balanced"] = options.balance
    return said


def _described(maker: Maker) -> dict[str, Any]:
    """The generator's own settings and sizes."""
    return dict(maker.transform.wrap(maker.fitted).description)


def _refits(run: Run, options: BuildOptions, again: Refitting, seconds: float) -> Refits:
    return Refits(
        again,
        run.policy.shadow_models if options.shadow_models is None else options.shadow_models,
        run.policy.folds if options.folds is None else options.folds,
        seconds,
        run.policy.null_columns if options.null_columns is None else options.null_columns,
    )
