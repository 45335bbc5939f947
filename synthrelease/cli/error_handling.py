"""How a command ends that cannot go on: one message and an exit code; anything else is a bug."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from synthrelease.core.errors import SynthreleaseError

CLEARED = "Stopped. Nothing was released, and what the run had written has been cleared."


def reported(command: Callable[..., None], *, stopped: str = CLEARED) -> Callable[..., None]:
    """Turn our own errors, a full disk and Ctrl-C into one message and an exit code; anything else is a bug."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except SynthreleaseError as error:
            stop(f"Error: {error}", error.exit_code)
        except KeyboardInterrupt:
            stop(stopped, 1)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            stop(f"Error: could not finish, because of the system: {error.strerror}{where}. Nothing was released.", 1)

    return wrapped


def stop(message: str, code: int) -> NoReturn:
    """Print a message and exit."""
    click.echo(message, err=True)
    sys.exit(code)
