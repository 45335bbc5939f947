"""The checks: one file a question.

Each file (or package) here that does not start with an underscore has

- ``SPEC``: a ``CheckSpec`` (name equal to the file's, what it asks, which metrics it promises), and
- ``measure(evidence) -> CheckResult``: the measurement.

Putting it into this folder registers it. Checks hold no thresholds: those live in policies.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from synthrelease.core.contracts import CheckResult, CheckSpec, Evidence


class Measure(Protocol):
    """A check's measurement: evidence in, one result out."""

    def __call__(self, evidence: Evidence) -> CheckResult:
        """Measure."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """A registered check."""

    spec: CheckSpec
    measure: Measure


@cache
def registry() -> Mapping[str, Check]:
    """All checks by name, in alphabetical order.

    Raises:
        ImportError, AttributeError: a file in this folder cannot be loaded; a check is never skipped silently.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    found = {}
    for name in names:
        module = importlib.import_module(f"{__name__}.{name}")
        if module.SPEC.name != name:
            raise ImportError(f"checks/{name}.py must name its SPEC {name!r}, however it says {module.SPEC.name!r}")
        found[name] = Check(module.SPEC, module.measure)
    return found


def specs() -> Mapping[str, CheckSpec]:
    """The specification of every check by name."""
    return {name: check.spec for name, check in registry().items()}
