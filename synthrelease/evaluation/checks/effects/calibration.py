"""Calibration on holdout patients: does a regression fitted to synthetic rows predict as boldly as one of real rows?

The calibration slope is that of the outcome on the predictor (Cox 1958, Biometrika 45): 1 is right, below 1 predictions
are too extreme. What counts is its difference between the two regressions, tested on the same patients.
"""

from __future__ import annotations

import warnings

import numpy as np

from synthrelease.core.contracts import FloatArray, IntArray, Table
from synthrelease.evaluation.checks.effects.agreement import Pair
from synthrelease.evaluation.checks.effects.design import Design, Response
from synthrelease.evaluation.checks.effects.fits import NotEstimableError, glm, proportional_hazards
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, patient_of, z_score


def shift(design: Design, pair: Pair, holdout: Table, confidence: float) -> tuple[Bounds, tuple[float, float]]:
    """How far the two calibration slopes lie apart, and both: of the regression of real rows, and of synthetic ones.

    The error has two parts: that of testing on these holdout patients, and that of either regression by the delta
    method. NaN where the holdout cannot tell.
    """
    found = design.response(holdout)
    rows = np.flatnonzero(found.known)
    known = Response(found.known[rows], found.outcome[rows], found.happened[rows])
    matrix, owner = design.matrix(holdout)[rows], patient_of(holdout)[rows]
    nothing = float("nan")
    try:
        tested = [_slope(design, matrix @ side, known, owner) for side in (pair.real, pair.made)]
    except (NotEstimableError, ValueError, np.linalg.LinAlgError):
        return Bounds(nothing, nothing, nothing), (nothing, nothing)
    (first, one), (second, other) = tested
    both = one - other if design.analysis.model != "cox" else np.concatenate([one, other])
    error = np.sqrt(float(both @ both) + _of_fits(pair))
    reach = z_score(confidence) * float(error)
    gap = abs(second - first)
    return Bounds(gap, max(0.0, gap - reach), gap + reach), (first, second)


def _of_fits(pair: Pair) -> float:
    """Variance of the difference that comes from fitting either regression to one sample.

    Near enough, the slope of coefficients b is b'Mt / b'Mb with t the true ones and M their information.
    """
    information = np.linalg.pinv(pair.real_errors)
    total = 0.0
    for side, errors in ((pair.real, pair.real_errors), (pair.made, pair.made_errors)):
        size = float(side @ information @ side)
        if size <= 0.0:
            return float("nan")
        slope = float(side @ information @ pair.real) / size
        gradient = information @ (pair.real - 2 * slope * side) / size
        total += float(gradient @ errors @ gradient)
    return total


def _slope(design: Design, predictor: FloatArray, known: Response, owner: IntArray) -> tuple[float, FloatArray]:
    """The calibration slope, and each patient's influence on it: (patients,)."""
    if not len(predictor) or np.ptp(predictor) == 0:
        raise NotEstimableError("the regression predicts the same for all")
    if design.analysis.model == "cox":
        slope, variance = proportional_hazards(predictor[:, None], known)
        return float(slope[0]), np.sqrt(variance[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = glm(design, known.outcome, predictor[:, None])
        fitted = model.fit()
    inputs, mean = np.asarray(model.exog), np.asarray(fitted.fittedvalues)
    curvature = inputs * np.asarray(model.family.variance(mean))[:, None]
    by_row = np.linalg.solve(inputs.T @ curvature, (inputs * (known.outcome - mean)[:, None]).T)[1]
    value = float(fitted.params[1])
    if not np.isfinite(value):
        raise NotEstimableError("the calibration has no finite answer")
    patient = np.unique(owner, return_inverse=True)[1]
    return value, np.asarray(np.bincount(patient, weights=by_row), dtype=np.float64)
