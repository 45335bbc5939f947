"""What comes next: what a reviewer has to do, and what would meet the rules that are not met.

The steps are said by the kind of check that is not met, and never are "try another seed".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthrelease.core.contracts import RuleOutcome, RunFacts, Verdict
from synthrelease.core.formatting import number
from synthrelease.report import outcome_terms
from synthrelease.report.not_tested import why_open


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done about a rule that is not met, and where that is said to this tool.

    ``{}`` in the text stands for the rule's topic.
    """

    what: str
    here: str = ""


_LESS_BY_HEART = Remedy(
    "Learn less by heart: a stronger prior, fewer updates, differential privacy, or coarser columns",
    "--set weight_decay, --effort fast; round_to, top_code and merge in the schema",
)
_COARSER = Remedy(
    "Make coarser, or withhold, the columns that the report names under {}",
    "round_to, top_code, merge, or the role excluded in the schema",
)
_BETTER_LEARNED = Remedy("Train for longer, or on more rows", "--effort thorough")
_BY_HEART = ("copies", "near_tail", "distances", "membership", "shadow", "cross_audit")
_TELLING = ("combinations", "singling_out", "linkability", "inference", "attributes", "identity")
REMEDIES: Mapping[str, Remedy] = {
    **dict.fromkeys(_BY_HEART, _LESS_BY_HEART),
    **dict.fromkeys(_TELLING, _COARSER),
    **dict.fromkeys(("fidelity", "realism", "impossible", "utility", "downstream"), _BETTER_LEARNED),
    "effects": Remedy(
        "Give the analyses effects of their own: labels as learned, or more rows to learn from",
        "without --sharpen-labels; --effort thorough; [[analyses]] in the schema says which",
    ),
    "validity": Remedy("Correct the schema, or whatever wrote such cells"),
    "self_test": Remedy("Keep more real rows apart, so that the audit can see more", "--holdout"),
    "privacy_budget": Remedy("Train under differential privacy, with an epsilon within the limit", "--epsilon"),
}
NO_SEEDS = "Building again with other seeds until one passes is no remedy."
VOID = "If a byte of the table, this report or the policy changes, the verdict is void: audit again."


def for_reviewer(verdict: Verdict) -> str:
    """What the reader of the report has to do, in every case something."""
    to_read = _to_read(verdict)
    if verdict.decision == "release":
        if verdict.policy.sign_off:
            return f"{to_read} Then approve or reject."
        return f"{to_read} If any of it speaks against the use, tell the steward to keep the table back."
    if verdict.decision == "undecided":
        return "Do not hand it over, and sign nothing yet: tell the steward which answers are missing (below)."
    if _gives_people_away(verdict):
        return (
            "Do not hand it over. It may hold real patients' rows: lock it away or delete it like patient data. If a "
            "copy has left, tell your data protection officer. Give this report to the steward."
        )
    return "Do not hand it over. Give this report to the steward; whether the table is kept is for the steward to say."


def _to_read(verdict: Verdict) -> str:
    unmet = sum(item.outcome != "met" for item in verdict.outcomes)
    if not unmet:
        return "Read what was not tested, below."
    breached = any(item.outcome == "breached" for item in verdict.outcomes)
    state = "not met" if breached else "without an answer"
    return f"Read the {unmet} advisory rule{'s' * (unmet != 1)} {state} and what was not tested, below."


def _gives_people_away(verdict: Verdict) -> bool:
    breached = [each for each in verdict.outcomes if each.outcome == "breached" and each.rule.severity == "block"]
    return any(each.rule.check in (*_BY_HEART, *_TELLING) for each in breached)


def for_steward(verdict: Verdict, facts: RunFacts) -> tuple[str, tuple[str, ...]]:
    """What whoever made or keeps the table has to do, and steps that would meet the blocking rules that are not met.

    The worst rule's step comes first, and each is said once.
    """
    if verdict.decision == "release":
        return VOID, ()
    unmet = [each for each in verdict.outcomes if each.rule.severity == "block" and each.outcome != "met"]
    unmet.sort(
        key=lambda each: (
            each.outcome != "breached",
            each.rule.check != "privacy_budget",
            not outcome_terms.is_measured(each),
        )
    )
    steps: dict[object, str] = {}
    for each in unmet:
        for key, step in _steps(each, unmet, facts):
            steps.setdefault(key, f"{step}.")
    is_breached = any(each.outcome == "breached" for each in unmet)
    if not is_breached:
        return f"Bring what is missing, then audit again. {NO_SEEDS}", tuple(steps.values())
    who = "make it anew" if facts.was_made_here else "its maker has to make it anew"
    return f"To release a table, {who}, and audit it again. {NO_SEEDS}", tuple(steps.values())


def _steps(item: RuleOutcome, unmet: Sequence[RuleOutcome], facts: RunFacts) -> tuple[tuple[object, str], ...]:
    """What would meet one rule, each step with what makes two steps the same one."""
    metric = item.metric
    remedy = REMEDIES.get(item.rule.check, Remedy("See what the check found under {}"))
    told = _told(remedy, item, facts)
    if item.outcome == "breached" or item.rule.check == "privacy_budget":
        return ((remedy, told),)
    if metric is None or not outcome_terms.is_measured(item):
        why = why_open(item).rstrip(".")
        step = f"Not measured, {outcome_terms.topic(item)}: {why[:1].lower()}{why[1:]}"
        return ((step, step),)
    if metric.n < item.rule.min_n:
        most = max((each for each in unmet if _is_small(each)), key=lambda each: each.rule.min_n)
        found = "" if most.metric is None else f" where {number(most.metric.n)} are there"
        return (("rows", f"More real rows kept apart: rules ask for up to {number(most.rule.min_n)}{found}"),)
    across = "Where a range reaches across its limit: more real rows kept apart, or a better table"
    return ((across, across), (remedy, told))


def _is_small(item: RuleOutcome) -> bool:
    return item.metric is not None and item.outcome == "no_evidence" and item.metric.n < item.rule.min_n


def _told(remedy: Remedy, item: RuleOutcome, facts: RunFacts) -> str:
    """The remedy, with where to say it; not to the maker of a vendor's table, who has other tools."""
    what = remedy.what.format(f"“{outcome_terms.topic(item)}”")
    return f"{what} ({remedy.here})" if remedy.here and facts.was_made_here else what
