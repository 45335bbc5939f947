"""The generators by name. Importing this loads none of them: torch comes in with the first that is asked for."""

from __future__ import annotations

from importlib import import_module

from synthrelease.contracts import Generator
from synthrelease.errors import InputError

REGISTRY: dict[str, str] = {"gan": "synthrelease.generators.gan"}
"""Module of each generator; the module's ``fit`` is the generator."""
DEFAULT = "gan"


def load(name: str) -> Generator:
    """Return the generator called ``name``.

    Raises:
        InputError: no generator has that name.
    """
    if name not in REGISTRY:
        raise InputError(
            f"A generator must be a known one, however {name!r} is not. "
            f"Choose one of the known generators: {', '.join(REGISTRY)}."
        )
    generator: Generator = import_module(REGISTRY[name]).fit
    return generator
