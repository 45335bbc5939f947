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

from synthrelease.core.contracts import FloatArray, IntArray

_PART_CELLS = 8_000_000
_REFINE_CELLS = 8_000_000  # cells of the (queries, k, width) block held at once while distances are recomputed
_SPARE = 16  # rows listed beyond k, among which rounding may have hidden a nearer one
_ROUNDING = 1e-6  # error of a squared float32 distance as a share of the squared lengths of both rows
_TOLERANCE = 1e-4  # a distance that rounding can change by a smaller share than this is left as it is


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The k nearest base rows of every query, nearest first.

    ``distance`` is float64 (queries, k), Euclidean; ``index`` is int64 (queries, k), positions in the base.
    """

    distance: FloatArray
    index: IntArray


def nearest(queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], k: int) -> Neighbours:
    """Find the ``k`` nearest rows of ``base`` for every row of ``queries`` by exhaustive search on all cores.

    faiss computes |q|^2 + |b|^2 - 2qb in float32, which leaves identical rows at a small distance above zero and may
    take one of two very near rows for the other. So distances are computed again in float64, and where rounding could
    hide a nearer row, more rows are listed, at last by a search in float64: a copy is exactly 0 away, and no distance
    is too large.

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
    longest = 0.0
    for part in _parts(base):
        moved = np.ascontiguousarray(part - centre, dtype=np.float32)
        longest = max(longest, float(np.einsum("nw,nw->n", moved, moved).max()))
        index.add(moved)
    answers = [_search(index, part, base, k, centre, longest) for part in _parts(queries)]
    return Neighbours(*(np.concatenate(part) for part in zip(*answers, strict=True)))


def _search(
    index: faiss.IndexFlatL2, queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], k: int, *about: Any
) -> tuple[FloatArray, IntArray]:
    """Distances and positions of some queries; ``about`` is the centre and the largest squared length of a row."""
    centre, longest = about
    moved = np.ascontiguousarray(queries - centre, dtype=np.float32)
    error = _ROUNDING * (np.einsum("nw,nw->n", moved, moved) + longest)  # of a squared float32 distance
    gap, at = _sorted(queries, base, index.search(moved, k)[1], k)
    square = gap[:, -1] ** 2
    doubtful = np.flatnonzero((square > 0.0) & (error > 2 * _TOLERANCE * square))
    if k == len(base) or len(doubtful) == 0:
        return gap, at
    listed = min(k + _SPARE, len(base))
    rough, found = index.search(moved[doubtful], listed)
    gap[doubtful], at[doubtful] = _sorted(queries[doubtful], base, found, k)
    hidden = doubtful[(rough[:, -1] - error[doubtful] < gap[doubtful, -1] ** 2) & (listed < len(base))]
    if len(hidden):
        gap[hidden], at[hidden] = _sorted(queries[hidden], base, _slow(queries[hidden], base, listed), k)
    return gap, at


def _sorted(
    queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], found: IntArray, k: int
) -> tuple[FloatArray, IntArray]:
    """The ``k`` nearest of the rows that were found, by distances computed in float64."""
    exact = _refined(queries, base, found)
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)


def _slow(queries: np.ndarray[Any, Any], base: np.ndarray[Any, Any], k: int) -> IntArray:
    """Positions of the ``k`` nearest base rows in float64; for the few queries that float32 cannot decide."""
    out = np.empty((len(queries), k), dtype=np.int64)
    block = max(1, _REFINE_CELLS // len(base))
    wide = base.astype(np.float64)
    lengths = np.einsum("nw,nw->n", wide, wide)
    for start in range(0, len(queries), block):
        part = queries[start : start + block].astype(np.float64)
        out[start : start + block] = np.argpartition(lengths - 2 * part @ wide.T, k - 1, axis=1)[:, :k]
    return out


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
