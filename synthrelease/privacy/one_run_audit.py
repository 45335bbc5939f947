"""What a training gave away, in one run: planted rows, each in it by the toss of a coin, and how many can be told.

Steinke, Nasr & Jagielski 2023, "Privacy auditing with one (1) training run" (arXiv:2305.08846): if a training is
(epsilon, delta)-differentially private, then whoever guesses which canaries were in it is right hardly more often
than exp(epsilon) / (1 + exp(epsilon)) (theorem 5.2). More right guesses than that are a lower bound on epsilon. A bound
below the claim proves nothing; a bound above it proves that the claim is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from synthrelease.core.contracts import BoolArray, FloatArray

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Of the canaries guessed to be in, and as many guessed to be out."""
WAYS = len(SHARES) + 1
"""Numbers of guesses that are tried, guesses about all canaries among them; the best is taken, and paid for."""


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

    Several numbers of guesses are tried; each gets its part of the error, so the best may be taken. Where all canaries
    are guessed about, scores are cut where they fall apart best.

    Args:
        scores: the higher, the more a canary looks as if it had been in, (canaries,).
        was_in: how its coin fell, (canaries,).
        delta: of the claim.
        confidence: one-sided, of the bound.

    Raises:
        ValueError: scores and coins differ in number, there are none, or a score is not finite.
    """
    if len(scores) != len(was_in) or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"every canary needs a score, however {len(scores)} stand beside {len(was_in)} coins")
    best = Bound(0.0, confidence, len(scores), 0, 0)
    for right, guesses in _guessed(scores, was_in):
        found = bound_of(right, guesses, canaries=len(scores), delta=delta, confidence=_each(confidence))
        if found > best.epsilon or best.guesses == 0:
            best = Bound(found, confidence, len(scores), guesses, right)
    return best


def refutes(scores: FloatArray, was_in: BoolArray, *, epsilon: float, delta: float, confidence: float = 0.95) -> bool:
    """Return whether ``bound`` would exceed ``epsilon``, without a search for the bound itself."""
    return any(
        p_value(right, guesses, canaries=len(scores), epsilon=epsilon, delta=delta) < 1.0 - _each(confidence)
        for right, guesses in _guessed(scores, was_in)
    )


def _guessed(scores: FloatArray, was_in: BoolArray) -> Iterator[tuple[int, int]]:
    """Yield right guesses and guesses, for each number of guesses that is tried."""
    order = np.argsort(scores, kind="stable")
    counts = [(count, count) for count in (max(1, int(share * len(scores))) for share in SHARES)]
    cut = _cut(scores[order])
    for low, high in [*counts, (cut, len(scores) - cut)]:
        yield int((~was_in[order[:low]]).sum() + was_in[order[len(scores) - high :]].sum()), low + high


def _cut(rising: FloatArray) -> int:
    """Return how many of rising scores are low: where the variance between the two sides is largest (Otsu 1979)."""
    below = np.arange(1, len(rising))
    lower = np.cumsum(rising)[:-1] / below
    upper = (rising.sum() - np.cumsum(rising)[:-1]) / (len(rising) - below)
    return int(np.argmax(below * (len(rising) - below) * (upper - lower) ** 2)) + 1 if len(below) else 0


def ceiling(canaries: int, *, delta: float, confidence: float = 0.95) -> float:
    """Return the largest bound that so many canaries can give: all guesses are right."""
    return bound_of(canaries, canaries, canaries=canaries, delta=delta, confidence=_each(confidence))


def _each(confidence: float) -> float:
    return 1.0 - (1.0 - confidence) / WAYS
