"""The internal report: a verdict and its evidence as one page that explains itself.

It is made from aggregates. The verdict has been reached before; nothing here holds a number against a limit to judge
it. The report is for people inside the hospital; what leaves with the data is the card (``datacard``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .contracts import CheckResult, CheckSpec, Decision, RunFacts, Verdict
from .datacard import data_card as data_card
from .pages import Section, environment
from .views import families, figure_view, ledger_view, pairs, rule_view, seconds_in_words, tally
from .wording import moment, number, plain_key

DECISIONS: Mapping[Decision, str] = {
    "release": "RELEASE",
    "refuse": "DO NOT RELEASE",
    "undecided": "HUMAN REVIEW NEEDED",
}


def render(
    verdict: Verdict,
    results: tuple[CheckResult, ...],
    facts: RunFacts,
    specs: Mapping[str, CheckSpec],
    *,
    sections: Sequence[Section] = (),
) -> str:
    """Return the internal report as one HTML page that needs nothing but itself: no script, no outside resource.

    A check that is described in ``specs`` but has no result, and a result without description, are both shown.
    ``sections`` are parts that other modules made (attempts, waivers, signatures); they follow the first screen.
    """
    rules = tuple(rule_view(outcome, specs) for outcome in verdict.outcomes)
    return (
        environment()
        .get_template("report.html")
        .render(
            verdict=verdict,
            decision_words=DECISIONS[verdict.decision],
            rules=rules,
            tally=tally(verdict.outcomes),
            confidence=f"{verdict.policy.confidence * 100:g}%",
            error_rate=f"{100 - verdict.policy.confidence * 100:.4g}%",
            facts=facts,
            created=moment(facts.created),
            digests=_digests(verdict, facts),
            sections=sections,
            was_made_here=facts.generator != "unknown",
            rows=pairs({plain_key(key): number(value) for key, value in facts.rows.items()}),
            families=families(results, verdict.outcomes, specs),
            history=tuple(figure_view(figure) for figure in facts.history),
            settings=pairs(facts.settings),
            versions=pairs(facts.versions),
            seconds=pairs({key: seconds_in_words(value) for key, value in facts.seconds.items()}),
            ledger=None if facts.privacy is None else ledger_view(facts.privacy),
        )
    )


def _digests(verdict: Verdict, facts: RunFacts) -> list[tuple[str, str]]:
    digests = [(plain_key(key), value) for key, value in facts.digests.items()]
    is_listed = verdict.policy.digest in facts.digests.values()
    return digests if is_listed else [*digests, ("Policy", verdict.policy.digest)]
