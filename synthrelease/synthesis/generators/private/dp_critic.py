"""A generator network trained against a critic that learns of real rows by noisy steps alone (``dp_sgd``).

Only the critic meets real rows. The generator learns from the critic, which is private already, and from tables that
were released before; nothing it does costs any privacy. Noise slows the critic down, so it takes many steps for each of
the generator's (Bie, Kamath & Zhang 2023, arXiv:2302.02936).

The critic compares a real with a made row (relativistic pairing: Jolicoeur-Martineau 2019, arXiv:1807.00734). The
generator's own loss must not: it would look at real rows again. It is the critic's mean score of made rows.

No loss of the critic is shown or kept: it would tell of real rows without noise.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthrelease.core.contracts import IntArray
from synthrelease.synthesis.generators.private.dp_sgd import PrivateTraining, Steps, Units, Watcher, dealt
from synthrelease.synthesis.generators.private.mixture_network import FLOOR, Mixture, Wanted
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.training_loop import Pace, TrainingLoop


@dataclass(frozen=True, slots=True)
class Duel:
    """How generator and critic are trained against each other.

    ``critic_steps``: of the critic for each of the generator. ``hidden``: the critic's width. ``pool``: made rows that
    pairs are dealt from. ``tables``: weight of the distance to released tables beside the critic's score, ``columns``:
    the same for the shares of single columns. ``seed``: of weights and made rows; no noise comes from it.
    """

    critic_steps: int = 5
    hidden: int = 64
    pool: int = 4_096
    batch: int = 512
    critic_rate: float = 5e-3
    rate: float = 2e-3
    average: float = 0.95
    temperature: float = 0.7
    tables: float = 1.0
    columns: float = 10.0
    seed: int = 0


def critic_of(width: int, hidden: int, *, seed: int) -> nn.Sequential:
    """A small critic: noise grows with the number of its weights. Its start comes from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))


def one_hot(codes: IntArray, starts: IntArray) -> Tensor:
    """Spell rows of codes, (rows, columns), out as (rows, codes)."""
    places = torch.from_numpy(codes + starts[:-1])
    return torch.zeros(len(codes), int(starts[-1])).scatter_(1, places, 1.0)


def drawn(made: Tensor, owner: Tensor, *, temperature: float, rng: torch.Generator) -> Tensor:
    """Draw a label a column of probabilities, (batch, codes): one-hot forwards, a softmax backwards (Gumbel)."""
    gumbel = -torch.empty_like(made).exponential_(generator=rng).clamp_min(1e-20).log()  # (batch, codes)
    scores = (made.clamp_min(1e-20).log() + gumbel) / temperature  # (batch, codes)
    sizes = torch.bincount(owner).tolist()
    parts = torch.split(scores, sizes, dim=1)
    soft = torch.cat([part.softmax(1) for part in parts], dim=1)  # (batch, codes)
    hard = torch.cat([nn.functional.one_hot(part.argmax(1), part.shape[1]) for part in parts], dim=1)  # (batch, codes)
    return hard + soft - soft.detach()


def train(
    network: Mixture,
    units: Units,
    wanted: Wanted,
    plan: Steps,
    duel: Duel,
    *,
    progress: Progress,
    watcher: Watcher | None = None,
) -> Mixture:
    """Return the running average of ``network`` trained on, in ``plan.steps`` steps of a critic of real rows.

    ``watcher`` is told of every step, before and after, by an audit that plants rows of its own.

    Raises:
        TrainingError: a loss stopped being finite.
    """
    rng = torch.Generator().manual_seed(duel.seed)
    network = copy.deepcopy(network).requires_grad_(True)
    owner, width = network.blocks.owner, int(wanted.starts[-1])
    tables, weights = (torch.from_numpy(array).float() for array in (wanted.tables, wanted.weights))  # (codes, codes)
    shares = torch.from_numpy(wanted.shares).float()  # (codes,)
    critic = critic_of(width, duel.hidden, seed=duel.seed)
    judge = copy.deepcopy(critic).requires_grad_(False)
    for mine, theirs in zip(judge.parameters(), critic.parameters(), strict=True):
        mine.data = theirs.data  # the same weights, without Opacus's hooks
    learn = torch.optim.Adam(critic.parameters(), lr=duel.critic_rate, betas=(0.5, 0.99))
    private = PrivateTraining(critic, plan, learn, watcher)
    pace = Pace(-(-plan.steps // duel.critic_steps), duel.rate, (0.5, 0.99), duel.average)
    # Progress counts the critic's steps, of which each of the generator's has several.
    loop = TrainingLoop(network, pace, lambda _, losses: progress.add(private.taken, losses))

    for _ in loop:
        with torch.no_grad():
            pool = network(torch.randn(duel.pool, network.noise, generator=rng))  # (pool, codes)
            pool = drawn(pool, owner, temperature=1.0, rng=rng)  # (pool, codes)
        for _step in range(min(duel.critic_steps, plan.steps - private.taken)):
            real = one_hot(units.sampled(plan.rate), wanted.starts)  # (sample, codes)
            private.step(real, dealt(pool, len(real)))

        made = network(torch.randn(duel.batch, network.noise, generator=rng))  # (batch, codes)
        score = judge(drawn(made, owner, temperature=duel.temperature, rng=rng)).mean()
        apart = ((made.T @ made / duel.batch - tables).square() * weights).sum()
        beside = ((made.mean(0) - shares).square() / shares.clamp_min(FLOOR)).sum()
        loss = duel.tables * apart + duel.columns * beside - score
        loop.learn(loss, {"tables": apart, "columns": beside})
    return loop.average.eval()
