"""The training loop of the default generator: a row writer against a critic, held to the likelihood of training rows.

Every update has two teachers. The likelihood of real rows (each column given the real columns before it) teaches what
rows look like; by itself it never sees what the writer makes of its own rows. From ``adversarial_start`` on a critic
compares pairs of a real row and a row written freely (relativistic pairing with zero-centred gradient penalties on
both sides: Huang et al. 2024, "The GAN is dead; long live the GAN!", arXiv:2501.05441), and its gradient reaches
every column's draw. It takes part in every so many updates of the second half alone: what likelihood has taught by then
leaves it little to see (its loss stays near ln 2), and an update of it costs as much as four to ten of likelihood. A
normal prior on the weights, worth ``weight_decay`` rows, keeps single rows from being learned by heart.

The loop looks at itself some 25 times (``divergence_monitor``): when losses, gradients, spread, coverage or columns go
wrong, it goes back to the last good state with smaller learning rates, and gives up the second time. Rows set apart
from the training rows (``inner``) say when more updates only teach the training rows by heart; the best state is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from synthrelease.core.contracts import FloatArray
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis.generators import divergence_monitor
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.config import Config
from synthrelease.synthesis.generators.autoregressive_gan.critic import Critic
from synthrelease.synthesis.generators.autoregressive_gan.early_stopping import InnerWatch
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter, Weights, Width
from synthrelease.synthesis.generators.autoregressive_gan.sampling import Manner, choices, draw
from synthrelease.synthesis.generators.training_loop import Pace, Report, Snapshot, TrainingLoop, weights_of

LOOKS = 25
LOOK_ROWS = 1_000
WARM_UP = 20
"""Updates over which the learning rate rises to its height."""
IDLE = 1e-9
"""A critic whose gradient is shorter than this at every look has stopped working."""
LIMITS = divergence_monitor.Limits(loss=3.0)
"""Losses are counted in what they are before the first update, so 3 is far beyond never having learned anything."""
SLOWER = 0.25
BETAS = (0.9, 0.99)
CRITIC_BETAS = (0.5, 0.99)


class UnstableError(TrainingError):
    """Training went wrong, and going back with smaller learning rates did not mend it."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained writer (the running average of its weights), and how training went.

    ``stopped_at``: the update whose state was kept. ``mended``: why the loop once went back to an earlier state, or "".
    """

    writer: RowWriter
    stopped_at: int
    mended: str
    signs: tuple[divergence_monitor.Sign, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows as cells, ``codes`` (rows, columns), int64, on the training device.

    ``inner``: further ones, (rows, columns), that are not learned from and say when to stop. ``weights``: how much each
    of ``codes`` counts, (rows,), 1 on average; None: 1 each.
    """

    codes: Tensor
    inner: Tensor | None = None
    weights: Tensor | None = None

    def mean(self, losses: Tensor, chosen: Tensor | slice) -> Tensor:
        """Return the mean of the losses of the chosen rows, (chosen,)."""
        return losses.mean() if self.weights is None else (self.weights[chosen] * losses).mean()

    def drawn(self, count: int, rng: torch.Generator) -> Tensor:
        """Return the places of rows drawn with replacement, (count,), by how much they count."""
        if self.weights is not None:
            return torch.multinomial(self.weights, count, replacement=True, generator=rng)
        return torch.randint(len(self.codes), (count,), generator=rng, device=self.codes.device)


@dataclass(frozen=True, slots=True)
class Kept:
    """Weights to go back to."""

    writer: Snapshot
    critic: Mapping[str, Tensor]


class Contest:
    """What training changes: the writer with its loop, and the critic with its optimiser."""

    def __init__(self, loop: TrainingLoop[RowWriter], critic: Critic) -> None:
        self.loop, self.critic = loop, critic
        self.judge = _optimiser_of(critic)

    def kept(self) -> Kept:
        """Return a copy of all weights, which training does not change."""
        return Kept(self.loop.snapshot(), weights_of(self.critic))

    def go_back(self, to: Kept) -> None:
        """Go back to earlier weights and on with smaller learning rates."""
        self.loop.go_back(to.writer, slower=SLOWER)
        self.critic.load_state_dict(to.critic)
        self.judge = _optimiser_of(self.critic)


def train(  # the loop is written out, top to bottom
    cells: Cells, rows: Rows, *, config: Config, seed: int, report: Report
) -> Trained:
    """Train a row writer on rows of cells.

    Args:
        cells: what the cells are.
        rows: what is learned from, and what says when to stop.
        config: the settings.
        seed: of weights and batches.
        report: hears losses; likelihoods are in nats a row.

    Raises:
        UnstableError: losses or rows went wrong twice.
    """
    codes, inner = rows.codes, rows.inner
    device, count = codes.device, len(codes)
    rng = torch.Generator(device=device).manual_seed(seed)
    state = _begun(cells, config, report, seed=seed, device=device)
    writer, average, critic = state.loop.network, state.loop.average, state.critic
    good, mended = state.kept(), ""
    watch = InnerWatch(inner) if inner is not None and len(inner) else None
    contest: dict[str, Tensor] = {}  # the losses of its last update, which need not be one that is looked at
    first, signs, ranks = math.nan, [], _ranks(cells, codes[:LOOK_ROWS].cpu().numpy())
    every = max(1, config.steps // LOOKS)

    for step in state.loop:
        _set_rate(state.judge, config.discriminator_lr * state.loop.slowness * max(_slope(step, config.steps), 0.1))
        weights = writer.weights()

        # The likelihood of a batch of training rows, and the prior on the weights.
        chosen = torch.randint(count, (config.batch_size,), generator=rng, device=device)
        batch = chosen if count > config.batch_size else slice(None)
        likelihood = rows.mean(writer.surprise(codes[batch], weights).sum(1), batch)
        prior = sum((each.square().sum() for each in writer.parameters() if each.ndim > 1), torch.zeros(()))
        loss = likelihood + config.weight_decay / (2 * count) * prior
        losses = {"likelihood": likelihood}

        # The critic: each real row should score above its made partner. Then the writer, the other way round.
        is_contest = config.adversarial_weight > 0 and step > config.adversarial_start * config.steps
        if is_contest and step % config.adversarial_every == 0:
            pairs = min(config.adversarial_batch, count)
            made = writer.relaxed(pairs, weights, tau=config.gumbel_temperature, rng=rng)  # (pairs, features)
            real = writer.features(codes[rows.drawn(pairs, rng)], weights).detach()  # (pairs, features)
            judged = _judged(critic, state.judge, real, made.detach(), config.gradient_penalty)
            fooling = _fooled(critic, real, made, config.feature_matching)
            contest = {"critic": judged, "writer": fooling.detach()}
            loss, losses = loss + config.adversarial_weight * fooling, losses | contest

        state.loop.learn(loss, losses)

        first = float(likelihood.detach()) if step == 1 else first
        if step % every and step != config.steps:
            continue
        signs.append(_look(state, cells, ranks, step=step, losses=losses | contest, first=first, seed=seed))
        found = _diagnosis(signs, config)
        if found.state != "healthy":
            if mended:
                raise UnstableError(f"Training {found.state} at update {found.since}: {found.why}.")
            mended = f"{found.state} at update {found.since}: {found.why}"
            state.go_back(good)
            signs = []
            continue
        if divergence_monitor.badness(signs[-1], LIMITS)[0] == "healthy":
            good = state.kept()
        if watch is not None and watch.is_over(average, step=step):
            break
    if watch is None or watch.kept is None:
        return Trained(average.eval(), config.steps, mended, tuple(signs))
    return Trained(watch.kept.eval(), watch.step, mended, tuple(signs))


def _begun(cells: Cells, config: Config, report: Report, *, seed: int, device: torch.device) -> Contest:
    writer = RowWriter(cells, Width(config.hidden, config.layers), rng=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng(devices=[]):  # weights start from the seed, and nobody else's randomness moves
        torch.default_generator.manual_seed(seed)
        critic = Critic(
            writer.feature_starts[-1],
            config.discriminator_hidden,
            dropout=config.discriminator_dropout,
            kernels=config.minibatch_discrimination,
        )
    pace = Pace(config.steps, config.generator_lr, BETAS, config.ema, shape=lambda step: _slope(step, config.steps))
    # Not guarded: a loss that is not finite is a sign like others, and looks may send training back.
    return Contest(TrainingLoop(writer.to(device), pace, report, is_guarded=False), critic.to(device))


def _slope(step: int, steps: int) -> float:
    """The share of the learning rate at an update: up to its height and down along half a cosine."""
    return min(1.0, step / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * (step - 1) / steps))


def _optimiser_of(critic: Critic) -> Adam:
    return Adam(critic.parameters(), betas=CRITIC_BETAS, fused=True)


def _set_rate(optimiser: Adam, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _judged(critic: Critic, judge: Adam, real: Tensor, made: Tensor, penalty: float) -> Tensor:
    """Update the critic on pairs of rows, (pairs, features) each, and return its loss."""
    real, made = real.requires_grad_(), made.requires_grad_()
    real_score, made_score = critic(real), critic(made)  # (pairs,), (pairs,)
    loss = functional.softplus(made_score - real_score).mean()
    slopes = torch.autograd.grad(real_score.sum() + made_score.sum(), (real, made), create_graph=True)
    steepness = sum((slope.square().sum(1).mean() for slope in slopes), loss.new_zeros(()))
    judge.zero_grad(set_to_none=True)
    torch.autograd.backward(loss + penalty / 2 * steepness)
    judge.step()
    return loss.detach()


def _fooled(critic: Critic, real: Tensor, made: Tensor, matching: float) -> Tensor:
    """Return the writer's adversarial loss on the same pairs, with a gradient to ``made`` only."""
    critic.requires_grad_(requires_grad=False)
    loss = functional.softplus(critic(real.detach()).detach() - critic(made)).mean()
    if matching:
        gap = critic.features(made).mean(0) - critic.features(real.detach()).mean(0)  # (hidden,)
        loss = loss + matching * gap.square().sum()
    critic.requires_grad_(requires_grad=True)
    return loss


def _ranks(cells: Cells, codes: np.ndarray) -> FloatArray:
    """Return rows of cells as ranks in [0, 1], (rows, columns)."""
    return np.stack([column.ranks[codes[:, at]] for at, column in enumerate(cells.columns)], axis=1)


def _look(
    state: Contest, cells: Cells, ranks: FloatArray, *, step: int, losses: Mapping[str, Tensor], first: float, seed: int
) -> divergence_monitor.Sign:
    """Write rows and compare them with training rows; the likelihood is counted in what it first was."""
    average = state.loop.average
    weights: Weights = average.weights()
    try:
        ready = choices(average, weights, cells, Manner())
        made, _ = draw(average, weights, ready, len(ranks), spread="even", rng=np.random.default_rng([seed, step]))
        rows = _ranks(cells, made)
    except TrainingError:
        rows = np.full_like(ranks, np.nan)
    norms = {"writer": _gradient(state.loop.network)} | (
        {"critic": _gradient(state.critic)} if "critic" in losses else {}
    )
    counted = {"likelihood": float(losses["likelihood"].detach()) / max(abs(first), 1e-9)}
    counted |= {name: float(loss.detach()) for name, loss in losses.items() if name != "likelihood"}
    return divergence_monitor.look(ranks, rows, step=step, losses=counted, gradients=norms, seed=seed)


def _gradient(module: nn.Module) -> float:
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return float(torch.stack([each.norm() for each in gradients]).norm()) if gradients else 0.0


def _diagnosis(signs: list[divergence_monitor.Sign], config: Config) -> divergence_monitor.Diagnosis:
    """Return what the signs say; a critic without a gradient has stopped working, which they do not know of."""
    idle = [sign for sign in signs if sign.gradients.get("critic", math.inf) < IDLE]
    if len(idle) >= LIMITS.patience and idle == [sign for sign in signs if "critic" in sign.gradients]:
        return divergence_monitor.Diagnosis(
            "diverged", since=idle[0].step, why="the critic has no gradient and teaches nothing"
        )
    return divergence_monitor.diagnose(signs, config.steps, LIMITS)
