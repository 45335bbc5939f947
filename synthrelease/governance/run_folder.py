"""The run folder: claimed by one process, never overwritten by accident, and honest about runs that were cut short.

``run.json`` says whether a run is under way or finished. The folder ``release/`` appears by one rename, as the very
last step of a run, so a run that was killed at any moment has none.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from synthrelease.core.contracts import Decision
from synthrelease.core.errors import RunFolderError
from synthrelease.core.files import write_json

_OURS = ("internal", "quarantine", "release", ".staging", "run.json", "run.json.new", ".lock")


class RunState(BaseModel):
    """What ``run.json`` says that decides what may be done in a folder; the rest of it is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    state: Literal["running", "finished"] | None = None
    decision: Decision | None = None
    created: str = ""
    needs_sign_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps its files. ``notices`` says what was found when the folder was claimed."""

    path: Path
    notices: tuple[str, ...]

    @property
    def internal(self) -> Path:
        """For the steward and the reviewer: holds facts about real patients."""
        return self.path / "internal"

    @property
    def quarantine(self) -> Path:
        """Where the synthetic table waits for its verdict."""
        return self.path / "quarantine"

    @property
    def staging(self) -> Path:
        """The release while it is put together; renamed to ``release`` when whole."""
        return self.path / ".staging"

    @property
    def release(self) -> Path:
        """What may leave the house; exists only when whole."""
        return self.path / "release"

    def record(self, state: Literal["running", "finished"], facts: Mapping[str, Any]) -> None:
        """Replace ``run.json`` in one step."""
        write_json(self.path / "run.json.new", {"state": state, **facts})
        (self.path / "run.json.new").replace(self.path / "run.json")


@contextmanager
def claimed(path: Path, *, force: bool, started: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Claim ``path`` for this process; if the run does not finish, take away everything it has written.

    Raises:
        RunFolderError: the folder holds a finished run (and not ``force``), a run under way, or somebody else's files;
            or it cannot be written to.
    """
    existed = path.is_dir()
    lock = _locked(path)
    finished = False
    try:
        folder = RunFolder(path, _clear(path, force))
        try:
            with _as_unwritable(path):
                folder.record("running", started)
                for inner in (folder.internal, folder.quarantine):
                    inner.mkdir(mode=0o700)
            yield folder
            finished = True
        finally:
            if not finished:
                _remove_ours(path)
    finally:
        lock.release()
        if not finished and not existed:
            (path / ".lock").unlink(missing_ok=True)
            path.rmdir()


def _locked(path: Path) -> FileLock:
    """Make the folder and take its lock, which the system gives back however the process ends."""
    if path.is_symlink() and not path.exists():
        raise RunFolderError(
            f"The run folder must be a folder, however {path} is a link to nothing. Choose another --out."
        )
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"The run folder must be a folder, however {path} is a file. Choose another --out.")
    strangers = [entry.name for entry in path.iterdir() if entry.name not in _OURS] if path.is_dir() else []
    if strangers:
        raise RunFolderError(
            f"The run folder must be new or hold a run of ours, however {path} holds {len(strangers)} other files or "
            "folders. Choose another --out; --force does not delete them."
        )
    lock = FileLock(path / ".lock", timeout=0)
    try:
        with _as_unwritable(path):
            path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"Only one run may work in a folder, however another is at work in {path}. Wait for it or choose another "
            "--out."
        ) from None
    return lock


@contextmanager
def _as_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:  # an OSError too, and not one of the system's
        raise
    except OSError as error:
        raise RunFolderError(
            f"The run folder must be writable, however {path} is not ({error.strerror}). Choose another --out."
        ) from None


def _clear(path: Path, force: bool) -> tuple[str, ...]:
    """Make room for a new run where that loses nothing; say what was found."""
    found = {entry.name for entry in path.iterdir()} - {".lock"}
    if not found:
        return ()
    state = _state(path)
    whole = state.state == "finished" and _is_whole(path, state, found)
    if whole and not force:
        raise RunFolderError(
            f"A finished run is never overwritten, however {path} holds one (verdict: {state.decision}). Choose "
            "another --out, or use --force to replace it."
        )
    _remove_ours(path)
    if whole:
        return (f"Replaced the finished run in {path} (verdict: {state.decision}), as --force demands.",)
    begun = f" begun {state.created}" if state.created else ""
    return (f"Found an unfinished run{begun} in {path}; it had released nothing. Cleared it and went on.",)


def _is_whole(path: Path, state: RunState, found: set[str]) -> bool:
    """Whether a finished run was not cut short: released at once, or waiting for signatures, or decided by people."""
    waits = bool(state.needs_sign_off) or (path / "internal" / "sign-offs.jsonl").exists()
    return state.decision != "release" or "release" in found or waits


@contextmanager
def reopened(path: Path, *, wait_seconds: float = 10.0) -> Iterator[RunFolder]:
    """Hold the folder of a finished run, so that no other process works in it.

    Raises:
        RunFolderError: there is no finished run, or another process does not let go of it.
    """
    if _state(path).state != "finished":
        raise RunFolderError(
            f"A finished run is needed, however {path} holds none. Give the folder that `synthrelease build --out` "
            "named."
        )
    try:
        with FileLock(path / ".lock", timeout=wait_seconds):
            yield RunFolder(path, ())
    except Timeout:
        raise RunFolderError(
            f"One process at a time works in a run folder, however another is at work in {path}. Try again later."
        ) from None


def _state(path: Path) -> RunState:
    try:
        return RunState.model_validate_json((path / "run.json").read_bytes())
    except (OSError, ValidationError):
        return RunState()


def _remove_ours(path: Path) -> None:
    # release goes first: a removal cut short must not leave a release without its run
    for name in ("release", *(name for name in _OURS if name != ".lock")):
        entry = path / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
