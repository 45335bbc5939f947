"""When to stop training: as soon as more updates only teach the training rows by heart."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter

PATIENCE = 5
"""Looks in a row that must be worse than the best before training stops."""
SURELY_WORSE = 2.0
"""In standard errors of the difference, counted over inner rows."""


class InnerWatch:
    """Watches how well a writer predicts inner rows: training rows that it does not learn from, (rows, columns).

    ``kept`` is the last state that was not surely worse than the best, ``step`` its update. A state that is only
    a little worse by chance is kept, since the end of training, with its small steps, is worth more than a lucky look.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.best: Tensor | None = None
        self.kept: RowWriter | None = None
        self.step = 0
        self.worse = 0

    def is_over(self, writer: RowWriter, *, step: int) -> bool:
        """Look at a state, and return whether training should stop."""
        surprise = surprise_of(writer, self.rows)  # (rows,)
        if self.best is None or bool(surprise.mean() < self.best.mean()):
            self.best = surprise
        gap = surprise - self.best
        error = gap.std() / len(gap) ** 0.5 if len(gap) > 1 else gap.new_zeros(())
        if bool(gap.mean() <= SURELY_WORSE * error):
            self.kept, self.step, self.worse = copy.deepcopy(writer), step, 0
        else:
            self.worse += 1
        return self.worse >= PATIENCE


def surprise_of(writer: RowWriter, rows: Tensor) -> Tensor:
    """Return -log p of each row, (rows,), in nats."""
    with torch.no_grad():
        weights = writer.weights()
        return torch.cat([writer.surprise(part, weights).sum(1) for part in torch.split(rows, 2_048)])
