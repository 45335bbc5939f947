"""A finished run as it lies in its folder, for whoever signs later: verdict and facts, and what they are bound to.

``outcome.json`` says its version. Version 1, of synthrelease 0.1.0, said neither its version nor who had made the
table, and called digests by the names that people read; it is read as long as such runs may be signed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from synthrelease.core.contracts import DigestName, RunFacts, Verdict
from synthrelease.core.errors import SigningError
from synthrelease.core.files import sha256, write_text
from synthrelease.governance.approval_records import BoundFile
from synthrelease.governance.run_folder import RunFolder

FILE = "outcome.json"
BOUND: tuple[BoundFile, ...] = ("report.html", "policy.toml", "audit.json", "outcome.json")
"""Files of ``internal/`` that a signature is bound to, besides the table."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What ``outcome.json`` holds. ``table`` is the synthetic table's file name; ``source`` its keyed digest."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # of everything below as well

    verdict: Verdict
    facts: RunFacts
    table: str
    source: str
    source_name: str


_ADAPTER = TypeAdapter(Stored)
_FORMAT, _VERSION = "synthrelease-outcome", 2
_DIGESTS_OF_VERSION_1: Mapping[str, DigestName] = {
    "synthetic (SHA-256)": "synthetic",
    "table (HMAC)": "table",
    "train (HMAC)": "train",
    "holdout (HMAC)": "holdout",
    "reference (HMAC)": "reference",
    "synthetic (HMAC)": "handed_in",
    "schema (SHA-256)": "schema",
    "policy (SHA-256)": "policy",
}


def store(folder: RunFolder, stored: Stored) -> None:
    """Write ``internal/outcome.json``."""
    content = {"format": _FORMAT, "version": _VERSION, **_ADAPTER.dump_python(stored, mode="json")}
    # Python's own JSON, because it has a NaN: a bound that is not known must come back as one.
    write_text(folder.internal / FILE, json.dumps(content, indent=1) + "\n")


def load(folder: RunFolder) -> Stored:
    """Read ``internal/outcome.json``.

    Raises:
        SigningError: it is missing, damaged, or of a version that is not known.
    """
    try:
        content = json.loads((folder.internal / FILE).read_bytes())
        found = (content.pop("format", _FORMAT), content.pop("version", 1))
        if found == (_FORMAT, 1):
            content = _from_version_1(content)
        elif found != (_FORMAT, _VERSION):
            raise SigningError(
                f"{folder.path} holds a run of another version of synthrelease (outcome.json, version {found[1]}), "
                "which this one cannot read. Nothing was changed. Use the version that made the run, or a later one."
            )
        return _ADAPTER.validate_python(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise SigningError(
            f"Only a finished run can be signed, however {folder.path} holds none that this version can read. Build it "
            "(again)."
        ) from None


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    facts = content["facts"]
    told = {
        "was_made_here": facts["generator"] != "unknown",
        "digests": {_DIGESTS_OF_VERSION_1[name]: digest for name, digest in facts["digests"].items()},
    }
    return {**content, "facts": {**facts, **told}}


def digests(folder: RunFolder, table: Path) -> Mapping[BoundFile, str]:
    """SHA-256 of the table and of every file that a signature is bound to."""
    found: dict[BoundFile, str] = {"table": sha256(table)} if table.is_file() else {}
    return found | {name: sha256(folder.internal / name) for name in BOUND if (folder.internal / name).is_file()}
