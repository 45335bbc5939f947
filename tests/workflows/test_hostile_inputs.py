"""Whatever is handed over, the answer is clear: a verdict or a refusal, never a crash, never a cell in a message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import policy_that_decides
from hostile_inputs import CASES, Case

from synthrelease.cli.main import main

CELL = re.compile(r"cell(?!s?\b)\w+|\b\d+\.\d{4}\b")
"""What only a cell of the small table looks like."""


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def check_is_clear(result: Result) -> None:
    """A release or a refusal, without a traceback and without a cell."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in {0, 2}, result.output
    assert "Traceback" not in result.output
    assert not CELL.search(result.output), result.output
    assert "\x1b" not in result.output
    if result.exit_code == 2:
        assert "Error: " in result.output
        assert len(result.output) < 5000


def answered(case: Case, folder: Path) -> tuple[str, Result]:
    """Who answers the case, and with what."""
    table, schema = case.write(folder), folder / "schema.toml"
    if case.schema is None:
        chosen = [
            word for name in ("target", "unit") if (value := getattr(case, name)) for word in (f"--{name}", value)
        ]
        inspected = call("inspect", table, *chosen, "--out", schema)
        check_is_clear(inspected)
        if inspected.exit_code:
            return "inspect", inspected
    else:
        schema.write_text(case.schema, encoding="utf-8")
    options = ("--policy", policy_that_decides("release", folder), "--effort", 0.02, "--rows", 50, "--seed", 1)
    built = call("build", table, "--schema", schema, "--out", folder / "run", *options)
    check_is_clear(built)
    return ("build" if built.exit_code == 2 else "built"), built


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whatever_is_handed_over_gets_a_clear_answer(case: Case, tmp_path: Path):
    who, result = answered(case, tmp_path)
    assert who == case.answer, result.output
    assert case.says in result.output, result.output
    assert (tmp_path / "run" / "release").exists() == (result.exit_code == 0 and who == "built")
