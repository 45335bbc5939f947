"""The check of planned analyses: planted cases whose answer is known, and estimates against other programs."""

from __future__ import annotations

from dataclasses import replace

import made_effects as cases
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from made_effects import Effects, evidence, patients, schema
from sklearn.linear_model import LinearRegression, LogisticRegression

from synthrelease.core.contracts import Column, Refits, Schema, Split, Table
from synthrelease.core.errors import InputError
from synthrelease.evaluation.checks import effects
from synthrelease.evaluation.checks.effects import design, feasibility, fits, invented, planned_regressions, survival
from synthrelease.evaluation.checks.effects.agreement import Pair, overlap, signs, slopes

OUTCOMES = ("ill", "stay", "falls", "months")


def measured(made: pd.DataFrame, *outcomes: str, **more):
    return effects.measure(evidence(made, schema(*outcomes), **more))


def values(result) -> dict[str, float]:
    return {metric.name: metric.value for metric in result.metrics}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_fresh_sample_agrees_and_tripled_or_halved_effects_do_not(outcome):
    honest = measured(patients(1_500, 50), outcome)
    slope, corrected = honest.metric("slope"), honest.metric("slope_corrected")
    assert slope.high < 1.5
    assert corrected.low > 0.6
    assert honest.metric("overlap").low > 0.4
    assert honest.metric("kept").low > 0.5
    assert honest.metric("turned").high == 0
    assert honest.metric("calibration_shift").high < 0.5
    assert measured(patients(1_500, 51, Effects().times(3)), outcome).metric("slope").low > 1.5
    assert measured(patients(1_500, 52, Effects().times(0.5)), outcome).metric("slope_corrected").high < 0.75


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_one_sign_that_is_turned_shows_though_the_average_hides_it(outcome):
    turned = measured(patients(1_500, 53, replace(Effects(), dose=0.6)), outcome)
    assert turned.metric("turned").value >= 1
    assert turned.metric("kept").value < 1
    assert turned.metric("turned").reading.count("significantly point the other way") == 1


def test_survival_that_is_longer_shows_in_the_curves_and_other_models_have_none():
    made = patients(1_500, 54)
    honest, later = measured(made, "months"), measured(made.assign(months=2 * made["months"]), "months")
    assert honest.metric("survival_gap").high < 0.15
    assert later.metric("survival_gap").low > 0.1
    without = measured(made, "ill").metric("survival_gap")
    assert not without.applies
    assert without.value == 0


def test_the_worst_of_several_analyses_counts_and_each_stands_by_itself():
    made = patients(1_500, 55)
    made["stay"] = patients(1_500, 56, Effects().times(4))["stay"].to_numpy()[::-1]  # depends on nothing in its row
    result = measured(made, "ill", "stay")
    alone = {found.name: {m.name: m.value for m in found.metrics} for found in result.analyses}
    assert set(alone) == {"illness", "stay"}
    assert values(result)["slope_corrected"] == alone["stay"]["slope_corrected"] < 0.3
    assert alone["illness"]["slope_corrected"] > 0.8
    assert values(result)["slope"] == alone["illness"]["slope"]
    assert result.metric("slope").reading.startswith("“illness”: ")


def test_without_analyses_and_target_there_is_nothing_to_compare():
    assert measured(patients(100, 57)).status == "not_applicable"


def test_the_target_stands_in_for_a_plan():
    made, plan = patients(1_500, 58), schema(target="ill")
    result = effects.measure(evidence(made, plan))
    assert result.status == "measured"
    (analysis,) = planned_regressions.planned(evidence(made, plan).train)
    assert (analysis.model, analysis.happened, analysis.is_declared) == ("logistic", "yes", False)
    assert "ill" not in analysis.covariates
    number = planned_regressions.planned(evidence(made, schema(target="stay")).train)[0]
    assert number.model == "linear"


def test_a_regression_of_a_few_events_is_not_measured_and_passes_nothing():
    train = patients(60, 59)
    train["ill"] = pd.Categorical(["yes"] * 6 + ["no"] * 54, categories=["no", "yes"])
    plan = schema(target="ill")
    some = replace(evidence(patients(60, 60), plan), train=Table(train, plan, "real"))
    result = effects.measure(some)
    assert all(np.isnan(result.metric(name).high) for name in ("slope", "slope_corrected", "overlap", "kept"))
    assert "Too few patients" in result.metric("slope").reading


def test_invented_effects_are_not_measured_on_a_finished_table():
    for refits in (None, Refits(honest), Refits(honest, null_columns=3)):
        told = replace(evidence(patients(300, 61), schema("ill")), refits=refits)
        metric = effects.measure(told).metric("invented")
        assert np.isnan(metric.value)
        assert metric.reading.startswith("Not measured")


def test_invented_effects_are_not_looked_for_in_copies_by_a_test_for_a_single_table():
    told = replace(evidence(patients(300, 61), schema("ill")), refits=Refits(inventing, null_columns=8))
    metric = effects.measure(replace(told, copies=(told.synthetic, told.synthetic))).metric("invented")
    assert np.isnan(metric.value)
    assert "Copies" in metric.reading


def honest(train: Table, rows: int, seed: int) -> pd.DataFrame:
    """A generator that gives the real rows back: drawn with replacement they would find twice as much in chance."""
    return train.frame.iloc[np.random.default_rng(seed).permutation(len(train))[:rows]].reset_index(drop=True)


def inventing(train: Table, rows: int, seed: int) -> pd.DataFrame:
    """One that lets every planted column follow the first, which itself follows age."""
    frame, rng = honest(train, rows, seed), np.random.default_rng(seed)
    for name in frame.columns[len(cases.COLUMNS) :]:
        labels = frame[name].cat.categories
        older = (frame["age"] + rng.normal(0, 20, rows) > 60) + 0
        frame[name] = pd.Categorical.from_codes(older, dtype=frame[name].dtype) if len(labels) == 2 else frame[name]
    return frame


def test_a_generator_that_invents_effects_shows_and_an_honest_one_does_not():
    found = {}
    for name, refit in (("honest", honest), ("inventing", inventing)):
        told = replace(evidence(patients(1_000, 74), schema("ill"), rows=1_000), refits=Refits(refit, null_columns=8))
        found[name] = effects.measure(told).metric("invented")
    assert found["honest"].low < 0.05 < found["honest"].high < 0.15
    assert found["inventing"].low > 0.15
    assert found["honest"].reading.count("of 72 tests of 8 planted columns") == 1


def test_planted_columns_are_shuffled_copies_under_names_of_their_own():
    columns = (*cases.COLUMNS, Column("null_0", "numeric"))
    table = Table(patients(200, 75).assign(null_0=1.0), Schema(columns), "real")
    wider, planted = invented.plant(np.random.default_rng(0), table, 5)
    assert [column.name for column in planted] == ["null_0_", "null_1", "null_2", "null_3", "null_4"]
    assert [*wider.frame] == [column.name for column in wider.schema.learned]
    for column, source in zip(planted, ("sex", "ward", "ill", "died", "sex"), strict=True):
        assert wider.frame[column.name].value_counts().equals(table.frame[source].value_counts().rename(column.name))
        assert not (wider.frame[column.name].to_numpy() == table.frame[source].to_numpy()).all()


def test_a_synthetic_table_that_lost_a_term_shows_no_effect_of_it():
    made = patients(1_500, 62).assign(age=60.0)
    result = measured(made, "ill")
    assert result.metric("slope_corrected").high < 0.75
    assert result.metric("kept").value < 1


def test_estimates_are_those_of_other_programs():
    table = Table(patients(800, 63), schema("ill", "stay"), "real")
    for name, other in (("ill", LogisticRegression(C=np.inf, tol=1e-9)), ("stay", LinearRegression())):
        plan = design.learned(cases.PLANS[name], table)
        found = fits.fit(plan, table)
        other.fit(plan.matrix(table), plan.response(table).outcome)
        assert found.coefficients == pytest.approx(np.ravel(other.coef_), abs=1e-3)
    assert [term.words for term in plan.terms] == ["age", "dose", "sex: m", "ward: b", "ward: c"]


def test_survival_curves_have_greenwoods_errors():
    table = Table(patients(400, 64), schema("months"), "real")
    times = survival.grid(cases.PLANS["months"], table)
    curve = survival.curve(cases.PLANS["months"], table, times)
    other = KaplanMeierFitter().fit(table.frame["months"], table.frame["died"] == "1")
    at = len(times) // 2
    assert curve.survival[at] == pytest.approx(other.predict(times[at]))
    width = float(other.confidence_interval_survival_function_.loc[: times[at]].iloc[-1].diff().iloc[-1])
    assert 3.92 * curve.errors[at] == pytest.approx(width, rel=0.1)
    assert not set(times[1:]) & set(table.frame["months"].nlargest(5))


def test_rows_of_one_patient_are_one_piece_of_evidence():
    frame = pd.concat([patients(400, 65)] * 3, ignore_index=True)
    owner = np.tile(np.arange(400), 3)
    for name in ("ill", "months"):
        plan = design.learned(cases.PLANS[name], Table(frame, schema(name), "real"))
        thrice = fits.fit(plan, Table(frame, schema(name), "real", owner))
        once = fits.fit(plan, Table(frame.iloc[:400], schema(name), "real"))
        assert np.sqrt(np.diag(thrice.covariance)) == pytest.approx(np.sqrt(np.diag(once.covariance)), rel=0.1)
        assert thrice.patients == 400


def test_numbers_worked_out_by_hand():
    """Two effects of 2 and -1, errors of 0.5 and independent; the synthetic ones are 3 and 1."""
    errors = 0.25 * np.eye(2)
    pair = Pair(np.array([2.0, -1.0]), errors, np.array([3.0, 1.0]), errors, 1.0)
    found = slopes(pair, 0.95)
    assert found.plain.value == pytest.approx((2 * 3 - 1) / 5)
    assert found.corrected.value == pytest.approx((2 * 3 - 1) / (5 - 2 * 0.25))
    assert found.reach == pytest.approx(1 - 2 / (16 + 4))
    length = 2 * 1.959964 * 0.5
    assert overlap(pair, 0.95).value == pytest.approx(np.mean([1 - 1 / length, 1 - 2 / length]))
    directions = signs(pair, 0.95)
    assert directions.significant == 2
    assert directions.kept.value == 0.5
    assert directions.turned.value == 1


def refused(train: pd.DataFrame, *outcomes: str, columns=cases.COLUMNS) -> str:
    plan = Schema(columns, analyses=tuple(cases.PLANS[name] for name in outcomes))
    with pytest.raises(InputError) as caught:
        feasibility.check(Split(Table(train, plan, "real"), Table(train, plan, "real")))
    return str(caught.value)


def test_an_outcome_that_covariates_tell_apart_is_refused_before_training():
    train = patients(200, 66)
    train["ill"] = pd.Categorical(np.where(train["age"] > 60, "yes", "no"), categories=["no", "yes"])
    assert "'illness': the covariates tell the outcomes apart" in refused(train, "ill")
    train = patients(200, 67)
    train.loc[train["ward"] == "c", "ill"] = "no"
    assert "'illness': the covariates tell the outcomes apart" in refused(train, "ill")


def test_fewer_events_than_covariates_are_refused_with_their_number():
    train = patients(200, 68)
    train["died"] = pd.Categorical(["1"] * 3 + ["0"] * 197, categories=["0", "1"])
    assert "'survival': coefficients: 5, patients with an event: 3." in refused(train, "months")


def test_an_event_that_is_neither_0_nor_1_is_counted_and_not_quoted():
    numbers = tuple(Column("died", "integer") if each.name == "died" else each for each in cases.COLUMNS)
    train = patients(200, 69)
    train["died"] = (train["died"] == "1").astype(np.float64)
    train.loc[:1, "died"] = 7.0
    said = refused(train, "months", columns=numbers)
    assert "4 cells are neither 0 nor 1 in the event 'died'" in said
    assert "7" not in said
    train.loc[:1, "died"] = 1.0
    plan = Schema(numbers, analyses=(cases.PLANS["months"],))
    feasibility.check(Split(Table(train, plan, "real"), Table(train, plan, "real")))


def test_what_real_rows_can_bear_is_not_refused():
    plan = schema(*OUTCOMES)
    feasibility.check(Split(Table(patients(400, 70), plan, "real"), Table(patients(200, 71), plan, "real")))


def test_a_table_without_known_outcomes_is_not_measured_and_crashes_nothing():
    made = patients(300, 72).assign(months=np.nan)
    result = measured(made, "months")
    assert result.status == "measured"
    assert all(np.isnan(metric.value) for metric in result.metrics)


def test_a_synthetic_outcome_that_is_constant_or_told_apart_without_error_passes_nothing():
    made = patients(400, 73)
    apart = np.where(made["age"] > 60, "yes", "no")
    for cells in (apart, np.full(400, "no")):
        result = measured(made.assign(ill=pd.Categorical(cells, categories=["no", "yes"])), "ill")
        assert np.isnan(result.metric("slope").value)
        assert "cannot be fitted to the synthetic rows" in result.metric("slope").reading
    assert np.isnan(measured(made.assign(stay=1.0), "stay").metric("overlap").high)
