"""Bounds against scipy, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.evaluation.statistics import confidence_intervals, half_sampling


def table(rows: int, units=None) -> Table:
    frame = pd.DataFrame({"x": np.arange(rows, dtype=float)})
    return Table(frame, Schema((Column("x", "numeric"),)), "real", units)


def visits(patients: int, rows_each: int) -> Table:
    """As many rows of each patient, in random order of the patients' numbers."""
    owner = np.random.default_rng(patients).permutation(patients)
    return table(patients * rows_each, np.repeat(owner, rows_each) if rows_each > 1 else None)


def test_proportion_is_clopper_pearson():
    found = confidence_intervals.proportion(3, 50, 0.95)
    assert found.low == pytest.approx(stats.beta.ppf(0.05, 3, 48))
    assert found.high == pytest.approx(stats.beta.ppf(0.95, 4, 47))


def test_no_hits_still_leave_the_rule_of_three():
    assert confidence_intervals.proportion(0, 300, 0.95).high == pytest.approx(3 / 300, rel=0.02)
    assert math.isnan(confidence_intervals.proportion(0, 0, 0.95).high)


def test_proportion_difference_matches_newcombes_worked_example():
    """Newcombe 1998, table II, method 10: 56/70 - 48/80 has the two-sided 95% interval 0.0524 to 0.3339."""
    found = confidence_intervals.proportion_difference((56, 70), (48, 80), 0.975)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_auc_equals_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 6, 80).astype(float), rng.integers(0, 5, 60).astype(float)
    truth = np.r_[np.ones(80), np.zeros(60)]
    assert confidence_intervals.auc(members, others, 0.95).value == pytest.approx(
        roc_auc_score(truth, np.r_[members, others])
    )


def test_auc_bounds_cover_as_often_as_they_promise():
    rng = np.random.default_rng(1)
    found = [confidence_intervals.auc(rng.normal(0.3, 1, 120), rng.normal(0, 1, 90), 0.95) for _ in range(600)]
    truth = stats.norm.cdf(0.3 / np.sqrt(2))
    assert np.mean([b.high < truth for b in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([b.low > truth for b in found]) == pytest.approx(0.05, abs=0.03)


def test_equal_size_share_is_half_where_both_sides_are_hit_alike():
    assert confidence_intervals.equal_size_share((20, 10), (200, 100), 0.95).value == pytest.approx(0.5)
    found = confidence_intervals.equal_size_share((30, 0), (200, 100), 0.95)
    assert found.value == 1.0
    assert 0.8 < found.low < 0.9


def test_draws_and_folds_keep_patients_whole():
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(50), rng.integers(1, 6, 50))
    rows = table(len(units), units)
    fold = confidence_intervals.two_folds(rng, rows)
    assert not set(units[fold]) & set(units[~fold])
    assert len(set(units[fold])) == 25
    drawn = confidence_intervals.draw(rng, rows, 40)
    assert len(drawn) == len(set(drawn)) == 40
    cut = [u for u in set(units[drawn]) if (units[drawn] == u).sum() < (units == u).sum()]
    assert len(cut) <= 1


def test_the_most_exposed_row_speaks_for_the_patient():
    rows = table(5, np.array([7, 7, 9, 9, 9]))
    values = np.array([1.0, 4.0, 2.0, 0.0, 3.0])
    assert confidence_intervals.per_patient(values, rows, largest=True).tolist() == [4.0, 3.0]
    assert confidence_intervals.per_patient(values, rows, largest=False).tolist() == [1.0, 0.0]
    assert confidence_intervals.per_patient(values, table(5), largest=True) is values


@pytest.mark.parametrize("rows_each", [(1, 1, 1), (3, 3, 3), (10, 10, 1), (1, 4, 2)])
def test_halves_share_no_patient_and_are_equally_large(rows_each):
    """Equally large in rows, whatever a patient has of them: chance adds as much to the distance of either table."""
    rng = np.random.default_rng(4)
    tables = [visits(patients, each) for patients, each in zip((400, 130, 1_000), rows_each, strict=True)]
    smallest = min(map(len, tables))
    parts = half_sampling.halved(rng, tuple(tables), 10_000, pairs=20)
    for table, part, each in zip(tables, parts, rows_each, strict=True):
        owner = np.repeat(np.arange(len(table) // each), each)
        inside = part.rows() > 0
        assert part.shares(np.zeros(len(table), dtype=np.int64), 1) == pytest.approx(1.0)
        for first, second in inside.reshape(20, 2, -1):
            held = [set(owner[half]) for half in (first, second)]
            assert not held[0] & held[1]
            assert [len(people) * each for people in held] == [int(half.sum()) for half in (first, second)]
        assert inside.sum(axis=1).mean() == pytest.approx(smallest / 2, rel=0.08)


def test_halves_of_large_tables_are_cut_to_the_rows_wanted():
    (part,) = half_sampling.halved(np.random.default_rng(1), (visits(5_000, 2),), 1_000, pairs=3)
    assert part.rows().sum(axis=1) == pytest.approx(1_000, rel=0.05)


def test_counts_of_halves_are_those_of_their_rows():
    rng = np.random.default_rng(2)
    table = visits(60, 2)
    (part,) = half_sampling.halved(rng, (table,), 1_000, pairs=5)
    codes = rng.integers(4, size=len(table))
    expected = [np.bincount(codes[half > 0], minlength=4) for half in part.rows()]
    np.testing.assert_array_equal(part.counts(codes, 4), expected)


def test_a_ratio_to_what_may_be_nothing_has_no_bounds():
    assert np.isnan(confidence_intervals.ratio(1.0, 0.1, np.diag([0.01, 0.01]), 1.645).high)
    found = confidence_intervals.ratio(1.0, 2.0, np.zeros((2, 2)), 1.645)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_covariances_of_halves_can_belong_to_numbers():
    """However the draws fall: no variance below a fifth of what halves differ by, and nothing that cannot be."""
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=(20, 2)) @ np.array([[1.0, 0.9], [0.0, 0.5]])
        found = half_sampling.covariance(values)
        assert np.linalg.eigvalsh(found)[0] >= -1e-12
        apart = ((values[::2] - values[1::2]) ** 2).mean(axis=0) / 4
        assert (np.diag(found) >= half_sampling.LEAST * apart - 1e-12).all()
