"""The paper's GAN as one would write it first: ``nn.Module``, ``DataLoader``, ``nn.BCELoss`` and ``optim.Adam``.

The fast training is held to this one: ``tests/test_paper_gan.py`` to its losses, ``tests/benchmarks`` to its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from synthrelease.synthesis.generators.tanaka_aranha.perceptron import Perceptron
from synthrelease.synthesis.generators.tanaka_aranha.training import Block, Pair, Recipe


class GivenDropout(nn.Module):
    """Dropout whose masks are handed in, so that two trainings can drop the same units."""

    mask: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        return values if self.mask is None else values * self.mask


def network(sizes: Sequence[int], dropout: nn.Module | None) -> nn.Sequential:
    """Linear layers and leaky ReLUs, with a copy of ``dropout`` after each, and a sigmoid at the end."""
    layers: list[nn.Module] = []
    for width, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(width, after), nn.LeakyReLU(0.2)]
        if dropout is not None:
            layers.append(nn.Dropout(0.3) if isinstance(dropout, nn.Dropout) else GivenDropout())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]), nn.Sigmoid())


def copy_weights(source: Perceptron, target: nn.Sequential) -> None:
    linear = [layer for layer in target if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight in zip(linear, source.weights, strict=True):
            layer.weight.copy_(weight[:-1].t())
            layer.bias.copy_(weight[-1])


def follow(blocks: Iterable[Block], pair: Pair, recipe: Recipe) -> list[tuple[float, float]]:
    """Train from the pair's present weights on the same rows and randomness; the two losses of every update."""
    columns = pair.discriminator.sizes[0]
    is_text = recipe.reading == "text"
    generator = network([recipe.noise, *recipe.hidden, columns], GivenDropout() if is_text else None)
    discriminator = network([columns, *recipe.hidden[::-1], 1], None if is_text else GivenDropout())
    copy_weights(pair.generator, generator)
    copy_weights(pair.discriminator, discriminator)
    of_generator = torch.optim.Adam(generator.parameters(), lr=recipe.rate)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=recipe.rate)
    dropouts = [layer for layer in (*generator, *discriminator) if isinstance(layer, GivenDropout)]
    loss = nn.BCELoss()
    curve = []
    for block in blocks:
        for step in range(len(block)):
            rows = int((block.weight[step] > 0).sum())
            batch = recipe.batch

            def use(part: int, step: int = step, rows: int = rows, block: Block = block, batch: int = batch) -> None:
                for dropout, masks in zip(dropouts, block.drop, strict=True):
                    dropout.mask = masks[step, part * batch : part * batch + rows]

            real, ones, zeros = block.real[step, :rows], torch.ones(rows, 1), torch.zeros(rows, 1)
            use(1)
            fake = generator(block.noise[step, :rows]).detach()
            of_discriminator.zero_grad()
            use(0)
            real_loss = loss(discriminator(real), ones)
            real_loss.backward()
            if is_text:
                of_discriminator.step()
                of_discriminator.zero_grad()
            use(1)
            fake_loss = loss(discriminator(fake), zeros)
            fake_loss.backward()
            of_discriminator.step()
            of_generator.zero_grad()
            use(2)
            fooling_loss = loss(discriminator(generator(block.noise[step, batch : batch + rows])), ones)
            fooling_loss.backward()
            of_generator.step()
            curve.append((float((real_loss + fake_loss).detach()), float(fooling_loss.detach())))
    return curve


def straightforward(rows: Tensor, hidden: Sequence[int], epochs: int) -> None:
    """The same with a DataLoader and ``nn.Dropout``, as in the paper's code: what speed is measured against."""
    generator = network([100, *hidden, rows.shape[1]], None)
    discriminator = network([rows.shape[1], *hidden[::-1], 1], nn.Dropout())
    of_generator = torch.optim.Adam(generator.parameters(), lr=2e-4)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=2e-4)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows), batch_size=5, shuffle=True)
    loss = nn.BCELoss()
    for _ in range(epochs):
        for (real,) in loader:
            ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
            fake = generator(torch.randn(len(real), 100)).detach()
            of_discriminator.zero_grad()
            loss(discriminator(real), ones).backward()
            loss(discriminator(fake), zeros).backward()
            of_discriminator.step()
            of_generator.zero_grad()
            loss(discriminator(generator(torch.randn(len(real), 100))), ones).backward()
            of_generator.step()
