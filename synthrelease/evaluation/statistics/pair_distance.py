"""How far a table is from another over pairs of columns: one number, to tell which of several is least like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from synthrelease.core.contracts import FloatArray, IntArray, Table

RANGES = 8
"""Into how many ranges of equal frequency numbers are cut."""
LABELS = 12
"""The commonest labels count by themselves, all others together."""
MOST_PAIRS = 300


def least_like(tables: Sequence[Table], real: Table) -> int:
    """Return the place of the table that is farthest from the real rows; all have one schema."""
    return int(np.argmax([distance(each, real) for each in tables]))


def distance(made: Table, real: Table) -> float:
    """Return the mean total variation distance over pairs of columns, or over columns where there are fewer than two.

    With many columns a fixed choice of pairs is taken, in which every column stands.
    """
    codes = [_codes(made.frame[name], real.frame[name]) for name in real.frame]
    pairs = list(combinations(range(len(codes)), 2)) or [(0, 0)]
    if len(pairs) > MOST_PAIRS:
        near = [(at, (at + step) % len(codes)) for step in (1, 2, 3) for at in range(len(codes))]
        pairs = near[:MOST_PAIRS] if len(near) >= MOST_PAIRS else near
    return float(np.mean([_apart(codes[one], codes[two]) for one, two in pairs]))


def _codes(made: pd.Series, real: pd.Series) -> list[IntArray]:
    """Both sides as small whole numbers, by the ranges or the commonest labels of the real one; 0 is missing."""
    if isinstance(real.dtype, pd.CategoricalDtype):
        common = np.bincount(real.cat.codes[real.cat.codes >= 0], minlength=len(real.cat.categories))
        rank = np.argsort(np.argsort(-common, kind="stable"), kind="stable").clip(max=LABELS)
        codes = np.append(rank + 1, 0).astype(np.int64)  # the last one is that of a missing label, -1
        return [codes[side.cat.codes.to_numpy()] for side in (made, real)]
    known = real.dropna().to_numpy()
    edges = np.unique(np.quantile(known, np.linspace(0, 1, RANGES + 1)[1:-1])) if len(known) else np.zeros(0)
    ranges = [1 + np.searchsorted(edges, side.to_numpy(), side="right") for side in (made, real)]
    return [np.where(side.isna(), 0, each) for side, each in zip((made, real), ranges, strict=True)]


def _apart(one: list[IntArray], two: list[IntArray]) -> float:
    """The total variation distance of a pair of columns, each given on both sides."""
    width = 1 + max(int(side.max(initial=0)) for side in two)
    joint = [first * width + second for first, second in zip(one, two, strict=True)]
    size = 1 + max(int(side.max(initial=0)) for side in joint)
    made, real = (_shares(side, size) for side in joint)
    return float(np.abs(made - real).sum() / 2)


def _shares(codes: IntArray, size: int) -> FloatArray:
    return np.bincount(codes, minlength=size) / max(len(codes), 1)
