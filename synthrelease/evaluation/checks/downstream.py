"""What a user of the synthetic table would meet beyond an average score: calibration, importances, groups, more rows.

All figures are of gradient boosting, tested on holdout patients; intervals by resampling those patients whole, that of
calibration by halves of them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from synthrelease.core.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    Figure,
    FloatArray,
    Line,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks import _scores
from synthrelease.evaluation.checks._models import Task, answers, models, plain, task_of, with_target
from synthrelease.evaluation.statistics.confidence_intervals import (
    Bounds,
    draw,
    normal_bounds,
    patient_of,
    patients,
    z_score,
)
from synthrelease.evaluation.statistics.half_sampling import around, halved, spread

SPEC = CheckSpec(
    name="downstream",
    title="Usefulness beyond the average",
    family="utility",
    metrics=(
        MetricSpec(
            "calibration_gap",
            "Can predicted probabilities be trusted?",
            "added calibration error",
            "lower",
            topic="predicted probabilities",
            wanted="yes",
        ),
        MetricSpec(
            "importance_agreement",
            "Do models find the same columns important?",
            "rank correlation of importances",
            "higher",
            topic="importance of columns",
            wanted="yes",
        ),
        MetricSpec(
            "subgroup_gap",
            "Does any group of patients lose much more than the others?",
            "largest loss of ROC AUC (or R2) in a group",
            "lower",
            topic="usefulness for each group",
        ),
        MetricSpec(
            "augmentation_gain",
            "Does adding the synthetic rows to the real ones help?",
            "gain of ROC AUC (or R2)",
            "higher",
            topic="gain from adding synthetic rows",
            wanted="yes",
        ),
    ),
    about=(
        "Trains gradient boosting on real rows, on as many synthetic rows, and on both together. Compares on holdout "
        "patients how far predicted probabilities are off (calibration error over ten equal groups, without what "
        "chance adds to it), how much the score falls when a column is shuffled, and the loss in every declared group "
        "of at least 100 patients. The largest loss in a group is corrected for having looked at all groups."
    ),
    cost=3,
)

MOST_ROWS = 20_000
RESAMPLES = 100
BINS = 10
FEWEST_CALIBRATED = 100
"""Patients; with fewer a group of one half has too few to tell how its mean varies."""
SHUFFLED_ROWS = 2_000
MOST_FEATURES = 40
MOST_SHOWN = 15
SIDES = ("trained on real rows", "trained on synthetic rows")
FEWEST_IN_GROUP = 100
MOST_GROUP_LEVELS = 12


@dataclass(frozen=True, slots=True)
class _Test:
    """The holdout with known answers, its resamples (1 + draws, rows), and what is predicted."""

    table: Table
    truth: np.ndarray[Any, Any]
    weights: FloatArray
    task: Task


def measure(evidence: Evidence) -> CheckResult:
    """Train three models and compare them on the holdout."""
    schema = evidence.train.schema
    if schema.target is None or len(schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema names no target column to predict.")
    task = task_of(schema.column(schema.target), evidence.train)
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.synthetic), MOST_ROWS)
    sides = [with_target(t.take(draw(rng, t, size)), task) for t in (evidence.train, evidence.synthetic)]
    table = with_target(evidence.holdout, task)
    test = _Test(table, answers(table, task), _scores.resamples(rng, table, RESAMPLES), task)
    fitted = [_fitted([sides[0]], task, evidence.seed), _fitted([sides[1]], task, evidence.seed)]
    fitted.append(_fitted(sides, task, evidence.seed))
    if any(model is None for model in fitted):
        return CheckResult(SPEC.name, "too_few_rows", n=len(table), note="The target has one value alone in a table.")
    outputs = [_outputs(model, table, task) for model in fitted]
    scores = [_quality(output, test, np.ones(len(table), dtype=np.bool_)) for output in outputs]
    n = len(table)
    agreement, importances = _importances(rng, fitted, test, evidence.confidence)
    gap, groups = _groups(outputs, test, evidence.confidence)
    metrics = (
        _calibration(rng, outputs, test, evidence.confidence),
        agreement,
        gap,
        _difference(
            "augmentation_gain", scores[2] - scores[0], n, evidence.confidence, "Real and synthetic rows together"
        ),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=metrics, figures=(importances, *groups))


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, reference)


def _difference(name: str, draws: FloatArray, n: int, confidence: float, who: str) -> Metric:
    """``draws`` (1 + resamples,): the difference itself first."""
    bounds = normal_bounds(float(draws[0]), float(np.nanstd(draws[1:], ddof=1)), confidence)
    return _metric(name, bounds, n, f"{who} score {bounds.value:+.3f} against real rows alone.", 0.0)


def _fitted(tables: list[Table], task: Task, seed: int) -> Any:
    """Gradient boosting on one or several tables; None where there is nothing to tell apart."""
    features = [column for column in tables[0].schema.learned if column.name != task.target.name]
    wanted = np.concatenate([answers(table, task) for table in tables])
    if len(wanted) < 2 or len(np.unique(wanted)) < 2:
        return None
    inputs = pd.concat([plain(table.frame, features) for table in tables], ignore_index=True)
    model = models(features, task, seed)["gradient_boosting"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, wanted)


def _outputs(model: Any, table: Table, task: Task) -> FloatArray:
    """Predicted numbers (rows,), or the chance of the positive class (rows,)."""
    features = [column for column in table.schema.learned if column.name != task.target.name]
    inputs = plain(table.frame, features)
    if task.is_regression:
        guess: FloatArray = model.predict(inputs)
        return guess
    chances = np.zeros((len(table), task.classes))
    chances[:, model.classes_] = model.predict_proba(inputs)
    chance: FloatArray = chances[:, task.positive]
    return chance


def _quality(output: FloatArray, test: _Test, rows: np.ndarray[Any, Any]) -> FloatArray:
    """ROC AUC of the positive class, or R2, of some rows and of every resample of them: (1 + resamples,)."""
    weights = test.weights[:, rows]
    if test.task.is_regression:
        return _scores.regression(test.truth[rows], output[rows], weights)["r2"]
    return _scores.weighted_auc(test.truth[rows] == test.task.positive, output[rows], weights)


def _calibration(rng: np.random.Generator, outputs: list[FloatArray], test: _Test, confidence: float) -> Metric:
    n = len(test.truth)
    if test.task.is_regression:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        return _metric(
            "calibration_gap", nothing, n, "A number is predicted, so there is no probability to calibrate.", 0.0
        )
    people = patients(test.table)
    if people < FEWEST_CALIBRATED:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        text = f"Risks are compared in {BINS} groups of patients, which takes {FEWEST_CALIBRATED} patients."
        return _metric("calibration_gap", nothing, people, text, 0.0)
    halves = halved(rng, (test.table,), n)
    parts = replace(test, weights=np.vstack([np.ones((1, n)), halves[0].rows()]))
    real, made = (_squared_miscalibration(output, parts) for output in outputs[:2])
    gap = made - real
    squared = around(float(gap[0]), spread(gap[1:]), halves, confidence)
    bounds = Bounds(_root(squared.value), _root(squared.low), _root(squared.high))
    ours, theirs = (_in_words(float(side[0])) for side in (made, real))
    text = f"Predicted probabilities are typically off by {ours}; by {theirs} when trained on real rows."
    return _metric("calibration_gap", bounds, people, text, 0.0)


def _squared_miscalibration(output: FloatArray, test: _Test) -> FloatArray:
    """Mean square of how far ten equally large groups of predictions are off: (draws,), as the weights.

    Groups of a few dozen patients are off by chance, and all the more so in comparison where a model is right. So the
    variance of each group's mean is taken off (the debiased estimator of Kumar, Liang & Ma 2019, arXiv 1909.10155),
    patients whole; it may be negative. Plain absolute gaps came out .02 to .05 too small with 400 patients.
    """
    turn = stats.rankdata(output, method="ordinal")
    group = ((turn - 1) * BINS // len(output)).astype(np.int64)
    off = (test.truth == test.task.positive) - output
    owner, total = patient_of(test.table), np.zeros(len(test.weights))
    for b in range(BINS):
        rows = np.flatnonzero(group == b)
        first, who = np.unique(owner[rows], return_index=True, return_inverse=True)[1:]
        weights = test.weights[:, rows[first]]  # (draws, patients of the group)
        sums, counts = np.bincount(who, off[rows]), np.bincount(who).astype(np.float64)
        held, people = np.maximum(weights @ counts, 1.0), weights.sum(axis=1)
        mean = weights @ sums / held
        around = weights @ sums**2 - 2 * mean * (weights @ (sums * counts)) + mean**2 * (weights @ counts**2)
        total += held * (mean**2 - np.maximum(around, 0.0) / held**2 * people / np.maximum(people - 1.0, 1.0))
    error: FloatArray = total / test.weights.sum(axis=1)
    return error


def _root(squared: float) -> float:
    """The square root, with the sign kept."""
    return float(np.sign(squared) * np.sqrt(abs(squared)))


def _in_words(squared: float) -> str:
    return f"{_root(squared):.3f}" if squared > 0 else "no more than chance"


def _importances(rng: np.random.Generator, fitted: list[Any], test: _Test, confidence: float) -> tuple[Metric, Figure]:
    """Rank correlation of permutation importances (Breiman 2001) of the real-trained and synthetic-trained model."""
    n = min(len(test.truth), SHUFFLED_ROWS)
    chosen = rng.permutation(len(test.truth))[:n]
    table = test.table.take(chosen)
    part = _Test(table, test.truth[chosen], np.ones((1, n)), test.task)
    features = [column.name for column in table.schema.learned if column.name != test.task.target.name]
    features = [features[i] for i in np.sort(rng.permutation(len(features))[:MOST_FEATURES])]
    everyone = np.ones(n, dtype=np.bool_)
    falls: list[list[float]] = [[], []]
    for model, fall in zip(fitted[:2], falls, strict=True):
        whole = float(_quality(_outputs(model, table, test.task), part, everyone)[0])
        for name in features:
            frame = table.frame.copy(deep=False)
            frame[name] = frame[name].iloc[rng.permutation(n)].reset_index(drop=True)
            shuffled = Table(frame, table.schema, table.origin)
            fall.append(whole - float(_quality(_outputs(model, shuffled, test.task), part, everyone)[0]))
    bounds = _agreement(falls[0], falls[1], confidence)
    text = f"The importances of {len(features):,} columns agree with a rank correlation of {bounds.value:.2f}."
    return _metric("importance_agreement", bounds, n, text, 1.0), _fall_figure(features, falls)


def _agreement(first: list[float], second: list[float], confidence: float) -> Bounds:
    """Spearman's rank correlation with bounds by Fisher's z (Bonett & Wright 2000, doi:10.1007/BF02294183)."""
    if len(first) < 3:
        return Bounds(float("nan"), float("nan"), float("nan"))
    value = float(stats.spearmanr(first, second).statistic)
    spread = np.sqrt((1.0 + value**2 / 2.0) / (len(first) - 3)) if len(first) > 3 else float("nan")
    centre, reach = np.arctanh(np.clip(value, -0.999, 0.999)), z_score(confidence) * spread
    low, high = (float(np.tanh(centre + end)) for end in (-reach, reach))
    return Bounds(value, min(low, value), max(high, value))


def _fall_figure(features: list[str], falls: list[list[float]]) -> Figure:
    """Both models' importances, the columns that matter most to the real-trained model first."""
    order = sorted(range(len(features)), key=lambda at: -falls[0][at])[:MOST_SHOWN]
    return Figure(
        name="importances",
        kind="bars",
        title="Which columns the models lean on",
        caption=(
            "How far the score on holdout patients falls when a column is shuffled, for the model trained on real and "
            "for the model trained on synthetic rows. Alike bars mean that both learned the same."
        ),
        x_label="column",
        y_label="fall of the score",
        lines=tuple(
            Line(label, tuple(features[at] for at in order), tuple(fall[at] for at in order))
            for label, fall in zip(SIDES, falls, strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """A label of a quasi-identifier: how many holdout rows have it, and both models' scores on them (1 + draws,)."""

    column: str
    label: str
    rows: int
    real: FloatArray
    made: FloatArray

    @property
    def loss(self) -> FloatArray:
        return self.real - self.made


def _groups(outputs: list[FloatArray], test: _Test, confidence: float) -> tuple[Metric, tuple[Figure, ...]]:
    """The largest loss in a group of a quasi-identifier with few labels."""
    found = _scored_groups(outputs, test)
    if not found:
        nothing = Bounds(float("nan"), float("nan"), float("nan"))
        text = f"No declared group has {FEWEST_IN_GROUP} holdout patients with both outcomes."
        return _metric("subgroup_gap", nothing, len(test.truth), text, 0.0), ()
    strict = 1.0 - (1.0 - confidence) / len(found)
    plain_bounds = [_bounded(group.loss, confidence) for group in found]
    lows = [_bounded(group.loss, strict).low for group in found]
    at = int(np.argmax([bounds.high for bounds in plain_bounds]))
    worst = plain_bounds[at]
    bounds = Bounds(worst.value, min(worst.value, max(lows)), worst.high)
    text = f"Of {len(found):,} groups the worst is one of {found[at].column!r}, which loses {worst.value:.3f}."
    return _metric("subgroup_gap", bounds, found[at].rows, text, 0.0), (_group_figure(found, confidence),)


def _scored_groups(outputs: list[FloatArray], test: _Test) -> list[_Group]:
    found = []
    for column in test.table.schema.learned:
        if column.role != "quasi_identifier" or column.is_number or len(column.categories) > MOST_GROUP_LEVELS:
            continue
        codes = test.table.frame[column.name].cat.codes.to_numpy()
        for level, label in enumerate(column.categories):
            rows = codes == level
            if int(rows.sum()) >= FEWEST_IN_GROUP:
                sides = [_quality(output, test, rows) for output in outputs[:2]]
                if np.isfinite(sides[0][0] - sides[1][0]):
                    found.append(_Group(column.name, label, int(rows.sum()), *sides))
    return found


def _bounded(draws: FloatArray, confidence: float) -> Bounds:
    return normal_bounds(float(draws[0]), float(np.nanstd(draws[1:], ddof=1)), confidence)


def _group_figure(found: list[_Group], confidence: float) -> Figure:
    """Both models' scores in every group, the group that loses most first."""
    groups = sorted(found, key=lambda group: -float(group.loss[0]))
    names = tuple(f"{group.column}: {group.label}" for group in groups)
    lines = []
    for label, side in zip(SIDES, ("real", "made"), strict=True):
        bounds = [_bounded(getattr(group, side), confidence) for group in groups]
        lines.append(
            Line(
                label=label,
                x=names,
                y=tuple(each.value for each in bounds),
                low=tuple(each.low for each in bounds),
                high=tuple(each.high for each in bounds),
                people=tuple(group.rows for group in groups),
            )
        )
    return Figure(
        name="groups",
        kind="dots",
        title="Group by group",
        caption=(
            f"The score on holdout patients in every declared group with at least {FEWEST_IN_GROUP} rows, the group "
            "that loses most first. A group whose marks lie far apart is served worse by the synthetic table."
        ),
        x_label="group",
        y_label="score (ROC AUC, or R2 for a number)",
        lines=tuple(lines),
    )
