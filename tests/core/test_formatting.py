from __future__ import annotations

import math

import pytest

from synthrelease.core.contracts import Metric, Rule
from synthrelease.core.formatting import (
    clean,
    interval,
    limit_in_words,
    moment,
    number,
    plain,
    plain_key,
    shorten,
    written_as,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (398, "398"),
        (12338, "12,338"),
        (0.9531, "0.953"),
        (-0.0212, "\N{MINUS SIGN}0.0212"),
        (1234.5, "1,234"),
        (1e-5, "1 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (NAN, "not known"),
        (math.inf, "unlimited"),
        (-math.inf, "\N{MINUS SIGN}unlimited"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def metric(value, low, high, unit):
    return Metric("m", value, low, high, unit, 100, "")


@pytest.mark.parametrize(
    ("given", "limit", "value", "words"),
    [
        (metric(0.021, 0.002, 0.061, "probability"), 0.09, "0.021", "0.002 to 0.061"),
        (metric(0.0025, -0.004, 0.009, "share of rows"), 0.02, "0.25%", "\N{MINUS SIGN}0.40% to 0.90%"),
        (metric(0.742, 0.701, NAN, "AUC"), 0.6, "0.742", "0.701 to not known"),
        (metric(NAN, NAN, NAN, "AUC"), 0.6, "not known", "range not known"),
        (metric(0.0, 0.0, 0.0, "columns"), 0.0, "0 columns", ""),
        (metric(3e-6, 1e-6, 5e-6, "delta"), 1e-5, "3 \N{MULTIPLICATION SIGN} 10⁻⁶", None),
    ],
)
def test_a_metric_is_written_with_one_number_of_decimals(given, limit, value, words):
    written = written_as(given, limit)
    assert written(given.value) == value
    assert words is None or interval(given, written) == words


def test_rounding_never_hides_on_which_side_of_the_limit_an_end_lies():
    given = metric(0.08, 0.07, 0.09004, "probability")
    assert interval(given, written_as(given)) == "0.070 to 0.090"
    assert interval(given, written_as(given, 0.09)) == "0.07000 to 0.09004"


def test_small_negative_numbers_do_not_become_minus_zero():
    given = metric(-0.00001, -0.2, 0.2, "AUC")
    assert written_as(given)(given.value) == "0.000"


@pytest.mark.parametrize(
    ("limit", "direction", "unit", "words"),
    [
        (0.05, "at_most", "share of rows", "at most 5%"),
        (0.07, "at_most", "share", "at most 7%"),
        (0.95, "at_least", "AUC", "at least 0.95"),
        (0.0, "at_most", "columns", "at most 0 columns"),
        (10000.0, "at_least", "", "at least 10,000"),
    ],
)
def test_a_limit_is_written_as_the_policy_has_it(limit, direction, unit, words):
    assert limit_in_words(Rule("c", "m", limit, direction, "block", 1, "", ""), unit) == words


def test_only_shares_of_something_become_percentages_and_only_short_units_stand_behind_a_number():
    assert limit_in_words(Rule("c", "m", 0.9, "at_least", "block", 1, "", ""), "share kept (1 = all)") == "at least 0.9"
    assert written_as(metric(0.5, 0.4, 0.6, "area under the ROC curve"))(0.5) == "0.500"
    assert written_as(metric(0.5, 0.4, 0.6, "years"))(0.5) == "0.500 years"


def test_clean_shows_what_would_disguise_a_page():
    assert clean("a\x00b\u202ec\ud800d") == "a\ufffdb\ufffdc\ufffdd"
    assert clean("<b> keeps\nits lines, ligatures and 漢字 ☐") == "<b> keeps\nits lines, ligatures and 漢字 ☐"
    clean("\ud800").encode("utf-8")


def test_shorten_keeps_both_ends():
    short = shorten("texture of the cell nucleus (a)", 20)
    assert len(short) <= 20
    assert short.startswith("texture of")
    assert short.endswith("us (a)")
    assert shorten("two\nlines", 20) == "two lines"


def test_names_of_the_code_become_words():
    assert plain_key("tpr_at_1pct_fpr") == "TPR at 1pct FPR"
    assert plain_key("<script>") == "<script>"


def test_moments_are_written_for_a_reader():
    assert moment("2026-11-22T06:54:19Z") == "2026-11-22 06:54 UTC"
    assert moment("2026-11-22T06:54:19.25+00:00") == "2026-11-22 06:54 UTC"
    assert moment("2026-11-22T06:54:19+02:00") == "2026-11-22T06:54:19+02:00"


def test_plain_values():
    assert [plain(value) for value in (True, None, 3, 0.5, "x", [1, "é"])] == [
        "yes",
        "none",
        "3",
        "0.5000",
        "x",
        '[1, "é"]',
    ]
