"""Divergence and mode collapse, told from plain arrays whose answers are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from synthrelease.synthesis.generators import divergence_monitor
from synthrelease.synthesis.generators.divergence_monitor import HEALTHY, Limits, Sign, diagnose, look

GOOD = Sign(
    step=0, losses={"d": 1.4, "g": 0.7}, gradients={"d": 1.0}, accuracy=0.5, spread=1.0, coverage=1.0, repeats=0.0,
    margins=0.1,
)  # fmt: skip


def signs(*each: Sign) -> list[Sign]:
    return [replace(sign, step=100 * (at + 1)) for at, sign in enumerate(each)]


@pytest.fixture
def real() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.random(400), rng.normal(0.5, 0.1, 400), rng.choice([0.0, 1.0], 400)])


def seen(real: np.ndarray, made: np.ndarray) -> Sign:
    return look(real, made, step=1, losses={}, gradients={})


def test_fresh_rows_look_healthy(real):
    rng = np.random.default_rng(1)
    made = np.column_stack([rng.random(400), rng.normal(0.5, 0.1, 400), rng.choice([0.0, 1.0], 400)])
    sign = seen(real, made)
    assert sign.spread == pytest.approx(1.0, abs=0.1)
    assert sign.coverage == pytest.approx(1.0)
    assert sign.repeats == 0.0
    assert sign.margins < 0.15


def test_one_row_repeated_is_collapse(real):
    sign = seen(real, np.tile(real[:1], (400, 1)))
    assert sign.spread == 0.0
    assert sign.repeats == 1.0
    assert sign.coverage < 0.4
    assert divergence_monitor.badness(sign, Limits())[0] == "collapsed"


def test_rows_of_one_mode_at_the_middle_are_collapse(real):
    middle = np.tile(np.median(real, axis=0), (400, 1)) + np.random.default_rng(2).normal(0, 0.01, real.shape)
    assert divergence_monitor.badness(seen(real, middle), Limits())[0] == "collapsed"


def test_half_of_the_levels_missing_lowers_coverage_by_their_share(real):
    made = real[real[:, 2] == 0.0]
    assert divergence_monitor.coverage(real, made) == pytest.approx(1 - (real[:, 2] == 1.0).mean() / 3)


def test_margins_are_kolmogorov_smirnov_distances(real):
    from scipy.stats import ks_2samp

    made = real**2
    wanted = np.mean([ks_2samp(real[:, at], made[:, at]).statistic for at in range(3)])
    assert divergence_monitor.margins(real, made) == pytest.approx(wanted)


def test_rows_beside_the_real_ones_are_divergence(real):
    assert divergence_monitor.badness(seen(real, real + 2.0), Limits())[0] == "diverged"


def test_rows_that_are_not_finite_are_wholly_wrong(real):
    sign = seen(real, np.full_like(real, np.nan))
    assert (sign.spread, sign.coverage, sign.repeats, sign.margins) == (0.0, 0.0, 1.0, 1.0)


def test_real_repeats_are_no_collapse():
    rows = np.repeat(np.arange(10.0), 10)[:, None]
    assert seen(rows, rows).repeats == 0.0


@pytest.mark.parametrize(("bad", "state"), [
    (replace(GOOD, losses={"g": 50.0}), "diverged"),
    (replace(GOOD, gradients={"g": 1e6}), "diverged"),
    (replace(GOOD, margins=0.9), "diverged"),
    (replace(GOOD, spread=0.1), "collapsed"),
    (replace(GOOD, coverage=0.2), "collapsed"),
    (replace(GOOD, repeats=0.9), "collapsed"),
])  # fmt: skip
def test_a_training_is_ill_after_three_bad_signs_in_a_row_and_well_after_a_good_one(bad, state):
    assert diagnose(signs(GOOD, bad, bad), 300) == HEALTHY
    found = diagnose(signs(GOOD, bad, bad, bad), 400)
    assert (found.state, found.since) == (state, 200)
    assert found.why
    assert diagnose(signs(GOOD, bad, bad, bad, GOOD), 500) == HEALTHY


def test_a_slow_beginning_is_no_illness_but_a_lost_loss_is_one_at_once():
    bad, lost = replace(GOOD, spread=0.0), replace(GOOD, losses={"g": math.nan})
    assert diagnose(signs(bad, bad, bad, bad), 1_000) == HEALTHY
    assert diagnose(signs(bad, bad, bad, bad, bad), 600).since == 300
    assert diagnose(signs(bad, GOOD, bad, bad, bad), 1_000).since == 300
    assert diagnose(signs(*[replace(GOOD, losses={"g": 50.0})] * 3), 1_000).state == "diverged"
    assert diagnose(signs(lost), 10_000).state == "diverged"
    assert diagnose([], 100) == HEALTHY


def test_a_sign_is_plain_json_and_back_even_where_numbers_are_not_finite():
    text = json.dumps(
        divergence_monitor.as_json(replace(GOOD, accuracy=math.nan, losses={"g": math.inf})), allow_nan=False
    )
    assert json.loads(text)["losses"]["g"] is None
    back = divergence_monitor.from_json(json.loads(text))
    assert math.isnan(back.accuracy)
    assert math.isnan(back.losses["g"])
    assert divergence_monitor.from_json(divergence_monitor.as_json(GOOD)) == GOOD
