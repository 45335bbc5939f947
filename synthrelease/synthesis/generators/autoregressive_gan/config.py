"""Every setting of the default generator, in the field's terms, with its range and what it does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from synthrelease.core.errors import InputError, listing

SMALL_ROWS = 6_000
"""Tables with fewer training rows are fitted twice: once to find when to stop, and once on all rows."""

REDRAW_TREES = 40
"""Of the critic of drawn rows, in each of three folds, where the effort is 1 or more: further ones find no more."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a training run; ``SETTINGS`` says what each does, ``config_for`` chooses them by the table's size."""

    steps: int
    batch_size: int
    hidden: int
    layers: int
    knots: int
    generator_lr: float
    weight_decay: float
    ema: float
    adversarial_weight: float
    adversarial_start: float
    adversarial_every: int
    adversarial_batch: int
    discriminator_lr: float
    discriminator_hidden: int
    discriminator_dropout: float
    gradient_penalty: float
    feature_matching: float
    minibatch_discrimination: int
    gumbel_temperature: float
    inner_share: float
    target_temperature: float
    even_sampling: int
    redraw_trees: int


@dataclass(frozen=True, slots=True)
class Setting:
    """The range of a setting, both ends included, and what it does."""

    low: float
    high: float
    about: str


SETTINGS: Mapping[str, Setting] = {
    "steps": Setting(1, 1_000_000, "updates of the generator; --effort multiplies the default"),
    "batch_size": Setting(8, 65_536, "training rows in an update of the generator"),
    "hidden": Setting(8, 4_096, "hidden units of the generator"),
    "layers": Setting(0, 8, "residual blocks of the generator, two layers each"),
    "knots": Setting(2, 64, "smooth features of a number column: more follow finer bends and remember more"),
    "generator_lr": Setting(1e-6, 1, "learning rate of the generator (Adam); it falls to 0 along half a cosine"),
    "weight_decay": Setting(0, 1e6, "strength of the normal prior on the generator's weights: more remembers less"),
    "ema": Setting(0, 0.9999, "share of the running average of the weights that an update keeps"),
    "adversarial_weight": Setting(0, 1_000, "weight of the adversarial loss beside the likelihood; 0: no critic"),
    "adversarial_start": Setting(0, 1, "share of the updates after which the critic joins in"),
    "adversarial_every": Setting(1, 1_000, "the critic takes part in every so many updates"),
    "adversarial_batch": Setting(8, 65_536, "pairs of a real and a made row in an update of the critic"),
    "discriminator_lr": Setting(1e-6, 1, "learning rate of the critic (Adam)"),
    "discriminator_hidden": Setting(8, 4_096, "hidden units of the critic, in each of two layers"),
    "discriminator_dropout": Setting(0, 0.9, "share of the critic's hidden units that an update leaves out"),
    "gradient_penalty": Setting(0, 1_000, "weight of the zero-centred gradient penalties R1 and R2"),
    "feature_matching": Setting(0, 1_000, "weight of the distance between the critic's mean features of both sides"),
    "minibatch_discrimination": Setting(0, 256, "kernels by which the critic compares rows of a batch; 0: none"),
    "gumbel_temperature": Setting(0.1, 10, "temperature of the straight-through Gumbel softmax"),
    "inner_share": Setting(0, 0.5, "share of the training rows set apart inside to stop by; 0: never stops early"),
    "target_temperature": Setting(0.05, 1, "below 1, target labels follow the other columns more decisively"),
    "even_sampling": Setting(0, 1, "1: rows are drawn by evenly spread numbers, 0: by independent ones"),
    "redraw_trees": Setting(0, 1_000, "trees of the critic that has rows no patient could have drawn again; 0: none"),
}


def config_for(
    rows: int,
    *,
    columns: int = 10,
    effort: float = 1.0,
    rarest: int | None = None,
    overrides: Mapping[str, float] | None = None,
) -> Config:
    """Choose the settings for a table of ``rows`` training rows and ``columns`` columns.

    ``rarest`` is the number of rows of the rarest class of the target, where its labels are to be sharpened. Small
    tables get a smaller network with fewer and stronger held features. ``overrides`` have the last word.

    Raises:
        InputError: an override is unknown or out of its range; every problem is listed.
    """
    is_small = rows < SMALL_ROWS
    hidden = 64 if rows < 1_500 else 128 if is_small else 256
    config = Config(
        steps=max(1, round(effort * min(max(150 + 4 * rows**0.5, 300), 3_000))),
        batch_size=512,
        hidden=hidden,
        layers=1,
        knots=4 if rows < 1_500 else 6 if is_small else 10,
        generator_lr=1e-2 if is_small else 3e-3,
        weight_decay=decay_for(rows, columns),
        ema=0.98 if is_small else 0.99,
        adversarial_weight=2.0 if is_small else 10.0,
        adversarial_start=0.5,
        adversarial_every=4 if is_small else 8,
        adversarial_batch=256,
        discriminator_lr=3e-3,
        discriminator_hidden=hidden,
        discriminator_dropout=0.0,
        gradient_penalty=0.3,
        feature_matching=0.0,
        minibatch_discrimination=0,
        gumbel_temperature=0.7,
        inner_share=0.15 if is_small else min(0.1, 4_000 / rows),
        target_temperature=1.0 if rarest is None else temperature_for(rarest),
        even_sampling=1,
        redraw_trees=min(max(round(REDRAW_TREES * effort), 10), REDRAW_TREES),
    )
    return replace(config, **_checked(overrides or {}))


def decay_for(rows: int, columns: int) -> float:
    """Return the strength of the prior on the weights.

    The fewer the rows and the more the columns, the more of each row fits into the weights. Measured on three halves of
    the Wisconsin table (284 rows, 31 columns), an attacker who looks for near synthetic rows has an AUC of .556 against
    a strength of 287, and of .524 (standard error .015) against one of 900; this gives 868.
    """
    return 10.0 + 70.0 * 1_000 / (rows + 500) * min(max(1.0, columns / 10) ** 2, 12.0)


def temperature_for(rarest: int) -> float:
    """Return the temperature of sharpened labels by the number of rows of the target's rarest class.

    A model that learns from synthetic rows mistakes the noise of their labels for signal, the more so the fewer rows a
    class has. Labels that are drawn more decisively than they were learned (at 0.42 where the class has some 170 rows,
    at 0.7 from some 7,500 rows on) raise what trees and boosting learn (AUC on Pima and stroke by .02 to .03; on adult
    by .002, of a tree by .02). They make every effect too large: on stroke log-odds ratios come out three times those
    of the real rows, and risks that models learn are far too extreme (calibration slope .29). So it is no default.
    """
    return min(max(0.17 * math.log10(max(rarest, 1)) + 0.042, 0.35), 1.0)


def _checked(overrides: Mapping[str, float]) -> dict[str, Any]:
    kinds = {each.name: each.type for each in fields(Config)}
    problems, values = [], {}
    for name, value in overrides.items():
        setting = SETTINGS.get(name)
        if setting is None:
            problems.append(f"{name!r} is no setting. Known ones: {', '.join(SETTINGS)}")
        elif not setting.low <= value <= setting.high:
            problems.append(f"{name} must lie between {setting.low:g} and {setting.high:g}, however it is {value:g}")
        elif kinds[name] == "int" and value != int(value):
            problems.append(f"{name} must be whole, however it is {value:g}")
        else:
            values[name] = int(value) if kinds[name] == "int" else float(value)
    if problems:
        raise InputError(listing("The generator's settings must be known and in range. Correct them:", problems))
    return values


__all__ = ["SETTINGS", "SMALL_ROWS", "Config", "Setting", "config_for", "decay_for", "temperature_for"]
