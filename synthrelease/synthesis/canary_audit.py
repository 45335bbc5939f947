"""``build --audit canary``: the release's training once more, on a copy of the table with planted rows.

Each planted row (a canary, a patient of its own, drawn from all that the schema allows) is in the copy by a fair coin
from the operating system. An attacker who knows all other rows, every canary, and all that left the training with
noise then guesses the coins; ``onerun`` turns right guesses into a lower bound on epsilon. A bound above the claim
proves that the claim is wrong, and nothing may be released. A bound below it proves nothing: how much the run could
have seen at all is told beside it. The model of the extra run is thrown away.

What it cannot see are errors by a small factor: those are for exact tests of sensitivity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from synthrelease.core.contracts import (
    BoolArray,
    CanaryFacts,
    FitSettings,
    Fitted,
    FloatArray,
    Generator,
    IntArray,
    OnStep,
    Place,
    PrivacyClaim,
    Table,
)
from synthrelease.core.errors import ClaimError, InputError
from synthrelease.privacy import noise as os_noise
from synthrelease.privacy import one_run_audit
from synthrelease.synthesis.generators.private import domain_learning
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of

AUDITS = ("canary",)
CONFIDENCE = 0.95
MOST, SHARE = 1_000, 0.05
"""So many canaries at most, and at most this share of the table's units: the copy must stay like the table."""
TIMES = 4.0
"""Power is told for counts whose noise is so many times smaller than the ledger says, and the attacker expects it."""
FACTORS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SURE = 0.8
"""A factor by which noise is too small is sure to be seen where this share of runs would catch it."""
GONE = 1e3
"""The same for an attacker who believes that there is hardly any noise: sees through rows that share cells."""
TRIALS = 40
BESIDE = (
    "The extra run had a budget of its own, beside the release's; its model is thrown away and nothing of it is "
    "released. Its figures were worked out with the real rows at hand: they are for internal eyes, and no part of the "
    "(epsilon, delta) claim."
)


@dataclass(frozen=True, slots=True)
class Canaries:
    """Planted rows as cells, (canaries, columns), who of them was in, and how many rows the table had before them.

    ``rows``: the same planted rows as canonical values.
    """

    cells: IntArray
    was_in: BoolArray
    first: int
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Finding:
    """What the extra run found. ``claimed`` is the epsilon that ``lower_bound`` is held against.

    ``lower_bound``: of epsilon, at ``confidence``, from ``right`` of ``guesses`` right by ``seen_in``, the best of
    several attackers (``looked_in``). ``ceiling``: the bound if all guesses had been right. ``power``: the share of
    like runs that would catch noise ``TIMES`` times smaller than the ledger says in everything that was counted.
    ``caught_from``: the smallest of ``FACTORS`` that most such runs (``SURE``) would catch; None if none is.
    """

    claimed: float
    delta: float
    lower_bound: float
    confidence: float
    canaries: int
    guesses: int
    right: int
    seen_in: str
    looked_in: tuple[str, ...]
    ceiling: float
    power: float
    caught_from: float | None
    seconds: float

    @property
    def sentence(self) -> str:
        """What was found and what that means, in plain words."""
        found = (
            f"Planted rows: epsilon is at least {self.lower_bound:.2f} (confidence {self.confidence:.0%}, "
            f"{self.canaries:,} canaries), {self.claimed:.3g} is claimed. "
        )
        if self.lower_bound > self.claimed:
            return f"{found}The claim is refuted."
        if self.ceiling <= self.claimed:
            return f"{found}So few canaries give {self.ceiling:.2f} at most: this run could refute nothing."
        reach = "not even noise a 64th of what it must be would most runs of this size see"
        if self.caught_from is not None:
            reach = f"most runs of this size would see noise {self.caught_from:g} times too small, and no smaller error"
        critic = " From which error on the critic's steps would show it was not worked out."
        return (
            f"{found}No violation was detected, which is no proof that there is none: with all guesses right the bound "
            f"would be {self.ceiling:.2f}; {TIMES:g} times too little noise in what is counted would be caught in "
            f"{self.power:.0%} of such runs; {reach}.{critic if _CRITIC in self.looked_in else ''}"
        )

    def facts(self) -> CanaryFacts:
        """The same with what it means, for audit, ledger and report."""
        found = asdict(self) | {"looked_in": ", ".join(self.looked_in)}
        return CanaryFacts(**found, weaker_noise=TIMES, sentence=self.sentence, beside=BESIDE)


def check(audit: str | None, epsilon: float | None) -> None:
    """Refuse an audit that nothing could be held against, before any row is read.

    Raises:
        InputError: there is no such audit, or no claim that it could test.
    """
    if audit is None:
        return
    if audit not in AUDITS:
        raise InputError(f"--audit must be one of {', '.join(AUDITS)}, however it is {audit!r}. Choose one of these.")
    if epsilon is None:
        raise InputError(
            "--audit canary tests a claim of differential privacy, however no --epsilon is given and none is made. "
            "Add --epsilon, or leave --audit out."
        )


def audited(
    train: Table,
    fit: Generator,
    settings: FitSettings,
    claim: PrivacyClaim,
    on_step: OnStep,
    declared: Callable[[Table], Table] = lambda table: table,
) -> Finding:
    """Train once more on a copy of ``train`` (as the generator sees it) with canaries, and look for them.

    ``declared`` turns such rows into rows as the schema declares them, from which open domains are learned again.

    Raises:
        InputError: the table is too small for a single canary.
        ClaimError: the bound exceeds the claim.
        TrainingError: the generator cannot be trained on the copy.
    """
    started = time.perf_counter()
    domains = [cells_of(column) for column in train.schema.learned]
    copy, canaries = planted(train, domains, np.random.default_rng(settings.seed))
    attacker = Attacker(canaries)
    if claim.asked.spent:
        attacker.add(_seen_in_domains(copy, canaries, claim, declared))
    fitted = fit(copy, replace(settings, witness=attacker), on_step)
    scores = {**attacker.scores(), "made rows": _nearness(fitted, domains, canaries, len(train), settings.seed)}
    each = 1.0 - (1.0 - CONFIDENCE) / len(scores)
    bounds = {
        name: one_run_audit.bound(found, canaries.was_in, delta=claim.delta, confidence=each)
        for name, found in scores.items()
    }
    name = max(bounds, key=lambda key: bounds[key].epsilon)
    best = bounds[name]
    rng = np.random.default_rng(settings.seed)
    powers = {factor: attacker.power(claim, factor, confidence=each, rng=rng) for factor in FACTORS}
    finding = Finding(
        claimed=claim.epsilon,
        delta=claim.delta,
        lower_bound=best.epsilon,
        confidence=CONFIDENCE,
        canaries=best.canaries,
        guesses=best.guesses,
        right=best.right,
        seen_in=name,
        looked_in=tuple(scores),
        ceiling=one_run_audit.ceiling(best.canaries, delta=claim.delta, confidence=each),
        power=powers[TIMES],
        caught_from=next((factor for factor in FACTORS if powers[factor] >= SURE), None),
        seconds=round(time.perf_counter() - started, 1),
    )
    if not finding.lower_bound <= finding.claimed:
        raise ClaimError(
            f"A claim must hold against an attack, however planted rows show that epsilon is at least "
            f"{finding.lower_bound:.2f} and {finding.claimed:.3g} is claimed (confidence {CONFIDENCE:.0%}; an honest "
            "build is accused so once in twenty runs at most, in truth far less often). Nothing is released. Use no "
            "table that this installation made with --epsilon until the fault is found, and report it."
        )
    return finding


def _seen_in_domains(
    copy: Table, canaries: Canaries, claim: PrivacyClaim, declared: Callable[[Table], Table]
) -> Attacker:
    """Learn open domains once more on the copy, and look for canaries in what that releases."""
    rows = declared(replace(copy, frame=canaries.rows, units=None))
    domains = domain_learning.domains_of(rows.schema)
    cells = np.stack([each.encode(rows.frame[each.name]) for each in domains], axis=1)
    attacker = Attacker(replace(canaries, cells=cells))
    domain_learning.again(declared(copy), claim.asked, attacker)
    return attacker


def planted(train: Table, domains: list[Cells], rng: np.random.Generator) -> tuple[Table, Canaries]:
    """Return a copy of ``train`` with canaries, each in it by a fair coin of the operating system, and the canaries.

    Their cells are drawn evenly from all that are declared, missing and the outermost values among them: like no
    patient, and so easily told. ``rng`` draws them; the attacker knows them anyhow.

    Raises:
        InputError: the table is too small.
    """
    units = len(train) if train.units is None else len(np.unique(train.units))
    count = min(MOST, int(SHARE * units))
    if count < 1:
        raise InputError(
            f"--audit canary plants at most {SHARE:.0%} as many rows as there are patients, however there are {units}. "
            "Leave it out: so small a table can show nothing."
        )
    cells = np.stack([rng.integers(each.size, size=count) for each in domains], axis=1)
    was_in = os_noise.poisson_mask(count, 0.5)
    values = pd.DataFrame({
        each.name: pd.Series(each.values(cells[:, at], rng.random(count))) for at, each in enumerate(domains)
    })  # fmt: skip
    for column in train.schema.learned:
        values[column.name] = values[column.name].astype(train.frame[column.name].dtype)
    rows = values[was_in]
    own = None
    if train.units is not None:
        own = np.concatenate([train.units, int(train.units.max()) + 1 + np.arange(len(rows))])
    copy = replace(train, frame=pd.concat([train.frame, rows], ignore_index=True), units=own)
    return copy, Canaries(cells, was_in, len(train), values)


class Attacker:
    """Looks for canaries from inside a training (a ``contracts.Witness``).

    Everything counted is linear in rows. With all other rows taken off, what is left of the noisy numbers is
    ``effects.T @ coins`` plus noise; weighed by the noise that the ledger says, ``gram`` (canaries, canaries) is how
    much canaries are alike in it, and ``pull`` (canaries,) how much each is in it. Both grow with every release.
    """

    def __init__(self, canaries: Canaries) -> None:
        self.canaries = canaries
        count = len(canaries.cells)
        self.gram, self.pull = np.zeros((count, count)), np.zeros(count)
        self.steps: FloatArray | None = None
        self.others: tuple[IntArray, FloatArray] | None = None
        self.codes_of: Callable[[IntArray], IntArray] | None = None
        self.starts: IntArray | None = None

    def add(self, other: Attacker) -> None:
        """Take in what another attacker on the same canaries has seen counted."""
        self.gram += other.gram
        self.pull += other.pull

    def known(self, cells: IntArray, weights: FloatArray, kept: IntArray) -> None:
        """Note all rows but the canaries."""
        real = kept < self.canaries.first
        self.others = (cells[real], weights[real])

    def released(self, noisy: FloatArray, scale: float, place: Place) -> None:
        """Take off what known rows put into the numbers, and weigh what is left."""
        assert self.others is not None  # noqa: S101 - a training tells its rows first
        cells, weights = self.others
        positions, amounts = place(cells)
        known = np.bincount(positions.ravel(), (amounts * weights[:, None]).ravel(), minlength=len(noisy))
        positions, amounts = place(self.canaries.cells)
        canary = np.repeat(np.arange(len(positions)), positions.shape[1])
        shape = (len(positions), len(noisy))
        effects = sparse.csr_array((amounts.ravel() / scale, (canary, positions.ravel())), shape=shape)
        self.gram += (effects @ effects.T).toarray()
        self.pull += np.asarray(effects @ ((noisy - known) / scale))

    def coded(self, codes_of: Callable[[IntArray], IntArray], starts: IntArray) -> None:
        """Note how a critic sees rows."""
        self.codes_of, self.starts = codes_of, starts

    def stepped(self, training: Any, made: Any) -> None:
        """Add how far a released gradient points where each canary pulls the critic."""
        from synthrelease.synthesis.generators.private import ghost_gradients  # brings torch

        assert self.others is not None  # noqa: S101
        assert self.codes_of is not None  # noqa: S101
        assert self.starts is not None  # noqa: S101
        cells, weights = self.others
        others = ghost_gradients.Rows(self.codes_of(cells), self.starts, weights)
        sought = ghost_gradients.Rows(
            self.codes_of(self.canaries.cells), self.starts, np.ones(len(self.canaries.cells))
        )
        found = ghost_gradients.found(training, made, others, sought)
        self.steps = found if self.steps is None else self.steps + found

    def scores(self) -> Mapping[str, FloatArray]:
        """How much each canary looks as if it had been in, (canaries,), by each way of looking."""
        seen = _Seen(self.gram)
        found = {name: seen.scores(self.pull, times) for name, times in _WAYS.items()}
        return found if self.steps is None else found | {_CRITIC: self.steps}

    def power(self, claim: PrivacyClaim, times: float, *, confidence: float, rng: np.random.Generator) -> float:
        """Return the share of runs with these canaries that would catch counts with ``times`` times less noise."""
        seen, count, caught = _Seen(self.gram), len(self.pull), 0
        for _ in range(TRIALS):
            coins = rng.random(count) < 0.5
            pull = self.gram @ coins + seen.noise(rng) / times
            caught += any(
                one_run_audit.refutes(
                    seen.scores(pull, way), coins, epsilon=claim.epsilon, delta=claim.delta, confidence=confidence
                )
                for way in _WAYS.values()
            )
        return caught / TRIALS


_CRITIC = "steps of the critic"
_WAYS: Mapping[str, float] = {"counts": TIMES, "counts, as if without noise": GONE}
"""Ways to look at what was counted: so many times less noise than the ledger says is what they are best at."""


@dataclass(slots=True)
class _Seen:
    """A gram matrix taken apart, for estimates under several beliefs about the noise."""

    gram: FloatArray
    values: FloatArray = field(init=False)
    vectors: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        values, self.vectors = np.linalg.eigh(self.gram)
        self.values = np.maximum(values, 0.0)

    def scores(self, pull: FloatArray, times: float) -> FloatArray:
        """The best linear estimate of coins (mean a half, variance a quarter) if noise is ``times`` times smaller."""
        turned = self.vectors.T @ (pull - self.gram.sum(axis=1) / 2)
        return np.asarray(self.vectors @ (turned * times**2 / (self.values * times**2 + 4.0)))

    def noise(self, rng: np.random.Generator) -> FloatArray:
        """What noise as the ledger says puts into a pull, (canaries,)."""
        return np.asarray(self.vectors @ (np.sqrt(self.values) * rng.standard_normal(len(self.values))))


def _nearness(fitted: Fitted, domains: list[Cells], canaries: Canaries, rows: int, seed: int) -> FloatArray:
    """How near the nearest made row comes to each canary: minus the number of columns that differ, (canaries,)."""
    made = pd.concat(list(fitted.sample(rows, seed=seed)), ignore_index=True)
    cells = np.stack([each.encode(made[each.name]) for each in domains])  # (columns, rows)
    gaps = [(cells != row[:, None]).sum(axis=0).min() for row in canaries.cells]
    return -np.asarray(gaps, dtype=np.float64)
