"""What a recipient can tell from a package alone: whether it is whole, who signed it, and whether it may be used.

Every answer that is not yes names the file and what to do. Nothing in the package is trusted before it was checked, and
nothing is written unless the whole package is intact.
"""

from __future__ import annotations

import errno
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyrage
from pydantic import ValidationError

from synthrelease.core.contracts import Policy, Signing
from synthrelease.core.errors import InputError
from synthrelease.core.files import sha256
from synthrelease.core.formatting import clean, grouped, plain_fingerprint
from synthrelease.governance import approval_records, copies_list, keys, package_format, standing
from synthrelease.governance.approval_records import BoundFile, Signature, SignOff, Waiver
from synthrelease.governance.package_format import Contents
from synthrelease.governance.typed_json import is_of_another_version

_AGE = b"age-encryption.org/"
_ASK = "Ask the sender for the package again, and by another way"
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError, OverflowError, ValueError,
    struct.error, OSError, KeyError, IndexError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be: the file, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. ``contents`` is None where not even the list of files could be read."""

    sha256: str
    problems: tuple[Problem, ...]
    contents: Contents | None = None
    records: tuple[SignOff | Waiver, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether every check passed."""
        return not self.problems and self.contents is not None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the recipient knows from elsewhere.

    ``fingerprint``: of the key that the sender signs with. ``sha256``: of the zip. ``identity``: the key file that
    opens a locked package.
    """

    fingerprint: str | None = None
    sha256: str | None = None
    identity: Path | None = None


_NO_FAULT_OF_THE_PACKAGE = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def verify(
    path: Path, expected: Expected | None = None, *, extract: Path | None = None, today: date | None = None
) -> Verification:
    """Check a package on its own; with ``extract``, also write its files there, if it is intact.

    Raises:
        InputError: no such file, a locked package without the key to it, or ``extract`` is taken.
        OSError: ``extract`` cannot be written; that says nothing about the package.
    """
    expected = expected or Expected()
    if extract is not None and extract.exists() and not (extract.is_dir() and not any(extract.iterdir())):
        raise InputError(f"--extract must name a new or empty folder, however {extract} is not. Choose another.")
    try:
        package = path.open("rb")
    except OSError as error:
        raise InputError(f"A package must be a file to read, however {path} is not ({error.strerror}).") from None
    with package:
        if package.read(len(_AGE)) != _AGE:
            return _verify(package, expected, extract, today or datetime.now(UTC).date())
    with tempfile.TemporaryDirectory(prefix="synthrelease-") as folder:
        opened = Path(folder) / "package.zip"
        if (problem := _unlock(path, opened, expected.identity)) is not None:
            return Verification(sha256(path), (problem,))
        with opened.open("rb") as file:
            return _verify(file, expected, extract, today or datetime.now(UTC).date())


def _unlock(path: Path, opened: Path, identity: Path | None) -> Problem | None:
    if identity is None:
        raise InputError("This package is locked for a recipient, however --identity is not given. Give your key file.")
    try:
        text = identity.read_text(encoding="utf-8")
        secret = next(line.strip() for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-"))
        mine = pyrage.x25519.Identity.from_str(secret)
    except (OSError, StopIteration, UnicodeDecodeError, pyrage.IdentityError):
        raise InputError(
            f"--identity must be an age identity file, however {identity} is not. Check the path."
        ) from None
    try:
        pyrage.decrypt_file(str(path), str(opened), [mine])
    except (pyrage.DecryptError, OSError):
        return Problem(path.name, f"it does not open with this key: it was locked for another, or changed. {_ASK}")
    return None


def _verify(file: BinaryIO, expected: Expected, extract: Path | None, today: date) -> Verification:
    file.seek(0)
    sealed = package_format.hashed(file)
    found = Verification(sealed, ())
    try:
        with zipfile.ZipFile(file) as opened:
            size = file.seek(0, 2)
            if problems := tuple(_entries(opened, size)):
                return replace(found, problems=problems)
            found = _looked_through(opened, file, found, today)
            found = replace(found, problems=(*found.problems, *_unexpected(found, expected)))
            if extract is not None and found.is_intact:
                _extract(opened, extract)
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in _NO_FAULT_OF_THE_PACKAGE:
            raise
        problem = Problem("the zip file", f"it cannot be read as a package: it is cut short or changed. {_ASK}")
        return replace(found, problems=(*found.problems, problem))
    return found


def _entries(opened: zipfile.ZipFile, size: int) -> Iterator[Problem]:
    """What is wrong with the entries of a zip, before any of them is read."""
    entries = opened.infolist()
    if len(entries) > package_format.MOST_FILES:
        yield Problem("the zip file", f"it holds {len(entries):,} files, and a package holds few")
    seen: set[str] = set()
    for entry in entries[: package_format.MOST_FILES]:
        name = clean(entry.orig_filename)[:100]
        if (why := package_format.trouble(entry)) is not None:
            yield Problem(name, f"{why}. Do not unpack it; {_ASK[0].lower()}{_ASK[1:]}")
        if entry.filename.casefold() in seen:
            yield Problem(name, f"it is there twice, and programs differ in which they unpack. {_ASK}")
        seen.add(entry.filename.casefold())
    if sum(entry.file_size for entry in entries) > size:
        yield Problem("the zip file", "its files claim to be larger than it is: a zip bomb. Do not unpack it")


def _looked_through(opened: zipfile.ZipFile, file: BinaryIO, found: Verification, today: date) -> Verification:
    texts, unread = _texts(opened)
    if unread:
        return replace(found, problems=tuple(unread))
    try:
        contents = Contents.model_validate_json(texts.get(package_format.LIST, b""))
    except ValidationError as error:
        why = f"{'it is missing' if package_format.LIST not in texts else 'it is no list of files'}. {_ASK}"
        if is_of_another_version(error):
            why = "the package is of a version that is not known here. Verify with a later synthrelease"
        return replace(found, problems=(Problem(package_format.LIST, why),))
    problems = [*_files(opened, contents), *_copies(texts, contents), *_signature(texts, contents)]
    records, wrong = _records(texts.get(package_format.SIGN_OFFS, b""))
    problems += wrong or _sign_offs(contents, records, today)
    if not problems and not _is_canonical(opened, file):
        problems.append(
            Problem("the zip file", f"bytes between or behind its files are not as they were written. {_ASK}")
        )
    return replace(found, problems=tuple(problems), contents=contents, records=records)


def _texts(opened: zipfile.ZipFile) -> tuple[dict[str, bytes], list[Problem]]:
    """The small files that say something about the others."""
    texts, problems = {}, []
    for name in (package_format.LIST, package_format.SIGNATURE, package_format.SIGN_OFFS, copies_list.NAME):
        if name in opened.NameToInfo:
            if opened.getinfo(name).file_size > package_format.LARGEST_TEXT:
                problems.append(Problem(name, f"it is larger than such a file can be. {_ASK}"))
                continue
            try:
                texts[name] = opened.read(name)
            except _UNREADABLE:
                problems.append(Problem(name, f"it was changed: its checksum does not fit. {_ASK}"))
    return texts, problems


def _files(opened: zipfile.ZipFile, contents: Contents) -> Iterator[Problem]:
    there = set(opened.namelist()) - {package_format.LIST, package_format.SIGNATURE}
    for name in sorted(there - set(contents.files)):
        yield Problem(clean(name), f"it does not belong to the package: {package_format.LIST} does not list it. {_ASK}")
    for name, listed in contents.files.items():
        if name not in there:
            yield Problem(clean(name), f"it is missing. {_ASK}")
            continue
        try:
            with opened.open(name) as file:
                digest = package_format.hashed(file)
        except _UNREADABLE:
            digest = ""
        if digest != listed.sha256:
            yield Problem(clean(name), f"it was changed: its SHA-256 is not the one in {package_format.LIST}. {_ASK}")
    wanted = {
        contents.table,
        package_format.POLICY,
        package_format.SIGN_OFFS,
        "data-card.html",
        "data-card.json",
        "manifest.json",
    }
    for name in sorted(wanted - set(contents.files)):
        yield Problem(clean(name), f"every package has one, and {package_format.LIST} does not list it. {_ASK}")
    if (
        package_format.POLICY in contents.files
        and contents.files[package_format.POLICY].sha256 != contents.policy.sha256
    ):
        yield Problem(package_format.POLICY, f"it is not the policy that {package_format.LIST} names. {_ASK}")


def _copies(texts: Mapping[str, bytes], contents: Contents) -> Iterator[Problem]:
    """Hold the copies against the list that sign-offs are bound to, where the table is a list of copies."""
    if contents.table != copies_list.NAME:
        return
    listed = copies_list.read(texts.get(copies_list.NAME, b""))
    if listed is None:
        yield Problem(copies_list.NAME, f"it is no list of copies that is known here. {_ASK}")
        return
    for name, digest in listed.copies.items():
        if name not in contents.files or contents.files[name].sha256 != digest:
            yield Problem(clean(name), f"it is not the copy that {copies_list.NAME} lists. {_ASK}")


def _signature(texts: Mapping[str, bytes], contents: Contents) -> Iterator[Problem]:
    if contents.key is None:
        if package_format.SIGNATURE in texts:
            yield Problem(package_format.SIGNATURE, f"the package says that nobody signed it. {_ASK}")
        return
    try:
        found = Signature.model_validate_json(texts.get(package_format.SIGNATURE, b""))
    except ValidationError:
        yield Problem(package_format.SIGNATURE, f"the signature is missing or damaged. {_ASK}")
        return
    if keys.fingerprint(found.public_key) != contents.key:
        yield Problem(package_format.SIGNATURE, f"another key signed than {package_format.LIST} names. {_ASK}")
    elif not keys.is_signed(texts[package_format.LIST], public=found.public_key, signature=found.signature):
        yield Problem(package_format.LIST, f"it was changed after it was signed: the signature does not fit. {_ASK}")


def _records(content: bytes) -> tuple[tuple[SignOff | Waiver, ...], list[Problem]]:
    try:
        found = tuple(approval_records.read(line) for line in content.decode().splitlines())
    except ValidationError as error:
        why = f"it cannot be read as sign-offs. {_ASK}"
        if is_of_another_version(error):
            why = "it holds a decision of a kind or version that is not known here. Verify with a later synthrelease"
        return (), [Problem(package_format.SIGN_OFFS, why)]
    except ValueError:
        return (), [Problem(package_format.SIGN_OFFS, f"it cannot be read as sign-offs. {_ASK}")]
    return found, []


def _sign_offs(contents: Contents, records: Sequence[SignOff | Waiver], today: date) -> list[Problem]:
    """Hold the sign-offs against what the policy asks for."""
    asked, problems = contents.policy, []
    rules = _as_policy(contents)
    here: dict[BoundFile, str] = {
        "table": contents.files[contents.table].sha256 if contents.table in contents.files else ""
    }
    here |= {"policy.toml": asked.sha256}
    sound: list[SignOff | Waiver] = []
    for record in records:
        wrong = [*standing.faults(record, rules), *_misfits(record, contents, here)]
        problems += [Problem(package_format.SIGN_OFFS, clean(text)) for text in wrong]
        sound += [] if wrong else [record]
    waivers = [each for each in sound if isinstance(each, Waiver)]
    problems += [
        Problem(
            package_format.SIGN_OFFS,
            f"the waiver of {clean(each.rule)} expired on {each.until}. Do not use the table any longer; ask the "
            "sender for a package under a new one",
        )
        for each in waivers
        if standing.is_over(each, today)
    ]
    approvals = [each for each in sound if isinstance(each, SignOff)]
    return [*problems, *_missing(contents, waivers, approvals)]


def _as_policy(contents: Contents) -> Policy:
    asked = contents.policy
    known = {role: tuple(each) for role, each in asked.fingerprints.items()}
    return Policy(
        name=asked.name, version=asked.version, title="", recipient="", sign_off=tuple(asked.sign_off), confidence=0.95,
        rules=(), digest=asked.sha256, signing=Signing(asked.two_people, asked.keys, known),
    )  # fmt: skip


def _misfits(record: SignOff | Waiver, contents: Contents, here: Mapping[BoundFile, str]) -> Iterator[str]:
    who = approval_records.named(record)
    if record.run_id != contents.run_id:
        yield f"{who} belongs to another run ({record.run}), not to this one. {_ASK}"
        return
    if isinstance(record, Waiver) and not approval_records.reason_fits(record):
        yield f"the reason of {who} was changed. {_ASK}"
    for name, value in here.items():
        if record.bound.get(name) != value:
            yield f"{who} was given for another {'table' if name == 'table' else 'policy'} than this one. {_ASK}"


def _missing(contents: Contents, waivers: Sequence[Waiver], approvals: Sequence[SignOff]) -> Iterator[Problem]:
    asked = contents.policy
    covered = sorted(approval_records.digest(each) for each in waivers)
    by_role = {each.role: each for each in approvals}
    for role in asked.sign_off:
        if role not in by_role:
            yield Problem(
                package_format.SIGN_OFFS, f"the {clean(role)} has not approved, as {clean(asked.name)} asks. {_ASK}"
            )
    for each in approvals:
        if each.decision != "approve":
            yield Problem(package_format.SIGN_OFFS, f"{clean(each.reviewer)} rejected the table. Do not use it")
        if sorted(each.waivers) != covered:
            yield Problem(
                package_format.SIGN_OFFS, f"{clean(each.reviewer)} approved with other waivers than these. {_ASK}"
            )
    for rule in asked.waived:
        if rule not in {each.rule for each in waivers}:
            yield Problem(package_format.SIGN_OFFS, f"the waiver of {clean(rule)} is missing. {_ASK}")
    needed = [each for role, each in by_role.items() if role in asked.sign_off]
    if asked.two_people and any(
        standing.same_person(one, other) for at, one in enumerate(needed) for other in needed[:at]
    ):
        yield Problem(
            package_format.SIGN_OFFS, f"one person signed for two roles; {clean(asked.name)} asks for two. {_ASK}"
        )


def _is_canonical(opened: zipfile.ZipFile, file: BinaryIO) -> bool:
    """Whether the package is, to the byte, what writing its files anew gives."""

    def opener(name: str) -> Callable[[], Any]:
        return lambda: opened.open(name)

    with tempfile.TemporaryFile(prefix="synthrelease-") as again:
        files = {entry.filename: (entry.file_size, opener(entry.filename)) for entry in opened.infolist()}
        package_format.write(again, files)
        digests = []
        for each in (again, file):
            each.seek(0)
            digests.append(package_format.hashed(each))
    return digests[0] == digests[1]


def _unexpected(found: Verification, expected: Expected) -> Iterator[Problem]:
    if expected.sha256 is not None and plain_fingerprint(expected.sha256) != found.sha256:
        yield Problem("the zip file", f"its SHA-256 is {found.sha256}, which is not the one you gave. {_ASK}")
    if expected.fingerprint is not None and found.contents is not None:
        key, wanted = found.contents.key, plain_fingerprint(expected.fingerprint)
        if key is None:
            yield Problem(package_format.SIGNATURE, f"nobody signed the package, and you expect a signature. {_ASK}")
        elif key != wanted:
            yield Problem(
                package_format.SIGNATURE,
                f"it was signed with the key {grouped(key)}, which is not the one you gave. {_ASK}",
            )


def _extract(opened: zipfile.ZipFile, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in opened.namelist():  # every name was checked to be plain
        with opened.open(name) as source, (folder / name).open("xb") as target:
            while block := source.read(2**20):
                target.write(block)
