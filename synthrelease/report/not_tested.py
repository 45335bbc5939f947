"""What was not tested, by name: rules without an answer, checks that did not run, and what no check is about.

Nothing is judged here. A list that leaves something out reads as if the rest had been tested, so everything that this
run's policy, checks and schema leave open stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from synthrelease.core.contracts import CheckResult, CheckSpec, RuleOutcome, RunFacts, Verdict
from synthrelease.core.formatting import number, plain_key
from synthrelease.report import outcome_terms

ON_TRUST = (
    "Whether the holdout rows were kept from whoever made the table: that is taken on trust. If they were used, every "
    "privacy check looks better than it should."
)
NO_SENSITIVE = "No column is declared sensitive: what needs one was not tested."
NO_QUASI = (
    "No column is declared a quasi-identifier (a clue to who a row is, such as age or place): what needs one was not "
    "tested."
)
NONE_KNOWN = "No gap was recorded. That is not the same as none."
_STATES: Mapping[str, str] = {
    "not_applicable": "Not run",
    "not_run": "Not run",
    "too_few_rows": "Too few rows",
    "crashed": "Crashed",
}
_READ_FROM_THE_LEDGER = "privacy_budget"
_NOTHING = ("There is nothing to hold the rule against. ", "Not measured: ")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not tested: what, and why."""

    what: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Everything that was not tested, and the sentence that counts it."""

    in_short: str
    named: tuple[Gap, ...]


def gaps(verdict: Verdict, results: Sequence[CheckResult], facts: RunFacts, specs: Mapping[str, CheckSpec]) -> Gaps:
    """Name every gap of a run; ``specs`` are all checks there are."""
    undeclared = tuple(_undeclared(facts))
    idle = tuple(_idle(verdict, results, specs))
    named = (
        *(() if facts.was_made_here else (Gap(ON_TRUST),)),
        *(Gap(each) for each in undeclared),
        *(_open(item) for item in verdict.outcomes if item.outcome == "no_evidence"),
        *idle,
        *_figureless(verdict, results, specs),
        *(Gap(each) for each in facts.not_tested),
    )
    in_short = " ".join((_counted(verdict.outcomes), *undeclared, *_not_run(idle)))
    return Gaps(in_short if named else NONE_KNOWN, named)


def _counted(outcomes: Sequence[RuleOutcome]) -> str:
    unanswered = [item for item in outcomes if item.outcome == "no_evidence"]
    if not unanswered:
        return f"All {len(outcomes)} rules have an answer."
    blocking = sum(item.rule.severity == "block" for item in unanswered)
    tested = sum(outcome_terms.is_measured(item) for item in unanswered)
    parts = [f"{tested} were tested and could not tell"] if tested else []
    parts += [f"{len(unanswered) - tested} were not tested"] if len(unanswered) > tested else []
    return f"Of {len(outcomes)} rules, {' and '.join(parts)}; {blocking or 'none'} of these block."


def _undeclared(facts: RunFacts) -> Iterator[str]:
    roles = [column.role for column in facts.columns]
    if not any("sensitive" in role for role in roles):
        yield NO_SENSITIVE
    if "quasi_identifier" not in roles:
        yield NO_QUASI


def _open(item: RuleOutcome) -> Gap:
    weight = outcome_terms.WEIGHTS[item.rule.severity].lower()
    return Gap(f"{outcome_terms.topic(item)} ({outcome_terms.shown(item).lower()}, {weight})", why_open(item))


def why_open(item: RuleOutcome) -> str:
    """Why a rule has no answer, in a few words."""
    metric, rule = item.metric, item.rule
    if metric is None or not outcome_terms.is_measured(item):
        return _first_sentence(item.sentence if metric is None else metric.reading)
    if metric.n < rule.min_n:
        needed = number(rule.min_n)
        return f"{outcome_terms.counted(rule.check, rule.metric, metric.n)}, where the rule asks for {needed}."
    return "The range reaches across the limit."


def _first_sentence(told: str) -> str:
    for beginning in _NOTHING:
        told = told.removeprefix(beginning)
    return f"{told.split('. ')[0].strip().rstrip('.')}."


def _idle(verdict: Verdict, results: Sequence[CheckResult], specs: Mapping[str, CheckSpec]) -> Iterator[Gap]:
    """Checks that measured nothing and that no rule of the policy speaks of."""
    ruled = {item.rule.check for item in verdict.outcomes}
    ran = {result.check: result for result in results}
    for name in dict.fromkeys([*ran, *specs]):
        result = ran.get(name)
        state = "not_run" if result is None else result.status
        if state != "measured" and name not in (*ruled, _READ_FROM_THE_LEDGER):
            title = specs[name].title if name in specs else plain_key(name)
            yield Gap(f"{title} ({_STATES[state].lower()})", result.note if result else "")


def _not_run(idle: Sequence[Gap]) -> Iterator[str]:
    if idle:
        yield f"Not run: {'; '.join(gap.what.rsplit(' (', 1)[0] for gap in idle)}."


def _figureless(verdict: Verdict, results: Sequence[CheckResult], specs: Mapping[str, CheckSpec]) -> Iterator[Gap]:
    """Figures that a check could not give and that no rule of the policy speaks of."""
    ruled = {(item.rule.check, item.rule.metric) for item in verdict.outcomes}
    for result in results:
        topics = {spec.name: spec.topic for spec in specs[result.check].metrics} if result.check in specs else {}
        for metric in result.metrics:
            is_missing = metric.value != metric.value  # NaN
            if is_missing and (result.check, metric.name) not in ruled:
                yield Gap(
                    f"{topics.get(metric.name) or plain_key(metric.name)} (not measured)",
                    _first_sentence(metric.reading),
                )
