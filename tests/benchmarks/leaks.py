"""Leaks planted into an otherwise honest table: fresh real rows, some or all of which give training patients away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, Table
from synthrelease.evaluation.statistics.gower_embedding import Space
from synthrelease.evaluation.statistics.nearest_neighbours import nearest

Rng = np.random.Generator
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Leak:
    """One kind of leak; ``make`` takes the training rows, fresh rows and a generator of random numbers."""

    name: str
    words: str
    make: Callable[[Table, Table, Rng], pd.DataFrame]


def put(into: pd.DataFrame, at: Rows, source: pd.DataFrame, rows: Rows, columns: list[str]) -> None:
    """Copy cells of ``source``'s rows into the rows ``at`` of ``into``."""
    for name in columns:
        if isinstance(into[name].dtype, pd.CategoricalDtype):
            codes = into[name].cat.codes.to_numpy().copy()
            codes[at] = source[name].cat.codes.to_numpy()[rows]
            into[name] = pd.Categorical.from_codes(codes, dtype=into[name].dtype)
        else:
            values = into[name].to_numpy(float).copy()
            values[at] = source[name].to_numpy(float)[rows]
            into[name] = values


def _pairs(train: Table, fresh: Table, share: float, rng: Rng) -> tuple[Rows, Rows]:
    """Which fresh rows give way to which training rows."""
    count = max(1, round(share * len(fresh)))
    return rng.permutation(len(fresh))[:count], rng.permutation(len(train))[:count]


def copied(share: float) -> Callable[[Table, Table, Rng], pd.DataFrame]:
    """Whole rows, exactly."""

    def make(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
        frame = fresh.frame.copy()
        at, rows = _pairs(train, fresh, share, rng)
        put(frame, at, train.frame, rows, list(frame))
        return frame

    return make


def jittered(share: float, jitter: float) -> Callable[[Table, Table, Rng], pd.DataFrame]:
    """Whole rows, every number moved by a random share of itself; whole numbers stay whole."""

    def make(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
        frame = fresh.frame.copy()
        at, rows = _pairs(train, fresh, share, rng)
        put(frame, at, train.frame, rows, list(frame))
        for column in (c for c in train.schema.learned if c.is_number):
            values = frame[column.name].to_numpy(float).copy()
            moved = values[at] * (1 + jitter * rng.standard_normal(len(at)))
            values[at] = np.round(moved) if column.kind == "integer" else moved
            frame[column.name] = values
        return frame

    return make


def outliers(share: float) -> Callable[[Table, Table, Rng], pd.DataFrame]:
    """Whole rows of the most isolated 5% of training patients (or as many as are copied), exactly."""

    def make(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
        points = Space.fit(train).embed(train.frame)
        isolation = nearest(points, points, 6).distance[:, 1:].mean(axis=1)
        count = max(1, round(share * len(fresh)))
        alone = np.argsort(-isolation)[: max(count, round(0.05 * len(train)))]
        frame = fresh.frame.copy()
        put(frame, rng.permutation(len(fresh))[:count], train.frame, rng.permutation(alone)[:count], list(frame))
        return frame

    return make


def some_columns(share: float, part: float) -> Callable[[Table, Table, Rng], pd.DataFrame]:
    """A random part of the columns, the same for all rows that leak."""

    def make(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
        frame = fresh.frame.copy()
        names = [c.name for c in train.schema.learned]
        chosen = [names[i] for i in rng.permutation(len(names))[: max(2, round(part * len(names)))]]
        at, rows = _pairs(train, fresh, share, rng)
        put(frame, at, train.frame, rows, chosen)
        return frame

    return make


def sensitive(share: float) -> Callable[[Table, Table, Rng], pd.DataFrame]:
    """The quasi-identifiers of a training patient with that patient's own sensitive value; the rest is another's."""

    def make(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
        frame = fresh.frame.copy()
        known = [c.name for c in train.schema.learned if c.role == "quasi_identifier"]
        secret = [c.name for c in train.schema.learned if c.role == "sensitive"]
        at, rows = _pairs(train, fresh, share, rng)
        put(frame, at, train.frame, rows, [*known, secret[int(rng.integers(len(secret)))]])
        return frame

    return make


def overfitted(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
    """A generator that has learned rows by heart: training rows with one cell in five from a near training row."""
    points = Space.fit(train).embed(train.frame)
    near = nearest(points, points, 6).index[:, 1:]
    rows = rng.integers(len(train), size=len(fresh))
    other = near[rows, rng.integers(near.shape[1], size=len(rows))]
    frame = train.frame.iloc[rows].reset_index(drop=True)
    for column in train.schema.learned:
        swapped = np.flatnonzero(rng.random(len(rows)) < 0.2)
        put(frame, swapped, train.frame, other[swapped], [column.name])
    return frame


def smote(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
    """SMOTE (Chawla et al. 2002): every row lies between a training row and one of its five nearest."""
    points = Space.fit(train).embed(train.frame)
    near = nearest(points, points, 6).index[:, 1:]
    rows = rng.integers(len(train), size=len(fresh))
    other = near[rows, rng.integers(near.shape[1], size=len(rows))]
    way = rng.random(len(rows))
    frame = train.frame.iloc[rows].reset_index(drop=True)
    for column in train.schema.learned:
        if column.is_number:
            frame[column.name] = _between(train.frame[column.name].to_numpy(float), rows, other, way, column)
        else:
            put(frame, np.flatnonzero(way > 0.5), train.frame, other[way > 0.5], [column.name])
    return frame


def _between(values: np.ndarray[Any, Any], rows: Rows, other: Rows, way: np.ndarray[Any, Any], column: Column) -> Any:
    out = values[rows] + way * (values[other] - values[rows])
    return np.round(out) if column.kind == "integer" else out


def honest(train: Table, fresh: Table, rng: Rng) -> pd.DataFrame:
    """Fresh real rows, none of them trained on."""
    return fresh.frame.copy()


LEAKS = {
    leak.name: leak
    for leak in (
        Leak("honest", "honest: fresh rows", honest),
        Leak("copies_0.5", "0.5% copied exactly", copied(0.005)),
        Leak("copies_1", "1% copied exactly", copied(0.01)),
        Leak("copies_2", "2% copied exactly", copied(0.02)),
        Leak("copies_5", "5% copied exactly", copied(0.05)),
        Leak("copies_20", "20% copied exactly", copied(0.2)),
        Leak("jitter_0.1", "5% copied with 0.1% jitter", jittered(0.05, 0.001)),
        Leak("jitter_1", "5% copied with 1% jitter", jittered(0.05, 0.01)),
        Leak("jitter_3", "5% copied with 3% jitter", jittered(0.05, 0.03)),
        Leak("outliers_2", "2%, outliers only", outliers(0.02)),
        Leak("sensitive_20", "sensitive column in 20% of rows", sensitive(0.2)),
        Leak("sensitive_50", "sensitive column in 50% of rows", sensitive(0.5)),
        Leak("columns_20", "40% of columns in 20% of rows", some_columns(0.2, 0.4)),
        Leak("columns_50", "40% of columns in 50% of rows", some_columns(0.5, 0.4)),
        Leak("overfitted", "overfitted generator", overfitted),
        Leak("smote", "SMOTE interpolation", smote),
    )
}


def leaky(name: str, train: Table, fresh: Table, rng: Rng) -> Table:
    """The table with the leak called ``name``, as a synthetic one."""
    frame = LEAKS[name].make(train, fresh, rng).reset_index(drop=True)
    return replace(fresh, frame=frame, origin="synthetic", units=None)
