"""How much privacy spends cost together, by Opacus's accountants. The only file that imports opacus.

Every spend is a Gaussian mechanism on a Poisson sample (sample rate 1: on everybody), so one accountant composes tables
and DP-SGD alike. PRV (Gopi, Lee & Wutschitz 2021, arXiv:2106.02848) is nearly exact and the default; RDP
(Mironov 2017, arXiv:1702.07476) is a little coarser and stands beside it. Both return upper bounds, for neighbours that
differ by one unit added or removed.

Counts get discrete Gaussian noise and are charged as continuous Gaussian noise of the same scale: the difference lies
far below the accountant's own rounding, which is added to epsilon (a test computes it exactly).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from synthrelease.core.contracts import PrivacyBudget, PrivacySpend

Accountant = Literal["prv", "rdp"]
DEFAULT: Accountant = "prv"
MOST_NOISE = 1e6
"""The search for a noise multiplier ends here: beyond it nothing is learned at all."""
CLOSER = 0.95
"""How far one step goes from the noise that RDP asks for towards what PRV asks for."""
PRECISION = 0.01
"""PRV's own rounding of epsilon, at most this share of it; it is added, never left out."""


def epsilon(spends: Sequence[PrivacySpend], delta: float, *, accountant: Accountant = DEFAULT) -> float:
    """Return the epsilon that spends have together at ``delta``.

    Raises:
        ValueError: there is nothing to compose, a spend has no steps or no noise, or failures use up delta. An
            accountant that has seen nothing has nothing to promise, least of all an epsilon of 0.
    """
    if not spends:
        raise ValueError("a claim must rest on at least one spend, however there is none")
    for spend in spends:
        _check(spend)
    left = delta - math.fsum(spend.delta for spend in spends)
    if not 0.0 < left < 1.0:
        raise ValueError(f"delta must exceed what thresholds use of it, however {left:g} of {delta:g} is left")
    return _composed(tuple((each.noise_multiplier, each.sample_rate, each.steps) for each in spends), left, accountant)


def _check(spend: PrivacySpend) -> None:
    if spend.steps < 1:
        raise ValueError(f"a spend must have at least one step, however {spend.purpose!r} has {spend.steps}")
    if not (math.isfinite(spend.noise_multiplier) and spend.noise_multiplier > 0):
        raise ValueError(f"a spend must have noise, however {spend.purpose!r} has {spend.noise_multiplier}")
    if not 0.0 < spend.sample_rate <= 1.0 or not 0.0 <= spend.delta < 1.0:
        raise ValueError(f"sample rate and delta must be probabilities, however {spend.purpose!r} has others")


@lru_cache(maxsize=512)  # a build asks the same again for the plan, the canary and the claim, at seconds a time
def _composed(history: tuple[tuple[float, float, int], ...], delta: float, accountant: Accountant) -> float:
    from opacus.accountants import PRVAccountant, RDPAccountant  # takes seconds: only where there is a budget

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best order is the last one tried: the bound holds all the same
        rdp = RDPAccountant()
        rdp.history = _merged(history)
        coarse = float(rdp.get_epsilon(delta))
        if accountant == "rdp":
            return coarse
        prv = PRVAccountant()
        prv.history = _merged(history)
        return float(prv.get_epsilon(delta, eps_error=min(PRECISION, PRECISION * coarse)))


def _merged(history: tuple[tuple[float, float, int], ...]) -> list[tuple[float, float, int]]:
    """Put all queries of everybody into one: Gaussian mechanisms compose to one Gaussian mechanism, exactly."""
    precision = math.fsum(steps / noise**2 for noise, rate, steps in history if rate == 1.0)
    sampled = [(noise, rate, steps) for noise, rate, steps in history if rate < 1.0]
    return [*([(precision**-0.5, 1.0, 1)] if precision else []), *sampled]


def gaussian_noise(budget: PrivacyBudget, share: float = 1.0, *, failures: float = 0.0) -> float:
    """Return the noise multiplier of one query to everybody that spends ``share`` of what is left of the budget.

    Shares are of 1 / noise**2, which is what adds up: queries whose shares add up to 1 spend the budget exactly.
    ``failures`` is the part of delta that thresholds are going to use, beside what they have used.

    Raises:
        ValueError: the share is not in (0, 1], nothing is left, or no noise is enough.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a share of a budget must lie above 0 and at most at 1, however it is {share}")
    whole = _whole(budget.epsilon, budget.delta, math.fsum((failures, *(spend.delta for spend in budget.spent))))
    left = 1.0 - math.fsum(spend.steps * (whole / spend.noise_multiplier) ** 2 for spend in budget.spent)
    if left <= 0.0 or any(spend.sample_rate < 1.0 for spend in budget.spent):
        raise ValueError("a budget must have something left, spent on everybody alone, however this one has not")
    return whole / math.sqrt(share * left)


@lru_cache(maxsize=32)
def _whole(most: float, delta: float, failures: float) -> float:
    """The noise multiplier of one query to everybody that spends a whole budget."""

    def fits(noise: float) -> bool:
        return epsilon([PrivacySpend("", "Gaussian", noise, 1.0, 1, "row", failures)], delta) <= most

    return _least(fits)


def sampled_noise(budget: PrivacyBudget, before: Sequence[PrivacySpend], *, sample_rate: float, steps: int) -> float:
    """Return the least noise multiplier of ``steps`` steps on Poisson samples that ``before`` leaves the budget for.

    ``before``: what was spent in training; ``budget.spent`` went before that.

    Raises:
        ValueError: nothing of the budget is left.
    """

    def fits(noise: float, accountant: Accountant = DEFAULT) -> bool:
        more = PrivacySpend("", "", noise, sample_rate, steps, budget.unit)
        spends = [*budget.spent, *before, more]
        return epsilon(spends, budget.delta, accountant=accountant) <= budget.epsilon

    try:
        high = _least(lambda noise: fits(noise, "rdp"))  # quick, and never too little: PRV begins where it ends
    except ValueError:  # RDP charges more for what went before, and may see nothing left
        return _least(fits)
    low = high
    while fits(low):
        high, low = low, low * CLOSER
    return _between(low, high, fits)


def _least(fits: Callable[[float], bool]) -> float:
    """The least noise that fits, from above, to a thousandth."""
    low, high = 1e-2, 1.0
    while not fits(high):
        low, high = high, high * 2
        if high > MOST_NOISE:
            raise ValueError("a budget must be large enough for some noise to fit it, however none does")
    return _between(low, high, fits)


def _between(low: float, high: float, fits: Callable[[float], bool]) -> float:
    """The least noise that fits, from above, to a thousandth, where ``high`` fits and ``low`` does not."""
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
