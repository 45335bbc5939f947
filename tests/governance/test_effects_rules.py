"""Every policy's rules on planned analyses: planted effects do not pass, honest rows and tables without a plan do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from made_effects import Effects, evidence, patients, schema

from synthrelease.core.contracts import CheckResult, Policy
from synthrelease.evaluation.checks import effects
from synthrelease.governance import gate, policy_file
from synthrelease.workflows import finish_run

PLANS = {"the target": schema(target="ill"), "two analyses": schema("stay", "falls"), "survival": schema("months")}
PLANTED = {
    "honest": Effects(),
    "tripled": Effects().times(3),
    "halved": Effects().times(0.5),
    "one sign turned": replace(Effects(), dose=0.6),
}
SEVERITIES = {"internal_sandbox": "warn", "partner_handoff": "block", "open_release": "block"}


def policy(name: str) -> Policy:
    return policy_file.load(name, finish_run.known_checks())


def by_effects_alone(name: str) -> Policy:
    """The policy's rules on effects, each of them blocking: so that nothing else decides."""
    rules = [rule for rule in policy(name).rules if rule.check == "effects" and rule.metric != "invented"]
    always = tuple(replace(rule, severity="block", if_nothing_declared="undecided") for rule in rules)
    return replace(policy(name), rules=always)


@cache
def measured(planted: str, plan: str, confidence: float) -> CheckResult:
    rows = 1_500 if plan == "survival" else 3_000
    told = evidence(patients(rows, 90, PLANTED[planted]), PLANS[plan], rows=rows, seed=4)
    return effects.measure(replace(told, confidence=confidence))


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        *(("the target", name) for name in SEVERITIES),
        ("two analyses", "partner_handoff"),
        ("survival", "partner_handoff"),
    ],
)
def test_effects_that_are_tripled_halved_or_turned_do_not_pass_and_honest_rows_do(plan, name):
    rules, known = by_effects_alone(name), finish_run.known_checks()
    found = {each: gate.decide(rules, [measured(each, plan, rules.confidence)], known) for each in PLANTED}
    decided = {each: verdict.decision for each, verdict in found.items()}
    assert decided["honest"] == "release"
    assert {decided[each] for each in ("tripled", "halved", "one sign turned")} == {"refuse"}
    assert {each.outcome for each in found["honest"].analyses} == {"met"}
    assert {each.outcome for each in found["tripled"].analyses} == {"breached"}


@pytest.mark.parametrize("name", SEVERITIES)
def test_what_leaves_the_house_is_held_back_by_every_figure_and_the_sandbox_warns(name):
    rules = {rule.metric: rule.severity for rule in policy(name).rules if rule.check == "effects"}
    invented = rules.pop("invented", "warn")  # nobody can plant columns for a table that is finished
    assert invented == "warn"
    assert rules == {spec.name: SEVERITIES[name] for spec in effects.SPEC.metrics[:-1]}


@pytest.mark.parametrize("name", SEVERITIES)
def test_without_target_and_plan_the_rules_hold_nothing_back(name):
    nothing = effects.measure(evidence(patients(100, 91), schema()))
    found = gate.decide(policy(name), [nothing], finish_run.known_checks())
    mine = [each for each in found.outcomes if each.rule.check == "effects"]
    assert {each.rule.severity for each in mine} == {"warn"}
    assert found.analyses == ()


def test_an_analysis_with_a_missing_figure_is_not_shown_to_agree():
    rules, known = by_effects_alone("partner_handoff"), finish_run.known_checks()
    result = measured("honest", "the target", 0.95)
    (analysis,) = result.analyses
    unknown = tuple(replace(m, low=float("nan")) if m.name == "overlap" else m for m in analysis.metrics)
    found = gate.decide(rules, [replace(result, analyses=(replace(analysis, metrics=unknown),))], known)
    assert [each.outcome for each in found.analyses] == ["no_evidence"]
    none = gate.decide(rules, [replace(result, analyses=(replace(analysis, metrics=()),))], known)
    assert [each.outcome for each in none.analyses] == ["no_evidence"]
