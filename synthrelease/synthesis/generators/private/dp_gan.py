"""The DP-GAN: a critic that sees real rows through DP-SGD (``dp_sgd``), and a generator that sees the critic.

``dp-gan`` starts from noisy histograms of single columns, which also give it its codes, and learns from the critic
what columns have in common. ``marginals+dp-gan`` starts from the marginal generator (``generator``) and lets a critic
refine it with a share of the same budget, where a public rule says that the noise leaves something to be learned. What
it made of that is kept only if its distance to the noisy tables, which are released already, did not grow.

Everything that decides how training goes is a function of the number of units (public or noisy), the budget and the
schema; the tables and the critic are all that ever looks at rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from synthrelease.core.contracts import (
    FitSettings,
    Generator,
    ModelledSchema,
    OnStep,
    PrivacyBudget,
    PrivacySpend,
    Table,
)
from synthrelease.core.errors import InputError
from synthrelease.privacy import accounting
from synthrelease.synthesis.generators import saved_model
from synthrelease.synthesis.generators.argument_checks import check_no_overrides, check_training
from synthrelease.synthesis.generators.private import dp_critic, mixture_network
from synthrelease.synthesis.generators.private import generator as private
from synthrelease.synthesis.generators.private.dp_critic import Duel
from synthrelease.synthesis.generators.private.dp_sgd import Steps, Units
from synthrelease.synthesis.generators.private.generator import Coded, FittedPrivate
from synthrelease.synthesis.generators.private.mixture_network import Mixture, Wanted
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.threads import one_thread

REFINING = "marginals+dp-gan"
MARGINALS_SHARE = 0.7
"""Of the budget, in a refined build: what tables know is worth more than what a critic can add."""
CLEAR_ENOUGH = 0.5
"""A critic refines where a step's noise is expected to be no longer than this share of one clipped gradient."""
MOST_STEPS, FEWEST_STEPS = 400, 100
"""Of a critic. More of them are not better: each needs more noise."""
LARGEST_BATCH = 2_048
LARGEST_RATE = 0.25
GENTLE, HELD = 3e-4, 10.0
"""The generator's learning rate while it is refined, and how strongly the noisy tables hold it."""
COMPARED = 20_000
"""Made rows by which the networks before and after are held against the noisy tables."""


@dataclass(frozen=True, slots=True)
class Part:
    """A critic's part of a build, by a public rule: how many steps, its width, and how loud its noise will be.

    ``loudness``: the expected length of a step's noise over that of one clipped gradient, after dividing by the batch.
    """

    steps: int
    hidden: int
    batch: float
    loudness: float


def part_for(units: float, budget: PrivacyBudget, *, columns: int, codes: int, share: float) -> Part:
    """Choose a critic's part: ``share`` of the budget is left for it, ``codes`` a column are to be expected.

    Noise of so many steps on so many units has about the length sqrt(steps * weights) / (units * mu) for a budget of mu
    (mu-Gaussian differential privacy), whatever the batch; so steps and width follow from what is bearable.
    """
    mu = math.sqrt(share) / accounting.gaussian_noise(budget)
    reach = units * mu
    hidden = int(np.clip(2 ** round(math.log2(max(reach, 1.0) / 100)), 16, 64))
    weights = columns * codes * hidden
    steps = int(np.clip(reach**2 / weights, FEWEST_STEPS, MOST_STEPS))
    batch = min(float(LARGEST_BATCH), LARGEST_RATE * units)
    return Part(steps, hidden, max(batch, 1.0), math.sqrt(steps * weights) / reach)


def helps(units: float, budget: PrivacyBudget, *, columns: int) -> bool:
    """Whether a critic may refine a marginal generator: a public rule, see ``CLEAR_ENOUGH``."""
    codes = private.plan_for(units, budget.epsilon, has_target=True).codes
    found = part_for(units, budget, columns=columns, codes=codes, share=1.0 - MARGINALS_SHARE)
    return found.loudness <= CLEAR_ENOUGH


def fit_preset(train: Table[ModelledSchema], settings: FitSettings, on_step: OnStep, *, name: str) -> FittedPrivate:
    """Train a DP-GAN on the rows of one table.

    Raises:
        InputError: there is no budget, the table has no columns, or the effort is not positive.
        TrainingError: a loss stopped being finite.
    """
    budget = settings.privacy
    if budget is None:
        raise InputError(
            f"The generator {name!r} learns by noisy steps, however no budget for them is given. Add --epsilon."
        )
    check_training(train, settings)
    check_no_overrides(name, settings)
    make = _refined if name == REFINING else _alone
    with one_thread():
        return make(train, settings, budget, Progress(1, on_step))


def _alone(
    train: Table[ModelledSchema], settings: FitSettings, budget: PrivacyBudget, progress: Progress
) -> FittedPrivate:
    """Histograms, then a critic with all that is left."""
    seen = private.coded(train, budget, witness=settings.witness)
    spends = tuple(noise.spend(budget) for noise in seen.noises)
    shares = seen.first_shares[0]
    # No pair of columns was counted: only what single columns hold is known beside the critic.
    nothing = np.zeros((len(shares), len(shares)))
    wanted = Wanted(nothing, nothing, shares, seen.starts)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        network = Mixture(64, 256, seen.starts)
    network.start_at(shares)
    stage = _stage(seen, budget, spends, share=1.0 - seen.plan.histograms)
    progress.steps = stage.plan.steps
    network = _dueled(network, seen, wanted, stage, settings, progress)
    progress.end()
    facts = _facts("dp-gan", seen, stage)
    spent = (*spends, stage.plan.spend(budget.unit))
    return FittedPrivate(seen.columns, network, None, spent, tuple(progress.history), facts)


def _refined(
    train: Table[ModelledSchema], settings: FitSettings, budget: PrivacyBudget, progress: Progress
) -> FittedPrivate:
    """The marginal generator, and where it can help a critic."""
    pays: list[bool] = []

    def share(units: float, columns: int) -> float:
        pays.append(helps(units, budget, columns=columns))
        return MARGINALS_SHARE if pays[0] else 1.0

    seen = private.coded(train, budget, share=share, witness=settings.witness)
    found = private.tables_of(seen, budget, settings.witness)
    recipe = mixture_network.Recipe(steps=max(1, round(settings.effort * found.steps)))
    stage = _stage(seen, budget, found.spends, share=1.0 - MARGINALS_SHARE) if pays[0] else None
    progress.steps = recipe.steps + (stage.plan.steps if stage else 0)
    network = mixture_network.train(found.wanted, recipe, seed=settings.seed, progress=progress)
    facts = _facts(REFINING, seen, stage) | {"refined": "no"}
    spends, notice = found.spends, _NOT_WORTH
    if stage is not None:
        progress.part(recipe.steps, stage.plan.steps)
        gently = replace(stage, duel=replace(stage.duel, rate=GENTLE, tables=HELD))
        after = _dueled(network, seen, found.wanted, gently, settings, progress)
        spends = (*spends, stage.plan.spend(budget.unit))
        kept = distance(after, found.wanted, settings.seed) <= distance(network, found.wanted, settings.seed)
        network, notice = (after, _REFINED) if kept else (network, _NOT_BETTER)
        facts["refined"] = "yes" if kept else "no"
    labels = private.labels_of(found, network, settings)
    if found.target is not None:
        facts["target_temperature"] = private.temperature_of(found, settings)
    progress.end()
    history = tuple(progress.history)
    return FittedPrivate(found.columns, network, labels, spends, history, facts, (notice,), found.signals)


_NOT_WORTH = "A critic was not trained: at this budget its noise would drown what it could learn; all went into tables."
_REFINED = "A critic refined the rows: their distance to the noisy tables did not grow."
_NOT_BETTER = "A critic was trained and its work not kept: it moved the rows away from the noisy tables."


@torch.no_grad()
def distance(network: Mixture, wanted: Wanted, seed: int) -> float:
    """How far the tables of made rows lie from wanted ones, weighed as in training; a function of private numbers."""
    made = network(torch.randn(COMPARED, network.noise, generator=torch.Generator().manual_seed(seed)))
    apart = (made.T @ made / COMPARED).double().numpy() - wanted.tables
    return float((apart**2 * wanted.weights).sum())


@dataclass(frozen=True, slots=True)
class Stage:
    """How a critic is trained: its noisy steps, and the duel around them."""

    plan: Steps
    duel: Duel


def _stage(seen: Coded, budget: PrivacyBudget, before: tuple[PrivacySpend, ...], *, share: float) -> Stage:
    """Plan the critic's part with what ``before`` leaves of the budget."""
    part = part_for(seen.units, budget, columns=len(seen.columns), codes=seen.plan.codes, share=share)
    rate = part.batch / seen.units
    noise = accounting.sampled_noise(budget, before, sample_rate=rate, steps=part.steps)
    return Stage(Steps(part.steps, rate, part.batch, noise), Duel(hidden=part.hidden))


def _dueled(
    network: Mixture,
    seen: Coded,
    wanted: Wanted,
    stage: Stage,
    settings: FitSettings,
    progress: Progress,
) -> Mixture:
    units = Units.of(seen.codes, seen.rows.owners)
    duel = replace(stage.duel, seed=settings.seed)
    watcher = None if settings.witness is None else settings.witness.stepped
    return dp_critic.train(network, units, wanted, stage.plan, duel, progress=progress, watcher=watcher)


def _facts(name: str, seen: Coded, stage: Stage | None) -> dict[str, object]:
    """Settings as plain JSON values; none of them tells of rows beyond what the ledger has."""
    facts: dict[str, object] = {"generator": name, "units": round(seen.units), "codes_a_column": seen.plan.codes}
    if stage is not None:
        facts |= {f"critic_{key}": value for key, value in asdict(stage.plan).items()}
        facts |= {key: value for key, value in asdict(stage.duel).items() if key != "seed"}
    return facts


def load(folder: Path) -> FittedPrivate:
    """Read what a trained DP-GAN was saved as; InputError if the folder holds none."""
    return saved_model.load(folder, {private.FORMAT: private.built})


def _preset(name: str) -> Callable[..., FittedPrivate]:
    return partial(fit_preset, name=name)


PRESETS: Mapping[str, Generator] = {name: _preset(name) for name in ("dp-gan", REFINING)}
"""The presets by name; what the registry of generators looks up."""

__all__ = ["PRESETS", "fit_preset", "helps", "load", "part_for"]
