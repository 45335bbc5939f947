"""What copies are refused for, how each is trained, and how the audit trains them again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_tables import clinic, ignore

from synthrelease.core.contracts import FitSettings
from synthrelease.core.errors import InputError, TrainingError
from synthrelease.synthesis import copies, refit
from synthrelease.synthesis.copies import Asked, check
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.autoregressive_gan.training import UnstableError

FOUND = {"generator": "gan", "steps": 400, "stopped_at": 70, "generator_lr": 0.002, "discriminator_lr": 0.001}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"copies": 0}, "between 2 and 40, however it is 0"),
        ({"copies": 1}, "two or more"),
        ({"copies": 41}, "however it is 41"),
        ({"is_private": True}, "--copies cannot be combined with --epsilon: .* noise"),
        ({"is_to_order": True}, "--condition or --balance"),
        ({"is_sharpened": True}, "--sharpen-labels"),
        ({"generator": "marginals"}, "'marginals'"),
    ],
)
def test_copies_that_could_not_be_read_rightly_are_refused(changes, found):
    with pytest.raises(InputError, match=found):
        check(replace(Asked(5, "gan"), **changes))
    check(replace(Asked(None, "gan"), **{**changes, "copies": None}))


def test_copies_within_reason_are_allowed():
    for count in (2, 40):
        check(Asked(count, "gan"))


def test_a_copy_trains_for_as_long_as_was_found_best_and_on_all_patients():
    asked = FitSettings(seed=1, effort=2.0, overrides={"knots": 5.0, "steps": 400.0})
    own = copies.settings_of(FOUND, asked, seed=9)
    assert (own.seed, own.bootstrap) == (9, 9)
    assert own.overrides == {
        "knots": 5.0, "steps": 70.0, "inner_share": 0.0, "generator_lr": 0.002, "discriminator_lr": 0.001,
    }  # fmt: skip


def test_a_training_that_fell_back_to_another_generator_makes_no_copies():
    with pytest.raises(TrainingError, match="a GAN that trains stably"):
        copies.settings_of({"generator": "marginals"}, FitSettings(seed=1), seed=9)


def test_an_unstable_copy_is_an_error_and_no_other_generator_takes_its_place(monkeypatch):
    def unstable(*_: object, **__: object) -> None:
        raise UnstableError("Training diverged.")

    monkeypatch.setattr(gan, "train", unstable)
    with pytest.raises(TrainingError, match="a GAN that trains stably"):
        gan.fit(clinic(60), FitSettings(seed=1, effort=0.05, bootstrap=3), ignore)


@dataclass
class Prepared:
    """A preparation that notes with which settings it trains."""

    asked: list[FitSettings] = field(default_factory=list)

    def on(self, train):
        return self

    def trained(self, fit, settings, on_step):
        self.asked.append(settings)
        return SimpleNamespace(value=settings)


class Maker:
    """Makes rows that say by which settings they were made."""

    @classmethod
    def of(cls, preparation, fitted, *, with_habits):
        made = cls()
        made.settings = fitted
        return made

    def frames(self, rows, wish, *, seed, on_end):
        yield pd.DataFrame({"by": np.full(rows, self.settings.seed)})


@pytest.mark.parametrize(("settings", "count"), [(FitSettings(seed=1, bootstrap=1), 2), (FitSettings(seed=1), 1)])
def test_the_audit_trains_copies_again_as_they_were_trained(monkeypatch, settings, count):
    monkeypatch.setattr(refit, "Maker", Maker)
    prepared = Prepared()
    made = refit.Refitting(prepared, gan.fit, settings, copies=count)(clinic(60), 101, 77)
    assert len(made) == 101
    assert made["by"].value_counts().to_dict() == ({77: 50, 78: 51} if count == 2 else {77: 101})
    assert [each.bootstrap for each in prepared.asked] == ([77, 78] if count == 2 else [None])
