"""The loop every network is trained by: the same as written out, with losses watched and a way back."""

from __future__ import annotations

import copy
from itertools import islice

import pytest
import torch
from made_tables import ignore
from torch import Tensor, nn

from synthrelease.core.contracts import TrainingStep
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis.generators import progress
from synthrelease.synthesis.generators.training_loop import Pace, TrainingLoop

ROWS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
WANTED = ROWS @ torch.tensor([[1.0], [-2.0], [0.5]])


def network() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        return nn.Linear(3, 1)


def loss_of(model: nn.Module) -> Tensor:
    return (model(ROWS) - WANTED).square().mean()


def silent(step: int, losses: object) -> None:
    """Hear of an update."""


def pace(**others) -> Pace:
    return Pace(**{"steps": 30, "rate": 0.05, "betas": (0.5, 0.99), "average": 0.9, **others})


def halving(step: int) -> float:
    return 0.5**step


def written_out(model: nn.Module, settings: Pace) -> nn.Module:
    """The same training top to bottom; returns the running average."""
    average = copy.deepcopy(model)
    adam = torch.optim.Adam(model.parameters(), lr=settings.rate, betas=settings.betas, fused=True)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
    for step in range(1, settings.steps + 1):
        if settings.shape is not None:
            adam.param_groups[0]["lr"] = settings.rate * settings.shape(step)
        adam.zero_grad()
        loss_of(model).backward()
        adam.step()
        if settings.shape is None:
            cosine.step()
        keep = min(settings.average, step / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 1 - keep)
    return average


@pytest.mark.parametrize("shape", [None, halving])
def test_the_weights_are_those_of_the_loop_written_out(shape):
    settings, plain = pace(shape=shape), network()
    loop = TrainingLoop(network(), settings, silent)
    for _ in loop:
        loop.learn(loss_of(loop.network), {})
    average = written_out(plain, settings)
    for ours, theirs in ((loop.network, plain), (loop.average, average)):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert not any(each.requires_grad for each in loop.average.parameters())
    assert not torch.equal(loop.network.weight, loop.average.weight)


def test_every_update_is_counted_and_reported_and_the_loop_may_be_left_early():
    heard = []
    loop = TrainingLoop(network(), pace(), lambda step, losses: heard.append((step, float(losses["square"]))))
    for step in loop:
        loss = loss_of(loop.network)
        loop.learn(loss, {"square": loss})
        if step == 12:
            break
    assert [step for step, _ in heard] == list(range(1, 13))
    assert heard[-1][1] < heard[0][1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_teaches_nothing(bad):
    loop = TrainingLoop(network(), pace(), silent)
    before = loop.network.weight.clone()
    next(iter(loop))
    with pytest.raises(TrainingError, match=r"not at update 1 of 30\. Train again with another seed"):
        loop.learn(loss_of(loop.network) * bad, {})
    assert torch.equal(loop.network.weight, before)


def test_an_unguarded_loop_leaves_losses_to_its_caller():
    loop = TrainingLoop(network(), pace(), silent, is_guarded=False)
    next(iter(loop))
    loop.learn(loss_of(loop.network) * float("nan"), {})
    assert loop.network.weight.isnan().all()


@pytest.mark.parametrize("shape", [None, halving])
def test_going_back_takes_earlier_weights_and_smaller_steps_and_no_memory_of_later_ones(shape):
    loop = TrainingLoop(network(), pace(shape=shape), silent)
    updates = iter(loop)
    for _ in islice(updates, 10):
        loop.learn(loss_of(loop.network), {})
    kept = loop.snapshot()
    for _ in islice(updates, 10):
        loop.learn(loss_of(loop.network), {})
    weights = kept.network["weight"].clone()
    assert not torch.equal(loop.network.weight, weights)  # training does not change what is kept
    loop.go_back(kept, slower=0.25)
    assert torch.equal(loop.network.weight, weights)
    assert torch.equal(loop.average.weight, kept.average["weight"])
    assert not loop.optimiser.state
    assert loop.optimiser.param_groups[0]["lr"] == 0.05 * 0.25 * (1.0 if shape is None else halving(21))
    next(updates)
    loop.learn(loss_of(loop.network), {})
    assert torch.equal(kept.network["weight"], weights)


def test_progress_weighs_means_by_their_updates_and_leaves_out_what_no_json_holds(monkeypatch):
    monkeypatch.setattr(progress, "REPORT_SECONDS", float("inf"))
    seen: list[TrainingStep] = []
    told = progress.Progress(10, seen.append)
    told.add(3, {"a": 1.0, "b": float("nan")}, updates=3)
    told.add(4, {"a": torch.tensor(5.0), "b": torch.tensor(1.0)})
    told.end()
    assert seen[-1].losses == {"a": 2.0}


def test_a_long_history_is_thinned_but_keeps_both_ends(monkeypatch):
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    told = progress.Progress(5_000, ignore)
    for step in range(1, 5_001):
        told.add(step, {"critic": torch.tensor(1.0)})
    assert len(told.history) <= progress.MAX_HISTORY
    assert (told.history[0].step, told.history[-1].step) == (0, 5_000)
