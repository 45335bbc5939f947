"""Noisy tables of pairs made better: shrunk to what columns would have in common if they were independent.

What a table of two columns adds to its margins is taken for a random field: rough where codes are labels, smooth where
they are runs of a number. How smooth and how strong is chosen for each table by its likelihood, given the noise, which
is known exactly; then the field's posterior mean is taken (a Wiener filter). It is the James-Stein shrinkage of McKenna
and others' reconstruction, with smoothness; and like every post-processing it costs no privacy.

A Kronecker product of the columns' covariances keeps it quick: one eigendecomposition a column serves all its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.generators.private.codebook import Codes

LENGTHS = (0.0, 5.0, 20.0)
"""Over how many codes of a number a field may be alike; 0: not at all."""
STRENGTHS = (0.0, *(2.0**power for power in range(-6, 4)))
ROUGH = 0.1
"""The part of a smooth field that is rough all the same, so that steps and heaps survive."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Eigenvectors, (codes, k), and eigenvalues, (k,), of one covariance that a column's field may have."""

    values: FloatArray
    vectors: FloatArray

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
        real = values > 1e-9
        return cls(values[real], vectors[:, real])


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


def denoised(
    tables: FloatArray,
    shares: FloatArray,
    starts: IntArray,
    variances: FloatArray,
    columns: Sequence[Codes],
    slopes: Mapping[tuple[int, int], Slope],
) -> FloatArray:
    """Return the tables of pairs (codes, codes), shrunk to independence as far as the noise demands.

    ``slopes``: sums known for a pair of (number, target). A pair that was not counted comes back independent.
    """
    out = np.outer(shares, shares)
    own = [slice(int(starts[at]), int(starts[at + 1])) for at in range(len(columns))]
    choices = [bases(codes, shares[where]) for codes, where in zip(columns, own, strict=True)]
    for a in range(len(columns)):
        for b in range(a + 1, len(columns)):
            if not np.isfinite(variances[a, b]):
                continue
            excess = tables[own[a], own[b]] - out[own[a], own[b]]
            excess = excess - excess.mean(axis=1, keepdims=True)
            excess = excess - excess.mean(axis=0, keepdims=True)
            if (a, b) in slopes:
                better = sharpened(excess, choices[a], choices[b][0], variances[a, b], slopes[a, b])
            elif (b, a) in slopes:
                better = sharpened(excess.T, choices[b], choices[a][0], variances[a, b], slopes[b, a]).T
            else:
                better = _filtered(excess, choices[a], choices[b], variances[a, b])
            found = np.maximum(out[own[a], own[b]] + better, 0.0)
            out[own[a], own[b]], out[own[b], own[a]] = found, found.T
    return out


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


def sharpened(excess: FloatArray, rows: Sequence[Basis], column: Basis, variance: float, slope: Slope) -> FloatArray:
    """Return what ``_filtered`` does for a table with the target, where sums over a line are known as well.

    Given covariance and strength, each direction among classes is a field over codes of its own, seen code by code and
    through one sum: the posterior mean is that of a Gaussian process with these observations.
    """
    best, likeliest = np.zeros_like(excess), -np.inf
    seen = np.vstack([excess, slope.sums[None, :]]) @ column.vectors  # (codes + 1, l)
    look = np.vstack([np.eye(len(slope.line)), slope.line[None, :]])  # (codes + 1, codes)
    noise = np.diag(np.append(np.full(len(slope.line), variance), slope.variance))
    for row in rows:
        kernel = (row.vectors * row.values) @ row.vectors.T  # (codes, codes)
        reach = kernel @ look.T  # (codes, codes + 1)
        for strength in STRENGTHS:
            means, likelihood = [], 0.0
            for at, spread in enumerate(column.values):
                scale = strength**2 * spread
                total = scale * (look @ reach) + noise
                solved = np.linalg.solve(total, seen[:, at])
                likelihood -= 0.5 * (float(seen[:, at] @ solved) + float(np.linalg.slogdet(total)[1]))
                means.append(scale * (reach @ solved))
            if likelihood > likeliest:
                best, likeliest = np.stack(means, axis=1) @ column.vectors.T, likelihood
    return best


def _filtered(excess: FloatArray, rows: Sequence[Basis], columns: Sequence[Basis], variance: float) -> FloatArray:
    """The posterior mean of a table's excess over independence, under the likeliest covariance and strength."""
    best, likeliest = np.zeros_like(excess), -np.inf
    for row in rows:
        for column in columns:
            seen = row.vectors.T @ excess @ column.vectors  # (k, l): independent given covariance and strength
            spread = np.outer(row.values, column.values)
            for strength in STRENGTHS:
                total = strength**2 * spread + variance
                likelihood = -0.5 * float((seen**2 / total + np.log(total)).sum())
                if likelihood > likeliest:
                    kept = strength**2 * spread / total * seen
                    best, likeliest = row.vectors @ kept @ column.vectors.T, likelihood
    return best
