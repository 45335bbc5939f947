"""Does a patient's row come back, exactly or nearly?

Asked of each real person rather than of each synthetic row: the share of training patients who have a copy in the
synthetic table, against the share of holdout patients who have one. Both sides face the same synthetic rows, so the
difference is free of table size, and a row that is common in the population counts on both sides alike.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from synthrelease.evaluation.checks._cells import Keys, cell_keys, row_keys
from synthrelease.evaluation.checks._control_variates import FEWEST_PATIENTS, foreseen, likenesses
from synthrelease.evaluation.statistics.confidence_intervals import (
    controlled,
    patient_of,
    per_patient,
    proportion_difference,
)
from synthrelease.evaluation.statistics.gower_embedding import Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

SPEC = CheckSpec(
    name="copies",
    title="Copies of real patients",
    family="privacy",
    metrics=(
        MetricSpec(
            "exact_copy_excess",
            "Is any patient's row repeated exactly?",
            "share of training patients",
            "lower",
            topic="exact copies of patients",
        ),
        MetricSpec(
            "replicated_unique_excess",
            "Do synthetic rows repeat rows that belong to one patient alone?",
            "share of synthetic rows",
            "lower",
            topic="repeated rows that one patient alone has",
        ),
        MetricSpec(
            "near_copy_excess",
            "Is any patient's row repeated nearly?",
            "share of training patients",
            "lower",
            topic="near copies of patients",
        ),
    ),
    about=(
        "Counts the training patients whose row stands in the synthetic table, and takes away the share of holdout "
        "patients for whom the same is true by chance (kept apart from training). Also counts the synthetic rows "
        "that repeat a row which only one training patient has, against holdout rows that do. A near copy differs in "
        "one column alone, or lies closer than the closest 1% of holdout patients lie to another real patient. Where "
        "there are many, what chance gives one side more of them is foreseen from how many real rows are alike, and "
        "taken off."
    ),
    cost=4,
)

NEAR_QUANTILE = 0.01
FEWEST_COLUMNS = 8
FEWEST_HITS = 100
"""With fewer near copies than this on both sides the bounds of two proportions are the safer ones."""


def measure(evidence: Evidence) -> CheckResult:
    """Compare training and holdout patients by exact and near copies in the synthetic table."""
    keys = {side: row_keys(getattr(evidence, side)) for side in ("train", "holdout", "synthetic")}
    made = keys["synthetic"]
    exact = [_patients(np.isin(keys[side], made), getattr(evidence, side)) for side in ("train", "holdout")]
    gaps, near_limit = _distances(evidence)
    but_one = _equal_but_one(evidence)
    near = [(gap <= near_limit) | but_one[side] for side, gap in enumerate(gaps)]
    n = min(len(exact[0]), len(exact[1]))
    raw = _excess("near_copy_excess", near, evidence.confidence, "a near copy")
    is_large = n >= FEWEST_PATIENTS and sum(int(side.sum()) for side in near) >= FEWEST_HITS
    return CheckResult(
        check=SPEC.name,
        status="measured",
        n=n,
        metrics=(
            _excess("exact_copy_excess", exact, evidence.confidence, "an exact copy"),
            _replicated(evidence, keys),
            _controlled(raw, near, evidence) if is_large else raw,
        ),
    )


def _equal_but_one(evidence: Evidence) -> list[BoolArray]:
    """For training and holdout patients: does some synthetic row equal one of theirs in all columns but at most one?

    With a column left out, only rows that one real person alone has count: what several people share tells nobody.
    A row's key is the wrapping sum of its cells' hashes, so leaving a column out is one subtraction.
    """
    tables = (evidence.train, evidence.holdout, evidence.synthetic)
    cells = [cell_keys(table) for table in tables]  # (rows, columns) each
    whole = [keys.sum(axis=1, dtype=np.uint64) for keys in cells]
    hits = [np.isin(keys, whole[2]) for keys in whole[:2]]
    if cells[0].shape[1] < FEWEST_COLUMNS:  # in a narrow table, all columns but one is no copy of a person
        return [_patients(hit, table) for hit, table in zip(hits, tables, strict=False)]
    for column in range(cells[0].shape[1]):
        made = whole[2] - cells[2][:, column]
        reduced = [whole[side] - cells[side][:, column] for side in (0, 1)]
        distinct, counts = np.unique(np.concatenate(reduced), return_counts=True)
        telling = np.intersect1d(distinct[counts == 1], made)
        for side in (0, 1):
            hits[side] |= np.isin(reduced[side], telling)
    return [_patients(hit, table) for hit, table in zip(hits, tables, strict=False)]


def _replicated(evidence: Evidence, keys: Mapping[str, Keys]) -> Metric:
    """Replicated uniques: synthetic rows, against holdout rows, that equal a row of exactly one training patient.

    Both face the same training rows, so the comparison keeps its power when the synthetic table or the holdout is
    small. Rows that several patients share are left out: a generator may well repeat what is common.
    """
    train = evidence.train
    units = np.arange(len(train)) if train.units is None else train.units
    owners = pd.DataFrame({"key": keys["train"], "unit": units}).drop_duplicates()["key"].value_counts()
    singles = owners.index[owners == 1].to_numpy()
    counts = [(int(np.isin(keys[side], singles).sum()), len(keys[side])) for side in ("synthetic", "holdout")]
    bounds = proportion_difference(counts[0], counts[1], evidence.confidence)
    reading = (
        f"{counts[0][0]:,} of {counts[0][1]:,} synthetic rows repeat a row that only one training patient has, and "
        f"{counts[1][0]:,} of {counts[1][1]:,} holdout rows, which show what chance gives."
    )
    n = min(counts[0][1], counts[1][1])
    return Metric(
        "replicated_unique_excess", bounds.value, bounds.low, bounds.high, "share of synthetic rows", n, reading, 0.0
    )


def _distances(evidence: Evidence) -> tuple[list[FloatArray], float]:
    """Distance of each training and holdout patient to the nearest synthetic row, and the radius of a near copy."""
    train, holdout = evidence.train, evidence.holdout
    space = Space.fit(train, holdout)
    points = {id(table): space.embed(table.frame) for table in (train, holdout, evidence.synthetic)}
    synthetic = points[id(evidence.synthetic)]
    gaps = [
        per_patient(nearest(points[id(table)], synthetic, 1).distance[:, 0], table, largest=False)
        for table in (train, holdout)
    ]
    between = nearest(points[id(holdout)], points[id(train)], 1).distance[:, 0]
    return gaps, float(np.quantile(per_patient(between, holdout, largest=False), NEAR_QUANTILE))


def _controlled(raw: Metric, near: list[BoolArray], evidence: Evidence) -> Metric:
    """The excess less what chance has put into it: one side may hold more patients of common kinds.

    Foreseen by how many real rows of either side are equal in all but a few columns.
    """
    rng = np.random.default_rng(evidence.seed)
    tables = evidence.train, evidence.holdout
    cells = np.concatenate([cell_keys(table) for table in tables])
    owners = [patient_of(table) for table in tables]
    owner = np.concatenate([owners[0], owners[1] + owners[0].max() + 1])
    hits = np.concatenate(near).astype(np.float64)
    likely = foreseen(rng, likenesses(rng, cells), hits[owner], owner)
    at = len(evidence.train)
    control = [
        per_patient(part, table, largest=True) for part, table in zip((likely[:at], likely[at:]), tables, strict=True)
    ]
    values = [side.astype(np.float64) for side in near]
    gaps = float(values[0].mean() - values[1].mean()), float(control[0].mean() - control[1].mean())
    bounds = controlled(
        gaps, list(zip(values, control, strict=True)), evidence.confidence, fewest=min(map(len, values))
    )
    return replace(raw, value=bounds.value, low=bounds.low, high=bounds.high)


def _patients(hits: BoolArray, table: Table) -> BoolArray:
    """Whether any of a patient's rows is hit."""
    return per_patient(hits.astype(np.float64), table, largest=True) > 0.0


def _excess(name: str, sides: list[BoolArray], confidence: float, what: str) -> Metric:
    (train, n), (holdout, m) = [(int(side.sum()), len(side)) for side in sides]
    bounds = proportion_difference((train, n), (holdout, m), confidence)
    reading = (
        f"{train:,} of {n:,} training patients have {what} in the synthetic table, and {holdout:,} of {m:,} holdout "
        "patients, who show what chance gives."
    )
    return Metric(
        name=name,
        value=bounds.value,
        low=bounds.low,
        high=bounds.high,
        unit="share of training patients",
        n=min(n, m),
        reading=reading,
        reference=0.0,
    )
