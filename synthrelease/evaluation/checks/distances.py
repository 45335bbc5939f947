"""Distance to closest record (DCR) and nearest-neighbour distance ratio (NNDR).

Necessary, never sufficient: tables that pass every distance test can still betray membership (Yao et al. 2025,
arXiv 2505.01524), so a policy may block a release on these numbers and must not rest one on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthrelease.core.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    Figure,
    FloatArray,
    IntArray,
    Line,
    Metric,
    MetricSpec,
)
from synthrelease.evaluation.checks._attacks import FLOOR
from synthrelease.evaluation.checks._control_variates import FEWEST_PATIENTS, foreseen
from synthrelease.evaluation.checks._pool import alike
from synthrelease.evaluation.statistics.confidence_intervals import (
    Bounds,
    controlled,
    draw,
    normal_bounds,
    patient_of,
    patients,
    z_score,
)
from synthrelease.evaluation.statistics.gower_embedding import Points, Space
from synthrelease.evaluation.statistics.nearest_neighbours import Neighbours, nearest

SPEC = CheckSpec(
    name="distances",
    title="Distances to the closest real patients",
    family="privacy",
    metrics=(
        MetricSpec(
            "dcr_share",
            "Are synthetic rows closer to training patients than to patients never seen?",
            "share of synthetic rows",
            "lower",
            topic="distance to the closest record",
        ),
        MetricSpec(
            "nndr_gap",
            "Do synthetic rows cling to single training patients?",
            "difference of the 5th percentiles of NNDR",
            "lower",
            topic="rows that cling to one patient",
        ),
    ),
    about=(
        "Measures how far each synthetic row lies from the closest training patient (DCR) and how that compares with "
        "the closest holdout patient, with equally many patients on both sides; in a large table, what chance has put "
        "into that by where the patients of either side lie is taken off. NNDR divides the distance to the "
        "closest patient by that to the second closest: a small ratio means that a synthetic row clings to one person. "
        "Distances can block a release; they are never enough to allow one."
    ),
    cost=5,
)

MOST_QUERIES = 20_000
MOST_TO_COMPARE = 10_000
NEARNESS = (1, 2, 5, 25)
TAIL = 0.05
GROUPS = 30
NNDR_READING = (
    "NNDR compares the closest patient with the second closest. Its 5th percentile towards holdout patients less that "
    "towards training patients is {:+.3f}: above 0, synthetic rows cling to training patients."
)
CURVE = tuple(float(q) for q in np.linspace(0.01, 0.99, 50))


@dataclass(frozen=True, slots=True)
class _Sides:
    """Each synthetic row's two nearest training and two nearest holdout rows, and the one real row nearest of all.

    ``closest`` numbers that row over both sides: synthetic rows that share it are one piece of evidence, not several.
    """

    train: Neighbours
    holdout: Neighbours
    closest: IntArray


def measure(evidence: Evidence) -> CheckResult:
    """Compare the synthetic rows' distances to training and to holdout patients."""
    rng = np.random.default_rng(evidence.seed)
    evidence = alike(evidence)
    train, holdout = evidence.train, evidence.holdout
    space = Space.fit(train, holdout)
    real = (space.embed(train.frame), space.embed(holdout.frame))
    chosen = np.sort(rng.permutation(len(evidence.synthetic))[:MOST_QUERIES])
    synthetic = space.embed(evidence.synthetic.frame.iloc[chosen])
    sides = _sides(rng, synthetic, real, evidence)
    if min(patients(train), patients(holdout)) >= FEWEST_PATIENTS:
        dcr = _controlled_share(rng, sides, real, evidence)
    else:
        dcr = _dcr_share(sides, (len(train), len(holdout)), evidence.confidence)
    gap = _nndr_gap(rng, sides, evidence.confidence)
    n = min(len(synthetic), *(patients(table) for table in (train, holdout)))
    metrics = (
        _metric(
            "dcr_share",
            dcr,
            n,
            "{:.1%} of synthetic rows lie closer to a training patient, both groups taken as equally large; 50% is "
            "expected.",
            0.5,
        ),
        _metric("nndr_gap", gap, n, NNDR_READING, 0.0),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=metrics, figures=(_curves(rng, evidence, synthetic, real),))


def _sides(rng: np.random.Generator, synthetic: Points, real: tuple[Points, Points], evidence: Evidence) -> _Sides:
    train, holdout = (nearest(synthetic, points, 2) for points in real)
    owners = [patient_of(table) for table in (evidence.train, evidence.holdout)]
    first = train.distance[:, 0], holdout.distance[:, 0]
    is_tie = first[0] == first[1]
    ours = (first[0] < first[1]) | (is_tie & (rng.random(len(synthetic)) < 0.5))
    closest = np.where(ours, owners[0][train.index[:, 0]], -1 - owners[1][holdout.index[:, 0]])
    return _Sides(train, holdout, np.unique(closest, return_inverse=True)[1])


def _dcr_share(sides: _Sides, sizes: tuple[int, int], confidence: float) -> Bounds:
    """Share of synthetic rows nearer to training rows, as if both sides were equally large; ties count one half.

    Where neither side is favoured, a side of twice the size is nearest twice as often; so the odds are divided by the
    ratio of sizes. The error is that of a mean over clusters: a real patient who is the closest one of many synthetic
    rows counts once, whichever side the patient is on.
    """
    nearer = np.sign(sides.holdout.distance[:, 0] - sides.train.distance[:, 0]) / 2 + 0.5
    share = float(nearer.mean())
    sums = np.bincount(sides.closest, weights=nearer - share)
    counts = np.bincount(sides.closest)
    # Sides are cut from one finite pool: whoever is not a member is a stranger, which takes this much of the variance.
    finite = max(1.0 - len(nearer) ** 2 / (sum(sizes) * float((counts**2).sum())), 0.1)
    spread = max(float(np.sqrt((sums**2).sum() * finite)), 1.0) / len(nearer)
    raw = normal_bounds(share, spread, confidence)

    def scaled(value: float) -> float:
        value = float(np.clip(value, 0.0, 1.0))
        return value * sizes[1] / (value * sizes[1] + (1.0 - value) * sizes[0])

    return Bounds(scaled(raw.value), scaled(raw.low), scaled(raw.high))


def _controlled_share(
    rng: np.random.Generator, sides: _Sides, real: tuple[Points, Points], evidence: Evidence
) -> Bounds:
    """The same share less what chance has put into it: patients who lie alone are the closest of more synthetic rows.

    How many rows a patient is the closest of is foreseen by how near other real rows lie.
    The gap of that count between the sides, less that of what was foreseen, is turned into a share.
    """
    tables = evidence.train, evidence.holdout
    owners = [patient_of(table) for table in tables]
    nearer = np.sign(sides.holdout.distance[:, 0] - sides.train.distance[:, 0]) / 2 + 0.5
    won = nearer, 1.0 - nearer
    at = sides.train.index[:, 0], sides.holdout.index[:, 0]
    rows = np.concatenate(
        [np.bincount(i, weights=w, minlength=len(t)) for i, w, t in zip(at, won, tables, strict=True)]
    )
    owner = np.concatenate([owners[0], owners[1] + owners[0].max() + 1])
    likely = foreseen(rng, _nearness(rng, np.concatenate(real)), rows, owner)
    cut = len(evidence.train)
    # A patient's rows, per row of the side: sides whose patients have more rows each stay comparable.
    counts, control = (
        [
            np.bincount(who, weights=part) * (int(who.max()) + 1) / len(who)
            for who, part in zip(owners, (values[:cut], values[cut:]), strict=True)
        ]
        for values in (rows, likely)
    )
    gaps = float(counts[0].mean() - counts[1].mean()), float(control[0].mean() - control[1].mean())
    bounds = controlled(
        gaps, list(zip(counts, control, strict=True)), evidence.confidence, fewest=min(map(len, counts))
    )
    sizes = len(evidence.train), len(evidence.holdout)

    def share(gap: float) -> float:
        ours = (len(nearer) + sizes[1] * gap) / sum(sizes)  # the sides' mean counts add up to all synthetic rows
        return float(np.clip(ours / (2 * ours - gap), 0.0, 1.0))

    return Bounds(share(bounds.value), share(bounds.low), share(bounds.high))


def _nearness(rng: np.random.Generator, points: Points) -> FloatArray:
    """Log distances of each real row to the nearest other ones of a random sample of both sides: (rows, 4)."""
    sample = rng.permutation(len(points))[:MOST_TO_COMPARE]
    found = nearest(points, points[sample], max(NEARNESS) + 1)
    is_self = sample[found.index] == np.arange(len(points))[:, None]
    others = np.where(is_self, np.inf, found.distance)
    others.sort(axis=1)
    near: FloatArray = np.log(others[:, [k - 1 for k in NEARNESS]] + FLOOR)
    return near


def _nndr_gap(rng: np.random.Generator, sides: _Sides, confidence: float) -> Bounds:
    """Difference of the 5th percentiles of NNDR, which hardly depends on how many rows a side has.

    The error is that of a jackknife over 30 random groups of real patients with all synthetic rows closest to them; it
    is not known where one patient is the closest of all rows.
    """
    ratios = [nndr(side.distance) for side in (sides.holdout, sides.train)]
    value = float(np.quantile(ratios[0], TAIL) - np.quantile(ratios[1], TAIL))
    group = rng.integers(GROUPS, size=int(sides.closest.max()) + 1)[sides.closest]
    if len(np.unique(group)) < 2:
        return Bounds(value, float("nan"), float("nan"))
    without = [
        float(np.quantile(ratios[0][group != g], TAIL) - np.quantile(ratios[1][group != g], TAIL))
        for g in np.unique(group)
    ]
    few = float(stats.t.ppf(confidence, len(without) - 1)) / z_score(confidence)  # few groups know their spread less
    spread = few * float(np.sqrt((len(without) - 1) * np.var(without)))
    return normal_bounds(value, spread, confidence)


def nndr(pairs: FloatArray) -> FloatArray:
    """Ratio of the nearest to the second nearest distance (rows, 2) -> (rows,); 1 where both are 0."""
    return np.divide(pairs[:, 0], pairs[:, 1], out=np.ones(len(pairs)), where=pairs[:, 1] > 0)


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    text = reading.format(bounds.value)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, text, reference)


def _curves(rng: np.random.Generator, evidence: Evidence, synthetic: Points, real: tuple[Points, Points]) -> Figure:
    """Quantile curves of three distances at equal sizes: synthetic to train, to holdout, and holdout to train."""
    size = min(len(evidence.train), len(evidence.holdout))
    parts = [points[draw(rng, t, size)] for points, t in zip(real, (evidence.train, evidence.holdout), strict=True)]
    queries = parts[1][:MOST_QUERIES]
    named = {
        "synthetic to training patients": nearest(synthetic, parts[0], 1).distance[:, 0],
        "synthetic to holdout patients": nearest(synthetic, parts[1], 1).distance[:, 0],
        "holdout to training patients (real to real)": nearest(queries, parts[0], 1).distance[:, 0],
    }
    lines = tuple(
        Line(
            label,
            tuple(float(v) for v in np.quantile(values, CURVE)),
            tuple(100 * q for q in CURVE),
            people=tuple(round(q * len(values)) for q in CURVE),
        )
        for label, values in named.items()
    )
    return Figure(
        name="dcr_curves",
        kind="curve",
        title="Distance to the closest record (DCR)",
        caption=(
            "Share of rows whose closest real patient lies within the distance on the axis. The curve towards "
            "training patients should run where the curve towards holdout patients runs; left of it means that the "
            "table is closer to the people it was trained on."
        ),
        x_label="distance to the closest record",
        y_label="share of rows, %",
        lines=lines,
    )
