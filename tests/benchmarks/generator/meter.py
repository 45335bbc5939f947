"""What a fit costs, measured from inside its own process; needs nothing but the standard library."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Meter:
    """Seconds of named stretches, as one core's work (``fit_seconds``) and by the clock (``fit_clock``)."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure a block; a name that comes again is added up."""
        core, clock = _core_seconds(), time.perf_counter()
        yield
        for key, spent in ((f"{name}_seconds", _core_seconds() - core), (f"{name}_clock", time.perf_counter() - clock)):
            self.facts[key] = self.facts.get(key, 0.0) + spent

    def write(self, path: Path, **more: Any) -> None:
        """Write the seconds, the peak memory of this process and ``more`` as JSON."""
        facts = {**self.facts, "peak_mib": peak_mib(), **more}
        path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _core_seconds() -> float:
    """Seconds that this process and its finished children have worked: other work counts less than by the clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mib() -> float:
    """Most memory this process has held, libraries included; ``ru_maxrss`` would begin with the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
