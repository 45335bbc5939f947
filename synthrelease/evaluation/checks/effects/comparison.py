"""One planned analysis of synthetic rows, held against the same of real ones: its figures, a sentence and drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrelease.core.contracts import Analysis, Figure, Table
from synthrelease.evaluation.checks.effects import calibration, pictures, survival
from synthrelease.evaluation.checks.effects.agreement import Pair, Slopes, overlap, signs, slopes
from synthrelease.evaluation.checks.effects.design import Design, response, weight_of_evidence
from synthrelease.evaluation.checks.effects.fits import Fit, NotEstimableError, fit
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, exactly

NO_SURVIVAL = "No analysis of survival is planned."
_UNKNOWN = Bounds(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class Figured:
    """One number of one analysis: ``n`` patients carry it; ``applies`` as in ``contracts.Metric``."""

    bounds: Bounds
    n: int
    reading: str
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """An analysis with its numbers by the names of the check's metrics, a sentence, and what the report draws."""

    analysis: Analysis
    numbers: dict[str, Figured]
    sentence: str
    figures: tuple[Figure, ...] = ()

    def figure_of(self, metric: str) -> Figured:
        """The number called ``metric``, its reading behind the name of a planned analysis."""
        found = self.numbers[metric]
        if not (self.analysis.is_declared and found.applies):
            return found
        return Figured(found.bounds, found.n, f"“{self.analysis.name}”: {found.reading}", found.applies)


@dataclass(frozen=True, slots=True)
class Sides:
    """The tables, and the one-sided level of every bound: stricter where several analyses are looked at."""

    train: Table
    made: Table
    holdout: Table
    confidence: float
    rng: np.random.Generator


def compared(design: Design, sides: Sides) -> Found:
    """Fit one analysis to real training rows and to synthetic rows, and compare."""
    n = weight_of_evidence(design.analysis, sides.train)
    gap, curves = _survival(design.analysis, sides, n)
    try:
        pair = Pair.of(*(_fit(design, table, who) for table, who in ((sides.train, "real"), (sides.made, "synthetic"))))
    except NotEstimableError as error:
        missing = Figured(_UNKNOWN, n, f"Not measured. {error}")
        agreement = dict.fromkeys(
            ("slope", "slope_corrected", "overlap", "kept", "turned", "calibration_shift"), missing
        )
        return Found(design.analysis, {**agreement, "survival_gap": gap}, missing.reading, curves)
    agreement = _agreement(design, pair, sides, n)
    told = [agreement[name].reading for name in ("slope", "overlap", "kept")]
    if design.left_out:
        told.append(
            f"{design.left_out} more coefficients were left out: there are ten patients for each of the others."
        )
    sentence = " ".join(told)
    forest = pictures.forest(design, pair)
    return Found(design.analysis, {**agreement, "survival_gap": gap}, sentence, (forest, *curves))


def _fit(design: Design, table: Table, who: str) -> Fit:
    if not design.terms:
        raise NotEstimableError("Too few patients have the rarer outcome for a single coefficient.")
    try:
        return fit(design, table)
    except NotEstimableError as error:
        raise NotEstimableError(f"The regression cannot be fitted to the {who} rows: {error}.") from None


def _agreement(design: Design, pair: Pair, sides: Sides, n: int) -> dict[str, Figured]:
    """Slope, overlap, directions and calibration."""
    found, directions = slopes(pair, sides.confidence), signs(pair, sides.confidence)
    shared = overlap(pair, sides.confidence)
    shift, tested = calibration.shift(design, pair, sides.holdout, sides.confidence)
    counted = f"{directions.significant} effects are significant in the real rows"
    if not directions.significant:
        counted = "No effect is significant in the real rows, so that none can be kept or turned round"
    kept = f"{counted}; {_count(directions.kept.value, directions.significant)} keep their direction."
    turned = f"{counted}; {_count(directions.turned.value, 1)} significantly point the other way."
    if not directions.significant:
        kept = turned = f"{counted}."
    return {
        "slope": Figured(found.plain, n, _slope(found)),
        "slope_corrected": Figured(found.corrected, n, _corrected(found)),
        "overlap": Figured(shared, n, f"95% intervals overlap by {shared.value:.2f} (unseen real rows: about 0.7)."),
        "kept": Figured(directions.kept, n, kept),
        "turned": Figured(directions.turned, n, turned),
        "calibration_shift": Figured(shift, n, _calibration(tested)),
    }


def _count(share: float, of: int) -> Any:
    return round(share * of) if np.isfinite(share) else "none"


def _slope(found: Slopes) -> str:
    if not np.isfinite(found.plain.value):
        return "The real rows show too little effect to say how large the synthetic effects are beside it."
    return (
        f"Effects are {found.plain.value:.2f} times as large as in the real rows (unseen real rows: {found.reach:.2f})."
    )


def _corrected(found: Slopes) -> str:
    if not np.isfinite(found.corrected.value):
        return "The real rows show too little effect to tell whether the synthetic effects are watered down."
    times = f"{found.corrected.value:.2f} times as large"
    return f"Less what chance adds to the real effects, the synthetic effects are {times}."


def _calibration(tested: tuple[float, float]) -> str:
    if not np.isfinite(tested).all():
        return "The holdout cannot tell how the regressions are calibrated."
    return (
        f"Calibration slope on holdout patients {tested[1]:.2f} when fitted to synthetic rows, {tested[0]:.2f} when "
        "fitted to real rows (1 is right)."
    )


def _survival(analysis: Analysis, sides: Sides, n: int) -> tuple[Figured, tuple[Figure, ...]]:
    """The gap of survival curves, and their drawing; for analyses of survival alone."""
    if analysis.model != "cox":
        return Figured(exactly(0.0), n, NO_SURVIVAL, applies=False), ()
    if min(int(response(analysis, table).known.sum()) for table in (sides.train, sides.made)) < survival.FEWEST_AT_RISK:
        return Figured(_UNKNOWN, n, "Not measured: too few rows have a time and an event."), ()
    times = survival.grid(analysis, sides.train)
    curves = [survival.curve(analysis, table, times) for table in (sides.train, sides.made)]
    gap = survival.gap(sides.rng, curves[0], curves[1], sides.confidence)
    reading = f"Survival curves lie at most {gap.value:.3f} apart, up to {times[-1]:g}."
    return Figured(gap, n, reading), (pictures.survival(analysis, curves, reading, sides.confidence),)
