"""How coded rows look to a network: parts and levels.

Bins of a number are not separate symbols to a network, they are stretches of one line. So each column is described by
the *part* it is in (its continuous part, one of its atoms, one of its categories, or missing: a one-hot block) and each
number besides by its *level* in [0, 1]: the share of the column's binned training values that lie below it. Levels
keep order and closeness, and an even spread of them is exactly the training distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Coding, Encoded, Encoder

CONDITION_GROUPS = 4
"""A numeric target is conditioned on in this many groups of equal size (and one for missing)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as arrays for a network.

    ``parts``: int64 (rows, block columns), places in the concatenated one-hot blocks. ``levels``: float32
    (rows, number columns), 0.5 where the cell is not in its continuous part. ``cells``: float32 of the same shape, how
    wide the stretch of levels is that decodes to the very same value. ``groups``: int64 (rows,), the condition.
    """

    parts: IntArray
    levels: FloatArray
    cells: FloatArray
    groups: IntArray


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies in a network's input and output.

    ``blocks``: the encoder's columns that are produced, in order. ``starts``: first part of each block, and the end.
    ``shares``: for each block the training shares of its bins (empty for labels). ``target``: the encoder's column
    that rows are conditioned on, or None. ``group_shares``: training shares of the condition's groups.
    """

    blocks: tuple[int, ...]
    starts: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]
    target: int | None
    target_is_given: bool
    group_shares: tuple[float, ...]

    @classmethod
    def fit(cls, encoder: Encoder, encoded: Encoded, target: str | None) -> Layout:
        """Lay out an encoder's columns, with bin and group shares counted on training rows."""
        place = encoder.names.index(target) if target is not None else None
        given = place is not None and not isinstance(encoder.codings[place], NumberCoding)
        blocks = tuple(b for b in range(len(encoder.codings)) if not (given and b == place))
        sizes = [_part_count(encoder.codings[b]) for b in blocks]
        shares = tuple(_bin_shares(encoder.codings[b], encoded.codes[:, b]) for b in blocks)
        starts = tuple(np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist())
        draft = cls(blocks, starts, shares, place, given, (1.0,))
        groups = draft.groups(encoder, encoded)
        counts = np.bincount(groups, minlength=draft.group_count(encoder))
        return cls(blocks, starts, shares, place, given, tuple((counts / counts.sum()).tolist()))

    @property
    def parts(self) -> int:
        """The total width of all one-hot blocks."""
        return self.starts[-1]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Places in ``blocks`` of columns with a continuous part, which is always the block's first part."""
        return tuple(place for place, shares in enumerate(self.shares) if shares)

    @property
    def owner(self) -> IntArray:
        """The block of each part, (parts,)."""
        return np.repeat(np.arange(len(self.blocks)), np.diff(self.starts))

    def group_count(self, encoder: Encoder) -> int:
        """How many groups the condition has; 1 without a target."""
        if self.target is None:
            return 1
        coding = encoder.codings[self.target]
        return coding.size if self.target_is_given else CONDITION_GROUPS + coding.has_missing

    def groups(self, encoder: Encoder, encoded: Encoded) -> IntArray:
        """Return the condition's group of each row, (rows,)."""
        if self.target is None:
            return np.zeros(len(encoded), dtype=np.int64)
        codes = encoded.codes[:, self.target]
        if self.target_is_given:
            return codes
        coding = encoder.codings[self.target]
        values = encoder.number(self.target, encoded)
        present = values[~np.isnan(values)]
        cuts = np.quantile(present, np.arange(1, CONDITION_GROUPS) / CONDITION_GROUPS) if len(present) else np.zeros(0)
        groups = np.searchsorted(cuts, values, side="left").astype(np.int64)
        groups[np.isnan(values)] = CONDITION_GROUPS if coding.has_missing else 0
        return groups

    def emitted(self, encoder: Encoder) -> BoolArray:
        """Which parts may be sampled, (parts,)."""
        allowed = [np.ones(0, dtype=np.bool_)]
        for block, shares in zip(self.blocks, self.shares, strict=True):
            codes = encoder.codings[block].emitted
            allowed.append(codes if not shares else codes[max(len(shares) - 1, 0) :])
        return np.concatenate(allowed)

    def rows(self, encoder: Encoder, encoded: Encoded) -> Rows:
        """Return training rows as parts and levels."""
        parts = np.zeros((len(encoded), len(self.blocks)), dtype=np.int64)
        levels = np.full((len(encoded), len(self.numbers)), 0.5)
        cells = np.zeros((len(encoded), len(self.numbers)))
        for place, block in enumerate(self.blocks):
            codes, shares = encoded.codes[:, block], np.asarray(self.shares[place])
            parts[:, place] = self.starts[place] + np.maximum(codes - max(len(shares) - 1, 0), 0)
            if len(shares):
                at = self.numbers.index(place)
                inside, bins = codes < len(shares), np.minimum(codes, len(shares) - 1)
                below = np.concatenate([[0.0], np.cumsum(shares)])
                spot = below[bins] + encoded.positions[:, block] * shares[bins]
                levels[:, at] = np.where(inside, spot, 0.5)
                widths = encoder.cell_widths(block)
                cells[:, at] = np.where(inside, (shares * widths)[bins], 0.0)
        return Rows(parts, levels.astype(np.float32), cells.astype(np.float32), self.groups(encoder, encoded))

    def encoded(self, encoder: Encoder, parts: IntArray, levels: FloatArray, groups: IntArray) -> Encoded:
        """Return sampled rows as codes and positions.

        Args:
            encoder: the encoder this layout was made for.
            parts: (rows, block columns), places within each block.
            levels: (rows, number columns), in [0, 1].
            groups: (rows,), the condition each row was made under.
        """
        codes = np.zeros((len(parts), len(encoder.codings)), dtype=np.int64)
        positions = np.full((len(parts), len(encoder.codings)), 0.5)
        for place, block in enumerate(self.blocks):
            shares = np.asarray(self.shares[place])
            codes[:, block] = parts[:, place]
            if len(shares):
                below = np.concatenate([[0.0], np.cumsum(shares)])
                level = levels[:, self.numbers.index(place)].astype(np.float64)
                bins = np.clip(np.searchsorted(below, level, side="right") - 1, 0, len(shares) - 1)
                spot = ((level - below[bins]) / shares[bins]).clip(0.0, 1.0)
                inside = parts[:, place] == 0
                codes[:, block] = np.where(inside, bins, parts[:, place] + len(shares) - 1)
                positions[:, block] = np.where(inside, spot, 0.5)
        if self.target_is_given and self.target is not None:
            codes[:, self.target] = groups
        return Encoded(codes, positions)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """Build the layout that ``dataclasses.asdict`` described."""
        return cls(
            blocks=tuple(values["blocks"]),
            starts=tuple(values["starts"]),
            shares=tuple(tuple(block) for block in values["shares"]),
            target=values["target"],
            target_is_given=values["target_is_given"],
            group_shares=tuple(values["group_shares"]),
        )


def _part_count(coding: Coding) -> int:
    if isinstance(coding, NumberCoding) and coding.lows:
        return coding.size - len(coding.lows) + 1
    return coding.size


def _bin_shares(coding: Coding, codes: IntArray) -> tuple[float, ...]:
    if not isinstance(coding, NumberCoding) or not coding.lows:
        return ()
    counts = np.bincount(codes[codes < len(coding.lows)], minlength=len(coding.lows))
    return tuple((counts / counts.sum()).tolist())
