"""Intervals of the check of planned analyses by simulation: a one-sided 95% bound holds about as often as it says.

Bounds of slopes are sharp; those of overlaps and of curves hold at least as often. Seeds are fixed.
"""

from __future__ import annotations

import made_effects as cases
import numpy as np
import pytest
from made_effects import Effects, evidence, patients, schema

from synthrelease.core.contracts import FloatArray, Table
from synthrelease.evaluation.checks.effects import calibration, survival
from synthrelease.evaluation.checks.effects.agreement import Pair, overlap, signs, slopes
from synthrelease.evaluation.checks.effects.design import learned
from synthrelease.evaluation.checks.effects.fits import fit

LEVEL = 0.95
LEAST, MOST = 0.93, 0.975


def population(rng: np.random.Generator, terms: int, size: float) -> tuple[FloatArray, FloatArray]:
    """Effects of so many standard errors, and the errors' covariance."""
    mix = rng.normal(size=(terms, terms))
    raw = mix @ mix.T + terms * np.eye(terms)
    spread = np.sqrt(np.diag(raw))
    return size * rng.normal(size=terms), raw / np.outer(spread, spread)


@pytest.mark.parametrize(("terms", "size", "factor", "ratio"), [(15, 3.0, 1.0, 1.0), (8, 4.0, 0.5, 2.4)])
def test_bounds_of_slopes_hold_as_often_as_they_say_and_those_of_overlap_at_least(terms, size, factor, ratio):
    """``ratio``: how many times the synthetic table's variance is the real one's."""
    rng = np.random.default_rng(0)
    truth, errors = population(rng, terms, size)
    root = np.linalg.cholesky(errors)
    held, shared, turned = [], [], []
    for _ in range(1_500):
        real, noise = truth + root @ rng.normal(size=terms), np.sqrt(ratio) * root @ rng.normal(size=terms)
        pair = Pair(real, errors, factor * truth + noise, ratio * errors, 1.0)
        found = slopes(pair, LEVEL)
        given = factor * float(truth @ real / (real @ real))  # the plain slope is about these real rows
        held.append((found.corrected.low <= factor, factor <= found.corrected.high,
                     found.plain.low <= given, given <= found.plain.high))  # fmt: skip
        shared.append(overlap(pair, LEVEL))
        turned.append(signs(pair, LEVEL).turned.value > 0)
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST).all(), rates
    assert (rates <= MOST).all(), rates
    expected = np.mean([each.value for each in shared])
    assert np.mean([each.low <= expected for each in shared]) >= LEVEL
    assert np.mean([expected <= each.high for each in shared]) >= LEVEL
    assert np.mean(turned) < 0.01


def test_two_samples_of_one_size_overlap_by_seven_tenths():
    rng = np.random.default_rng(1)
    errors = np.eye(400)
    pair = Pair(rng.normal(size=400), errors, rng.normal(size=400), errors, 1.0)
    assert overlap(pair, LEVEL).value == pytest.approx(0.71, abs=0.03)


def test_bounds_of_the_calibration_shift_hold():
    """Synthetic effects are 0.6 of the real ones, so that predictions are too tame by a slope of 1 / 0.6."""
    truth, held = 1 / 0.6 - 1, []
    for seed in range(0, 180, 3):
        told = evidence(patients(600, seed + 20_000, Effects().times(0.6)), schema("stay"), rows=600, seed=seed)
        plan = learned(cases.PLANS["stay"], told.train)
        pair = Pair.of(fit(plan, told.train), fit(plan, told.synthetic))
        bounds, _ = calibration.shift(plan, pair, told.holdout, LEVEL)
        held.append((bounds.low <= truth, truth <= bounds.high))
    assert (np.mean(held, axis=0) >= 0.9).all(), np.mean(held, axis=0)


def test_bounds_of_the_gap_between_survival_curves_hold():
    rng, plan, analysis = np.random.default_rng(2), schema("months"), cases.PLANS["months"]
    far = survival.grid(analysis, Table(patients(20_000, 1), plan, "real"))
    times = far[far <= 60]
    kinds = [Effects(), Effects(age=0.0, dose=0.0, male=1.4)]
    large = [survival.curve(analysis, Table(patients(20_000, 3, kind), plan, "real"), times) for kind in kinds]
    truth = float(np.abs(large[0].survival - large[1].survival).max())
    held = []
    for seed in range(30):
        real, other, same = (
            survival.curve(analysis, Table(patients(300, 100 + 3 * seed + at, kind), plan, "real"), times)
            for at, kind in enumerate((kinds[0], kinds[1], kinds[0]))
        )
        apart, alike = survival.gap(rng, real, other, LEVEL), survival.gap(rng, real, same, LEVEL)
        held.append((apart.low <= truth, truth <= apart.high, alike.low <= 0.0))
    assert (np.mean(held, axis=0) >= 0.9).all(), np.mean(held, axis=0)
