"""Signing keys: Ed25519 in PEM files, the private one readable by its owner alone.

A public key is named by its fingerprint: SHA-256 of its 32 bytes, as 64 hex digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from synthrelease.core.errors import InputError

_PEM = serialization.Encoding.PEM
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
MINIMUM_PASSPHRASE = 8


@dataclass(frozen=True, slots=True)
class Key:
    """A private key in memory. ``public`` is the public key's 32 bytes as hex."""

    private: Ed25519PrivateKey
    public: str

    @property
    def fingerprint(self) -> str:
        """How the key is called."""
        return fingerprint(self.public)

    def sign(self, content: bytes) -> str:
        """The Ed25519 signature of ``content`` (RFC 8032), as hex."""
        return self.private.sign(content).hex()


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one spelling of a record that is signed and hashed: sorted keys, no blanks, UTF-8, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint(public: str) -> str:
    """SHA-256 of a public key's 32 bytes, as hex."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()


def generate(out: Path, *, passphrase: str = "") -> Key:
    """Make a key and write it to ``out`` (mode 0600) and its public half to ``out.pub``.

    Raises:
        InputError: a file of that name exists, or the passphrase is too short.
    """
    beside = out.with_name(f"{out.name}.pub")
    if passphrase and len(passphrase) < MINIMUM_PASSPHRASE:
        raise InputError(f"A passphrase has at least {MINIMUM_PASSPHRASE} characters, however this one is shorter.")
    for path in (out, beside):
        if path.exists() or path.is_symlink():
            raise InputError(f"A key file is never overwritten, however {path} exists. Choose another --out.")
    private = Ed25519PrivateKey.generate()
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    out.parent.mkdir(parents=True, exist_ok=True)
    _write(beside, private.public_key().public_bytes(_PEM, _PUBLIC), mode=0o644)
    _write(out, private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, lock), mode=0o600)
    return _as_key(private)


def generate_identity(out: Path) -> str:
    """Make an age identity (X25519), write it to ``out`` (mode 0600), and return its recipient.

    Raises:
        InputError: a file of that name exists.
    """
    if out.exists() or out.is_symlink():
        raise InputError(f"A key file is never overwritten, however {out} exists. Choose another --out.")
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    out.parent.mkdir(parents=True, exist_ok=True)
    _write(out, f"# public key: {recipient}\n{identity}\n".encode(), mode=0o600)
    return recipient


def _write(path: Path, content: bytes, *, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path, *, ask: Callable[[], str]) -> Key:
    """Read a private key; ``ask`` is called for the passphrase if it has one.

    Raises:
        InputError: no such file, no Ed25519 key, others can read it, or the passphrase is wrong.
    """
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"A key must be a file to read, however {path} is not ({error.strerror}).") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InputError(
            f"A private key must be readable by its owner alone, however others can read {path}. If nobody has used "
            f"it, run: chmod 600 {path}. Else make another with `synthrelease keygen`."
        )
    try:
        return _as_key(_parsed(content, ask))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"A key must be an Ed25519 private key in PEM and its passphrase must fit, however {path.name} does not "
            "open. Check both, or make a key with `synthrelease keygen`."
        ) from None


def _parsed(content: bytes, ask: Callable[[], str]) -> Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except TypeError:  # it has a passphrase
        private = serialization.load_pem_private_key(content, password=ask().encode())
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError("another kind of key")
    return private


def _as_key(private: Ed25519PrivateKey) -> Key:
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return Key(private, raw.hex())


def is_signed(content: bytes, *, public: str, signature: str) -> bool:
    """Whether ``signature`` (hex) is that of ``content`` under the public key (hex); malformed ones are not."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True
