"""The first screen in short: every question has its answer, whatever was decided."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_report import NAN, claimed, sample

from synthrelease.core.contracts import CheckResult, Figure, Line, Metric
from synthrelease.evaluation import checks
from synthrelease.governance import policy_file
from synthrelease.report import first_screen, next_steps, not_tested, outcome_terms, regulations
from synthrelease.workflows.finish_run import known_checks


def answered(run, **changes):
    facts = replace(run.facts, **changes)
    return {each.question: each.text for each in all_answers(replace(run, facts=facts))}


def all_answers(run):
    found = not_tested.gaps(run.verdict, run.results, run.facts, run.specs)
    return first_screen.answers(run.verdict, run.results, run.facts, found)


def steward(run, **changes):
    """The second line on what comes next, and the steps that are folded behind it, as one text."""
    answer = all_answers(replace(run, facts=replace(run.facts, **changes)))[1]
    assert answer.question == "What comes next?"
    return " ".join((answer.steward, *(step.what for step in answer.folded)))


@pytest.mark.parametrize(
    ("decision", "begins"), [("release", "By the rules, yes"), ("refuse", "No."), ("undecided", "No, not yet")]
)
def test_whether_it_is_released_comes_first(decision, begins):
    run = sample(decision)
    first = all_answers(run)[0]
    assert first.question == "Is it released?"
    assert first.text.startswith(begins)


def test_a_refusal_names_its_rule_the_result_the_limit_and_a_way_out():
    told = answered(sample("refuse"))
    assert "Found 0.742 (allowing for chance, 0.701 to 0.783); allowed at most 0.6." in told["Which rule decided?"]
    assert "(membership.auc)" in told["Which rule decided?"]
    assert "1 breached and 2 without an answer" in told["Which rule decided?"]
    assert "earn less by heart" in steward(sample("refuse"))
    assert "other seeds" in steward(sample("refuse"))


def test_a_refused_table_is_for_nobody_and_a_vendors_goes_back_to_its_maker():
    run = sample("refuse")
    assert answered(run)["Who may receive it, and what for?"].startswith("Nobody, as it stands.")
    assert "--set" in steward(run)
    told = steward(run, was_made_here=False)
    assert told.startswith("To release a table, its maker has to make it anew")
    assert "Learn less by heart" in told
    assert "--set" not in told


def test_lacking_evidence_says_how_much_is_lacking():
    run = sample("undecided")
    few = next(item for item in run.verdict.outcomes if item.metric is not None)
    few = [
        replace(few, outcome="no_evidence", rule=replace(few.rule, min_n=n, severity="block")) for n in (1_000, 3_000)
    ]
    run = replace(run, verdict=replace(run.verdict, outcomes=(*few, *run.verdict.outcomes)))
    told = steward(run)
    assert f"More real rows kept apart: rules ask for up to 3,000 where {few[0].metric.n:,} are there." in told
    assert told.count("More real rows kept apart: rules") == 1
    assert "Not measured, outliers, AUC: the check outliers left no number to judge" in told


def test_a_missing_formal_guarantee_is_a_step_of_its_own():
    run = sample("undecided")
    first = run.verdict.outcomes[0]
    budget = replace(first, metric=None, outcome="no_evidence", rule=replace(first.rule, check="privacy_budget"))
    told = steward(replace(run, verdict=replace(run.verdict, outcomes=(budget,))))
    assert told.endswith("Train under differential privacy, with an epsilon within the limit (--epsilon).")


def test_many_steps_are_counted():
    run = sample("refuse")
    checks_ = ("copies", "combinations", "utility", "validity", "self_test")
    one = run.verdict.outcomes[0]
    outcomes = tuple(replace(one, rule=replace(one.rule, check=check)) for check in checks_)
    answer = all_answers(replace(run, verdict=replace(run.verdict, outcomes=outcomes)))[1]
    assert answer.fold == "5 ways to mend it"
    assert len(answer.folded) == 5


def test_of_a_release_the_rule_nearest_to_its_limit_is_named():
    told = answered(sample("release"))
    assert told["Which rule decided?"].startswith("All blocking rules are met. The one nearest to its limit:")
    assert "void" in steward(sample("release"))
    assert "approve or reject" in told["What comes next?"]


@pytest.mark.parametrize("decision", ["release", "refuse", "undecided"])
def test_the_reviewer_and_the_steward_are_each_told_what_comes_next(decision):
    told = all_answers(sample(decision))[1]
    assert told.text
    assert told.steward
    assert ("Do not hand it over" in told.text) == (decision != "release")


def test_a_table_that_gives_people_away_is_to_be_treated_as_patient_data_and_a_poor_one_is_not():
    run = sample("refuse")
    assert "data protection officer" in answered(run)["What comes next?"]
    poor = replace(run.verdict.outcomes[0], rule=replace(run.verdict.outcomes[0].rule, check="utility"))
    poor_run = replace(run, verdict=replace(run.verdict, outcomes=(poor,)))
    assert "data protection officer" not in answered(poor_run)["What comes next?"]


def test_recipient_purpose_and_signatures():
    told = answered(sample())
    assert "Institute for Applied Oncology" in told["Who may receive it, and what for?"]
    assert "triage model" in told["Who may receive it, and what for?"]
    assert told["Who must sign, and who has?"] == "Data steward and Privacy officer. Nobody has signed yet."


def test_the_title_never_is_the_real_tables_name_alone():
    run = sample()
    assert first_screen.subject(run.facts) == "the synthetic table made from wdbc.csv"
    assert (
        first_screen.subject(replace(run.facts, was_made_here=False)) == "the table handed over as synthetic, wdbc.csv"
    )
    assert "Each row counts as one patient" in first_screen.sizes(run.facts)
    assert "One patient (column id)" in first_screen.sizes(replace(run.facts, unit="patient (column id)"))


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
        "“<b>age”, the worst beyond chance: its distance to unseen real rows is 0.300 (0 alike, 1 nothing in "
        "common), where chance gives 0.100."
    )
    nothing = answered(replace(run, results=()))
    assert nothing["Is any row a copy of a patient?"] == "Not measured."
    assert nothing["Which column is least like the real one?"] == "Not measured."


def test_epsilon_is_claimed_only_where_there_is_a_claim():
    run = sample()
    question = "Is there a formal guarantee (epsilon)?"
    assert answered(run)[question].startswith("None: it was made without differential privacy")
    assert answered(run, was_made_here=False)[question].startswith("Not known: its maker handed over no privacy ledger")
    claim = claimed(epsilon=2.0, unit="row", attack_auc_at_most=0.8812)
    assert "not the same as one patient" in answered(run, privacy=claim)[question]
    assert "AUC above 0.881" in answered(run, privacy=claim)[question]


def test_gaps_are_counted_and_every_one_is_named():
    run = sample("undecided")
    answer = next(each for each in all_answers(run) if each.question == "What was not tested?")
    assert answer.text.startswith("Of 20 rules, 2 were not tested; 2 of these block.")
    named = " ".join(f"{gap.what} {gap.why}" for gap in answer.folded)
    for item in run.verdict.outcomes:
        assert (outcome_terms.topic(item) in named) == (item.outcome == "no_evidence")
    for standing in run.facts.not_tested:
        assert standing in named
    assert answer.fold == f"All {len(answer.folded)} by name"


def test_what_was_not_run_and_what_is_not_declared_is_a_gap():
    run = sample()
    results = (*run.results, CheckResult("shadow", "not_applicable", note="No shadow models were asked for."))
    specs = {**run.specs, "shadow": checks.specs()["shadow"], "cross_audit": checks.specs()["cross_audit"]}
    found = not_tested.gaps(run.verdict, results, run.facts, specs)
    assert "Not run: Shadow-model attack" in found.in_short
    assert "Cross-audit of the procedure" in found.in_short
    assert not_tested.NO_SENSITIVE in found.in_short
    assert any(gap.why == "No shadow models were asked for." for gap in found.named)
    column = replace(run.facts.columns[1], role="target, sensitive")
    declared = not_tested.gaps(run.verdict, results, replace(run.facts, columns=(column,)), specs)
    assert not_tested.NO_SENSITIVE not in declared.in_short
    vendor = not_tested.gaps(run.verdict, results, replace(run.facts, was_made_here=False), specs)
    assert vendor.named[0].what == not_tested.ON_TRUST


def test_a_figure_that_a_check_could_not_give_is_a_gap_although_no_rule_asks_for_it():
    run = sample()
    metric = Metric("tpr_at_01pct_fpr", NAN, NAN, NAN, "share", 9, "It needs 1,000 holdout patients.")
    results = (*run.results, CheckResult("membership", "measured", metrics=(metric,)))
    found = not_tested.gaps(run.verdict, results, run.facts, checks.specs())
    assert any("at 0.1% false alarms" in gap.what and gap.why == metric.reading for gap in found.named)


def test_every_question_has_a_topic_and_an_answer_that_fits_its_outcome():
    for name, spec in known_checks().items():
        for metric in spec.metrics:
            assert metric.topic, (name, metric.name)
            assert metric.question.split()[0] in ("Is", "Are", "Do", "Does", "Can", "Could", "Trained"), metric.question
    assert outcome_terms.answer("met", None, "no") == "No more than allowed"
    assert outcome_terms.answer("met", None, "yes") == "Yes"
    assert outcome_terms.answer("breached", None, "no") == "Yes, more than allowed"
    assert outcome_terms.answer("breached", None, "yes") == "No"
    assert (
        outcome_terms.answer("no_evidence", None, "no")
        == outcome_terms.answer("no_evidence", None, "yes")
        == "Could not tell"
    )


def test_the_word_shown_tells_undecided_from_not_measured_and_from_nothing_to_ask():
    item = sample().verdict.outcomes[0]
    assert outcome_terms.shown(replace(item, outcome="no_evidence")) == "Undecided"
    assert outcome_terms.shown(replace(item, outcome="no_evidence", metric=None)) == "Not measured"
    assert (
        outcome_terms.shown(replace(item, outcome="no_evidence", metric=replace(item.metric, value=NAN)))
        == "Not measured"
    )
    assert (
        outcome_terms.shown(replace(item, outcome="met", metric=replace(item.metric, applies=False)))
        == "Does not apply"
    )
    assert set(outcome_terms.WORST_FIRST) == set(outcome_terms.MEANINGS)


def test_every_rule_of_every_policy_has_a_remedy():
    for name in policy_file.names():
        for rule in policy_file.load(name, known_checks()).rules:
            assert rule.check in next_steps.REMEDIES, (name, rule.check)


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
