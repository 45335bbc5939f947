"""The first screen in short: every question has its answer, whatever was decided."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markupsafe import Markup
from sample_report import sample

from synthrelease import checks, front, policy, regulations
from synthrelease.contracts import CheckResult, Figure, Line, Metric
from synthrelease.pages import Section
from synthrelease.pipeline import known_checks


def answered(run, **changes):
    facts = replace(run.facts, **changes)
    return {each.question: each.text for each in front.answers(run.verdict, run.results, facts)}


@pytest.mark.parametrize(
    ("decision", "begins"), [("release", "By the rules, yes"), ("refuse", "No."), ("undecided", "No, not yet")]
)
def test_whether_it_is_released_comes_first(decision, begins):
    run = sample(decision)
    first = front.answers(run.verdict, run.results, run.facts)[0]
    assert first.question == "Is it released?"
    assert first.text.startswith(begins)


def test_a_refusal_names_its_rule_the_result_the_limit_and_a_way_out():
    told = answered(sample("refuse"))
    assert "Found: 0.742 (allowing for chance 0.701 to 0.783); allowed: at most 0.6." in told["Which rule decided?"]
    assert "membership.auc is breached" in told["Which rule decided?"]
    assert "earn less by heart" in told["What would change that?"]
    assert "other seeds" in told["What would change that?"]


def test_a_refused_table_is_for_nobody_and_a_vendors_goes_back_to_its_maker():
    run = sample("refuse")
    assert answered(run)["Who may receive it, and what for?"].startswith("Nobody, as it stands.")
    assert "--set" in answered(run)["What would change that?"]
    told = answered(run, generator="unknown")["What would change that?"]
    assert told.startswith("Its maker has to make the table anew: (1) Learn less by heart")
    assert "--set" not in told


def test_lacking_evidence_says_how_much_is_lacking():
    run = sample("undecided")
    few = next(item for item in run.verdict.outcomes if item.metric is not None)
    few = [
        replace(few, outcome="no_evidence", rule=replace(few.rule, min_n=n, severity="block")) for n in (1_000, 3_000)
    ]
    run = replace(run, verdict=replace(run.verdict, outcomes=(*few, *run.verdict.outcomes)))
    told = answered(run)["What would change that?"]
    assert f"(1) More real rows kept apart: rules ask for up to 3,000 where {few[0].metric.n:,} are there." in told
    assert told.count("More real rows kept apart: rules") == 1
    assert "(2) Not measured, outliers: the check outliers left no number to judge" in told


def test_a_missing_formal_guarantee_is_a_step_of_its_own():
    run = sample("undecided")
    first = run.verdict.outcomes[0]
    budget = replace(first, metric=None, outcome="no_evidence", rule=replace(first.rule, check="privacy_budget"))
    told = answered(replace(run, verdict=replace(run.verdict, outcomes=(budget,))))["What would change that?"]
    assert told.startswith(
        "Train under differential privacy, with an epsilon within the limit (--epsilon). Then audit again."
    )


def test_many_steps_are_counted():
    run = sample("refuse")
    checks_ = ("copies", "combinations", "utility", "validity", "self_test")
    one = run.verdict.outcomes[0]
    outcomes = tuple(replace(one, rule=replace(one.rule, check=check)) for check in checks_)
    told = answered(replace(run, verdict=replace(run.verdict, outcomes=outcomes)))["What would change that?"]
    assert "(3)" in told
    assert "And 2 more steps: see the checklist." in told


def test_of_a_release_the_rule_nearest_to_its_limit_is_named():
    told = answered(sample("release"))
    assert told["Which rule decided?"].startswith("All blocking rules are met. The one nearest to its limit:")
    assert "void" in told["What would change that?"]


def test_recipient_purpose_and_signatures():
    told = answered(sample())
    assert "Institute for Applied Oncology" in told["Who may receive it, and what for?"]
    assert "triage model" in told["Who may receive it, and what for?"]
    assert told["Who must sign?"] == "Data steward and Privacy officer."


def test_copies_and_the_worst_column_come_from_the_checks():
    metric = Metric("exact_copy_excess", 0.0, 0.0, 0.01, "share", 9, "0 of 9 training patients have an exact copy.")
    lines = (Line("synthetic", ("<b>age", "sex"), (0.3, 0.1)), Line("floor", ("<b>age", "sex"), (0.1, 0.1)))
    figure = Figure("marginal_tvd", "bars", "T", "C", "x", "y", lines)
    run = sample()
    results = (
        CheckResult("copies", "measured", metrics=(metric,)),
        CheckResult("fidelity", "measured", figures=(figure,)),
    )
    told = answered(replace(run, results=results))
    assert told["Is any row a copy of a patient?"] == metric.reading
    assert told["Which column is least like the real one?"].startswith(
        "“<b>age”: its distance to unseen real rows is 0.300"
    )
    nothing = answered(replace(run, results=()))
    assert nothing["Is any row a copy of a patient?"] == "Not measured."
    assert nothing["Which column is least like the real one?"] == "Not measured."


def test_epsilon_is_claimed_only_where_there_is_a_claim():
    run = sample()
    question = "Is there a formal guarantee (epsilon)?"
    assert answered(run)[question].startswith("No: no epsilon is claimed")
    assert "handed over no privacy ledger" in answered(run, generator="unknown")[question]
    claim = {"epsilon": 2.0, "delta": 1e-6, "unit": "row"}
    assert "not the same as one patient" in answered(run, privacy=claim)[question]
    assert "AUC above 0.881" in answered(run, privacy=claim)[question]
    assert "without a finite epsilon" in answered(run, privacy={"epsilon": None})[question]


def test_gaps_are_named_and_counted():
    told = answered(sample())["What was not tested?"]
    assert "a second table about the same patients" in told
    assert told.endswith("And 2 more, below.")
    assert answered(sample(), not_tested=())["What was not tested?"].startswith("No gap was recorded")


def test_other_modules_may_add_an_answer():
    run = sample()
    sections = (
        Section("attempts", "Attempts", Markup("<p>3</p>"), "The third attempt."),
        Section("more", "More", Markup()),
    )
    last = front.answers(run.verdict, run.results, run.facts, sections)[-1]
    assert (last.question, last.text, last.link) == ("Attempts", "The third attempt.", "attempts")


def test_every_rule_of_every_policy_has_a_remedy():
    for name in policy.names():
        for rule in policy.load(name, known_checks()).rules:
            assert rule.check in front.REMEDIES, (name, rule.check)


def test_regulations_name_checks_that_exist_and_show_the_worst_outcome():
    known = known_checks()
    for criterion in regulations.CRITERIA:
        assert set(criterion.checks) <= set(known), criterion
    run = sample("refuse")
    views = regulations.criteria(run.verdict.outcomes, run.results, run.specs)
    shown = {item.link: item.outcome for view in views for item in view.evidence}
    assert shown["check-membership"] == "breached"
    assert shown["check-linkability"] == "no_evidence"
    assert "check-near_tail" not in shown  # neither run nor described


def test_no_wording_claims_a_legal_conclusion():
    words = " ".join(f"{each.asks} {each.left} {each.also}" for each in regulations.CRITERIA).lower()
    assert "complies" not in words
    assert "compliant" not in words
    assert set(checks.specs()) >= {name for each in regulations.CRITERIA for name in each.checks} - {"privacy_budget"}
