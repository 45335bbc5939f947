"""Exact tests by exchanging labels, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrelease.evaluation.statistics.permutation_tests import (
    DRAWS,
    GROUP_DRAWS,
    TAILS,
    group_scan,
    tail_bound,
    tail_scan,
)


def test_one_tail_alone_gives_the_hypergeometric_probability():
    """32 patients leave one tail of 8: all eight leaders are members of 16 among 32."""
    member = np.arange(32) < 16
    found = tail_scan(np.random.default_rng(0), member, {"a": -np.arange(32.0)})
    exact = stats.hypergeom.sf(7, 32, 16, 8)
    assert (found.members, found.size, found.name) == (8, 8, "a")
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact / DRAWS) + 1 / DRAWS)


def test_k_copies_among_many_patients_show_at_any_size():
    for people in (400, 20_000):
        member = np.random.default_rng(1).permutation(people) < people // 2
        score = np.random.default_rng(2).normal(size=people)
        score[np.flatnonzero(member)[:20]] = 100.0
        assert tail_scan(np.random.default_rng(3), member, {"a": score}).p < 0.002


def test_tied_leaders_are_ordered_at_random_and_show_nothing():
    member = np.arange(400) < 200  # members stand first: an order of ties that followed the rows would show a leak
    found = tail_scan(np.random.default_rng(4), member, {"a": np.zeros(400)})
    assert found.p > 0.01


def test_the_bound_is_never_below_the_exact_p():
    member = np.arange(600) < 300
    score = np.random.default_rng(5).normal(size=600)
    score[:12] = 9.0
    exact = tail_scan(np.random.default_rng(6), member, {"a": score}).p
    leading = member[np.argsort(-score)][: TAILS[-1]]
    assert tail_bound(member, leading, looks=1) >= exact - 2 / DRAWS


def test_a_group_of_members_stands_out_and_a_margin_takes_it_back():
    rng = np.random.default_rng(7)
    member = np.arange(400) < 200
    weights = (rng.random((5, 400)) < 0.2).astype(np.float32)
    weights[3] = 0.0
    weights[3, :40] = 1.0
    names = ["a", "b", "c", "d", "e"]
    found, scores = group_scan(rng, member, [(names[:2], weights[:2]), (names[2:], weights[2:])])
    assert found.name == "d"
    assert found.p < 0.002
    assert scores["d"] == pytest.approx(20 / np.sqrt(0.25 * 40 * 0.9), rel=1e-5)
    assert group_scan(rng, member, [(names, weights)], margin=0.25)[0].p > 0.05


def test_no_group_at_all_shows_nothing():
    assert group_scan(np.random.default_rng(8), np.arange(10) < 5, [])[0].p == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_among_few_patients_p_does_not_hang_on_the_order_in_which_they_stand(seed):
    member = np.arange(200) < 100
    weights = np.zeros((1, 200), dtype=np.float32)
    weights[0, 86:106] = 1.0  # 14 of 20 are members
    exact = stats.hypergeom.sf(13, 200, 100, 20)
    found = group_scan(np.random.default_rng(seed), member, [(["a"], weights)])[0].p
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact / GROUP_DRAWS))
