"""The page: plain words, a table for each data set with the best in bold, and quality against seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from generator import findings, tradeoff
from generator.findings import FIGURES, Result
from generator.inputs import TABLES
from generator.systems import HERE, LIMIT_SECONDS, SEEDS, SYSTEMS
from synthrelease.core.files import utc_now, write_text
from synthrelease.core.formatting import clean, moment
from synthrelease.report.figures import charts

EFFORTS = tuple(system.name for system in SYSTEMS if system.name.startswith("gan-"))
KEY = "Discs: this package; squares: peers; rings: systems that rang an alarm."
USE = "Higher is better, further left is quicker: AUC of boosting that learned from made rows."
LIKENESS = "Lower is better, further left is quicker: how well made rows are told from real ones; 0.5 is a guess."
DRAWN = (
    ("boosting_auc", "Use", f"{USE} {KEY}", "AUC on unseen real rows"),
    ("c2st_auc", "Likeness", f"{LIKENESS} {KEY}", "AUC of telling apart"),
)


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the page of what has been measured so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(rows))


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page: it needs nothing but itself."""
    found = {table: findings.results(rows, table) for table in TABLES}
    return (
        environment()
        .get_template("page.html")
        .render(
            sentences=findings.sentences(rows),
            figures=FIGURES,
            sections=[
                {
                    "name": table,
                    "about": recipe.about,
                    "rows": shown(found[table]),
                    "drawings": _drawn(found[table], table),
                }
                for table, recipe in TABLES.items()
            ],
            systems=[(f"{s.name} ({findings.version(s.name)})", s.about) for s in SYSTEMS],
            seeds=len(SEEDS),
            limit=LIMIT_SECONDS // 60,
            created=moment(utc_now()),
        )
    )


def shown(found: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the rows of one table of figures, the best of each figure among them."""
    winners = {figure.key: findings.best(found, figure) for figure in FIGURES}
    return [
        {
            "name": result.name,
            "seeds": result.seeds,
            "problem": result.problem,
            "note": result.note,
            "kind": _kind(result),
            "cells": [_cell(result, figure, is_best=result.name in winners[figure.key]) for figure in FIGURES],
        }
        for result in found
    ]


def _kind(result: Result) -> str:
    if result.system is None:
        return "real"
    return ("ours" if result.system.is_ours else "peer") + (" rings" if result.rings else "")


def _cell(result: Result, figure: findings.Figure, *, is_best: bool) -> dict[str, Any]:
    mean = result.figures.get(figure.key)
    if mean is None:
        return {"text": "", "range": "", "best": False}
    digits = f",.{figure.decimals}f"
    spread = f"{mean.low:{digits}} to {mean.high:{digits}}"
    is_same = f"{mean.low:{digits}}" == f"{mean.high:{digits}}"
    text, small = f"{mean.value:{digits}}", "" if is_same else spread
    if figure.key == "alarms":
        text = f"{mean.value:.1f}".removesuffix(".0")
        missing = [f"{4 - result.attacks} attacks could not be made"] if result.attacks < 4 else []
        small = ", ".join([*map(findings.spelled, result.alarm_names), *missing])
    return {"text": text, "range": small, "best": is_best}


def _drawn(found: Sequence[Result], table: str) -> list[dict[str, Any]]:
    drawings = []
    for key, title, caption, y_label in DRAWN:
        marks = [
            tradeoff.Mark(
                result.name + (" (alarm)" if result.rings else ""),
                result.figures["fit_seconds"].value,
                result.figures[key].value,
                0 if result.system.is_ours else 3 if result.rings else 1,
            )
            for result in found
            if result.system is not None and "fit_seconds" in result.figures
        ]
        figure = tradeoff.figure_of(
            marks, name=f"{table}-{key}", title=f"{title} against seconds, {table}", caption=caption, y_label=y_label
        )
        joined = [mark.name for mark in marks if mark.name.removesuffix(" (alarm)") in EFFORTS]
        drawing = tradeoff.draw(figure, marks, joined)
        drawings.append({"title": figure.title, "caption": caption, "drawing": drawing, "table": charts.table(figure)})
    return drawings


def environment() -> Environment:
    """Return templates of this folder and of the package."""
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(HERE), PackageLoader("synthrelease.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
