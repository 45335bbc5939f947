"""What the records that governance keeps as JSON have in common: typed, frozen, nothing missing, nothing beyond.

A record is told apart by its kind and its version together. A reader that meets another than it knows says so and
stops: a field it would skip may be the one that forbids a release.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256, or the 32 bytes of a key."""
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
"""An Ed25519 signature."""
Text = Annotated[str, Field(min_length=1, max_length=500)]


def is_of_another_version(error: ValidationError) -> bool:
    """Whether a record is of a kind or version that this reader does not know, rather than damaged."""
    return any(
        problem["type"] == "union_tag_invalid"
        or (problem["type"] == "literal_error" and problem["loc"] == ("version",))
        for problem in error.errors(include_url=False)
    )
