"""Attacks and counts on tables small enough to work the answer out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import Column, Evidence, Schema, Table
from synthrelease.evaluation.checks import (
    _attacks,
    _risk,
    attributes,
    combinations,
    downstream,
    identity,
    inference,
    linkability,
    realism,
    singling_out,
)
from synthrelease.evaluation.checks._pool import Pool, fixed_halves, pooled

LABELS = ("a", "b", "c", "d")
SCHEMA = Schema(
    (
        Column("age", "integer", "quasi_identifier"),
        Column("sex", "categorical", "quasi_identifier", categories=("f", "m")),
        Column("lab", "numeric"),
        Column("code", "categorical", "sensitive", categories=LABELS),
        Column("died", "boolean", "target", categories=("no", "yes")),
    ),
    target="died",
)


def people(rows: int, seed: int, origin: str = "real") -> Table:
    rng = np.random.default_rng(seed)
    age = rng.integers(20, 90, rows).astype(float)
    frame = pd.DataFrame(
        {
            "age": age,
            "sex": pd.Categorical(rng.choice(["f", "m"], rows), categories=["f", "m"]),
            "lab": np.round(rng.normal(10, 3, rows), 2),
            "code": pd.Categorical(rng.choice(LABELS, rows), categories=list(LABELS)),
            "died": pd.Categorical(np.where(rng.random(rows) < age / 150, "yes", "no"), categories=["no", "yes"]),
        }
    )
    return Table(frame, SCHEMA, origin)


def evidence(made: Table | None = None, rows: int = 400, **more) -> Evidence:
    train, holdout = people(rows, 1), people(rows, 2)
    return Evidence(train, holdout, people(rows, 3, "synthetic") if made is None else made, seed=5, **more)


def copy_machine(rows: int = 400) -> Evidence:
    return evidence(replace(people(rows, 1), origin="synthetic"), rows)


def test_the_risk_formula_is_giomi_and_others():
    """Attack 60 of 100, control 20 of 100, z = 1.645: Wilson rates, then (a - c) / (1 - c)."""
    z2 = 1.6448536**2
    attack, control = (60 + z2 / 2) / (100 + z2), (20 + z2 / 2) / (100 + z2)
    found = _risk.risk(_risk.Trials("x", (60, 100), (20, 100), (5, 100)), 0.95)
    assert found.value == pytest.approx((attack - control) / (1 - control))
    assert found.low < found.value < found.high


def test_risk_is_not_cut_off_at_zero_and_a_weak_attack_says_nothing():
    assert _risk.risk(_risk.Trials("x", (10, 100), (20, 100), (5, 100)), 0.95).value < 0
    assert np.isnan(_risk.risk(_risk.Trials("x", (10, 100), (20, 100), (10, 100)), 0.95).value)
    bounds, worst = _risk.largest([_risk.Trials("x", (1, 100), (20, 100), (10, 100))], 0.95)
    assert worst is None
    assert np.isnan(bounds.high)


def test_the_worst_of_several_attacks_pays_for_the_looks_at_its_lower_end_alone():
    one = _risk.Trials("x", (60, 100), (20, 100), (5, 100))
    alone, _ = _risk.largest([one], 0.95)
    several, _ = _risk.largest([one] * 10, 0.95)
    assert several.high == alone.high
    assert several.low < alone.low


def test_singling_out_isolates_patients_of_the_copy_machine():
    leaky = singling_out.measure(copy_machine()).metric("singling_out_risk")
    honest = singling_out.measure(evidence()).metric("singling_out_risk")
    assert leaky.low > 0.5
    assert honest.low < 0.05


def test_a_predicate_of_a_row_is_met_by_the_row_itself():
    coded = singling_out._coded(people(30, 1))
    cells = coded.values  # noqa: PD011 - a field of our own
    middle = np.nanmedian(cells, axis=0)
    for row in range(30):
        assert singling_out._met(coded, cells[row], np.arange(5), middle)[row]


def test_linking_finds_the_copied_patient_by_either_half():
    assert linkability.measure(copy_machine()).metric("linkability_risk").low > 0.8
    assert linkability.measure(evidence()).metric("linkability_risk").low < 0.05


def test_linkability_takes_the_declared_sets_and_else_the_quasi_identifiers():
    first, second = linkability.column_sets(SCHEMA)
    assert [c.name for c in first] == ["age", "sex"]
    assert [c.name for c in second] == ["lab", "code", "died"]
    declared = replace(SCHEMA, linkability=(("age", "lab"), ("code",)))
    assert [[c.name for c in part] for part in linkability.column_sets(declared)] == [["age", "lab"], ["code"]]


def test_a_number_is_inferred_within_five_per_cent_and_a_label_exactly():
    numbers = inference.right(pd.Series([95.0, 94.0, np.nan]), pd.Series([100.0, 100.0, np.nan]), SCHEMA.columns[2])
    assert numbers.tolist() == [True, False, True]
    labels = pd.Series(pd.Categorical(["a", "b"], categories=list(LABELS)))
    assert inference.right(labels, labels.iloc[::-1], SCHEMA.columns[3]).tolist() == [False, False]


def test_inference_reads_the_sensitive_code_of_the_copy_machine():
    assert inference.measure(copy_machine()).metric("inference_risk").low > 0.5
    assert inference.measure(evidence()).metric("inference_risk").low < 0.05


def test_without_anything_sensitive_there_is_nothing_to_infer():
    plain = Schema(tuple(replace(c, role="feature") for c in SCHEMA.columns))
    tables = [replace(people(60, seed), schema=plain) for seed in range(3)]
    bare = Evidence(tables[0], tables[1], replace(tables[2], origin="synthetic"), seed=1)
    for check in (inference, attributes, identity):
        assert check.measure(bare).status == "not_applicable"


def test_a_target_is_inferred_only_where_somebody_declared_it_sensitive():
    def judged(*, declared: bool) -> str:
        columns = tuple(
            replace(c, role="target", declared_sensitive=declared) if c.role == "sensitive" else c
            for c in SCHEMA.columns
        )
        tables = [replace(people(60, seed), schema=Schema(columns)) for seed in range(3)]
        return inference.measure(Evidence(tables[0], tables[1], replace(tables[2], origin="synthetic"), seed=1)).status

    assert judged(declared=True) == "measured"
    assert judged(declared=False) == "not_applicable"


def test_attribute_gap_shows_what_only_training_patients_give_away():
    leaky = attributes.measure(copy_machine(600)).metric("attribute_gap")
    honest = attributes.measure(evidence(rows=600)).metric("attribute_gap")
    assert leaky.low > 0.02
    assert honest.low < 0.02


def test_reconstruction_solves_hidden_values_from_exact_counts():
    """Every training patient has a quasi-identifier of their own, so the counts of the copy machine are the values."""
    numbered = replace(SCHEMA, columns=tuple(c for c in SCHEMA.columns if c.name != "sex"))

    def table(seed: int, origin: str = "real") -> Table:
        frame = people(300, seed).frame.drop(columns="sex")
        frame["age"] = np.arange(300.0) + 1_000 * seed
        return Table(frame, numbered, origin)

    found = attributes.measure(Evidence(table(1), table(2), table(1, "synthetic"), seed=3)).metric("reconstruction_gap")
    assert found.low > 0.3


def test_identity_risk_counts_match_times_learn():
    """Of 100 patients ten have an age of their own and a rare code that the table repeats; all others share one age."""
    age = np.where(np.arange(100) < 10, np.arange(100), 50.0)
    code = np.where(np.arange(100) < 10, "d", "a")

    def table(ages, codes, origin="real"):
        frame = people(len(ages), 1).frame.assign(
            age=ages,
            sex=pd.Categorical(["f"] * len(ages), categories=["f", "m"]),
            code=pd.Categorical(codes, categories=list(LABELS)),
            died=pd.Categorical(["no"] * len(ages), categories=["no", "yes"]),
        )
        return Table(frame, SCHEMA, origin)

    strangers = table(np.full(100, 70.0), np.repeat("a", 100))
    found = identity.measure(Evidence(table(age, code), strangers, table(age, code, "synthetic"), seed=1))
    assert found.metric("identity_risk").value == pytest.approx(10 / 100)


def test_rare_combinations_of_a_few_columns_show_where_whole_rows_do_not():
    made = people(400, 3, "synthetic")
    frame = made.frame.copy()
    source = people(400, 1).frame
    frame.loc[:99, ["age", "lab"]] = source.loc[:99, ["age", "lab"]]
    leaky = combinations.measure(evidence(replace(made, frame=frame))).metric("combination_p")
    assert leaky.value < 0.002
    assert "age" in leaky.reading or "lab" in leaky.reading
    assert combinations.measure(evidence()).metric("combination_p").value > 0.002


def test_the_search_finds_the_columns_that_leak_and_only_its_own_half_of_the_labels_guides_it():
    rng = np.random.default_rng(5)
    schema = Schema(tuple(Column(f"c{i}", "categorical", categories=tuple("abcdef")) for i in range(12)))

    def drawn(origin: str = "real") -> Table:
        frame = pd.DataFrame(
            {c.name: pd.Categorical.from_codes(rng.integers(6, size=800), list("abcdef")) for c in schema.columns}
        )
        return Table(frame, schema, origin)

    train, holdout, made = drawn(), drawn(), drawn("synthetic")
    leaking = ["c1", "c3", "c5", "c7", "c9"]
    frame = made.frame.copy()
    frame.loc[:399, leaking] = train.frame.loc[:399, leaking]
    pool = combinations.pooled(rng, Evidence(train, holdout, made, seed=1))
    honest = combinations._searched(rng, pool, made)
    found = combinations._searched(rng, pool, replace(made, frame=frame))
    assert min(look.p for look in honest) > 0.005
    assert max(look.p for look in found) < 0.001
    assert all(len(set(look.name.split(" + ")) & set(leaking)) >= 4 for look in found)


def test_a_table_without_rare_combinations_says_so():
    schema = Schema((SCHEMA.columns[1], SCHEMA.columns[4]), target="died")
    sides = [
        Table(people(400, i).frame[["sex", "died"]], schema, o) for i, o in enumerate(("real", "real", "synthetic"))
    ]
    found = combinations.measure(Evidence(*sides, seed=1)).metric("combination_p")
    assert found.value == 1.0
    assert "No set of columns has enough rare combinations" in found.reading


def test_a_rare_combination_counts_per_patient_and_common_ones_do_not():
    train, holdout = people(30, 1), people(30, 2)
    pool = pooled(np.random.default_rng(0), Evidence(train, holdout, people(30, 1, "synthetic"), seed=1))
    cells = combinations.cell_keys(pool.table)
    weights = combinations.returns(cells, combinations.cell_keys(people(30, 1)), (2,), pool)
    assert weights[pool.member].mean() > weights[~pool.member].mean()
    assert combinations.returns(cells, cells, (1,), pool) is None  # two sexes: no rare combination


def shares(held: list[int], made: list[int]) -> np.ndarray[Any, Any]:
    """Weights of patients in groups of ``held``, each group's combination returning in ``made`` synthetic rows."""
    columns = (Column("code", "categorical", categories=tuple(f"v{i}" for i in range(len(held)))),)

    def table(counts: list[int], origin: str = "real") -> Table:
        codes = np.repeat(np.arange(len(counts)), counts)
        frame = pd.DataFrame({"code": pd.Categorical.from_codes(codes, list(columns[0].categories))})
        return Table(frame, Schema(columns), origin)

    real = table(held)
    pool = Pool(real, np.arange(len(real)), np.arange(len(real)) % 2 == 0)
    keys = combinations.cell_keys(real), combinations.cell_keys(table(made, "synthetic"))
    weights = combinations.returns(*keys, (0,), pool)
    assert weights is not None
    return weights[np.cumsum([0, *held[:-1]])]  # the first patient of each group


def test_what_stays_the_same_over_a_patients_rows_is_counted_once():
    """12 visits a patient: a combination that two patients hold is rare, though 24 rows have it."""
    schema = Schema((Column("code", "categorical", categories=tuple(f"v{i}" for i in range(40))),))

    def visits(codes: np.ndarray[Any, Any], origin: str = "real") -> Table:
        frame = pd.DataFrame({"code": pd.Categorical.from_codes(codes, list(schema.columns[0].categories))})
        return Table(frame, schema, origin)

    patients, codes = np.repeat(np.arange(80), 12), np.repeat(np.arange(80) % 40, 12)
    pool = Pool(visits(codes), patients, np.arange(80) < 40)
    keys = combinations.cell_keys(pool.table), combinations.cell_keys(visits(np.arange(10), "synthetic"))
    weights = combinations.returns(*keys, (0,), pool)
    single = Pool(visits(np.arange(80) % 40), np.arange(80), pool.member)
    assert weights == pytest.approx(combinations.returns(combinations.cell_keys(single.table), keys[1], (0,), single))


def test_a_weight_says_how_much_a_copy_would_explain_and_not_how_often_a_combination_came_back():
    held = [1] * 30 + [2] * 30
    made = [0] * 10 + [1] * 10 + [3] * 10 + [0] * 10 + [1] * 10 + [3] * 10
    unique, pairs = np.split(shares(held, made), 2)
    assert unique[10] == pytest.approx(unique[20])  # held once: once or three times back tells the same
    assert pairs[10] < pairs[20]  # held by two: more often back tells a little more
    assert 2 * (pairs[10] - pairs[0]) == pytest.approx(unique[10] - unique[0], rel=1e-5)
    assert unique.sum() == pytest.approx(0.0, abs=1e-5)  # measured from the usual of as rare ones
    assert pairs.sum() == pytest.approx(0.0, abs=1e-5)


def test_the_unit_of_weights_is_what_one_more_row_adds_on_average():
    weights = shares([1] * 40 + [2] * 40, [1] + [0] * 39 + [1] * 40)
    gain = (0 + 39 * 1 + 80 * (2 / 3 - 1 / 2)) / 120  # of the patient who came back, of 39 alone, of 80 in pairs
    assert weights[0] - weights[1] == pytest.approx(1 / gain, rel=1e-5)
    assert shares([1] * 40 + [2] * 40, [0] * 40 + [1] * 40) == pytest.approx(np.zeros(80), abs=1e-5)


def test_a_leak_of_the_declared_columns_is_found_among_hundreds_of_sets():
    rng = np.random.default_rng(7)
    train, holdout, made = people(900, 21), people(900, 22), people(900, 23, "synthetic")
    declared = combinations.declared_sets(train, list(range(len(SCHEMA.learned))))
    assert all(len(each) > 1 for each in declared)
    pool = combinations.pooled(rng, Evidence(train, holdout, made, seed=1))
    cells = combinations.cell_keys(pool.table)
    assert combinations._of_declared(rng, pool, made, cells).p > 0.01
    frame = made.frame.copy()
    names = [c.name for c in SCHEMA.learned if c.role != "feature"]
    frame.loc[:200, names] = train.frame.loc[:200, names]
    leaky = replace(made, frame=frame)
    assert combinations._of_declared(rng, pool, leaky, cells).p < 0.001


def test_small_cells_and_extremes_and_labels_are_counted():
    found = {m.name: m for m in combinations.measure(copy_machine()).metrics}
    assert found["small_group_excess"].low > 0
    assert found["rarest_label"].value == 400  # all labels are declared
    assert found["repeated_extremes"].value >= found["repeated_extremes"].reference
    learned = replace(SCHEMA, columns=tuple(replace(c, learns_levels=c.name == "code") for c in SCHEMA.columns))
    train, made = (Table(people(400, 1).frame, learned, origin) for origin in ("real", "synthetic"))
    train.frame["code"] = pd.Categorical(["a"] * 397 + ["d"] * 3, categories=list(LABELS))
    made.frame["code"] = train.frame["code"]
    rare = combinations.measure(Evidence(train, replace(people(400, 2), schema=learned), made, seed=1))
    assert rare.metric("rarest_label").value == 3


def test_the_pool_keeps_patients_and_sides_apart():
    train, holdout = people(60, 1), people(30, 2)
    units = np.arange(60) // 2, np.arange(30) // 3
    mixed = Evidence(replace(train, units=units[0]), replace(holdout, units=units[1]), people(9, 3, "synthetic"), 1)
    pool = pooled(np.random.default_rng(1), mixed)
    assert (int(pool.member.sum()), len(pool.member)) == (30, 40)
    lab = pool.table.frame["lab"].to_numpy()
    assert sorted(lab[pool.member[pool.patient]]) == sorted(train.frame["lab"])


def test_halves_of_the_columns_are_the_same_for_every_table():
    assert fixed_halves(SCHEMA.columns, 2) == fixed_halves(SCHEMA.columns, 2)
    assert {len(half) for half in fixed_halves(SCHEMA.columns, 2)} == {3}


def test_isolated_patients_are_told_without_knowing_the_side():
    points = [np.zeros((8, 2), dtype=np.float32), np.array([[9.0, 9.0], [0.0, 0.0]], dtype=np.float32)]
    isolation = _attacks._isolation(points)
    assert isolation[1][0] > 5
    assert isolation[1][1] < 2


def test_likeness_beyond_pairs_knows_honest_from_shuffled_tables():
    honest = {m.name: m for m in realism.measure(evidence(rows=800)).metrics}

    def table(seed, origin="real", shuffled=False):
        own = people(800, seed).frame
        noise = np.random.default_rng(seed + 50)
        own["lab"] = own["age"] / 5 + noise.normal(size=800)
        if shuffled:
            own["lab"] = noise.permutation(own["lab"])
        return Table(own, SCHEMA, origin)

    torn = {
        m.name: m for m in realism.measure(Evidence(table(1), table(2), table(3, "synthetic", True), seed=1)).metrics
    }
    assert honest["triple_tvd_excess"].low < 0.005
    assert honest["triple_tvd_excess"].high > 0
    assert honest["c2st_auc"].low < 0.52
    assert honest["level_coverage"].value == 1
    assert torn["correlation_gap"].low > 0.2
    assert torn["triple_tvd_excess"].low > 0.02
    assert torn["c2st_auc"].low > 0.7
    assert torn["k_marginal_score"].value < honest["k_marginal_score"].value


def test_a_label_that_never_comes_back_is_missed():
    made = people(400, 3, "synthetic")
    made.frame["code"] = made.frame["code"].where(made.frame["code"] != "d", "a")
    coverage = realism.measure(evidence(made)).metric("level_coverage")
    assert coverage.value == pytest.approx(7 / 8)
    assert "code" in coverage.reading


def test_usefulness_beyond_the_average_of_fresh_rows_is_no_loss():
    found = {m.name: m for m in downstream.measure(evidence(rows=800)).metrics}
    assert found["calibration_gap"].low < 0.02
    assert found["subgroup_gap"].low < 0.1
    assert found["augmentation_gain"].high > -0.02
    torn = people(800, 3, "synthetic")
    often = np.where(np.random.default_rng(0).random(800) < 0.95, "yes", "no")
    torn.frame["died"] = pd.Categorical(often, categories=["no", "yes"])
    lost = {m.name: m for m in downstream.measure(evidence(torn, rows=800)).metrics}
    assert lost["subgroup_gap"].value > found["subgroup_gap"].value
    assert lost["calibration_gap"].value > found["calibration_gap"].value
