"""The patient as the unit of a synthetic table: how many rows a patient has, and what stays the same in them.

A generator makes rows one by one. Here they are dealt out to patients: as many rows each as training patients have,
rows that resemble each other together, and what is constant within a training patient constant again.

What is not modelled: how one visit leads to the next, and that patients of some kinds come more often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, Table

CONSTANT_SHARE = 0.01
"""A column is constant where two rows of a patient differ this often, compared with two rows of two patients."""
STEADY_SHARE = 0.5
"""Columns that differ at most so often help to decide which rows belong together."""
ORDERED_SHARE = 0.01
"""A column tells the order of visits where it falls in at most this share of the steps that change it."""
_RANKS = 10

NOT_MODELLED = (
    "Rows of one patient are independent visits of one person: how one visit leads to the next, how they are spaced in "
    "time, and that patients of some kinds come more often than others, is not modelled."
)

Mend = Callable[[pd.DataFrame], tuple[pd.DataFrame, BoolArray]]
"""Repairs rows by the schema's constraints and says which still break one, (rows,)."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What rows of one training patient have in common.

    ``visits``: share of patients with 1, 2, ... rows; counts of fewer than ``min_cell`` patients are merged into the
    next lower one. ``constant``: columns that do not change within a patient. ``steady``: columns that seldom do,
    steadiest first. ``order``: the column that grows from visit to visit, if there is one.
    """

    visits: tuple[float, ...]
    constant: tuple[str, ...]
    steady: tuple[str, ...]
    order: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, for ``model.json``."""
        return asdict(self)


def habits(train: Table, *, min_cell: int) -> Habits | None:
    """Learn from training rows; None where a patient has one row, or too few patients have more."""
    if train.units is None:
        return None
    _, units = np.unique(train.units, return_inverse=True)
    counts = np.bincount(units)
    if (counts > 1).sum() < min_cell:
        return None
    order = np.argsort(units, kind="stable")  # rows of a patient together, in file order
    later = np.diff(units[order], prepend=-1) == 0
    again = np.where((counts > 1)[units[order]], units[order], -1)  # rows of patients with one row tell nothing
    change = {
        column.name: _change(_codes(train, column.name)[order], later, again, min_cell)
        for column in train.schema.learned
    }
    steady = [name for name in sorted(change, key=lambda each: change[each]) if change[name] <= STEADY_SHARE]
    constant = tuple(name for name in steady if change[name] <= CONSTANT_SHARE)
    return Habits(
        visits=_visits(counts, min_cell),
        constant=constant,
        steady=tuple(name for name in steady if name not in constant),
        order=_order(train, order, later, min_cell, leave=constant),
    )


def _visits(counts: IntArray, min_cell: int) -> tuple[float, ...]:
    """Winsorise the numbers of rows, so that every one that is left is held by ``min_cell`` patients or more."""
    most = int(counts.max())
    patients = np.bincount(counts, minlength=most + 1)[1:]  # [0]: patients with one row
    reach = np.cumsum(patients[::-1])[::-1]  # patients with so many rows or more
    cap = int(np.flatnonzero(reach >= min_cell)[-1]) + 1
    held = patients[:cap].copy()
    held[cap - 1] = reach[cap - 1]
    common = np.flatnonzero(held >= min_cell)
    out = np.zeros(cap)
    for size, number in enumerate(held.tolist()):
        lower = common[common <= size]
        out[lower[-1] if len(lower) else common[0]] += number
    return tuple((out / out.sum()).tolist())


def _codes(table: Table, name: str) -> FloatArray:
    """A column as numbers: labels by their code, missing as a value of its own (NaN never equals NaN)."""
    if table.schema.column(name).is_number:
        return pd.factorize(table.frame[name], use_na_sentinel=False)[0].astype(np.float64)
    return table.frame[name].cat.codes.to_numpy().astype(np.float64)


def _change(codes: FloatArray, later: BoolArray, again: IntArray, min_cell: int) -> float:
    """How often a row differs from the patient's row before it, over how often any two rows differ.

    1 where fewer than ``min_cell`` patients with several rows (``again``, -1 = others) have another value than most.
    """
    _, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    unusual = again[(places != counts.argmax()) & (again >= 0)]
    if len(np.unique(unusual)) < min_cell:
        return 1.0
    expected = 1.0 - float(((counts / len(codes)) ** 2).sum())
    return float((np.diff(codes, prepend=codes[0])[later] != 0).mean()) / expected


def _order(table: Table, order: IntArray, later: BoolArray, min_cell: int, *, leave: tuple[str, ...]) -> str | None:
    """The number or ordinal column that grows most often from row to row and hardly ever falls."""
    best, found = None, 0
    _, units = np.unique(np.asarray(table.units), return_inverse=True)
    for column in table.schema.learned:
        if column.name in leave or not (column.is_number or column.kind == "ordinal"):
            continue
        cells = table.frame[column.name]
        values = cells.to_numpy(np.float64) if column.is_number else cells.cat.codes.astype(float).to_numpy()
        steps = np.diff(values[order], prepend=np.nan)
        rises, falls = later & (steps > 0), later & (steps < 0)
        people = len(np.unique(units[order][rises]))
        if people >= min_cell and falls.sum() <= ORDERED_SHARE * (rises | falls).sum() and rises.sum() > found:
            best, found = column.name, int(rises.sum())
    return best


def dealt(
    frames: Iterable[pd.DataFrame], learned: Habits | None, *, unit: str | None, seed: int, mend: Mend
) -> Iterator[pd.DataFrame]:
    """Deal rows out to patients: the frames come back with the patient's number (int64) in the unit's column.

    Rows of a patient stand together, in their order. A row that breaks a constraint with its patient's constant values,
    repaired or not, keeps its own and becomes a patient by itself.
    """
    if learned is None or unit is None:
        yield from frames
        return
    rng = np.random.default_rng(seed)
    first = 0
    for frame in frames:
        rows, owners = _deal(frame, learned, rng)
        bound = _bound(rows, owners, learned)
        mended, wrong = mend(bound)
        wrong = wrong | _changed(bound, mended, learned)
        if wrong.any():
            chosen = np.where(wrong, len(rows), 0) + np.arange(len(rows))
            mended = pd.concat([mended, rows], ignore_index=True).iloc[chosen].reset_index(drop=True)
            owners = np.where(wrong, len(rows) + np.arange(len(rows)), owners)
        numbered = mended.assign(**{unit: first + pd.factorize(owners)[0].astype(np.int64)})
        first = int(numbered[unit].max()) + 1
        keys = [unit] if learned.order is None else [unit, learned.order]
        yield numbered.sort_values(keys, kind="stable", ignore_index=True)


def _deal(frame: pd.DataFrame, learned: Habits, rng: np.random.Generator) -> tuple[pd.DataFrame, IntArray]:
    """Return the rows in a new order, and the owner of each, (rows,).

    The first rows are their patients' first ones: row i owns itself. The rest goes to patients by rank: both are put in
    order of the steady columns, so that a row comes to a patient whose first row resembles it.
    """
    sizes = _sizes(learned, len(frame), rng)
    people = len(sizes)
    rows = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    owners = np.arange(len(frame), dtype=np.int64)
    seats = np.repeat(np.arange(people), sizes - 1)
    keys = [_ranked(rows[name]) for name in (*learned.constant, *learned.steady)]
    waiting = np.arange(people, len(frame))
    if keys:
        order = np.lexsort(keys[::-1])
        rank = np.empty(len(frame), dtype=np.int64)
        rank[order] = np.arange(len(frame))
        seats, waiting = seats[np.argsort(rank[seats], kind="stable")], waiting[np.argsort(rank[waiting])]
    owners[waiting] = seats
    return rows, owners


def _sizes(learned: Habits, rows: int, rng: np.random.Generator) -> IntArray:
    """Draw numbers of rows until they add up to ``rows``; the last patient has what is left."""
    mean = float(np.dot(learned.visits, np.arange(1, len(learned.visits) + 1)))
    drawn = np.zeros(0, dtype=np.int64)
    while drawn.sum() < rows:
        more = rng.choice(len(learned.visits), size=int(rows / mean) + 10, p=learned.visits) + 1
        drawn = np.concatenate([drawn, more.astype(np.int64)])
    total = np.cumsum(drawn)
    people = int(np.searchsorted(total, rows)) + 1
    sizes = drawn[:people]
    sizes[-1] -= total[people - 1] - rows
    return sizes


def _ranked(cells: pd.Series[Any]) -> IntArray:
    """Cells as few ranks: labels by their code, numbers by tenths of the rows; missing is a rank of its own."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return cells.cat.codes.to_numpy().astype(np.int64)
    values = cells.to_numpy(dtype=np.float64)
    present = values[~np.isnan(values)]
    cuts = np.quantile(present, np.arange(1, _RANKS) / _RANKS) if len(present) else np.zeros(0)
    return np.where(np.isnan(values), -1, np.searchsorted(cuts, values, side="left")).astype(np.int64)


def _bound(rows: pd.DataFrame, owners: IntArray, learned: Habits) -> pd.DataFrame:
    """Return the rows with their patients' constant values."""
    return rows.assign(**{name: rows[name].iloc[owners].array for name in learned.constant})


def _changed(before: pd.DataFrame, after: pd.DataFrame, learned: Habits) -> BoolArray:
    """Which rows have lost a constant value, (rows,)."""
    lost = np.zeros(len(before), dtype=np.bool_)
    for name in learned.constant:
        was, now = before[name], after[name]
        lost |= ~((was == now) | (was.isna() & now.isna())).to_numpy(dtype=np.bool_)
    return lost
