"""Killed with -9 at fifty moments of signing, releasing, withdrawing and handing over: nothing is ever half there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from signing_room import REVIEWER, STEWARD, finished

from synthrelease.core import files
from synthrelease.core.errors import SigningError
from synthrelease.governance import handoff, register, sign_off
from synthrelease.governance.package_verification import verify

ROUNDS = 50


@dataclass
class Room:
    """A run, its register and where its packages go."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def where(self) -> Path:
        return self.folder / "register"

    def approve(self) -> None:
        sign_off.sign_off(self.run, REVIEWER, "approve", "Read.", where=self.where)

    def reject(self) -> None:
        sign_off.sign_off(self.run, REVIEWER, "reject", "No.", where=self.where)

    def hand_over(self) -> None:
        handoff.hand_off(self.run, "Partner", self.folder / "package.zip", where=self.where)

    def records(self) -> list[str]:
        """What the register says was decided."""
        opened = register.opened(self.where)
        entries = [e for source in register.sources(opened) for e in register.entries(opened, source)]
        return [e.facts.record.decision for e in entries if e.event == "sign-off"]

    def check(self) -> None:
        """The register is as it was written; what is released is whole; what verifies is the real package."""
        assert register.check(register.opened(self.where)) == []
        release = self.run / "release"
        if release.exists():
            listed = json.loads((release / "manifest.json").read_text())["files"]
            assert {p.name: files.sha256(p) for p in release.iterdir() if p.name != "manifest.json"} == listed
            assert self.records().count("approve") == 2
        for path in (*self.folder.glob("*.zip"), *self.folder.glob(".*.part")):
            if path.name == "package.zip":
                assert verify(path).is_intact
            elif verify(path).is_intact:  # killed between the last byte and the name: whole, under another name
                assert path.stat().st_size > 1000


def killed(act: Callable[[], None], after: float) -> bool:
    """Run ``act`` in a process of its own and kill it after so many seconds; say whether it was cut short."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def seconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that lacks one approval, and the same run released."""
    folder = tmp_path_factory.mktemp("begun")
    room = Room(folder / "waiting")
    room.folder.mkdir()
    finished(room.run, room.where)
    sign_off.sign_off(room.run, STEWARD, "approve", "Read.", where=room.where)
    done = Room(folder / "released")
    shutil.copytree(room.folder, done.folder)
    done.approve()
    return room, done


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 needs POSIX")
def test_killed_at_fifty_moments_nothing_is_half_there(begun, tmp_path):
    waiting, released = begun
    moments = random.Random(9)
    acts = {"approve": waiting, "reject": released, "hand_over": released}
    trial = {}
    for name, source in acts.items():
        shutil.copytree(source.folder, tmp_path / name)
        trial[name] = seconds(getattr(Room(tmp_path / name), name))
    cut = 0
    for number in range(ROUNDS):
        name = list(acts)[number % len(acts)]
        room = Room(tmp_path / f"round{number}")
        shutil.copytree(acts[name].folder, room.folder)
        cut += killed(getattr(room, name), moments.uniform(0.0, 1.1) * trial[name])
        room.check()
        finish(room, name)
        room.check()
        shutil.rmtree(room.folder)
    assert cut >= ROUNDS // 2


def finish(room: Room, name: str) -> None:
    """The next command finishes what was cut short, or begins anew."""
    decided = len(room.records())
    if name == "approve" and decided == 1:
        room.approve()
    elif name == "reject" and decided == 2:
        room.reject()
    elif name == "hand_over" and not (room.folder / "package.zip").exists():
        room.hand_over()
    with sign_off.held(room.run, room.where) as case:
        assert case.is_released == (name != "reject")
    assert len((room.run / "internal" / "sign-offs.jsonl").read_text().splitlines()) == len(room.records())
    if name == "reject":
        assert (room.run / "quarantine" / "withdrawn" / "synthetic.csv").is_file()
        with pytest.raises(SigningError, match="rejected"):
            handoff.hand_off(room.run, "Partner", room.folder / "other.zip", where=room.where)
        assert not (room.folder / "other.zip").exists()
    if name == "hand_over":
        (room.folder / "package.zip").unlink()
        room.hand_over()
        assert list(room.folder.glob(".*")) == []
