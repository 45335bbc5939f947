"""The words for how a rule came out, in one place, so that report, card and terminal use the same ones.

Files for machines keep the names of the contracts: "met", "breached", "no_evidence", "block", "warn".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from synthrelease.core.contracts import Metric, Outcome, RuleOutcome, Severity
from synthrelease.core.formatting import number, plain_key

MET, BREACHED, UNDECIDED = "Met", "Breached", "Undecided"
NOT_MEASURED, NOT_APPLICABLE = "Not measured", "Does not apply"
MEANINGS: Mapping[str, str] = {
    MET: "The whole range of the result, with allowance for chance, lies within the policy's limit. No more than that: "
    "a better test may find what this one did not.",
    BREACHED: "The whole range lies beyond the limit.",
    UNDECIDED: "It was measured, and one could not tell: too few rows, or a range that reaches across the limit. "
    "Nothing was shown, neither good nor bad.",
    NOT_MEASURED: "The test had nothing to go on, did not run, or gave no figure. Nothing was shown, "
    "neither good nor bad.",
    NOT_APPLICABLE: "The schema declares nothing that the rule could be about.",
}
"""What each word means, for readers who have nothing but the word."""
WORST_FIRST = (BREACHED, UNDECIDED, NOT_MEASURED, MET, NOT_APPLICABLE)
WEIGHTS: Mapping[Severity, str] = {"block": "Blocking", "warn": "Advisory"}
WEIGHED = "A blocking rule that is not met holds the table back; an advisory rule is for people to weigh."
AGREEMENT: Mapping[Outcome, str] = {
    "met": "Agrees with real rows",
    "breached": "Does not agree",
    "no_evidence": "Not shown to agree",
}
"""Whether a planned analysis agrees with real rows within the policy's limits; no figure."""
COULD_NOT_TELL = "Could not tell"
_ANSWERS: Mapping[tuple[str, Outcome], str] = {
    ("no", "met"): "No more than allowed",
    ("no", "breached"): "Yes, more than allowed",
    ("yes", "met"): "Yes",
    ("yes", "breached"): "No",
}
_COUNTED: Mapping[str, str] = {
    "shadow": "shadow model",
    "effects": "patient",
    "self_test": "patient",
    "membership": "patient",
    "near_tail": "patient",
    "copies": "patient",
    "combination_p": "patient",
    "rarest_label": "patient",
    "replicated_unique_excess": "row",
    "cells_outside_domain": "cell",
}


def answer(outcome: Outcome, metric: Metric | None, wanted: Literal["yes", "no"]) -> str:
    """The answer to a rule's question; ``wanted`` is the good one."""
    if metric is not None and not metric.applies:
        return "There is nothing to ask it of"
    return _ANSWERS.get((wanted, outcome), COULD_NOT_TELL)


def is_measured(item: RuleOutcome) -> bool:
    """Whether there is a figure to hold against the limit."""
    return item.metric is not None and math.isfinite(item.metric.value)


def shown(item: RuleOutcome) -> str:
    """How a rule came out, in the word that a reader sees."""
    if item.metric is not None and not item.metric.applies:
        return NOT_APPLICABLE
    if item.outcome == "met":
        return MET
    if item.outcome == "breached":
        return BREACHED
    return UNDECIDED if is_measured(item) else NOT_MEASURED


def topic(item: RuleOutcome) -> str:
    """The rule's question in short."""
    return item.topic or f"{plain_key(item.rule.check).lower()}, {plain_key(item.rule.metric)}"


def counted(check: str, metric: str, n: int) -> str:
    """How many of what a figure rests on: "398 rows", "1 patient"."""
    word = _COUNTED.get(metric, _COUNTED.get(check, "row"))
    return f"{number(n)} {word}{'s' * (n != 1)}"
