"""What happens to real tables before anything is fitted: read, screened, made coarse, parted, coded by their labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from synthrelease.core.contracts import MINIMUM_ROWS, LearnedSchema, OpenedSchema, Split, Table
from synthrelease.core.errors import InputError
from synthrelease.data import learned_categories, splitting, table_reader, table_writer
from synthrelease.data.file_style import FileStyle
from synthrelease.data.formats import Place
from synthrelease.data.table_reader import Source
from synthrelease.evaluation.checks.effects import feasibility
from synthrelease.schema import constraints, generalisation
from synthrelease.schema.identifiers import screening
from synthrelease.workflows.run_context import Run


@dataclass(frozen=True, slots=True)
class RealTable:
    """The table of a build: ``exact`` as its file has it, ``coarse`` as schema and policy demand it."""

    exact: Source[OpenedSchema] = field(repr=False)
    coarse: Source[OpenedSchema] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RealRows:
    """The real rows of a build, parted and coded by what their columns mean, and the style of their file.

    ``digest``: the SHA-256 of a database's rows, empty for a file. ``table_rows``: how many rows the table has.
    """

    split: Split = field(repr=False)
    style: FileStyle = field(repr=False)
    table_rows: int
    digest: bytes = field(default=b"", repr=False)

    def on(self, train: Table) -> RealRows:
        """Return them with other training rows."""
        return replace(self, split=replace(self.split, train=train))


def check_are_files(*places: Path | Place | None) -> None:
    """Refuse databases where only a file can be fingerprinted.

    Raises:
        InputError: one of the places is a database.
    """
    if any(isinstance(place, Place) and place.path is None for place in places):
        raise InputError("A holdout and the tables of an audit must be files, however a database is given. Export it.")


def real_table(run: Run, where: Path | Place) -> RealTable:
    """Read the table of a build, refuse what must never be learned, and make it coarse.

    Raises:
        InputError: the table does not fit the schema or its constraints, or holds a direct identifier.
    """
    exact = training_table(run, where)
    source = coarse(run, exact)
    constraints.check(source.table)
    return RealTable(exact, source)


def training_table(run: Run, where: Path | Place, *, minimum_rows: int | None = None) -> Source[OpenedSchema]:
    """Read a table that a generator learns from, exactly as it is, and refuse what must never be learned.

    Raises:
        InputError: the table does not fit the schema, or holds a direct identifier that the schema leaves in.
    """
    source = table_reader.read(where, run.wanted, minimum_rows=minimum_rows)
    if source.style.format.notice:
        run.recorder.notice(source.style.format.notice)
    screen(run, source)
    return source


def parted(run: Run, table: RealTable, holdout_file: Path | Place | None) -> Split[OpenedSchema]:
    """Part the coarse rows; whether a holdout file holds the same people is told from the exact ones.

    Raises:
        InputError: a side would be too small, or both hold the same people.
    """
    if holdout_file is None:
        return splitting.split(table.coarse.table, seed=run.derived("split"))
    holdout = kept_apart(run, holdout_file)
    splitting.check_disjoint(table.exact, holdout)
    return Split(table.coarse.table, coarse(run, holdout).table)


def coded_by(meaning: LearnedSchema, table: RealTable, split: Split[OpenedSchema]) -> RealRows:
    """Code both sides by the labels that ``meaning`` has; any other label becomes the one that stands for the rest.

    Raises:
        InputError: the training rows cannot bear an analysis that the schema plans.
    """
    both = Split(learned_categories.coded(split.train, meaning), learned_categories.coded(split.holdout, meaning))
    check_analyses(both)
    table_writer.check(meaning, table.coarse.style)
    return RealRows(both, table.coarse.style, len(table.coarse.table), table.exact.digest)


def check_analyses(split: Split) -> None:
    """Refuse real rows that cannot bear an analysis that the schema plans, before anything is trained.

    Raises:
        InputError: see ``feasibility.check``.
    """
    feasibility.check(split)


def with_learned_labels(run: Run, table: RealTable, split: Split[OpenedSchema]) -> RealRows:
    """Learn the labels that the schema leaves open from the training rows, and code both sides by them.

    Raises:
        InputError: no label of a column is held by enough patients.
    """
    meaning = learned_categories.learned(split.train, min_cell=run.policy.min_cell)
    for name, cells in learned_categories.merged(split.train, meaning).items():
        run.recorder.notice(
            f"{name!r}: {len(meaning.column(name).categories):,} labels were learned; {cells:,} training cells with "
            f"labels of fewer than {run.policy.min_cell} patients stand as {meaning.column(name).other or 'missing'!r}."
        )
    return coded_by(meaning, table, split)


def coded(run: Run, made: Source[OpenedSchema], known: LearnedSchema) -> Source:
    """Code a vendor's table by the learned labels, so that it is handed over without any other label."""
    for name, cells in learned_categories.merged(made.table, known).items():
        if cells:
            run.recorder.notice(
                f"{name!r}: {cells:,} synthetic cells hold labels of too few training patients; replaced."
            )
    table_writer.check(known, made.style)
    return Source(learned_categories.coded(made.table, known), made.style)


def coarse(run: Run, source: Source[OpenedSchema]) -> Source[OpenedSchema]:
    """Make a table as coarse as schema and policy demand: the one place where that is done."""
    return replace(source, table=generalisation.apply(source.table, seed=run.derived("shift")))


def screen(run: Run, source: Source[OpenedSchema]) -> None:
    """Refuse a real table with a direct identifier among its learned columns; tell once what the schema answers for."""
    for text in screening.screen(source.table):
        if text not in run.recorder.notices:
            run.recorder.notice(text)


def kept_apart(run: Run, path: Path | Place) -> Source[OpenedSchema]:
    """Read real rows that no generator sees. Nothing is learned from them, so a cell outside the domain is no fault.

    Raises:
        InputError: the file does not fit the schema, or does not say which patient a row belongs to.
    """
    source = table_reader.read(path, run.wanted, cells="lenient", minimum_rows=MINIMUM_ROWS)
    table = source.table
    if run.schema.unit is not None and table.units is None:
        raise InputError(
            f"Real rows must name their patient in {run.schema.unit!r}, however {path.name} has no such column. Add it."
        )
    for name, cells in table.outside.items():
        number = run.schema.column(name).is_number
        what = "kept for the audit" if number else "counted as missing"
        run.recorder.notice(f"{path.name}, column {name!r}: {cells:,} outside what the schema declares, {what}.")
    source = replace(source, table=replace(table, outside={}))
    screen(run, source)
    return source
