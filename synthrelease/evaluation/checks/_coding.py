"""Rows as small integers: quantile bins of numbers and the commonest labels, for counting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, Evidence, FloatArray, IntArray
from synthrelease.evaluation.checks._pool import alike
from synthrelease.evaluation.statistics.half_sampling import Counts, Halves

MOST_LEVELS = 30


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows as small integers: codes (rows, columns) and the number of codes of each column."""

    train: IntArray
    holdout: IntArray
    synthetic: IntArray
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sides:
    """The coded tables and random halves of them: of the synthetic, the training and the holdout rows."""

    codes: Codes
    halves: tuple[Halves, ...]

    def shares(self, columns: tuple[int, ...]) -> tuple[Counts, Counts, Counts]:
        """Joint relative frequencies of some columns in the halves of each table, (halves, cells) each."""
        tables = (self.codes.synthetic, self.codes.train, self.codes.holdout)
        levels = [self.codes.levels[column] for column in columns]
        keys = [np.ravel_multi_index(tuple(table[:, column] for column in columns), levels) for table in tables]
        made, train, real = (half.shares(key, math.prod(levels)) for half, key in zip(self.halves, keys, strict=True))
        return made, train, real

    def tvd(self, columns: tuple[int, ...]) -> FloatArray:
        """Total variation distance of synthetic and of training rows to holdout rows: (halves, 2)."""
        made, train, real = self.shares(columns)
        return np.stack([np.abs(side - real).sum(axis=1, dtype=np.float64) / 2 for side in (made, train)], axis=1)


def coded(evidence: Evidence, bins: int) -> Codes:
    """Code all three tables alike: ``bins`` quantile bins a number, the 30 commonest labels a label column.

    Bins and labels are the holdout's: what both other tables are compared with may favour neither. Labels that the
    training rows alone have decided about are merged for the same reason: training rows have more of those that were
    kept, so fresh rows would look nearer to the holdout than they do.
    """
    evidence = alike(evidence)
    tables = (evidence.train, evidence.holdout, evidence.synthetic)
    out: list[list[IntArray]] = [[], [], []]
    levels = []
    for column in evidence.train.schema.learned:
        cells = [table.frame[column.name] for table in tables]
        coded = _number_codes(cells, bins) if column.is_number else _label_codes(cells, column)
        levels.append(int(max(code.max() for code in coded)) + 1)
        for side, code in zip(out, coded, strict=True):
            side.append(code)
    train, holdout, synthetic = (np.column_stack(side) for side in out)
    return Codes(train, holdout, synthetic, tuple(levels))


def _number_codes(cells: list[pd.Series[float]], bins: int) -> list[IntArray]:
    """Quantile bins of the holdout; 0 stands for missing, the first and last bins are open."""
    real = cells[1].to_numpy(np.float64)
    real = real[~np.isnan(real)]
    edges = np.unique(np.quantile(real, np.linspace(0, 1, bins + 1)[1:-1])) if len(real) else np.empty(0)
    values = [cell.to_numpy(np.float64) for cell in cells]
    return [np.where(np.isnan(v), 0, 1 + np.searchsorted(edges, v, side="left")).astype(np.int64) for v in values]


def _label_codes(cells: list[pd.Series[float]], column: Column) -> list[IntArray]:
    """Codes of the 30 commonest labels; 0 stands for missing, the last code for all rarer labels together."""
    codes = [cell.cat.codes.to_numpy().astype(np.int64) for cell in cells]
    if len(column.categories) <= MOST_LEVELS:
        return [code + 1 for code in codes]
    real = codes[1]
    counts = np.bincount(real[real >= 0], minlength=len(column.categories))
    place = np.full(len(column.categories) + 1, MOST_LEVELS + 1)
    place[np.argsort(-counts, kind="stable")[:MOST_LEVELS]] = np.arange(1, MOST_LEVELS + 1)
    place[-1] = 0  # code -1, missing, indexes the last place
    return [place[code] for code in codes]
