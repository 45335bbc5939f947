"""Planned analyses in the schema file: what is understood, and that every mistake is named before a table is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthrelease.core.contracts import Analysis, Constraint
from synthrelease.core.errors import SchemaError
from synthrelease.schema.schema_file import load

COLUMNS = """
[columns.record]
role = "identifier"
[columns.age]
kind = "integer"
bounds = [0, 120]
[columns.months]
kind = "numeric"
[columns.died]
kind = "boolean"
categories = ["0", "1"]
[columns.stage]
kind = "categorical"
categories = ["I", "II", "III"]
[columns.answer]
kind = "boolean"
categories = ["yes", "no"]
[columns.falls]
kind = "integer"
"""

MERGED = 'kind = "categorical"\ncategories = ["yes", "no"]\nmerge = { known = ["yes"] }'


def block(name="a", model="logistic", outcome='"answer"', covariates='["age"]') -> str:
    return f'[[analyses]]\nname = "{name}"\nmodel = "{model}"\noutcome = {outcome}\ncovariates = {covariates}\n'


def loaded(tmp_path: Path, *blocks: str):
    path = tmp_path / "schema.toml"
    path.write_text(COLUMNS + "".join(blocks), encoding="utf-8")
    return load(path)


SURVIVAL = '{ time = "months", event = "died" }'


def test_each_model_is_read_with_the_label_that_stands_for_its_event(tmp_path):
    schema = loaded(
        tmp_path,
        block("says yes", covariates='["age", "stage"]'),
        block("survival", "cox", SURVIVAL),
        block("falls", "poisson", '"falls"'),
        block("size", "linear", '"months"'),
    )
    assert schema.analyses == (
        Analysis("says yes", "logistic", "answer", ("age", "stage"), happened="yes"),
        Analysis("survival", "cox", "months", ("age",), event="died", happened="1"),
        Analysis("falls", "poisson", "falls", ("age",)),
        Analysis("size", "linear", "months", ("age",)),
    )
    assert schema.analyses[0].words == "logistic regression of 'answer' on 2 columns"


def test_times_and_counts_must_not_lie_below_zero_in_either_table(tmp_path):
    schema = loaded(tmp_path, block("survival", "cox", SURVIVAL), block("falls", "poisson", '"falls"'))
    assert schema.constraints == (
        Constraint("`months` >= 0", analysis="survival"),
        Constraint("`falls` >= 0", analysis="falls"),
    )
    bounded = COLUMNS.replace("[columns.months]\n", "[columns.months]\nbounds = [0, 90]\n")
    path = tmp_path / "bounded.toml"
    path.write_text(bounded + block("survival", "cox", SURVIVAL), encoding="utf-8")
    assert load(path).constraints == ()


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([block(covariates='["height"]')], "analyses[1].covariates: 'height' is no column"),
        ([block(covariates='["record"]')], "analyses[1].covariates: 'record' is never learned"),
        ([block(outcome='"heigth"')], "analyses[1].outcome: 'heigth' is no column"),
        ([block(outcome='"record"')], "analyses[1].outcome: 'record' is never learned"),
        ([block(covariates="[]")], "analyses[1].covariates: at least one column"),
        ([block(covariates='["age", "age"]')], "analyses[1].covariates: a column stands twice"),
        ([block(covariates='["answer"]')], "analyses[1].covariates: a column stands twice"),
        ([block(outcome='"stage"')], "analyses[1].outcome: a logistic model explains a column of two listed labels"),
        ([block(outcome='"age"')], "analyses[1].outcome: a logistic model explains a column of two listed labels"),
        ([block(model="linear")], "analyses[1].outcome: a linear model explains a number"),
        ([block(model="poisson", outcome='"months"')], "analyses[1].outcome: a poisson model explains whole numbers"),
        ([block(model="cox", outcome='"months"')], "analyses[1].outcome: a cox model, and no other, takes {time"),
        ([block(outcome=SURVIVAL)], "analyses[1].outcome: a cox model, and no other, takes {time"),
        (
            [block(model="cox", outcome='{ time = "months", event = "stage" }')],
            "analyses[1].outcome: an event is 0 or 1",
        ),
        (
            [block(model="cox", outcome='{ time = "stage", event = "died" }')],
            "analyses[1].outcome: time is a number or a duration",
        ),
        ([block(outcome='{ time = "months" }')], "analyses.outcome: must be a column, or {time"),
        ([block(model="ols")], "analyses.model: 'ols' is not known"),
        ([block(), block()], "analyses[2].name: each analysis has a name of its own"),
        ([block(name=" ")], "analyses[1].name: each analysis has a name of its own"),
        ([block(name=f"a{i}") for i in range(11)], "analyses: at most 10 can be planned"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, blocks, said):
    with pytest.raises(SchemaError) as caught:
        loaded(tmp_path, *blocks)
    assert said in str(caught.value)


def test_an_outcome_whose_labels_are_merged_is_refused(tmp_path):
    merged = COLUMNS.replace('kind = "boolean"\ncategories = ["yes", "no"]', MERGED)
    path = tmp_path / "merged.toml"
    path.write_text(merged + block(), encoding="utf-8")
    with pytest.raises(SchemaError, match="its labels are merged before anything is learned"):
        load(path)


def test_every_mistake_of_a_file_is_named_at_once(tmp_path):
    with pytest.raises(SchemaError) as caught:
        loaded(tmp_path, block("one", covariates='["height"]'), block("two", "linear"))
    assert "analyses[1].covariates" in str(caught.value)
    assert "analyses[2].outcome" in str(caught.value)
