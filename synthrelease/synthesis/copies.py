"""Copies of one synthetic table, each from a generator of its own, so that their spread says what was not known.

When to stop training is found once, with rows set apart. Every copy is then trained for as long, on a Bayesian
bootstrap of the patients (``generators.patient_bootstrap``); how rows obey the constraints and belong to patients is
learned once and is the same in all copies. ``report.combining`` says how to read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from synthrelease.core.contracts import FitSettings, Generator, OnStep
from synthrelease.core.errors import InputError, TrainingError
from synthrelease.synthesis.generators.patient_bootstrap import NO_COPY
from synthrelease.synthesis.maker import Learner, Maker, Wish
from synthrelease.synthesis.refit import Refitting

GENERATOR = "gan"
"""The generator that trains on weighted patients."""
MOST = 40
"""A package holds few files."""
REFITTED = 2
"""Copies that each training of the audit makes. Attackers of all copies see each patient under several weights."""
_KEPT = ("generator_lr", "discriminator_lr")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a build was asked for, as far as it decides whether there can be copies."""

    copies: int | None
    generator: str
    is_private: bool = False
    is_to_order: bool = False
    is_sharpened: bool = False


def check(asked: Asked) -> None:
    """Refuse copies that could not be read rightly, before any row is read.

    Raises:
        InputError: there would be too few or too many, or another option makes their spread say something else.
    """
    if asked.copies is None:
        return
    if not 2 <= asked.copies <= MOST:
        raise InputError(
            f"--copies must be between 2 and {MOST}, however it is {asked.copies}. The spread between copies needs two "
            "or more (ten serve well); leave the option out for a single table."
        )
    if asked.is_private:
        raise InputError(
            "--copies cannot be combined with --epsilon: training on other patients says nothing of the noise that "
            "protects privacy, so that intervals would be too narrow and findings made up. Leave one of them out."
        )
    if asked.is_to_order:
        raise InputError(
            "--copies cannot be combined with --condition or --balance: the copies would not stand for the real rows "
            "whose number the intervals rest on. Make whole copies, and select rows in each of them."
        )
    if asked.is_sharpened:
        raise InputError(
            "--copies cannot be combined with --sharpen-labels: copies are for estimates, and sharpened labels make "
            "every effect too large. Leave one of them out."
        )
    if asked.generator != GENERATOR:
        raise InputError(
            f"--copies needs a generator that learns from weighted patients, which {GENERATOR!r} alone does, however "
            f"the generator is {asked.generator!r}. Leave --generator out."
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """Who hears of a copy's training, and of the share of rows that broke a constraint."""

    on_step: OnStep
    on_end: Callable[[float], None]


def settings_of(found: Mapping[str, Any], settings: FitSettings, *, seed: int) -> FitSettings:
    """Return the settings of one copy.

    Args:
        found: what a trained generator says of itself (``Fitted.description``); it was trained with ``settings``.
        settings: of that training.
        seed: of the copy's weights, patients and batches.

    Raises:
        TrainingError: the first training fell back to a generator that knows no weights.
    """
    if found["generator"] != GENERATOR:
        raise TrainingError(NO_COPY)
    same = {name: float(found[name]) for name in _KEPT} | {"steps": float(found["stopped_at"]), "inner_share": 0.0}
    return replace(settings, seed=seed, bootstrap=seed, overrides={**settings.overrides, **same})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How copies are made: ``first`` was trained by ``fit`` with ``settings``, and says for how long copies train."""

    preparation: Learner
    fit: Generator
    settings: FitSettings
    first: Maker

    @property
    def real_rows(self) -> int:
        """How many real rows all copies learn from."""
        return int(self.first.fitted.description["training_rows"])

    def of(self, seed: int) -> FitSettings:
        """The settings of one copy."""
        return settings_of(self.first.fitted.description, self.settings, seed=seed)

    def frames(self, rows: int, *, seed: Callable[[str], int], heard: Heard) -> Iterator[pd.DataFrame]:
        """Train a copy and yield its rows; ``seed`` gives a seed for each purpose.

        Raises:
            TrainingError: the training did not stay stable, or too few rows obey the constraints.
        """
        own = self.preparation.trained(self.fit, self.of(seed("fit")), heard.on_step).value
        return replace(self.first, fitted=own).frames(rows, Wish(), seed=seed, on_end=heard.on_end)

    def refitting(self) -> Refitting:
        """How the audit trains copies again."""
        return Refitting(self.preparation, self.fit, self.of(0), copies=REFITTED)


__all__ = ["GENERATOR", "MOST", "REFITTED", "Asked", "Heard", "Recipe", "check", "settings_of"]
