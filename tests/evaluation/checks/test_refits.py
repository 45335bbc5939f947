"""Checks that train the generator again: a leaky generator must show, an honest one must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Evidence, Refits, Schema, Table
from synthrelease.evaluation.checks import cross_audit, shadow

COLUMNS = (*(Column(f"n{i}", "numeric") for i in range(4)), Column("c", "categorical", categories=("a", "b")))


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(count, 4)), columns=[f"n{i}" for i in range(4)])
    frame["c"] = pd.Categorical(rng.choice(["a", "b"], count), categories=["a", "b"])
    return frame


def table(count: int, seed: int, origin: str = "real") -> Table:
    return Table(rows(count, seed), Schema(COLUMNS), origin)


def honest(train: Table, count: int, seed: int) -> pd.DataFrame:
    return rows(count, seed)


def leaky(train: Table, count: int, seed: int) -> pd.DataFrame:
    """Nine rows in ten are fresh, one is a training row."""
    rng = np.random.default_rng(seed)
    copied = train.frame.iloc[rng.integers(len(train), size=count // 10)]
    return pd.concat([rows(count - len(copied), seed), copied], ignore_index=True)


def evidence(refit, **more) -> Evidence:
    return Evidence(table(300, 1), table(150, 2), table(300, 3, "synthetic"), seed=4, refits=Refits(refit, **more))


def everything(train: Table, count: int, seed: int) -> pd.DataFrame:
    return train.frame.iloc[np.random.default_rng(seed).permutation(len(train))[:count]].reset_index(drop=True)


def test_shadow_models_expose_isolated_patients_of_a_copying_generator_only():
    found = shadow.measure(evidence(everything, shadow_models=16))
    assert found.metric("shadow_auc").low > 0.9
    assert found.metric("exposed_patients").low > 0.5
    calm = shadow.measure(evidence(honest, shadow_models=16))
    assert calm.metric("shadow_auc").low < 0.5 < calm.metric("shadow_auc").high
    assert calm.metric("exposed_patients").low < 0.05


def test_a_leak_that_only_the_most_isolated_suffer_is_not_diluted():
    found = np.zeros(300, dtype=bool)
    found[:12] = True
    assert shadow._undiluted(found, 0.99).value == pytest.approx(0.12)
    spread_out = np.roll(found, 150)
    assert shadow._undiluted(spread_out, 0.99).value == pytest.approx(0.04)


def test_six_exposed_of_three_hundred_may_be_chance_and_seven_may_not():
    found = np.zeros(300, dtype=bool)
    found[::50] = True
    assert shadow._undiluted(found, 0.99).high < 0.05
    found[1] = True
    assert shadow._undiluted(found, 0.99).high > 0.05


def test_few_shadow_models_or_none_measure_nothing():
    assert shadow.measure(evidence(honest, shadow_models=4)).status == "too_few_rows"
    assert shadow.measure(evidence(honest)).status == "not_applicable"
    assert shadow.measure(replace(evidence(honest), refits=None)).status == "not_applicable"
    assert cross_audit.measure(evidence(honest)).status == "not_applicable"
    assert cross_audit.measure(evidence(honest, folds=1)).status == "too_few_rows"


def test_the_cross_audit_uses_every_patient_once_as_a_stranger():
    seen: list[set[float]] = []

    def noted(train: Table, count: int, seed: int) -> pd.DataFrame:
        seen.append(set(train.frame["n0"]))
        return rows(count, seed)

    found = cross_audit.measure(evidence(noted, folds=5)).metric("cross_mia_auc")
    everyone = set(table(300, 1).frame["n0"]) | set(table(150, 2).frame["n0"])
    left_out = [everyone - trained for trained in seen]
    assert sorted(len(part) for part in left_out) == [90] * 5
    assert set.union(*left_out) == everyone
    assert found.n == 450
    assert found.low < 0.5 < found.high


def test_the_cross_audit_narrows_the_interval_of_a_small_holdout_and_finds_a_leak():
    one = cross_audit.membership.measure(replace(evidence(honest), seed=9)).metric("mia_auc")
    five = cross_audit.measure(evidence(honest, folds=5)).metric("cross_mia_auc")
    assert five.high - five.low < 0.75 * (one.high - one.low)
    assert cross_audit.measure(evidence(everything, folds=3)).metric("cross_mia_auc").low > 0.9


@pytest.mark.parametrize("folds", [2, 4])
def test_patients_are_left_out_whole(folds):
    units = np.arange(300) // 3
    one = evidence(honest, folds=folds)
    one = replace(one, train=replace(one.train, units=units), holdout=replace(one.holdout, units=np.arange(150) // 3))

    def checked(train: Table, count: int, seed: int) -> pd.DataFrame:
        assert (np.unique(train.units, return_counts=True)[1] == 3).all()
        return rows(count, seed)

    result = cross_audit.measure(replace(one, refits=Refits(checked, folds=folds)))
    assert result.metric("cross_mia_auc").n == 150
