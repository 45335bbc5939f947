"""Exact search against a five-line loop."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.evaluation.statistics import nearest_neighbours
from synthrelease.evaluation.statistics.gower_embedding import Space

EXAMPLES = 1_000 if os.environ.get("SYNTHRELEASE_NIGHTLY") else 60


def slow(queries, base, k):
    gaps = np.linalg.norm(queries[:, None, :].astype(float) - base[None].astype(float), axis=2)
    return np.sort(gaps, axis=1)[:, :k]


@pytest.mark.parametrize("k", [1, 3, 40])
def test_distances_equal_the_slow_loops(k):
    rng = np.random.default_rng(0)
    queries, base = rng.random((60, 7), dtype=np.float32), rng.random((40, 7), dtype=np.float32)
    found = nearest_neighbours.nearest(queries, base, k)
    np.testing.assert_allclose(found.distance, slow(queries, base, k), rtol=1e-6)
    taken = np.linalg.norm(queries[:, None].astype(float) - base[found.index].astype(float), axis=2)
    np.testing.assert_allclose(found.distance, taken)


def test_pieces_that_bound_memory_change_no_distance(monkeypatch):
    rng = np.random.default_rng(3)
    queries, base = rng.random((60, 7), dtype=np.float32), rng.random((40, 7), dtype=np.float32)
    whole = nearest_neighbours.nearest(queries, base, 3)
    monkeypatch.setattr(nearest_neighbours, "_PART_CELLS", 7 * 11)
    pieces = nearest_neighbours.nearest(queries, base, 3)
    np.testing.assert_array_equal(pieces.index, whole.index)
    np.testing.assert_array_equal(pieces.distance, whole.distance)


def test_a_copy_is_exactly_zero_away_even_far_from_the_origin():
    base = (np.random.default_rng(1).random((500, 30)) + 1_000).astype(np.float32)
    found = nearest_neighbours.nearest(base, base, 2)
    assert (found.distance[:, 0] == 0.0).all()
    assert (found.distance[:, 1] > 0.0).all()


def test_shards_merge_to_the_whole():
    rng = np.random.default_rng(2)
    queries, base = rng.random((30, 5), dtype=np.float32), rng.random((50, 5), dtype=np.float32)
    parts = nearest_neighbours.merge(
        nearest_neighbours.nearest(queries, base[:20], 4), nearest_neighbours.nearest(queries, base[20:], 4), offset=20
    )
    whole = nearest_neighbours.nearest(queries, base, 4)
    np.testing.assert_allclose(parts.distance, whole.distance)
    assert (parts.index == whole.index).all()


def test_more_neighbours_than_rows_are_cut_and_an_empty_base_is_refused():
    points = np.zeros((3, 2), dtype=np.float32)
    assert nearest_neighbours.nearest(points, points, 9).distance.shape == (3, 3)
    with pytest.raises(ValueError, match="must hold rows"):
        nearest_neighbours.nearest(points, points[:0], 1)


@st.composite
def mixed_points(draw):
    """Points of two random mixed tables in one space: ties, constants, missing values, copies, near copies."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = draw(st.lists(st.sampled_from(["fine", "coarse", "skewed", "label", "many"]), min_size=1, max_size=6))
    sizes = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    columns, sides = [], [{}, {}]
    for place, kind in enumerate(kinds):
        name = f"c{place}"
        if kind in ("label", "many"):
            levels = tuple(f"l{i}" for i in range(3 if kind == "label" else 90))
            columns.append(Column(name, "categorical", categories=levels))
            cells = [pd.Categorical.from_codes(rng.integers(-1, len(levels), n), list(levels)) for n in sizes]
        else:
            columns.append(Column(name, "numeric"))
            numbers = {
                "fine": lambda n: rng.normal(1e6, 1e-3, n),
                "coarse": lambda n: rng.integers(0, 3, n).astype(float),
                "skewed": lambda n: rng.lognormal(0, 4, n),
            }[kind]
            cells = [np.where(rng.random(n) < 0.1, np.nan, numbers(n)) for n in sizes]
        for side, column in zip(sides, cells, strict=True):
            side[name] = column
    frames = [pd.DataFrame(side) for side in sides]
    copied = rng.integers(sizes[1], size=sizes[0] // 2)
    frames[0].iloc[: len(copied)] = frames[1].iloc[copied]
    schema = Schema(tuple(columns))
    space = Space.fit(*(Table(frame, schema, "real") for frame in frames))
    return space.embed(frames[0]), space.embed(frames[1]), draw(st.integers(1, 5))


@pytest.mark.nightly
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(mixed_points())
def test_faiss_equals_a_plain_loop_on_random_mixed_tables(points):
    queries, base, k = points
    found = nearest_neighbours.nearest(queries, base, k)
    np.testing.assert_allclose(found.distance, slow(queries, base, k), rtol=1e-3, atol=1e-12)
    taken = np.linalg.norm(queries[:, None].astype(float) - base[found.index].astype(float), axis=2)
    np.testing.assert_allclose(found.distance, taken, rtol=1e-12, atol=1e-12)


def test_rounding_that_hides_the_nearest_row_is_undone():
    """Thousands of rows a hair apart: float32 takes one for the other, and a copy must still be 0 away."""
    rng = np.random.default_rng(4)
    base = (0.5 + 1e-6 * rng.random((4_000, 12))).astype(np.float32)
    base[0] = 9.0  # moves the centre away, which makes the cancellation worse
    queries = base[rng.permutation(4_000)[:300]]
    found = nearest_neighbours.nearest(queries, base, 3)
    np.testing.assert_allclose(found.distance, slow(queries, base, 3), rtol=1e-4, atol=0.0)
