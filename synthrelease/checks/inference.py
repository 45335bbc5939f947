"""Inference: does the synthetic table give away a sensitive value of a training patient?

The third criterion of WP29 Opinion 05/2014. An intruder who knows some columns of a patient takes the sensitive value
of the nearest synthetic row. What can be guessed of strangers as well is knowledge about the population and no leak,
so the same attempt on holdout patients is taken off.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthrelease.checks._pool import telling, within
from synthrelease.checks._risk import Trials, largest
from synthrelease.contracts import BoolArray, CheckResult, CheckSpec, Column, Evidence, Metric, MetricSpec, Table
from synthrelease.intervals import draw
from synthrelease.neighbours import nearest
from synthrelease.space import Space

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
        ),
    ),
    about=(
        "For each sensitive column (the target counts as one) an intruder who knows the quasi-identifiers, or all "
        "other columns, guesses the value that the nearest synthetic row has. A number counts as right within 5%. "
        "Held against the same attempt on holdout patients, and against guessing from the column alone. The worst "
        "column counts, and the correction for having looked at all is made."
    ),
)

MOST_TARGETS = 10_000
TOLERANCE = 0.05


def measure(evidence: Evidence) -> CheckResult:
    """Guess every sensitive column from two kinds of knowledge."""
    rng = np.random.default_rng(evidence.seed)
    known, hidden = telling(evidence.train)
    if not hidden or len(evidence.train.schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema declares no sensitive column and no target.")
    size = min(len(evidence.train), len(evidence.holdout), MOST_TARGETS)
    sides = [table.take(draw(rng, table, size)) for table in (evidence.train, evidence.holdout)]
    groups = []
    for secret in hidden:
        others = tuple(c for c in evidence.train.schema.learned if c != secret)
        for words, columns in {"quasi-identifiers": known, "all other columns": others}.items():
            if columns:
                groups.append(_guessed(rng, f"{secret.name!r} from {words}", secret, columns, (sides, evidence)))
    bounds, worst = largest(groups, evidence.confidence)
    reading = worst.words if worst else f"No attack beat guessing from the column alone. {groups[0].words}"
    metric = Metric(
        SPEC.metrics[0].name, bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, size, reading, 0.0
    )
    return CheckResult(SPEC.name, "measured", size, metrics=(metric,))


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
    hits = []
    for side in sides:
        at = nearest(space.embed(side.frame), made, 1).index[:, 0]
        hits.append(int(right(guesses.iloc[at], side.frame[secret.name], secret).sum()))
    size = len(sides[0])
    naive = guesses.iloc[rng.integers(len(guesses), size=size)]
    blind = int(right(naive, sides[0].frame[secret.name], secret).sum())
    return Trials(name, (hits[0], size), (hits[1], size), (blind, size))


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
