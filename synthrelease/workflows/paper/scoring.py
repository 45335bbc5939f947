"""How the paper scores a training table: a decision tree of depth 3 trained on it, tested on real rows.

Beyond the paper: F1, the area under the precision-recall curve (AUPRC, as average precision), gradient boosting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from sklearn.tree import DecisionTreeClassifier

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

MODELS = ("decision_tree", "gradient_boosting")
SCORES = ("accuracy", "precision", "recall", "f1", "auprc")


def model(name: str, seed: int) -> Any:
    """Return an untrained classifier: the paper's tree (section 3.2) or gradient boosting as scikit-learn sets it."""
    if name == "decision_tree":
        return DecisionTreeClassifier(max_depth=3, random_state=seed)
    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed)


def chances(
    name: str, rows: Any, classes: IntArray, test: Any, *, seed: int, weights: FloatArray | None = None
) -> FloatArray:
    """Train on rows and classes (0/1) and return the chance of class 1 for each test row; a lone class is certain."""
    if len(np.unique(classes)) < 2:
        return np.full(len(test), float(classes[0]))
    fitted = model(name, seed).fit(rows, classes, sample_weight=weights)
    return np.asarray(fitted.predict_proba(test)[:, 1])


def scores(truth: IntArray, chance: FloatArray, *, positive_share: float | None = None) -> dict[str, float]:
    """Return accuracy, precision, recall, F1 and AUPRC of class 1 at a threshold of one half.

    ``positive_share`` weighs the test rows of class 0 so that class 1 has that share of all.
    """
    weights = np.ones(len(truth))
    if positive_share is not None:
        positives, negatives = (truth == 1).sum(), (truth == 0).sum()
        weights[truth == 0] = (1 - positive_share) / positive_share * positives / negatives
    guess = (chance >= 0.5).astype(np.int64)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, guess, average="binary", sample_weight=weights, zero_division=0.0
    )
    return {
        "accuracy": float(np.average(guess == truth, weights=weights)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auprc": float(average_precision_score(truth, chance, sample_weight=weights)),
    }


def distance(made: FloatArray, real: FloatArray) -> dict[str, float]:
    """Return mean and standard deviation over made rows of the distance to the closest real row (tables 7 and 8)."""
    found = nearest(made.astype(np.float32), real.astype(np.float32), 1).distance[:, 0]
    return {"distance": float(found.mean()), "distance_spread": float(found.std())}


def own_distance(real: FloatArray) -> dict[str, float]:
    """Return the same from each real row to the closest other one: what tables 7 and 8 should be held to."""
    rows = real.astype(np.float32)
    found = nearest(rows, rows, 2).distance[:, 1]
    return {"distance": float(found.mean()), "distance_spread": float(found.std())}
