"""What a critic of finished rows is shown of them.

The likelihood has already taught the generator what single columns and smooth dependence look like, so a critic that is
shown the cells alone sees nothing. What is left is seen in other terms: how much less often than by chance two cells
go together (the lift of a pair), what a number is beyond what the other columns say of it (its residual), and how
far two numbers lie apart that are nearly the same.

Lifts and residuals are learned from training rows, and a row that helped to make a table looks likelier in it than it
is. So the training rows are cut into ``FOLDS`` by patient, and every row is shown the tables of the other folds; a
drawn row is dealt to a fold at random. That does not hide everything: rows of one rare cell in different folds see each
other. So a lift is shown only where enough rows are expected, and never above chance. Tables count levels (ranges of
numbers, labels) and hold no rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Encoded, Encoder
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells, Float32Array

FOLDS = 3
RANGES = 20
MOST_LEVELS = 40
"""Levels of a column: a number of more cells is cut into ranges, rarer labels than the commonest count together."""
MOST_PAIRS, SHOWN_PAIRS = 300, 24
"""Pairs of columns whose tables are counted, the most dependent of all, and those shown one by one."""
SMALLEST = 3
EXPECTED = 3.0
"""Rows that a cell of a table should hold by chance; of rarer cells nothing is shown."""
NEAR, MOST_NEAR = 0.5, 10
"""Two numbers are nearly the same if what they differ by spreads half as much as either."""
_MOST_DESIGNED = 12  # labels of a column that residuals are worked out with
_RIDGE = 1.0
_FARTHEST = 8.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Finished rows, all arrays (rows, columns) in writing order.

    ``ranks``: where in [0, 1] a cell lies in its column. ``values``: the numbers, NaN for gaps and labels.
    """

    codes: IntArray
    ranks: FloatArray
    values: FloatArray

    @classmethod
    def of(cls, encoder: Encoder, cells: Cells, encoded: Encoded) -> Rows:
        """Read rows as the encoder codes them."""
        codes = cells.codes(encoded)
        ranks, values = np.empty(codes.shape), np.full(codes.shape, np.nan)
        for at, (place, column) in enumerate(zip(cells.places, cells.columns, strict=True)):
            ranks[:, at] = column.ranks[codes[:, at]]
            if isinstance(encoder.codings[place], NumberCoding):
                ranks[:, at] += column.shares[codes[:, at]] * (encoded.positions[:, place] - 0.5)
                values[:, at] = encoder.number(place, encoded)
        return cls(codes, ranks.clip(0.0, 1.0), values)

    @classmethod
    def drawn(cls, encoder: Encoder, cells: Cells, codes: IntArray, positions: FloatArray) -> Rows:
        """Read drawn cells and the places in them, (rows, columns) both, in writing order.

        They are decoded and coded again: places in a cell that give the same value would tell them from real rows.
        """
        frame = encoder.decode(cells.encoded(codes, positions), sampling=True)
        return cls.of(encoder, cells, encoder.encode(frame))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: IntArray) -> Rows:
        """Return some of the rows."""
        return Rows(self.codes[rows], self.ranks[rows], self.values[rows])


@dataclass(frozen=True, slots=True)
class View:
    """What is learned from training rows to show any rows by.

    ``levels``: the level of each cell, all columns' cells one after another, (cells,). ``starts``: where a column's
    cells begin, (columns,). ``pairs``: the columns of each table, (pairs, 2), most dependent first. ``tables``: where a
    pair's lifts begin and how wide its table is, (pairs, 2). ``lifts``: logs of how much less often than by chance two
    levels go together, (folds, all tables' cells). ``numbers``: which columns hold numbers. ``weights``: of their
    residuals, (folds, design, numbers). ``near``: pairs of nearly equal numbers, (near, 2), ``spreads``: of their
    differences, (near,).
    """

    levels: IntArray
    starts: IntArray
    pairs: IntArray
    tables: IntArray
    lifts: Float32Array
    numbers: IntArray
    weights: FloatArray
    near: IntArray
    spreads: FloatArray

    def shown(self, rows: Rows, fold: IntArray) -> Float32Array:
        """Return what a critic sees of rows, each by the tables without its fold, (rows, features); all finite."""
        levels = self.levels[self.starts + rows.codes]  # (rows, columns)
        lifts = self._lifts(levels, fold)
        smallest = np.sort(lifts, axis=1)[:, :SMALLEST]
        parts = (
            rows.ranks,
            lifts[:, :SHOWN_PAIRS],
            smallest,
            lifts.sum(axis=1, keepdims=True),
            self._residuals(rows, levels, fold),
        )
        return np.hstack([*parts, self._apart(rows)]).astype(np.float32)

    def _lifts(self, levels: IntArray, fold: IntArray) -> FloatArray:
        out = np.zeros((len(levels), len(self.pairs)))
        for at, ((one, other), (start, width)) in enumerate(zip(self.pairs, self.tables, strict=True)):
            out[:, at] = self.lifts[fold, start + levels[:, one] * width + levels[:, other]]
        return out

    def _residuals(self, rows: Rows, levels: IntArray, fold: IntArray) -> FloatArray:
        design, found = _design(rows, levels, self.numbers), _scores(rows, self.numbers)
        for each in range(FOLDS):
            found[fold == each] -= design[fold == each] @ self.weights[each]
        return np.where(np.isnan(rows.values[:, self.numbers]), 0.0, found).clip(-_FARTHEST, _FARTHEST)

    def _apart(self, rows: Rows) -> FloatArray:
        gaps = (rows.values[:, self.near[:, 0]] - rows.values[:, self.near[:, 1]]) / self.spreads
        gaps = np.nan_to_num(gaps).clip(-_FARTHEST, _FARTHEST)
        return np.hstack([gaps, np.abs(gaps)])

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all of it by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def view(cells: Cells, numbers: IntArray, rows: Rows, fold: IntArray) -> View:
    """Learn from training rows, each in its fold, (rows,), how rows are shown. ``numbers``: the columns of numbers."""
    levels = np.concatenate([_levels_of(column.ranks, at in numbers) for at, column in enumerate(cells.columns)])
    starts = cells.starts[:-1]
    coarse = levels[starts + rows.codes]  # (rows, columns)
    sizes = [int(part.max()) + 1 for part in np.split(levels, starts[1:])]
    counts = _counts(coarse, sizes, fold)
    by_dependence = sorted(counts, key=lambda pair: -_dependence(counts[pair].sum(axis=0)))[:MOST_PAIRS]
    widths = [sizes[other] for _, other in by_dependence]
    ends = np.cumsum([0, *(counts[pair][0].size for pair in by_dependence)])
    tables = [_lift(counts[pair]).reshape(FOLDS, -1) for pair in by_dependence]
    near, spreads = _nearly_equal(rows, numbers)
    return View(
        levels=levels,
        starts=starts,
        pairs=np.array(by_dependence, dtype=np.int64).reshape(-1, 2),
        tables=np.stack([ends[:-1], np.array(widths, dtype=np.int64)], axis=1),
        lifts=np.hstack([np.zeros((FOLDS, 0)), *tables]).astype(np.float32),
        numbers=numbers,
        weights=_weights(rows, coarse, numbers, fold),
        near=near,
        spreads=spreads,
    )


def _levels_of(ranks: FloatArray, is_number: bool) -> IntArray:
    """The level of each cell of a column, (cells,), by where the cells lie in drawing order."""
    order = np.argsort(np.argsort(ranks, kind="stable"), kind="stable")
    if len(ranks) <= MOST_LEVELS:
        return order.astype(np.int64)
    if not is_number:
        return np.minimum(order, MOST_LEVELS - 1).astype(np.int64)
    found = np.minimum(ranks * RANGES, RANGES - 1).astype(np.int64)
    found[ranks == 1.0] = RANGES  # a missing value comes after the numbers
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _counts(levels: IntArray, sizes: list[int], fold: IntArray) -> Mapping[tuple[int, int], IntArray]:
    """Count each pair of columns' levels in each fold: (folds, levels, levels)."""
    out = {}
    for one, other in combinations(range(len(sizes)), 2):
        size = (FOLDS, sizes[one], sizes[other])
        keys = np.ravel_multi_index((fold, levels[:, one], levels[:, other]), size)
        out[one, other] = np.bincount(keys, minlength=int(np.prod(size))).reshape(size)
    return out


def _chance(counts: FloatArray) -> FloatArray:
    """What a table would hold if its columns were independent, in the same shape."""
    whole = counts.sum(axis=(-2, -1), keepdims=True)
    return np.asarray(counts.sum(axis=-1, keepdims=True) * counts.sum(axis=-2, keepdims=True) / np.maximum(whole, 1.0))


def _dependence(counts: IntArray) -> float:
    """Mutual information of two columns less what chance adds to it, in nats times rows (Miller 1955)."""
    table = counts.astype(np.float64)
    held = table > 0
    free = (int(held.any(axis=1).sum()) - 1) * (int(held.any(axis=0).sum()) - 1)
    return float((table[held] * np.log(table[held] / _chance(table)[held])).sum()) - free / 2


def _lift(counts: IntArray) -> FloatArray:
    """Log lifts below chance of two columns' levels by the rows outside each fold, (folds, levels, levels)."""
    others = (counts.sum(axis=0, keepdims=True) - counts).astype(np.float64)
    chance = _chance(others)
    lifts = np.minimum(np.log((others + 0.5) / (chance + 0.5)), 0.0)
    return np.where(chance >= EXPECTED, lifts, 0.0)


def _scores(rows: Rows, numbers: IntArray) -> FloatArray:
    """Normal scores of the numbers, (rows, numbers)."""
    return np.asarray(stats.norm.ppf(rows.ranks[:, numbers].clip(0.001, 0.999)))


def _design(rows: Rows, levels: IntArray, numbers: IntArray) -> FloatArray:
    """What numbers are predicted from, (rows, 1 + 3 numbers + labels): scores, their squares, gaps, common labels."""
    missing = np.isnan(rows.values[:, numbers])
    scores = np.where(missing, 0.0, _scores(rows, numbers))
    labels = np.setdiff1d(np.arange(levels.shape[1]), numbers)
    common = [levels[:, [at]] == np.arange(_MOST_DESIGNED) for at in labels]
    return np.hstack([np.ones((len(rows), 1)), scores, scores**2, missing, *common]).astype(np.float64)


def _weights(rows: Rows, levels: IntArray, numbers: IntArray, fold: IntArray) -> FloatArray:
    """Ridge regression of each number on all other columns, by the rows outside each fold: (folds, design, numbers)."""
    design, scores = _design(rows, levels, numbers), _scores(rows, numbers)
    present = ~np.isnan(rows.values[:, numbers])
    out = np.zeros((FOLDS, design.shape[1], len(numbers)))
    for each in range(FOLDS):
        kept = design[fold != each]
        products = kept.T @ kept + _RIDGE * np.eye(design.shape[1])
        sums = kept.T @ np.where(present, scores, 0.0)[fold != each]
        for at in range(len(numbers)):
            own = 1 + at + len(numbers) * np.arange(3)
            others = np.setdiff1d(np.arange(design.shape[1]), own)
            out[each, others, at] = np.linalg.solve(products[np.ix_(others, others)], sums[others, at])
    return out


def _nearly_equal(rows: Rows, numbers: IntArray) -> tuple[IntArray, FloatArray]:
    """Pairs of numbers that are nearly the same, (near, 2), and how their differences spread, (near,)."""
    found: list[tuple[int, int]] = []
    spreads: list[float] = []
    for one, other in combinations(numbers.tolist(), 2):
        a, b = rows.values[:, one], rows.values[:, other]
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() < RANGES or len(found) == MOST_NEAR:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of float64 count as far apart
            spread, least = float((a - b)[both].std()), min(float(a[both].std()), float(b[both].std()))
        if 0.0 < spread < NEAR * least < np.inf:
            found.append((one, other))
            spreads.append(spread)
    return np.array(found, dtype=np.int64).reshape(-1, 2), np.array(spreads)
