"""One- and two-way marginals of the synthetic table against unseen real rows, with the floor that sampling sets.

All distances are total variation distances (TVD, half the sum of absolute differences). Synthetic and training rows
are compared with the holdout at equal sizes, so both carry the same sampling noise; what the synthetic rows have above
the training rows is their excess.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthrelease.checks import _pictures
from synthrelease.checks._coding import Codes, coded
from synthrelease.contracts import (
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
from synthrelease.intervals import draw, normal_bounds

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

DRAWS = 30
MOST_ROWS = 20_000
MOST_PAIRS = 200
MOST_IN_MATRIX = 14
MATRIX_DRAWS = 6
MOST_PICTURED = 12


def measure(evidence: Evidence) -> CheckResult:
    """Compare marginals at equal sizes over random halves of the rows."""
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout), len(evidence.synthetic), MOST_ROWS) // 2
    codes = coded(evidence, bins=int(np.clip(round(size ** (1 / 3)), 3, 20)))
    pairs = _pairs(rng, len(codes.levels))
    draws = [_one_draw(rng, evidence, codes, pairs, size) for _ in range(DRAWS)]
    n = 2 * size
    metrics = [_excess("marginal_tvd_excess", np.array([d.single.mean(axis=1) for d in draws]), evidence.confidence, n)]
    if pairs:
        metrics += [
            _excess("pair_tvd_excess", np.array([d.double.mean(axis=1) for d in draws]), evidence.confidence, n),
            _kept(np.array([d.shared for d in draws]), evidence.confidence, n),
        ]
    single = np.mean([d.single for d in draws], axis=0)
    figures = [_worst_columns([column.name for column in evidence.train.schema.learned], single)]
    if pairs:
        double = np.mean([d.double for d in draws], axis=0)
        figures.append(_worst_pairs(rng, evidence, codes, _far_columns(pairs, double, len(codes.levels)), size))
    figures += _pictured(evidence, single)
    return CheckResult(check=SPEC.name, status="measured", n=n, metrics=tuple(metrics), figures=tuple(figures))


@dataclass(frozen=True, slots=True)
class _Draw:
    """One random half, synthetic side first, training side second.

    ``single`` (2, columns) and ``double`` (2, pairs) are TVDs to the holdout; ``shared`` (2,) is the inner product of
    the side's dependence with the holdout's, summed over pairs.
    """

    single: FloatArray
    double: FloatArray
    shared: FloatArray


def _one_draw(
    rng: np.random.Generator, evidence: Evidence, codes: Codes, pairs: list[tuple[int, int]], size: int
) -> _Draw:
    sides = (codes.synthetic[draw(rng, evidence.synthetic, size)], codes.train[draw(rng, evidence.train, size)])
    holdout = codes.holdout[draw(rng, evidence.holdout, size)]
    single = [[_tvd(side[:, c], holdout[:, c], k) for c, k in enumerate(codes.levels)] for side in sides]
    double = np.zeros((2, len(pairs)))
    shared = np.zeros(2)
    for place, pair in enumerate(pairs):
        real = _joint(holdout, pair, codes.levels)
        for s, side in enumerate(sides):
            joint = _joint(side, pair, codes.levels)
            double[s, place] = np.abs(joint - real).sum() / 2
            shared[s] += (_dependence(joint) * _dependence(real)).sum()
    return _Draw(np.array(single), double, shared)


def _joint(codes: IntArray, pair: tuple[int, int], levels: tuple[int, ...]) -> FloatArray:
    """Relative frequencies of a pair of columns: (levels a, levels b)."""
    a, b = pair
    counts = np.bincount(codes[:, a] * levels[b] + codes[:, b], minlength=levels[a] * levels[b])
    shares: FloatArray = counts.reshape(levels[a], levels[b]) / len(codes)
    return shares


def _dependence(joint: FloatArray) -> FloatArray:
    """What the joint frequencies have beyond the product of their margins."""
    apart: FloatArray = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return joint - apart


def _tvd(first: IntArray, second: IntArray, levels: int) -> float:
    gap = np.bincount(first, minlength=levels) - np.bincount(second, minlength=levels)
    return float(np.abs(gap).sum() / (2 * len(first)))


def _pairs(rng: np.random.Generator, columns: int) -> list[tuple[int, int]]:
    """All pairs of columns, or a fixed random 200 of them in a wide table."""
    pairs = list(combinations(range(columns), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return [pairs[i] for i in np.sort(rng.choice(len(pairs), MOST_PAIRS, replace=False))]


def _excess(name: str, tvd: FloatArray, confidence: float, n: int) -> Metric:
    """``tvd`` is (draws, 2): synthetic and floor."""
    gap = tvd[:, 0] - tvd[:, 1]
    bounds = normal_bounds(float(gap.mean()), float(gap.std(ddof=1)), confidence)
    reading = f"Mean distance to unseen real rows {tvd[:, 0].mean():.3f}; fresh real rows score {tvd[:, 1].mean():.3f}."
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, 0.0)


def _kept(shared: FloatArray, confidence: float, n: int) -> Metric:
    """Share of the real dependence that comes back: <synthetic, holdout> / <train, holdout>, delta method over draws.

    Linear in the synthetic table's own dependence, so it is unbiased by sampling noise. Where the training rows
    themselves share no measurable dependence with the holdout there is nothing to keep: NaN, which meets no rule.
    """
    synthetic, train = shared[:, 0], shared[:, 1]
    name, unit = "dependence_kept", SPEC.metrics[2].unit
    if train.mean() <= 2 * train.std(ddof=1):
        nan = float("nan")
        reading = "The real columns depend on each other too little for this to be measured with so few rows."
        return Metric(name, nan, nan, nan, unit, n, reading, 1.0)
    ratio = float(synthetic.mean() / train.mean())
    bounds = normal_bounds(ratio, float((synthetic - ratio * train).std(ddof=1) / train.mean()), confidence)
    reading = (
        f"{ratio:.0%} of the real dependence between columns comes back; independent columns give back none, fresh "
        "real rows all of it. An end of the range above 1 is chance: not more than all can come back."
    )
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, 1.0)


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


def _worst_pairs(rng: np.random.Generator, evidence: Evidence, codes: Codes, chosen: list[int], size: int) -> Figure:
    """The excess of every pair among the columns that fare worst, as a triangle."""
    pairs = list(combinations(chosen, 2))
    draws = [_one_draw(rng, evidence, codes, pairs, size).double for _ in range(MATRIX_DRAWS)]
    mean = np.mean(draws, axis=0)
    names = [column.name for column in evidence.train.schema.learned]
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
