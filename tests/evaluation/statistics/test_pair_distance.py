"""Which of several tables is least like the real rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_tables import clinic

from synthrelease.core.contracts import CheckResult, Column, Evidence, Schema, Table
from synthrelease.evaluation import runner
from synthrelease.evaluation.statistics import pair_distance


def test_a_table_is_at_no_distance_from_itself_and_two_that_share_nothing_are_at_one():
    real = clinic(200)
    assert pair_distance.distance(real, real) == 0.0
    apart = [
        Table(pd.DataFrame({"a": np.full(20, value)}), Schema((Column("a", "numeric"),)), "real") for value in (0, 9)
    ]
    assert pair_distance.distance(*apart) == 1.0


def test_a_pair_worked_out_by_hand():
    labels = [pd.Categorical(list(text), categories=["x", "y"]) for text in ("xxyy", "xxxy")]
    columns = tuple(Column(name, "categorical", categories=("x", "y")) for name in "ab")
    real, made = (Table(pd.DataFrame({"a": each, "b": each}), Schema(columns), "real") for each in labels)
    assert pair_distance.distance(made, real) == pytest.approx(0.25)


def test_broken_dependence_missing_cells_and_a_collapsed_column_are_all_farther():
    real, fresh = clinic(1_000), clinic(1_000, seed=1)
    rng = np.random.default_rng(0)
    mixed = Table(fresh.frame.assign(size=rng.permutation(fresh.frame["size"])), real.schema, "real")
    emptied = Table(fresh.frame.assign(size=np.nan), real.schema, "real")
    collapsed = Table(
        fresh.frame.assign(ward=pd.Categorical(["A"] * 1_000, categories=["A", "B", "C", "Z"])), real.schema, "real"
    )
    for worse in (mixed, emptied, collapsed):
        assert pair_distance.distance(worse, real) > 1.2 * pair_distance.distance(fresh, real)
        assert pair_distance.least_like([fresh, worse, fresh], real) == 1


def test_many_columns_are_compared_by_a_fixed_choice_of_pairs():
    rng = np.random.default_rng(0)
    columns = tuple(Column(f"c{at}", "numeric") for at in range(60))
    frame = pd.DataFrame(rng.normal(size=(50, 60)), columns=[column.name for column in columns])
    real = Table(frame, Schema(columns), "real")
    assert pair_distance.distance(real, real) == 0.0
    assert pair_distance.distance(Table(frame.assign(c59=7.0), Schema(columns), "real"), real) > 0


def test_likeness_is_judged_on_the_worst_copy_and_privacy_on_the_rows_of_all(monkeypatch):
    real, fresh = clinic(300), clinic(300, seed=1)
    good, bad = (replace(each, origin="synthetic") for each in (clinic(300, seed=2), clinic(300, seed=3)))
    bad = replace(bad, frame=bad.frame.assign(size=20.0))
    both = replace(good, frame=pd.concat([good.frame, bad.frame], ignore_index=True))
    seen = {}

    def noted(check, evidence):
        seen[check.spec.family] = evidence.synthetic
        return CheckResult(check.spec.name, "measured")

    monkeypatch.setattr(runner, "_one", noted)
    evidence = Evidence(real, fresh, both, seed=1, copies=(good, bad))
    runner.run(evidence, only=("copies", "fidelity", "utility", "validity"))
    assert seen["fidelity"] is bad
    assert seen["utility"] is bad
    assert seen["privacy"] is both
    assert seen["validity"] is both
