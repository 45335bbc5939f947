"""Fit one planned regression to one table: coefficients with their covariance, or the reason why there are none."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthrelease.core.contracts import BoolArray, FloatArray, IntArray, Table
from synthrelease.evaluation.checks.effects.design import Design, Response
from synthrelease.evaluation.statistics.confidence_intervals import patient_of

LARGEST_ERROR = 10.0
"""A standard error above this, per standard deviation or level, is that of an effect that runs off to infinity: the
covariate tells the outcomes apart (Albert & Anderson 1984, Biometrika 71)."""

_ENDLESS = "the fit does not end: covariates determine each other or the outcome"


class NotEstimableError(Exception):
    """The regression has no finite answer on these rows; the message says why, and names no cell."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted regression.

    ``coefficients`` (terms,) and ``covariance`` (terms, terms); a term that is the same in all rows has coefficient 0
    and NaN in the covariance, and ``shown`` is False. ``patients``: how many have a known outcome.
    """

    coefficients: FloatArray
    covariance: FloatArray
    shown: BoolArray
    patients: int


def fit(design: Design, table: Table) -> Fit:
    """Fit the design to a table; patients with several rows count as one piece of evidence.

    Raises:
        NotEstimableError: the outcome is the same in all rows, terms tell its values apart, or the fit does not end.
    """
    found = design.response(table)
    rows = np.flatnonzero(found.known)
    values = design.matrix(table)[rows]
    known = Response(found.known[rows], found.outcome[rows], found.happened[rows])
    shown = np.ptp(values, axis=0) > 0 if len(rows) else np.zeros(len(design.terms), dtype=np.bool_)
    _check(design, known, int(shown.sum()))
    owner = patient_of(table)[rows]
    coefficients, covariance = _fitted(design, values[:, shown], known, owner)
    return _placed(coefficients, covariance, shown, len(np.unique(owner)))


def _check(design: Design, known: Response, terms: int) -> None:
    if terms == 0 or len(known.outcome) < terms + 2:
        raise NotEstimableError("too few rows, or no term that differs between rows")
    if design.analysis.model == "cox":
        if not known.happened.any():
            raise NotEstimableError("no event")
    elif np.ptp(known.outcome) == 0:
        raise NotEstimableError("the outcome is the same in all rows")


def _placed(coefficients: FloatArray, covariance: FloatArray, shown: BoolArray, patients: int) -> Fit:
    """Put what was fitted beside the terms that could not be."""
    if not (np.isfinite(coefficients).all() and np.isfinite(covariance).all()):
        raise NotEstimableError("the fit has no finite answer")
    at = np.flatnonzero(shown)
    whole, errors = np.zeros(len(shown)), np.full((len(shown), len(shown)), np.nan)
    whole[at] = coefficients
    errors[np.ix_(at, at)] = covariance
    return Fit(whole, errors, shown, patients)


def _fitted(design: Design, values: FloatArray, known: Response, owner: IntArray) -> tuple[FloatArray, FloatArray]:
    if design.analysis.model == "cox":
        return _cox(values, known, owner)
    return _linear(design, values, known, owner)


def _linear(design: Design, values: FloatArray, known: Response, owner: IntArray) -> tuple[FloatArray, FloatArray]:
    """A generalised linear model with its intercept; robust errors, by patient (White 1980; Liang & Zeger 1986)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge is told by its errors below
        model = glm(design, known.outcome, values)
        by_row = len(np.unique(owner)) == len(owner)
        how = {} if by_row else {"groups": owner}
        try:
            found = model.fit(cov_type="HC0" if by_row else "cluster", cov_kwds=how)
        except (ValueError, np.linalg.LinAlgError):
            raise NotEstimableError(_ENDLESS) from None
    naive = np.sqrt(np.diag(np.asarray(found.normalized_cov_params)) * float(found.scale))[1:]
    if design.analysis.model == "logistic":
        _check_separation(naive)
    return np.asarray(found.params)[1:], np.asarray(found.cov_params())[1:, 1:]


def glm(design: Design, outcome: FloatArray, values: FloatArray) -> Any:
    """The model of an analysis other than Cox's, not fitted yet; ``values`` (rows, terms) without an intercept."""
    import statsmodels.api as sm  # takes a while to load, and only who fits needs it

    families = {"logistic": sm.families.Binomial, "poisson": sm.families.Poisson, "linear": sm.families.Gaussian}
    return sm.GLM(outcome, sm.add_constant(values, has_constant="add"), family=families[design.analysis.model]())


def _check_separation(errors: FloatArray) -> None:
    if not np.isfinite(errors).all() or (errors > LARGEST_ERROR).any():
        raise NotEstimableError("the covariates tell the outcomes apart without error, so that effects are infinite")


def _cox(values: FloatArray, known: Response, owner: IntArray) -> tuple[FloatArray, FloatArray]:
    """Cox's regression, ties after Efron. Of rows that share a patient the covariance is scaled up, as if equal."""
    coefficients, covariance = proportional_hazards(values, known)
    _check_separation(np.sqrt(np.diag(covariance)))
    held = np.bincount(np.unique(owner, return_inverse=True)[1])
    return coefficients, covariance * float((held**2).sum() / held.sum())


def proportional_hazards(values: FloatArray, known: Response) -> tuple[FloatArray, FloatArray]:
    """Coefficients (terms,) and covariance (terms, terms) of a Cox regression.

    Raises:
        NotEstimableError: the fit does not end.
    """
    from lifelines import CoxPHFitter  # takes a while to load, and only who fits needs it
    from lifelines.exceptions import ConvergenceError, StatError

    frame = pd.DataFrame(values, columns=[f"x{at}" for at in range(values.shape[1])])
    frame = frame.assign(time=known.outcome, event=known.happened.astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = CoxPHFitter().fit(frame, duration_col="time", event_col="event")
        except (ConvergenceError, StatError, ValueError, np.linalg.LinAlgError):
            raise NotEstimableError(_ENDLESS) from None
    return found.params_.to_numpy(np.float64), found.variance_matrix_.to_numpy(np.float64)
