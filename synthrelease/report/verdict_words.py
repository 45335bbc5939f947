"""The words of the verdict: its heading, and the sentences that say what decided. Report and terminal use the same.

The gate decides; here it is only told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthrelease.core.contracts import Decision, RuleOutcome
from synthrelease.core.formatting import interval, limit_in_words, written_as
from synthrelease.report.outcome_terms import topic

HEADINGS: Mapping[Decision, str] = {
    "release": "RELEASE",
    "refuse": "DO NOT RELEASE",
    "undecided": "HUMAN REVIEW NEEDED",
}
NAMED = 4
"""How many further rules the deciding sentence names."""


def deciding(decision: Decision, outcomes: Sequence[RuleOutcome]) -> str:
    """Say in some sentences what decided: the first rule that is not met, and what others there are."""
    blocking = [outcome for outcome in outcomes if outcome.rule.severity == "block"]
    if decision == "release":
        return f"All {len(blocking)} blocking rules are met.{_advisory(outcomes)}"
    wanted, words = ("breached", "breached") if decision == "refuse" else ("no_evidence", "without an answer")
    first, *others = [outcome for outcome in blocking if outcome.outcome == wanted]
    begin = "Refused" if decision == "refuse" else "Not decided"
    count = f"{len(others) + 1} of {len(blocking)} blocking rules {'are' if others else 'is'} {words}"
    named = "; ".join(topic(other) for other in others[:NAMED])
    more = len(others) - NAMED
    rest = f"; and {more} more" if more > 0 else ""
    also = f" The other{'s' * (len(others) != 1)}: {named}{rest}." if others else ""
    return f"{begin}, because {count}. {first.question} {first.answer}. {_in_short(first)}{also}"


def _advisory(outcomes: Sequence[RuleOutcome]) -> str:
    """How many advisory rules are not met, and in what way; empty where all are met."""
    advisory = [outcome for outcome in outcomes if outcome.rule.severity == "warn"]
    breached, open_ = (sum(each.outcome == state for each in advisory) for state in ("breached", "no_evidence"))
    if not breached + open_:
        return ""
    told = [f"{breached} {'is' if breached == 1 else 'are'} breached"] if breached else []
    told += [f"{open_} {'has' if open_ == 1 else 'have'} no answer"] if open_ else []
    return f" Of the {len(advisory)} advisory rules, {' and '.join(told)}."


def _in_short(outcome: RuleOutcome) -> str:
    """Why a rule is not met, for a reader in a hurry."""
    rule, metric = outcome.rule, outcome.metric
    if metric is None or not math.isfinite(metric.value):
        return outcome.sentence
    limit = limit_in_words(rule, metric.unit)
    if outcome.outcome == "breached":
        return f"{metric.reading} The limit is {limit}."
    if metric.n < rule.min_n:
        return f"A sample of {metric.n:,} is too small to answer it; {rule.min_n:,} are needed."
    between = interval(metric, written_as(metric, rule.limit)).replace(" to ", " and ")
    return f"{metric.reading} Allowing for chance the figure lies between {between}; the limit is {limit}."
