"""How far two fits of one regression agree: size of effects, intervals, signs. The first fit is of real training rows.

A slope on estimated coefficients is watered down by their errors: where two samples of one population are compared it
is expected at ``reach`` = 1 - terms / sum of squared z-values, and at 1 where a table repeats its training rows' own
effects. So the plain slope tells whether effects are too large (no honest table is expected above 1), and the slope
with the errors' part taken off (Fuller 1987, Measurement Error Models, section 1.2) whether they are too small (no
honest table is expected below 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthrelease.core.contracts import FloatArray
from synthrelease.evaluation.checks.effects.fits import Fit
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, exactly, normal_bounds, ratio, z_score

SIGNIFICANT = 0.975
"""One-sided level at which an effect of the real rows counts as one: the usual two-sided 5%."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Coefficients of real and of synthetic rows, (terms,) each, with their covariances, (terms, terms).

    Of a term that does not vary in the synthetic rows these show no effect, as uncertain as in the real rows.
    """

    real: FloatArray
    real_errors: FloatArray
    made: FloatArray
    made_errors: FloatArray
    widening: float
    """Synthetic intervals as wide as the real number of patients allows, where the synthetic table has more."""

    @classmethod
    def of(cls, real: Fit, made: Fit) -> Pair:
        """Put two fits of one design beside each other."""
        hidden = ~made.shown
        errors = made.covariance.copy()
        errors[hidden, :] = errors[:, hidden] = 0.0
        errors[hidden, hidden] = np.diag(real.covariance)[hidden]
        widening = float(np.sqrt(max(1.0, made.patients / real.patients)))
        return cls(real.coefficients, real.covariance, made.coefficients, errors, widening)

    @property
    def z_values(self) -> tuple[FloatArray, FloatArray]:
        """Real and synthetic coefficients in their own standard errors."""
        return self.real / np.sqrt(np.diag(self.real_errors)), self.made / np.sqrt(np.diag(self.made_errors))


@dataclass(frozen=True, slots=True)
class Slopes:
    """``plain`` slope of synthetic on real coefficients, and ``corrected`` for the errors of the real ones.

    ``reach``: where the plain slope of unseen real rows is expected.
    """

    plain: Bounds
    corrected: Bounds
    reach: float


def slopes(pair: Pair, confidence: float) -> Slopes:
    """Regress synthetic on real coefficients through the origin, weighted by the real ones' precision.

    The plain slope is about the estimates of these real rows, so that its bounds have the synthetic ones' error alone.
    The corrected one is about the population behind them: Fieller's bounds hold the slopes s for which the synthetic
    coefficients less s times the real ones are not significantly along the real ones, with errors of both.
    """
    weights = 1.0 / np.diag(pair.real_errors)
    real, terms = weights * pair.real, float(len(weights))
    top, bottom = float(real @ pair.made), float(real @ pair.real)
    scaled = weights[:, None] * pair.real_errors
    made_variance = float(real @ pair.made_errors @ real)
    real_variance = float(real @ pair.real_errors @ real + np.trace(scaled @ scaled))
    plain = normal_bounds(top / bottom, float(np.sqrt(made_variance)) / bottom, confidence)
    corrected = ratio(top, bottom - terms, np.diag([made_variance, real_variance]), z_score(confidence))
    return Slopes(plain, corrected, max(0.0, 1.0 - terms / bottom))


def overlap(pair: Pair, confidence: float) -> Bounds:
    """Mean overlap of 95% intervals (Karr et al. 2006, Am. Stat. 60): 1 the same, below 0 apart.

    Where two samples of one population and size are compared about 0.71 is expected. The error is the delta method's,
    each distance with the variance of a folded normal.
    """
    wide = 2 * z_score(SIGNIFICANT)
    length = wide * np.sqrt(np.diag(pair.real_errors)), wide * pair.widening * np.sqrt(np.diag(pair.made_errors))
    gap, errors = pair.made - pair.real, pair.real_errors + pair.made_errors
    shared = np.minimum((length[0] + length[1]) / 2 - np.abs(gap), np.minimum(*length))
    per_unit = 0.5 * (1 / length[0] + 1 / length[1])
    gradient = -np.sign(gap) * per_unit * _folded(gap, np.sqrt(np.diag(errors))) / len(gap)
    error = float(np.sqrt(gradient @ errors @ gradient))
    return normal_bounds(float(np.mean(shared * per_unit)), error, confidence)


def _folded(value: FloatArray, error: FloatArray) -> FloatArray:
    """How much the absolute value of a normal estimate varies, for each unit of its own error: (terms,)."""
    at = np.abs(value) / error
    mean = 2 * stats.norm.pdf(at) + at * (2 * stats.norm.cdf(at) - 1)
    return np.asarray(np.sqrt(1 + at**2 - mean**2))


@dataclass(frozen=True, slots=True)
class Signs:
    """Effects that are significant in the real rows: how many, the share that keeps its sign, and how many are turned.

    ``turned`` counts effects that significantly point the other way, allowing for all that were looked at.
    """

    significant: int
    kept: Bounds
    turned: Bounds


def signs(pair: Pair, confidence: float) -> Signs:
    """Compare directions of effects.

    How many keep theirs is uncertain where synthetic effects are: each does with the probability that its estimate
    gives (normal, flat prior), and the share's bounds are those of a sum of such coins.
    """
    real, made = pair.z_values
    is_real = np.abs(real) > z_score(SIGNIFICANT)
    count = int(is_real.sum())
    if count == 0:
        nothing = float("nan")
        return Signs(0, Bounds(nothing, nothing, nothing), Bounds(nothing, nothing, nothing))
    along = (made * np.sign(real))[is_real]
    chance = stats.norm.cdf(along)
    middle, reach = float(chance.mean()), z_score(confidence) * float(np.sqrt((chance * (1 - chance)).sum())) / count
    share = float((along > 0).mean())
    kept = Bounds(share, max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))
    turned = int((along < -z_score(1 - (1 - confidence) / count)).sum())
    return Signs(count, kept, exactly(float(turned)))
