"""Planned analyses: the regressions that a steward says people are going to fit, and what must hold for each.

What can be told from the schema alone is checked here. Whether the real rows can bear an analysis is asked before a
generator is trained (``evaluation.checks.effects.feasibility``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from synthrelease.core.contracts import Analysis, Column, Constraint, Schema
from synthrelease.schema import name_hints
from synthrelease.schema.schema_file_blocks import AnalysisEntry

MOST_ANALYSES = 10
"""Each one is an answer about real rows that stands on the data card."""
_COUNTED_FROM_ZERO = ("cox", "poisson")
_LISTED = 'Give it categories = ["0", "1"], with the label of the event last'


def declared(entry: AnalysisEntry, columns: Sequence[Column]) -> Analysis:
    """An entry of the file as a planned analysis; ``problems`` says what is wrong with it."""
    outcome, event = entry.outcome
    two_valued = next((column for column in columns if column.name == (event or outcome)), None)
    return Analysis(
        name=entry.name.strip(),
        model=entry.model,
        outcome=outcome,
        covariates=tuple(entry.covariates),
        event=event,
        happened="" if two_valued is None else _happened(two_valued),
    )


def _happened(column: Column) -> str:
    """The label that stands for the event: the positive one of a pair that everybody knows, or else the last of two."""
    if len(column.categories) != 2:
        return ""
    pair = name_hints.binary([label.strip().lower() for label in column.categories])
    return column.categories[1 if pair is None else pair[1]]


def constraints(analyses: Sequence[Analysis], columns: Sequence[Column]) -> Iterator[Constraint]:
    """What every row must obey for the analyses: no time and no count lies below 0, in the synthetic table either."""
    by_name = {column.name: column for column in columns}
    needed = {each.outcome: each for each in analyses if each.model in _COUNTED_FROM_ZERO}
    for name, analysis in needed.items():
        column = by_name.get(name)
        if column is None or not (column.is_number and column.is_learned):
            continue  # ``problems`` says so
        if column.bounds is None or column.bounds[0] < 0:
            yield Constraint(rule=f"`{name}` >= 0", analysis=analysis.name)


def problems(schema: Schema) -> Iterator[str]:
    """Everything that the schema alone shows to be wrong with its analyses, with key and next step."""
    if len(schema.analyses) > MOST_ANALYSES:
        yield (
            f"analyses: at most {MOST_ANALYSES} can be planned; there are {len(schema.analyses)}. "
            "Keep those that matter most"
        )
    names = Counter(each.name for each in schema.analyses)
    for place, analysis in enumerate(schema.analyses, start=1):
        key = f"analyses[{place}]"
        if not analysis.name or names[analysis.name] > 1:
            yield f"{key}.name: each analysis has a name of its own. Give it one"
        yield from (f"{key}.{problem}" for problem in _problems(analysis, schema))


def _problems(analysis: Analysis, schema: Schema) -> Iterator[str]:
    named = [analysis.outcome, *([analysis.event] if analysis.event else []), *analysis.covariates]
    if not analysis.covariates:
        yield "covariates: at least one column is wanted. Name it"
    if len(set(named)) < len(named):
        yield "covariates: a column stands twice in the analysis. Name each once"
    if bool(analysis.event) != (analysis.model == "cox"):
        yield 'outcome: a cox model, and no other, takes {time = "...", event = "..."}. Correct model or outcome'
    by_name = {column.name: column for column in schema.columns}
    wrong = [name for name in dict.fromkeys(named) if name not in by_name or not by_name[name].is_learned]
    for name in wrong:
        key = "covariates" if name in analysis.covariates else "outcome"
        if name not in by_name:
            yield f"{key}: {name!r} is no column of this schema. Correct the name"
        else:
            yield f"{key}: {name!r} is never learned (see its kind and role). Leave it out"
    if not wrong and bool(analysis.event) == (analysis.model == "cox"):
        yield from _outcome_problems(analysis, by_name)


def _outcome_problems(analysis: Analysis, columns: dict[str, Column]) -> Iterator[str]:
    """Whether the outcome is of the kind that the model explains."""
    outcome = columns[analysis.outcome]
    if any(columns[name].treatment.merge for name in (analysis.outcome, analysis.event) if name):
        yield "outcome: its labels are merged before anything is learned. Leave out the merge, or the analysis"
    if analysis.model == "logistic" and (outcome.is_number or len(outcome.categories) != 2):
        yield f"outcome: a logistic model explains a column of two listed labels. {_LISTED}"
    if analysis.model == "poisson" and outcome.kind != "integer":
        yield f"outcome: a poisson model explains whole numbers; this column is {outcome.kind}. Correct it"
    if analysis.model == "linear" and not outcome.is_number:
        yield f"outcome: a linear model explains a number; this column is {outcome.kind}. Correct it"
    if analysis.model == "cox":
        if outcome.kind not in ("numeric", "integer", "duration"):
            yield f"outcome: time is a number or a duration; this column is {outcome.kind}. Correct it"
        yield from _event_problems(columns[analysis.event])
    if analysis.model in _COUNTED_FROM_ZERO and "`" in analysis.outcome:
        yield "outcome: its name holds a backtick, so that no rule can be written for it. Rename the column"


def _event_problems(event: Column) -> Iterator[str]:
    if event.is_number:
        if event.kind != "integer":
            yield f"outcome: an event is 0 or 1; this column is {event.kind}. {_LISTED}"
        return
    labels = [label.strip().lower() for label in event.categories]
    if len(labels) != 2 or name_hints.binary(labels) is None:
        yield f"outcome: an event is 0 or 1 (or no and yes); its column has other labels. {_LISTED}"
