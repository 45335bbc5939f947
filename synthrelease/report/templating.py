"""Where pages come from: one strict template environment, in which every text is escaped and cleaned."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from synthrelease.core.formatting import clean


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
