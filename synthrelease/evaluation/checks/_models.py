"""The downstream models of the utility checks: what is predicted, from what, and by which scikit-learn models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from synthrelease.core.contracts import Column, Table

MOST_LEVELS = 30


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted: the target column, and for labels the class codes with the rarest one as positive."""

    target: Column
    classes: int
    positive: int

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted."""
        return self.target.is_number


def task_of(target: Column, train: Table) -> Task:
    """The task that a target column sets."""
    if target.is_number:
        return Task(target, 0, 0)
    counts = np.bincount(train.frame[target.name].cat.codes.to_numpy() + 1, minlength=len(target.categories) + 1)[1:]
    present = np.flatnonzero(counts)
    return Task(target, len(counts), int(present[counts[present].argmin()]))


def with_target(table: Table, task: Task) -> Table:
    """The rows whose target is known."""
    return table.take(np.flatnonzero(table.frame[task.target.name].notna().to_numpy()))


def answers(table: Table, task: Task) -> np.ndarray[Any, Any]:
    """What is to be predicted: numbers, or class codes."""
    cells = table.frame[task.target.name]
    return cells.to_numpy(np.float64) if task.is_regression else cells.cat.codes.to_numpy().astype(np.int64)


def plain(frame: pd.DataFrame, features: list[Column]) -> pd.DataFrame:
    """Numbers as float64 and labels as codes (NaN where missing), which every model's preparation starts from."""
    return pd.DataFrame(
        {
            str(i): frame[c.name] if c.is_number else frame[c.name].cat.codes.astype(np.float64).replace(-1.0, np.nan)
            for i, c in enumerate(features)
        }
    )


def models(features: list[Column], task: Task, seed: int) -> Mapping[str, Any]:
    """The models by name, the baseline first."""
    numbers = [str(i) for i, column in enumerate(features) if column.is_number]
    labels = [str(i) for i, column in enumerate(features) if not column.is_number]
    one_hot = OneHotEncoder(max_categories=MOST_LEVELS, handle_unknown="infrequent_if_exist", sparse_output=False)
    scaled = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    linear = ColumnTransformer([("numbers", scaled, numbers), ("labels", one_hot, labels)])
    codes = OrdinalEncoder(
        max_categories=200, handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    trees = ColumnTransformer([("numbers", "passthrough", numbers), ("labels", codes, labels)])
    if task.is_regression:
        return {
            "baseline": DummyRegressor(),
            "decision_tree": make_pipeline(
                trees, DecisionTreeRegressor(max_depth=5, min_samples_leaf=5, random_state=seed)
            ),
            "logistic_regression": make_pipeline(linear, Ridge()),
            "gradient_boosting": make_pipeline(trees, HistGradientBoostingRegressor(random_state=seed)),
        }
    return {
        "baseline": DummyClassifier(strategy="prior"),
        "decision_tree": make_pipeline(
            trees, DecisionTreeClassifier(max_depth=5, min_samples_leaf=5, random_state=seed)
        ),
        "logistic_regression": make_pipeline(linear, LogisticRegression(max_iter=200)),
        "gradient_boosting": make_pipeline(
            trees, HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
        ),
    }
