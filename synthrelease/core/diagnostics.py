"""The log: what a command did, in names and counts, and where something failed, as types and places. Never a cell.

Libraries quote cells in the messages of their exceptions and warnings. So nothing that they say is logged: of an
exception its type and the places it came by, of a warning and of a library's own log the kind and the place.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TextIO

OURS = "synthrelease"
"""The logger above all of ours, which are called by their modules."""
LINES_IN_MEMORY = 20_000
_log = logging.getLogger(__name__)


class Recorder(logging.Handler):
    """Holds the log in memory until it has a file, and then writes every line there at once."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(Line())
        self._lines: deque[str] = deque(maxlen=LINES_IN_MEMORY)
        self._file: Path | None = None

    @property
    def file(self) -> Path | None:
        """Where the log is written; None where that is nowhere, or the file was removed with its run."""
        return self._file if self._file is not None and self._file.exists() else None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        line = self.format(record)
        self._lines.append(line)
        if self._file is not None:
            try:
                _append(self._file, [line])
            except OSError:  # the run folder was cleared, or the disk is full: the lines in memory remain
                self._file = None

    def write_to(self, path: Path) -> None:
        """Write what was logged so far to a new file that its owner alone can read, and go on there.

        Raises:
            OSError: the file exists or cannot be written.
        """
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _append(path, list(self._lines))
        self._file = path


def _append(path: Path, lines: list[str]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


class Line(logging.Formatter):
    """A record as a line: time in UTC, level, module, message. An exception given along with it is left out."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, so that no name in it can break the line or move the cursor."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        message = re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "�", record.getMessage()).replace("\n", "\n    ")
        return f"{moment} {record.levelname:<7} {record.name}: {message}"


_current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Record the log and the warnings of libraries; inside another such block, go on with its recorder.

    It serves as a decorator as well.
    """
    if (outer := _current.get()) is not None:
        yield outer
        return
    recorder = Recorder()
    before = _current.set(recorder)
    try:
        with _heard(recorder), _warnings_hidden():
            yield recorder
    finally:
        _current.reset(before)


@contextmanager
def _heard(recorder: Recorder) -> Iterator[None]:
    """Hand all our records to the recorder, and to the program around us as many as it asked for."""
    ours = logging.getLogger(OURS)
    onward = _Onward(ours.getEffectiveLevel())
    before = ours.level, ours.propagate
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    for handler in (recorder, onward):
        ours.addHandler(handler)
    try:
        yield
    finally:
        for handler in (recorder, onward):
            ours.removeHandler(handler)
        ours.setLevel(before[0])
        ours.propagate = before[1]


class _Onward(logging.Handler):
    """Passes records on to the handlers of the program around us."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            logging.getLogger().callHandlers(record)


@contextmanager
def _warnings_hidden() -> Iterator[None]:
    before = warnings.showwarning
    hide_warnings()
    try:
        yield
    finally:
        warnings.showwarning = before


def hide_warnings() -> None:
    """Have warnings logged without their text from now on, in place of shown."""
    warnings.showwarning = _warned


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:  # the signature of warnings.showwarning
    _log.warning("%s at %s:%d", _name(category), _short(filename), lineno)


class Libraries(logging.Handler):
    """Stands at the root of all loggers and logs of a library's warning or error who and where, and nothing it says.

    It takes records of every level: a library that finds no handler for its own level would add one that shows them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log who has said something, and where."""
        if record.levelno >= logging.WARNING and record.name.split(".")[0] != OURS:
            level, place = record.levelname.lower(), f"{_short(record.pathname)}:{record.lineno}"
            _log.log(record.levelno, "%s of %s at %s", level, record.name, place)


def go_on_in(path: Path) -> None:
    """Write the log of the run that is under way to this file, as far as that works: no run fails for its log."""
    recorder = _current.get()
    if recorder is not None:
        try:
            recorder.write_to(path)
        except OSError as error:
            _log.warning("the log could not be written to the run folder (%s)", reason(error))


def reason(error: OSError) -> str:
    """Say why the system refused something; the text that a library may have put in its place is not passed on."""
    return _name(type(error)) if error.errno is None else os.strerror(error.errno)


def kind(error: BaseException) -> str:
    """The type of an exception."""
    return _name(type(error))


def where(error: BaseException) -> str:
    """The place that raised an exception: file, line and function."""
    return (_places(error.__traceback__) or ["an unknown place"])[-1]


def way(error: BaseException) -> str:
    """The way of an exception through the code, outermost place first, and before it that of what it came from.

    It has types, files, lines and functions, and neither messages nor lines of source.
    """
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    parts = ["\n".join([kind(each), *(f"  {place}" for place in _places(each.__traceback__))]) for each in chain]
    return "\nand then ".join(reversed(parts))


def _places(trace: TracebackType | None) -> list[str]:
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{_short(code.co_filename)}, line {trace.tb_lineno}, in {code.co_qualname}")
        trace = trace.tb_next
    return places


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _short(file: str) -> str:
    """A file of code below the folder that it is imported from."""
    inside = [root for root in sys.path if root and file.startswith(root + os.sep)]
    return file.removeprefix(max(inside, key=len) + os.sep) if inside else file
