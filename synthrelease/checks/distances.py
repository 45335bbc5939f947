"""Distance to closest record (DCR), nearest-neighbour distance ratio (NNDR), and the near tail.

Necessary, never sufficient: tables that pass every distance test can still betray membership (Yao et al. 2025,
arXiv 2505.01524), so a policy may block a release on these numbers and must not rest one on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from synthrelease.contracts import (
    CheckResult,
    CheckSpec,
    Evidence,
    Figure,
    FloatArray,
    Line,
    Metric,
    MetricSpec,
)
from synthrelease.intervals import Bounds, draw, equal_size_share, half_sampling, patients, per_patient
from synthrelease.neighbours import Neighbours, nearest
from synthrelease.space import Points, Space

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
        ),
        MetricSpec(
            "nndr_gap",
            "Do synthetic rows cling to single training patients?",
            "difference of the 5th percentiles of NNDR",
            "lower",
        ),
        MetricSpec(
            "near_tail_share",
            "Are the patients closest to the synthetic table those it was trained on?",
            "share of the closest patients, sides equally large",
            "lower",
        ),
        MetricSpec(
            "near_tail_p",
            "Could chance explain how many training patients are closest to the synthetic table?",
            "probability",
            "higher",
        ),
    ),
    about=(
        "Measures how far each synthetic row lies from the closest training patient (DCR) and how that compares with "
        "the closest holdout patient, with equally many patients on both sides. NNDR divides the distance to the "
        "closest patient by that to the second closest: a small ratio means that a synthetic row clings to one person. "
        "The near tail looks only at the patients who lie closest to any synthetic row and counts how many were in the "
        "training data. Distances can block a release; they are never enough to allow one."
    ),
)

DRAWS = 60
ENOUGH_NEIGHBOURS = 1e-4  # probability that none of a query's listed neighbours falls into a random half
TAIL_SHARE = 0.01
TAIL_ROWS = 60
SCANNED_TAILS = (15, 30, 60, 120, 240, 480)
NNDR_READING = (
    "NNDR compares the closest patient with the second closest; its 5th percentile towards holdout patients is "
    "{:+.3f} above that towards training patients."
)
MOST_QUERIES = 20_000
CURVE = tuple(float(q) for q in np.linspace(0.01, 0.99, 50))


@dataclass(frozen=True, slots=True)
class _Sides:
    """Each synthetic row's nearest training and holdout rows, listed deeply enough for random halves."""

    train: Neighbours
    holdout: Neighbours


def measure(evidence: Evidence) -> CheckResult:
    """Compare the synthetic rows' distances to training and to holdout patients."""
    rng = np.random.default_rng(evidence.seed)
    whole, evidence = evidence, _balanced(rng, evidence)
    train, holdout = evidence.train, evidence.holdout
    space = Space.fit(train, holdout)
    real = (space.embed(train.frame), space.embed(holdout.frame))
    chosen = np.sort(rng.permutation(len(evidence.synthetic))[:MOST_QUERIES])
    synthetic = space.embed(evidence.synthetic.frame.iloc[chosen])
    size = min(len(train), len(holdout)) // 2
    sides = _Sides(*(nearest(synthetic, base, _depth(len(base), size)) for base in real))
    dcr = half_sampling(lambda: _dcr_share(rng, evidence, sides, size), DRAWS, evidence.confidence)
    nndr = half_sampling(lambda: _nndr_gap(rng, evidence, sides, size), DRAWS, evidence.confidence)
    n = min(len(synthetic), *(patients(table) for table in (train, holdout)))
    metrics = (
        _metric(
            "dcr_share", dcr, n, "{:.1%} of synthetic rows lie closer to a training patient; 50% is expected.", 0.5
        ),
        _metric("nndr_gap", nndr, n, NNDR_READING, 0.0),
        *_near_tail(whole),
    )
    figures = (_curves(rng, evidence, sides, real),)
    return CheckResult(check=SPEC.name, status="measured", n=n, metrics=metrics, figures=figures)


def _balanced(rng: np.random.Generator, evidence: Evidence) -> Evidence:
    """Keep at most four training rows a holdout row: sides are compared at equal size, and lists stay short."""
    most = 4 * len(evidence.holdout)
    if len(evidence.train) <= most:
        return evidence
    return replace(evidence, train=evidence.train.take(draw(rng, evidence.train, most)))


def _depth(rows: int, size: int) -> int:
    """How many neighbours to list so that a random ``size`` of ``rows`` almost surely contains two of them."""
    kept = min(size / rows, 0.999)
    return min(rows, 2 + int(np.ceil(np.log(ENOUGH_NEIGHBOURS) / np.log(1.0 - kept))))


def _two_nearest(found: Neighbours, kept: FloatArray) -> FloatArray:
    """Distances (queries, 2) to the two nearest of the listed neighbours whose row is kept (a mask over base rows)."""
    inside = kept[found.index] > 0
    first = inside.argmax(axis=1)
    rest = inside.copy()
    rest[np.arange(len(rest)), first] = False
    pair = np.column_stack([first, rest.argmax(axis=1)])
    return np.take_along_axis(found.distance, pair, axis=1)


def _halves(rng: np.random.Generator, evidence: Evidence, sides: _Sides, size: int) -> tuple[FloatArray, FloatArray]:
    """Distances to the two nearest rows in equally large random parts of train and holdout, for half the queries."""
    rows = len(sides.train.index)
    queries = rng.permutation(rows)[: max(2, rows // 2)]
    out = []
    for table, found in ((evidence.train, sides.train), (evidence.holdout, sides.holdout)):
        kept = np.zeros(len(table))
        kept[draw(rng, table, size)] = 1.0
        out.append(_two_nearest(Neighbours(found.distance[queries], found.index[queries]), kept))
    return out[0], out[1]


def _dcr_share(rng: np.random.Generator, evidence: Evidence, sides: _Sides, size: int) -> float:
    train, holdout = (pair[:, 0] for pair in _halves(rng, evidence, sides, size))
    return float(np.mean(train < holdout) + 0.5 * np.mean(train == holdout))


def _nndr_gap(rng: np.random.Generator, evidence: Evidence, sides: _Sides, size: int) -> float:
    train, holdout = (np.quantile(nndr(pair), 0.05) for pair in _halves(rng, evidence, sides, size))
    return float(holdout - train)


def nndr(pairs: FloatArray) -> FloatArray:
    """Ratio of the nearest to the second nearest distance (rows, 2) -> (rows,); 1 where both are 0."""
    return np.divide(pairs[:, 0], pairs[:, 1], out=np.ones(len(pairs)), where=pairs[:, 1] > 0)


def _near_tail(evidence: Evidence) -> tuple[Metric, Metric]:
    """The patients nearest to any synthetic row: share of training patients among them, and a scan over tail sizes."""
    space = Space.fit(evidence.train, evidence.holdout)
    made = space.embed(evidence.synthetic.frame)
    gaps = [
        per_patient(nearest(space.embed(table.frame), made, 1).distance[:, 0], table, largest=False)
        for table in (evidence.train, evidence.holdout)
    ]
    sizes = (len(gaps[0]), len(gaps[1]))
    near = _nearest_sides(gaps, max(TAIL_ROWS, round(TAIL_SHARE * sum(sizes))))
    bounds = equal_size_share(near, sizes, evidence.confidence)
    expected = sum(near) * sizes[0] / sum(sizes)
    text = (
        f"Of the {sum(near):,} patients closest to any synthetic row, {near[0]:,} were in the training data; "
        f"{expected:.0f} would be expected from the sizes of the two groups."
    )
    share = _metric("near_tail_share", bounds, sum(near), text, 0.5)
    return share, _scan(gaps, sizes)


def _nearest_sides(gaps: list[FloatArray], count: int) -> tuple[int, int]:
    """How many training and holdout patients are among the ``count`` nearest (and those tied with the last)."""
    limit = np.sort(np.concatenate(gaps))[: max(1, count)][-1]
    return int((gaps[0] <= limit).sum()), int((gaps[1] <= limit).sum())


def _scan(gaps: list[FloatArray], sizes: tuple[int, int]) -> Metric:
    """Sign tests of the nearest 15 to 480 patients, the smallest p-value times the number of tests (Bonferroni).

    A fixed share of a large table dilutes a few dozen exact copies; here they show. Blurred ones may escape. The
    p-value is computed, not estimated, so both ends of its interval are the value itself.
    """
    chance = sizes[0] / sum(sizes)
    tests = []
    for count in SCANNED_TAILS:
        near = _nearest_sides(gaps, count)
        tests.append((float(stats.binomtest(near[0], sum(near), chance, alternative="greater").pvalue), near))
    smallest, near = min(tests)
    value = min(1.0, smallest * len(tests))
    text = (
        f"In the most telling group, {near[0]:,} of the {sum(near):,} closest patients were in the training data; "
        f"chance would do that in {_in_words(value)}."
    )
    return _metric("near_tail_p", Bounds(value, value, value), sum(near), text, 1.0)


def _in_words(chance: float) -> str:
    return (
        f"{chance:.0%} of honest tables" if chance >= 0.01 else f"fewer than 1 in {int(1 / max(chance, 1e-9)):,} tables"
    )


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    text = reading.format(bounds.value)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, text, reference)


def _curves(rng: np.random.Generator, evidence: Evidence, sides: _Sides, real: tuple[Points, Points]) -> Figure:
    """Quantile curves of three distances: synthetic to train, synthetic to holdout, holdout to train."""
    size = min(len(evidence.train), len(evidence.holdout))
    part = draw(rng, evidence.train, size)
    kept = np.zeros(len(evidence.train))
    kept[part] = 1.0
    to_train = _two_nearest(sides.train, kept)[:, 0]
    between = nearest(real[1], real[0][part], 1).distance[:, 0]
    named = {
        "synthetic to training patients": to_train,
        "synthetic to holdout patients": sides.holdout.distance[:, 0],
        "holdout to training patients (real to real)": between,
    }
    lines = tuple(
        Line(label, tuple(float(v) for v in np.quantile(values, CURVE)), tuple(100 * q for q in CURVE))
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
