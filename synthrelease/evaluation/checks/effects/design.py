"""The design of a regression: which terms stand for the covariates, learned from real training rows and used for all.

Numbers are standardised, with gaps at the median. Labels become indicators of the levels that enough training rows
hold, against the most frequent one, where gaps go. All tables have the same terms, or their coefficients would not be
of the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import Analysis, BoolArray, Column, FloatArray, Table
from synthrelease.evaluation.statistics.confidence_intervals import patient_of, patients

FEWEST_SHARE = 0.02
"""A level that fewer of the training rows hold goes with the reference."""
MOST_LEVELS = 12
MOST_DEVIATIONS = 8.0
"""Numbers further out than so many standard deviations count as that far: one outlier must not be the slope."""
EVENTS_PER_TERM = 10
"""Peduzzi et al. 1996 (J. Clin. Epidemiol. 49): with fewer, coefficients are biased and intervals too narrow."""
NEAR_COPY = 0.1
"""Share of a column's variance that earlier ones leave, below which a regression that nobody planned drops it."""
EXACT = 1e-9
UNCOUNTED = ("linear", "poisson")
"""Models whose outcome is no event that some patients have and others have not."""


@dataclass(frozen=True, slots=True)
class Term:
    """One coefficient: a number per standard deviation, or one level of a label column against the reference."""

    column: Column
    level: str = ""
    centre: float = 0.0
    scale: float = 1.0
    fill: float = 0.0
    people: int = 0
    """How many training rows the term tells apart from the rest."""

    @property
    def words(self) -> str:
        """The term as a figure names it."""
        return f"{self.column.name}: {self.level}" if self.level else self.column.name

    def values(self, table: Table) -> FloatArray:
        """The term in each row of a table: (rows,)."""
        cells = table.frame[self.column.name]
        if self.level:
            codes = cells.cat.codes.to_numpy()
            return np.asarray(codes == self.column.categories.index(self.level), dtype=np.float64)
        numbers = cells.to_numpy(np.float64)
        filled = np.where(np.isnan(numbers), self.fill, numbers)
        return np.clip((filled - self.centre) / self.scale, -MOST_DEVIATIONS, MOST_DEVIATIONS)


@dataclass(frozen=True, slots=True)
class Response:
    """What is explained, (rows,) each: a number or 0 and 1, and for survival the time and whether the event came.

    ``known``: rows whose outcome is not missing.
    """

    known: BoolArray
    outcome: FloatArray
    happened: BoolArray


@dataclass(frozen=True, slots=True)
class Design:
    """An analysis with its terms; ``left_out`` counts those for which there are too few patients."""

    analysis: Analysis
    terms: tuple[Term, ...]
    left_out: int = 0

    def matrix(self, table: Table) -> FloatArray:
        """The terms in each row: (rows, terms)."""
        return np.column_stack([term.values(table) for term in self.terms])

    def response(self, table: Table) -> Response:
        """The outcome in each row."""
        return response(self.analysis, table)


def response(analysis: Analysis, table: Table) -> Response:
    """Read an analysis's outcome from a table."""
    schema = table.schema
    if analysis.model == "cox":
        happened = _is_event(table, schema.column(analysis.event), analysis.happened)
        times = table.frame[analysis.outcome].to_numpy(np.float64)
        return Response(~(np.isnan(times) | np.isnan(happened)), times, happened == 1.0)
    column = schema.column(analysis.outcome)
    if column.is_number:
        values = table.frame[column.name].to_numpy(np.float64)
    else:
        values = _is_event(table, column, analysis.happened)
    return Response(~np.isnan(values), values, values == 1.0)


def _is_event(table: Table, column: Column, happened: str) -> FloatArray:
    """1 where the event came, 0 where not, NaN where that is missing or the cell is neither: (rows,)."""
    cells = table.frame[column.name]
    if column.is_number:
        numbers = cells.to_numpy(np.float64)
        return np.where(np.isin(numbers, (0.0, 1.0)), numbers, np.nan)
    codes = cells.cat.codes.to_numpy()
    return np.where(codes < 0, np.nan, codes == column.categories.index(happened))


def weight_of_evidence(analysis: Analysis, table: Table) -> int:
    """How many patients carry the information: those of the rarer outcome, those with an event, or all of them."""
    found = response(analysis, table)
    owner = patient_of(table)
    if analysis.model in UNCOUNTED:
        return len(np.unique(owner[found.known]))
    events = len(np.unique(owner[found.known & found.happened]))
    if analysis.model == "cox":
        return events
    return min(events, len(np.unique(owner[found.known & ~found.happened])))


def learned(analysis: Analysis, train: Table, *, events_per_level: int = EVENTS_PER_TERM) -> Design:
    """Learn the terms from real training rows.

    A level in which fewer than ``events_per_level`` rows have either outcome goes with the reference: another sample
    may hold none of them, and then shows no finite effect. What earlier terms determine is dropped. A regression that
    nobody planned also drops what they nearly determine, and ends after one term for every ten patients of the rarer
    outcome.
    """
    found = response(analysis, train)
    at = np.flatnonzero(found.known)
    rows, outcome = train.take(at), None if analysis.model in UNCOUNTED else found.happened[at]
    candidates = [term for name in analysis.covariates for term in _terms(train.schema.column(name), rows)]
    firm = [term for term in candidates if not term.level or _has_events(term, rows, outcome, events_per_level)]
    kept = _independent(firm, rows, left=EXACT if analysis.is_declared else NEAR_COPY)
    most = len(kept) if analysis.is_declared else weight_of_evidence(analysis, train) // EVENTS_PER_TERM
    return Design(analysis, tuple(kept[:most]), max(0, len(kept) - most))


def _has_events(term: Term, rows: Table, outcome: BoolArray | None, fewest: int) -> bool:
    """Whether enough rows of a level have the event, and enough have not; true of any where no event is counted."""
    if outcome is None:
        return True
    inside = outcome[term.values(rows) == 1.0]
    return bool(min(inside.sum(), (~inside).sum()) >= fewest)


def _terms(column: Column, rows: Table) -> Iterator[Term]:
    cells = rows.frame[column.name]
    if not column.is_number:
        counts = np.bincount(cells.cat.codes.to_numpy() + 1, minlength=len(column.categories) + 1)[1:]
        frequent = [at for at in np.argsort(-counts, kind="stable") if counts[at] >= FEWEST_SHARE * len(rows)]
        for at in frequent[1:MOST_LEVELS]:
            yield Term(column, column.categories[at], people=int(counts[at]))
        return
    numbers = cells.to_numpy(np.float64)
    known = numbers[~np.isnan(numbers)]
    if 2 * len(known) > len(numbers) and np.ptp(known) > 0:
        fill = float(np.median(known))
        yield Term(column, "", float(known.mean()), float(known.std()), fill, patients(rows))


def _independent(terms: list[Term], rows: Table, *, left: float) -> list[Term]:
    """The terms of which earlier ones leave more than ``left`` of the variance (Gram-Schmidt)."""
    kept, basis = [], np.empty((len(rows), 0))
    for term in terms:
        values = term.values(rows)
        values = values - values.mean()
        whole = float(values @ values)
        rest = values - basis @ (basis.T @ values)
        size = float(rest @ rest)
        if whole > 0 and size > left * whole:
            kept.append(term)
            basis = np.column_stack([basis, rest / np.sqrt(size)])
    return kept
