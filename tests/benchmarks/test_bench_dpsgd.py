"""What a private step of a critic costs beside a plain one, as a ratio within one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest
import torch
from torch.nn import functional

from synthrelease.synthesis.generators.private import dp_critic
from synthrelease.synthesis.generators.private.dp_gan import LARGEST_BATCH
from synthrelease.synthesis.generators.private.dp_sgd import PrivateTraining, Steps

ROUNDS = 15
COLUMNS, CODES = 14, 12
MOST_TIMES = 3.0


def core_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.bench
@pytest.mark.parametrize("hidden", [32, 64])
def test_a_private_step_takes_at_most_three_plain_ones(hidden):
    """Ghost clipping, two backward passes and noise from the operating system included."""
    starts = np.arange(COLUMNS + 1) * CODES
    codes = np.random.default_rng(0).integers(0, CODES, (2 * LARGEST_BATCH, COLUMNS))
    real, made = torch.split(dp_critic.one_hot(codes, starts), LARGEST_BATCH)
    private, plain = (dp_critic.critic_of(COLUMNS * CODES, hidden, seed=0) for _ in range(2))
    learn = [torch.optim.Adam(each.parameters(), lr=1e-3) for each in (private, plain)]
    training = PrivateTraining(private, Steps(10_000, 0.1, LARGEST_BATCH, 1.0), learn[0])

    def step() -> None:
        scores = plain(torch.stack([real, made], dim=1)).squeeze(2)
        loss = functional.softplus(scores[:, 1] - scores[:, 0]).mean()
        learn[1].zero_grad()
        torch.autograd.backward(loss)
        learn[1].step()

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for work in (lambda: training.step(real, made), step):
        work()
    times = [(core_seconds(lambda: training.step(real, made)), core_seconds(step)) for _ in range(ROUNDS)]
    torch.set_num_threads(before)
    ours, theirs = (median(each) for each in zip(*times, strict=True))
    print(f"hidden {hidden}: private {ours * 1e3:.1f} ms, plain {theirs * 1e3:.1f} ms, {ours / theirs:.2f} times")
    assert ours <= MOST_TIMES * theirs
