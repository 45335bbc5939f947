"""Public cells: how a column's declared domain is cut before any row is looked at.

Everything here is a function of the schema alone (bounds, categories, decimals), so it reveals nothing and costs
nothing. A number that can take at most ``EXACT`` values has a cell for each. Any other is counted in wide cells first:
``WIDE`` of equal width, ever narrower ones by powers of two towards the bounds and towards 0, and one each for the
lowest value and for exactly 0, where tables tend to heap; ``refined_cells`` cuts them by what that tells. Every column
has one more cell for missing, whether or not any row needs it.
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
WIDE = 64
STEPS = 1_000
"""A number whose decimals nobody declared gets so many that its bounds hold at least this many steps."""
FINER = 3
"""So many decimals more are counted by, for what lies within a small part of wide bounds."""
LARGEST = 2.0**52


@dataclass(frozen=True, slots=True)
class Cells:
    """The public cells of one column; the last one, after all others, is missing.

    ``starts``: for a number the first grid value (in units of its last decimal) of each cell, rising, and ``stop`` the
    last grid value of all. ``by_value``: every grid value is a public cell, and ``starts`` are those of the wide cells
    in which they are counted first. ``written``: to how many decimals values are rounded, ``decimals`` unless said.
    ``categories``: for labels one cell each. ``ordered``: whether neighbouring cells are alike.
    """

    name: str
    starts: tuple[int, ...] = ()
    stop: int = 0
    decimals: int = 0
    categories: tuple[str, ...] = ()
    ordered: bool = False
    by_value: bool = False
    written: int | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return bool(self.starts)

    @property
    def size(self) -> int:
        """How many cells there are, missing included."""
        if self.by_value:
            return self.stop - self.starts[0] + 2
        return (len(self.starts) or len(self.categories)) + 1

    def encode(self, values: pd.Series[Any]) -> IntArray:
        """Return the cell of each value of a canonical column, int64 (rows,); numbers beyond the bounds go to them."""
        if not self.is_number:
            codes = places_of(values)
            return np.where(codes < 0, len(self.categories), codes)
        numbers = numbers_of(values)
        gaps = np.isnan(numbers)
        scaled = np.clip(np.where(gaps, self.starts[0], numbers * 10.0**self.decimals), self.starts[0], self.stop)
        steps = np.rint(scaled).astype(np.int64)
        cells = steps - self.starts[0] if self.by_value else self.cell_of(steps)
        return np.where(gaps, self.size - 1, cells).astype(np.int64)

    def cell_of(self, values: IntArray) -> IntArray:
        """Return in which of the cells that begin at ``starts`` grid values lie, (rows,)."""
        return np.asarray(np.searchsorted(self.starts, values, side="right") - 1)

    def values(self, cells: IntArray, positions: FloatArray) -> Values:
        """Return canonical values of cells (rows,); ``positions`` in [0, 1) say where in its cell a number lies."""
        if not self.is_number:
            places = np.where(cells == len(self.categories), -1, cells)
            return labels_at(places, self.categories, ordered=self.ordered)
        if self.by_value:
            numbers = (self.starts[0] + cells) / 10.0**self.decimals
            return np.where(cells == self.size - 1, np.nan, numbers)
        low = np.array([*self.starts, 0])
        high = np.array([*(start - 1 for start in self.starts[1:]), self.stop, 0])
        steps = np.floor(positions * (high - low + 1)[cells]).astype(np.int64)
        numbers = (low[cells] + steps) / 10.0**self.decimals
        if self.written is not None:
            ends = np.array([self.starts[0], self.stop]) / 10.0**self.decimals
            numbers = np.clip(np.round(numbers, self.written), *ends)
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
    if not has_known_decimals(column):
        decimals += min(FINER, _most_decimals(column.bounds) - decimals)
    low, high = (round(bound * 10**decimals) for bound in column.bounds)
    if high - low < EXACT:
        return Cells(column.name, starts=tuple(range(low, high + 1)), stop=high, decimals=decimals, ordered=True)
    starts = _wide_starts(low, high)
    return Cells(column.name, starts=starts, stop=high, decimals=decimals, ordered=True, by_value=True)


def _undeclared(column: Column, what: str) -> InputError:
    return InputError(
        f"Differential privacy needs a public domain, however {column.name!r} declares no {what}. Declare them "
        "in the schema, from a code book or from what is possible."
    )


def has_known_decimals(column: Column) -> bool:
    """Whether the schema says how exactly a number column is recorded."""
    return column.kind in ("integer", "date") or column.decimals is not None or column.treatment.round_to is not None


def decimals_of(column: Column) -> int:
    """Return the decimal places that a number column is made with: as declared, or by its bounds alone."""
    if column.kind in ("integer", "date"):
        return 0
    if column.decimals is not None:
        return column.decimals
    if column.treatment.round_to is not None:
        return max(0, -math.floor(math.log10(column.treatment.round_to) + 1e-9))
    bounds = column.bounds or (0.0, 1.0)
    return min(decimals_for(bounds[1] - bounds[0]), _most_decimals(bounds))


def decimals_for(width: float) -> int:
    """Return the decimal places with which a stretch of numbers holds at least ``STEPS`` steps."""
    return max(0, math.ceil(math.log10(STEPS / width)))


def _most_decimals(bounds: tuple[float, float]) -> int:
    largest = max(abs(bounds[0]), abs(bounds[1]), 1.0)
    return math.floor(math.log10(LARGEST / largest))


def _wide_starts(low: int, high: int) -> tuple[int, ...]:
    """First grid values of the wide cells between two grid values, rising."""
    width = math.ceil((high - low + 1) / WIDE)
    near = [2**power for power in range(width.bit_length()) if 2**power < width]
    starts = (
        {low, low + 1, *range(low, high + 1, width)} | {low + step for step in near} | {high - step for step in near}
    )
    if low <= 0 <= high:
        starts |= {0, 1} | {sign * step for step in near for sign in (-1, 1)}
    return tuple(sorted(value for value in starts if low <= value <= high))
