"""What happens to real tables before anything is fitted: read, screened, made coarse, parted, their labels learned.

``Run`` gathers what the report will say of all that.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthrelease.core.contracts import LearnedSchema, OpenedSchema, Split, Table
from synthrelease.core.errors import InputError
from synthrelease.data import learned_categories, splitting, table_reader, table_writer
from synthrelease.data.formats import Place
from synthrelease.data.table_reader import Source
from synthrelease.evaluation.runner import MINIMUM_ROWS
from synthrelease.schema import generalization
from synthrelease.schema.identifiers import screening
from synthrelease.synthesis.generators.private.domain_learning import Learned
from synthrelease.workflows.run_context import Run, derived


def training_table(run: Run, where: Path | Place, *, minimum_rows: int | None = None) -> Source[OpenedSchema]:
    """Read the table that a generator learns from, exactly as it is, and refuse what must never be learned.

    Raises:
        InputError: the table does not fit the schema, or holds a direct identifier that the schema leaves in.
    """
    source = table_reader.read(where, run.wanted, minimum_rows=minimum_rows)
    if source.style.format.notice:
        run.notice(source.style.format.notice)
    screen(run, source)
    return source


def parted(
    run: Run, exact: Source[OpenedSchema], rows: Table[OpenedSchema], holdout_file: Path | Place | None
) -> Split[OpenedSchema]:
    """Part the coarse rows; whether a holdout file holds the same people is told from the exact ones."""
    if holdout_file is None:
        return splitting.split(rows, seed=derived(run.seed, "split"))
    holdout = kept_apart(run, holdout_file)
    splitting.check_disjoint(exact, holdout)
    return Split(rows, coarse(run, holdout).table)


def learned_levels(
    run: Run, source: Source[OpenedSchema], split: Split[OpenedSchema], found: Learned | None = None
) -> Split:
    """Learn the labels that the schema leaves open from the training rows, and code both sides by them.

    ``found``: what was learned with a privacy budget; nothing else is learned then.
    """
    if found is not None:
        for note in found.notes:
            run.notice(note)
        return _coded_by(found.schema, source, split)
    meaning = learned_categories.learned(split.train, min_cell=run.policy.min_cell)
    for name, cells in learned_categories.merged(split.train, meaning).items():
        run.notice(
            f"{name!r}: {len(meaning.column(name).categories):,} labels were learned; {cells:,} training cells with "
            f"labels of fewer than {run.policy.min_cell} patients stand as {meaning.column(name).other or 'missing'!r}."
        )
    return _coded_by(meaning, source, split)


def _coded_by(meaning: LearnedSchema, source: Source[OpenedSchema], split: Split[OpenedSchema]) -> Split:
    table_writer.check(meaning, source.style)
    return Split(learned_categories.coded(split.train, meaning), learned_categories.coded(split.holdout, meaning))


def coded(run: Run, made: Source[OpenedSchema], known: LearnedSchema) -> Source:
    """Code a vendor's table by the learned labels, so that it is handed over without any other label."""
    for name, cells in learned_categories.merged(made.table, known).items():
        if cells:
            run.notice(f"{name!r}: {cells:,} synthetic cells hold labels of too few training patients; replaced.")
    table_writer.check(known, made.style)
    return Source(learned_categories.coded(made.table, known), made.style)


def coarsen(run: Run, *, is_audit: bool = False) -> None:
    """Settle how coarse the tables are made, and say what the policy adds to the schema."""
    declared = run.schema
    run.wanted = generalization.required(declared, run.policy.generalise, year=int(run.created[:4]))
    for name, words in generalization.demands(declared, run.wanted).items():
        run.notice(f"The policy {run.policy.name} wants {name!r} coarser, and so it is made: {words}.")
    if is_audit and generalization.shifts(run.wanted):
        run.wanted = generalization.unshifted(run.wanted)
        run.notice("Dates cannot be moved in an audit: whoever made the synthetic table would have had to do it.")
    run.schema = generalization.domain(run.wanted)


def coarse(run: Run, source: Source[OpenedSchema]) -> Source[OpenedSchema]:
    """Make a table as coarse as schema and policy demand: the one place where that is done."""
    return replace(source, table=generalization.apply(source.table, seed=derived(run.seed, "shift")))


def screen(run: Run, source: Source[OpenedSchema]) -> None:
    """Refuse a real table with a direct identifier among its learned columns; tell once what the schema answers for."""
    for text in screening.screen(source.table):
        if text not in run.notices:
            run.notice(text)


def kept_apart(run: Run, path: Path | Place) -> Source[OpenedSchema]:
    """Read real rows that no generator sees. Nothing is learned from them, so a cell outside the domain is no fault.

    Raises:
        InputError: the file does not fit the schema, or does not say which patient a row belongs to.
    """
    source = table_reader.read(path, run.wanted, origin="synthetic", minimum_rows=MINIMUM_ROWS)
    table = source.table
    if run.schema.unit is not None and table.units is None:
        raise InputError(
            f"Real rows must name their patient in {run.schema.unit!r}, however {path.name} has no such column. Add it."
        )
    for name, cells in table.outside.items():
        number = run.schema.column(name).is_number
        what = "kept for the audit" if number else "counted as missing"
        run.notice(f"{path.name}, column {name!r}: {cells:,} outside what the schema declares, {what}.")
    source = replace(source, table=replace(table, origin="real", outside={}))
    screen(run, source)
    return source
