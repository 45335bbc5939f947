"""Tables of pairs with noise: what is there is found, and what is not there is not made up."""

from __future__ import annotations

import numpy as np
import pytest

from synthrelease.synthesis.generators.private import denoising
from synthrelease.synthesis.generators.private.codebook import Codes
from synthrelease.synthesis.generators.private.denoising import Denoised, Noisy, Slope
from synthrelease.synthesis.generators.private.public_domain import Cells


def codes_with(shares: np.ndarray, *, is_number: bool) -> Codes:
    size = len(shares)
    cells = Cells("x", starts=tuple(range(size)), stop=size - 1, ordered=True)
    if not is_number:
        cells = Cells("x", categories=tuple(f"l{place}" for place in range(size)))
    return Codes(cells, (*range(size), 0), (1.0,) * size + (0.0,), tuple(shares), False)


def counted(one: np.ndarray, other: np.ndarray, noise: float, rng: np.random.Generator, *, is_number: bool) -> Denoised:
    """Denoise the table of two columns of codes, counted with noise of a standard deviation in units."""
    rows, sizes = len(one), [int(one.max()) + 1, int(other.max()) + 1]
    exact = np.zeros(sizes)
    np.add.at(exact, (one, other), 1 / rows)
    sides = (exact.sum(axis=1), exact.sum(axis=0))
    width = sum(sizes)
    tables = np.zeros((width, width))
    tables[: sizes[0], sizes[0] :] = exact + noise / rows * rng.normal(size=sizes)
    tables[sizes[0] :, : sizes[0]] = tables[: sizes[0], sizes[0] :].T
    variances = np.array([[np.inf, (noise / rows) ** 2], [(noise / rows) ** 2, np.inf]])
    seen = Noisy(tables, np.concatenate(sides), np.array([0, sizes[0], width]), variances, {}, rows)
    return denoising.denoised(seen, [codes_with(side, is_number=is_number) for side in sides])


@pytest.mark.parametrize("is_number", [False, True])
@pytest.mark.parametrize("noise", [0.01, 10.0, 50.0])
def test_columns_that_do_not_depend_hardly_ever_get_anything_in_common(noise, is_number):
    rng = np.random.default_rng(1)
    signals, left = [], []
    for _ in range(40):
        one, other = rng.choice(4, 3_000, p=[0.6, 0.2, 0.15, 0.05]), rng.choice(3, 3_000, p=[0.7, 0.2, 0.1])
        found = counted(one, other, noise, rng, is_number=is_number)
        signals.append(found.signals[0, 1])
        expected = np.outer(found.tables[:4, 4:].sum(axis=1), found.tables[:4, 4:].sum(axis=0))
        left.append(3_000 * ((found.tables[:4, 4:] - expected) ** 2 / expected).sum())
    assert np.mean(np.array(signals) > 0.5) <= 0.1
    assert np.mean(np.array(left) > 1e-9) <= 0.1  # nothing at all, not a little


@pytest.mark.parametrize("is_number", [False, True])
def test_columns_that_depend_are_found_and_their_table_is_nearer_to_the_truth_than_the_noisy_one(is_number):
    rng = np.random.default_rng(2)
    one = rng.integers(0, 8, 5_000)
    other = (one + rng.integers(-2, 3, 5_000)).clip(0, 7)
    exact = np.zeros((8, 8))
    np.add.at(exact, (one, other), 1 / 5_000)
    noise = 30.0
    found = counted(one, other, noise, rng, is_number=is_number)
    assert found.signals[0, 1] > 0.99
    assert np.abs(found.tables[:8, 8:] - exact).sum() < 0.8 * np.abs(noise / 5_000 * rng.normal(size=(8, 8))).sum()
    assert 0 < found.variances[0, 1] < (noise / 5_000) ** 2


def test_a_sum_over_a_line_shows_what_single_codes_do_not():
    rng = np.random.default_rng(3)
    one = rng.integers(0, 12, 4_000)
    other = (rng.random(4_000) < 0.1 + 0.01 * one).astype(np.int64)
    exact = np.zeros((12, 2))
    np.add.at(exact, (one, other), 1 / 4_000)
    sides = [exact.sum(axis=1), exact.sum(axis=0)]
    noise, line = 40 / 4_000, denoising.line_of(sides[0], False)
    signals = {}
    for is_real in (True, False):
        table = exact if is_real else np.outer(*sides)
        tables = np.zeros((14, 14))
        tables[:12, 12:] = table + noise * rng.normal(size=(12, 2))
        tables[12:, :12] = tables[:12, 12:].T
        slopes = {(0, 1): Slope(line, line @ table, (8 / 4_000) ** 2)}
        seen = Noisy(
            tables, np.concatenate(sides), np.array([0, 12, 14]),
            np.array([[np.inf, noise**2], [noise**2, np.inf]]), slopes, 4_000,
        )  # fmt: skip
        columns = [codes_with(sides[0], is_number=True), codes_with(sides[1], is_number=False)]
        signals[is_real] = denoising.denoised(seen, columns).signals[0, 1]
    assert signals[True] > 0.9
    assert signals[False] < 0.5


def test_a_pair_that_was_not_counted_is_independent_and_nothing_is_known_of_it():
    shares = np.array([0.5, 0.5, 0.3, 0.7])
    seen = Noisy(np.zeros((4, 4)), shares, np.array([0, 2, 4]), np.full((2, 2), np.inf), {}, 100)
    found = denoising.denoised(seen, [codes_with(shares[:2], is_number=False), codes_with(shares[2:], is_number=False)])
    assert found.tables[:2, 2:] == pytest.approx(np.outer(shares[:2], shares[2:]))
    assert np.isnan(found.signals[0, 1])
    assert np.isinf(found.variances[0, 1])
