"""The first screen in short: the questions that a reviewer comes with, each with an answer of a line or two.

Everything is read from the verdict and the results; nothing is judged. What would change the verdict is said by the
kind of check that decided it, and never is "try another seed".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .contracts import CheckResult, Decision, Figure, Metric, Outcome, RuleOutcome, RunFacts, Verdict
from .ledger import budget, largest_area
from .pages import Section
from .wording import interval, limit_in_words, number, plain_key, shorten, written_as

IS_RELEASED: Mapping[Decision, str] = {
    "release": "By the rules, yes: it may leave once everybody named below has signed.",
    "refuse": "No. The table stays in quarantine and must not leave.",
    "undecided": "No, not yet. The table stays in quarantine until the missing evidence is there.",
}
UNSIGNED: Mapping[Decision, str] = {
    "release": "",
    "refuse": " But a signature does not release a table that is refused.",
    "undecided": " But a signature does not stand in for the missing evidence.",
}
DECIDED_BY: Mapping[Outcome, str] = {
    "breached": "breached",
    "no_evidence": "without evidence",
    "met": "met",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done about a rule that is not met, and where that is said to this tool."""

    what: str
    here: str = ""


_LESS_BY_HEART = Remedy(
    "Learn less by heart: a stronger prior, fewer updates, differential privacy, or coarser columns",
    "--set weight_decay, --effort fast; round_to, top_code and merge in the schema",
)
_COARSER = Remedy(
    "Make the columns that the check names coarser, or withhold them",
    "round_to, top_code, merge, or the role excluded in the schema",
)
_BETTER_LEARNED = Remedy("Train for longer, or on more rows", "--effort thorough")
REMEDIES: Mapping[str, Remedy] = {
    **dict.fromkeys(("copies", "near_tail", "distances", "membership", "shadow", "cross_audit"), _LESS_BY_HEART),
    **dict.fromkeys(("combinations", "singling_out", "linkability", "inference", "attributes", "identity"), _COARSER),
    **dict.fromkeys(("fidelity", "realism", "utility", "downstream"), _BETTER_LEARNED),
    "validity": Remedy("Correct the schema, or whatever wrote such cells"),
    "self_test": Remedy("Keep more real rows apart, so that the audit can see more", "--holdout"),
    "privacy_budget": Remedy("Train under differential privacy, with an epsilon within the limit", "--epsilon"),
}
NO_SEEDS = "Building again with other seeds until one passes is no remedy."
NOTHING = "There is nothing to hold the rule against."
STEPS = 3
NAMED = 2
"""How many gaps are named on the first screen; the others are listed below it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of the first screen and its answer; ``link`` is the anchor of the evidence, or empty."""

    question: str
    text: str
    link: str = ""


def _is_released(verdict: Verdict) -> str:
    if verdict.decision == "release" and not verdict.policy.sign_off:
        return "Yes, by the rules, and this policy asks for no signature."
    return IS_RELEASED[verdict.decision]


def answers(
    verdict: Verdict, results: Sequence[CheckResult], facts: RunFacts, sections: Sequence[Section] = ()
) -> tuple[Answer, ...]:
    """The answers in the order in which they are asked; those of other modules' sections come last."""
    deciding = _deciding(verdict)
    return (
        Answer("Is it released?", _is_released(verdict)),
        Answer("Which rule decided?", _which(verdict, deciding), f"check-{deciding.rule.check}"),
        Answer("What would change that?", _change(verdict, facts)),
        Answer("Who may receive it, and what for?", _recipient(verdict, facts)),
        Answer("Who must sign?", _signatures(verdict)),
        Answer("Is any row a copy of a patient?", _copies(results), "check-copies"),
        Answer("Is there a formal guarantee (epsilon)?", _epsilon(facts), "ledger"),
        Answer("Which column is least like the real one?", _worst_column(results), "check-fidelity"),
        Answer("What was not tested?", _not_tested(facts.not_tested), "not-tested"),
        *(Answer(section.title, section.in_short, section.key) for section in sections if section.in_short),
    )


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
    found = f"{item.question} {_found(item)}"
    if verdict.decision == "release":
        return f"All blocking rules are met. The one nearest to its limit: {found}"
    others = [each for each in verdict.outcomes if each is not item and each.rule.severity == "block"]
    counts = {words: sum(each.outcome == key for each in others) for key, words in DECIDED_BY.items() if key != "met"}
    also = " and ".join(
        f"{count} blocking rule{'s' * (count != 1)} ({words})" for words, count in counts.items() if count
    )
    named = f"{found} The rule {item.rule.check}.{item.rule.metric} is {DECIDED_BY[item.outcome]}."
    return f"{named} Not met either: {also}." if also else named


def _found(item: RuleOutcome) -> str:
    """The result, its range and the limit in one breath."""
    metric = item.metric
    limit = limit_in_words(item.rule, metric.unit if metric else "")
    if metric is None or not math.isfinite(metric.value):
        return f"It was not measured; the limit is {limit}."
    written = written_as(metric, item.rule.limit)
    between = interval(metric, written)
    chance = f" (allowing for chance {between})" if between else ""
    return f"Found: {written(metric.value)}{chance}; allowed: {limit}."


def _change(verdict: Verdict, facts: RunFacts) -> str:
    """Steps that would meet the blocking rules that are not met, the worst rule's first, each said once."""
    if verdict.decision == "release":
        return (
            "Any change to the table, this report or the policy makes the verdict void: the table must then be audited "
            "again."
        )
    unmet = [each for each in verdict.outcomes if each.rule.severity == "block" and each.outcome != "met"]
    unmet.sort(
        key=lambda each: (each.outcome != "breached", each.rule.check != "privacy_budget", not _is_measured(each))
    )
    steps = list(dict.fromkeys(step for each in unmet for step in _steps(each, unmet, facts)))
    if not steps:
        return "See the checklist."
    told = " ".join(f"({place}) {step}." for place, step in enumerate(steps[:STEPS], start=1))
    more = len(steps) - STEPS
    rest = f" And {more} more step{'s' * (more != 1)}: see the checklist." if more > 0 else ""
    who = "Its maker has to make the table anew: " if facts.generator == "unknown" and _has_breached(unmet) else ""
    return f"{who}{told if len(steps) > 1 else f'{steps[0]}.'}{rest} Then audit again. {NO_SEEDS}"


def _has_breached(unmet: Sequence[RuleOutcome]) -> bool:
    return any(each.outcome == "breached" for each in unmet)


def _steps(item: RuleOutcome, unmet: Sequence[RuleOutcome], facts: RunFacts) -> tuple[str, ...]:
    """What would meet one rule; rules whose sample is too small share one step, which names the largest sample."""
    metric = item.metric
    remedy = _told(REMEDIES.get(item.rule.check, Remedy("See what the check found")), facts)
    if item.outcome == "breached" or item.rule.check == "privacy_budget":
        return (remedy,)
    if metric is None or not _is_measured(item):
        told = item.sentence.removeprefix(NOTHING) if metric is None else metric.reading
        first = shorten(told.strip().split(". ")[0], 120).rstrip(".")
        return (f"Not measured, {plain_key(item.rule.check).lower()}: {first[:1].lower()}{first[1:]}",)
    if metric.n < item.rule.min_n:
        most = max((each for each in unmet if _is_small(each)), key=lambda each: each.rule.min_n)
        found = "" if most.metric is None else f" where {number(most.metric.n)} are there"
        return (f"More real rows kept apart: rules ask for up to {number(most.rule.min_n)}{found}",)
    return ("Where a range reaches across its limit: more real rows kept apart, or a better table", remedy)


def _is_measured(item: RuleOutcome) -> bool:
    return item.metric is not None and math.isfinite(item.metric.value)


def _is_small(item: RuleOutcome) -> bool:
    return item.metric is not None and item.outcome == "no_evidence" and item.metric.n < item.rule.min_n


def _told(remedy: Remedy, facts: RunFacts) -> str:
    """The remedy, with where to say it; not to the maker of a vendor's table, who has other tools."""
    return f"{remedy.what} ({remedy.here})" if remedy.here and facts.generator != "unknown" else remedy.what


def _recipient(verdict: Verdict, facts: RunFacts) -> str:
    purpose = f" Purpose: {facts.purpose.rstrip('.')}." if facts.purpose else " No purpose is stated."
    who = verdict.policy.recipient.rstrip(".")
    if verdict.decision != "release":
        return f"Nobody, as it stands. The policy is for: {who or 'nobody named'}.{purpose}"
    return f"{_capital(who) or 'Nobody is named'}.{purpose}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _signatures(verdict: Verdict) -> str:
    roles = verdict.policy.sign_off
    if not roles:
        return "Nobody, by this policy."
    what = UNSIGNED[verdict.decision]
    return f"{_capital(' and '.join((', '.join(roles[:-1]), roles[-1])) if len(roles) > 1 else roles[0])}.{what}"


def _copies(results: Sequence[CheckResult]) -> str:
    exact, near = (_metric(results, "copies", name) for name in ("exact_copy_excess", "near_copy_excess"))
    if exact is None:
        return "Not measured."
    return exact.reading + (f" Nearly: {near.reading}" if near else "")


def _metric(results: Sequence[CheckResult], check: str, name: str) -> Metric | None:
    return next((result.metric(name) for result in results if result.check == check), None)


def _epsilon(facts: RunFacts) -> str:
    if facts.privacy is None:
        who = (
            "whoever made the table handed over no privacy ledger"
            if facts.generator == "unknown"
            else "the generator was trained without differential privacy"
        )
        return f"No: no epsilon is claimed, because {who}. What is said here rests on the tests alone."
    known = budget(facts.privacy)
    if known is None:
        return "A claim was recorded without a finite epsilon; read the ledger."
    area = largest_area(facts.privacy)
    most = "" if area is None else f" No attack on membership can have an AUC above {number(area)} (0.5 is guessing)."
    return f"Yes: epsilon {number(known[0])}, delta {number(known[1])}, for one {_unit(facts.privacy)}.{most}"


def _unit(privacy: Mapping[str, Any]) -> str:
    unit = str(privacy.get("unit", "row"))
    return "row, which is not the same as one patient" if unit == "row" else unit


def _worst_column(results: Sequence[CheckResult]) -> str:
    figure = _figure(results, "marginal_tvd")
    if figure is None or len(figure.lines) < 2 or not figure.lines[0].x:
        return "Not measured."
    made, floor = figure.lines[:2]
    return (
        f"“{shorten(made.x[0], 60)}”: its distance to unseen real rows is {number(made.y[0])} (0 alike, 1 nothing in "
        f"common), where fresh real rows show {number(floor.y[0])} by chance."
    )


def _figure(results: Sequence[CheckResult], name: str) -> Figure | None:
    return next((figure for result in results for figure in result.figures if figure.name == name), None)


def _not_tested(gaps: Sequence[str]) -> str:
    if not gaps:
        return "No gap was recorded. That is not the same as none."
    more = len(gaps) - NAMED
    return " ".join(gaps[:NAMED]) + (f" And {more} more, below." if more > 0 else "")
