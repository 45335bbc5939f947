"""Rows that no patient could have: pairs of values that the training rows should show together and never do.

A man with a diagnosis of the ovary looks right column by column, and means, effects and distances hardly move by him.
Whoever reads the row sees at once that it was made up. Two values never go together where the training table would hold
five rows with both if their columns had nothing to do with each other, and holds none. By chance alone that happens as
well (five expected rows fail to turn up in 7 cases of 1,000), so unseen real rows say how many such rows are normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    Figure,
    IntArray,
    Line,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._pool import alike
from synthrelease.evaluation.statistics.confidence_intervals import proportion_difference

SPEC = CheckSpec(
    name="impossible",
    title="Rows that no patient could have",
    family="fidelity",
    metrics=(
        MetricSpec(
            "impossible_excess",
            "Are there rows whose values never go together in real ones?",
            "share of synthetic rows",
            "lower",
            topic="rows that no patient could have",
        ),
    ),
    about=(
        "Cuts numbers of more than 40 values into 20 ranges of the training rows and looks at every pair of columns. "
        "Two values never go together where the training rows would show both in at least five rows if the columns "
        "were independent, and show them in none. Counts the synthetic rows with any such pair, and takes off the same "
        "share of holdout rows, which is what chance makes of real patients. Of a patient with several rows one counts."
    ),
    cost=0.5,
)

EXPECTED = 5.0
"""Training rows that a pair of values should have by chance; a rarer pair may well be missing."""
MOST_VALUES = 40
RANGES = 20
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two columns, and which rows hold values of them that never go together: (rows,) of both tables."""

    names: tuple[str, str]
    made: BoolArray
    real: BoolArray


def measure(evidence: Evidence) -> CheckResult:
    """Count rows with a pair of values that never go together, in synthetic and in holdout rows."""
    rng = np.random.default_rng(evidence.seed)
    seen = alike(evidence)
    train, made, real = seen.train, _one_a_patient(rng, seen.synthetic), _one_a_patient(rng, seen.holdout)
    n = min(len(made), len(real))
    columns = [(column.name, *_coded(column, (train, made, real))) for column in train.schema.learned]
    if len(columns) < 2:
        return CheckResult(SPEC.name, "not_applicable", n=n, note="One column alone has no pairs of values.")
    pairs = list(_pairs(columns))
    hits = [_any([pair.made for pair in pairs], len(made)), _any([pair.real for pair in pairs], len(real))]
    metric = _metric(hits[0], hits[1], evidence.confidence, pairs)
    return CheckResult(SPEC.name, "measured", n=n, metrics=(metric,), figures=tuple(_worst(pairs)))


def _one_a_patient(rng: np.random.Generator, table: Table) -> Table:
    """One random row of each patient: patients are independent, their rows are not."""
    if table.units is None:
        return table
    order = rng.permutation(len(table))
    return table.take(np.sort(order[np.unique(table.units[order], return_index=True)[1]]))


def _coded(column: Column, tables: tuple[Table, Table, Table]) -> tuple[IntArray, IntArray, IntArray]:
    """A column of all three tables as codes of its values or ranges, (rows,) each; gaps are a value as others are."""
    cells = [table.frame[column.name] for table in tables]
    if not column.is_number:
        train, made, real = (cell.cat.codes.to_numpy().astype(np.int64) + 1 for cell in cells)
        return train, made, real
    values = [cell.to_numpy(np.float64) for cell in cells]
    known = np.unique(values[0][~np.isnan(values[0])])
    if len(known) > MOST_VALUES:
        known = np.unique(np.nanquantile(values[0], np.arange(1, RANGES) / RANGES))
    # A value that the training rows lack counts with the nearest one below it.
    train, made, real = (np.where(np.isnan(v), 0, 1 + np.searchsorted(known, v, side="right")) for v in values)
    return train, made, real


def _pairs(columns: list[tuple[str, IntArray, IntArray, IntArray]]) -> Iterator[_Pair]:
    """The pairs of columns of which some values are frequent enough to be expected together."""
    held = [(name, *_held(*codes)) for name, *codes in columns]
    for (one, size, *first), (other, width, *second) in combinations(held, 2):
        counts = np.bincount(first[0] * width + second[0], minlength=size * width).reshape(size, width)
        expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) >= EXPECTED * len(first[0])
        expected[0], expected[:, 0] = False, False
        if expected.any():
            never = expected & (counts == 0)
            yield _Pair((one, other), *(never[first[at], second[at]] for at in (1, 2)))


def _held(train: IntArray, made: IntArray, real: IntArray) -> tuple[int, IntArray, IntArray, IntArray]:
    """How many codes there are, and codes in which 0 stands for all values of too few training rows for any pair."""
    size = 1 + max(int(codes.max()) for codes in (train, made, real))
    kept = np.flatnonzero(np.bincount(train, minlength=size) >= EXPECTED)
    place = np.zeros(size, dtype=np.int64)
    place[kept] = 1 + np.arange(len(kept))
    return 1 + len(kept), place[train], place[made], place[real]


def _any(hits: list[BoolArray], rows: int) -> BoolArray:
    found: BoolArray = np.logical_or.reduce([np.zeros(rows, dtype=np.bool_), *hits])
    return found


def _metric(made: BoolArray, real: BoolArray, confidence: float, pairs: list[_Pair]) -> Metric:
    n, unit = min(len(made), len(real)), SPEC.metrics[0].unit
    if not pairs:
        nan, reading = float("nan"), "There are too few training rows for any two values to be expected together."
        return Metric("impossible_excess", nan, nan, nan, unit, n, reading, 0.0)
    bounds = proportion_difference((int(made.sum()), len(made)), (int(real.sum()), len(real)), confidence)
    reading = (
        f"{made.mean():.1%} of the synthetic rows hold two values that never go together in the training rows, where "
        f"chance alone would show both in {EXPECTED:.0f} rows or more; so do {real.mean():.1%} of unseen real rows."
    )
    worst = max(pairs, key=_gap)
    if _gap(worst) > 0:
        reading += f" Most often it is {worst.names[0]} with {worst.names[1]} ({worst.made.mean():.1%})."
    return Metric("impossible_excess", bounds.value, bounds.low, bounds.high, unit, n, reading, 0.0)


def _gap(pair: _Pair) -> float:
    return float(pair.made.mean() - pair.real.mean())


def _worst(pairs: list[_Pair]) -> Iterator[Figure]:
    """The pairs of columns whose values most often go together as they never do; nothing where there are none."""
    shown = sorted((pair for pair in pairs if pair.made.any()), key=_gap, reverse=True)[:MOST_NAMED]
    if not shown:
        return
    labels = tuple(" with ".join(pair.names) for pair in shown)
    sides = {"synthetic rows": [pair.made for pair in shown], "unseen real rows": [pair.real for pair in shown]}
    yield Figure(
        name="impossible",
        kind="bars",
        title="Columns whose values should not go together as they do",
        caption=(
            "Share of rows with two values of these columns that never go together in the training rows, although "
            "chance alone would bring them together. Unseen real rows show what is normal."
        ),
        x_label="pair of columns",
        y_label="rows, %",
        lines=tuple(
            Line(
                label,
                labels,
                tuple(float(100 * each.mean()) for each in hits),
                people=tuple(int(each.sum()) for each in hits),
            )
            for label, hits in sides.items()
        ),
    )
