"""A network that turns noise into rows whose tables of pairs are given ones: trained on tables, never on rows.

For a batch of made rows, as probabilities of every code, one product holds the tables of all pairs of columns. Their
distance to the given tables is the loss, each cell weighed by one over its share (and what noise adds to it). Sampling
draws each column from its probabilities by itself: what columns share lies in the noise the network was fed.

Source: the generator networks of Liu, Vietri & Wu 2021 (GEM, arXiv:2106.07153); without its private selection, since
all pairs are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.generators.argument_checks import check_made
from synthrelease.synthesis.generators.autoregressive_gan.critic import LOGIT_LIMIT, Blocks, Residual
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.training_loop import Pace, TrainingLoop

FLOOR = 5e-4
"""Cells with smaller shares are weighed as if they had this one."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained: updates, made rows in each, widths and the first learning rate."""

    steps: int
    batch: int = 500
    noise: int = 64
    hidden: int = 256
    rate: float = 2e-3
    average: float = 0.995


class Mixture(nn.Module):
    """Noise (batch, noise) to probabilities of every code (batch, codes), which add up to 1 in each column."""

    def __init__(self, noise: int, hidden: int, starts: IntArray) -> None:
        super().__init__()
        self.noise, self.hidden = noise, hidden
        owner = torch.from_numpy(np.repeat(np.arange(len(starts) - 1), np.diff(starts)))
        self.entry = nn.Linear(noise, hidden)
        self.trunk = nn.Sequential(Residual(hidden), Residual(hidden))
        self.head = nn.Linear(hidden, int(starts[-1]))
        self.blocks = Blocks(owner)

    def start_at(self, shares: FloatArray) -> None:
        """Begin with independent columns of these shares, (codes,)."""
        with torch.no_grad():
            self.head.bias.copy_(torch.from_numpy(np.log(np.maximum(shares, 1e-6))).float())
            self.head.weight.mul_(0.1)

    def forward(self, noise: Tensor) -> Tensor:
        """Map (batch, noise) to (batch, codes)."""
        logits = self.head(self.trunk(self.entry(noise)))  # (batch, codes)
        made: Tensor = self.blocks.softmax(LOGIT_LIMIT * torch.tanh(logits / LOGIT_LIMIT))
        return made


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tables of pairs to make, (codes, codes), the weight of each cell, and each code's share, (codes,)."""

    tables: FloatArray
    weights: FloatArray
    shares: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, tables: FloatArray, variances: FloatArray, shares: FloatArray, starts: IntArray) -> Wanted:
        """Weigh the cells: none within one column, or where ``variances`` (columns, columns) is infinite."""
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        noise = np.sqrt(variances)[np.ix_(owner, owner)]
        counted = (owner[:, None] != owner[None, :]) & np.isfinite(noise)
        weights = np.where(counted, 1.0 / (np.maximum(tables, 0.0) + np.maximum(noise, FLOOR)), 0.0)
        return cls(tables, weights / (len(starts) - 1), shares, starts)


def train(wanted: Wanted, recipe: Recipe, *, seed: int, progress: Progress) -> Mixture:
    """Return a network whose rows have the wanted tables.

    Raises:
        TrainingError: the loss stopped being finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = torch.Generator(device=device).manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = Mixture(recipe.noise, recipe.hidden, wanted.starts)
    network.start_at(wanted.shares)
    network = network.to(device)
    tables = torch.from_numpy(wanted.tables).float().to(device)  # (codes, codes)
    weights = torch.from_numpy(wanted.weights).float().to(device)  # (codes, codes)
    loop = TrainingLoop(network, Pace(recipe.steps, recipe.rate, (0.9, 0.99), recipe.average), progress.add)
    for _ in loop:
        made = network(torch.randn(recipe.batch, recipe.noise, generator=rng, device=device))  # (batch, codes)
        loss = ((made.T @ made / recipe.batch - tables).square() * weights).sum()
        loop.learn(loss, {"tables": loss})
    return loop.average.eval().cpu()


@torch.no_grad()
def draw(network: Mixture, rows: int, rng: torch.Generator) -> IntArray:
    """Return codes of sampled rows, int64 (rows, columns)."""
    made = network(torch.randn(rows, network.noise, generator=rng))  # (rows, codes)
    check_made(made)
    noise = torch.empty_like(made).exponential_(generator=rng)  # (rows, codes): the largest of p / noise is a draw
    scores = made / noise.clamp_min(1e-20)
    sizes = torch.bincount(network.blocks.owner).tolist()
    return torch.stack([part.argmax(1) for part in torch.split(scores, sizes, dim=1)], dim=1).numpy()
