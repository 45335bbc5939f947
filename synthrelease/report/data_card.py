"""The public data card: what leaves with the table, from an allow-list, and nothing that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthrelease.core.contracts import Outcome, RuleOutcome, RunFacts, Verdict
from synthrelease.core.formatting import limit_in_words, moment, number, plain, plain_key
from synthrelease.report import outcome_terms, pair_signals
from synthrelease.report.foremost_warnings import warnings
from synthrelease.report.signatures_section import NOTHING, Decided, placed
from synthrelease.report.templating import environment

METHODS: Mapping[str, str] = {
    "gan": "Rows drawn from a generative adversarial network (GAN): one neural network learned to write rows, column "
    "after column, as they occur among real ones and so that a second network could not tell them apart.",
    "marginals": "Rows drawn from a neural network that learned how often values, and pairs of values, occur.",
    "marginals+dp": "Rows drawn from a neural network that learned from noisy tables and a noisy critic (DP-SGD).",
    "dp": "Rows drawn from a generative adversarial network (GAN) whose critic learned through noise alone (DP-SGD).",
    "paper": "Rows drawn from a generative adversarial network (GAN) as Tanaka and Aranha described it in 2019: one "
    "neural network learned to make up rows that a second network could not tell from real ones.",
    "unknown": "Rows made by a generator that the audit knows nothing about.",
}
MADE_UP = (
    "Every row was made up by a model and is meant to stand for nobody. That none resembles or repeats a real person's "
    "is not proved, and a resemblance is not evidence about that person."
)
MADE_ELSEWHERE = (
    "The table was made elsewhere; its maker declares it synthetic, and the audit cannot confirm that. Identifiers in "
    "it were replaced by fresh values."
)
CARD_LIMITS = (
    "Findings must be confirmed on real data before they inform care or policy.",
    "Rare groups, rare combinations of values and extremes are represented poorly or not at all.",
    "The privacy tests are empirical: they can reveal a leak and cannot prove that there is none.",
    "Do not try to identify anyone.",
)


MORE_ROWS = (
    "More synthetic rows bring no more patients: intervals must not shrink with them. Plain intervals from this table "
    "are too narrow, and plain tests find what is not there."
)
COPIES = (
    "These are {copies} copies of one table, {rows} rows each, learned from {real} real rows. Analyse all of them and "
    "combine the results, as what-you-may-conclude.html says: a plain interval from one copy is too narrow, and one "
    "from all copies laid end to end is far too narrow."
)
RULE = (
    "With n real rows learned from (ask whoever handed the table over), an estimate whose plain variance is v has the "
    "variance v ({rows} / n) + v."
)
PRIVACY_NOISE = (
    "They know neither the luck of the sample nor the noise that protects privacy, and no rule corrects them: take no "
    "p-value from this table."
)
NO_TERMS = "None are stated: what the giver and the receiver have agreed upon holds."
NO_CONTACT = "Nobody is named: ask whoever handed the table over."
USEFUL: Mapping[Outcome, str] = {
    "met": "Shown to be within the limit",
    "breached": "Shown to be beyond the limit",
    "no_evidence": "Not shown: too little evidence either way",
}
"""What the card says of a rule on usefulness: the limit and on which side the table lies, never the figure."""


def _uncertainty(facts: RunFacts) -> str:
    """How sure an estimate from the table is: that more rows make it no surer, and by which rule to widen intervals."""
    if facts.copies > 1:
        rows = number(facts.rows["synthetic"] // facts.copies)
        return COPIES.format(copies=facts.copies, rows=rows, real=number(facts.rows["train"]))
    if facts.privacy is not None:
        return f"{MORE_ROWS} {PRIVACY_NOISE}"
    if "balanced" in facts.settings or not facts.was_made_here:
        return MORE_ROWS
    times, rows = facts.settings.get("multiple"), number(facts.rows["synthetic"])
    if times is None:
        return f"{MORE_ROWS} {RULE.format(rows=rows)}"
    factor = times + 1
    return (
        f"{MORE_ROWS} The {rows} rows are {times:g} times the real ones that were learned from. An estimate whose "
        f"plain variance is v has the variance {times:g} v + v: multiply standard errors by {factor**0.5:.3g}, and "
        f"divide chi-squared statistics by {factor:.3g}."
    )


def _to_order(facts: RunFacts) -> list[str]:
    """What the recipient must know of rows that were made to order."""
    sentences = {
        "conditions": "Every row was made to meet: {}. Other patients are not represented.",
        "balanced": "The classes of '{}' were made equally frequent; among patients they are not.",
    }
    return [text.format(facts.settings[name]) for name, text in sentences.items() if name in facts.settings]


def data_card(
    facts: RunFacts,
    verdict: Verdict,
    *,
    released_rows: int,
    files: Mapping[str, str] | None = None,
    decided: Decided = NOTHING,
) -> tuple[str, dict[str, Any]]:
    """Return the public data card as an HTML page and as a dict of plain JSON values.

    Everything on it comes from an allow-list: what was declared, what the policy demands, how many synthetic rows
    leave, which multiple of the real ones was asked for, and with copies the number of real rows that combining needs.
    No metric, other count, extreme, seed or source name of the real table is passed on. ``files`` maps each released
    file to its SHA-256. ``decided``: waivers and approvals, which the page tells behind its first section.

    Raises:
        ValueError: the verdict is anything but "release"; a card must not exist for a table that stays inside.
    """
    if verdict.decision != "release":
        raise ValueError(f"a data card goes with a released table, however the verdict is {verdict.decision}")
    card: dict[str, Any] = {
        "label": "synthetic data",
        "warnings": list(warnings(facts)),
        "title": "Synthetic data card",
        "purpose": facts.purpose,
        "created": facts.created,
        "rows": released_rows,
        "target": facts.target,
        "columns": [
            {"name": column.name, "kind": column.kind, "domain": column.domain, "treatment": column.treatment}
            for column in facts.columns
        ],
        "method": METHODS.get(facts.generator.split("-")[0], f"Rows made by “{facts.generator}”."),
        "policy": {
            "name": verdict.policy.name,
            "version": verdict.policy.version,
            "title": verdict.policy.title,
            "recipient": verdict.policy.recipient,
            "digest": verdict.policy.digest,
        },
        "rules": [_card_rule(outcome) for outcome in verdict.outcomes],
        "differential_privacy": _card_privacy(facts, len(verdict.analyses)),
        "dependences": pair_signals.dependences(facts.signals),
        "utility": _card_utility(verdict.outcomes),
        "analyses": [
            {"name": each.name, "model": each.words, "agreement": outcome_terms.AGREEMENT[each.outcome]}
            for each in verdict.analyses
        ],
        "limits": [
            MADE_UP if facts.was_made_here else MADE_ELSEWHERE,
            *_to_order(facts),
            _uncertainty(facts),
            *CARD_LIMITS,
        ],
        "terms": facts.terms or NO_TERMS,
        "contact": facts.contact or NO_CONTACT,
        "files": dict(files or {}),
    }
    promise = card["differential_privacy"]
    page = (
        environment()
        .get_template("data-card.html")
        .render(
            card=card,
            decisions=placed(decided) if decided != NOTHING else "",
            created=moment(facts.created),
            rows=number(released_rows),
            privacy=[
                (plain_key(key), plain(value)) for key, value in promise.items() if key not in ("claimed", "statement")
            ],
            partners=pair_signals.by_column(facts.signals),
            rules=[_shown_rule(item) for item in verdict.outcomes],
            meanings=outcome_terms.MEANINGS,
            weighed=outcome_terms.WEIGHED,
        )
    )
    return page, card


def _card_rule(item: RuleOutcome) -> dict[str, Any]:
    """Return a rule with its limit and outcome, never the value that was measured."""
    unit = item.metric.unit if item.metric else ""
    return {
        "question": item.question,
        "check": item.rule.check,
        "metric": item.rule.metric,
        item.rule.direction: item.rule.limit,
        "limit": limit_in_words(item.rule, unit),
        "unit": unit,
        "severity": item.rule.severity,
        "outcome": item.outcome,
    }


def _shown_rule(item: RuleOutcome) -> dict[str, str]:
    """The same as the page shows it, in words."""
    rule, words = _card_rule(item), outcome_terms.shown(item)
    shown = {key: rule[key] for key in ("question", "limit", "unit")}
    sign = "none" if words == outcome_terms.NOT_APPLICABLE else item.outcome
    return {
        **shown,
        "weight": outcome_terms.WEIGHTS[item.rule.severity],
        "outcome": words,
        "sign": sign,
        "answer": item.answer,
    }


def _card_utility(outcomes: Sequence[RuleOutcome]) -> list[dict[str, str]]:
    """The band of every rule on usefulness, in words; empty where the policy asks for none."""
    return [
        {
            "question": item.question,
            "limit": limit_in_words(item.rule, item.metric.unit if item.metric else ""),
            "unit": item.metric.unit if item.metric else "",
            "band": USEFUL[item.outcome],
        }
        for item in outcomes
        if item.rule.check in ("utility", "downstream")
    ]


def _card_privacy(facts: RunFacts, answers: int) -> dict[str, Any]:
    """The claim, and what on the card lies outside it: ``answers`` on planned analyses, yes or no each."""
    privacy = facts.privacy
    if privacy is None:
        why = "" if facts.was_made_here else ": whether any was used elsewhere is not known"
        return {"claimed": False, "statement": f"No differential privacy: no (epsilon, delta) claim is made{why}."}
    outside = "The verdict and the outcome of each rule rest on real rows and are no part of the claim."
    if answers == 1:
        outside = f"{outside} Nor is the yes-or-no answer on 1 planned analysis."
    elif answers:
        outside = f"{outside} Nor are the yes-or-no answers on {answers} planned analyses."
    return {
        "claimed": True,
        "statement": "Made under differential privacy.",
        "outside_the_claim": outside,
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "unit": privacy.unit,
        "adjacency": privacy.adjacency,
        "accountant": privacy.accountant,
    }
