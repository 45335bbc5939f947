"""The loop that every network trained by gradients shares: Adam, its schedule, a running average, finite losses.

What a generator's loss is stays with the generator; so does when to stop early: it leaves the loop.

    loop = TrainingLoop(network, Pace(steps=600, rate=1e-3, betas=(0.5, 0.99), average=0.998), progress.add)
    for _ in loop:
        loss = ...
        loop.learn(loss, {"tables": loss})
    return loop.average.eval()
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from synthrelease.core.errors import TrainingError

SETTLING = 10
"""The running average forgets faster at first: update t keeps at most t / (t + SETTLING) of what it was."""

Network = TypeVar("Network", bound=nn.Module)


class Report(Protocol):
    """Hears the losses of every update."""

    def __call__(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Take note of them."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a network learns, and for how long.

    ``steps``: updates at most. ``rate``, ``betas``: of Adam. ``average``: the share of the running average that an
    update keeps, once it has settled. ``shape``: the share of the rate at each update, counted from 1; None: it falls
    from 1 to 0 along half a cosine.
    """

    steps: int
    rate: float
    betas: tuple[float, float]
    average: float
    shape: Callable[[int], float] | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The weights of a network and of its running average, at one update."""

    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]


class TrainingLoop(Generic[Network]):
    """Trains a network in place, and keeps the running average of its weights.

    ``network`` and ``average`` are the two; ``step`` counts updates, the one under way included. ``slowness``: what the
    rate was lowered to by going back, as a share of the pace's.
    """

    def __init__(self, network: Network, pace: Pace, report: Report, *, is_guarded: bool = True) -> None:
        self.network, self.pace, self.report, self.is_guarded = network, pace, report, is_guarded
        self.average = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self.step = 0
        self.slowness = 1.0
        self._begin()

    def _begin(self) -> None:
        """Let Adam and its schedule begin, at the update under way, without a memory of earlier ones."""
        pace, done = self.pace, self.step
        self.optimiser = Adam(self.network.parameters(), lr=pace.rate * self.slowness, betas=pace.betas, fused=True)
        self.schedule: LRScheduler
        if pace.shape is None:
            self.schedule = CosineAnnealingLR(self.optimiser, max(pace.steps - done, 1))
        else:
            shape = pace.shape
            self.schedule = LambdaLR(self.optimiser, lambda later: shape(done + later + 1))

    def __iter__(self) -> Iterator[int]:
        """Yield the number of each update, from 1 on; ``learn`` must be called once for each."""
        for step in range(1, self.pace.steps + 1):
            self.step = step
            yield step

    def learn(self, loss: Tensor, losses: Mapping[str, Tensor]) -> None:
        """Take one step down ``loss`` and report ``losses`` by name.

        Raises:
            TrainingError: the loss is not finite; where the loop is not guarded, its caller looks for that.
        """
        if self.is_guarded:
            check_finite_loss(loss, self.step, self.pace.steps)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        self.schedule.step()
        keep = min(self.pace.average, self.step / (self.step + SETTLING))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - keep)
        self.report(self.step, losses)

    def snapshot(self) -> Snapshot:
        """Return a copy of all weights, which training does not change."""
        return Snapshot(weights_of(self.network), weights_of(self.average))

    def go_back(self, to: Snapshot, *, slower: float) -> None:
        """Go back to earlier weights, and on from the update under way at ``slower`` times the rate."""
        self.network.load_state_dict(to.network)
        self.average.load_state_dict(to.average)
        self.slowness *= slower
        self._begin()


def weights_of(network: nn.Module) -> Mapping[str, Tensor]:
    """Return a copy of a network's weights, for ``load_state_dict``."""
    return {name: each.detach().clone() for name, each in network.state_dict().items()}


def check_finite_loss(loss: Tensor | float, step: int, steps: int) -> None:
    """Refuse to go on with a loss that is not finite, with a TrainingError; nothing good would be learned from it."""
    if not bool(torch.isfinite(torch.as_tensor(loss))):
        raise TrainingError(
            f"Training must keep finite losses, however the loss was not at update {step:,} of {steps:,}. Train again "
            "with another seed, or with less effort."
        )
