"""DP-SGD for a critic of pairs (Abadi et al. 2016, arXiv:1607.00133), by Opacus: clips by ghost norms, adds noise.

One step looks at a Poisson sample of units (patients, or rows where each row is one). Every unit in it brings one pair:
one of its real rows, drawn at random, and one made row. The gradients of both rows of a pair add up *before* they are
clipped to C, so that a unit more or less moves the sum by at most C. Clipping real and made rows apart would move it by
up to 2 C, since a unit brings its made row along.

Where made rows come from matters as much. They are dealt out from a pool that was made beforehand without a look at any
real row, to each unit by a draw of its own. Another unit's draw does not depend on whether this unit is there; a stream
of random numbers dealt out in order of the rows would shift for all that come after.

What is void of any promise: a critic that lets rows of a batch see one another (batch normalisation, statistics of a
mini-batch, a relativistic loss against the batch's mean); it is refused. Opacus compares squared norms in float32, so a
clip far below the norms that single rows have would not hold to the last digits (``SMALLEST_CLIP``).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn
from torch.nn import functional

from synthrelease.core.contracts import IntArray, PrivacySpend, PrivacyUnit
from synthrelease.privacy import noise as os_noise

SMALLEST_CLIP = 0.1
PRIVATE_LAYERS = (nn.Linear, nn.LeakyReLU, nn.Sequential)
"""What a critic may be made of: each treats a row by itself, and ghost norms of it are exact."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a critic's steps are, decided before any of them: all of it is public.

    ``rate``: with which probability a unit takes part in a step. ``batch``: what sums are divided by, always the same.
    ``noise``: standard deviation of the noise over ``clip``, the largest norm that a pair's gradient keeps.
    """

    steps: int
    rate: float
    batch: float
    noise: float
    clip: float = 1.0

    def spend(self, unit: PrivacyUnit) -> PrivacySpend:
        """The receipt."""
        return PrivacySpend("critic of made rows", "DP-SGD", self.noise, self.rate, self.steps, unit)


@dataclass(frozen=True, slots=True)
class Units:
    """Real rows by unit: codes, int64 (rows, columns), where each unit's rows begin and how many they are, (units,)."""

    codes: IntArray
    first: IntArray
    count: IntArray

    @classmethod
    def of(cls, codes: IntArray, owners: IntArray | None) -> Units:
        """Put rows in order of their ``owners``, (rows,); None where each row is its own."""
        if owners is None:
            return cls(codes, np.arange(len(codes)), np.ones(len(codes), dtype=np.int64))
        order = np.argsort(owners, kind="stable")
        _, first, count = np.unique(owners[order], return_index=True, return_counts=True)
        return cls(codes[order], first.astype(np.int64), count.astype(np.int64))

    def sampled(self, rate: float) -> IntArray:
        """Return one row of each unit in a Poisson sample, int64 (batch, columns); randomness is the system's."""
        chosen = np.flatnonzero(os_noise.poisson_mask(len(self.first), rate))
        within = np.floor(os_noise.uniform(len(chosen)) * self.count[chosen]).astype(np.int64)
        return np.asarray(self.codes[self.first[chosen] + within])


def dealt(pool: Tensor, count: int) -> Tensor:
    """Return ``count`` rows of a pool, each by a draw of its own from the system's randomness, (count, width)."""
    return pool[torch.from_numpy(np.floor(os_noise.uniform(count) * len(pool)).astype(np.int64))]


class SystemNoise(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """Opacus's optimiser with noise from the operating system; Opacus itself needs ``torchcsprng`` for as much."""

    def add_noise(self) -> None:
        """Put clipped sums plus noise into ``p.grad``."""
        std = self.noise_multiplier * self.max_grad_norm
        sizes = [parameter.numel() for parameter in self.params]
        noise = torch.from_numpy(os_noise.gaussian((sum(sizes),)) * std)
        for parameter, drawn in zip(self.params, torch.split(noise, sizes), strict=True):
            summed = parameter.summed_grad
            parameter.grad = (summed + drawn.to(summed).view_as(summed)).view_as(parameter)


class Watcher(Protocol):
    """Sees what an attacker inside the training sees: an audit, which plants rows of its own and looks for them."""

    def __call__(self, training: PrivateTraining, made: Tensor) -> None:
        """Take note of a step: ``made`` are its made rows; the critic's ``p.grad`` is the noisy mean it moves by."""
        ...


class PrivateTraining:
    """Trains a critic, in place, by noisy steps. ``taken``: how many; more than were planned are refused."""

    def __init__(
        self, critic: nn.Module, plan: Steps, optimiser: torch.optim.Optimizer, watcher: Watcher | None = None
    ) -> None:
        _check(critic, plan)
        self.plan, self.critic, self.watcher = plan, critic, watcher
        self.wrapped = GradSampleModuleFastGradientClipping(
            critic, loss_reduction="sum", max_grad_norm=plan.clip, use_ghost_clipping=True
        )
        self.optimiser = SystemNoise(
            optimiser,
            noise_multiplier=plan.noise,
            max_grad_norm=plan.clip,
            expected_batch_size=plan.batch,
            loss_reduction="mean",
        )
        self.taken = 0

    def step(self, real: Tensor, made: Tensor) -> None:
        """Take one step on pairs of real and made rows, (batch, width) each; an empty batch is a step of noise alone.

        Raises:
            ValueError: rows without a partner, or more steps than the ledger has.
        """
        if self.taken >= self.plan.steps:
            raise ValueError(f"{self.plan.steps} steps are in the ledger, however one more was asked for")
        self.taken += 1
        self.clipped_sum(real, made)
        if self.optimiser.pre_step():  # noise, and the constant divisor
            if self.watcher is not None:
                self.watcher(self, made)
            self.optimiser.original_optimizer.step()

    def clipped_sum(self, real: Tensor, made: Tensor) -> None:
        """Leave the sum of clipped gradients of pairs in ``p.grad``."""
        if real.shape != made.shape:
            raise ValueError(f"every real row must have one made row, however {len(real)} stand beside {len(made)}")
        scores = self.wrapped(torch.stack([real, made], dim=1)).squeeze(2)  # (batch, 2)
        losses = functional.softplus(scores[:, 1] - scores[:, 0])  # (batch,)
        self._backwards(losses)

    def _backwards(self, losses: Tensor) -> None:
        """Clip each loss's gradient, (batch,), and leave the sum in ``p.grad``."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")  # rows need no gradient here
            DPTensorFastGradientClipping(self.wrapped, self.optimiser, losses, loss_reduction="sum").backward()


def _check(critic: nn.Module, plan: Steps) -> None:
    unfit = sorted({type(part).__name__ for part in critic.modules() if not isinstance(part, PRIVATE_LAYERS)})
    if unfit or any(True for _ in critic.buffers()):
        raise ValueError(f"a private critic may hold linear layers and activations only, however it has {unfit}")
    if plan.clip < SMALLEST_CLIP or plan.noise <= 0 or plan.batch <= 0:
        raise ValueError("noise and batch must be positive and the clip not tiny, however they are not")
