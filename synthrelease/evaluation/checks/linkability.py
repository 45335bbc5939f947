"""Linkability: does the synthetic table join two sets of facts about one training patient?

The second criterion of WP29 Opinion 05/2014. Two intruders each hold different columns of the same patients. Whoever
finds the same synthetic row nearest on both sets of columns links the two. How often that happens by chance is measured
on holdout patients.
"""

from __future__ import annotations

import numpy as np

from synthrelease.core.contracts import (
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    IntArray,
    Metric,
    MetricSpec,
    Schema,
    Table,
)
from synthrelease.evaluation.checks._pool import within
from synthrelease.evaluation.checks._risk import INCONCLUSIVE, Trials, figure, largest
from synthrelease.evaluation.statistics.confidence_intervals import draw
from synthrelease.evaluation.statistics.gower_embedding import Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

SPEC = CheckSpec(
    name="linkability",
    title="Linkability (WP29, criterion 2)",
    family="privacy",
    metrics=(
        MetricSpec(
            "linkability_risk",
            "Does the synthetic table help to join two sets of facts about one patient?",
            "risk beyond that of strangers",
            "lower",
            topic="linkability",
        ),
    ),
    about=(
        "Takes two sets of columns that two parties could hold (the schema's [audit] linkability, else the "
        "quasi-identifiers against the other columns) and finds, for each patient, the synthetic row nearest on either "
        "set. If it is the same row, the two sets are linked. Held against the same attempt on holdout patients, and "
        "against picking rows at random."
    ),
    cost=6,
)

MOST_TARGETS = 10_000
NEIGHBOURS = (1, 5)


def measure(evidence: Evidence) -> CheckResult:
    """Try to link training and holdout patients through the synthetic table."""
    rng = np.random.default_rng(evidence.seed)
    pair = column_sets(evidence.train.schema)
    if pair is None:
        return CheckResult(SPEC.name, "not_applicable", note="Linking needs two sets of columns; there are too few.")
    size = min(len(evidence.train), len(evidence.holdout), MOST_TARGETS)
    sides = [table.take(draw(rng, table, size)) for table in (evidence.train, evidence.holdout)]
    both = [[_found(columns, side, evidence) for columns in pair] for side in sides]
    rows = len(evidence.synthetic)
    groups = []
    for k in NEIGHBOURS:
        hits = [_linked(left[:, :k], right[:, :k]) for left, right in both]
        naive = _linked(rng.integers(rows, size=(size, k)), rng.integers(rows, size=(size, k)))
        groups.append(Trials(f"{k} nearest rows on either set", (hits[0], size), (hits[1], size), (naive, size)))
    bounds, worst = largest(groups, evidence.confidence)
    reading = worst.words if worst else f"{INCONCLUSIVE} {groups[0].words}"
    metric = Metric(
        SPEC.metrics[0].name, bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, size, reading, 0.0
    )
    picture = figure("linkability_rates", "Linking two sets of columns through the table", groups, evidence.confidence)
    return CheckResult(SPEC.name, "measured", size, metrics=(metric,), figures=(picture,))


def column_sets(schema: Schema) -> tuple[tuple[Column, ...], tuple[Column, ...]] | None:
    """The two sets as declared, else quasi-identifiers against the rest, else the columns in turn."""
    learned = schema.learned
    if schema.linkability:
        first, second = (tuple(c for c in learned if c.name in names) for names in schema.linkability)
        return (first, second) if first and second else None
    known = tuple(column for column in learned if column.role == "quasi_identifier")
    rest = tuple(column for column in learned if column not in known)
    if not known or not rest:
        known, rest = learned[::2], learned[1::2]
    return (known, rest) if known and rest else None


def _found(columns: tuple[Column, ...], side: Table, evidence: Evidence) -> IntArray:
    """The synthetic rows nearest to each target on some columns: (targets, 5)."""
    space = Space.fit(*(within(table, columns) for table in (evidence.train, evidence.holdout)))
    return nearest(space.embed(side.frame), space.embed(evidence.synthetic.frame), max(NEIGHBOURS)).index


def _linked(left: IntArray, right: IntArray) -> int:
    """Targets for whom some row is near on both sets."""
    return int((left[:, :, None] == right[:, None, :]).any(axis=(1, 2)).sum())
