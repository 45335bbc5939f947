"""The first screen in short: the questions that a reviewer comes with, each with an answer of a line or two.

Everything is read from the verdict and the results; nothing is judged. What has to be longer is folded in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthrelease.core.contracts import (
    CheckResult,
    Decision,
    Figure,
    Metric,
    PrivacyFacts,
    RuleOutcome,
    RunFacts,
    Verdict,
)
from synthrelease.core.formatting import interval, limit_in_words, number, shorten, written_as
from synthrelease.report import next_steps, outcome_terms
from synthrelease.report.not_tested import Gap, Gaps

IS_RELEASED: Mapping[Decision, str] = {
    "release": "By the rules, yes: it may leave once everybody named below has signed.",
    "refuse": "No. The table stays in quarantine and must not leave.",
    "undecided": "No, not yet. The table stays in quarantine until the missing answers are there.",
}
UNSIGNED: Mapping[Decision, str] = {
    "release": "",
    "refuse": " A signature does not release a table that is refused.",
    "undecided": " A signature does not stand in for a missing answer.",
}
NOT_MEASURED = "Not measured."


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of the first screen and its answer.

    ``link`` is the anchor of the evidence, or empty. ``steward`` is a second line, for whoever made or keeps the table.
    ``folded`` is the list that stands behind the answer, shown when it is opened; ``fold`` says what it holds.
    """

    question: str
    text: str
    link: str = ""
    steward: str = ""
    folded: tuple[Gap, ...] = ()
    fold: str = ""


def subject(facts: RunFacts) -> str:
    """What the report is about: never the real table, whose name the run goes by where the table was made here."""
    if not facts.was_made_here:
        return f"the table handed over as synthetic, {facts.source}"
    return f"the synthetic table made from {facts.source}"


def sizes(facts: RunFacts) -> str:
    """How many rows there are on each side, and who counts as one person."""
    rows = {name: number(facts.rows[name]) for name in ("synthetic", "train", "holdout") if name in facts.rows}
    if len(rows) < 3:
        return ""
    copies = f" in {facts.copies} copies of equal size" if facts.copies > 1 else ""
    how = "learned from" if facts.was_made_here else "held against"
    return (
        f"{rows['synthetic']} synthetic rows{copies}, {how} {rows['train']} real training rows; {rows['holdout']} more "
        f"(the holdout) kept apart. {person(facts.unit)}"
    )


def person(unit: str) -> str:
    """Who counts as one patient."""
    if unit.startswith("row"):
        return "Each row counts as one patient: the schema names no patient column."
    return f"One {unit} counts as one, whatever the number of rows."


def answers(verdict: Verdict, results: Sequence[CheckResult], facts: RunFacts, gaps: Gaps) -> tuple[Answer, ...]:
    """The answers in the order in which they are asked."""
    deciding = _deciding(verdict)
    return (
        Answer("Is it released?", _is_released(verdict)),
        _next(verdict, facts),
        Answer("Which rule decided?", _which(verdict, deciding), f"check-{deciding.rule.check}"),
        Answer("Who may receive it, and what for?", _recipient(verdict, facts)),
        Answer("Who must sign, and who has?", _signatures(verdict)),
        Answer("Is there a formal guarantee (epsilon)?", _epsilon(facts), "ledger"),
        Answer("Is any row a copy of a patient?", _copies(results), "check-copies"),
        Answer("How large a leak could be unseen?", _unseen(verdict, results), "check-self_test"),
        Answer("Which column is least like the real one?", _worst_column(verdict, results), "check-fidelity"),
        Answer(
            "What was not tested?",
            gaps.in_short,
            "not-tested",
            folded=gaps.named,
            fold=f"All {len(gaps.named)} by name",
        ),
    )


def _next(verdict: Verdict, facts: RunFacts) -> Answer:
    told, steps = next_steps.for_steward(verdict, facts)
    listed = tuple(Gap(step) for step in steps)
    reviewer = next_steps.for_reviewer(verdict)
    return Answer(
        "What comes next?",
        reviewer,
        "checklist",
        told,
        listed,
        fold=f"{len(steps)} way{'s' * (len(steps) != 1)} to mend it",
    )


def _is_released(verdict: Verdict) -> str:
    if verdict.decision == "release" and not verdict.policy.sign_off:
        return "By the rules, yes: it may leave, and this policy asks for no signature."
    return IS_RELEASED[verdict.decision]


def _deciding(verdict: Verdict) -> RuleOutcome:
    """The rule that stands first: outcomes come worst first; of a release, the blocking rule nearest to its limit."""
    if verdict.decision != "release":
        return verdict.outcomes[0]
    blocking = [item for item in verdict.outcomes if item.rule.severity == "block" and item.metric is not None]
    return min(blocking, key=_room, default=verdict.outcomes[0])


def _room(item: RuleOutcome) -> float:
    """How far the unfavourable end lies inside the limit, in widths of the interval."""
    metric, rule = item.metric, item.rule
    if metric is None or not all(map(math.isfinite, (metric.low, metric.high))):
        return math.inf
    room = rule.limit - metric.high if rule.direction == "at_most" else metric.low - rule.limit
    return room / ((metric.high - metric.low) or abs(rule.limit) or 1.0)


def _which(verdict: Verdict, item: RuleOutcome) -> str:
    found = f"{_capital(outcome_terms.topic(item))} ({item.rule.check}.{item.rule.metric}). {_found(item)}"
    if verdict.decision == "release":
        return f"All blocking rules are met. The one nearest to its limit: {found}"
    others = [each for each in verdict.outcomes if each is not item and each.rule.severity == "block"]
    breached, unanswered = (sum(each.outcome == state for each in others) for state in ("breached", "no_evidence"))
    counts = [f"{breached} breached"] if breached else []
    counts += [f"{unanswered} without an answer"] if unanswered else []
    return f"{found} Other blocking rules not met: {' and '.join(counts)}." if counts else found


def _found(item: RuleOutcome) -> str:
    """The result, its range and the limit in one breath."""
    metric = item.metric
    limit = limit_in_words(item.rule, metric.unit if metric else "")
    if metric is None and item.outcome == "breached":  # refused, because nothing is claimed
        return f"{item.sentence} The limit is {limit}."
    if metric is None or not math.isfinite(metric.value):
        return f"It was not measured; the limit is {limit}."
    written = written_as(metric, item.rule.limit)
    between = interval(metric, written)
    if between and item.outcome == "met":
        is_most = item.rule.direction == "at_most"
        between = f"at {'most' if is_most else 'least'} {written(metric.high if is_most else metric.low)}"
    chance = f" (allowing for chance, {between})" if between else ""
    return f"Found {written(metric.value)}{chance}; allowed {limit}."


def _recipient(verdict: Verdict, facts: RunFacts) -> str:
    purpose = f" Purpose: {facts.purpose.rstrip('.')}." if facts.purpose else " No purpose is stated."
    who = verdict.policy.recipient.rstrip(".")
    if verdict.decision != "release":
        return f"Nobody, as it stands. The policy is for: {who or 'nobody named'}.{purpose}"
    return f"{_capital(who) or 'Nobody is named'}, and nobody else: it was not judged for others.{purpose}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _signatures(verdict: Verdict) -> str:
    roles = verdict.policy.sign_off
    if not roles:
        return "Nobody must, by this policy. Nobody has."
    who = " and ".join((", ".join(roles[:-1]), roles[-1])) if len(roles) > 1 else roles[0]
    return f"{_capital(who)}. Nobody has signed yet.{UNSIGNED[verdict.decision]}"


def _copies(results: Sequence[CheckResult]) -> str:
    exact, near = (_metric(results, "copies", name) for name in ("exact_copy_excess", "near_copy_excess"))
    if exact is None:
        return NOT_MEASURED
    return exact.reading + (f" Exact and near copies together: {near.reading}" if near else "")


def _unseen(verdict: Verdict, results: Sequence[CheckResult]) -> str:
    smallest = _metric(results, "self_test", "smallest_leak")
    if smallest is None:
        return NOT_MEASURED
    planted = next((item for item in verdict.outcomes if item.rule.metric == "planted_copies_p"), None)
    told = "" if planted is None else f" {_capital(outcome_terms.topic(planted))}: {outcome_terms.shown(planted)}."
    return f"{smallest.reading}{told}"


def _metric(results: Sequence[CheckResult], check: str, name: str) -> Metric | None:
    return next((result.metric(name) for result in results if result.check == check), None)


def _epsilon(facts: RunFacts) -> str:
    if facts.privacy is None:
        if not facts.was_made_here:
            return (
                "Not known: its maker handed over no privacy ledger, so none counts. What is said rests on tests alone."
            )
        return "None: it was made without differential privacy. What is said rests on tests alone."
    claim, area = facts.privacy, number(facts.privacy.attack_auc_at_most)
    return (
        f"Yes: epsilon {number(claim.epsilon)}, delta {number(claim.delta)}, for one {_unit(claim)}. No attack on "
        f"membership can have an AUC above {area} (0.5 is guessing)."
    )


def _unit(claim: PrivacyFacts) -> str:
    return "row, which is not the same as one patient" if claim.unit == "row" else claim.unit


def _worst_column(verdict: Verdict, results: Sequence[CheckResult]) -> str:
    figure = _figure(results, "marginal_tvd")
    if figure is None or len(figure.lines) < 2 or not figure.lines[0].x:
        return NOT_MEASURED
    made, floor = figure.lines[:2]
    rule = next((item for item in verdict.outcomes if item.rule.metric == "marginal_tvd_excess"), None)
    judged = "No rule of this policy is about it."
    if rule is not None:
        judged = f"The rule on the average column: {outcome_terms.shown(rule).lower()}."
    return (
        f"“{shorten(made.x[0], 60)}”, the worst beyond chance: its distance to unseen real rows is "
        f"{number(made.y[0])} (0 alike, 1 nothing in common), where chance gives {number(floor.y[0])}. {judged}"
    )


def _figure(results: Sequence[CheckResult], name: str) -> Figure | None:
    return next((figure for result in results for figure in result.figures if figure.name == name), None)
