"""Exact search against a five-line loop."""

from __future__ import annotations

import numpy as np
import pytest

from synthrelease import neighbours


def slow(queries, base, k):
    gaps = np.linalg.norm(queries[:, None, :].astype(float) - base[None].astype(float), axis=2)
    return np.sort(gaps, axis=1)[:, :k]


@pytest.mark.parametrize("k", [1, 3, 40])
def test_distances_equal_the_slow_loops(k):
    rng = np.random.default_rng(0)
    queries, base = rng.random((60, 7), dtype=np.float32), rng.random((40, 7), dtype=np.float32)
    found = neighbours.nearest(queries, base, k)
    np.testing.assert_allclose(found.distance, slow(queries, base, k), rtol=1e-6)
    taken = np.linalg.norm(queries[:, None].astype(float) - base[found.index].astype(float), axis=2)
    np.testing.assert_allclose(found.distance, taken)


def test_pieces_that_bound_memory_change_no_distance(monkeypatch):
    rng = np.random.default_rng(3)
    queries, base = rng.random((60, 7), dtype=np.float32), rng.random((40, 7), dtype=np.float32)
    whole = neighbours.nearest(queries, base, 3)
    monkeypatch.setattr(neighbours, "_PART_CELLS", 7 * 11)
    pieces = neighbours.nearest(queries, base, 3)
    np.testing.assert_array_equal(pieces.index, whole.index)
    np.testing.assert_array_equal(pieces.distance, whole.distance)


def test_a_copy_is_exactly_zero_away_even_far_from_the_origin():
    base = (np.random.default_rng(1).random((500, 30)) + 1_000).astype(np.float32)
    found = neighbours.nearest(base, base, 2)
    assert (found.distance[:, 0] == 0.0).all()
    assert (found.distance[:, 1] > 0.0).all()


def test_shards_merge_to_the_whole():
    rng = np.random.default_rng(2)
    queries, base = rng.random((30, 5), dtype=np.float32), rng.random((50, 5), dtype=np.float32)
    parts = neighbours.merge(
        neighbours.nearest(queries, base[:20], 4), neighbours.nearest(queries, base[20:], 4), offset=20
    )
    whole = neighbours.nearest(queries, base, 4)
    np.testing.assert_allclose(parts.distance, whole.distance)
    assert (parts.index == whole.index).all()


def test_more_neighbours_than_rows_are_cut_and_an_empty_base_is_refused():
    points = np.zeros((3, 2), dtype=np.float32)
    assert neighbours.nearest(points, points, 9).distance.shape == (3, 3)
    with pytest.raises(ValueError, match="must hold rows"):
        neighbours.nearest(points, points[:0], 1)
