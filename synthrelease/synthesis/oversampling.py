"""More rows of a rare class, made by a generator of the registry.

For each class a generator is trained on that class's rows, as in experiment 2 of Tanaka & Aranha 2019
(arXiv:1904.09135). What the paper did not do: made rows are *judged*. A classifier that was trained on the real rows of
all classes says how typical of its class a row is, and only rows are kept that are at least as typical as a given share
of the class's real rows (whose scores come from trees that did not see them). Made rows of a rare class that lie among
a common one cost a downstream model its precision; that is where oversampling usually loses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from synthrelease.core.contracts import FitSettings, Fitted, FloatArray, IntArray, ModelledSchema, OnStep, Schema, Table
from synthrelease.core.errors import OversamplingError
from synthrelease.synthesis import generators

FEWEST_ROWS = 10
"""A class of fewer rows than this is not learned: a generator could only repeat or blur its few rows."""
TREES = 100
MOST_DRAWS = 30
"""At most so many rows are drawn for each row wanted; then the most typical of those drawn are taken."""
JUDGE_ROWS = 20_000

Mend = Callable[[pd.DataFrame, int], pd.DataFrame]
"""Drops or repairs made rows, given a seed: what a schema's constraints demand."""


@dataclass(frozen=True, slots=True)
class Oversampling:
    """How rows are made. ``typical``: a made row must look at least as typical of its class as this share of real rows.

    0 keeps every made row. The default keeps those that are no less typical than three quarters of the real ones.
    """

    seed: int
    generator: str = generators.DEFAULT
    effort: float = 1.0
    typical: float = 0.25


def make_rows(
    table: Table[ModelledSchema],
    wanted: Mapping[int, int],
    how: Oversampling,
    *,
    on_step: OnStep,
    mend: Mend | None = None,
) -> pd.DataFrame:
    """Return made rows of some classes, in the classes' order: a canonical frame, the target included.

    Args:
        table: real rows of all classes as a generator sees them; its target holds labels.
        wanted: how many rows to make of each class, by its place among the target's categories.
        how: see ``Oversampling``.
        on_step: hears the training of each class's generator.
        mend: repairs made rows, or leaves some out.

    Raises:
        OversamplingError: a class has too few rows to learn from.
        TrainingError: a generator could not be trained, or its rows cannot be mended.
    """
    target = str(table.schema.target)
    codes = table.frame[target].cat.codes.to_numpy().astype(np.int64)
    for place, rows in wanted.items():
        _check_enough(table, target, codes, place, rows)
    dtype: Any = table.frame[target].dtype
    judge = Judge.of(table, codes, seed=how.seed) if how.typical > 0 else None
    pieces = [table.frame.iloc[:0]]
    for place, rows in wanted.items():
        if rows < 1:
            continue
        seed = int(np.random.default_rng([how.seed, place]).integers(2**31))
        fitted = _trained(table, codes, place, how, seed=seed, on_step=on_step)

        def draw(count: int, seed: int, fitted: Fitted = fitted, place: int = place) -> pd.DataFrame:
            made = pd.concat(list(fitted.sample(count, seed=seed)), ignore_index=True)
            made = made.assign(**{target: pd.Categorical.from_codes(np.full(len(made), place), dtype=dtype)})
            return made[list(table.frame.columns)] if mend is None else mend(made[list(table.frame.columns)], seed)

        pieces.append(_chosen(draw, rows, judge, place, how, seed=seed))
    return pd.concat(pieces, ignore_index=True)


def _check_enough(table: Table[ModelledSchema], target: str, codes: IntArray, place: int, rows: int) -> None:
    found = int((codes == place).sum())
    if rows > 0 and found < FEWEST_ROWS:
        raise OversamplingError(
            f"A GAN learns a class from at least {FEWEST_ROWS} rows, however a class of {target!r} has {found}. Merge "
            "it with another class, gather more rows, or use SMOTE, which needs 2."
        )


def _trained(
    table: Table[ModelledSchema], codes: IntArray, place: int, how: Oversampling, *, seed: int, on_step: OnStep
) -> Fitted:
    """Train a generator on one class's rows, without the class: it is the same in all of them."""
    rows = table.take(np.flatnonzero(codes == place))
    columns = tuple(column for column in table.schema.columns if column.name != table.schema.target)
    schema = ModelledSchema(columns, unit=table.schema.unit, missing=table.schema.missing)
    frame = rows.frame.drop(columns=[str(table.schema.target)])
    fit = generators.load(how.generator)
    return fit(Table(frame, schema, "real", rows.units), FitSettings(seed=seed, effort=how.effort), on_step)


def _chosen(
    draw: Callable[[int, int], pd.DataFrame],
    rows: int,
    judge: Judge | None,
    place: int,
    how: Oversampling,
    *,
    seed: int,
) -> pd.DataFrame:
    """Draw until ``rows`` rows are typical enough, or take the most typical of many."""
    rng = np.random.default_rng(seed)
    if judge is None:
        return _until(lambda count: draw(count, int(rng.integers(2**31))), rows)
    bar = judge.bar(place, how.typical)
    kept: list[pd.DataFrame] = []
    scores: list[FloatArray] = []
    done = drawn = 0
    while done < rows and drawn < MOST_DRAWS * rows:
        share = max(done / drawn, 0.05) if drawn else 0.5
        made = draw(int((rows - done) / share) + 16, int(rng.integers(2**31)))
        drawn += max(len(made), 1)
        score = judge.scores(made, place)
        done += int((score >= bar).sum())
        kept.append(made)
        scores.append(score)
    made, score = pd.concat(kept, ignore_index=True), np.concatenate(scores)
    enough = np.flatnonzero(score >= bar)[:rows]
    # Where too few pass, the most typical of the others fill up.
    others = np.setdiff1d(np.argsort(-score, kind="stable")[:rows], enough, assume_unique=False)
    return made.iloc[np.concatenate([enough, others])[:rows]].reset_index(drop=True)


def _until(draw: Callable[[int], pd.DataFrame], rows: int) -> pd.DataFrame:
    pieces: list[pd.DataFrame] = []
    while (done := sum(map(len, pieces))) < rows:
        pieces.append(draw(rows - done))
    return pd.concat(pieces, ignore_index=True).iloc[:rows]


@dataclass(frozen=True)
class Judge:
    """Says how typical of a class rows are: a random forest trained on real rows, and the real rows' own scores."""

    forest: RandomForestClassifier
    schema: ModelledSchema
    own: Mapping[int, FloatArray]
    """Scores of the real rows of each class, each from the trees that did not train on it."""

    @classmethod
    def of(cls, table: Table[ModelledSchema], codes: IntArray, *, seed: int) -> Judge:
        """Train on real rows: at most about ``JUDGE_ROWS`` of them, the rare classes whole."""
        rows = _some(codes, JUDGE_ROWS, np.random.default_rng(seed))
        inputs, classes = plain(table.frame.iloc[rows], table.schema), codes[rows]
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=2, class_weight="balanced_subsample", oob_score=True, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a row that every tree saw has no score, and is left out
            forest.fit(inputs, classes)
        places = np.searchsorted(forest.classes_, classes)
        own = forest.oob_decision_function_[np.arange(len(rows)), places]
        known = np.isfinite(own)
        return cls(forest, table.schema, {int(c): own[known & (classes == c)] for c in forest.classes_})

    def scores(self, made: pd.DataFrame, place: int) -> FloatArray:
        """Return the chance of class ``place`` for each row, (rows,)."""
        if not len(made):
            return np.zeros(0)
        chances = self.forest.predict_proba(plain(made, self.schema))
        return np.asarray(chances[:, np.searchsorted(self.forest.classes_, place)])

    def bar(self, place: int, typical: float) -> float:
        """Return the score that a share ``typical`` of the class's real rows stays below."""
        return float(np.quantile(self.own[place], typical)) if len(self.own[place]) else 0.0


def _some(codes: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """Return at most about ``most`` positions, thinning the largest classes only."""
    classes, counts = np.unique(codes, return_counts=True)
    cap = most
    while np.minimum(counts, cap).sum() > most and cap > 1:
        cap = int(cap * 0.9)
    picked = [rng.permutation(np.flatnonzero(codes == each))[:cap] for each in classes]
    return np.sort(np.concatenate(picked))


def plain(frame: pd.DataFrame, schema: Schema) -> FloatArray:
    """Return the features of a canonical frame as numbers, (rows, features): labels as codes, NaN where missing."""
    columns = [column for column in schema.learned if column.name != schema.target]
    blocks = [
        frame[column.name].to_numpy(np.float64)
        if column.is_number
        else frame[column.name].cat.codes.astype(np.float64).replace(-1.0, np.nan).to_numpy()
        for column in columns
    ]
    return np.column_stack(blocks) if blocks else np.zeros((len(frame), 0))
