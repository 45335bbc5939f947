"""Cross-audit: for small tables, train the generator once a fold, so that every patient is a stranger once.

A holdout of 200 patients leaves every interval wide. With K folds the attack is tried on all patients as strangers and
the intervals narrow by about the square root of K. What is audited is then the procedure (this generator, these
settings, this table), not the one table that is released; the released table's own checks stand beside it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, Metric, MetricSpec, Refits, Table
from synthrelease.evaluation.checks import membership
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, z_score

SPEC = CheckSpec(
    name="cross_audit",
    title="Cross-audit of the procedure",
    family="privacy",
    metrics=(
        MetricSpec(
            "cross_mia_auc",
            "Trained again without some patients, does the generator show who was left out?",
            "area under the ROC curve",
            "lower",
            topic="cross-audit of all patients",
        ),
        MetricSpec(
            "cross_mia_auc_vulnerable",
            "Does it show which of the most isolated patients were left out?",
            "area under the ROC curve",
            "lower",
            topic="cross-audit of the most isolated patients",
        ),
        MetricSpec(
            "cross_tpr_at_1pct_fpr",
            "Can an attacker point at a few of those who were not left out?",
            "share of training patients",
            "lower",
            topic="cross-audit at 1% false alarms",
        ),
    ),
    about=(
        "Cuts all real patients into folds, trains the release's own generator once without each fold, and attacks "
        "every patient as in the membership check: those of the fold as strangers, the others as members. It audits "
        "the procedure that made the table, not the table. It runs where the policy or the steward asks for it."
    ),
    cost=0.1,
)

FEWEST_FOLDS = 2
NAMES = {"cross_mia_auc": "mia_auc", "cross_mia_auc_vulnerable": "mia_auc_vulnerable"}


SHARED = ("cross_tpr_at_1pct_fpr",)
"""Metrics whose lower bound takes off false alarms beyond plan: if every fold has these, so has the mean of many."""


def measure(evidence: Evidence) -> CheckResult:
    """Refit once a fold and pool the attacks."""
    refits = evidence.refits
    if refits is None or refits.folds == 0:
        note = "No folds were asked for." if refits else "The generator is not at hand, so it cannot be trained again."
        return CheckResult(SPEC.name, "not_applicable", note=note)
    if refits.folds < FEWEST_FOLDS:
        return CheckResult(SPEC.name, "too_few_rows", n=refits.folds, note="A cross-audit needs at least 2 folds.")
    rng = np.random.default_rng(evidence.seed)
    results = [membership.measure(fold) for fold in _folds(rng, evidence, refits)]
    n = sum(result.n for result in results)
    areas = tuple(
        _pooled(name, [result.metric(source) for result in results], evidence) for name, source in NAMES.items()
    )
    rate = _pooled("cross_tpr_at_1pct_fpr", [result.metric("tpr_at_1pct_fpr") for result in results], evidence)
    return CheckResult(SPEC.name, "measured", n, metrics=(*areas, rate))


def _folds(rng: np.random.Generator, evidence: Evidence, refits: Refits) -> list[Evidence]:
    """One piece of evidence a fold: the fold as holdout, everyone else as training rows, and what was made of them."""
    everyone = _together(evidence.train, evidence.holdout)
    units = everyone.units if everyone.units is not None else np.arange(len(everyone))
    owners, owner = np.unique(units, return_inverse=True)
    fold_of = (rng.permutation(len(owners)) % refits.folds)[owner]
    out = []
    for fold in range(refits.folds):
        train, left_out = (everyone.take(np.flatnonzero(mask)) for mask in (fold_of != fold, fold_of == fold))
        rows = min(len(evidence.synthetic), len(train))
        frame = refits.refit(train, rows, int(rng.integers(2**31)))
        made = Table(frame.reset_index(drop=True), train.schema, "synthetic")
        seed = int(rng.integers(2**31))
        out.append(replace(evidence, train=train, holdout=left_out, synthetic=made, seed=seed, refits=None))
    return out


def _together(train: Table, holdout: Table) -> Table:
    """All real rows; patients of the two tables keep apart whatever their numbers are."""
    frame = pd.concat([train.frame, holdout.frame], ignore_index=True)
    if train.units is None or holdout.units is None:
        return Table(frame, train.schema, "real")
    return Table(frame, train.schema, "real", np.concatenate([train.units, holdout.units + train.units.max() + 1]))


def _pooled(name: str, parts: list[Metric | None], evidence: Evidence) -> Metric:
    """The mean over folds, each fold's own error added up (patients are strangers once, so folds are independent)."""
    metrics = [part for part in parts if part is not None]
    z = z_score(evidence.confidence)
    value = float(np.mean([metric.value for metric in metrics]))
    reach = [
        float(np.linalg.norm([metric.value - end for metric, end in zip(metrics, ends, strict=True)])) / len(metrics)
        for ends in ([metric.low for metric in metrics], [metric.high for metric in metrics])
    ]
    if name in SHARED:
        reach[0] = value - float(np.mean([metric.low for metric in metrics]))
    bounds = Bounds(value, value - reach[0], value + reach[1])
    spec = next(spec for spec in SPEC.metrics if spec.name == name)
    n = sum(metric.n for metric in metrics)
    text = (
        f"Mean of {len(metrics):,} generators, each trained without one fold: {value:.3f} on {n:,} patients as "
        f"strangers (spread of one generator {reach[1] / z * np.sqrt(len(metrics)):.3f}). This audits the procedure."
    )
    return Metric(name, bounds.value, bounds.low, bounds.high, spec.unit, n, text, metrics[0].reference)
