"""Where pages come from: one strict template environment, in which every text is escaped and cleaned.

Whoever adds to a page from outside (sign-offs, attempts, waivers) does so as a ``Section``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthrelease.core.formatting import clean


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page that another module made: an anchor, a heading, and escaped markup below it.

    ``in_short`` is one plain sentence for the first screen; empty where there is nothing to say there.
    """

    key: str
    title: str
    body: Markup
    in_short: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.body, Markup):
            raise TypeError("the body of a section must be Markup, so that whoever made it has escaped it")
        if not self.key.replace("-", "").isalnum():
            raise ValueError(
                f"the key of a section becomes an anchor and must be a plain word, however it is {self.key!r}"
            )


@cache
def environment() -> Environment:
    """The environment of all templates: autoescape on, an unknown name is an error, control characters are shown."""
    return Environment(
        loader=PackageLoader("synthrelease.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else clean(value)
