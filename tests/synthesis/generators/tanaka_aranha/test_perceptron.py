"""The hand-written network against autograd and ``torch.optim``."""

from __future__ import annotations

import pytest
import torch
from plain_gan import copy_weights, network

from synthrelease.synthesis.generators.tanaka_aranha.perceptron import Perceptron


@pytest.mark.parametrize("sizes", [(7, 5, 3), (4, 1), (3, 8, 16, 2)])
def test_gradients_and_updates_are_those_of_autograd_and_adam(sizes):
    rng = torch.Generator().manual_seed(0)
    ours, plain = Perceptron(sizes, rng), network(sizes, None)[:-1]
    copy_weights(ours, plain)
    adam = torch.optim.Adam(plain.parameters(), lr=0.01)
    tape = ours.tape(6)
    for _ in range(5):
        rows = torch.randn(6, sizes[0], generator=rng).requires_grad_()
        slope = torch.randn(6, sizes[-1], generator=rng)
        adam.zero_grad()
        answers = plain(rows)
        answers.backward(slope)
        tape.entry.copy_(rows.detach())
        torch.testing.assert_close(ours.forward(tape), answers.detach())
        torch.testing.assert_close(ours.backward_to_entry(tape, slope), rows.grad)
        ours.backward(tape, slope)
        torch.testing.assert_close(ours.weight_slopes[0][:-1].t(), plain[0].weight.grad)
        torch.testing.assert_close(ours.weight_slopes[0][-1], plain[0].bias.grad)
        ours.update(0.01)
        adam.step()
        torch.testing.assert_close(ours.weights[-1][:-1].t(), plain[-1].weight.detach())


def test_rows_of_a_tape_share_its_memory():
    net = Perceptron((3, 4, 2), torch.Generator().manual_seed(0))
    tape = net.tape(4)
    tape.entry.copy_(torch.randn(4, 3))
    whole = net.forward(tape).clone()
    torch.testing.assert_close(net.forward(tape.rows(2, 4)), whole[2:])
    tape.rows(0, 2).entry.zero_()
    assert float(tape.entry[:2].abs().sum()) == 0.0


def test_a_network_goes_back_to_a_state():
    net = Perceptron((3, 4, 2), torch.Generator().manual_seed(0))
    state, before = net.state(), net.flat.clone()
    net.slope.fill_(1.0)
    net.update(0.1)
    assert not torch.equal(net.flat, before)
    net.restore(state)
    assert torch.equal(net.flat, before)
    assert float(net.mean.abs().sum()) == 0.0
