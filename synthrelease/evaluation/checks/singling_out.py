"""Singling out: do predicates read off the synthetic table isolate one training patient?

The first of the three criteria of WP29 Opinion 05/2014. An attacker looks for conditions that exactly one synthetic row
meets and bets that exactly one patient meets them. Many such bets come true by chance; how many is measured on holdout
patients, in equal number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Evidence,
    FloatArray,
    IntArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._risk import INCONCLUSIVE, Trials, added, figure, largest
from synthrelease.evaluation.statistics.confidence_intervals import draw

SPEC = CheckSpec(
    name="singling_out",
    title="Singling out (WP29, criterion 1)",
    family="privacy",
    metrics=(
        MetricSpec(
            "singling_out_risk",
            "Can one patient be singled out by conditions read off the synthetic table?",
            "risk beyond that of strangers",
            "lower",
            topic="singling out",
        ),
    ),
    about=(
        "Looks for conditions that exactly one synthetic row meets, on one column (an extreme or unique value) and on "
        "three to six columns together, and counts how often exactly one training patient meets them. The same "
        "conditions are held against as many holdout patients, and random conditions against the training patients. "
        "Several rounds with new conditions are pooled."
    ),
    cost=3,
)

ROUNDS = 5
FEWEST_GUESSES, MOST_GUESSES = 400, 1_200
ROWS_A_GUESS = 16
"""A round makes as many guesses as there are 16 rows a side, within the two limits: with more of them the same few
patients would be hit again and again, and the guesses would no longer count as independent."""
WIDTHS = (3, 6)
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class _Coded:
    """Rows as numbers, (rows, columns); labels are codes; NaN is missing."""

    values: FloatArray
    is_number: BoolArray


def measure(evidence: Evidence) -> CheckResult:
    """Bet on predicates of one column and of several, for several rounds."""
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout), MOST_ROWS)
    train, holdout = (_coded(t.take(draw(rng, t, size))) for t in (evidence.train, evidence.holdout))
    made = _coded(evidence.synthetic.take(draw(rng, evidence.synthetic, MOST_ROWS)))
    single = _single(made, train, holdout, rng)
    rounds = [_several(made, train, holdout, rng) for _ in range(ROUNDS)]
    pooled = added("Conditions on one column and on three to six", [single, *rounds])
    bounds, worst = largest([pooled], evidence.confidence)
    reading = pooled.words if worst else f"{INCONCLUSIVE} {pooled.words}"
    n, spec = max(1, min(pooled.attack[1], size)), SPEC.metrics[0]
    metric = Metric(spec.name, bounds.value, bounds.low, bounds.high, spec.unit, n, reading, 0.0)
    parts = [replace(single, name="one column"), replace(added("", rounds), name="three to six columns")]
    picture = figure("singling_out_rates", "Singling one person out", parts, evidence.confidence)
    return CheckResult(SPEC.name, "measured", n, metrics=(metric,), figures=(picture,))


def _coded(table: Table) -> _Coded:
    columns = table.schema.learned
    values = [
        table.frame[c.name].to_numpy(np.float64)
        if c.is_number
        else table.frame[c.name].cat.codes.astype(np.float64).replace(-1.0, np.nan).to_numpy()
        for c in columns
    ]
    together = np.asfortranarray(np.column_stack(values))  # columns are read one at a time
    return _Coded(together, np.array([c.is_number for c in columns]))


def _single(made: _Coded, train: _Coded, holdout: _Coded, rng: np.random.Generator) -> Trials:
    """Values beyond the synthetic extremes, and labels or numbers that one synthetic row has: one column each."""
    hits = [0, 0, 0]
    guesses = 0
    for column in range(made.values.shape[1]):
        values = made.values[:, column]
        present = values[~np.isnan(values)]
        if len(present) == 0:
            continue
        distinct, counts = np.unique(present, return_counts=True)
        unique = rng.permutation(distinct[counts == 1])[: FEWEST_GUESSES // made.values.shape[1] + 1]
        bets = [(value, "equal") for value in unique]
        if made.is_number[column]:
            bets += [(present.min(), "below"), (present.max(), "above")]
        naive = rng.choice(train.values[:, column], size=len(bets))
        for (value, how), random in zip(bets, naive, strict=True):
            for place, (side, at) in enumerate(((train, value), (holdout, value), (train, random))):
                hits[place] += _count(side.values[:, column], at, how) == 1
        guesses += len(bets)
    return Trials("conditions on one column", (hits[0], guesses), (hits[1], guesses), (hits[2], guesses))


def _count(values: FloatArray, at: float, how: str) -> int:
    if how == "equal":
        return int((values == at).sum())
    return int((values <= at).sum() if how == "below" else (values >= at).sum())


def _several(made: _Coded, train: _Coded, holdout: _Coded, rng: np.random.Generator) -> Trials:
    """One round of predicates on three columns, or as many up to six as it takes, that exactly one synthetic row meets.

    A row is read at most once a round, so that the guesses of a round are about different rows.
    """
    middle = np.nanmedian(np.where(np.isnan(made.values).all(axis=0), 0.0, made.values), axis=0)
    most = int(np.clip(len(train.values) // ROWS_A_GUESS, FEWEST_GUESSES, MOST_GUESSES))
    hits = [0, 0, 0]
    guesses = 0
    width = made.values.shape[1]
    for at in rng.permutation(len(made.values)) if width > 1 else ():
        if guesses == most:
            break
        row = made.values[at]
        columns = _isolating(made, row, rng.permutation(width)[: WIDTHS[1]], middle)
        if columns is None:
            continue
        guesses += 1
        mixed = made.values[rng.integers(len(made.values), size=width), np.arange(width)]
        hits[0] += int(_met(train, row, columns, middle).sum()) == 1
        hits[1] += int(_met(holdout, row, columns, middle).sum()) == 1
        hits[2] += int(_met(train, mixed, columns, middle).sum()) == 1
    return Trials("several", (hits[0], guesses), (hits[1], guesses), (hits[2], guesses))


def _isolating(made: _Coded, row: FloatArray, columns: IntArray, middle: FloatArray) -> IntArray | None:
    """The first of the columns that together single the row out in the synthetic table; None if all do not."""
    met = _met(made, row, columns[: WIDTHS[0]], middle)
    for width in range(min(WIDTHS[0], len(columns)), len(columns) + 1):
        if width > WIDTHS[0]:
            met &= _met(made, row, columns[width - 1 : width], middle)
        if int(met.sum()) == 1:
            return columns[:width]
    return None


def _met(side: _Coded, row: FloatArray, columns: IntArray, middle: FloatArray) -> BoolArray:
    """Which rows meet a row's predicate: labels equal, numbers at least as far out on the same side of the median."""
    out = np.ones(len(side.values), dtype=np.bool_)
    for column in columns:
        values, at = side.values[:, column], row[column]
        if np.isnan(at):
            out &= np.isnan(values)
        elif side.is_number[column]:
            out &= values >= at if at > middle[column] else values <= at
        else:
            out &= values == at
    return out
