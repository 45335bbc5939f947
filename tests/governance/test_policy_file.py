"""Policies: what a file may say, and the decision as a pure function."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from synthrelease.core.contracts import CheckResult, CheckSpec, Metric, MetricSpec, Policy, Rule
from synthrelease.core.errors import PolicyError
from synthrelease.governance import gate, policy_file
from synthrelease.workflows import finish_run

SPECS = {
    "leak": CheckSpec("leak", "Leak", "privacy", (MetricSpec("risk", "Is there a risk?", "auc", "lower"),), ""),
    "worth": CheckSpec("worth", "Worth", "utility", (MetricSpec("kept", "Is it kept?", "score", "higher"),), ""),
}
RISK = Rule("leak", "risk", 0.6, "at_most", "block", 100, "why", "source")
KEPT = Rule("worth", "kept", 0.5, "at_least", "block", 10, "why", "source")
GOOD_FILE = """
name = "ours"
version = "1"
title = "t"
recipient = "r"
sign_off = ["a person"]
confidence = 0.95
[[rules]]
check = "leak"
metric = "risk"
at_most = 0.6
severity = "block"
min_n = 100
why = "w"
source = "s"
"""


def made(*rules: Rule) -> Policy:
    return Policy("p", "1", "t", "r", ("a person",), 0.95, rules, "0" * 64)


def found(check: str, value: float, low: float, high: float, n: int = 500) -> CheckResult:
    metric = Metric(SPECS[check].metrics[0].name, value, low, high, SPECS[check].metrics[0].unit, n, "Read so.")
    return CheckResult(check, "measured", n, metrics=(metric,))


def decision(rules, *results) -> str:
    return gate.decide(made(*rules), results, SPECS).decision


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.48, 0.59, 500, "release"),  # the whole interval within the limit
        (0.48, 0.60, 500, "release"),  # the limit itself still counts
        (0.48, 0.61, 500, "undecided"),  # reaches across
        (0.48, 0.59, 99, "undecided"),  # within, on too few rows
        (0.61, 0.80, 500, "refuse"),  # beyond
        (0.61, 0.80, 3, "refuse"),  # a few rows can show a breach
        (math.nan, 0.59, 500, "undecided"),
        (0.48, math.nan, 500, "undecided"),
        (0.48, math.inf, 500, "undecided"),
    ],
)
def test_a_rule_looks_at_the_interval_and_at_the_rows_behind_it(low, high, n, expected):
    assert decision([RISK], found("leak", 0.5, low, high, n)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.5, 0.9, "release"), (0.4, 0.9, "undecided"), (0.1, 0.4, "refuse")]
)
def test_at_least_mirrors_at_most(low, high, expected):
    assert decision([KEPT], found("worth", (low + high) / 2, low, high)) == expected


@pytest.mark.parametrize("status", ["not_applicable", "too_few_rows", "crashed"])
def test_whatever_was_not_measured_never_passes(status):
    good = found("worth", 0.9, 0.8, 1.0)
    assert decision([RISK, KEPT], good, replace(found("leak", 0.5, 0.4, 0.5), status=status)) == "undecided"
    assert decision([RISK, KEPT], good) == "undecided"
    assert decision([RISK, KEPT], good, CheckResult("leak", "measured", 500)) == "undecided"


def test_a_rule_may_refuse_where_nothing_is_claimed_and_only_there():
    strict = replace(RISK, if_nothing_declared="refuse")
    good = found("worth", 0.9, 0.8, 1.0)
    nothing = replace(found("leak", 0.5, 0.4, 0.5), status="not_applicable", note="It makes no claim.")
    verdict = gate.decide(made(strict, KEPT), [good, nothing], SPECS)
    assert verdict.decision == "refuse"
    assert "1 of 2 blocking rules is breached" in verdict.deciding
    assert "It makes no claim." in verdict.deciding
    for status in ("too_few_rows", "crashed", "measured"):
        silent = replace(nothing, status=status, metrics=())
        assert gate.decide(made(strict, KEPT), [good, silent], SPECS).decision == "undecided"
    assert gate.decide(made(strict, KEPT), [good], SPECS).decision == "undecided"


def test_a_rule_may_warn_where_nothing_is_declared_and_only_there():
    lenient = replace(RISK, if_nothing_declared="warn")
    good = found("worth", 0.9, 0.8, 1.0)
    nothing = replace(found("leak", 0.5, 0.4, 0.5), status="not_applicable")
    verdict = gate.decide(made(lenient, KEPT), [good, nothing], SPECS)
    assert verdict.decision == "release"
    assert "Of the 1 advisory rules, 1 has no answer." in verdict.deciding
    held = next(outcome for outcome in verdict.outcomes if outcome.rule.check == "leak")
    assert (held.outcome, held.rule.severity) == ("no_evidence", "warn")
    assert "confirm" in held.sentence
    for status in ("too_few_rows", "crashed"):
        assert decision([lenient, KEPT], good, replace(nothing, status=status)) == "undecided"
    assert decision([lenient, KEPT], good) == "undecided"
    assert decision([lenient, KEPT], good, found("leak", float("nan"), float("nan"), float("nan"))) == "undecided"
    with pytest.raises(PolicyError, match="at least one blocking rule"):
        gate.decide(made(lenient), [nothing], SPECS)


def test_a_breach_outweighs_missing_evidence_and_warnings_decide_nothing():
    bad = found("leak", 0.9, 0.8, 1.0)
    assert decision([RISK, KEPT], bad) == "refuse"
    warning = replace(RISK, severity="warn")
    verdict = gate.decide(made(warning, KEPT), [bad, found("worth", 0.9, 0.8, 1.0)], SPECS)
    assert verdict.decision == "release"
    assert verdict.outcomes[0].outcome == "breached"
    assert "Of the 1 advisory rules, 1 is breached." in verdict.deciding


def test_outcomes_stand_worst_first_and_the_deciding_sentence_names_the_worst():
    verdict = gate.decide(made(KEPT, RISK), [found("leak", 0.9, 0.8, 1.0), found("worth", 0.9, 0.8, 1.0)], SPECS)
    assert [o.outcome for o in verdict.outcomes] == ["breached", "met"]
    assert verdict.deciding.startswith("Refused")
    assert "Is there a risk?" in verdict.deciding
    assert "at most 0.6" in verdict.deciding


def test_a_policy_without_a_blocking_rule_cannot_decide():
    for rules in ([], [replace(RISK, severity="warn")]):
        with pytest.raises(PolicyError, match="at least one blocking rule"):
            gate.decide(made(*rules), [found("leak", 0.5, 0.4, 0.5)], SPECS)


def test_two_answers_of_one_check_are_refused():
    with pytest.raises(PolicyError, match="once"):
        gate.decide(made(RISK), [found("leak", 0.9, 0.8, 1.0), found("leak", 0.5, 0.4, 0.5)], SPECS)


def loaded(tmp_path, text: str) -> Policy:
    path = tmp_path / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return policy_file.load(str(path), SPECS)


def test_a_file_of_the_users_own_is_read(tmp_path):
    ours = loaded(tmp_path, GOOD_FILE)
    assert ours.rules[0] == replace(RISK, why="w", source="s")
    assert ours.text == GOOD_FILE
    assert len(ours.digest) == 64


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('check = "leak"', 'check = "nonsense"', "is no check"),
        ('metric = "risk"', 'metric = "nonsense"', "measures risk"),
        ("at_most = 0.6", "at_most = 0.6\nat_least = 0.1", "exactly one"),
        ("at_most = 0.6", "", "exactly one"),
        ("at_most = 0.6", "at_most = nan", "finite"),
        ("at_most = 0.6", "at_least = 0.6", "the other way"),
        ('severity = "block"', 'severity = "warn"', "all of them only warn"),
        ('severity = "block"', 'severity = "maybe"', "severity"),
        ("min_n = 100", "min_n = 0", "min_n"),
        ("min_n = 100", "", "min_n"),
        ('why = "w"', 'why = ""', "why"),
        ("confidence = 0.95", "confidence = 95", "confidence"),
        ('title = "t"', 'title = "t"\ncolour = "red"', "colour"),
        ('sign_off = ["a person"]', "", "sign_off"),  # nobody must be said, too
        ('sign_off = ["a person"]', 'sign_off = [""]', "sign_off"),
        ('why = "w"', 'why = "w"\nwaiver_by = [""]', "waiver_by"),
        ("[[rules]]", '[signing]\nkeys = "maybe"\n[[rules]]', "keys"),
        ("[[rules]]", "[caps]\nattempts_at_most = 0\n[[rules]]", "attempts_at_most"),
        ("[[rules]]", "[[rules", "TOML"),
    ],
)
def test_a_broken_file_is_refused_with_its_key(tmp_path, old, new, message):
    assert old in GOOD_FILE
    with pytest.raises(PolicyError, match=message):
        loaded(tmp_path, GOOD_FILE.replace(old, new))


def test_an_empty_policy_and_a_policy_without_rules_are_refused(tmp_path):
    for text in ("", GOOD_FILE.split("[[rules]]")[0], GOOD_FILE.split("[[rules]]")[0] + "rules = []\n"):
        with pytest.raises(PolicyError, match="rules"):
            loaded(tmp_path, text)


def test_a_rule_stated_twice_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="has a rule already"):
        loaded(tmp_path, GOOD_FILE + "[[rules]]" + GOOD_FILE.split("[[rules]]")[1])


def test_all_problems_are_listed_at_once(tmp_path):
    text = GOOD_FILE.replace('check = "leak"', 'check = "x"').replace('severity = "block"', 'severity = "warn"')
    with pytest.raises(PolicyError) as caught:
        loaded(tmp_path, text)
    assert "is no check" in str(caught.value)
    assert "only warn" in str(caught.value)


def test_an_unknown_policy_names_those_there_are():
    with pytest.raises(PolicyError, match="internal_sandbox, open_release, partner_handoff"):
        policy_file.load("nonsense", SPECS)


@pytest.mark.parametrize("name", policy_file.names())
def test_every_policy_that_comes_with_the_package_loads_and_explains_each_rule(name):
    found_policy = policy_file.load(name, finish_run.known_checks())
    assert found_policy.name == name
    assert all(len(rule.why) > 20 and len(rule.source) > 10 for rule in found_policy.rules)


def test_stricter_recipients_never_get_looser_limits():
    known = finish_run.known_checks()
    chain = [policy_file.load(name, known) for name in ("open_release", "partner_handoff", "internal_sandbox")]
    for strict, loose in pairwise(chain):
        limits = {(r.check, r.metric): r for r in strict.rules}
        for rule in loose.rules:
            if known[rule.check].family == "privacy":
                strict_limit = limits[rule.check, rule.metric].limit
                assert strict_limit <= rule.limit if rule.direction == "at_most" else strict_limit >= rule.limit


DERIVED = """
derived_from = "partner_handoff"
name = "ours"
version = "1"
without = ["linkability.linkability_risk"]

[[rules]]
check = "membership"
metric = "mia_auc"
at_most = 0.65
severity = "warn"
min_n = 50
why = "w"
source = "s"

[[rules]]
check = "copies"
metric = "exact_copy_excess"
at_most = 0.001
severity = "block"
min_n = 1000
why = "w"
source = "s"
"""


def derived(tmp_path, text: str) -> Policy:
    path = tmp_path / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return policy_file.load(str(path), finish_run.known_checks())


def test_a_derived_policy_keeps_the_rest_and_shows_all_that_is_looser(tmp_path):
    ours, base = derived(tmp_path, DERIVED), policy_file.load("partner_handoff", finish_run.known_checks())
    assert ours.derived_from == f"partner_handoff {base.version}"
    assert len(ours.rules) == len(base.rules) - 1
    assert [item.split(":")[0] for item in ours.loosened] == ["membership.mia_auc"] * 3 + [
        "linkability.linkability_risk"
    ]
    assert "0.65 in place of at most 0.6" in ours.loosened[0]
    assert "only warns" in ours.loosened[1]
    assert "50 rows" in ours.loosened[2]
    assert "left out" in ours.loosened[3]
    assert ours.sign_off == base.sign_off
    assert ours.digest != base.digest


def test_a_derived_policy_that_only_tightens_loosens_nothing(tmp_path):
    text = DERIVED.replace('without = ["linkability.linkability_risk"]', "").replace("at_most = 0.65", "at_most = 0.55")
    text = text.replace('"warn"', '"block"').replace("min_n = 50", "min_n = 500")
    assert derived(tmp_path, text).loosened == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"partner_handoff"', '"nonsense"', "derived from one of"),
        ('"linkability.linkability_risk"', '"nonsense.risk"', "is no rule of"),
        ('check = "membership"', 'check = "nonsense"', "is no check"),
        ('version = "1"', 'version = "1"\ncolour = "red"', "colour"),
        ("min_n = 50", "min_n = 50\nconfidence = 0.99", "which is lower"),
    ],
)
def test_a_broken_derived_policy_is_refused(tmp_path, old, new, message):
    with pytest.raises(PolicyError, match=message):
        derived(tmp_path, DERIVED.replace(old, new))


@pytest.mark.parametrize("name", policy_file.names())
def test_every_rule_states_why_source_rows_confidence_and_severity(name):
    text = (policy_file.folder() / f"{name}.toml").read_text(encoding="utf-8")
    for block in text.split("[[rules]]")[1:]:
        assert all(f"{key} = " in block for key in ("severity", "min_n", "confidence", "why", "source"))


def test_looser_signatures_waivers_and_caps_are_listed(tmp_path):
    text = (
        'derived_from = "open_release"\nname = "ours"\nversion = "1"\nsign_off = ["data steward"]\n'
        "[signing]\ntwo_people = false\nwaiver_days = 365\n[caps]\nattempts_at_most = 50\n"
    )
    ours = derived(tmp_path, text).loosened
    for told in (
        "none is asked of the compliance reviewer, data protection officer",
        "one person may fill several roles",
        "names alone suffice",
        "365 days in place of 90",
        "attempts: at most 50 in place of at most 10",
        "epsilon over all releases: no cap",
    ):
        assert any(told in each for each in ours), told
    rule = next(
        r for r in policy_file.load("open_release", finish_run.known_checks()).rules if r.metric == "utility_gap"
    )
    waived = (
        'derived_from = "open_release"\nname = "ours"\nversion = "1"\n[[rules]]\ncheck = "utility"\n'
        f'metric = "utility_gap"\nat_most = {rule.limit}\nseverity = "block"\nmin_n = {rule.min_n}\n'
        'why = "w"\nsource = "s"\nwaiver_by = ["data steward"]\n'
    )
    assert derived(tmp_path, waived).loosened == ("utility.utility_gap: may be waived by the data steward",)


def test_fingerprints_are_read_however_they_are_grouped(tmp_path):
    key = "AB12 " * 16
    text = (
        'derived_from = "partner_handoff"\nname = "ours"\nversion = "1"\n'
        f'[signing.fingerprints]\n"data steward" = ["{key}"]\n'
    )
    ours = derived(tmp_path, text)
    assert ours.signing.fingerprints == {"data steward": ("ab12" * 16,)}
    assert ours.loosened == ()


def test_labels_may_be_sharpened_only_where_a_policy_says_so(tmp_path):
    assert not loaded(tmp_path, GOOD_FILE).may_sharpen_labels
    said = GOOD_FILE.replace("[[rules]]", "[labels]\nmay_be_sharpened = true\n[[rules]]", 1)
    assert loaded(tmp_path, said).may_sharpen_labels
    allowed = {
        name: policy_file.load(name, finish_run.known_checks()).may_sharpen_labels for name in policy_file.names()
    }
    assert allowed == {"internal_sandbox": True, "open_release": False, "partner_handoff": False}
    text = 'derived_from = "partner_handoff"\nname = "ours"\nversion = "1"\n[labels]\nmay_be_sharpened = true\n'
    assert derived(tmp_path, text).loosened == ("labels: may be sharpened, which makes every effect too large",)
