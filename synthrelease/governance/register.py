"""The register: for every source of real data an append-only log of what was done with it, chained by hashes.

It lies on the machine (or on a folder that stewards share) and holds no data: a source is known by the HMAC of its
file under the register's own key. Each entry carries the SHA-256 of the one before it and an HMAC; how many entries
there are and the hash of the last stand in ``heads.json`` too. So edits, swapped and removed entries show, and so does
a log that was cut short. Who holds the key can write a register anew: entries are therefore also named in reports.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from synthrelease.core.errors import RegisterError
from synthrelease.core.files import sync_folder, utc_now, write_text
from synthrelease.governance import register_events
from synthrelease.governance.keys import canonical
from synthrelease.governance.register_events import Entry, Noted
from synthrelease.governance.typed_json import STRICT, Hex64

PLACE = "SYNTHRELEASE_REGISTER"
"""The environment variable that names the register's folder."""
WAIT_SECONDS = 30.0


_KEYS = {"number", "time", "source", "event", "facts", "previous"}
"""What an entry of version 1 holds, besides its MAC."""


class UnknownEntryError(RegisterError):
    """An entry is as it was written, by a version of this package that knows more events or other facts of one."""


class _Head(BaseModel):
    """How many entries a log has, and the hash of the last."""

    model_config = STRICT
    entries: int
    hash: Hex64


class _HeadsFile(BaseModel):
    """``heads.json``: the end of each log, by source."""

    model_config = STRICT
    heads: dict[str, _Head]
    mac: Hex64


@dataclass(frozen=True, slots=True)
class Register:
    """An open register: its folder and its key."""

    folder: Path
    key: bytes

    def mac(self, purpose: str, content: bytes) -> str:
        """HMAC-SHA256 under a key of its own for each purpose, as hex."""
        return hmac.new(hmac.digest(self.key, purpose.encode(), "sha256"), content, "sha256").hexdigest()

    def log(self, source: str) -> Path:
        """The log of a source."""
        return self.folder / f"{source}.jsonl"


def place(chosen: Path | None = None) -> Path:
    """Where the register lies: as chosen, as the environment says, or in the user's data folder."""
    if chosen is not None:
        return chosen
    named = os.environ.get(PLACE, "")
    return Path(named) if named else Path(platformdirs.user_data_dir("synthrelease", appauthor=False)) / "register"


def opened(chosen: Path | None = None) -> Register:
    """Open the register, and begin one where there is none.

    Raises:
        RegisterError: the folder cannot be written to, or its key is gone while its logs are there.
    """
    folder = place(chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(folder):
            return Register(folder, _key(folder))
    except OSError as error:
        raise RegisterError(
            f"The register must be in a folder that can be written to, however {folder} is not ({error.strerror}). "
            f"Name another with --register or {PLACE}."
        ) from None


def _key(folder: Path) -> bytes:
    path = folder / "register.key"
    try:
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        if any(folder.glob("*.jsonl")) or (folder / "heads.json").exists():
            raise RegisterError(
                f"A register is checked with its key, however {path} is missing. Restore it from a backup, or begin "
                "another register with --register and tell whoever signs."
            ) from None
    except ValueError:
        raise RegisterError(f"The key of the register, {path}, is damaged. Restore it from a backup.") from None
    key = secrets.token_bytes(32)
    fresh = folder / f".{secrets.token_hex(4)}.new"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(folder)
    return key


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time read and write; the lock may be taken again by whoever holds it."""
    lock = FileLock(folder / ".lock", timeout=WAIT_SECONDS, is_singleton=True)
    try:
        with lock:
            yield
    except Timeout:
        raise RegisterError(
            f"One process at a time writes the register, however another has held {folder} for {WAIT_SECONDS:.0f} s. "
            "Wait for it, then try again."
        ) from None


@contextmanager
def held(register: Register) -> Iterator[None]:
    """Keep others out between looking and writing."""
    with _lock(register.folder):
        yield


def sources(register: Register) -> tuple[str, ...]:
    """Every source that the register knows: those with a log, and those that should have one."""
    logs = {path.stem for path in register.folder.glob("*.jsonl")}
    return tuple(sorted(logs | set(_heads(register))))


def entries(register: Register, source: str) -> tuple[Entry, ...]:
    """All entries of a source, oldest first; none for a source that was never met.

    Raises:
        RegisterError: the log is not as it was written; the message says in what.
    """
    with _lock(register.folder):
        return _read(register, source)[0]


def append(register: Register, source: str, noted: Noted) -> Entry:
    """Write one entry and wait until it is on the disk. A process killed here leaves the log as it was, or with it.

    Raises:
        RegisterError: the log is not as it was written, or holds an entry that is not known; nothing is added then.
    """
    with _lock(register.folder):
        known, whole = _read(register, source)
        log = register.log(source)
        last = known[-1] if known else None
        line, entry = _next(register, source, noted, last)
        with log.open("r+b" if log.exists() else "x+b") as file:
            file.truncate(whole)  # what a killed process left of an entry was never counted
            file.seek(whole)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(register.folder)
        _count(register, source, entry)
        return entry


def _next(register: Register, source: str, noted: Noted, last: Entry | None) -> tuple[bytes, Entry]:
    """The line that comes after ``last``, and what it says."""
    number, now = 1 if last is None else last.number + 1, utc_now()
    content = {
        "number": number,
        "time": now,
        "source": source,
        "event": noted.event,
        "facts": register_events.plain_facts(noted),
        "previous": "" if last is None else last.hash,
    }
    line = canonical({**content, "mac": register.mac("entry", canonical(content))})
    return line, Entry(number, now, noted, hashlib.sha256(line).hexdigest())


def _read(register: Register, source: str) -> tuple[tuple[Entry, ...], int]:
    """The entries of a log, checked, and how many bytes of it are whole."""
    log, head = register.log(source), _heads(register).get(source)
    if not log.exists():
        if head is not None:
            raise _broken(log, f"the whole log of {head.entries} entries is gone")
        return (), 0
    content = log.read_bytes()
    whole = content.rfind(b"\n") + 1
    found: list[Entry] = []
    for line in content[:whole].splitlines():
        found.append(_checked(register, source, line, found[-1] if found else None, log))
    if head is None and len(found) > 1:
        raise _broken(log, "heads.json does not know of it")
    if head is not None:
        _check_head(log, found, head)
        if len(found) > head.entries:  # killed between the entry and its counting
            _count(register, source, found[-1])
    elif found:
        _count(register, source, found[-1])
    return tuple(found), whole


def _checked(register: Register, source: str, line: bytes, last: Entry | None, log: Path) -> Entry:
    """One line as an entry, if it is ours, where it belongs, and of a version and event that are known."""
    number = 1 if last is None else last.number + 1
    try:
        content = json.loads(line)
        mac = content.pop("mac")
        is_ours = hmac.compare_digest(mac, register.mac("entry", canonical(content)))
        place, owner, previous = content["number"], content["source"], content["previous"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _broken(log, f"entry {number} cannot be read") from None
    if not is_ours or canonical({**content, "mac": mac}) != line:
        raise _broken(log, f"entry {number} was changed or written by someone without the register's key")
    if owner != source:
        raise _broken(log, f"entry {number} belongs to another source")
    if place != number or previous != ("" if last is None else last.hash):
        raise _broken(log, f"entry {place} stands where entry {number} belongs: entries were removed or swapped")
    return _understood(content, line, log)


def _understood(content: Mapping[str, Any], line: bytes, log: Path) -> Entry:
    """An entry that is ours, typed; whoever holds the key wrote it, so what is not understood is no damage."""
    try:
        if content.keys() != _KEYS or "event" in content["facts"]:
            raise _unknown(content, log)
        facts = register_events.read(content["event"], content["facts"])
    except (ValidationError, TypeError):
        raise _unknown(content, log) from None
    return Entry(content["number"], content["time"], facts, hashlib.sha256(line).hexdigest())


def _unknown(content: Mapping[str, Any], log: Path) -> UnknownEntryError:
    return UnknownEntryError(
        f"Entry {content['number']} in {log} was written by another version of synthrelease, and this one cannot read "
        f"it (event: {content.get('event')}, version {content.get('version', 1)}). Nothing was added. Use the latest "
        "version of synthrelease that works with this register."
    )


def _check_head(log: Path, found: list[Entry], head: _Head) -> None:
    if len(found) < head.entries:
        raise _broken(log, f"it was cut short: {head.entries} entries were written, {len(found)} are there")
    if found[head.entries - 1].hash != head.hash or len(found) > head.entries + 1:
        raise _broken(log, "its end is not the one that heads.json knows")


def _heads(register: Register) -> dict[str, _Head]:
    path = register.folder / "heads.json"
    try:
        file = _HeadsFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError:
        raise _broken(path, "it cannot be read") from None
    if not hmac.compare_digest(file.mac, _heads_mac(register, file.heads)):
        raise _broken(path, "it was changed or written by someone without the register's key")
    return file.heads


def _heads_mac(register: Register, heads: Mapping[str, _Head]) -> str:
    return register.mac("heads", canonical({source: head.model_dump() for source, head in heads.items()}))


def _count(register: Register, source: str, last: Entry) -> None:
    heads = {**_heads(register), source: _Head(entries=last.number, hash=last.hash)}
    file = _HeadsFile(heads=heads, mac=_heads_mac(register, heads))
    fresh = register.folder / "heads.json.new"
    write_text(fresh, json.dumps(file.model_dump(), indent=1) + "\n")
    fresh.replace(register.folder / "heads.json")
    sync_folder(register.folder)


def _broken(path: Path, what: str) -> RegisterError:
    return RegisterError(
        f"The register must be as it was written, however in {path} {what}. Nothing was added. Find out who changed "
        "it; restore the folder from a backup, or begin another register with --register and tell whoever signs."
    )


def check(register: Register, *, on_source: Callable[[str, tuple[Entry, ...]], None] | None = None) -> list[str]:
    """Check every log; return what is wrong with each that is not as it was written.

    Raises:
        UnknownEntryError: a log is as it was written, and holds an entry that is not known.
    """
    problems = []
    with _lock(register.folder):
        try:
            known = sources(register)
        except RegisterError as error:
            return [str(error)]
        for source in known:
            try:
                found = _read(register, source)[0]
            except UnknownEntryError:
                raise
            except RegisterError as error:
                problems.append(str(error))
            else:
                if on_source is not None:
                    on_source(source, found)
    return problems
