"""Cells found in rounds: bounds far wider than what occurs, bulks far from both, decimals, and what leaves for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from private_tables import ROW

from synthrelease.core.contracts import Column, PrivacyBudget, Schema, Table
from synthrelease.privacy import noise as os_noise
from synthrelease.synthesis.generators.private import codebook, noisy_counts, refined_cells, single_columns
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of, decimals_of

ONE = dataclasses.replace(ROW, epsilon=1.0)
ROWS, SHARE = 4_000, 0.1


def bulk(seed: int = 0) -> np.ndarray:
    """A quarter of heaps at 0, the rest skewed; nearly all in 0..100."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(ROWS) < 0.25, 0.0, 20 * np.exp(0.5 * rng.normal(size=ROWS))).round(1)


def single(column: Column, values: np.ndarray, *, budget: PrivacyBudget = ONE) -> single_columns.Single:
    data = Table(pd.DataFrame({column.name: values}), Schema((column,), unit_is_row=True), "real")
    domains = [cells_of(column)]
    rows = noisy_counts.counted(data, domains, budget)
    return single_columns.counted(rows, domains, budget, units=len(values), share=SHARE, most=20).rounded([column])


def made(found: single_columns.Single, seed: int = 0) -> np.ndarray:
    codes, rng = found.columns[0], np.random.default_rng(seed)
    return np.asarray(codes.decode(rng.choice(codes.size, ROWS, p=np.array(codes.shares)), rng))


def apart(real: np.ndarray, other: np.ndarray) -> float:
    """Total variation in twenty bins with equally many real rows."""
    edges = np.unique(np.quantile(real, np.arange(1, 20) / 20))
    shares = [np.bincount(np.searchsorted(edges, each, side="right"), minlength=20) / ROWS for each in (real, other)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


@pytest.mark.parametrize("decimals", [1, None])
@pytest.mark.parametrize(("bounds", "shift"), [((0, 1_000), 0), ((0, 10_000), 0), ((0, 10_000), 4_500)])
def test_bounds_far_wider_than_the_bulk_cost_little(bounds, shift, decimals):
    narrow, wide = [], []
    for seed in range(5):
        real = bulk(seed)
        near = Column("x", "numeric", bounds=(0, 100), decimals=decimals)
        narrow.append(apart(real, made(single(near, real))))
        moved = real + shift
        far = Column("x", "numeric", bounds=bounds, decimals=decimals)
        wide.append(apart(moved, made(single(far, moved))))
    assert np.mean(narrow) < 0.12
    assert np.mean(wide) < 1.3 * np.mean(narrow) + 0.03


def test_open_decimals_follow_from_the_bulk_and_not_from_bounds():
    wide = Column("x", "numeric", bounds=(0.0, 1e5))
    assert decimals_of(wide) == 0
    values = made(single(wide, bulk()))
    assert (np.round(values, 1) != np.round(values)).mean() > 0.5
    assert np.allclose(values, np.round(values, 3))
    whole = made(single(dataclasses.replace(wide, decimals=0), bulk()))
    assert (whole == np.round(whole)).all()


def test_a_heap_lies_on_the_roundest_value_of_its_cell():
    assert refined_cells._roundest(4_499_120, 4_500_890) == 4_500_000
    assert refined_cells._roundest(-1_250, -1_150) == -1_200
    assert refined_cells._roundest(7, 8) == 7
    assert refined_cells._roundest(-5, 3) == 0
    found = made(single(Column("x", "numeric", bounds=(0, 10_000)), bulk() + 4_500))
    assert (found == 4_500).mean() == pytest.approx(0.25, abs=0.08)


def test_what_is_rounded_stays_within_bounds():
    cells = Cells("x", starts=(123, 200), stop=456, decimals=2, ordered=True, written=0)
    values = cells.values(np.array([0, 0, 1, 1, 2]), np.array([0.0, 0.99, 0.0, 0.999, 0.0]))
    assert values[:-1].tolist() == [1.23, 2.0, 2.0, 4.56]
    assert np.isnan(values[-1])


def test_cells_are_cut_by_noisy_counts_alone_and_each_count_has_its_receipt(monkeypatch):
    put: list[tuple[int, float]] = []

    def spy(counts, scale):
        put.append((np.size(counts), scale))
        return counts * 0 + np.arange(np.size(counts)).reshape(np.shape(counts)) % 7 * 100

    monkeypatch.setattr(os_noise, "discrete_gaussian", spy)
    column = Column("x", "numeric", bounds=(0, 10_000), decimals=1)
    found = [single(column, values) for values in (bulk(), np.full(ROWS, 7_777.7))]
    assert put[: len(put) // 2] == put[len(put) // 2 :]
    assert found[0].columns == found[1].columns
    rounds = len(refined_cells.ROUNDS)
    assert [scale for _, scale in put[: rounds + 1]] == [each.scale for each in found[0].noises]
    shares = sum((ONE_NOISE / each.multiplier) ** 2 for each in found[0].noises)
    assert shares == pytest.approx(SHARE, rel=0.01)


ONE_NOISE = noisy_counts.Noise.of("all", 1, ONE, 1.0).multiplier


def test_one_row_changes_one_cell_of_each_round_and_column(monkeypatch):
    monkeypatch.setattr(os_noise, "discrete_gaussian", lambda counts, scale: np.asarray(counts).copy())
    column = Column("x", "numeric", bounds=(0, 10_000), decimals=1)
    values = bulk()
    cells = cells_of(column)
    full = single(column, values)
    rows = cells.encode(pd.Series(values))[:, None]
    for folded, counts in [*((each.folded, each.counts) for each in full.rounds), (full.folded, full.counts)]:
        assert np.array_equal(counts[0], np.bincount(folded(rows)[:, 0], minlength=folded.sizes[0]))
        assert counts[0].sum() == ROWS


def test_smoothing_towards_what_is_expected_leaves_empty_stretches_empty():
    rng = np.random.default_rng(0)
    exact, expected = np.zeros(300), np.full(300, 1e-6)
    exact[100:120], expected[100:120] = 200, 0.05
    noisy = exact + rng.normal(0, 40, 300)
    plain, better = (codebook.smoothed(noisy, 40, each) for each in (None, expected))
    assert better.sum() == pytest.approx(plain.sum())
    assert np.delete(better, np.arange(100, 120)).sum() < 0.2 * np.delete(plain, np.arange(100, 120)).sum() + 40
    exact[200] = 3_000  # and what nobody expected is found all the same
    assert codebook.smoothed(exact + rng.normal(0, 40, 300), 40, expected)[200] > 2_300


def test_far_from_the_bulk_only_what_stands_out_is_kept_and_near_it_everything():
    rng = np.random.default_rng(1)
    cells = Cells("x", starts=tuple(range(0, 3_000, 10)), stop=2_999, ordered=True)
    exact = np.zeros(300)
    exact[10:20], exact[20:40] = 900, 40  # a tail of single cells within the noise
    noisy = exact + rng.normal(0, 40, 300)
    found = codebook.counts_of(cells, noisy, 40)
    assert 100 < found[20:40].sum() < 1_300
    assert found[80:].sum() == 0
    exact[250] = 1_000
    far = codebook.counts_of(cells, exact + rng.normal(0, 40, 300), 40)
    assert far[250] > 500
    assert far[80:240].sum() == 0


def test_heaps_do_not_decide_what_is_far():
    cells = Cells("x", starts=(0, 1, *range(11, 1_000, 10)), stop=1_010, ordered=True)
    exact = np.concatenate([[9_000.0], np.full(100, 0.0)])
    exact[1:40] = 40
    found = codebook.counts_of(cells, exact + np.random.default_rng(2).normal(0, 20, 101), 20)
    assert found[0] > 8_500
    assert found[1:40].sum() > 1_200
