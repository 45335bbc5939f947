"""The DP-GANs: they keep to the budget, train as the public plan says, and come back as they were saved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, FitSettings, Fitted, PrivacyBudget, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.privacy import claim as privacy_claim
from synthrelease.synthesis import generators
from synthrelease.synthesis.generators.private import dp_gan

LABELS = ("a", "b", "c")
SCHEMA = Schema(
    (
        Column("x", "integer", bounds=(0.0, 9.0)),
        Column("g", "categorical", categories=LABELS),
        Column("y", "categorical", categories=("no", "yes"), role="target"),
    ),
    target="y",
)
BUDGET = PrivacyBudget(epsilon=8.0, delta=1e-6, unit="row", rows_are_public=True)


def table(rows: int = 2_000, seed: int = 0, patients: int | None = None) -> Table:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 10, rows)
    g = np.clip(x // 4 + rng.integers(0, 2, rows), 0, 2)
    y = (x + rng.normal(0, 1.5, rows) > 4.5).astype(int)
    frame = pd.DataFrame(
        {
            "x": x.astype(float),
            "g": pd.Categorical.from_codes(g, LABELS),
            "y": pd.Categorical.from_codes(y, ["no", "yes"]),
        }
    )
    units = None if patients is None else rng.permutation(np.arange(rows) % patients)
    return Table(frame, SCHEMA, "real", units=units)


def fitted(name: str, data: Table, asked: PrivacyBudget, *, effort: float = 0.1) -> Fitted:
    return generators.load(name)(data, FitSettings(1, effort, privacy=asked), lambda step: None)


def follows(frame: pd.DataFrame) -> float:
    return float(np.corrcoef(frame["x"], frame["y"].cat.codes)[0, 1])


def test_alone_it_learns_what_columns_have_in_common_and_spends_the_budget():
    found = fitted("dp-gan", table(), BUDGET)
    claim = privacy_claim.claim(found.spends, BUDGET)
    assert 0.97 * BUDGET.epsilon <= claim.epsilon <= BUDGET.epsilon
    assert [spend.mechanism for spend in found.spends] == ["discrete Gaussian", "DP-SGD"]
    frame = next(found.sample(2_000, seed=3))
    assert follows(frame) > 0.35 * follows(table().frame)
    assert frame["x"].between(0, 9).all()
    assert not any("critic" in name for step in found.history for name in step.losses)


def test_refined_it_keeps_to_the_same_budget_and_says_what_became_of_the_critic(tmp_path):
    found = fitted("marginals+dp-gan", table(), BUDGET)
    assert privacy_claim.claim(found.spends, BUDGET).epsilon <= BUDGET.epsilon
    assert found.spends[-1].mechanism == "DP-SGD"
    assert ("not kept" in found.notices[0]) == (found.description["refined"] == "no")
    found.save(tmp_path)
    again = generators.saved("marginals+dp-gan", tmp_path)
    pd.testing.assert_frame_equal(next(again.sample(50, seed=2)), next(found.sample(50, seed=2)))


def test_a_critic_refines_only_where_its_noise_leaves_something_to_learn():
    weak = dataclasses.replace(BUDGET, epsilon=0.5)
    assert dp_gan.helps(100_000, BUDGET, columns=10)
    assert not dp_gan.helps(1_000, weak, columns=10)
    found = fitted("marginals+dp-gan", table(), weak)
    assert "DP-SGD" not in {spend.mechanism for spend in found.spends}
    assert "all went into tables" in found.notices[0]


def test_another_table_of_the_same_schema_changes_no_step_no_batch_and_no_noise():
    asked = dataclasses.replace(BUDGET, unit="patient", rows_per_unit=3)
    one, other = (fitted("dp-gan", table(900, seed=seed, patients=300), asked) for seed in (1, 2))
    assert one.spends == other.spends
    assert {key: value for key, value in one.description.items() if key not in ("parts", "weights")} == {
        key: value for key, value in other.description.items() if key not in ("parts", "weights")
    }  # codes are made from noisy histograms, so their number differs


def test_without_a_budget_it_is_refused():
    with pytest.raises(InputError, match="Add --epsilon"):
        dp_gan.fit_preset(table(), FitSettings(0), lambda step: None, name="dp-gan")


def test_two_fits_with_one_seed_differ():
    quick = table(500)
    one, other = (next(fitted("dp-gan", quick, BUDGET).sample(200, seed=1)) for _ in range(2))
    assert not one.equals(other)
