"""Conditions on made rows ("sex=F, age=60..80"), and a column whose classes are made equally often.

A condition names labels or a range. Rows that do not meet it are drawn again (``constraint_repair.obeying``), so that
what is left has the distribution that the generator gives to such rows. Generators that can write chosen columns first
are asked to do so where hardly any row would be left (``leading``).
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, Column, Schema, Table
from synthrelease.core.errors import InputError, listing
from synthrelease.schema import datetimes

RARE = 0.04
"""Columns of a condition that a smaller share of the training rows meets are written first."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a column must hold: one of ``labels``, or a number from ``low`` to ``high``, both ends included.

    Numbers of dates and times are days (see ``contracts.Column``). A missing value meets no condition.
    """

    column: str
    labels: tuple[str, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    words: str = ""

    @property
    def wanted(self) -> Collection[str] | tuple[float, float]:
        """The labels, or both ends of the range."""
        return self.labels or (self.low, self.high)

    def met(self, frame: pd.DataFrame) -> BoolArray:
        """Which rows of a canonical frame meet it, (rows,)."""
        cells = frame[self.column]
        if self.labels:
            return cells.isin(self.labels).to_numpy(dtype=np.bool_)
        values = cells.to_numpy(dtype=np.float64)
        return np.asarray((values >= self.low) & (values <= self.high))


def parsed(texts: Sequence[str], schema: Schema) -> tuple[Condition, ...]:
    """Read conditions as a person writes them: ``sex=F``, ``ward=A|B``, ``age=60..80``, ``age=..17``; commas join them.

    A part that holds a comma stands in double quotes.

    Raises:
        InputError: a condition cannot be read, or names what the schema does not know; every problem is listed.
    """
    parts = [part.strip() for row in csv.reader(texts, skipinitialspace=True) for part in row if part.strip()]
    problems: list[str] = []
    found: list[Condition] = []
    for part in parts:
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not value:
            problems.append(f"{part!r} must read column=label, column=label|label or column=low..high")
        elif name not in {column.name for column in schema.learned}:
            problems.append(f"{name!r} is no column that is learned")
        elif name in {each.column for each in found}:
            problems.append(f"{name!r} stands in two conditions; join labels by | and give one range")
        else:
            try:
                found.append(_condition(schema.column(name), value, words=f"{name}={value}"))
            except ValueError as error:
                problems.append(f"{part!r} {error}")
    if problems:
        raise InputError(listing("--condition must name columns and what they may hold. Correct it:", problems))
    return tuple(found)


def _condition(column: Column, value: str, *, words: str) -> Condition:
    if not column.is_number:
        labels = tuple(label.strip() for label in value.split("|"))
        unknown = [label for label in labels if label not in column.categories]
        if unknown:
            raise ValueError(f"names {', '.join(map(repr, unknown))}, which is no label of the column")
        return Condition(column.name, labels, words=words)
    low, dots, high = value.partition("..")
    ends = _number(low, column, -np.inf), _number(high if dots else low, column, np.inf)
    if not ends[0] <= ends[1]:
        raise ValueError("must have its lower end first")
    return Condition(column.name, low=ends[0], high=ends[1], words=words)


def _number(text: str, column: Column, default: float) -> float:
    text = text.strip()
    if not text:
        return default
    value = float(datetimes.parse([text], column)[0]) if column.is_moment else _plain(text)
    if not np.isfinite(value):
        raise ValueError(f"must be a range of {'moments spelled as in the table' if column.is_moment else 'numbers'}")
    return value


def _plain(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def meets(conditions: Iterable[Condition], frame: pd.DataFrame) -> BoolArray:
    """Which rows meet every condition, (rows,)."""
    return np.asarray(np.logical_and.reduce([np.ones(len(frame), np.bool_), *(each.met(frame) for each in conditions)]))


def restricted(table: Table, conditions: Sequence[Condition]) -> Table:
    """Return the rows that meet every condition."""
    return table.take(np.flatnonzero(meets(conditions, table.frame))) if conditions else table


def check(train: Table, conditions: Sequence[Condition], *, min_cell: int) -> None:
    """Refuse what too few training patients meet: rows made to order would be about those few.

    Raises:
        InputError: fewer than ``min_cell`` patients have a row that meets all conditions.
    """
    rows = np.flatnonzero(meets(conditions, train.frame))
    patients = len(rows) if train.units is None else len(np.unique(train.units[rows]))
    if patients < min_cell:
        raise InputError(
            f"--condition must be met by at least {min_cell} training patients, however {patients} have such a row. "
            "Widen it, or make rows without it."
        )


def leading(train: Table, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """The columns that a generator should write first: those of a condition that hardly any training row meets."""
    is_rare = bool(conditions) and meets(conditions, train.frame).mean() < RARE
    return tuple(each.column for each in conditions) if is_rare else ()


def classes(train: Table, name: str, *, min_cell: int) -> tuple[Condition, ...]:
    """One condition a class of the column ``name``, for a table in which they are equally frequent.

    Raises:
        InputError: the column has no labels, fewer than two, or one that fewer than ``min_cell`` patients have.
    """
    if name not in {column.name for column in train.schema.learned} or train.schema.column(name).is_number:
        raise InputError(
            f"--balance needs a column with labels that is learned, however {name!r} is none. Name another."
        )
    cells = train.frame[name]
    owners = pd.Series(np.arange(len(train)) if train.units is None else train.units)
    patients = owners.groupby(cells.to_numpy(), observed=True).nunique()
    labels = [label for label in train.schema.column(name).categories if patients.get(label, 0) > 0]
    few = [label for label in labels if patients[label] < min_cell]
    if len(labels) < 2 or few:
        found = f"{len(few)} of its {len(labels)} classes have fewer" if few else "it has fewer than two classes"
        raise InputError(
            f"--balance needs a column whose classes at least {min_cell} training patients have, however of {name!r} "
            f"{found}. Merge its rare classes in the schema."
        )
    return tuple(Condition(name, (label,), words=f"{name}={label}") for label in labels)


def shares(rows: int, parts: int) -> list[int]:
    """Cut ``rows`` into ``parts`` as equal as can be: the first ones get what is left over."""
    return [rows // parts + (place < rows % parts) for place in range(parts)]


def mixed(sources: Sequence[Iterator[pd.DataFrame]], rows: Sequence[int], *, seed: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of several streams in random order, in frames of bounded size; ``rows`` is how many each has."""
    rng = np.random.default_rng(seed)
    left, waiting = np.asarray(rows, dtype=np.int64), [pd.DataFrame()] * len(rows)
    while left.sum():
        counts = rng.multivariate_hypergeometric(left, min(CHUNK_ROWS, int(left.sum())))
        taken = []
        for place, count in enumerate(counts):
            while len(waiting[place]) < count:
                waiting[place] = _joined([waiting[place], next(sources[place])])
            taken.append(waiting[place].iloc[:count])
            waiting[place] = waiting[place].iloc[count:]
        frame = _joined(taken)
        yield frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
        left = left - counts


CHUNK_ROWS = 65_536


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def proportional(made: Table, train: Table, name: str, *, seed: int) -> Table:
    """Return a balanced table thinned to the training rows' shares of its classes: what balancing changed, set back."""
    wanted = train.frame[name].value_counts(normalize=True)
    cells = made.frame[name]
    have = cells.value_counts()
    size = min(have.get(label, 0) / share for label, share in wanted.items() if share > 0)
    rng = np.random.default_rng(seed)
    kept = [
        rng.permutation(np.flatnonzero((cells == label).to_numpy()))[: round(share * size)]
        for label, share in wanted.items()
    ]
    return made.take(np.sort(np.concatenate(kept)))
