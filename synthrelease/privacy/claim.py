"""The privacy ledger: what touched the real data under differential privacy, and what that promises.

Every use of real rows on the way to the synthetic table is either a ``PrivacySpend``, composed with all others into one
(epsilon, delta), or a ``PublicFact`` that the schema declares. A generator without spends makes no promise, and the
ledger says so in a form that a policy can hold against its rule: a rule on epsilon without a claim has no evidence, and
is therefore never met.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from synthrelease.core.contracts import (
    AttackBound,
    CheckResult,
    CheckSpec,
    Metric,
    MetricSpec,
    PrivacyBudget,
    PrivacyClaim,
    PrivacyFacts,
    PrivacySpend,
    PublicFact,
)
from synthrelease.core.errors import InputError
from synthrelease.privacy import accounting, attack_bounds

SPEC = CheckSpec(
    name="privacy_budget",
    title="Formal privacy guarantee",
    family="privacy",
    metrics=(
        MetricSpec(
            "epsilon",
            "Is there a formal limit, as tight as the policy asks, to what anyone can learn of one patient?",
            "epsilon",
            "lower",
            topic="formal privacy guarantee",
            wanted="yes",
        ),
    ),
    about=(
        "Differential privacy bounds what any attacker, with any side knowledge, can learn about one person. It is a "
        "property of how the generator was trained, so it is read from the ledger and not measured."
    ),
)
ADJACENCY = "add or remove"
"""Neighbouring tables differ by one unit that stands in one of them and not in the other."""
LARGEST_EPSILON = 100.0
"""Beyond it a claim means nothing; 100 itself is of use to tell what noise costs from what training costs."""
ROUNDING = 1e-9


def default_delta(units: int) -> float:
    """Return the delta that is used unless one is given: 1e-6, or a tenth of one over the number of units if less."""
    return min(1e-6, 0.1 / max(units, 1))


def check_request(epsilon: float | None, delta: float | None) -> None:
    """Refuse a budget that no table could be built with, before any table is read.

    Raises:
        InputError: epsilon or delta is out of range, or a delta is given without an epsilon.
    """
    if epsilon is None:
        if delta is not None:
            raise InputError(
                "--delta belongs to --epsilon, however no --epsilon is given. Add it, or leave --delta out."
            )
        return
    if not (math.isfinite(epsilon) and 0.0 < epsilon <= LARGEST_EPSILON):
        raise InputError(
            f"--epsilon must lie above 0 and at most at {LARGEST_EPSILON:g}, however it is {epsilon:g}. "
            "1 is strict, 3 is common, from 10 on little is promised."
        )
    if delta is not None and not (math.isfinite(delta) and 0.0 < delta < 1.0):
        raise InputError(f"--delta must lie above 0 and below 1, however it is {delta:g}. Leave it out for a safe one.")


def check_delta(delta: float, units: int, unit: str) -> None:
    """Refuse a delta that would allow the publication of a whole patient.

    Raises:
        InputError: delta is at least one over the number of units.
    """
    if delta * units >= 1.0:
        raise InputError(
            f"--delta must be below one over the number of {unit}s, or publishing one of them whole would be allowed, "
            f"however it is {delta:g} and there are {units:,}. Leave it out, or give {default_delta(units):.1g}."
        )


def claim(spends: tuple[PrivacySpend, ...], asked: PrivacyBudget, public: Iterable[PublicFact] = ()) -> PrivacyClaim:
    """Compose every spend of a build into one claim.

    Raises:
        ValueError: nothing was spent, a spend is for another unit than the budget, or together they exceed it. Neither
            can happen unless a generator is wrong, and then no table may be made from it.
    """
    if any(spend.unit != asked.unit for spend in spends):
        raise ValueError(f"every spend must protect a {asked.unit}, however one protects another unit")
    epsilon = accounting.epsilon(spends, asked.delta)
    if epsilon > asked.epsilon * (1 + ROUNDING):
        raise ValueError(f"spends must keep to the budget of {asked.epsilon:g}, however they add up to {epsilon:g}")
    return PrivacyClaim(
        epsilon=epsilon,
        delta=asked.delta,
        accountant=f"{accounting.DEFAULT.upper()} (Opacus)",
        epsilon_rdp=accounting.epsilon(spends, asked.delta, accountant="rdp"),
        asked=asked,
        spends=spends,
        public=tuple(public),
    )


def result(promise: PrivacyClaim | None, *, units: int = 0, made_here: bool = True) -> CheckResult:
    """The ledger as a check result. ``units``: how many were trained on; ``made_here``: False for a vendor's table.

    Without a promise there is none where the table was made here, and none is known where it was not.
    """
    if promise is None and made_here:
        note = "The generator was trained without differential privacy and offers no such guarantee."
        return CheckResult(check=SPEC.name, status="not_applicable", note=note)
    if promise is None:
        note = "The table's maker handed over no privacy ledger, so no claim can be checked."
        return CheckResult(check=SPEC.name, status="measured", note=note)
    unit = promise.asked.unit
    epsilon = promise.epsilon
    reading = (
        f"({epsilon:.3g}, {promise.delta:.0e})-differential privacy for one {unit}, added or removed: any attack's AUC "
        f"is at most {auc_bound(promise):.3f} (0.5 is guessing)."
    )
    metric = Metric("epsilon", epsilon, epsilon, epsilon, "epsilon", max(units, 1), reading)
    return CheckResult(check=SPEC.name, status="measured", n=units, metrics=(metric,))


def auc_bound(promise: PrivacyClaim) -> float:
    """Return the largest AUC that any attack on one unit's membership can have.

    But for a failure, which shows on one side alone and with its chance at most, all is one Gaussian mechanism.
    """
    found = attack_bounds.gaussian_but_for(promise.spends)
    if found is not None:
        return min(1.0, attack_bounds.largest_area_gaussian(mu=found[0]) + found[1])
    return attack_bounds.largest_area(epsilon=promise.epsilon, delta=promise.delta)


def tpr_bound(promise: PrivacyClaim, fpr: float = 0.01) -> float:
    """Return the largest share of members that any attack can find at a share ``fpr`` of false alarms."""
    found = attack_bounds.gaussian_but_for(promise.spends)
    if found is not None:
        mu, failures = found
        return min(1.0, attack_bounds.most_found_gaussian(min(1.0, fpr / (1.0 - failures)), mu=mu) + failures)
    return attack_bounds.most_found(fpr, epsilon=promise.epsilon, delta=promise.delta)


def promises(promise: PrivacyClaim) -> tuple[AttackBound, ...]:
    """What epsilon promises, this release's first."""
    own = AttackBound("this release", promise.epsilon, auc_bound(promise), tpr_bound(promise))
    usual = (0.5, 1.0, 3.0, 10.0)
    others = tuple(
        AttackBound(
            f"any mechanism with epsilon {each:g}",
            each,
            attack_bounds.largest_area(epsilon=each, delta=promise.delta),
            attack_bounds.most_found(0.01, epsilon=each, delta=promise.delta),
        )
        for each in usual
    )
    return (own, *others)


def facts(promise: PrivacyClaim | None) -> PrivacyFacts | None:
    """The claim with all that follows from it, for audit, ledger and report; None where there is no claim."""
    if promise is None:
        return None
    return PrivacyFacts(
        epsilon=promise.epsilon,
        delta=promise.delta,
        unit=promise.asked.unit,
        adjacency=ADJACENCY,
        accountant=promise.accountant,
        epsilon_asked=promise.asked.epsilon,
        epsilon_rdp=promise.epsilon_rdp,
        rows_per_unit=promise.asked.rows_per_unit,
        attack_auc_at_most=auc_bound(promise),
        attack_tpr_at_1pct_fpr_at_most=tpr_bound(promise),
        randomness="operating system; no seed exists, the noise cannot be repeated",
        spends=promise.spends,
        public=promise.public,
        promises=promises(promise),
    )
