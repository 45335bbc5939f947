"""Attribute inference with the holdout as its baseline, and linear reconstruction of binary values.

A model fitted to the synthetic table predicts sensitive values of strangers as well: that is what the table is for.
Only what it predicts better for training patients than for holdout patients was leaked. Reconstruction goes for every
patient at once: counts over combinations of quasi-identifiers, taken from the synthetic table, are solved for the
patients' hidden values (Annamalai, Gadotti & Rocher, USENIX Security 2024, arXiv 2301.10053).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    Figure,
    FloatArray,
    IntArray,
    Line,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._attacks import numbers
from synthrelease.evaluation.checks._cells import cell_keys, combined
from synthrelease.evaluation.checks._pool import telling, within
from synthrelease.evaluation.statistics.confidence_intervals import (
    Bounds,
    auc,
    controlled,
    draw,
    normal_bounds,
    placements,
    z_score,
)

SPEC = CheckSpec(
    name="attributes",
    title="Attribute inference and reconstruction",
    family="privacy",
    metrics=(
        MetricSpec(
            "attribute_gap",
            "Are sensitive values of training patients easier to predict than those of others?",
            "difference of AUC, accuracy or R2",
            "lower",
            topic="attribute inference",
        ),
        MetricSpec(
            "reconstruction_gap",
            "Can hidden yes-or-no values of training patients be solved from counts?",
            "difference of ROC AUC",
            "lower",
            topic="reconstruction from counts",
        ),
    ),
    about=(
        "Fits gradient boosting on the synthetic table to every sensitive column (the target counts as one) from the "
        "quasi-identifiers, or from all other columns where none are declared, and compares how well it predicts "
        "training and holdout patients; models of real rows tell by how much one side is easier than the other by "
        "chance. For columns of two labels, counts over combinations of quasi-identifiers are "
        "also solved for every patient's value at once. The worst column counts, corrected for having looked at all."
    ),
    cost=1.5,
)

MOST_ROWS = 10_000
TARGETS = 1_000
QUERIES = 1_500
DAMPING = 3.0
FOLDS = 3
MOST_LABELS = 10
FEWEST = 20


def measure(evidence: Evidence) -> CheckResult:
    """Predict and reconstruct every sensitive column for both sides."""
    rng = np.random.default_rng(evidence.seed)
    known, hidden = telling(evidence.train)
    if not hidden or len(evidence.train.schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema declares no sensitive column and no target.")
    sides = [table.take(draw(rng, table, MOST_ROWS)) for table in (evidence.train, evidence.holdout)]
    size = min(len(side) for side in sides)
    made = evidence.synthetic.take(draw(rng, evidence.synthetic, MOST_ROWS))
    levels = _levels(evidence.confidence, len(hidden))
    gaps = [
        (secret.name, *_gap(rng, secret, _knowledge(evidence, known, secret), (made, *sides), levels))
        for secret in hidden
    ]
    binary = [secret for secret in hidden if not secret.is_number and len(secret.categories) == 2]
    levels = _levels(evidence.confidence, len(binary))
    solved = [(secret.name, *_solved(rng, secret, known, (made, *sides), levels)) for secret in binary if known]
    metrics = (
        _worst(SPEC.metrics[0], gaps, size, "no column can be predicted"),
        _worst(
            SPEC.metrics[1], solved, min(size, TARGETS), "no sensitive column has two labels, or no quasi-identifiers"
        ),
    )
    return CheckResult(SPEC.name, "measured", size, metrics=metrics, figures=(_by_column(gaps),))


def _knowledge(evidence: Evidence, known: tuple[Column, ...], secret: Column) -> tuple[Column, ...]:
    """What the intruder knows: the quasi-identifiers, or all other columns where none are declared."""
    return known or tuple(c for c in evidence.train.schema.learned if c != secret)


def _levels(confidence: float, looks: int) -> tuple[float, float]:
    """The level as asked for, and corrected for the number of columns looked at."""
    return confidence, 1.0 - (1.0 - confidence) / max(1, looks)


_Looked = tuple[str, Bounds, Bounds]
"""A sensitive column, its gap at the level asked for, and the same corrected for the number of columns."""


def _by_column(gaps: Sequence[_Looked]) -> Figure:
    """The gap of every sensitive column, largest first."""
    known = sorted(((name, gap) for name, gap, _ in gaps if np.isfinite(gap.value)), key=lambda each: -each[1].value)
    return Figure(
        name="attribute_gap",
        kind="dots",
        title="Guessing by a model, column by column",
        caption="Right of 0, training patients are predicted better than patients never seen: that much was leaked.",
        x_label="sensitive column",
        y_label="better prediction of training patients",
        lines=(
            Line(
                label="gap",
                x=tuple(name for name, _ in known),
                y=tuple(bounds.value for _, bounds in known),
                low=tuple(bounds.low for _, bounds in known),
                high=tuple(bounds.high for _, bounds in known),
            ),
        ),
    )


def _worst(spec: MetricSpec, gaps: Sequence[_Looked], n: int, missing: str) -> Metric:
    """The largest upper bound as it is, and the largest corrected lower bound."""
    found = [gap for gap in gaps if np.isfinite(gap[1].value)]
    if not found:
        nan = float("nan")
        return Metric(spec.name, nan, nan, nan, spec.unit, n, f"Not measured: {missing}.", 0.0)
    name, worst, _ = max(found, key=lambda gap: gap[1].high)
    low = min(worst.value, max(strict.low for _, _, strict in found))
    text = f"Worst for {name!r}: training patients are predicted better by {worst.value:.3f} than holdout patients."
    return Metric(spec.name, worst.value, low, worst.high, spec.unit, n, text, 0.0)


@dataclass(frozen=True, slots=True)
class _Guessed:
    """One side's truth, what a model of the synthetic rows says, and what one of other real rows says: (rows,) each."""

    truth: FloatArray
    said: FloatArray
    control: FloatArray


_UNKNOWN = Bounds(float("nan"), float("nan"), float("nan"))


def _gap(
    rng: np.random.Generator,
    secret: Column,
    columns: tuple[Column, ...],
    tables: tuple[Table, ...],
    levels: tuple[float, float],
) -> tuple[Bounds, Bounds]:
    """How much better a model of the synthetic rows predicts training patients than holdout patients, at both levels.

    Patients of one side may be easier to predict by chance. A model of real rows, cross-fitted over both sides without
    knowing who was trained on, says by how much, and that is taken off.
    """
    made, *sides = [_with(table, secret) for table in tables]
    if min(len(table) for table in (made, *sides)) < FEWEST or made.frame[secret.name].nunique() < 2:
        return _UNKNOWN, _UNKNOWN
    seed = int(rng.integers(2**31))
    inputs = [numbers(within(table, columns)).to_numpy(np.float64) for table in (made, *sides)]
    wanted, *truth = _wanted(secret, (made, *sides))
    real, answers = np.concatenate(inputs[1:]), np.concatenate(truth)
    said = _model(secret, seed, inputs[0], wanted)(real)
    control = np.empty(len(real))
    fold = rng.permutation(len(real)) % FOLDS
    for k in range(FOLDS):
        control[fold == k] = _model(secret, seed, real[fold != k], answers[fold != k])(real[fold == k])
    at = len(truth[0])
    guessed = [_Guessed(*(each[part] for each in (answers, said, control))) for part in (slice(at), slice(at, None))]
    measured = [_scored(secret, side) for side in guessed]
    if any(len(part) < 2 for side in measured for _, part in side):
        return _UNKNOWN, _UNKNOWN
    fewest = min(len(side.truth) for side in guessed)
    plain, strict = (_controlled_gap(measured, level, fewest=fewest) for level in levels)
    return plain, strict


def _wanted(secret: Column, tables: Sequence[Table]) -> list[FloatArray]:
    """What is to be predicted in each table, as numbers."""
    if secret.is_number:
        return [table.frame[secret.name].to_numpy(np.float64) for table in tables]
    codes = [table.frame[secret.name].cat.codes.to_numpy().astype(np.int64) for table in tables]
    return [each.astype(np.float64) for each in _few_labels(codes)]


def _model(secret: Column, seed: int, inputs: FloatArray, wanted: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Gradient boosting: predicts the number, the score of the second of two labels, or the likeliest label."""
    if secret.is_number:
        regressor = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=seed)
        predict: Callable[[FloatArray], FloatArray] = regressor.fit(inputs, wanted).predict
        return predict
    if len(np.unique(wanted)) < 2:
        return lambda asked: np.full(len(asked), wanted[0])
    model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed).fit(inputs, wanted)
    if len(secret.categories) != 2:
        return lambda asked: np.asarray(model.predict(asked), dtype=np.float64)
    return lambda asked: np.asarray(model.predict_proba(asked)[:, -1], dtype=np.float64)


_Sample = tuple[tuple[float, float], FloatArray]


def _scored(secret: Column, side: _Guessed) -> list[_Sample]:
    """Independent samples of one side: (the model's figure, the control's), and influences on both, (rows, 2)."""
    if not secret.is_number and len(secret.categories) == 2:
        yes = side.truth == 1
        both = [placements(score[yes], score[~yes]) for score in (side.said, side.control)]
        figures = float(both[0][0].mean()), float(both[1][0].mean())
        return [(figures, np.column_stack(pair)) for pair in zip(*both, strict=True)]
    if secret.is_number:
        pairs = [_r2(side.truth, score) for score in (side.said, side.control)]
    else:
        hits = [(score == side.truth).astype(np.float64) for score in (side.said, side.control)]
        pairs = [(float(hit.mean()), hit) for hit in hits]
    return [((pairs[0][0], pairs[1][0]), np.column_stack([pairs[0][1], pairs[1][1]]))]


def _r2(truth: FloatArray, said: FloatArray) -> tuple[float, FloatArray]:
    """R2, and each row's influence on it (the delta method): (rows,)."""
    deviation, error = (truth - truth.mean()) ** 2, (truth - said) ** 2
    spread = float(deviation.mean())
    if spread <= 0:
        return float("nan"), np.zeros(len(truth))
    value = 1.0 - float(error.mean()) / spread
    return value, (1.0 - value) * deviation / spread - error / spread


def _controlled_gap(measured: list[list[_Sample]], confidence: float, *, fewest: int) -> Bounds:
    (ours, control), (theirs, other) = (side[0][0] for side in measured)
    parts = [(rows[:, 0], rows[:, 1]) for side in measured for _, rows in side]
    return controlled((ours - theirs, control - other), parts, confidence, fewest=fewest)


def _few_labels(codes: list[IntArray]) -> list[IntArray]:
    """The ten commonest labels of the first side keep codes of their own; all others share one (a cost, not a rule)."""
    counts = np.bincount(codes[0])
    if len(counts) <= MOST_LABELS:
        return codes
    kept = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    return [np.where(np.isin(each, kept), each, -1) for each in codes]


def _with(table: Table, secret: Column) -> Table:
    return table.take(np.flatnonzero(table.frame[secret.name].notna().to_numpy()))


def _difference(first: Bounds, second: Bounds, confidence: float) -> Bounds:
    """Difference of two independent estimates with symmetric bounds."""
    z = z_score(confidence)
    spread = float(np.hypot(first.high - first.low, second.high - second.low)) / 2 / z
    return normal_bounds(first.value - second.value, spread, confidence)


def _solved(
    rng: np.random.Generator,
    secret: Column,
    known: tuple[Column, ...],
    tables: tuple[Table, ...],
    levels: tuple[float, float],
) -> tuple[Bounds, Bounds]:
    """AUC of reconstructed values of training patients less that of holdout patients, by the same attack."""
    made, *sides = tables
    scored = []
    seed = int(rng.integers(2**31))
    for side in sides:
        targets = side.take(np.arange(min(len(side), TARGETS)))
        truth = targets.frame[secret.name].cat.codes.to_numpy()
        score = _reconstruct(np.random.default_rng(seed), secret, known, (made, targets))
        scored.append((score[truth == 1], score[truth == 0]))
    plain, strict = (_difference(auc(*scored[0], level), auc(*scored[1], level), level) for level in levels)
    return plain, strict


def _reconstruct(
    rng: np.random.Generator, secret: Column, known: tuple[Column, ...], tables: tuple[Table, Table]
) -> FloatArray:
    """Least squares for the targets' hidden values from counts over one to three quasi-identifiers: (targets,).

    Each query is a combination of values that a target has; its answer is the share of synthetic rows of that
    combination that have the value, times the targets of that combination.
    """
    made, targets = (within(table, known) for table in tables)
    yes = tables[0].frame[secret.name].cat.codes.to_numpy() == 1
    cells = [cell_keys(table) for table in (made, targets)]
    rows: list[IntArray] = []
    answers: list[float] = []
    while len(answers) < QUERIES and len(rows) < QUERIES:
        columns = tuple(sorted(rng.permutation(len(known))[: int(rng.integers(1, min(3, len(known)) + 1))].tolist()))
        keys = [combined(side, columns) for side in cells]
        for key in rng.permutation(np.unique(keys[1]))[:50]:
            inside = np.flatnonzero(keys[1] == key)
            theirs: BoolArray = keys[0] == key
            share = float(yes[theirs].mean()) if theirs.any() else float(yes.mean())
            rows.append(inside)
            answers.append(share * len(inside))
    widths = [len(row) for row in rows]
    matrix = csr_matrix(
        (np.ones(sum(widths)), np.concatenate(rows), np.concatenate([[0], np.cumsum(widths)])),
        shape=(len(rows), len(targets)),
    )
    start = np.full(len(targets), float(yes.mean()))
    solution: FloatArray = start + lsqr(matrix, np.array(answers) - matrix @ start, damp=DAMPING, iter_lim=60)[0]
    return solution
