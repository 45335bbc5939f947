"""synthrelease: build synthetic tables, audit them, and release them only when a policy says so.

The same objects that the command line prints:

    import synthrelease

    result = synthrelease.build("patients.csv", schema_file="schema.toml", out="runs/first")
    print(result.verdict.decision, result.verdict.deciding)
"""

from synthrelease.core.contracts import Policy, Schema, Verdict
from synthrelease.core.errors import InputError, SynthreleaseError
from synthrelease.governance.package_verification import Verification, verify
from synthrelease.workflows.audit import audit
from synthrelease.workflows.build import build
from synthrelease.workflows.judge import Outcome
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
