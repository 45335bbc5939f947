"""A table as numbers between 0 and 1 and back, the way the paper's GAN sees it.

Numbers are scaled from their range to [0, 1]. A label of two levels, or of ordered ones, is one more column, rounded
when it comes back (as the paper does with its class); other labels get a column a level, and the largest one wins.
Missing numbers get a column that says so.

The range is the declared one where the schema has bounds, since it reveals nothing. Else it is the mean of the
``MIN_COUNT`` most extreme training values at each end: the true extremes are one patient's each. Levels of fewer
training rows than that are never produced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, FloatArray, IntArray, ModelledSchema, Table
from synthrelease.synthesis.encoding.binning import MIN_COUNT, decimals_of
from synthrelease.synthesis.encoding.column_codec import (
    ColumnCodec,
    check_any_rows,
    check_finite,
    extremes,
    fields_from,
    label_counts,
    labels_at,
    mean_of,
    numbers_of,
    places_of,
)

_MAX_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class NumberScale(ColumnCodec[FloatArray]):
    """A column of numbers. ``decimals``: as many as the training values have, None where that is too many to count."""

    name: str
    low: float
    high: float
    decimals: int | None
    has_missing: bool
    is_empty: bool = False
    """Whether every value is missing."""

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return 1 + self.has_missing

    def encode(self, values: pd.Series[Any]) -> FloatArray:
        """Return (rows, width) for numbers; what lies outside the range goes to its end."""
        numbers = numbers_of(values)
        gaps = np.isnan(numbers)
        scaled = (numbers - self.low) / (self.high - self.low) if self.high > self.low else np.zeros(len(numbers))
        filler = scaled[~gaps].mean() if (~gaps).any() else 0.5
        scaled = np.where(gaps, filler, scaled).clip(0.0, 1.0)
        return np.column_stack([scaled, gaps.astype(float)])[:, : self.width]

    def decode(self, code: FloatArray) -> FloatArray:
        """Return values (rows,) of (rows, width)."""
        values = self.low + code[:, 0] * (self.high - self.low)
        if self.decimals is not None:
            scale = 10.0**self.decimals
            values = np.round(values, self.decimals)
            values = values.clip(np.ceil(self.low * scale) / scale, np.floor(self.high * scale) / scale)
        values = values.clip(self.low, self.high)
        gaps = self.is_empty | (code[:, -1] >= 0.5) if self.has_missing else np.zeros(len(code), dtype=np.bool_)
        return np.where(gaps, np.nan, values)


@dataclass(frozen=True, slots=True)
class LabelScale(ColumnCodec[FloatArray]):
    """A column of labels. ``levels``: places in ``categories`` that are produced, -1 for missing, in order."""

    name: str
    categories: tuple[str, ...]
    ordered: bool
    levels: tuple[int, ...]

    @property
    def is_one_column(self) -> bool:
        """Whether the levels lie on one line (two at most, or ordered ones) instead of taking a column each."""
        return len(self.levels) <= 2 or (self.ordered and -1 not in self.levels)

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return 1 if self.is_one_column else len(self.levels)

    def encode(self, values: pd.Series[Any]) -> FloatArray:
        """Return (rows, width) for labels; a level that is not produced is in none.

        On one line such a level stands at its nearest neighbour's place.
        """
        codes, levels = places_of(values), np.asarray(self.levels)
        if self.is_one_column:
            places = np.abs(codes[:, None] - levels[None, :]).argmin(axis=1)
            return np.asarray(places / max(len(levels) - 1, 1))[:, None]
        return np.asarray(codes[:, None] == levels[None, :], dtype=np.float64)

    def decode(self, code: FloatArray) -> pd.Categorical:
        """Return labels of (rows, width)."""
        if self.is_one_column:
            # Half and above goes up, as in the paper: a class of 0.5 is 1.
            places = np.floor(code[:, 0] * (len(self.levels) - 1) + 0.5).astype(np.int64)
        else:
            places = code.argmax(axis=1)
        return labels_at(np.asarray(self.levels)[places], self.categories, ordered=self.ordered)


Scale = NumberScale | LabelScale


@dataclass(frozen=True, slots=True)
class UnitScale:
    """The scales of all learned columns, in the frame's order."""

    scales: tuple[Scale, ...]

    @classmethod
    def fit(cls, train: Table[ModelledSchema]) -> UnitScale:
        """Learn ranges, decimals and levels from training rows.

        Raises:
            InputError: the table has no rows, or an infinite number.
        """
        check_any_rows(train)
        return cls(tuple(_number(c, train) if c.is_number else _label(c, train) for c in train.schema.learned))

    @property
    def width(self) -> int:
        """How many columns the rows have."""
        return sum(scale.width for scale in self.scales)

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """Return the rows of a canonical frame, (rows, width), all within [0, 1]."""
        return np.hstack([scale.encode(frame[scale.name]) for scale in self.scales])

    def decode(self, rows: FloatArray) -> pd.DataFrame:
        """Return the canonical frame of rows (rows, width) within [0, 1]."""
        columns: dict[str, Any] = {}
        start = 0
        for scale in self.scales:
            columns[scale.name] = scale.decode(rows[:, start : start + scale.width])
            start += scale.width
        return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values, one object a column."""
        return [{"numbers": isinstance(scale, NumberScale), **asdict(scale)} for scale in self.scales]

    @classmethod
    def from_json(cls, columns: list[Mapping[str, Any]]) -> UnitScale:
        """Build what ``to_json`` described."""
        scales: list[Scale] = []
        for column in columns:
            fields = fields_from(column)
            scales.append(NumberScale(**fields) if fields.pop("numbers") else LabelScale(**fields))
        return cls(tuple(scales))


def _number(column: Column, train: Table[ModelledSchema]) -> NumberScale:
    values = numbers_of(train.frame[column.name])
    gaps = np.isnan(values)
    present = values[~gaps]
    check_finite(column.name, present)
    low, high = column.bounds or _tails(present, None if train.units is None else train.units[~gaps])
    return NumberScale(
        column.name,
        float(low),
        float(high),
        decimals_of(present, most=_MAX_DECIMALS, largest=np.inf),
        bool(gaps.any()),
        not len(present),
    )


def _tails(values: FloatArray, units: IntArray | None) -> tuple[float, float]:
    """Return the means of the most extreme values at each end, one value a patient; (0, 0) of no values."""
    if not len(values):
        return 0.0, 0.0
    lowest, highest = extremes(values, units)
    low, high = mean_of(lowest[:MIN_COUNT]), mean_of(highest[-MIN_COUNT:])
    return min(low, high), max(low, high)


def _label(column: Column, train: Table[ModelledSchema]) -> LabelScale:
    cells = train.frame[column.name]
    codes = places_of(cells)
    counts = label_counts(codes, len(column.categories), train.units)
    common = np.flatnonzero(counts >= MIN_COUNT)
    if column.name == train.schema.target or not len(common):
        common = np.flatnonzero(counts)  # a class that cannot be produced cannot be studied
    missing = (-1,) if (codes < 0).any() else ()
    return LabelScale(column.name, column.categories, bool(cells.cat.ordered), (*common.tolist(), *missing))
