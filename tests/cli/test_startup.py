"""Help and version come at once: no start of the command line, and no import of the package, waits for a library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import synthrelease
from synthrelease.cli.main import main
from synthrelease.governance import register

SLOW = ("numpy", "pandas", "torch", "scipy", "sklearn", "pyarrow", "pydantic", "rich", "cryptography")
STARTED = """
import sys
from synthrelease.cli.main import main
main(sys.argv[1:], standalone_mode=False)
"""


def slow_libraries(code: str, *words: str) -> set[str]:
    """Which of the slow libraries a fresh interpreter has imported after running ``code``."""
    ending = f"\nprint('imported', *(name for name in {SLOW} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + ending, *words], capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "imported"
    return set(last[1:])


@pytest.mark.parametrize("words", [["--version"], ["--help"], *([name, "--help"] for name in sorted(main.commands))])
def test_help_and_version_import_no_slow_library(words):
    assert slow_libraries(STARTED, *words) == set()


def test_importing_the_package_imports_no_slow_library():
    assert slow_libraries("import sys, synthrelease\nassert 'build' in dir(synthrelease)") == set()


def test_a_public_name_brings_in_what_it_needs():
    assert {"numpy", "pandas"} <= slow_libraries("import sys, synthrelease\nassert callable(synthrelease.build)")


def test_every_public_name_is_there_and_no_other():
    for name in synthrelease.__all__:
        assert getattr(synthrelease, name).__name__ == name
    assert set(synthrelease.__all__) <= set(dir(synthrelease))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = synthrelease.nonsense


def test_the_help_names_the_variable_that_the_register_reads():
    assert register.PLACE in CliRunner().invoke(main, ["build", "--help"]).output
