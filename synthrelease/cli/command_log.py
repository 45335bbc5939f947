"""The log of a command: shown with ``--verbose``, kept where a command could not finish, never with a cell in it."""

from __future__ import annotations

import logging
import platform
import secrets
import sys
import threading
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from synthrelease.core import diagnostics
from synthrelease.core.files import utc_now

_log = logging.getLogger(__name__)
_VERBOSE = f"{__name__}.verbose"


class Program(click.Group):
    """The group of all commands, which records what they log and ends those that crash."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; without words it takes those that the process was started with."""
        if not args and "args" not in extra:
            _hide_background_failures()
        with diagnostics.recorded(), _Ending():
            return super().main(*args, **extra)


class _Ending:
    """Ends a command that crashed: exit code 1, and of the exception its type and its place alone are shown."""

    def __enter__(self) -> None:
        self._libraries = diagnostics.Libraries()
        logging.getLogger().addHandler(self._libraries)

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            if isinstance(error, Exception) and not isinstance(error, _CLICKS):
                where = f"{diagnostics.kind(error)} in {diagnostics.where(error)}"
                click.echo(f"Error: could not finish, because of a fault in the program ({where}).", err=True)
                click.echo(f"{kept(error)}\nPlease report it; the log names columns and counts, no cell.", err=True)
                sys.exit(1)
            if is_shown():
                click.echo(kept(), err=True)
        finally:
            logging.getLogger().removeHandler(self._libraries)
            for shown in _terminals():
                logging.getLogger(diagnostics.OURS).removeHandler(shown)


_CLICKS = (click.ClickException, click.exceptions.Exit, click.Abort)
"""What click itself raises to end a command, where its caller wants to have it."""


def _hide_background_failures() -> None:
    """Log what fails in threads and in clearing up, in this process that is ours; Python would show the message."""
    threading.excepthook = lambda failed: _log_failure(failed.exc_value)
    sys.unraisablehook = lambda failed: _log_failure(failed.exc_value)


def _log_failure(error: BaseException | None) -> None:
    if error is not None:
        _log.error("failed in the background: %s", diagnostics.way(error))


class _Terminal(logging.Handler):
    """Shows records on stderr, wherever that leads at the moment."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(diagnostics.Line())

    def emit(self, record: logging.LogRecord) -> None:
        """Show a line."""
        click.echo(self.format(record), err=True)


def _terminals() -> list[logging.Handler]:
    return [each for each in logging.getLogger(diagnostics.OURS).handlers if isinstance(each, _Terminal)]


def _note_verbose(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.meta[_VERBOSE] = True  # one mapping for the group and its command


VERBOSE = click.option(
    "--verbose", is_flag=True, expose_value=False, callback=_note_verbose,
    help="Show the log on stderr: stages, counts and places in the code.",
)  # fmt: skip


def begin(context: click.Context) -> None:
    """Log which command runs, and on what; its words may name labels and are left out."""
    if context.meta.get(_VERBOSE):
        logging.getLogger(diagnostics.OURS).addHandler(_Terminal())
    python, system = platform.python_version(), platform.platform()
    _log.info("%s, synthrelease %s, Python %s, %s", context.info_name, _version(), python, system)


def _version() -> str:
    try:
        return metadata.version("synthrelease")
    except metadata.PackageNotFoundError:  # a checkout that nobody installed
        return "of unknown version"


def is_shown() -> bool:
    """Whether the log is shown on the terminal."""
    return bool(_terminals())


def kept(error: BaseException | None = None) -> str:
    """Keep the log in the run folder if it has one, else in the user's folder for logs; say where, or why not."""
    if error is not None:
        _log.error("%s", diagnostics.way(error))
    with diagnostics.recorded() as recorder:
        if recorder.file is None:
            path = _folder() / f"{utc_now().replace(':', '')}-{secrets.token_hex(4)}.log"
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                recorder.write_to(path)
            except OSError as refused:
                return f"The log could not be kept as {path} ({diagnostics.reason(refused)}); --verbose shows it."
        return f"Log: {recorder.file}"


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_log_dir("synthrelease", appauthor=False))
