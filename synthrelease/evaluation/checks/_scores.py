"""Scores of predictions on the holdout and on resamples of it, computed for all resamples at once.

A resample is a row of weights (how often each holdout row was drawn), so that every score is a matrix product. The
first row of weights is all ones: the holdout itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, Table

Answers = np.ndarray[Any, np.dtype[Any]]
"""Class codes (int64) or numbers (float64)."""

Draws = dict[str, FloatArray]
"""Score name -> (1 + resamples,) values, the holdout's own first."""


def resamples(rng: np.random.Generator, test: Table, count: int) -> FloatArray:
    """Bootstrap weights (1 + count, rows); patients are drawn whole."""
    units = np.arange(len(test)) if test.units is None else np.unique(test.units, return_inverse=True)[1]
    patients = int(units.max()) + 1 if len(units) else 0
    drawn = rng.multinomial(patients, np.full(patients, 1 / patients), size=count)
    return np.vstack([np.ones((1, len(test))), drawn[:, units].astype(np.float64)])


def classification(truth: IntArray, chances: FloatArray, weights: FloatArray, positive: int) -> Draws:
    """Accuracy, precision, recall, F1 and ROC AUC; of the positive class for two classes, macro averages for more.

    Args:
        truth: class codes (rows,).
        chances: predicted probabilities (rows, classes).
        weights: (draws, rows).
        positive: code of the positive class.
    """
    present = np.unique(truth)
    wanted = [positive] if len(present) <= 2 and positive in present else [int(c) for c in present]
    guess = chances.argmax(axis=1)
    per_class = [_one_class(truth == c, guess == c, chances[:, c], weights) for c in wanted]
    scores = {name: np.mean([scores[name] for scores in per_class], axis=0) for name in per_class[0]}
    return {"accuracy": weights @ (truth == guess) / weights.sum(axis=1), **scores}


def _one_class(is_class: BoolArray, guessed: BoolArray, score: FloatArray, weights: FloatArray) -> Draws:
    hits = weights @ (is_class & guessed)
    precision = _ratio(hits, weights @ guessed)
    recall = _ratio(hits, weights @ is_class)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return {"precision": precision, "recall": recall, "f1": f1, "roc_auc": weighted_auc(is_class, score, weights)}


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Divide; 0 where nothing was predicted or nothing is there (as scikit-learn's zero_division=0)."""
    return np.divide(top, bottom, out=np.zeros_like(top, dtype=np.float64), where=bottom > 0)


def weighted_auc(is_class: BoolArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """ROC AUC for each row of weights, ties counted one half; NaN where a draw holds one class only."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    inside = weights[:, order] * is_class[order]
    outside = weights[:, order] * ~is_class[order]
    positive = np.add.reduceat(inside, starts, axis=1)
    negative = np.add.reduceat(outside, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    total = positive.sum(axis=1) * negative.sum(axis=1)
    area = np.full(len(weights), np.nan)
    np.divide((positive * below).sum(axis=1), total, out=area, where=total > 0)
    return area


def regression(truth: FloatArray, guess: FloatArray, weights: FloatArray) -> Draws:
    """R2 and mean absolute error."""
    total = weights.sum(axis=1)
    mean = weights @ truth / total
    residual = weights @ (truth - guess) ** 2
    spread = weights @ truth**2 - total * mean**2
    r2 = 1.0 - np.divide(residual, spread, out=np.full(len(weights), np.nan), where=spread > 0)
    return {"r2": r2, "mae": weights @ np.abs(truth - guess) / total}


def constant(wanted: Answers, truth: Answers, weights: FloatArray, classes: int, positive: int) -> Draws:
    """Scores of the only model that rows with a single answer (or none) can teach: always that answer."""
    if classes == 0:
        return regression(truth, np.full(len(truth), wanted.mean() if len(wanted) else 0.0), weights)
    chances = np.zeros((len(truth), classes))
    chances[:, int(wanted[0]) if len(wanted) else 0] = 1.0
    return classification(truth, chances, weights, positive)
