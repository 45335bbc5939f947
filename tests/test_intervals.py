"""Bounds against scipy, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from synthrelease import intervals
from synthrelease.contracts import Column, Schema, Table


def table(rows: int, units=None) -> Table:
    frame = pd.DataFrame({"x": np.arange(rows, dtype=float)})
    return Table(frame, Schema((Column("x", "numeric"),)), "real", units)


def test_proportion_is_clopper_pearson():
    found = intervals.proportion(3, 50, 0.95)
    assert found.low == pytest.approx(stats.beta.ppf(0.05, 3, 48))
    assert found.high == pytest.approx(stats.beta.ppf(0.95, 4, 47))


def test_no_hits_still_leave_the_rule_of_three():
    assert intervals.proportion(0, 300, 0.95).high == pytest.approx(3 / 300, rel=0.02)
    assert math.isnan(intervals.proportion(0, 0, 0.95).high)


def test_proportion_difference_matches_newcombes_worked_example():
    """Newcombe 1998, table II, method 10: 56/70 - 48/80 has the two-sided 95% interval 0.0524 to 0.3339."""
    found = intervals.proportion_difference((56, 70), (48, 80), 0.975)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_auc_equals_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 6, 80).astype(float), rng.integers(0, 5, 60).astype(float)
    truth = np.r_[np.ones(80), np.zeros(60)]
    assert intervals.auc(members, others, 0.95).value == pytest.approx(roc_auc_score(truth, np.r_[members, others]))


def test_auc_bounds_cover_as_often_as_they_promise():
    rng = np.random.default_rng(1)
    found = [intervals.auc(rng.normal(0.3, 1, 120), rng.normal(0, 1, 90), 0.95) for _ in range(600)]
    truth = stats.norm.cdf(0.3 / np.sqrt(2))
    assert np.mean([b.high < truth for b in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([b.low > truth for b in found]) == pytest.approx(0.05, abs=0.03)


def test_equal_size_share_is_half_where_both_sides_are_hit_alike():
    assert intervals.equal_size_share((20, 10), (200, 100), 0.95).value == pytest.approx(0.5)
    found = intervals.equal_size_share((30, 0), (200, 100), 0.95)
    assert found.value == 1.0
    assert 0.8 < found.low < 0.9


def test_draws_and_folds_keep_patients_whole():
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(50), rng.integers(1, 6, 50))
    rows = table(len(units), units)
    fold = intervals.two_folds(rng, rows)
    assert not set(units[fold]) & set(units[~fold])
    assert len(set(units[fold])) == 25
    drawn = intervals.draw(rng, rows, 40)
    assert len(drawn) == len(set(drawn)) == 40
    cut = [u for u in set(units[drawn]) if (units[drawn] == u).sum() < (units == u).sum()]
    assert len(cut) <= 1


def test_the_most_exposed_row_speaks_for_the_patient():
    rows = table(5, np.array([7, 7, 9, 9, 9]))
    values = np.array([1.0, 4.0, 2.0, 0.0, 3.0])
    assert intervals.per_patient(values, rows, largest=True).tolist() == [4.0, 3.0]
    assert intervals.per_patient(values, rows, largest=False).tolist() == [1.0, 0.0]
    assert intervals.per_patient(values, table(5), largest=True) is values
