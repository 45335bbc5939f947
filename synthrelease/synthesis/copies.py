"""Copies of one synthetic table, each from a generator of its own, so that their spread says what was not known.

When to stop training is found once, with rows set apart. Every copy is then trained for as long, on a Bayesian
bootstrap of the patients (``generators.patient_bootstrap``); how rows obey the constraints and belong to patients is
learned once and is the same in all copies. ``report.combining`` says how to read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synthrelease.core.contracts import FitSettings, Fitted, Generator, OnStep
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis.maker import Learner, Maker

GENERATOR = "gan"
"""The generator that trains on weighted patients."""
_KEPT = ("steps", "generator_lr", "discriminator_lr")


def settings_of(found: Mapping[str, Any], settings: FitSettings, *, seed: int) -> FitSettings:
    """Return the settings of one copy.

    Args:
        found: what a trained generator says of itself (``Fitted.description``); it was trained with ``settings``.
        settings: of that training.
        seed: of the copy's weights, patients and batches.
    """
    same = {name: float(found[name]) for name in _KEPT} | {"steps": float(found["stopped_at"]), "inner_share": 0.0}
    return replace(settings, seed=seed, bootstrap=seed, overrides={**settings.overrides, **same})


def trained(preparation: Learner, fit: Generator, settings: FitSettings, first: Maker, *, on_step: OnStep) -> Maker:
    """Train one copy's generator; ``settings`` are those that ``settings_of`` returns.

    Raises:
        TrainingError: the training did not stay stable.
    """
    return replace(first, fitted=checked(preparation.trained(fit, settings, on_step).value))


def checked(fitted: Fitted) -> Fitted:
    """Refuse a generator that took the GAN's place and knows no weights.

    Raises:
        TrainingError: it is one.
    """
    if fitted.description["generator"] != GENERATOR:
        raise TrainingError(
            "Copies need a GAN that trains stably, and this one did not in several attempts. Nothing was made. Build "
            "with more --effort or another --seed, or without --copies."
        )
    return fitted


__all__ = ["GENERATOR", "checked", "settings_of", "trained"]
