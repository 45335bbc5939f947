"""How the paper's GAN is trained: its algorithms 1 and 2, written out on hand-made networks.

Randomness is drawn for many updates at once (``Block``), which is quicker than five rows at a time, and lets a plain
re-write in the tests follow the very same training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from synthrelease.core.contracts import OnStep, TrainingStep
from synthrelease.synthesis.generators import divergence_monitor
from synthrelease.synthesis.generators.divergence_monitor import Diagnosis, Sign
from synthrelease.synthesis.generators.progress import Progress
from synthrelease.synthesis.generators.tanaka_aranha.perceptron import Perceptron
from synthrelease.synthesis.generators.training_loop import check_finite_loss

BLOCK = 512
"""Updates whose randomness is drawn at once: some 20 MB for the widest network."""
LOOKS = 60
LOOKED_AT = 500
LOSSES = ("discriminator", "generator")
MOST_RECOVERIES = 6
SMALLEST = torch.tensor(1e-12)
"""What ``nn.BCELoss`` divides by at least."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The paper's settings (section 3.1). ``reading``: dropout and algorithm 1 as in the code or as in the text.

    ``recovers``: whether a training that went wrong goes back to its last good state with halved learning rates.
    """

    hidden: tuple[int, ...]
    updates: int = 0
    batch: int = 5
    noise: int = 100
    rate: float = 2e-4
    dropout: float = 0.3
    reading: Literal["code", "text"] = "code"
    recovers: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training: the generator's weights by layer, and how it went."""

    weights: tuple[Tensor, ...]
    history: tuple[TrainingStep, ...]
    signs: tuple[Sign, ...]
    diagnosis: Diagnosis
    recoveries: int


@dataclass(frozen=True, slots=True)
class Block:
    """Rows and randomness of some updates in a row.

    ``real``: (updates, batch, columns). ``weight``: (updates, batch, 1), 1 / rows, or 0 for rows that only fill up an
    epoch's last batch. ``noise``: (updates, 2 * batch, noise), the first half for algorithm 1, the second for 2.
    ``drop``: masks of the network that has dropout, by layer, (updates, 3 * batch, width): real, made, algorithm 2.
    """

    real: Tensor
    weight: Tensor
    noise: Tensor
    drop: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.real)


def blocks(real: Tensor, recipe: Recipe, rng: torch.Generator) -> Iterator[Block]:
    """Yield blocks of ``recipe.updates`` updates in all: epoch after epoch, each in a new random order."""
    batch, left = recipe.batch, recipe.updates
    widths = recipe.hidden if recipe.reading == "text" else recipe.hidden[::-1]
    while left:
        order = torch.randperm(len(real), generator=rng)
        padding = -len(order) % batch
        order = torch.cat([order, order[:1].expand(padding)]).view(-1, batch)  # (updates, batch)
        weight = torch.full((*order.shape, 1), 1.0 / batch)
        if padding:
            weight[-1, : batch - padding], weight[-1, batch - padding :] = 1.0 / (batch - padding), 0.0
        for rows, share in zip(torch.split(order[:left], BLOCK), torch.split(weight[:left], BLOCK), strict=True):
            noise = torch.randn(len(rows), 2 * batch, recipe.noise, generator=rng)
            drop = tuple(
                torch.rand(len(rows), 3 * batch, width, generator=rng).ge_(recipe.dropout).div_(1.0 - recipe.dropout)
                for width in widths
            )
            yield Block(real[rows], share, noise, drop)
        left -= min(left, len(order))


class Pair:
    """The generator, the discriminator, and the memory that their passes share."""

    def __init__(self, columns: int, recipe: Recipe, rng: torch.Generator) -> None:
        batch = recipe.batch
        self.recipe = recipe
        self.generator = Perceptron((recipe.noise, *recipe.hidden, columns), rng)
        self.discriminator = Perceptron((columns, *recipe.hidden[::-1], 1), rng)
        self.made = self.generator.tape(2 * batch)
        self.judged = self.discriminator.tape(2 * batch)
        self.real, self.fake = self.judged.rows(0, batch), self.judged.rows(batch, 2 * batch)
        self.fooling = self.discriminator.tape(batch)
        self.rows = torch.empty(2 * batch, columns)
        self.rates = {"discriminator": recipe.rate, "generator": recipe.rate}

    def train(self, block: Block) -> Tensor:
        """Train on a block; return the discriminator's labels, (updates, 3 * batch): of real, made, and algorithm 2."""
        batch, is_text = self.recipe.batch, self.recipe.reading == "text"
        generator, discriminator = self.generator, self.discriminator
        labels = torch.empty(len(block), 3 * batch, 1)
        fake, made = self.rows[:batch], self.made.rows(batch, 2 * batch)
        wanted = torch.cat([torch.ones(batch, 1), torch.zeros(batch, 1)])  # (2 * batch, 1)
        masks = [layer.unbind(0) for layer in block.drop]
        weights = block.weight.repeat(1, 2, 1)  # (updates, 2 * batch, 1)
        steps = zip(
            block.real.unbind(0), weights.unbind(0), block.noise.unbind(0), labels.unbind(0), *masks, strict=True
        )
        for real, weight, noise, answer, *drop in steps:
            in_generator = [mask[batch:] for mask in drop] if is_text else []
            in_judging = [] if is_text else [mask[: 2 * batch] for mask in drop]
            in_fooling = [] if is_text else [mask[2 * batch :] for mask in drop]

            # Fake data of both algorithms in one pass: the generator's weights change only at the end.
            self.made.entry.copy_(noise)
            torch.sigmoid(generator.forward(self.made, in_generator), out=self.rows)  # (2 * batch, columns)

            # Algorithm 1: the discriminator learns to label real data 1 and fake data 0.
            if is_text:
                self._learn(real, 1.0, weight[:batch], answer[:batch])
                self._learn(fake, 0.0, weight[:batch], answer[batch : 2 * batch])
            else:
                self.real.entry.copy_(real)
                self.fake.entry.copy_(fake)
                label = torch.sigmoid(discriminator.forward(self.judged, in_judging), out=answer[: 2 * batch])
                discriminator.backward(self.judged, slope_of(label, wanted, weight), in_judging)
                discriminator.update(self.rates["discriminator"])

            # Algorithm 2: the generator learns to make fake data that the discriminator labels 1.
            self.fooling.entry.copy_(self.rows[batch:])
            label = torch.sigmoid(discriminator.forward(self.fooling, in_fooling), out=answer[2 * batch :])
            slope = slope_of(label, wanted[:batch], weight[:batch])  # (batch, 1)
            slope = discriminator.backward_to_entry(self.fooling, slope, in_fooling)  # (batch, columns)
            slope = torch.ops.aten.sigmoid_backward(slope, self.rows[batch:])  # (batch, columns)
            generator.backward(made, slope, [mask[batch:] for mask in in_generator])
            generator.update(self.rates["generator"])
        return labels.squeeze(2)

    def _learn(self, rows: Tensor, wanted: float, weight: Tensor, answer: Tensor) -> None:
        """One update of the discriminator on real or on fake rows alone, as the text of algorithm 1 has it."""
        self.real.entry.copy_(rows)
        label = torch.sigmoid(self.discriminator.forward(self.real), out=answer)
        self.discriminator.backward(self.real, slope_of(label, torch.full_like(label, wanted), weight))
        self.discriminator.update(self.rates["discriminator"])

    def sample(self, rows: int, rng: torch.Generator) -> Tensor:
        """Return made rows, (rows, columns), without dropout."""
        tape = self.generator.tape(rows)
        tape.entry.copy_(torch.randn(rows, self.recipe.noise, generator=rng))
        return torch.sigmoid(self.generator.forward(tape))

    def gradients(self) -> Mapping[str, float]:
        """Return the norms of the last update's gradients."""
        return {name: float(getattr(self, name).slope.norm()) for name in ("discriminator", "generator")}

    def state(self) -> tuple[Tensor, Tensor]:
        """Return a copy of all that training changes."""
        return self.discriminator.state(), self.generator.state()

    def restore(self, state: tuple[Tensor, Tensor]) -> None:
        """Go back to a state and go on with learning rates half as large."""
        self.discriminator.restore(state[0])
        self.generator.restore(state[1])
        self.rates = {name: rate / 2 for name, rate in self.rates.items()}


def slope_of(label: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the binary cross-entropy with respect to the sums below the sigmoid, (rows, 1).

    Computed as ``nn.BCELoss`` on a sigmoid does, which matters in a divergence: a label that is wrong and rounds to 0
    or 1 teaches nothing any more.
    """
    doubt = torch.addcmul(label, label, label, value=-1.0)  # label * (1 - label)
    return (label - wanted).mul_(weight).mul_(doubt.div_(SMALLEST).clamp_max_(1.0))


def losses_of(labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross-entropies of each update: discriminator and generator, (updates,) each.

    ``labels``: (updates, 3 * batch); ``weight``: (updates, batch, 1). Logarithms stop at -100, as in ``nn.BCELoss``.
    """
    real, fake, fooling = labels.view(len(labels), 3, -1).unbind(1)  # (updates, batch) each
    share = weight.squeeze(2)  # (updates, batch)
    judging = real.log().clamp_min(-100.0) + (1.0 - fake).log().clamp_min(-100.0)
    return -(judging * share).sum(1), -(fooling.log().clamp_min(-100.0) * share).sum(1)


def train(real: Tensor, recipe: Recipe, *, seed: int, on_step: OnStep) -> Outcome:
    """Train on rows (rows, columns) within [0, 1].

    Raises:
        TrainingError: a loss stopped being finite, and there was no good state to go back to.
    """
    rng = torch.Generator().manual_seed(seed)
    pair = Pair(real.shape[1], recipe, rng)
    watch = Watch(real, pair, on_step)
    for block in blocks(real, recipe, rng):
        watch.saw(pair.train(block), block.weight)
    return watch.outcome()


class Watch:
    """Follows a training: reports it, looks at samples of it, and sends it back to a good state where it may."""

    def __init__(self, real: Tensor, pair: Pair, on_step: OnStep) -> None:
        self.real, self.pair = real.numpy(), pair
        self.steps = pair.recipe.updates
        self.step, self.recoveries, self.judged_from = 0, 0, 0
        self.sums = [0.0, 0.0, 0.0]  # since the last look: losses of both, accuracy
        self.signs: list[Sign] = []
        self.start = pair.state()
        self.good: tuple[Tensor, Tensor] | None = None
        self.progress = Progress(self.steps, on_step)

    def saw(self, labels: Tensor, weight: Tensor) -> None:
        """Take note of a block's labels (updates, 3 * batch)."""
        self.step += len(labels)
        means = self._means_of(labels, weight)
        self.sums = [total + mean * len(labels) for total, mean in zip(self.sums, means, strict=True)]
        self.progress.add(self.step, dict(zip(LOSSES, means[:2], strict=True)), updates=len(labels))
        if self.step - self._last_look >= self.steps / LOOKS or self.step >= self.steps:
            self._look()
        if self.step >= self.steps:
            self.progress.end()

    @property
    def _last_look(self) -> int:
        return self.signs[-1].step if self.signs else 0

    def _means_of(self, labels: Tensor, weight: Tensor) -> tuple[float, float, float]:
        """Return a block's mean losses, and how often the discriminator was right on real and fake rows."""
        batch = self.pair.recipe.batch
        loss_d, loss_g = (float(loss.mean()) for loss in losses_of(labels, weight))
        if not self.pair.recipe.recovers:
            check_finite_loss(loss_d + loss_g, self.step, self.steps)
        right = (labels[:, :batch] >= 0.5).float().mean() + (labels[:, batch : 2 * batch] < 0.5).float().mean()
        return loss_d, loss_g, float(right) / 2

    def _look(self) -> None:
        """Compare a sample with the training rows; go back where the diagnosis says so."""
        *means, accuracy = (total / (self.step - self._last_look) for total in self.sums)
        self.sums = [0.0, 0.0, 0.0]
        losses = dict(zip(LOSSES, means, strict=True))
        chance = torch.Generator().manual_seed(self.step)
        made = self.pair.sample(LOOKED_AT, chance).double().numpy()
        sign = divergence_monitor.look(
            self.real, made, step=self.step, losses=losses, gradients=self.pair.gradients(), accuracy=accuracy
        )
        self.signs.append(sign)
        if not self.pair.recipe.recovers:
            return
        ill = divergence_monitor.diagnose(self.signs[self.judged_from :], self.steps)
        if divergence_monitor.badness(sign, divergence_monitor.Limits())[0] == "healthy":
            self.good = self.pair.state()
        elif ill.state != "healthy":
            self._go_back(ill, sign)

    def _go_back(self, ill: Diagnosis, sign: Sign) -> None:
        """Return to the last good state; where there was none, to the start, unless rows are merely late to fit."""
        is_late = ill.state == "diverged" and not divergence_monitor.blown(sign, divergence_monitor.Limits())
        state = self.good or (None if is_late else self.start)
        if state is not None and self.recoveries < MOST_RECOVERIES:
            self.pair.restore(state)
            self.recoveries += 1
            self.judged_from = len(self.signs)

    def outcome(self) -> Outcome:
        """Return the trained generator; a training that ended badly and may recover gives back its last good state."""
        diagnosis = divergence_monitor.diagnose(self.signs, self.steps)
        if diagnosis.state != "healthy" and self.pair.recipe.recovers and self.good is not None:
            self.pair.restore(self.good)
        history = tuple(self.progress.history)
        return Outcome(self.pair.generator.weights, history, tuple(self.signs), diagnosis, self.recoveries)
