"""Synthetic tables whose verdict is known before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthrelease.core.contracts import Column, Table


@dataclass(frozen=True)
class Thirds:
    """A real table cut at random: shown to the generator, kept apart, and never seen by anybody."""

    train: Table
    holdout: Table
    fresh: Table


def thirds(table: Table, seed: int) -> Thirds:
    """Cut 40 / 30 / 30."""
    order = np.random.default_rng(seed).permutation(len(table))
    first, second = int(0.4 * len(order)), int(0.7 * len(order))
    return Thirds(*(table.take(part) for part in (order[:first], order[first:second], order[second:])))


def synthetic(table: Table, frame: pd.DataFrame) -> Table:
    """The frame as a synthetic table of the same schema."""
    return Table(frame=frame.reset_index(drop=True), schema=table.schema, origin="synthetic")


def fresh(parts: Thirds, rng: np.random.Generator) -> Table:
    """Real rows nobody has seen: the honest table."""
    return synthetic(parts.fresh, parts.fresh.frame)


def copies(parts: Thirds, rng: np.random.Generator) -> Table:
    """The copy machine: the training rows themselves."""
    return synthetic(parts.train, parts.train.frame)


def jittered(parts: Thirds, rng: np.random.Generator) -> Table:
    """The training rows, every number moved by 1%."""
    frame = parts.train.frame.copy()
    for column in parts.train.schema.learned:
        if column.is_number:
            frame[column.name] *= 1 + 0.01 * rng.standard_normal(len(frame))
    return synthetic(parts.train, frame)


def partly_copied(parts: Thirds, rng: np.random.Generator) -> Table:
    """One row in five is a training row, the others are honest."""
    rows = len(parts.fresh)
    copied = rng.permutation(len(parts.train))[: rows // 5]
    frames = [parts.train.frame.iloc[copied], parts.fresh.frame.iloc[: rows - len(copied)]]
    return synthetic(parts.train, pd.concat(frames))


def shuffled(parts: Thirds, rng: np.random.Generator) -> Table:
    """Every column real, no column belonging to any other: useless."""
    frame = parts.train.frame
    columns = {name: frame[name].iloc[rng.permutation(len(frame))].reset_index(drop=True) for name in frame}
    return synthetic(parts.train, pd.DataFrame(columns))


def noise(parts: Thirds, rng: np.random.Generator) -> Table:
    """Uniform noise over each column's range or labels."""
    frame = parts.train.frame
    columns = {c.name: _noise(c, frame[c.name], rng) for c in parts.train.schema.learned}
    return synthetic(parts.train, pd.DataFrame(columns))


def _noise(column: Column, cells: pd.Series, rng: np.random.Generator) -> object:
    if column.is_number:
        return rng.uniform(cells.min(), cells.max(), len(cells))
    codes = rng.integers(0, len(column.categories), len(cells))
    return pd.Categorical.from_codes(codes, dtype=cells.dtype)


PLANTS: dict[str, Callable[[Thirds, np.random.Generator], Table]] = {
    plant.__name__: plant for plant in (fresh, copies, jittered, partly_copied, shuffled, noise)
}
LEAKS = ("copies", "jittered", "partly_copied")
USELESS = ("shuffled", "noise")
