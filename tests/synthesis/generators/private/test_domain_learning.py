"""Domains that are learned with a share of the budget: sensitivities, thresholds, what depends on the data, a build."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import policy_that_decides
from made_tables import ignore
from scipy import stats

from synthrelease.cli import main as command_line
from synthrelease.core.contracts import Column, FitSettings, PrivacyBudget, Schema, Table, Treatment
from synthrelease.core.errors import InputError, SchemaError
from synthrelease.governance import policy_file
from synthrelease.privacy import accounting, attack_bounds, one_run_audit
from synthrelease.privacy import claim as privacy_claim
from synthrelease.privacy import noise as os_noise
from synthrelease.schema import schema_file
from synthrelease.synthesis import canary_audit, generators, private_requirements
from synthrelease.synthesis.generators.private import domain_learning, dp_gan, noisy_counts
from synthrelease.synthesis.generators.private import generator as private
from synthrelease.synthesis.generators.private.public_domain import cells_of
from synthrelease.synthesis.generators.private.public_grids import ladder_of
from synthrelease.workflows import finish_run, private_preparation

ROW = PrivacyBudget(epsilon=3.0, delta=1e-6, unit="row", rows_are_public=True)
PATIENT = dataclasses.replace(ROW, unit="patient", rows_per_unit=3)
CODES = ("A01", "B02", "C03", "Z99")
WARDS = ("north", "south")
COLUMNS = (
    Column("age", "integer", learns_bounds=True),
    Column("dose", "numeric", learns_bounds=True, decimals=1),
    Column("code", "categorical", categories=CODES, learns_levels=True),
    Column("ward", "categorical", categories=WARDS, learns_levels=True, other=""),
    Column("ill", "boolean", role="target", categories=("no", "yes")),
)
SCHEMA = Schema(COLUMNS, target="ill", unit_is_row=True, rows_are_public=True)
"""As it is when a table has been read: open columns of labels list what stands in it."""


def table(rows: int = 3_000, seed: int = 0, units: np.ndarray | None = None) -> Table:
    """One row has the code Z99, an age of 1,000 and a dose of -7."""
    rng = np.random.default_rng(seed)
    age, dose = rng.integers(18, 91, rows).astype(float), rng.gamma(2, 0.5, rows).round(1)
    dose[rng.random(rows) < 0.1] = np.nan
    code = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
    age[0], dose[0], code[0] = 1_000, -7.0, 3
    frame = pd.DataFrame({
        "age": age,
        "dose": dose,
        "code": pd.Categorical.from_codes(code, list(CODES)),
        "ward": pd.Categorical.from_codes(rng.choice(2, rows), list(WARDS)),
        "ill": pd.Categorical.from_codes((rng.random(rows) < age / 120).astype(int), ["no", "yes"]),
    })  # fmt: skip
    return Table(frame, SCHEMA, "real", units)


@pytest.fixture
def counts(monkeypatch) -> list[tuple[np.ndarray, float]]:
    """Every array of counts that noise is put on, and the scale; the noise itself is left out."""
    seen: list[tuple[np.ndarray, float]] = []
    monkeypatch.setattr(
        os_noise, "discrete_gaussian", lambda exact, scale: seen.append((exact.copy(), scale)) or exact.copy()
    )
    return seen


# What one unit can change.


@pytest.mark.parametrize("asked", [ROW, PATIENT])
def test_one_unit_changes_each_part_by_its_stated_sensitivity_at_most(counts, monkeypatch, asked):
    monkeypatch.setattr(os_noise, "order", np.arange)  # the same rows are kept on both sides
    units = np.arange(400) if asked.unit == "row" else np.random.default_rng(1).integers(0, 90, 400)
    data = table(400, units=None if asked.unit == "row" else units)
    whole, asked = noisy_counts.whole_of(asked), dataclasses.replace(asked, epsilon=50.0)  # so few rows must do
    for left_out in (units[0], 17, 62):
        counts.clear()
        for each in (data, data.take(np.flatnonzero(units != left_out))):
            domain_learning.learned(each, asked, min_cell=1)
        assert len(counts) == 4
        for (before, _), (after, _) in zip(counts[:2], counts[2:], strict=True):
            assert 0 < np.linalg.norm(before - after) <= math.sqrt(2) * whole + 1e-9


def test_the_spends_say_what_noise_was_put_on_and_leave_the_rest_of_the_budget(counts):
    found = domain_learning.learned(table(), ROW, min_cell=11)
    labels, ranges = found.budget.spent
    assert labels.purpose == "labels of code, ward (2 tables)"
    assert ranges.purpose == "ranges of age, dose (2 tables)"
    for (_, scale), spend in zip(counts, found.budget.spent, strict=True):
        assert scale == pytest.approx(spend.noise_multiplier * math.sqrt(2))
    assert labels.delta == pytest.approx(domain_learning.FAILURES * ROW.delta)
    assert ranges.delta == 0.0
    measured = private.measured(dataclasses.replace(table(), schema=found.schema), found.budget)
    spends = (*found.budget.spent, *measured.spends)
    assert 0.99 * ROW.epsilon < accounting.epsilon(spends, ROW.delta) <= ROW.epsilon
    with_it = accounting.epsilon(measured.spends, ROW.delta)
    assert with_it < accounting.epsilon(private.measured(table_of(found.schema), ROW).spends, ROW.delta)


def table_of(known: Schema) -> Table:
    return dataclasses.replace(table(), schema=known)


def test_what_is_spent_on_domains_is_left_out_of_every_later_plan():
    spent = dataclasses.replace(ROW, spent=domain_learning.learned(table(), ROW, min_cell=11).budget.spent)
    rest = dataclasses.replace(spent.spent[0], noise_multiplier=accounting.gaussian_noise(spent), delta=0.0)
    assert 0.99 * 3.0 < accounting.epsilon((*spent.spent, rest), ROW.delta) <= 3.0
    half = dataclasses.replace(rest, noise_multiplier=accounting.gaussian_noise(spent, 0.5))
    noise = accounting.sampled_noise(spent, [half], sample_rate=0.02, steps=100)
    steps = dataclasses.replace(half, noise_multiplier=noise, sample_rate=0.02, steps=100)
    assert 0.98 * 3.0 < accounting.epsilon((*spent.spent, half, steps), ROW.delta) <= 3.0
    used = dataclasses.replace(ROW, spent=(dataclasses.replace(rest, noise_multiplier=0.1),))
    with pytest.raises(ValueError, match="something left"):
        accounting.gaussian_noise(used)


# Thresholds.


def exact_tail(reached: int, scale: float) -> float:
    """The chance that discrete Gaussian noise is ``reached`` or more."""
    values = np.arange(-int(15 * scale), int(15 * scale) + reached + 1)
    mass = np.exp(-(values.astype(float) ** 2) / (2 * scale**2))
    return float(mass[values >= reached].sum() / mass.sum())


@pytest.mark.parametrize(
    ("scale", "whole", "most"), [(0.8, 1, 1), (7.3, 1, 1), (31.0, 1, 1), (9.0, 6, 3), (5.0, 60, 5)]
)
@pytest.mark.parametrize("failure", [1e-7, 1e-3])
def test_labels_of_one_unit_pass_no_more_often_than_their_share_of_delta(scale, whole, most, failure):
    steps = round(domain_learning.threshold(scale, whole, most, failure) * whole)
    noise = scale * whole
    rng = np.random.default_rng(0)
    ways = [np.eye(most)[0], np.full(most, 1 / most), *rng.dirichlet(np.ones(most), 5)]
    for weights in ways:
        pieces = np.floor(weights * whole).astype(int)
        chance = sum(exact_tail(steps - piece, noise) for piece in pieces)
        assert chance <= failure
    assert (
        domain_learning.passes(steps, scale, whole, most)
        <= failure
        < domain_learning.passes(steps - 1, scale, whole, most)
    )
    if noise > 20:  # the bound is tight where a step is small beside the noise
        assert exact_tail(steps - whole, noise) + (most - 1) * exact_tail(steps, noise) > 0.6 * failure


def test_the_chance_of_failure_holds_for_noise_as_it_is_drawn():
    scale, failure, tries = 4.0, 0.02, 40_000
    least = domain_learning.threshold(scale, 1, 1, failure)
    passed = int((os_noise.discrete_gaussian(np.ones(tries, dtype=np.int64), scale) >= least).sum())
    chance = exact_tail(round(least) - 1, scale)
    assert 0 < chance <= failure
    assert stats.binomtest(passed, tries, chance).pvalue > 1e-6


@pytest.mark.parametrize("is_broken", [False, True])
def test_labels_of_single_rows_stay_untold_and_a_build_without_a_threshold_is_caught(monkeypatch, is_broken):
    if is_broken:
        monkeypatch.setattr(domain_learning, "threshold", lambda *args: -math.inf)
    labels = tuple(f"l{place:03}" for place in range(500))
    inside = np.random.default_rng(4).random(500) < 0.5
    codes = np.concatenate([np.zeros(5_000, dtype=np.int64), np.flatnonzero(inside)])
    known = Schema((Column("one", "categorical", categories=labels, learns_levels=True),))
    data = Table(pd.DataFrame({"one": pd.Categorical.from_codes(codes, list(labels))}), known, "real")
    least = -1_000_000 if is_broken else 0
    found = domain_learning.learned(data, ROW, min_cell=least).schema.columns[0].categories
    scores = np.array([label in found for label in labels], dtype=np.float64)
    assert (one_run_audit.bound(scores, inside, delta=ROW.delta).epsilon > ROW.epsilon) == is_broken


# What is learned, and on what it depends.


def test_frequent_labels_and_magnitudes_are_learned_and_what_one_row_has_is_not():
    found = domain_learning.learned(table(), ROW, min_cell=11)
    known = {column.name: column for column in found.schema.columns}
    assert known["code"].categories == ("A01", "B02", "C03", "Other")
    assert known["ward"].categories == WARDS
    assert known["age"].bounds == (16.0, 127.0)
    low, high = known["dose"].bounds or (-1.0, -1.0)
    assert 0.0 <= low <= 0.25
    assert high in (2.0, 4.0)
    assert known["ill"] == COLUMNS[4]
    assert "Z99" not in str(found.notes)
    assert len(found.notes) == 4
    assert (
        domain_learning.learned(dataclasses.replace(table(), schema=found.schema), ROW, min_cell=11).schema
        == found.schema
    )


def test_thresholds_keep_to_the_least_cell_of_the_policy():
    generous = dataclasses.replace(ROW, epsilon=100.0)
    assert "Z99" not in str(domain_learning.learned(table(200), generous, min_cell=11).schema)
    rare = table(200).take(np.repeat([0, 1], [8, 192]))
    assert "Z99" not in str(domain_learning.learned(rare, generous, min_cell=60).schema)


def test_costs_and_thresholds_follow_from_schema_and_budget_alone():
    """Other data of the same schema change what is published of open columns, and nothing else."""
    other = table(3_000, seed=8)
    flipped = other.frame["code"].cat.rename_categories(["F", "G", "H", "I"])
    columns = tuple(
        dataclasses.replace(each, categories=("F", "G", "H", "I")) if each.name == "code" else each for each in COLUMNS
    )
    other = Table(other.frame.assign(code=flipped), dataclasses.replace(SCHEMA, columns=columns), "real")
    first, second = (domain_learning.learned(each, ROW, min_cell=11) for each in (table(), other))
    assert first.budget == second.budget
    assert [column.name for column in first.schema.columns] == [column.name for column in second.schema.columns]
    assert first.schema.columns[4] == second.schema.columns[4] == COLUMNS[4]
    assert first.schema.columns[2] != second.schema.columns[2]


def test_equal_noisy_counts_give_equal_domains_whatever_the_rows(monkeypatch):
    drawn = np.random.default_rng(0).normal(0, 300, 10_000)
    monkeypatch.setattr(os_noise, "discrete_gaussian", lambda exact, scale: np.rint(drawn[: len(exact)]).astype(int))
    first, second = (domain_learning.learned(table(3_000, seed), ROW, min_cell=11) for seed in (1, 2))
    assert first == second


def test_bounds_keep_to_the_treatment_of_their_column():
    coded = dataclasses.replace(COLUMNS[0], treatment=Treatment(top_code=89))
    data = table()
    data = Table(data.frame.assign(age=data.frame["age"].clip(upper=90)), _with(coded), "real")
    found = private_preparation.learned(data, private_preparation.wanted(3.0, 1e-6, data), min_cell=11)
    assert found.schema.columns[0].bounds == (16.0, 90.0)


def _with(column: Column) -> Schema:
    return dataclasses.replace(SCHEMA, columns=(column, *COLUMNS[1:]))


@pytest.mark.parametrize("kind", ["integer", "numeric", "date", "datetime", "time", "duration"])
def test_ladders_are_gapless_and_numbers_stand_on_their_rung(kind):
    ladder = ladder_of(Column("x", kind))
    lows, highs = np.array(ladder.lows), np.array(ladder.highs)
    step = 1.0 if kind in ("integer", "date") else 0.0
    assert (highs[:-1] + step == lows[1:]).all()
    assert (highs >= lows).all()
    values = np.concatenate([lows, (lows + highs) / 2])
    values = np.floor(values) if step else values
    rungs = ladder.encode(pd.Series(values))
    assert ((lows[rungs] <= values) & (values <= highs[rungs])).all()
    beyond = ladder.encode(pd.Series([-1e300, 1e300, np.nan]))
    assert beyond.tolist() == [0, ladder.size - 2, ladder.size - 1]


def test_a_critic_gets_what_domains_and_tables_left():
    asked = dataclasses.replace(ROW, epsilon=8.0)
    found = domain_learning.learned(table(), asked, min_cell=11)
    data = dataclasses.replace(table(), schema=found.schema)
    data = Table(data.frame.assign(code=_coded(data, found.schema)), found.schema, "real")
    seen = private.coded(data, found.budget)
    before = tuple(noise.spend(found.budget) for noise in seen.noises)
    stage = dp_gan._stage(seen, found.budget, before, share=1.0 - seen.plan.histograms)
    spends = (*found.budget.spent, *before, stage.plan.spend("row"))
    claim = privacy_claim.claim(spends, found.budget)
    assert 0.95 * 8.0 < claim.epsilon <= 8.0
    assert attack_bounds.gaussian_parameter(claim.spends) is None


def _coded(data: Table, known: Schema) -> pd.Categorical:
    kept = known.column("code").categories
    return pd.Categorical(data.frame["code"].astype(str).where(lambda x: x.isin(kept), "Other"), categories=list(kept))


# The audit inside.


@pytest.mark.parametrize("asked", [ROW, PATIENT])
def test_the_audit_is_told_of_all_that_domains_release(counts, asked):
    units = None if asked.unit == "row" else np.random.default_rng(2).integers(0, 900, 3_000)
    found = domain_learning.learned(table(units=units), asked, min_cell=11)
    data = table(units=units)
    data = Table(data.frame.assign(code=_coded(data, found.schema)), found.schema, "real", units)
    domains = [cells_of(column) for column in found.schema.learned]
    copy, planted = canary_audit.planted(data, domains, np.random.default_rng(0))
    claim = private_preparation.claimed(
        generators.load("marginals")(data, settings_of(found.budget), ignore), data.schema, found.budget
    )
    counts.clear()
    attacker = canary_audit._seen_in_domains(copy, planted, claim, lambda rows: rows)
    scales = [spend.noise_multiplier * math.sqrt(2) * noisy_counts.whole_of(asked) for spend in found.budget.spent]
    assert [scale for _, scale in counts] == pytest.approx(scales)
    assert attacker.gram.any()
    assert attacker.pull == pytest.approx(attacker.gram @ planted.was_in)


def settings_of(asked: PrivacyBudget) -> FitSettings:
    return FitSettings(5, 0.05, privacy=asked)


# Refusals, and a build from end to end.


def test_a_column_without_anything_frequent_is_refused_and_no_cell_is_shown():
    many = tuple(f"secret{place}" for place in range(300))
    column = Column("code", "categorical", categories=many, learns_levels=True)
    frame = pd.DataFrame({"code": pd.Categorical.from_codes(np.arange(300), list(many))})
    with pytest.raises(InputError, match="none of 'code' is so frequent") as caught:
        domain_learning.learned(Table(frame, Schema((column,)), "real"), ROW, min_cell=11)
    assert "secret" not in str(caught.value)
    spread = pd.DataFrame({"x": 2.0 ** np.arange(-10, 30)})
    with pytest.raises(InputError, match="'x' has no such values"):
        domain_learning.learned(
            Table(spread, Schema((Column("x", "numeric", learns_bounds=True),)), "real"), ROW, min_cell=11
        )


def test_the_schema_says_what_is_learned(tmp_path):
    path = tmp_path / "schema.toml"
    path.write_text('[columns.age]\nkind = "integer"\nbounds = "learn"\n')
    column = schema_file.load(path).columns[0]
    assert column.learns_bounds
    assert column.bounds is None
    path.write_text('[columns.ward]\nkind = "categorical"\nbounds = "learn"\ncategories = ["a", "b"]\n')
    with pytest.raises(SchemaError, match=r"columns\.ward\.bounds: belong to numeric"):
        schema_file.load(path)
    path.write_text('[columns.age]\nkind = "integer"\nbounds = "guess"\n')
    with pytest.raises(SchemaError, match=r"columns\.age\.bounds"):
        schema_file.load(path)


def test_what_is_left_to_be_learned_is_no_problem_and_has_its_price_told():
    rules = policy_file.load("internal_sandbox", finish_run.known_checks())
    private_requirements.check(1.0, None, SCHEMA, rules, generator="marginals", ordered=False)
    lines = private_requirements.advice(SCHEMA)
    assert sum(line.startswith("costs: ") for line in lines) == 4
    assert not any(line.startswith("must") for line in lines)


TEXT = """
unit = "row"
target = "ill"
rows_are_public = true

[columns.age]
kind = "integer"
bounds = "learn"

[columns.seen]
kind = "date"
format = "%Y-%m-%d"
bounds = "learn"

[columns.left]
kind = "date"
format = "%Y-%m-%d"
anchor = "seen"
bounds = "learn"

[columns.code]
kind = "categorical"
categories = "learn"

[columns.ill]
kind = "boolean"
categories = ["no", "yes"]
"""


def files(folder: Path, text: str = TEXT, rows: int = 2_000) -> list[str]:
    frame = table(rows).frame[["age", "code", "ill"]].astype({"age": int})
    days = np.datetime64("2021-03-01") + np.random.default_rng(0).integers(0, 700, rows)
    frame["seen"], frame["left"] = days.astype(str), (days + 9).astype(str)
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "schema.toml").write_text(text, encoding="utf-8")
    options = [
        "--schema",
        str(folder / "schema.toml"),
        "--out",
        str(folder / "run"),
    ]
    options += ["--policy", str(policy_that_decides("release", folder))]
    return ["build", str(folder / "table.csv"), *options, "--effort", "0.1", "--seed", "1", "--epsilon", "5"]


def test_a_build_that_learns_its_domains_from_end_to_end(tmp_path):
    done = CliRunner().invoke(command_line.main, [*files(tmp_path), "--audit", "canary"])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "internal" / "audit.json").read_text())
    spends = record["privacy"]["spends"]
    assert [spend["purpose"] for spend in spends[:2]] == [
        "labels of code (1 table)",
        "ranges of age, seen, left (3 tables)",
    ]
    assert "labels from" in spends[0]["mechanism"]
    assert 0 < spends[0]["delta"] < record["privacy"]["delta"]
    assert 4.9 < record["privacy"]["epsilon"] <= 5.0
    assert record["canary"]["lower_bound"] <= 5.0
    made = pd.read_csv(next((tmp_path / "run").glob("*/synthetic.csv")))
    assert set(made["code"].dropna()) <= {"A01", "B02", "C03", "Other"}
    assert made["age"].between(16, 127).all()
    assert made["seen"].between("2021-01-01", "2023-12-31").all()
    page = (tmp_path / "run" / "internal" / "report.html").read_text(encoding="utf-8")
    assert "labels of code" in page
    assert "ranges of age, seen, left" in page
    more = CliRunner().invoke(command_line.main, ["sample", str(tmp_path / "run"), "--rows", "50"])
    assert more.exit_code == 0, more.output


def test_a_domain_that_is_neither_declared_nor_learned_is_refused(tmp_path):
    done = CliRunner().invoke(command_line.main, files(tmp_path, TEXT.replace('bounds = "learn"', "", 1)))
    assert done.exit_code == 2
    assert "columns.age.bounds" in done.output
    assert not (tmp_path / "run").exists()


def test_a_table_too_small_for_its_thresholds_is_refused_before_anything_is_written(tmp_path):
    command = files(tmp_path, rows=120)
    done = CliRunner().invoke(command_line.main, [*command[:-1], "0.5"])
    assert done.exit_code == 2
    assert "is so frequent" in done.output or "no such values" in done.output
    assert "Z99" not in done.output
    assert not (tmp_path / "run").exists()
