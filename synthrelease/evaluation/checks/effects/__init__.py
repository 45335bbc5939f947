"""Would somebody who fits a regression to the synthetic table draw the conclusions that real rows give?

Every planned analysis (or one regression of the target) is fitted to real training rows and to synthetic ones with the
same terms. What is reported is the worst over the analyses, and each analysis by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthrelease.core.contracts import (
    AnalysisFinding,
    CheckResult,
    CheckSpec,
    Evidence,
    Metric,
    MetricSpec,
)
from synthrelease.evaluation.checks.effects import invented
from synthrelease.evaluation.checks.effects.comparison import Figured, Found, Sides, compared
from synthrelease.evaluation.checks.effects.design import learned
from synthrelease.evaluation.checks.effects.planned_regressions import NOTHING, planned
from synthrelease.evaluation.statistics.confidence_intervals import draw, patients

SPEC = CheckSpec(
    name="effects",
    title="Effects in planned analyses",
    family="utility",
    metrics=(
        MetricSpec(
            "slope",
            "Are effects in the synthetic table larger than in real rows?",
            "slope on the real effects",
            "lower",
            topic="effects that are too large",
        ),
        MetricSpec(
            "slope_corrected",
            "Are effects in the synthetic table as large as in real rows, and not watered down?",
            "slope on the real effects, less their chance",
            "higher",
            topic="effects that are too small",
            wanted="yes",
        ),
        MetricSpec(
            "overlap",
            "Do confidence intervals agree with those of real rows?",
            "mean overlap of 95% intervals",
            "higher",
            topic="overlap of confidence intervals",
            wanted="yes",
        ),
        MetricSpec(
            "kept",
            "Do significant effects of the real rows keep their direction?",
            "share of significant real effects",
            "higher",
            topic="directions of significant effects",
            wanted="yes",
        ),
        MetricSpec(
            "turned",
            "Does any significant effect point the other way?",
            "effects",
            "lower",
            topic="effects that are turned round",
        ),
        MetricSpec(
            "calibration_shift",
            "Is a regression fitted to synthetic rows calibrated on real patients as one fitted to real rows?",
            "difference of calibration slopes",
            "lower",
            topic="calibration of planned regressions",
            wanted="yes",
        ),
        MetricSpec(
            "survival_gap",
            "Does survival in the synthetic table follow that of real rows?",
            "largest distance of Kaplan-Meier curves",
            "lower",
            topic="survival curves",
            wanted="yes",
        ),
        MetricSpec(
            "invented",
            "Does the synthetic table show effects that are not there?",
            "share of tests of columns that depend on nothing",
            "lower",
            topic="invented effects",
        ),
    ),
    about=(
        "Fits every planned analysis of the schema, or else one regression of the target on the other columns, to real "
        "training rows and to synthetic ones, with the same terms. The slope says how large the synthetic effects are "
        "for each unit of the real ones (1 is right, 3 is three times as large on the log scale). Two samples of real "
        "patients do not agree fully either: the slope of unseen real rows lies below 1 by what chance adds to the "
        "real effects, which the corrected slope takes off, and their intervals overlap by about 0.7. Calibration is "
        "tested on holdout patients. With several analyses the worst one counts, and each stands by itself below. "
        "Invented effects are looked for where the policy or the steward asks for one more training, with columns "
        "planted that depend on nothing."
    ),
    cost=4,
)

MOST_ROWS = 20_000
_COMPARED = SPEC.metrics[:-1]
"""What is measured of each analysis; the last metric is about none of them."""
FEWEST_PLANTED = 4
UNPLANTED = (
    "Not measured: it takes one more training, with planted columns that depend on nothing (build --null-columns, "
    f"{FEWEST_PLANTED} or more). Columns shuffled in the finished table depend on nothing by construction."
)
OF_COPIES = (
    "Not measured: a plain test is right on a single table. Copies are tested together, by a rule of their own, and "
    "neither one by one nor laid end to end."
)
RIGHT = {"slope": 1.0, "slope_corrected": 1.0, "overlap": 1.0, "kept": 1.0}


def measure(evidence: Evidence) -> CheckResult:
    """Fit every planned analysis to both tables and compare."""
    analyses = planned(evidence.train)
    if not analyses:
        return CheckResult(SPEC.name, "not_applicable", note=NOTHING)
    rng = np.random.default_rng(evidence.seed)
    train, made, holdout = (
        table.take(draw(rng, table, MOST_ROWS)) for table in (evidence.train, evidence.synthetic, evidence.holdout)
    )
    strict = 1 - (1 - evidence.confidence) / len(analyses)
    found = [compared(learned(analysis, train), Sides(train, made, holdout, strict, rng)) for analysis in analyses]
    metrics = tuple(_metric(spec, [each.figure_of(spec.name) for each in found]) for spec in _COMPARED)
    return CheckResult(
        SPEC.name,
        "measured",
        min(each.figure_of("slope").n for each in found),
        metrics=(*metrics, _invented(evidence)),
        figures=tuple(figure for each in found for figure in each.figures),
        analyses=tuple(_finding(each) for each in found),
    )


def _invented(evidence: Evidence) -> Metric:
    """What a training with planted columns invents; not measured where nobody asked for one."""
    refits, unit, unknown = evidence.refits, SPEC.metrics[-1].unit, float("nan")
    n = patients(evidence.train)
    if evidence.copies:
        return Metric("invented", unknown, unknown, unknown, unit, n, OF_COPIES, invented.LEVEL)
    if refits is None or refits.null_columns < FEWEST_PLANTED:
        return Metric("invented", unknown, unknown, unknown, unit, n, UNPLANTED, invented.LEVEL)
    bounds, tests = invented.share(evidence, refits)
    reading = (
        f"{bounds.value:.1%} of {tests:,} tests of {refits.null_columns} planted columns that depend on nothing are "
        "significant at 5% in a table that the generator made of them; 5% is right."
    )
    return Metric("invented", bounds.value, bounds.low, bounds.high, unit, n, reading, invented.LEVEL)


def _finding(found: Found) -> AnalysisFinding:
    return AnalysisFinding(
        found.analysis.name,
        found.analysis.words,
        tuple(_metric(spec, [found.figure_of(spec.name)]) for spec in _COMPARED),
        found.sentence,
    )


def _metric(spec: MetricSpec, figures: Sequence[Figured]) -> Metric:
    """The worst of several analyses, with bounds for the worst: a figure that is missing in one is missing in all."""
    asked = [each for each in figures if each.applies] or list(figures)
    worse = max if spec.better == "lower" else min
    worst = worse(asked, key=lambda each: each.bounds.value)
    missing = [each for each in asked if not np.isfinite([each.bounds.value, each.bounds.low, each.bounds.high]).all()]
    ends = [worse(getattr(each.bounds, end) for each in asked) for end in ("value", "low", "high")]
    if missing:
        worst, ends = missing[0], [float("nan")] * 3
    n = min(each.n for each in asked)
    return Metric(
        spec.name, ends[0], ends[1], ends[2], spec.unit, n, worst.reading, RIGHT.get(spec.name, 0.0), worst.applies
    )
