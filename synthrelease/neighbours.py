"""Exact nearest neighbours. The only file that imports faiss.

The search is a function of (queries, one shard of the base), and results of several shards merge by keeping the
smallest k, so a base larger than memory can be searched piece by piece. Only exact indexes are used: an approximate
one returns distances that are too large, and in a privacy audit an error of that sign reads as "safe".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from synthrelease.contracts import FloatArray, IntArray

_PART_CELLS = 8_000_000
_REFINE_CELLS = 8_000_000  # cells of the (queries, k, width) block held at once while distances are recomputed


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest base rows of every query, nearest first.

    ``distance`` is float64 (queries, k), Euclidean; ``index`` is int64 (queries, k), positions in the base.
    """

    distance: FloatArray
    index: IntArray


def nearest(queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], k: int) -> Neighbours:
    """Find the ``k`` nearest rows of ``base`` for every row of ``queries`` by exhaustive search.

    faiss computes |q|^2 + |b|^2 - 2qb in float32, which leaves identical rows at a small distance above zero; the
    distances of the k rows it finds are therefore computed again in float64, so that a copy is exactly 0 away.

    Args:
        queries: float array (n, width).
        base: float array (m, width), m >= 1.
        k: how many neighbours; cut to m.

    Raises:
        ValueError: the base is empty.
    """
    if len(base) == 0:
        raise ValueError("the base of a neighbour search must hold rows, however it is empty")
    k = min(k, len(base))
    centre = base.mean(axis=0, dtype=np.float64)  # centring keeps the float32 cancellation small
    index = faiss.IndexFlatL2(base.shape[1])
    for part in _parts(base):
        index.add(np.ascontiguousarray(part - centre, dtype=np.float32))
    found = np.concatenate(
        [index.search(np.ascontiguousarray(part - centre, dtype=np.float32), k)[1] for part in _parts(queries)]
    )
    distance = _refined(queries, base, found)
    order = np.argsort(distance, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(distance, order, 1), np.take_along_axis(found, order, 1))


def _parts(rows: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Cut rows into parts, so that no second whole copy of a large table is held while it is centred."""
    step = max(1, _PART_CELLS // max(1, rows.shape[1]))
    for start in range(0, max(len(rows), 1), step):
        yield rows[start : start + step]


def merge(first: Neighbours, second: Neighbours, *, offset: int) -> Neighbours:
    """Merge the answers of two shards; ``offset`` is the position of the second shard's first row in the whole base."""
    k = max(first.distance.shape[1], second.distance.shape[1])
    distance = np.concatenate([first.distance, second.distance], axis=1)
    index = np.concatenate([first.index, second.index + offset], axis=1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1))


def _refined(queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], found: IntArray) -> FloatArray:
    """Euclidean distances in float64 from each query to its found rows: (n, k)."""
    rows, k = found.shape
    block = max(1, _REFINE_CELLS // max(1, k * base.shape[1]))
    distance = np.empty((rows, k), dtype=np.float64)
    for start in range(0, rows, block):
        part = slice(start, start + block)
        gap = base[found[part]].astype(np.float64) - queries[part, None, :]  # (block, k, width)
        distance[part] = np.sqrt(np.einsum("qkw,qkw->qk", gap, gap))
    return distance
