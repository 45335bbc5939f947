"""Public cells: how a column's declared domain is cut before any row is looked at.

Everything here is a function of the schema alone (bounds, categories, decimals), so it reveals nothing and costs
nothing. A number that can take at most ``EXACT`` values has a cell for each; others have ``CELLS`` cells of equal
width, and one each for the lowest value and for exactly 0, where tables tend to heap. Every column has one more cell
for missing, whether or not any row needs it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, FloatArray, IntArray
from synthrelease.core.errors import InputError
from synthrelease.synthesis.encoding.column_codec import Values, fields_from, labels_at, numbers_of, places_of

EXACT = 128
CELLS = 200
STEPS = 1_000
"""A number whose decimals nobody declared gets so many that its bounds hold at least this many steps."""
LARGEST = 2.0**52


@dataclass(frozen=True, slots=True)
class Cells:
    """The public cells of one column; the last one, after all others, is missing.

    ``starts``: for a number the first grid value (in units of its last decimal) of each cell, rising, and ``stop`` the
    last grid value of all. ``categories``: for labels one cell each. ``ordered``: whether neighbouring cells are alike.
    """

    name: str
    starts: tuple[int, ...] = ()
    stop: int = 0
    decimals: int = 0
    categories: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return bool(self.starts)

    @property
    def size(self) -> int:
        """How many cells there are, missing included."""
        return (len(self.starts) or len(self.categories)) + 1

    def encode(self, values: pd.Series[Any]) -> IntArray:
        """Return the cell of each value of a canonical column, int64 (rows,); numbers beyond the bounds go to them."""
        if not self.is_number:
            codes = places_of(values)
            return np.where(codes < 0, len(self.categories), codes)
        numbers = numbers_of(values)
        gaps = np.isnan(numbers)
        scaled = np.clip(np.where(gaps, self.starts[0], numbers * 10.0**self.decimals), self.starts[0], self.stop)
        cells = np.searchsorted(self.starts, np.rint(scaled).astype(np.int64), side="right") - 1
        return np.where(gaps, len(self.starts), cells).astype(np.int64)

    def values(self, cells: IntArray, positions: FloatArray) -> Values:
        """Return canonical values of cells (rows,); ``positions`` in [0, 1) say where in its cell a number lies."""
        if not self.is_number:
            places = np.where(cells == len(self.categories), -1, cells)
            return labels_at(places, self.categories, ordered=self.ordered)
        low = np.array([*self.starts, 0])
        high = np.array([*(start - 1 for start in self.starts[1:]), self.stop, 0])
        steps = np.floor(positions * (high - low + 1)[cells]).astype(np.int64)
        numbers = (low[cells] + steps) / 10.0**self.decimals
        return np.where(cells == len(self.starts), np.nan, numbers)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cells:
        """Build what ``dataclasses.asdict`` described."""
        return cls(**fields_from(values))


def cells_of(column: Column) -> Cells:
    """Cut a column's declared domain.

    Raises:
        InputError: the column declares no bounds, or no categories.
    """
    if not column.is_number:
        if not column.categories:
            raise _undeclared(column, "categories")
        return Cells(column.name, categories=column.categories, ordered=column.kind == "ordinal")
    if column.bounds is None:
        raise _undeclared(column, "bounds")
    decimals = decimals_of(column)
    low, high = (round(bound * 10**decimals) for bound in column.bounds)
    return Cells(column.name, starts=_starts(low, high), stop=high, decimals=decimals, ordered=True)


def _undeclared(column: Column, what: str) -> InputError:
    return InputError(
        f"Differential privacy needs a public domain, however {column.name!r} declares no {what}. Declare them "
        "in the schema, from a code book or from what is possible."
    )


def decimals_of(column: Column) -> int:
    """Return the decimal places that a number column is made with: as declared, or by its bounds alone."""
    if column.kind in ("integer", "date"):
        return 0
    low, high = column.bounds or (0.0, 1.0)
    if column.decimals is not None:
        return column.decimals
    if column.treatment.round_to is not None:
        return max(0, -math.floor(math.log10(column.treatment.round_to) + 1e-9))
    wanted = max(0, math.ceil(math.log10(STEPS / (high - low))))
    largest = max(abs(low), abs(high), 1.0)
    return int(min(wanted, math.floor(math.log10(LARGEST / largest))))


def _starts(low: int, high: int) -> tuple[int, ...]:
    """First grid values of the cells between two grid values."""
    if high - low < EXACT:
        return tuple(range(low, high + 1))
    width = math.ceil((high - low) / CELLS)
    alone = {value for value in (low, 0) if low <= value <= high}
    starts = {low, *range(low, high + 1, width)} | {value + step for value in alone for step in (0, 1)}
    return tuple(sorted(value for value in starts if value <= high))
