"""Cells of the benchmark, one for each system, table and seed: each fits in a process of its own and is kept at once.

The results are one CSV file. A cell is told apart by everything that decides it (the digests of the data and of the
code that fits, and the version of the figures), so that a run that was killed goes on where it stopped, and a cell
whose data, code or figures have changed is worked out again. Made tables are kept beside, for a new scoring.
"""

from __future__ import annotations

import csv
import json
import math
import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from generator import scores
from generator.environments import interpreter, last_line
from generator.inputs import Input
from generator.systems import BY_NAME, HERE, LIMIT_SECONDS, MEMORY_GIB, REAL, SLOW_SECONDS, System, code_of, digest

KEY = ("system", "table", "seed", "data", "code", "figures")
COSTS = ("fit_seconds", "sample_seconds", "fit_clock", "sample_clock", "peak_mib")
FIGURES = (
    "boosting_auc", "logistic_auc", "tree_auc", "boosting_f1", "quality", "column_shapes", "pair_trends", "tv2",
    "c2st_auc", "copies", "closer", "out_of_range", "unseen_labels", "broken_types", "alarms", "alarm_names",
    "attacks_made", "singling_out_one_excess", "singling_out_several_excess", "linkability_excess", "inference_excess",
)  # fmt: skip
FIELDS = (*KEY, "status", "note", *COSTS, *FIGURES)
CLOCK_FACTOR = 6
"""A process may take this many times its limit by the clock, where others are at work on the machine."""
SCORING_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure; ``system`` is None for the real rows that everything is compared with."""

    system: System | None
    table: Input
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this cell from all others, in the order of ``KEY``."""
        name, code = (REAL, "") if self.system is None else (self.system.name, code_of(self.system))
        return (name, self.table.name, str(self.seed), self.table.digest, code, str(scores.VERSION))


@dataclass(frozen=True, slots=True)
class Places:
    """Where the environments and the made tables are; ``problems``: environments that could not be made, and why."""

    environments: Path
    made: Path
    problems: Mapping[str, str]
    limit: int = LIMIT_SECONDS


def known(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a file, as text."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def current(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what other code, other packages or other figures than today's have measured."""

    def is_current(row: Mapping[str, Any]) -> bool:
        system = BY_NAME.get(row["system"])
        code = "" if system is None else code_of(system)
        is_known = system is not None or row["system"] == REAL
        return is_known and (row["code"], str(row["figures"])) == (code, str(scores.VERSION))

    return [row for row in rows if is_current(row)]


def key_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what tells a row's cell from all others."""
    return tuple(str(row[name]) for name in KEY)


def kept(rows: Iterable[dict[str, Any]], row: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Put a row in the place of the same system, table and seed, and write the file by one rename."""
    same = ("system", "table", "seed")
    rows = [other for other in rows if any(str(other[name]) != str(row[name]) for name in same)] + [row]
    rows.sort(key=lambda each: (str(each["table"]), str(each["system"]), int(each["seed"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    pd.DataFrame(rows, columns=list(FIELDS)).to_csv(draft, index=False)
    draft.replace(path)
    return rows


def is_slow(rows: Iterable[Mapping[str, Any]], cell: Cell) -> bool:
    """Whether the first seed of this system and table failed, or took so long that one seed must do."""
    for row in rows:
        first = Cell(cell.system, cell.table, 0)
        if key_of(row) == first.key:
            spent = [float(row[name] or math.inf) for name in ("fit_seconds", "sample_seconds")]
            return str(row["status"]) != "ok" or sum(spent) > SLOW_SECONDS
    return False


def measured(cell: Cell, places: Places) -> dict[str, Any]:
    """Fit, sample and score one cell; whatever goes wrong is its result."""
    row: dict[str, Any] = dict.fromkeys(FIELDS, "") | dict(zip(KEY, cell.key, strict=True))
    folder = places.made / f"{cell.table.name}-{digest('/'.join(cell.key[:-1]).encode())}"
    folder.mkdir(parents=True, exist_ok=True)
    if cell.system is not None:
        facts = _fitted(cell, folder, places)
        row |= {name: _rounded(facts[name]) for name in COSTS if name in facts}
        if "error" in facts:
            return row | {"status": "failed", "note": " ".join(facts["error"].split())[:300]}
    try:
        figures = _figures(cell, folder, places)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return row | {"status": "failed", "note": f"made, but could not be scored: {error}"[:300]}
    return row | {name: _rounded(figures[name]) for name in FIGURES if name in figures} | {"status": "ok"}


def _rounded(value: Any) -> Any:
    return "" if value is None else round(value, 6) if isinstance(value, float) else value


def _fitted(cell: Cell, folder: Path, places: Places) -> dict[str, Any]:
    """Run the fitting program unless its table is there already; return its facts, or ``error`` with the reason."""
    system, facts_file, made = cell.system, folder / "facts.json", folder / "made.csv"
    assert system is not None
    if facts_file.is_file() and made.is_file():
        found: dict[str, Any] = json.loads(facts_file.read_text(encoding="utf-8"))
        return found
    if system.environment is not None and system.environment in places.problems:
        return {"error": f"could not be installed: {places.problems[system.environment]}"}
    peer = "generator.fit_peer" if system.epsilon is None else "generator.fit_private_peer"
    program = "generator.fit_ours" if system.is_ours else peer
    command = [str(interpreter(system.environment, places.environments)), "-m", program, *system.arguments,
               "--train", str(cell.table.train), "--target", cell.table.target, "--seed", str(cell.seed),
               "--made", str(made), "--facts", str(facts_file)]  # fmt: skip
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        problem = _run(command, log, places.limit)
    if facts_file.is_file():
        return dict(json.loads(facts_file.read_text(encoding="utf-8")))
    return {"error": problem or last_line((folder / "log.txt").read_text(encoding="utf-8", errors="replace"))}


def _run(command: list[str], log: Any, limit: int) -> str:
    """Run a program on one thread within its limits; return why it was stopped, or nothing."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB * 2**30, MEMORY_GIB * 2**30))

    over = f"stopped after {limit / 60:g} minutes of one core"
    try:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=one_thread(), preexec_fn=bounded, check=False,
            timeout=CLOCK_FACTOR * limit, cwd=HERE.parents[2],
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return over
    if done.returncode == -signal.SIGXCPU:
        return over
    return "" if done.returncode >= 0 else f"ended by signal {-done.returncode}"


def one_thread() -> dict[str, str]:
    """Return an environment in which every library uses one thread, and which finds this folder."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
    path = f"{HERE.parent}{os.pathsep}{HERE.parents[2]}"
    return {**os.environ, **dict.fromkeys(names, "1"), "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}


def _figures(cell: Cell, folder: Path, places: Places) -> dict[str, Any]:
    out = folder / f"figures-{scores.VERSION}.json"
    table = cell.table
    what = ["--reference"] if cell.system is None else ["--made", str(folder / "made.csv")]
    command = [str(interpreter("scorer", places.environments)), "-m", "generator.scores", *what,
               "--train", str(table.train), "--test", str(table.test), "--target", table.target,
               "--out", str(out)]  # fmt: skip
    done = subprocess.run(
        command, env=one_thread(), capture_output=True, text=True, check=False, timeout=SCORING_SECONDS
    )
    if done.returncode or not out.is_file():
        raise RuntimeError(last_line(done.stderr))
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found
