"""Checks on tables whose answer can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score, r2_score, recall_score, roc_auc_score

from synthrelease.core.contracts import Column, Evidence, Metric, Schema, Table
from synthrelease.evaluation.checks import (
    _coding,
    _scores,
    copies,
    cross_audit,
    distances,
    downstream,
    fidelity,
    membership,
    near_tail,
    realism,
    utility,
    validity,
)

NUMBER = Schema((Column("x", "numeric"), Column("y", "categorical", "target", categories=("n", "p"))), target="y")


def table(numbers, labels=None, origin="real", schema=NUMBER) -> Table:
    numbers = np.asarray(numbers, dtype=float)
    labels = np.where(np.arange(len(numbers)) % 2, "p", "n") if labels is None else labels
    frame = pd.DataFrame({"x": numbers, "y": pd.Categorical(labels, categories=["n", "p"])})
    return Table(frame, schema, origin)


def evidence(train, holdout, synthetic, **more) -> Evidence:
    return Evidence(train, holdout, replace(synthetic, origin="synthetic"), seed=0, **more)


def test_copies_counts_patients_and_not_synthetic_rows():
    """100 training patients of whom 3 are copied (one of them 50 times), 50 holdout patients of whom 1 is."""
    made = table([1.0] * 50 + [2.0, 3.0, 1000.0], ["p"] * 50 + ["n", "p", "n"])
    found = copies.measure(evidence(table(np.arange(100)), table(np.arange(1000, 1050)), made))
    metric = found.metric("exact_copy_excess")
    assert metric.value == pytest.approx(3 / 100 - 1 / 50)
    assert "3 of 100" in metric.reading
    assert "1 of 50" in metric.reading


def test_missing_values_are_equal_to_each_other_in_a_copy():
    holdout = table(np.arange(1000, 1050))
    made = table([np.nan, 5.0], [None, "p"])
    found = copies.measure(evidence(table([np.nan, *range(1, 50)], [None] * 50), holdout, made))
    assert found.metric("exact_copy_excess").value == pytest.approx(1 / 50)


def test_where_one_patient_is_the_closest_of_all_rows_the_nndr_gap_is_not_known():
    alike = table([1.0] * 40, ["p"] * 40)
    found = distances.measure(evidence(alike, table([2.0] * 40, ["p"] * 40), alike)).metric("nndr_gap")
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_nndr_is_one_where_both_neighbours_are_at_no_distance():
    assert distances.nndr(np.array([[0.0, 0.0], [0.0, 2.0], [1.0, 2.0]])).tolist() == [1.0, 0.0, 0.5]


def test_dcr_share_does_not_depend_on_how_many_training_rows_there_are():
    rng = np.random.default_rng(1)
    train, holdout, made = (table(rng.random(n)) for n in (3_000, 300, 300))
    metric = distances.measure(evidence(train, holdout, made)).metric("dcr_share")
    assert metric.low < 0.5 < metric.high
    assert metric.value == pytest.approx(0.5, abs=0.06)


def test_membership_finds_members_through_a_reference_as_well():
    rng = np.random.default_rng(2)
    train, holdout, reference = (table(rng.random(300)) for _ in range(3))
    leaky = table(train.frame["x"] + rng.normal(0, 1e-5, 300), train.frame["y"].to_numpy())
    for more in ({}, {"reference": reference}):
        assert membership.measure(evidence(train, holdout, leaky, **more)).metric("mia_auc").low > 0.8
        honest = membership.measure(evidence(train, holdout, table(rng.random(300)), **more))
        assert honest.metric("mia_auc").low < 0.55


def test_fidelity_knows_margins_from_structure():
    rng = np.random.default_rng(3)

    def related(rows, flip=0.1):
        labels = np.where(rng.random(rows) < flip, "p", "n")
        numbers = rng.normal(0, 1, rows) + 3 * (labels == "p")
        return table(numbers, labels)

    train, holdout, fresh = related(800, 0.5), related(800, 0.5), related(800, 0.5)
    broken = table(fresh.frame["x"].to_numpy(), rng.permutation(fresh.frame["y"].to_numpy()))
    lopsided = related(800, 0.9)

    def values(made):
        result = fidelity.measure(evidence(train, holdout, made))
        return [result.metric(name) for name in ("marginal_tvd_excess", "dependence_kept")]

    honest, split, other = values(fresh), values(broken), values(lopsided)
    assert honest[0].low < 0.01
    assert honest[0].high > 0
    assert honest[1].low < 1 < honest[1].high
    assert split[0].low < 0.01
    assert split[0].high > 0
    assert split[1].high < 0.2
    assert other[0].low > 0.2


@pytest.mark.parametrize("check", [fidelity, realism])
def test_likeness_counts_patients_and_needs_ten(check):
    rng = np.random.default_rng(7)

    def visits(patients):
        return replace(table(rng.random(120), rng.choice(["n", "p"], 120)), units=np.arange(120) % patients)

    assert check.measure(evidence(visits(9), visits(40), visits(40))).status == "too_few_rows"
    found = check.measure(evidence(visits(30), visits(40), visits(40)))
    assert found.n == 30
    assert all(metric.n <= 120 for metric in found.metrics)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("check", [fidelity, realism])
def test_a_table_that_one_patient_fills_is_no_evidence(check):
    rng = np.random.default_rng(7)
    made = table(rng.random(400), rng.choice(["n", "p"], 400))
    one = replace(made, units=np.maximum(np.arange(400) - 380, 0))
    found = check.measure(evidence(one, one, made))
    assert all(np.isnan(m.high) for m in found.metrics if m.name.endswith(("excess", "kept", "score", "gap")))


def test_a_rare_event_leaves_no_half_without_a_correlation():
    """Halves in which a column is constant count it as going with nothing, whatever rounding says."""
    rng = np.random.default_rng(8)
    schema = Schema((Column("x", "numeric"), Column("event", "numeric")))

    def rare(events):
        frame = pd.DataFrame({"x": rng.normal(size=600), "event": rng.permutation(600) < events}).astype(float)
        return Table(frame, schema, "real")

    for events in (4, 5, 6, 7):
        made = Evidence(rare(events), rare(events), replace(rare(events), origin="synthetic"), 1)
        found = realism.measure(made).metric("correlation_gap")
        assert found.low < 0 < found.high


def test_more_folds_do_not_shrink_what_false_alarms_take_off():
    fold = Metric("tpr_at_1pct_fpr", 0.05, 0.001, 0.12, "share", 40, "", 0.01)
    found = cross_audit._pooled(
        "cross_tpr_at_1pct_fpr", [fold] * 10, evidence(table([1.0]), table([1.0]), table([1.0]))
    )
    assert found.low == pytest.approx(0.001)
    assert found.high == pytest.approx(0.05 + 0.07 / np.sqrt(10))


def test_calibration_of_few_patients_is_no_figure():
    rng = np.random.default_rng(9)
    sides = [table(x, np.where(x + rng.normal(size=len(x)) > 0, "p", "n")) for x in rng.normal(size=(3, 99))]
    assert np.isnan(downstream.measure(evidence(*sides)).metric("calibration_gap").high)


def test_fidelity_gives_no_figure_where_there_is_no_structure_to_keep():
    rng = np.random.default_rng(4)
    sides = [table(rng.random(60), rng.choice(["n", "p"], 60)) for _ in range(3)]
    assert np.isnan(fidelity.measure(evidence(*sides)).metric("dependence_kept").value)


def test_rare_labels_share_one_code_and_missing_has_its_own():
    levels = tuple(f"l{i}" for i in range(50))
    column = Column("c", "categorical", categories=levels)
    cells = pd.Series(pd.Categorical([levels[i % 40] for i in range(400)] + [None, "l49"], categories=levels))
    (code,) = _coding._label_codes([cells, cells], column)[:1]
    assert code.max() == _coding.MOST_LEVELS + 1
    assert code[400] == 0
    assert code[401] == _coding.MOST_LEVELS + 1
    assert len(np.unique(code[:400])) == _coding.MOST_LEVELS + 1


def test_validity_counts():
    train, holdout = table(np.arange(40)), table(np.arange(40, 80))
    made = replace(table([7.0] * 40), outside={"x": 4})
    result = validity.measure(evidence(train, holdout, made))
    assert result.metric("cells_outside_domain").value == 4 / 80
    collapsed, repeated = result.metric("collapsed_columns"), result.metric("repeated_row_excess")
    assert (collapsed.value, collapsed.low, collapsed.high) == (1, 1, 1)
    assert "x" in collapsed.reading
    assert repeated.value == pytest.approx(38 / 40)


def test_scores_equal_scikit_learns():
    rng = np.random.default_rng(5)
    truth, chances = rng.integers(0, 2, 200), rng.random((200, 2)).round(1)
    found = _scores.classification(truth, chances, np.ones((1, 200)), positive=1)
    guess = chances.argmax(axis=1)
    assert found["accuracy"][0] == pytest.approx((truth == guess).mean())
    assert found["precision"][0] == pytest.approx(precision_score(truth, guess))
    assert found["recall"][0] == pytest.approx(recall_score(truth, guess))
    assert found["f1"][0] == pytest.approx(f1_score(truth, guess))
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(truth, chances[:, 1]))
    numbers = rng.normal(size=200)
    assert _scores.regression(numbers, numbers + 0.3, np.ones((1, 200)))["r2"][0] == pytest.approx(
        r2_score(numbers, numbers + 0.3)
    )


def test_weighted_auc_equals_repeating_the_rows():
    rng = np.random.default_rng(6)
    truth, score, weights = rng.random(50) < 0.4, rng.random(50).round(1), rng.integers(0, 4, (3, 50)).astype(float)
    expected = [roc_auc_score(np.repeat(truth, w.astype(int)), np.repeat(score, w.astype(int))) for w in weights]
    assert _scores.weighted_auc(truth, score, weights).tolist() == pytest.approx(expected)


def test_three_classes_are_averaged():
    truth = np.array([0, 0, 1, 1, 2, 2])
    chances = np.eye(3)[[0, 0, 1, 1, 2, 0]]
    found = _scores.classification(truth, chances, np.ones((1, 6)), positive=2)
    assert found["recall"][0] == pytest.approx((1 + 1 + 0.5) / 3)


def test_utility_of_real_rows_is_no_loss_and_of_one_class_is_all_loss():
    rng = np.random.default_rng(7)

    def related(rows):
        labels = rng.choice(["n", "p"], rows)
        return table(rng.normal(0, 1, rows) + 2 * (labels == "p"), labels)

    train, holdout, fresh = related(400), related(400), related(400)
    honest = utility.measure(evidence(train, holdout, fresh))
    assert honest.metric("utility_gap").low < 0.02
    assert set(honest.utility.trtr) == {"baseline", *utility.MODELS}
    one = table(fresh.frame["x"].to_numpy(), np.repeat("n", 400))
    lost = utility.measure(evidence(train, holdout, one))
    assert lost.metric("utility_gap").low > 0.3
    assert lost.utility.tstr["gradient_boosting"]["roc_auc"].value == 0.5


def test_a_numeric_target_is_scored_by_r2_and_mae():
    schema = Schema((Column("x", "numeric", "target"), Column("y", "categorical", categories=("n", "p"))), target="x")
    rng = np.random.default_rng(8)

    def related(rows):
        labels = rng.choice(["n", "p"], rows)
        return table(rng.normal(0, 1, rows) + 4 * (labels == "p"), labels, schema=schema)

    result = utility.measure(evidence(related(300), related(300), related(300)))
    assert result.utility.task == "regression"
    assert result.utility.trtr["gradient_boosting"]["r2"].value > 0.6
    assert abs(result.metric("utility_gap").value) < 0.05


def test_without_a_target_utility_does_not_apply():
    schema = replace(NUMBER, target=None)
    sides = [table(np.arange(40) + i, schema=schema) for i in range(3)]
    assert utility.measure(evidence(*sides)).status == "not_applicable"


def test_replicated_uniques_show_in_a_small_synthetic_table_beside_a_small_holdout():
    """17 of 85 synthetic rows are training rows: too few patients of 400 to tell, plainly too many rows of 85."""
    train, holdout = table(np.arange(400)), table(np.arange(1_000, 1_085))
    made = table([*np.arange(17), *np.arange(2_000, 2_068)], holdout.frame["y"])
    made.frame.loc[:16, "y"] = train.frame["y"].iloc[:17]
    result = copies.measure(evidence(train, holdout, made))
    assert result.metric("exact_copy_excess").low < 0.02
    metric = result.metric("replicated_unique_excess")
    assert metric.value == pytest.approx(0.2)
    assert metric.low > 0.1


def test_what_several_patients_share_is_no_replicated_unique():
    train, holdout = table([1.0] * 30 + [2.0], ["n"] * 31), table([1.0] * 20, ["n"] * 20)
    made = table([1.0] * 25 + [2.0] * 5, ["n"] * 30)
    metric = copies.measure(evidence(train, holdout, made)).metric("replicated_unique_excess")
    assert metric.value == pytest.approx(5 / 30)
    assert "0 of 20 holdout rows" in metric.reading


def wide(seed: int, rows: int) -> Table:
    rng = np.random.default_rng(seed)
    names = [f"n{i}" for i in range(8)]
    columns = (*(Column(name, "numeric") for name in names), Column("c", "categorical", categories=("a", "b")))
    frame = pd.DataFrame(rng.normal(size=(rows, 8)), columns=names)
    frame["c"] = pd.Categorical(rng.choice(["a", "b"], rows), categories=["a", "b"])
    return Table(frame, Schema(columns), "real")


@pytest.mark.parametrize("column", ["c", "n2"])
def test_a_copy_with_one_column_changed_is_a_near_copy(column):
    train, holdout, made = wide(1, 400), wide(2, 200), wide(3, 400)
    leak = made.frame.copy()
    leak.iloc[:80] = train.frame.iloc[:80]
    leak[column] = made.frame[column]
    metric = copies.measure(evidence(train, holdout, replace(made, frame=leak))).metric("near_copy_excess")
    assert metric.low > 0.1
    assert copies.measure(evidence(train, holdout, made)).metric("near_copy_excess").low < 0.02


def test_the_tail_scan_shows_a_few_copies_in_a_large_table_and_chance_in_an_honest_one():
    train, holdout, made = wide(1, 6_000), wide(2, 3_000), wide(3, 6_000)
    honest = near_tail.measure(evidence(train, holdout, made)).metric("near_tail_p")
    assert honest.value > 0.01
    made.frame.iloc[:40] = train.frame.iloc[:40]
    assert near_tail.measure(evidence(train, holdout, made)).metric("near_tail_p").value < 0.001
    assert distances.measure(evidence(train, holdout, made)).metric("dcr_share").low < 0.51


def test_tied_rows_do_not_make_an_honest_table_a_breach():
    """Nearly all rows alike: a threshold set in one half of the people lets many through in the other half."""
    rng = np.random.default_rng(3)
    sides = [table(np.where(rng.random(n) < 0.8, np.nan, rng.random(n))) for n in (800, 600, 600)]
    low = membership.measure(evidence(*sides)).metric("tpr_at_1pct_fpr").low
    assert low < 0.03


def test_a_column_that_chance_makes_constant_has_not_collapsed():
    train, holdout = table(np.r_[np.zeros(1_500), np.ones(2)]), table(np.zeros(500))
    assert validity.measure(evidence(train, holdout, table(np.zeros(300)))).metric("collapsed_columns").value == 0
    train = table(np.r_[np.zeros(1_400), np.ones(100)])
    assert validity.measure(evidence(train, holdout, table(np.zeros(300)))).metric("collapsed_columns").value == 1
