"""What --epsilon leaves of tables where it is hard: bounds far wider than what occurs, and a number as target.

    python tests/benchmarks/private_accuracy.py --out build/private-accuracy [--data ../shared/data] [--seeds 0,1,2]

A cell is one fit; each is a line of ``cells.jsonl`` in the folder, and what is there is not measured again. No part of
CI: a cell takes half a minute on a small core.

tv2     mean total variation between real and synthetic tables of two columns, numbers in 20 bins with equally many
        real rows; ``floor`` is that of as many other real rows. A made table of 10,000 rows whose declared bounds are
        ``width`` times as wide as its bulk, at one end of them or ``far`` from both, with decimals declared or not.
r2      of gradient boosting trained on synthetic rows, tested on real rows that were kept apart; ``real``: trained on
        the real training rows. A made table, and time in hospital in diabetes130 (10,000 rows) if ``--data`` has it.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score

from synthrelease.core.contracts import Column, FitSettings, PrivacyBudget, Schema, Table
from synthrelease.synthesis import generators

ROWS = 10_000
BINS = 20
DELTA = 1e-6
SHIFT = 45
"""Bulks far from both bounds begin at so many times their own width, and the bounds are 100 times as wide."""
LABELS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Task:
    """A table with unseen rows of the same kind, and what is measured of it."""

    name: str
    train: Table
    unseen: pd.DataFrame
    score: Callable[[Table, pd.DataFrame, pd.DataFrame], dict[str, float]]


def bulk(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Four numbers in 0..100 with one decimal, and two labels, all of them dependent."""
    ill = rng.normal(size=rows)
    noise = rng.normal(size=(4, rows))
    some = np.where(rng.random(rows) < 0.25, 0.0, 20 * np.exp(0.4 * ill + 0.3 * noise[1]))
    numbers = {
        "even": 50 + 12 * ill + 12 * noise[0],
        "some": some,
        "skewed": 8 * np.exp(0.5 * ill + 0.5 * noise[2]),
        "two_humps": np.where(ill + noise[3] > 0.5, 75, 30) + 6 * rng.normal(size=rows),
    }
    frame = pd.DataFrame({name: values.clip(0, 100).round(1) for name, values in numbers.items()})
    for name, cuts in (("stage", (-1.0, 0.0, 1.2)), ("ward", (-0.3, 0.5, 1.0))):
        codes = np.searchsorted(cuts, ill + rng.normal(size=rows))
        frame[name] = pd.Categorical.from_codes(codes, list(LABELS))
    return frame


def bounds_tasks() -> Iterator[Task]:
    """The made table under bounds of all widths, decimals declared or not, and far from both bounds."""
    real, unseen = (bulk(ROWS, np.random.default_rng(seed)) for seed in (1, 2))
    cases = [(f"width {width}", 0.0, (0.0, 100.0 * width)) for width in (1, 10, 100)]
    cases.append(("far", SHIFT * 100.0, (0.0, 10_000.0)))
    for (name, shift, bounds), decimals in itertools.product(cases, (1, None)):
        columns = [
            Column(each, "categorical", categories=LABELS)
            if isinstance(real[each].dtype, pd.CategoricalDtype)
            else Column(each, "numeric", bounds=bounds, decimals=decimals)
            for each in real
        ]
        moved = [_moved(frame, shift) for frame in (real, unseen)]
        table = Table(moved[0], Schema(tuple(columns), unit_is_row=True, rows_are_public=True), "real")
        yield Task(f"{name}, decimals {'open' if decimals is None else 'declared'}", table, moved[1], pairs)


def _moved(frame: pd.DataFrame, shift: float) -> pd.DataFrame:
    numbers = frame.select_dtypes("number").columns
    return frame.assign(**{name: (frame[name] + shift).round(1) for name in numbers})


def made_number(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """A number that hangs on two numbers and a label, beside two columns that tell nothing."""
    age, dose = rng.integers(20, 91, rows), rng.gamma(2, 2, rows).clip(0, 20).round(1)
    ward, other = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1]), rng.choice(4, rows)
    days = 2 + 0.12 * (age - 20) + np.array([0, 2, 4, 9])[ward] + 3 * np.sqrt(dose) + 2.5 * rng.normal(size=rows)
    return pd.DataFrame({
        "age": age.astype(float),
        "dose": dose,
        "score": rng.integers(0, 11, rows).astype(float),
        "ward": pd.Categorical.from_codes(ward, list(LABELS)),
        "other": pd.Categorical.from_codes(other, list(LABELS)),
        "days": days.clip(0, 60).round(1),
    })  # fmt: skip


def made_task(rows: int = ROWS) -> Task:
    """The made table with a number as target."""
    train, unseen = (made_number(rows, np.random.default_rng(seed)) for seed in (1, 2))
    columns = (
        Column("age", "integer", bounds=(0, 120)),
        Column("dose", "numeric", bounds=(0.0, 50.0), decimals=1),
        Column("score", "integer", bounds=(0, 10)),
        Column("ward", "categorical", categories=LABELS),
        Column("other", "categorical", categories=LABELS),
        Column("days", "numeric", bounds=(0.0, 100.0), decimals=1, role="target"),
    )
    schema = Schema(columns, target="days", unit_is_row=True, rows_are_public=True)
    return Task(f"number as target, made, {rows} rows", Table(train, schema, "real"), unseen, number)


def hospital_task(folder: Path) -> Task:
    """Time in hospital in diabetes130, by the columns that an analyst would take."""
    numbers = dict.fromkeys(("num_lab_procedures", "num_medications", "number_emergency"), 150)
    numbers |= dict.fromkeys(("number_outpatient", "number_inpatient", "number_diagnoses", "num_procedures"), 50)
    numbers["time_in_hospital"] = 14
    labels = ["race", "gender", "age", "admission_type_id", "admission_source_id", "discharge_disposition_id"]
    labels += ["A1Cresult", "insulin", "change", "diabetesMed"]
    cells = pd.read_csv(folder / "diabetes130.csv", dtype=str, keep_default_na=False)
    cells = cells.drop_duplicates("patient_nbr").sample(2 * ROWS, random_state=0).reset_index(drop=True)
    frame = pd.DataFrame({name: cells[name].astype(float) for name in numbers})
    for name in labels:
        frame[name] = pd.Categorical(cells[name], categories=sorted(cells[name].unique()))
    columns = [Column(name, "integer", bounds=(0, most)) for name, most in numbers.items()]
    columns[-1] = replace(columns[-1], bounds=(1, 14), role="target")
    columns += [Column(name, "categorical", categories=tuple(frame[name].cat.categories)) for name in labels]
    schema = Schema(tuple(columns), target="time_in_hospital", unit_is_row=True, rows_are_public=True)
    train, unseen = frame.iloc[:ROWS], frame.iloc[ROWS:].reset_index(drop=True)
    return Task("number as target, diabetes130", Table(train, schema, "real"), unseen, number)


def pairs(train: Table, made: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, float]:
    """Mean total variation of pairs of columns."""
    real, found, fresh = _binned(train.frame, [train.frame, made, unseen])
    names = list(itertools.combinations(real, 2))
    return {
        key: float(np.mean([_apart(real[list(two)], other[list(two)]) for two in names]))
        for key, other in (("tv2", found), ("floor", fresh))
    }


def _binned(real: pd.DataFrame, frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    out: list[dict[str, Any]] = [{} for _ in frames]
    for name, column in real.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            for each, frame in zip(out, frames, strict=True):
                each[str(name)] = frame[name].cat.codes
            continue
        edges = np.unique(column.quantile(np.arange(1, BINS) / BINS))
        for each, frame in zip(out, frames, strict=True):
            each[str(name)] = np.where(frame[name].isna(), BINS + 1, np.searchsorted(edges, frame[name], side="right"))
    return [pd.DataFrame(each) for each in out]


def _apart(one: pd.DataFrame, other: pd.DataFrame) -> float:
    shares = [frame.value_counts(normalize=True) for frame in (one, other)]
    return float(0.5 * shares[0].sub(shares[1], fill_value=0.0).abs().sum())


def number(train: Table, made: pd.DataFrame, unseen: pd.DataFrame) -> dict[str, float]:
    """R2 on unseen real rows of boosting trained on made rows, and on real ones."""
    return {"r2": _r2(train, made, unseen), "real": _r2(train, train.frame, unseen)}


def _r2(train: Table, rows: pd.DataFrame, unseen: pd.DataFrame) -> float:
    target = str(train.schema.target)
    rows = rows[rows[target].notna()]
    model = HistGradientBoostingRegressor(random_state=0, categorical_features="from_dtype")
    model.fit(rows.drop(columns=target), rows[target])
    return float(r2_score(unseen[target], model.predict(unseen.drop(columns=target))))


def measured(task: Task, epsilon: float, seed: int) -> dict[str, float]:
    """Fit, sample as many rows, score."""
    budget = PrivacyBudget(epsilon, DELTA, "row", rows_are_public=True)
    fitted = generators.load("marginals")(task.train, FitSettings(seed=seed, privacy=budget), lambda step: None)
    made = pd.concat(list(fitted.sample(len(task.train), seed=seed)), ignore_index=True)
    return task.score(task.train, made[list(task.train.frame)], task.unseen)


def main() -> None:
    """Measure what is not in the file yet, and print means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epsilons", help="1 for bounds and 1, 3 and 10 for targets, unless said")
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    file = chosen.out / "cells.jsonl"
    file.touch()
    cells = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    tasks = [*bounds_tasks(), made_task(), made_task(1_000)]
    tasks += [hospital_task(chosen.data)] if chosen.data else []
    for seed, task in itertools.product(chosen.seeds.split(","), tasks):
        for epsilon in (chosen.epsilons or ("1" if task.score is pairs else "1,3,10")).split(","):
            key = {"task": task.name, "epsilon": float(epsilon), "seed": int(seed)}
            if chosen.only not in task.name or any(key.items() <= cell.items() for cell in cells):
                continue
            cells.append({**key, **measured(task, float(epsilon), int(seed))})
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(cells[-1]) + "\n")
            print(cells[-1], flush=True)
    print(pd.DataFrame(cells).groupby(["task", "epsilon"]).mean().drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()
