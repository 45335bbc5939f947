"""The Wisconsin breast-cancer table that scikit-learn carries, as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_wisconsin(path: Path) -> None:
    """Write the Wisconsin breast-cancer table that scikit-learn carries as CSV, ``diagnosis`` last.

    Source: Street, Wolberg and Mangasarian 1993, UCI Machine Learning Repository, doi:10.24432/C5DW2B.
    """
    from sklearn.datasets import load_breast_cancer  # slow to import, and only the demonstration needs it

    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.assign(diagnosis=np.asarray(bunch.target_names)[bunch.target])
    frame.to_csv(path, index=False, lineterminator="\n")
