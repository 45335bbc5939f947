"""What report, card and their machine-readable twins say before anything else."""

from __future__ import annotations

from synthrelease.core.contracts import RunFacts

SHARPENED = (
    "The labels of the target were sharpened for machine learning: they follow the other columns more decisively than "
    "among real patients. Odds ratios from this table, and all other effects on the target, are too large. Do not "
    "estimate effects, risks or p-values from it."
)


def warnings(facts: RunFacts) -> tuple[str, ...]:
    """What must be known before the table is used, as sentences; mostly nothing."""
    return (SHARPENED,) if facts.labels_are_sharpened else ()
