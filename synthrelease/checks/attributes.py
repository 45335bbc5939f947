"""Attribute inference with the holdout as its baseline, and linear reconstruction of binary values.

A model fitted to the synthetic table predicts sensitive values of strangers as well: that is what the table is for.
Only what it predicts better for training patients than for holdout patients was leaked. Reconstruction goes for every
patient at once: counts over combinations of quasi-identifiers, taken from the synthetic table, are solved for the
patients' hidden values (Annamalai, Gadotti & Rocher, USENIX Security 2024, arXiv 2301.10053).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from synthrelease.checks._attacks import numbers
from synthrelease.checks._cells import cell_keys, combined
from synthrelease.checks._pool import telling, within
from synthrelease.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    FloatArray,
    IntArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.intervals import Bounds, auc, draw, normal_bounds, proportion_difference, z_score

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
        ),
        MetricSpec(
            "reconstruction_gap",
            "Can hidden yes-or-no values of training patients be solved from counts?",
            "difference of ROC AUC",
            "lower",
        ),
    ),
    about=(
        "Fits gradient boosting on the synthetic table to every sensitive column (the target counts as one) from the "
        "quasi-identifiers, or from all other columns where none are declared, and compares how well it predicts "
        "training and holdout patients. For columns of two labels, counts over combinations of quasi-identifiers are "
        "also solved for every patient's value at once. The worst column counts, corrected for having looked at all."
    ),
)

MOST_ROWS = 10_000
TARGETS = 1_000
QUERIES = 1_500
DAMPING = 3.0
RESAMPLES = 100
MOST_LABELS = 10
FEWEST = 20


def measure(evidence: Evidence) -> CheckResult:
    """Predict and reconstruct every sensitive column for both sides."""
    rng = np.random.default_rng(evidence.seed)
    known, hidden = telling(evidence.train)
    if not hidden or len(evidence.train.schema.learned) < 2:
        return CheckResult(SPEC.name, "not_applicable", note="The schema declares no sensitive column and no target.")
    size = min(len(evidence.train), len(evidence.holdout), MOST_ROWS)
    sides = [table.take(draw(rng, table, size)) for table in (evidence.train, evidence.holdout)]
    made = evidence.synthetic.take(draw(rng, evidence.synthetic, MOST_ROWS))
    gaps = [
        (secret.name, _gap(rng, secret, _knowledge(evidence, known, secret), (made, *sides), confidence))
        for secret in hidden
        for confidence in _levels(evidence.confidence, len(hidden))
    ]
    binary = [secret for secret in hidden if not secret.is_number and len(secret.categories) == 2]
    solved = [
        (secret.name, _solved(rng, secret, known, (made, *sides), confidence))
        for secret in binary
        if known
        for confidence in _levels(evidence.confidence, len(binary))
    ]
    metrics = (
        _worst(SPEC.metrics[0], gaps, size, "no column can be predicted"),
        _worst(
            SPEC.metrics[1], solved, min(size, TARGETS), "no sensitive column has two labels, or no quasi-identifiers"
        ),
    )
    return CheckResult(SPEC.name, "measured", size, metrics=metrics)


def _knowledge(evidence: Evidence, known: tuple[Column, ...], secret: Column) -> tuple[Column, ...]:
    """What the intruder knows: the quasi-identifiers, or all other columns where none are declared."""
    return known or tuple(c for c in evidence.train.schema.learned if c != secret)


def _levels(confidence: float, looks: int) -> tuple[float, float]:
    """The level as asked for, and corrected for the number of columns looked at."""
    return confidence, 1.0 - (1.0 - confidence) / max(1, looks)


def _worst(spec: MetricSpec, gaps: Sequence[tuple[str, Bounds]], n: int, missing: str) -> Metric:
    """The largest upper bound as it is, and the largest corrected lower bound; pairs of (as asked, corrected)."""
    pairs = [(name, plain, strict) for (name, plain), (_, strict) in zip(gaps[::2], gaps[1::2], strict=True)]
    pairs = [pair for pair in pairs if np.isfinite(pair[1].value)]
    if not pairs:
        nan = float("nan")
        return Metric(spec.name, nan, nan, nan, spec.unit, n, f"Not measured: {missing}.", 0.0)
    name, worst, _ = max(pairs, key=lambda pair: pair[1].high)
    low = min(worst.value, max(strict.low for _, _, strict in pairs))
    text = f"Worst for {name!r}: training patients are predicted better by {worst.value:.3f} than holdout patients."
    return Metric(spec.name, worst.value, low, worst.high, spec.unit, n, text, 0.0)


def _gap(
    rng: np.random.Generator, secret: Column, columns: tuple[Column, ...], tables: tuple[Table, ...], confidence: float
) -> Bounds:
    """How much better a model of the synthetic rows predicts training patients than holdout patients."""
    made, *sides = [_with(table, secret) for table in tables]
    nothing = Bounds(float("nan"), float("nan"), float("nan"))
    inputs = [numbers(within(table, columns)) for table in (made, *sides)]
    if min(len(table) for table in (made, *sides)) < FEWEST or made.frame[secret.name].nunique() < 2:
        return nothing
    seed = int(rng.integers(2**31))
    if secret.is_number:
        model = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=seed)
        model.fit(inputs[0], made.frame[secret.name].to_numpy(np.float64))
        errors = [
            (table.frame[secret.name].to_numpy(np.float64), model.predict(x))
            for table, x in zip(sides, inputs[1:], strict=True)
        ]
        return _r2_gap(rng, errors, confidence)
    model = HistGradientBoostingClassifier(max_iter=60, early_stopping=False, random_state=seed)
    wanted, *truth = _few_labels(
        [table.frame[secret.name].cat.codes.to_numpy().astype(np.int64) for table in (made, *sides)]
    )
    model.fit(inputs[0], wanted)
    if len(secret.categories) == 2:
        areas = []
        for codes, x in zip(truth, inputs[1:], strict=True):
            score = model.predict_proba(x)[:, 1]
            areas.append(auc(score[codes == 1], score[codes != 1], confidence))
        return _difference(areas[0], areas[1], confidence)
    hits = [(int((model.predict(x) == codes).sum()), len(codes)) for codes, x in zip(truth, inputs[1:], strict=True)]
    return proportion_difference(hits[0], hits[1], confidence)


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


def _r2_gap(rng: np.random.Generator, sides: list[tuple[FloatArray, FloatArray]], confidence: float) -> Bounds:
    values, spreads = [], []
    for truth, guess in sides:
        draws = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=RESAMPLES).astype(np.float64)
        weights = np.vstack([np.ones(len(truth)), draws])
        mean = weights @ truth / weights.sum(axis=1)
        spread = weights @ truth**2 - weights.sum(axis=1) * mean**2
        r2 = 1.0 - (weights @ (truth - guess) ** 2) / np.where(spread > 0, spread, np.nan)
        values.append(float(r2[0]))
        spreads.append(float(np.nanstd(r2[1:])))
    return normal_bounds(values[0] - values[1], float(np.linalg.norm(spreads)), confidence)


def _solved(
    rng: np.random.Generator, secret: Column, known: tuple[Column, ...], tables: tuple[Table, ...], confidence: float
) -> Bounds:
    """AUC of reconstructed values of training patients less that of holdout patients, by the same attack."""
    made, *sides = tables
    areas = []
    seed = int(rng.integers(2**31))
    for side in sides:
        targets = side.take(np.arange(min(len(side), TARGETS)))
        truth = targets.frame[secret.name].cat.codes.to_numpy()
        score = _reconstruct(np.random.default_rng(seed), secret, known, (made, targets))
        areas.append(auc(score[truth == 1], score[truth == 0], confidence))
    return _difference(areas[0], areas[1], confidence)


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
