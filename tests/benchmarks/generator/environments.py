"""The peers' virtual environments: made where they are missing, each from its own list of pinned packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from generator.systems import ENVIRONMENTS, HERE, digest


def interpreter(name: str | None, folder: Path) -> Path:
    """Return the Python of an environment; None is the one at work now."""
    return Path(sys.executable) if name is None else folder / name / "bin" / "python"


def installed(names: Iterable[str], folder: Path) -> dict[str, str]:
    """Make the environments that are missing or out of date; return why, for each one that could not be made."""
    problems = {name: _installed(name, folder / name) for name in dict.fromkeys(names)}
    return {name: problem for name, problem in problems.items() if problem}


def _installed(name: str, place: Path) -> str:
    environment = ENVIRONMENTS[name]
    requirements = HERE / "peers" / environment.requirements
    stamp, wanted = place / ".installed", digest(requirements.read_bytes())
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return ""
    print(f"installing {name} ({requirements.name})", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    python = str(interpreter(name, place.parent))
    steps = [
        [sys.executable, "-m", "venv", str(place)],
        [python, "-m", "pip", "install", "--quiet", "--requirement", str(requirements)],
    ]
    if environment.remove:
        steps.append([python, "-m", "pip", "uninstall", "--quiet", "--yes", *environment.remove])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return last_line(done.stderr) or f"pip ended with {done.returncode}"
    stamp.write_text(wanted, encoding="ascii")
    return ""


def last_line(text: str) -> str:
    """Return the last line with anything on it, at most 200 letters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
