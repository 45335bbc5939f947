"""Rows dealt out to patients: as many as real patients have, constant where real patients are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthrelease
from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.synthesis import patient_grouping

COLUMNS = (
    Column("pid", "identifier", "unit"),
    Column("sex", "categorical", categories=("F", "M")),
    Column("height", "numeric"),
    Column("age", "integer"),
    Column("dose", "numeric"),
)
MEANING = Schema(COLUMNS, unit="pid")


def nothing(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    return frame, np.zeros(len(frame), dtype=bool)


def visits_of(people: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    sizes = rng.geometric(0.5, people).clip(1, 8)
    units = np.repeat(np.arange(people), sizes)
    number = np.concatenate([np.arange(size) for size in sizes])
    frame = pd.DataFrame(
        {
            "sex": pd.Categorical.from_codes(rng.integers(0, 2, people)[units], ["F", "M"]),
            "height": np.round(rng.normal(170, 9, people), 0)[units],
            "age": (rng.integers(20, 80, people)[units] + number).astype(float),
            "dose": rng.normal(size=len(units)),
        }
    )
    shuffled = rng.permutation(people)[units]
    return Table(frame, MEANING, "real", shuffled.astype(np.int64))


def test_habits_are_found_on_training_rows():
    found = patient_grouping.habits(visits_of(600), min_cell=10)
    assert found.constant == ("sex", "height")
    assert found.steady == ()
    assert found.order == "age"
    assert found.visits[0] == pytest.approx(0.5, abs=0.05)
    assert sum(found.visits) == pytest.approx(1)


def test_a_count_of_rows_that_few_patients_have_is_never_dealt():
    """70 patients with one row, 12 with three, 5 with four, one with 90: four is the cap, and held by six."""
    sizes = np.array([1] * 70 + [3] * 12 + [4] * 5 + [90])
    assert patient_grouping._visits(sizes, 5) == pytest.approx((70 / 88, 0, 12 / 88, 6 / 88))
    assert patient_grouping._visits(sizes, 10) == pytest.approx((70 / 88, 0, 18 / 88))


def test_without_patients_who_come_again_rows_stay_as_they_are():
    table = visits_of(50)
    alone = Table(table.frame, MEANING, "real", np.arange(len(table)))
    assert patient_grouping.habits(alone, min_cell=5) is None
    (frame,) = patient_grouping.dealt([table.frame], None, unit="pid", seed=0, mend=nothing)
    assert frame is table.frame


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 99), st.booleans())
def test_dealt_rows_are_as_many_constant_and_in_order(rows, seed, in_two):
    learned = patient_grouping.habits(visits_of(300), min_cell=10)
    pool = visits_of(400, seed=seed + 1).frame.iloc[:rows]
    frames = [pool.iloc[: rows // 2], pool.iloc[rows // 2 :]] if in_two and rows > 1 else [pool]
    made = pd.concat(list(patient_grouping.dealt(frames, learned, unit="pid", seed=seed, mend=nothing)))
    assert len(made) == len(pool)
    assert made.drop(columns="pid").dtypes.tolist() == pool.dtypes.tolist()
    groups = made.groupby("pid")
    assert groups[["sex", "height"]].nunique().to_numpy().max() == 1
    assert groups.size().max() <= len(learned.visits)
    assert (groups["age"].diff().dropna() >= 0).all()
    assert sorted(made["dose"]) == sorted(pool["dose"])


def test_the_number_of_rows_follows_the_training_patients():
    train = visits_of(2_000)
    learned = patient_grouping.habits(train, min_cell=10)
    pool = pd.concat([visits_of(2_000, seed=2).frame, visits_of(2_000, seed=3).frame])
    (made,) = patient_grouping.dealt([pool], learned, unit="pid", seed=1, mend=nothing)
    sizes = made.groupby("pid").size().value_counts(normalize=True)
    real = pd.Series(train.units).value_counts().value_counts(normalize=True)
    assert (sizes - real).abs().sum() / 2 < 0.04


def test_a_row_that_its_patients_values_would_spoil_keeps_its_own():
    learned = patient_grouping.habits(visits_of(600), min_cell=10)
    pool = visits_of(300, seed=4).frame
    pool["dose"] = pool["height"] + 1

    def taller(frame):
        return (frame["height"] > frame["dose"]).to_numpy()

    (made,) = patient_grouping.dealt([pool], learned, unit="pid", seed=1, mend=lambda frame: (frame, taller(frame)))
    assert not taller(made).any()
    assert made.groupby("pid")["height"].nunique().max() == 1
    assert len(made) == len(pool)


def test_a_formula_is_computed_again_when_a_patient_s_values_enter_it():
    learned = patient_grouping.habits(visits_of(600), min_cell=10)
    pool = visits_of(300, seed=4).frame
    pool["dose"] = 2 * pool["height"]
    (made,) = patient_grouping.dealt(
        [pool],
        learned,
        unit="pid",
        seed=1,
        mend=lambda frame: (frame.assign(dose=2 * frame["height"]), np.zeros(len(frame), dtype=bool)),
    )
    assert (made["dose"] == 2 * made["height"]).all()
    assert made["pid"].nunique() < 0.7 * len(made)
    (made,) = patient_grouping.dealt(  # a repair that takes a constant value away is not taken
        [pool],
        learned,
        unit="pid",
        seed=1,
        mend=lambda frame: (frame.assign(height=1.0), np.zeros(len(frame), dtype=bool)),
    )
    assert sorted(made["height"]) == sorted(pool["height"])


def test_a_run_repeats_patients_keeps_constants_and_obeys_constraints(tmp_path):
    table = visits_of(250)
    rows = table.frame.assign(pid=table.units + 5_000, dose=table.frame["dose"].round(2))
    rows["double"] = (2 * rows["dose"]).round(2)
    rows.to_csv(tmp_path / "t.csv", index=False)
    blocks = "".join(f'[columns.{name}]\nkind = "numeric"\n' for name in ("height", "age", "dose", "double"))
    (tmp_path / "s.toml").write_text(
        f'unit = "pid"\n[columns.pid]\n{blocks}[columns.sex]\nkind = "categorical"\ncategories = ["F", "M"]\n'
        '[[constraints]]\nrule = "double = 2 * dose"\ntolerance = 0.01\n'
        '[[constraints]]\nrule = "age < height or dose < 2"\n',
        encoding="utf-8",
    )
    result = synthrelease.build(
        tmp_path / "t.csv",
        schema_file=tmp_path / "s.toml",
        out=tmp_path / "run",
        policy_name="internal_sandbox",
        options=synthrelease.BuildOptions(seed=3, effort=0.05, rows=400),
    )
    made = pd.read_csv(next((tmp_path / "run").glob("*/synthetic.csv")))
    assert len(made) == 400
    assert made["pid"].nunique() < 330
    assert not set(made["pid"]) & set(rows["pid"])
    assert made.groupby("pid")[["sex", "height"]].nunique().to_numpy().max() == 1
    assert made["double"].tolist() == pytest.approx((2 * made["dose"]).tolist())
    broken = next(m for r in result.results for m in r.metrics if m.name == "broken_rules")
    assert broken.value == 0
    assert patient_grouping.NOT_MODELLED in result.facts.notices
    noted = json.loads((tmp_path / "run" / "internal" / "maker.json").read_text())["patients"]
    assert set(noted["constant"]) == {"sex", "height"}
