"""One-sided confidence bounds and resampling that keeps patients whole.

Every function takes ``confidence`` as a one-sided level: at 0.95 the true value lies above ``high`` with probability
at most 5%, and below ``low`` with probability at most 5%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, Table


@dataclass(frozen=True, slots=True)
class Bounds:
    """A point estimate between its one-sided lower and upper bound."""

    value: float
    low: float
    high: float


def z_score(confidence: float) -> float:
    """The standard normal quantile of ``confidence``."""
    return float(stats.norm.ppf(confidence))


def proportion(hits: int, trials: int, confidence: float) -> Bounds:
    """Clopper-Pearson bounds of a proportion (Biometrika 26, 1934), exact at any size."""
    if trials == 0:
        return Bounds(float("nan"), float("nan"), float("nan"))
    low = stats.binomtest(hits, trials, alternative="greater").proportion_ci(confidence, method="exact").low
    high = stats.binomtest(hits, trials, alternative="less").proportion_ci(confidence, method="exact").high
    return Bounds(hits / trials, float(low), float(high))


def proportion_difference(first: tuple[int, int], second: tuple[int, int], confidence: float) -> Bounds:
    """Bounds of p1 - p2 for two independent samples of (hits, trials).

    Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10): honest at zero hits and small sizes.
    """
    if first[1] == 0 or second[1] == 0:
        return Bounds(float("nan"), float("nan"), float("nan"))
    p1, low1, high1 = _wilson(*first, confidence)
    p2, low2, high2 = _wilson(*second, confidence)
    gap = p1 - p2
    low = gap - np.hypot(p1 - low1, high2 - p2)
    high = gap + np.hypot(high1 - p1, p2 - low2)
    return Bounds(gap, float(low), float(high))


def _wilson(hits: int, trials: int, confidence: float) -> tuple[float, float, float]:
    two_sided = 2 * confidence - 1
    interval = stats.binomtest(hits, trials).proportion_ci(two_sided, method="wilson")
    return hits / trials, float(interval.low), float(interval.high)


def auc(members: FloatArray, others: FloatArray, confidence: float) -> Bounds:
    """Area under the ROC curve with DeLong's variance (Biometrics 44, 1988); ties count one half.

    Args:
        members: scores of the positive side, (n,).
        others: scores of the negative side, (m,).
        confidence: one-sided level.
    """
    n, m = len(members), len(others)
    if n < 2 or m < 2:
        return Bounds(float("nan"), float("nan"), float("nan"))
    above, below = placements(members, others)
    value = float(above.mean())
    # Where the sides do not overlap DeLong's variance is 0; one pair's worth of doubt keeps the bound honest.
    spread = max(float(np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)), 1.0 / (n + m))
    reach = z_score(confidence) * spread
    return Bounds(value, max(0.0, value - reach), min(1.0, value + reach))


def placements(members: FloatArray, others: FloatArray) -> tuple[FloatArray, FloatArray]:
    """DeLong's components: the share of others below each member, (n,), and of members above each other, (m,)."""
    n, m = len(members), len(others)
    pooled = stats.rankdata(np.concatenate([members, others]))
    return (pooled[:n] - stats.rankdata(members)) / m, 1.0 - (pooled[n:] - stats.rankdata(others)) / n


def controlled(
    gap: tuple[float, float], parts: Sequence[tuple[FloatArray, FloatArray]], confidence: float, *, fewest: int
) -> Bounds:
    """A gap between two sides after a control variate whose own gap is 0 but for chance.

    The control is measured on the same patients and knows nothing of their side, so that its expected gap is 0 whatever
    was leaked; what chance puts into it, chance has put into the gap as well, and is taken off (Lavenberg & Welch,
    Management Science 27, 1981; in experiments known as CUPED, Deng et al. 2013, doi 10.1145/2433396.2433413).

    Args:
        gap: the gap and the control's.
        parts: independent samples, each with a patient's influence on the estimate and on the control, (n,) both; the
            variance of either gap is the sum of var / n.
        confidence: one-sided level.
        fewest: patients of the smaller side; one patient's worth of doubt stays.
    """
    covariances = [np.cov(values, control) / len(values) for values, control in parts]
    total = np.sum(covariances, axis=0)
    slope = float(total[0, 1] / total[1, 1]) if total[1, 1] > 0 else 0.0
    variance = float(total[0, 0]) - slope * float(total[0, 1])
    spread = max(float(np.sqrt(max(variance, 0.0))), 1.0 / fewest)
    return normal_bounds(gap[0] - slope * gap[1], spread, confidence)


def equal_size_share(near: tuple[int, int], sizes: tuple[int, int], confidence: float) -> Bounds:
    """The share of the first side among the near rows if both sides were equally large; 0.5 without leakage.

    Args:
        near: rows of (first, second) side found among the nearest.
        sizes: all rows of (first, second) side.
        confidence: one-sided level; the bounds are Clopper-Pearson's on near[0] of sum(near), carried over.
    """
    raw = proportion(near[0], sum(near), confidence)
    weight = sizes[1] / sizes[0]

    def scaled(share: float) -> float:
        return share * weight / (share * weight + 1.0 - share)

    return Bounds(scaled(raw.value), scaled(raw.low), scaled(raw.high))


def normal_bounds(value: float, spread: float, confidence: float) -> Bounds:
    """Bounds ``value -+ z * spread``."""
    reach = z_score(confidence) * spread
    return Bounds(value, value - reach, value + reach)


def ratio(top: float, bottom: float, covariance: FloatArray, z: float) -> Bounds:
    """Bounds of top / bottom by Fieller's theorem (J. R. Stat. Soc. B 16, 1954); NaN where bottom may well be 0.

    Args:
        top: an estimate of normal error.
        bottom: another one, above 0.
        covariance: of the two, (2, 2).
        z: how many standard errors the bounds reach.
    """
    a = bottom**2 - z**2 * float(covariance[1, 1])
    if bottom <= 0.0 or a <= 0.0:
        return Bounds(float("nan"), float("nan"), float("nan"))
    b = top * bottom - z**2 * float(covariance[0, 1])
    c = top**2 - z**2 * float(covariance[0, 0])
    reach = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return Bounds(top / bottom, (b - reach) / a, (b + reach) / a)


def draw(rng: np.random.Generator, table: Table, rows: int) -> IntArray:
    """Positions of ``rows`` random rows, taken patient by patient so that one patient's rows stay together."""
    if table.units is None:
        return rng.permutation(len(table))[:rows]
    patients, patient = np.unique(table.units, return_inverse=True)
    turn = rng.permutation(len(patients))[patient]
    return np.argsort(turn, kind="stable")[:rows]


def two_folds(rng: np.random.Generator, table: Table) -> BoolArray:
    """A random half of the patients as a mask over rows; its complement is the other fold."""
    if table.units is None:
        first = rng.permutation(len(table))[: len(table) // 2]
        return np.isin(np.arange(len(table)), first)
    patients = np.unique(table.units)
    return np.isin(table.units, rng.permutation(patients)[: len(patients) // 2])


def patient_of(table: Table) -> IntArray:
    """The patient of each row, numbered from 0: (rows,)."""
    if table.units is None:
        return np.arange(len(table))
    owner: IntArray = np.unique(table.units, return_inverse=True)[1]
    return owner


def patients(table: Table) -> int:
    """How many patients a table holds."""
    return len(table) if table.units is None else len(np.unique(table.units))


def per_patient(values: FloatArray, table: Table, *, largest: bool) -> FloatArray:
    """One value a patient: the most exposed row speaks for the patient, and patients are independent, rows are not."""
    if table.units is None:
        return values
    _, patient = np.unique(table.units, return_inverse=True)
    out = np.full(patient.max() + 1, -np.inf if largest else np.inf)
    (np.maximum if largest else np.minimum).at(out, patient, values)
    return out


def exactly(value: float) -> Bounds:
    """Bounds of a number that was counted or computed, not estimated."""
    return Bounds(value, value, value)
