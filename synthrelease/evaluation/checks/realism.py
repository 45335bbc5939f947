"""Beyond pairs of columns: triples, correlations, rare levels, and whether a classifier can tell the tables apart."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, FloatArray, IntArray, Metric, MetricSpec
from synthrelease.evaluation.checks._attacks import numbers
from synthrelease.evaluation.checks._coding import Codes, Sides, coded
from synthrelease.evaluation.statistics.confidence_intervals import (
    Bounds,
    draw,
    exactly,
    normal_bounds,
    patient_of,
    patients,
    placements,
    two_folds,
)
from synthrelease.evaluation.statistics.half_sampling import (
    FEWEST_PATIENTS,
    PAIRS,
    TOO_FEW,
    Halves,
    around,
    bounds,
    complete,
    halved,
    spread,
)

SPEC = CheckSpec(
    name="realism",
    title="Likeness beyond pairs of columns",
    family="fidelity",
    metrics=(
        MetricSpec(
            "triple_tvd_excess",
            "Do three columns together belong together as in the real table?",
            "mean total variation distance above sampling noise",
            "lower",
            topic="likeness of three columns together",
            wanted="yes",
        ),
        MetricSpec(
            "k_marginal_score",
            "Are the tables alike, three columns at a time?",
            "of 1,000",
            "higher",
            topic="k-marginal score",
            wanted="yes",
        ),
        MetricSpec(
            "correlation_gap",
            "Are the correlations between numbers kept?",
            "mean difference above sampling noise",
            "lower",
            topic="correlations",
            wanted="yes",
        ),
        MetricSpec(
            "level_coverage",
            "Do all labels that are not rare come back?",
            "share of labels",
            "higher",
            topic="coverage of labels",
            wanted="yes",
        ),
        MetricSpec(
            "c2st_auc",
            "Can a classifier tell synthetic rows from real ones?",
            "area under the ROC curve",
            "lower",
            topic="telling synthetic rows from real ones",
        ),
    ),
    about=(
        "Counts up to 150 triples of columns in ranges; the k-marginal score is 1,000 times one minus their mean "
        "distance to unseen real rows, as NIST's challenges report it. Compares rank correlations. Looks for labels "
        "that at least 20 training rows have. Trains gradient boosting to tell synthetic rows from holdout rows "
        "(C2ST): 0.5 means that it cannot, 1 that it always can."
    ),
    cost=1,
)

MOST_ROWS = 20_000
MOST_TRIPLES = 150
BINS = 5
MOST_COUNTS, FEWEST_PAIRS = 100_000_000, 25
"""Fewer pairs of halves than usual where the triples have very many cells: so many counts are enough."""
MOST_NUMBERS = 100
"""Columns of numbers whose correlations are compared; of more than these a random 100."""
CONSTANT = 1e-9
"""A variance of ranks below this is rounding."""
FREQUENT = 20
HALVES_TOGETHER = 0.75
"""Correlation of both classifiers' areas in honest tables (measured: .71 and .74). What either model learned is right
in the other half for the same reason, how alike the halves' chance is: the mean of both is hardly surer than one."""


def measure(evidence: Evidence) -> CheckResult:
    """Compare triples and correlations over random halves; count labels; train the classifier."""
    n = _people(evidence)
    if n < FEWEST_PATIENTS:
        return CheckResult(SPEC.name, "too_few_rows", n=n, note=TOO_FEW)
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout), len(evidence.synthetic), MOST_ROWS) // 2
    metrics = (
        *_triples(rng, evidence, coded(evidence, bins=BINS), size),
        _correlations(rng, evidence, size),
        _coverage(evidence),
        _c2st(rng, evidence),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=metrics)


def _people(evidence: Evidence) -> int:
    """Patients of the smallest table, as far as they take part."""
    tables = (evidence.train, evidence.holdout, evidence.synthetic)
    return min(2 * (min(*map(len, tables), MOST_ROWS) // 2), *map(patients, tables))


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float | None) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, reference)


def _triples(rng: np.random.Generator, evidence: Evidence, codes: Codes, size: int) -> tuple[Metric, Metric]:
    n = _people(evidence)
    every = list(combinations(range(len(codes.levels)), 3))
    chosen = [every[i] for i in np.sort(rng.permutation(len(every))[:MOST_TRIPLES])]
    if not chosen:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        text = "There are fewer than three columns."
        return (
            _metric("triple_tvd_excess", nothing, n, text, 0.0),
            _metric("k_marginal_score", nothing, n, text, None),
        )
    cells = sum(math.prod(codes.levels[column] for column in triple) for triple in chosen)
    pairs = int(np.clip(MOST_COUNTS // cells, FEWEST_PAIRS, PAIRS))
    sides = Sides(codes, halved(rng, (evidence.synthetic, evidence.train, evidence.holdout), size, pairs))
    if not complete(sides.halves):
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        return (
            _metric("triple_tvd_excess", nothing, n, TOO_FEW, 0.0),
            _metric("k_marginal_score", nothing, n, TOO_FEW, None),
        )
    draws = np.mean([sides.tvd(triple) for triple in chosen], axis=0)  # (halves, 2)
    excess = bounds(draws[:, 0] - draws[:, 1], sides.halves, evidence.confidence)
    # By its own spread alone a table that lies close by luck would seem surer than it is; training rows lend theirs.
    doubt = 1_000 * math.hypot(*(spread(draws[:, side]) for side in (0, 1))) / math.sqrt(2)
    score = around(1_000 * (1 - float(draws[:, 0].mean())), doubt, sides.halves, evidence.confidence)
    floor = 1_000 * (1 - float(draws[:, 1].mean()))
    text = (
        f"Mean distance to unseen real rows {draws[:, 0].mean():.3f}; fresh real rows score {draws[:, 1].mean():.3f}."
    )
    return (
        _metric("triple_tvd_excess", excess, n, text, 0.0),
        _metric(
            "k_marginal_score",
            score,
            n,
            f"{score.value:.0f} of 1,000; fresh real rows reach {floor:.0f}.",
            floor,
        ),
    )


def _correlations(rng: np.random.Generator, evidence: Evidence, size: int) -> Metric:
    n = _people(evidence)
    names = [column.name for column in evidence.train.schema.learned if column.is_number]
    if len(names) < 2:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        return _metric("correlation_gap", nothing, n, "There are fewer than two columns of numbers.", 0.0)
    names = [names[i] for i in np.sort(rng.permutation(len(names))[:MOST_NUMBERS])]
    tables = (evidence.synthetic, evidence.train, evidence.holdout)
    halves = halved(rng, tables, size)
    if not complete(halves):
        return _metric("correlation_gap", Bounds(float("nan"), float("nan"), float("nan")), n, TOO_FEW, 0.0)
    made, train, real = (_correlated(table.frame[names], half) for table, half in zip(tables, halves, strict=True))
    away = [np.abs(side - real).mean(axis=1) for side in (made, train)]
    found = bounds(away[0] - away[1], halves, evidence.confidence)
    text = f"Rank correlations differ by {found.value:+.3f} more than those of fresh real rows do."
    return _metric("correlation_gap", found, n, text, 0.0)


def _correlated(frame: pd.DataFrame, halves: Halves) -> FloatArray:
    """Correlations of ranks within the table, over the rows of each half that have both: (halves, pairs of columns).

    What is constant goes with nothing: 0.
    """
    ranks = frame.rank(pct=True).to_numpy(np.float64) - 0.5
    groups = halves.chosen.shape[1]
    upper = np.triu_indices(frame.shape[1], 1)
    sums = np.zeros((groups, 6, len(upper[0])))
    for group in range(groups):
        rows = ranks[halves.group == group]
        there = (~np.isnan(rows)).astype(np.float64)
        rows = np.nan_to_num(rows)
        first, square = rows.T @ there, (rows**2).T @ there
        parts = (there.T @ there, first, first.T, square, square.T, rows.T @ rows)
        sums[group] = [part[upper] for part in parts]
    n, x, y, xx, yy, xy = np.moveaxis(np.tensordot(halves.chosen.astype(np.float64), sums, axes=1), 1, 0)
    n = np.maximum(n, 1.0)
    spreads = [np.maximum(square / n - (total / n) ** 2, 0.0) for total, square in ((x, xx), (y, yy))]
    varies = np.minimum(*spreads) > CONSTANT
    together = xy / n - x * y / n**2
    found: FloatArray = np.divide(together, np.sqrt(spreads[0] * spreads[1]), out=np.zeros_like(n), where=varies)
    return found


def _coverage(evidence: Evidence) -> Metric:
    wanted = found = 0
    lost: list[str] = []
    for column in evidence.train.schema.learned:
        if column.is_number:
            continue
        real, made = (table.frame[column.name].value_counts() for table in (evidence.train, evidence.synthetic))
        frequent = real.index[real >= FREQUENT]
        here = int((made.reindex(frequent).fillna(0) > 0).sum())
        wanted, found = wanted + len(frequent), found + here
        if here < len(frequent):
            lost.append(column.name)
    bounds = exactly(found / wanted if wanted else 1.0)
    where = f"; some are missing in {', '.join(lost)}" if lost else ""
    text = f"{found:,} of {wanted:,} labels that at least {FREQUENT} training rows have come back{where}."
    return _metric("level_coverage", bounds, len(evidence.synthetic), text, 1.0)


def _c2st(rng: np.random.Generator, evidence: Evidence) -> Metric:
    """A classifier two-sample test (Lopez-Paz & Oquab 2017), each half scored by a model of the other half.

    Patients are whole: in one half, and one piece of evidence each.
    """
    size = min(len(evidence.holdout), len(evidence.synthetic), MOST_ROWS)
    tables = [table.take(draw(rng, table, size)) for table in (evidence.synthetic, evidence.holdout)]
    inputs = [numbers(table) for table in tables]
    halves = [two_folds(rng, table) for table in tables]
    owners = [patient_of(table) for table in tables]
    areas = []
    for half in (True, False):
        train = pd.concat([x[mask == half] for x, mask in zip(inputs, halves, strict=True)], ignore_index=True)
        labels = np.repeat([1, 0], [int((mask == half).sum()) for mask in halves])
        model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=int(rng.integers(2**31)))
        model.fit(train, labels)
        score = [model.predict_proba(x[mask != half])[:, 1] for x, mask in zip(inputs, halves, strict=True)]
        owner = [each[mask != half] for each, mask in zip(owners, halves, strict=True)]
        areas.append(_area(score, owner))
    value, (first, second) = float(np.mean([area for area, _ in areas])), (error for _, error in areas)
    doubt = float(np.sqrt(first**2 + second**2 + 2 * HALVES_TOGETHER * first * second)) / 2
    text = f"Gradient boosting tells synthetic rows from unseen real ones with an AUC of {value:.3f}."
    return _metric("c2st_auc", normal_bounds(value, doubt, evidence.confidence), size, text, 0.5)


def _area(scores: list[FloatArray], owners: list[IntArray]) -> tuple[float, float]:
    """AUC of synthetic against real rows and its standard error, patients whole (Obuchowski, Biometrics 53, 1997)."""
    sides = placements(scores[0], scores[1])
    value = float(sides[0].mean())
    variance = 0.0
    for side, owner in zip(sides, owners, strict=True):
        each = np.bincount(np.unique(owner, return_inverse=True)[1], side - value)
        variance += float((each**2).sum()) / len(side) ** 2 * len(each) / max(len(each) - 1, 1)
    # Where the sides do not overlap the variance is 0; one pair's worth of doubt stays.
    return value, max(float(np.sqrt(variance)), 1.0 / sum(map(len, sides)))
