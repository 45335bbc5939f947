"""Which values of a number are counted together: few where its rows lie, many where hardly any do.

Bounds say what is possible, and that may be a hundred times as wide as what occurs. Cells of equal width would then put
all rows into two or three of them. So numbers of many values are counted several times, each time with noise: first in
wide public cells, then in cells for which those with many rows are cut once more. Each counts are smoothed towards the
ones before, so that noise in the many cells where nobody is does not add up.

Source: the two levels of the adaptive grid of Qardaji, Yang & Li 2012, arXiv:1209.1322, sections IV.B and IV.C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from synthrelease.core.contracts import Column, FloatArray, IntArray, PrivacyBudget
from synthrelease.synthesis.generators.private import noisy_counts
from synthrelease.synthesis.generators.private.codebook import Codes, counts_of
from synthrelease.synthesis.generators.private.noisy_counts import Counted, Noise
from synthrelease.synthesis.generators.private.public_domain import (
    Cells,
    decimals_for,
    decimals_of,
    has_known_decimals,
)

CELLS = 100
"""Into so many cells the rows of a column are cut in a round; more of them each hold more noise than rows."""
CAUTION = 1.5
"""Noise is taken to be so many times larger where it decides what is cut, so that it hardly ever does."""
ROUNDS = (0.1, 0.1)
"""Of the part of the budget for histograms that numbers of many values have, for counting before the last time."""
NOBODY = 1e-4
"""The share of rows expected in all cells together, were they as empty as they look."""
HEAP = 5.0
"""A cell with so many times the rows it was cut for, and of its neighbours by its width, holds a heap on one value."""
BULK = 0.25
"""The share of rows at either end that does not decide how many decimals are written."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Columns whose public cells are counted together, by column: the ``public`` cells, and the ones ``counted``.

    ``expected``: by column, what share of the rows earlier counts make one expect in each counted cell but missing,
    (cells - 1,).
    """

    public: tuple[Cells, ...]
    counted: tuple[Cells, ...]
    expected: Mapping[int, FloatArray] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """How many cells are counted in each column, missing included."""
        return [each.size for each in self.counted]

    def __call__(self, cells: IntArray) -> IntArray:
        """Return the counted cells of public ones, (rows, columns)."""
        columns = zip(self.public, self.counted, cells.T, strict=True)
        return np.stack([_fold(public, counted, column) for public, counted, column in columns], axis=1)

    def cut(self, counts: Sequence[FloatArray], noise: float) -> Folded:
        """Return finer cells where noisy counts, (cells,) a column, say that many rows lie."""
        counted, expected = [], {}
        for at, (cells, noisy) in enumerate(zip(self.counted, counts, strict=True)):
            starts, expected[at] = _cut(cells, counts_of(cells, noisy[:-1], CAUTION * noise, self.expected.get(at)))
            counted.append(replace(cells, starts=starts))
        return Folded(self.public, tuple(counted), expected)


def _fold(public: Cells, counted: Cells, cells: IntArray) -> IntArray:
    if not public.by_value:
        return cells
    is_missing = cells == public.size - 1
    return np.where(is_missing, counted.size - 1, counted.cell_of(public.starts[0] + cells))


def _cut(cells: Cells, mass: FloatArray) -> tuple[tuple[int, ...], FloatArray]:
    """Cut cells into as many parts as their mass, (cells - 1,), is worth.

    Returns the first grid value of each part, (parts,), and the share of the mass expected in it, (parts,).
    """
    shares = (mass / max(float(mass.sum()), 1e-9)).tolist()
    starts: list[int] = []
    expected = []
    for start, end, share in zip(cells.starts, (*cells.starts[1:], cells.stop + 1), shares, strict=True):
        parts = min(max(math.ceil(CELLS * share), 1), end - start)
        starts += [start + part * (end - start) // parts for part in range(parts)]
        expected += [max(share, NOBODY / len(shares)) / parts] * parts
    return tuple(starts), np.array(expected)


@dataclass(frozen=True, slots=True)
class Round:
    """A count of the columns at ``places``: in what cells, noisy ``counts`` of these, (cells,) a column, and noise."""

    places: tuple[int, ...]
    folded: Folded
    counts: tuple[FloatArray, ...]
    noise: Noise


def rounds_share(domains: Sequence[Cells]) -> float:
    """Of the budget for histograms, what all rounds take."""
    return sum(ROUNDS) * sum(each.by_value for each in domains) / len(domains)


def refined(
    rows: Counted, domains: Sequence[Cells], budget: PrivacyBudget, share: float
) -> tuple[Folded, tuple[Round, ...]]:
    """Find the cells in which columns are counted the last time, and count before that, out of a ``share``.

    Returns these cells, and all that was counted for them: nothing where no number has many values.
    """
    places = tuple(at for at, each in enumerate(domains) if each.by_value)
    public = tuple(domains[at] for at in places)
    folded = Folded(public, tuple(replace(each, by_value=False) for each in public))
    rounds = []
    for number, part in enumerate(ROUNDS if places else (), start=1):
        spent = share * part * len(places) / len(domains)
        noise = Noise.of(f"cells of numbers, round {number}", len(places), budget, spent)
        inside = replace(rows, cells=folded(rows.cells[:, list(places)]))
        rounds.append(Round(places, folded, tuple(noisy_counts.histograms(inside, folded.counted, noise)), noise))
        folded = folded.cut(rounds[-1].counts, noise.scale)
    counted, expected = list(domains), {}
    for place, at in enumerate(places):
        counted[at], expected[at] = folded.counted[place], folded.expected[place]
    return Folded(tuple(domains), tuple(counted), expected), tuple(rounds)


def rounded(codes: Codes, column: Column) -> Codes:
    """Write a number whose decimals nobody declared as its noisy counts suggest; others are returned as they are.

    The bounds alone may be so wide that decimals which follow from them would make the bulk a few whole numbers. So
    there are as many as give the bulk many steps, and where a cell stands out its rows have its roundest value.
    """
    if not column.is_number or has_known_decimals(column):
        return codes
    inside = np.array(codes.inside[:-1])
    cells = _with_heaps(codes.cells, inside)
    widths = np.diff([*cells.starts, cells.stop + 1])
    spread = np.where(widths > 1, inside, 0.0)  # a heap on one value tells nothing of the others
    if not spread.any():
        return replace(codes, cells=replace(cells, written=decimals_of(column)))
    low, high = np.searchsorted(np.cumsum(spread) / spread.sum(), (BULK, 1.0 - BULK))
    width = (cells.starts[high] + widths[high] - cells.starts[low]) / 10.0**cells.decimals
    decimals = int(np.clip(decimals_for(float(width)), decimals_of(column), cells.decimals))
    return replace(codes, cells=replace(cells, written=decimals))


def _with_heaps(cells: Cells, inside: FloatArray) -> Cells:
    """Narrow cells that hold far more rows, (cells - 1,), for their width than both neighbours to one round value."""
    widths = np.diff([*cells.starts, cells.stop + 1])
    fullness = np.pad(inside / widths, 1)
    beside = np.maximum(fullness[:-2], fullness[2:])
    starts = list(cells.starts)
    for at in np.flatnonzero((inside > HEAP * inside.sum() / CELLS) & (fullness[1:-1] > HEAP * beside)).tolist():
        value = _roundest(starts[at], starts[at] + int(widths[at]))
        starts[at : at + 2] = [value, *([value + 1] if at + 1 < len(starts) else [])]
    if starts[0] > cells.starts[0]:
        return cells  # the lowest value stays what it is declared to be
    return replace(cells, starts=tuple(starts))


def _roundest(start: int, end: int) -> int:
    """Return the grid value from ``start`` on and before ``end`` that ends in the most zeros."""
    power = int(10 ** len(str(max(abs(start), abs(end)))))
    while -(-start // power) * power >= end:
        power //= 10
    return -(-start // power) * power
