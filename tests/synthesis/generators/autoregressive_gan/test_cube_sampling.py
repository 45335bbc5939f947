"""The cube method: every row keeps its own chance, and groups get what their rows' chances add up to."""

from __future__ import annotations

import numpy as np
import pytest

from synthrelease.synthesis.generators.autoregressive_gan import cube_sampling


def test_every_row_is_chosen_with_its_own_chance():
    rng = np.random.default_rng(0)
    chances = rng.random(12)
    among = np.column_stack([np.ones(12), np.arange(12) % 2, np.arange(12) // 6])
    often = np.mean([cube_sampling.chosen(chances, among, rng=rng) for _ in range(4_000)], axis=0)
    assert np.abs(often - chances).max() < 4 * (0.25 / 4_000) ** 0.5


def test_groups_get_what_their_chances_add_up_to():
    rng = np.random.default_rng(1)
    ranks = rng.random((600, 4))
    chances = 0.05 + 0.5 * ranks[:, 0]
    among = cube_sampling.groups(ranks)
    gaps = {"balanced": [], "independent": []}
    for _ in range(10):
        gaps["balanced"].append(among.T @ (cube_sampling.chosen(chances, among, rng=rng) - chances))
        gaps["independent"].append(among.T @ ((rng.random(600) < chances) - chances))
    spread = {name: float(np.std(each)) for name, each in gaps.items()}
    assert spread["balanced"] < 0.3 * spread["independent"]
    assert np.abs(np.array(gaps["balanced"])[:, 0]).max() < 1.5, "the sum over all rows is the last to be let go"


def test_groups_cut_columns_into_parts_of_like_size_and_keep_few_values_whole():
    ranks = np.column_stack([np.linspace(0, 1, 200), np.repeat([0.2, 0.8], 100)])
    among = cube_sampling.groups(ranks)
    assert among.shape == (200, 1 + 9 + 1)
    assert among[:, 0].sum() == 200
    assert set(among[:, 1:10].sum(axis=0)) == {20}
    assert among[:, 10].sum() == 100
    assert cube_sampling.groups(ranks[:0]).shape[0] == 0


@pytest.mark.parametrize("count", [2, 3, 5])
def test_labels_have_the_shares_that_were_asked_for(count):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.ones(count), 400)
        drawn = cube_sampling.labels(shares, cube_sampling.groups(rng.random((400, 3))), rng=rng)
        assert np.abs(np.bincount(drawn, minlength=count) - shares.sum(axis=0)).max() < 3
    assert (
        cube_sampling.labels(np.eye(count)[np.arange(30) % count], np.ones((30, 1)), rng=rng) == np.arange(30) % count
    ).all()


def test_a_later_label_has_its_own_chance_in_every_row():
    rng = np.random.default_rng(4)
    shares = rng.dirichlet(np.ones(3), 12)
    among = cube_sampling.groups(rng.random((12, 1)))
    often = np.zeros((12, 3))
    for _ in range(1_000):
        often += np.eye(3)[cube_sampling.labels(shares, among, rng=rng)] / 1_000
    assert np.abs(often - shares).max() < 4.5 * (0.25 / 1_000) ** 0.5


def test_a_row_alone_is_drawn_by_its_chance():
    rng = np.random.default_rng(3)
    drawn = [cube_sampling.labels(np.array([[0.3, 0.7]]), np.ones((1, 1)), rng=rng)[0] for _ in range(600)]
    assert 0.62 < np.mean(drawn) < 0.78
