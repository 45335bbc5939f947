"""How a command ends that cannot go on: one message and an exit code; anything else is a bug."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from synthrelease.cli import command_log
from synthrelease.core import diagnostics
from synthrelease.core.errors import SynthreleaseError

CLEARED = "Stopped. Nothing was released, and what the run had written has been cleared."
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_log = logging.getLogger(__name__)


def reported(command: Callable[..., None], *, stopped: str = CLEARED) -> Callable[..., None]:
    """Turn our own errors, a full disk and Ctrl-C into one message and an exit code; anything else is a bug."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        command_log.begin(click.get_current_context())
        try:
            command(*args, **kwargs)
        except SynthreleaseError as error:
            _log.info("ends with exit code %d\n%s", error.exit_code, diagnostics.way(error))
            stop(f"Error: {error}", error.exit_code, keeps_log=error.exit_code == 1)
        except KeyboardInterrupt:
            stop(stopped, 1)
        except OSError as error:
            _log.error("%s", diagnostics.way(error))
            _stop_by_system(error)

    return command_log.VERBOSE(wrapped)


def _stop_by_system(error: OSError) -> NoReturn:
    """A place that cannot be used is for the user to change; a full or broken disk is no mistake of theirs."""
    why = diagnostics.reason(error)
    if error.errno in _RIGHTS:
        stop(
            f"Error: {error.filename or 'a file'} cannot be used ({why}). Name another place, or change its rights.", 2
        )
    where = f" ({error.filename})" if error.filename else ""
    stop(f"Error: could not finish, because of the system: {why}{where}. Nothing was released.", 1, keeps_log=True)


def stop(message: str, code: int, *, keeps_log: bool = False) -> NoReturn:
    """Print a message, and where the log is that was kept to find out more; exit."""
    click.echo(message, err=True)
    if keeps_log and not command_log.is_shown():  # which says it in the end
        click.echo(command_log.kept(), err=True)
    sys.exit(code)
