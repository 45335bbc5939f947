"""Whether real rows can bear the analyses that a schema plans; asked before a generator is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synthrelease.core.contracts import Analysis, Split, Table
from synthrelease.core.errors import InputError, listing
from synthrelease.evaluation.checks.effects.design import UNCOUNTED, learned, weight_of_evidence
from synthrelease.evaluation.checks.effects.fits import NotEstimableError, fit

TITLE = "The real rows must bear every planned analysis. Correct the rows, or [[analyses]] in the schema:"


def check(split: Split) -> None:
    """Refuse planned analyses that cannot be fitted to the real training rows.

    Raises:
        InputError: an event is not 0 or 1, there are fewer events than coefficients, or the covariates tell the
            outcomes apart; the message counts and names no cell.
    """
    problems = [
        f"the analysis {analysis.name!r}: {problem}"
        for analysis in split.train.schema.analyses
        for problem in _problems(analysis, split)
    ]
    if problems:
        raise InputError(listing(TITLE, problems))


def _problems(analysis: Analysis, split: Split) -> Iterator[str]:
    odd = sum(_odd_events(analysis, table) for table in (split.train, split.holdout))
    if odd:
        cells = "1 cell is" if odd == 1 else f"{odd:,} cells are"
        yield f"{cells} neither 0 nor 1 in the event {analysis.event!r}. Correct them"
        return
    events = weight_of_evidence(analysis, split.train)
    design = learned(analysis, split.train, events_per_level=0)
    if len(design.terms) > events:
        counted = "patients" if analysis.model in UNCOUNTED else "patients with the rarer outcome"
        counted = "patients with an event" if analysis.model == "cox" else counted
        yield f"coefficients: {len(design.terms):,}, {counted}: {events:,}. Name fewer covariates"
        return
    try:
        fit(design, split.train)
    except NotEstimableError as error:
        yield f"{error}. Name other covariates"


def _odd_events(analysis: Analysis, table: Table) -> int:
    """Cells of a numeric event column that are neither 0 nor 1."""
    if not analysis.event or not table.schema.column(analysis.event).is_number:
        return 0
    numbers = table.frame[analysis.event].to_numpy(np.float64)
    return int((~np.isnan(numbers) & ~np.isin(numbers, (0.0, 1.0))).sum())
