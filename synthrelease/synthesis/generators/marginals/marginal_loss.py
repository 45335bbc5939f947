"""The marginal-matching loss: all two-way tables, and all three-way tables with the condition, in one product.

A row's features are its parts (one-hot for real rows, probabilities for made ones), hats over its levels, and its
condition's group. Their cross products, averaged over rows, are soft contingency tables of every pair of columns; kept
apart by group they are three-way tables. The loss is the squared difference of these tables between training rows and
a batch, each cell weighed by one over its share, as in a chi-square statistic.

Hats are piecewise linear bumps at equally spaced knots. They are few on small tables on purpose: tables of pairs that
are finer than the number of rows supports would spell out the rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthrelease.synthesis.generators.marginals.features import Layout

MAX_WIDTH = 640
"""Features compared in one step; wider tables compare a random set of columns at each step."""
MAX_LEVELS = 128
"""Features a label column may have; its rarest categories share the last one beyond that."""
MAX_GROUPS = 6
FLOOR = 1e-3


@dataclass(frozen=True, slots=True)
class Features:
    """How rows become features.

    ``knots``: hats per number column. ``bucket``: the feature of each kept part, (kept,). ``kept``: parts that are
    features themselves, not continuous ones. ``numbers``: which levels have hats here, (hatted,), and ``continuous``:
    the parts that gate them. ``column``: the column each feature belongs to, (width,), the condition being one more
    column at the end.
    """

    knots: int
    kept: Tensor
    bucket: Tensor
    numbers: Tensor
    continuous: Tensor
    column: Tensor

    @property
    def columns(self) -> int:
        """How many columns there are, the condition included."""
        return int(self.column[-1]) + 1

    def to(self, device: torch.device) -> Features:
        """Return the same features on a device."""
        places = (self.kept, self.bucket, self.numbers, self.continuous, self.column)
        return Features(self.knots, *(tensor.to(device) for tensor in places))

    def of_columns(self, chosen: Tensor) -> Features:
        """Return the features of some columns only (their numbers in any order); the condition always stays."""
        chosen = torch.cat([chosen.to(self.column.device), self.column[-1:]])
        stays = torch.isin(self.column, chosen)  # (width,)
        place = stays.cumsum(0) - 1  # (width,): the new place of each feature that stays
        kept = stays[self.bucket]  # (kept,)
        hatted = stays[self._first_hats()]  # (hatted,)
        return Features(
            knots=self.knots,
            kept=self.kept[kept],
            bucket=place[self.bucket[kept]],
            numbers=self.numbers[hatted],
            continuous=self.continuous[hatted],
            column=self.column[stays],
        )

    def _first_hats(self) -> Tensor:
        """Return the place of the first hat of each hatted number, (hatted,)."""
        start = int(self.bucket.max()) + 1 if len(self.bucket) else 0
        return start + self.knots * torch.arange(len(self.numbers), device=self.column.device)

    def __call__(self, parts: Tensor, levels: Tensor, condition: Tensor) -> Tensor:
        """Return features, (batch, width), of parts (batch, parts), levels (batch, numbers) and groups (one-hot)."""
        codes = parts.new_zeros(len(parts), int(self.bucket.max()) + 1 if len(self.bucket) else 0)
        codes = codes.index_add(1, self.bucket, parts[:, self.kept])  # (batch, part features)
        at = torch.arange(self.knots, dtype=levels.dtype, device=levels.device)  # (knots,)
        spots = levels[:, self.numbers].unsqueeze(2) * (self.knots - 1)  # (batch, hatted, 1)
        hats = (1 - (spots - at).abs()).clamp_min(0)  # (batch, hatted, knots)
        gated = (hats * parts[:, self.continuous].unsqueeze(2)).flatten(1)  # (batch, hatted * knots)
        return torch.cat([codes, gated, condition], dim=1)  # (batch, width)


def features_of(layout: Layout, part_shares: Tensor, *, groups: int, knots: int) -> Features:
    """Lay out the features of a table; ``part_shares`` (parts,) decide which categories share a feature."""
    owner = torch.from_numpy(layout.owner)
    starts = torch.tensor(layout.starts)
    continuous = starts[list(layout.numbers)]
    is_kept = torch.ones(layout.parts, dtype=torch.bool)
    is_kept[continuous] = False
    kept: list[Tensor] = []
    bucket: list[Tensor] = []
    column: list[int] = []
    for block in range(len(layout.blocks)):
        parts = torch.nonzero((owner == block) & is_kept).flatten()
        if not len(parts):
            continue
        by_share = parts[torch.argsort(part_shares[parts], descending=True, stable=True)]
        kept.append(by_share)
        bucket.append(torch.arange(len(parts)).clamp_max(MAX_LEVELS - 1) + len(column))
        column.extend([block] * min(len(parts), MAX_LEVELS))
    column.extend(block for block in layout.numbers for _ in range(knots))
    column.extend([len(layout.blocks)] * groups)
    empty = torch.zeros(0, dtype=torch.long)
    return Features(
        knots=knots,
        kept=torch.cat([empty, *kept]),
        bucket=torch.cat([empty, *bucket]),
        numbers=torch.arange(len(continuous)),
        continuous=continuous,
        column=torch.tensor(column),
    )


def tables_of(features: Tensor, condition: Tensor) -> Tensor:
    """Return soft contingency tables of all pairs of features, (groups or 1, width, width)."""
    if condition.shape[1] > MAX_GROUPS:
        condition = condition.new_ones(len(condition), 1)  # (batch, 1): too many groups to keep apart
    weighed = condition.T.unsqueeze(2) * features  # (groups, batch, width)
    return weighed.transpose(1, 2) @ features / len(features)  # (groups, width, width)


@dataclass(frozen=True, slots=True)
class Target:
    """The training rows' tables (groups, width, width) and the weight of each cell, zero within one column."""

    tables: Tensor
    weights: Tensor

    @classmethod
    def of(cls, tables: Tensor, column: Tensor) -> Target:
        """Weigh the cells of the training tables."""
        different = (column.unsqueeze(0) != column.unsqueeze(1)).float()  # (width, width)
        columns = len(torch.unique(column))
        return cls(tables, different / (tables + FLOOR) / max(columns, 1))  # (groups, width, width) twice

    def distance(self, tables: Tensor) -> Tensor:
        """Return the weighed squared difference to other tables, a scalar."""
        return ((tables - self.tables).square() * self.weights).sum()


def some_columns(features: Features, *, rng: torch.Generator) -> Features:
    """Draw columns at random until ``MAX_WIDTH`` features are full, and return the features of these columns.

    The condition is always among them, so that every column's own shares are compared too. ``rng`` is on the CPU.
    """
    sizes = torch.bincount(features.column.cpu(), minlength=features.columns)  # (columns,)
    order = torch.randperm(features.columns - 1, generator=rng)
    return features.of_columns(order[sizes[order].cumsum(0) + sizes[-1] <= MAX_WIDTH])
