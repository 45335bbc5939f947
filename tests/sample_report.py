"""A run made up for the tests of the report: 20 rules, 12 figures, numbers as a small hospital table gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from synthrelease.core.contracts import (
    AttackBound,
    CheckResult,
    CheckSpec,
    ColumnFact,
    Decision,
    Figure,
    Line,
    Metric,
    MetricSpec,
    Outcome,
    Policy,
    PrivacyFacts,
    PrivacySpend,
    PublicFact,
    Rule,
    RuleOutcome,
    RunFacts,
    Score,
    Utility,
    Verdict,
)

NAN = math.nan
FAMILY = {
    "identifiers": "validity",
    "copies": "privacy",
    "distances": "privacy",
    "membership": "privacy",
    "outliers": "privacy",
    "attributes": "privacy",
    "singling_out": "privacy",
    "linkability": "privacy",
    "marginals": "fidelity",
    "pairs": "fidelity",
    "discriminator": "fidelity",
    "usefulness": "utility",
    "domains": "validity",
}
TITLES = {
    "identifiers": "Direct identifiers",
    "copies": "Copies and near copies of patients",
    "distances": "Distance to the closest record",
    "membership": "Membership inference",
    "outliers": "Membership of unusual patients",
    "attributes": "Attribute inference",
    "singling_out": "Singling out",
    "linkability": "Linkability",
    "marginals": "Single columns",
    "pairs": "Pairs of columns",
    "discriminator": "Telling real from synthetic",
    "usefulness": "Models trained on synthetic rows",
    "domains": "Declared domains",
}
# check, metric, question, unit, better, (value, low, high), reference, n, limit, blocking, min_n
ROWS = (
    ("membership", "auc", "Can an attacker tell whose record was used for training?", "AUC", "lower",
     (0.531, 0.492, 0.570), 0.5, 171, 0.60, True, 103),
    ("membership", "advantage", "How many more members than outsiders does the attacker recognise?", "share", "lower",
     (0.064, 0.0, 0.142), 0.0, 171, 0.20, True, 103),
    ("membership", "tpr_at_1pct_fpr", "Are a few patients recognised with near certainty?", "share of patients",
     "lower", (0.012, 0.003, 0.036), 0.01, 171, 0.05, True, 123),
    ("outliers", "auc", "Are unusual patients easier to recognise?", "AUC", "lower", (0.548, 0.447, 0.649), 0.5, 58,
     0.65, True, 250),
    ("copies", "excess_copies", "Is any synthetic row a copy of a patient?", "share of rows", "lower",
     (0.0, 0.0, 0.0075), 0.0, 398, 0.01, True, 300),
    ("copies", "near_copies", "Are there more near copies of trained-on patients than chance gives?", "share of rows",
     "lower", (0.0025, -0.004, 0.009), 0.0, 398, 0.02, True, 100),
    ("distances", "dcr_share", "Is the table closer to trained-on patients than to others?", "share", "lower",
     (0.508, 0.467, 0.5496), 0.5, 398, 0.55, True, 171),
    ("distances", "nndr_low", "Do synthetic rows sit alone beside one patient?", "ratio", "higher",
     (0.61, 0.58, 0.64), 0.6, 398, 0.50, False, 100),
    ("attributes", "gain", "Does the table help to guess a sensitive value of a trained-on patient?", "share", "lower",
     (0.011, -0.021, 0.043), 0.0, 171, 0.05, True, 100),
    ("attributes", "worst_gain", "And for the sensitive column that comes off worst?", "share", "lower",
     (0.024, -0.019, 0.067), 0.0, 171, 0.10, False, 100),
    ("singling_out", "risk", "Can one patient be singled out?", "probability", "lower", (0.021, 0.002, 0.061), 0.0,
     500, 0.09, True, 250),
    ("linkability", "risk", "Can two tables about one patient be linked through it?", "probability", "lower",
     (0.014, 0.0, 0.055), 0.0, 500, 0.09, True, 250),
    ("marginals", "worst_distance", "Does every column look like the real one?", "share", "lower",
     (0.071, 0.052, 0.094), 0.048, 398, 0.15, True, 100),
    ("marginals", "level_coverage", "Are all common categories there?", "share of levels", "higher", (1.0, 1.0, 1.0),
     1.0, 12, 0.95, True, 1),
    ("pairs", "mean_distance", "Do columns go together as in the real table?", "share", "lower",
     (0.083, 0.076, 0.091), 0.061, 398, 0.15, True, 100),
    ("discriminator", "auc", "Can a model tell real from synthetic rows?", "AUC", "lower", (0.742, 0.701, 0.783), 0.5,
     342, 0.70, False, 100),
    ("usefulness", "auc_loss", "How much worse are models trained on synthetic rows?", "AUC", "lower",
     (0.018, -0.004, 0.041), 0.0, 171, 0.10, True, 100),
    ("usefulness", "beats_baseline", "Are they better than a model that ignores the columns?", "AUC", "higher",
     (0.462, 0.421, 0.498), 0.0, 171, 0.05, True, 50),
    ("identifiers", "columns_found", "Does any column name a patient directly?", "columns", "lower", (0.0, 0.0, 0.0),
     0.0, 31, 0.0, True, 1),
    ("domains", "cells_outside", "Does every value lie in its declared domain?", "cells", "lower", (0.0, 0.0, 0.0),
     0.0, 12338, 0.0, True, 1),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """The four arguments of ``internal_report.render``."""

    verdict: Verdict
    results: tuple[CheckResult, ...]
    facts: RunFacts
    specs: dict[str, CheckSpec]


def sample(decision: Decision = "release") -> Sample:
    """Return a run that ended in the given decision."""
    rows = {(row[0], row[1]): row for row in ROWS}
    changed: dict[tuple[str, str], Metric | None] = {}
    if decision == "refuse":
        changed[("membership", "auc")] = replace(_metric(rows["membership", "auc"]), value=0.742, low=0.701, high=0.783)
        changed[("copies", "excess_copies")] = replace(
            _metric(rows["copies", "excess_copies"]), value=0.058, low=0.040, high=0.081
        )
    if decision != "release":
        changed[("outliers", "auc")] = None
        changed[("linkability", "risk")] = None
    metrics = {key: changed.get(key, _metric(row)) for key, row in rows.items()}
    outcomes = [_outcome(rows[key], metric, is_release=decision == "release") for key, metric in metrics.items()]
    worst = {"breached": 0, "no_evidence": 1, "met": 2}
    outcomes.sort(key=lambda item: (item.rule.severity != "block" and item.outcome != "met", worst[item.outcome]))
    outcomes.sort(key=lambda item: item.outcome == "met")
    return Sample(_verdict(decision, outcomes), _results(metrics), _facts(), _specs())


def _metric(row: tuple) -> Metric:
    _, name, question, unit, _, (value, low, high), reference, n, *_ = row
    reading = f"{question.rstrip('?')}: the {name.replace('_', ' ')} is close to what fresh patients would give."
    return Metric(name, value, low, high, unit, n, reading, reference)


def _outcome(row: tuple, metric: Metric | None, *, is_release: bool) -> RuleOutcome:
    check, name, question, _, better, _, _, n, limit, blocking, min_n = row
    direction = "at_most" if better == "lower" else "at_least"
    min_n = min(min_n, n) if is_release else min_n
    rule = Rule(check, name, limit, direction, "block" if blocking else "warn", min_n,
                why="Set so that a table of fresh patients passes and a copy does not.",
                source="WP29 Opinion 05/2014")  # fmt: skip
    if metric is None:
        return RuleOutcome(
            rule, "no_evidence", None, question, f"The check {check} left no number to judge: see there."
        )
    outcome = _judge(rule, metric)
    sentence = {
        "met": "The whole range lies within the limit.",
        "breached": "Even the favourable end of the range lies beyond the limit.",
        "no_evidence": f"The range lies on both sides of the limit, or fewer than {min_n} rows were there to judge.",
    }[outcome]
    return RuleOutcome(rule, outcome, metric, question, sentence)


def _judge(rule: Rule, metric: Metric) -> Outcome:
    is_upper = rule.direction == "at_most"
    worst, best = (metric.high, metric.low) if is_upper else (-metric.low, -metric.high)
    limit = rule.limit if is_upper else -rule.limit
    if best > limit:
        return "breached"
    return "met" if worst <= limit and metric.n >= rule.min_n else "no_evidence"


def _verdict(decision: Decision, outcomes: list[RuleOutcome]) -> Verdict:
    deciding = {
        "release": "Every blocking rule of the policy is met; one warning stays: a model can tell real from synthetic.",
        "refuse": "An attacker can tell whose record was used for training: AUC 0.742, at least 0.701, "
        "where the policy allows at most 0.60.",
        "undecided": "No blocking rule is breached, however two lack evidence: the outlier attack had 58 patients "
        "where 250 are needed, and the linkability attack crashed.",
    }[decision]
    policy = Policy(
        name="partner_handoff",
        version="1.2.0",
        title="Handoff to a named partner",
        recipient="Institute for Applied Oncology, under data-use agreement 2026-114",
        sign_off=("Data steward", "Privacy officer"),
        confidence=0.95,
        rules=tuple(item.rule for item in outcomes),
        digest="9f2c41d07be3a85516c0ffee9f2c41d07be3a85516c0ffee9f2c41d07be3a855",
    )
    return Verdict(decision, tuple(outcomes), deciding, policy)


def _results(metrics: dict[tuple[str, str], Metric | None]) -> tuple[CheckResult, ...]:
    results = []
    for check in FAMILY:
        mine = tuple(metric for (name, _), metric in metrics.items() if name == check and metric is not None)
        n = max((metric.n for metric in mine), default=58)
        result = CheckResult(check, "measured", n, 2.37, mine, FIGURES.get(check, ()))
        if not mine and check == "outliers":
            result = CheckResult(check, "too_few_rows", 58, 0.02, note="58 unusual patients; the attack needs 250.")
        elif not mine:
            result = CheckResult(check, "crashed", 0, 0.4, note="LinAlgError in the matching step: singular matrix.")
        if check == "usefulness":
            result = replace(result, utility=UTILITY)
        results.append(result)
    return tuple(results)


def _specs() -> dict[str, CheckSpec]:
    specs = {}
    for check, family in FAMILY.items():
        metrics = tuple(MetricSpec(row[1], row[2], row[3], row[4]) for row in ROWS if row[0] == check)
        about = (
            "The synthetic table is held against the training rows and, in the same way, against holdout rows that "
            "the generator never saw. Whatever is worse for the training rows was learned by heart."
        )
        specs[check] = CheckSpec(check, TITLES[check], family, metrics, about)  # type: ignore[arg-type]
    return specs


def _facts() -> RunFacts:
    kinds = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "symmetry")
    columns = [
        ColumnFact(f"{kind}_{part}", "numeric", "feature", "0 to 5,000", "learned")
        for part in ("mean", "error", "worst")
        for kind in kinds
    ]
    identifier = ColumnFact("id", "identifier", "identifier", "withheld", "never learned; fresh surrogate values")
    target = ColumnFact("diagnosis", "categorical", "target", "B, M", "learned; rows are drawn given this column")
    digest = "3b7ceaf0d1c2b3a4958677fe3b7ceaf0d1c2b3a4958677fe3b7ceaf0d1c2b3a4"
    steps = tuple(float(step) for step in range(0, 4001, 40))
    losses = (
        Line("generator", steps, tuple(0.69 + 1.3 * math.exp(-s / 700) + 0.02 * math.sin(s / 90) for s in steps)),
        Line("critic", steps, tuple(0.69 - 0.3 * math.exp(-s / 500) + 0.02 * math.cos(s / 70) for s in steps)),
    )
    return RunFacts(
        run="wdbc-20261122T062623Z",
        source="wdbc.csv",
        created="2026-11-22 06:26 UTC",
        purpose="Let the partner build and test a triage model before real data may be used",
        generator="gan",
        was_made_here=True,
        settings={"seed": 7, "effort": 1.0, "steps": 4000, "width": 256, "bins": {"heavy": 4, "quantile": 16}},
        rows={"train": 398, "holdout": 171, "synthetic": 398},
        columns=(identifier, target, *columns),
        target="diagnosis",
        unit="row (every row is its own patient)",
        digests={"table": digest, "synthetic": digest[::-1], "schema": digest[8:] + digest[:8]},
        versions={"synthrelease": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "pandas": "3.1.0", "numpy": "2.4.0"},
        seconds={"read": 0.11, "train": 28.4, "sample": 0.31, "audit": 41.9, "report": 0.4},
        not_tested=(
            "An attacker who holds a second table about the same patients, beyond the columns declared here.",
            "An attacker who knows the weights of the generator; they stay inside.",
            "Patients of a group with fewer than 20 rows: too few to attack.",
            "Whether the declared domains themselves reveal anything.",
        ),
        notices=("The holdout is small; ranges are wide and some rules may stay undecided.",),
        history=(
            Figure("losses", "curve", "Losses during training", "Both settle near 0.69: neither side wins.", "Update",
                   "Loss", losses),
        ),
    )  # fmt: skip


def claimed(**changes: object) -> PrivacyFacts:
    """A claim of epsilon 1 for one patient by Gaussian noise of standard deviation 4, changed."""
    spend = PrivacySpend("training", "Gaussian", 4.0, 1.0, 1, "patient")
    facts = PrivacyFacts(
        epsilon=1.0, delta=1e-6, unit="patient", adjacency="add or remove", accountant="PRV", epsilon_asked=1.0,
        epsilon_rdp=1.1, rows_per_unit=1, attack_auc_at_most=0.57, attack_tpr_at_1pct_fpr_at_most=0.019,
        randomness="operating system", spends=(spend,), public=(PublicFact("bounds of age", "schema.toml"),),
        promises=(AttackBound("this release", 1.0, 0.57, 0.019),),
    )  # fmt: skip
    return replace(facts, **changes)


def _score(value: float) -> Score:
    return Score(value, max(0.0, value - 0.031), min(1.0, value + 0.027))


def _scores(*values: float) -> dict[str, Score]:
    return dict(zip(("accuracy", "precision", "recall", "f1", "roc_auc"), map(_score, values), strict=True))


UTILITY = Utility(
    task="classification",
    positive="M",
    trtr={
        "decision_tree": _scores(0.924, 0.901, 0.891, 0.896, 0.931),
        "logistic_regression": _scores(0.971, 0.968, 0.953, 0.960, 0.994),
        "gradient_boosting": _scores(0.959, 0.951, 0.938, 0.944, 0.990),
        "baseline": _scores(0.626, 0.0, 0.0, 0.0, 0.5),
    },
    tstr={
        "decision_tree": _scores(0.906, 0.883, 0.869, 0.876, 0.915),
        "logistic_regression": _scores(0.953, 0.944, 0.929, 0.936, 0.987),
        "gradient_boosting": _scores(0.947, 0.934, 0.922, 0.928, 0.982),
        "baseline": _scores(0.626, 0.0, 0.0, 0.0, 0.5),
    },
)


def _roc(label: str, power: float) -> Line:
    x = tuple(10 ** (-3 + 3 * step / 60) for step in range(61))
    y = tuple(value**power for value in x)
    return Line(label, x, y, tuple(0.8 * v for v in y), tuple(min(1.0, 1.25 * v + 0.004) for v in y))


def _cumulative(label: str, shift: float) -> Line:
    x = tuple(step / 25 for step in range(51))
    return Line(label, x, tuple(1 - math.exp(-((value / (0.8 + shift)) ** 3)) for value in x))


def _bars(label: str, names: tuple[str, ...], *values: float) -> Line:
    return Line(label, names, values)


_CELLS = ("1", "2", "1", "2")
_BINS = ("0-10", "10-20", "20-30", "30-40", "40+")
_LONG = tuple(f"{kind} of the cell nucleus ({part})" for kind in ("radius", "texture", "area") for part in "abcd")
FIGURES: dict[str, tuple[Figure, ...]] = {
    "membership": (
        Figure("roc", "curve", "Attack: who was in the training data", "On the diagonal the attacker only guesses; "
               "the left end shows how often it is right when it must be nearly certain.", "False positive rate",
               "True positive rate", (_roc("distance attack", 0.93), _roc("density ratio", 0.97)), True, True),
        Figure("auc_by_attack", "dots", "AUC by attack", "0.5 is guessing. The whiskers allow for chance.", "", "AUC",
               (Line("attack", ("distance", "density ratio", "classifier"), (0.531, 0.512, 0.498),
                     (0.492, 0.473, 0.459), (0.570, 0.551, 0.537)),)),
    ),
    "distances": (
        Figure("dcr", "curve", "Distance to the closest record", "If the table knew its training rows by heart, the "
               "solid curve would rise well before the dashed one.", "Distance (standard deviations)",
               "Share of rows", (_cumulative("to training rows", 0.0), _cumulative("to holdout rows", 0.03))),
        Figure("nndr", "bars", "Nearest-neighbour distance ratio", "Rows by ratio; near 0 a row sits alone beside one "
               "patient.", "Ratio (%)", "Share of rows", (_bars("synthetic", _BINS, 0.01, 0.04, 0.15, 0.35, 0.45),
                                                          _bars("holdout", _BINS, 0.01, 0.05, 0.14, 0.33, 0.47))),
    ),
    "copies": (
        Figure("copies", "bars", "Rows that repeat a real row", "Copies of training rows beside those chance gives.",
               "", "Share of rows", (_bars("training", ("exact", "near"), 0.0, 0.0125),
                                     _bars("holdout", ("exact", "near"), 0.0, 0.0100))),
    ),
    "attributes": (
        Figure("gain", "dots", "Gain of a guess by sensitive column", "Above 0, the table helps more with people it "
               "was trained on.", "", "Gain", (Line("gain", ("diagnosis", "area_worst", "concavity_mean"),
                                                (0.011, 0.024, -0.004), (-0.021, -0.019, -0.041),
                                                (0.043, 0.067, 0.031)),)),
    ),
    "singling_out": (
        Figure("singling", "bars", "Successful guesses", "The attack beside the same attack on people who were never "
               "in the table.", "", "Share of guesses", (_bars("attack", ("one column", "four columns"), 0.03, 0.041),
                                                        _bars("control", ("one column", "four columns"), 0.028, 0.02))),
    ),
    "marginals": (
        Figure("column", "histogram", "radius_mean", "Real and synthetic.", "", "share of rows, %",
               (Line("real", _BINS, (10.0, 30.0, 40.0, 19.0, 1.0), people=(40, 120, 160, 76, 3)),
                Line("synthetic", _BINS, (12.0, 28.0, 41.0, 18.0, 1.0), people=(48, 112, 164, 72, 4)))),
        Figure("columns", "bars", "Columns, worst first", "Total variation distance; the hollow bar is what an honest "
               "sample of the same size gives.", "Column", "Distance",
               (_bars("synthetic", _LONG, *(0.07 - 0.004 * i for i in range(12))),
                _bars("holdout", _LONG, *(0.045 - 0.002 * i for i in range(12))))),
    ),
    "pairs": (
        Figure("matrix", "grid", "Pairs, as a matrix", "Larger squares are worse.", "column", "column",
               (Line("distance", _LONG[:3], (0.1, 0.04, -0.01), row=_LONG[1:4]),)),
        Figure("projection", "grid", "All rows", "Counted in cells.", "first", "second",
               (Line("real", _CELLS, (30.0, 40.0, 28.0, 2.0), people=(30, 40, 28, 2), row=("1", "1", "2", "2")),
                Line("synthetic", _CELLS, (25.0, 45.0, 30.0, 0.0), people=(25, 45, 30, 0), row=("1", "1", "2", "2")))),
        Figure("pairs", "dots", "Pairs that fit worst", "Distance of the joint table of two columns.", "Pair",
               "Distance",
               (Line("synthetic", _LONG, tuple(0.16 - 0.008 * i for i in range(12))),
                Line("holdout", _LONG, tuple(0.09 - 0.003 * i for i in range(12))))),
    ),
    "discriminator": (
        Figure("c2st", "curve", "Telling real from synthetic", "On the diagonal nobody could tell.",
               "False positive rate", "True positive rate",
               (Line("gradient boosting", tuple(i / 30 for i in range(31)),
                     tuple((i / 30) ** 0.4 for i in range(31))),),
               False, True),
        Figure("importance", "bars", "What gives it away", "Loss of AUC when a column is shuffled.", "Column", "Loss",
               (_bars("loss", ("area_error", "concavity_worst", "symmetry_mean"), 0.06, 0.035, 0.01),)),
    ),
}  # fmt: skip
