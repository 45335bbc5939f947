"""The numbers that Tanaka & Aranha printed, "Data Augmentation Using GANs" (2019, arXiv:1904.09135), tables 3 to 10.

Rows are named as generators here are (``paper-256-512``), besides ``original``, ``smote`` and ``adasyn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPETITIONS = {1: 20, 2: 5}
"""How often the paper repeated experiments 1 and 2."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A mean and, in brackets in the paper, a standard deviation; None where it printed none."""

    mean: float
    spread: float | None = None


Row = Mapping[str, Printed]

_ARCHITECTURES = ("256-512-1024", "256-512", "256", "128-256-512", "128-256", "128")


def _rows(scores: tuple[str, ...], lines: Mapping[str, tuple[float, ...]]) -> dict[str, Row]:
    """Read lines of (mean, standard deviation) pairs, or of means alone where there are as many as scores."""
    rows: dict[str, Row] = {}
    for name, numbers in lines.items():
        if len(numbers) == len(scores):
            rows[name] = {score: Printed(mean) for score, mean in zip(scores, numbers, strict=True)}
        else:
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            rows[name] = {score: Printed(*pair) for score, pair in zip(scores, pairs, strict=True)}
    return rows


_SCORES = ("accuracy", "precision", "recall")

CANCER = _rows(  # table 5
    _SCORES,
    {
        "original": (0.888, 0.679, 0.974),
        "paper-256-512-1024": (0.91, 0.042, 0.786, 0.127, 0.888, 0.054),
        "paper-256-512": (0.935, 0.03, 0.853, 0.107, 0.896, 0.086),
        "paper-256": (0.907, 0.053, 0.772, 0.126, 0.904, 0.071),
        "paper-128-256-512": (0.869, 0.066, 0.702, 0.144, 0.821, 0.148),
        "paper-128-256": (0.896, 0.048, 0.74, 0.122, 0.908, 0.086),
        "paper-128": (0.906, 0.054, 0.775, 0.131, 0.894, 0.055),
    },
)
DIABETES = _rows(  # table 6
    _SCORES,
    {
        "original": (0.748, 0.784, 0.367),
        "paper-256-512-1024": (0.682, 0.064, 0.545, 0.093, 0.534, 0.206),
        "paper-256-512": (0.706, 0.05, 0.582, 0.078, 0.584, 0.097),
        "paper-256": (0.601, 0.097, 0.438, 0.118, 0.438, 0.213),
        "paper-128-256-512": (0.685, 0.058, 0.568, 0.109, 0.544, 0.158),
        "paper-128-256": (0.639, 0.094, 0.507, 0.106, 0.579, 0.185),
        "paper-128": (0.653, 0.086, 0.51, 0.117, 0.462, 0.219),
    },
)


def _column(score: str, *numbers: tuple[float, float | None]) -> dict[str, Row]:
    """One score for each of the six architectures."""
    return {f"paper-{name}": {score: Printed(*pair)} for name, pair in zip(_ARCHITECTURES, numbers, strict=True)}


_CANCER_DISTANCES = _column(  # table 7; the standard deviation is over rows, not over tables
    "distance", (0.345, 0.156), (0.314, 0.121), (0.328, 0.135), (0.371, 0.190), (0.331, 0.128), (0.342, 0.143)
)
_DIABETES_DISTANCES = _column(  # table 8
    "distance", (0.158, 0.071), (0.17, 0.071), (0.208, 0.106), (0.172, 0.069), (0.187, 0.080), (0.189, 0.088)
)
_CANCER_LABELS = _column(  # table 3, the second number of each proportion: one early table an architecture
    "positive", (0.4774, None), (0.4372, None), (0.4322, None), (0.4598, None), (0.4196, None), (0.4573, None)
)
_DIABETES_LABELS = _column(  # table 4
    "positive", (0.2831, None), (0.3277, None), (0.324, None), (0.3985, None), (0.3482, None), (0.311, None)
)
_ORIGINAL_LABELS = {"cancer": Printed(0.4347), "diabetes": Printed(0.352)}


def _merged(table: str, *columns: Mapping[str, Row]) -> dict[str, Row]:
    rows: dict[str, dict[str, Printed]] = {}
    for column in columns:
        for name, row in column.items():
            rows.setdefault(name, {}).update(row)
    rows["original"]["positive"] = _ORIGINAL_LABELS[table]
    return dict(rows)


EXPERIMENT_1: Mapping[str, Mapping[str, Row]] = {
    "cancer": _merged("cancer", CANCER, _CANCER_DISTANCES, _CANCER_LABELS),
    "diabetes": _merged("diabetes", DIABETES, _DIABETES_DISTANCES, _DIABETES_LABELS),
}
"""Tables 3 to 8 by data set, row and score."""

EXPERIMENT_2: Mapping[str, Mapping[str, Row]] = {
    "imbalanced": _rows(  # table 9
        _SCORES,
        {
            "original": (0.999, 0.896, 0.556),
            "smote": (0.958, 0.026, 0.861),
            "adasyn": (0.958, 0.026, 0.861),
            "paper-128": (0.798, 0.372, 0.051, 0.029, 0.806, 0.042),
            "paper-256": (0.986, 0.005, 0.077, 0.031, 0.789, 0.018),
            "paper-128-256": (0.974, 0.01, 0.045, 0.02, 0.82, 0.028),
            "paper-256-512": (0.964, 0.017, 0.033, 0.013, 0.808, 0.069),
        },
    ),
    "balanced": _rows(  # table 10
        _SCORES,
        {
            "original": (0.782, 1.0, 0.565),
            "smote": (0.912, 0.959, 0.861),
            "adasyn": (0.921, 0.979, 0.861),
            "paper-128": (0.807, 0.165, 0.89, 0.202, 0.806, 0.042),
            "paper-256": (0.894, 0.01, 0.998, 0.005, 0.789, 0.018),
            "paper-128-256": (0.902, 0.012, 0.981, 0.015, 0.82, 0.028),
            "paper-256-512": (0.888, 0.032, 0.962, 0.018, 0.808, 0.069),
        },
    ),
}
"""Tables 9 and 10 by test part, row and score."""
