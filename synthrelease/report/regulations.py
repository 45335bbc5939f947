"""What regulations ask, and which check is evidence towards it. Evidence, never a legal conclusion.

Sources: 45 CFR 164.514(b); Regulation (EU) 2016/679, recital 26; Article 29 Working Party, Opinion 05/2014 (WP216);
EMA, External guidance on Policy 0070 (EMA/90915/2016), chapter 3; ISO/IEC 27559:2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthrelease.core.contracts import CheckResult, CheckSpec, Outcome, RuleOutcome
from synthrelease.report import outcome_terms


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a text asks in our words, the checks that are evidence, and what no check can show."""

    regime: str
    place: str
    asks: str
    checks: tuple[str, ...]
    left: str
    also: str = ""


CRITERIA = (
    Criterion(
        "HIPAA",
        "45 CFR 164.514(b)(1), expert determination",
        "The risk is very small that the recipient could identify a person with this and other available information.",
        ("membership", "copies", "near_tail", "identity", "singling_out", "linkability", "self_test"),
        "The determination itself: a qualified person must make it and document methods and results.",
    ),
    Criterion(
        "HIPAA",
        "45 CFR 164.514(b)(2), Safe Harbor",
        "Eighteen classes of identifiers are removed, and nobody knows that what is left identifies someone.",
        ("combinations",),
        "That the schema is right about every column, and the actual knowledge of whoever releases the table.",
        "A real table with a column that looks like one of the classes is refused before anything is done with it.",
    ),
    Criterion(
        "GDPR",
        "Recital 26",
        "No person can be identified by means reasonably likely to be used, cost and time considered.",
        ("membership", "shadow", "copies", "identity"),
        "Which means are likely in this setting, and which other data the recipient can reach.",
    ),
    Criterion(
        "GDPR / WP29",
        "Opinion 05/2014, singling out",
        "No record of one person can be isolated.",
        ("singling_out", "combinations", "copies"),
        "Attackers with knowledge beyond the columns of the table.",
    ),
    Criterion(
        "GDPR / WP29",
        "Opinion 05/2014, linkability",
        "Two records about one person cannot be linked.",
        ("linkability",),
        "Data sets that exist elsewhere; the columns that two parties hold are taken from the schema.",
    ),
    Criterion(
        "GDPR / WP29",
        "Opinion 05/2014, inference",
        "A value cannot be deduced with significant probability from others.",
        ("inference", "attributes"),
        "Columns that the schema does not declare sensitive.",
    ),
    Criterion(
        "EMA Policy 0070",
        "External guidance, chapter 3, on the threshold of risk",
        "A risk of re-identification at or below a threshold, for which 0.09 is given, or the three criteria above.",
        ("identity", "singling_out", "linkability", "inference"),
        "The anonymisation report; and whether the policy's limit, in the table of what was asked, is the one wanted.",
    ),
    Criterion(
        "ISO/IEC 27559",
        "Clauses 6 to 9: context, data, identifiability, governance",
        "Recipient and threats are assessed, the data and attacks modelled, risk measured and lowered, roles assigned.",
        ("membership", "identity", "self_test", "privacy_budget"),
        "The context: agreements, controls at the recipient, and what is done after the release.",
        "Recipient, roles and limits stand in the policy; who signed stands with the release.",
    ),
)


_WORST_FIRST: tuple[Outcome, ...] = ("breached", "no_evidence", "met")


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """A check that is evidence: its title, its anchor, and how the policy's rules on it came out, all of them.

    ``outcome`` is the worst one, or None where the policy has no rule on the check.
    """

    title: str
    link: str
    outcome: Outcome | None
    words: str


@dataclass(frozen=True, slots=True)
class CriterionView:
    """A criterion with its evidence from this run."""

    criterion: Criterion
    evidence: tuple[EvidenceView, ...]


def criteria(
    outcomes: Sequence[RuleOutcome], results: Sequence[CheckResult], specs: Mapping[str, CheckSpec]
) -> tuple[CriterionView, ...]:
    """Every criterion with the checks of this run; a check that is neither run nor described is left out."""
    known = {result.check for result in results} | set(specs)
    return tuple(
        CriterionView(each, tuple(_evidence(name, outcomes, specs) for name in each.checks if name in known))
        for each in CRITERIA
    )


def _evidence(name: str, outcomes: Sequence[RuleOutcome], specs: Mapping[str, CheckSpec]) -> EvidenceView:
    title = specs[name].title if name in specs else name
    mine = [item for item in outcomes if item.rule.check == name]
    found = [item.outcome for item in mine]
    worst = next((outcome for outcome in _WORST_FIRST if outcome in found), None)
    return EvidenceView(title, f"check-{name}", worst, _all_in_words(mine) or "No rule of this policy")


def _all_in_words(mine: Sequence[RuleOutcome]) -> str:
    """How all rules on a check came out: the word alone where there is one rule, else every word with its rules."""
    if len(mine) == 1:
        return f"{outcome_terms.shown(mine[0])} ({outcome_terms.WEIGHTS[mine[0].rule.severity].lower()})"
    counts = []
    for word in outcome_terms.WORST_FIRST:
        these = [item for item in mine if outcome_terms.shown(item) == word]
        blocking = sum(item.rule.severity == "block" for item in these)
        if these:
            counts.append(f"{len(these)} {word.lower()}" + (f" ({blocking} blocking)" if blocking else ""))
    return ", ".join(counts)
