"""What epsilon promises, and how the report tells it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sample_report import claimed
from scipy import stats
from sklearn.metrics import auc

from synthrelease.core.contracts import AttackBound, CanaryFacts, PrivacySpend
from synthrelease.privacy import attack_bounds
from synthrelease.report import privacy_section


def test_without_a_budget_nobody_does_better_than_guessing():
    assert attack_bounds.largest_area(epsilon=0, delta=0) == 0.5
    assert attack_bounds.most_found(0.25, epsilon=0, delta=0) == 0.25


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.1])
def test_the_area_is_that_below_the_curve(epsilon, delta):
    rates = np.linspace(0, 1, 20_001)
    found = [attack_bounds.most_found(rate, epsilon=epsilon, delta=delta) for rate in rates]
    assert auc(rates, found) == pytest.approx(attack_bounds.largest_area(epsilon=epsilon, delta=delta), abs=1e-3)
    assert all(later >= earlier for earlier, later in pairwise(found))


def test_the_best_attack_on_a_mechanism_stays_below_the_ceiling():
    """Gaussian noise of one standard deviation: at delta, epsilon follows from Balle & Wang 2018, theorem 8."""
    epsilon = 1.0
    delta = stats.norm.cdf(0.5 - epsilon) - math.exp(epsilon) * stats.norm.cdf(-0.5 - epsilon)
    for rate in (0.001, 0.01, 0.1, 0.5, 0.9):
        found = stats.norm.cdf(stats.norm.ppf(rate) + 1)
        assert found <= attack_bounds.most_found(rate, epsilon=epsilon, delta=delta) + 1e-12


@pytest.mark.parametrize(("epsilon", "delta"), [(-1, 0), (math.nan, 0), (1, 2)])
def test_a_promise_that_is_none_is_refused(epsilon, delta):
    with pytest.raises(ValueError, match="epsilon"):
        attack_bounds.largest_area(epsilon=epsilon, delta=delta)


def test_a_huge_epsilon_promises_nothing_and_breaks_nothing():
    assert attack_bounds.largest_area(epsilon=1e6, delta=0) == pytest.approx(1)
    assert attack_bounds.most_found(0.01, epsilon=1e6, delta=0) == 1


def spend(**changes: object) -> PrivacySpend:
    return replace(PrivacySpend("training", "Gaussian", 4.0, 1.0, 4, "patient"), **changes)


def test_gaussian_noise_has_a_ceiling_of_its_own_below_that_of_epsilon():
    mu = attack_bounds.gaussian_parameter((spend(), spend(steps=3, noise_multiplier=2.0)))
    assert mu == pytest.approx(1.0)
    assert attack_bounds.most_found_gaussian(0.1, mu=mu) == pytest.approx(stats.norm.cdf(stats.norm.ppf(0.1) + 1))
    line = attack_bounds.ceiling((0.01, 0.1, 1.0), epsilon=4.0, delta=1e-5, unit="patient", mu=mu)
    wide = attack_bounds.ceiling((0.01, 0.1, 1.0), epsilon=4.0, delta=1e-5, unit="patient")
    assert all(tight <= loose for tight, loose in zip(line.y, wide.y, strict=True))
    assert line.y[-1] == 1.0


@pytest.mark.parametrize("other", [{"sample_rate": 0.1}, {"delta": 1e-7}])
def test_other_spends_have_no_gaussian_ceiling(other):
    assert attack_bounds.gaussian_parameter((spend(), spend(**other))) is None
    assert attack_bounds.gaussian_parameter(()) is None


CLAIM = claimed(
    epsilon=2.0,
    attack_auc_at_most=0.81,
    spends=(spend(), spend(purpose="row count", steps=1, sample_rate=0.5)),
    promises=(AttackBound("this release", 2.0, 0.81, 0.06),),
)


def test_the_ledger_is_cut_into_facts_spends_public_facts_and_promises():
    view = privacy_section.ledger_view(CLAIM, "patient (column id)")
    assert view.warning == ""
    assert view.spent_on == ("Purpose", "Mechanism", "Noise multiplier", "Sample rate", "Steps", "Unit", "Delta")
    assert view.spends == (
        ("training", "Gaussian", "4", "1", "4", "patient", "0"),
        ("row count", "Gaussian", "4", "0.5000", "1", "patient", "0"),
    )
    assert view.public == (("bounds of age", "schema.toml"),)
    assert view.promises == (("this release", "2", "0.8100", "0.06000"),)
    assert ("Largest AUC of any attack on membership (0.5 is guessing)", "0.8100") in view.facts
    assert not {"Spends", "Public", "Promises"} & {name for name, _ in view.facts}


def test_a_row_as_the_unit_is_warned_of():
    claim = claimed(unit="row")
    assert "k times epsilon" in privacy_section.ledger_view(claim, "patient (column id)").warning
    assert "no patient has two rows" in privacy_section.ledger_view(claim, "row").warning


@pytest.mark.parametrize("wrong", [{"epsilon": math.nan}, {"epsilon": math.inf}, {"epsilon": -1.0}, {"delta": 1.0}])
def test_a_claim_that_promises_nothing_cannot_be_told(wrong):
    with pytest.raises(ValueError, match="finite epsilon"):
        claimed(**wrong)


def test_what_planted_rows_found_is_told_with_what_it_means():
    found = CanaryFacts(
        claimed=3.0, delta=1e-6, lower_bound=0.4, confidence=0.95, canaries=40, guesses=20, right=14, seen_in="counts",
        looked_in="counts, rows", ceiling=2.5, power=0.3, caught_from=None, seconds=1.5, weaker_noise=4.0,
        sentence="It proves nothing.", beside="It is no part of the claim.",
    )  # fmt: skip
    view = privacy_section.ledger_view(CLAIM, "patient (column id)", found)
    assert view.canary_words == ("It proves nothing.", "It is no part of the claim.")
    told = dict(view.canary)
    assert told["Epsilon is at least"] == "0.4000"
    assert told["Most such runs would catch noise so many times too small"] == "none"
    assert privacy_section.ledger_view(CLAIM, "patient (column id)").canary == ()
