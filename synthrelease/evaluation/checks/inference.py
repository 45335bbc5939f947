"""Inference: does the synthetic table give away a sensitive value of a training patient?

The third criterion of WP29 Opinion 05/2014. An intruder who knows some columns of a patient takes the sensitive value
of the nearest synthetic row. What can be guessed of strangers as well is knowledge about the population and no leak,
so the same attempt on holdout patients is taken off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    FloatArray,
    IntArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._attacks import FLOOR
from synthrelease.evaluation.checks._control_variates import FEWEST_PATIENTS, folds, foreseen
from synthrelease.evaluation.checks._pool import declared_sensitive, telling, within
from synthrelease.evaluation.checks._risk import INCONCLUSIVE, Trials, chance_of, figure, largest
from synthrelease.evaluation.statistics.confidence_intervals import draw, patient_of
from synthrelease.evaluation.statistics.gower_embedding import Points, Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

SPEC = CheckSpec(
    name="inference",
    title="Inference of sensitive values (WP29, criterion 3)",
    family="privacy",
    metrics=(
        MetricSpec(
            "inference_risk",
            "Does the synthetic table give away a sensitive value of a patient?",
            "risk beyond that of strangers",
            "lower",
            topic="inference of sensitive values",
        ),
    ),
    about=(
        "For each column that the schema declares sensitive (the target only if its own entry says so) an intruder "
        "who knows the quasi-identifiers, or all other columns, guesses the value that the nearest synthetic row has. "
        "A number counts as right within 5%. Held against the same attempt on holdout patients, and against guessing "
        "from the column alone; a model of real patients, or in a small table the nearest other patient, tells by how "
        "much one side is easier than the other. The worst column counts, and the correction for having looked at all "
        "is made."
    ),
    cost=2,
)

MOST_TARGETS = 30_000
TOLERANCE = 0.05
MOST_TO_LEARN = 10_000
MOST_LABELS = 10


def measure(evidence: Evidence) -> CheckResult:
    """Guess every sensitive column from two kinds of knowledge."""
    rng = np.random.default_rng(evidence.seed)
    (known, _), hidden = telling(evidence.train), declared_sensitive(evidence.train)
    if not hidden or len(evidence.train.schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema declares no column sensitive.")
    sides = [table.take(draw(rng, table, MOST_TARGETS)) for table in (evidence.train, evidence.holdout)]
    size = min(len(side) for side in sides)
    groups = []
    for secret in hidden:
        others = tuple(c for c in evidence.train.schema.learned if c != secret)
        for words, columns in {"quasi-identifiers": known, "all other columns": others}.items():
            if columns:
                groups.append(_guessed(rng, f"{secret.name!r} from {words}", secret, columns, (sides, evidence)))
    bounds, worst = largest(groups, evidence.confidence)
    reading = worst.words if worst else f"{INCONCLUSIVE} {groups[0].words}"
    metric = Metric(
        SPEC.metrics[0].name, bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, size, reading, 0.0
    )
    picture = figure("inference_rates", "Guessing sensitive values from the table", groups, evidence.confidence)
    return CheckResult(SPEC.name, "measured", size, metrics=(metric,), figures=(picture,))


def _guessed(
    rng: np.random.Generator,
    name: str,
    secret: Column,
    columns: tuple[Column, ...],
    tables: tuple[list[Table], Evidence],
) -> Trials:
    sides, evidence = tables
    space = Space.fit(*(within(table, columns) for table in (evidence.train, evidence.holdout)))
    made = space.embed(evidence.synthetic.frame)
    guesses = evidence.synthetic.frame[secret.name]
    points = [space.embed(side.frame) for side in sides]
    truth = pd.concat([side.frame[secret.name] for side in sides], ignore_index=True)
    at = np.concatenate([nearest(each, made, 1).index[:, 0] for each in points])
    hit = right(guesses.iloc[at], truth, secret)
    found = hit[: len(sides[0])], hit[len(sides[0]) :]
    if min(len(side) for side in sides) >= FEWEST_PATIENTS:
        expected = _likely(rng, hit, sides, np.concatenate(points), secret)
    else:
        expected = right(truth.iloc[_nearest_other(np.concatenate(points))], truth, secret).astype(np.float64)
    control = expected[: len(sides[0])], expected[len(sides[0]) :]
    naive = guesses.iloc[rng.integers(len(guesses), size=len(sides[0]))]
    blind = int(right(naive, sides[0].frame[secret.name], secret).sum())
    counts = [(int(hits.sum()), len(hits)) for hits in found]
    return Trials(name, counts[0], counts[1], (blind, len(sides[0])), *chance_of(found, control))


def _likely(rng: np.random.Generator, hit: BoolArray, sides: list[Table], points: Points, secret: Column) -> FloatArray:
    """How likely a right guess of each row was, by how well a model of real rows predicts its value: (rows,)."""
    owners = [patient_of(side) for side in sides]
    owner = np.concatenate([owners[0], owners[1] + owners[0].max() + 1])
    truth = pd.concat([side.frame[secret.name] for side in sides], ignore_index=True)
    answers = truth.to_numpy(np.float64) if secret.is_number else _commonest(truth.cat.codes.to_numpy())
    fits = np.empty(len(answers))
    for here in folds(rng, owner):
        learn = rng.permutation(np.flatnonzero(~here & ~np.isnan(answers)))[:MOST_TO_LEARN]
        fits[here] = _fit_of(secret, (points[learn], answers[learn]), (points[here], answers[here]))
    return foreseen(rng, np.column_stack([fits, answers]), hit.astype(np.float64), owner)


def _commonest(codes: np.ndarray[Any, np.dtype[np.integer[Any]]]) -> FloatArray:
    """Labels as numbers; all but the ten commonest share one."""
    _, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return np.minimum(rank, MOST_LABELS)[which].astype(np.float64)


def _fit_of(secret: Column, learned: tuple[Points, FloatArray], asked: tuple[Points, FloatArray]) -> FloatArray:
    """How well a linear model of some real rows fits other ones: their label's probability, or a number's error."""
    if len(np.unique(learned[1])) < 2:
        return np.zeros(len(asked[1]))
    if secret.is_number:
        error = Ridge().fit(*learned).predict(asked[0]) - asked[1]
        off: FloatArray = error / np.maximum(np.abs(asked[1]), FLOOR)
        return off
    model = LogisticRegression(max_iter=100).fit(*learned)
    chances = model.predict_proba(asked[0])
    place = np.minimum(np.searchsorted(model.classes_, asked[1]), len(model.classes_) - 1)
    own: FloatArray = np.where(model.classes_[place] == asked[1], chances[np.arange(len(place)), place], 0.0)
    return own


def _nearest_other(points: Points) -> IntArray:
    """For each of all real rows the nearest other one: (rows,)."""
    index = nearest(points, points, 2).index
    return np.where(index[:, 0] == np.arange(len(points)), index[:, 1], index[:, 0])


def right(guess: pd.Series, truth: pd.Series, column: Column) -> BoolArray:
    """Which guesses are right: equal labels, numbers within 5% of the truth, missing for missing."""
    if not column.is_number:
        equal: BoolArray = guess.cat.codes.to_numpy() == truth.cat.codes.to_numpy()
        return equal
    a, b = guess.to_numpy(np.float64), truth.to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= TOLERANCE * np.abs(b)
    close: BoolArray = near | (np.isnan(a) & np.isnan(b))
    return close
