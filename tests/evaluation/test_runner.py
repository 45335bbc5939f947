"""Running the checks: a crash or too few rows become results that no rule accepts."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence, MetricSpec, Refits, Table
from synthrelease.evaluation import checks
from synthrelease.evaluation.runner import run
from synthrelease.governance import gate, policy_file
from synthrelease.workflows import finish_run


def resampled(train: Table, rows: int, seed: int) -> pd.DataFrame:
    """A generator that leaks all it can: training rows drawn with replacement."""
    chosen = np.random.default_rng(seed).integers(len(train), size=rows)
    return train.frame.iloc[chosen].reset_index(drop=True)


def evidence(table: Table, **changes) -> Evidence:
    thirds = np.array_split(np.random.default_rng(0).permutation(len(table)), 3)
    train, holdout, made = (table.take(part) for part in thirds)
    return replace(Evidence(train, holdout, replace(made, origin="synthetic"), seed=1), **changes)


def test_every_check_answers_with_the_metrics_it_promises(ward_table):
    refits = Refits(resampled, shadow_models=8, folds=2)
    columns = tuple(
        replace(each, role="sensitive") if each.name == "smoker" else each for each in ward_table.schema.columns
    )
    table = replace(ward_table, schema=replace(ward_table.schema, columns=columns))
    results = run(evidence(table, refits=refits))
    assert [r.check for r in results] == sorted(checks.registry())
    for result in results:
        assert result.status == "measured", result.note
        promised = [spec.name for spec in checks.specs()[result.check].metrics]
        assert [metric.name for metric in result.metrics] == promised
        for metric in result.metrics:
            assert metric.low <= metric.value <= metric.high or math.isnan(metric.value)
            assert metric.n > 0
            assert metric.reading


def test_the_same_seed_measures_the_same_and_a_check_does_not_depend_on_the_others(ward_table):
    whole = run(evidence(ward_table))
    alone = run(evidence(ward_table), only=["distances"])
    assert alone[0].metrics == next(r for r in whole if r.check == "distances").metrics


def test_too_few_rows_are_said_and_measure_nothing(ward_table):
    few = evidence(ward_table, synthetic=replace(ward_table.take(np.arange(19)), origin="synthetic"))
    for result in run(few):
        assert result.status == "too_few_rows"
        assert result.metrics == ()


def test_a_crash_becomes_a_result_without_the_message_that_may_hold_a_cell(ward_table, monkeypatch):
    def broken(_):
        raise RuntimeError("Mrs Example, 63")

    spec = CheckSpec("broken", "Broken", "privacy", (MetricSpec("m", "?", "auc", "lower"),), "")
    monkeypatch.setattr(checks, "registry", lambda: {"broken": checks.Check(spec, broken)})
    (result,) = run(evidence(ward_table))
    assert result.status == "crashed"
    assert re.match(
        r"RuntimeError in .*test_runner\.py, line \d+, in \S*broken; the log has the way there", result.note
    )
    assert "Example" not in result.note


def test_evidence_refuses_synthetic_rows_in_place_of_real_ones(ward_table):
    with pytest.raises(ValueError, match="real rows"):
        evidence(ward_table, holdout=replace(ward_table, origin="synthetic"))


def test_patients_count_once_however_many_rows_they_have(ward_table):
    """Ten rows a patient: intervals must rest on patients, so they widen as if there were a tenth of the rows."""
    single = evidence(ward_table)
    units = [np.arange(len(t)) // 10 for t in (single.train, single.holdout)]
    many = replace(
        single,
        train=replace(single.train, units=units[0]),
        holdout=replace(single.holdout, units=units[1]),
    )
    for check, metric in (("copies", "exact_copy_excess"), ("membership", "mia_auc")):
        first, second = (run(e, only=[check])[0].metric(metric) for e in (single, many))
        assert second.n < first.n / 9
        assert second.high - second.low > 1.5 * (first.high - first.low)


@pytest.mark.parametrize("name", sorted(checks.registry()))
def test_a_fault_in_any_check_is_a_crash_and_no_rule_is_met_by_it(ward_table, monkeypatch, name):
    """Fault injection: whatever a check calls first breaks; nothing it promises may then meet a rule."""

    def broken(_):
        raise ValueError("Mrs Example, 63")

    known, check = finish_run.known_checks(), checks.registry()[name]
    loaded = [policy_file.load(each, known) for each in policy_file.names()]
    monkeypatch.setattr(checks, "registry", lambda: {name: replace(check, measure=broken)})
    (result,) = run(evidence(ward_table))
    assert result.status == "crashed"
    assert result.metrics == ()
    for each in loaded:
        found = gate.decide(each, [result], known)
        assert all(outcome.outcome == "no_evidence" for outcome in found.outcomes)
        assert found.decision == "undecided"


@pytest.mark.parametrize("name", sorted(checks.registry()))
def test_a_fault_inside_a_check_is_caught_as_well(ward_table, monkeypatch, name):
    """The same from inside: the tables themselves break when a check reads their rows."""
    broken = evidence(ward_table)
    object.__setattr__(broken.train, "frame", None)
    monkeypatch.setattr(Table, "__len__", lambda self: 100)
    (result,) = run(broken, only=[name])
    assert result.status in ("crashed", "not_applicable")
    assert result.metrics == ()


def test_the_time_left_goes_by_what_checks_take_and_by_the_trainings_ahead(ward_table, monkeypatch):
    def check(name, cost, seconds=0.0):
        def measure(_):
            time.sleep(seconds)
            return CheckResult(name, "not_applicable")

        return checks.Check(
            CheckSpec(name, name, "privacy", (MetricSpec("m", "?", "auc", "lower"),), "", cost), measure
        )

    known = {"quick": check("quick", 1, 0.1), "shadow": check("shadow", 0.1), "slow": check("slow", 100)}
    monkeypatch.setattr(checks, "registry", lambda: known)
    said = []
    run(evidence(ward_table, refits=Refits(resampled, shadow_models=8, seconds=15.0)), on_check=said.append)
    assert said[0] == "quick (1 of 3, about 2 min left)"
    minutes = [int(re.search(r"about (\d+) (min|s) left", text)[1]) for text in said]
    assert minutes[1] == 2  # 120 s of trainings and 10 s of checks
    assert 10 <= minutes[2] <= 60  # seconds: the trainings are over
