"""The Bayesian bootstrap of patients: another set of patients that could have been seen, as weights (Rubin 1981).

Every patient weighs as an exponential draw does, relative to the others (together: a flat Dirichlet distribution). A
generator that is fitted to the weighted rows is a draw of what could have been learned; the spread of several says how
much of what was learned is the luck of the sample. No row is doubled or left out, as in a plain bootstrap, so that the
likelihood of held-back rows and the privacy of single ones stay what they are.

Source: Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981, doi:10.1214/aos/1176345338.
"""

from __future__ import annotations

import numpy as np

from synthrelease.core.contracts import FloatArray, Schema, Table

NO_COPY = (
    "Copies need a GAN that trains stably, however this one did not in several attempts. Nothing was made. Build with "
    "another --seed or more --effort, or without --copies."
)


def weights_of(table: Table[Schema], seed: int) -> FloatArray:
    """Return what each row weighs, (rows,), 1 on average; all rows of a patient weigh the same."""
    units = np.arange(len(table)) if table.units is None else table.units
    patients, owner = np.unique(units, return_inverse=True)
    weights = np.random.default_rng(seed).exponential(size=len(patients))[owner]
    return np.asarray(weights / weights.mean())
