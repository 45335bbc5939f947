"""Made-up patients whose effects are known, for the check of planned analyses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Analysis, Column, Evidence, Schema, Table

COLUMNS = (
    Column("age", "numeric"),
    Column("dose", "numeric"),
    Column("sex", "categorical", categories=("f", "m")),
    Column("ward", "categorical", categories=("a", "b", "c")),
    Column("ill", "boolean", categories=("no", "yes")),
    Column("stay", "numeric"),
    Column("falls", "integer"),
    Column("months", "numeric"),
    Column("died", "boolean", categories=("0", "1")),
)
COVARIATES = ("age", "dose", "sex", "ward")
PLANS = {
    "ill": Analysis("illness", "logistic", "ill", COVARIATES, happened="yes"),
    "stay": Analysis("stay", "linear", "stay", COVARIATES),
    "falls": Analysis("falls", "poisson", "falls", COVARIATES),
    "months": Analysis("survival", "cox", "months", COVARIATES, event="died", happened="1"),
}


@dataclass(frozen=True)
class Effects:
    """Effects on the log scale of each outcome: of age and dose per standard deviation, of men, of wards b and c."""

    age: float = 0.8
    dose: float = -0.6
    male: float = 0.7
    wards: tuple[float, float] = (0.5, -0.4)

    def times(self, factor: float) -> Effects:
        """All of them so many times as large."""
        wards = (factor * self.wards[0], factor * self.wards[1])
        return Effects(factor * self.age, factor * self.dose, factor * self.male, wards)


def patients(rows: int, seed: int, effects: Effects = Effects()) -> pd.DataFrame:
    """So many patients, each with every outcome."""
    rng = np.random.default_rng(seed)
    age, dose = rng.normal(60, 10, rows), rng.normal(5, 2, rows)
    male, ward = rng.integers(0, 2, rows), rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    score = effects.age * (age - 60) / 10 + effects.dose * (dose - 5) / 2 + effects.male * male
    score = score + np.array([0.0, *effects.wards])[ward]
    time, censored = rng.exponential(20 * np.exp(-score)), rng.exponential(40, rows)
    return pd.DataFrame(
        {
            "age": age,
            "dose": dose,
            "sex": pd.Categorical.from_codes(male, ["f", "m"]),
            "ward": pd.Categorical.from_codes(ward, ["a", "b", "c"]),
            "ill": pd.Categorical.from_codes((rng.random(rows) < 1 / (1 + np.exp(0.7 - score))) + 0, ["no", "yes"]),
            "stay": score + rng.normal(0, 2, rows),
            "falls": rng.poisson(np.exp(0.4 * score)).astype(np.float64),
            "months": np.round(np.minimum(time, censored), 1),
            "died": pd.Categorical.from_codes((time <= censored) + 0, ["0", "1"]),
        }
    )


def schema(*outcomes: str, target: str | None = None) -> Schema:
    """A schema that plans the analyses of these outcomes."""
    columns = tuple(replace(each, role="target") if each.name == target else each for each in COLUMNS)
    return Schema(columns, target=target, analyses=tuple(PLANS[name] for name in outcomes))


def evidence(made: pd.DataFrame, plan: Schema, *, rows: int = 1_500, seed: int = 1) -> Evidence:
    """A made table beside real patients with the effects that stand above."""
    train, holdout = (Table(patients(rows, seed + at), plan, "real") for at in (0, 1_000))
    return Evidence(train, holdout, Table(made, plan, "synthetic"), seed=7)
