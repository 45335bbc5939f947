"""The two networks of the GAN, and how their output becomes rows.

Shapes: ``parts`` is the total width of all one-hot blocks, ``numbers`` the number of columns with levels, ``groups``
the number of groups of the condition (see ``layout``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LOGIT_LIMIT = 15.0
LEVEL_SLOPE = 1.7
"""A sigmoid this steep is within 0.01 of the normal distribution function: normal inputs give even levels."""
LEVEL_SCALE = 12**0.5
"""Levels are spread evenly over [0, 1]; centred and multiplied by this they have variance 1."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths of a generator and its critic."""

    noise: int
    hidden: int
    parts: int
    numbers: int
    groups: int

    @property
    def row(self) -> int:
        """How many inputs the critic has."""
        return self.parts + self.numbers + self.groups


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
    """A row to one number, higher for rows that look real."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sizes.row, sizes.hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(sizes.hidden, 1),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Map (batch, row) to (batch,)."""
        scores: Tensor = self.layers(rows)
        return scores.squeeze(1)


class Blocks(nn.Module):
    """Which part belongs to which one-hot block; the blocks' softmax without a loop over columns."""

    owner: Tensor
    member: Tensor
    continuous: Tensor

    def __init__(self, owner: Tensor, continuous: Tensor) -> None:
        super().__init__()
        self.register_buffer("owner", owner)  # (parts,)
        blocks = int(owner.max()) + 1 if len(owner) else 0
        self.register_buffer("member", (owner.unsqueeze(1) == torch.arange(blocks)).float())  # (parts, blocks)
        self.register_buffer("continuous", continuous)  # (numbers,): the part that gates each level

    def softmax(self, logits: Tensor) -> Tensor:
        """Return each block's probabilities, (batch, parts); logits lie within 15, so exp is safe at any tau > 0.2."""
        weights = logits.exp()  # (batch, parts)
        return weights / (weights @ self.member)[:, self.owner]  # (batch, parts)

    def draw(self, logits: Tensor, *, tau: float, rng: torch.Generator) -> Tensor:
        """Draw one part a block: one-hot forward, the Gumbel softmax's gradient backward, (batch, parts)."""
        noise = -torch.empty_like(logits).exponential_(generator=rng).clamp_min(1e-20).log()  # (batch, parts)
        soft = self.softmax((logits + noise).clamp(-40 * tau, 40 * tau) / tau)  # (batch, parts)
        peak = soft.new_zeros(len(soft), self.member.shape[1])  # (batch, blocks)
        peak = peak.scatter_reduce(1, self.owner.expand_as(soft), soft.detach(), "amax")  # (batch, blocks)
        hard = (soft.detach() >= peak[:, self.owner]).float()  # (batch, parts)
        return hard + soft - soft.detach()

    def join(self, parts: Tensor, levels: Tensor, condition: Tensor) -> Tensor:
        """Return what the critic sees: one-hot parts, gated levels, the condition, (batch, row)."""
        gates = parts[:, self.continuous]  # (batch, numbers)
        return torch.cat([parts, gates * (levels - 0.5) * LEVEL_SCALE, condition], dim=1)  # (batch, row)
