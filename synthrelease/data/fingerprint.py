"""Keyed fingerprints of files."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TypeAlias

from synthrelease.data.formats import Place, place_of

Content: TypeAlias = Path | Place | bytes
"""What a fingerprint can be taken of: a file, or the digest of a database's rows."""


def digest(what: Content, key: bytes) -> str:
    """HMAC-SHA256 of a file (or of bytes) in hex: without the key nobody can test a guess of the table against it."""
    if isinstance(what, bytes):
        return hmac.new(key, what, "sha256").hexdigest()
    with place_of(what).file.open("rb") as file:
        return hashlib.file_digest(file, lambda: hmac.new(key, digestmod="sha256")).hexdigest()
