"""The only file that counts real rows under differential privacy. What leaves it carries noise, and a receipt.

A unit (a patient, or a row where each row is one) adds at most 1 to each table, spread over the cells of its rows: so
one table has an L2 sensitivity of at most 1, and a group of m tables one of at most the square root of m. Counts are
kept as integers, in units of ``whole``, so that the noise can be exactly discrete Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, PrivacyBudget, PrivacySpend, Schema, Table
from synthrelease.privacy import accounting
from synthrelease.privacy import noise as os_noise

MOMENT_STEPS = 1_000
_ROWS = 8_192
"""Rows that are spelled out as one-hot vectors at once."""


class Domain(Protocol):
    """The cells of one column; the last one is missing."""

    @property
    def name(self) -> str:
        """The column's."""
        ...

    @property
    def size(self) -> int:
        """How many cells there are, missing included."""
        ...

    def encode(self, values: pd.Series[Any]) -> IntArray:
        """Return the cell of each value, int64 (rows,)."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows as cells, int64 (rows, columns), and what each row counts, int64 (rows,), in units of ``whole``.

    ``kept``: where they stand in the training table, (rows,). ``owners``: whose each row is, (rows,), where patients
    are the units.
    """

    cells: IntArray
    weights: IntArray
    whole: int
    kept: IntArray
    owners: IntArray | None = None

    @property
    def units(self) -> int:
        """How many units there are; private unless the schema declares it public."""
        return round(int(self.weights.sum()) / self.whole)


def counted(train: Table[Schema], domains: Sequence[Domain], budget: PrivacyBudget) -> Counted:
    """Put rows into cells; of a patient at most ``budget.rows_per_unit`` rows, drawn at random, share a weight of 1."""
    kept, weights, whole = np.arange(len(train)), np.ones(len(train), dtype=np.int64), 1
    owners = None
    if budget.unit == "patient" and train.units is not None:
        kept, weights, whole = _capped(train.units, budget.rows_per_unit)
        owners = train.units[kept]
    frame = train.frame.iloc[kept]
    cells = np.stack([each.encode(frame[each.name]) for each in domains], axis=1)
    return Counted(cells, weights, whole, kept, owners)


def whole_of(budget: PrivacyBudget) -> int:
    """In how many parts a unit is counted, so that each of its rows counts a whole number of them."""
    return _whole(budget.rows_per_unit) if budget.unit == "patient" else 1


def _whole(most: int) -> int:
    return math.lcm(*range(1, most + 1))


def _capped(units: IntArray, most: int) -> tuple[IntArray, IntArray, int]:
    """Return the rows kept, what each counts, and what a patient counts in all."""
    order = os_noise.order(len(units))
    _, patient = np.unique(units, return_inverse=True)
    by_patient = order[np.argsort(patient[order], kind="stable")]
    first = np.concatenate([[True], np.diff(patient[by_patient]) != 0])
    starts = np.flatnonzero(first)
    place = np.arange(len(units)) - starts[np.cumsum(first) - 1]
    kept = np.sort(by_patient[place < most])
    sizes = np.bincount(patient[kept])
    whole = _whole(most)
    return kept, (whole // sizes[patient[kept]]).astype(np.int64), whole


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of a group of tables: ``multiplier`` is that of the whole group, ``scale`` that of one cell in units."""

    purpose: str
    tables: int
    multiplier: float

    @classmethod
    def of(cls, purpose: str, tables: int, budget: PrivacyBudget, share: float, *, failures: float = 0.0) -> Noise:
        """Plan the noise of a group that spends a share of the budget; ``failures`` is kept back of its delta."""
        return cls(purpose, tables, accounting.gaussian_noise(budget, share, failures=failures))

    @property
    def scale(self) -> float:
        """The standard deviation of each cell's noise, in units (patients or rows)."""
        return self.multiplier * math.sqrt(self.tables)

    def spend(self, unit: PrivacyBudget) -> PrivacySpend:
        """The receipt."""
        tables = "1 table" if self.tables == 1 else f"{self.tables} tables"
        return PrivacySpend(f"{self.purpose} ({tables})", "discrete Gaussian", self.multiplier, 1.0, 1, unit.unit)


def noisy_units(rows: Counted, noise: Noise) -> float:
    """Return the number of units with noise, at least 1."""
    total = np.array([rows.weights.sum()], dtype=np.int64)
    return max(1.0, float(_noised(total, noise, rows.whole)[0]))


def histograms(rows: Counted, domains: Sequence[Domain], noise: Noise) -> list[FloatArray]:
    """Return one noisy histogram a column, float64 (cells,), in units."""
    counts = [
        np.rint(np.bincount(rows.cells[:, place], rows.weights, minlength=each.size)).astype(np.int64)
        for place, each in enumerate(domains)
    ]
    flat = _noised(np.concatenate(counts), noise, rows.whole)
    return np.split(flat, np.cumsum([len(count) for count in counts])[:-1])


def held(rows: Counted, place: int, size: int) -> BoolArray:
    """Whether any row stands in each cell of the column at ``place``, (cells,), without noise.

    Only a threshold that a cell of one unit hardly ever reaches may let any of that out: see ``domain_learning``.
    """
    return np.bincount(rows.cells[:, place], minlength=size) > 0


def _noised(counts: IntArray, noise: Noise, whole: int) -> FloatArray:
    return os_noise.discrete_gaussian(counts, noise.scale * whole) / whole


def pair_tables(
    rows: Counted, codes: IntArray, starts: IntArray, groups: Sequence[tuple[Noise, NDArray[np.bool_]]]
) -> FloatArray:
    """Return noisy tables of pairs of columns as one symmetric matrix in units, (codes, codes).

    Pairs that no group asks for stay 0.

    Args:
        rows: the weights.
        codes: each row's code in each column, int64 (rows, columns).
        starts: where each column's codes begin in the matrix, and its width, (columns + 1,).
        groups: noise, and which pairs of columns get it, bool (columns, columns); each pair stands in one at most.
    """
    exact = _co_occurrences(rows, codes, starts)
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    upper = owner[:, None] < owner[None, :]
    out = np.zeros(exact.shape)
    for noise, chosen in groups:
        where = chosen[np.ix_(owner, owner)] & upper
        if int(np.triu(chosen, 1).sum()) != noise.tables:
            raise ValueError("noise must be planned for as many tables as it is put on")
        out[where] = _noised(exact[where], noise, rows.whole)
    return out + out.T


def target_moments(
    rows: Counted, places: Sequence[IntArray], target: IntArray, classes: int, noise: Noise
) -> FloatArray:
    """Return, for each number and class of the target, the noisy sum of places over the rows of the class.

    A table of codes asks little of each code and so pays for all of them; how the target rises with a number is one
    sum, and far less of it drowns in noise.

    Args:
        rows: the weights.
        places: for each number the place of each row, int64 (rows,), in ``-MOMENT_STEPS..MOMENT_STEPS``.
        target: each row's class, int64 (rows,).
        classes: how many classes there are.
        noise: for as many sums as there are numbers: each lies in -1..1 for a unit.
    """
    if noise.tables != len(places):
        raise ValueError("noise must be planned for as many sums as it is put on")
    sums = [np.bincount(target, rows.weights * each.astype(np.float64), minlength=classes) for each in places]
    whole = rows.whole * MOMENT_STEPS
    return _noised(np.rint(np.stack(sums)).astype(np.int64), noise, whole)


def _co_occurrences(rows: Counted, codes: IntArray, starts: IntArray) -> IntArray:
    """Count, in units of ``whole``, how often two codes occur together: all pairs of columns in one product."""
    width = int(starts[-1])
    total = np.zeros((width, width))
    for start in range(0, len(codes), _ROWS):
        some = codes[start : start + _ROWS] + starts[:-1]
        hot = np.zeros((len(some), width))
        np.put_along_axis(hot, some, 1.0, axis=1)
        total += (hot * rows.weights[start : start + _ROWS, None]).T @ hot  # exact: sums stay far below 2**53
    return np.rint(total).astype(np.int64)


def in_histograms(cells: IntArray, sizes: Sequence[int]) -> tuple[IntArray, FloatArray]:
    """Say which numbers of ``histograms``, end to end, rows of cells add to, and how much (see ``Place``)."""
    positions = cells + np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return positions, np.ones(positions.shape)


def in_pairs(codes: IntArray, starts: IntArray, chosen: NDArray[np.bool_]) -> tuple[IntArray, FloatArray]:
    """Say which numbers of the matrix of ``pair_tables``, row by row, rows of codes add to, and how much."""
    first, second = np.nonzero(np.triu(chosen, 1))
    positions = (codes[:, first] + starts[first]) * int(starts[-1]) + codes[:, second] + starts[second]
    return positions, np.ones(positions.shape)


def in_sums(places: Sequence[IntArray], target: IntArray, classes: int) -> tuple[IntArray, FloatArray]:
    """Say which numbers of ``target_moments``, row by row, rows add to, and how much."""
    amounts = np.stack(places, axis=1) / MOMENT_STEPS
    return np.arange(len(places)) * classes + target[:, None], amounts
