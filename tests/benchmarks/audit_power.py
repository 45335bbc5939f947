"""What the audit catches and how often it cries wolf: planted leaks, judged by every check and by the gate.

    python tests/benchmarks/audit_power.py --out reports --processes 1

A real table is cut at random into training rows, holdout and fresh rows, n each; the honest synthetic table *is* the
fresh rows, the others carry a leak. Every finished audit is one line of ``audit-power.jsonl`` beside the page
(figures, no rows), so a run that was stopped goes on where it was, on another machine as well. The cheap checks that
carry the gate run on every seed, all privacy checks on honest tables and on the first few seeds (``FULL_SEEDS``). Table
and page say how many audits stand behind each cell.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audit_power_page import write_page
from conftest import data_folder
from leaks import LEAKS, leaky

from synthrelease.core.contracts import CheckResult, Evidence, Policy, Table
from synthrelease.data import learned_categories, table_reader
from synthrelease.evaluation.checks import combinations
from synthrelease.evaluation.checks._pool import pooled
from synthrelease.evaluation.runner import run as run_checks
from synthrelease.evaluation.statistics.permutation_tests import group_scan
from synthrelease.governance import policy_file
from synthrelease.schema import schema_file
from synthrelease.workflows import finish_run
from synthrelease.workflows.inspect import draft_schema

POLICY = "partner_handoff"
GATE = ("copies", "near_tail", "combinations", "membership")
FULL = (*GATE, "distances", "singling_out", "linkability", "inference", "identity", "attributes")
SEEDS = 20
HONEST_SEEDS = 60
FULL_SEEDS = {500: 5, 1_700: 5, 2_000: 5, 10_000: 1}
"""Seeds on which all privacy checks run, by table size; the first of them. On honest tables they always run."""
EXPENSIVE = 10_000
"""From this size on, membership runs on the full seeds alone, and leaks heavier than another one on few seeds."""
FEW_SEEDS = 2
FEW = 4
"""Training patients who share a combination of cells that still tells them apart."""
EXPORTED_ROWS, EXPORTED_SEEDS = 500, 2
"""Other tools take a minute or two a table."""
HEAVIER = ("copies_2", "copies_5", "copies_20", "jitter_0.1")


@dataclass(frozen=True)
class Source:
    """A real table and what the audit's schema says about it."""

    target: str
    known: tuple[str, ...]
    secret: tuple[str, ...]
    dropped: tuple[str, ...]
    sizes: tuple[int, ...]
    one_row_per: str = ""


SOURCES = {
    "adult": Source(
        "income", ("age", "sex", "race", "marital-status", "native-country", "education"), ("occupation",), (),
        (500, 2_000, 10_000),
    ),
    "diabetes130": Source(
        "readmitted", ("race", "gender", "age"), ("diag_1",), ("encounter_id", "patient_nbr", "weight"),
        (500, 2_000, 10_000), "patient_nbr",
    ),
    "stroke": Source(
        "stroke", ("gender", "age", "ever_married", "work_type", "Residence_type"), ("avg_glucose_level",), ("id",),
        (500, 1_700),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One audit."""

    table: str
    n: int
    leak: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.table}/{self.n}/{self.leak}/{self.seed}"

    @property
    def checks(self) -> tuple[str, ...]:
        if self.leak == "honest" or self.seed < FULL_SEEDS[self.n]:
            return FULL
        return GATE if self.n < EXPENSIVE else tuple(check for check in GATE if check != "membership")


@cache
def rules() -> Policy:
    """The policy that judges."""
    return policy_file.load(POLICY, finish_run.known_checks())


@cache
def table_of(name: str) -> Table:
    """The table as inspect and read give it, with the roles that ``SOURCES`` declares."""
    source = SOURCES[name]
    frame = pd.read_csv(data_folder() / f"{name}.csv", dtype=str, keep_default_na=False)
    if source.one_row_per:
        frame = frame.drop_duplicates(source.one_row_per)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / f"{name}.csv", Path(folder) / "schema.toml"
        frame.drop(columns=list(source.dropped)).to_csv(path, index=False)
        out.write_text(draft_schema.draft(path, target=source.target, missing=("?", "N/A")), encoding="utf-8")
        table = table_reader.read(path, schema_file.load(out)).table
    roles = dict.fromkeys(source.known, "quasi_identifier") | dict.fromkeys(source.secret, "sensitive")
    columns = tuple(
        replace(c, role=c.role if c.role == "target" else roles.get(c.name, "feature")) for c in table.schema.columns
    )
    return replace(table, schema=replace(table.schema, columns=columns))


def tasks(seeds: int, sizes: Iterable[int]) -> Iterator[Task]:
    """All audits, a few seeds of every kind before more of any, small tables first."""
    wanted = set(sizes)
    todo = [
        Task(name, n, leak, seed)
        for name, source in SOURCES.items()
        for n in source.sizes
        if n in wanted
        for leak in LEAKS
        for seed in range(_seeds(n, leak, seeds))
    ]
    yield from sorted(
        todo, key=lambda task: (task.seed // (5 if task.n < EXPENSIVE else 1), task.n, task.table, task.leak, task.seed)
    )


def _seeds(n: int, leak: str, seeds: int) -> int:
    if leak == "honest":
        return seeds if n >= EXPENSIVE else HONEST_SEEDS * seeds // SEEDS
    return min(seeds, FEW_SEEDS) if n >= EXPENSIVE and leak in HEAVIER else seeds


def parts(task: Task) -> tuple[Table, Table, Table, Table]:
    """Training rows, holdout, fresh rows, and the table to judge, which is the fresh rows with a leak."""
    table = table_of(task.table)
    rng = np.random.default_rng([task.seed, task.n])
    order = rng.permutation(len(table))
    raw = [table.take(order[i * task.n : (i + 1) * task.n]) for i in range(3)]
    known = learned_categories.learned(raw[0], min_cell=rules().min_cell)
    train, holdout, fresh = (
        learned_categories.coded(each, known) for each in raw
    )  # as build does: rare labels are merged
    return train, holdout, fresh, leaky(task.leak, train, fresh, rng)


def recognisable(train: Table, fresh: Table, made: Table) -> float:
    """Share of training patients whom the leaked columns together tell apart: at most ``FEW`` share all their cells.

    Where it is 0, nobody stands out in what was leaked, and no test of rare combinations can find it.
    """
    leaked = leaked_columns(fresh, made)
    if not leaked:
        return 0.0
    held = train.frame.groupby(leaked, dropna=False, observed=True)[leaked[0]].transform("size")
    return float((held <= FEW).mean())


def leaked_columns(fresh: Table, made: Table) -> list[str]:
    """The columns in which the judged table differs from the honest one."""
    return [name for name in fresh.frame if not fresh.frame[name].equals(made.frame[name])]


def told_p(evidence: Evidence, leaked: list[str]) -> float:
    """The p of the rare combinations test if somebody tells it which columns leak: one look, and no margin.

    What is not found like this either is not lost by searching for the columns or by leaving room for honest traces.
    """
    rng = np.random.default_rng(evidence.seed)
    pool = pooled(rng, evidence)
    names = [column.name for column in evidence.train.schema.learned]
    looks = combinations.exposures(pool, evidence.synthetic, [tuple(sorted(names.index(name) for name in leaked))])
    return group_scan(rng, pool.member, looks)[0].p


def audited(task: Task) -> dict[str, Any]:
    """Audit one table: what was measured, and how long it took."""
    train, holdout, fresh, made = parts(task)
    confidence = rules().confidence
    started, worked = time.perf_counter(), time.process_time()
    evidence = Evidence(train, holdout, made, task.seed, confidence)
    results = run_checks(evidence, only=task.checks)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    is_partial = task.leak.startswith(("columns", "sensitive"))
    return asdict(task) | {
        "key": task.key,
        "seconds": round(seconds, 2),
        "processor_seconds": round(worked, 2),
        "recognisable": round(recognisable(train, fresh, made), 4) if is_partial else None,
        "told_p": round(told_p(evidence, leaked_columns(fresh, made)), 4) if is_partial else None,
        "checks": {r.check: {"status": r.status, "seconds": round(r.seconds, 2)} | _values(r) for r in results},
    }


def breached(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The privacy rules of the policy as it stands now that the measured intervals breach: check, metric, severity."""
    known, found = finish_run.known_checks(), []
    for rule in rules().rules:
        interval = record["checks"].get(rule.check, {}).get(rule.metric)
        if known[rule.check].family != "privacy" or interval is None or None in interval:
            continue
        _, low, high = interval
        if low > rule.limit if rule.direction == "at_most" else high < rule.limit:
            found.append((rule.check, rule.metric, rule.severity))
    return found


def _values(result: CheckResult) -> dict[str, Any]:
    return {m.name: [_plain(v) for v in (m.value, m.low, m.high)] for m in result.metrics}


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def done(cache_file: Path) -> dict[str, dict[str, Any]]:
    """Finished audits by key; a line that was cut off when a run was stopped is left out."""
    found = {}
    if cache_file.exists():
        for line in cache_file.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[record["key"]] = record
    return found


def forget(cache_file: Path, leaks: Iterable[str], sizes: Iterable[int]) -> None:
    """Leave out what is stored of some leaks and sizes, because a check that finds them has changed."""
    kept = [record for record in done(cache_file).values() if not (record["leak"] in leaks and record["n"] in sizes)]
    cache_file.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def export(folder: Path) -> None:
    """Write some of the tables as CSV files, one folder each, for ``audit_peers.py``."""
    for name in SOURCES:
        for leak, seed in ((leak, seed) for seed in range(EXPORTED_SEEDS) for leak in LEAKS):
            place = folder / f"{name}__{EXPORTED_ROWS}__{leak}__{seed}"
            place.mkdir(parents=True, exist_ok=True)
            train, holdout, _, made = parts(Task(name, EXPORTED_ROWS, leak, seed))
            for side, table in (("train", train), ("holdout", holdout), ("made", made)):
                table.frame.to_csv(place / f"{side}.csv", index=False)


def main() -> None:
    """Run what is missing, then write the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports"))
    parser.add_argument("--cache", type=Path, help="finished audits; audit-power.jsonl beside the page if not given")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--sizes", type=int, nargs="*", default=sorted(FULL_SEEDS))
    parser.add_argument("--leaks", nargs="*", default=list(LEAKS), help="only these leaks")
    parser.add_argument("--again", action="store_true", help="forget what is stored of these leaks and sizes first")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="start no audit after this many minutes")
    parser.add_argument("--export", type=Path, help="write tables for other tools to judge instead")
    chosen = parser.parse_args()
    if chosen.export is not None:
        export(chosen.export)
        return
    chosen.cache = chosen.cache or chosen.out / "audit-power.jsonl"
    chosen.cache.parent.mkdir(parents=True, exist_ok=True)
    if chosen.again:
        forget(chosen.cache, chosen.leaks, chosen.sizes)
    found = done(chosen.cache)
    wanted = (task for task in tasks(chosen.seeds, chosen.sizes) if task.leak in chosen.leaks)
    todo = [task for task in wanted if task.key not in found]
    print(f"{len(found):,} audits are there, {len(todo):,} to do", flush=True)
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool, chosen.cache.open("a") as file:
        for at, record in enumerate(pool.imap(audited, todo), start=1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            found[record["key"]] = record
            minutes = (time.monotonic() - started) / 60
            if at % 20 == 0:
                print(f"{at:,} of {len(todo):,} after {minutes:.1f} min: {record['key']}", flush=True)
            if minutes > chosen.minutes:
                pool.terminate()
                break
    judged = [record | {"breached": breached(record)} for record in found.values()]
    exported = len(SOURCES) * len(LEAKS) * EXPORTED_SEEDS
    write_page(judged, chosen.out, {name: leak.words for name, leak in LEAKS.items()}, exported)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
