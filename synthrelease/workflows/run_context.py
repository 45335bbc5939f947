"""What a run gathers on its way to the report, and who hears how it goes on."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthrelease.core import files
from synthrelease.core.contracts import Attempts, DigestName, Figure, Policy, PrivacyClaim, Schema, TrainingStep
from synthrelease.synthesis.canary_audit import Finding

NOTABLE_SHARE = 0.05
"""From this share of rows that broke a constraint on, the report says that others were drawn in their place."""


class Listener(Protocol):
    """Hears how a run goes on; the command line draws it."""

    def stage(self, title: str) -> None:
        """A new stage has begun."""
        ...

    def step(self, step: TrainingStep) -> None:
        """Training has come so far."""
        ...

    def notice(self, text: str) -> None:
        """Something the steward should know."""
        ...


class Silent:
    """A listener that says nothing."""

    def stage(self, title: str) -> None:
        """Ignore it."""

    def step(self, step: TrainingStep) -> None:
        """Ignore it."""

    def notice(self, text: str) -> None:
        """Ignore it."""


@dataclass(slots=True)
class Run:
    """What a run gathers on its way to the report."""

    schema: Schema
    schema_file: Path
    policy: Policy
    seed: int
    listener: Listener
    source: str
    created: str = field(default_factory=files.utc_now)
    seconds: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    digests: dict[DigestName, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    generator: str = ""
    was_made_here: bool = True
    claim: PrivacyClaim | None = None
    """What a differentially private build promises."""
    canary: Finding | None = None
    """What planted rows say of the claim, where that was asked for."""
    history: tuple[Figure, ...] = ()
    packages: tuple[str, ...] = ("numpy", "pandas", "scikit-learn", "faiss-cpu")
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    attempts: Attempts | None = None
    wanted: Schema = field(init=False)
    """As declared, with the treatments that schema and policy demand; ``schema`` is what they leave of it."""

    def __post_init__(self) -> None:
        self.wanted = self.schema

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a stage and time it."""
        self.listener.stage(title)
        started = time.perf_counter()
        yield
        self.seconds[title] = round(time.perf_counter() - started, 2)

    def notice(self, text: str) -> None:
        """Tell the steward now, and the reader of the report later."""
        self.notices.append(text)
        self.listener.notice(text)

    def left_out(self, share: float) -> None:
        """Say that so many rows broke a constraint and were left out, where that may bend the table."""
        if share > NOTABLE_SHARE:
            self.notice(
                f"{share:.0%} of the rows drawn broke a constraint and others were drawn instead, so that the columns "
                "it names may be distributed otherwise than in the real table."
            )

    def started(self) -> dict[str, Any]:
        """What ``run.json`` says while the run is under way."""
        return {"id": self.run_id, "created": self.created, "source": self.source, "policy": self.policy.name}


def derived(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that one stage's draws never depend on another's."""
    words = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)
    return int(words[0] >> 1)
