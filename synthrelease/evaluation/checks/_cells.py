"""Cells of a table as 64-bit keys: equal cells have equal keys, and a combination of columns is a wrapping sum.

At a million rows two different rows share a key with probability below 1e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import FloatArray, IntArray, Table

Keys = np.ndarray[Any, np.dtype[np.uint64]]

_NO_DECIMALS_FROM = 2.0**53
"""A float64 as large as this is a whole number."""


def plain(table: Table) -> pd.DataFrame:
    """Labels as codes and numbers without float dust, so that equal cells are equal bits."""
    return pd.DataFrame(
        {
            name: column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else _undusted(column)
            for name, column in table.frame.items()
        }
    )


def _undusted(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers to 12 decimals; what is too large to have any stays, because rounding it would overflow."""
    small = values.abs() < _NO_DECIMALS_FROM
    return values.where(~small, values.where(small).round(12))


def row_keys(table: Table) -> Keys:
    """A key a row: (rows,)."""
    return np.asarray(pd.util.hash_pandas_object(plain(table), index=False), dtype=np.uint64)


def cell_keys(table: Table) -> Keys:
    """A key a cell that depends on the column as well: (rows, columns), each column in one piece of memory."""
    keys = [
        np.asarray(pd.util.hash_array(column.to_numpy() + 0.0), dtype=np.uint64) * np.uint64(2 * place + 1)
        for place, (_, column) in enumerate(plain(table).items())
    ]
    return np.asfortranarray(np.column_stack(keys))


def combined(cells: Keys, columns: tuple[int, ...]) -> Keys:
    """The key of each row's combination of some columns: (rows,)."""
    keys: Keys = np.zeros(len(cells), dtype=np.uint64)
    for column in columns:
        keys += cells[:, column]
    return keys


def numbered(keys: Keys) -> IntArray:
    """Equal keys get equal numbers from 0 upwards, in the order of their first appearance: (rows,)."""
    return pd.factorize(keys)[0]  # hashing, several times as fast as np.unique's sorting


def entropies(cells: Keys) -> FloatArray:
    """Bits that each column's cells carry: (columns,)."""
    out = []
    for column in cells.T:
        shares = np.unique(column, return_counts=True)[1] / len(column)
        out.append(float(-(shares * np.log2(shares)).sum()))
    return np.array(out)
