"""Membership inference: can an attacker tell who was in the training data?

The attacks are DOMIAS (van Breugel et al. 2023, arXiv 2302.12580) with nearest-neighbour densities, the same with the
nearest row alone (which copies cannot escape), the plain distance to the nearest row, and a classifier that tells
synthetic rows from the population. No single attack is always the best, so the best one of each half of the patients is
chosen on the other half. Reported for all patients and for the most isolated ones, whom an average hides (Meeus et al.
2023, arXiv 2306.10308).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, Figure, FloatArray, Line, Metric, MetricSpec
from synthrelease.evaluation.checks._attacks import Side, attacked
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, auc, proportion, proportion_difference

SPEC = CheckSpec(
    name="membership",
    title="Membership inference attack",
    family="privacy",
    metrics=(
        MetricSpec(
            "mia_auc",
            "Can an attacker tell who was in the training data?",
            "area under the ROC curve",
            "lower",
            topic="membership attack on all patients",
        ),
        MetricSpec(
            "mia_auc_vulnerable",
            "Can an attacker tell it of the most isolated patients?",
            "area under the ROC curve",
            "lower",
            topic="membership attack on the most isolated patients",
        ),
        MetricSpec(
            "tpr_at_1pct_fpr",
            "Can an attacker point at a few training patients with confidence?",
            "share of training patients",
            "lower",
            topic="membership attack at 1% false alarms",
        ),
        MetricSpec(
            "tpr_at_01pct_fpr",
            "Can an attacker point at a few training patients with near certainty?",
            "share of training patients",
            "lower",
            topic="membership attack at 0.1% false alarms",
        ),
        MetricSpec(
            "tpr_vulnerable",
            "Can an attacker point at some of the most isolated patients with confidence?",
            "share of isolated training patients",
            "lower",
            topic="membership attack on isolated patients at 1% false alarms",
        ),
        MetricSpec(
            "mia_advantage",
            "Does the attacker, at best, do much better than guessing?",
            "true minus false positive rate",
            "lower",
            topic="largest gain of the membership attack",
        ),
    ),
    about=(
        "An attacker who holds the synthetic table, a sample of the same population and one person's full row guesses "
        "whether that person was in the training data. Four attacks compare how crowded the synthetic table and the "
        "population are around that row; for each half of the patients the attack that did best on the other half is "
        "used. Tried on training and holdout patients, and again on those who lie farthest from all others. An AUC of "
        "0.5 is guessing; the true positive rate at 1% false alarms shows whether a few people can be named with "
        "confidence."
    ),
    cost=9,
)

GUESSING = 0.5
FOLDS_TOGETHER = 0.3
"""Correlation of the two folds' areas where either half of the holdout is the other half's reference.

Where the halves differ by chance, both folds' areas move alike. In 400 honest tables (adult, diabetes130 and stroke,
500 to 10,000 rows a side) the mean of two areas scattered 1.14 times as far as of independent folds, which is 0.3;
between normal points it is 0.16 to 0.25. A reference sample of its own makes the folds independent.
"""
ISOLATED_SHARE = 0.05
ISOLATED = 500
LARGEST_ISOLATED_SHARE = 0.25
ENOUGH_OTHERS = 1_000
"""Patients never seen by the generator below which a false positive rate of 0.1% cannot be set."""
ROC_POINTS = tuple(float(x) for x in np.concatenate([np.geomspace(0.0005, 0.1, 30), np.linspace(0.12, 1.0, 23)]))

Quality = Callable[[FloatArray, FloatArray], float]


@dataclass(frozen=True, slots=True)
class _Fold:
    """Scores of the chosen attack: of the patients attacked, and of those of the other fold that set thresholds."""

    attack: str
    members: FloatArray
    others: FloatArray
    tuning_members: FloatArray
    tuning_others: FloatArray


def measure(evidence: Evidence) -> CheckResult:
    """Attack every training and holdout patient, and bound the attack's success."""
    members, others = attacked(np.random.default_rng(evidence.seed), evidence)
    isolated = _isolated(members, others)
    confidence = evidence.confidence
    by_area = _folds(members, others, _area)
    together = FOLDS_TOGETHER if evidence.reference is None else 0.0
    n = min(len(members), len(others))
    few = min(len(side) for side in isolated)
    metrics = (
        _auc("mia_auc", by_area, n, confidence, together),
        _auc("mia_auc_vulnerable", _folds(*isolated, _area), few, confidence, together),
        _rate("tpr_at_1pct_fpr", (members, others), 0.01, confidence),
        _rate("tpr_at_01pct_fpr", (members, others), 0.001, confidence),
        _rate("tpr_vulnerable", isolated, 0.01, confidence),
        _advantage(by_area, confidence),
    )
    return CheckResult(
        SPEC.name, "measured", n, metrics=metrics, figures=(_roc(by_area, _folds(*isolated, _area), confidence),)
    )


def _isolated(members: Side, others: Side) -> tuple[Side, Side]:
    """The most isolated patients of both sides: above one common limit, so that the two groups are alike."""
    everyone = np.concatenate([members.isolation, others.isolation])
    smaller = min(len(members), len(others))
    wanted = min(max(ISOLATED_SHARE * smaller, ISOLATED), LARGEST_ISOLATED_SHARE * smaller) / smaller
    limit = np.quantile(everyone, 1.0 - wanted)
    return members.only(members.isolation >= limit), others.only(others.isolation >= limit)


def _folds(members: Side, others: Side, quality: Quality) -> list[_Fold]:
    """For each fold the attack that does best on the other fold, and its scores on both."""
    out = []
    for fold in (False, True):
        tuning = members.fold != fold, others.fold != fold
        merit = {
            name: quality(score[tuning[0]], others.scores[name][tuning[1]]) for name, score in members.scores.items()
        }
        best = max(merit, key=lambda name: merit[name])
        ours, theirs = members.scores[best], others.scores[best]
        out.append(_Fold(best, ours[~tuning[0]], theirs[~tuning[1]], ours[tuning[0]], theirs[tuning[1]]))
    return out


def _area(members: FloatArray, others: FloatArray) -> float:
    if len(members) < 2 or len(others) < 2:
        return 0.0
    return auc(members, others, 0.95).value


def _auc(name: str, folds: list[_Fold], n: int, confidence: float, together: float) -> Metric:
    """The mean of the two folds' areas, whose errors have the correlation ``together``."""
    parts = [auc(fold.members, fold.others, confidence) for fold in folds]
    value = float(np.mean([part.value for part in parts]))
    first, second = ((part.high - part.low) / 2 for part in parts)
    reach = float(np.sqrt(first**2 + second**2 + 2 * together * first * second)) / 2
    bounds = Bounds(value, max(0.0, value - reach), min(1.0, value + reach))
    who = "most isolated patients of either group" if name.endswith("vulnerable") else "patients of either group"
    attacks = " and ".join(dict.fromkeys(fold.attack for fold in folds))
    guessing = "does better than guessing" if bounds.low > GUESSING else "cannot be told from guessing"
    text = f"Tried on at least {n:,} {who} ({attacks}): the attack {guessing}, which would be 0.5."
    return _metric(name, bounds, n, text, GUESSING)


def _rate(name: str, sides: tuple[Side, Side], share: float, confidence: float) -> Metric:
    """Training patients found at a threshold set on other patients, the attack chosen on those as well."""
    members, others = sides
    n, m = len(members), len(others)
    if share < 0.01 and m < ENOUGH_OTHERS:
        nan = float("nan")
        text = f"A false positive rate of {share:.1%} needs {ENOUGH_OTHERS:,} holdout patients; there are {m:,}."
        return _metric(name, Bounds(nan, nan, nan), m, text, share)
    hits = false = 0
    for fold in _folds(members, others, lambda a, b: _found(a, b, share)):
        threshold = _upper_quantile(fold.tuning_others, share)
        hits += int((fold.members > threshold).sum())
        false += int((fold.others > threshold).sum())
    bounds = _beyond_false_alarms((hits, n), (false, m), share, confidence)
    text = (
        f"The attack finds {hits:,} of {n:,} training patients. Its threshold was set on other patients so as to "
        f"accuse {share:.1%} of strangers wrongly; here it accused {false / m:.1%}."
    )
    return _metric(name, bounds, m, text, share)


def _found(members: FloatArray, others: FloatArray, share: float) -> float:
    if len(members) == 0 or len(others) == 0:
        return 0.0
    return float((members > _upper_quantile(others, share)).mean())


def _beyond_false_alarms(hits: tuple[int, int], false: tuple[int, int], share: float, confidence: float) -> Bounds:
    """Clopper-Pearson bounds of the true positive rate at thresholds of other patients.

    Such a threshold may accuse more strangers than was meant, by chance or because rows tie, and what it finds beyond
    plan is no leak. So the lower bound is one of the rate less the false alarms above ``share``: that of the difference
    of the two rates where it is the lower one.
    """
    rate = proportion(*hits, confidence)
    beyond = proportion_difference(hits, false, confidence).low + share
    return Bounds(rate.value, max(0.0, min(rate.low, beyond)), rate.high)


def _upper_quantile(values: FloatArray, share: float) -> float:
    return float(np.quantile(values, 1.0 - share, method="higher"))


def _advantage(folds: list[_Fold], confidence: float) -> Metric:
    """TPR - FPR at the threshold that is best on the other fold, with Newcombe's bounds."""
    hits = false = n = m = 0
    for fold in folds:
        threshold = _best_threshold(fold)
        hits += int((fold.members >= threshold).sum())
        false += int((fold.others >= threshold).sum())
        n, m = n + len(fold.members), m + len(fold.others)
    bounds = proportion_difference((hits, n), (false, m), confidence)
    text = f"The attack points at {100 * bounds.value:.0f} more of 100 training patients than of 100 others."
    return _metric("mia_advantage", bounds, min(n, m), text, 0.0)


def _best_threshold(fold: _Fold) -> float:
    """The score from which on TPR - FPR is largest on the other fold."""
    grid = np.unique(np.concatenate([fold.tuning_members, fold.tuning_others]))
    gain = np.searchsorted(np.sort(fold.tuning_others), grid) / len(fold.tuning_others)
    gain -= np.searchsorted(np.sort(fold.tuning_members), grid) / len(fold.tuning_members)
    return float(grid[gain.argmax()])


def _metric(name: str, bounds: Bounds, n: int, reading: str, reference: float) -> Metric:
    unit = next(spec.unit for spec in SPEC.metrics if spec.name == name)
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, n, reading, reference)


def _roc(everyone: list[_Fold], isolated: list[_Fold], confidence: float) -> Figure:
    """Both folds' patients pooled, each at thresholds of its own fold."""
    return Figure(
        name="mia_roc",
        kind="curve",
        title="What the membership attack achieves",
        caption=(
            "Share of training patients found against share of holdout patients wrongly accused, both on logarithmic "
            "axes; the bands allow for chance. On the dashed diagonal the attacker is guessing; a curve well above it "
            "at the left edge means that some patients can be named with confidence."
        ),
        x_label="false positive rate",
        y_label="true positive rate",
        lines=(
            _roc_line("attack on all patients", everyone, confidence),
            _roc_line("attack on the most isolated patients", isolated, confidence),
        ),
        log_x=True,
        diagonal=True,
        log_y=True,
    )


def _roc_line(label: str, folds: list[_Fold], confidence: float) -> Line:
    """Rates as they came out, with Clopper-Pearson bounds of the true positive rate."""
    n, m = sum(len(fold.members) for fold in folds), sum(len(fold.others) for fold in folds)
    points: dict[int, int] = {}
    for share in ROC_POINTS:
        limits = [_upper_quantile(fold.others, share) if len(fold.others) else np.inf for fold in folds]
        false = sum(int((fold.others >= limit).sum()) for fold, limit in zip(folds, limits, strict=True))
        hits = sum(int((fold.members >= limit).sum()) for fold, limit in zip(folds, limits, strict=True))
        points[false] = hits
    found = [(false, proportion(hits, n, confidence)) for false, hits in sorted(points.items()) if m and n]
    return Line(
        label=label,
        x=tuple(false / m for false, _ in found),
        y=tuple(rate.value for _, rate in found),
        low=tuple(rate.low for _, rate in found),
        high=tuple(rate.high for _, rate in found),
        people=tuple(false for false, _ in found),
    )
