"""Split real rows into training part and holdout, by patient; tell whether tables share people."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from synthrelease.core.contracts import OpenedSchema, Schema, Split, Table
from synthrelease.core.errors import InputError
from synthrelease.data.table_reader import Integers, Source

MAXIMUM_HOLDOUT_ROWS = 50_000
"""More held-out rows would cost training data and time without making any interval noticeably narrower."""


_SMALL_TABLE_ROWS = 10_000


_FEWEST_PATIENTS = 20


_SURELY_THE_SAME = 1e-6


_TOLERATED_OVERLAP = 0.01


def holdout_share_of(rows: int) -> float:
    """The share of rows that is held out of a table of so many."""
    return 0.3 if rows < _SMALL_TABLE_ROWS else 0.2


def split(table: Table[OpenedSchema], *, seed: int, holdout_share: float | None = None) -> Split[OpenedSchema]:
    """Cut the rows into train and holdout: no patient on both sides, each class in its share as far as possible.

    ``holdout_share`` is the share of rows held out: 0.3 below 10,000 rows and 0.2 from there on unless given, and never
    more than 50,000 rows. Rows keep their order.

    Raises:
        InputError: There are too few patients (or rows), or the share is not between 0 and 1.
    """
    share = holdout_share_of(len(table)) if holdout_share is None else holdout_share
    if not 0.0 < share < 1.0:
        raise InputError("The holdout's share of rows must lie between 0 and 1. Choose 0.2 or 0.3.")
    units = np.arange(len(table)) if table.units is None else table.units
    patients, index, sizes = np.unique(units, return_inverse=True, return_counts=True)
    if len(patients) < _FEWEST_PATIENTS:
        things: Literal["rows", "patients"] = "rows" if table.units is None else "patients"
        raise InputError(
            f"A split needs at least {_FEWEST_PATIENTS} {things}, however the table has {len(patients)}. "
            "Give a larger export."
        )
    rng = np.random.default_rng(seed)
    strata = _strata(table, index, len(patients))
    is_held = np.zeros(len(patients), dtype=np.bool_)
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        is_held[_held_out(members, sizes[members], min(share, MAXIMUM_HOLDOUT_ROWS / len(table)))] = True
    if is_held.all() or not is_held.any():
        raise InputError(
            "Both sides of a split need rows, however one is empty. Give a larger export or another share."
        )
    rows = is_held[index]
    return Split(train=table.take(np.flatnonzero(~rows)), holdout=table.take(np.flatnonzero(rows)))


def _strata(table: Table[OpenedSchema], index: Integers, patients: int) -> Integers:
    """The rarest target class that each patient has: int64 per patient; all 0 without a label target."""
    strata = np.zeros(patients, dtype=np.int64)
    target = table.schema.target
    if target is None or table.schema.column(target).is_number:
        return strata
    codes = table.frame[target].cat.codes.to_numpy().astype(np.int64)
    frequency = np.bincount(codes + 1)
    rank = np.argsort(np.argsort(-frequency, kind="stable"), kind="stable")  # 0 = commonest class
    np.maximum.at(strata, index, rank[codes + 1])
    return strata


def _held_out(members: Integers, sizes: Integers, share: float) -> Integers:
    """The first members whose rows add up to the share; where there are two or more, neither side stays empty.

    Rounds to the nearest patient, and down where a share of 50,000 rows must not be passed.
    """
    rows = np.cumsum(sizes)
    allowed = share * rows[-1]
    count = int(np.searchsorted(rows, allowed + 1e-9, side="right"))
    if count == 0 and len(members) > 1:
        count = 1
    return members[: min(count, len(members) - 1)] if len(members) > 1 else members[:0]


def check_disjoint(source: Source[Schema], holdout: Source[Schema]) -> None:
    """Refuse a holdout that was handed over apart and shares patients with the table to train on.

    Patients are compared by the unit column where there is one. Whole rows are compared as well: the share of holdout
    rows that stand in the table may be no larger than the share of the table's own rows that stand there twice.

    Raises:
        InputError: Both tables hold rows of the same patient, or the same rows.
    """
    unit = source.table.schema.unit
    shared = 0 if unit is None else len(source.style.taken(unit) & holdout.style.taken(unit))
    if shared:
        raise InputError(
            f"A holdout must hold other patients than the table, however {shared} of {unit!r} stand in both. "
            "Remove their rows from one of the files."
        )
    keys, others = (_row_keys(each.table.frame) for each in (source, holdout))
    repeated = float(pd.Series(keys).duplicated(keep=False).mean())
    found = int(np.isin(others, keys).sum())
    by_chance = stats.binomtest(found, len(others), max(repeated, 1 / len(keys)), alternative="greater").pvalue
    if by_chance < _SURELY_THE_SAME and found / len(others) - repeated > _TOLERATED_OVERLAP:
        raise InputError(
            f"A holdout must hold other people than the table, however {found:,} of its {len(others):,} rows stand in "
            f"both, and chance explains about {repeated * len(others):,.0f}. Give rows that were kept apart."
        )


def _row_keys(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A 64-bit hash a row over all learned columns; labels count as spelled, since two files may number them apart."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)
