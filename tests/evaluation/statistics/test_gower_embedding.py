"""The space in which rows are compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.evaluation.statistics.gower_embedding import CODE_WIDTH, Space

SCHEMA = Schema((Column("n", "numeric"), Column("c", "categorical", categories=("a", "b", "d"))))


def rows(numbers, labels) -> Table:
    frame = pd.DataFrame({"n": np.array(numbers, dtype=float), "c": pd.Categorical(labels, categories=["a", "b", "d"])})
    return Table(frame, SCHEMA, "real")


def gap(space: Space, table: Table, first: int, second: int) -> float:
    points = space.embed(table.frame).astype(float)
    return float(np.linalg.norm(points[first] - points[second]))


def test_each_column_contributes_at_most_one():
    table = rows([0, 1, 2, 3, 1e9, np.nan], ["a", "a", "b", "b", "b", None])
    space = Space.fit(table)
    assert gap(space, table, 0, 4) <= np.sqrt(2)
    assert gap(space, rows([5, 5], ["a", "b"]), 0, 1) == pytest.approx(1.0)
    assert 0 < gap(space, rows([0, np.nan], ["a", "a"]), 0, 1) < 1
    assert gap(space, rows([np.nan, np.nan], [None, None]), 0, 1) == 0.0


def test_numbers_are_mid_ranks_of_all_real_rows_together():
    space = Space.fit(rows([1, 2], ["a", "a"]), rows([3, 3], ["b", "b"]))
    points = space.embed(rows([1, 2, 3, 99, -99], ["a"] * 5).frame)[:, 0]
    assert points.tolist() == pytest.approx([0.125, 0.375, 0.75, 0.75, 0.125])


def test_a_column_without_values_has_no_say():
    space = Space.fit(rows([np.nan, np.nan], ["a", "b"]))
    assert gap(space, rows([1, 5], ["a", "a"]), 0, 1) == 0.0


@pytest.mark.parametrize("levels", [65, 700, 5_000])
def test_many_levels_lie_about_one_apart_in_few_places(levels):
    names = tuple(f"L{k}" for k in range(levels))
    codes = np.append(np.arange(levels), -1)
    schema = Schema((Column("c", "categorical", categories=names),))
    table = Table(pd.DataFrame({"c": pd.Categorical.from_codes(codes, list(names))}), schema, "real")
    points = Space.fit(table).embed(table.frame)
    assert points.shape == (levels + 1, CODE_WIDTH)
    assert len(np.unique(points, axis=0)) == levels + 1
    chosen = points[np.random.default_rng(0).permutation(levels + 1)[:60]].astype(float)
    gaps = np.linalg.norm(chosen[:, None] - chosen[None, :], axis=2)[np.triu_indices(len(chosen), 1)]
    assert gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert gaps.min() > 0.4
