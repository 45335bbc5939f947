"""The patients who lie nearest to any synthetic row: were they in the training data?

An average hides a few copied patients, the near tail shows them: k copies among the nearest give p = 2^-k at any table
size. Two readings are looked at. *Near*: the patients closest to any synthetic row. *Ratio*: the patients to whom a
synthetic row lies much closer than any other real person does, which finds blurred copies where near duplicates are
natural. Both are taken on all columns, on the quasi-identifiers with the sensitive columns, and on fixed random halves
of the columns; each real patient counts once; one exact test corrects for all looks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthrelease.core.contracts import CheckResult, CheckSpec, Column, Evidence, FloatArray, Metric, MetricSpec, Table
from synthrelease.evaluation.checks._pool import Pool, fixed_halves, pooled, telling, within
from synthrelease.evaluation.statistics.confidence_intervals import equal_size_share, exactly
from synthrelease.evaluation.statistics.gower_embedding import Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest
from synthrelease.evaluation.statistics.permutation_tests import Finding, tail_scan

SPEC = CheckSpec(
    name="near_tail",
    title="The patients nearest to the synthetic table",
    family="privacy",
    metrics=(
        MetricSpec(
            "near_tail_p",
            "Could chance explain how many training patients lie nearest to the synthetic table?",
            "probability",
            "higher",
            topic="who lies nearest to the table",
            wanted="yes",
        ),
        MetricSpec(
            "near_tail_share",
            "Are the patients nearest to the synthetic table those it was trained on?",
            "share of the nearest patients, sides equally large",
            "lower",
            topic="training patients among the nearest",
        ),
    ),
    about=(
        "Puts training and holdout patients into one pool and asks to whom the synthetic table comes nearest, and whom "
        "it approaches far closer than any other real person does. If nobody was copied, the two groups lead equally "
        "often. Looked at on all columns, on what an acquaintance may know together with what is sensitive, and on "
        "halves of the columns; the probability is corrected for all of these looks and is exact at any table size. "
        "Copies show, blurred copies too; what it cannot find is a leak spread thinly over everyone."
    ),
    cost=19,
)

TAIL_SHARE = 0.01
TAIL_PATIENTS = 120
MOST_QUERIES = 20_000
"""Synthetic rows that look for their nearest patients, a random sample; patients look among all synthetic rows."""
HALVES = 2
FLOOR = 1e-4  # distances below it count as equal: a copy leads without being infinitely far ahead


def measure(evidence: Evidence) -> CheckResult:
    """Scan the near tail of several spaces, and bound the share of training patients in it."""
    rng = np.random.default_rng(evidence.seed)
    pool = pooled(rng, evidence)
    scores = exposures(rng, pool, evidence.synthetic, spaces(pool.table))
    n = 2 * int(min(pool.member.sum(), (~pool.member).sum()))
    metrics = (
        _probability(tail_scan(rng, pool.member, scores), pool, n),
        _share(pool, scores["near, all columns"], evidence),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=metrics)


def spaces(table: Table) -> dict[str, tuple[Column, ...]]:
    """The sets of columns that are looked at, by name."""
    columns = table.schema.learned
    known, hidden = telling(table)
    sets = {"all columns": columns}
    if 2 <= len(known) + len(hidden) < len(columns) and known:
        sets["what others know and what is sensitive"] = tuple(c for c in columns if c in (*known, *hidden))
    if len(columns) >= 4:
        sets |= {f"half of the columns ({i + 1})": half for i, half in enumerate(fixed_halves(columns, HALVES))}
    return sets


def exposures(
    rng: np.random.Generator, pool: Pool, made: Table, looked_at: Mapping[str, tuple[Column, ...]]
) -> dict[str, FloatArray]:
    """Two readings a space of how near the table comes to each patient: (patients,) each, higher is nearer."""
    out = {}
    queries = np.sort(rng.permutation(len(made))[:MOST_QUERIES])
    for name, columns in looked_at.items():
        real = within(pool.table, columns)
        space = Space.fit(real)
        points, synthetic = space.embed(real.frame), space.embed(made.frame)
        to_made = nearest(points, synthetic, 1).distance[:, 0]
        to_real = nearest(synthetic[queries], points, 2)
        ahead = np.log(to_real.distance[:, 1] + FLOOR) - np.log(to_real.distance[:, 0] + FLOOR)
        lead = np.full(len(points), -np.inf)
        np.maximum.at(lead, to_real.index[:, 0], ahead)
        out[f"near, {name}"] = pool.per_patient(-to_made)
        out[f"ratio, {name}"] = pool.per_patient(lead)
    return out


def _probability(found: Finding, pool: Pool, n: int) -> Metric:
    members, everyone = int(pool.member.sum()), len(pool.member)
    text = (
        f"In the most telling of all looks ({found.name}) {found.members:,} of the {found.size:,} leading patients "
        f"were in the training data, where {found.size * members / everyone:.0f} would be expected from the sizes of "
        f"the two groups. As much shows by chance in {found.chance}, because the most telling look was picked."
    )
    bounds = exactly(found.p)
    return Metric("near_tail_p", bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, n, text, 1.0)


def _share(pool: Pool, nearness: FloatArray, evidence: Evidence) -> Metric:
    """The share of training patients among the nearest 1% (at least 120), and those tied with the last of them."""
    sizes = int(pool.member.sum()), int((~pool.member).sum())
    count = min(max(TAIL_PATIENTS, round(TAIL_SHARE * sum(sizes))), len(nearness))
    near = nearness >= np.sort(nearness)[-count]
    found = int((near & pool.member).sum()), int((near & ~pool.member).sum())
    bounds = equal_size_share(found, sizes, evidence.confidence)
    text = (
        f"Of the {sum(found):,} patients closest to any synthetic row, {found[0]:,} were in the training data; "
        f"{sum(found) * sizes[0] / sum(sizes):.0f} would be expected from the sizes of the two groups ({sizes[0]:,} "
        f"and {sizes[1]:,}). Were both groups equally large, that would be {bounds.value:.1%}; half is what chance "
        "gives."
    )
    unit = SPEC.metrics[1].unit
    return Metric("near_tail_share", bounds.value, bounds.low, bounds.high, unit, sum(found), text, 0.5)
