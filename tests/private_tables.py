"""A small table whose schema declares all that a private build needs, and two budgets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, PrivacyBudget, Schema, Table

ROW = PrivacyBudget(epsilon=3.0, delta=1e-6, unit="row", rows_are_public=True)
PATIENT = dataclasses.replace(ROW, unit="patient", rows_per_unit=3)
LETTERS = tuple("abcd")
COLUMNS = (
    Column("age", "integer", bounds=(0, 100)),
    Column("dose", "numeric", bounds=(0.0, 5.0), decimals=1),
    Column("ward", "categorical", categories=LETTERS),
    Column("ill", "boolean", role="target", categories=("no", "yes")),
)
SCHEMA = Schema(COLUMNS, target="ill", unit_is_row=True, rows_are_public=True)


def table(rows: int = 3_000, seed: int = 0, units: np.ndarray | None = None) -> Table:
    rng = np.random.default_rng(seed)
    age = np.clip(rng.normal(50, 20, rows).round(), 0, 100)
    dose = np.where(rng.random(rows) < 0.3, 0.0, rng.gamma(2, 0.5, rows).clip(0, 5).round(1))
    dose[rng.random(rows) < 0.1] = np.nan
    ill = rng.random(rows) < 1 / (1 + np.exp(-(age - 60) / 8))
    return Table(
        pd.DataFrame(
            {
                "age": age,
                "dose": dose,
                "ward": pd.Categorical.from_codes(rng.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05]), list(LETTERS)),
                "ill": pd.Categorical.from_codes(ill.astype(int), ["no", "yes"]),
            }
        ),
        SCHEMA,
        "real",
        units,
    )
