"""The internal report: a verdict and its evidence as one page that explains itself.

It is made from aggregates. The verdict has been reached before; nothing here holds a number against a limit to judge
it. The report is for people inside the hospital; what leaves with the data is the card (``data_card``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from synthrelease.core.contracts import CheckResult, CheckSpec, DigestName, Figure, RunFacts, Verdict
from synthrelease.core.formatting import moment, number, plain_key
from synthrelease.privacy.attack_bounds import ceiling, gaussian_parameter
from synthrelease.report import outcome_terms, verdict_words
from synthrelease.report.copies_page import copies_files as copies_files
from synthrelease.report.data_card import data_card as data_card
from synthrelease.report.first_screen import answers, person, sizes, subject
from synthrelease.report.foremost_warnings import warnings
from synthrelease.report.not_tested import gaps
from synthrelease.report.privacy_section import ledger_view
from synthrelease.report.regulations import criteria
from synthrelease.report.signatures_section import Decided, placed
from synthrelease.report.templating import environment
from synthrelease.report.view_models import FamilyView, families, figure_view, pairs, rule_view, seconds_in_words, tally

DIGESTS: Mapping[DigestName, str] = {
    "synthetic": "Synthetic table",
    "table": "Real table (keyed)",
    "train": "Real table (keyed)",
    "holdout": "Real holdout (keyed)",
    "reference": "Real reference sample (keyed)",
    "handed_in": "Table as handed in (keyed)",
    "schema": "Schema",
    "policy": "Policy",
}
"""Names of the digests for a reader: the real table goes by one name in a build and in an audit."""


def render(
    verdict: Verdict,
    results: tuple[CheckResult, ...],
    facts: RunFacts,
    specs: Mapping[str, CheckSpec],
) -> str:
    """Return the internal report as one HTML page that needs nothing but itself: no script, no outside resource.

    A check that is described in ``specs`` but has no result, and a result without description, are both shown.
    Behind the first screen it tells which attempt this was; waivers are added there later (``signatures_section``).
    """
    results = tuple(replace(each, figures=tuple(_with_ceiling(each.figures, facts))) for each in results)
    smallest = verdict.policy.min_cell
    untested = gaps(verdict, results, facts, specs)
    shown = families(results, verdict, specs)
    return (
        environment()
        .get_template("report.html")
        .render(
            verdict=verdict,
            decision_words=verdict_words.HEADINGS[verdict.decision],
            answers=answers(verdict, results, facts, untested),
            untested=untested.named,
            subject=subject(facts),
            sizes=sizes(facts),
            person=person(facts.unit),
            meanings=pairs(outcome_terms.MEANINGS),
            weighed=outcome_terms.WEIGHED,
            anchors=_anchors(shown),
            rules=tuple(rule_view(outcome, specs) for outcome in verdict.outcomes),
            tally=tally(verdict.outcomes),
            confidence=f"{verdict.policy.confidence * 100:g}%",
            error_rate=f"{100 - verdict.policy.confidence * 100:.4g}%",
            facts=facts,
            warnings=warnings(facts),
            created=moment(facts.created),
            digests=_digests(verdict, facts),
            decisions=placed(Decided(facts.attempts)),
            was_made_here=facts.was_made_here,
            rows=pairs({plain_key(key): number(value) for key, value in facts.rows.items()}),
            families=shown,
            criteria=criteria(verdict.outcomes, results, specs),
            history=tuple(figure_view(figure, smallest) for figure in facts.history),
            settings=pairs(facts.settings),
            versions=pairs(facts.versions),
            seconds=pairs({key: seconds_in_words(value) for key, value in facts.seconds.items()}),
            ledger=None if facts.privacy is None else ledger_view(facts.privacy, facts.unit, facts.canary),
        )
    )


def _anchors(shown: Iterable[FamilyView]) -> set[str]:
    """Everything on the page that a link can lead to."""
    checks = {check.anchor for family in shown for check in family.checks if check.anchor}
    return checks | {"ledger", "not-tested", "checklist"}


def _with_ceiling(figures: Iterable[Figure], facts: RunFacts) -> Iterable[Figure]:
    """The attack's curve with what epsilon promises that no attack exceeds, where there is such a promise."""
    claim = facts.privacy
    for figure in figures:
        if figure.name != "mia_roc" or claim is None:
            yield figure
            continue
        rates = tuple(sorted({float(x) for line in figure.lines for x in line.x if not isinstance(x, str) and x > 0}))
        mu = gaussian_parameter(claim.spends)
        limit = ceiling(rates, epsilon=claim.epsilon, delta=claim.delta, unit=claim.unit, mu=mu)
        yield replace(figure, lines=(*figure.lines, limit))


def _digests(verdict: Verdict, facts: RunFacts) -> list[tuple[str, str]]:
    digests = [(DIGESTS[key], value) for key, value in facts.digests.items()]
    is_listed = verdict.policy.digest in facts.digests.values()
    return digests if is_listed else [*digests, ("Policy", verdict.policy.digest)]
