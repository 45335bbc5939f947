"""One- and two-way marginals of the synthetic table against unseen real rows, with the floor that sampling sets.

All distances are total variation distances (TVD, half the sum of absolute differences). Synthetic and training rows
are compared with the holdout at equal sizes, so both carry the same sampling noise; what the synthetic rows have above
the training rows is their excess.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy import stats

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, Figure, FloatArray, Line, Metric, MetricSpec
from synthrelease.evaluation.checks import _pictures
from synthrelease.evaluation.checks._coding import Sides, coded
from synthrelease.evaluation.statistics.confidence_intervals import patients, ratio
from synthrelease.evaluation.statistics.half_sampling import (
    FEWEST_PATIENTS,
    TOO_FEW,
    Counts,
    bounds,
    complete,
    covariance,
    degrees,
    halved,
)

SPEC = CheckSpec(
    name="fidelity",
    title="Likeness of columns and of pairs of columns",
    family="fidelity",
    metrics=(
        MetricSpec(
            "marginal_tvd_excess",
            "Does each column look like the real one?",
            "mean total variation distance above sampling noise",
            "lower",
            topic="likeness of columns",
            wanted="yes",
        ),
        MetricSpec(
            "pair_tvd_excess",
            "Do pairs of columns belong together as in the real table?",
            "mean total variation distance above sampling noise",
            "lower",
            topic="likeness of pairs of columns",
            wanted="yes",
        ),
        MetricSpec(
            "dependence_kept",
            "Is the structure between columns kept?",
            "share kept (1 = as fresh real rows, 0 = as independent columns)",
            "higher",
            topic="structure between columns",
            wanted="yes",
        ),
    ),
    about=(
        "Cuts numbers into ranges, counts each column and each pair of columns, and compares the counts with "
        "those of holdout patients. Real training rows compared in the same way give the floor of sampling noise. "
        "The structure kept is how much of the real dependence between two columns (what a pair's counts have beyond "
        "the product of its columns' counts) comes back: 1 as in fresh real rows, 0 as in independent columns."
    ),
    cost=0.5,
)

MOST_ROWS = 20_000
MOST_PAIRS = 200
MOST_IN_MATRIX = 14
MOST_PICTURED = 12


def measure(evidence: Evidence) -> CheckResult:
    """Compare marginals over random halves of the patients."""
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout), len(evidence.synthetic), MOST_ROWS) // 2
    codes = coded(evidence, bins=int(np.clip(round(size ** (1 / 3)), 3, 20)))
    pairs = _pairs(rng, len(codes.levels))
    tables = (evidence.synthetic, evidence.train, evidence.holdout)
    n = min(2 * size, *map(patients, tables))
    halves = halved(rng, tables, size)
    if n < FEWEST_PATIENTS or not complete(halves):
        return CheckResult(SPEC.name, "too_few_rows", n=n, note=TOO_FEW)
    sides = Sides(codes, halves)
    single = np.stack([sides.tvd((column,)) for column in range(len(codes.levels))])  # (columns, halves, 2)
    metrics = [_excess("marginal_tvd_excess", single.mean(axis=0), sides, evidence.confidence, n)]
    figures = [_worst_columns([column.name for column in evidence.train.schema.learned], single.mean(axis=1).T)]
    if pairs:
        double, shared = _two_by_two(sides, pairs)
        metrics += [
            _excess("pair_tvd_excess", double.mean(axis=0), sides, evidence.confidence, n),
            _kept(shared, sides, evidence.confidence, n),
        ]
        far = _far_columns(pairs, double.mean(axis=1).T, len(codes.levels))
        figures.append(_worst_pairs(sides, [column.name for column in evidence.train.schema.learned], far))
    figures += _pictured(evidence, single.mean(axis=1).T)
    return CheckResult(check=SPEC.name, status="measured", n=n, metrics=tuple(metrics), figures=tuple(figures))


def _two_by_two(sides: Sides, pairs: list[tuple[int, int]]) -> tuple[FloatArray, FloatArray]:
    """Distances of pairs of columns, (pairs, halves, 2), and how much of the real dependence comes back, (halves, 2).

    The latter is the inner product of the side's dependence with the holdout's, summed over pairs.
    """
    double, shared = [], []
    for pair in pairs:
        made, train, real = sides.shares(pair)
        double.append(np.stack([np.abs(side - real).sum(axis=1) / 2 for side in (made, train)], axis=1))
        levels = (sides.codes.levels[pair[0]], sides.codes.levels[pair[1]])
        ties = [_dependence(side.reshape(len(side), *levels)) for side in (made, train, real)]
        shared.append(np.stack([(side * ties[2]).sum(axis=(1, 2)) for side in ties[:2]], axis=1))
    return np.stack(double).astype(np.float64), np.sum(shared, axis=0, dtype=np.float64)


def _dependence(joint: Counts) -> Counts:
    """What joint frequencies, (halves, levels, levels), have beyond the product of their margins."""
    apart: Counts = joint - joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    return apart


def _pairs(rng: np.random.Generator, columns: int) -> list[tuple[int, int]]:
    """All pairs of columns, or a fixed random 200 of them in a wide table."""
    pairs = list(combinations(range(columns), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[i] for i in np.sort(rng.choice(len(pairs), MOST_PAIRS, replace=False))]


def _excess(name: str, tvd: FloatArray, sides: Sides, confidence: float, n: int) -> Metric:
    """``tvd`` is (halves, 2): synthetic and floor."""
    found = bounds(tvd[:, 0] - tvd[:, 1], sides.halves, confidence)
    reading = f"Mean distance to unseen real rows {tvd[:, 0].mean():.3f}; fresh real rows score {tvd[:, 1].mean():.3f}."
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, found.value, found.low, found.high, unit, n, reading, 0.0)


def _kept(shared: FloatArray, sides: Sides, confidence: float, n: int) -> Metric:
    """Share of the real dependence that comes back: <synthetic, holdout> / <train, holdout>.

    Linear in the synthetic table's own dependence, so it is unbiased by sampling noise. Where the training rows
    themselves share no measurable dependence with the holdout there is nothing to keep: NaN, which meets no rule.
    """
    top, bottom = (float(side) for side in shared.mean(axis=0))
    doubt = covariance(shared)
    name, unit = "dependence_kept", SPEC.metrics[2].unit
    found = ratio(top, bottom, doubt, float(stats.t.ppf(confidence, degrees(sides.halves))))
    if bottom <= 2 * np.sqrt(doubt[1, 1]) or np.isnan(found.value):
        nan = float("nan")
        reading = "The real columns depend on each other too little for this to be measured with so few rows."
        return Metric(name, nan, nan, nan, unit, n, reading, 1.0)
    reading = (
        f"{found.value:.0%} of the real dependence between columns comes back; independent columns give back none, "
        "fresh real rows all of it. An end of the range above 1 is chance: not more than all can come back."
    )
    return Metric(name, found.value, found.low, found.high, unit, n, reading, 1.0)


def _worst_columns(names: list[str], single: FloatArray) -> Figure:
    """The up to 20 columns whose marginal is farthest above the floor, worst first."""
    order = np.argsort(single[1] - single[0], kind="stable")[:20]
    labels = tuple(names[i] for i in order)
    lines = tuple(
        Line(label, labels, tuple(float(single[row, i]) for i in order))
        for row, label in enumerate(("synthetic rows", "fresh real rows (floor)"))
    )
    return Figure(
        name="marginal_tvd",
        kind="bars",
        title="Columns that differ most from the real ones",
        caption=(
            "Total variation distance of each column to unseen real rows, worst first: 0 is identical, 1 has nothing "
            "in common. Real training rows show how large the distance is by chance."
        ),
        x_label="column",
        y_label="total variation distance",
        lines=lines,
    )


def _far_columns(pairs: list[tuple[int, int]], double: FloatArray, columns: int) -> list[int]:
    """The columns whose pairs are farthest above the floor on average, in the schema's order."""
    gap = double[0] - double[1]
    total, count = np.zeros(columns), np.zeros(columns)
    for pair, value in zip(pairs, gap, strict=True):
        total[list(pair)] += value
        count[list(pair)] += 1
    mean = total / np.maximum(count, 1)
    return sorted(int(at) for at in np.argsort(-mean, kind="stable")[:MOST_IN_MATRIX])


def _worst_pairs(sides: Sides, names: list[str], chosen: list[int]) -> Figure:
    """The excess of every pair among the columns that fare worst, as a triangle."""
    pairs = list(combinations(chosen, 2))
    mean = np.stack([sides.tvd(pair).mean(axis=0) for pair in pairs]).T
    worst = pairs[int(np.argmax(mean[0] - mean[1]))]
    among = "all columns" if len(chosen) == len(names) else f"the {len(chosen)} columns that fare worst"
    return Figure(
        name="pair_tvd",
        kind="grid",
        title="Pairs of columns that do not belong together as they should",
        caption=(
            f"Pairs among {among}. The larger a square, the farther the pair's joint counts lie from those of unseen "
            "real rows, beyond what fresh real rows show by chance (total variation distance). An empty cell is no "
            f"worse than chance. The worst pair is {names[worst[0]]} with {names[worst[1]]}."
        ),
        x_label="column",
        y_label="column",
        lines=(
            Line(
                label="distance above chance",
                x=tuple(names[a] for a, _ in pairs),
                y=tuple(float(value) for value in mean[0] - mean[1]),
                row=tuple(names[b] for _, b in pairs),
            ),
        ),
    )


def _pictured(evidence: Evidence, single: FloatArray) -> list[Figure]:
    """The columns that lie farthest above the floor, one picture each, worst first, and all columns at once."""
    learned = evidence.train.schema.learned
    order = np.argsort(single[1] - single[0], kind="stable")[:MOST_PICTURED]
    notes = {
        at: f"Distance to unseen real rows {single[0][at]:.3f}; fresh real rows have {single[1][at]:.3f} by chance."
        for at in order
    }
    columns = [_pictures.column_figure(evidence, learned[at], notes[at]) for at in order]
    return [*columns, _pictures.projection(np.random.default_rng(evidence.seed), evidence)]
