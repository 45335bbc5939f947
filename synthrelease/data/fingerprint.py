"""Keyed fingerprints of files."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from synthrelease.data.formats import Place, place_of


def digest(what: Path | Place | bytes, key: bytes) -> str:
    """HMAC-SHA256 of a file (or of bytes) in hex: without the key nobody can test a guess of the table against it."""
    if isinstance(what, bytes):
        return hmac.new(key, what, "sha256").hexdigest()
    with place_of(what).file.open("rb") as file:
        return hashlib.file_digest(file, lambda: hmac.new(key, digestmod="sha256")).hexdigest()
