"""The generator network: it writes a row column by column, each given the ones before it.

All columns share one masked network (Germain et al. 2015, "MADE: Masked Autoencoder for Distribution Estimation",
arXiv:1502.03509), so that one pass gives every column's distribution for rows that are known, and writing new rows
costs one pass as well: a hidden unit is computed as soon as the columns that it may see are written.

Cost of an update, in multiplications per row of the batch: ``features * hidden * 2 + layers * 2 * hidden**2``, and
``features**2`` for the linear part (left out above ``MAX_LINEAR_FEATURES``), and for each number column its features
times its cells; three times that with the gradient. It grows with columns and levels, and not with training rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells

MAX_LINEAR_FEATURES = 1_536


@dataclass(frozen=True, slots=True)
class Width:
    """Sizes of the network: ``hidden`` units, and ``layers`` residual blocks of two layers each."""

    hidden: int
    layers: int


class Weights(NamedTuple):
    """The masked weights of one pass: what may not be seen counts as zero."""

    enter: Tensor
    inner: list[Tensor]
    leave: Tensor
    linear: Tensor | None
    tables: list[Tensor]


class RowWriter(nn.Module):
    """Cells of earlier columns to the distribution of the next one's cells, for all columns at once.

    Shapes: ``columns`` in writing order; ``features`` the width of all columns' features together; a column's table is
    (its cells, its features).
    """

    mask_enter: Tensor
    mask_inner: Tensor
    mask_leave: Tensor
    mask_linear: Tensor
    log_shares: Tensor

    def __init__(self, cells: Cells, width: Width, *, rng: torch.Generator) -> None:
        super().__init__()
        self.starts: list[int] = cells.starts.tolist()
        self.feature_starts: list[int] = cells.feature_starts.tolist()
        self.columns = len(cells.columns)
        features = self.feature_starts[-1]
        owner = torch.repeat_interleave(
            torch.arange(self.columns), torch.tensor([each.width for each in cells.columns])
        )
        # A unit of degree d sees the columns before d, and is seen by the columns from d on.
        degree = 1 + torch.arange(width.hidden) * max(self.columns - 1, 1) // width.hidden  # (hidden,), rising
        self.reach = [*(int((degree <= column).sum()) for column in range(self.columns)), width.hidden]
        for name, mask in (
            ("mask_enter", owner.unsqueeze(0) < degree.unsqueeze(1)),  # (hidden, features)
            ("mask_inner", degree.unsqueeze(0) <= degree.unsqueeze(1)),  # (hidden, hidden)
            ("mask_leave", degree.unsqueeze(0) <= owner.unsqueeze(1)),  # (features, hidden)
            ("mask_linear", owner.unsqueeze(0) < owner.unsqueeze(1)),  # (features, features)
        ):
            self.register_buffer(name, mask.float(), persistent=False)

        def dense(rows: int, columns: int, scale: float = 1.0) -> nn.Parameter:
            bound = scale / max(columns, 1) ** 0.5
            return nn.Parameter((torch.rand(rows, columns, generator=rng) * 2 - 1) * bound)

        self.enter, self.enter_bias = dense(width.hidden, features), nn.Parameter(torch.zeros(width.hidden))
        self.inner = nn.ParameterList(dense(width.hidden, width.hidden) for _ in range(2 * width.layers))
        self.inner_bias = nn.ParameterList(torch.zeros(width.hidden) for _ in range(2 * width.layers))
        self.leave, self.leave_bias = dense(features, width.hidden, 0.1), nn.Parameter(torch.zeros(features))
        has_linear = features <= MAX_LINEAR_FEATURES
        self.linear = nn.Parameter(torch.zeros(features, features)) if has_linear else None
        self.learned = nn.ParameterDict()
        for place, column in enumerate(cells.columns):
            self.register_buffer(f"table_{place}", torch.from_numpy(column.features), persistent=False)
            if column.learned:
                self.learned[str(place)] = dense(column.size, column.learned, column.learned**0.5)
        shares = torch.cat([torch.from_numpy(column.shares).log().float() for column in cells.columns])
        self.register_buffer("log_shares", shares)  # (cells,)

    def weights(self) -> Weights:
        """Return the masked weights; one call serves any number of passes until the next update."""
        return Weights(
            enter=self.enter * self.mask_enter,
            inner=[each * self.mask_inner for each in self.inner],
            leave=self.leave * self.mask_leave,
            linear=None if self.linear is None else self.linear * self.mask_linear,
            tables=[self._table(place) for place in range(self.columns)],
        )

    def _table(self, place: int) -> Tensor:
        table: Tensor = getattr(self, f"table_{place}")
        return torch.cat([table, self.learned[str(place)]], dim=1) if str(place) in self.learned else table

    def features(self, codes: Tensor, weights: Weights) -> Tensor:
        """Return the features, (batch, features), of rows of cells, (batch, columns)."""
        return torch.cat([functional.embedding(codes[:, at], table) for at, table in enumerate(weights.tables)], dim=1)

    def scores(self, features: Tensor, weights: Weights) -> Tensor:
        """Return the weights of each column's features, (batch, features), given the columns before it."""
        hidden = functional.linear(features, weights.enter, self.enter_bias)  # (batch, hidden)
        for at in range(0, len(weights.inner), 2):
            change = functional.linear(functional.silu(hidden), weights.inner[at], self.inner_bias[at])
            change = functional.linear(functional.silu(change), weights.inner[at + 1], self.inner_bias[at + 1])
            hidden = hidden + change  # (batch, hidden)
        out = functional.linear(functional.silu(hidden), weights.leave, self.leave_bias)  # (batch, features)
        return out if weights.linear is None else out + functional.linear(features, weights.linear)

    def logits(self, place: int, scores: Tensor, weights: Weights) -> Tensor:
        """Return one column's logits, (batch, its cells), of the weights of its features."""
        shares = self.log_shares[self.starts[place] : self.starts[place + 1]]  # (its cells,)
        return torch.addmm(shares, scores, weights.tables[place].T)

    def surprise(self, codes: Tensor, weights: Weights) -> Tensor:
        """Return -log p of each cell given the columns before it, (batch, columns), in nats."""
        scores = self.scores(self.features(codes, weights), weights)
        parts = torch.split(scores, [stop - start for start, stop in pairwise(self.feature_starts)], dim=1)
        losses = [
            functional.cross_entropy(self.logits(at, part, weights), codes[:, at], reduction="none")
            for at, part in enumerate(parts)
        ]
        return torch.stack(losses, dim=1)

    def relaxed(self, batch: int, weights: Weights, *, tau: float, rng: torch.Generator) -> Tensor:
        """Write rows with a gradient: features (batch, features) of cells drawn by a straight-through Gumbel softmax.

        The cells are drawn exactly; the gradient is that of a softmax at temperature ``tau`` (Jang et al. 2017,
        arXiv:1611.01144).
        """
        walk = Walk(self, weights, batch)
        for place, table in enumerate(weights.tables):
            logits = self.logits(place, walk.scores(place), weights)  # (batch, its cells)
            chance = torch.rand(logits.shape, generator=rng, device=logits.device).clamp_min(
                1e-20
            )  # (batch, its cells)
            noise = -(-chance.log()).clamp_min(1e-20).log()  # Gumbel; quicker than exponential_() on a CPU
            soft = functional.softmax((logits + noise) / tau, dim=1)  # (batch, its cells)
            hard, mean = functional.embedding(soft.argmax(1), table), soft @ table  # (batch, its features)
            walk.write(place, hard + mean - mean.detach())
        return walk.written


class Walk:
    """Rows that are being written: what is written so far, and the hidden units that may see it.

    With ``in_place`` everything is kept in buffers, which is faster and leaves no gradient.
    """

    def __init__(self, writer: RowWriter, weights: Weights, batch: int, *, in_place: bool = False) -> None:
        self.writer, self.weights = writer, weights
        # Cut by rows once: a slice of a whole matrix would cost its whole gradient at every column.
        rows = [stop - start for start, stop in pairwise(writer.feature_starts)]
        units = [stop - start for start, stop in pairwise(writer.reach)]
        self.leave = torch.split(weights.leave, rows)
        self.leave_bias = torch.split(writer.leave_bias, rows)
        self.linear = None if weights.linear is None else torch.split(weights.linear, rows)
        self.enter, self.enter_bias = torch.split(weights.enter, units), torch.split(writer.enter_bias, units)
        self.inner = [torch.split(each, units) for each in weights.inner]
        self.inner_bias = [torch.split(each, units) for each in writer.inner_bias]
        widths = [writer.feature_starts[-1], *[len(writer.enter_bias)] * (1 + len(weights.inner))]
        new = writer.log_shares.new_empty
        self.buffers = [new(batch, width) for width in widths] if in_place else []
        self.parts = [new(batch, 0) for _ in widths]  # (batch, so far): what is written, then each layer's activations

    @property
    def written(self) -> Tensor:
        """Features of the columns that are written, (batch, their features)."""
        return self.parts[0]

    def scores(self, place: int) -> Tensor:
        """Return the weights of the next column's features, (batch, its features), given what is written."""
        active = self.parts[-1]  # (batch, units that may be seen)
        scores = functional.linear(active, self.leave[place][:, : active.shape[1]], self.leave_bias[place])
        if self.linear is not None and place:
            scores = scores + functional.linear(self.written, self.linear[place][:, : self.written.shape[1]])
        return scores

    def write(self, place: int, features: Tensor) -> None:
        """Take a column's features, (batch, its features), and compute the units that may see it."""
        self._grow(0, features)
        if not len(self.enter[place]):
            return
        seen = self.written.shape[1]
        fresh = functional.linear(self.written, self.enter[place][:, :seen], self.enter_bias[place])
        self._grow(1, functional.silu(fresh))
        for at in range(0, len(self.inner), 2):
            change = self._inner(at, place)
            self._grow(at + 2, functional.silu(change))
            fresh = fresh + self._inner(at + 1, place)
            self._grow(at + 3, functional.silu(fresh))

    def _inner(self, at: int, place: int) -> Tensor:
        active = self.parts[at + 1]  # (batch, units that may be seen)
        return functional.linear(active, self.inner[at][place][:, : active.shape[1]], self.inner_bias[at][place])

    def _grow(self, part: int, fresh: Tensor) -> None:
        start = self.parts[part].shape[1]
        stop = start + fresh.shape[1]
        if self.buffers:
            self.buffers[part][:, start:stop] = fresh
            self.parts[part] = self.buffers[part][:, :stop]
        else:
            self.parts[part] = torch.cat([self.parts[part], fresh], dim=1)
