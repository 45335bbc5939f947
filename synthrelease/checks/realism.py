"""Beyond pairs of columns: triples, correlations, rare levels, and whether a classifier can tell the tables apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from synthrelease.checks._attacks import numbers
from synthrelease.checks._coding import Codes, coded
from synthrelease.contracts import CheckResult, CheckSpec, Evidence, FloatArray, IntArray, Metric, MetricSpec, Table
from synthrelease.intervals import Bounds, auc, draw, exactly, normal_bounds, z_score

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

DRAWS = 20
MOST_ROWS = 20_000
MOST_TRIPLES = 150
BINS = 5
FREQUENT = 20


def measure(evidence: Evidence) -> CheckResult:
    """Compare triples and correlations at equal sizes over random halves; count labels; train the classifier."""
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout), len(evidence.synthetic), MOST_ROWS) // 2
    codes = coded(evidence, bins=BINS)
    metrics = (
        *_triples(rng, evidence, codes, size),
        _correlations(rng, evidence, size),
        _coverage(evidence),
        _c2st(rng, evidence),
    )
    return CheckResult(SPEC.name, "measured", 2 * size, metrics=metrics)


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float | None) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, reference)


def _triples(rng: np.random.Generator, evidence: Evidence, codes: Codes, size: int) -> tuple[Metric, Metric]:
    every = list(combinations(range(len(codes.levels)), 3))
    chosen = [every[i] for i in np.sort(rng.permutation(len(every))[:MOST_TRIPLES])]
    if not chosen:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        text = "There are fewer than three columns."
        return (
            _metric("triple_tvd_excess", nothing, 2 * size, text, 0.0),
            _metric("k_marginal_score", nothing, 2 * size, text, None),
        )
    draws = np.array([_one_draw(rng, evidence, codes, chosen, size) for _ in range(DRAWS)])  # (draws, 2)
    gap = draws[:, 0] - draws[:, 1]
    excess = normal_bounds(float(gap.mean()), float(gap.std(ddof=1)), evidence.confidence)
    score = normal_bounds(
        1_000 * (1 - float(draws[:, 0].mean())), 1_000 * float(draws[:, 0].std(ddof=1)), evidence.confidence
    )
    floor = 1_000 * (1 - float(draws[:, 1].mean()))
    text = (
        f"Mean distance to unseen real rows {draws[:, 0].mean():.3f}; fresh real rows score {draws[:, 1].mean():.3f}."
    )
    return (
        _metric("triple_tvd_excess", excess, 2 * size, text, 0.0),
        _metric(
            "k_marginal_score",
            score,
            2 * size,
            f"{score.value:.0f} of 1,000; fresh real rows reach {floor:.0f}.",
            floor,
        ),
    )


def _one_draw(
    rng: np.random.Generator, evidence: Evidence, codes: Codes, triples: list[tuple[int, ...]], size: int
) -> tuple[float, float]:
    """Mean distance of synthetic and of training rows to the holdout, all three cut to one size."""
    holdout = codes.holdout[draw(rng, evidence.holdout, size)]
    sides = (codes.synthetic[draw(rng, evidence.synthetic, size)], codes.train[draw(rng, evidence.train, size)])
    distances = [np.mean([_distance(side, holdout, triple, codes.levels) for triple in triples]) for side in sides]
    return float(distances[0]), float(distances[1])


def _distance(first: IntArray, second: IntArray, columns: tuple[int, ...], levels: tuple[int, ...]) -> float:
    a, b, c = columns
    keys = [(side[:, a] * levels[b] + side[:, b]) * levels[c] + side[:, c] for side in (first, second)]
    length = levels[a] * levels[b] * levels[c]
    gap = np.bincount(keys[0], minlength=length) - np.bincount(keys[1], minlength=length)
    return float(np.abs(gap).sum() / (2 * len(first)))


def _correlations(rng: np.random.Generator, evidence: Evidence, size: int) -> Metric:
    names = [column.name for column in evidence.train.schema.learned if column.is_number]
    if len(names) < 2:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        return _metric("correlation_gap", nothing, 2 * size, "There are fewer than two columns of numbers.", 0.0)
    gaps = []
    for _ in range(DRAWS):
        real = _ranked(rng, evidence.holdout, names, size)
        sides = [_ranked(rng, table, names, size) for table in (evidence.synthetic, evidence.train)]
        away = [float(np.nanmean(np.abs(side - real))) for side in sides]
        gaps.append(away[0] - away[1])
    bounds = normal_bounds(float(np.mean(gaps)), float(np.std(gaps, ddof=1)), evidence.confidence)
    text = f"Rank correlations differ by {bounds.value:+.3f} more than those of fresh real rows do."
    return _metric("correlation_gap", bounds, 2 * size, text, 0.0)


def _ranked(rng: np.random.Generator, table: Table, names: list[str], size: int) -> FloatArray:
    """Rank correlations of some random rows, the upper triangle: (pairs,)."""
    frame = table.frame[names].iloc[draw(rng, table, size)]
    matrix = frame.corr(method="spearman").to_numpy()
    upper: FloatArray = matrix[np.triu_indices(len(names), 1)]
    return upper


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
    """A classifier two-sample test (Lopez-Paz & Oquab 2017), each half scored by a model of the other half."""
    size = min(len(evidence.holdout), len(evidence.synthetic), MOST_ROWS)
    tables = [table.take(draw(rng, table, size)) for table in (evidence.synthetic, evidence.holdout)]
    inputs = [numbers(table) for table in tables]
    halves = [np.arange(size) % 2 == 0 for _ in tables]
    areas = []
    for half in (True, False):
        train = pd.concat([x[mask == half] for x, mask in zip(inputs, halves, strict=True)], ignore_index=True)
        labels = np.repeat([1, 0], [int((mask == half).sum()) for mask in halves])
        model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=int(rng.integers(2**31)))
        model.fit(train, labels)
        score = [model.predict_proba(x[mask != half])[:, 1] for x, mask in zip(inputs, halves, strict=True)]
        areas.append(auc(score[0], score[1], evidence.confidence))
    # What either model learned is right in the other half for the same reason, how alike the halves' chance is, so the
    # two areas go together (correlation .75 in honest tables) and the mean of both is hardly surer than one.
    value = float(np.mean([area.value for area in areas]))
    spread = float(np.mean([area.high - area.low for area in areas])) / 2 / z_score(evidence.confidence)
    text = f"Gradient boosting tells synthetic rows from unseen real ones with an AUC of {value:.3f}."
    return _metric("c2st_auc", normal_bounds(value, spread, evidence.confidence), size, text, 0.5)
