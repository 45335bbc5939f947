"""Rules between columns: how they read, what breaks them, and that synthetic rows break none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthrelease.core.contracts import Column, Constraint, Evidence, Schema, Table
from synthrelease.core.errors import InputError, SchemaError, TrainingError
from synthrelease.evaluation.checks import validity
from synthrelease.schema import constraints, schema_file
from synthrelease.synthesis import constraint_repair

COLUMNS = (
    Column("a", "numeric"),
    Column("b", "numeric"),
    Column("c-c", "integer", bounds=(0, 100)),
    Column("sex", "categorical", categories=("F", "M")),
    Column("grade", "ordinal", categories=("low", "mid", "high")),
    Column("city", "categorical", categories=("Ulm", "Bonn", "Kiel")),
    Column("code", "categorical", categories=("89", "53", "24")),
)


def meaning(*rules: Constraint | str) -> Schema:
    found = (rule if isinstance(rule, Constraint) else Constraint(rule) for rule in rules)
    return Schema(COLUMNS, constraints=tuple(found))


def frame_of(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[column.name for column in COLUMNS])
    for column in COLUMNS:
        if column.is_number:
            frame[column.name] = frame[column.name].astype(float)
        else:
            ordered = column.kind == "ordinal"
            frame[column.name] = pd.Categorical(frame[column.name], list(column.categories), ordered=ordered)
    return frame


def random_rows(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {c.name: rng.integers(0, 9, rows).astype(float) for c in COLUMNS if c.is_number}
    for column in COLUMNS:
        if not column.is_number:
            codes = rng.integers(-1, len(column.categories), rows)
            dtype = pd.CategoricalDtype(list(column.categories), ordered=column.kind == "ordinal")
            values[column.name] = pd.Categorical.from_codes(codes, dtype=dtype)
        else:
            values[column.name][rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame(values)[[column.name for column in COLUMNS]]


ROW = (2.0, 4.0, 10, "F", "mid", "Ulm", "89")


@pytest.mark.parametrize(
    ("rule", "is_broken"),
    [
        ("a < b", False),
        ("a >= b", True),
        ("a <= b <= `c-c`", False),
        ("a < b < 3", True),
        ("b = a ** 2", False),
        ("b == 2 * a + 1", True),
        ("`c-c` - a * 2 = 6", False),
        ("-a < 0 and not (a > b or b > `c-c`)", False),
        ("max(a, b, 3) = 4 and min(a, b) = 2 and sqrt(b) = a and abs(a - b) = 2", False),
        ("round(a / 3) = 1", False),
        ("a / 0 > 3", False),
        ("if sex == 'F' then a > 3", True),
        ("if sex == 'M' then a > 3", False),
        ("if sex = 'F' then a is missing", True),
        ("a is not missing", False),
        ("a in [1, 2, -3]", False),
        ("sex not in ['F']", True),
        ("grade < 'high'", False),
        ("grade > 'mid'", True),
        ("code == 89", False),
        ("sex != city", False),
    ],
)
def test_a_rule_means_what_it_says(rule, is_broken):
    schema_of_rule = meaning(rule)
    assert list(constraints.problems(schema_of_rule)) == []
    assert constraints.broken(frame_of([ROW]), schema_of_rule.constraints[0], schema_of_rule).tolist() == [is_broken]


@pytest.mark.parametrize(
    "rule", ["a < 1", "a > 1", "a = 1", "a != 1", "not a < 1", "a in [1]", "a + b > 3", "a not in [1]"]
)
def test_a_missing_value_breaks_no_comparison(rule):
    row = (math.nan, *ROW[1:])
    assert not constraints.broken(frame_of([row]), Constraint(rule), meaning(rule)).any()


def test_an_equation_holds_within_its_tolerance():
    rows = frame_of([(2.0, 4.04, *ROW[2:]), (2.0, 4.06, *ROW[2:])])
    assert constraints.broken(rows, Constraint("b = a ** 2", tolerance=0.05), meaning()).tolist() == [False, True]


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("a <", "cannot be read"),
        ("__import__('os')", "cannot be read"),
        ("a.b < 3", "cannot be read"),
        ("a < d", "'d' is no column"),
        ("c-c < 3", "'c' is no column"),
        ("a + b", "neither true nor false"),
        ("1 < 2", "no column"),
        ("sex + 1 > 2", "no number"),
        ("sex < 'M'", "order"),
        ("sex == 'X'", "does not declare"),
        ("a == 'x'", "a number with a label"),
        ("a and b > 1", "neither true nor false"),
        ("if a then b > 1", "neither true nor false"),
        ("(a > 1) = (b > 1)", "true or false"),
        ("a + 1 is missing", "only a column"),
        ("sqrt(a, b) > 1", "takes one"),
        ("a, a determines b", "twice"),
        ("a" * 600 + " > 1", "at most"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named_with_its_place(rule, word):
    (problem,) = constraints.problems(meaning("a < b", rule))
    assert problem.startswith("constraints[2].rule:")
    assert word in problem


def test_every_problem_of_a_schema_file_is_listed_at_once(tmp_path):
    path = tmp_path / "schema.toml"
    path.write_text(
        '[columns.a]\nkind = "numeric"\n[columns.id]\nrole = "identifier"\n'
        '[[constraints]]\nrule = "a <"\n[[constraints]]\ncombination = ["a"]\n[[constraints]]\nrule = "id > 3"\n'
        "[[constraints]]\n",
        encoding="utf-8",
    )
    with pytest.raises(SchemaError) as error:
        schema_file.load(path)
    for place in ("constraints[1].rule", "constraints[2].combination", "constraints[3].rule", "constraints[4].rule"):
        assert place in str(error.value)
    assert "breaks 4 things" in str(error.value)


def test_real_rows_that_break_a_rule_are_refused_with_their_number():
    rows = frame_of([ROW, (9.0, *ROW[1:]), (8.0, *ROW[1:])])
    table = Table(rows, meaning("a < b"), "real")
    with pytest.raises(InputError, match=r"2 rows break the rule 'a < b'"):
        constraints.check(table)
    constraints.check(replace(table, schema=meaning("a > 1", "city determines code")))
    twice = pd.concat([rows, frame_of([(*ROW[:-1], "53")])], ignore_index=True)
    with pytest.raises(InputError, match=r"1 row breaks the rule 'city determines code'"):
        constraints.check(Table(twice, meaning("city determines code"), "real"))


NUMBERS = st.one_of(st.none(), st.integers(-5, 5))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["F", "M", None])), min_size=1, max_size=20))
def test_conditionals_agree_with_the_slow_obvious_version(rows):
    def is_broken(a, b, sex):
        premise = None if sex is None else sex == "M"
        outcome = None if a is None or b is None else a + 1 < b * 2
        return premise is True and outcome is False

    table = frame_of([(a, b, 1, sex, "low", "Ulm", "89") for a, b, sex in rows])
    rule = Constraint("if sex == 'M' then a + 1 < b * 2")
    assert constraints.broken(table, rule, meaning(rule)).tolist() == [is_broken(*row) for row in rows]


class Maker:
    """A generator that makes rows at random and knows no rule."""

    def sample(self, rows, *, seed, chunk_rows=65_536):
        yield from (random_rows(part, seed + part) for part in (rows - rows // 3, rows // 3) if part)


def real_table(*rules) -> Table:
    """Rows in which codes follow cities, for 200 patients and one odd pair that a single patient has."""
    rows = random_rows(200, 1)
    places = rows["city"].cat.codes.to_numpy()
    rows["code"] = pd.Categorical.from_codes(places, dtype=rows["code"].dtype)
    rows.loc[0, ["city", "code"]] = ["Ulm", "24"]
    return Table(rows, meaning(*rules), "real")


ALL = (
    "a <= b",
    Constraint("`c-c` = a + 2 * b", tolerance=0.5),
    "if sex == 'M' then grade is missing",
    Constraint(combination=("city", "code")),
    "if sex == 'F' then b < 8",
)


@settings(max_examples=12, deadline=None)
@given(st.sets(st.sampled_from(range(len(ALL))), min_size=1), st.integers(1, 300), st.integers(0, 99))
def test_output_breaks_no_rule_and_has_exactly_the_rows_asked_for(which, rows, seed):
    table = real_table(*(ALL[place] for place in sorted(which)))
    how = constraint_repair.plan(table, min_cell=5)
    made = pd.concat(list(constraint_repair.obeying(Maker(), how, rows, seed=seed)), ignore_index=True)
    assert len(made) == rows
    assert made.dtypes.tolist() == table.frame.dtypes.tolist()
    synthetic = Table(made, table.schema, "synthetic")
    assert not any(wrong.any() for wrong in constraints.violations(synthetic, table).values())
    assert not ((made["city"] == "Ulm") & (made["code"] == "24")).any() or 3 not in which


def test_a_combination_of_too_few_patients_is_never_drawn_and_the_rest_keep_their_first_column():
    table = real_table(Constraint(combination=("city", "code")))
    how = constraint_repair.plan(table, min_cell=5)
    before = random_rows(500, 3)
    after = constraint_repair.repaired(before, how, np.random.default_rng(0))
    pairs = set(zip(after["city"].cat.codes, after["code"].cat.codes, strict=True))
    assert pairs == {(-1, -1), (0, 0), (1, 1), (2, 2)}
    assert after["city"].cat.codes.tolist() == before["city"].cat.codes.tolist()


def test_a_dependency_follows_its_keys():
    table = real_table("city determines code")
    after = constraint_repair.repaired(
        random_rows(500, 3), constraint_repair.plan(table, min_cell=5), np.random.default_rng(0)
    )
    assert after["city"].cat.codes.tolist() == after["code"].cat.codes.tolist()


def test_a_formula_is_rounded_as_the_training_rows_are():
    rows = random_rows(50, 1)
    rows["b"] = np.round(rows["a"] / 3, 2)
    how = constraint_repair.plan(Table(rows, meaning(Constraint("b = a / 3", tolerance=0.006)), "real"), min_cell=5)
    assert how.decimals == {"b": 2}
    after = constraint_repair.repaired(random_rows(50, 2), how, np.random.default_rng(0))
    known = after["a"].notna() & after["b"].notna()
    assert after["b"][known].tolist() == np.round(after["a"][known] / 3, 2).tolist()


def test_rows_left_out_are_told():
    told: list[float] = []
    how = constraint_repair.plan(real_table("a >= b"), min_cell=5)
    list(constraint_repair.obeying(Maker(), how, 500, seed=0, on_end=told.append))
    assert 0.2 < told[0] < 0.6


def test_a_rule_that_no_row_obeys_ends_with_its_name():
    how = constraint_repair.plan(real_table("a is not missing", "a > 100"), min_cell=5)
    with pytest.raises(TrainingError, match=r"'a > 100'.*--effort"):
        list(constraint_repair.obeying(Maker(), how, 100, seed=0))


def test_columns_that_share_no_combination_are_refused():
    table = real_table(Constraint(combination=("a", "b", "c-c")))
    with pytest.raises(InputError, match="at least 50 training patients"):
        constraint_repair.plan(table, min_cell=50)


def test_validity_counts_rows_and_holds_combinations_to_the_training_rows():
    real = real_table("a <= b", Constraint(combination=("city", "code")), "grade determines city")
    made = Table(frame_of([ROW, (9.0, *ROW[1:]), (*ROW[:-1], "53"), ROW]), real.schema, "synthetic")
    metric = validity.measure(Evidence(real, real, made, seed=0)).metric("broken_rules")
    assert (metric.low, metric.value, metric.high) == (metric.value,) * 3
    assert "a <= b (1)" in metric.reading
    assert "combination of city, code (1)" in metric.reading


def test_a_dependency_with_unknown_keys_must_be_at_one_with_itself():
    known = frame_of([ROW])
    rows = frame_of([(*ROW[:5], "Kiel", "24")] * 3 + [(*ROW[:5], "Kiel", "53"), ROW, (*ROW[:6], "53")])
    names = constraints.dependency(Constraint("city determines code"))
    assert constraints.outside(rows, names, known).tolist() == [False, False, False, True, False, True]
