"""What a training gave away, in one run: planted rows, each in it by the toss of a coin, and how many can be told.

Steinke, Nasr & Jagielski 2023, "Privacy auditing with one (1) training run" (arXiv:2305.08846): if a training is
(epsilon, delta)-differentially private, then whoever guesses which canaries were in it is right hardly more often
than exp(epsilon) / (1 + exp(epsilon)) (theorem 5.2). More right guesses than that are a lower bound on epsilon. A bound
below the claim proves nothing; a bound above it proves that the claim is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from synthrelease.contracts import BoolArray, FloatArray

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the canaries guessed to be in, and as many guessed to be out; the best of them is taken, and paid for."""
TIMES = 4.0
"""Power is told for a build whose noise is so many times smaller than the ledger says."""
TRIALS = 40


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound on epsilon, at ``confidence`` (one-sided), from ``right`` of ``guesses`` about ``canaries``."""

    epsilon: float
    confidence: float
    canaries: int
    guesses: int
    right: int


def p_value(right: int, guesses: int, *, canaries: int, epsilon: float, delta: float) -> float:
    """Return the chance of so many right guesses or more under (epsilon, delta), at most (theorem 5.2)."""
    share = 1.0 / (1.0 + math.exp(-epsilon))
    exceeds = float(stats.binom.sf(right - 1, guesses, share))
    masses = stats.binom.pmf(np.arange(right - 1, -1, -1), guesses, share)  # of right - 1, right - 2, ... 0
    slope = float(np.max(np.cumsum(masses) / np.arange(1, right + 1), initial=0.0))
    return min(1.0, exceeds + 2.0 * canaries * delta * slope)


def bound_of(right: int, guesses: int, *, canaries: int, delta: float, confidence: float = 0.95) -> float:
    """Return the largest epsilon that so many right guesses refute; 0 if they refute none."""

    def excess(epsilon: float) -> float:
        found = p_value(right, guesses, canaries=canaries, epsilon=epsilon, delta=delta)
        return found - (1.0 - confidence)

    if excess(0.0) >= 0.0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, 50.0, xtol=1e-4)) if excess(50.0) > 0 else 50.0


def bound(scores: FloatArray, was_in: BoolArray, *, delta: float, confidence: float = 0.95) -> Bound:
    """Guess that canaries with the highest scores were in, and with the lowest out, and judge the guesses.

    Several numbers of guesses are tried; each gets its part of the error, so the best may be taken.

    Raises:
        ValueError: scores and coins differ in number, there are none, or a score is not finite.
    """
    if len(scores) != len(was_in) or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"every canary needs a score, however {len(scores)} stand beside {len(was_in)} coins")
    order = np.argsort(scores, kind="stable")
    each = 1.0 - (1.0 - confidence) / len(SHARES)
    best = Bound(0.0, confidence, len(scores), 0, 0)
    for share in SHARES:
        count = max(1, int(share * len(scores)))
        right = int((~was_in[order[:count]]).sum() + was_in[order[-count:]].sum())
        found = bound_of(right, 2 * count, canaries=len(scores), delta=delta, confidence=each)
        if found > best.epsilon or best.guesses == 0:
            best = Bound(found, confidence, len(scores), 2 * count, right)
    return best


def power(mu: float, claimed: float, *, canaries: int, delta: float, seed: int = 0, strength: float = 1.0) -> float:
    """Return the chance that such an audit would catch a build whose noise is ``TIMES`` times too small.

    ``mu``: of the claim's Gaussian mechanism (mu-GDP). ``strength``: the share of it that a canary's score carries.
    """
    rng = np.random.default_rng(seed)
    caught = 0
    for _ in range(TRIALS):
        was_in = rng.random(canaries) < 0.5
        scores = rng.standard_normal(canaries) + TIMES * mu * strength * was_in
        caught += bound(scores, was_in, delta=delta).epsilon > claimed
    return caught / TRIALS
