"""The log: whatever a library says, only its types and places come through."""

from __future__ import annotations

import ast
import logging
import os
import warnings
from pathlib import Path

import pytest

import synthrelease
from synthrelease.core import diagnostics

CELL = "Mrs Example, 63"
log = logging.getLogger("synthrelease.tests")


def lines(recorder: diagnostics.Recorder, tmp_path: Path) -> str:
    recorder.write_to(tmp_path / "all.log")
    return (tmp_path / "all.log").read_text(encoding="utf-8")


def failure() -> Exception:
    """An error raised while another was handled, both of which quote a cell."""
    try:
        try:
            int(CELL)
        except ValueError:
            raise KeyError(CELL) from None
    except KeyError as error:
        return error


def test_the_way_of_an_exception_has_every_type_and_place_and_no_message():
    told = diagnostics.way(failure()).splitlines()
    assert told[0] == "ValueError"
    assert told[2] == "and then KeyError"
    assert all(line.endswith("in failure") and "test_diagnostics.py, line " in line for line in (told[1], told[3]))
    assert CELL not in "".join(told)


def test_a_place_is_named_below_the_folder_that_it_is_imported_from():
    with pytest.raises(FileNotFoundError) as caught:
        diagnostics.Recorder().write_to(Path("no") / "such" / "folder")
    assert diagnostics.where(caught.value).startswith(str(Path("synthrelease/core/diagnostics.py")))
    assert diagnostics.reason(caught.value) == os.strerror(caught.value.errno)
    assert diagnostics.reason(OSError(CELL)) == "OSError"


def test_an_exception_given_to_the_logger_leaves_no_message(tmp_path):
    with diagnostics.recorded() as recorder:
        try:
            raise failure()
        except KeyError:
            log.exception("it failed")
    text = lines(recorder, tmp_path)
    assert "ERROR   synthrelease.tests: it failed" in text
    assert CELL not in text


def test_warnings_and_logs_of_libraries_are_recorded_without_what_they_say(tmp_path, capsys):
    library, listener = logging.getLogger("some.library"), diagnostics.Libraries()
    logging.getLogger().addHandler(listener)
    try:
        with diagnostics.recorded() as recorder, warnings.catch_warnings():
            warnings.simplefilter("always")
            diagnostics.hide_warnings()
            warnings.warn(CELL, RuntimeWarning, stacklevel=1)
            library.error("bad cell %s", CELL)
    finally:
        logging.getLogger().removeHandler(listener)
    text = lines(recorder, tmp_path)
    assert "RuntimeWarning at " in text
    assert "error of some.library at " in text
    assert "test_diagnostics.py:" in text
    assert CELL not in text + "".join(capsys.readouterr())


def test_warnings_are_shown_as_before_once_the_recording_is_over():
    before = warnings.showwarning
    with diagnostics.recorded():
        assert warnings.showwarning is not before
    assert warnings.showwarning is before


def test_a_name_cannot_break_a_line_or_move_the_cursor(tmp_path):
    with diagnostics.recorded() as recorder:
        log.info("column %s", "age\n2026-01-01T00:00:00Z INFO    forged: line\x1b[2K\r")
    text = lines(recorder, tmp_path)
    assert "\x1b" not in text
    assert "\r" not in text
    assert all(line.startswith(("20", "    ")) for line in text.splitlines())
    assert "\n    2026-01-01T00:00:00Z INFO    forged" in text


def test_the_log_goes_on_in_a_file_of_its_owner_and_survives_that_it_is_removed(tmp_path):
    with diagnostics.recorded() as recorder:
        log.debug("before")
        diagnostics.go_on_in(tmp_path / "run.log")
        log.debug("after")
        text = (tmp_path / "run.log").read_text(encoding="utf-8")
        assert text.index("before") < text.index("after")
        assert (tmp_path / "run.log").stat().st_mode & 0o777 == 0o600
        (tmp_path / "run.log").unlink()
        log.debug("later")
        assert recorder.file is None
    assert "later" in lines(recorder, tmp_path)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path):
    with diagnostics.recorded() as recorder:
        diagnostics.go_on_in(tmp_path / "nowhere" / "run.log")
    assert recorder.file is None
    assert "could not be written to the run folder (No such file or directory)" in lines(recorder, tmp_path)


def test_an_inner_recording_goes_on_with_the_outer_one_and_all_is_undone(tmp_path):
    ours = logging.getLogger(diagnostics.OURS)
    before = (ours.level, ours.propagate, list(ours.handlers))
    with diagnostics.recorded() as outer:
        with diagnostics.recorded() as inner:
            assert inner is outer
        log.debug("still heard")
    assert (ours.level, ours.propagate, ours.handlers) == before
    assert "still heard" in lines(outer, tmp_path)


def test_the_program_around_us_hears_what_it_asked_for(caplog):
    with caplog.at_level(logging.WARNING, "synthrelease"), diagnostics.recorded():
        log.info("for the record")
        log.warning("for everybody")
    assert caplog.messages == ["for everybody"]


def test_nobody_logs_an_exception_whole_or_writes_to_a_logger_that_is_not_ours():
    for path in Path(synthrelease.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr != "exception", f"{path}: logs the message of an exception"
                assert "exc_info" not in {keyword.arg for keyword in node.keywords}, path
                if node.func.attr == "getLogger" and node.args and path.name != "diagnostics.py":
                    assert ast.unparse(node.args[0]) in ("__name__", "diagnostics.OURS"), path
