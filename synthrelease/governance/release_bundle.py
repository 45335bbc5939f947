"""The release: the synthetic table, its data card and a manifest of digests, put together aside and moved as one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthrelease.core.contracts import RunFacts, Verdict
from synthrelease.core.files import sync_folder, write_json, write_text
from synthrelease.governance.decisions import Decisions, on_card, on_page
from synthrelease.governance.finished_run import Stored, sha256
from synthrelease.governance.run_folder import RunFolder
from synthrelease.report import croissant, internal_report


def stage(folder: RunFolder, stored: Stored, decisions: Decisions) -> None:
    """Move the table out of quarantine into the staging folder, with its data card and manifest.

    Whether it may leave was decided before (``release.release``).
    """
    folder.staging.mkdir()
    moved = folder.staging / stored.table
    (folder.quarantine / stored.table).replace(moved)
    _write_card(folder, moved, stored, decisions)
    write_json(folder.staging / "manifest.json", _manifest(folder, stored.facts, stored.verdict))


def _write_card(folder: RunFolder, table: Path, stored: Stored, decided: Decisions) -> None:
    files, rows = {table.name: sha256(table)}, stored.facts.rows["synthetic"]
    verdict = replace(stored.verdict, decision="release")
    page, card = internal_report.data_card(
        stored.facts, verdict, released_rows=rows, files=files, decided=on_page(decided)
    )
    write_text(folder.staging / "data-card.html", page)
    write_json(folder.staging / "croissant.json", croissant.metadata(card))
    write_json(folder.staging / "data-card.json", card | on_card(decided))


def unstage(folder: RunFolder) -> None:
    """Undo a release that was cut short before it appeared: the table goes back to quarantine."""
    if not folder.staging.is_dir():
        return
    folder.quarantine.mkdir(mode=0o700, exist_ok=True)
    for path in folder.staging.glob("synthetic.*"):
        path.replace(folder.quarantine / path.name)
    sync_folder(folder.quarantine)
    shutil.rmtree(folder.staging)


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
        "internal_files": _digests(folder.internal, skip=("digest.key", "sign-offs.jsonl")),
    }


def _digests(folder: Path, skip: tuple[str, ...] = ()) -> Mapping[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name not in skip}


def publish(folder: RunFolder) -> None:
    """Make the staged release appear, by one rename; nothing of the run is written after it."""
    if folder.quarantine.is_dir() and not any(folder.quarantine.iterdir()):
        folder.quarantine.rmdir()
    folder.staging.rename(folder.release)
    sync_folder(folder.path)


def withdraw(folder: RunFolder) -> None:
    """Take a release back into quarantine, by one rename."""
    if folder.release.is_dir():
        folder.quarantine.mkdir(mode=0o700, exist_ok=True)
        folder.release.rename(folder.quarantine / "withdrawn")
        sync_folder(folder.path)
