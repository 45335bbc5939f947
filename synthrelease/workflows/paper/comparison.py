"""Our figures held against the printed ones: difference, interval, and a plain sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from synthrelease.workflows.paper.published import Printed

CONFIDENCE = 0.95
"""Two-sided, of the intervals of means."""
SAME = 0.0006
"""Figures that differ by less are the same number in the paper's three digits."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and standard deviation of a score over repetitions, and Student's interval of the mean (NaN for one)."""

    mean: float
    spread: float
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One score of one row: what was printed, what was measured on the clean and the leaking split, and a sentence."""

    table: str
    row: str
    score: str
    printed: Printed | None
    clean: Summary | None
    leaking: Summary | None
    difference: float
    sentence: str
    is_far: bool
    """Whether the clean figure lies more than two published standard deviations off (a distance: more than 25%)."""


def summary(values: Sequence[float], *, least: float = 0.0) -> Summary | None:
    """Summarise repetitions; None of no values. ``least``: what no mean can be below."""
    known = np.array([value for value in values if math.isfinite(value)])
    if not len(known):
        return None
    mean = float(known.mean())
    if len(known) < 2:
        return Summary(mean, 0.0, 1, math.nan, math.nan)
    spread = float(known.std(ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(known) - 1)) * spread / math.sqrt(len(known))
    low, high = mean - reach, mean + reach
    return Summary(mean, spread, len(known), max(low, least), min(high, 1.0) if mean <= 1 else high)


def gain(
    ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]], part: str, score: str
) -> Summary | None:
    """Summarise by how much a score is higher than another row's in the same repetition; None without a common one."""
    sides = [
        {record["trial"]["seed"]: value for record in side for value in values_of([record], part, score)}
        for side in (ours, theirs)
    ]
    return summary([sides[0][seed] - sides[1][seed] for seed in sides[0] if seed in sides[1]], least=-1.0)


def values_of(records: Iterable[Mapping[str, Any]], part: str, score: str) -> list[float]:
    """Return a score of each record, from one part of its scores."""
    found = (record["scores"].get(part, {}).get(score) for record in records)
    return [float(value) for value in found if value is not None]


def compared(
    place: tuple[str, str, str],
    printed: Printed | None,
    clean: Summary | None,
    leaking: Summary | None,
    *,
    printed_n: int,
) -> Compared:
    """Hold one score of a row against the paper; ``place`` is (table, row, score)."""
    difference = clean.mean - printed.mean if clean and printed else math.nan
    sentence, is_far = _sentence(place[2], printed, clean, leaking, printed_n)
    return Compared(*place, printed, clean, leaking, difference, sentence, is_far)


def _sentence(
    score: str, printed: Printed | None, clean: Summary | None, leaking: Summary | None, printed_n: int
) -> tuple[str, bool]:
    if clean is None:
        return "Not measured.", False
    if printed is None:
        return "Not in the paper.", False
    difference = clean.mean - printed.mean
    if abs(difference) < SAME:
        return "The same figure.", False
    if score == "distance":
        share = difference / printed.mean
        words = f"{abs(share):.0%} {'larger' if share > 0 else 'smaller'} than printed"
        return f"{words}, {'within' if abs(share) <= 0.25 else 'beyond'} a quarter.", abs(share) > 0.25
    side = "higher" if difference > 0 else "lower"
    if printed.spread is None or clean.n < 2:
        return f"{abs(difference):.3f} {side} than the one figure printed.", False
    chance = _welch(printed, clean, printed_n)
    deviations = abs(difference) / printed.spread if printed.spread else math.inf
    is_far = deviations > 2
    leak = _leak(clean, leaking, difference)
    if chance > ALPHA:
        return f"Agrees: {abs(difference):.3f} {side}, which chance explains (p = {chance:.2f}).", is_far
    off = f"{deviations:.1f} published standard deviations"
    return f"Differs: {abs(difference):.3f} {side} (p {_p(chance)}), {off}.{leak}", is_far


def _welch(printed: Printed, clean: Summary, printed_n: int) -> float:
    """Welch's test of two means from their summaries."""
    spread = max(clean.spread, 1e-9)
    return float(
        stats.ttest_ind_from_stats(
            printed.mean, printed.spread or 0.0, printed_n, clean.mean, spread, clean.n, equal_var=False
        ).pvalue
    )


def _p(chance: float) -> str:
    return f"= {chance:.3f}" if chance >= 0.001 else "< 0.001"


def _leak(clean: Summary, leaking: Summary | None, difference: float) -> str:
    """Say how much of a difference the published leak accounts for, as measured."""
    if leaking is None:
        return ""
    gain = leaking.mean - clean.mean
    if difference * gain >= 0:
        return f" The leaking split does not explain it: it gives {leaking.mean:.3f}."
    share = min(1.0, -gain / difference)
    return f" The leaking split gives {leaking.mean:.3f}, which accounts for {share:.0%} of it."
