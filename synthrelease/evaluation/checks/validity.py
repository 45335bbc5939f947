"""Is the synthetic table a table of the declared kind at all?

Cells outside the declared domain, columns that have collapsed to one value, and rows that repeat each other more than
real rows do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, Figure, Line, Metric, MetricSpec, Table
from synthrelease.evaluation.statistics.confidence_intervals import draw, proportion_difference
from synthrelease.schema.constraints import violations

SPEC = CheckSpec(
    name="validity",
    title="Validity of the synthetic table",
    family="validity",
    metrics=(
        MetricSpec(
            "cells_outside_domain",
            "Do all values lie within what the schema declares?",
            "share of cells",
            "lower",
            topic="values that the schema rules out",
            wanted="yes",
        ),
        MetricSpec(
            "collapsed_columns",
            "Does every column still vary?",
            "columns",
            "lower",
            topic="columns that no longer vary",
            wanted="yes",
        ),
        MetricSpec(
            "broken_rules",
            "Does every row obey the declared rules?",
            "rows",
            "lower",
            topic="declared rules between columns",
            wanted="yes",
        ),
        MetricSpec(
            "repeated_row_excess",
            "Do synthetic rows repeat each other?",
            "share of synthetic rows",
            "lower",
            topic="repeated synthetic rows",
        ),
    ),
    about=(
        "Counts cells outside the declared bounds or categories, columns that vary in the training data and are "
        "constant in the synthetic table although chance would not make them so, rows that break a rule between "
        "columns that the schema declares (combinations and dependencies are held to those of the training rows), and "
        "synthetic rows that repeat an earlier synthetic row more often than real rows repeat each other in a sample "
        "of the same size."
    ),
    cost=0.1,
)

FEWEST_OTHERS = 11
"""Rows beyond the commonest value below which a generator may well leave them out: they belong to too few people."""
BY_CHANCE = 0.001
MOST_SHOWN = 20


def measure(evidence: Evidence) -> CheckResult:
    """Count invalid cells, collapsed columns and repeated rows."""
    synthetic = evidence.synthetic
    cells = len(synthetic) * len(synthetic.schema.learned)
    outside = sum(synthetic.outside.values())
    share = outside / cells
    where = ", ".join(f"{name} ({count:,})" for name, count in synthetic.outside.items() if count)
    collapsed = [c.name for c in synthetic.schema.learned if _collapsed(evidence.train, synthetic, c.name)]
    n = len(synthetic)
    metrics = (
        # The whole table has been counted, nothing is estimated: both ends of these two intervals are the count itself.
        Metric(
            "cells_outside_domain",
            share,
            share,
            share,
            "share of cells",
            cells,
            f"{outside:,} of {cells:,} cells lie outside the declared domain" + (f": {where}." if where else "."),
            0.0,
        ),
        Metric(
            "collapsed_columns",
            len(collapsed),
            len(collapsed),
            len(collapsed),
            "columns",
            n,
            f"{len(collapsed):,} columns have become constant" + (f": {', '.join(collapsed)}." if collapsed else "."),
            0.0,
        ),
        _broken(evidence),
        _repeats(evidence),
    )
    figures = tuple(_missing(evidence))
    return CheckResult(check=SPEC.name, status="measured", n=n, metrics=metrics, figures=figures)


def _missing(evidence: Evidence) -> Iterator[Figure]:
    """Shares of missing cells in the columns where any are missing, most missing first; nothing where none are."""
    sides = {"real rows (training)": evidence.train, "synthetic rows": evidence.synthetic}
    counts = {label: table.frame.isna().sum() for label, table in sides.items()}
    real, made = counts.values()
    worst = (real + made).sort_values(ascending=False, kind="stable")
    names = [str(name) for name, count in worst.items() if count][:MOST_SHOWN]
    if names:
        yield Figure(
            name="missing",
            kind="bars",
            title="Missing values",
            caption="Share of cells that are missing, by column; alike bars mean that gaps are made as they are.",
            x_label="column",
            y_label="missing, %",
            lines=tuple(
                Line(
                    label,
                    tuple(names),
                    tuple(float(100 * counts[label][name] / len(table)) for name in names),
                    people=tuple(_patients(table, name) for name in names),
                )
                for label, table in sides.items()
            ),
        )


def _patients(table: Table, column: str) -> int:
    """Patients with a missing cell in the column."""
    gaps = table.frame[column].isna().to_numpy()
    return int(gaps.sum()) if table.units is None else len(np.unique(table.units[gaps]))


def _collapsed(train: Table, synthetic: Table, name: str) -> bool:
    """Whether a column is constant although chance alone would hardly have left out all but its commonest value."""
    if synthetic.frame[name].nunique(dropna=False) > 1:
        return False
    counts = train.frame[name].value_counts(dropna=False)
    others = len(train) - int(counts.iloc[0])
    return others >= FEWEST_OTHERS and (1 - others / len(train)) ** len(synthetic) < BY_CHANCE


def _broken(evidence: Evidence) -> Metric:
    """Rows of the synthetic table that break a declared constraint, counted once each."""
    found = violations(evidence.synthetic, evidence.train)
    n = len(evidence.synthetic)
    rows = int(np.logical_or.reduce([np.zeros(n, dtype=np.bool_), *found.values()]).sum())
    counts = {words: int(wrong.sum()) for words, wrong in found.items() if wrong.any()}
    where = "; ".join(f"{words} ({count:,})" for words, count in counts.items())
    reading = f"{rows:,} of {n:,} rows break one of {len(found):,} declared rules" + (f": {where}." if where else ".")
    if not found:
        reading = "The schema declares no rule between columns, so that no row can break one."
    return Metric("broken_rules", rows, rows, rows, "rows", n, reading, 0.0, applies=bool(found))


def _repeats(evidence: Evidence) -> Metric:
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.synthetic))
    repeated = [
        int(table.frame.iloc[draw(rng, table, size)].duplicated().sum())
        for table in (evidence.synthetic, evidence.train)
    ]
    bounds = proportion_difference((repeated[0], size), (repeated[1], size), evidence.confidence)
    reading = f"{repeated[0]:,} of {size:,} synthetic rows repeat another one; so do {repeated[1]:,} real rows."
    return Metric(
        "repeated_row_excess", bounds.value, bounds.low, bounds.high, "share of synthetic rows", size, reading, 0.0
    )
