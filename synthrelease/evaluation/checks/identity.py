"""Identity disclosure: a patient is matched through the quasi-identifiers, and the match teaches something new.

The measure of El Emam, Mosquera & Bass (J. Med. Internet Res. 2020, 22(11):e23139), from the side of the patients: the
chance that a synthetic row found by a patient's quasi-identifiers is that patient's, times whether that row shows a
sensitive value which the patient has and which nobody would have guessed from the population. Regulators use 0.09 (EMA
Policy 0070, Health Canada) as the most that a public release may carry. A row that matches a patient whom the generator
never saw is a coincidence and tells nothing about that patient, so the holdout's figure is taken off.
"""

from __future__ import annotations

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Column,
    Evidence,
    FloatArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._cells import cell_keys, combined
from synthrelease.evaluation.checks._pool import telling
from synthrelease.evaluation.checks.inference import right
from synthrelease.evaluation.statistics.confidence_intervals import draw, normal_bounds, per_patient

SPEC = CheckSpec(
    name="identity",
    title="Identity disclosure",
    family="privacy",
    metrics=(
        MetricSpec(
            "identity_risk",
            "Is it likely that someone finds a patient and learns something new?",
            "probability beyond that of strangers",
            "lower",
            topic="identity disclosure",
        ),
    ),
    about=(
        "For each training patient: is there a synthetic row with the same quasi-identifiers, how many training "
        "patients share them, and does such a row show a sensitive value that the patient has and that is not simply "
        "the commonest one? The product, averaged over patients, is the risk. The same figure for holdout patients, "
        "who were kept apart from training, says how much of it is coincidence."
    ),
    cost=0.1,
)


def measure(evidence: Evidence) -> CheckResult:
    """The mean risk of training patients less that of as many holdout patients."""
    known, hidden = telling(evidence.train)
    if not known or not hidden:
        note = "The schema declares no quasi-identifiers, or nothing sensitive."
        return CheckResult(SPEC.name, "not_applicable", note=note)
    rng = np.random.default_rng(evidence.seed)
    size = min(len(evidence.train), len(evidence.holdout))
    equal = [table.take(draw(rng, table, size)) for table in (evidence.train, evidence.holdout)]
    ours, theirs = (_risks(table, known, hidden, evidence.synthetic) for table in equal)
    n = min(len(ours), len(theirs))
    errors = [max(float(side.std(ddof=1)) / np.sqrt(len(side)), 1.0 / len(side)) for side in (ours, theirs)]
    gap = float(ours.mean() - theirs.mean())
    bounds = normal_bounds(gap, float(np.linalg.norm(errors)), evidence.confidence)
    text = (
        f"On average {float(ours.mean()):.2%} for a training patient and {float(theirs.mean()):.2%}, by coincidence, "
        "for a holdout patient; a number counts as learned within 5%."
    )
    spec = SPEC.metrics[0]
    metric = Metric(spec.name, bounds.value, bounds.low, bounds.high, spec.unit, n, text, 0.0)
    return CheckResult(SPEC.name, "measured", n, metrics=(metric,))


def _risks(side: Table, known: tuple[Column, ...], hidden: tuple[Column, ...], made: Table) -> FloatArray:
    """Match times learn for each patient of one side, the most exposed row counting: (patients,)."""
    places = tuple(i for i, column in enumerate(side.schema.learned) if column in known)
    keys, synthetic = (combined(cell_keys(table), places) for table in (side, made))
    _, which, held = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(synthetic, kind="stable")
    first = np.searchsorted(synthetic[order], keys, side="left")
    matches = np.searchsorted(synthetic[order], keys, side="right") - first
    found = np.minimum(first + np.maximum(matches // 2, 0), len(order) - 1)  # one of the matching rows
    learned = np.zeros(len(side), dtype=np.bool_)
    for column in hidden:
        guess = made.frame[column.name].iloc[order[found]]
        learned |= right(guess, side.frame[column.name], column) & _is_news(side, column)
    risk = np.where((matches > 0) & learned, 1.0 / held[which], 0.0)
    return per_patient(risk, side, largest=True)


def _is_news(side: Table, column: Column) -> BoolArray:
    """Whether a value would not be guessed: a label other than the commonest, a number away from the middle."""
    cells = side.frame[column.name]
    if not column.is_number:
        codes = cells.cat.codes.to_numpy()
        common = np.bincount(codes + 1).argmax() - 1
        news: BoolArray = codes != common
        return news
    values = cells.to_numpy(np.float64)
    middle = np.nanmedian(values) if not np.isnan(values).all() else 0.0
    with np.errstate(invalid="ignore"):
        away: BoolArray = ~(np.abs(values - middle) <= 0.05 * np.abs(middle))
    telling_away: BoolArray = away & ~np.isnan(values)
    return telling_away
