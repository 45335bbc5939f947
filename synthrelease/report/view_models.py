"""What the report shows, as text: rules, metrics, figures and checks ready for a template. Nothing is judged here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from synthrelease.core.contracts import (
    AnalysisFinding,
    AnalysisOutcome,
    CheckResult,
    CheckSpec,
    Figure,
    Line,
    Metric,
    Outcome,
    Rule,
    RuleOutcome,
    Score,
    Utility,
    Verdict,
)
from synthrelease.core.formatting import Format, interval, limit_in_words, number, plain, plain_key, written_as
from synthrelease.report import outcome_terms
from synthrelease.report.figures import charts, small_count_masking

FAMILIES: Mapping[str, tuple[str, str]] = {
    "privacy": ("Privacy", "Does the table give away anything about the people it was made from?"),
    "fidelity": ("Fidelity", "Does the table look like the real one?"),
    "utility": ("Utility", "Does work done on the table carry over to real patients?"),
    "validity": ("Validity", "Is the table well formed, and does it keep to what was declared?"),
    "other": ("Further checks", "Checks that no longer have a description."),
}
STATUSES: Mapping[str, str] = {
    "measured": "Measured",
    "not_applicable": "Not run",
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


@dataclass(frozen=True, slots=True)
class RuleView:
    """One line of the checklist, and the note on the same rule beside its check; ``sign`` chooses the symbol."""

    question: str
    outcome: Outcome
    sign: str
    outcome_words: str
    answer: str
    severity: str
    result: str
    interval: str
    gauge: Markup
    limit: str
    rests_on: str
    in_short: str
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
    picture: Markup
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
class AnalysisView:
    """One planned analysis: what it is, whether it agrees with real rows, and what was found in a sentence."""

    name: str
    words: str
    outcome: Outcome
    agreement: str
    reading: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check with its findings; ``is_loud`` where nothing was measured although something should have been."""

    name: str
    anchor: str
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
    analyses: tuple[AnalysisView, ...] = ()


@dataclass(frozen=True, slots=True)
class FamilyView:
    """The checks that answer one kind of question."""

    key: str
    title: str
    question: str
    checks: tuple[CheckView, ...]


def pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names with their values as text."""
    return tuple((str(key), plain(value)) for key, value in values.items())


def seconds_in_words(value: float) -> str:
    """A time as a reader takes it in."""
    return f"{value:,.1f} s" if value >= 0.1 else "under 0.1 s"


def tally(outcomes: Sequence[RuleOutcome]) -> str:
    """How many rules came out how, in words: "17 met, 2 breached (1 blocking)"."""
    parts = []
    for words in outcome_terms.WORST_FIRST:
        mine = [item for item in outcomes if outcome_terms.shown(item) == words]
        blocking = sum(item.rule.severity == "block" for item in mine)
        is_open = words in (outcome_terms.BREACHED, outcome_terms.UNDECIDED, outcome_terms.NOT_MEASURED)
        if mine:
            parts.append(f"{len(mine)} {words.lower()}" + (f" ({blocking or 'none'} blocking)" if is_open else ""))
    return f"{len(outcomes)} rules: " + ", ".join(parts)


def rule_view(item: RuleOutcome, specs: Mapping[str, CheckSpec]) -> RuleView:
    """A rule with what came out, as text."""
    rule, metric = item.rule, item.metric
    unit = metric.unit if metric else _promised_unit(rule, specs)
    written = written_as(metric, rule.limit) if metric else None
    rests_on = outcome_terms.counted(rule.check, rule.metric, metric.n) if metric else "nothing"
    is_judged = metric is not None and metric.applies
    return RuleView(
        question=item.question,
        outcome=item.outcome,
        sign=item.outcome if is_judged or metric is None else "none",
        outcome_words=outcome_terms.shown(item),
        answer=item.answer,
        severity=outcome_terms.WEIGHTS[rule.severity],
        result=_result(item, written),
        interval=interval(metric, written)
        if is_judged and metric and written and outcome_terms.is_measured(item)
        else "",
        gauge=_gauge(rule, metric) if is_judged and metric else Markup(""),
        limit=limit_in_words(rule, unit),
        rests_on=f"{rests_on}; the rule asks for {number(rule.min_n)}",
        in_short=item.sentence if item.outcome != "met" or metric is None else metric.reading,
        sentence=item.sentence,
        why=rule.why,
        source=rule.source,
    )


def _result(item: RuleOutcome, written: Format | None) -> str:
    metric = item.metric
    if metric is None or written is None or not outcome_terms.is_measured(item):
        return "not measured"
    return written(metric.value, with_unit=False) if metric.applies else "nothing declared"


def _gauge(rule: Rule, metric: Metric) -> Markup:
    below = rule.direction == "at_most"
    return charts.gauge(metric.value, metric.low, metric.high, limit=rule.limit, allowed_below=below)


def _promised_unit(rule: Rule, specs: Mapping[str, CheckSpec]) -> str:
    metrics = specs[rule.check].metrics if rule.check in specs else ()
    return next((metric.unit for metric in metrics if metric.name == rule.metric), "")


def anchor(check: str) -> str:
    """Where a check stands on the page; empty for a name that cannot be an anchor."""
    return f"check-{check}" if check.isidentifier() else ""


def families(
    results: Sequence[CheckResult], verdict: Verdict, specs: Mapping[str, CheckSpec]
) -> tuple[FamilyView, ...]:
    """Every check, run or only described, below the kind of question that it answers."""
    ran = {result.check: result for result in results}
    ruled = list(dict.fromkeys(item.rule.check for item in verdict.outcomes))  # worst first, as in the checklist
    known = [*ran, *(name for name in specs if name not in ran)]
    names = sorted(known, key=lambda name: ruled.index(name) if name in ruled else len(ruled))
    placed: dict[str, list[CheckView]] = {key: [] for key in FAMILIES}
    for name in names:
        mine = tuple(rule_view(outcome, specs) for outcome in verdict.outcomes if outcome.rule.check == name)
        spec = specs.get(name)
        view = _check_view(name, ran.get(name), spec, rules=mine, smallest=verdict.policy.min_cell)
        if name in ran and ran[name].analyses:
            view = replace(view, analyses=_analyses(ran[name].analyses, verdict.analyses))
        placed[spec.family if spec else "other"].append(view)
    return tuple(FamilyView(key, *FAMILIES[key], tuple(checks)) for key, checks in placed.items() if checks)


def _check_view(
    name: str, result: CheckResult | None, spec: CheckSpec | None, *, rules: tuple[RuleView, ...], smallest: int
) -> CheckView:
    status = result.status if result else "not_run"
    view = CheckView(
        name=name,
        anchor=anchor(name),
        title=spec.title if spec else name,
        about=spec.about if spec else "",
        status=STATUSES[status],
        is_loud=status not in ("measured", "not_applicable"),
        note=result.note if result else "",
        cost=f"{number(result.n)} rows, {seconds_in_words(result.seconds)}" if result and result.n else "",
        rules=rules,
    )
    if result is None:
        return view
    figures = result.figures if result.utility is None else (*result.figures, _utility_figure(result.utility))
    return replace(
        view,
        metrics=tuple(_metric_view(name, metric, spec) for metric in result.metrics),
        figures=tuple(figure_view(figure, smallest) for figure in figures),
        utility=_utility_view(result.utility) if result.utility else None,
    )


def _analyses(found: Sequence[AnalysisFinding], judged: Sequence[AnalysisOutcome]) -> tuple[AnalysisView, ...]:
    """Every planned analysis with how the policy's rules came out for it."""
    outcomes = {each.name: each.outcome for each in judged}
    return tuple(
        AnalysisView(
            each.name,
            each.words,
            outcomes[each.name],
            outcome_terms.AGREEMENT[outcomes[each.name]],
            each.reading,
        )
        for each in found
        if each.name in outcomes
    )


def _metric_view(check: str, metric: Metric, spec: CheckSpec | None) -> MetricView:
    written = written_as(metric)
    promised = next((item for item in spec.metrics if item.name == metric.name), None) if spec else None
    return MetricView(
        name=plain_key(metric.name),
        unit=metric.unit,
        value=written(metric.value),
        interval=interval(metric, written),
        picture=charts.span_picture(metric.value, metric.low, metric.high, reference=metric.reference),
        reference="none" if metric.reference is None else written(metric.reference, with_unit=False),
        better="" if promised is None else f"{promised.better} is better",
        n=outcome_terms.counted(check, metric.name, metric.n),
        reading=metric.reading,
    )


def figure_view(figure: Figure, smallest: int) -> FigureView:
    """A figure as a drawing and as a table of the same numbers, neither showing fewer than ``smallest`` people."""
    figure = small_count_masking.masked(figure, smallest)
    return FigureView(figure.title, figure.caption, charts.draw(figure), charts.table(figure))


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
