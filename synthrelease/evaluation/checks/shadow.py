"""Shadow models: the strongest attacker we know, aimed at the patients who are easiest to recognise.

The release's own generator is trained many times on training sets that hold a random half of the targets each (the
most isolated real patients). For every target the attacker then knows how near synthetic rows come with and without
that patient. This is LiRA (Carlini et al. 2022, arXiv 2112.03570) with one set of shadows for all targets: with one
spread for both cases, the likelihood ratio of a target orders the releases by that nearness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Evidence,
    FloatArray,
    IntArray,
    Metric,
    MetricSpec,
    Refits,
)
from synthrelease.evaluation.checks._attacks import ISOLATION_NEIGHBOURS
from synthrelease.evaluation.checks._pool import Pool, pooled
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, normal_bounds, proportion
from synthrelease.evaluation.statistics.gower_embedding import Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

SPEC = CheckSpec(
    name="shadow",
    title="Shadow-model attack on the most isolated patients",
    family="privacy",
    metrics=(
        MetricSpec(
            "shadow_auc",
            "Can an attacker who can train the same generator tell whether an isolated patient was in the data?",
            "area under the ROC curve",
            "lower",
            topic="shadow-model attack",
        ),
        MetricSpec(
            "exposed_patients",
            "Is any isolated patient recognised in most releases that hold them?",
            "share of the patients attacked",
            "lower",
            topic="patients exposed to shadow models",
        ),
    ),
    about=(
        "Trains the same generator again and again on training sets that hold a random half of the most isolated real "
        "patients, and learns for each of them how near synthetic rows come with and without that patient. A patient "
        "is exposed where the attack finds most of the releases that hold the patient at one false alarm in ten; what "
        "chance alone exposes is taken off. It runs where the policy or the steward asks for it."
    ),
    cost=0.1,
)

SHARE_OF_TARGETS = 0.01
FEWEST_TARGETS, MOST_TARGETS = 100, 300
"""The most isolated hundredth of the patients is attacked, within these limits. Of a hundred not one may be taken for
exposed at 99% confidence below 5%, which chance spoils for one honest table in ten; of 300 it is six."""
FEWEST_MODELS = 8
FALSE_POSITIVES = 0.1
EXPOSED = 0.3
FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class _Shadows:
    """``inside`` (models, targets): who was trained on; ``score`` (models, targets): how near the rows came.

    Targets stand in order of isolation, the most isolated first.
    """

    inside: BoolArray
    score: FloatArray


def measure(evidence: Evidence) -> CheckResult:
    """Train the shadows, attack each by the others, and count the exposed."""
    refits = evidence.refits
    if refits is None or refits.shadow_models == 0:
        note = (
            "No shadow models were asked for." if refits else "The generator is not at hand, so it cannot be trained."
        )
        return CheckResult(SPEC.name, "not_applicable", note=note)
    if refits.shadow_models < FEWEST_MODELS:
        note = f"At least {FEWEST_MODELS} shadow models are needed; {refits.shadow_models} were asked for."
        return CheckResult(SPEC.name, "too_few_rows", n=refits.shadow_models, note=note)
    shadows = _trained(np.random.default_rng(evidence.seed), evidence, refits)
    metrics = (_auc(shadows, evidence.confidence), _exposed(shadows, evidence.confidence))
    return CheckResult(SPEC.name, "measured", refits.shadow_models, metrics=metrics)


def _trained(rng: np.random.Generator, evidence: Evidence, refits: Refits) -> _Shadows:
    """Fit the shadows: everyone trained on but the targets, and a random half of the targets each."""
    pool = pooled(rng, evidence)
    targets = _targets(pool)
    chosen = np.isin(pool.patient, targets)
    others = np.flatnonzero(~chosen & pool.member[pool.patient])
    half = len(targets) // 2
    space = Space.fit(pool.table)
    points = space.embed(pool.table.frame)[chosen]
    order = np.argsort(targets)
    owner = order[np.searchsorted(targets[order], pool.patient[chosen])]
    inside = np.zeros((refits.shadow_models, len(targets)), dtype=np.bool_)
    score = np.empty(inside.shape)
    turn = np.arange(len(targets))
    for model in range(refits.shadow_models):
        turn = np.roll(turn, half) if model % 2 else rng.permutation(len(targets))
        inside[model, turn[:half]] = True
        held = np.flatnonzero(chosen & np.isin(pool.patient, targets[inside[model]]))
        train = replace(pool.table.take(np.sort(np.concatenate([others, held]))), units=None)
        made = refits.refit(train, len(evidence.synthetic), int(rng.integers(2**31)))
        gap = nearest(points, space.embed(made), 1).distance[:, 0]
        best = np.full(len(targets), -np.inf)
        np.maximum.at(best, owner, -np.log(gap + FLOOR))
        score[model] = best
    return _Shadows(inside, score)


def _targets(pool: Pool) -> IntArray:
    """The patients who lie farthest from all other real patients, the most isolated first."""
    points = Space.fit(pool.table).embed(pool.table.frame)
    gaps = nearest(points, points, ISOLATION_NEIGHBOURS + 1).distance[:, 1:].mean(axis=1)
    isolation = pool.per_patient(gaps)
    count = 2 * int(np.clip(SHARE_OF_TARGETS * len(isolation), FEWEST_TARGETS, MOST_TARGETS) / 2)
    return np.argsort(-isolation, kind="stable")[:count].astype(np.int64)


def _auc(shadows: _Shadows, confidence: float) -> Metric:
    """Mean over targets of how often a release with the target scores above one without; targets are independent."""
    score = shadows.score
    areas = np.array([_area(score[:, t], shadows.inside[:, t]) for t in range(score.shape[1])])
    spread = max(float(areas.std(ddof=1)) / np.sqrt(len(areas)), 1e-3)
    bounds = normal_bounds(float(areas.mean()), spread, confidence)
    text = (
        f"{len(score):,} shadow models, {len(areas):,} isolated patients; 0.5 is guessing. The attack was right in "
        f"{bounds.value:.0%} of comparisons of a release with a patient and one without."
    )
    return Metric("shadow_auc", bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, len(score), text, 0.5)


def _area(score: FloatArray, inside: BoolArray) -> float:
    gap = score[inside][:, None] - score[~inside][None, :]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())


def _exposed(shadows: _Shadows, confidence: float) -> Metric:
    """Targets of whom the attack surely finds most releases, less those whom chance would expose."""
    score = shadows.score
    found = np.array([_is_exposed(score[:, t], shadows.inside[:, t], confidence) for t in range(score.shape[1])])
    rng = np.random.default_rng(0)  # the chance level is a property of the sizes alone
    inside = np.arange(len(score)) < len(score) // 2
    chance = float(np.mean([_is_exposed(rng.random(len(score)), inside, confidence) for _ in range(2_000)]))
    share = _undiluted(found, confidence)
    bounds = Bounds(share.value - chance, share.low - chance, share.high - chance)
    first = f", {int(found[:FEWEST_TARGETS].sum()):,} of them among the first hundred" * (len(found) > FEWEST_TARGETS)
    text = (
        f"{int(found.sum()):,} of {len(found):,} isolated patients are exposed{first}; chance would expose "
        f"{chance:.1%}."
    )
    return Metric(
        "exposed_patients", bounds.value, bounds.low, bounds.high, SPEC.metrics[1].unit, len(score), text, 0.0
    )


def _undiluted(found: BoolArray, confidence: float) -> Bounds:
    """The share of the exposed, or that among the hundred most isolated where a leak is surely theirs above all."""
    share = proportion(int(found.sum()), len(found), confidence)
    few = found[:FEWEST_TARGETS]
    alone = proportion(int(few.sum()), len(few), (1.0 + confidence) / 2)  # two looks share the error
    return alone if alone.low > share.value else share


def _is_exposed(score: FloatArray, inside: BoolArray, confidence: float) -> bool:
    """Whether the lower bound of the share of releases found, at one false alarm in ten, lies above 30%."""
    threshold = np.quantile(score[~inside], 1.0 - FALSE_POSITIVES, method="higher")
    hits = int((score[inside] > threshold).sum())
    return proportion(hits, int(inside.sum()), confidence).low > EXPOSED
