"""The release: the synthetic table, its data card and a manifest of digests, put together aside and moved as one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from synthrelease.core.contracts import Decision, RunFacts, Verdict
from synthrelease.core.errors import SigningError
from synthrelease.core.files import sha256, sync_folder, write_json, write_text
from synthrelease.governance import copies_list
from synthrelease.governance.decisions_for_report import Decisions, on_card, on_page
from synthrelease.governance.finished_run import Stored
from synthrelease.governance.run_folder import RunFolder
from synthrelease.governance.typed_json import STRICT, Hex64
from synthrelease.report import croissant, internal_report

MANIFEST = "manifest.json"


class PolicyNamed(BaseModel):
    """A policy, and the SHA-256 of its file."""

    model_config = STRICT
    name: str
    version: str
    sha256: Hex64


class Manifest(BaseModel):
    """``manifest.json``: SHA-256 of what leaves, and of what stays.

    So the internal files can later be shown to be those that the decision rests on.
    """

    model_config = STRICT
    format: Literal["synthrelease-manifest"]
    version: Literal[1]
    created: str
    synthrelease: str
    verdict: Decision
    policy: PolicyNamed
    files: Mapping[str, Hex64]
    internal_files: Mapping[str, Hex64]


def stage(folder: RunFolder, stored: Stored, decisions: Decisions) -> None:
    """Move the table, or all copies, out of quarantine into the staging folder, with data card and manifest.

    Whether it may leave was decided before (``release.release``).
    """
    folder.staging.mkdir()
    leaving = copies_list.with_copies(folder.quarantine / stored.table)
    moved = [path.replace(folder.staging / path.name) for path in leaving]
    if len(moved) > 1:
        for name, text in internal_report.copies_files(stored.facts, tuple(path.name for path in moved[1:])).items():
            write_text(folder.staging / name, text)
    _write_card(folder, moved, stored, decisions)
    write_json(folder.staging / MANIFEST, _manifest(folder, stored.facts, stored.verdict).model_dump(mode="json"))


def _write_card(folder: RunFolder, tables: Sequence[Path], stored: Stored, decided: Decisions) -> None:
    files, rows = {path.name: sha256(path) for path in tables}, stored.facts.rows["synthetic"]
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
    for path in folder.staging.glob("synthetic[.-]*"):
        path.replace(folder.quarantine / path.name)
    sync_folder(folder.quarantine)
    shutil.rmtree(folder.staging)


def _manifest(folder: RunFolder, facts: RunFacts, verdict: Verdict) -> Manifest:
    policy = verdict.policy
    return Manifest(
        format="synthrelease-manifest",
        version=1,
        created=facts.created,
        synthrelease=facts.versions["synthrelease"],
        verdict=verdict.decision,
        policy=PolicyNamed(name=policy.name, version=policy.version, sha256=policy.digest),
        files=_digests(folder.staging),
        internal_files=_digests(folder.internal, skip=("digest.key", "sign-offs.jsonl")),
    )


def read_manifest(folder: RunFolder) -> Manifest:
    """Read the manifest of a release.

    Raises:
        SigningError: it is missing, damaged, or of another version.
    """
    path = folder.release / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise SigningError(
            f"{path} is missing, damaged, or of a version that is not known here. Nothing was handed over. Restore the "
            "folder, or use the version of synthrelease that made it."
        ) from None


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
