"""Exact tests by exchanging labels: is it the training patients who come back, rather than the holdout patients?

Training and holdout patients are one population cut at random. Whatever is measured of a patient without knowing the
side (how near the synthetic table comes, which rare combinations return) is therefore distributed alike on both sides,
unless the generator gave training patients away. The tests here score all patients together, look at who leads, and
compare with what random labels would show. No distribution is assumed, and the smallest of many looks is corrected for
exactly, dependence included (Westfall & Young 1993, min-P).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import fft, stats

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray

DRAWS = 1_999
TAILS = (8, 16, 32, 64, 128, 256, 512)
CAP = 2.0
GROUP_DRAWS = 9_999
PARTS = 4
FREE_PATIENTS = 1_500
"""Up to so many patients labels are exchanged freely: with so few, p would depend on the order in which they turn."""
TIED = 6
"""Decimals of standard scores; smaller differences are rounding errors."""

Weights = np.ndarray[Any, np.dtype[np.float32]]
"""(groups, patients): how strongly each patient counts in each group."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The most telling of several looks.

    ``p`` is the probability that random labels show as much in any look. ``members`` of the ``size`` patients that
    lead there were trained on. ``name`` says which look it was.
    """

    p: float
    name: str
    members: int
    size: int

    @property
    def chance(self) -> str:
        """``p`` in words: a smallest probability is a bound, because only so many exchanges of labels were drawn."""
        one_in = (
            f"at most 1 in {1 / self.p:,.0f}" if self.p * DRAWS < 2 else f"{self.p:.{2 if self.p < 0.01 else 1}%} of"
        )
        return f"{one_in} tables without a leak"


def tail_scan(rng: np.random.Generator, member: BoolArray, scores: Mapping[str, FloatArray]) -> Finding:
    """Test whether training patients lead: the 8 to 512 highest of every score, all looks together.

    Args:
        rng: draws the random labels and breaks ties.
        member: whether each patient was trained on, (patients,).
        scores: look -> (patients,); higher means that more of the patient comes back. No score may use ``member``.
    """
    tails = [m for m in TAILS if m <= len(member) // 4] or [max(1, len(member) // 4)]
    leading = [_leading(rng, score, tails[-1]) for score in scores.values()]  # (tails[-1],) each
    patients, place = np.unique(np.concatenate(leading), return_inverse=True)
    labels = np.vstack([member[patients], _random_labels(rng, member, len(patients))])  # (1 + DRAWS, patients)
    smallest = np.ones(len(labels))
    best = ("", 0, 0, 2.0)
    for name, order in zip(scores, np.split(place, len(leading)), strict=True):
        counts = np.cumsum(labels[:, order], axis=1, dtype=np.int32)
        for tail in tails:
            p = _tail_p(len(member), int(member.sum()), tail)[counts[:, tail - 1]]
            np.minimum(smallest, p, out=smallest)
            if p[0] < best[3]:
                best = (name, int(counts[0, tail - 1]), tail, float(p[0]))
    return Finding(_rank_p(smallest), best[0], best[1], best[2])


def tail_bound(member: BoolArray, leading: BoolArray, *, looks: int) -> float:
    """A bound on ``tail_scan``'s p for one order, without random labels (Bonferroni over tails and looks).

    Args:
        member: (patients,).
        leading: labels of the patients that lead, first first.
        looks: how many orders are looked at in all.
    """
    tails = [m for m in TAILS if m <= min(len(member) // 4, len(leading))]
    counts, members = np.cumsum(leading), int(member.sum())
    smallest = min((float(_tail_p(len(member), members, m)[counts[m - 1]]) for m in tails), default=1.0)
    return min(1.0, smallest * looks * max(1, len(tails)))


def _leading(rng: np.random.Generator, score: FloatArray, count: int) -> IntArray:
    """The patients with the highest scores, highest first, ties in random order."""
    turn = rng.permutation(len(score))
    order: IntArray = turn[np.argsort(-score[turn], kind="stable")[:count]]
    return order


def _random_labels(rng: np.random.Generator, member: BoolArray, patients: int) -> BoolArray:
    """Labels of some of the patients when members are drawn at random from all: (DRAWS, patients)."""
    inside = rng.hypergeometric(int(member.sum()), int((~member).sum()), patients, size=DRAWS)
    turn = rng.random((DRAWS, patients), dtype=np.float32).argsort(axis=1)
    labels: BoolArray = turn < inside[:, None]
    return labels


@lru_cache(maxsize=64)  # the self-test asks for the same few thousands of times
def _tail_p(patients: int, members: int, tail: int) -> FloatArray:
    """Probability that at least k of the leading ``tail`` of all patients are members, for k = 0..tail."""
    p: FloatArray = stats.hypergeom.sf(np.arange(tail + 1) - 1, patients, members, tail)
    p.setflags(write=False)
    return p


def _rank_p(smallest: FloatArray) -> float:
    """Share of labellings, the true one (first) included, whose smallest p is as small as the true one's."""
    return float(np.mean(smallest <= smallest[0] * (1 + 1e-9)))


def group_scan(
    rng: np.random.Generator,
    member: BoolArray,
    blocks: Iterable[tuple[list[str], Weights]],
    *,
    margin: float = 0.0,
) -> tuple[Finding, dict[str, float]]:
    """Test whether training patients carry more weight: the largest of all groups, and all that stand out together.

    Among few patients labels are exchanged freely, among more by turning each part of the patients, who are in random
    order, by a random number of places. Turns are a group, and random draws from a group give an exact test (Hemerik &
    Goeman 2018, TEST 27, theorem 2). The sums of all turns of a part come from one Fourier transform, where free
    exchanges need a sum for each.

    Args:
        rng: draws the random labels.
        member: (patients,).
        blocks: (names, weights) of some groups at a time; no weight may use ``member``.
        margin: weight a member that is taken for granted: what does not exceed it in a group counts as nothing there.

    Returns:
        The finding (``members`` and ``size`` are left 0; the smallest p is 1 / (1 + GROUP_DRAWS)) and the standard
        score of every group.
    """
    share = float(member.mean())
    sums_of = _exchanged(rng, member) if len(member) <= FREE_PATIENTS else _turned(rng, member)
    largest = np.full(1 + GROUP_DRAWS, -np.inf)
    excess = np.zeros(1 + GROUP_DRAWS)
    scores: dict[str, float] = {}
    for names, weights in blocks:
        centred = weights - weights.mean(axis=1, keepdims=True)
        standard = np.round(sums_of(centred) / _spread(centred, share)[:, None], TIED)  # what is equal stays equal
        standard[:, 0] = _beyond(standard[:, 0], centred, member, margin)
        largest = np.maximum(largest, standard.max(axis=0))
        excess += (np.maximum(standard - CAP, 0.0) ** 2).sum(axis=0)
        scores |= dict(zip(names, standard[:, 0].tolist(), strict=True))
    if not scores:
        return Finding(1.0, "", 0, 0), scores
    ranks = np.minimum(_upper_ranks(largest), _upper_ranks(excess))
    return Finding(_rank_p(ranks), max(scores, key=lambda name: scores[name]), 0, 0), scores


def _exchanged(rng: np.random.Generator, member: BoolArray) -> Callable[[Weights], FloatArray]:
    """Sums of members' weights for the true labels, first, and for random ones: (groups, 1 + GROUP_DRAWS)."""
    labels = np.tile(member - float(member.mean()), (1 + GROUP_DRAWS, 1))
    rng.permuted(labels[1:], axis=1, out=labels[1:])
    return lambda centred: centred.astype(np.float64) @ labels.T


def _turned(rng: np.random.Generator, member: BoolArray) -> Callable[[Weights], FloatArray]:
    """The same, where random labels are the true ones after each part of the patients has turned."""
    parts = np.array_split(rng.permutation(len(member)), PARTS)
    turns = [np.append(0, rng.integers(len(part), size=GROUP_DRAWS)) for part in parts]  # the first is no turn
    spectra = [np.conj(fft.rfft(member[part] - float(member.mean()))) for part in parts]

    def sums_of(centred: Weights) -> FloatArray:
        sums = np.zeros((len(centred), 1 + GROUP_DRAWS))
        for part, turn, spectrum in zip(parts, turns, spectra, strict=True):
            sums += fft.irfft(fft.rfft(centred[:, part].astype(np.float64)) * spectrum, n=len(part))[:, turn]
        return sums

    return sums_of


def standard_scores(member: BoolArray, weights: Weights, *, margin: float) -> FloatArray:
    """How far members outweigh the others in each group beyond ``margin``, in standard errors: (groups,)."""
    share = float(member.mean())
    centred = weights - weights.mean(axis=1, keepdims=True)
    return _beyond(centred @ (member - share) / _spread(centred, share), centred, member, margin)


def _spread(centred: Weights, share: float) -> FloatArray:
    spread: FloatArray = np.sqrt(share * (1 - share) * np.einsum("gp,gp->g", centred, centred))
    return np.maximum(spread, 1e-9)


def _beyond(standard: FloatArray, centred: Weights, member: BoolArray, margin: float) -> FloatArray:
    share = float(member.mean())
    granted = margin * float(member.sum()) * (1 - share) / _spread(centred, share)
    beyond: FloatArray = standard - np.minimum(granted, np.maximum(standard, 0.0))
    return beyond


def _upper_ranks(values: FloatArray) -> FloatArray:
    """Share of all values that are at least as large as each."""
    return 1.0 - (stats.rankdata(values, method="min") - 1) / len(values)
