"""What an experiment found: its records gathered into comparisons, matrices, drawings and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthrelease.core.contracts import Figure, Line
from synthrelease.synthesis import generators
from synthrelease.workflows.paper import extension, input_tables, published
from synthrelease.workflows.paper.comparison import Compared, Summary, compared, gain, summary, values_of
from synthrelease.workflows.paper.journal import by_row
from synthrelease.workflows.paper.trials import BINS, MORE_ROWS, WITH_MORE

Records = Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]]

NAMES = {
    "original": "original data",
    "weights": "original data, class weights",
    "smote": "SMOTE",
    "adasyn": "ADASYN",
    generators.DEFAULT: f"synthrelease ({generators.DEFAULT})",
}
SCORE_NAMES = {
    "accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1", "auprc": "AUPRC",
    "distance": "Mean distance to the closest original row", "positive": "Share of class 1 among the training rows",
}  # fmt: skip
SHOWN = 6
"""Attributes drawn for figure 4."""
BEST = "paper-256-512"
"""The network whose tables trained the best trees in the paper."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One score of all rows of a table, beside what the paper printed; ``source`` names its table."""

    title: str
    source: str
    rows: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of text: what the paper has no figures for."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a page shows. ``sentences`` come first: what came out, in words, each computed from the figures."""

    experiment: int
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    matrices: tuple[Matrix, ...]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def gather(experiment: int, records: Sequence[Mapping[str, Any]], *, is_sample: bool) -> Findings:
    """Return the findings of an experiment's records."""
    rows = by_row(records)
    return {1: _first, 2: _second, 3: _third}[experiment](rows, is_sample)


def name_of(row: str) -> str:
    """Return a row's name as a reader knows it: ``paper-256-512`` is "GAN 256/512"."""
    if row.endswith(WITH_MORE):
        return f"{name_of(row.removesuffix(WITH_MORE))}, {MORE_ROWS} times the rows"
    if not row.startswith("paper-"):
        return NAMES.get(row, f"synthrelease ({row})")
    words = row.removeprefix("paper-")
    for ending in ("as-written", "hot-recovering", "recovering", "hot"):
        if words.endswith(f"-{ending}"):
            return f"GAN {words.removesuffix(f'-{ending}').replace('-', '/')}, {ending.replace('-', ' ')}"
    return f"GAN {words.replace('-', '/')}"


def _rows_of(records: Records, table: str) -> list[str]:
    return list(dict.fromkeys(row for found, row, _ in records if found == table))


def _mean(records: Records, place: tuple[str, str, str], part: str, score: str) -> Summary | None:
    return summary(values_of(records.get(place, ()), part, score))


def _compare(
    records: Records, table: str, score: str, *, part: str, printed: Mapping[str, Any], n: int
) -> list[Compared]:
    return [
        compared(
            (table, row, score),
            printed.get(row, {}).get(score),
            _mean(records, (table, row, "clean"), part, score),
            _mean(records, (table, row, "published"), part, score),
            printed_n=n,
        )
        for row in _rows_of(records, table)
    ]


# Experiment 1.

_SCORED_IN = {"accuracy": 0, "precision": 0, "recall": 0, "distance": 2, "positive": -2}
"""How far a score's table is from the table set's first one: 5 and 6, 7 and 8, 3 and 4."""
_FIRST_TABLE = {"cancer": 5, "diabetes": 6}


def _first(records: Records, is_sample: bool) -> Findings:
    comparisons, sentences, figures, matrices = [], [], [], []
    for table in dict.fromkeys(found for found, _, _ in records):
        title = input_tables.SOURCES[table].title
        for score, offset in _SCORED_IN.items():
            source = f"table {_FIRST_TABLE[table] + offset}"
            printed = published.EXPERIMENT_1[table]
            rows = _compare(records, table, score, part="imbalanced", printed=printed, n=published.REPETITIONS[1])
            if score == "distance":
                rows = [*_own_distances(records, table), *(row for row in rows if row.row != "original")]
            comparisons.append(Comparison(f"{title}: {SCORE_NAMES[score].lower()}", source, tuple(rows)))
        sentences += [*_first_words(records, table, title), *_lead_words(records, table, title)]
        figures += [_dots(comparisons, title), *_curves(records, table, title), *_distributions(records, table, title)]
        matrices += [*_random_cuts(records, table, title), *_trainings(records, table, title)]
    return Findings(1, tuple(sentences), tuple(comparisons), tuple(matrices), tuple(figures), _NOTES_1)


def _own_distances(records: Records, table: str) -> list[Compared]:
    own = _mean(records, (table, "original", "clean"), "own", "distance")
    if own is None:
        return []
    words = "From each real row to the closest other real one: what made rows should be held to. The paper has none."
    return [Compared(table, "original", "distance", None, own, None, math.nan, words, False)]


def _first_words(records: Records, table: str, title: str) -> list[str]:
    accuracy = {
        row: found
        for row in _rows_of(records, table)
        if (found := _mean(records, (table, row, "clean"), "imbalanced", "accuracy")) is not None
    }
    words = [f"{title}: {_ranked(accuracy)}."]
    own = _mean(records, (table, "original", "clean"), "own", "distance")
    nearer = [
        name_of(row)
        for row in accuracy
        if own and (made := _mean(records, (table, row, "clean"), "imbalanced", "distance")) and made.mean < own.mean
    ]
    if nearer:
        words.append(
            f"{title}: the rows of {_listed(nearer)} lie nearer to real rows than other real rows do "
            f"({own.mean if own else math.nan:.3f}): such distances are no evidence of privacy, as the paper took them."
        )
    return words


def _lead_words(records: Records, table: str, title: str) -> list[str]:
    """How the default generator's accuracy compares: to the paper's best network in file order, and on random cuts."""
    rows = {"clean": [BEST], "random": _cut_at_random(records, table)}
    cuts = {"clean": "in file order, {} trainings", "random": "cut at random {} times"}
    words = []
    for part, others in rows.items():
        ours = records.get((table, generators.DEFAULT, part), ())
        mean = _mean(records, (table, generators.DEFAULT, part), "imbalanced", "accuracy")
        told = [_lead(name_of(row), gain(ours, records.get((table, row, part), ()), "imbalanced", "accuracy"))
                for row in others if row != generators.DEFAULT]  # fmt: skip
        if mean is not None and any(told):
            name = f"{name_of(generators.DEFAULT)}, {mean.mean:.3f}, is"
            said = _listed([each for each in told if each])
            words.append(f"{title}, {cuts[part].format(len(ours))}: the accuracy of {name} {said}.")
    return words


def _lead(name: str, found: Summary | None) -> str:
    if found is None or math.isnan(found.low):
        return ""
    side = "above" if found.low > 0 else "below" if found.high < 0 else "within chance of"
    return f"{side} {name} (by {_signed(found)})"


def _signed(found: Summary) -> str:
    """A difference and its 95% interval."""
    words = f"{found.mean:+.3f}, 95% interval {found.low:+.3f} to {found.high:+.3f}"
    return words.replace("-", "\N{MINUS SIGN}")


def _random_cuts(records: Records, table: str, title: str) -> list[Matrix]:
    """The scores on random cuts, and each row's accuracy against the default generator's."""
    rows, ours = [], records.get((table, generators.DEFAULT, "random"), ())
    for row in _cut_at_random(records, table):
        found = [
            _mean(records, (table, row, "random"), "imbalanced", score) for score in ("accuracy", "precision", "recall")
        ]
        lead = (
            None if row == generators.DEFAULT else gain(ours, records[table, row, "random"], "imbalanced", "accuracy")
        )
        rows.append((name_of(row), *(_written(each) for each in found), "" if lead is None else _signed(lead)))
    header = ("Training rows", "Accuracy", "Precision", "Recall", f"{name_of(generators.DEFAULT)}: accuracy above it")
    note = (
        f"{len(ours)} repetitions, each on a cut of its own, 70% to train on and 30% to test, the same for all rows. "
        "Mean and, in brackets, its 95% interval; differences are taken repetition by repetition."
    )
    return [Matrix(f"{title}: cut at random", note, header, tuple(rows))] if rows else []


def _cut_at_random(records: Records, table: str) -> list[str]:
    return [row for row in _rows_of(records, table) if (table, row, "random") in records]


def _ranked(scores: Mapping[str, Summary]) -> str:
    order = sorted(scores, key=lambda row: -scores[row].mean)
    return "accuracy on the test part: " + ", ".join(f"{name_of(row)} {scores[row].mean:.3f}" for row in order)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _dots(comparisons: Sequence[Comparison], title: str) -> Figure:
    rows = next(each for each in reversed(comparisons) if each.title == f"{title}: accuracy").rows
    names = tuple(name_of(row.row) for row in rows)
    printed = [row.printed for row in rows]
    spreads = [(p.mean, p.spread or 0.0) if p else (math.nan, math.nan) for p in printed]
    lines = [
        Line("printed, one standard deviation", names, *_with_reach(spreads)),
        Line("ours, clean split", names, *_with_reach([_pair(row.clean) for row in rows])),
    ]
    if any(row.leaking for row in rows):
        lines.append(Line("ours, as published", names, *_with_reach([_pair(row.leaking) for row in rows])))
    return Figure(
        "accuracy", "dots", f"{title}: accuracy of a tree trained on each table",
        "Dots that lie within each other's whiskers agree.", "", "accuracy on the test part", tuple(lines),
    )  # fmt: skip


def _pair(found: Summary | None) -> tuple[float, float]:
    return (found.mean, found.spread) if found else (math.nan, math.nan)


def _with_reach(pairs: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    return tuple(m for m, _ in pairs), tuple(m - s for m, s in pairs), tuple(min(m + s, 1.0) for m, s in pairs)


def _curves(records: Records, table: str, title: str) -> list[Figure]:
    """One training a network, as the paper's figure 2 sketches it: two losses that hold each other."""
    figures = []
    for row in _rows_of(records, table):
        runs = records.get((table, row, "clean"), ())
        history = [step for step in runs[0].get("history", ()) if step.get("generator") is not None] if runs else []
        if not row.startswith("paper-") or not history:
            continue
        steps = tuple(float(step["step"]) for step in history)
        lines = tuple(
            Line(name, steps, tuple(float(step[name]) for step in history)) for name in ("discriminator", "generator")
        )
        figures.append(
            Figure(
                f"training-{row}",
                "curve",
                f"{title}: training of {name_of(row)}",
                "Losses of one training. At 1.39 and 0.69 the discriminator can only guess.",
                "update",
                "loss",
                lines,
            )
        )
    return figures


def _distributions(records: Records, table: str, title: str) -> list[Figure]:
    """The paper's figure 4: some attributes, original against made."""
    original = records.get((table, "original", "clean"), ())
    rows = [row for row in ("paper-256-512", "paper-256", generators.DEFAULT) if (table, row, "clean") in records][:2]
    if not original or not rows:
        return []
    known = original[0]["histograms"]
    made = {row: records[table, row, "clean"][0].get("histograms", {}) for row in rows}
    middles = tuple((np.arange(BINS) + 0.5) / BINS)
    shared = [name for name in known if all(name in each for each in made.values())][:SHOWN]
    return [
        Figure(
            f"distribution-{name}",
            "curve",
            f"{title}: {name}",
            "Share of rows by value, scaled to [0, 1].",
            name,
            "share of rows",
            (
                Line("original", middles, tuple(known[name])),
                *(Line(name_of(row), middles, tuple(made[row][name])) for row in rows),
            ),
        )
        for name in shared
    ]


def _trainings(records: Records, table: str, title: str) -> list[Matrix]:
    """How each network's trainings ended, as the monitors saw it."""
    rows = []
    for (found, row, part), runs in records.items():
        if found != table or not row.startswith("paper-"):
            continue
        states = [(run.get("diagnosis") or {}).get("state", "failed") for run in runs]
        last = [run["signs"][-1] for run in runs if run.get("signs")]
        marks = ("accuracy", "spread", "coverage", "repeats", "margins")
        numbers = [
            np.mean([sign[mark] for sign in last if sign[mark] is not None]) if last else math.nan for mark in marks
        ]
        worst = next(((run["diagnosis"]["why"]) for run in runs if (run.get("diagnosis") or {}).get("why")), "")
        rows.append(
            (
                name_of(row),
                part,
                str(len(runs)),
                str(states.count("healthy")),
                str(states.count("diverged")),
                str(states.count("collapsed")),
                str(sum(run.get("recoveries", 0) for run in runs)),
                *(f"{number:.2f}" for number in numbers),
                worst,
            )
        )
    header = (
        "Network", "Split", "n", "Healthy", "Diverged", "Collapsed", "Recoveries",
        "Told right", "Spread", "Coverage", "Repeats", "Margins", "Why",
    )  # fmt: skip
    note = (
        "n trainings; the numbers are means over their ends. Told right: share of rows that the discriminator labels "
        "rightly. Spread: distance of made rows from each other over that of real ones. Coverage: share of the real "
        "columns' cells that made rows reach. Margins: Kolmogorov-Smirnov distance of the columns."
    )
    return [Matrix(f"{title}: how trainings ended", note, header, tuple(rows))] if rows else []


# Experiment 2.


def _second(records: Records, is_sample: bool) -> Findings:
    title = input_tables.SOURCES["fraud"].title
    comparisons = []
    parts = {"imbalanced": "true_share" if is_sample else "imbalanced", "balanced": "balanced"}
    for (test, part), source in zip(parts.items(), ("table 9", "table 10"), strict=True):
        words = " (weighed to the true share of frauds)" if part == "true_share" else ""
        for score in ("accuracy", "precision", "recall"):
            rows = _compare(
                records, "fraud", score, part=part, printed=published.EXPERIMENT_2[test], n=published.REPETITIONS[2]
            )
            comparisons.append(
                Comparison(f"{title}, {test} test{words}: {SCORE_NAMES[score].lower()}", source, tuple(rows))
            )
    shown = [("imbalanced", "Decision tree"), ("imbalanced_boosted", "Gradient boosting")]
    if is_sample:
        shown += [("true_share", "Decision tree, true share"), ("true_share_boosted", "Gradient boosting, true share")]
    matrices = [_scores(records, "fraud", part, f"{title}: {model} on the imbalanced test") for part, model in shown]
    notes = (*_NOTES_2, *(_NOTES_SAMPLE if is_sample else ()))
    return Findings(
        2, tuple(_second_words(records)), tuple(comparisons), (*matrices, *_trainings(records, "fraud", title)),
        tuple(_curves(records, "fraud", title)), notes,
    )  # fmt: skip


def _second_words(records: Records) -> list[str]:
    words = []
    for part, model in (("imbalanced", "the tree"), ("imbalanced_boosted", "gradient boosting")):
        for score in ("f1", "auprc"):
            found = {row: _mean(records, ("fraud", row, "clean"), part, score) for row in _rows_of(records, "fraud")}
            ours, others = found.get(generators.DEFAULT), [(row, found.get(row)) for row in ("smote", "adasyn")]
            if ours is None:
                continue
            sides = [
                f"{_beside(ours.mean, other.mean)} {name_of(row)} ({other.mean:.3f})" for row, other in others if other
            ]
            words.append(
                f"{SCORE_NAMES[score]} of {model} on the imbalanced test: {name_of(generators.DEFAULT)} "
                f"{ours.mean:.3f}, {_listed(sides)}."
            )
    return words


def _beside(ours: float, other: float) -> str:
    if round(ours, 3) == round(other, 3):
        return "level with"
    return "above" if ours > other else "below"


def _scores(records: Records, table: str, part: str, title: str) -> Matrix:
    rows = []
    for row in _rows_of(records, table):
        found = [_mean(records, (table, row, "clean"), part, score) for score in ("recall", "precision", "f1", "auprc")]
        runs = records.get((table, row, "clean"), ())
        failed = next((run["failed"] for run in runs if run.get("failed")), "")
        rows.append((name_of(row), *(_written(each) for each in found), str(len(runs)), failed))
    header = ("Training rows", "Recall", "Precision", "F1", "AUPRC", "Repetitions", "")
    return Matrix(title, "Mean and, in brackets, the 95% interval of the mean.", header, tuple(rows))


def _written(found: Summary | None) -> str:
    if found is None:
        return "none"
    return f"{found.mean:.3f}" + ("" if math.isnan(found.low) else f" ({found.low:.3f} to {found.high:.3f})")


# Experiment 3.


def _third(records: Records, is_sample: bool) -> Findings:
    matrices, words = [], []
    for table in dict.fromkeys(found for found, _, _ in records):
        title = extension.SOURCES[table].title
        for model, name in (("decision_tree", "decision tree of depth 3"), ("gradient_boosting", "gradient boosting")):
            matrices.append(_scores(records, table, model, f"{title}: {name}"))
            for score in ("f1", "auprc"):
                found = {
                    row: each
                    for row in _rows_of(records, table)
                    if (each := _mean(records, (table, row, "clean"), model, score)) is not None
                }
                if found:
                    best = max(found, key=lambda row: found[row].mean)
                    words.append(f"{title}, {name}: best {SCORE_NAMES[score]} {found[best].mean:.3f}, {name_of(best)}.")
    return Findings(3, tuple(words), (), tuple(matrices), (), _NOTES_3)


_NOTES_1 = (
    (
        "Each GAN trains on the first 70% of a table in file order; a tree of depth 3 learns from a made table as "
        "large as the whole one, and is tested on the last 30%. The table is scaled to [0, 1] over all rows first, "
        "as in the paper."
    ),
    (
        f"A generator makes as many rows as are wanted. Rows that end in “{MORE_ROWS} times the rows” show what a tree "
        "gains when it learns from that many; all others learn from as many as the whole table has."
    ),
    (
        "The paper's text puts dropout into the generator, its authors' code into the discriminator; the text's "
        "algorithm 1 updates the discriminator twice a step, the code once. The rows here follow the code; names "
        "that end in “as written” follow the text."
    ),
    (
        "As published: the authors' code shuffles the table before it takes 70% to train the GAN, so that about 70% "
        "of the test rows were training rows. That is a leak. The clean split has none."
    ),
    (
        "The last 30% of a table in file order are one small test part, whose luck all rows share. Cut at random: the "
        "paper's best network, the default generator and the original data, on cuts drawn anew for each repetition."
    ),
    (
        "The cancer table's patient number is one of the columns that the paper's GAN learns. The toolkit's own "
        "generators leave it out, and their distances are over the other columns."
    ),
    "The paper's tables 7 and 8 give standard deviations over rows, ours are over trainings.",
    "Tables 3 and 4 show one early training each; ours are means.",
)
_NOTES_2 = (
    (
        "A GAN of the paper learns the frauds of the first 70%, the label among the columns; the training part is "
        "filled up with made frauds until both classes are equal. Rows that it labels 0 join the other class, as in "
        "the code."
    ),
    (
        "The text gives no number of epochs for this experiment. File names in the authors' repository say 5,000, "
        "which also comes nearer to the printed figures than 1,500; `--epochs` changes it."
    ),
    (
        "In the paper one of the trainings of 128 diverged. “Hot” rows learn at fifty times the paper's rate, so that "
        "a divergence is there to be found and mended; recovering returns to the last good state and halves the rates."
    ),
    "As published: the code trains on 70% of all frauds, drawn at random, so that most test frauds were seen.",
    "The balanced test is made by drawing as many other rows as there are frauds.",
)
_NOTES_SAMPLE = (
    (
        "The data folder has a sample of the table: every fraud, and 15,037 of 284,315 other rows. Precision and "
        "accuracy on its test part differ from the paper's by construction, so the other rows are weighed to their "
        "true share (99.83%). The trees learn from the sample, with 27 other rows a fraud where the paper had 518."
    ),
)
_NOTES_3 = (
    (f"At most {extension.MOST_ROWS:,} rows of a table, drawn anew for each seed; 70% train, classes in proportion."),
    ("SMOTE is SMOTENC where there are labels; ADASYN works on indicators of labels there. Gaps are filled for both."),
    ("The paper's GAN and the toolkit's learn the rare class alone; the toolkit's made rows are judged (`balance`)."),
)
