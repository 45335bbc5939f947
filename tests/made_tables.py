"""A small made-up table that generators are tested on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, FitSettings, Fitted, Schema, Table, TrainingStep

QUICK = FitSettings(seed=1, effort=0.05)


def clinic(rows: int = 300, *, seed: int = 0, target: str | None = "ill") -> Table:
    """Draw a table with two correlated numbers, one with spikes and gaps, a rare category, and a class to predict."""
    rng = np.random.default_rng(seed)
    ill = rng.random(rows) < 0.4
    size = rng.normal(20, 3, rows) + 4 * ill
    dose = np.where(rng.random(rows) < 0.5, 0.0, np.round(rng.exponential(20, rows)) + 1)
    dose[rng.random(rows) < 0.2] = np.nan
    ward = rng.choice(["A", "B", "C"], rows, p=[0.6, 0.3, 0.1]).astype(object)
    ward[:2] = "Z"
    frame = pd.DataFrame(
        {
            "size": np.round(size, 2),
            "area": np.round(size**2 + rng.normal(0, 5, rows), 1),
            "dose": dose,
            "ward": pd.Categorical(ward, categories=["A", "B", "C", "Z"]),
            "ill": pd.Categorical(np.where(ill, "yes", "no"), categories=["no", "yes"]),
        }
    )
    columns = (
        Column("size", "numeric"),
        Column("area", "numeric"),
        Column("dose", "integer"),
        Column("ward", "categorical", categories=("A", "B", "C", "Z")),
        Column("ill", "boolean", categories=("no", "yes")),
    )
    return Table(frame, Schema(columns, target=target), "real")


def ignore(step: TrainingStep) -> None:
    """Take a report and do nothing."""


def draw(fitted: Fitted, rows: int = 500, *, seed: int = 3, chunk_rows: int = 65_536) -> pd.DataFrame:
    """Sample rows as one frame."""
    return pd.concat(list(fitted.sample(rows, seed=seed, chunk_rows=chunk_rows)), ignore_index=True)
