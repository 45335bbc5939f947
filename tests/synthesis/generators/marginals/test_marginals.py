"""The marginal-only generator: parts and levels, the matching loss, and bounded memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from made_tables import QUICK, clinic, draw, ignore

from synthrelease.core.contracts import Column, Schema, Table
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan.critic import Blocks
from synthrelease.synthesis.generators.marginals import generator as marginals
from synthrelease.synthesis.generators.marginals import marginal_loss
from synthrelease.synthesis.generators.marginals.features import CONDITION_GROUPS, Layout


def test_rows_are_drawn_in_pieces_that_bound_memory(monkeypatch):
    quick = marginals.fit(clinic(), QUICK, ignore)
    monkeypatch.setattr(marginals, "SAMPLED_CELLS", 7 * quick.layout.parts)
    frame = draw(quick, 100)
    assert len(frame) == 100
    assert not frame.duplicated().all()


def test_more_training_rows_and_effort_mean_more_updates():
    assert marginals.recipe_for(1_000, 100, 2.0).steps == pytest.approx(
        2 * marginals.recipe_for(1_000, 100, 1.0).steps, abs=1
    )
    assert marginals.recipe_for(10**9, 100, 1.0).steps < 10_000
    assert marginals.recipe_for(1_000, 10_000, 1.0).batch < marginals.recipe_for(1_000, 100, 1.0).batch


def test_wide_tables_compare_some_columns_at_each_step():
    rng = np.random.default_rng(0)
    categories = tuple(f"c{place}" for place in range(300))
    columns = tuple(Column(f"x{place}", "categorical", categories=categories) for place in range(10))
    draws = {
        column.name: pd.Categorical.from_codes(rng.integers(0, 300, 4_000), list(categories)) for column in columns
    }
    table = Table(pd.DataFrame(draws), Schema(columns), "real")
    encoder = Encoder.fit(table)
    layout = Layout.fit(encoder, encoder.encode(table.frame), None)
    features = marginal_loss.features_of(layout, torch.ones(layout.parts), groups=1, knots=5)
    assert marginal_loss.MAX_WIDTH < len(features.column) <= 10 * marginal_loss.MAX_LEVELS + 1 < layout.parts
    chosen = marginal_loss.some_columns(features, rng=torch.Generator().manual_seed(0))
    assert 2 <= len(torch.unique(chosen.column)) < 11
    assert len(chosen.column) <= marginal_loss.MAX_WIDTH
    assert chosen.column[-1] == features.column[-1]  # the condition


def test_layout_turns_rows_into_parts_and_levels_and_back():
    table = clinic(400, target="size")
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table.frame)
    layout = Layout.fit(encoder, encoded, "size")
    rows = layout.rows(encoder, encoded)
    places = rows.parts - np.array(layout.starts[:-1])
    back = layout.encoded(encoder, places, rows.levels, rows.groups)
    rare = encoder.names.index("ward")
    assert (back.codes == encoded.codes).mean() > 0.999  # levels are float32
    assert (back.codes[:, rare] == encoded.codes[:, rare]).all()
    assert len(layout.group_shares) == CONDITION_GROUPS
    assert max(layout.group_shares) < 0.3
    levels = rows.levels[:, 0]
    assert np.abs(np.quantile(levels, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03


def test_block_softmax_is_one_block_at_a_time():
    owner = torch.tensor([0, 0, 0, 1, 2, 2])
    blocks = Blocks(owner)
    logits = torch.tensor([[1.0, -2.0, 0.5, 3.0, 0.0, 4.0]])
    by_hand = torch.cat([torch.softmax(part, 1) for part in (logits[:, :3], logits[:, 3:4], logits[:, 4:])], dim=1)
    torch.testing.assert_close(blocks.softmax(logits), by_hand)


def test_table_distance_is_zero_for_the_training_rows_and_counts_what_a_loop_counts():
    table = clinic(300)
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table.frame)
    layout = Layout.fit(encoder, encoded, "ill")
    rows = layout.rows(encoder, encoded)
    shares = torch.from_numpy(np.bincount(rows.parts.ravel(), minlength=layout.parts) / 300).float()
    features = marginal_loss.features_of(layout, shares, groups=2, knots=4)
    parts = torch.zeros(300, layout.parts).scatter_(1, torch.from_numpy(rows.parts), 1.0)
    condition = torch.nn.functional.one_hot(torch.from_numpy(rows.groups), 2).float()
    made = features(parts, torch.from_numpy(rows.levels), condition)
    tables = marginal_loss.tables_of(made, condition)
    by_hand = sum(condition[row, 1] * torch.outer(made[row], made[row]) for row in range(300)) / 300
    torch.testing.assert_close(tables[1], by_hand, atol=1e-5, rtol=1e-4)
    for chosen in ([0], [3, 1], [2, 0, 1]):
        some = features.of_columns(torch.tensor(chosen))
        kept = torch.isin(features.column, torch.tensor([*chosen, layout.blocks.index(3) + 1]))
        torch.testing.assert_close(some(parts, torch.from_numpy(rows.levels), condition), made[:, kept])
    target = marginal_loss.Target.of(tables, features.column)
    assert float(target.distance(tables)) == 0.0
    assert float(target.distance(tables * 0.9)) > 0.0
    ward = torch.nonzero(features.column == layout.blocks.index(encoder.names.index("ward"))).flatten()
    assert (target.weights[:, ward][:, :, ward] == 0).all()
