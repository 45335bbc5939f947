"""Exact neighbour search against scikit-learn's brute force, as a ratio within one run."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from synthrelease.evaluation.statistics.nearest_neighbours import nearest

ROUNDS = 3


def seconds(work) -> float:
    """The quickest of a few rounds, which the machine's other work disturbs least."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.bench
def test_faiss_beats_brute_force_and_finds_the_same():
    rng = np.random.default_rng(0)
    queries, base = (rng.random((10_000, 40), dtype=np.float32) for _ in range(2))
    brute = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(base)
    np.testing.assert_allclose(nearest(queries[:200], base, 2).distance, brute.kneighbors(queries[:200])[0], rtol=1e-4)
    ratio = seconds(lambda: brute.kneighbors(queries)) / seconds(lambda: nearest(queries, base, 2))
    print(f"\n10,000 x 10,000 x 40, k = 2: scikit-learn brute force takes {ratio:.1f} times as long")
    assert ratio > 1.0
