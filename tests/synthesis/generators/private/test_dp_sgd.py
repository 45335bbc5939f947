"""Noisy steps of a critic: what one patient more can change, exactly, and whose randomness it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthrelease.privacy import noise as os_noise
from synthrelease.synthesis.generators.private import dp_critic, dp_sgd
from synthrelease.synthesis.generators.private.dp_sgd import PrivateTraining, Steps, Units

WIDTH = 24
STARTS = np.array([0, 8, 16, 24])


def rows(count: int, seed: int) -> Tensor:
    codes = np.random.default_rng(seed).integers(0, 8, (count, 3))
    return dp_critic.one_hot(codes, STARTS)


def critic_times(scale: float) -> nn.Module:
    critic = dp_critic.critic_of(WIDTH, 16, seed=3)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(scale)
    return critic


def training(clip: float = 1.0, steps: int = 100, scale: float = 1.0, noise: float = 1.0) -> PrivateTraining:
    critic = critic_times(scale)
    plan = Steps(steps, rate=0.5, batch=20.0, noise=noise, clip=clip)
    return PrivateTraining(critic, plan, torch.optim.SGD(critic.parameters(), lr=1.0))


def clipped_sum(within: PrivateTraining, real: Tensor, made: Tensor) -> Tensor:
    within.clipped_sum(real, made)
    return torch.cat([parameter.grad.flatten() for parameter in within.critic.parameters()])


def pair_gradient(critic: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """The plain gradient of one pair's loss."""
    loss = functional.softplus(critic(made[None]) - critic(real[None])).sum()
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(critic.parameters()))])


@pytest.mark.parametrize("scale", [1.0, 30.0])  # at 30 times the weights every pair is clipped
@pytest.mark.parametrize("clip", [0.1, 1.0])
def test_a_patient_more_moves_the_clipped_sum_by_at_most_the_clip(scale, clip):
    """Layer A: noise off, made rows coupled (a patient's own does not depend on who else is there)."""
    within = training(clip, scale=scale)
    real, made = rows(41, 1), rows(41, 2)
    whole = clipped_sum(within, real, made)
    moved = []
    for left_out in range(41):
        rest = [at for at in range(41) if at != left_out]
        moved.append(float((whole - clipped_sum(within, real[rest], made[rest])).norm()))
    assert max(moved) <= clip * (1 + 1e-4)
    assert max(moved) >= 0.5 * clip if scale > 1 else max(moved) > 0


def test_pairs_clipped_apart_would_move_it_by_more():
    """The bound is not an empty one: a real and a made row with a clip each go beyond it."""
    critic, moved = critic_times(4.0), []
    for real, made in zip(rows(20, 1), rows(20, 2), strict=True):
        apart = torch.zeros(())
        for sign, row in ((-1.0, real), (1.0, made)):
            loss = functional.softplus(sign * critic(row[None])).sum()
            gradient = torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(critic.parameters()))])
            apart = apart + gradient * min(1.0, 1.0 / float(gradient.norm()))
        moved.append(float(apart.norm()))
    assert max(moved) > 1.05


def test_ghost_clipping_is_clipping():
    within = training(clip=0.5, scale=3.0)
    real, made = rows(30, 4), rows(30, 5)
    plain = critic_times(3.0)
    expected = torch.zeros(())
    for x, z in zip(real, made, strict=True):
        gradient = pair_gradient(plain, x, z)
        expected = expected + gradient * min(1.0, 0.5 / float(gradient.norm()))
    found = clipped_sum(within, real, made)
    assert float((found - expected).norm()) <= 1e-4 * float(expected.norm())


def test_a_step_divides_by_a_constant_and_an_empty_sample_is_a_step_of_noise(monkeypatch):
    monkeypatch.setattr(os_noise, "gaussian", np.ones)
    within = training(noise=2.0)
    before = [parameter.detach().clone() for parameter in within.critic.parameters()]
    within.step(rows(0, 1), rows(0, 1))
    for old, new in zip(before, within.critic.parameters(), strict=True):
        assert torch.allclose(new, old - 2.0 / 20.0)
    expected = clipped_sum(within, rows(7, 1), rows(7, 2)) / 20.0 + 2.0 / 20.0
    start = torch.cat([parameter.detach().flatten() for parameter in within.critic.parameters()])
    within.step(rows(7, 1), rows(7, 2))
    end = torch.cat([parameter.detach().flatten() for parameter in within.critic.parameters()])
    assert torch.allclose(start - end, expected, atol=1e-6)


def test_no_seed_reaches_the_noise_the_sample_or_who_gets_which_made_row():
    def run() -> tuple[list[Tensor], list[np.ndarray], Tensor]:
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002 -- to show that it does not matter
        within = training()
        for _ in range(2):
            within.step(rows(9, 1), rows(9, 2))
        units = Units.of(np.arange(90).reshape(90, 1), np.repeat(np.arange(30), 3))
        samples = [units.sampled(0.5) for _ in range(3)]
        return list(within.critic.parameters()), samples, dp_sgd.dealt(torch.arange(1_000), 50)

    first, second = run(), run()
    assert any((one != other).any() for one, other in zip(first[0], second[0], strict=True))
    assert any(one.tolist() != other.tolist() for one, other in zip(first[1], second[1], strict=True))
    assert (first[2] != second[2]).any()


def test_a_patient_brings_one_row_to_a_step_however_many_there_are():
    owners = np.array([7, 3, 7, 7, 3, 9])
    codes = np.arange(6).reshape(6, 1)
    units = Units.of(codes, owners)
    seen = set()
    for _ in range(200):
        taken = units.sampled(1.0)[:, 0]
        assert sorted(owners[taken].tolist()) == [3, 7, 9]
        seen |= set(taken.tolist())
    assert seen == set(range(6))
    assert len(units.sampled(0.0)) == 0


def test_what_would_void_the_promise_is_refused():
    plan = Steps(1, 0.5, 10.0, 1.0)
    for layer in (nn.BatchNorm1d(4), nn.LayerNorm(WIDTH), nn.Dropout(0.1)):
        critic = nn.Sequential(layer, nn.Linear(WIDTH, 1))
        with pytest.raises(ValueError, match="linear layers"):
            PrivateTraining(critic, plan, torch.optim.SGD(critic.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="clip not tiny"):
        training(clip=1e-3)
    with pytest.raises(ValueError, match="one made row"):
        training().step(rows(3, 1), rows(4, 1))
    within = training(steps=1)
    within.step(rows(3, 1), rows(3, 1))
    with pytest.raises(ValueError, match="in the ledger"):
        within.step(rows(3, 1), rows(3, 1))
