"""The format of a package: one zip whose every byte follows from the files in it.

Names are plain, files are stored and not packed, dates and rights are fixed, entries are sorted. So a package can be
written anew from its own files and compared byte by byte: nothing can hide between them, and nothing can unpack to more
than the package's own size. ``package.json`` lists every file with its SHA-256; ``package.sig`` signs that list.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Annotated, BinaryIO, Literal

from pydantic import BaseModel, Field

from synthrelease.governance.typed_json import STRICT, Hex64, Text

LIST, SIGNATURE, SIGN_OFFS, POLICY, READ_ME = (
    "package.json", "package.sig", "sign-offs.jsonl", "policy.toml", "READ-ME.txt",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_FILES = 50
LARGEST_TEXT = 8 * 2**20
"""Bytes of a file that is read as a whole: the list, the signature, the sign-offs."""
_MODE = (stat.S_IFREG | 0o644) << 16
_DATE = (1980, 1, 1, 0, 0, 0)


class Member(BaseModel):
    """One file of a package."""

    model_config = STRICT
    sha256: Hex64
    size: Annotated[int, Field(ge=0)]


class Asked(BaseModel):
    """What the policy asked for before the table could leave: what ``verify`` holds the sign-offs against."""

    model_config = STRICT
    name: Text
    version: Text
    sha256: Hex64
    sign_off: tuple[Text, ...]
    two_people: bool
    keys: Literal["optional", "required"]
    fingerprints: dict[str, tuple[Hex64, ...]]
    waived: tuple[Text, ...]
    """Blocking rules that are not met, and need a waiver each."""


class Contents(BaseModel):
    """``package.json``. ``key``: fingerprint of the key that signed the package, or None."""

    model_config = STRICT
    format: Literal["synthrelease-package"]
    version: Literal[1]
    synthrelease: Text
    label: Literal["synthetic data"]
    run: Text
    run_id: Text
    recipient: Text
    table: Text
    policy: Asked
    valid_until: str | None
    key: Hex64 | None
    files: dict[str, Member]


Opener = Callable[[], IO[bytes]]


def write(out: BinaryIO, files: Mapping[str, tuple[int, Opener]]) -> None:
    """Write a package.

    Args:
        out: an empty file, open for reading and writing, to be sought in.
        files: for each name the size in bytes, and what opens it.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as package:
        for name in sorted(files):
            size, opened = files[name]
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr, entry.compress_type = 3, _MODE, zipfile.ZIP_STORED
            entry.file_size = size  # decides whether the long form is needed, before the first byte is written
            with opened() as source, package.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 2**20)


def from_bytes(content: bytes) -> tuple[int, Opener]:
    """A file that is at hand as bytes."""
    return len(content), lambda: io.BytesIO(content)


def from_path(path: Path) -> tuple[int, Opener]:
    """A file on the disk."""
    return path.stat().st_size, lambda: path.open("rb")


def member(content: tuple[int, Opener]) -> Member:
    """How a file stands in the list."""
    size, opened = content
    with opened() as file:
        return Member(sha256=hashed(file), size=size)


def hashed(file: IO[bytes]) -> str:
    """SHA-256 of what is left to read of an open file, as hex."""
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def trouble(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry does not belong into a package, or None; looked at before anything is read."""
    if not NAME.fullmatch(entry.orig_filename) or entry.orig_filename != entry.filename:
        return "its name could lead out of the folder, or hides something"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a link"
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        return "it is packed, and could unpack to any size"
    if entry.flag_bits & 0x1:
        return "it is locked with a zip password"
    if kind != stat.S_IFREG or entry.is_dir():
        return "it is no plain file"
    return None
