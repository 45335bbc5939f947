from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from jinja2 import UndefinedError
from sample_report import NAN, Sample, claimed, sample

from synthrelease.core.contracts import (
    AttackBound,
    CheckResult,
    ColumnFact,
    Figure,
    Line,
    Metric,
    PrivacySpend,
    PublicFact,
    Score,
    Utility,
)
from synthrelease.report import internal_report
from synthrelease.report.templating import environment

VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = ("<script>alert(1)</script>", "=cmd|'/C calc'!A0", "\"'><b onclick=x>", "<img src=x onerror=window.pwned=1>")
LONG = "n" * 300


class Page(HTMLParser):
    """The tags, text and nesting of a page; an unclosed or crossed tag is an error."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def render(run: Sample) -> str:
    return internal_report.render(run.verdict, run.results, run.facts, run.specs)


def card(run: Sample):
    return internal_report.data_card(run.facts, run.verdict, released_rows=400, files={"synthetic.csv": "ab" * 32})


def assert_nothing_foreign(html):
    page = Page(html)
    bare = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(
        r"https?:|//\w+\.|url\(|@import", re.sub(r"<(p|td|th|dd|li|text|title|desc|span)\b[^>]*>[^<]*", "", bare)
    )
    assert page.count("script") == page.count("link") == page.count("img") == page.count("iframe") == 0
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("src", "srcset", "action", "style") for name in attributes)
        assert attributes.get("href", "#").startswith("#")


@pytest.mark.parametrize(
    ("decision", "words"),
    [("release", "RELEASE"), ("refuse", "DO NOT RELEASE"), ("undecided", "HUMAN REVIEW NEEDED")],
)
def test_the_first_screen_says_what_was_decided_and_why(decision, words):
    run = sample(decision)
    html = render(run)
    front = html[html.index("<main") : html.index("Evidence and background")]
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", front)
    assert heading
    assert heading[1] == words
    told = " ".join(re.sub(r"<[^>]+>", " ", front).split())
    policy = run.verdict.policy
    for needed in (run.verdict.deciding, policy.title, policy.version, policy.recipient, run.facts.purpose):
        assert needed in told
    for needed in (*policy.sign_off, *run.facts.not_tested, *(item.question for item in run.verdict.outcomes)):
        assert needed in told
    assert "they never suffice for one" in told
    assert "cannot prove that there is none" in told


def test_the_checklist_keeps_the_order_of_the_verdict_and_shows_outcome_weight_and_limit():
    run = sample("refuse")
    html = render(run)
    rows = re.findall(r'<tr role="row" class="(\w+)">(.*?)</tr>', html, re.S)
    assert [outcome for outcome, _ in rows] == [item.outcome for item in run.verdict.outcomes]
    first = " ".join(re.sub(r"<[^>]+>", " ", rows[0][1]).split())
    for part in ("0.742", "0.701 to 0.783", "at most 0.6", "Breached", "Blocking", run.verdict.outcomes[0].sentence):
        assert part in first
    assert "20 rules: 3 breached (2 blocking), 2 not measured (2 blocking), 15 met" in html


def test_a_rule_without_evidence_says_what_is_missing():
    html = render(sample("undecided"))
    assert "not measured" in html
    assert "The check outliers left no number to judge" in html


def test_checks_that_measured_nothing_are_loud():
    run = sample("undecided")
    page = Page(render(run))
    assert "Too few rows to tell" in page.words
    assert "Crashed: nothing was measured" in page.words
    assert sum(attributes.get("class") == "loud" for _, attributes in page.tags) == 2


def test_a_described_check_without_result_and_a_result_without_description_are_both_shown():
    run = sample()
    results = (*run.results[1:], CheckResult("unheard_of", "crashed", note="no such thing"))
    words = Page(internal_report.render(run.verdict, results, run.facts, run.specs)).words
    assert "Was not run: nothing was measured" in words
    assert "unheard_of" in words


def test_a_check_that_does_not_apply_is_said_quietly():
    run = sample()
    results = (*run.results[:-1], CheckResult("domains", "not_applicable", note="There is nothing to check."))
    html = internal_report.render(run.verdict, results, run.facts, run.specs)
    assert "Not run. There is nothing to check." in html
    assert 'class="loud"' not in html


@pytest.mark.parametrize("decision", ["release", "refuse", "undecided"])
def test_the_page_needs_nothing_but_itself(decision):
    html = render(sample(decision))
    assert_nothing_foreign(html)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert len(html.encode()) < 1_000_000


def test_structure_for_assistive_technology():
    page = Page(render(sample("undecided")))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.count("main") == page.count("header") == page.count("footer") == page.count("nav") == 1
    assert page.count("caption") == page.count("table")
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert targets <= set(ids)


def test_utility_shows_both_sides_with_intervals():
    words = Page(render(sample())).words
    assert "Logistic regression Accuracy 0.971 (0.940 to 0.998) 0.953 (0.922 to 0.980) \N{MINUS SIGN}0.018" in words
    assert "the class looked for is “M”" in words


def test_regression_utility():
    run = sample()
    scores = {"r2": Score(0.41, 0.35, 0.47), "mae": Score(1234.5, 1100.0, 1400.0)}
    utility = Utility("regression", "", {"linear_regression": scores}, {"linear_regression": {"r2": scores["r2"]}})
    results = tuple(replace(result, utility=utility if result.utility else None) for result in run.results)
    words = Page(internal_report.render(run.verdict, results, run.facts, run.specs)).words
    assert "Linear regression R² 0.410 (0.350 to 0.470) 0.410 (0.350 to 0.470) 0.000" in words
    assert "Mean absolute error 1,234 (1,100 to 1,400) not measured not known" in words


def test_without_differential_privacy_no_claim_is_made_and_with_it_the_ledger_is_shown():
    run = sample()
    assert "No differential privacy: no (epsilon, delta) claim is made." in render(run)
    spend = PrivacySpend("training", "DP-SGD", 1.1, 0.02, 900, "patient")
    privacy = claimed(epsilon=2.5, delta=1e-5, spends=(spend,))
    words = Page(render(replace(run, facts=replace(run.facts, privacy=privacy)))).words
    assert "No differential privacy" not in words
    assert "Epsilon 2.500 Delta 1 \N{MULTIPLICATION SIGN} 10⁻⁵ Unit patient" in words
    assert "training DP-SGD 1.100 0.02000 900" in words


def test_the_attack_is_drawn_below_the_ceiling_that_epsilon_promises():
    run = sample()
    roc = Figure("mia_roc", "curve", "Attack", "C", "FPR", "TPR", (Line("attack", (0.1, 1.0), (0.1, 1.0)),), True, True)
    results = (CheckResult("membership", "measured", 9, figures=(roc,)),)
    with_claim = internal_report.render(run.verdict, results, replace(run.facts, privacy=claimed()), run.specs)
    assert "ceiling promised by epsilon 1 (for one patient)" in with_claim
    assert "ceiling promised" not in internal_report.render(run.verdict, results, run.facts, run.specs)


def test_a_row_as_the_unit_is_said_on_the_first_screen():
    run = sample()
    html = render(replace(run, facts=replace(run.facts, privacy=claimed(unit="row"))))
    assert "Read this before relying on epsilon" in html[: html.index('id="checklist"')]


def hostile() -> Sample:
    """A run in which every text is an attack, every number is missing and every figure is broken."""
    run = sample("undecided")
    name = " ".join(HOSTILE) + "\x00\u202e" + LONG
    metric = Metric(name, NAN, NAN, math.inf, name, 0, name, NAN)
    figures = (
        Figure(name, "curve", name, name, name, name, (Line(name, (NAN, 1.0), (1.0, math.inf)),), True, True),
        Figure(name, "bars", name, name, name, name, (Line(name, HOSTILE, (1.0, NAN, 2.0, 3.0)),)),
        Figure(name, "dots", name, name, name, name, ()),
    )
    results = (CheckResult(name, "measured", 1, NAN, (metric,), figures, name), *run.results)
    outcomes = tuple(
        replace(item, question=name, sentence=name, metric=metric, rule=replace(item.rule, why=name, source=name))
        for item in run.verdict.outcomes
    )
    policy = replace(run.verdict.policy, name=name, title=name, version=name, recipient=name, sign_off=(name, name))
    facts = replace(
        run.facts,
        run=name,
        source=name,
        purpose=name,
        generator=name,
        target=name,
        unit=name,
        columns=tuple(ColumnFact(text, text, text, text, text) for text in (*HOSTILE, LONG, name)),
        settings={name: {name: [name]}},
        digests={"table": name, "synthetic": name},
        versions={name: name},
        not_tested=(name,),
        notices=(name,),
        history=figures,
        privacy=claimed(
            accountant=name,
            spends=(PrivacySpend(name, name, 4.0, 1.0, 1, "row"),),
            public=(PublicFact(name, name),),
            promises=(AttackBound(name, 1.0, 0.57, 0.019),),
        ),
    )
    return Sample(replace(run.verdict, outcomes=outcomes, deciding=name, policy=policy), results, facts, run.specs)


def test_hostile_names_stay_text():
    html = render(hostile())
    assert_nothing_foreign(html)
    words = Page(html).words
    for name in (*HOSTILE, LONG):
        assert name in words
    assert "\x00" not in html
    assert "\u202e" not in html
    html.encode("utf-8")


def test_a_template_that_asks_for_something_unknown_fails():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing_of_that_name }}").render()
    assert environment().from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"


def test_templates_hold_no_number_against_a_limit():
    for name in environment().list_templates(extensions=["html"]):
        source, _, _ = environment().loader.get_source(environment(), name)
        for code in re.findall(r"\{[%{](.*?)[%}]\}", source, re.S):
            assert not re.search(r"[<>]", code), (name, code)


# The data card.


def test_the_card_says_what_left_and_under_which_policy():
    run = sample()
    html, facts = card(run)
    assert_nothing_foreign(html)
    words = Page(html).words
    assert facts["label"] == "synthetic data"
    assert facts["rows"] == 400
    assert facts["files"] == {"synthetic.csv": "ab" * 32}
    assert [column["name"] for column in facts["columns"]] == [column.name for column in run.facts.columns]
    assert facts["differential_privacy"]["claimed"] is False
    for needed in (
        "Rows released 400",
        "at most 5%",
        "partner_handoff, version 1.2.0",
        "ab" * 32,
        "No differential privacy",
    ):
        assert needed in words
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "v (400 / n) + v", "times the real ones"),
        (
            {"settings": {"multiple": 5.0}},
            "multiply standard errors by 2.45, and divide chi-squared statistics by 6",
            "/ n",
        ),
        ({"settings": {"multiple": 5.0, "balanced": "ward"}}, "intervals must not shrink", "standard errors"),
        ({"was_made_here": False}, "intervals must not shrink", "variance"),
    ],
)
def test_the_card_says_that_intervals_must_not_shrink_and_by_which_rule(changes, said, unsaid):
    run = sample()
    facts = replace(run.facts, privacy=None, rows={"train": 80, "holdout": 20, "synthetic": 400}, **changes)
    html, plain = card(Sample(run.verdict, (), facts, {}))
    told = " ".join(plain["limits"])
    assert said in told
    assert said in Page(html).words
    assert unsaid not in told


def test_with_privacy_noise_no_rule_is_given():
    run = sample()
    told = " ".join(card(Sample(run.verdict, (), replace(run.facts, privacy=claimed()), {}))[1]["limits"])
    assert "no rule corrects" in told
    assert "standard errors" not in told


def test_the_card_holds_nothing_that_was_measured_or_counted_in_the_real_table():
    run = sample()
    secret = 0.123456789
    metric = Metric(
        "auc", secret, 0.0987654321, 0.2345678901, "AUC", 86420, "a reading of the real table", 0.3456789012
    )
    outcomes = tuple(replace(item, metric=metric, sentence="an exact sentence: 0.123") for item in run.verdict.outcomes)
    facts = replace(
        run.facts,
        run="secret-run",
        source="dr_house_hiv_clinic.csv",
        rows={"train": 75319, "holdout": 13579, "synthetic": 400},
        settings={"seed": 918273645},
        digests={"table": "d1ge57" * 8},
        seconds={"train": 55.123},
        notices=("a count: 75319",),
        not_tested=("a count: 13579",),
        versions={"python": "3.99.1"},
    )
    html, plain = card(Sample(replace(run.verdict, outcomes=outcomes, deciding="exactly 0.123"), (), facts, {}))
    for text in (html, json.dumps(plain)):
        for hidden in ("0.123", "12.3", "0.0987", "0.2345", "0.345", "86,420", "86420", "75,319", "75319", "13579"):
            assert hidden not in text
        for hidden in ("918273645", "secret-run", "dr_house", "d1ge57", "55.1", "a reading", "an exact", "3.99.1"):
            assert hidden not in text
    assert set(plain) == {
        "dependences",
        "label",
        "warnings",
        "title",
        "purpose",
        "created",
        "rows",
        "target",
        "columns",
        "method",
        "policy",
        "rules",
        "differential_privacy",
        "limits",
        "files",
        "utility",
        "analyses",
        "terms",
        "contact",
    }
    assert set(plain["rules"][0]) == {"question", "check", "metric", "at_most", "limit", "unit", "severity", "outcome"}


def test_the_card_states_a_privacy_promise_without_its_ledger():
    run = sample()
    spend = PrivacySpend("training", "Gaussian", 4.0, 1.0, 31337, "patient")
    privacy = claimed(epsilon=2.5, delta=1e-5, rows_per_unit=77777, spends=(spend,))
    html, plain = card(replace(run, facts=replace(run.facts, privacy=privacy)))
    assert plain["differential_privacy"]["epsilon"] == 2.5
    assert "Epsilon 2.500" in Page(html).words
    assert "77777" not in html + json.dumps(plain)
    assert "31337" not in html + json.dumps(plain)


@pytest.mark.parametrize("decision", ["refuse", "undecided"])
def test_there_is_no_card_for_a_table_that_stays_inside(decision):
    with pytest.raises(ValueError, match=decision):
        card(sample(decision))


def test_hostile_names_stay_text_on_the_card():
    run = hostile()
    html, _ = card(replace(run, verdict=replace(run.verdict, decision="release")))
    assert_nothing_foreign(html)
    assert HOSTILE[0] in Page(html).words


def test_a_derived_policy_shows_every_point_in_which_it_asks_for_less():
    run = sample("release")
    looser = ("membership.mia_auc: at most 0.65 in place of at most 0.6", "linkability.linkability_risk: left out <b>")
    policy = replace(run.verdict.policy, derived_from="partner_handoff 2.0.0", loosened=looser)
    verdict = replace(run.verdict, policy=policy)
    html = internal_report.render(verdict, run.results, run.facts, run.specs)
    assert "derived from partner_handoff 2.0.0" in html
    assert "asks for less in 2 points" in html
    assert looser[0] in html
    assert "left out &lt;b&gt;" in html
    assert "derived from" not in render(run)
