"""Risks of an attack after its control: what is learned of training patients beyond what anyone may learn of strangers.

R = (attack - control) / (1 - control), with Wilson rates r = (k + z^2/2) / (N + z^2) whose errors are propagated to
first order (Giomi et al., PoPETs 2023, arXiv 2211.10459, section 4). Where the same patients were also guessed without
the synthetic table, the part of the difference that this explains is chance and is taken off. R is not cut off at 0:
below 0 is noise, and should show as noise. An attack that does no better than its naive baseline was too weak to say
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import BoolArray, Figure, FloatArray, Line
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, proportion, z_score

INCONCLUSIVE = (
    "The attack did no better than naive guessing, so that it was too weak to show anything: a better one may do more."
)


@dataclass(frozen=True, slots=True)
class Trials:
    """Hits and guesses of the attack on training patients, of the same on holdout patients, and of naive guessing."""

    name: str
    attack: tuple[int, int]
    control: tuple[int, int]
    baseline: tuple[int, int]
    chance: float = 0.0
    """How far the attack's rate is above the control's by chance alone: by who is on which side (``chance_of``)."""
    kept: float = 1.0
    """The share of the difference's variance that is left once that is taken off."""

    @property
    def is_conclusive(self) -> bool:
        """Whether the attack beat naive guessing."""
        return self.attack[0] * self.baseline[1] > self.baseline[0] * self.attack[1]

    @property
    def words(self) -> str:
        """The three rates as a sentence."""
        parts = (f"{self._rate(self.attack)} of training patients", f"{self._rate(self.control)} of holdout patients")
        return f"{self.name}: right for {parts[0]} and {parts[1]}; naive guessing {self._rate(self.baseline)}."

    @staticmethod
    def _rate(trials: tuple[int, int]) -> str:
        return f"{trials[0] / max(1, trials[1]):.1%}"


def added(name: str, parts: Sequence[Trials]) -> Trials:
    """Pool several runs of one attack."""
    sums = [
        (sum(getattr(part, which)[0] for part in parts), sum(getattr(part, which)[1] for part in parts))
        for which in ("attack", "control", "baseline")
    ]
    return Trials(name, sums[0], sums[1], sums[2])


def risk(trials: Trials, confidence: float) -> Bounds:
    """The risk with one-sided bounds; NaN where the attack was no better than its baseline or had no guesses."""
    if not trials.is_conclusive or min(trials.attack[1], trials.control[1]) == 0:
        return Bounds(float("nan"), float("nan"), float("nan"))
    z = z_score(confidence)
    attack, attack_error = _wilson(*trials.attack, z)
    control, control_error = _wilson(*trials.control, z)
    value = (attack - control - trials.chance) / (1.0 - control)
    slope = (attack - 1.0) / (1.0 - control) ** 2
    error = float(np.hypot(attack_error / (1.0 - control), slope * control_error)) * float(np.sqrt(trials.kept))
    return Bounds(value, value - error, value + error)


def chance_of(hits: Sequence[BoolArray], control: Sequence[FloatArray]) -> tuple[float, float]:
    """What of attack less control is owed to easier patients on one side: ``chance`` and ``kept`` of ``Trials``.

    Args:
        hits: whether the attack was right for each training and each holdout patient.
        control: how likely that was, foreseen without knowing the sides, so that its difference is chance alone.
    """
    covariances = [np.cov(hit, other) / len(hit) for hit, other in zip(hits, control, strict=True)]
    total = np.sum(covariances, axis=0)
    if min(total[0, 0], total[1, 1]) <= 0:
        return 0.0, 1.0
    gap = float(control[0].mean() - control[1].mean())
    return float(total[0, 1] / total[1, 1]) * gap, 1.0 - float(total[0, 1] ** 2 / (total[0, 0] * total[1, 1]))


def _wilson(hits: int, trials: int, z: float) -> tuple[float, float]:
    rate = (hits + z**2 / 2) / (trials + z**2)
    error = z / (trials + z**2) * float(np.sqrt(hits * (trials - hits) / trials + z**2 / 4))
    return rate, error


def largest(groups: Sequence[Trials], confidence: float) -> tuple[Bounds, Trials | None]:
    """The worst of several risks: its upper bound as it is, its lower bound corrected for having looked at all.

    Returns:
        The bounds (NaN where no attack was conclusive) and the attack with the largest upper bound.
    """
    conclusive = [trials for trials in groups if trials.is_conclusive]
    plain = [(risk(trials, confidence), trials) for trials in conclusive]
    plain = [(bounds, trials) for bounds, trials in plain if np.isfinite(bounds.value)]
    if not plain:
        nan = float("nan")
        return Bounds(nan, nan, nan), None
    corrected = 1.0 - (1.0 - confidence) / len(plain)
    worst, trials = max(plain, key=lambda pair: pair[0].high)
    low = max(risk(each, corrected).low for _, each in plain)
    return Bounds(worst.value, min(low, worst.value), worst.high), trials


def figure(name: str, title: str, groups: Sequence[Trials], confidence: float) -> Figure:
    """Every attack's rates side by side: on training patients, on holdout patients, and by naive guessing."""
    sides = {"training patients": "attack", "holdout patients (control)": "control", "naive guessing": "baseline"}
    return Figure(
        name=name,
        kind="dots",
        title=title,
        caption=(
            "How often the attack was right. What counts is by how much training patients lie above holdout patients, "
            "who were kept apart from training; an attack that is no better than naive guessing says nothing."
        ),
        x_label="attack",
        y_label="share of guesses that were right, %",
        lines=tuple(
            _rates(label, [getattr(each, side) for each in groups], groups, confidence) for label, side in sides.items()
        ),
    )


def _rates(label: str, counts: Sequence[tuple[int, int]], groups: Sequence[Trials], confidence: float) -> Line:
    bounds = [proportion(hits, guesses, confidence) for hits, guesses in counts]
    return Line(
        label=label,
        x=tuple(each.name for each in groups),
        y=tuple(100 * each.value for each in bounds),
        low=tuple(100 * each.low for each in bounds),
        high=tuple(100 * each.high for each in bounds),
    )
