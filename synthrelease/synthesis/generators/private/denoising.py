"""Noisy tables of pairs made better: shrunk to what columns would have in common if they were independent.

What a table of two columns adds to its margins is taken for a random field: rough where codes are labels, smooth where
they are runs of a number. Two things blur it: the noise, which is known exactly, and the luck of which rows are in the
table, with a variance of p q / n in a cell of shares p and q. Whether there is a field at all, how smooth and strong it
is, is weighed by likelihood, with a chance of one half for no field before anything is seen; the posterior mean (a
Wiener filter) is averaged over all that. Where no field is likelier than any, none is put in: what a recipient finds in
such a pair would be noise. Like every post-processing it costs no privacy.

Noise taken for findings: arXiv:2403.13612. Averaging over models with a prior on none: Hoeting et al. 1999,
doi:10.1214/ss/1009212519.

A Kronecker product of the columns' covariances keeps it quick: one eigendecomposition a column serves all its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.generators.private.codebook import Codes

LENGTHS = (0.0, 5.0, 20.0)
"""Over how many codes of a number a field may be alike; 0: not at all."""
STRENGTHS = tuple(2.0**power for power in range(-6, 4))
NOTHING = 0.5
"""The chance, before anything is seen, that two columns are independent."""
ROUGH = 0.1
"""The part of a smooth field that is rough all the same, so that steps and heaps survive."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Eigenvectors, (codes, k), and eigenvalues, (k,), of one covariance that a column's field may have.

    ``luck``: the variance of the share of one row along each vector, (k,). It is exact where codes are labels or have
    equal shares; elsewhere what vectors have in common of it is left out.
    """

    values: FloatArray
    vectors: FloatArray
    luck: FloatArray

    @classmethod
    def of(cls, shares: FloatArray, length: float, has_missing: bool) -> Basis:
        """Build the covariance over codes with such shares, with nothing left in the margin."""
        places = np.arange(len(shares), dtype=np.float64)
        if length > 0.0:
            alike = np.exp(-np.abs(places[:, None] - places[None, :]) / length)
            kernel = (1.0 - ROUGH) * alike + ROUGH * np.eye(len(shares))
            if has_missing:
                kernel[-1, :-1] = kernel[:-1, -1] = 0.0
        else:
            kernel = np.eye(len(shares))
        scale = np.sqrt(np.maximum(shares, 1e-4))
        centre = np.eye(len(shares)) - 1.0 / len(shares)
        values, vectors = np.linalg.eigh(centre @ (scale[:, None] * kernel * scale[None, :]) @ centre)
        vectors = vectors[:, values > 1e-9]
        return cls(values[values > 1e-9], vectors, np.einsum("ij,ik,kj->j", vectors, row_covariance(shares), vectors))


def row_covariance(shares: FloatArray) -> FloatArray:
    """The covariance of one row's one-hot code, (codes, codes)."""
    return np.asarray(np.diag(shares) - np.outer(shares, shares))


def bases(codes: Codes, shares: FloatArray) -> tuple[Basis, ...]:
    """The covariances that a column's field may have."""
    lengths = LENGTHS if codes.cells.ordered else LENGTHS[:1]
    return tuple(Basis.of(shares, length, codes.has_missing) for length in lengths)


def margins(tables: FloatArray, starts: IntArray, variances: FloatArray, first: FloatArray) -> FloatArray:
    """Return each column's shares from all tables that it stands in and its histogram, (codes,): sums to 1 a column.

    Args:
        tables: noisy shares of pairs, (codes, codes).
        starts: where columns begin, (columns + 1,).
        variances: the noise variance of a cell of each pair of columns, (columns, columns); infinite where not counted.
        first: shares by the histograms, (codes,), and in its second row their variances, (2, codes).
    """
    columns = len(starts) - 1
    out = np.zeros(int(starts[-1]))
    for column in range(columns):
        own = slice(int(starts[column]), int(starts[column + 1]))
        sums, weights = first[0, own] / first[1, own], 1.0 / first[1, own]
        for other in range(columns):
            variance = variances[column, other] * (starts[other + 1] - starts[other])
            if other != column and np.isfinite(variance):
                sums = sums + tables[own, int(starts[other]) : int(starts[other + 1])].sum(axis=1) / variance
                weights = weights + 1.0 / variance
        shares = np.maximum(sums / weights, 1e-6)
        out[own] = shares / shares.sum()
    return out


@dataclass(frozen=True, slots=True)
class Noisy:
    """Tables of pairs as they were counted: noisy shares, (codes, codes).

    ``shares``: of each code, (codes,). ``starts``: where columns begin, (columns + 1,). ``variances``: the noise
    variance of a cell of each pair of columns, (columns, columns); infinite where not counted. ``slopes``: sums known
    for a pair of (number, target). ``units``: how many there are.
    """

    tables: FloatArray
    shares: FloatArray
    starts: IntArray
    variances: FloatArray
    slopes: Mapping[tuple[int, int], Slope]
    units: float


@dataclass(frozen=True, slots=True)
class Denoised:
    """Better tables of pairs, (codes, codes), independent where nothing was counted or found.

    ``signals``: how likely each pair of columns depends on each other, (columns, columns); NaN where not counted.
    ``variances``: what is left of the variance of a cell, (columns, columns); infinite where not counted.
    """

    tables: FloatArray
    signals: FloatArray
    variances: FloatArray


@dataclass(frozen=True, slots=True)
class Found:
    """What one table adds to its margins, (codes, other codes), how likely it is anything, and a cell's variance."""

    excess: FloatArray
    signal: float
    variance: float


def denoised(seen: Noisy, columns: Sequence[Codes]) -> Denoised:
    """Return the tables of pairs shrunk to independence as far as noise and luck demand."""
    starts, out = seen.starts, np.outer(seen.shares, seen.shares)
    own = [slice(int(starts[at]), int(starts[at + 1])) for at in range(len(columns))]
    choices = [bases(codes, seen.shares[where]) for codes, where in zip(columns, own, strict=True)]
    signals, left = np.full_like(seen.variances, np.nan), np.full_like(seen.variances, np.inf)
    for a in range(len(columns)):
        for b in range(a + 1, len(columns)):
            if not np.isfinite(seen.variances[a, b]):
                continue
            excess = seen.tables[own[a], own[b]] - out[own[a], own[b]]
            excess = excess - excess.mean(axis=1, keepdims=True)
            excess = excess - excess.mean(axis=0, keepdims=True)
            blur = Blur(seen.variances[a, b], 1.0 / seen.units)
            if (a, b) in seen.slopes:
                found = sharpened(excess, choices[a], choices[b][0], blur, seen.slopes[a, b])
            elif (b, a) in seen.slopes:
                turned = sharpened(excess.T, choices[b], choices[a][0], blur, seen.slopes[b, a])
                found = replace(turned, excess=turned.excess.T)
            else:
                found = filtered(excess, choices[a], choices[b], blur)
            better = np.maximum(out[own[a], own[b]] + found.excess, 0.0)
            out[own[a], own[b]], out[own[b], own[a]] = better, better.T
            signals[a, b] = signals[b, a] = found.signal
            left[a, b] = left[b, a] = found.variance
    return Denoised(out, signals, left)


@dataclass(frozen=True, slots=True)
class Slope:
    """How a column's codes lie on a line, (codes,), and the noisy sums over it for each class, (classes,), in shares.

    ``variance`` is that of a sum's noise.
    """

    line: FloatArray
    sums: FloatArray
    variance: float


def line_of(shares: FloatArray, has_missing: bool) -> FloatArray:
    """Return each code's place in -1..1 by the rank of its rows, (codes,), with mean 0 over rows; missing lies at 0."""
    present = shares[:-1] if has_missing else shares
    middles = 2.0 * (np.cumsum(present) - present / 2) / present.sum() - 1.0
    return np.append(middles, 0.0) if has_missing else middles


@dataclass(frozen=True, slots=True)
class Blur:
    """What blurs a table: the variance of a cell's ``noise``, and of a row's ``luck``, one over the number of rows."""

    noise: float
    luck: float


@dataclass(frozen=True, slots=True)
class _Belief:
    """One covariance and strength: the log of its likelihood over that of no field, the mean it gives, its variance."""

    likelier: float
    excess: FloatArray
    variance: float


def sharpened(excess: FloatArray, rows: Sequence[Basis], column: Basis, blur: Blur, slope: Slope) -> Found:
    """Return what ``filtered`` does for a table with the target, where sums over a line are known as well.

    Given covariance and strength, each direction among classes is a field over codes of its own, seen code by code and
    through one sum: the posterior mean is that of a Gaussian process with these observations.
    """
    seen = np.vstack([excess, slope.sums[None, :]]) @ column.vectors  # (codes + 1, l)
    look = np.vstack([np.eye(len(slope.line)), slope.line[None, :]])  # (codes + 1, codes)
    noise = np.diag(np.append(np.full(len(slope.line), blur.noise), slope.variance))
    chance = look @ rows[0].vectors @ np.diag(rows[0].luck) @ rows[0].vectors.T @ look.T  # (codes + 1, codes + 1)
    blurs = [noise + blur.luck * own * chance for own in column.luck]
    without = sum(_log_normal(seen[:, at], each) for at, each in enumerate(blurs))
    beliefs = []
    for row in rows:
        kernel = (row.vectors * row.values) @ row.vectors.T  # (codes, codes)
        reach = kernel @ look.T  # (codes, codes + 1)
        for strength in STRENGTHS:
            scales = strength**2 * column.values
            totals = [scale * (look @ reach) + each for scale, each in zip(scales, blurs, strict=True)]
            likelihood = sum(_log_normal(seen[:, at], each) for at, each in enumerate(totals))
            means = [
                s * reach @ np.linalg.solve(t, seen[:, at])
                for at, (s, t) in enumerate(zip(scales, totals, strict=True))
            ]
            beliefs.append(_Belief(likelihood - without, np.stack(means, axis=1) @ column.vectors.T, blur.noise))
    return _weighed(beliefs)


def _log_normal(seen: FloatArray, covariance: FloatArray) -> float:
    """The log density of a normal vector with mean 0, but for a constant."""
    return -0.5 * float(seen @ np.linalg.solve(covariance, seen) + np.linalg.slogdet(covariance)[1])


def filtered(excess: FloatArray, rows: Sequence[Basis], columns: Sequence[Basis], blur: Blur) -> Found:
    """The posterior mean of a table's excess over independence, averaged over covariances and strengths."""
    beliefs = []
    for row in rows:
        for column in columns:
            seen = row.vectors.T @ excess @ column.vectors  # (k, l): independent given covariance and strength
            noise = blur.noise + blur.luck * np.outer(row.luck, column.luck)
            for strength in STRENGTHS:
                spread = strength**2 * np.outer(row.values, column.values)
                gain = spread / (spread + noise)
                likelier = 0.5 * float((seen**2 * gain / noise + np.log1p(-gain)).sum())
                kept = row.vectors @ (gain * seen) @ column.vectors.T
                beliefs.append(_Belief(likelier, kept, float((gain * noise).sum()) / excess.size))
    return _weighed(beliefs)


def _weighed(beliefs: Sequence[_Belief]) -> Found:
    """Average what may be there by how likely it is; nothing, if that is likelier than anything."""
    logs = np.array([each.likelier for each in beliefs]) - np.log(len(beliefs)) + np.log(1.0 - NOTHING)
    most = max(float(logs.max()), np.log(NOTHING))
    chances = np.exp(logs - most)
    signal = float(chances.sum() / (chances.sum() + np.exp(np.log(NOTHING) - most)))
    if signal < 0.5:
        return Found(np.zeros_like(beliefs[0].excess), signal, 0.0)
    excess = np.tensordot(signal * chances / chances.sum(), np.stack([each.excess for each in beliefs]), axes=1)
    return Found(excess, signal, float(chances @ [each.variance for each in beliefs] / chances.sum()))
