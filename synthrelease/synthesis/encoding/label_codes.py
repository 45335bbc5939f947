"""A column of labels as codes: one for each common label, one for all rare ones together, one for missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, Column, ModelledSchema, Table
from synthrelease.synthesis.encoding.binning import MIN_COUNT
from synthrelease.synthesis.encoding.column_codec import (
    Coded,
    ColumnCodec,
    check_emitted,
    label_counts,
    labels_at,
    places_of,
    unseen,
)


@dataclass(frozen=True, slots=True)
class LabelCoding(ColumnCodec[Coded]):
    """How one boolean, categorical or ordinal column is coded.

    ``common`` and ``rare`` are places in ``categories``. Every common category has a code of its own. All rare ones
    (fewer than ``MIN_COUNT`` training rows each) share one code: rows that hold them are learned from, the position
    keeps which one it was, and the code is never sampled. A sampled row gets a common category (or missing) in its
    place, as likely as the generator finds each of them for that row. Last comes missing, if ``has_missing``.
    """

    name: str
    categories: tuple[str, ...]
    ordered: bool
    common: tuple[int, ...]
    rare: tuple[int, ...]
    has_missing: bool

    @property
    def size(self) -> int:
        """How many codes the column has."""
        return len(self.common) + bool(self.rare) + self.has_missing

    @property
    def emitted(self) -> BoolArray:
        """Which codes a generator may sample, (size,)."""
        allowed = np.ones(self.size, dtype=np.bool_)
        if self.rare:
            allowed[len(self.common)] = False
        return allowed

    def encode(self, values: pd.Series[Any]) -> Coded:
        """Return codes and positions of labels.

        Raises:
            InputError: a category or a missing value that no training row has.
        """
        places = places_of(values)
        code_of = np.full(len(self.categories) + 1, -1, dtype=np.int64)
        position_of = np.full(len(self.categories) + 1, 0.5)
        code_of[list(self.common)] = np.arange(len(self.common))
        if self.rare:
            code_of[list(self.rare)] = len(self.common)
            position_of[list(self.rare)] = (np.arange(len(self.rare)) + 0.5) / len(self.rare)
        if self.has_missing:
            code_of[-1] = self.size - 1
        codes = code_of[places]
        if (codes < 0).any():
            raise unseen(self.name, int((codes < 0).sum()), "categories (or gaps)")
        return Coded(codes, position_of[places])

    def decode(self, code: Coded, *, sampling: bool = False) -> pd.Categorical:
        """Return labels.

        Raises:
            ValueError: with ``sampling``, a code that must not be sampled.
        """
        if sampling:
            check_emitted(self.name, self.emitted[code.codes])
        codes, positions = code.codes, code.positions
        place_of = np.array([*self.common, *([-1] if self.rare else []), *([-1] if self.has_missing else [])])
        places = place_of[codes].astype(np.int64)
        if self.rare:
            is_rare = codes == len(self.common)
            which = np.minimum((positions[is_rare] * len(self.rare)).astype(np.int64), len(self.rare) - 1)
            places[is_rare] = np.asarray(self.rare)[which]
        return labels_at(places, self.categories, ordered=self.ordered)


def label_coding(column: Column, train: Table[ModelledSchema], *, is_target: bool) -> LabelCoding:
    """Learn from training rows which labels are common; the target keeps all of its classes."""
    values = train.frame[column.name]
    places = places_of(values)
    counts = label_counts(places, len(column.categories), train.units)
    present, common = np.flatnonzero(counts), np.flatnonzero(counts >= MIN_COUNT)
    if is_target or not len(common):
        common = present
    return LabelCoding(
        name=column.name,
        categories=tuple(column.categories),
        ordered=bool(values.cat.ordered),
        common=tuple(common.tolist()),
        rare=tuple(np.setdiff1d(present, common).tolist()),
        has_missing=bool((places < 0).any()),
    )
