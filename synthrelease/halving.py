"""The spread of what is measured on random halves of the patients and averaged, however crooked the measure is.

A distance between two samples is never below 0, so that where the truth is 0 it hangs on pairs of patients and not on
single ones: the bootstrap, the jackknife and the spread over halves all overstate its error there (half of it again and
more), and are right where the samples differ. What holds in both cases is the law of total variance. Two halves that
share no patient are independent, so half the mean square of their difference is the variance of one half's measure; the
spread over all halves of these patients is the part of it that an average over halves does not have; the rest is the
average's own (for complete averages: Hoeffding, Ann. Math. Statist. 19, 1948, section 5).

Patients go into halves by small groups, so that counts of a half are sums of the groups' counts: one matrix product for
all halves at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrelease.contracts import FloatArray, IntArray, Table
from synthrelease.intervals import Bounds, normal_bounds, patient_of, patients

PAIRS = 100
"""Pairs of halves that share no patient. The variance is then known to two fifths where the truth is 0, else to a
seventh, which costs a 95% bound half a percentage point."""
MOST_GROUPS = 32
"""Groups of a half."""
TIMES_AS_MANY = 4
"""Groups of a table, at most, for each of a half: larger tables take part with more of their patients."""

Counts = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Halves:
    """Random halves of one table: each row's group, -1 for none, (rows,), and each half's groups, (halves, groups).

    Halves 0 and 1, 2 and 3, and so on share no patient.
    """

    group: IntArray
    chosen: Counts

    def rows(self) -> FloatArray:
        """1 where a half has a row, else 0: (halves, rows)."""
        return np.where(self.group >= 0, self.chosen[:, self.group], 0.0).astype(np.float64)

    def counts(self, codes: IntArray, cells: int) -> Counts:
        """How many rows of each half have each code: (halves, cells)."""
        taken = self.group >= 0
        groups = self.chosen.shape[1]
        each = np.bincount(self.group[taken] * cells + codes[taken], minlength=groups * cells)
        counts: Counts = self.chosen @ each.reshape(groups, cells).astype(np.float32)
        return counts

    def shares(self, codes: IntArray, cells: int) -> Counts:
        """The same as shares of each half's rows."""
        counts = self.counts(codes, cells)
        shares: Counts = counts / counts.sum(axis=1, keepdims=True)
        return shares


def halved(
    rng: np.random.Generator, tables: tuple[Table, ...], most_rows: int, pairs: int = PAIRS
) -> tuple[Halves, ...]:
    """Halves of several tables, all of them with equally many patients: half of the smallest table's.

    Args:
        rng: draws them.
        tables: of two patients or more.
        most_rows: a half has at most about so many rows.
        pairs: of halves.
    """
    people = [patients(table) for table in tables]
    rows = max(len(table) / n for table, n in zip(tables, people, strict=True))
    half = max(1, min(min(people) // 2, int(most_rows / rows)))
    size = -(-half // MOST_GROUPS)
    groups = half // size
    return tuple(
        _halves(rng, table, size, groups, min(n // size, TIMES_AS_MANY * groups), pairs)
        for table, n in zip(tables, people, strict=True)
    )


def _halves(rng: np.random.Generator, table: Table, size: int, half: int, groups: int, pairs: int) -> Halves:
    """``groups`` groups of ``size`` patients, ``half`` of which make a half."""
    owner = patient_of(table)
    turn = rng.permutation(int(owner.max()) + 1)
    group = np.where(turn < groups * size, turn // size, -1)
    order = rng.random((pairs, groups)).argsort(axis=1)
    chosen = np.zeros((pairs, 2, groups), dtype=np.float32)
    for side in range(2):
        np.put_along_axis(chosen[:, side], order[:, side * half : (side + 1) * half], 1.0, axis=1)
    return Halves(group[owner], chosen.reshape(2 * pairs, groups))


def bounds(values: FloatArray, confidence: float) -> Bounds:
    """Bounds of the mean of what was measured on halves, pairs beside each other: (halves,)."""
    return normal_bounds(float(np.mean(values)), spread(values), confidence)


def spread(values: FloatArray) -> float:
    """The standard error of the mean of what was measured on halves, pairs beside each other: (halves,)."""
    return float(np.sqrt(covariance(np.asarray(values)[:, None])[0, 0]))


def covariance(values: FloatArray) -> FloatArray:
    """Covariances of the means of several measures, (halves, measures): (measures, measures).

    A quarter of a mean's variance as far as it hangs on single patients is the least that is believed: chance in the
    draws could leave nothing or less.
    """
    pairs = np.asarray(values, dtype=np.float64).reshape(-1, 2, values.shape[1])
    difference, middle = pairs[:, 0] - pairs[:, 1], pairs.mean(axis=1)
    middle = middle - middle.mean(axis=0)
    apart: FloatArray = difference.T @ difference / (4 * len(pairs))
    left: FloatArray = apart - middle.T @ middle / len(pairs)
    return left if (np.diag(left) >= np.diag(apart) / 4).all() else np.maximum(apart / 4, left)
