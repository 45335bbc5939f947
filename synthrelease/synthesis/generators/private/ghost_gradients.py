"""How each row pulls at a critic, for an audit that looks for its canaries in what every noisy step released.

Gradients of single pairs are never written out: a linear layer's is the product of what went in and of the slope that
came back, so their clipped sum, and the inner product of each with a released gradient, need these two alone (ghost
norms: Li et al. 2022, arXiv:2110.05679). Written apart from Opacus, so that an error there is none here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.generators.private.dp_critic import one_hot
from synthrelease.synthesis.generators.private.dp_sgd import PrivateTraining

CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Pulls:
    """Clipped gradients of pairs, a layer each: what went in (pairs, 2, in) and slopes (pairs, 2, out)."""

    entered: list[Tensor]
    slopes: list[Tensor]

    def total(self, weights: Tensor) -> list[Tensor]:
        """Return their sum, each times its weight (pairs,), as weight and bias of every layer."""
        parts = []
        for entered, slopes in zip(self.entered, self.slopes, strict=True):
            heavy = slopes * weights[:, None, None]
            parts += [torch.einsum("rpo,rpi->oi", heavy, entered), heavy.sum((0, 1))]
        return parts

    def along(self, released: list[Tensor]) -> Tensor:
        """Return the inner product of each with a gradient, as weight and bias of every layer; (pairs,)."""
        found = torch.zeros(len(self.slopes[0]))
        for at, (entered, slopes) in enumerate(zip(self.entered, self.slopes, strict=True)):
            weight, bias = released[2 * at], released[2 * at + 1]
            found += ((entered @ weight.T + bias) * slopes).sum((1, 2))
        return found


def pulls(critic: nn.Module, real: Tensor, made: Tensor, *, clip: float) -> Pulls:
    """Return the clipped gradients of pairs of a real and a made row, (pairs, width) each."""
    rows = torch.stack([real, made], dim=1)  # (pairs, 2, width)
    entered, left = [], []
    with torch.enable_grad():
        for part in critic.modules():
            if isinstance(part, nn.Linear):
                entered.append(rows.detach())
                rows = functional.linear(rows, part.weight.detach(), part.bias.detach())
                rows = rows if rows.requires_grad else rows.requires_grad_()
                left.append(rows)
            elif isinstance(part, nn.LeakyReLU):
                rows = functional.leaky_relu(rows, part.negative_slope)
        loss = functional.softplus(rows[:, 1, 0] - rows[:, 0, 0]).sum()
        slopes = torch.autograd.grad(loss, left)
    squared = sum(
        ((a @ a.transpose(1, 2) + 1) * (s @ s.transpose(1, 2))).sum((1, 2))
        for a, s in zip(entered, slopes, strict=True)
    )  # (pairs,); the 1 is the bias's
    share = (clip / torch.as_tensor(squared).clamp_min(1e-24).sqrt()).clamp_max(1.0)
    return Pulls(entered, [each * share[:, None, None] for each in slopes])


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as codes, (rows, columns), where each column's codes begin, and what each row counts, (rows,)."""

    codes: IntArray
    starts: IntArray
    weights: FloatArray


def found(training: PrivateTraining, made: Tensor, known: Rows, sought: Rows) -> FloatArray:
    """Return how far a step's released gradient points where each row sought pulls it, (rows,).

    What known rows and, on average, the rows sought (half of them) must have put into it is taken off before.
    """
    if not len(made):
        return np.zeros(len(sought.codes))
    plan, critic = training.plan, training.critic
    rng = torch.Generator().manual_seed(training.taken)
    left = [parameter.grad.detach() * plan.batch for parameter in critic.parameters() if parameter.grad is not None]
    for start in range(0, len(known.codes), CHUNK):
        some = Rows(known.codes[start : start + CHUNK], known.starts, known.weights[start : start + CHUNK])
        each = _pulls(training, some, made, rng)
        left = _less(left, each.total(torch.from_numpy(some.weights).float() * plan.rate))
    mine = _pulls(training, sought, made, rng)
    left = _less(left, mine.total(torch.from_numpy(sought.weights).float() * plan.rate / 2))
    return mine.along(left).double().numpy()


def _pulls(training: PrivateTraining, rows: Rows, made: Tensor, rng: torch.Generator) -> Pulls:
    beside = made[torch.randint(len(made), (len(rows.codes),), generator=rng)]
    return pulls(training.critic, one_hot(rows.codes, rows.starts), beside, clip=training.plan.clip)


def _less(left: list[Tensor], taken: list[Tensor]) -> list[Tensor]:
    return [a - b for a, b in zip(left, taken, strict=True)]
