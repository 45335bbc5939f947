"""Can people work with the synthetic table? Models trained on it (TSTR) against models trained on real rows (TRTR).

Both are tested on the same holdout patients and trained on equally many rows, so the gap measures the quality of the
rows and not their number. The models are those of the field: a decision tree (as in Tanaka & Aranha 2019,
arXiv 1904.09135), logistic or ridge regression, and gradient boosting.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from synthrelease.core.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    FloatArray,
    Metric,
    MetricSpec,
    Score,
    Table,
    Utility,
)
from synthrelease.evaluation.checks import _scores
from synthrelease.evaluation.checks._models import Task, answers, models, plain, task_of, with_target
from synthrelease.evaluation.statistics.confidence_intervals import draw, normal_bounds

SPEC = CheckSpec(
    name="utility",
    title="Usefulness for prediction",
    family="utility",
    metrics=(
        MetricSpec(
            "utility_gap",
            "Do models trained on the synthetic table predict as well as models trained on real rows?",
            "mean loss of ROC AUC (of R2 for a numeric target)",
            "lower",
            topic="usefulness for prediction",
            wanted="yes",
        ),
    ),
    about=(
        "Trains a decision tree, a linear model and gradient boosting once on real training rows (TRTR) and once on as "
        "many synthetic rows (TSTR), and tests both on holdout patients. The gap is what a user of the synthetic table "
        "loses, averaged over the three models. A model that always gives the commonest answer stands beside them."
    ),
    cost=2,
)

MOST_ROWS = 20_000
RESAMPLES = 200
LOWEST = {"accuracy": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0, "roc_auc": 0.0, "r2": -np.inf, "mae": 0.0}
HIGHEST = {"accuracy": 1.0, "precision": 1.0, "recall": 1.0, "f1": 1.0, "roc_auc": 1.0, "r2": 1.0, "mae": np.inf}
MODELS = ("decision_tree", "logistic_regression", "gradient_boosting")


def measure(evidence: Evidence) -> CheckResult:
    """Train on both tables, test on the holdout, and bound the gap by resampling holdout patients."""
    schema = evidence.train.schema
    if schema.target is None or len(schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema names no target column to predict.")
    task = task_of(schema.column(schema.target), evidence.train)
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.synthetic), MOST_ROWS)
    test = with_target(evidence.holdout, task)
    weights = _scores.resamples(rng, test, RESAMPLES)
    sides: list[dict[str, _scores.Draws]] = []
    for table in (evidence.train, evidence.synthetic):
        rows = with_target(table.take(draw(rng, table, size)), task)
        sides.append(_fit_and_score(rows, test, task, weights, evidence.seed))
    return _result(evidence, task, sides, test)


def _fit_and_score(rows: Table, test: Table, task: Task, weights: FloatArray, seed: int) -> dict[str, _scores.Draws]:
    """Scores of every model on the holdout, for the holdout itself (first row) and for each resample of it."""
    features = [column for column in rows.schema.learned if column.name != task.target.name]
    wanted, truth = answers(rows, task), answers(test, task)
    out = {}
    for name, model in models(features, task, seed).items():
        if len(rows) < 2 or (not task.is_regression and len(np.unique(wanted)) < 2):
            out[name] = _scores.constant(wanted, truth, weights, task.classes, task.positive)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a model that stops early is scored as it is
            model.fit(plain(rows.frame, features), wanted)
        inputs = plain(test.frame, features)
        if task.is_regression:
            out[name] = _scores.regression(truth, model.predict(inputs), weights)
        else:
            chances = np.zeros((len(test), task.classes))
            chances[:, model.classes_] = model.predict_proba(inputs)
            out[name] = _scores.classification(truth, chances, weights, task.positive)
    return out


def _result(evidence: Evidence, task: Task, sides: list[dict[str, _scores.Draws]], test: Table) -> CheckResult:
    measure_name = "r2" if task.is_regression else "roc_auc"
    gaps = np.mean([sides[0][m][measure_name] - sides[1][m][measure_name] for m in MODELS], axis=0)  # (1 + resamples,)
    bounds = normal_bounds(float(gaps[0]), float(np.nanstd(gaps[1:], ddof=1)), evidence.confidence)
    truth = answers(test, task)
    n = len(truth) if task.is_regression else int(np.unique(truth, return_counts=True)[1].min())
    real, synthetic = (float(np.mean([side[m][measure_name][0] for m in MODELS])) for side in sides)
    label = "R2" if task.is_regression else "ROC AUC"
    reading = f"Mean {label} {synthetic:.3f} when trained on synthetic rows, {real:.3f} when trained on real rows."
    metric = Metric("utility_gap", bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, n, reading, 0.0)
    utility = Utility(
        task="regression" if task.is_regression else "classification",
        positive="" if task.is_regression else task.target.categories[task.positive],
        trtr=_block(sides[0], evidence.confidence),
        tstr=_block(sides[1], evidence.confidence),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=(metric,), utility=utility)


def _block(side: dict[str, _scores.Draws], confidence: float) -> dict[str, dict[str, Score]]:
    out: dict[str, dict[str, Score]] = {}
    for model, draws in side.items():
        out[model] = {}
        for name, values in draws.items():
            bounds = normal_bounds(float(values[0]), float(np.nanstd(values[1:], ddof=1)), confidence)
            out[model][name] = Score(bounds.value, max(bounds.low, LOWEST[name]), min(bounds.high, HIGHEST[name]))
    return out
