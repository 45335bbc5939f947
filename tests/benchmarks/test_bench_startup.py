"""How long the command line takes to start, in CPU time, beside a bare interpreter in the same run."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest


def cpu_seconds(*words: str) -> float:
    """CPU time of the quickest of five runs of the interpreter, after one that compiles what it imports."""
    taken = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken[1:])


@pytest.mark.bench
def test_saying_the_version_costs_no_more_than_twenty_bare_interpreters():
    ratio = cpu_seconds("-m", "synthrelease", "--version") / cpu_seconds("-c", "pass")
    print(f"\nsynthrelease --version takes {ratio:.1f} times the CPU time of an interpreter that does nothing")
    assert ratio < 20
