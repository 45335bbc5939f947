"""What the cells say: means over seeds with their range, the best of each figure, and sentences in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from generator.inputs import TABLES
from generator.systems import BY_NAME, REAL, SLOW_SECONDS, SYSTEMS, System


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of every table; ``best`` is "high", "low", or "half" where one half is what real rows would have."""

    key: str
    title: str
    best: str
    decimals: int
    about: str


FIGURES: tuple[Figure, ...] = (
    Figure("boosting_auc", "AUC, boosting", "high", 3, "gradient boosting trained on made rows, asked about real ones"),
    Figure("logistic_auc", "AUC, logistic", "high", 3, "the same with logistic regression"),
    Figure("tree_auc", "AUC, tree", "high", 3, "the same with one decision tree"),
    Figure("quality", "Quality", "high", 3, "SDMetrics' score: single columns and pairs of them, 1 at best"),
    Figure("tv2", "Pairs (TV2)", "low", 3, "mean distance between the joint tables of any two columns, 0 at best"),
    Figure("c2st_auc", "Told apart (C2ST)", "half", 3, "AUC of a classifier that tells made rows from real ones"),
    Figure("copies", "Copies", "low", 4, "share of made rows that equal a training row"),
    Figure("closer", "Closer", "half", 3, "share of made rows nearer to a training row than to an unseen real row"),
    Figure("out_of_range", "Out of range", "low", 4, "share of made numbers outside the range of the real ones"),
    Figure("alarms", "Alarms", "low", 1, "how many of the six privacy alarms rang"),
    Figure("fit_seconds", "Fit s", "low", 1, "seconds of one core to learn"),
    Figure("sample_seconds", "Sample s", "low", 1, "seconds of one core to make as many rows as were learned from"),
    Figure("peak_mib", "Memory MiB", "low", 0, "most memory the process held, libraries included"),
)
COMPARED = ("boosting_auc", "logistic_auc", "tree_auc", "quality", "tv2", "c2st_auc")
OURS = "gan-standard"
UNKNOWN = "not measured yet"


@dataclass(frozen=True, slots=True)
class Mean:
    """A figure's mean over seeds, and the lowest and highest seed."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """One system on one table. ``system`` is None for real rows; ``problem`` says why there are no figures."""

    system: System | None
    seeds: int
    figures: Mapping[str, Mean]
    alarm_names: tuple[str, ...] = ()
    attacks: int = 4
    problem: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """How the page calls it."""
        return REAL if self.system is None else self.system.name

    @property
    def rings(self) -> bool:
        """Whether an alarm rang in any seed."""
        return bool(self.alarm_names)


def results(rows: Iterable[Mapping[str, Any]], table: str, systems: Sequence[System] = SYSTEMS) -> list[Result]:
    """Return real rows first, then every system, measured or not."""
    mine = [row for row in rows if row["table"] == table]
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in mine:
        by_name.setdefault(str(row["system"]), []).append(row)
    return [_result(system, by_name.get(system.name if system else REAL, [])) for system in (None, *systems)]


def _result(system: System | None, rows: Sequence[Mapping[str, Any]]) -> Result:
    good = [row for row in rows if row["status"] == "ok"]
    if not good:
        problem = str(rows[0]["note"]) or "failed" if rows else UNKNOWN
        return Result(system, 0, {}, problem=problem)
    found = {figure.key: _mean([row[figure.key] for row in good]) for figure in FIGURES}
    names = dict.fromkeys(n for row in good for n in str(row["alarm_names"]).split("; ") if n)
    attacks = min(int(row["attacks_made"] or 4) for row in good)
    notes = [f"{len(rows) - len(good)} seeds failed: {row['note']}" for row in rows if row["status"] != "ok"][:1]
    seconds = max(float(row["fit_seconds"] or 0) + float(row["sample_seconds"] or 0) for row in good)
    if len(rows) == 1 and system is not None and seconds > SLOW_SECONDS:
        notes.append(f"one seed only, as a fit takes more than {SLOW_SECONDS // 60} minutes")
    figures = {key: mean for key, mean in found.items() if mean}
    return Result(system, len(good), figures, tuple(names), attacks, note="; ".join(notes))


def _mean(cells: Sequence[Any]) -> Mean | None:
    values = [float(cell) for cell in cells if cell != ""]
    return Mean(fmean(values), min(values), max(values)) if values else None


def distance(figure: Figure, value: float) -> float:
    """How far a value is from the best there can be, rounded as it is shown; smaller is better."""
    value = round(value, figure.decimals)
    return {"high": -value, "low": value, "half": abs(value - 0.5)}[figure.best]


def best(found: Sequence[Result], figure: Figure) -> frozenset[str]:
    """Name the best systems that rang no alarm; none where all of them are equal."""
    ranked = {
        r.name: distance(figure, r.figures[figure.key].value)
        for r in found
        if r.system is not None and not r.rings and figure.key in r.figures
    }
    lowest = min(ranked.values(), default=math.nan)
    winners = frozenset(name for name, value in ranked.items() if math.isclose(value, lowest, abs_tol=1e-9))
    return winners if len(winners) < len(ranked) else frozenset()


def sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say for each table how the default generator does beside the peers that rang no alarm."""
    return [sentence for table in TABLES if (sentence := _sentence(results(rows, table), table))]


def _sentence(found: Sequence[Result], table: str) -> str:
    by_name = {result.name: result for result in found}
    ours, real = by_name[OURS], by_name[REAL]
    peers = [r for r in found if r.system is not None and not r.system.is_ours and r.figures]
    silent = [r for r in peers if not r.rings]
    if not silent or not real.figures:
        return ""
    if not ours.figures:
        return f"{table}: the default generator is not measured yet, {len(peers)} peers are."
    lost = [figure for figure in FIGURES if figure.key in COMPARED and (_leader(silent, figure, ours) is not None)]
    words = f"{table}: ahead of or level with every peer that rang no alarm in {len(COMPARED) - len(lost)} of "
    words += f"{len(COMPARED)} figures of use and likeness"
    if lost:
        words += "; behind in " + ", ".join(_behind(silent, figure, ours) for figure in lost)
    fast = min(silent, key=lambda r: r.figures["fit_seconds"].value)
    words += f". It learned in {ours.figures['fit_seconds'].value:.0f} s; the quickest such peer, {fast.name}, in "
    words += f"{fast.figures['fit_seconds'].value:.0f} s"
    if ours.rings:
        words += f". It rang an alarm itself ({', '.join(ours.alarm_names)})"
    ringing = [f"{r.name} ({', '.join(spelled(n) for n in r.alarm_names)})" for r in peers if r.rings]
    return f"{words}. Alarms rang for {', '.join(ringing)}." if ringing else f"{words}. No peer rang an alarm."


def _leader(silent: Sequence[Result], figure: Figure, ours: Result) -> Result | None:
    """Return the peer that is better than ours, if there is one."""
    top = min(silent, key=lambda r: distance(figure, r.figures[figure.key].value))
    is_better = distance(figure, top.figures[figure.key].value) < distance(figure, ours.figures[figure.key].value)
    return top if is_better else None


def _behind(silent: Sequence[Result], figure: Figure, ours: Result) -> str:
    top = _leader(silent, figure, ours)
    assert top is not None
    return f"{figure.title} ({ours.figures[figure.key].value:.3f}, {top.name} {top.figures[figure.key].value:.3f})"


def spelled(name: str) -> str:
    """Write an alarm's name in words."""
    return name.replace("_", " ")


def version(name: str) -> str:
    """Name the packages a peer is pinned to."""
    from generator.systems import ENVIRONMENTS, HERE

    environment = BY_NAME[name].environment
    if environment is None:
        return "this package"
    lines = (HERE / "peers" / ENVIRONMENTS[environment].requirements).read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if not line.startswith("#")).replace("==", " ")
