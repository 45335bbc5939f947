"""From noisy histograms to codes: few enough for tables of pairs, with what happens inside each code kept.

All of this is post-processing of numbers that are already private: it may be done with any care, and costs nothing.
A code is a run of neighbouring cells of a number, a label, all labels too rare to tell from noise, or missing.
``inside`` holds the noisy shares by which a code is turned back into a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.synthesis.encoding.column_codec import Values, fields_from
from synthrelease.synthesis.generators.private.public_domain import Cells

CLEAR = 4.0
"""A label or missing stands for itself where its count is so many standard deviations of the noise above 0."""
THIN = 0.2
"""A code with less than this share of a full code's rows is merged with its neighbour."""
SHRINK = 2.0
"""How strongly a difference between neighbouring stretches is distrusted, in variances of the noise."""
FENCES = 5.0
"""Tukey has 3 for what is far out; with 3 a skewed number lost a fifth of its standard deviation."""
HEAPED = 0.1
"""A single value with more than this share of the rows is a heap, and no part of the bulk."""
FALSE = 0.01
"""The chance that in a column with no rows at all noise somewhere stands out."""


@dataclass(frozen=True, slots=True)
class Codes:
    """How one column's cells map to codes. ``code``: the code of each cell, (cells,). ``inside``: weights, (cells,).

    ``shares``: noisy shares of the codes, (codes,). ``has_missing``: whether the last code is missing.
    """

    cells: Cells
    code: tuple[int, ...]
    inside: tuple[float, ...]
    shares: tuple[float, ...]
    has_missing: bool

    @property
    def size(self) -> int:
        """How many codes there are."""
        return len(self.shares)

    def encode(self, cells: IntArray) -> IntArray:
        """Return the code of each cell, (rows,)."""
        return np.asarray(self.code)[cells]

    def decode(self, codes: IntArray, rng: np.random.Generator) -> Values:
        """Return canonical values for codes (rows,), drawn from what lies inside each."""
        cells = np.zeros(len(codes), dtype=np.int64)
        owner, weights = np.asarray(self.code), np.asarray(self.inside)
        for code in np.unique(codes):
            rows, choices = np.flatnonzero(codes == code), np.flatnonzero(owner == code)
            cells[rows] = spread(weights[choices], choices, len(rows), rng)
        return self.cells.values(cells, rng.random(len(codes)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Codes:
        """Build what ``dataclasses.asdict`` described."""
        return cls(**{**fields_from(values), "cells": Cells.from_json(values["cells"])})


def spread(weights: FloatArray, choices: IntArray, rows: int, rng: np.random.Generator) -> IntArray:
    """Deal choices out in proportion to weights, in random order, (rows,): systematic, so without luck in numbers."""
    total = weights.sum()
    shares = np.cumsum(weights) / total if total > 0 else np.arange(1, len(choices) + 1) / len(choices)
    places = np.searchsorted(shares, (np.arange(rows) + rng.random()) / rows, side="right")
    return rng.permutation(choices[np.minimum(places, len(choices) - 1)])


def codes_of(cells: Cells, noisy: FloatArray, *, noise: float, most: int, expected: FloatArray | None = None) -> Codes:
    """Make about ``most`` codes or fewer from a noisy histogram, (cells,); ``noise`` is its standard deviation.

    ``expected``: what earlier counts make one expect in each cell of a number but missing, (cells - 1,).
    """
    present, missing = noisy[:-1], float(noisy[-1])
    has_missing = missing > CLEAR * noise
    if cells.is_number:
        inside = counts_of(cells, present, noise, expected)
        code = _runs(inside, most, least=2.0 * noise)
    else:
        inside = np.maximum(present, 0.0)
        code = _labels(present, noise)
    count = int(code.max()) + 1
    shares = np.bincount(code, inside, minlength=count)
    inside = inside if cells.is_number else at_least_0(present, noise)
    shares = np.append(shares, missing) if has_missing else shares
    shares = np.maximum(shares, 0.5)
    return Codes(
        cells=cells,
        code=(*code.tolist(), count if has_missing else 0),
        inside=(*inside.tolist(), 1.0 if has_missing else 0.0),
        shares=tuple((shares / shares.sum()).tolist()),
        has_missing=has_missing,
    )


def at_least_0(noisy: FloatArray, noise: float) -> FloatArray:
    """What counts are to be expected behind noisy ones, if any count from 0 up was as likely before: above 0, (n,).

    A declared label whose noisy count lies below 0 may well have patients; at a weight of 0 it would never be drawn.
    The mean of a normal distribution cut off at 0 (Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions,
    1994, section 13.10).
    """
    if noise <= 0:
        return np.maximum(noisy, 0.0)
    z = noisy / noise
    hazard = np.exp(stats.norm.logpdf(z) - stats.norm.logcdf(z))
    return np.maximum(noise * (z + hazard), 0.0)


def _labels(present: FloatArray, noise: float) -> IntArray:
    """One code for each label clearly there, and one for all others."""
    clear = present > CLEAR * noise
    if not clear.any():
        clear[np.argmax(present)] = True
    code = np.full(len(present), int(clear.sum()), dtype=np.int64)
    code[clear] = np.arange(clear.sum())
    return code


def _runs(mass: FloatArray, most: int, *, least: float) -> IntArray:
    """Cut cells into runs of similar mass; a cell that would fill most of a run is a code of its own."""
    total = max(float(mass.sum()), 1e-9)
    alone = mass > total / (1.5 * most)
    rest = float(mass[~alone].sum())
    # The square root: what is left beside one heavy value (the few who have any) deserves more than its share of codes.
    wanted = max(1, round(most * (rest / total) ** 0.5))
    full = max(rest / wanted, least)
    code = np.zeros(len(mass), dtype=np.int64)
    now, held, is_open = -1, 0.0, False
    for cell, weight in enumerate(mass.tolist()):
        if alone[cell] or not is_open:
            now, held = now + 1, 0.0
        code[cell] = now
        held += weight
        is_open = not alone[cell] and held < full * (1 - 1e-9)
    return _without_thin(code, mass, THIN * full)


def _without_thin(code: IntArray, mass: FloatArray, least: float) -> IntArray:
    """Merge each code with too little mass into its lighter neighbour."""
    while True:
        held = np.bincount(code, mass)
        if len(held) == 1 or held.min() >= least:
            return code
        thin = int(held.argmin())
        beside = [at for at in (thin - 1, thin + 1) if 0 <= at < len(held)]
        into = min(beside, key=lambda at: held[at])
        code = np.where(code == thin, into, code)
        code = np.unique(code, return_inverse=True)[1].astype(np.int64)


def counts_of(cells: Cells, noisy: FloatArray, noise: float, expected: FloatArray | None = None) -> FloatArray:
    """Return non-negative counts of the ordered cells of a number from noisy ones, (cells,) without missing.

    They are smoothed, and far from the bulk, ``FENCES`` interquartile ranges beyond the quartiles, only what stands out
    of the noise is kept. A little noise there would make a number's spread many times too large where bounds are wide.
    ``expected``: see ``smoothed``.

    Source of the fences: Tukey 1977, Exploratory Data Analysis, section 2D.
    """
    better = smoothed(noisy, noise, expected)
    starts, stops = np.array(cells.starts), np.array([*cells.starts[1:], cells.stop + 1])
    is_heap = (stops - starts == 1) & (better > HEAPED * better.sum())
    bulk = np.where(is_heap, 0.0, better)  # with most rows on one value, quartiles would lie on it and fences as well
    bulk = bulk if bulk.any() else better
    low, high = np.searchsorted(np.cumsum(bulk) / bulk.sum(), (0.25, 0.75))
    reach = FENCES * (stops[high] - starts[low])
    is_far = (stops <= starts[low] - reach) | (starts >= stops[high] + reach)
    kept = np.where(is_far & ~is_heap & ~_standing_out(np.where(is_far, noisy, 0.0), noise), 0.0, better)
    return kept if kept.any() else better


def _standing_out(noisy: FloatArray, noise: float) -> BoolArray:
    """Which cells lie in a stretch whose noisy count stands out of the noise, (cells,).

    Stretches are of 1, 2, 4, ... cells; a longer one must stand out by what shorter ones in it have left.
    """
    clear = noise * float(stats.norm.isf(FALSE / (2 * len(noisy))))
    out, left, length = np.zeros(len(noisy), dtype=np.bool_), noisy, 1
    while length <= len(noisy):
        stretches = np.add.reduceat(left, np.arange(0, len(noisy), length))
        found = np.repeat(stretches > clear * length**0.5, length)[: len(noisy)]
        out, left, length = out | found, np.where(found, 0.0, left), 2 * length
    return out


def smoothed(noisy: FloatArray, noise: float, expected: FloatArray | None = None) -> FloatArray:
    """Return non-negative counts of ordered cells with the noise taken down, (cells,).

    From the whole to ever smaller halves, how much fuller than ``expected`` (cells,) one stretch is than its neighbour
    is kept as far as it stands out of the noise (James-Stein shrinkage of Haar wavelets), so that heaps stay and noise
    on empty stretches goes. Without ``expected`` all cells should be equally full.
    """
    out = np.zeros(len(noisy))
    sums = np.concatenate([[0.0], np.cumsum(noisy)])
    wanted = np.concatenate([[0.0], np.cumsum(np.ones(len(noisy)) if expected is None else expected)])

    def share_out(start: int, stop: int, total: float) -> None:
        if stop - start == 1:
            out[start] = total
            return
        middle = (start + stop) // 2
        left, right = wanted[middle] - wanted[start], wanted[stop] - wanted[middle]
        gap = (sums[middle] - sums[start]) / left - (sums[stop] - sums[middle]) / right
        variance = noise**2 * ((middle - start) / left**2 + (stop - middle) / right**2)
        kept = gap * max(0.0, 1.0 - SHRINK * variance / gap**2) if gap else 0.0
        on_left = min(max((total + kept * right) * left / (left + right), 0.0), total)
        share_out(start, middle, on_left)
        share_out(middle, stop, total - on_left)

    share_out(0, len(noisy), max(float(noisy.sum()), 1.0))
    return out


def as_frame(columns: list[Codes], codes: IntArray, rng: np.random.Generator) -> pd.DataFrame:
    """Return a canonical frame of sampled codes, (rows, columns)."""
    cells = {each.cells.name: each.decode(codes[:, place], rng) for place, each in enumerate(columns)}
    return pd.DataFrame(cells, index=pd.RangeIndex(len(codes)))


def starts_of(columns: tuple[Codes, ...]) -> IntArray:
    """Where each column's codes begin in tables, and their end, (columns + 1,)."""
    return np.concatenate([[0], np.cumsum([each.size for each in columns])]).astype(np.int64)
