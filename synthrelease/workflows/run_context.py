"""The facts of a run, settled before any table is read; what it gathers on the way; and who hears how it goes on."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthrelease.core import files
from synthrelease.core.contracts import (
    CanaryFinding,
    DeclaredSchema,
    Figure,
    PairSignal,
    Policy,
    PrivacyClaim,
    TrainingStep,
)
from synthrelease.schema import generalisation
from synthrelease.workflows.run_options import BuildOptions

_log = logging.getLogger(__name__)
NOTABLE_SHARE = 0.05
"""From this share of rows that broke a constraint on, the report says that others were drawn in their place."""
PACKAGES = ("numpy", "pandas", "scikit-learn", "faiss-cpu")
"""Whose versions the report names in any case."""
MADE_ELSEWHERE = "unknown"
"""The generator of a table that another tool made."""


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


class Recorder:
    """What accumulates over the stages of a run: notices in order, and how long each stage took, in seconds."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.notices: list[str] = []
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Announce a stage and time it."""
        _log.info("%s", title)
        self.listener.stage(title)
        started = time.perf_counter()
        yield
        self.seconds[title] = round(time.perf_counter() - started, 2)
        _log.info("%s: %.2f s", title, self.seconds[title])

    def notice(self, text: str) -> None:
        """Tell the steward now, and the reader of the report later."""
        _log.info("a notice was told; it stands in the report")  # its text may name labels, as --condition does
        self.notices.append(text)
        self.listener.notice(text)

    def left_out(self, share: float) -> None:
        """Say that so many rows broke a constraint and were left out, where that may bend the table."""
        if share > NOTABLE_SHARE:
            self.notice(
                f"{share:.0%} of the rows drawn broke a constraint and others were drawn instead, so that the columns "
                "it names may be distributed otherwise than in the real table."
            )


@dataclass(frozen=True, slots=True)
class Run:
    """The facts of a run; ``recorder`` alone changes.

    ``wanted`` is the schema as declared, with the treatments that schema and policy demand; ``schema`` is what these
    leave of it. ``source`` names the table, ``created`` is the time in UTC.
    """

    wanted: DeclaredSchema
    schema: DeclaredSchema
    schema_file: Path
    policy: Policy
    seed: int
    source: str
    created: str
    run_id: str
    recorder: Recorder

    def started(self) -> dict[str, Any]:
        """What ``run.json`` says while the run is under way."""
        return {"id": self.run_id, "created": self.created, "source": self.source, "policy": self.policy.name}

    def derived(self, purpose: str) -> int:
        """Return the run's seed for one purpose."""
        return derived(self.seed, purpose)


@dataclass(frozen=True, slots=True)
class Production:
    """How the synthetic table came about, as the report tells it.

    ``was_made_here``: whether this run trained the generator. ``claim`` is what a differentially private build
    promises, ``canary`` what planted rows say of that. ``labels_are_sharpened``: whether labels of the target were
    drawn more decisively than they were learned. ``copies``: how many there are of the table. ``signals``: see
    ``RunFacts``.
    """

    generator: str
    was_made_here: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Figure, ...] = ()
    packages: tuple[str, ...] = PACKAGES
    claim: PrivacyClaim | None = None
    canary: CanaryFinding | None = None
    labels_are_sharpened: bool = False
    copies: int = 1
    signals: tuple[PairSignal, ...] = ()


def begun(
    declared: DeclaredSchema,
    policy: Policy,
    *,
    schema_file: Path,
    source: str,
    options: BuildOptions,
    listener: Listener | None,
) -> Run:
    """Settle the facts of a run, and say what the policy adds to the schema; a seed is drawn unless one is given."""
    recorder, created = Recorder(listener or Silent()), files.utc_now()
    wanted = generalisation.required(declared, policy.generalise, year=int(created[:4]))
    for name, words in generalisation.demands(declared, wanted).items():
        recorder.notice(f"The policy {policy.name} wants {name!r} coarser, and so it is made: {words}.")
    return Run(
        wanted=wanted,
        schema=generalisation.domain(wanted),
        schema_file=schema_file,
        policy=policy,
        seed=secrets.randbelow(2**31) if options.seed is None else options.seed,
        source=source,
        created=created,
        run_id=secrets.token_hex(8),
        recorder=recorder,
    )


def without_shifts(run: Run) -> Run:
    """Return a run that moves no dates: what another tool made from them would not fit any more."""
    if not generalisation.shifts(run.wanted):
        return run
    run.recorder.notice("Dates cannot be moved in an audit: whoever made the synthetic table would have had to do it.")
    wanted = generalisation.unshifted(run.wanted)
    return replace(run, wanted=wanted, schema=generalisation.domain(wanted))


def derived(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that one stage's draws never depend on another's."""
    words = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1)
    return int(words[0] >> 1)
