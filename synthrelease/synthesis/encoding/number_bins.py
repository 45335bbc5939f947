"""A column of numbers as quantile bins and heavy values, with a place in the bin: nothing of scale or ties is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, Column, FloatArray, IntArray, ModelledSchema, Table
from synthrelease.synthesis.encoding.binning import (
    MIN_COUNT,
    ROWS_PER_BIN,
    Resolution,
    atoms_of,
    decimals_of,
    edges,
    grid,
    quantile_groups,
)
from synthrelease.synthesis.encoding.column_codec import (
    Coded,
    ColumnCodec,
    check_emitted,
    check_finite,
    extremes,
    mean_of,
    numbers_of,
    once_a_patient,
    unseen,
)


@dataclass(frozen=True, slots=True)
class NumberCoding(ColumnCodec[Coded]):
    """How one numeric or integer column is coded.

    Codes are, in this order: bins (``lows[b]``..``highs[b]``, both ends included), ``atoms``, and missing if
    ``has_missing``. ``decimals`` is the number of decimal places of the training values, None when they fit no grid.
    ``floor`` and ``ceiling`` are the means of the ``MIN_COUNT`` lowest and highest binned values: a sampled value never
    lies beyond them, because the true extremes are one patient's each. ``thin`` says that fewer than ``MIN_COUNT``
    rows lie in bins at all, so that atoms alone are sampled.
    """

    name: str
    decimals: int | None
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    atoms: tuple[float, ...]
    has_missing: bool
    floor: float = 0.0
    ceiling: float = 0.0
    thin: bool = False

    @property
    def size(self) -> int:
        """How many codes the column has."""
        return len(self.lows) + len(self.atoms) + self.has_missing

    @property
    def emitted(self) -> BoolArray:
        """Which codes a generator may sample, (size,)."""
        allowed = np.ones(self.size, dtype=np.bool_)
        if self.thin and self.size > len(self.lows):
            allowed[: len(self.lows)] = False
        return allowed

    def encode(self, values: pd.Series[Any]) -> Coded:
        """Return codes and positions; a value outside the fitted range is moved to its nearer end.

        Raises:
            InputError: a value is missing or infinite where the training rows had none such.
        """
        numbers = numbers_of(values)
        gaps = np.isnan(numbers)
        check_finite(self.name, numbers)
        if gaps.any() and not self.has_missing:
            raise unseen(self.name, int(gaps.sum()), "missing values")
        codes = np.full(len(numbers), self.size - 1, dtype=np.int64)
        positions = np.full(len(numbers), 0.5)
        codes[~gaps], positions[~gaps] = self._encode_present(numbers[~gaps])
        return Coded(codes, positions)

    def _encode_present(self, values: FloatArray) -> tuple[IntArray, FloatArray]:
        bins = len(self.lows)
        codes = np.zeros(len(values), dtype=np.int64)
        positions = np.full(len(values), 0.5)
        if bins and len(values):
            codes = np.clip(np.searchsorted(self.lows, values, side="right") - 1, 0, bins - 1).astype(np.int64)
            lows, highs = np.asarray(self.lows)[codes], np.asarray(self.highs)[codes]
            positions = self._position(np.clip(values, lows, highs), lows, highs)
        if self.atoms and len(values):
            atoms = np.asarray(self.atoms)
            nearest = _nearest(atoms, values)
            ends = [*self.lows[:1], *self.highs[-1:]]
            beyond = (values < min(ends)) | (values > max(ends)) if ends else np.ones(len(values), dtype=np.bool_)
            # Outside the bins the nearer of atom and bin end wins; inside them only the atom's very value does.
            closer = beyond & (np.abs(values - atoms[nearest]) <= _distance(values, ends))
            is_atom = (values == atoms[nearest]) | closer
            codes[is_atom], positions[is_atom] = bins + nearest[is_atom], 0.5
        return codes, positions

    def decode(self, code: Coded, *, sampling: bool = False) -> FloatArray:
        """Return values (rows,); with ``sampling`` the end bins are narrowed to ``floor`` and ``ceiling``.

        Raises:
            ValueError: with ``sampling``, a code that must not be sampled.
        """
        if sampling:
            check_emitted(self.name, self.emitted[code.codes])
        codes, positions, bins = code.codes, code.positions, len(self.lows)
        values = np.full(len(codes), np.nan)
        is_bin = codes < bins
        if is_bin.any():
            lows, highs = np.asarray(self.lows), np.asarray(self.highs)
            if sampling:
                lows, highs = np.maximum(lows, self.floor), np.minimum(highs, self.ceiling)
            values[is_bin] = self._value(positions[is_bin], lows[codes[is_bin]], highs[codes[is_bin]])
        is_atom = (codes >= bins) & (codes < bins + len(self.atoms))
        if is_atom.any():
            values[is_atom] = np.asarray(self.atoms)[codes[is_atom] - bins]
        return values

    def _position(self, values: FloatArray, lows: FloatArray, highs: FloatArray) -> FloatArray:
        if self.decimals is None:
            # Halves, so that a bin as wide as float64 itself does not overflow.
            width = highs / 2 - lows / 2
            shares = np.divide(values / 2 - lows / 2, width, out=np.full(len(values), 0.5), where=width > 0)
            return np.asarray(shares.clip(0, 1))
        low, high = grid(lows, self.decimals), grid(highs, self.decimals)
        # The middle of a grid cell: a uniform position then decodes to a uniform grid value, ends included.
        return np.asarray((grid(values, self.decimals) - low + 0.5) / (high - low + 1.0))

    def _value(self, positions: FloatArray, lows: FloatArray, highs: FloatArray) -> FloatArray:
        if self.decimals is None:
            return np.clip(lows * (1.0 - positions) + highs * positions, lows, highs)
        low, high = grid(lows, self.decimals), grid(highs, self.decimals)
        steps = np.minimum(np.floor(positions * (high - low + 1.0)), high - low)
        return np.asarray((low + steps) / 10.0**self.decimals)


def number_coding(column: Column, train: Table[ModelledSchema], resolution: Resolution) -> NumberCoding:
    """Learn bins and atoms from training rows; InputError if a number is infinite."""
    values, units = numbers_of(train.frame[column.name]), train.units
    has_missing = bool(np.isnan(values).any())
    owners = None if units is None else units[~np.isnan(values)]
    present = values[~np.isnan(values)] + 0.0  # -0.0 becomes 0.0: one zero, not two
    check_finite(column.name, present)
    distinct, which = np.unique(present, return_inverse=True)
    counts = np.bincount(which[once_a_patient(which, owners)], minlength=len(distinct))
    decimals = decimals_of(distinct)
    bins = int(np.clip(counts.sum() // ROWS_PER_BIN, 1, resolution.bins))
    is_atom = (
        atoms_of(distinct, counts, bins, resolution) if len(distinct) > 1 else np.ones(len(distinct), dtype=np.bool_)
    )
    rest, rest_counts = distinct[~is_atom], counts[~is_atom]
    groups = quantile_groups(rest_counts, int(np.clip(rest_counts.sum() // ROWS_PER_BIN, 1, bins)))
    lows, highs = edges(rest, groups, decimals)
    coding = NumberCoding(
        name=column.name,
        decimals=decimals,
        lows=tuple(lows),
        highs=tuple(highs),
        atoms=tuple(distinct[is_atom].tolist()),
        has_missing=has_missing,
        thin=bool(rest_counts.sum() < MIN_COUNT),
    )
    if not lows:
        return coding
    binned = np.isin(present, rest)
    return _with_limits(coding, present[binned], None if owners is None else owners[binned])


def _with_limits(coding: NumberCoding, binned: FloatArray, owners: IntArray | None) -> NumberCoding:
    """Return the coding with the limits of sampling set from the most extreme binned value of each patient."""
    lowest, highest = extremes(binned, owners)
    tail = min(MIN_COUNT, len(lowest))
    floor = float(np.clip(mean_of(lowest[:tail]), lowest[0], lowest[tail - 1]))
    ceiling = float(np.clip(mean_of(highest[-tail:]), highest[-tail], highest[-1]))
    if coding.decimals is not None:
        scale = 10.0**coding.decimals
        floor, ceiling = float(np.ceil(floor * scale) / scale), float(np.floor(ceiling * scale) / scale)
    return replace(coding, floor=min(floor, coding.highs[0]), ceiling=max(ceiling, coding.lows[-1]))


def _nearest(atoms: FloatArray, values: FloatArray) -> IntArray:
    """Return the place of the nearest atom (sorted) for each value, (rows,)."""
    after = np.clip(np.searchsorted(atoms, values), 0, len(atoms) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(values - atoms[before]) < np.abs(values - atoms[after]), before, after).astype(np.int64)


def _distance(values: FloatArray, ends: list[float]) -> FloatArray:
    """Return how far each value lies from the nearest of ``ends``, infinitely far if there are none."""
    if not ends:
        return np.full(len(values), np.inf)
    return np.asarray(np.abs(values[:, None] - np.asarray(ends)).min(axis=1))
