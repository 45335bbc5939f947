"""What the internal report draws of a planned analysis: its effects in both tables, and survival curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthrelease.core.contracts import Analysis, Figure, FloatArray, Line
from synthrelease.core.schema_types import MODELS
from synthrelease.evaluation.checks.effects.agreement import SIGNIFICANT, Pair
from synthrelease.evaluation.checks.effects.design import Design
from synthrelease.evaluation.checks.effects.survival import Curve
from synthrelease.evaluation.statistics.confidence_intervals import z_score

SIDES = ("real training rows", "synthetic rows")
_EFFECTS = {
    "logistic": "Log odds ratio",
    "linear": "Difference of the outcome",
    "poisson": "Log rate ratio",
    "cox": "Log hazard ratio",
}
MOST_POINTS = 40


def forest(design: Design, pair: Pair) -> Figure:
    """Coefficients with their 95% intervals, side by side (a forest plot)."""
    sides = ((pair.real, pair.real_errors), (pair.made, pair.made_errors * pair.widening**2))
    people = tuple(term.people for term in design.terms)
    words = tuple(term.words for term in design.terms)
    return Figure(
        name=f"effects_{design.analysis.name}",
        kind="dots",
        title=f"Effects in {design.analysis.name!r} ({MODELS[design.analysis.model]})",
        caption=(
            "Where the two marks of a line agree, the synthetic table gives the effect of the real rows. Numbers are "
            "per standard deviation, levels against the most frequent one."
        ),
        x_label="",
        y_label=f"{_EFFECTS[design.analysis.model]}, 95% interval; 0 is no effect",
        lines=tuple(_line(label, words, side, people) for label, side in zip(SIDES, sides, strict=True)),
    )


def _line(label: str, words: tuple[str, ...], side: tuple[FloatArray, FloatArray], people: tuple[int, ...]) -> Line:
    values, errors = side
    reach = z_score(SIGNIFICANT) * np.sqrt(np.diag(errors))
    low, high = values - reach, values + reach
    return Line(label, words, tuple(values.tolist()), tuple(low.tolist()), tuple(high.tolist()), people)


def survival(analysis: Analysis, curves: Sequence[Curve], sentence: str, confidence: float) -> Figure:
    """Kaplan-Meier curves of both tables with their pointwise intervals."""
    return Figure(
        name=f"survival_{analysis.name}",
        kind="curve",
        title=f"Survival in {analysis.name!r} (Kaplan-Meier)",
        caption=sentence,
        x_label=analysis.outcome,
        y_label=f"Share without the event, {2 * confidence - 1:.0%} interval",
        lines=tuple(_survival(label, each, confidence) for label, each in zip(SIDES, curves, strict=True)),
    )


def _survival(label: str, curve: Curve, confidence: float) -> Line:
    step = max(1, (len(curve.times) - 1) // MOST_POINTS)
    at = slice(0, None, step)
    reach = z_score(confidence) * curve.errors
    low, high = np.maximum(curve.survival - reach, 0.0), np.minimum(curve.survival + reach, 1.0)
    return Line(
        label,
        tuple(curve.times[at].tolist()),
        tuple(curve.survival[at].tolist()),
        tuple(low[at].tolist()),
        tuple(high[at].tolist()),
        tuple(curve.left[at].astype(int).tolist()),
    )
