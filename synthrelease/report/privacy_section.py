"""The privacy ledger as the report shows it: what was spent, what was declared public, and what epsilon promises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthrelease.core.formatting import number, plain, plain_key
from synthrelease.privacy import attack_bounds

_TABLES = ("spends", "public", "promises")
_MEANINGS: Mapping[str, str] = {
    "attack_auc_at_most": "Largest AUC of any attack on membership (0.5 is guessing)",
    "attack_tpr_at_1pct_fpr_at_most": "Largest share of members found at 1% false alarms",
    "epsilon_asked": "Epsilon that was asked for",
    "epsilon_rdp": "Epsilon by the coarser Renyi accountant",
}
_CANARY: Mapping[str, str] = {
    "lower_bound": "Epsilon is at least",
    "claimed": "Epsilon that is claimed",
    "confidence": "Confidence of the lower bound",
    "canaries": "Planted rows",
    "guesses": "Guesses whether one was in",
    "right": "Right guesses",
    "seen_in": "What gave most away",
    "looked_in": "What was looked in",
    "ceiling": "Bound, had all guesses been right",
    "power": "Share of such runs that would catch counts with weaker noise",
    "caught_from": "Most such runs would catch noise so many times too small",
    "weaker_noise": "Weaker: so many times less noise than the ledger says",
    "seconds": "Seconds of the extra run",
}
ROW_UNIT = (
    "Epsilon protects one row, not one patient. Whoever has several rows in the table is protected less: with k rows, "
    "the promise holds for k times epsilon only. Name the patient column as unit in the schema, and build again."
)
ROW_IS_PATIENT = (
    "Epsilon protects one row. That is one patient only if no patient has two rows, as the schema says; nobody has "
    "checked that. Whoever has k rows is protected by k times epsilon only."
)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """Plain facts, a warning where the unit is a row, three tables as header and rows, and the extra run's findings."""

    facts: tuple[tuple[str, str], ...]
    warning: str
    spends: tuple[tuple[str, ...], ...]
    spent_on: tuple[str, ...]
    public: tuple[tuple[str, str], ...]
    promises: tuple[tuple[str, ...], ...]
    canary: tuple[tuple[str, str], ...]
    canary_words: tuple[str, ...]


def ledger_view(privacy: Mapping[str, Any], unit: str, canary: Mapping[str, Any] | None = None) -> LedgerView:
    """Split what is known about differential privacy into facts, spends, public facts and promises.

    Args:
        privacy: the claim as ``audit.json`` has it.
        unit: what the schema says that a person is in this table, "row" or "patient (column ...)".
        canary: what an extra run with planted rows found, where there was one.
    """
    canary = canary or {}
    spends = _mappings(privacy, "spends")
    header = tuple(dict.fromkeys(str(key) for spend in spends for key in spend))
    return LedgerView(
        facts=tuple(
            (_MEANINGS.get(str(key), plain_key(key)), plain(value))
            for key, value in privacy.items()
            if key not in _TABLES
        ),
        warning=_warning(str(privacy.get("unit", "row")), unit),
        spends=tuple(tuple(plain(spend.get(key)) for key in header) for spend in spends),
        spent_on=tuple(plain_key(key) for key in header),
        public=tuple((plain(fact.get("what")), plain(fact.get("declared"))) for fact in _mappings(privacy, "public")),
        promises=_promises(privacy),
        canary=tuple((words, plain(canary[key])) for key, words in _CANARY.items() if key in canary),
        canary_words=tuple(plain(canary[key]) for key in ("sentence", "beside") if key in canary),
    )


def budget(privacy: Mapping[str, Any]) -> tuple[float, float] | None:
    """Epsilon and delta, where both are numbers that promise anything."""
    epsilon, delta = privacy.get("epsilon"), privacy.get("delta", 0.0)
    is_number = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (epsilon, delta))
    if not is_number or not (epsilon >= 0 and 0 <= delta < 1):  # type: ignore[operator]
        return None
    return float(epsilon), float(delta)  # type: ignore[arg-type]


def gaussian_parameter(privacy: Mapping[str, Any]) -> float | None:
    """Mu, where everything that was spent is Gaussian noise on all rows: sqrt(sum of steps / noise multiplier^2)."""
    spends = _mappings(privacy, "spends")
    try:
        plain_noise = all(spend["sample_rate"] == 1 and spend.get("delta", 0) == 0 for spend in spends)
        whole = math.fsum(spend["steps"] / spend["noise_multiplier"] ** 2 for spend in spends)
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    return math.sqrt(whole) if spends and plain_noise else None


def largest_area(privacy: Mapping[str, Any]) -> float | None:
    """The largest AUC of any attack: as the ledger says, else as epsilon and delta allow; None without a claim."""
    said, known = privacy.get("attack_auc_at_most"), budget(privacy)
    if isinstance(said, float):
        return said
    return None if known is None else attack_bounds.largest_area(epsilon=known[0], delta=known[1])


def _mappings(privacy: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [each for each in privacy.get(key, ()) if isinstance(each, Mapping)]


def _warning(protected: str, unit: str) -> str:
    if protected != "row":
        return ""
    return ROW_IS_PATIENT if unit.startswith("row") else ROW_UNIT


def _promises(privacy: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Rows of (case, epsilon, largest AUC, largest true positive rate at 1% false alarms)."""
    given = _mappings(privacy, "promises")
    if given:
        keys = ("epsilon", "auc", "tpr_at_1pct_fpr")
        return tuple((plain(each.get("case")), *(plain(each.get(key)) for key in keys)) for each in given)
    known = budget(privacy)
    return () if known is None else (_row("this release", known),)


def _row(case: str, known: tuple[float, float]) -> tuple[str, ...]:
    epsilon, delta = known
    area = attack_bounds.largest_area(epsilon=epsilon, delta=delta)
    found = attack_bounds.most_found(0.01, epsilon=epsilon, delta=delta)
    return case, number(epsilon), number(area), number(found)
