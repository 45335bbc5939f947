"""Would this audit have noticed? Two controls at the run's own size, and the smallest leak it would have caught.

Positive control: training rows are planted into a copy of the synthetic table; the audit must notice. Negative control:
half of the holdout is passed off as a synthetic table; the audit must stay calm. An audit that misses the first or
rejects the second is not to be believed, and its silence is no evidence: a rule on these figures can lack evidence, it
is never breached.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import numpy as np
import pandas as pd

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Evidence,
    FloatArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._pool import Pool, pooled
from synthrelease.evaluation.checks.near_tail import MOST_QUERIES, exposures, spaces
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, draw, exactly, patients, two_folds
from synthrelease.evaluation.statistics.permutation_tests import TAILS, tail_bound, tail_scan

SPEC = CheckSpec(
    name="self_test",
    title="Self-test of the audit",
    family="privacy",
    metrics=(
        MetricSpec(
            "planted_copies_p",
            "Does the audit notice training rows that are planted into the table?",
            "probability",
            "lower",
            topic="self-test with planted copies",
            wanted="yes",
        ),
        MetricSpec(
            "honest_rows_p",
            "Does the audit stay calm about real rows nobody has trained on?",
            "probability",
            "higher",
            topic="self-test with honest rows",
            wanted="yes",
        ),
        MetricSpec(
            "smallest_leak",
            "Could a large leak hide from this audit?",
            "share of synthetic rows",
            "lower",
            topic="smallest leak that would be noticed",
        ),
    ),
    about=(
        "Plants training rows into 5% of a copy of the synthetic table (20 rows at least) and looks whether the test "
        "of the nearest patients notices; passes half of the holdout off as a synthetic table and looks whether it "
        "stays calm; and finds the smallest share of copied rows that it notices in at least 80% of its tries at this "
        "table's size. Less than that may be in the table unseen. Exact copies are counted one by one elsewhere and "
        "need no such test: this one says what the audit would notice of copies in disguise."
    ),
    cost=14,
)

PLANTED_SHARE = 0.05
PLANTED_ROWS = 20
MOST_ROWS_IN_FULL = 10_000
MOST_PEOPLE = 10_000
"""Rows of either side, half of what the real test takes from a large table: the self-test promises less than that."""
POWER = 0.8
LEVEL = 0.001
"""Probability at which a leak counts as noticed for ``smallest_leak``: that of the policies that come with the "
"package."""
TRIES = 25
SIZES = tuple(int(k) for k in np.unique(np.geomspace(5, 2_000, 28).round().astype(int)))


def measure(evidence: Evidence) -> CheckResult:
    """Run the two controls and search for the smallest leak that is noticed."""
    rng = np.random.default_rng(evidence.seed)
    rows = min(len(evidence.synthetic), MOST_QUERIES)
    made = evidence.synthetic.take(np.sort(rng.permutation(len(evidence.synthetic))[:rows]))
    n = 2 * min(patients(evidence.train), patients(evidence.holdout))
    metrics = (_planted(rng, evidence, made, n), _honest(rng, evidence, n), _smallest(rng, evidence, made, n))
    return CheckResult(SPEC.name, "measured", n, metrics=metrics)


def _nearness(rng: np.random.Generator, pool: Pool, made: Table) -> dict[str, FloatArray]:
    """The readings on all columns, which copies of whole rows show in first."""
    return exposures(rng, pool, made, {"all columns": pool.table.schema.learned})


def _planted(rng: np.random.Generator, evidence: Evidence, made: Table, n: int) -> Metric:
    count = min(max(PLANTED_ROWS, round(PLANTED_SHARE * len(made))), len(made), len(evidence.train))
    places = rng.permutation(len(made))
    copied = evidence.train.take(draw(rng, evidence.train, count))
    frame = pd.concat([made.frame.iloc[places[count:]], copied.frame], ignore_index=True)
    leaky = Table(frame, made.schema, "synthetic")
    pool = pooled(rng, evidence, MOST_PEOPLE)
    every = spaces(pool.table)
    if len(pool.table) <= MOST_ROWS_IN_FULL:
        p = tail_scan(rng, pool.member, exposures(rng, pool, leaky, every)).p
    else:  # the other sets of columns are paid for as if they had been looked at
        near = _nearness(rng, pool, leaky)["near, all columns"]
        turn = rng.permutation(len(near))
        leading = pool.member[turn[np.argsort(-near[turn], kind="stable")[: TAILS[-1]]]]
        p = tail_bound(pool.member, leading, looks=2 * len(every))
    text = (
        f"{count:,} training rows planted among {len(made):,}: as much shows by chance in {p:.2%} of tables without a "
        "leak."
    )
    return Metric("planted_copies_p", p, 0.0, p, SPEC.metrics[0].unit, n, text)


def _honest(rng: np.random.Generator, evidence: Evidence, n: int) -> Metric:
    first = two_folds(rng, evidence.holdout)
    posing, kept = (evidence.holdout.take(np.flatnonzero(mask)) for mask in (first, ~first))
    pool = pooled(rng, replace(evidence, holdout=kept), MOST_PEOPLE)
    found = tail_scan(rng, pool.member, _nearness(rng, pool, posing))
    text = (
        f"{len(posing):,} holdout rows passed off as synthetic: as much shows by chance in {found.p:.1%} of tables "
        "without a leak."
    )
    return Metric("honest_rows_p", found.p, found.p, 1.0, SPEC.metrics[1].unit, n, text)


def _smallest(rng: np.random.Generator, evidence: Evidence, made: Table, n: int) -> Metric:
    pool = pooled(rng, evidence, MOST_PEOPLE)
    near = _nearness(rng, pool, made)["near, all columns"]
    looks = 2 * len(spaces(pool.table))
    seen = int(pool.member.sum()) / patients(evidence.train)  # a copy of a patient outside the sample is not seen
    unit = SPEC.metrics[2].unit
    sizes = [size for size in SIZES if size <= pool.member.sum() // 2]

    def power(size: int) -> float:
        return float(np.mean([_bound_with_copies(rng, pool.member, near, (size, looks)) < LEVEL for _ in range(TRIES)]))

    at = bisect_left(sizes, True, key=lambda size: power(size) >= POWER)
    if at < len(sizes):
        size = sizes[at]
        share = size / seen / len(evidence.synthetic)
        bounds = exactly(share)
        text = (
            f"If {size / seen:.0f} of the {len(evidence.synthetic):,} rows ({share:.2%}) were copies of patients, "
            f"exact or altered a little, at least {POWER:.0%} of {TRIES} tries would have noticed. Fewer may be there "
            "unseen, unless exact: those are counted."
        )
        return Metric("smallest_leak", bounds.value, bounds.low, bounds.high, unit, n, text)
    nothing = Bounds(float("nan"), float("nan"), float("nan"))
    text = "No leak of copied rows would have been noticed with enough certainty in a table of this size."
    return Metric("smallest_leak", nothing.value, nothing.low, nothing.high, unit, n, text)


def _bound_with_copies(rng: np.random.Generator, member: BoolArray, near: FloatArray, plant: tuple[int, int]) -> float:
    """The p that copies of some random training patients would show, by the order of nearness alone.

    ``plant`` is how many are copied, and how many looks the real test takes. A copy lies at distance 0, like every
    patient whose row the table holds by chance; behind these the others follow as they lie.
    """
    size, looks = plant
    copied = rng.permutation(np.flatnonzero(member))[:size]
    first = rng.permutation(np.union1d(copied, np.flatnonzero(near >= 0.0)))
    rest = np.argsort(-near, kind="stable")[: TAILS[-1] + len(first)]
    leading = np.concatenate([first, rest[~np.isin(rest, first)]])[: TAILS[-1]]
    return tail_bound(member, member[leading], looks=looks)
