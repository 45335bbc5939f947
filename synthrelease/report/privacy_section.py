"""The privacy ledger as the report shows it: what was spent, what was declared public, and what epsilon promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from synthrelease.core.contracts import CanaryFacts, PrivacyFacts, PrivacySpend, PrivacyUnit
from synthrelease.core.formatting import plain, plain_key

_TABLES = ("spends", "public", "promises")
"""Fields of the claim that the report shows as tables of their own."""
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


def ledger_view(privacy: PrivacyFacts, unit: str, canary: CanaryFacts | None = None) -> LedgerView:
    """Split what is known about differential privacy into facts, spends, public facts and promises.

    Args:
        privacy: the claim.
        unit: what the schema says that a person is in this table, "row" or "patient (column ...)".
        canary: what an extra run with planted rows found, where there was one.
    """
    spent_on = tuple(field.name for field in fields(PrivacySpend)) if privacy.spends else ()
    return LedgerView(
        facts=tuple(
            (_MEANINGS.get(field.name, plain_key(field.name)), plain(getattr(privacy, field.name)))
            for field in fields(privacy)
            if field.name not in _TABLES
        ),
        warning=_warning(privacy.unit, unit),
        spends=tuple(tuple(plain(getattr(spend, name)) for name in spent_on) for spend in privacy.spends),
        spent_on=tuple(plain_key(name) for name in spent_on),
        public=tuple((plain(fact.what), plain(fact.declared)) for fact in privacy.public),
        promises=tuple(
            (plain(each.case), plain(each.epsilon), plain(each.auc), plain(each.tpr_at_1pct_fpr))
            for each in privacy.promises
        ),
        canary=() if canary is None else tuple((told, plain(getattr(canary, key))) for key, told in _CANARY.items()),
        canary_words=() if canary is None else (plain(canary.sentence), plain(canary.beside)),
    )


def _warning(protected: PrivacyUnit, unit: str) -> str:
    if protected != "row":
        return ""
    return ROW_IS_PATIENT if unit.startswith("row") else ROW_UNIT
