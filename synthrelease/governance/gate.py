"""The gate: what a policy decides on the results of the checks. Nothing passes by default.

``decide`` is a pure function of the policy and the check results. A rule looks at the interval, never at the point
estimate: it is *met* when the unfavourable end lies within the limit and enough rows stand behind it, *breached* when
even the favourable end lies beyond the limit (a few rows can show that), and otherwise has *no evidence*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthrelease.core.contracts import (
    AnalysisFinding,
    AnalysisOutcome,
    CheckResult,
    CheckSpec,
    Decision,
    Metric,
    Outcome,
    Policy,
    Rule,
    RuleOutcome,
    Verdict,
)
from synthrelease.core.errors import PolicyError
from synthrelease.core.formatting import interval, limit_in_words, written_as
from synthrelease.report import outcome_terms, verdict_words


def decide(policy: Policy, results: Sequence[CheckResult], known: Mapping[str, CheckSpec]) -> Verdict:
    """Hold every rule against its metric and sum up.

    Any breached blocking rule: refuse. Else any blocking rule without evidence: undecided. Else release. A rule with
    ``if_nothing_declared = "warn"`` becomes a warning where its check found nothing declared to measure; with "refuse"
    it counts as breached there.

    Raises:
        PolicyError: the policy has no blocking rule (``all([])`` would be true), or two results answer one check.
    """
    if not any(rule.always_blocks for rule in policy.rules):
        raise PolicyError("A policy must hold at least one blocking rule, however this one holds none.")
    by_name = {result.check: result for result in results}
    if len(by_name) != len(results):
        raise PolicyError("Every check must answer once, however one has answered twice.")
    outcomes = sorted((_hold(rule, by_name.get(rule.check), known) for rule in policy.rules), key=_badness)
    blocking = [outcome for outcome in outcomes if outcome.rule.severity == "block"]
    breached = [outcome for outcome in blocking if outcome.outcome == "breached"]
    unproven = [outcome for outcome in blocking if outcome.outcome != "met"]
    decision: Decision = "refuse" if breached else "undecided" if unproven else "release"
    analyses = tuple(_agreement(policy, result, each) for result in results for each in result.analyses)
    return Verdict(decision, tuple(outcomes), verdict_words.deciding(decision, outcomes), policy, analyses)


def _agreement(policy: Policy, result: CheckResult, found: AnalysisFinding) -> AnalysisOutcome:
    """Hold the rules on a check against one of its analyses: what is not shown by all of them is not shown."""
    rules = {rule.metric: rule for rule in policy.rules if rule.check == result.check}
    held = [_judge(rules[metric.name], metric)[0] for metric in found.metrics if metric.name in rules]
    worst: Outcome = "breached" if "breached" in held else "met" if held and set(held) == {"met"} else "no_evidence"
    return AnalysisOutcome(found.name, found.words, worst)


_WORST_FIRST = (
    ("breached", "block"),
    ("no_evidence", "block"),
    ("breached", "warn"),
    ("no_evidence", "warn"),
    ("met", "block"),
    ("met", "warn"),
)


def _badness(outcome: RuleOutcome) -> int:
    return _WORST_FIRST.index((outcome.outcome, outcome.rule.severity))


def _hold(rule: Rule, result: CheckResult | None, known: Mapping[str, CheckSpec]) -> RuleOutcome:
    spec = next(spec for spec in known[rule.check].metrics if spec.name == rule.metric)
    metric = result.metric(rule.metric) if result is not None and result.status == "measured" else None
    outcome: Outcome = "no_evidence"
    sentence = _why_missing(result)
    if metric is not None:
        outcome, sentence = _judge(rule, metric)
    is_declared = metric is not None or result is None or result.status != "not_applicable"
    if not is_declared and rule.severity == "block" and rule.if_nothing_declared != "undecided":
        if rule.if_nothing_declared == "refuse" and result is not None:
            outcome, sentence = "breached", result.note
        else:
            rule, sentence = replace(rule, severity="warn"), f"{sentence} {TO_CONFIRM}"
    answer = outcome_terms.answer(outcome, metric, spec.wanted)
    return RuleOutcome(rule, outcome, metric, spec.question, sentence, spec.topic, answer)


TO_CONFIRM = "The policy then asks whoever signs to confirm that there is nothing to declare."


def _why_missing(result: CheckResult | None) -> str:
    if result is None:
        return "Not measured: the check was not run."
    status = {
        "too_few_rows": "Not measured: too few rows.",
        "crashed": "Not measured: the check crashed.",
        "not_applicable": "There is nothing to hold the rule against.",
        "measured": "Not measured: the check ran and did not give this figure.",
    }[result.status]
    return f"{status} {result.note}".strip()


def _judge(rule: Rule, metric: Metric) -> tuple[Outcome, str]:
    lower_is_better = rule.direction == "at_most"
    worst, best = (metric.high, metric.low) if lower_is_better else (metric.low, metric.high)
    limit = limit_in_words(rule, metric.unit)
    if not all(map(math.isfinite, (metric.value, worst, best))):
        return "no_evidence", f"{metric.reading} Without a figure the limit ({limit}) cannot be shown to hold."
    beyond = best > rule.limit if lower_is_better else best < rule.limit
    within = worst <= rule.limit if lower_is_better else worst >= rule.limit
    between = interval(metric, written_as(metric, rule.limit))
    allowing = f"Allowing for chance: {between}; the limit" if between else "The limit"
    text = f"{metric.reading} {allowing} is {limit}."
    if not metric.applies and within:
        return "met", metric.reading
    if beyond:
        return "breached", f"{text} Even the favourable end lies beyond it." if between else text
    if metric.n < rule.min_n:
        return (
            "no_evidence",
            f"{text} A sample of {metric.n:,} stands behind it; to count as met, it takes {rule.min_n:,}.",
        )
    if within:
        return "met", text
    return (
        "no_evidence",
        f"{text} The range reaches across the limit: more rows, or a better synthetic table, are needed to decide.",
    )
