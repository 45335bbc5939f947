"""The measures of what --epsilon leaves, on tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import private_accuracy
import pytest

from synthrelease.core.contracts import Column, Schema, Table


def test_pairs_are_apart_by_what_their_bins_do_not_share():
    real = pd.DataFrame({"x": np.repeat([0.0, 1.0], 50), "g": pd.Categorical(["a", "b"] * 50)})
    schema = Schema((Column("x", "integer", bounds=(0, 1)), Column("g", "categorical", categories=("a", "b"))))
    moved = real.assign(x=np.where(np.arange(100) < 60, 0.0, 1.0))
    found = private_accuracy.pairs(Table(real, schema, "real"), moved, real)
    assert found == {"tv2": pytest.approx(0.1), "floor": 0.0}


def test_every_width_is_asked_with_decimals_declared_and_open_and_holds_its_rows():
    tasks = list(private_accuracy.bounds_tasks())
    assert len({task.name for task in tasks}) == len(tasks) == 8
    for task in tasks:
        for column in task.train.schema.columns:
            if column.bounds is not None:
                assert task.train.frame[column.name].between(*column.bounds).all()


def test_real_rows_predict_a_made_number_and_shuffled_ones_do_not():
    task = private_accuracy.made_task(600)
    shuffled = task.train.frame.assign(days=task.train.frame["days"].sample(frac=1, random_state=0).to_numpy())
    found = task.score(task.train, shuffled, task.unseen)
    assert found["real"] > 0.4
    assert found["r2"] < 0.1
