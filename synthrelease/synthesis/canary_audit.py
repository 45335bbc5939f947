"""``build --audit canary``: the release's training once more, on a copy of the table with planted rows.

Each planted row (a canary, a patient of its own, drawn from all that the schema allows) is in the copy by a fair coin
from the operating system. An attacker who knows all other rows, every canary, and all that left the training with
noise then guesses the coins; ``one_run_audit`` turns right guesses into a lower bound on epsilon. A bound above the
claim proves that it is wrong, and nothing may be released. A bound below it proves nothing: how much the run could
have seen at all is told beside it. The model of the extra run is thrown away.

What it cannot see are errors by a small factor: those are for exact tests of sensitivity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from synthrelease.core.canary_types import CRITIC_STEPS, WEAKER
from synthrelease.core.contracts import (
    BoolArray,
    CanaryFinding,
    FitSettings,
    Fitted,
    FloatArray,
    Generator,
    IntArray,
    ModelledSchema,
    OnStep,
    Place,
    PrivacyClaim,
    Table,
)
from synthrelease.core.errors import ClaimError, InputError
from synthrelease.core.privacy_types import CLAIM_AUDITS
from synthrelease.privacy import noise as os_noise
from synthrelease.privacy import one_run_audit
from synthrelease.synthesis.generators.private import domain_learning
from synthrelease.synthesis.generators.private.public_domain import Cells, cells_of
from synthrelease.synthesis.maker import Learner

CONFIDENCE = 0.95
MOST, SHARE = 1_000, 0.05
"""So many canaries at most, and at most this share of the table's units: the copy must stay like the table."""
FACTORS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SURE = 0.8
"""A factor by which noise is too small is sure to be seen where this share of runs would catch it."""
GONE = 1e3
"""The same for an attacker who believes that there is hardly any noise: sees through rows that share cells."""
TRIALS = 40


@dataclass(frozen=True, slots=True)
class Canaries:
    """Planted rows as cells, (canaries, columns), who of them was in, and how many rows the table had before them.

    ``rows``: the same planted rows as canonical values.
    """

    cells: IntArray
    was_in: BoolArray
    first: int
    rows: pd.DataFrame


def check(audit: str | None, epsilon: float | None) -> None:
    """Refuse an audit that nothing could be held against, before any row is read.

    Raises:
        InputError: there is no such audit, or no claim that it could test.
    """
    if audit is None:
        return
    if audit not in CLAIM_AUDITS:
        raise InputError(
            f"--audit must be one of {', '.join(CLAIM_AUDITS)}, however it is {audit!r}. Choose one of these."
        )
    if epsilon is None:
        raise InputError(
            "--audit canary tests a claim of differential privacy, however no --epsilon is given and none is made. "
            "Add --epsilon, or leave --audit out."
        )


@dataclass(frozen=True, slots=True)
class CanaryAudit:
    """An attack (``preparation.Attack``) on ``claim``: the release's generator once more, on rows with canaries.

    ``declared`` turns rows as the generator sees them into rows as the schema declares them, from which open domains
    are learned again.
    """

    claim: PrivacyClaim
    fit: Generator
    settings: FitSettings
    on_step: OnStep
    declared: Callable[[Table[ModelledSchema]], Table]

    def __call__(self, train: Table[ModelledSchema]) -> CanaryFinding:
        """Plant canaries into a copy of ``train`` (as the generator sees it), train on it and look for them.

        Raises:
            InputError: the table is too small for a single canary.
            ClaimError: the bound exceeds the claim.
            TrainingError: the generator cannot be trained on the copy.
        """
        return _audited(train, self)


def audited(
    preparation: Learner, claim: PrivacyClaim, *, fit: Generator, settings: FitSettings, on_step: OnStep
) -> CanaryFinding:
    """Hold a build's claim against an attack on its own preparation; ``settings.seed`` draws the canaries.

    Raises:
        InputError: the table is too small for a single canary.
        ClaimError: the bound exceeds the claim.
        TrainingError: the generator cannot be trained on the copy.
    """
    audit = CanaryAudit(claim, fit, settings, on_step, preparation.transform().value.declared)
    return preparation.attacked(audit).value


def _audited(train: Table[ModelledSchema], audit: CanaryAudit) -> CanaryFinding:
    started, claim = time.perf_counter(), audit.claim
    settings = replace(audit.settings, privacy=claim.asked)
    domains = [cells_of(column) for column in train.schema.learned]
    copy, canaries = planted(train, domains, np.random.default_rng(settings.seed))
    attacker = Attacker(canaries)
    if claim.asked.spent:
        attacker.add(_seen_in_domains(copy, canaries, claim, audit.declared))
    fitted = audit.fit(copy, replace(settings, witness=attacker), audit.on_step)
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
    finding = CanaryFinding(
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
        power=powers[WEAKER],
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
    copy: Table[ModelledSchema],
    canaries: Canaries,
    claim: PrivacyClaim,
    declared: Callable[[Table[ModelledSchema]], Table],
) -> Attacker:
    """Learn open domains once more on the copy, and look for canaries in what that releases."""
    rows = declared(replace(copy, frame=canaries.rows, units=None))
    domains = domain_learning.domains_of(rows.schema)
    cells = np.stack([each.encode(rows.frame[each.name]) for each in domains], axis=1)
    attacker = Attacker(replace(canaries, cells=cells))
    domain_learning.again(declared(copy), claim.asked, attacker)
    return attacker


def planted(
    train: Table[ModelledSchema], domains: list[Cells], rng: np.random.Generator
) -> tuple[Table[ModelledSchema], Canaries]:
    """Return a copy of ``train`` with canaries, each in it by a fair coin of the operating system, and the canaries.

    Their cells are drawn evenly from all that are declared, missing and the outermost values among them: like no
    patient, and so easily told. ``rng`` draws them; the attacker knows them anyhow.

    Raises:
        InputError: the table is too small.
    """
    units = train.unit_count
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
        return found if self.steps is None else found | {CRITIC_STEPS: self.steps}

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


_WAYS: Mapping[str, float] = {"counts": WEAKER, "counts, as if without noise": GONE}
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
    wide = [replace(each, by_value=False) for each in domains]  # hardly any made number equals a canary's to the digit
    cells = np.stack([each.encode(made[each.name]) for each in wide])  # (columns, rows)
    sought = np.stack([each.encode(canaries.rows[each.name]) for each in wide], axis=1)
    gaps = [(cells != row[:, None]).sum(axis=0).min() for row in sought]
    return -np.asarray(gaps, dtype=np.float64)
