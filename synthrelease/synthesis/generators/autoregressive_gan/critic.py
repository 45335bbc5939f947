"""The critic, and a synthesiser that makes whole rows at once.

Shapes of the synthesiser: ``parts`` is the total width of all one-hot blocks, ``numbers`` the number of columns with
levels, ``groups`` the number of groups of the condition (see ``marginals.features``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LOGIT_LIMIT = 15.0
KERNEL_WIDTH = 8
"""Dimensions in which one kernel of mini-batch discrimination compares rows."""
LEVEL_SLOPE = 1.7
"""A sigmoid this steep is within 0.01 of the normal distribution function: normal inputs give even levels."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of a synthesiser."""

    noise: int
    hidden: int
    parts: int
    numbers: int
    groups: int


class Residual(nn.Module):
    """One hidden layer that adds to its input, so that depth costs no signal."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (batch, width) to (batch, width)."""
        update: Tensor = self.outer(functional.silu(self.inner(self.norm(hidden))))
        return hidden + update


class Synthesiser(nn.Module):
    """Noise and a condition to part logits (batch, parts) and levels (batch, numbers)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.entry = nn.Linear(sizes.noise + sizes.groups, sizes.hidden)
        self.trunk = nn.Sequential(Residual(sizes.hidden), Residual(sizes.hidden))
        # One spare output where there would be none, as of a table of labels only; it is cut off again below.
        self.part_head = nn.Linear(sizes.hidden, max(sizes.parts, 1))
        self.level_head = nn.Linear(sizes.hidden, max(sizes.numbers, 1))

    def start_at(self, log_shares: Tensor) -> None:
        """Let every block begin at its training shares (logs, (parts,)), whatever the noise says."""
        with torch.no_grad():
            self.part_head.bias[: len(log_shares)] = log_shares
            self.part_head.weight.mul_(0.1)
            self.level_head.bias.zero_()

    def forward(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return part logits (batch, parts) and levels in (0, 1), (batch, numbers)."""
        hidden = self.trunk(self.entry(torch.cat([noise, condition], dim=1)))  # (batch, hidden)
        logits = LOGIT_LIMIT * torch.tanh(self.part_head(hidden) / LOGIT_LIMIT)  # (batch, parts)
        levels = torch.sigmoid(LEVEL_SLOPE * self.level_head(hidden))  # (batch, numbers)
        return logits[:, : self.sizes.parts], levels[:, : self.sizes.numbers]


class Critic(nn.Module):
    """A row to one number, higher for rows that look real.

    ``kernels``: how many numbers say how close a row lies to the others of its batch, which gives a collapsed generator
    away (mini-batch discrimination: Salimans et al. 2016, arXiv:1606.03498, section 3.2); 0 for none.
    """

    def __init__(self, width: int, hidden: int, *, dropout: float = 0.0, kernels: int = 0) -> None:
        super().__init__()
        self.kernels = kernels
        self.enter = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout))
        self.compare = nn.Linear(hidden, kernels * KERNEL_WIDTH, bias=False) if kernels else None
        self.inner = nn.Sequential(nn.Linear(hidden + kernels, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout))
        self.leave = nn.Linear(hidden, 1)

    def features(self, rows: Tensor) -> Tensor:
        """Map (batch, width) to what the last layer sees, (batch, hidden)."""
        hidden = self.enter(rows)  # (batch, hidden)
        if self.compare is not None:
            spots = self.compare(hidden).view(len(rows), self.kernels, KERNEL_WIDTH)
            apart = (spots.unsqueeze(0) - spots.unsqueeze(1)).abs().sum(3)  # (batch, batch, kernels)
            hidden = torch.cat([hidden, (-apart).exp().mean(0)], dim=1)  # (batch, hidden + kernels)
        found: Tensor = self.inner(hidden)
        return found

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, width) to (batch,)."""
        scores: Tensor = self.leave(self.features(rows))
        return scores.squeeze(1)


class Blocks(nn.Module):
    """Which part belongs to which one-hot block; the blocks' softmax without a loop over columns."""

    owner: Tensor
    member: Tensor

    def __init__(self, owner: Tensor) -> None:
        super().__init__()
        self.register_buffer("owner", owner)  # (parts,)
        blocks = int(owner.max()) + 1 if len(owner) else 0
        self.register_buffer("member", (owner.unsqueeze(1) == torch.arange(blocks)).float())  # (parts, blocks)

    def softmax(self, logits: Tensor) -> Tensor:
        """Return each block's probabilities, (batch, parts); logits lie within 15, so exp is safe at any tau > 0.2."""
        weights = logits.exp()  # (batch, parts)
        return weights / (weights @ self.member)[:, self.owner]  # (batch, parts)
