"""The private generator: sensitivities, what depends on the data, broken builds, and a build from end to end."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from conftest import ward
from made_tables import ignore
from private_tables import COLUMNS, LETTERS, PATIENT, ROW, SCHEMA, table
from scipy import stats

from synthrelease.core.contracts import Column, FitSettings, PrivacyBudget, PrivacySpend, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.privacy import accounting, one_run_audit
from synthrelease.privacy import noise as os_noise
from synthrelease.synthesis import constraint_repair, generators
from synthrelease.synthesis.generators.private import codebook, denoising, noisy_counts
from synthrelease.synthesis.generators.private import generator as private
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of
from synthrelease.workflows import build, run_options


@pytest.fixture
def no_noise(monkeypatch):
    monkeypatch.setattr(os_noise, "discrete_gaussian", lambda counts, scale: np.asarray(counts).copy())


# What one unit can change.


def everything(data: Table, asked: PrivacyBudget) -> list[tuple[float, np.ndarray]]:
    """Each group of tables without noise: (square root of its stated number of tables, its values in units)."""
    domains = [cells_of(column) for column in data.schema.learned]
    rows = noisy_counts.counted(data, domains, asked)
    starts = np.concatenate([[0], np.cumsum([each.size for each in domains])])
    both = ~np.eye(len(domains), dtype=np.bool_)
    noise = noisy_counts.Noise("pairs", len(domains) * (len(domains) - 1) // 2, 1.0)
    ones = noisy_counts.histograms(rows, domains, noisy_counts.Noise("ones", len(domains), 1.0))
    pairs = noisy_counts.pair_tables(rows, rows.cells, starts, [(noise, both)])
    line = np.rint(np.linspace(-1, 1, domains[0].size) * noisy_counts.MOMENT_STEPS).astype(np.int64)
    places = [line[rows.cells[:, 0]]]
    sums = noisy_counts.target_moments(rows, places, rows.cells[:, 3], 3, noisy_counts.Noise("sums", 1, 1.0))
    total = noisy_counts.noisy_units(rows, noisy_counts.Noise("units", 1, 1.0))
    groups = [(len(domains), np.concatenate(ones)), (noise.tables, np.triu(pairs)), (1, sums), (1, np.array([total]))]
    return [(math.sqrt(count), np.asarray(values, dtype=np.float64)) for count, values in groups]


def test_one_row_changes_every_group_by_its_stated_sensitivity_at_most(no_noise):
    data = table(200)
    for left_out in (0, 57, 199):
        without = data.take(np.delete(np.arange(200), left_out))
        for (limit, before), (_, after) in zip(everything(data, ROW), everything(without, ROW), strict=True):
            assert 0 < np.linalg.norm(before - after) <= limit + 1e-9


def test_one_patient_with_many_rows_changes_no_more(no_noise, monkeypatch):
    monkeypatch.setattr(os_noise, "order", np.arange)  # the same rows are kept on both sides
    rng = np.random.default_rng(1)
    data = table(300, units=rng.integers(0, 60, 300))
    for patient in (3, 41):
        without = data.take(np.flatnonzero(data.units != patient))
        for (limit, before), (_, after) in zip(everything(data, PATIENT), everything(without, PATIENT), strict=True):
            assert 0 < np.linalg.norm(before - after) <= limit + 1e-9


def test_at_most_so_many_rows_of_a_patient_count_and_each_patient_counts_one():
    units = np.repeat([5, 9, 2], [1, 2, 50])
    rows = noisy_counts.counted(table(53, units=units), [cells_of(column) for column in COLUMNS], PATIENT)
    assert rows.whole == 6
    assert sorted(rows.weights.tolist()) == [2, 2, 2, 3, 3, 6]
    assert rows.units == 3


def test_the_spends_say_what_noise_was_put_on(monkeypatch):
    put: list[tuple[int, float]] = []

    def spy(counts, scale):
        put.append((np.size(counts), scale))
        return np.asarray(counts).copy()

    monkeypatch.setattr(os_noise, "discrete_gaussian", spy)
    found = private.measured(table(), dataclasses.replace(ROW, rows_are_public=False))
    tables = [1, 4, 3, 3, 2]  # number of rows, histograms, with the target, other pairs, sums of two numbers
    assert len(put) == len(found.spends) == 5
    for (_, scale), spend, count in zip(put, found.spends, tables, strict=True):
        whole = noisy_counts.MOMENT_STEPS if spend.purpose.startswith("sums") else 1
        assert scale == pytest.approx(spend.noise_multiplier * math.sqrt(count) * whole)
    assert accounting.epsilon(found.spends, 1e-6) <= 3.0


def test_noise_for_fewer_tables_than_are_counted_is_refused():
    data = table(50)
    domains = [cells_of(column) for column in COLUMNS]
    rows = noisy_counts.counted(data, domains, ROW)
    starts = np.concatenate([[0], np.cumsum([each.size for each in domains])])
    with pytest.raises(ValueError, match="as many tables"):
        noisy_counts.pair_tables(
            rows, rows.cells, starts, [(noisy_counts.Noise("pairs", 5, 1.0), ~np.eye(4, dtype=np.bool_))]
        )
    with pytest.raises(ValueError, match="as many sums"):
        noisy_counts.target_moments(rows, [], rows.cells[:, 3], 3, noisy_counts.Noise("sums", 1, 1.0))


# What depends on the data.


def test_domains_follow_from_the_schema_alone(monkeypatch):
    shapes = []
    monkeypatch.setattr(
        os_noise,
        "discrete_gaussian",
        lambda counts, scale: shapes.append((np.shape(counts), scale)) or counts * 0 + 700,
    )
    for data in (table(500, seed=1), table(500, seed=2).take(np.zeros(500, dtype=np.int64))):
        private.measured(data, ROW)
    half = len(shapes) // 2
    assert shapes[:half] == shapes[half:]


def test_two_fits_with_one_seed_differ_and_nothing_of_the_noise_is_kept(tmp_path):
    fits = [private_fit(table(800), seed=5) for _ in range(2)]
    first, second = (np.concatenate([each.shares for each in fit.columns]) for fit in fits)
    assert len(first) != len(second) or (first != second).any()
    fits[0].save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    assert not {"seed", "noise_seed", "state"} & {*facts, *facts["facts"]}


def private_fit(data: Table, *, seed: int = 0, asked: PrivacyBudget = ROW) -> private.FittedPrivate:
    fitted = generators.load("marginals")(data, FitSettings(seed, 0.1, privacy=asked), ignore)
    assert isinstance(fitted, private.FittedPrivate)
    return fitted


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    fitted = private_fit(table(800))
    fitted.save(tmp_path)
    again = generators.saved("marginals", tmp_path)
    frames = [pd.concat(list(each.sample(300, seed=2, chunk_rows=200))) for each in (fitted, again)]
    pd.testing.assert_frame_equal(*frames)
    assert again.spends == fitted.spends
    assert again.signals == fitted.signals
    assert len(fitted.signals) == 6
    assert frames[0]["age"].between(0, 100).all()
    assert list(frames[0]["ward"].cat.categories) == list(LETTERS)


def test_a_number_as_target_spends_the_whole_budget_and_is_followed():
    columns = [dataclasses.replace(column, role="feature") for column in COLUMNS]
    columns[0] = dataclasses.replace(columns[0], role="target")
    schema = dataclasses.replace(SCHEMA, columns=tuple(columns), target="age")
    data = dataclasses.replace(table(4_000), schema=schema)
    fitted = private_fit(data)
    assert accounting.epsilon(fitted.spends, ROW.delta) == pytest.approx(ROW.epsilon, rel=0.03)
    frame = next(fitted.sample(4_000, seed=1))
    real, made = (each.groupby("ill", observed=True)["age"].mean() for each in (data.frame, frame))
    assert made["yes"] - made["no"] > 0.7 * (real["yes"] - real["no"])
    signals = {(each.first, each.second): each.is_there for each in fitted.signals}
    assert signals["age", "ill"]


# Broken builds must be caught: 5,000 canaries, one in each cell of a table of two columns.

SIDE = 71
LABELS = tuple(f"l{place}" for place in range(SIDE))
PAIR = Schema((Column("one", "categorical", categories=LABELS), Column("two", "categorical", categories=LABELS)))


def audited(monkeypatch, *, noise_divided_by: float) -> float:
    """Epsilon's lower bound from the noisy table itself, by an attacker who knows all other rows."""
    rng = np.random.default_rng(3)
    own = os_noise.discrete_gaussian
    monkeypatch.setattr(os_noise, "discrete_gaussian", lambda counts, scale: own(counts, scale / noise_divided_by))
    seen: list[np.ndarray] = []
    count = noisy_counts.pair_tables
    monkeypatch.setattr(noisy_counts, "pair_tables", lambda *args: seen.append(count(*args)) or seen[-1])
    cells = np.arange(SIDE * SIDE)
    inside = rng.random(len(cells)) < 0.5
    background = rng.integers(0, SIDE, (SIDE * 150, 2))
    rows = np.concatenate([background, np.stack([cells // SIDE, cells % SIDE], axis=1)[inside]])
    frame = pd.DataFrame(
        {name: pd.Categorical.from_codes(rows[:, at], list(LABELS)) for at, name in enumerate(("one", "two"))}
    )
    found = private.measured(Table(frame, PAIR, "real"), ROW)
    assert [each.size for each in found.columns] == [SIDE, SIDE]
    known = np.zeros((SIDE, SIDE))
    np.add.at(known, (background[:, 0], background[:, 1]), 1)
    scores = (seen[0][:SIDE, SIDE:] - known).ravel()
    return one_run_audit.bound(scores, inside, delta=ROW.delta).epsilon


def test_the_audit_finds_less_than_is_claimed(monkeypatch):
    assert audited(monkeypatch, noise_divided_by=1.0) < ROW.epsilon


def test_a_build_with_a_quarter_of_the_noise_is_caught(monkeypatch):
    assert audited(monkeypatch, noise_divided_by=4.0) > ROW.epsilon


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_level_list_taken_from_the_data_is_caught(monkeypatch, is_broken):
    rng = np.random.default_rng(4)
    labels = tuple(f"l{place}" for place in range(500))
    inside = rng.random(500) < 0.5
    codes = np.concatenate([np.zeros(5_000, dtype=np.int64), np.flatnonzero(inside)])
    schema = Schema((Column("one", "categorical", categories=labels),))
    data = Table(pd.DataFrame({"one": pd.Categorical.from_codes(codes, list(labels))}), schema, "real")
    if is_broken:
        held = {labels[code] for code in codes}
        honest = cells_of

        def raw(column: Column) -> Cells:
            return dataclasses.replace(honest(column), categories=tuple(x for x in column.categories if x in held))

        monkeypatch.setattr(private, "cells_of", raw)
        frame = data.frame.assign(one=data.frame["one"].cat.remove_unused_categories())
        data = dataclasses.replace(data, frame=frame)
    found = private.measured(data, ROW)
    scores = np.array([label in found.columns[0].cells.categories for label in labels], dtype=np.float64)
    bound = one_run_audit.bound(scores, inside, delta=ROW.delta).epsilon
    assert (bound > ROW.epsilon) == is_broken


# The parts.


def test_numbers_go_into_cells_and_come_back():
    cells = cells_of(Column("x", "numeric", bounds=(-2.0, 700.0), decimals=1))
    values = pd.Series([-2.0, -1.9, 0.0, 0.1, 350.3, 700.0, np.nan])
    codes = cells.encode(values)
    assert len(set(codes.tolist())) >= 5
    assert codes[-1] == cells.size - 1
    low, high = cells.values(codes, np.zeros(7)), cells.values(codes, np.full(7, 1 - 1e-9))
    assert (low[:-1] <= values[:-1] + 1e-9).all()
    assert (high[:-1] >= values[:-1] - 1e-9).all()
    assert low[0] == high[0] == -2.0
    assert low[2] == high[2] == 0.0
    with pytest.raises(InputError, match="declares no bounds"):
        cells_of(Column("x", "numeric"))
    with pytest.raises(InputError, match="declares no categories"):
        cells_of(Column("x", "categorical", learns_levels=True))


def test_smoothing_keeps_heaps_and_the_total_and_drops_noise():
    rng = np.random.default_rng(0)
    exact = np.zeros(200)
    exact[40], exact[100:140] = 3_000, 100
    better = codebook.smoothed(exact + rng.normal(0, 30, 200), 30)
    assert better.min() >= 0
    assert abs(better - exact).sum() < 0.4 * abs(rng.normal(0, 30, 200)).sum()
    assert better[40] > 2_700


def test_denoised_tables_are_nearer_to_the_truth_than_noisy_ones():
    rng = np.random.default_rng(0)
    rows = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 20_000)
    codes = np.clip(np.floor((rows + 2.5) / 5 * 12), 0, 11).astype(np.int64)
    cells = Cells("x", starts=tuple(range(12)), stop=11, ordered=True)
    exact = np.zeros((12, 12))
    np.add.at(exact, (codes[:, 0], codes[:, 1]), 1 / len(codes))
    columns = [codebook.Codes(cells, tuple(range(12)), (1.0,) * 12, tuple(exact.sum(axis)), False) for axis in (1, 0)]
    noise = 40 / 20_000
    noisy = np.zeros((24, 24))
    noisy[:12, 12:] = exact + rng.normal(0, noise, exact.shape)
    noisy[12:, :12] = noisy[:12, 12:].T
    shares = np.concatenate([exact.sum(1), exact.sum(0)])
    variances = np.array([[np.inf, noise**2], [noise**2, np.inf]])
    seen = denoising.Noisy(noisy, shares, np.array([0, 12, 24]), variances, {}, 20_000)
    found = denoising.denoised(seen, columns).tables[:12, 12:]
    assert abs(found - exact).sum() < 0.6 * abs(noisy[:12, 12:] - exact).sum()


# Refusals, and a build from end to end.


def test_a_table_too_small_for_its_budget_is_refused_with_what_would_do():
    with pytest.raises(InputError, match=r"About [\d,]+ rows or epsilon"):
        private.measured(table(100), dataclasses.replace(ROW, epsilon=0.2))


def test_formulas_use_declared_decimals_and_combinations_are_refused():
    from synthrelease.core.contracts import Constraint

    combined = dataclasses.replace(SCHEMA, constraints=(Constraint(combination=("ward", "ill")),))
    with pytest.raises(InputError, match="combinations that patients have"):
        constraint_repair.public_plan(combined)


def test_a_private_build_from_end_to_end(tmp_path):
    ward(1_500).to_csv(tmp_path / "ward.csv", index=False)
    from synthrelease.workflows.inspect import draft_schema

    draft = draft_schema.draft(tmp_path / "ward.csv", target="ill" if "ill" in ward(10) else None)
    text = "\n".join(line for line in draft.splitlines() if not line.startswith(("unit", "# unit")))
    (tmp_path / "schema.toml").write_text(f'unit = "row"\n{text}\n', encoding="utf-8")
    options = run_options.BuildOptions(epsilon=5.0, seed=1, effort=0.1, shadow_models=0, folds=0)
    done = build.build(
        tmp_path / "ward.csv",
        schema_file=tmp_path / "schema.toml",
        out=tmp_path / "run",
        policy_name="internal_sandbox",
        options=options,
    )
    record = json.loads((tmp_path / "run" / "internal" / "audit.json").read_text())
    assert 4.9 < record["privacy"]["epsilon"] <= 5.0
    assert record["privacy"]["unit"] == "row"
    spends = tuple(PrivacySpend(**each) for each in record["privacy"]["spends"])
    assert accounting.epsilon(spends, record["privacy"]["delta"]) == pytest.approx(record["privacy"]["epsilon"])
    assert record["privacy"]["spends"][0]["purpose"].startswith("number of rows")
    assert done.facts.privacy is not None
    assert any("no part of the claim" in notice for notice in done.facts.notices)
    page = done.report.read_text(encoding="utf-8")
    assert "histograms of single columns" in page


def test_a_declared_label_whose_noisy_count_is_below_zero_can_still_be_drawn():
    noisy = np.array([-60.0, -20.0, 0.0, 20.0, 500.0])
    cut = [stats.truncnorm.mean(-value / 20.0, np.inf, loc=value, scale=20.0) for value in noisy]
    assert codebook.at_least_0(noisy, 20.0) == pytest.approx(cut)
    assert (codebook.at_least_0(np.array([-1e3, -1e5]), 20.0) > 0).all()
    column = Column("c", "categorical", categories=tuple("abcde"))
    codes = codebook.codes_of(cells_of(column), np.append(noisy[::-1], 0.0), noise=20.0, most=10)
    assert min(codes.inside[:-1]) > 0
    assert codes.shares[1] == pytest.approx(20 / 520, rel=0.01)
