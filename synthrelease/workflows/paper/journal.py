"""Trials run on every core and kept as they finish, so that a run that was killed goes on where it stopped.

The journal is one file of JSON lines in the output folder. A line is written when a trial has finished and waits until
it is on the disk; a line that was cut short is ignored. Trials are told apart by everything that decides them, the
data's digest included, so that a quick run and a full one can share a folder.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from synthrelease.core import diagnostics
from synthrelease.core.errors import RunFolderError
from synthrelease.workflows.paper.trials import Trial

Runner = Callable[[Trial, Path], dict[str, Any]]


class OnTrial(Protocol):
    """Hears how far a run is: trials and estimated core seconds, of all that there are to do."""

    def __call__(self, progress: Progress) -> None:
        """Take note of it."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """``seconds_left``: None until a trial has finished. ``last``: what finished last."""

    done: int
    trials: int
    seconds: float
    seconds_left: float | None
    last: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """Trials to run: ``keys`` and ``costs`` (core seconds, estimated) stand beside ``trials``."""

    trials: tuple[Trial, ...]
    keys: tuple[str, ...]
    costs: tuple[float, ...]
    data: Path
    run: Runner


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process.

    Raises:
        RunFolderError: another run is at work in it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        with lock:
            yield
    except Timeout:
        raise RunFolderError(
            f"Only one run may work in a folder, however another is at work in {folder}. Wait, or choose another --out."
        ) from None
    finally:
        (folder / ".lock").unlink(missing_ok=True)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return finished trials by key; lines that are no whole record are passed over."""
    found: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
            found[record["key"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return found


def finish(work: Work, path: Path, *, workers: int, on_trial: OnTrial) -> dict[str, dict[str, Any]]:
    """Run the trials that the journal lacks, and return all of the work's records by key."""
    known = read(path)
    missing = [at for at, key in enumerate(work.keys) if key not in known]
    started = time.monotonic()
    left = sum(work.costs[at] for at in missing)
    total, finished = left, 0.0
    on_trial(Progress(len(work.keys) - len(missing), len(work.keys), 0.0, None))
    with path.open("a", encoding="utf-8") as file:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            file.write("\n")  # a line was cut short
        for done, (at, record) in enumerate(_results(work, missing, workers), start=1):
            known[work.keys[at]] = {"key": work.keys[at], **record}
            file.write(json.dumps(known[work.keys[at]], allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
            finished += work.costs[at]
            seconds = time.monotonic() - started
            ahead = seconds / finished * (total - finished) if finished else None
            so_far = len(work.keys) - len(missing) + done
            on_trial(Progress(so_far, len(work.keys), seconds, ahead, _named(work.trials[at])))
    return {key: known[key] for key in work.keys}


def _named(trial: Trial) -> str:
    return f"{trial.table}, {trial.row}, {trial.part}, seed {trial.seed}"


def _results(work: Work, places: Sequence[int], workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (place, record) as trials finish; the longest begin first, so that no core is left waiting at the end."""
    order = sorted(places, key=lambda at: -work.costs[at])
    if workers <= 1 or len(order) <= 1:
        yield from ((at, work.run(work.trials[at], work.data)) for at in order)
        return
    spawn, quiet = multiprocessing.get_context("spawn"), diagnostics.hide_warnings
    with _one_thread_each(), ProcessPoolExecutor(workers, spawn, quiet) as pool:
        waiting: Mapping[Future[dict[str, Any]], int] = {
            pool.submit(work.run, work.trials[at], work.data): at for at in order
        }
        try:
            yield from ((waiting[future], future.result()) for future in as_completed(waiting))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let every process that is started inside use one thread: the processes share the cores among them."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def by_row(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], list[Mapping[str, Any]]]:
    """Gather records by (table, row, part), in the order of their seeds."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: int(record["trial"]["seed"])):
        trial = record["trial"]
        found.setdefault((trial["table"], trial["row"], trial["part"]), []).append(record)
    return found
