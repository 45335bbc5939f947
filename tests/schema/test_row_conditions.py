"""Conditions: how they are read, whom they leave, and that made rows meet them in exact numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_tables import clinic, draw, ignore

from synthrelease.core.contracts import Column, FitSettings, Schema, Table
from synthrelease.core.errors import InputError, TrainingError
from synthrelease.schema import row_conditions
from synthrelease.schema.row_conditions import Condition
from synthrelease.synthesis import constraint_repair
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan

SCHEMA = Schema(
    (
        Column("age", "integer"),
        Column("ward", "categorical", categories=("A", "B", "C, east")),
        Column("seen", "date"),
        Column("id", "identifier", role="identifier"),
    )
)


def test_conditions_are_read_as_a_person_writes_them():
    read = row_conditions.parsed(["age=60..80, ward=A|B", "seen=2020-01-01..2020-12-31"], SCHEMA)
    assert [each.column for each in read] == ["age", "ward", "seen"]
    assert (read[0].low, read[0].high) == (60, 80)
    assert read[1].labels == ("A", "B")
    assert (read[2].low, read[2].high) == (18_262, 18_627)  # days since 1970-01-01


@pytest.mark.parametrize(
    ("text", "low", "high"), [("age=60", 60, 60), ("age=..17", -np.inf, 17), ("age=80..", 80, np.inf)]
)
def test_ranges_may_be_open_or_one_number(text, low, high):
    (read,) = row_conditions.parsed([text], SCHEMA)
    assert (read.low, read.high) == (low, high)


def test_a_label_with_a_comma_stands_in_quotes():
    (read,) = row_conditions.parsed(['"ward=C, east"'], SCHEMA)
    assert read.labels == ("C, east",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("age", "must read column=label"),
        ("age=", "must read column=label"),
        ("size=3", "'size' is no column that is learned"),
        ("id=3", "'id' is no column that is learned"),
        ("ward=Z", "no label of the column"),
        ("age=old", "must be a range of numbers"),
        ("age=nan", "must be a range of numbers"),
        ("age=80..60", "lower end first"),
        ("seen=soon", "moments spelled as in the table"),
        ("age=1..2, age=3..4", "stands in two conditions"),
    ],
)
def test_what_cannot_be_read_is_refused(text, found):
    with pytest.raises(InputError, match=found):
        row_conditions.parsed([text], SCHEMA)


def test_every_problem_is_listed():
    with pytest.raises(InputError, match=r"(?s)size.*ward"):
        row_conditions.parsed(["size=3", "ward=Z"], SCHEMA)


def test_a_missing_value_meets_nothing():
    frame = pd.DataFrame({"age": [np.nan, 70.0, 90.0], "ward": pd.Categorical(["A", None, "A"], categories=["A"])})
    assert Condition("age", low=60, high=80).met(frame).tolist() == [False, True, False]
    assert Condition("ward", ("A",)).met(frame).tolist() == [True, False, True]


def test_what_too_few_patients_meet_is_refused_and_rows_of_one_patient_count_once():
    table = clinic(300)
    wanted = row_conditions.parsed(["ward=Z"], table.schema)
    with pytest.raises(InputError, match="at least 5 training patients, however 2 have"):
        row_conditions.check(table, wanted, min_cell=5)
    everyone = row_conditions.parsed(["ill=yes|no"], table.schema)
    row_conditions.check(table, everyone, min_cell=5)
    with pytest.raises(InputError, match="however 3 have"):
        row_conditions.check(replace(table, units=np.arange(300) % 3), everyone, min_cell=5)


def plan_for(table: Table, *wanted: Condition) -> constraint_repair.Plan:
    return constraint_repair.Plan(table.schema, conditions=wanted)


def test_made_rows_meet_the_conditions_in_exact_numbers():
    table = clinic(300)
    fitted = gan.fit(table, FitSettings(seed=1, effort=0.1), ignore)
    wanted = row_conditions.parsed(["ill=yes, size=20..24"], table.schema)
    frames = list(constraint_repair.obeying(fitted, plan_for(table, *wanted), 333, seed=2))
    made = pd.concat(frames, ignore_index=True)
    assert len(made) == 333
    assert (made["ill"] == "yes").all()
    assert made["size"].between(20, 24).all()


def test_what_is_next_to_never_made_fails_with_the_condition_named():
    table = clinic(300)
    fitted = gan.fit(table, FitSettings(seed=1, effort=0.05), ignore)
    with pytest.raises(TrainingError, match=r"'ward=Z'.*Widen the condition"):
        list(constraint_repair.obeying(fitted, plan_for(table, Condition("ward", ("Z",), words="ward=Z")), 50, seed=2))


def test_columns_that_are_written_first_are_narrowed_and_others_are_not():
    table = clinic(400)
    lead = ("ward", "size")
    fitted = gan.fit(table, FitSettings(seed=1, effort=0.1, lead=lead), ignore)
    narrowed = draw(fitted.only({"ward": ("C",), "size": (18.0, 22.0), "dose": (0.0, 0.0)}), 400)
    assert (narrowed["ward"] == "C").all()
    assert narrowed["size"].between(17, 23).mean() > 0.9
    assert len(set(narrowed["dose"].dropna())) > 1
    free = draw(gan.fit(table, FitSettings(seed=1, effort=0.1), ignore).only({"ward": ("C",)}), 400)
    assert (free["ward"] != "C").any()


def test_hardly_ever_met_conditions_are_written_first():
    table = clinic(400)
    assert row_conditions.leading(table, row_conditions.parsed(["ill=yes"], table.schema)) == ()
    both = row_conditions.parsed(["ill=yes, ward=C, size=26.."], table.schema)
    assert row_conditions.leading(table, both) == ("ill", "ward", "size")


def test_classes_must_be_labels_that_enough_patients_have():
    table = clinic(300)
    assert [each.labels for each in row_conditions.classes(table, "ill", min_cell=5)] == [("no",), ("yes",)]
    with pytest.raises(InputError, match="1 of its 4 classes have fewer"):
        row_conditions.classes(table, "ward", min_cell=5)
    with pytest.raises(InputError, match="column with labels"):
        row_conditions.classes(table, "size", min_cell=5)


def test_streams_are_mixed_in_exact_numbers_and_random_order(monkeypatch):
    monkeypatch.setattr(row_conditions, "CHUNK_ROWS", 64)
    streams = [
        iter([pd.DataFrame({"x": [name] * size}) for size in sizes])
        for name, sizes in (("a", (10, 90)), ("b", (70, 30)), ("c", (5,)))
    ]
    frames = list(row_conditions.mixed(streams, [100, 100, 5], seed=0))
    made = pd.concat(frames)
    assert max(map(len, frames)) <= 64
    assert made["x"].value_counts().to_dict() == {"a": 100, "b": 100, "c": 5}
    first = made["x"].iloc[:60].value_counts()
    assert first.get("a", 0) > 15
    assert first.get("b", 0) > 15


@pytest.mark.parametrize(("rows", "parts", "counts"), [(7, 3, [3, 2, 2]), (6, 3, [2, 2, 2]), (1, 2, [1, 0])])
def test_rows_are_shared_out_evenly(rows, parts, counts):
    assert row_conditions.shares(rows, parts) == counts


def test_thinning_sets_the_real_shares_back():
    train = clinic(1_000)
    made = clinic(400, seed=5)
    even = made.take(np.flatnonzero((made.frame["ill"] == "no").to_numpy())[:150])
    ill = made.take(np.flatnonzero((made.frame["ill"] == "yes").to_numpy())[:150])
    both = replace(even, frame=pd.concat([even.frame, ill.frame], ignore_index=True))
    thinned = row_conditions.proportional(both, train, "ill", seed=0)
    assert (thinned.frame["ill"] == "yes").mean() == pytest.approx((train.frame["ill"] == "yes").mean(), abs=0.01)
    assert len(thinned) > 230
