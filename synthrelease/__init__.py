"""synthrelease: build synthetic tables, audit them, and release them only when a policy says so.

The same objects that the command line prints:

    import synthrelease

    result = synthrelease.build("patients.csv", schema_file="schema.toml", out="runs/first")
    print(result.verdict.decision, result.verdict.deciding)
"""

from synthrelease.contracts import Policy, Schema, Verdict
from synthrelease.errors import InputError, SynthreleaseError
from synthrelease.pipeline import AuditTables, BuildOptions, Outcome, audit, build
from synthrelease.verification import Verification, verify

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
