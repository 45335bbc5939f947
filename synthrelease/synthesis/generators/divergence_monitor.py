"""Is a GAN's training going well? Signs of divergence and of mode collapse, read from plain arrays.

The paper (section 4.4) saw "a catastrophic divergence in the training of this GAN" and asked that such cases be
identified and corrected. A ``Sign`` is one look at a training: its losses and gradients, how often the discriminator is
right, and how a sample of made rows compares with real ones. ``diagnose`` reads a series of them.

Nothing here knows a network: any generator may collect signs (``look``) and act on a ``Diagnosis``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from synthrelease.core.contracts import FloatArray

State = Literal["healthy", "diverged", "collapsed"]

PAIRS = 2_000
BINS = 10


@dataclass(frozen=True, slots=True)
class Sign:
    """One look at a training.

    ``step``: updates so far. ``losses``: since the last look. ``gradients``: norms by network. ``accuracy``: share of
    rows, real and made, that the discriminator told right (0.5: it cannot tell; NaN where unknown). ``spread``: mean
    distance of two made rows over that of two real ones (0: all made rows are one). ``coverage``: share of the real
    columns' deciles and levels, by weight, that made rows reach. ``repeats``: share of made rows that stand in the
    sample more than once, beyond the real share. ``margins``: mean Kolmogorov-Smirnov distance of the columns.
    """

    step: int
    losses: Mapping[str, float]
    gradients: Mapping[str, float]
    accuracy: float
    spread: float
    coverage: float
    repeats: float
    margins: float


@dataclass(frozen=True, slots=True)
class Limits:
    """When a sign is bad; set on trainings of the paper's networks at its learning rate and at 10 and 50 times that.

    ``loss``, ``gradient``: more is divergence (a generator's loss of 10: its rows are told from real ones for sure).
    ``margins``: more is divergence, made columns lie elsewhere than real ones. ``spread``, ``coverage``: less is
    collapse; ``repeats``: more is. ``patience``: so many signs in a row must be bad. ``slow``: a training may take this
    share of its updates to begin well; until then only losses and gradients are judged.
    """

    loss: float = 10.0
    gradient: float = 1e4
    margins: float = 0.5
    spread: float = 0.35
    coverage: float = 0.5
    repeats: float = 0.5
    patience: int = 3
    slow: float = 0.5


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a series of signs says: ``since`` is the step of the first bad sign of the last series of them."""

    state: State
    since: int | None = None
    why: str = ""


HEALTHY = Diagnosis("healthy")


def look(
    real: FloatArray, made: FloatArray, *, step: int, losses: Mapping[str, float], gradients: Mapping[str, float],
    accuracy: float = math.nan, seed: int = 0,
) -> Sign:  # fmt: skip
    """Compare made rows with real ones, both (rows, columns) on one scale, and return the sign.

    Rows that are not finite count as wholly wrong: no spread, no coverage.
    """
    rng = np.random.default_rng(seed)
    is_finite = bool(np.isfinite(made).all())
    return Sign(
        step=step,
        losses=dict(losses),
        gradients=dict(gradients),
        accuracy=accuracy,
        spread=spread(real, made, rng=rng) if is_finite else 0.0,
        coverage=coverage(real, made) if is_finite else 0.0,
        repeats=max(0.0, repeats(made) - repeats(real)) if is_finite else 1.0,
        margins=margins(real, made) if is_finite else 1.0,
    )


def spread(real: FloatArray, made: FloatArray, *, rng: np.random.Generator) -> float:
    """Return the mean distance of two made rows over that of two real rows; 1 where real rows are all alike."""
    reference = _mean_distance(real, rng)
    return _mean_distance(made, rng) / reference if reference > 0 else 1.0


def _mean_distance(rows: FloatArray, rng: np.random.Generator) -> float:
    first, second = rng.integers(0, len(rows), (2, PAIRS))
    return float(np.linalg.norm(rows[first] - rows[second], axis=1)[first != second].mean()) if len(rows) > 1 else 0.0


def coverage(real: FloatArray, made: FloatArray) -> float:
    """Return the share of real mass that lies in cells of one column that made rows reach too, averaged over columns.

    The cells of a column are its values where it has few, else its deciles.
    """
    shares = []
    for column in range(real.shape[1]):
        values = np.unique(real[:, column])
        edges = np.quantile(real[:, column], np.linspace(0, 1, BINS + 1)[1:-1]) if len(values) > BINS else None
        cuts = np.unique(edges) if edges is not None else (values[1:] + values[:-1]) / 2
        weights = np.bincount(np.searchsorted(cuts, real[:, column]), minlength=len(cuts) + 1) / len(real)
        shares.append(weights[np.unique(np.searchsorted(cuts, made[:, column]))].sum())
    return float(np.mean(shares)) if shares else 1.0


def repeats(rows: FloatArray, *, decimals: int = 4) -> float:
    """Return the share of rows that equal another one when rounded."""
    _, counts = np.unique(np.round(rows, decimals), axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(rows))


def margins(real: FloatArray, made: FloatArray) -> float:
    """Return the Kolmogorov-Smirnov distance of each column, averaged: 0 alike, 1 apart."""
    distances = []
    for column in range(real.shape[1]):
        a, b = np.sort(real[:, column]), np.sort(made[:, column])
        at = np.concatenate([a, b])
        gap = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
        distances.append(np.abs(gap).max())
    return float(np.mean(distances)) if distances else 0.0


def badness(sign: Sign, limits: Limits) -> tuple[State, str]:
    """Return what one sign says by itself, and why."""
    words = blown(sign, limits)
    if words:
        return "diverged", words
    if sign.spread < limits.spread:
        return "collapsed", f"made rows lie {sign.spread:.2f} as far from each other as real ones"
    if sign.repeats > limits.repeats:
        return "collapsed", f"{sign.repeats:.0%} of made rows repeat one another"
    if sign.margins > limits.margins:
        return "diverged", f"columns lie {sign.margins:.2f} apart on average (Kolmogorov-Smirnov)"
    if sign.coverage < limits.coverage:
        return "collapsed", f"made rows reach {sign.coverage:.0%} of where real ones lie"
    return "healthy", ""


def blown(sign: Sign, limits: Limits) -> str:
    """Return what is wrong with the losses and gradients of a sign, "" if nothing is."""
    if not all(math.isfinite(number) for number in (*sign.losses.values(), *sign.gradients.values())):
        return "a loss or a gradient is not finite"
    worst, steepest = max(sign.losses.values(), default=0.0), max(sign.gradients.values(), default=0.0)
    if worst > limits.loss:
        return f"a loss of {worst:.1f} is above {limits.loss:g}"
    return f"a gradient's norm is above {limits.gradient:g}" if steepest > limits.gradient else ""


def diagnose(signs: Sequence[Sign], steps: int, limits: Limits | None = None) -> Diagnosis:
    """Return how a training stands that plans ``steps`` updates.

    It is ill after ``patience`` bad signs in a row, counted from its first good sign on, or from when it should have
    had one. A loss that is not finite needs no second sign.
    """
    limits = limits or Limits()
    bad: list[tuple[Sign, str, State]] = []
    has_begun = False
    for sign in signs:
        state, why = badness(sign, limits)
        has_begun = has_begun or state == "healthy" or sign.step >= limits.slow * steps
        if state == "healthy" or not (has_begun or blown(sign, limits)):
            bad = []
        else:
            bad.append((sign, why, state))
    is_lost = bool(bad) and not all(math.isfinite(loss) for loss in bad[-1][0].losses.values())
    if len(bad) < limits.patience and not is_lost:
        return HEALTHY
    return Diagnosis(bad[-1][2], since=bad[0][0].step, why=bad[-1][1])


def as_json(sign: Sign) -> dict[str, Any]:
    """Return a sign as plain JSON values, numbers that are not finite as None."""

    def plain(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    return {
        "step": sign.step,
        "losses": {name: plain(value) for name, value in sign.losses.items()},
        "gradients": {name: plain(value) for name, value in sign.gradients.items()},
        **{name: plain(getattr(sign, name)) for name in ("accuracy", "spread", "coverage", "repeats", "margins")},
    }


def from_json(facts: Mapping[str, Any]) -> Sign:
    """Return the sign that ``as_json`` wrote; what was not finite is NaN."""

    def number(value: float | None) -> float:
        return math.nan if value is None else float(value)

    return Sign(
        step=int(facts["step"]),
        losses={name: number(value) for name, value in facts["losses"].items()},
        gradients={name: number(value) for name, value in facts["gradients"].items()},
        **{name: number(facts[name]) for name in ("accuracy", "spread", "coverage", "repeats", "margins")},
    )
