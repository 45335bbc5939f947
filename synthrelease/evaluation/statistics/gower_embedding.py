"""The space in which rows are compared: one scale for every table, fitted on real rows of both sides.

Gower-like: every column contributes at most 1 to the squared distance. A number becomes its mid-rank among the real
rows (so that heavy tails and units do not matter), a label becomes a one-hot block, a missing value is a place of its
own. Train and holdout share the one scale: scaling each side by its own range makes honest tables look leaky.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, FloatArray, Table

Points = np.ndarray[Any, np.dtype[np.float32]]
"""Rows as points: float32 (rows, width)."""

_LABEL = np.float32(1 / np.sqrt(2))  # two different one-hot blocks of this height lie exactly 1 apart
_KNOTS = 4_096
MOST_BLOCK_LEVELS = 64
"""A label column with more levels than this becomes a code of ``CODE_WIDTH`` signs a level instead of a one-hot block.

Seven hundred diagnosis codes would else take most of the memory and time of every search. Two different levels then lie
about 1 apart (within 0.2 in most cases) and never at one place; equal ones still lie exactly 0 apart.
"""
CODE_WIDTH = 32


@dataclass(frozen=True, slots=True)
class Space:
    """Maps canonical frames to points. ``knots`` and ``ranks`` hold the rank curve of each numeric column."""

    columns: tuple[Column, ...]
    knots: dict[str, FloatArray]
    ranks: dict[str, FloatArray]

    @classmethod
    def fit(cls, *tables: Table) -> Space:
        """Learn the rank curves from the rows of all given tables together."""
        columns = tables[0].schema.learned
        knots: dict[str, FloatArray] = {}
        ranks: dict[str, FloatArray] = {}
        for column in columns:
            if column.is_number:
                values = np.concatenate([table.frame[column.name].to_numpy(np.float64) for table in tables])
                knots[column.name], ranks[column.name] = _rank_curve(values[~np.isnan(values)])
        return cls(columns, knots, ranks)

    def embed(self, frame: pd.DataFrame) -> Points:
        """Return the rows as points: float32 (rows, width)."""
        empty = frame.iloc[:0]
        widths = [self._block(column, empty[column.name]).shape[1] for column in self.columns]
        points = np.empty((len(frame), sum(widths)), dtype=np.float32)
        start = 0
        for column, width in zip(self.columns, widths, strict=True):
            points[:, start : start + width] = self._block(column, frame[column.name])
            start += width
        return points

    def _block(self, column: Column, cells: pd.Series[Any]) -> Points:
        if not column.is_number:
            codes, levels = cells.cat.codes.to_numpy(), len(column.categories)
            if levels <= MOST_BLOCK_LEVELS:
                return _one_hot(codes, levels)
            points: Points = _sign_codes(levels)[codes]
            return points
        values = cells.to_numpy(np.float64)
        missing = np.isnan(values)
        knots = self.knots[column.name]
        rank = np.interp(values, knots, self.ranks[column.name]) if len(knots) else np.full(len(values), 0.5)
        rank[missing] = 0.5
        # A missing value lies at the middle rank and half a unit aside: within 1 of every number, 0 from its like.
        return np.column_stack([rank, np.where(missing, 0.5, 0.0)]).astype(np.float32)


def _rank_curve(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distinct values (thinned to at most 4,096 knots) and the mid-rank of each in [0, 1]."""
    if len(values) == 0:
        return np.empty(0), np.empty(0)
    distinct, counts = np.unique(values, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(values)
    if len(distinct) > _KNOTS:
        keep = np.unique(np.linspace(0, len(distinct) - 1, _KNOTS).astype(int))
        distinct, ranks = distinct[keep], ranks[keep]
    return distinct, ranks


def _one_hot(codes: np.ndarray[Any, Any], levels: int) -> Points:
    """One column a level, and a last one for missing (code -1): float32 (rows, levels + 1)."""
    block = np.zeros((len(codes), levels + 1), dtype=np.float32)
    block[np.arange(len(codes)), np.where(codes < 0, levels, codes)] = _LABEL
    return block


def _sign_codes(levels: int) -> Points:
    """A fixed code for each level, and a last one for missing (code -1): float32 (levels + 1, CODE_WIDTH)."""
    signs = np.random.default_rng(levels).integers(0, 2, size=(levels + 1, CODE_WIDTH))
    signs[:, : (levels + 1).bit_length()] = (np.arange(levels + 1)[:, None] >> np.arange((levels + 1).bit_length())) & 1
    codes: Points = ((2 * signs - 1) * np.sqrt(1 / (2 * CODE_WIDTH))).astype(np.float32)
    return codes
