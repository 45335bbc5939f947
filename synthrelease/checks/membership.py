"""Membership inference: can an attacker tell who was in the training data?

The attack is DOMIAS (van Breugel et al. 2023, arXiv 2302.12580) with nearest-neighbour densities: a person is taken
for a member where the synthetic table is denser than the population around that person's row. The population is a
reference sample; without one of its own it is cross-fitted from the holdout, so that no person is ever compared with
a reference that contains that person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthrelease.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Evidence,
    Figure,
    FloatArray,
    Line,
    Metric,
    MetricSpec,
)
from synthrelease.intervals import Bounds, auc, draw, per_patient, proportion, proportion_difference, two_folds
from synthrelease.neighbours import nearest
from synthrelease.space import Points, Space

SPEC = CheckSpec(
    name="membership",
    title="Membership inference attack",
    family="privacy",
    metrics=(
        MetricSpec(
            "mia_auc", "Can an attacker tell who was in the training data?", "area under the ROC curve", "lower"
        ),
        MetricSpec(
            "tpr_at_1pct_fpr",
            "Can an attacker point at a few training patients with confidence?",
            "share of training patients",
            "lower",
        ),
        MetricSpec(
            "mia_advantage",
            "How much better than guessing is the attacker at best?",
            "true minus false positive rate",
            "lower",
        ),
    ),
    about=(
        "An attacker who holds the synthetic table, a sample of the same population and one person's full row guesses "
        "whether that person was in the training data, by comparing how crowded the synthetic table and the population "
        "are around that row (DOMIAS, nearest-neighbour densities). Tried on every training patient and every holdout "
        "patient. An AUC of 0.5 is guessing; the true positive rate at 1% false alarms shows whether a few people can "
        "be named with confidence."
    ),
)

NEIGHBOURS = (1, 5, 25)
MOST_PEOPLE = 20_000
FALSE_POSITIVES = 0.01
ROC_POINTS = tuple(float(x) for x in np.concatenate([np.geomspace(0.002, 0.1, 20), np.linspace(0.12, 1.0, 23)]))


@dataclass(frozen=True, slots=True)
class _Scores:
    """Attack scores a patient (higher = rather a member) and the fold (False/True) each was scored in."""

    members: FloatArray
    others: FloatArray
    member_fold: BoolArray
    other_fold: BoolArray


def measure(evidence: Evidence) -> CheckResult:
    """Attack every training and holdout patient, and bound the attack's success."""
    scores = _attack(evidence)
    confidence = evidence.confidence
    n, m = len(scores.members), len(scores.others)
    area = auc(scores.members, scores.others, confidence)
    hits, false_share = _at_threshold(scores)
    rate = _with_threshold_doubt((hits, n), (round(false_share * m), m), confidence)
    gain = _advantage(scores, confidence)
    metrics = (
        _metric(
            "mia_auc", area, min(n, m), f"Tried on {n:,} training and {m:,} holdout patients; 0.5 is guessing.", 0.5
        ),
        _metric(
            "tpr_at_1pct_fpr",
            rate,
            m,
            f"At a threshold meant for 1% false alarms (set on other patients, {false_share:.1%} came out) the attack "
            f"finds {hits:,} of {n:,} training patients.",
            FALSE_POSITIVES,
        ),
        _metric(
            "mia_advantage",
            gain,
            min(n, m),
            f"The attack points at {100 * gain.value:.0f} more of 100 training patients than of 100 others.",
            0.0,
        ),
    )
    return CheckResult(check=SPEC.name, status="measured", n=min(n, m), metrics=metrics, figures=(_roc(scores),))


def _attack(evidence: Evidence) -> _Scores:
    """Score people in two folds: in each, one half of the holdout is the reference and the other half is attacked."""
    rng = np.random.default_rng(evidence.seed)
    train = evidence.train.take(draw(rng, evidence.train, MOST_PEOPLE))
    holdout = evidence.holdout.take(draw(rng, evidence.holdout, MOST_PEOPLE))
    space = Space.fit(train, holdout)
    synthetic = space.embed(evidence.synthetic.frame)
    folds = two_folds(rng, train), two_folds(rng, holdout)
    points = space.embed(train.frame), space.embed(holdout.frame)
    dense = tuple(_log_distances(side, synthetic) for side in points)
    sparse = [np.empty_like(side) for side in dense]
    for fold in (False, True):
        reference = points[1][folds[1] != fold] if evidence.reference is None else space.embed(evidence.reference.frame)
        for side in (0, 1):
            sparse[side][folds[side] == fold] = _log_distances(points[side][folds[side] == fold], reference)
    members, others = (
        per_patient((sparse[side] - dense[side]).mean(axis=1), table, largest=True)
        for side, table in enumerate((train, holdout))
    )
    patient_folds = [
        per_patient(fold.astype(np.float64), table, largest=True) > 0
        for fold, table in zip(folds, (train, holdout), strict=True)
    ]
    return _Scores(members, others, patient_folds[0], patient_folds[1])


def _log_distances(points: Points, base: Points) -> FloatArray:
    """Log distance to the k-th nearest base row, one column for each k in NEIGHBOURS: (n, 3)."""
    found = nearest(points, base, max(NEIGHBOURS)).distance
    columns = [min(k, found.shape[1]) - 1 for k in NEIGHBOURS]
    # A floor far below any real distance: a copy scores high without being infinite.
    return np.log(found[:, columns] + 1e-6)


def _at_threshold(scores: _Scores) -> tuple[int, float]:
    """Members found at the threshold that 1% of the *other* fold's non-members exceed, and the false share seen."""
    hits = false = 0
    for fold in (False, True):
        threshold = _upper_quantile(scores.others[scores.other_fold != fold], FALSE_POSITIVES)
        hits += int((scores.members[scores.member_fold == fold] > threshold).sum())
        false += int((scores.others[scores.other_fold == fold] > threshold).sum())
    return hits, false / len(scores.others)


def _with_threshold_doubt(hits: tuple[int, int], false: tuple[int, int], confidence: float) -> Bounds:
    """Bounds of the true positive rate, the favourable end lowered by what the threshold may let through beyond 1%.

    The threshold was set on few people. Two allowances are made and the larger one counts: the exact false positive
    rate of a threshold at the r-th highest of n scores is Beta(r, n - r + 1) distributed; and where rows tie, more
    false alarms may be seen than were meant, which the difference of the two rates takes into account.
    """
    rate = proportion(*hits, confidence)
    fold = false[1] // 2
    rank = max(1, round(FALSE_POSITIVES * fold))
    most = float(stats.beta.ppf(confidence, rank, fold - rank + 1))
    beyond_seen = proportion_difference(hits, false, confidence).low + FALSE_POSITIVES
    low = min(rate.low - max(0.0, most - FALSE_POSITIVES), beyond_seen)
    return Bounds(rate.value, max(0.0, low), rate.high)


def _upper_quantile(values: FloatArray, share: float) -> float:
    return float(np.quantile(values, 1.0 - share, method="higher"))


def _advantage(scores: _Scores, confidence: float) -> Bounds:
    """TPR - FPR at the threshold that is best on the other fold, with Newcombe's bounds."""
    hits = false = 0
    for fold in (False, True):
        members = scores.members[scores.member_fold != fold]
        others = scores.others[scores.other_fold != fold]
        grid = np.unique(np.concatenate([members, others]))
        gain = np.searchsorted(np.sort(others), grid) / len(others) - np.searchsorted(np.sort(members), grid) / len(
            members
        )
        threshold = grid[gain.argmax()]
        hits += int((scores.members[scores.member_fold == fold] >= threshold).sum())
        false += int((scores.others[scores.other_fold == fold] >= threshold).sum())
    return proportion_difference((hits, len(scores.members)), (false, len(scores.others)), confidence)


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, reference)


def _roc(scores: _Scores) -> Figure:
    thresholds = np.quantile(scores.others, 1.0 - np.array(ROC_POINTS))
    found = [float((scores.members > threshold).mean()) for threshold in thresholds]
    return Figure(
        name="mia_roc",
        kind="curve",
        title="What the membership attack achieves",
        caption=(
            "Share of training patients found against share of holdout patients wrongly accused. On the dashed "
            "diagonal the attacker is guessing; a curve well above it at the left edge means that some patients can "
            "be named with confidence."
        ),
        x_label="false positive rate",
        y_label="true positive rate",
        lines=(Line("attack", ROC_POINTS, tuple(found)),),
        log_x=True,
        diagonal=True,
    )
