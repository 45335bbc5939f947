"""How coded rows look to the row writer: every column is a choice among cells, and every cell has features.

A cell is one code of the encoder: a bin or a heavy value of a number, a label, or missing. A number has hundreds of
cells, far too many to give each a weight of its own. So a cell is described by features: where it lies among the
training rows (smooth hats over its rank, its normal score), and indicators for values that enough rows hold. The same
features describe a cell to the columns after it and score it in its own column,

    log p(cell | earlier columns) = log share of the cell + features(cell) . weights(earlier columns) + const,

an exponential family around the training shares (Efron & Tibshirani 1996, "Using specially designed exponential
families for density estimation"). With all weights at zero every column has its training shares; what is
learned is how earlier columns bend them, smoothly unless many rows say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Coding, Encoded, Encoder

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
Counts: TypeAlias = IntArray | FloatArray
"""Rows in each cell of a column, or what they weigh together, (cells,)."""

MAX_INDICATORS = 128
"""Values of one number column with an indicator of their own."""
INDICATOR_ROWS = 10
FULL_INDICATOR_ROWS = 20_000
FAINTEST_INDICATOR = 0.3
"""Indicators are scaled from this to 1, which a table of so many training rows has: the prior on the weights then holds
back what single values do in small tables more than what moves smoothly."""
MAX_PLAIN_LABELS = 64
"""Label columns with more labels than this get learned features, beside indicators of the commonest."""
COMMON_LABELS = 32
LEARNED_FEATURES = 24
SCORE_SCALE = 3
"""Normal scores are stretched threefold, so that columns that follow each other closely need no large weights."""


@dataclass(frozen=True, slots=True)
class ColumnCells:
    """The cells of one column.

    ``shares``: training shares, (cells,), all above 0. ``features``: float32 (cells, fixed). ``learned``: how many
    learned features come after the fixed ones. ``order``: cells in the order in which they are drawn from: numbers by
    value, labels by share, missing last. ``ranks``: where in [0, 1] a cell lies in that order, (cells,).
    ``emitted``: which cells may be sampled, (cells,).
    """

    shares: FloatArray
    features: Float32Array
    learned: int
    order: IntArray
    ranks: FloatArray
    emitted: BoolArray

    @property
    def size(self) -> int:
        """How many cells there are."""
        return len(self.shares)

    @property
    def width(self) -> int:
        """How many features a cell has, learned ones included."""
        return int(self.features.shape[1]) + self.learned


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of all columns in the order in which a row is written.

    ``places``: the encoder's column of each, ``columns``: its cells, ``rows``: training rows counted.
    """

    places: tuple[int, ...]
    columns: tuple[ColumnCells, ...]
    knots: int
    rows: int

    @classmethod
    def fit(
        cls,
        encoder: Encoder,
        encoded: Encoded,
        *,
        order: Sequence[int],
        knots: int,
        weights: FloatArray | None = None,
    ) -> Cells:
        """Count training shares and describe every cell.

        ``order``: the encoder's columns, first written first. ``weights``: how much each row counts, (rows,), 1 on
        average; 1 each unless given.
        """
        counts = [
            np.bincount(encoded.codes[:, place], weights, minlength=encoder.codings[place].size) for place in order
        ]
        return cls.of_counts(encoder, counts, order=order, knots=knots)

    @classmethod
    def of_counts(cls, encoder: Encoder, counts: Sequence[Counts], *, order: Sequence[int], knots: int) -> Cells:
        """Describe the cells from the number of training rows in each."""
        columns = tuple(
            _described(encoder.codings[place], each, knots) for place, each in zip(order, counts, strict=True)
        )
        return cls(tuple(order), columns, knots, round(float(counts[0].sum())) if counts else 0)

    @property
    def starts(self) -> IntArray:
        """The first cell of each column among all cells, and their number, (columns + 1,)."""
        return np.concatenate([[0], np.cumsum([column.size for column in self.columns])]).astype(np.int64)

    @property
    def feature_starts(self) -> IntArray:
        """The first feature of each column among all features, and their number, (columns + 1,)."""
        return np.concatenate([[0], np.cumsum([column.width for column in self.columns])]).astype(np.int64)

    def codes(self, encoded: Encoded) -> IntArray:
        """Return rows as cells in writing order, (rows, columns)."""
        return np.ascontiguousarray(encoded.codes[:, list(self.places)])

    def encoded(self, codes: IntArray, positions: FloatArray) -> Encoded:
        """Return written rows as the encoder's codes and positions; both (rows, columns) in writing order."""
        back = np.argsort(self.places)
        return Encoded(np.ascontiguousarray(codes[:, back]), np.ascontiguousarray(positions[:, back]))

    def to_json(self, encoder: Encoder) -> dict[str, Any]:
        """Return plain JSON values from which ``from_json`` builds the same cells."""
        counts = {
            encoder.names[place]: np.rint(column.shares * _weight(column, self.rows) - 0.5).astype(int).tolist()
            for place, column in zip(self.places, self.columns, strict=True)
        }
        return {"order": list(self.places), "knots": self.knots, "rows": self.rows, "counts": counts}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], encoder: Encoder) -> Cells:
        """Build what ``to_json`` described."""
        order = [int(place) for place in values["order"]]
        counts = [np.asarray(values["counts"][encoder.names[place]], dtype=np.int64) for place in order]
        return cls.of_counts(encoder, counts, order=order, knots=int(values["knots"]))


def _weight(column: ColumnCells, rows: int) -> float:
    return rows + 0.5 * column.size


def _described(coding: Coding, counts: Counts, knots: int) -> ColumnCells:
    # Half a row is added to each cell, so that no cell is impossible before anything is learned.
    shares = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    if isinstance(coding, NumberCoding):
        return _number(coding, counts, shares, knots)
    order = np.argsort(-shares, kind="stable")
    if coding.ordered:
        labels = [*coding.common]
        order = np.concatenate([np.argsort(labels, kind="stable"), np.arange(len(labels), coding.size)])
    features, learned = np.eye(coding.size, dtype=np.float32), 0
    if coding.size > MAX_PLAIN_LABELS:
        features = features[:, np.argsort(-shares, kind="stable")[:COMMON_LABELS]]
        learned = LEARNED_FEATURES
    return ColumnCells(shares, features, learned, order.astype(np.int64), _ranks(shares, order), coding.emitted)


def _number(coding: NumberCoding, counts: Counts, shares: FloatArray, knots: int) -> ColumnCells:
    present = len(coding.lows) + len(coding.atoms)
    centres = np.concatenate(
        [np.asarray(coding.lows) / 2 + np.asarray(coding.highs) / 2, np.asarray(coding.atoms, dtype=np.float64)]
    )
    order = np.concatenate([np.argsort(centres, kind="stable"), np.arange(present, coding.size)]).astype(np.int64)
    ranks = _ranks(shares[:present] / max(shares[:present].sum(), 1e-300), order[:present])
    scores = stats.norm.ppf(ranks.clip(0.002, 0.998))
    blocks = [_hats(ranks, knots), SCORE_SCALE * scores[:, None], (scores[:, None] ** 2 - 1) / 1.5]
    scale = float(np.clip((counts.sum() / FULL_INDICATOR_ROWS) ** 0.5, FAINTEST_INDICATOR, 1.0))
    blocks.append(scale * _indicators(counts, first=len(coding.lows), stop=present)[:present])
    features = np.hstack(blocks)
    if coding.has_missing:
        features = np.block([[features, np.zeros((present, 1))], [np.zeros((1, features.shape[1])), np.ones((1, 1))]])
    ranks = np.append(ranks, [1.0]) if coding.has_missing else ranks
    return ColumnCells(shares, features.astype(np.float32), 0, order, ranks, coding.emitted)


def _hats(ranks: FloatArray, knots: int) -> FloatArray:
    """Piecewise linear bumps at equally spaced knots, (cells, knots)."""
    at = np.linspace(0.0, 1.0, knots)
    return np.asarray(np.clip(1.0 - np.abs(ranks[:, None] - at) * (knots - 1), 0.0, None))


def _indicators(counts: Counts, *, first: int, stop: int) -> FloatArray:
    """One column for each of the commonest heavy values (cells ``first`` to ``stop``) that enough rows hold."""
    commonest = first + np.argsort(-counts[first:stop], kind="stable")[:MAX_INDICATORS]
    chosen = np.sort(commonest[counts[commonest] >= INDICATOR_ROWS])
    out = np.zeros((len(counts), len(chosen)))
    out[chosen, np.arange(len(chosen))] = 1.0
    return out


def _ranks(shares: FloatArray, order: IntArray) -> FloatArray:
    """The middle of each cell's stretch of [0, 1] when cells are laid end to end in an order."""
    ranks = np.empty(len(shares))
    ranks[order] = np.cumsum(shares[order]) - shares[order] / 2
    return ranks
