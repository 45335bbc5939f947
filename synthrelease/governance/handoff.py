"""The hand-off: one package of a released run for one recipient, sealed, signed and, if wanted, locked for them."""

from __future__ import annotations

import glob
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pyrage

from synthrelease.core.errors import InputError, SigningError
from synthrelease.core.files import sha256, sync_folder
from synthrelease.governance import approval_records, copies_list, package_format, register, release_bundle, sign_off
from synthrelease.governance.approval_records import SignOff, Waiver, digest
from synthrelease.governance.keys import Key
from synthrelease.governance.package_format import Asked, Contents, Opener
from synthrelease.governance.register_events import HandedOver
from synthrelease.governance.sign_off import Case

_READ_ME = """This package holds synthetic data, made for {recipient}.

{table} {what}. Read data-card.html first: it says how the table was made, under which
policy it was released, and what it must not be used for. policy.toml is that policy,
sign-offs.jsonl says who approved, and package.json lists every file with its SHA-256.

To check that it is whole, and who signed it, with synthrelease installed:

    synthrelease verify FILE.zip

and compare the fingerprints and the SHA-256 that this prints with those that the sender reads
to you over the telephone.
"""


_COPIES = """lists the copies of one synthetic table. Analyse all of them, never one alone:
what-you-may-conclude.html says how (combining.py for Python, combining.R for R)"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What was handed over: the file, and the SHA-256 of the zip (before it was locked, if it was)."""

    path: Path
    sha256: str
    contents: Contents


def hand_off(
    run: Path, recipient: str, out: Path, *, key: Key | None = None, locked_for: Sequence[str] = (),
    where: Path | None = None,
) -> Parcel:  # fmt: skip
    """Write the package of a released run; the register knows of it before it appears.

    Args:
        run: the folder of a run whose table is released.
        recipient: who receives it.
        out: a new file, ``.zip`` or, if locked, ``.zip.age``.
        key: signs the list of files.
        locked_for: age recipients (``age1...`` or an SSH public key); then only they can open it.
        where: the register's folder, or None for the usual one.

    Raises:
        SigningError: a sign-off is missing or void, a waiver has expired, or a file changed since the verdict.
        InputError: ``out`` is taken or its name does not fit, or a recipient's key is none.
    """
    recipients = [_recipient(each) for each in locked_for]
    _check_out(out, is_locked=bool(recipients))
    with sign_off.held(run, where) as case:
        _check_may_leave(case)
        files = _files(case, approval_records.line("recipient", recipient))
        contents = _contents(case, recipient, files, key)
        files[package_format.LIST] = package_format.from_bytes(_listed(contents))
        if key is not None:
            files[package_format.SIGNATURE] = package_format.from_bytes(_signature(key, contents))
        for left in out.parent.glob(f".{glob.escape(out.name)}.*.part*"):
            left.unlink()  # by a process that was killed before it could name its package
        fresh = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
        try:
            sealed = _write(fresh, files, recipients)
            facts = case.stored.facts
            noted = HandedOver(
                run=facts.run, run_id=facts.run_id, recipient=recipient, package=sealed, key=contents.key
            )
            register.append(case.trail.register, case.trail.source, noted)
            _appear(fresh, out)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(out.parent)
    return Parcel(out, sealed, contents)


def _appear(fresh: Path, out: Path) -> None:
    """Give the whole file its name in one step, and never over one that has appeared meanwhile."""
    try:
        os.link(fresh, out)
    except FileExistsError:
        raise InputError(f"--out must name a new file, however {out} has appeared meanwhile. Rename it.") from None
    except OSError:  # a file system without links
        fresh.rename(out)


def _recipient(text: str) -> object:
    for kind in (pyrage.x25519.Recipient, pyrage.ssh.Recipient):
        try:
            return kind.from_str(text.strip())
        except pyrage.RecipientError:
            continue
    raise InputError(
        "A package is locked for an age recipient (age1...) or an SSH public key, however --encrypt-to holds neither. "
        "Ask the recipient for the output of `synthrelease keygen --encryption` or age-keygen."
    )


def _check_out(out: Path, *, is_locked: bool) -> None:
    suffix = ".zip.age" if is_locked else ".zip"
    if out.exists() or out.is_symlink() or not out.name.endswith(suffix):
        found = "exists" if out.exists() or out.is_symlink() else "does not"
        raise InputError(f"--out must name a new file that ends in {suffix}, however {out} {found}. Rename it.")
    if not out.parent.is_dir():
        raise InputError(f"--out must lie in a folder that exists, however {out.parent} does not. Make it first.")


def _check_may_leave(case: Case) -> None:
    at, folder = case.standing, case.folder.path
    if at.rejection is not None:
        raise SigningError(
            f"Only an approved table is handed over, however {at.rejection.reviewer} rejected {folder}. Build again."
        )
    if at.missing or at.unmet:
        reasons = [f"the {role} has not approved" for role in at.missing] + [f"{rule} is not met" for rule in at.unmet]
        told = "; ".join([*reasons, *at.void])
        raise SigningError(
            f"Only a table that everybody has approved is handed over, however: {told}. Sign with `synthrelease "
            f"sign-off {folder}` or `synthrelease review {folder}`."
        )
    listed = release_bundle.read_manifest(case.folder).files
    found = {p.name: sha256(p) for p in case.folder.release.iterdir() if p.is_file()}
    wrong = sorted(
        name for name in {*listed, *found} - {release_bundle.MANIFEST} if listed.get(name) != found.get(name)
    )
    if wrong:
        raise SigningError(
            f"What is handed over must be what was released, however {', '.join(wrong)} in {case.folder.release} "
            f"{'has' if len(wrong) == 1 else 'have'} changed since. Restore the folder, or build again."
        )


def _files(case: Case, recipient: str) -> dict[str, tuple[int, Opener]]:
    """Everything that goes into the package but its list and its signature."""
    files = {path.name: package_format.from_path(path) for path in sorted(case.folder.release.iterdir())}
    at = case.standing
    records: list[SignOff | Waiver] = [*at.waived.values(), *at.approvals.values()]
    given = sorted({digest(each): _listing(each) for each in records}.items())
    files[package_format.SIGN_OFFS] = package_format.from_bytes("".join(f"{line}\n" for _, line in given).encode())
    files[package_format.POLICY] = package_format.from_path(case.folder.internal / "policy.toml")
    table = case.stored.table
    text = _READ_ME.format(
        recipient=recipient, table=table, what=_COPIES if table == copies_list.NAME else "is the table"
    )
    files[package_format.READ_ME] = package_format.from_bytes(text.encode())
    return files


def _listing(record: SignOff | Waiver) -> str:
    """A record as it leaves: a waiver's reason goes with it, an approval's stays in the hospital."""
    return json.dumps(approval_records.plain(approval_records.outward(record)), ensure_ascii=False, sort_keys=True)


def _contents(
    case: Case, recipient: str, files: Mapping[str, tuple[int, Opener]], key: Key | None
) -> Contents:  # fmt: skip
    policy, at = case.policy, case.standing
    asked = Asked(
        name=policy.name,
        version=policy.version,
        sha256=case.target.digests["policy.toml"],
        sign_off=policy.sign_off,
        two_people=policy.signing.two_people,
        keys=policy.signing.keys,
        fingerprints=dict(policy.signing.fingerprints),
        waived=tuple(sorted(at.waived)),
    )
    return Contents(
        format="synthrelease-package",
        version=1,
        synthrelease=metadata.version("synthrelease"),
        label="synthetic data",
        run=case.stored.facts.run,
        run_id=case.stored.facts.run_id,
        recipient=recipient,
        table=case.stored.table,
        policy=asked,
        valid_until=min((each.until.isoformat() for each in at.waived.values()), default=None),
        key=None if key is None else key.fingerprint,
        files={name: package_format.member(content) for name, content in sorted(files.items())},
    )


def _listed(contents: Contents) -> bytes:
    return (json.dumps(contents.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def _signature(key: Key, contents: Contents) -> bytes:
    return (json.dumps({"public_key": key.public, "signature": key.sign(_listed(contents))}) + "\n").encode()


def _write(fresh: Path, files: Mapping[str, tuple[int, Opener]], recipients: Sequence[object]) -> str:
    """Write the package aside, locked if it has recipients, and return the SHA-256 of the zip."""
    plain = fresh.with_name(f"{fresh.name}.zip") if recipients else fresh
    handle = os.open(plain, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            package_format.write(file, files)
            file.flush()
            os.fsync(file.fileno())
        sealed = sha256(plain)
        if recipients:
            pyrage.encrypt_file(str(plain), str(fresh), recipients)
            with fresh.open("rb+") as file:
                os.fsync(file.fileno())
        return sealed
    finally:
        if recipients:
            plain.unlink(missing_ok=True)
