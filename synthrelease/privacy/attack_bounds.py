"""What epsilon and delta promise, in the attacker's terms: no membership attack can do better than this.

An attacker who must tell two neighbouring tables apart has, at a false positive rate a, a true positive rate of at most
min(e^epsilon a + delta, 1 - e^-epsilon (1 - delta - a)), whatever else the attacker knows (Kairouz, Oh & Viswanath
2015, arXiv 1311.0776, theorem 2.1; as a trade-off function: Dong, Roth & Su 2022, doi 10.1111/rssb.12454). The area
below that curve is 1 - (1 - delta)^2 / (1 + e^epsilon). It holds for the unit that is protected, row or patient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from synthrelease.core.contracts import Line, PrivacySpend

NORMAL = NormalDist()


def most_found(false_positive_rate: float, *, epsilon: float, delta: float) -> float:
    """The largest true positive rate that any attack can reach at a false positive rate."""
    if not 0 <= false_positive_rate <= 1:
        raise ValueError(f"a false positive rate must lie in 0..1, however it is {false_positive_rate}")
    _check(epsilon, delta)
    steep = math.exp(min(epsilon, 700.0)) * false_positive_rate + delta
    flat = 1.0 - math.exp(-epsilon) * (1.0 - delta - false_positive_rate)
    return max(0.0, min(1.0, steep, flat))


def largest_area(*, epsilon: float, delta: float) -> float:
    """The largest area under the ROC curve of any attack."""
    _check(epsilon, delta)
    return 1.0 - (1.0 - delta) ** 2 / (1.0 + math.exp(min(epsilon, 700.0)))


def most_found_gaussian(false_positive_rate: float, *, mu: float) -> float:
    """The largest true positive rate where all spends are one Gaussian mechanism: mu-Gaussian differential privacy.

    It is exact, and lies below what epsilon and delta alone would allow (Dong, Roth & Su 2022, equation 6).
    """
    if not 0 < false_positive_rate < 1:
        return false_positive_rate
    return NORMAL.cdf(NORMAL.inv_cdf(false_positive_rate) + mu)


def largest_area_gaussian(*, mu: float) -> float:
    """The largest area under the ROC curve of any attack where all spends are one Gaussian mechanism."""
    return NORMAL.cdf(mu / math.sqrt(2.0))


def gaussian_parameter(spends: Sequence[PrivacySpend]) -> float | None:
    """Return mu where all spends together are one Gaussian mechanism (mu-Gaussian differential privacy), else None.

    Source: Dong, Roth & Su 2022, doi:10.1111/rssb.12454.
    """
    found = gaussian_but_for(spends)
    return None if found is None or found[1] > 0.0 else found[0]


def gaussian_but_for(spends: Sequence[PrivacySpend]) -> tuple[float, float] | None:
    """Return mu and the chance that a threshold fails beside it; None where a spend samples units, or none is there."""
    if not spends or any(spend.sample_rate < 1.0 for spend in spends):
        return None
    mu = math.sqrt(math.fsum(spend.steps / spend.noise_multiplier**2 for spend in spends))
    return mu, math.fsum(spend.delta for spend in spends)


def ceiling(rates: tuple[float, ...], *, epsilon: float, delta: float, unit: str, mu: float | None = None) -> Line:
    """The ceiling as a curve over false positive rates; ``mu`` where the ledger shows that Gaussian noise is all."""
    label = f"ceiling promised by epsilon {epsilon:.3g} (for one {unit})"
    if mu is not None:
        return Line(label, rates, tuple(most_found_gaussian(rate, mu=mu) for rate in rates))
    return Line(label, rates, tuple(most_found(rate, epsilon=epsilon, delta=delta) for rate in rates))


def _check(epsilon: float, delta: float) -> None:
    if not (epsilon >= 0 and 0 <= delta <= 1):
        raise ValueError(f"epsilon must be at least 0 and delta in 0..1, however they are {epsilon} and {delta}")
