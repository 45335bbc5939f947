"""Estimates of copies, combined: against a known truth, by hand, and the rules that are wrong here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synthrelease.report import combining

REAL_ROWS, COHORTS = 200, 1_000
SHARE, TRUE_MEAN = 0.3, 1.0
"""Of a label, and of a skewed number (exponential)."""


@dataclass(frozen=True)
class Drawn:
    """Means and their plain variances in perfect bootstrap copies, each (cohorts, copies)."""

    estimates: np.ndarray
    variances: np.ndarray


def _weights(rng: np.random.Generator, copies: int) -> np.ndarray:
    """A Bayesian bootstrap for each cohort and copy, (cohorts, copies, real rows)."""
    drawn = rng.exponential(size=(COHORTS, copies, REAL_ROWS))
    return drawn / drawn.sum(axis=2, keepdims=True)


def _drawn(real: np.ndarray, weights: np.ndarray, rows: int, rng: np.random.Generator) -> Drawn:
    """Draw copies of (cohorts, real rows), and take the mean of each."""
    counts = rng.multinomial(rows, weights)  # (cohorts, copies, real rows)
    means = (counts * real[:, None]).sum(axis=2) / rows
    squares = (counts * real[:, None] ** 2).sum(axis=2) / rows
    return Drawn(means, (squares - means**2) / (rows - 1))


@pytest.fixture(scope="module")
def cohorts() -> dict[tuple[str, int, int], Drawn]:
    """Of a share and of a mean, for M copies at so many times the rows."""
    rng = np.random.default_rng(0)
    real = {
        "share": (rng.random((COHORTS, REAL_ROWS)) < SHARE).astype(float),
        "mean": rng.exponential(TRUE_MEAN, size=(COHORTS, REAL_ROWS)),
    }
    weights = _weights(rng, 10)
    found = {}
    for kind, rows in real.items():
        for times in (1, 5):
            ten = _drawn(rows, weights, times * REAL_ROWS, rng)
            found[kind, 10, times] = ten
            found[kind, 5, times] = Drawn(ten.estimates[:, :5], ten.variances[:, :5])
    return found


def _coverage(combined: combining.Combined, truth: float) -> float:
    low, high = combined.interval()
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize("kind", ["share", "mean"])
@pytest.mark.parametrize("copies", [5, 10])
@pytest.mark.parametrize("times", [1, 5])
def test_intervals_of_perfect_copies_hold_the_truth_as_often_as_they_say(cohorts, kind, copies, times):
    drawn = cohorts[kind, copies, times]
    combined = combining.combine(drawn.estimates.T, drawn.variances.T, rows=times * REAL_ROWS, real_rows=REAL_ROWS)
    covered = _coverage(combined, {"share": SHARE, "mean": TRUE_MEAN}[kind])
    print(f"{kind}, {copies} copies of {times} times the rows: {covered:.3f}")
    assert 0.93 <= covered <= 0.97


def test_rules_for_missing_data_do_not(cohorts):
    once, five = cohorts["share", 10, 1], cohorts["share", 10, 5]

    def covered(drawn: Drawn, variance: np.ndarray) -> float:
        combined = combining.Combined(drawn.estimates.mean(axis=1), variance, np.full(COHORTS, np.inf))
        return _coverage(combined, SHARE)

    rubin = once.variances.mean(axis=1) + 1.1 * once.estimates.var(axis=1, ddof=1)
    assert covered(once, rubin) > 0.98
    reiter = five.variances.mean(axis=1) + five.estimates.var(axis=1, ddof=1) / 10
    assert covered(five, reiter) < 0.75
    raghunathan = 1.1 * once.estimates.var(axis=1, ddof=1) - once.variances.mean(axis=1)
    assert covered(once, raghunathan.clip(0)) < 0.9
    pooled = five.variances.mean(axis=1) / 10  # the copies laid end to end, as if all rows were patients
    assert covered(five, pooled) < 0.35


@pytest.mark.parametrize("times", [1, 5])
def test_one_table_is_read_by_its_own_rule(times):
    rng = np.random.default_rng(1)
    real = rng.random((COHORTS, REAL_ROWS)) < SHARE
    rows = times * REAL_ROWS
    shares = rng.binomial(rows, real.mean(axis=1)) / rows
    plain = shares * (1 - shares) / rows
    combined = combining.one_table(shares, plain, rows=rows, real_rows=REAL_ROWS)
    assert 0.93 <= _coverage(combined, SHARE) <= 0.97
    naive = combining.Combined(shares, plain, np.full(COHORTS, np.inf))
    assert _coverage(naive, SHARE) < (0.87 if times == 1 else 0.65)


@pytest.mark.parametrize("copies", [5, 10])
@pytest.mark.parametrize("times", [1, 5])
def test_chi_squared_of_independent_columns_is_found_at_its_level(copies, times):
    rng = np.random.default_rng(2)
    truth = np.outer([0.6, 0.4], [0.5, 0.3, 0.2]).ravel()
    found = []
    for _ in range(COHORTS):
        real = rng.multinomial(REAL_ROWS, truth)
        tables = rng.multinomial(times * REAL_ROWS, rng.dirichlet(real, copies)).reshape(copies, 2, 3)
        found.append(combining.chi_squared(tables, real_rows=REAL_ROWS).p_value)
    assert 0.03 <= np.mean(np.array(found) < 0.05) <= 0.07


def test_two_copies_worked_out_by_hand():
    combined = combining.combine([1.0, 3.0], [0.5, 1.5], rows=200, real_rows=100)
    assert float(combined.estimate) == 2.0
    assert float(combined.variance) == 2.0 + 2.0 / 2  # V = 1 * 200/100, B = 2
    assert float(combined.degrees_of_freedom) == (1 + 2 * 2.0 / 2.0) ** 2
    low, high = combined.interval()
    assert float(high - low) == pytest.approx(2 * stats.t.ppf(0.975, 9) * 3**0.5)
    assert float(combined.p_value(2.0)) == 1.0


def test_copies_that_agree_leave_a_normal_interval_or_none_at_all():
    alike = combining.combine([2.0, 2.0], [1.0, 1.0], rows=10, real_rows=10)
    assert float(alike.degrees_of_freedom) == np.inf
    assert float(alike.interval()[1]) == pytest.approx(2 + stats.norm.ppf(0.975))
    low, high = combining.mean([[5.0, 5.0], [5.0, 5.0]], real_rows=2).interval()
    assert float(low) == float(high) == 5.0


def test_columns_give_what_their_means_and_shares_give():
    copies = [np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, 2.0, 3.0, np.nan])]
    combined = combining.mean(copies, real_rows=8)
    by_hand = combining.combine(
        [7 / 3, 7 / 3], [np.var([1, 2, 4], ddof=1) / 3, np.var([2, 2, 3], ddof=1) / 3], rows=4, real_rows=8
    )
    assert float(combined.variance) == pytest.approx(float(by_hand.variance))
    labels = combining.proportion([["a", "b", None, "a"], ["a", "b", "b", "a"]], "a", real_rows=4)
    assert float(labels.estimate) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_many_estimates_are_combined_at_once():
    rng = np.random.default_rng(3)
    estimates, variances = rng.normal(size=(5, 3)), rng.random((5, 3))
    together = combining.combine(estimates, variances, rows=10, real_rows=10)
    alone = [combining.combine(estimates[:, at], variances[:, at], rows=10, real_rows=10) for at in range(3)]
    assert np.allclose(together.variance, [float(each.variance) for each in alone])


def test_chi_squared_of_one_table_twice_is_that_of_pearson_at_its_size():
    table = np.array([[20, 30], [30, 20]])
    found = combining.chi_squared([table, table], real_rows=100)
    pearson = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(pearson.statistic / (1 + 2 / 2))
    assert found.degrees_of_freedom == pearson.dof


def test_tables_in_which_a_copy_lacks_a_label_are_put_in_line():
    one = pd.crosstab(pd.Series(list("aabb")), pd.Series(list("xyxy")))
    two = pd.crosstab(pd.Series(list("aabb")), pd.Series(list("yyxz")))
    found = combining.chi_squared([one, two], real_rows=4)
    by_hand = combining.chi_squared([[[1, 1, 0], [1, 1, 0]], [[0, 2, 0], [1, 0, 1]]], real_rows=4)
    assert found == by_hand


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: combining.combine([1.0], [1.0], rows=10, real_rows=10),
        lambda: combining.combine([1.0, 2.0], [1.0], rows=10, real_rows=10),
        lambda: combining.combine([1.0, np.nan], [1.0, 1.0], rows=10, real_rows=10),
        lambda: combining.combine([1.0, 2.0], [1.0, -1.0], rows=10, real_rows=10),
        lambda: combining.one_table(1.0, 1.0, rows=0, real_rows=10),
        lambda: combining.mean([[1.0, 2.0], [1.0]], real_rows=10),
        lambda: combining.chi_squared([[[1, 2], [3, 4]]], real_rows=10),
        lambda: combining.chi_squared([[[1, 0], [3, 0]]] * 2, real_rows=10),
    ],
)
def test_what_cannot_be_right_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        wrong()


def test_the_module_stands_alone_and_is_quick():
    source = combining.__file__
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('combining', sys.argv[1]);"
        "m = u.module_from_spec(s); sys.modules['combining'] = m; s.loader.exec_module(m);"
        "print(m.combine([1, 2], [1, 1], rows=2, real_rows=2).estimate);"
        "assert not any(n.split('.')[0] in ('torch', 'sklearn', 'synthrelease') for n in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.5"
