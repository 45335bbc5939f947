"""A build killed with -9 at twenty moments: no release is ever half there, and the next build goes on."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import drafted, policy_that_decides, ward

READY = """
import gc, importlib, json, os, pkgutil, signal, sys
import lifelines, statsmodels.api, synthrelease
for module in pkgutil.walk_packages(synthrelease.__path__, "synthrelease."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from synthrelease.cli.main import main
gc.freeze()  # a collection in a child would copy the memory that it shares
for line in sys.stdin:
    words, log = json.loads(line)
    child = os.fork()
    if child == 0:
        for name, flags, number in ((os.devnull, os.O_RDONLY, 0), (log, os.O_WRONLY, 1)):
            os.dup2(os.open(name, flags, 0o600), number)
        os.dup2(1, 2)
        main(words)
    if sys.stdin.readline() == "kill\\n":
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""A process that has imported the whole package, and for each command that it is told forks one that carries it out:
what is killed is a process of its own as at any terminal, but for the seconds of imports in front of it."""


@dataclass
class Builder:
    """Carries out builds of one table, one after the other, each in a process of its own."""

    ready: subprocess.Popen[str]
    words: list[str]
    log: Path

    def start(self, out: Path) -> None:
        self.log.write_text("", encoding="utf-8")
        self._tell(json.dumps(([*self.words, "--out", str(out)], str(self.log))))

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the build that was started: its exit code and all it said."""
        return self._end("wait")

    def killed(self) -> tuple[int, str]:
        """Kill the build that was started, unless it has ended: its exit code (minus the signal) and all it said."""
        return self._end("kill")

    def _tell(self, line: str) -> None:
        assert self.ready.stdin
        self.ready.stdin.write(line + "\n")
        self.ready.stdin.flush()

    def _end(self, how: str) -> tuple[int, str]:
        self._tell(how)
        assert self.ready.stdout
        return int(self.ready.stdout.readline()), self.log.read_text(encoding="utf-8")


@pytest.fixture
def builder(tmp_path) -> Iterator[Builder]:
    path = tmp_path / "ward.csv"
    ward(160).to_csv(path, index=False)
    schema_file, rules = drafted(path, tmp_path, None), policy_that_decides("release", tmp_path)
    words = ["build", path, "--schema", schema_file, "--policy", rules, "--seed", "3", "--effort", "0.1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", READY], stdin=pipe, stdout=pipe, text=True, env=environment) as ready:
        yield Builder(ready, [str(word) for word in words], tmp_path / "said.txt")
        ready.stdin.close()


def claimed(out: Path) -> float:
    """When the run folder's record was last written; 0 if there is none."""
    try:
        return (out / "run.json").stat().st_mtime
    except FileNotFoundError:  # the next build may replace it at this very moment
        return 0.0


def wait_until_claimed(out: Path, before: float) -> None:
    """Wait until a build has written its record into the folder; one that fails to within a minute has failed."""
    end = time.monotonic() + 60
    while claimed(out) <= before:
        assert time.monotonic() < end
        time.sleep(0.005)


def is_whole(release: Path) -> bool:
    """Whether every file of a release is there and as its manifest says."""
    files = json.loads((release / "manifest.json").read_text(encoding="utf-8"))["files"]
    return all(hashlib.sha256((release / name).read_bytes()).hexdigest() == digest for name, digest in files.items())


def is_finished(out: Path) -> bool:
    path = out / "run.json"
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["state"] == "finished"


@pytest.mark.slow
def test_killed_at_twenty_random_moments_a_build_never_leaves_a_release(builder, tmp_path):
    """Each build starts where the one before was killed, says what it found, and goes on.

    Three in four are killed after they have claimed the folder, the others at any moment. A build that is killed after
    its last step, while the interpreter shuts down, has been a whole build.
    """
    started = time.monotonic()
    builder.start(tmp_path / "whole")
    wait_until_claimed(tmp_path / "whole", 0.0)
    began = time.monotonic()
    assert builder.ended()[0] == 0
    whole, work = time.monotonic() - started, time.monotonic() - began
    moments = random.Random(5)
    found_unfinished = cut_short = 0
    for number in range(20):
        out = tmp_path / f"run{number % 2}"
        before = claimed(out)
        builder.start(out)
        if number % 4:
            wait_until_claimed(out, before)
            time.sleep(moments.uniform(0.0, 0.8) * work)
        else:
            time.sleep(moments.uniform(0.0, 1.0) * whole)
        _, said = builder.killed()
        found_unfinished += "Found an unfinished run" in said
        if (out / "release").exists():
            assert is_finished(out)
            assert is_whole(out / "release")
        finished = is_finished(out)
        cut_short += not finished
        if finished:
            shutil.rmtree(out)  # the next build would rightly refuse to touch it
    assert cut_short >= 8
    assert found_unfinished >= 3
    builder.start(tmp_path / "run0")
    code, said = builder.ended()
    assert code == 0, said
    assert is_whole(tmp_path / "run0" / "release")
