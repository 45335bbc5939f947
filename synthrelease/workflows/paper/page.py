"""An experiment's findings as one HTML page and one CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthrelease.core.files import utc_now, write_text
from synthrelease.core.formatting import clean, moment
from synthrelease.report.figures import charts
from synthrelease.workflows.paper.comparison import Compared, Summary
from synthrelease.workflows.paper.findings import Comparison, Findings, name_of

TITLES = {
    1: "Experiment 1: trained on made rows alone",
    2: "Experiment 2: the rare class oversampled",
    3: "Experiment 3: oversampling on four tables",
}
HEADER = (
    "experiment", "table", "row", "score", "published", "published_sd", "ours", "ours_sd", "n", "low", "high",
    "difference", "as_published", "as_published_sd", "as_published_n", "sentence",
)  # fmt: skip


def write(found: Findings, out: Path, *, settings: Mapping[str, str]) -> tuple[Path, Path]:
    """Write the page and the table; return where they are."""
    page, table = out / f"experiment-{found.experiment}.html", out / f"experiment-{found.experiment}.csv"
    write_text(page, render(found, settings))
    write_text(table, as_csv(found))
    return page, table


def render(found: Findings, settings: Mapping[str, str]) -> str:
    """Return the page: it needs nothing but itself."""
    versions = {name: metadata.version(name) for name in ("synthrelease", "torch", "scikit-learn", "imbalanced-learn")}
    figures = [
        {"title": f.title, "caption": f.caption, "drawing": charts.draw(f), "table": charts.table(f)}
        for f in found.figures
    ]
    return (
        _environment()
        .get_template("paper.html")
        .render(
            title=TITLES[found.experiment],
            found=found,
            comparisons=[_shown(each) for each in found.comparisons],
            figures=figures,
            settings=[*settings.items(), *versions.items()],
            created=moment(utc_now()),
        )
    )


def _shown(comparison: Comparison) -> dict[str, object]:
    has_leak = any(row.leaking for row in comparison.rows)
    rows = [
        {
            "name": name_of(row.row),
            "printed": "none" if row.printed is None else _with_spread(row.printed.mean, row.printed.spread),
            "ours": _summary(row.clean),
            "interval": _interval(row.clean),
            "difference": ""
            if math.isnan(row.difference)
            else f"{row.difference:+z.3f}".replace("-", "\N{MINUS SIGN}"),
            "leaking": _summary(row.leaking),
            "sentence": row.sentence,
            "is_far": row.is_far,
        }
        for row in comparison.rows
    ]
    return {"title": comparison.title, "source": comparison.source, "has_leak": has_leak, "rows": rows}


def _with_spread(mean: float, spread: float | None) -> str:
    return f"{mean:.3f}" if spread is None else f"{mean:.3f} ({spread:.3f})"


def _summary(found: Summary | None) -> str:
    return "none" if found is None else _with_spread(found.mean, found.spread if found.n > 1 else None)


def _interval(found: Summary | None) -> str:
    return "" if found is None or math.isnan(found.low) else f"{found.low:.3f} to {found.high:.3f}, n = {found.n}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("synthrelease.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def as_csv(found: Findings) -> str:
    """Return one line for each row and score; what the paper has no figures for stands as text matrices below."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if found.comparisons:
        writer.writerow(HEADER)
        writer.writerows(_line(found.experiment, row) for each in found.comparisons for row in each.rows)
    for matrix in found.matrices:
        writer.writerows(((), (matrix.title,), matrix.header, *matrix.rows))
    return text.getvalue().lstrip("\n")


def _line(experiment: int, row: Compared) -> tuple[str, ...]:
    printed = ("", "") if row.printed is None else (_number(row.printed.mean), _number(row.printed.spread))
    return (
        str(experiment), row.table, row.row, row.score, *printed, *_five(row.clean), _number(row.difference),
        *_five(row.leaking)[:3], row.sentence,
    )  # fmt: skip


def _five(found: Summary | None) -> tuple[str, str, str, str, str]:
    if found is None:
        return ("", "", "", "", "")
    return _number(found.mean), _number(found.spread), str(found.n), _number(found.low), _number(found.high)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def lines(found: Findings) -> tuple[str, ...]:
    """Return what a terminal shows: the sentences, and whatever lies far from the paper."""
    far = [
        f"{each.title}, {name_of(row.row)}: {row.sentence}"
        for each in found.comparisons
        for row in each.rows
        if row.is_far
    ]
    return (*found.sentences, *far)
