"""The release: the synthetic table, its data card and a manifest of digests, put together aside and moved as one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthrelease import croissant, report
from synthrelease.contracts import RunFacts, Verdict
from synthrelease.errors import RunFolderError
from synthrelease.runs import RunFolder, write_json, write_text


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stage(folder: RunFolder, table: Path, facts: RunFacts, verdict: Verdict) -> None:
    """Move the table out of quarantine into the staging folder, with its data card and manifest.

    Raises:
        ValueError: the verdict is not release; nothing is moved then.
        RunFolderError: the table is no longer the one that was audited.
    """
    if verdict.decision != "release":
        raise ValueError(f"only a released table leaves quarantine, however the verdict is {verdict.decision}")
    folder.staging.mkdir()
    moved = folder.staging / table.name
    table.replace(moved)
    if sha256(moved) != facts.digests["synthetic (SHA-256)"]:
        raise RunFolderError("Only the audited table may leave, however it changed in quarantine. Build again.")
    folder.quarantine.rmdir()
    page, card = report.data_card(
        facts, verdict, released_rows=facts.rows["synthetic"], files={moved.name: sha256(moved)}
    )
    write_text(folder.staging / "data-card.html", page)
    write_json(folder.staging / "data-card.json", card)
    write_json(folder.staging / "croissant.json", croissant.metadata(card))
    write_json(folder.staging / "manifest.json", _manifest(folder, facts, verdict))


def _manifest(folder: RunFolder, facts: RunFacts, verdict: Verdict) -> dict[str, Any]:
    """Digests of what leaves, and of what stays: the internal files can later be shown to be the ones decided upon."""
    return {
        "format": "synthrelease-manifest",
        "version": 1,
        "created": facts.created,
        "synthrelease": facts.versions["synthrelease"],
        "verdict": verdict.decision,
        "policy": {"name": verdict.policy.name, "version": verdict.policy.version, "sha256": verdict.policy.digest},
        "files": _digests(folder.staging),
        "internal_files": _digests(folder.internal, skip=("digest.key",)),
    }


def _digests(folder: Path, skip: tuple[str, ...] = ()) -> Mapping[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name not in skip}


def publish(folder: RunFolder) -> None:
    """Make the staged release appear, by one rename; nothing of the run is written after it."""
    folder.staging.rename(folder.release)
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
