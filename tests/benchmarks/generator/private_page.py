"""The page of ``make bench-dp``: what is left of use and likeness at each epsilon, ours beside peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generator import findings
from generator.findings import FIGURES, Result
from generator.inputs import TABLES as RECIPES
from generator.page import environment, shown
from generator.systems import (
    ALMOST_FREE,
    EPSILONS,
    LIMIT_SECONDS,
    PRIVATE_FAMILIES,
    PRIVATE_SYSTEMS,
    REAL,
    SEEDS,
)
from synthrelease.core.contracts import Figure, Line
from synthrelease.core.files import utc_now, write_text
from synthrelease.core.formatting import moment
from synthrelease.report.figures import charts

TABLES = ("adult", "stroke", "pima", "diabetes130")
CURVES = (
    ("boosting_auc", "Use", "Higher is better: AUC of boosting that learned from made rows.", "AUC"),
    ("tv2", "Pairs", "Lower is better: mean distance between the joint tables of any two columns.", "distance (TV2)"),
)  # fmt: skip


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the page of what has been measured so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(rows))


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page: it needs nothing but itself."""
    found = {table: findings.results(rows, table, PRIVATE_SYSTEMS) for table in TABLES}
    return (
        environment()
        .get_template("dp.html")
        .render(
            sentences=[sentence for table in TABLES for sentence in sentences(found[table], table)],
            figures=FIGURES,
            sections=[
                {
                    "name": table,
                    "about": RECIPES[table].about,
                    "budgets": [_budget(found[table], each) for each in (*EPSILONS, ALMOST_FREE)],
                    "drawings": [_drawing(found[table], table, *curve) for curve in CURVES],
                }
                for table in TABLES
            ],
            systems=_systems(),
            seeds=len(SEEDS),
            limit=LIMIT_SECONDS // 60,
            created=moment(utc_now()),
        )
    )


def _systems() -> list[tuple[str, str]]:
    first = {system.family: system for system in reversed(PRIVATE_SYSTEMS)}
    return [
        (f"{family} ({findings.version(first[family].name)})", about) for family, (_, about) in PRIVATE_FAMILIES.items()
    ]


def _budget(found: Sequence[Result], epsilon: float) -> dict[str, Any]:
    """Return the table of one budget, and who is missing from it."""
    here = _at(found, epsilon)
    tried = [result for result in here if result.problem != findings.UNKNOWN]
    rows = [row | {"name": _family(result)} for row, result in zip(shown(tried), tried, strict=True)]
    missing = [_family(result) for result in here if result.problem == findings.UNKNOWN]
    return {"epsilon": f"{epsilon:g}", "rows": rows, "missing": ", ".join(missing)}


def _at(found: Sequence[Result], epsilon: float) -> list[Result]:
    """Real rows, and every system at one budget."""
    return [result for result in found if result.system is None or result.system.epsilon == epsilon]


def sentences(found: Sequence[Result], table: str) -> list[str]:
    """Say for each budget how the default private generator does beside real rows and the best peer measured."""
    real = found[0].figures.get("boosting_auc")
    said = []
    for epsilon in EPSILONS:
        here = {r.system.family: r for r in _at(found, epsilon) if r.system is not None and r.figures}
        ours = here.get("marginals")
        if ours is None or real is None:
            continue
        words = f"{table}, epsilon {epsilon:g}: marginals has an AUC of {ours.figures['boosting_auc'].value:.3f} "
        words += f"(real rows {real.value:.3f}) and a distance of pairs of {ours.figures['tv2'].value:.3f}"
        peers = [result for result in here.values() if result.system is not None and not result.system.is_ours]
        if peers:
            use = max(peers, key=lambda each: each.figures["boosting_auc"].value)
            like = min(peers, key=lambda each: each.figures["tv2"].value)
            words += f"; of {len(peers)} measured here the best in AUC is {_family(use)} "
            words += (
                f"({use.figures['boosting_auc'].value:.3f}), in pairs {_family(like)} ({like.figures['tv2'].value:.3f})"
            )
        said.append(f"{words}. {_seeds(ours)}.")
    return said


def _seeds(result: Result) -> str:
    return "One seed" if result.seeds == 1 else f"Mean of {result.seeds} seeds"


def _family(result: Result) -> str:
    return REAL if result.system is None else result.system.family


def _drawing(found: Sequence[Result], table: str, key: str, title: str, caption: str, y_label: str) -> dict[str, Any]:
    """Draw a figure against epsilon, a line a system, with the lowest and highest seed around it."""
    lines = [_line(found, family, key) for family in PRIVATE_FAMILIES]
    lines = [line for line in lines if line.x]
    real = found[0].figures.get(key)
    if real is not None and lines:
        reach = tuple(sorted({x for line in lines for x in line.x}))
        lines.append(Line(REAL, reach, tuple(real.value for _ in reach)))
    figure = Figure(
        name=f"{table}-{key}",
        kind="curve",
        title=f"{title} against epsilon, {table}",
        caption=caption,
        x_label="epsilon",
        y_label=y_label,
        lines=tuple(lines),
        log_x=True,
    )
    return {"title": figure.title, "caption": caption, "drawing": charts.draw(figure), "table": charts.table(figure)}


def _line(found: Sequence[Result], family: str, key: str) -> Line:
    mine = [r for r in found if r.system is not None and r.system.family == family and key in r.figures]
    means = [(float(r.system.epsilon or 0.0), r.figures[key]) for r in mine if r.system is not None]
    return Line(
        label=family,
        x=tuple(epsilon for epsilon, _ in means),
        y=tuple(mean.value for _, mean in means),
        low=tuple(mean.low for _, mean in means),
        high=tuple(mean.high for _, mean in means),
    )
