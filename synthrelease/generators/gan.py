"""The default generator: a conditional GAN for tables of mixed types.

A critic compares pairs of real and made rows of the same condition (relativistic pairing, kept smooth by zero-centred
gradient penalties on both sides: Huang et al. 2024, "The GAN is dead; long live the GAN!", arXiv:2501.05441). A second
loss holds all two-way tables, and three-way tables with the condition, to those of the training rows; it does most of
the work on tables, and keeps the critic from dropping modes. Labels go through a straight-through Gumbel softmax (Jang
et al. 2017, arXiv:1611.01144), and the sampled weights are a running average.

What is promised about privacy: nothing by itself. There is no differential privacy here; the audit decides. Small
tables get a smaller network, blurred inputs, coarser tables of pairs and fewer updates, since a network that sees each
row hundreds of times remembers some of them.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from synthrelease.contracts import FitSettings, OnStep, PrivacySpend, Table, TrainingStep
from synthrelease.encoding import Encoder
from synthrelease.errors import InputError, TrainingError
from synthrelease.generators import matching
from synthrelease.generators.layout import Layout, Rows
from synthrelease.generators.networks import Blocks, Critic, Sizes, Synthesiser

FORMAT = "synthrelease-gan-1"
REPORT_SECONDS = 0.5
MAX_HISTORY = 200
MANY_PARTS = 1_024
"""Tables with more parts than this get smaller batches, so that an update's cost stays in bounds."""
WIDE_PARTS = 4_096
SAMPLED_CELLS = 1 << 24
"""Logits held at once while rows are sampled: 64 MB, however wide the table is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how training goes, besides the table and the seed.

    ``penalty`` weighs the gradient penalties, ``match`` the marginal-matching loss. ``blur`` is the standard deviation
    of the noise added to real and made levels alike before the critic sees them. ``knots`` are hats a number column.
    """

    steps: int
    batch: int = 500
    noise: int = 64
    hidden: int = 256
    rate: float = 1e-3
    penalty: float = 0.1
    match: float = 1.0
    critic: float = 1.0
    tau: float = 0.7
    average: float = 0.998
    blur: float = 0.0
    knots: int = 12


def recipe_for(rows: int, effort: float) -> Recipe:
    """Choose a recipe by the number of training rows; ``effort`` multiplies the number of updates.

    Small tables get a smaller network, fewer knots and updates, and a critic that counts for less: on tables of 400 to
    550 rows a critic of full weight made rows cling to training rows, and did not make them more useful.
    """
    steps = int(np.clip(60 + 12 * rows**0.5, 120, 2_400))
    return Recipe(
        steps=max(1, round(steps * effort)),
        hidden=128 if rows < 1_500 else 256,
        critic=0.2 if rows < 1_500 else 0.4,
        knots=int(np.clip(round(0.7 * rows ** (1 / 3)), 3, 16)),
        blur=float(np.clip(1.0 / max(rows, 1) ** 0.5, 0.0, 0.1)),
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
class FittedGan:
    """A trained GAN: weights, the encoder and the layout; no rows."""

    encoder: Encoder
    layout: Layout
    recipe: Recipe
    network: Synthesiser
    history: tuple[TrainingStep, ...] = ()
    rows: int = 0
    spends: tuple[PrivacySpend, ...] = field(default=())

    @property
    def description(self) -> Mapping[str, Any]:
        """Settings and sizes as plain JSON values."""
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        sizes = {"columns": len(self.encoder.codings), "parts": self.layout.parts, "weights": weights}
        device = str(next(self.network.parameters()).device)
        return {"generator": "gan", "device": device, "training_rows": self.rows, **sizes, **asdict(self.recipe)}

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows.

        The condition is drawn with its training shares. The same seed and chunk size give the same rows on one machine.

        Raises:
            InputError: ``rows`` or ``chunk_rows`` is not positive.
            TrainingError: the network's output is not finite.
        """
        if rows < 1 or chunk_rows < 1:
            raise InputError(
                f"Sampling needs at least one row, however {rows} rows in chunks of {chunk_rows} were asked for. "
                "Ask for one or more."
            )
        device = next(self.network.parameters()).device
        rng = torch.Generator(device=device).manual_seed(seed)
        done = 0
        while done < rows:
            count = min(chunk_rows, rows - done)
            with threads_for(self.layout.parts):
                chunk = self._chunk(count, rng)
            yield chunk
            done += count

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
        if not (torch.isfinite(logits).all() and torch.isfinite(levels).all()):
            raise TrainingError(
                "A generator must produce finite values, however its network does not. Train again with another seed."
            )
        allowed = torch.from_numpy(self.layout.emitted(self.encoder)).to(rng.device)  # (parts,)
        gumbel = -torch.empty_like(logits).exponential_(generator=rng).clamp_min(1e-20).log()  # (rows, parts)
        scores = (logits + gumbel).masked_fill(~allowed, -torch.inf)  # (rows, parts)
        starts = self.layout.starts
        parts = [scores[:, start:stop].argmax(1) for start, stop in pairwise(starts)]
        return torch.stack(parts, dim=1) if parts else logits.new_zeros(len(logits), 0, dtype=torch.long), levels

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` (bin edges and shares: keep it inside the run folder)."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        facts = {
            "format": FORMAT,
            "recipe": asdict(self.recipe),
            "sizes": asdict(self.network.sizes),
            "rows": self.rows,
            "layout": asdict(self.layout),
            "encoder": self.encoder.to_json(),
            "history": [asdict(step) for step in self.history],
        }
        (folder / "model.json").write_text(json.dumps(facts, allow_nan=False, indent=1), encoding="utf-8")


def load(folder: Path) -> FittedGan:
    """Read what ``FittedGan.save`` wrote.

    Raises:
        InputError: the folder holds no such model.
    """
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise InputError(
            f"A saved model is a model.json and a model.safetensors, however {folder} has no readable pair of them. "
            "Name the internal folder of a finished run."
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(
            f"A saved GAN says {FORMAT} in its model.json, however the one in {folder} does not. "
            "It may come from another version: train again."
        )
    network = Synthesiser(Sizes(**facts["sizes"]))
    network.load_state_dict(state)
    history = tuple(TrainingStep(**step) for step in facts["history"])
    return FittedGan(
        encoder=Encoder.from_json(facts["encoder"]),
        layout=Layout.from_json(facts["layout"]),
        recipe=Recipe(**facts["recipe"]),
        network=network.eval(),
        history=history,
        rows=facts["rows"],
    )


class Progress:
    """Averages losses between reports, sends reports about twice a second, and keeps a thinned history."""

    def __init__(self, steps: int, on_step: OnStep) -> None:
        self.steps, self.on_step = steps, on_step
        self.history: list[TrainingStep] = []
        self.sums: dict[str, float] = {}
        self.count = 0
        self.last = time.monotonic()
        self._report(0)

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Count one update's losses; report if half a second has passed or this was the last.

        Raises:
            TrainingError: a loss is not finite.
        """
        for name, loss in losses.items():
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingError(
                    f"Training must keep finite losses, however the {name} loss was not at update {step} of "
                    f"{self.steps}. Train again with another seed, or with less effort."
                )
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if step == self.steps or time.monotonic() - self.last >= REPORT_SECONDS:
            self._report(step)

    def _report(self, step: int) -> None:
        losses = {name: total / self.count for name, total in self.sums.items()}
        report = TrainingStep(step=step, steps=self.steps, losses=losses)
        self.sums, self.count, self.last = {}, 0, time.monotonic()
        if len(self.history) >= MAX_HISTORY - 1:
            self.history = self.history[::2]
        self.history.append(report)
        self.on_step(report)


def fit(train: Table, settings: FitSettings, on_step: OnStep) -> FittedGan:
    """Train a GAN on the rows of one table.

    Raises:
        InputError: the table has no rows or no columns, or the effort is not positive.
        TrainingError: a loss stopped being finite.
    """
    if not settings.effort > 0 or not train.schema.learned:
        raise InputError(
            f"Training needs an effort above 0 and at least one column, however the effort is {settings.effort} and "
            f"{len(train.schema.learned)} columns may be learned. Check the option and the roles in the schema."
        )
    recipe = recipe_for(len(train), settings.effort)
    progress = Progress(recipe.steps, on_step)
    encoder = Encoder.fit(train)
    encoded = encoder.encode(train.frame)
    layout = Layout.fit(encoder, encoded, train.schema.target)
    rows = layout.rows(encoder, encoded)
    recipe = replace(recipe, batch=int(np.clip(500 * MANY_PARTS / max(layout.parts, 1), 128, 500)))
    with threads_for(layout.parts):
        network = train_network(rows, layout, recipe=recipe, seed=settings.seed, progress=progress)
    return FittedGan(encoder, layout, recipe, network, tuple(progress.history), len(train))


@contextmanager
def threads_for(parts: int) -> Iterator[None]:
    """Use one thread inside the block unless the table is wide, then put the number of threads back.

    Networks this small gain little from a second core, and threads that wait for each other on a busy machine were
    measured to be many times slower. One thread also gives the same rows whatever the machine's number of cores.
    """
    before = torch.get_num_threads()
    try:
        if parts <= WIDE_PARTS:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def train_network(rows: Rows, layout: Layout, *, recipe: Recipe, seed: int, progress: Progress) -> Synthesiser:
    """Train a synthesiser and a critic against each other and return the synthesiser's running average.

    The loop is written out: one update of the critic and one of the synthesiser at each step, on one batch of pairs.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = torch.Generator(device=device).manual_seed(seed)
    groups = len(layout.group_shares)
    real = RealRows.of(rows, width=layout.parts, group_count=groups, device=device)
    shares = torch.from_numpy(np.bincount(rows.parts.ravel(), minlength=layout.parts) / len(real)).float()  # (parts,)

    sizes = Sizes(recipe.noise, recipe.hidden, layout.parts, len(layout.numbers), groups)
    with torch.random.fork_rng(devices=[]):  # weights start from the seed, and nobody else's randomness moves
        torch.default_generator.manual_seed(seed)
        synthesiser, critic = Synthesiser(sizes), Critic(sizes)
    synthesiser.start_at((shares + 1 / (2 * len(real))).log())
    synthesiser, critic = synthesiser.to(device), critic.to(device)
    average = copy.deepcopy(synthesiser).requires_grad_(False)
    starts = torch.tensor(layout.starts)
    blocks = Blocks(torch.from_numpy(layout.owner), starts[list(layout.numbers)]).to(device)
    matcher = Matcher.of(real, layout, shares, knots=recipe.knots, rng=rng)

    betas = (0.5, 0.99)
    make = torch.optim.Adam(synthesiser.parameters(), lr=recipe.rate, betas=betas, fused=True)
    judge = torch.optim.Adam(critic.parameters(), lr=recipe.rate, betas=betas, fused=True)
    slowing = [torch.optim.lr_scheduler.CosineAnnealingLR(each, recipe.steps) for each in (make, judge)]

    for step in range(1, recipe.steps + 1):
        real_parts, real_levels, condition = real.draw(recipe.batch, rng)  # (batch, ...)
        noise = torch.randn(recipe.batch, recipe.noise, generator=rng, device=device)  # (batch, noise)
        logits, levels = synthesiser(noise, condition)  # (batch, parts), (batch, numbers)
        parts = blocks.draw(logits, tau=recipe.tau, rng=rng)  # (batch, parts)
        blur = recipe.blur * torch.randn(2, *levels.shape, generator=rng, device=device)  # (2, batch, numbers)
        real_rows = blocks.join(real_parts, real_levels + blur[0], condition).requires_grad_()  # (batch, row)
        made_rows = blocks.join(parts, levels + blur[1], condition)  # (batch, row)

        # The critic: each real row should score above its made partner, with small slopes at both.
        seen = made_rows.detach().requires_grad_()
        real_score, made_score = critic(real_rows), critic(seen)  # (batch,), (batch,)
        slopes = torch.autograd.grad((real_score.sum() + made_score.sum()), (real_rows, seen), create_graph=True)
        penalty = sum((slope.square().sum(1).mean() for slope in slopes), torch.zeros((), device=device))
        critic_loss = functional.softplus(made_score - real_score).mean()
        judge.zero_grad(set_to_none=True)
        torch.autograd.backward(critic_loss + recipe.penalty / 2 * penalty)
        judge.step()

        # The synthesiser: the pair the other way round, plus the distance of its tables to the training rows'.
        critic.requires_grad_(requires_grad=False)
        with torch.no_grad():
            real_score = critic(real_rows)  # (batch,)
        fooling_loss = functional.softplus(real_score - critic(made_rows)).mean()
        match_loss = matcher.loss(blocks.softmax(logits), levels, condition, rng=rng)
        make.zero_grad(set_to_none=True)
        torch.autograd.backward(recipe.critic * fooling_loss + recipe.match * match_loss)
        make.step()
        critic.requires_grad_(requires_grad=True)

        for schedule in slowing:
            schedule.step()
        keep = min(recipe.average, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(synthesiser.parameters()), 1 - keep)
        progress.add(step, {"critic": critic_loss, "synthesiser": fooling_loss, "tables": match_loss})
    return average.eval()


@dataclass(frozen=True, slots=True)
class Matcher:
    """The marginal-matching loss for one table: against fixed tables, or a random set of columns if it is wide."""

    real: RealRows
    features: matching.Features
    target: matching.Target | None
    chooser: torch.Generator

    @classmethod
    def of(cls, real: RealRows, layout: Layout, shares: Tensor, *, knots: int, rng: torch.Generator) -> Matcher:
        """Count the training rows' tables once, unless all pairs of columns would be too much to hold."""
        features = matching.features_of(layout, shares, groups=real.group_count, knots=knots).to(rng.device)
        chooser = torch.Generator().manual_seed(rng.initial_seed())
        if len(features.column) > matching.MAX_WIDTH:
            return cls(real, features, None, chooser)
        sums, seen = torch.zeros(()), 0
        for _ in range(max(1, 4_000 // len(real))):  # several passes, since levels of tied values are spread at random
            for chosen in torch.split(torch.arange(len(real), device=rng.device), 4_096):
                parts, levels, condition = real.take(chosen, rng)
                sums = sums + matching.tables_of(features(parts, levels, condition), condition) * len(chosen)
                seen += len(chosen)
        return cls(real, features, matching.Target.of(sums / seen, features.column), chooser)

    def loss(self, parts: Tensor, levels: Tensor, condition: Tensor, *, rng: torch.Generator) -> Tensor:
        """Return the loss of made rows: probabilities (batch, parts), levels (batch, numbers), (batch, groups)."""
        if self.target is not None:
            made = self.features(parts, levels, condition)  # (batch, width)
            return self.target.distance(matching.tables_of(made, condition))
        features = matching.some_columns(self.features, rng=self.chooser)
        with torch.no_grad():
            real_parts, real_levels, real_condition = self.real.draw(2 * len(parts), rng)
            real = features(real_parts, real_levels, real_condition)  # (2 * batch, some)
            target = matching.Target.of(matching.tables_of(real, real_condition), features.column)
        return target.distance(matching.tables_of(features(parts, levels, condition), condition))


__all__ = ["FittedGan", "Recipe", "fit", "load", "recipe_for", "train_network"]
