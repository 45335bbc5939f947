"""Settings of the default generator: every one is known, in range, and does something."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from made_tables import clinic, draw, ignore

from synthrelease.cli.options import EFFORTS
from synthrelease.core.contracts import FitSettings
from synthrelease.core.errors import InputError
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.autoregressive_gan.config import (
    SETTINGS,
    Config,
    config_for,
    decay_for,
    temperature_for,
)


def test_every_setting_has_a_range_and_words_and_every_default_lies_in_its_range():
    assert set(SETTINGS) == {each.name for each in fields(Config)}
    assert all(len(setting.about) > 20 for setting in SETTINGS.values())
    for rows in (1, 300, 5_999, 6_000, 10**7):
        for columns in (1, 300):
            chosen = config_for(rows, columns=columns, effort=EFFORTS["thorough"], rarest=7)
            for name, setting in SETTINGS.items():
                assert setting.low <= getattr(chosen, name) <= setting.high, name


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"stepps": 3}, "'stepps' is no setting. Known ones: steps, batch_size"),
        ({"ema": 1.5}, "ema must lie between 0 and 0.9999, however it is 1.5"),
        ({"ema": float("nan")}, "ema must lie between"),
        ({"hidden": 64.5}, "hidden must be whole"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused(overrides, found):
    with pytest.raises(InputError, match=found):
        config_for(1_000, overrides=overrides)


def test_every_problem_is_listed_at_once():
    with pytest.raises(InputError, match=r"(?s)layers.*generator_lr"):
        config_for(1_000, overrides={"layers": 77, "generator_lr": -1})


def test_efforts_multiply_the_updates_and_overrides_have_the_last_word():
    plain = config_for(20_000)
    assert config_for(20_000, effort=EFFORTS["fast"]).steps == round(0.3 * plain.steps)
    more = config_for(20_000, effort=4.0, overrides={"steps": 12, "hidden": 16})
    assert more == replace(plain, steps=12, hidden=16)


def test_the_prior_is_stronger_for_fewer_rows_and_for_more_columns():
    assert decay_for(300, 10) > decay_for(3_000, 10) > decay_for(100_000, 10)
    assert decay_for(300, 10) < decay_for(300, 40)


def test_labels_of_small_classes_are_drawn_more_decisively():
    cases = {0: 0.35, 60: 0.35, 100: 0.382, 1_000: 0.552, 10_000: 0.722, 10**6: 1.0}
    assert {rarest: round(temperature_for(rarest), 6) for rarest in cases} == cases


QUICK = {"steps": 8, "hidden": 16}


@pytest.mark.parametrize(
    "overrides",
    [
        {"minibatch_discrimination": 4, "adversarial_start": 0},
        {"feature_matching": 5, "adversarial_start": 0},
        {"discriminator_dropout": 0.5, "adversarial_start": 0},
        {"discriminator_lr": 0.1, "adversarial_start": 0},
        {"discriminator_hidden": 8, "adversarial_start": 0},
        {"gradient_penalty": 50, "adversarial_start": 0},
        {"gumbel_temperature": 3, "adversarial_start": 0},
        {"adversarial_weight": 0},
        {"adversarial_start": 0},
        {"adversarial_every": 3, "adversarial_start": 0},
        {"adversarial_batch": 32, "adversarial_start": 0},
        {"batch_size": 16},
        {"generator_lr": 0.03},
        {"weight_decay": 1_000},
        {"ema": 0},
        {"target_temperature": 0.1},
        {"even_sampling": 0},
        {"layers": 2},
        {"knots": 12},
    ],
    ids=lambda overrides: next(iter(overrides)),
)
def test_settings_change_what_is_made(overrides):
    table = clinic(120)
    started = {"adversarial_start": 0.0} if "adversarial_start" in overrides and len(overrides) > 1 else {}
    before = gan.fit(table, FitSettings(seed=1, overrides=QUICK | started), ignore)
    after = gan.fit(table, FitSettings(seed=1, overrides=QUICK | overrides), ignore)
    assert not before.notices
    assert not after.notices
    assert not draw(before, 200).equals(draw(after, 200))


def test_the_outermost_rows_of_a_small_table_lie_at_the_ends_of_what_may_be_sampled():
    fitted = gan.fit(clinic(400), FitSettings(seed=1, overrides=QUICK), ignore)
    made = draw(fitted, 400)
    for coding in fitted.encoder.codings:
        if isinstance(coding, NumberCoding) and coding.decimals is not None:
            cells = made[coding.name].dropna()
            step = 10.0**-coding.decimals
            top, bottom = max((*coding.atoms, coding.ceiling)), min((*coding.atoms, coding.floor))
            assert bottom <= cells.min() <= bottom + step, coding.name
            assert top - step <= cells.max() <= top, coding.name
