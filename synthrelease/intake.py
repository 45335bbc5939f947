"""What happens to real tables before anything is fitted: read, screened, made coarse, parted, their labels learned.

``Run`` gathers what the report will say of all that.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthrelease import generalise, layout, runs, screening, tables
from synthrelease import levels as label_levels
from synthrelease.audit import MINIMUM_ROWS
from synthrelease.canary import Finding
from synthrelease.contracts import Attempts, Figure, Policy, PrivacyClaim, Schema, Split, Table, TrainingStep
from synthrelease.errors import InputError
from synthrelease.formats import Place
from synthrelease.generators.learning import Learned

NOTABLE_SHARE = 0.05
"""From this share of rows that broke a constraint on, the report says that others were drawn in their place."""


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


@dataclass(slots=True)
class Run:
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
    claim: PrivacyClaim | None = None
    """What a differentially private build promises."""
    canary: Finding | None = None
    """What planted rows say of the claim, where that was asked for."""
    history: tuple[Figure, ...] = ()
    packages: tuple[str, ...] = ("numpy", "pandas", "scikit-learn", "faiss-cpu")
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    attempts: Attempts | None = None
    wanted: Schema = field(init=False)
    """As declared, with the treatments that schema and policy demand; ``schema`` is what they leave of it."""

    def __post_init__(self) -> None:
        self.wanted = self.schema

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
        return {"id": self.run_id, "created": self.created, "source": self.source, "policy": self.policy.name}


def derived(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that one stage's draws never depend on another's."""
    words = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)
    return int(words[0] >> 1)


def training_table(run: Run, where: Path | Place, *, minimum_rows: int | None = None) -> tables.Source:
    """Read the table that a generator learns from, exactly as it is, and refuse what must never be learned.

    Raises:
        InputError: the table does not fit the schema, or holds a direct identifier that the schema leaves in.
    """
    source = tables.read(where, run.wanted, minimum_rows=minimum_rows)
    if source.layout.notice:
        run.notice(source.layout.notice)
    screen(run, source)
    return source


def parted(run: Run, exact: tables.Source, rows: Table, holdout_file: Path | Place | None) -> Split:
    """Part the coarse rows; whether a holdout file holds the same people is told from the exact ones."""
    if holdout_file is None:
        return tables.split(rows, seed=derived(run.seed, "split"))
    holdout = kept_apart(run, holdout_file)
    tables.check_disjoint(exact, holdout)
    return Split(rows, coarse(run, holdout).table)


def learned_levels(
    run: Run, source: tables.Source, split: Split, found: Learned | None = None
) -> tuple[Split, tables.Layout]:
    """Learn the labels that the schema leaves open from the training rows, and code both sides by them.

    ``found``: what was learned with a privacy budget; nothing else is learned then.
    """
    if found is not None:
        for note in found.notes:
            run.notice(note)
        return _coded_by(found.schema, source, split)
    meaning = label_levels.learned(split.train, min_cell=run.policy.min_cell)
    for name, cells in label_levels.merged(split.train, meaning).items():
        run.notice(
            f"{name!r}: {len(meaning.column(name).categories):,} labels were learned; {cells:,} training cells with "
            f"labels of fewer than {run.policy.min_cell} patients stand as {meaning.column(name).other or 'missing'!r}."
        )
    return _coded_by(meaning, source, split)


def _coded_by(meaning: Schema, source: tables.Source, split: Split) -> tuple[Split, tables.Layout]:
    both = Split(label_levels.coded(split.train, meaning), label_levels.coded(split.holdout, meaning))
    return both, label_levels.laid_out(source.layout, meaning)


def coded(run: Run, made: tables.Source, known: Schema) -> tables.Source:
    """Code a vendor's table by the learned labels, so that it is handed over without any other label."""
    for name, cells in label_levels.merged(made.table, known).items():
        if cells:
            run.notice(f"{name!r}: {cells:,} synthetic cells hold labels of too few training patients; replaced.")
    return tables.Source(label_levels.coded(made.table, known), label_levels.laid_out(made.layout, known))


def coarsen(run: Run, *, is_audit: bool = False) -> None:
    """Settle how coarse the tables are made, and say what the policy adds to the schema."""
    declared = run.schema
    run.wanted = generalise.required(declared, run.policy.generalise, year=int(run.created[:4]))
    for name, words in generalise.demands(declared, run.wanted).items():
        run.notice(f"The policy {run.policy.name} wants {name!r} coarser, and so it is made: {words}.")
    if is_audit and generalise.shifts(run.wanted):
        run.wanted = generalise.unshifted(run.wanted)
        run.notice("Dates cannot be moved in an audit: whoever made the synthetic table would have had to do it.")
    run.schema = generalise.domain(run.wanted)


def coarse(run: Run, source: tables.Source) -> tables.Source:
    """Make a table as coarse as schema and policy demand: the one place where that is done."""
    table = generalise.apply(source.table, seed=derived(run.seed, "shift"))
    return replace(source, table=table, layout=layout.recast(source.layout, table.schema))


def screen(run: Run, source: tables.Source) -> None:
    """Refuse a real table with a direct identifier among its learned columns; tell once what the schema answers for."""
    for text in screening.screen(source.table):
        if text not in run.notices:
            run.notice(text)


def kept_apart(run: Run, path: Path | Place) -> tables.Source:
    """Read real rows that no generator sees. Nothing is learned from them, so a cell outside the domain is no fault.

    Raises:
        InputError: the file does not fit the schema, or does not say which patient a row belongs to.
    """
    source = tables.read(path, run.wanted, origin="synthetic", minimum_rows=MINIMUM_ROWS)
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
