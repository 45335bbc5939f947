"""What a command tells when something breaks inside: where, and never what a cell holds."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from conftest import drafted, ward
from sqlalchemy import create_engine, exc

from synthrelease.cli.main import main
from synthrelease.data import splitting
from synthrelease.data.formats.typed_columns import Gathered
from synthrelease.evaluation import checks
from synthrelease.synthesis import generators
from synthrelease.workflows.inspect import profile

NAME, NUMBER = "Quixotina-Cellmark", "137.90817263"
"""Cells that stand in one row each: of a column that is never learned, and of a number."""
CELLS = f"row 17 holds {NAME!r} and {NUMBER}"
ROWS_BELONG_THERE = ("schema.toml", "model.json", "model.safetensors", "maker.json")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A table with the two cells, and a schema that leaves the names out of all that is learned."""
    folder = tmp_path_factory.mktemp("planted")
    frame = ward(200)
    frame["pressure"] = frame["pressure"].astype(object)
    frame.loc[17, "pressure"] = NUMBER
    frame.insert(1, "called", [f"Person-{number}" for number in range(200)])
    frame.loc[17, "called"] = NAME
    frame.to_csv(folder / "ward.csv", index=False)
    schema_file = drafted(folder / "ward.csv", folder, "readmitted")
    text = schema_file.read_text(encoding="utf-8")
    assert re.search(r'\[columns\.called\]\n(?:.*\n)*?role = "identifier"', text), text
    schema_file.write_text(re.sub(r"(bounds = \[\s*\d+[\d.]*, )137\.9\d*", r"\g<1>250", text), encoding="utf-8")
    assert NAME not in schema_file.read_text(encoding="utf-8")
    return folder / "ward.csv", schema_file


def breaking(error: BaseException) -> Callable[..., None]:
    def broken(*_: object, **__: object) -> None:
        raise error.with_traceback(None)

    return broken


def everything(result: Result, *folders: Path) -> str:
    """All that was printed, the log that was named, and every file outside the places where rows belong."""
    logs = (Path(name).parent for name in re.findall(r"^Log: (.*)$", result.output, re.MULTILINE))
    files = [path for folder in (*folders, *logs) for path in folder.rglob("*") if path.is_file()]
    read = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in files
        if path.name not in ROWS_BELONG_THERE and path.parent.name not in ("quarantine", "release")
    ]
    return "\n".join([result.output, *read])


def tells_no_cell(result: Result, *folders: Path) -> str:
    text = everything(result, *folders)
    assert NAME not in text
    assert NUMBER not in text
    assert "Traceback" not in text
    return text


def log_of(result: Result) -> str:
    (named,) = re.findall(r"^Log: (.*)$", result.output, re.MULTILINE)
    assert Path(named).stat().st_mode & 0o777 == 0o600
    return Path(named).read_text(encoding="utf-8")


both_ways = pytest.mark.parametrize("loud", [(), ("--verbose",)], ids=["quiet", "verbose"])
FAILURES = {
    "a library's error": (pd.errors.DataError(CELLS), "pandas.errors.DataError"),
    "an error of the system with a library's text": (OSError(CELLS), "OSError"),
    "a recursion": (RecursionError(CELLS), "RecursionError"),
}


@both_ways
@pytest.mark.parametrize("failure", FAILURES)
def test_a_build_that_crashes_says_where_and_keeps_its_log(planted, tmp_path, monkeypatch, loud, failure):
    error, name = FAILURES[failure]
    monkeypatch.setattr(generators, "load", lambda _: breaking(error))
    result = call("build", planted[0], "--schema", planted[1], "--out", tmp_path / "run", *loud)
    assert result.exit_code == 1
    assert not (tmp_path / "run").exists()
    assert name in log_of(result)
    assert re.search(r"synthrelease/workflows/build\.py, line \d+, in build", log_of(result))
    assert "read ward.csv: 200 rows, 8 columns" in log_of(result)
    assert tells_no_cell(result, tmp_path)


@both_ways
def test_a_check_that_crashes_leaves_its_way_through_the_code(planted, tmp_path, monkeypatch, loud):
    known = dict(checks.registry())
    known["copies"] = replace(known["copies"], measure=breaking(ValueError(CELLS)))
    monkeypatch.setattr(checks, "registry", lambda: known)
    result = call("build", planted[0], "--schema", planted[1], "--out", tmp_path / "run", "--effort", 0.05, *loud)
    assert result.exit_code in (3, 4), result.output
    text = tells_no_cell(result, tmp_path / "run" / "internal", tmp_path / "run")
    log = (tmp_path / "run" / "internal" / "run.log").read_text(encoding="utf-8")
    assert re.search(
        r"copies crashed\n    ValueError\n(      .*\n)*?      .*evaluation/runner\.py, line \d+, in _one", log
    )
    assert re.search(r"ValueError in .*test_command_log\.py, line \d+, in breaking", text)
    assert (tmp_path / "run" / "internal" / "run.log").stat().st_mode & 0o777 == 0o600
    assert ("Log: " in result.output) == bool(loud)
    assert ("copies crashed" in result.output) == bool(loud)


@both_ways
def test_a_warning_and_a_log_of_a_library_are_named_and_not_quoted(planted, tmp_path, monkeypatch, loud):
    split = splitting.split

    def warned(*given: object, **more: object) -> object:
        warnings.warn(CELLS, RuntimeWarning, stacklevel=1)
        logging.getLogger("pyarrow").error(CELLS)
        return split(*given, **more)

    monkeypatch.setattr(splitting, "split", warned)
    monkeypatch.setattr(generators, "load", lambda _: breaking(KeyError(CELLS)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = call("build", planted[0], "--schema", planted[1], "--out", tmp_path / "run", *loud)
    assert "RuntimeWarning at" in log_of(result)
    assert "error of pyarrow at" in log_of(result)
    tells_no_cell(result, tmp_path)


@both_ways
def test_an_error_of_a_database_is_the_users_and_quotes_nothing(planted, tmp_path, monkeypatch, loud):
    address = f"sqlite:///{tmp_path / 'ward.db'}"
    engine = create_engine(address)
    pd.read_csv(planted[0]).to_sql("ward", engine, index=False)
    engine.dispose()
    monkeypatch.setattr(Gathered, "add", breaking(exc.DataError(f"SELECT {CELLS}", {"p": NAME}, ValueError(CELLS))))
    result = call("inspect", address, "--table", "ward", *loud)
    assert result.exit_code == 2
    (tmp_path / "ward.db").unlink()
    tells_no_cell(result, tmp_path)


@both_ways
@pytest.mark.parametrize("spoil", ["a quote that is not closed", "a table in place of the schema", "words for numbers"])
def test_what_cannot_be_parsed_is_the_users_and_quotes_nothing(planted, tmp_path, loud, spoil):
    text = planted[0].read_text(encoding="utf-8")
    table, schema_file = tmp_path / "spoilt.csv", planted[1]
    if spoil == "a quote that is not closed":
        table.write_text(text.replace(NAME, f'"{NAME}'), encoding="utf-8")
    elif spoil == "words for numbers":
        table.write_text(text.replace(NUMBER, f"x{NUMBER}"), encoding="utf-8")
    else:
        table.write_text(text, encoding="utf-8")
        schema_file = planted[0]
    result = call("build", table, "--schema", schema_file, "--out", tmp_path / "run", *loud)
    assert result.exit_code == 2, result.output
    table.unlink()
    tells_no_cell(result, tmp_path)
    assert ("Log: " in result.output) == bool(loud)


@both_ways
def test_an_inspection_that_crashes_says_where_its_log_is(planted, monkeypatch, loud):
    monkeypatch.setattr(profile, "inspect", breaking(TypeError(CELLS)))
    result = call("inspect", planted[0], *loud)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "TypeError in " in result.output
    assert "inspect_command.py, line " in log_of(result)
    tells_no_cell(result)


def test_verbose_stands_before_and_after_the_name_of_the_command(planted):
    for words in (["--verbose", "inspect", planted[0]], ["inspect", planted[0], "--verbose"]):
        result = call(*words)
        assert result.exit_code == 0
        assert "read ward.csv: 200 rows" in result.stderr
        assert "read ward.csv: 200 rows" in log_of(result)
        assert "read ward.csv" not in result.stdout
    assert "read ward.csv" not in call("inspect", planted[0]).output


def test_the_words_of_a_command_are_not_logged(planted, tmp_path):
    result = call(
        "build", planted[0], "--schema", planted[1], "--condition", f"sex={NAME}", "--out", tmp_path, "--verbose"
    )
    assert result.exit_code == 2
    assert NAME not in log_of(result)


def test_a_checkout_that_is_not_installed_can_log_too(monkeypatch):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    result = call("policies", "--verbose")
    assert result.exit_code == 0
    assert "policies, synthrelease of unknown version, Python" in log_of(result)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_can_be_verbose(command):
    assert "--verbose" in call(command, "--help").output


def test_a_log_folder_that_cannot_be_written_is_said_and_the_command_goes_on(planted, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr("synthrelease.cli.command_log._folder", lambda: tmp_path / "file" / "log")
    result = call("inspect", planted[0], "--verbose")
    assert result.exit_code == 0
    assert re.search(r"The log could not be kept as .*log \(Not a directory\); --verbose shows it\.", result.stderr)
    assert "[columns.age]" in result.stdout
    assert "Traceback" not in result.output


LOGGERS = ("error of werkzeug at", "error of another at")
BROKEN = f"""
import gc, sys, threading, warnings
from flask import Flask
from werkzeug._internal import _log
from synthrelease.cli.main import main
from synthrelease.workflows.inspect import profile

class Heavy:
    def __del__(self):
        raise ValueError({CELLS!r})

def broken(*_, **__):
    Heavy()
    gc.collect()
    warnings.warn({CELLS!r}, RuntimeWarning)
    _log("error", {CELLS!r})
    Flask("another").logger.error({CELLS!r})
    thread = threading.Thread(target=lambda: int({NAME!r}))
    thread.start()
    thread.join()
    raise KeyError({CELLS!r})

profile.inspect = broken
sys.argv = ["synthrelease", "inspect", "nothing.csv", *sys.argv[1:]]
main()
"""


@both_ways
def test_a_process_of_its_own_shows_nothing_that_python_would(tmp_path, loud):
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, *loud], capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "Error: could not finish, because of a fault in the program (KeyError in <string>, line " in told
    (named,) = re.findall(r"^Log: (.*)$", told, re.MULTILINE)
    kept = Path(named).read_text(encoding="utf-8")
    assert all(
        kind in kept for kind in ("KeyError", "RuntimeWarning at", "failed in the background: ValueError", *LOGGERS)
    )
    for text in (told, kept):
        assert NAME not in text
        assert NUMBER not in text
        assert "Traceback" not in text
