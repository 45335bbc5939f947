"""Attempts, waivers and signatures on a page: in the one place that is theirs, and nothing else on it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_report import sample

from synthrelease.core.contracts import Attempts
from synthrelease.report import internal_report
from synthrelease.report.signatures_section import Decided, DecidedPage, SignatureLine, WaiverLine

ATTEMPTS = Attempts(2, 3, 5, 1, 1.5, "2026-01-01T00:00:00Z", "ab" * 32)
MARK = "<!-- end of decisions -->"
WAIVER = WaiverLine("utility.gap", "<b>Ada", "data steward", "2026-01-02T03:04:05Z", f"Why {MARK}", "2026-05-06")


def rendered(**changes: object) -> str:
    run = sample()
    facts = replace(run.facts, attempts=ATTEMPTS, **changes)
    return internal_report.render(run.verdict, run.results, facts, run.specs)


def test_a_report_tells_the_attempt_behind_its_first_screen_and_waits_for_waivers():
    page = rendered()
    assert page.index('id="verdict"') < page.index("Attempt no. 2 of at most 5") < page.index('id="checklist"')
    assert "No rule is waived." in page
    assert DecidedPage.of(page).told(Decided(ATTEMPTS)) == page


def test_a_waiver_changes_its_place_alone_and_is_taken_out_again():
    page = rendered()
    waived = DecidedPage.of(page).told(Decided(ATTEMPTS, (WAIVER,)))
    assert "1 blocking rule is waived" in waived
    assert "&lt;b&gt;Ada" in waived
    assert "2 January 2026" in waived or "2026-01-02" in waived
    found = DecidedPage.of(page)
    assert waived.startswith(found.before)
    assert waived.endswith(found.after)
    assert DecidedPage.of(waived) == found
    assert DecidedPage.of(waived).told(Decided(ATTEMPTS)) == page


@pytest.mark.parametrize("source", ["<!-- decisions -->", MARK])
def test_a_text_that_looks_like_a_mark_is_none(source):
    page = rendered(source=source, purpose=source)
    assert DecidedPage.of(page).told(Decided(ATTEMPTS)) == page


@pytest.mark.parametrize("change", [
    lambda page: page.replace(MARK, ""),
    lambda page: page + MARK,
    lambda page: page + "<!-- decisions -->",
    lambda page: "",
])  # fmt: skip
def test_a_page_without_exactly_one_place_is_refused(change):
    with pytest.raises(ValueError, match="exactly one place"):
        DecidedPage.of(change(rendered()))


def test_a_card_has_the_section_only_where_something_was_decided():
    run = sample()
    plain, _ = internal_report.data_card(run.facts, run.verdict, released_rows=400)
    assert MARK not in plain
    decided = Decided(None, (WAIVER,), (SignatureLine("data steward", "Ben", "2026-01-02T03:04:05Z", "abcd ef01"),))
    page, _ = internal_report.data_card(run.facts, run.verdict, released_rows=400, decided=decided)
    assert "abcd ef01" in page
    assert page.index("Purpose") < page.index("Ben") < page.index("Known limits")
    assert DecidedPage.of(page).told(decided) == page
