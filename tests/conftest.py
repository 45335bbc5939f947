"""Tables that many tests share: real ones where they are at hand, small made-up ones everywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import numpy as np
import pandas as pd
import pytest
from _pytest.terminal import TerminalReporter

from synthrelease.core.contracts import Table
from synthrelease.data import table_reader
from synthrelease.schema import schema_file as schema_reader
from synthrelease.workflows.inspect import draft_schema

TARGETS = {"wdbc": "diagnosis", "pima": "Outcome", "stroke": "stroke"}


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests a register and a folder for logs of their own; let ``pytest -m nightly`` ask for many examples."""
    # No test writes to the register, or among the logs, of the person who runs it.
    os.environ["SYNTHRELEASE_REGISTER"] = tempfile.mkdtemp(prefix="synthrelease-register-")
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="synthrelease-state-")
    if "nightly" in str(config.option.markexpr):
        os.environ["SYNTHRELEASE_NIGHTLY"] = "1"


LONGEST = ("test_coverage", "test_gate", "test_paper", "test_hostile_inputs", "test_canary_audit", "test_killed_build")
"""Files that take a minute or more. They begin first, so that no core waits for one of them in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; all else stays in its order."""
    places = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


LAST_LINE = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Count what did not run, for the last line; not where tests were chosen by hand."""
    stats = terminalreporter.stats
    ran = sum(len(stats.get(name, ())) for name in ("passed", "failed", "error"))
    reasons = [str(each.longrepr[2]) for each in stats.get("skipped", ()) if isinstance(each.longrepr, tuple)]
    if ran and not hasattr(config, "workerinput"):
        config.stash[LAST_LINE] = needs.last_line(ran, reasons)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End with one line that says how many tests did not run, why, and what brings them."""
    if line := config.stash.get(LAST_LINE, ""):
        print(line)


def data_folder() -> Path:
    """Where real tables lie: SYNTHRELEASE_DATA, or a folder beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("SYNTHRELEASE_DATA", beside))


def real_file(name: str) -> Path:
    """The CSV file of a real table, or a skip that says what is missing."""
    return needs.real_table(data_folder() / f"{name}.csv")


def drafted(path: Path, folder: Path, target: str | None) -> Path:
    """A schema drafted from the table and left unedited."""
    out = folder / f"{path.stem}.toml"
    out.write_text(draft_schema.draft(path, target=target), encoding="utf-8")
    return out


def ward(rows: int, seed: int = 0) -> pd.DataFrame:
    """A made-up hospital table of mixed kinds, with structure, missing values and an identifier."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    pressure = np.round(90 + 0.6 * age + rng.normal(0, 9, rows), 1)
    smoker = rng.random(rows) < 0.3
    risk = 1 / (1 + np.exp(-(0.08 * (age - 55) + 0.04 * (pressure - 125) + 1.2 * smoker)))
    frame = pd.DataFrame(
        {
            "patient_id": rng.permutation(900_000)[:rows] + 100_000,
            "age": age,
            "sex": rng.choice(["F", "M"], rows),
            "pressure": pressure,
            "smoker": np.where(smoker, "yes", "no"),
            "stay": rng.geometric(0.2, rows).clip(1, 40),
            "readmitted": np.where(rng.random(rows) < risk, "yes", "no"),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "pressure"] = np.nan
    return frame


DECIDING = {"release": ("at_most = 1.0", 1), "undecided": ("at_most = 1.0", 10**9), "refuse": ("at_most = -1.0", 1)}
"""By what limit and at least how many rows a rule on cells outside their domain brings about each decision."""


def policy_that_decides(decision: str, folder: Path) -> Path:
    """A policy of one rule whose verdict on any honest table is known beforehand: for tests of all but the verdict."""
    limit, rows = DECIDING[decision]
    path = folder / f"always-{decision}.toml"
    path.write_text(
        f"""name = "always_{decision}"
version = "1.0.0"
title = "For tests"
recipient = "nobody"
sign_off = []
confidence = 0.95
min_cell = 5

[[rules]]
check = "validity"
metric = "cells_outside_domain"
{limit}
severity = "block"
min_n = {rows}
why = "So that the decision is known."
source = "This test"
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="session")
def ward_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The made-up ward of 400 patients as a CSV file, and its drafted schema."""
    folder = tmp_path_factory.mktemp("ward")
    path = folder / "ward.csv"
    ward(400).to_csv(path, index=False)
    return path, drafted(path, folder, "readmitted")


@pytest.fixture(scope="session")
def ward_table(ward_files: tuple[Path, Path]) -> Table:
    """The made-up ward as a canonical table."""
    path, schema_file = ward_files
    return table_reader.read(path, schema_reader.load(schema_file)).table


FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = needs.chromium()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=FLAGS)
        yield browser
        browser.close()
