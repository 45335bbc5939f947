"""The default generator's speed as ratios within one run: writing rows, and what an update costs as tables grow."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter, Width
from synthrelease.synthesis.generators.autoregressive_gan.sampling import Manner, choices, draw
from synthrelease.synthesis.generators.threads import one_thread

ROUNDS = 5


def core_seconds(work: Callable[[], object]) -> float:
    """The quickest of a few rounds, in seconds of one core."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def made(rows: int, columns: int, levels: int = 12) -> tuple[Cells, RowWriter, torch.Tensor]:
    """A table of as many numbers as labels, and an untrained writer of it."""
    rng = np.random.default_rng(0)
    labels = [f"l{place}" for place in range(levels)]
    frame, declared = {}, []
    for place in range(columns):
        if place % 2:
            frame[f"c{place}"] = pd.Categorical.from_codes(rng.integers(0, levels, rows), labels)
            declared.append(Column(f"c{place}", "categorical", categories=tuple(labels)))
        else:
            frame[f"c{place}"] = rng.normal(size=rows).round(3)
            declared.append(Column(f"c{place}", "numeric"))
    table = Table(pd.DataFrame(frame), Schema(tuple(declared)), "real")
    encoder = Encoder.fit(table, FINE)
    encoded = encoder.encode(table.frame)
    cells = Cells.fit(encoder, encoded, order=range(columns), knots=10)
    writer = RowWriter(cells, Width(256, 1), rng=torch.Generator().manual_seed(0))
    return cells, writer, torch.from_numpy(cells.codes(encoded))


@torch.no_grad()
def a_pass_a_column(cells: Cells, writer: RowWriter, rows: int) -> torch.Tensor:
    """Write rows as a masked network is usually sampled: the whole network once for every column."""
    weights = writer.weights()
    codes = torch.zeros(rows, len(cells.columns), dtype=torch.int64)
    for place in range(len(cells.columns)):
        start, stop = writer.feature_starts[place : place + 2]
        scores = writer.scores(writer.features(codes, weights), weights)[:, start:stop]
        shares = torch.softmax(writer.logits(place, scores, weights), dim=1)
        codes[:, place] = torch.multinomial(shares, 1)[:, 0]
    return codes


@pytest.mark.bench
@pytest.mark.parametrize("columns", [15, 60])
def test_writing_rows_costs_a_fraction_of_one_pass_a_column(columns):
    cells, writer, _ = made(5_000, columns)
    ready = choices(writer, writer.weights(), cells, Manner())
    rng = np.random.default_rng(0)

    def ours() -> None:
        draw(writer, writer.weights(), ready, 4_096, spread="even", rng=rng)

    with one_thread():
        slow, fast = core_seconds(lambda: a_pass_a_column(cells, writer, 4_096)), core_seconds(ours)
    print(f"\n{columns} columns: {4_096 / fast:,.0f} rows a second, {slow / fast:.1f} times those of a pass a column")
    assert slow / fast > 1.5


@pytest.mark.bench
def test_an_update_costs_the_same_for_many_rows_and_grows_with_features_not_with_pairs_of_levels():
    def update(rows: int, columns: int, levels: int = 12) -> float:
        _, writer, codes = made(rows, columns, levels)
        batch = codes[:512]

        def once() -> None:
            torch.autograd.backward(writer.surprise(batch, writer.weights()).sum(1).mean())

        return core_seconds(once)

    with one_thread():
        plain = update(20_000, 20)
        found = {
            "four times the rows": update(80_000, 20) / plain,
            "three times the columns": update(20_000, 60) / plain,
            "ten times the levels": update(20_000, 20, 120) / plain,
        }
    print(f"\nan update: {1_000 * plain:.0f} ms;", ", ".join(f"{words}: {ratio:.1f}" for words, ratio in found.items()))
    assert found["four times the rows"] < 1.5
    assert found["three times the columns"] < 6
    assert found["ten times the levels"] < 3
