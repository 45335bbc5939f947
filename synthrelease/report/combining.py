"""What several synthetic copies of one table say together, and how to read one large synthetic table.

This file goes to whoever receives copies: it needs numpy, scipy and pandas, and no other file.

    combined = mean([copy["bmi"] for copy in copies], real_rows=1_000)
    print(combined.estimate, combined.interval())

Every copy was drawn from a model of its own, fitted to a Bayesian bootstrap of the real patients (Rubin 1981). So the
copies' estimates differ for two reasons: another set of patients could have been seen, and rows were drawn. With the
variance ``V`` that the estimate has at the number of real rows, and the variance ``B`` between copies, the mean of m
estimates has the variance

    T = V + B / m,    on (m - 1) (1 + m V / B)^2 degrees of freedom (Satterthwaite 1946).

``V`` is what an ordinary formula gives on a copy of N rows, times N / n for n real rows: more synthetic rows bring no
more patients.

The rules for missing data and their kin are wrong here. Rubin's (1987), V + (1 + 1/m) B, adds the luck of the sample
twice, as ``B`` holds it as well as ``V``: at N = n intervals are so wide that 95% ones hold the truth in 99%. Reiter's
(2003, for tables of which some cells were replaced), V + B / m, takes V as it is at N rows: right at N = n, and too
narrow by far (69%) at five times the rows. Raghunathan, Reiter & Rubin's (2003, for tables drawn anew from a
posterior), (1 + 1/m) B - V, is right on average, and hangs on a difference of variances that few copies know badly (80%
to 90%, and below zero at times). Ours is of the kind of Raab, Nowok & Dibben (2017), "Practical data synthesis for
large samples", Journal of Privacy and Confidentiality 7(3), which ``one_table`` follows, with ``B`` as it is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Combined:
    """An estimate of the population, or several side by side: all arrays have one shape, () for a single estimate.

    ``variance``: its squared standard error. ``degrees_of_freedom``: of its t distribution, infinite for a normal one.
    """

    estimate: Numbers
    variance: Numbers
    degrees_of_freedom: Numbers

    @property
    def standard_error(self) -> Numbers:
        """The root of the variance."""
        return np.sqrt(self.variance)

    def interval(self, confidence: float = 0.95) -> tuple[Numbers, Numbers]:
        """Return the ends of the two-sided interval."""
        reach = stats.t.ppf(0.5 + confidence / 2, self.degrees_of_freedom) * self.standard_error
        return self.estimate - reach, self.estimate + reach

    def p_value(self, null: float = 0.0) -> Numbers:
        """Return the two-sided p-value of the hypothesis that the truth is ``null``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.abs(self.estimate - null) / self.standard_error
        return np.asarray(2 * stats.t.sf(far, self.degrees_of_freedom))


@dataclass(frozen=True, slots=True)
class Independence:
    """The test that two columns are independent: Pearson's statistic, its degrees of freedom and p-value."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


def combine(estimates: ArrayLike, variances: ArrayLike, *, rows: int, real_rows: int) -> Combined:
    """Combine the same estimate from every copy; any will do that has a variance, such as a coefficient.

    Args:
        estimates: (copies,), or (copies, estimates) for several at once.
        variances: of the same shape: the squared standard errors that an ordinary formula gives on each copy.
        rows: of each copy (N).
        real_rows: that the copies were learned from (n).

    Raises:
        ValueError: there are fewer than two copies, the shapes differ, or a number cannot be right.
    """
    found, plain = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    _check(found, plain, rows=rows, real_rows=real_rows)
    if found.ndim == 0 or len(found) < 2:
        raise ValueError("copies are combined two or more at a time; for a single table use one_table")
    copies = len(found)
    within = plain.mean(axis=0) * rows / real_rows
    between = found.var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(between > 0, (copies - 1) * (1 + copies * within / between) ** 2, np.inf)
    return Combined(np.asarray(found.mean(axis=0)), within + between / copies, np.asarray(freedom))


def one_table(estimate: ArrayLike, variance: ArrayLike, *, rows: int, real_rows: int) -> Combined:
    """Read an estimate from one synthetic table, not from copies: T = v N / n + v.

    The first part is the sample's, as in the real table; the second comes from drawing rows. More rows shrink the
    second part alone. A chi-squared statistic of one table is multiplied by n / (n + N) for the same reason. Neither
    knows whether the generator learned the effect that is asked for: copies tell more.

    Args:
        estimate: from the table, (estimates,) or a single one.
        variance: of the same shape, what an ordinary formula gives on the table (v).
        rows: of the table (N).
        real_rows: that its generator learned from (n).

    Raises:
        ValueError: the shapes differ, or a number cannot be right.
    """
    found, plain = np.asarray(estimate, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    _check(found, plain, rows=rows, real_rows=real_rows)
    return Combined(found, plain * (rows / real_rows + 1), np.full(found.shape, np.inf))


def mean(copies: Sequence[ArrayLike], *, real_rows: int) -> Combined:
    """Combine the means of a column of numbers; each of ``copies`` is the whole column, missing cells left in."""
    columns = [np.asarray(each, dtype=np.float64) for each in copies]
    known = [each[~np.isnan(each)] for each in columns]
    variances = [each.var(ddof=1) / len(each) for each in known]
    return combine([each.mean() for each in known], variances, rows=_rows(columns), real_rows=real_rows)


def proportion(copies: Sequence[ArrayLike], label: object, *, real_rows: int) -> Combined:
    """Combine the shares of a label in a column; each of ``copies`` is the whole column, missing cells left in."""
    columns = [pd.Series(np.asarray(each)).dropna() for each in copies]
    shares = np.array([(each == label).mean() for each in columns])
    counts = np.array([len(each) for each in columns])
    return combine(shares, shares * (1 - shares) / counts, rows=_rows(copies), real_rows=real_rows)


def chi_squared(tables: Sequence[pd.DataFrame] | ArrayLike, *, real_rows: int) -> Independence:
    """Test whether two columns are independent, on the average of the copies' contingency tables.

    The average is as sure as a plain table of n / (1 + (1 + n / N) / m) patients would be: 1 / n for the sample, and
    a variance of 1 / n + 1 / N between copies, of which m were taken the mean. Tests on single copies, or on the copies
    laid end to end, find what is not there.

    Args:
        tables: counts, (copies, labels of one column, labels of the other); or what ``pandas.crosstab`` gives for each
            copy, in which labels may be missing that a copy does not have.
        real_rows: that the copies were learned from (n).

    Raises:
        ValueError: there are fewer than two copies, or two labels of a column, or a count cannot be right.
    """
    counts = _aligned(tables)
    if counts.ndim != 3 or len(counts) < 2 or real_rows < 1 or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(
            "tables must be counts of two or more copies, (copies, labels, labels), and real_rows positive"
        )
    total = counts.sum(axis=0)
    total = total[total.sum(axis=1) > 0][:, total.sum(axis=0) > 0]  # labels that somebody has
    if min(total.shape) < 2:
        raise ValueError("each column needs two labels or more that occur; with fewer there is nothing to test")
    shares = total / total.sum()
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    rows = counts.sum() / len(counts)
    patients = real_rows / (1 + (1 + real_rows / rows) / len(counts))
    statistic = float(patients * ((shares - expected) ** 2 / expected).sum())
    freedom = (total.shape[0] - 1) * (total.shape[1] - 1)
    return Independence(statistic, freedom, float(stats.chi2.sf(statistic, freedom)))


def _aligned(tables: Sequence[pd.DataFrame] | ArrayLike) -> Numbers:
    """Counts as one array; tables with named labels have all labels that any of them has."""
    frames = [each for each in tables if isinstance(each, pd.DataFrame)] if isinstance(tables, Sequence) else []
    if not frames or not isinstance(tables, Sequence) or len(frames) < len(tables):
        return np.asarray(tables, dtype=np.float64)
    rows = sorted({label for each in frames for label in each.index}, key=str)
    columns = sorted({label for each in frames for label in each.columns}, key=str)
    return np.stack([each.reindex(index=rows, columns=columns, fill_value=0).to_numpy(float) for each in frames])


def _rows(copies: Sequence[Any]) -> int:
    """How many rows each copy has.

    Raises:
        ValueError: they differ.
    """
    sizes = {len(each) for each in copies}
    if len(sizes) != 1:
        raise ValueError("all copies have the same number of rows; hand over whole columns, missing cells left in")
    return sizes.pop()


def _check(estimates: Numbers, variances: Numbers, *, rows: int, real_rows: int) -> None:
    if estimates.shape != variances.shape:
        raise ValueError(f"every estimate needs its variance: {estimates.shape} estimates, {variances.shape} variances")
    if not (np.isfinite(estimates) & np.isfinite(variances) & (variances >= 0)).all():
        raise ValueError("estimates must be finite, and variances 0 or more; leave out a copy's only with a reason")
    if rows < 1 or real_rows < 1:
        raise ValueError(f"rows and real_rows must be positive, and are {rows} and {real_rows}")
