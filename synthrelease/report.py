"""The internal report and the public data card: a verdict and its evidence as pages that explain themselves.

Both are made from aggregates. The verdict has been reached before; nothing here holds a number against a limit to
judge it. The report is for people inside the hospital; the card leaves with the data and is built from an allow-list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import charts, ledgerview
from .contracts import (
    CheckResult,
    CheckSpec,
    Decision,
    Figure,
    Line,
    Metric,
    Outcome,
    Rule,
    RuleOutcome,
    RunFacts,
    Score,
    Utility,
    Verdict,
)
from .wording import Format, clean, interval, limit_in_words, moment, number, plain, plain_key, written_as

DECISIONS: Mapping[Decision, str] = {
    "release": "RELEASE",
    "refuse": "DO NOT RELEASE",
    "undecided": "HUMAN REVIEW NEEDED",
}
OUTCOMES: Mapping[Outcome, str] = {"met": "Met", "breached": "Breached", "no_evidence": "No evidence"}
FAMILIES: Mapping[str, tuple[str, str]] = {
    "privacy": ("Privacy", "Does the table give away anything about the people it was made from?"),
    "fidelity": ("Fidelity", "Does the table look like the real one?"),
    "utility": ("Utility", "Does work done on the table carry over to real patients?"),
    "validity": ("Validity", "Is the table well formed, and does it keep to what was declared?"),
    "other": ("Further checks", "Checks that no longer have a description."),
}
STATUSES: Mapping[str, str] = {
    "measured": "Measured",
    "not_applicable": "Does not apply",
    "too_few_rows": "Too few rows to tell",
    "crashed": "Crashed: nothing was measured",
    "not_run": "Was not run: nothing was measured",
}
MODELS: Mapping[str, str] = {
    "decision_tree": "Decision tree",
    "logistic_regression": "Logistic regression",
    "linear_regression": "Linear regression",
    "gradient_boosting": "Gradient boosting",
    "baseline": "Baseline (ignores the columns)",
}
SCORES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "mae": "Mean absolute error",
}
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
    "Every row is made up. No row stands for a person, and a resemblance to one is not evidence about that person."
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


def _to_order(facts: RunFacts) -> list[str]:
    """What the recipient must know of rows that were made to order."""
    sentences = {
        "conditions": "Every row was made to meet: {}. Other patients are not represented.",
        "balanced": "The classes of '{}' were made equally frequent; among patients they are not.",
    }
    return [text.format(facts.settings[name]) for name, text in sentences.items() if name in facts.settings]


@dataclass(frozen=True, slots=True)
class RuleView:
    """One line of the checklist, and the note on the same rule beside its check."""

    question: str
    outcome: Outcome
    outcome_words: str
    severity: str
    result: str
    interval: str
    gauge: Markup
    limit: str
    rests_on: str
    sentence: str
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class MetricView:
    """One measured number with what is needed to read it, as text."""

    name: str
    unit: str
    value: str
    interval: str
    reference: str
    better: str
    n: str
    reading: str


@dataclass(frozen=True, slots=True)
class FigureView:
    """A drawing with the table of its numbers."""

    title: str
    caption: str
    drawing: Markup
    table: charts.FigureTable


@dataclass(frozen=True, slots=True)
class UtilityView:
    """Scores side by side: for each model, rows of (score, trained on real, trained on synthetic, difference)."""

    task: str
    positive: str
    models: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check with its findings; ``is_loud`` where nothing was measured although something should have been."""

    name: str
    title: str
    about: str
    status: str
    is_loud: bool
    note: str
    cost: str
    metrics: tuple[MetricView, ...] = ()
    rules: tuple[RuleView, ...] = ()
    figures: tuple[FigureView, ...] = ()
    utility: UtilityView | None = None


@dataclass(frozen=True, slots=True)
class FamilyView:
    """The checks that answer one kind of question."""

    key: str
    title: str
    question: str
    checks: tuple[CheckView, ...]


def render(verdict: Verdict, results: tuple[CheckResult, ...], facts: RunFacts, specs: Mapping[str, CheckSpec]) -> str:
    """Return the internal report as one HTML page that needs nothing but itself: no script, no outside resource.

    A check that is described in ``specs`` but has no result, and a result without description, are both shown.
    """
    rules = tuple(_rule_view(outcome, specs) for outcome in verdict.outcomes)
    return (
        _environment()
        .get_template("report.html")
        .render(
            verdict=verdict,
            decision_words=DECISIONS[verdict.decision],
            rules=rules,
            tally=_tally(verdict.outcomes),
            confidence=f"{verdict.policy.confidence * 100:g}%",
            error_rate=f"{100 - verdict.policy.confidence * 100:.4g}%",
            facts=facts,
            created=moment(facts.created),
            digests=_digests(verdict, facts),
            was_made_here=facts.generator != "unknown",
            rows=_pairs({plain_key(key): number(value) for key, value in facts.rows.items()}),
            families=_families(results, verdict.outcomes, specs),
            history=tuple(_figure_view(figure) for figure in facts.history),
            settings=_pairs(facts.settings),
            versions=_pairs(facts.versions),
            seconds=_pairs({key: _seconds(value) for key, value in facts.seconds.items()}),
            ledger=None if facts.privacy is None else ledgerview.view(facts.privacy),
        )
    )


def data_card(
    facts: RunFacts, verdict: Verdict, *, released_rows: int, files: Mapping[str, str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the public data card as an HTML page and as a dict of plain JSON values.

    Everything on it comes from an allow-list: what was declared, what the policy demands, how many synthetic rows
    leave. No metric, count, extreme, seed or source name of the real table is passed on. ``files`` maps each released
    file to its SHA-256.

    Raises:
        ValueError: the verdict is anything but "release"; a card must not exist for a table that stays inside.
    """
    if verdict.decision != "release":
        raise ValueError(f"a data card goes with a released table, however the verdict is {verdict.decision}")
    card: dict[str, Any] = {
        "label": "synthetic data",
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
        "differential_privacy": _card_privacy(facts.privacy),
        "limits": [MADE_ELSEWHERE if facts.generator == "unknown" else MADE_UP, *_to_order(facts), *CARD_LIMITS],
        "files": dict(files or {}),
    }
    promise = card["differential_privacy"]
    page = (
        _environment()
        .get_template("data-card.html")
        .render(
            card=card,
            created=moment(facts.created),
            rows=number(released_rows),
            privacy=[
                (plain_key(key), plain(value)) for key, value in promise.items() if key not in ("claimed", "statement")
            ],
            outcome_words=OUTCOMES,
        )
    )
    return page, card


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("synthrelease"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else clean(value)


# Views.


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), plain(value)) for key, value in values.items())


def _digests(verdict: Verdict, facts: RunFacts) -> list[tuple[str, str]]:
    digests = [(plain_key(key), value) for key, value in facts.digests.items()]
    is_listed = verdict.policy.digest in facts.digests.values()
    return digests if is_listed else [*digests, ("Policy", verdict.policy.digest)]


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value >= 0.1 else "under 0.1 s"


def _tally(outcomes: Sequence[RuleOutcome]) -> str:
    """Return how many rules came out how, in words: "17 met, 2 breached (1 blocking)"."""
    parts = []
    for outcome, words in (("breached", "breached"), ("no_evidence", "without evidence"), ("met", "met")):
        mine = [item for item in outcomes if item.outcome == outcome]
        blocking = sum(item.rule.severity == "block" for item in mine)
        if mine:
            parts.append(f"{len(mine)} {words}" + ("" if outcome == "met" else f" ({blocking or 'none'} blocking)"))
    return f"{len(outcomes)} rules: " + ", ".join(parts)


def _rule_view(item: RuleOutcome, specs: Mapping[str, CheckSpec]) -> RuleView:
    rule, metric = item.rule, item.metric
    unit = metric.unit if metric else _promised_unit(rule, specs)
    written = written_as(metric, rule.limit) if metric else None
    rests_on = f"{number(metric.n) if metric else 'no'} rows"
    return RuleView(
        question=item.question,
        outcome=item.outcome,
        outcome_words=OUTCOMES[item.outcome],
        severity="Blocking" if rule.severity == "block" else "Warning",
        result=written(metric.value, with_unit=False) if metric and written else "not measured",
        interval=interval(metric, written) if metric and written else "",
        gauge=_gauge(rule, metric) if metric else Markup(""),
        limit=limit_in_words(rule, unit),
        rests_on=f"{rests_on}; the rule asks for {number(rule.min_n)}",
        sentence=item.sentence,
        why=rule.why,
        source=rule.source,
    )


def _gauge(rule: Rule, metric: Metric) -> Markup:
    below = rule.direction == "at_most"
    return charts.gauge(metric.value, metric.low, metric.high, limit=rule.limit, allowed_below=below)


def _promised_unit(rule: Rule, specs: Mapping[str, CheckSpec]) -> str:
    metrics = specs[rule.check].metrics if rule.check in specs else ()
    return next((metric.unit for metric in metrics if metric.name == rule.metric), "")


def _families(
    results: Sequence[CheckResult], outcomes: Sequence[RuleOutcome], specs: Mapping[str, CheckSpec]
) -> tuple[FamilyView, ...]:
    ran = {result.check: result for result in results}
    names = [*ran, *(name for name in specs if name not in ran)]
    placed: dict[str, list[CheckView]] = {key: [] for key in FAMILIES}
    for name in names:
        mine = tuple(_rule_view(outcome, specs) for outcome in outcomes if outcome.rule.check == name)
        spec = specs.get(name)
        placed[spec.family if spec else "other"].append(_check_view(name, ran.get(name), spec, rules=mine))
    return tuple(FamilyView(key, *FAMILIES[key], tuple(checks)) for key, checks in placed.items() if checks)


def _check_view(
    name: str, result: CheckResult | None, spec: CheckSpec | None, *, rules: tuple[RuleView, ...]
) -> CheckView:
    status = result.status if result else "not_run"
    view = CheckView(
        name=name,
        title=spec.title if spec else name,
        about=spec.about if spec else "",
        status=STATUSES[status],
        is_loud=status not in ("measured", "not_applicable"),
        note=result.note if result else "",
        cost=f"{number(result.n)} rows, {_seconds(result.seconds)}" if result and result.n else "",
        rules=rules,
    )
    if result is None:
        return view
    figures = result.figures if result.utility is None else (*result.figures, _utility_figure(result.utility))
    return replace(
        view,
        metrics=tuple(_metric_view(metric, spec) for metric in result.metrics),
        figures=tuple(_figure_view(figure) for figure in figures),
        utility=_utility_view(result.utility) if result.utility else None,
    )


def _metric_view(metric: Metric, spec: CheckSpec | None) -> MetricView:
    written = written_as(metric)
    promised = next((item for item in spec.metrics if item.name == metric.name), None) if spec else None
    return MetricView(
        name=plain_key(metric.name),
        unit=metric.unit,
        value=written(metric.value),
        interval=interval(metric, written),
        reference="none" if metric.reference is None else written(metric.reference, with_unit=False),
        better="" if promised is None else f"{promised.better} is better",
        n=number(metric.n),
        reading=metric.reading,
    )


def _figure_view(figure: Figure) -> FigureView:
    return FigureView(figure.title, figure.caption, charts.draw(figure), charts.table(figure))


# Utility.


def _scored(score: Score | None, key: str) -> str:
    if score is None:
        return "not measured"
    written = Format("", None if key == "mae" else 3)
    return f"{written(score.value)} ({written(score.low)} to {written(score.high)})"


def _difference(real: Score | None, synthetic: Score | None, key: str) -> str:
    if real is None or synthetic is None or not math.isfinite(synthetic.value - real.value):
        return "not known"
    written = Format("", None if key == "mae" else 3)(synthetic.value - real.value)
    return f"+{written}" if synthetic.value > real.value else written


def _utility_view(utility: Utility) -> UtilityView:
    models = []
    for model in dict.fromkeys([*utility.trtr, *utility.tstr]):
        real, synthetic = utility.trtr.get(model, {}), utility.tstr.get(model, {})
        rows = tuple(
            (SCORES.get(key, key), _scored(a, key), _scored(b, key), _difference(a, b, key))
            for key in dict.fromkeys([*real, *synthetic])
            for a, b in [(real.get(key), synthetic.get(key))]
        )
        models.append((MODELS.get(model, plain_key(model)), rows))
    return UtilityView(utility.task, utility.positive, tuple(models))


def _utility_figure(utility: Utility) -> Figure:
    """Draw the leading score of every model, trained on real and on synthetic rows."""
    key = "roc_auc" if utility.task == "classification" else "r2"
    sides = (("Trained on real rows", utility.trtr), ("Trained on synthetic rows", utility.tstr))
    return Figure(
        name="utility",
        kind="dots",
        title=f"{SCORES[key]} on real holdout rows, by model",
        caption="The nearer the two marks of a model lie, the less is lost by training on synthetic rows.",
        x_label="",
        y_label=f"{SCORES[key]} (higher is better)",
        lines=tuple(_utility_line(label, side, key) for label, side in sides),
    )


def _utility_line(label: str, side: Mapping[str, Mapping[str, Score]], key: str) -> Line:
    scored = [(MODELS.get(model, plain_key(model)), scores[key]) for model, scores in side.items() if key in scores]
    return Line(
        label=label,
        x=tuple(name for name, _ in scored),
        y=tuple(score.value for _, score in scored),
        low=tuple(score.low for _, score in scored),
        high=tuple(score.high for _, score in scored),
    )


# The data card.


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


def _card_privacy(privacy: Mapping[str, Any] | None) -> dict[str, Any]:
    if privacy is None:
        return {"claimed": False, "statement": "No differential privacy: no (epsilon, delta) claim is made."}
    public = {key: privacy[key] for key in ("epsilon", "delta", "unit", "adjacency", "accountant") if key in privacy}
    return {"claimed": True, "statement": "Made under differential privacy.", **public}
