"""How a benchmark runs: its options, its order, and its page, which is written anew after every cell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import cells
from generator.environments import installed
from generator.inputs import BenchError, Input, prepared
from generator.systems import BY_NAME, LIMIT_SECONDS, ROOT, SEEDS, System


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured: ``name`` is that of its files, ``write`` makes the page of its cells."""

    name: str
    systems: tuple[System, ...]
    tables: tuple[str, ...]
    write: Callable[[Sequence[Mapping[str, Any]], Path], None]

    @property
    def groups(self) -> Mapping[str, list[str]]:
        """Names that stand for several systems: ours, peers, and each family at all its budgets."""
        found: dict[str, list[str]] = {"ours": [], "peers": []}
        for system in self.systems:
            found["ours" if system.is_ours else "peers"].append(system.name)
            if system.epsilon is not None:
                found.setdefault(system.family, []).append(system.name)
        return found


def planned(inputs: list[Input], systems: list[System], seeds: tuple[int, ...]) -> Iterator[cells.Cell]:
    """Yield real rows first, then seed by seed, so that every table has something early."""
    yield from (cells.Cell(None, table, 0) for table in inputs)
    yield from (cells.Cell(system, table, seed) for seed in seeds for table in inputs for system in systems)


def run(bench: Bench) -> int:
    """Measure what is missing, as the command line says; return the exit code."""
    chosen = _arguments(bench)
    table, html = chosen.out / f"{bench.name}.csv", chosen.out / f"{bench.name}.html"
    rows = cells.current(cells.known(table))
    if not chosen.page_only:
        try:
            inputs = prepared(chosen.tables, _data(chosen.data, bench), chosen.splits, chosen.work / "tables")
        except BenchError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        systems = [BY_NAME[name] for name in chosen.systems]
        needed = ["scorer", *(s.environment for s in systems if s.environment)]
        problems = installed(needed, chosen.venvs)
        places = cells.Places(chosen.venvs, chosen.work / "cells", problems, chosen.limit)
        for cell in planned(inputs, systems, chosen.seeds):
            rows = _one(cell, places, rows, table)
            bench.write(rows, html)
    bench.write(rows, html)
    print(html)
    return 0


def _one(cell: cells.Cell, places: cells.Places, rows: list[dict[str, str]], table: Path) -> list[dict[str, str]]:
    is_done = cell.key in {cells.key_of(row) for row in rows}
    is_peer = cell.system is not None and not cell.system.is_ours
    if is_done or (is_peer and cell.seed > 0 and cells.is_slow(rows, cell)):
        return rows
    row = cells.measured(cell, places)
    shown = [f"{name} {row[name]}" for name in ("fit_seconds", "boosting_auc", "c2st_auc", "alarms") if row[name] != ""]
    print(row["system"], row["table"], row["seed"], row["status"], row["note"], *shown, flush=True)
    return cells.kept(rows, row, table)


def _data(folder: Path | None, bench: Bench) -> Path:
    if folder is None or not folder.is_dir():
        found = "none was given" if folder is None else f"{folder} is no folder"
        files = ", ".join(f"{table}.csv" for table in bench.tables if table != "wdbc")
        raise BenchError(
            f"The benchmark needs a folder with {files}, however {found}. "
            f"Say where: make bench-{bench.name} DATA=folder"
        )
    return folder


def _arguments(bench: Bench) -> argparse.Namespace:
    names = [system.name for system in bench.systems]
    parser = argparse.ArgumentParser(prog=f"make bench-{bench.name}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=_folder, help="folder with the tables as they are published")
    parser.add_argument(
        "--splits", type=_folder, help="folder with TABLE_train.csv and TABLE_test.csv, where cut already"
    )
    parser.add_argument("--tables", type=_names(list(bench.tables), {}), default=bench.tables)
    parser.add_argument("--systems", type=_names(names, bench.groups), default=tuple(names))
    parser.add_argument("--seeds", type=_seeds, default=SEEDS)
    parser.add_argument("--limit", type=int, default=LIMIT_SECONDS, help="seconds of one core for a fit")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "benchmarks")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / f"bench-{bench.name}")
    parser.add_argument("--venvs", type=Path, default=ROOT / "build" / "bench-venvs")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write the page from what there is")
    return parser.parse_args()


def _folder(text: str) -> Path | None:
    return Path(text).resolve() if text else None


def _names(allowed: list[str], groups: Mapping[str, list[str]]) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of lists with commas between them; nothing stands for all."""

    def read(text: str) -> tuple[str, ...]:
        names = [name for word in text.split(",") if word for name in groups.get(word, [word])]
        if unknown := [name for name in names if name not in allowed]:
            choices = ", ".join([*groups, *allowed])
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not known. Choose from: {choices}")
        return tuple(dict.fromkeys(names or allowed))

    return read


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(int(seed) for seed in text.split(",")) if text else SEEDS
