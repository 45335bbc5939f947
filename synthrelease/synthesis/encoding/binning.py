"""How the values of a number column are cut: into bins of enough rows, and atoms, values that enough rows hold."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray

MIN_COUNT = 5
"""A value, category or bin held by fewer training rows than this is not sampled by itself."""
ROWS_PER_BIN = 12
MAX_DECIMALS = 15
MAX_EXACT = 2.0**52
"""Above this a float64 no longer tells neighbouring halves apart, so no grid of decimals is kept there."""

LONELY = 0.2
"""A value is lonely if the nearest other one is further away than this share of the middle nine tenths of rows."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """How finely numbers are told apart.

    A column has at most ``bins`` bins. A value is an atom when it holds at least ``atom_share`` bins' worth of rows and
    ``atom_rows`` rows, or when ``MIN_COUNT`` rows hold it far from all others; of those the ``atoms`` commonest.
    """

    bins: int
    atoms: int
    atom_share: float = 0.0
    atom_rows: int = MIN_COUNT


COARSE = Resolution(bins=32, atoms=64, atom_share=1.5)
"""For generators that pay for every bin."""
FINE = Resolution(bins=256, atoms=128, atom_rows=8)
"""For generators whose cost hardly depends on the number of bins: heaped values and far tails stay as they are."""


def atoms_of(distinct: FloatArray, counts: IntArray, bins: int, resolution: Resolution) -> BoolArray:
    """Which distinct values (sorted, held by ``counts`` rows each) are atoms."""
    least = max(MIN_COUNT, resolution.atom_rows, resolution.atom_share * counts.sum() / bins)
    commonest = np.zeros(len(counts), dtype=np.bool_)
    commonest[np.argsort(-counts, kind="stable")[: resolution.atoms]] = True
    return np.asarray(commonest & ((counts >= least) | ((counts >= MIN_COUNT) & _lonely(distinct, counts))))


def _lonely(distinct: FloatArray, counts: IntArray) -> BoolArray:
    """Which values lie so far from all others that a bin around them would mostly hold what nobody has.

    The usual one is a 0 that stands for "not measured".
    """
    shares = np.cumsum(counts) / counts.sum()
    ends = np.searchsorted(shares, (0.05, 0.95)).clip(max=len(distinct) - 1)
    low, high = distinct[ends] / 2
    gaps = np.concatenate([[np.inf], distinct[1:] / 2 - distinct[:-1] / 2, [np.inf]])  # halves, which cannot overflow
    return np.asarray(np.minimum(gaps[:-1], gaps[1:]) > LONELY * (high - low), dtype=np.bool_)


def decimals_of(values: FloatArray, *, most: int = MAX_DECIMALS, largest: float = MAX_EXACT) -> int | None:
    """Return the fewest decimal places that hold every value exactly, None if more than ``most``.

    None as well where a value reaches ``largest`` in units of its last decimal.
    """
    for decimals in range(most + 1):
        scaled = values * 10.0**decimals
        if len(values) and np.abs(scaled).max() >= largest:
            return None
        # A grid point divided by an exact power of ten is the very float that its decimal spelling parses to.
        if (np.rint(scaled) / 10.0**decimals == values).all():
            return decimals
    return None


def quantile_groups(counts: IntArray, bins: int) -> list[tuple[int, int]]:
    """Cut sorted distinct values (``counts`` rows each) into at most ``bins`` runs (start, stop) of similar weight.

    Every run holds at least ``MIN_COUNT`` rows unless all values together hold fewer.
    """
    if not len(counts):
        return []
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    owner = np.minimum((middles * bins).astype(np.int64), bins - 1)
    starts = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(counts)]
    kept = [0]
    for stop in starts[1:]:
        if counts[kept[-1] : stop].sum() >= MIN_COUNT:
            kept.append(stop)
    if kept[-1] != len(counts):
        kept = [*kept[:-1], len(counts)] if len(kept) > 1 else [0, len(counts)]
    return list(pairwise(kept))


def edges(values: FloatArray, groups: list[tuple[int, int]], decimals: int | None) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest value of each run; inner edges are moved half-way to the neighbour."""
    lows = [float(values[start]) for start, _ in groups]
    highs = [float(values[stop - 1]) for _, stop in groups]
    for place in range(len(groups) - 1):
        below, above = highs[place], lows[place + 1]
        if decimals is None:
            highs[place] = lows[place + 1] = below / 2 + above / 2
        else:
            scale = 10.0**decimals
            edge = float(np.floor((np.rint(below * scale) + np.rint(above * scale)) / 2))
            highs[place], lows[place + 1] = edge / scale, (edge + 1.0) / scale
    return lows, highs


def grid(values: FloatArray, decimals: int) -> FloatArray:
    """Return values in units of their last decimal."""
    return np.asarray(np.rint(values * 10.0**decimals))
