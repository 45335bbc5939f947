"""The model of the target under differential privacy: what it finds in tables with noise, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthrelease.synthesis.generators.private import codebook, denoising, target_model
from synthrelease.synthesis.generators.private.public_domain import Cells
from synthrelease.synthesis.generators.private.target_sampling import Labels


def codes_with(shares: np.ndarray, *, is_number: bool) -> codebook.Codes:
    size = len(shares)
    if is_number:
        cells = Cells("x", starts=tuple(range(size)), stop=size - 1, ordered=True)
    else:
        cells = Cells("x", categories=tuple(f"l{place}" for place in range(size)))
    return codebook.Codes(cells, (*range(size), 0), (1.0,) * size + (0.0,), tuple(shares), False)


def model_of(codes, *, numbers=(), noise=1e-6, slopes=False, rng=None, temperature=1.0) -> Labels:
    """Fit the last column of codes to its tables with the others, with noise in shares on every cell and sum."""
    rng = rng or np.random.default_rng(0)
    sizes = codes.max(axis=0) + 1
    starts = np.concatenate([[0], np.cumsum(sizes)])
    hot = np.zeros((len(codes), starts[-1]))
    np.put_along_axis(hot, codes + starts[:-1], 1.0, axis=1)
    exact = hot.T @ hot / len(codes)
    shares, last = np.diag(exact), len(sizes) - 1
    parts = np.split(shares, starts[1:-1])
    columns = [codes_with(part, is_number=at in numbers) for at, part in enumerate(parts)]
    tables = (exact + noise * rng.normal(size=exact.shape))[:, starts[last] :]
    lines = {at: denoising.line_of(parts[at], False) for at in numbers if slopes and at != last}
    known = {
        at: denoising.Slope(
            line,
            line @ exact[starts[at] : starts[at + 1], starts[last] :] + noise * rng.normal(size=sizes[last]),
            noise**2,
        )
        for at, line in lines.items()
    }
    seen = target_model.Seen(tables, np.full(len(sizes), noise**2), known, len(codes))
    return target_model.fit(codes, seen, columns, shares, last, temperature=temperature)


def three_columns(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    codes = np.stack([rng.integers(0, 3, rows), rng.integers(0, 2, rows), np.zeros(rows, np.int64)], axis=1)
    chance = 1 / (1 + np.exp(-(np.array([-3.0, -2.0, 0.0])[codes[:, 0]] + codes[:, 1])))
    codes[:, 2] = rng.random(rows) < chance
    return codes, chance


def test_the_model_of_the_target_finds_the_effects_that_tables_hold():
    rng = np.random.default_rng(0)
    codes, chance = three_columns(20_000, rng)
    labels = model_of(codes)
    assert np.abs(labels.probabilities(codes)[:, 1] - chance).max() < 0.05
    drawn = labels.drawn(codes[:3_000], rng)
    expected = labels.probabilities(codes[:3_000])[:, 1]
    for code in range(3):
        chosen = codes[:3_000, 0] == code
        assert abs(drawn[chosen, 2].sum() - expected[chosen].sum()) < 4
    assert (drawn[:, :2] == codes[:3_000, :2]).all()


def test_classes_keep_their_shares_however_the_tables_mislead():
    rng = np.random.default_rng(1)
    codes = np.stack([rng.integers(0, 5, 4_000), rng.integers(0, 4, 4_000), rng.random(4_000) < 0.05], axis=1)
    codes = codes.astype(np.int64)
    for noise in (1e-6, 0.005, 0.02, 0.1):
        for temperature in (1.0, 0.4):
            chances = model_of(codes, noise=noise, rng=rng, temperature=temperature).probabilities(codes)
            assert chances[:, 1].mean() == pytest.approx(codes[:, 2].mean(), rel=0.05)


def test_how_risk_rises_with_a_number_survives_noise_that_drowns_single_codes():
    rng = np.random.default_rng(2)
    codes = np.stack([rng.integers(0, 15, 3_600), *(rng.integers(0, 3, 3_600) for _ in range(4))], axis=1)
    chance = 0.1 / (1 + np.exp(-(codes[:, 0] - 10) / 1.5))
    codes = np.column_stack([codes, rng.random(3_600) < chance]).astype(np.int64)
    order, spurious = [], []
    for _ in range(5):
        labels = model_of(codes, numbers=(0,), noise=25 / 3_600, slopes=True, rng=rng)  # a cell holds 12 positives
        risk = labels.effects[:, 1] - labels.effects[:, 0]
        order.append(np.corrcoef(risk[:15], np.arange(15))[0, 1])
        spurious.append(np.abs(risk[15:27]).mean() / np.abs(risk[:15]).mean())
    assert np.mean(order) > 0.9
    assert np.mean(spurious) < 0.25


def test_classes_of_a_number_and_many_labels_are_followed():
    rng = np.random.default_rng(3)
    one = rng.integers(0, 8, 6_000)
    codes = np.stack([one, rng.integers(0, 3, 6_000), (one + rng.integers(0, 3, 6_000)).clip(0, 7)], axis=1)
    for numbers in ((0, 2), ()):
        found = model_of(codes, numbers=numbers, noise=10 / 6_000, rng=rng).probabilities(codes)
        assert np.corrcoef(found @ np.arange(8), codes[:, 2])[0, 1] > 0.85


def test_a_temperature_makes_risks_more_decisive_and_leaves_their_order():
    codes, _ = three_columns(4_000, np.random.default_rng(4))
    plain, sharp = (model_of(codes, temperature=each).probabilities(codes)[:, 1] for each in (1.0, 0.5))
    assert sharp.std() > 1.3 * plain.std()
    assert stats.spearmanr(plain, sharp).statistic > 0.999


def test_labels_are_drawn_more_decisively_the_fewer_rows_tell_classes_apart():
    rare, even = (codes_with(np.array([share, 1 - share]), is_number=False) for share in (0.05, 0.5))
    assert target_model.temperature_of(rare, 3_600) == pytest.approx(0.42, abs=0.01)
    assert target_model.temperature_of(rare, 3_600) < target_model.temperature_of(even, 3_600) < 1.0
    empty = codes_with(np.array([0.5, 0.4999, 0.0001]), is_number=False)  # a label that hardly anybody has
    assert target_model.temperature_of(empty, 3_600) == pytest.approx(
        target_model.temperature_of(even, 3_600), abs=0.01
    )
    assert target_model.temperature_of(codes_with(np.full(8, 1 / 8), is_number=True), 3_600) == 1.0


def test_a_quarter_of_the_updates_finds_effects_where_some_sums_are_known_far_better_than_others(monkeypatch):
    rng = np.random.default_rng(5)
    codes = np.stack([rng.integers(0, 24, 8_000), *(rng.integers(0, 12, 8_000) for _ in range(5))], axis=1)
    for column in (1, 2):  # columns that tell nearly the same
        codes[:, column] = np.where(rng.random(8_000) < 0.95, codes[:, 0] // 2, codes[:, column])
    chance = 1 / (1 + np.exp(-(3.0 * np.sin(codes[:, 0]) + codes[:, 1] / 3 - 6)))
    codes = np.column_stack([codes, rng.random(8_000) < chance]).astype(np.int64)
    found = []
    for updates in (target_model.UPDATES // 4, 20 * target_model.UPDATES):
        monkeypatch.setattr(target_model, "UPDATES", updates)
        found.append(model_of(codes, numbers=(0, 1), noise=1e-6).probabilities(codes)[:, 1])
    assert np.abs(found[0] - found[1]).max() < 0.01


def test_noise_hardly_ever_passes_for_an_effect():
    rng = np.random.default_rng(6)
    codes = np.stack([*(rng.integers(0, 2, 3_000) for _ in range(12)), rng.random(3_000) < 0.05], axis=1)
    strengths = []
    for _ in range(4):
        labels = model_of(codes.astype(np.int64), noise=0.002, rng=rng)
        odds = labels.effects[:, 1] - labels.effects[:, 0]
        strengths += [np.ptp(odds[start : start + 2]) for start in labels.starts[:-2]]
    assert np.mean(np.array(strengths) > 0.2) < 0.25
