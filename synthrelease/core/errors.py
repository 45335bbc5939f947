"""Errors that a user can act on.

Every message has one grammar: the rule, what was found, what to do next. Counts and column names may appear in it,
a cell of the table never. The command line prints the message alone and exits with ``exit_code``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic is slow to import, and every start of the command line comes by here
    from pydantic import ValidationError


class SynthreleaseError(Exception):
    """The base of all errors this package raises on purpose."""

    exit_code = 1


class InputError(SynthreleaseError):
    """What the user handed over breaks a rule: a table, a file, an option."""

    exit_code = 2


class SchemaError(InputError):
    """The schema file is wrong or does not fit the table; the message lists every problem at once."""


class PolicyError(InputError):
    """The policy file is unknown, empty or names something that does not exist."""


class RunFolderError(InputError):
    """The run folder cannot be used: it is taken, not writable, or another build is at work in it."""


class RegisterError(InputError):
    """The register of past runs cannot be used: not writable, or not as it was written."""


class CapError(SynthreleaseError):
    """A source has been used as often, or with as much epsilon, as the policy allows."""

    exit_code = 3


class ClaimError(SynthreleaseError):
    """A claim of differential privacy does not stand up to an attack; nothing made under it may leave."""

    exit_code = 3


class SigningError(InputError):
    """A decision cannot be recorded as asked, or what was signed has changed since."""


class OversamplingError(InputError, ValueError):
    """A table cannot be balanced as asked; a ValueError too, as users of imbalanced-learn expect."""


class TrainingError(SynthreleaseError):
    """A generator could not be trained or could not produce the rows it was asked for."""


def listing(title: str, problems: list[str]) -> str:
    """Join several problems into one message, one indented line each."""
    return "\n".join([title, *(f"  - {problem}" for problem in problems)])


def validation_problems(error: ValidationError) -> list[str]:
    """One line for each problem pydantic found in a settings file: the key, and what is wrong with it."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(f"[{part + 1}]" if isinstance(part, int) else part for part in problem["loc"])
        lines.append(f"{place.replace('.[', '[') or 'the file'}: {problem['msg'].removeprefix('Value error, ')}")
    return lines
