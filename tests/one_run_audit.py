"""An audit of differential privacy in one run: many canaries, each put in by a coin, and guesses about each coin.

Source: Steinke, Nasr & Jagielski 2023, arXiv:2305.08846, theorem 5.2 (its delta term is bounded by 2 m delta).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats


def lower_bound(
    scores: np.ndarray, inside: np.ndarray, *, delta: float, guesses: int, confidence: float = 0.95
) -> float:
    """The epsilon that is refuted below it: ``guesses`` highest scores are guessed in, as many lowest ones out."""
    rng = np.random.default_rng(0)
    order = np.lexsort([rng.random(len(scores)), scores])
    correct = int(inside[order[-guesses:]].sum() + (~inside[order[:guesses]]).sum())
    risk = 1.0 - confidence - 2 * len(scores) * delta

    def surprise(epsilon: float) -> float:
        chance = math.exp(epsilon) / (1 + math.exp(epsilon))
        return float(stats.binom.sf(correct - 1, 2 * guesses, chance)) - risk

    if surprise(0.0) >= 0:
        return 0.0
    return float(optimize.brentq(surprise, 0.0, 30.0))
