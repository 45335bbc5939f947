"""Folders that may not be written, as on a read-only disk: one clear message, exit code 2, nothing written beside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import drafted, ward

BOUND = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
"""What makes a command of root's one of somebody whom the rights of files bind."""
PACKAGE = Path(__file__).resolve().parents[2]
FIXTURES = PACKAGE / "tests" / "fixtures" / "made-by-0.1.0.tar.xz"


def can_be_bound() -> bool:
    try:
        return subprocess.run([*BOUND, sys.executable, "-c", "import pandas"], check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder with a table, its schema and a package, in which only ``open`` can be written."""
    if not can_be_bound():
        pytest.skip("root is not bound by the rights of files, and there is no other user who can start Python")
    folder = Path(tempfile.mkdtemp(prefix="synthrelease-closed-"))
    ward(200).to_csv(folder / "ward.csv", index=False)
    drafted(folder / "ward.csv", folder, "readmitted")
    with tarfile.open(FIXTURES) as archive:
        (name,) = (each for each in archive.getnames() if each.endswith("package.zip"))
        content = archive.extractfile(name)
        assert content is not None
        (folder / "package.zip").write_bytes(content.read())
    for name in ("closed", "open"):
        (folder / name).mkdir()
    (folder / "open").chmod(0o777)
    for path in (folder / "closed", folder):
        path.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def call(disk: Path, *words: str, state: str = "open") -> subprocess.CompletedProcess[str]:
    """Run the command line with the folders of its user closed or open, too."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(disk / "closed"),
        "PYTHONPATH": str(PACKAGE),
        "OMP_NUM_THREADS": "1",
        "XDG_STATE_HOME": str(disk / state),
        "SYNTHRELEASE_REGISTER": str(disk / "open" / "register"),
    }
    command = [*BOUND, sys.executable, "-m", "synthrelease", *words]
    return subprocess.run(command, cwd=disk, env=environment, capture_output=True, text=True, check=False)


BUILD = "build ward.csv --schema ward.toml --effort 0.05"
CASES = {
    f"{BUILD} --out closed/run": "The run folder must be writable, however closed/run is not (Permission denied)",
    BUILD: "The run folder must be writable, however reports/ward-",
    f"{BUILD} --out open/run --register closed/register": "however closed/register is not (Permission denied)",
    "inspect ward.csv --out closed/schema.toml": "closed/schema.toml cannot be used (Permission denied). Name another",
    "keygen --no-passphrase --out closed/me.key": "cannot be used (Permission denied). Name another place",
    "verify package.zip --extract closed/table": "closed/table cannot be used (Permission denied). Name another",
    "register --register closed/register": "however closed/register is not (Permission denied)",
}


@pytest.mark.parametrize("line", CASES)
def test_what_cannot_be_written_is_said_once(disk, line):
    done = call(disk, *line.split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("Error: ") == 1
    assert CASES[line] in done.stderr
    assert "Traceback" not in done.stderr
    assert "Log: " not in done.stderr
    assert list((disk / "closed").iterdir()) == []


def test_without_a_folder_for_logs_the_command_goes_on(disk):
    done = call(disk, "inspect", "ward.csv", "--verbose", state="closed")
    assert done.returncode == 0
    assert "[columns.age]" in done.stdout
    assert "(Permission denied); --verbose shows it." in done.stderr
    assert "Traceback" not in done.stderr
