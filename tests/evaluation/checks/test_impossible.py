"""Pairs of values that never go together: counted by hand, planted, and absent from honest rows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Evidence, Schema, Table
from synthrelease.evaluation.checks import impossible

SCHEMA = Schema(
    (
        Column("age", "integer"),
        Column("sex", "categorical", categories=("f", "m")),
        Column("unit", "categorical", categories=("birth", "heart", "skin")),
        Column("dose", "numeric"),
    )
)


def ward(rows: int, seed: int, *, planted: float = 0.0) -> Table:
    """Nobody is both a man and on the unit for births; a planted share of the rows is."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], rows)
    unit = np.where(sex == "m", rng.choice(["heart", "skin"], rows), rng.choice(["birth", "heart", "skin"], rows))
    wrong = rng.random(rows) < planted
    sex[wrong], unit[wrong] = "m", "birth"
    age = rng.integers(18, 90, rows).astype(float)
    age[rng.random(rows) < 0.1] = np.nan
    return table(age, sex, unit, rng.normal(age, 20))


def table(age, sex, unit, dose) -> Table:
    frame = pd.DataFrame(
        {
            "age": np.asarray(age, dtype=float),
            "sex": pd.Categorical(sex, categories=["f", "m"]),
            "unit": pd.Categorical(unit, categories=["birth", "heart", "skin"]),
            "dose": np.asarray(dose, dtype=float),
        }
    )
    return Table(frame, SCHEMA, "real")


def measured(train: Table, holdout: Table, made: Table):
    result = impossible.measure(Evidence(train, holdout, replace(made, origin="synthetic"), seed=0))
    return result, result.metric("impossible_excess")


def test_rows_worked_out_by_hand():
    """Forty training rows: 10 births, 20 men, none with both (5 expected). Two of eight made rows are such."""
    train = table([50] * 40, ["f"] * 20 + ["m"] * 20, ["birth"] * 10 + ["heart"] * 10 + ["heart"] * 20, [1] * 40)
    made = table([50] * 8, ["m"] * 2 + ["f"] * 6, ["birth"] * 8, [1] * 8)
    result, metric = measured(train, train.take(np.arange(10, 40)), made)
    assert metric.value == pytest.approx(0.25)
    assert "25.0% of the synthetic rows" in metric.reading
    assert "sex with unit" in metric.reading
    assert result.figures[0].lines[0].y == (25.0,)
    # One row fewer, and 4.75 would be expected: too few to say that they never go together.
    fewer = train.take(np.delete(np.arange(40), 0))
    assert measured(fewer, fewer, made)[1].value == 0


def test_planted_rows_are_caught_and_honest_rows_are_not():
    train, holdout = ward(3_000, 1), ward(1_500, 2)
    assert measured(train, holdout, ward(3_000, 3, planted=0.03))[1].low > 0.02
    honest = measured(train, holdout, ward(3_000, 4))[1]
    assert honest.low < 0 < honest.high < 0.02
    assert measured(train, holdout, replace(train))[1].value <= 0


def test_it_counts_as_the_slow_way_does():
    train, holdout, made = ward(600, 5), ward(300, 6), ward(400, 7, planted=0.1)
    counted = []
    for rows in (made.frame, holdout.frame):
        bad = np.zeros(len(rows), dtype=bool)
        for one, other in combinations(train.frame, 2):
            (a, x), (b, y) = (plainly(train.frame[name], rows[name]) for name in (one, other))
            for at in range(len(rows)):
                together = ((a == x[at]) & (b == y[at])).sum()
                expected = (a == x[at]).sum() * (b == y[at]).sum() / len(a)
                bad[at] |= together == 0 and expected >= 5
        counted.append(bad.mean())
    assert measured(train, holdout, made)[1].value == pytest.approx(counted[0] - counted[1])


def plainly(train: pd.Series, rows: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    if train.dtype == "category":
        return train.cat.codes.to_numpy(), rows.cat.codes.to_numpy()
    cuts = np.nanquantile(train, np.arange(0.05, 0.99, 0.05))
    return tuple(np.where(each.isna(), -1, (each.to_numpy()[:, None] >= cuts).sum(axis=1)) for each in (train, rows))


def test_a_patient_with_many_rows_counts_once():
    train, made = ward(2_000, 8), ward(1_000, 9)
    many = replace(ward(1_000, 10, planted=1.0), units=np.zeros(1_000, dtype=np.int64))
    result, metric = measured(train, many, made)
    assert metric.n == result.n == 1
    assert metric.high - metric.low > 0.5


def test_one_column_has_no_pairs():
    one = ward(100, 1)
    schema = Schema(SCHEMA.columns[:1])
    alone = replace(one, frame=one.frame[["age"]], schema=schema)
    result = impossible.measure(Evidence(alone, alone, replace(alone, origin="synthetic"), seed=0))
    assert result.status == "not_applicable"


def test_too_few_rows_for_any_pair_are_no_evidence():
    few = table(np.arange(16), ["f", "m"] * 8, ["heart"] * 8 + ["skin"] * 8, np.arange(16))
    metric = measured(few, ward(500, 1), ward(500, 2))[1]
    assert np.isnan(metric.value)
    assert np.isnan(metric.high)
