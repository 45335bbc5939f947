"""What the card says of columns whose dependence was learned through noise."""

from __future__ import annotations

import dataclasses

from sample_report import sample

from synthrelease.core.contracts import PairSignal
from synthrelease.report import internal_report, pair_signals

SIGNALS = (PairSignal("age", "bmi", 0.97), PairSignal("age", "ward", 0.5), PairSignal("bmi", "<ward>", 0.6))


def test_the_card_tells_which_pairs_stand_out_of_the_noise_and_that_all_others_were_made_independent():
    run = sample("release")
    facts = dataclasses.replace(run.facts, signals=SIGNALS)
    page, card = internal_report.data_card(facts, run.verdict, released_rows=400)
    told = card["dependences"]
    assert [(each["columns"], each["probability"]) for each in told["pairs_with_signal"]] == [
        (["age", "bmi"], 0.97),
        (["bmi", "<ward>"], 0.6),
    ]
    assert told["pairs_counted"] == 3
    assert "2 of 3 pairs" in told["statement"]
    assert told["statement"] in page
    assert "&lt;ward&gt;" in page
    assert "<ward>" not in page


def test_each_column_is_listed_with_those_that_it_depends_on():
    assert pair_signals.by_column(SIGNALS) == [
        ("age", "bmi"),
        ("bmi", "age, <ward>"),
        ("ward", "no other column"),
        ("<ward>", "bmi"),
    ]


def test_without_noise_the_card_says_nothing_of_pairs():
    run = sample("release")
    page, card = internal_report.data_card(run.facts, run.verdict, released_rows=400)
    assert card["dependences"] is None
    assert "depend on each other" not in page
