"""A finished run as it lies in its folder, for whoever signs later: verdict and facts, and what they are bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from synthrelease.core.contracts import RunFacts, Verdict
from synthrelease.core.errors import SigningError
from synthrelease.core.files import write_text
from synthrelease.governance.approval_records import BoundFile
from synthrelease.governance.run_folder import RunFolder

FILE = "outcome.json"
BOUND: tuple[BoundFile, ...] = ("report.html", "policy.toml", "audit.json", "outcome.json")
"""Files of ``internal/`` that a signature is bound to, besides the table."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What ``outcome.json`` holds. ``table`` is the synthetic table's file name; ``source`` its keyed digest."""

    verdict: Verdict
    facts: RunFacts
    table: str
    source: str
    source_name: str


_ADAPTER = TypeAdapter(Stored)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(text: str) -> str:
    """The SHA-256 of a text as ``write_text`` writes it, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def store(folder: RunFolder, stored: Stored) -> None:
    """Write ``internal/outcome.json``."""
    # Python's own JSON, because it has a NaN: a bound that is not known must come back as one.
    write_text(folder.internal / FILE, json.dumps(_ADAPTER.dump_python(stored, mode="json"), indent=1) + "\n")


def load(folder: RunFolder) -> Stored:
    """Read ``internal/outcome.json``.

    Raises:
        SigningError: it is missing or damaged.
    """
    try:
        return _ADAPTER.validate_json((folder.internal / FILE).read_bytes())
    except (OSError, ValidationError):
        raise SigningError(
            f"Only a finished run can be signed, however {folder.path} holds none that this version can read. Build it "
            "(again)."
        ) from None


def digests(folder: RunFolder, table: Path) -> Mapping[BoundFile, str]:
    """SHA-256 of the table and of every file that a signature is bound to."""
    found: dict[BoundFile, str] = {"table": sha256(table)} if table.is_file() else {}
    return found | {name: sha256(folder.internal / name) for name in BOUND if (folder.internal / name).is_file()}
