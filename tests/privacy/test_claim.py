"""The privacy ledger: composition, refusals, and what a claim promises."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from synthrelease.core.contracts import PrivacyBudget, PrivacySpend
from synthrelease.core.errors import InputError
from synthrelease.privacy import accounting, attack_bounds, claim
from synthrelease.privacy import noise as os_noise

ASKED = PrivacyBudget(epsilon=1.0, delta=1e-6, unit="row")


def spend(noise: float, rate: float = 1.0, steps: int = 1, delta: float = 0.0) -> PrivacySpend:
    return PrivacySpend("tables", "Gaussian", noise, rate, steps, "row", delta)


def exact_epsilon(noise: float, delta: float) -> float:
    """Epsilon of one Gaussian mechanism: Balle & Wang 2018, theorem 8."""

    def gap(epsilon: float) -> float:
        first = stats.norm.cdf(0.5 / noise - epsilon * noise)
        return first - math.exp(epsilon) * stats.norm.cdf(-0.5 / noise - epsilon * noise) - delta

    return float(optimize.brentq(gap, 0.0, 200.0))


@pytest.mark.parametrize("noise", [0.5, 2.0, 20.0])
def test_one_query_costs_what_theory_says(noise):
    exact = exact_epsilon(noise, 1e-6)
    prv, rdp = (accounting.epsilon([spend(noise)], 1e-6, accountant=each) for each in ("prv", "rdp"))
    assert exact <= prv <= exact * 1.02
    assert prv < rdp


def test_two_queries_compose_to_one_and_sampling_comes_on_top():
    one = accounting.epsilon([spend(3.0)], 1e-6)
    two = accounting.epsilon([spend(3.0 * math.sqrt(2)), spend(3.0 * math.sqrt(2))], 1e-6)
    assert two == pytest.approx(one, rel=1e-6)
    assert accounting.epsilon([spend(3.0), spend(5.0, rate=0.01, steps=200)], 1e-6) > one


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 10.0])
def test_the_noise_planned_spends_the_budget_and_no_more(epsilon):
    asked = dataclasses.replace(ASKED, epsilon=epsilon)
    parts = [accounting.gaussian_noise(asked, share) for share in (0.2, 0.8)]
    spent = accounting.epsilon([spend(noise) for noise in parts], asked.delta)
    assert 0.98 * epsilon <= spent <= epsilon


def test_training_gets_what_the_tables_leave():
    tables = spend(accounting.gaussian_noise(ASKED, 0.7))
    noise = accounting.sampled_noise(ASKED, [tables], sample_rate=0.02, steps=300)
    spends = (tables, dataclasses.replace(spend(noise, 0.02, 300), purpose="critic"))
    assert 0.97 <= claim.claim(spends, ASKED).epsilon <= 1.0
    with pytest.raises(ValueError, match="large enough"):
        accounting.sampled_noise(ASKED, [spend(accounting.gaussian_noise(ASKED) * 0.99)], sample_rate=0.02, steps=300)


def test_nothing_spent_is_no_epsilon_of_zero():
    with pytest.raises(ValueError, match="at least one spend"):
        accounting.epsilon([], 1e-6)
    with pytest.raises(ValueError, match="at least one step"):
        accounting.epsilon([spend(1.0, steps=0)], 1e-6)
    with pytest.raises(ValueError, match="must have noise"):
        accounting.epsilon([spend(0.0)], 1e-6)
    with pytest.raises(ValueError, match="delta must exceed"):
        accounting.epsilon([spend(1.0, delta=1e-6)], 1e-6)


def test_failures_of_thresholds_count_against_delta():
    assert accounting.epsilon([spend(3.0, delta=9e-7)], 1e-6) > accounting.epsilon([spend(3.0)], 1e-6)


def test_a_claim_beyond_the_budget_or_for_another_unit_is_never_made():
    with pytest.raises(ValueError, match="keep to the budget"):
        claim.claim((spend(1.0),), ASKED)
    with pytest.raises(ValueError, match="another unit"):
        claim.claim((dataclasses.replace(spend(50.0), unit="patient"),), ASKED)


def test_the_claim_as_a_result_and_as_a_record():
    promise = claim.claim((spend(accounting.gaussian_noise(ASKED)),), ASKED)
    result = claim.result(promise, units=700)
    metric = result.metric("epsilon")
    assert result.status == "measured"
    assert metric is not None
    assert metric.low == metric.high == metric.value == promise.epsilon <= 1.0
    found = claim.facts(promise)
    assert found is not None
    assert claim.facts(None) is None
    assert found.adjacency == "add or remove"
    assert accounting.epsilon(found.spends, found.delta) == pytest.approx(found.epsilon, rel=1e-6)
    assert (found.promises[0].case, found.promises[0].auc) == ("this release", found.attack_auc_at_most)
    assert claim.result(None).status == "not_applicable"
    assert claim.result(None).note != claim.result(None, made_here=False).note


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, 101.0])
def test_an_epsilon_out_of_range_is_refused(wrong):
    with pytest.raises(InputError, match="--epsilon must lie above 0"):
        claim.check_request(wrong, None)


def test_a_delta_out_of_range_is_refused():
    for wrong in (0.0, -1e-6, 1.0, math.nan):
        with pytest.raises(InputError, match="--delta must lie above 0"):
            claim.check_request(1.0, wrong)
    with pytest.raises(InputError, match="belongs to --epsilon"):
        claim.check_request(None, 1e-6)
    with pytest.raises(InputError, match="below one over the number of patients"):
        claim.check_delta(1e-3, 1_000, "patient")
    claim.check_delta(claim.default_delta(1_000), 1_000, "patient")
    assert claim.default_delta(1_000_000) == pytest.approx(1e-7)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (3.0, 1e-3), (1.0, 0.1)])
def test_the_bounds_on_attacks_are_those_of_the_worst_mechanism(epsilon, delta):
    """The worst mechanism is known: it shouts with probability delta, and otherwise answers at random."""
    flips = math.exp(epsilon) / (1 + math.exp(epsilon))
    member = np.array([delta, (1 - delta) * flips, (1 - delta) * (1 - flips), 0.0])
    other = member[::-1]
    auc = sum(member[i] * (other[i + 1 :].sum() + other[i] / 2) for i in range(4))
    assert attack_bounds.largest_area(epsilon=epsilon, delta=delta) == pytest.approx(auc, abs=1e-12)
    fprs, tprs = np.cumsum([0.0, *other]), np.cumsum([0.0, *member])
    for fpr in (0.001, 0.01, 0.3):
        assert attack_bounds.most_found(fpr, epsilon=epsilon, delta=delta) == pytest.approx(
            float(np.interp(fpr, fprs, tprs)), abs=1e-9
        )


def test_gaussian_claims_have_the_tighter_bound():
    promise = claim.claim((spend(accounting.gaussian_noise(ASKED)),), ASKED)
    assert 0.5 < claim.auc_bound(promise) < attack_bounds.largest_area(epsilon=promise.epsilon, delta=promise.delta)
    assert (
        0.01 < claim.tpr_bound(promise) < attack_bounds.most_found(0.01, epsilon=promise.epsilon, delta=promise.delta)
    )


@pytest.mark.parametrize("who_fails", ["member", "other"])
def test_the_bounds_hold_where_a_threshold_fails_on_either_side(who_fails):
    """The worst case: with the chance of a failure one side is told for sure, else there is Gaussian noise."""
    failures, mu = 0.03, 0.8
    asked = dataclasses.replace(ASKED, epsilon=50.0, delta=0.05)
    promise = claim.claim((spend(1 / mu, delta=failures),), asked)
    assert attack_bounds.gaussian_parameter(promise.spends) is None
    reach = np.linspace(-12, 12, 20_001)
    tpr, fpr = stats.norm.sf(reach - mu), stats.norm.sf(reach)
    if who_fails == "member":
        tpr = failures + (1 - failures) * tpr
    else:
        fpr = (1 - failures) * fpr
    area = float(integrate.trapezoid(tpr[::-1], fpr[::-1])) + (1 - float(fpr.max()))
    assert area <= claim.auc_bound(promise) < 0.8
    assert float(np.interp(0.01, fpr[::-1], tpr[::-1])) <= claim.tpr_bound(promise) + 1e-6 < 0.2


def test_discrete_noise_costs_no_more_than_the_continuous_noise_it_is_charged_as():
    """The exact delta of a patient in 30 tables of one group and 10 of another, by convolution of the privacy loss."""
    groups = ((30, 45.0), (10, 30.0))
    mu = math.sqrt(sum(tables / scale**2 for tables, scale in groups))
    claimed = accounting.epsilon([spend(math.sqrt(scale**2 / tables)) for tables, scale in groups], 1e-6)
    # The loss of a cell is (2 x + 1) / (2 scale^2): each sum of cells lies on a lattice of its own.
    losses = []
    for tables, scale in groups:
        reach = np.arange(-int(12 * scale), int(12 * scale) + 1)
        one = np.exp(-(reach**2) / (2 * scale**2))
        many = np.array([1.0])
        for _ in range(tables):
            many = np.convolve(many, one / one.sum())
        places = np.arange(len(many)) + tables * reach[0]
        losses.append(((2 * places + tables) / (2 * scale**2), many))
    (first, p), (second, q) = losses
    kept, left = p > 1e-13, q > 1e-13
    total = first[kept][:, None] + second[left][None, :]
    excess = np.clip(-np.expm1(claimed - total), 0.0, None)
    exact = float((p[kept][:, None] * q[left][None, :] * excess).sum())
    assert 0.5e-6 < exact <= 1e-6, mu


def test_noise_is_discrete_gaussian_and_never_the_same_twice():
    zeros = np.zeros((40, 50), dtype=np.int64)
    first, second = (os_noise.discrete_gaussian(zeros, 7.0) for _ in range(2))
    assert first.dtype == np.int64
    assert first.shape == zeros.shape
    assert (first != second).any()
    assert abs(first.mean()) < 5 * 7.0 / math.sqrt(first.size)
    assert first.std() == pytest.approx(7.0, rel=0.1)
    values = np.arange(-14, 15)
    expected = np.exp(-(values**2) / (2 * 7.0**2)) / np.exp(-(np.arange(-99, 100) ** 2) / (2 * 7.0**2)).sum()
    found = np.array([(first == value).sum() for value in values])
    rest = first.size - found.sum(), 1.0 - expected.sum()
    assert stats.chisquare([*found, rest[0]], first.size * np.array([*expected, rest[1]])).pvalue > 1e-6
    with pytest.raises(ValueError, match="positive"):
        os_noise.discrete_gaussian(zeros, 0.0)


def test_continuous_noise_and_masks():
    noise = os_noise.gaussian((101, 99))
    assert noise.shape == (101, 99)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-6
    mask = os_noise.poisson_mask(20_000, 0.1)
    assert stats.binomtest(int(mask.sum()), 20_000, 0.1).pvalue > 1e-6
    assert not os_noise.poisson_mask(100, 0.0).any()
    assert os_noise.poisson_mask(100, 1.0).all()
    with pytest.raises(ValueError, match=r"0\.\.1"):
        os_noise.poisson_mask(10, 1.5)
    assert sorted(os_noise.order(100).tolist()) == list(range(100))
