"""The marginal-only generator: rows made at once from noise, so that their tables of pairs are the training rows'.

There is no critic: the loss is the distance of all two-way tables, and of three-way tables with the condition, to those
of the training rows (``marginal_loss``). It is quick and hard to upset, so it also takes over where a GAN stays
unstable. It knows nothing beyond pairs (and what they imply together with the condition), and is coarser within
columns.

What is promised about privacy: nothing by itself; the audit decides. With a privacy budget another module takes over,
which learns the tables with noise (``private``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from synthrelease.core.contracts import FitSettings, ModelledSchema, OnStep, PrivacySpend, Table, TrainingStep
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators import saved_model
from synthrelease.synthesis.generators.argument_checks import (
    check_made,
    check_no_overrides,
    check_training,
    chunk_sizes,
)
from synthrelease.synthesis.generators.autoregressive_gan.critic import Blocks, Sizes, Synthesiser
from synthrelease.synthesis.generators.marginals import marginal_loss
from synthrelease.synthesis.generators.marginals.features import Layout, Rows
from synthrelease.synthesis.generators.private import generator as private
from synthrelease.synthesis.generators.private.generator import FittedPrivate
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.saved_model import SavedModel, history_facts
from synthrelease.synthesis.generators.threads import one_thread
from synthrelease.synthesis.generators.training_loop import Pace, TrainingLoop

FORMAT = "synthrelease-marginals-1"
MANY_PARTS = 1_024
"""Tables with more parts than this get smaller batches, so that an update's cost stays in bounds."""
WIDE_PARTS = 4_096
"""Below so many parts a second thread costs more than it brings."""
SAMPLED_CELLS = 1 << 24
"""Logits held at once while rows are sampled: 64 MB, however wide the table is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how training goes, besides the table and the seed; ``knots`` are hats a number column."""

    steps: int
    batch: int
    noise: int
    hidden: int
    rate: float
    average: float
    knots: int


def recipe_for(rows: int, parts: int, effort: float) -> Recipe:
    """Choose a recipe by the number of training rows and parts; ``effort`` multiplies the number of updates."""
    return Recipe(
        steps=max(1, round(effort * float(np.clip(60 + 12 * rows**0.5, 120, 2_400)))),
        batch=int(np.clip(500 * MANY_PARTS / max(parts, 1), 128, 500)),
        noise=64,
        hidden=128 if rows < 1_500 else 256,
        rate=1e-3,
        average=0.998,
        knots=int(np.clip(round(0.7 * rows ** (1 / 3)), 3, 16)),
    )


@dataclass(frozen=True, slots=True)
class RealRows:
    """Training rows on the training device; lives only as long as ``fit`` runs."""

    parts: Tensor
    levels: Tensor
    cells: Tensor
    groups: Tensor
    width: int
    group_count: int

    @classmethod
    def of(cls, rows: Rows, *, width: int, group_count: int, device: torch.device) -> RealRows:
        """Move rows to a device."""
        parts, levels, cells, groups = (
            torch.from_numpy(array).to(device) for array in (rows.parts, rows.levels, rows.cells, rows.groups)
        )
        return cls(parts, levels, cells, groups, width, group_count)

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, chosen: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return parts (batch, parts), levels (batch, numbers) and condition (batch, groups) of the chosen rows.

        Levels are spread evenly over the stretch that decodes to the same value, so that ties do not give away a row.
        """
        parts = torch.zeros(len(chosen), self.width, device=self.parts.device)
        parts = parts.scatter_(1, self.parts[chosen], 1.0)  # (batch, parts)
        levels = self.levels[chosen]  # (batch, numbers)
        spread = torch.rand(levels.shape, generator=rng, device=levels.device) - 0.5
        levels = levels + spread * self.cells[chosen]  # (batch, numbers)
        return parts, levels, functional.one_hot(self.groups[chosen], self.group_count).float()

    def draw(self, batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``batch`` rows drawn with replacement, as ``take`` does."""
        chosen = torch.randint(len(self), (batch,), generator=rng, device=self.groups.device)
        return self.take(chosen, rng)


@dataclass(frozen=True)
class FittedMarginals:
    """A trained synthesiser: weights, the encoder and the layout; no rows."""

    encoder: Encoder
    layout: Layout
    recipe: Recipe
    network: Synthesiser
    history: tuple[TrainingStep, ...] = ()
    rows: int = 0
    notices: tuple[str, ...] = ()
    spends: tuple[PrivacySpend, ...] = field(default=())

    @property
    def description(self) -> Mapping[str, Any]:
        """Settings and sizes as plain JSON values."""
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        sizes = {"columns": len(self.encoder.codings), "parts": self.layout.parts, "weights": weights}
        device = str(next(self.network.parameters()).device)
        facts = {"generator": "marginals", "device": device, "training_rows": self.rows}
        return {**facts, **sizes, **asdict(self.recipe)}

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows.

        The condition is drawn with its training shares. The same seed and chunk size give the same rows on one machine.

        Raises:
            InputError: ``rows`` or ``chunk_rows`` is not positive.
            TrainingError: the network's output is not finite.
        """
        sizes = chunk_sizes(rows, chunk_rows)
        device = next(self.network.parameters()).device
        rng = torch.Generator(device=device).manual_seed(seed)
        for size in sizes:
            with one_thread(when=self.layout.parts < WIDE_PARTS):
                chunk = self._chunk(size, rng)
            yield chunk

    @torch.no_grad()
    def _chunk(self, rows: int, rng: torch.Generator) -> pd.DataFrame:
        device = rng.device
        shares = torch.tensor(self.layout.group_shares, device=device)  # (groups,)
        groups = torch.multinomial(shares, rows, replacement=True, generator=rng)  # (rows,)
        noise = torch.randn(rows, self.network.sizes.noise, generator=rng, device=device)  # (rows, noise)
        condition = functional.one_hot(groups, len(shares)).float()  # (rows, groups)
        step = max(1, SAMPLED_CELLS // max(self.layout.parts, 1))
        pieces = [
            self._drawn(*each, rng) for each in zip(torch.split(noise, step), torch.split(condition, step), strict=True)
        ]
        chosen, levels = (torch.cat(each) for each in zip(*pieces, strict=True))  # (rows, blocks), (rows, numbers)
        encoded = self.layout.encoded(self.encoder, chosen.cpu().numpy(), levels.cpu().numpy(), groups.cpu().numpy())
        return self.encoder.decode(encoded, sampling=True)

    def _drawn(self, noise: Tensor, condition: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the part drawn in each block, (rows, blocks), and levels (rows, numbers) of a few rows."""
        logits, levels = self.network(noise, condition)  # (rows, parts), (rows, numbers)
        check_made(logits, levels)
        allowed = torch.from_numpy(self.layout.emitted(self.encoder)).to(rng.device)  # (parts,)
        gumbel = -torch.empty_like(logits).exponential_(generator=rng).clamp_min(1e-20).log()  # (rows, parts)
        scores = (logits + gumbel).masked_fill(~allowed, -torch.inf)  # (rows, parts)
        starts = self.layout.starts
        parts = [scores[:, start:stop].argmax(1) for start, stop in pairwise(starts)]
        return torch.stack(parts, dim=1) if parts else logits.new_zeros(len(logits), 0, dtype=torch.long), levels

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (bin edges and shares: keep it inside the run folder)."""
        facts = {
            "format": FORMAT,
            "recipe": asdict(self.recipe),
            "sizes": asdict(self.network.sizes),
            "rows": self.rows,
            "layout": asdict(self.layout),
            "encoder": self.encoder.to_json(),
            "notices": list(self.notices),
            "history": history_facts(self.history),
        }
        SavedModel(facts, self.network.state_dict()).write(folder)


def load(folder: Path) -> FittedMarginals | FittedPrivate:
    """Read what ``FittedMarginals.save`` or ``FittedPrivate.save`` wrote; InputError if the folder holds neither."""
    formats: dict[str, Callable[[SavedModel], FittedMarginals | FittedPrivate]]
    formats = {FORMAT: _built, private.FORMAT: private.built}
    return saved_model.load(folder, formats)


def _built(model: SavedModel) -> FittedMarginals:
    facts = model.facts
    network = Synthesiser(Sizes(**facts["sizes"]))
    network.load_state_dict(model.tensors)
    return FittedMarginals(
        encoder=Encoder.from_json(facts["encoder"]),
        layout=Layout.from_json(facts["layout"]),
        recipe=Recipe(**facts["recipe"]),
        network=network.eval(),
        history=model.history,
        rows=facts["rows"],
        notices=model.notices,
    )


def fit(train: Table[ModelledSchema], settings: FitSettings, on_step: OnStep) -> FittedMarginals | FittedPrivate:
    """Train a synthesiser on the rows of one table.

    Raises:
        InputError: the table has no rows or no columns, or the effort is not positive.
        TrainingError: a loss stopped being finite.
    """
    check_training(train, settings)
    check_no_overrides("marginals", settings)
    if settings.privacy is not None:
        with one_thread():
            return private.fit(train, settings, settings.privacy, Progress(1, on_step))
    encoder = Encoder.fit(train)
    encoded = encoder.encode(train.frame)
    layout = Layout.fit(encoder, encoded, train.schema.target)
    rows = layout.rows(encoder, encoded)
    recipe = recipe_for(len(train), layout.parts, settings.effort)
    progress = Progress(recipe.steps, on_step)
    with one_thread(when=layout.parts < WIDE_PARTS):
        network = train_network(rows, layout, recipe=recipe, seed=settings.seed, progress=progress)
    progress.end()
    return FittedMarginals(encoder, layout, recipe, network, tuple(progress.history), len(train))


def train_network(rows: Rows, layout: Layout, *, recipe: Recipe, seed: int, progress: Progress) -> Synthesiser:
    """Train a synthesiser to have the training rows' tables, and return its running average.

    Raises:
        TrainingError: a loss stopped being finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = torch.Generator(device=device).manual_seed(seed)
    groups = len(layout.group_shares)
    real = RealRows.of(rows, width=layout.parts, group_count=groups, device=device)
    shares = torch.from_numpy(np.bincount(rows.parts.ravel(), minlength=layout.parts) / len(real)).float()  # (parts,)

    sizes = Sizes(recipe.noise, recipe.hidden, layout.parts, len(layout.numbers), groups)
    with torch.random.fork_rng(devices=[]):  # weights start from the seed, and nobody else's randomness moves
        torch.default_generator.manual_seed(seed)
        synthesiser = Synthesiser(sizes)
    synthesiser.start_at((shares + 1 / (2 * len(real))).log())
    synthesiser = synthesiser.to(device)
    blocks = Blocks(torch.from_numpy(layout.owner)).to(device)
    matcher = Matcher.of(real, layout, shares, knots=recipe.knots, rng=rng)
    loop = TrainingLoop(synthesiser, Pace(recipe.steps, recipe.rate, (0.5, 0.99), recipe.average), progress.add)
    for _ in loop:
        _, _, condition = real.draw(recipe.batch, rng)  # (batch, groups)
        noise = torch.randn(recipe.batch, recipe.noise, generator=rng, device=device)  # (batch, noise)
        logits, levels = synthesiser(noise, condition)  # (batch, parts), (batch, numbers)
        loss = matcher.loss(blocks.softmax(logits), levels, condition, rng=rng)
        loop.learn(loss, {"tables": loss})
    return loop.average.eval()


@dataclass(frozen=True, slots=True)
class Matcher:
    """The marginal-matching loss for one table: against fixed tables, or a random set of columns if it is wide."""

    real: RealRows
    features: marginal_loss.Features
    target: marginal_loss.Target | None
    chooser: torch.Generator

    @classmethod
    def of(cls, real: RealRows, layout: Layout, shares: Tensor, *, knots: int, rng: torch.Generator) -> Matcher:
        """Count the training rows' tables once, unless all pairs of columns would be too much to hold."""
        features = marginal_loss.features_of(layout, shares, groups=real.group_count, knots=knots).to(rng.device)
        chooser = torch.Generator().manual_seed(rng.initial_seed())
        if len(features.column) > marginal_loss.MAX_WIDTH:
            return cls(real, features, None, chooser)
        sums, seen = torch.zeros(()), 0
        for _ in range(max(1, 4_000 // len(real))):  # several passes, since levels of tied values are spread at random
            for chosen in torch.split(torch.arange(len(real), device=rng.device), 4_096):
                parts, levels, condition = real.take(chosen, rng)
                sums = sums + marginal_loss.tables_of(features(parts, levels, condition), condition) * len(chosen)
                seen += len(chosen)
        return cls(real, features, marginal_loss.Target.of(sums / seen, features.column), chooser)

    def loss(self, parts: Tensor, levels: Tensor, condition: Tensor, *, rng: torch.Generator) -> Tensor:
        """Return the loss of made rows: probabilities (batch, parts), levels (batch, numbers), (batch, groups)."""
        if self.target is not None:
            made = self.features(parts, levels, condition)  # (batch, width)
            return self.target.distance(marginal_loss.tables_of(made, condition))
        features = marginal_loss.some_columns(self.features, rng=self.chooser)
        with torch.no_grad():
            real_parts, real_levels, real_condition = self.real.draw(2 * len(parts), rng)
            real = features(real_parts, real_levels, real_condition)  # (2 * batch, some)
            target = marginal_loss.Target.of(marginal_loss.tables_of(real, real_condition), features.column)
        return target.distance(marginal_loss.tables_of(features(parts, levels, condition), condition))


__all__ = ["FittedMarginals", "Recipe", "fit", "load", "recipe_for"]
