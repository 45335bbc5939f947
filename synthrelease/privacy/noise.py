"""Noise that protects privacy: from the operating system's generator, with no seed that could be stored or replayed.

Counts get discrete Gaussian noise from OpenDP, whose sampler is exact: no rounding of floats can give a count away
(Mironov 2012, doi:10.1145/2382196.2382264). Its randomness is OpenSSL's, seeded by the operating system.

Gradients cannot be integers. Their noise is the sum of four Gaussians over two, each made of 53 random bits: Opacus
does so where it is asked to be secure, since an attacker who sees one sum cannot tell which floats made it (Holohan &
Braghin 2021, arXiv:2107.10138). Opacus itself can only do it with ``torchcsprng``, which no longer installs.

``--seed`` reaches nothing here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray

_CHUNK = 1 << 18
"""Numbers handed to OpenDP at once."""
_SUMMED = 4


def _words(count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """``count`` random 64-bit words."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


def uniform(count: int) -> FloatArray:
    """Return numbers evenly spread over (0, 1), (count,): odd multiples of 2**-54, so never 0 and never 1."""
    return np.asarray(((_words(count) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def gaussian(shape: tuple[int, ...]) -> FloatArray:
    """Return standard normal numbers in float64, each the half sum of four made by Box and Muller's transform."""
    count = int(np.prod(shape))
    total = np.zeros(count + count % 2)
    pairs = len(total) // 2
    for _ in range(_SUMMED):
        radius = np.sqrt(-2.0 * np.log(uniform(pairs)))
        angle = 2.0 * np.pi * uniform(pairs)
        total[:pairs] += radius * np.cos(angle)
        total[pairs:] += radius * np.sin(angle)
    return np.asarray(total[:count].reshape(shape) / np.sqrt(_SUMMED))


def poisson_mask(count: int, rate: float) -> BoolArray:
    """Return which of ``count`` units take part in a step, (count,): each by itself with probability ``rate``.

    Raises:
        ValueError: the rate is no probability.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"a sampling rate must lie in 0..1, however it is {rate}")
    return np.asarray(uniform(count) < rate)


def order(count: int) -> IntArray:
    """Return 0..count-1 in a random order, (count,); 64-bit keys, whose ties are too rare to matter."""
    return np.argsort(_words(count), kind="stable").astype(np.int64)


def discrete_gaussian(counts: IntArray, scale: float) -> IntArray:
    """Return int64 counts of the same shape, each with exact discrete Gaussian noise of scale ``scale``.

    For an L2 sensitivity S this satisfies (S / scale)**2 / 2-zCDP, as continuous Gaussian noise does (Canonne, Kamath &
    Steinke 2020, arXiv:2004.00010, theorem 4).

    Raises:
        ValueError: the scale is not a positive number.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"the scale of noise must be a positive number, however it is {scale}")
    flat = np.ascontiguousarray(counts, dtype=np.int64).ravel()
    add = _mechanism(float(scale))
    pieces = [add(flat[start : start + _CHUNK].tolist()) for start in range(0, len(flat), _CHUNK)]
    noisy = np.concatenate([np.asarray(piece, dtype=np.int64) for piece in pieces]) if pieces else flat
    return noisy.reshape(np.shape(counts))


@lru_cache(maxsize=16)
def _mechanism(scale: float) -> Any:
    """OpenDP's Gaussian mechanism on vectors of integers (which is the discrete one)."""
    import opendp.prelude as dp  # takes a second, and a build without differential privacy never needs it

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    return dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), scale)
