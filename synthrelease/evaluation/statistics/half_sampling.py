"""The spread of what is measured on random halves of the patients and averaged, however crooked the measure is.

A distance between two samples is never below 0, so that where the truth is 0 it hangs on pairs of patients and not on
single ones: the bootstrap, the jackknife and the spread over halves all overstate its error there (half of it again and
more), and are right where the samples differ. What holds in both cases is the law of total variance. Two halves that
share no patient are independent, so half the mean square of their difference is the variance of one half's measure; the
spread over all halves of these patients is the part of it that an average over halves does not have; the rest is the
average's own (for complete averages: Hoeffding, Ann. Math. Statist. 19, 1948, section 5). How a column is cut into
ranges or ranked is taken as given: all halves share it.

Patients go into halves by small groups, so that counts of a half are sums of the groups' counts: one matrix product
for all halves at once. Halves of all tables have equally many rows, up to whole patients, so chance adds as much to
either of two distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from synthrelease.core.contracts import FloatArray, IntArray, Table
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, patient_of, patients

PAIRS = 100
"""Pairs of halves that share no patient. The variance is then known to two fifths where the truth is 0, else to a
quarter, which costs a 95% bound half a percentage point."""
MOST_GROUPS = 32
"""Groups of a half."""
TIMES_AS_MANY = 4
"""Groups of a table, at most, for each of a half: larger tables take part with more of their patients."""
FEWEST_PATIENTS = 10
"""With fewer there is no telling how patients vary."""
TOO_FEW = f"Halves of the patients are compared, which takes {FEWEST_PATIENTS} patients with rows of their own."
LEAST = 1 / 5
"""If nothing hung on pairs, the difference of halves alone would give the variance: less than this share of that is not
believed, but put down to the luck of the draws."""

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

    def sizes(self) -> FloatArray:
        """Rows of each half: (halves,)."""
        held = np.bincount(self.group[self.group >= 0], minlength=self.chosen.shape[1])
        sizes: FloatArray = self.chosen.astype(np.float64) @ held
        return sizes

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
    """Halves of several tables, all of them with about equally many rows: half of the smallest table's.

    Args:
        rng: draws them.
        tables: of ``FEWEST_PATIENTS`` or more.
        most_rows: a half has at most about so many rows.
        pairs: of halves.
    """
    rows = min(most_rows, min(map(len, tables)) // 2)
    size = max(-(-rows // MOST_GROUPS), *(math.ceil(len(table) / patients(table)) for table in tables))
    groups = max(1, rows // size)
    return tuple(
        _halves(rng, table, size, groups, min(len(table) // size, TIMES_AS_MANY * groups), pairs) for table in tables
    )


def _halves(rng: np.random.Generator, table: Table, size: int, half: int, groups: int, pairs: int) -> Halves:
    """``groups`` groups of about ``size`` rows, ``half`` of which make a half.

    Patients stand in random order; a group has those whose first row comes within its ``size`` rows.
    """
    owner = patient_of(table)
    held = np.bincount(owner)
    order = rng.permutation(len(held))
    group = np.empty(len(held), dtype=np.int64)
    group[order] = (np.cumsum(held[order]) - held[order]) // size
    group[group >= groups] = -1
    turn = rng.random((pairs, groups)).argsort(axis=1)
    chosen = np.zeros((pairs, 2, groups), dtype=np.float32)
    for side in range(2):
        np.put_along_axis(chosen[:, side], turn[:, side * half : (side + 1) * half], 1.0, axis=1)
    return Halves(group[owner], chosen.reshape(2 * pairs, groups))


def complete(halves: tuple[Halves, ...]) -> bool:
    """Whether every half has rows: one may have none where a few patients hold most of a table."""
    return all(bool((half.sizes() > 0).all()) for half in halves)


def bounds(values: FloatArray, halves: tuple[Halves, ...], confidence: float) -> Bounds:
    """Bounds of the mean of what was measured on halves, pairs beside each other: (halves,)."""
    return around(float(np.mean(values)), spread(values), halves, confidence)


def around(value: float, error: float, halves: tuple[Halves, ...], confidence: float) -> Bounds:
    """Bounds of a value by Student's t, as so many groups of patients know its error."""
    reach = float(stats.t.ppf(confidence, degrees(halves))) * error
    return Bounds(value, value - reach, value + reach)


def degrees(halves: tuple[Halves, ...]) -> int:
    """Degrees of freedom: the groups of the smallest table, less one."""
    return max(1, min(len(np.unique(half.group[half.group >= 0])) for half in halves) - 1)


def spread(values: FloatArray) -> float:
    """The standard error of the mean of what was measured on halves, pairs beside each other: (halves,)."""
    return float(np.sqrt(covariance(np.asarray(values)[:, None])[0, 0]))


def covariance(values: FloatArray) -> FloatArray:
    """Covariances of the means of several measures, (halves, measures): (measures, measures)."""
    two = np.asarray(values, dtype=np.float64).reshape(-1, 2, values.shape[1])
    difference, middle = two[:, 0] - two[:, 1], two.mean(axis=1)
    middle = middle - middle.mean(axis=0)
    apart: FloatArray = difference.T @ difference / (4 * len(two))
    left: FloatArray = apart - middle.T @ middle / len(two)
    whole = np.diag(apart)
    shares = np.divide(np.diag(left), whole, out=np.ones(len(whole)), where=whole > 0)
    if (shares >= LEAST).all() and np.linalg.eigvalsh(left)[0] >= 0.0:
        return left
    scaled: FloatArray = apart * max(LEAST, float(shares.max()))
    return scaled
