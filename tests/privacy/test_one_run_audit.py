"""One-run audits of the noisy steps: honest builds stay under their claim, broken ones are caught."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthrelease.core.contracts import PrivacyBudget
from synthrelease.privacy import accounting, noise, one_run_audit
from synthrelease.synthesis.generators.private.dp_sgd import (
    GradSampleModuleFastGradientClipping,
    PrivateTraining,
    Steps,
    dealt,
)

CANARIES = 5_000
CLAIM = PrivacyBudget(epsilon=3.0, delta=1e-5, unit="row")
STEPS = 3
TIED = 5
"""Made rows that a patient brings along in the build that ties them to the sample."""


def claimed_noise() -> float:
    """Of each step, everybody taking part in all of them."""
    return accounting.sampled_noise(CLAIM, [], sample_rate=1.0, steps=STEPS)


def audited(training_of: type[PrivateTraining] = PrivateTraining) -> one_run_audit.Bound:
    """Train a critic on canaries alone, each with a code of its own, and look for them in what every step released.

    The attacker sees everything but who took part: weights, noisy gradients, made rows.
    """
    was_in = noise.poisson_mask(CANARIES, 0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        critic = nn.Sequential(nn.Linear(CANARIES, 2), nn.LeakyReLU(0.2), nn.Linear(2, 1))
    with torch.no_grad():
        critic[2].weight.mul_(20)  # every pair's gradient is longer than the clip
    scores = np.zeros(CANARIES)

    def watcher(training: PrivateTraining, made: Tensor) -> None:
        """Add how far the released gradient points where a canary of that code pulls it."""
        entry, leave = training.critic[0], training.critic[2]
        slopes = torch.where(entry.weight + entry.bias[:, None] > 0, 1.0, 0.2)  # (hidden, canaries)
        pulls = -leave.weight[0][:, None] * slopes  # (hidden, canaries)
        scores[:] += ((entry.weight.grad * pulls).sum(0) / pulls.norm(dim=0)).detach().numpy()

    plan = Steps(STEPS, rate=1.0, batch=CANARIES / 2, noise=claimed_noise())
    training = training_of(critic, plan, torch.optim.SGD(critic.parameters(), lr=0.0), watcher)
    real = torch.eye(CANARIES)[torch.from_numpy(was_in)]
    for _ in range(STEPS):
        training.step(real, dealt(torch.zeros(1, CANARIES), len(real)))
    # Tied made rows of the same code pull five times where the real row pushes once.
    return one_run_audit.bound(-scores if training_of is TiedTraining else scores, was_in, delta=CLAIM.delta)


class TiedTraining(PrivateTraining):
    """Broken: made rows are drawn for the patients of the sample, with their labels, and every row is clipped apart."""

    def clipped_sum(self, real: Tensor, made: Tensor) -> None:
        everything = torch.cat([real, *[real] * TIED])
        scores = self.wrapped(everything).squeeze(1)
        losses = functional.softplus(torch.cat([-scores[: len(real)], scores[len(real) :]]))
        self._backwards(losses)


def test_the_honest_build_stays_under_its_claim_and_gives_something_away():
    found = audited()
    assert found.canaries == CANARIES
    assert 0.3 < found.epsilon < CLAIM.epsilon  # an audit that saw nothing would prove nothing


def test_noise_that_is_too_small_is_caught(monkeypatch):
    honest = noise.gaussian
    monkeypatch.setattr(noise, "gaussian", lambda shape: honest(shape) / 4)
    assert audited().epsilon > CLAIM.epsilon


def test_a_missing_clip_is_caught(monkeypatch):
    free = GradSampleModuleFastGradientClipping
    monkeypatch.setattr(free, "get_clipping_coef", lambda self: torch.ones_like(self.get_norm_sample()))
    assert audited().epsilon > CLAIM.epsilon


def test_made_rows_tied_to_the_sample_are_caught():
    assert audited(TiedTraining).epsilon > CLAIM.epsilon


def slow_p_value(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Theorem 5.2, written out."""
    share = math.exp(epsilon) / (1 + math.exp(epsilon))
    mass = [math.comb(guesses, k) * share**k * (1 - share) ** (guesses - k) for k in range(guesses + 1)]
    slopes = [sum(mass[right - i : right]) / i for i in range(1, right + 1)]
    return min(1.0, sum(mass[right:]) + 2 * canaries * delta * max(slopes, default=0.0))


@pytest.mark.parametrize(
    ("right", "guesses", "epsilon", "delta"), [(18, 20, 1.0, 1e-4), (50, 80, 0.3, 0.0), (0, 5, 1.0, 0.1)]
)
def test_the_p_value_is_the_theorem_s(right, guesses, epsilon, delta):
    expected = slow_p_value(right, guesses, 100, epsilon, delta)
    assert one_run_audit.p_value(right, guesses, canaries=100, epsilon=epsilon, delta=delta) == pytest.approx(expected)


def test_randomised_response_is_hardly_ever_accused_and_nearly_found():
    """The mechanism that is exactly as bad as epsilon allows: the bound must lie below it, and close."""
    rng = np.random.default_rng(0)
    bounds = []
    for _ in range(400):
        was_in = rng.random(2_000) < 0.5
        lies = rng.random(2_000) < 1 / (1 + math.e)
        scores = (was_in ^ lies) + 1e-6 * rng.random(2_000)
        bounds.append(one_run_audit.bound(scores, was_in, delta=0.0).epsilon)
        assert one_run_audit.refutes(scores, was_in, epsilon=1.0, delta=0.0) == (bounds[-1] > 1.0)
    assert np.mean(np.array(bounds) > 1.0) <= 0.07  # 0.05 in truth, at most
    assert np.median(bounds) > 0.75


def test_noise_gives_nothing_and_nonsense_is_refused():
    rng = np.random.default_rng(1)
    was_in = rng.random(500) < 0.5
    assert one_run_audit.bound(rng.standard_normal(500), was_in, delta=1e-5).epsilon < 0.5
    assert one_run_audit.bound(was_in.astype(float), was_in, delta=0.0).epsilon > 3
    for scores in (np.zeros(3), np.full(500, np.nan)):
        with pytest.raises(ValueError, match="needs a score"):
            one_run_audit.bound(scores, was_in, delta=1e-5)


def test_the_ceiling_is_what_perfect_guesses_reach_and_grows_with_canaries():
    few, many = (one_run_audit.ceiling(count, delta=1e-5) for count in (100, 2_000))
    assert few < many
    was_in = np.arange(100) % 2 == 0
    assert one_run_audit.bound(was_in.astype(float), was_in, delta=1e-5).epsilon == pytest.approx(few)
