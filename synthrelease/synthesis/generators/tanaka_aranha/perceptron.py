"""A small multilayer perceptron with its backward pass and its Adam written out, made for tiny batches.

At a batch of five rows autograd, optimiser and loader cost more than the arithmetic. Here all weights of a network lie
in one flat buffer (so do their gradients and Adam's two averages), every intermediate result lands in memory that is
allocated once, and one fused call updates everything. The arithmetic is that of ``nn.Linear``, ``nn.LeakyReLU`` and
``torch.optim.Adam``; ``tests/test_perceptron.py`` holds the two together.

Measured and left out: ``torch.compile`` (a compiled kernel of gradient and update takes twice the time of MKL's product
and the fused update), NumPy's products (slower for wide layers), stacking several networks (their weights leave the
cache).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

SLOPE = 0.2
"""Of the leaky ReLU below zero (the paper, section 3.1)."""
BETAS = (0.9, 0.999)
EPSILON = 1e-8

Masks = Sequence[Tensor]
"""One mask a hidden layer, (rows, width): 0 where a unit is dropped, else 1 / (1 - p). Empty: nothing is dropped."""


@dataclass(frozen=True, slots=True)
class Tape:
    """What a forward pass leaves for the backward pass; its memory is used again at every update.

    ``inputs``: (rows, in + 1) for each layer, the last column always 1, so that the last row of the weights is the
    bias. ``hidden``: the same memory without that column, from the second layer on. ``slopes``: (rows, in) for each
    layer, the loss's gradient with respect to its inputs. ``answers``: (rows, out), the last layer's sums.
    """

    inputs: tuple[Tensor, ...]
    hidden: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    answers: Tensor

    @property
    def entry(self) -> Tensor:
        """Where the rows to pass forward are written, (rows, in)."""
        return self.inputs[0][:, :-1]

    def rows(self, start: int, stop: int) -> Tape:
        """Return some rows of the tape; the memory is shared."""
        inputs = tuple(each[start:stop] for each in self.inputs)
        slopes = tuple(each[start:stop] for each in self.slopes)
        return Tape(inputs, tuple(each[:, :-1] for each in inputs[1:]), slopes, self.answers[start:stop])


class Perceptron:
    """Linear layers with leaky ReLUs between them; the last layer's sums come out as they are.

    ``weights``: (in + 1, out) for each layer, views of one buffer; the last row is the bias.
    """

    def __init__(self, sizes: Sequence[int], rng: torch.Generator) -> None:
        self.sizes = tuple(sizes)
        shapes = [(width + 1, after) for width, after in pairwise(self.sizes)]
        length = sum(rows * columns for rows, columns in shapes)
        self.flat, self.slope, self.mean, self.square = torch.zeros(4, length).unbind(0)
        self.updates, self.one = torch.zeros(()), torch.ones(())  # a number in place of a tensor is copied into one
        self.weights = _views(self.flat, shapes)
        self.weight_slopes = _views(self.slope, shapes)
        self.turned = tuple(weight[:-1].t() for weight in self.weights)
        for weight in self.weights:  # as nn.Linear begins: weights and biases even within 1 / sqrt(in)
            bound = 1.0 / math.sqrt(max(len(weight) - 1, 1))
            weight.uniform_(-bound, bound, generator=rng)

    def tape(self, rows: int) -> Tape:
        """Allocate what passes of ``rows`` rows need."""
        inputs = tuple(torch.ones(rows, width + 1) for width in self.sizes[:-1])
        slopes = tuple(torch.empty(rows, width) for width in self.sizes[:-1])
        hidden = tuple(each[:, :-1] for each in inputs[1:])
        return Tape(inputs, hidden, slopes, torch.empty(rows, self.sizes[-1]))

    def forward(self, tape: Tape, masks: Masks = ()) -> Tensor:
        """Pass ``tape.entry`` through the layers; return ``tape.answers``, (rows, out)."""
        for layer, hidden in enumerate(tape.hidden):
            torch.mm(tape.inputs[layer], self.weights[layer], out=hidden)
            torch.nn.functional.leaky_relu_(hidden, SLOPE)
            if masks:
                hidden.mul_(masks[layer])
        return torch.mm(tape.inputs[-1], self.weights[-1], out=tape.answers)

    def backward(self, tape: Tape, slope: Tensor, masks: Masks = ()) -> None:
        """Write the gradient of all weights, given that of ``tape.answers``, (rows, out)."""
        torch.mm(tape.inputs[-1].t(), slope, out=self.weight_slopes[-1])
        for layer in range(len(self.weights) - 1, 0, -1):
            slope = self._through(layer, tape, slope, masks)  # (rows, in)
            torch.mm(tape.inputs[layer - 1].t(), slope, out=self.weight_slopes[layer - 1])

    def backward_to_entry(self, tape: Tape, slope: Tensor, masks: Masks = ()) -> Tensor:
        """Return the gradient of ``tape.entry``, (rows, in), given that of ``tape.answers``; weights get none."""
        for layer in range(len(self.weights) - 1, 0, -1):
            slope = self._through(layer, tape, slope, masks)  # (rows, in)
        return torch.mm(slope, self.turned[0], out=tape.slopes[0])

    def _through(self, layer: int, tape: Tape, slope: Tensor, masks: Masks) -> Tensor:
        """Carry a gradient from a layer's sums back to the sums of the layer before it."""
        before = torch.mm(slope, self.turned[layer], out=tape.slopes[layer])  # (rows, in)
        if masks:
            before.mul_(masks[layer - 1])
        # The sign of a leaky ReLU's result is that of its input, so the result is all that needs to be kept.
        torch.ops.aten.leaky_relu_backward.grad_input(before, tape.hidden[layer - 1], SLOPE, True, grad_input=before)
        return before

    def update(self, rate: float) -> None:
        """Take one step of Adam (Kingma & Ba 2015) with the gradient that ``backward`` wrote.

        It is called below ``torch.optim``, which costs ten times what a small network's update does.
        """
        self.updates.add_(self.one)
        torch._fused_adam_(
            [self.flat], [self.slope], [self.mean], [self.square], [], [self.updates],
            lr=rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def state(self) -> Tensor:
        """Return a copy of the weights and of Adam's averages, (3, weights), for ``restore``."""
        return torch.stack((self.flat, self.mean, self.square))

    def restore(self, state: Tensor) -> None:
        """Go back to a state; the count of updates stays, so that Adam's averages keep their scale."""
        for mine, old in zip((self.flat, self.mean, self.square), state, strict=True):
            mine.copy_(old)


def _views(flat: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
    pieces = torch.split(flat, [rows * columns for rows, columns in shapes])
    return tuple(piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True))
