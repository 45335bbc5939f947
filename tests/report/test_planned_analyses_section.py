"""Planned analyses on the report and on the data card: what was found inside, and whether it agrees outside."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample_report import Sample, claimed, sample

from synthrelease.core.contracts import AnalysisFinding, AnalysisOutcome
from synthrelease.governance import finished_run
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.run_folder import RunFolder
from synthrelease.report import internal_report, json_records

SECRET = "effects are 0.8642 times as large"


def planned(outcome: str = "met", count: int = 1) -> Sample:
    """The sample with analyses, as its usefulness check found them."""
    run = sample()
    names = [f"<b>analysis {at}" for at in range(count)]
    words = "Cox regression of '<i>months' on 3 columns"
    found = tuple(AnalysisFinding(name, words, run.results[0].metrics, SECRET) for name in names)
    results = tuple(replace(each, analyses=found) if each.utility else each for each in run.results)
    judged = tuple(AnalysisOutcome(name, words, outcome) for name in names)
    return replace(run, results=results, verdict=replace(run.verdict, analyses=judged))


def card(run: Sample):
    return internal_report.data_card(run.facts, run.verdict, released_rows=10)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("met", "Agrees with real rows"), ("breached", "Does not agree"), ("no_evidence", "Not shown to agree")],
)
def test_the_report_says_what_was_found_and_the_card_only_whether_it_agrees(outcome, words):
    run = planned(outcome)
    page = internal_report.render(run.verdict, run.results, run.facts, run.specs)
    told, content = card(run)
    for html in (page, told):
        assert words in html
        assert "&lt;b&gt;analysis 0" in html
        assert "<b>analysis" not in html
        assert "<i>months" not in html
    assert SECRET in page
    assert SECRET not in told
    assert content["analyses"] == [
        {"name": "<b>analysis 0", "model": "Cox regression of '<i>months' on 3 columns", "agreement": words}
    ]
    assert "0.8642" not in json.dumps(content)


def test_without_an_analysis_the_card_says_nothing_of_any():
    told, content = card(sample())
    assert "Planned analyses" not in told
    assert content["analyses"] == []


@pytest.mark.parametrize(("count", "said"), [(1, "answer on 1 planned analysis"), (3, "answers on 3 planned analyses")])
def test_with_epsilon_the_answers_are_counted_as_outside_the_claim(count, said):
    run = planned(count=count)
    told, content = card(replace(run, facts=replace(run.facts, privacy=claimed())))
    assert said in content["differential_privacy"]["outside_the_claim"]
    assert said in told
    assert "outside_the_claim" not in card(run)[1]["differential_privacy"]


def test_the_audit_record_and_the_stored_outcome_hold_every_analysis(tmp_path):
    run = planned(count=2)
    record = json_records.audit_record(run.verdict, run.results, run.facts)
    (held,) = [each["analyses"] for each in record["checks"] if each["analyses"]]
    assert [each["name"] for each in held] == ["<b>analysis 0", "<b>analysis 1"]
    (tmp_path / "internal").mkdir()
    stored = Stored(run.verdict, run.facts, "synthetic.csv", "", "ward")
    finished_run.store(RunFolder(tmp_path, ()), stored)
    assert finished_run.load(RunFolder(tmp_path, ())).verdict.analyses == run.verdict.analyses
