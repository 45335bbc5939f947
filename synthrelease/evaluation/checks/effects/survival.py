"""Kaplan-Meier curves of real and synthetic rows, and the largest gap between them with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthrelease.core.contracts import Analysis, FloatArray, Table
from synthrelease.evaluation.checks.effects.design import response
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, patients

FEWEST_AT_RISK = 10
SHARE_AT_RISK = 0.1
"""Curves are compared as long as so many real training rows, and this share of them, are under observation: beyond that
they say little (Pocock et al. 2002, Lancet 359)."""
STEPS = 200
DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Curve:
    """Survival on a grid of times, (times,) each.

    ``growth``: how much the variance of the log survival grows from one time to the next (Greenwood). ``left``: how
    many people an event or the end of observation has taken out so far.
    """

    times: FloatArray
    survival: FloatArray
    growth: FloatArray
    left: FloatArray

    @property
    def errors(self) -> FloatArray:
        """Standard errors of the survival: (times,)."""
        return np.asarray(self.survival * np.sqrt(np.cumsum(self.growth)))


def grid(analysis: Analysis, train: Table) -> FloatArray:
    """Evenly spaced round times from 0 up to where few real patients are left: (times,). No patient's own time."""
    found = response(analysis, train)
    times = np.sort(found.outcome[found.known])
    at_risk = max(FEWEST_AT_RISK, int(SHARE_AT_RISK * len(times)))
    end = float(times[max(0, len(times) - at_risk)])
    if end <= 0:
        return np.zeros(1)
    unit = 10.0 ** (np.floor(np.log10(end)) - 1)
    return np.linspace(0.0, np.floor(end / unit) * unit, STEPS + 1)


def curve(analysis: Analysis, table: Table, times: FloatArray) -> Curve:
    """The Kaplan-Meier estimate of a table at given times; patients with several rows widen its variance."""
    from lifelines import KaplanMeierFitter  # takes a while to load, and only who fits needs it

    found = response(analysis, table)
    duration, event = found.outcome[found.known], found.happened[found.known]
    fitted = KaplanMeierFitter().fit(duration, event)
    steps = fitted.event_table
    at = steps.index.to_numpy(np.float64)
    died, risk = (steps[name].to_numpy(np.float64) for name in ("observed", "at_risk"))
    alive = np.maximum(risk - died, 0.5)  # Greenwood's term is infinite where nobody is left
    growth = np.cumsum(died / (risk * alive)) * len(duration) / max(1, patients(table))
    place = np.searchsorted(at, times, side="right") - 1
    survival = fitted.survival_function_at_times(times).to_numpy(np.float64)
    left = np.searchsorted(np.sort(duration), times, side="right").astype(np.float64)
    return Curve(times, survival, np.diff(growth[place], prepend=0.0), left)


def gap(rng: np.random.Generator, real: Curve, made: Curve, confidence: float) -> Bounds:
    """The largest distance of two curves, with a band for it.

    No gap can lie further from the one that is seen than the error of the difference reaches anywhere. That reach is
    drawn from the Gaussian process which Kaplan-Meier errors follow (Lin, Fleming & Wei 1994, Biometrika 81), so that
    either bound holds at least as often as it says.
    """
    seen = float(np.abs(real.survival - made.survival).max())
    error = np.zeros((DRAWS, len(real.times)))
    for side in (real, made):
        walk = np.cumsum(rng.standard_normal(error.shape) * np.sqrt(np.maximum(side.growth, 0.0)), axis=1)
        error += walk * side.survival
    reach = float(np.quantile(np.abs(error).max(axis=1), confidence))
    return Bounds(seen, max(0.0, seen - reach), min(1.0, seen + reach))
