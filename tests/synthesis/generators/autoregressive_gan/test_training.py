"""Training that goes wrong is noticed, mended, begun again, or handed to the marginal-only generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_tables import clinic, draw, ignore

from synthrelease.core.contracts import FitSettings
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan import generator as gan
from synthrelease.synthesis.generators.autoregressive_gan import training
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.config import Config, config_for
from synthrelease.synthesis.generators.autoregressive_gan.critic import Critic
from synthrelease.synthesis.generators.autoregressive_gan.early_stopping import PATIENCE, InnerWatch
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter
from synthrelease.synthesis.generators.autoregressive_gan.training import Rows, UnstableError, train


def coded(rows: int = 300, *, seed: int = 0) -> tuple[Cells, torch.Tensor]:
    table = clinic(rows, seed=seed)
    encoder = Encoder.fit(table, FINE)
    encoded = encoder.encode(table.frame)
    cells = Cells.fit(encoder, encoded, order=range(5), knots=4)
    return cells, torch.from_numpy(cells.codes(encoded))


def settings(**overrides: float) -> Config:
    return config_for(300, columns=5, overrides={"steps": 100, "hidden": 32, **overrides})


def nothing(step: int, losses: object) -> None:
    """Hear of an update."""


def likelihood_of(writer: RowWriter, rows: torch.Tensor) -> float:
    with torch.no_grad():
        return float(writer.surprise(rows, writer.weights()).sum(1).mean())


def test_training_lowers_the_surprise_and_the_state_is_healthy():
    cells, rows = coded()
    config = settings()
    done = train(cells, Rows(rows), config=config, seed=1, report=nothing)
    before = train(cells, Rows(rows), config=replace(config, generator_lr=1e-6), seed=1, report=nothing)
    assert likelihood_of(done.writer, rows) < likelihood_of(before.writer, rows) - 0.5
    assert (done.stopped_at, done.mended) == (100, "")
    assert all(sign.coverage > 0.9 and sign.spread > 0.8 for sign in done.signs)


def test_a_learning_rate_a_hundred_times_too_high_still_teaches():
    cells, rows = coded()
    plain = train(cells, Rows(rows), config=settings(), seed=1, report=nothing)
    fast = train(cells, Rows(rows), config=settings(generator_lr=100 * 3e-3), seed=1, report=nothing)
    assert likelihood_of(fast.writer, rows) < likelihood_of(plain.writer, rows) + 0.2


@pytest.mark.parametrize("seed", [1, 2])
def test_a_learning_rate_ten_thousand_times_too_high_is_given_up(seed):
    cells, rows = coded()
    config = replace(settings(), generator_lr=30.0)  # beyond what the range of the setting allows
    with pytest.raises(UnstableError, match="diverged at update"):
        train(cells, Rows(rows), config=config, seed=seed, report=nothing)


def test_going_back_takes_smaller_learning_rates_from_the_last_good_state(monkeypatch):
    cells, rows = coded()
    broken, rates = [], []

    def look(state, *args, step, **others):
        sign = original(state, *args, step=step, **others)
        return replace(sign, losses={"likelihood": float("nan")}) if 40 < step < 60 and not broken else sign

    def diagnosed(signs, config):
        found = judge(signs, config)
        if found.state != "healthy":
            broken.append(found)
        return found

    def rated(optimiser, rate):
        rates.append(rate)
        put(optimiser, rate)

    original, judge, put = training._look, training._diagnosis, training._set_rate
    monkeypatch.setattr(training, "_look", look)
    monkeypatch.setattr(training, "_diagnosis", diagnosed)
    monkeypatch.setattr(training, "_set_rate", rated)
    done = train(cells, Rows(rows), config=settings(adversarial_weight=0), seed=1, report=nothing)
    assert len(broken) == 1
    assert "diverged" in done.mended
    assert max(rates[60:]) < 0.3 * max(rates)
    assert np.isfinite(likelihood_of(done.writer, rows))


def test_a_critic_that_is_switched_off_is_noticed(monkeypatch):
    monkeypatch.setattr(Critic, "forward", lambda self, rows: (0.0 * rows).sum(1))
    cells, rows = coded()
    with pytest.raises(UnstableError, match="critic has no gradient"):
        train(cells, Rows(rows), config=settings(adversarial_start=0.0), seed=1, report=nothing)


def test_a_generator_that_writes_one_row_only_is_noticed(monkeypatch):
    def constant(writer, weights, ready, rows, **others):
        return np.zeros((rows, 5), dtype=np.int64), np.full((rows, 5), 0.5)

    monkeypatch.setattr(training, "draw", constant)
    cells, rows = coded()
    with pytest.raises(UnstableError, match=r"collapsed|diverged"):
        train(cells, Rows(rows), config=settings(), seed=1, report=nothing)


def test_training_that_stays_unstable_ends_with_the_marginal_only_generator_and_says_so(monkeypatch):
    tried = []

    def unstable(cells, rows, *, config, seed, report):
        tried.append((config.generator_lr, seed))
        raise UnstableError("Training diverged at update 4: a loss is not finite.")

    monkeypatch.setattr(gan, "train", unstable)
    fitted = gan.fit(clinic(), FitSettings(seed=3, effort=0.05), ignore)
    assert [seed for _, seed in tried] == [3, 4, 5]
    assert tried[0][0] > tried[1][0] > tried[2][0]
    assert fitted.description["generator"] == "marginals"
    assert len(fitted.notices) == 4
    assert "marginal-only generator took its place" in fitted.notices[-1]
    assert len(draw(fitted)) == 500


def test_a_restart_that_goes_well_is_kept_with_a_notice(monkeypatch):
    real, calls = gan.train, []

    def once(cells, rows, *, config, seed, report):
        calls.append(seed)
        if len(calls) == 1:
            raise UnstableError("Training diverged at update 4: a loss is not finite.")
        return real(cells, rows, config=config, seed=seed, report=report)

    monkeypatch.setattr(gan, "train", once)
    fitted = gan.fit(clinic(), FitSettings(seed=3, effort=0.05), ignore)
    assert fitted.description["generator"] == "gan"
    assert "another seed" in fitted.notices[0]
    assert len(fitted.notices) == 1


def test_learning_by_heart_is_stopped_and_the_better_state_kept():
    cells, rows = coded(120)
    _, inner = coded(400, seed=8)
    inner = torch.minimum(inner, torch.tensor([len(each.shares) - 1 for each in cells.columns]))
    config = settings(steps=1_500, weight_decay=0, hidden=256, adversarial_weight=0)
    stopped = train(cells, Rows(rows, inner), config=config, seed=1, report=nothing)
    to_the_end = train(cells, Rows(rows), config=config, seed=1, report=nothing)
    assert stopped.stopped_at < 750
    assert likelihood_of(stopped.writer, inner) < likelihood_of(to_the_end.writer, inner) - 1


def test_the_watch_keeps_a_state_until_it_is_surely_worse():
    cells, rows = coded(60)
    good = train(cells, Rows(rows), config=settings(steps=60, generator_lr=0.01), seed=1, report=nothing).writer
    worse = train(cells, Rows(rows), config=settings(steps=1), seed=1, report=nothing).writer
    watch = InnerWatch(rows)
    assert not watch.is_over(good, step=1)
    assert [watch.is_over(worse, step=step) for step in range(2, 2 + PATIENCE)] == [False] * (PATIENCE - 1) + [True]
    assert watch.step == 1


def test_a_critic_costs_at_most_a_fifth_of_the_updates(monkeypatch):
    """An update with the critic costs at most some four others: measured on stroke, which has 12 columns."""
    calls = []
    relaxed = RowWriter.relaxed
    monkeypatch.setattr(RowWriter, "relaxed", lambda *args, **named: calls.append(1) or relaxed(*args, **named))
    cells, rows = coded()
    for size in (1_000, 100_000):
        calls.clear()
        config = config_for(size, overrides={"steps": 64, "hidden": 16, "batch_size": 64})
        train(cells, Rows(rows), config=config, seed=1, report=nothing)
        assert 0 < len(calls) / 64 <= 0.15


def test_rows_count_by_their_weights():
    cells, codes = coded()
    is_ill = codes[:, 4] == codes[0, 4]
    weights = torch.where(is_ill, 2.0, 0.0)
    rows = Rows(codes, weights=weights / weights.mean())
    drawn = rows.drawn(200, torch.Generator().manual_seed(0))
    assert bool(is_ill[drawn].all())
    losses = is_ill.float()
    assert float(rows.mean(losses, slice(None))) == pytest.approx(1.0)
    assert float(Rows(codes).mean(losses, slice(None))) == pytest.approx(float(losses.mean()))
    alone = train(cells, rows, config=settings(steps=30, adversarial_weight=0), seed=1, report=nothing).writer
    alike = train(cells, Rows(codes), config=settings(steps=30, adversarial_weight=0), seed=1, report=nothing).writer
    assert likelihood_of(alone, codes[is_ill]) < likelihood_of(alike, codes[is_ill])
    assert likelihood_of(alone, codes[~is_ill]) > likelihood_of(alike, codes[~is_ill])
