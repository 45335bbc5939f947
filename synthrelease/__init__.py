"""synthrelease: build synthetic tables, audit them, and release them only when a policy says so.

The same objects that the command line prints:

    import synthrelease

    result = synthrelease.build("patients.csv", schema_file="schema.toml", out="runs/first")
    print(result.verdict.decision, result.verdict.deciding)
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthrelease.core.contracts import Policy, Schema, Verdict
    from synthrelease.core.errors import InputError, SynthreleaseError
    from synthrelease.governance.package_verification import Verification, verify
    from synthrelease.workflows.audit import audit
    from synthrelease.workflows.build import build
    from synthrelease.workflows.finish_run import Outcome
    from synthrelease.workflows.run_options import AuditTables, BuildOptions

__all__ = [
    "AuditTables",
    "BuildOptions",
    "InputError",
    "Outcome",
    "Policy",
    "Schema",
    "SynthreleaseError",
    "Verdict",
    "Verification",
    "audit",
    "build",
    "verify",
]

_HOME = {
    "AuditTables": "workflows.run_options",
    "BuildOptions": "workflows.run_options",
    "InputError": "core.errors",
    "Outcome": "workflows.finish_run",
    "Policy": "core.contracts",
    "Schema": "core.contracts",
    "SynthreleaseError": "core.errors",
    "Verdict": "core.contracts",
    "Verification": "governance.package_verification",
    "audit": "workflows.audit",
    "build": "workflows.build",
    "verify": "governance.package_verification",
}
"""The module of each public name, which is imported when the name is first asked for: some take seconds."""


logging.getLogger(__name__).addHandler(logging.NullHandler())  # quiet, unless the program around it listens


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Every public name, imported or not."""
    return sorted({*globals(), *__all__})
