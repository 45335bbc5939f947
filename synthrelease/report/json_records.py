"""Machine-readable twins of a run: ``internal/audit.json``, ``run.json``, and the columns as declared facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from synthrelease.core.contracts import (
    CheckResult,
    Column,
    ColumnFact,
    DigestName,
    Metric,
    RuleOutcome,
    RunFacts,
    Schema,
    Score,
    Utility,
    Verdict,
)
from synthrelease.report.foremost_warnings import warnings
from synthrelease.schema import datetimes, generalisation

_DIGESTS: Mapping[DigestName, str] = {
    "synthetic": "synthetic (SHA-256)",
    "table": "table (HMAC)",
    "train": "train (HMAC)",
    "holdout": "holdout (HMAC)",
    "reference": "reference (HMAC)",
    "handed_in": "synthetic (HMAC)",
    "schema": "schema (SHA-256)",
    "policy": "policy (SHA-256)",
}
"""How ``audit.json`` and ``run.json`` name digests."""
_TREATMENTS = {
    "identifier": "never learned; replaced by fresh surrogate values",
    "unit": "never learned; replaced by fresh surrogate values",
    "excluded": "never learned; withheld",
}


def column_facts(schema: Schema, *, was_made_here: bool = True) -> tuple[ColumnFact, ...]:
    """Every column with its declared domain and what was done with it; nothing is taken from the data."""
    return tuple(
        ColumnFact(
            name=column.name,
            kind=column.kind,
            role="target, sensitive" if column.role == "target" and column.is_sensitive else column.role,
            domain=_domain(column),
            treatment=_treatment(column, was_made_here=was_made_here),
        )
        for column in schema.columns
    )


def _treatment(column: Column, *, was_made_here: bool) -> str:
    told = _TREATMENTS.get(column.role)
    if was_made_here:
        return told or _learned(column)
    return "as it was handed over" if told is None else told.removeprefix("never learned; ")


def _learned(column: Column) -> str:
    interval = "" if column.anchor is None else f" as the interval from {column.anchor}"
    coarser = generalisation.described(column)
    return f"learned{interval}" + (f"; made coarser first: {coarser}" if coarser else "")


def _domain(column: Column) -> str:
    if column.bounds is not None:
        low, high = column.bounds
        if column.is_moment:
            return f"{datetimes.written(low, column.kind)} to {datetimes.written(high, column.kind)}"
        return f"{low:g} to {high:g}"
    if column.learns_bounds:
        return "learned from training rows"
    if column.learns_levels:
        rare = f'become "{column.other}"' if column.other else "count as missing"
        return f"learned from training rows; labels of too few patients {rare}"
    if column.categories:
        return ", ".join(column.categories)
    return "not declared"


def audit_record(verdict: Verdict, results: tuple[CheckResult, ...], facts: RunFacts) -> dict[str, Any]:
    """The content of ``audit.json``: every check, every rule and the verdict; NaN becomes null."""
    utility = next((result.utility for result in results if result.utility is not None), None)
    policy = verdict.policy
    return {
        "warnings": list(warnings(facts)),
        "decision": verdict.decision,
        "deciding": verdict.deciding,
        "policy": {
            "name": policy.name,
            "version": policy.version,
            "digest": policy.digest,
            "confidence": policy.confidence,
            "derived_from": policy.derived_from,
            "loosened": list(policy.loosened),
        },
        "rules": [_rule(outcome) for outcome in verdict.outcomes],
        "checks": [_check(result) for result in results],
        "privacy": None if facts.privacy is None else asdict(facts.privacy),
        "canary": None if facts.canary is None else asdict(facts.canary),
        "utility": None if utility is None else _utility(utility),
        "attempts": None if facts.attempts is None else asdict(facts.attempts),
        "sign_off": {"roles": list(policy.sign_off), **asdict(policy.signing)},
        "rows": dict(facts.rows),
        "digests": _digests(facts),
        "created": facts.created,
    }


def run_record(verdict: Verdict, facts: RunFacts, seed: int, exit_code: int) -> dict[str, Any]:
    """The content of ``run.json`` when a run is finished."""
    return {
        "id": facts.run_id,
        "created": facts.created,
        "source": facts.source,
        "decision": verdict.decision,
        "exit_code": exit_code,
        "policy": {"name": verdict.policy.name, "version": verdict.policy.version, "digest": verdict.policy.digest},
        "needs_sign_off": list(verdict.policy.sign_off),
        "generator": facts.generator,
        "settings": {**facts.settings, "seed": seed},
        "rows": dict(facts.rows),
        "digests": _digests(facts),
        "versions": dict(facts.versions),
        "seconds": dict(facts.seconds),
        "notices": list(facts.notices),
    }


def ledger_record(facts: RunFacts, note: str) -> dict[str, Any]:
    """The content of ``ledger.json``: the claim, if any, what the ledger says without one, and the extra run."""
    return {
        "claim": None if facts.privacy is None else asdict(facts.privacy),
        "note": note,
        "canary": None if facts.canary is None else asdict(facts.canary),
    }


def _digests(facts: RunFacts) -> dict[str, str]:
    return {_DIGESTS[name]: digest for name, digest in facts.digests.items()}


def _rule(outcome: RuleOutcome) -> dict[str, Any]:
    rule, metric = outcome.rule, outcome.metric
    return {
        "check": rule.check,
        "metric": rule.metric,
        rule.direction: rule.limit,
        "limit": rule.limit,
        "direction": rule.direction,
        "severity": rule.severity,
        "waiver_by": list(rule.waiver_by),
        "min_n": rule.min_n,
        "confidence": rule.confidence,
        "outcome": outcome.outcome,
        "value": None if metric is None else _plain(metric.value),
        "low": None if metric is None else _plain(metric.low),
        "high": None if metric is None else _plain(metric.high),
        "n": None if metric is None else metric.n,
        "question": outcome.question,
        "sentence": outcome.sentence,
        "why": rule.why,
        "source": rule.source,
    }


def _check(result: CheckResult) -> dict[str, Any]:
    return {
        "check": result.check,
        "status": result.status,
        "n": result.n,
        "seconds": round(result.seconds, 3),
        "note": result.note,
        "metrics": [_metric(metric) for metric in result.metrics],
        "analyses": [
            {"name": each.name, "words": each.words, "metrics": [_metric(metric) for metric in each.metrics]}
            for each in result.analyses
        ],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(metric).items()}


def _utility(utility: Utility) -> dict[str, Any]:
    return {
        "task": utility.task,
        "positive": utility.positive,
        "trtr": _scores(utility.trtr),
        "tstr": _scores(utility.tstr),
    }


def _scores(block: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    return {
        model: {name: {key: _plain(value) for key, value in asdict(score).items()} for name, score in scores.items()}
        for model, scores in block.items()
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
