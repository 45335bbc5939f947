"""Public ladders: into what rungs numbers fall of which nobody declared how small and how large they can be.

A ladder follows from the column's kind alone: powers of two either side of 0, years for dates, hours for times of day.

Source: "approximate bounds" in Wilson et al. 2020, Differentially private SQL with bounded user contribution,
arXiv:1909.01917.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, IntArray
from synthrelease.synthesis.encoding.column_codec import numbers_of

LARGEST_WHOLE, SMALLEST, LARGEST = 52, -20, 40
"""Exponents of two: of the largest whole number, and of the smallest and largest other ones, that are told apart."""
FIRST_YEAR, LAST_YEAR = 1800, 2200


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs of a column of numbers: ``lows`` rising, each with its ``highs``; the last cell, after all, is missing."""

    name: str
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @property
    def size(self) -> int:
        """How many cells there are, missing included."""
        return len(self.lows) + 1

    def encode(self, values: pd.Series[Any]) -> IntArray:
        """Return the rung of each value, int64 (rows,); numbers beyond the ladder stand on its ends."""
        numbers = numbers_of(values)
        gaps = np.isnan(numbers)
        rungs = np.searchsorted(self.lows, np.where(gaps, 0.0, numbers), side="right") - 1
        return np.where(gaps, len(self.lows), np.clip(rungs, 0, None)).astype(np.int64)


def ladder_of(column: Column) -> Ladder:
    """Return the ladder of a column of numbers or moments, by its kind alone."""
    if column.kind == "integer":
        powers = 2.0 ** np.arange(LARGEST_WHOLE)
        lows = np.concatenate([1.0 - 2.0 * powers[::-1], [0.0], powers])
        return _ladder(column, lows, 2.0 * powers[-1] - 1.0, step=1.0)
    if column.kind in ("date", "datetime"):
        years = np.arange(str(FIRST_YEAR), str(LAST_YEAR + 1), dtype="datetime64[Y]").astype("datetime64[D]")
        days = years.astype(np.int64).astype(np.float64)
        return _ladder(column, days[:-1], days[-1] - 1.0, step=1.0 if column.kind == "date" else 0.0)
    if column.kind == "time":
        return _ladder(column, np.arange(24) / 24.0, 1.0, step=0.0)
    powers = 2.0 ** np.arange(SMALLEST, LARGEST)
    lows = np.concatenate([-2.0 * powers[::-1], [-powers[0], 0.0], powers])
    return _ladder(column, lows, 2.0 * powers[-1], step=0.0)


def _ladder(column: Column, lows: np.ndarray[Any, np.dtype[np.float64]], last: float, *, step: float) -> Ladder:
    """``step``: how far the highest value of a rung lies below the next rung; 0 where they touch."""
    return Ladder(column.name, tuple(lows.tolist()), (*(lows[1:] - step).tolist(), last))
