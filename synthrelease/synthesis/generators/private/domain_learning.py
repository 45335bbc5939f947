"""Domains that the schema leaves to be learned, learned with a share of the budget: labels, and the ends of numbers.

Each open column is counted once, with noise, before the training. A label is published where the noisy number of its
units (patients, or rows) reaches a threshold. A label that one unit alone brings into the table would be told by its
mere name, whatever the noise: it passes the threshold with no more than its share of delta. The ends of a number lie at
the outermost rungs of a public ladder that reach a threshold of their own; as the ladder is public, that threshold
costs no delta and only keeps noise from being taken for values.

Source: Korolova et al. 2009, doi:10.1145/1526709.1526733; Wilson et al. 2020, arXiv:1909.01917; the tail of discrete
noise: Canonne, Kamath & Steinke 2020, arXiv:2004.00010, proposition 25.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    Column,
    FloatArray,
    IntArray,
    LearnedSchema,
    OpenedSchema,
    PrivacyBudget,
    PrivacySpend,
    Table,
    Witness,
)
from synthrelease.core.errors import InputError
from synthrelease.synthesis.generators.private import noisy_counts
from synthrelease.synthesis.generators.private.noisy_counts import Counted, Domain, Noise
from synthrelease.synthesis.generators.private.public_domain import cells_of
from synthrelease.synthesis.generators.private.public_grids import Ladder, ladder_of

EACH, MOST = 0.02, 0.2
"""Of the budget, for each open column, and for all of them together at most."""
FAILURES = 0.1
"""Of delta, for labels that one unit alone brings into the table."""
FALSE_END = 1e-3
"""The chance that noise is taken for values somewhere, and a range comes out too wide: that harms nobody's privacy."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A schema whose open columns have labels and bounds, and the budget with what that cost noted in ``spent``.

    ``notes``: what was learned of each column, in words; nothing in them is more than was released with noise.
    """

    schema: LearnedSchema
    budget: PrivacyBudget
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns that are learned alike: their places among the open ones, their noise, and a threshold in units.

    ``failure``: the chance, at most, that a label of one unit alone is published; 0 where the cells are public.
    """

    what: str
    places: tuple[int, ...]
    noise: Noise
    threshold: float
    failure: float = 0.0

    def spend(self, budget: PrivacyBudget) -> PrivacySpend:
        """The receipt."""
        said = replace(self.noise.spend(budget), delta=self.failure)
        if not self.failure:
            return said
        return replace(said, mechanism=f"{said.mechanism}; labels from {self.threshold:,.0f} {budget.unit}s on")


def is_open(column: Column) -> bool:
    """Whether the schema says that the column's labels or bounds are learned."""
    return column.is_learned and (column.learns_bounds if column.is_number else column.learns_levels)


def learned(train: Table[OpenedSchema], budget: PrivacyBudget, *, min_cell: int) -> Learned:
    """Learn what the schema leaves open from the training rows.

    ``train`` lists in each open column of labels whatever stands in the table. No threshold is lower than ``min_cell``.

    Raises:
        InputError: nothing in a column is frequent enough to be told from noise.
    """
    columns = [column for column in train.schema.learned if is_open(column)]
    if not columns:
        return Learned(LearnedSchema.of(train.schema, train.schema.columns), budget)
    domains: list[Domain] = [ladder_of(each) if each.is_number else cells_of(each) for each in columns]
    rows = noisy_counts.counted(train, domains, budget)
    parts = _parts(columns, domains, budget, rows.whole, min_cell)
    found: dict[str, Column] = {}
    for part, counts in zip(parts, _counts(rows, domains, parts, None), strict=True):
        for place, noisy in zip(part.places, counts, strict=True):
            column, domain = columns[place], domains[place]
            reaches = noisy[:-1] >= part.threshold  # the last cell is missing
            if isinstance(domain, Ladder):
                found[column.name] = _with_ends(column, domain, reaches, part, budget)
            else:
                held = noisy_counts.held(rows, place, domain.size)[:-1]
                found[column.name] = _with_labels(column, reaches & held, part, budget)
    spent = (*budget.spent, *(part.spend(budget) for part in parts))
    notes = tuple(_note(found[columns[place].name], part, budget) for part in parts for place in part.places)
    schema = LearnedSchema.of(train.schema, tuple(found.get(each.name, each) for each in train.schema.columns))
    return Learned(schema, replace(budget, spent=spent), notes)


def domains_of(schema: LearnedSchema) -> list[Domain]:
    """The cells in which open columns were counted, as far as they were published; for ``again``."""
    return [ladder_of(each) if each.is_number else cells_of(each) for each in schema.learned if is_open(each)]


def again(train: Table, budget: PrivacyBudget, witness: Witness) -> None:
    """Count open columns once more, in the cells that were published, and tell all of it to an audit.

    An audit plants rows in published cells alone, where counts have Gaussian noise and no threshold; what thresholds
    may give away has exact tests. ``budget``: the one that ``learned`` returned.
    """
    columns = [column for column in train.schema.learned if is_open(column)]
    domains = domains_of(train.schema)
    parts = _parts(columns, domains, replace(budget, spent=()), noisy_counts.whole_of(budget), 0)
    _counts(noisy_counts.counted(train, domains, budget), domains, parts, witness)


def _counts(
    rows: Counted, domains: Sequence[Domain], parts: Sequence[_Part], witness: Witness | None
) -> list[list[FloatArray]]:
    """Return the noisy histograms of each part's columns, in units."""
    if witness is not None:
        witness.known(rows.cells, rows.weights / rows.whole, rows.kept)
    counts = []
    for part in parts:
        chosen, places = [domains[place] for place in part.places], list(part.places)
        counts.append(noisy_counts.histograms(replace(rows, cells=rows.cells[:, places]), chosen, part.noise))
        if witness is not None:
            witness.released(np.concatenate(counts[-1]), part.noise.scale, _Places(places, [e.size for e in chosen]))
    return counts


@dataclass(frozen=True, slots=True)
class _Places:
    """Which numbers of a part's histograms rows of cells add to (a ``contracts.Place``)."""

    places: list[int]
    sizes: list[int]

    def __call__(self, cells: IntArray) -> tuple[IntArray, FloatArray]:
        return noisy_counts.in_histograms(cells[:, self.places], self.sizes)


def _parts(
    columns: Sequence[Column], domains: Sequence[Domain], budget: PrivacyBudget, whole: int, min_cell: int
) -> tuple[_Part, ...]:
    """Plan noise and thresholds by the schema and the budget alone: columns of labels, then columns of numbers."""
    labels = tuple(at for at, column in enumerate(columns) if not column.is_number)
    numbers = tuple(at for at, column in enumerate(columns) if column.is_number)
    failure = FAILURES * budget.delta if labels else 0.0
    parts = []
    for what, places in (("labels", labels), ("ranges", numbers)):
        if not places:
            continue
        share = min(MOST, EACH * len(columns)) * len(places) / len(columns)
        purpose = f"{what} of {', '.join(columns[at].name for at in places)}"
        noise = Noise.of(purpose, len(places), budget, share, failures=failure)
        if what == "labels":
            least = threshold(noise.scale, whole, budget.rows_per_unit, failure / len(places))
            parts.append(_Part(what, places, noise, max(least, min_cell), failure))
        else:
            rungs = sum(domains[at].size - 1 for at in places)
            least = -NormalDist().inv_cdf(FALSE_END / rungs) * noise.scale
            parts.append(_Part(what, places, noise, max(least, min_cell)))
    return tuple(parts)


def threshold(scale: float, whole: int, rows_per_unit: int, failure: float) -> float:
    """Return the lowest threshold, in units, that labels of one unit alone pass with probability ``failure`` at most.

    Args:
        scale: the standard deviation of a count's noise, in units.
        whole: so many steps of a count are one unit.
        rows_per_unit: so many labels one unit may bring.
        failure: for all labels of one unit in one column together.
    """
    lowest, most = whole + 1, whole + 2 + math.ceil(40.0 * scale * whole)

    def short(steps: int) -> float:
        return -passes(steps, scale, whole, rows_per_unit)

    return (lowest + bisect_left(range(lowest, most), -failure, key=short)) / whole


def passes(steps: int, scale: float, whole: int, rows_per_unit: int) -> float:
    """Bound the chance that any label of one unit alone has a noisy count of ``steps`` or more, in 1 / ``whole`` units.

    The unit's weight is 1, spread over at most ``rows_per_unit`` labels. Beyond its mean the tail is convex, so the
    sum of chances is largest where one label has all the weight. Discrete noise reaches m no more often than continuous
    noise reaches m - 1.
    """

    def tail(reached: int) -> float:
        return 0.5 * math.erfc((reached - 1) / (scale * whole * math.sqrt(2.0)))

    return tail(steps - whole) + (rows_per_unit - 1) * tail(steps)


def _with_labels(column: Column, kept: BoolArray, part: _Part, budget: PrivacyBudget) -> Column:
    labels = tuple(label for label, is_kept in zip(column.categories, kept.tolist(), strict=True) if is_kept)
    if not labels:
        raise InputError(
            f"Labels are learned where about {part.threshold:,.0f} {budget.unit}s or more share them, however none of "
            f"{column.name!r} is so frequent. List the labels of the code book in the schema, or exclude the column; "
            "a larger --epsilon lowers the number."
        )
    rest = (column.other,) if column.other and column.other not in labels else ()
    return replace(column, categories=(*labels, *rest))


def _with_ends(column: Column, ladder: Ladder, reaches: BoolArray, part: _Part, budget: PrivacyBudget) -> Column:
    if not reaches.any():
        raise InputError(
            f"Bounds are learned where about {part.threshold:,.0f} {budget.unit}s or more have values of one magnitude "
            f"(or year, or hour), however {column.name!r} has no such values. Declare its bounds in the schema, or "
            "exclude the column; a larger --epsilon lowers the number."
        )
    rungs = np.flatnonzero(reaches)
    return replace(column, bounds=(float(ladder.lows[rungs[0]]), float(ladder.highs[rungs[-1]])))


def _note(column: Column, part: _Part, budget: PrivacyBudget) -> str:
    about = f"about {part.threshold:,.0f} {budget.unit}s"
    if column.is_number:
        return (
            f"{column.name!r}: its bounds were learned with noise; values of a magnitude (or year, or hour) that fewer "
            f"than {about} share, and that lie beyond, count as the nearest bound."
        )
    rest = repr(column.other) if column.other else "missing"
    count = len(column.categories) - (column.other in column.categories)
    return f"{column.name!r}: {count:,} labels were learned with noise; those of fewer than {about} stand as {rest}."
