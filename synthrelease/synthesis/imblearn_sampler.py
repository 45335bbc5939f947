"""Oversampling with a GAN behind the interface of imbalanced-learn.

    from imblearn.pipeline import make_pipeline
    from synthrelease.balance import GANOverSampler

    model = make_pipeline(GANOverSampler(random_state=0), classifier).fit(X, y)

Made rows are derived from real ones. Nothing is promised about whose rows they resemble: hand them to others only
through the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from synthrelease.core.contracts import Column, ModelledSchema, Table
from synthrelease.core.errors import OversamplingError
from synthrelease.synthesis import generators
from synthrelease.synthesis.oversampling import Oversampling, make_rows

TARGET = "class"


class GANOverSampler(BaseOverSampler):  # type: ignore[misc]
    """Make rows of rare classes with a generative adversarial network, one a class.

    Missing values and labels are learned as they are. A class of fewer than ten rows is refused with a ValueError.
    After ``fit_resample``, ``is_synthetic_`` (rows,) says which of the returned rows were made (the real ones come
    first), and ``sampling_strategy_`` how many of each class.

    Args:
        sampling_strategy: how many rows each class has afterwards; as in every over-sampler of imbalanced-learn.
        random_state: makes a resampling repeatable.
        generator: a name of the generator registry: the toolkit's own GAN, or one of the paper's ("paper-256-512").
        effort: multiplies the training time.
        typical: made rows must look at least as typical of their class, to a classifier trained on the real rows, as
            this share of the class's real rows. 0 keeps all of them.
        categorical_features: which columns hold labels: positions, names or a mask. "auto" takes columns of text,
            categories and truth values.

    Examples:
        >>> from sklearn.datasets import make_classification
        >>> X, y = make_classification(n_samples=300, weights=[0.9], flip_y=0, random_state=0)
        >>> X_balanced, y_balanced = GANOverSampler(random_state=0, effort=0.1).fit_resample(X, y)
        >>> int((y_balanced == 0).sum()) == int((y_balanced == 1).sum())
        True
    """

    _parameter_constraints: Mapping[str, Any] = {
        **BaseOverSampler._parameter_constraints,
        "generator": [StrOptions(set(generators.REGISTRY))],
        "effort": [Interval(Real, 0, None, closed="neither")],
        "typical": [Interval(Real, 0, 1, closed="left")],
        "categorical_features": [StrOptions({"auto"}), "array-like"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        generator: str = generators.DEFAULT,
        effort: float = 1.0,
        typical: float = 0.25,
        categorical_features: Any = "auto",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.generator = generator
        self.effort = effort
        self.typical = typical
        self.categorical_features = categorical_features

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:  # noqa: N802 - imbalanced-learn's name
        """Accept numbers as an array, and frames of any columns as they are; missing values stay."""
        check_classification_targets(y)
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if not isinstance(X, pd.DataFrame):
            is_plain = isinstance(self.categorical_features, str)
            X = check_array(X, dtype="numeric" if is_plain else None, ensure_all_finite="allow-nan", estimator=self)
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        y = column_or_1d(y)
        check_consistent_length(X, y)
        return X, y, binarize_y

    def _fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        classes, codes = np.unique(y, return_inverse=True)
        form = _Form.of(X, self.categorical_features)
        table = form.table(X, codes, len(classes))
        wanted = {int(np.searchsorted(classes, each)): int(rows) for each, rows in self.sampling_strategy_.items()}
        how = Oversampling(seed, self.generator, self.effort, self.typical)
        made = make_rows(table, wanted, how, on_step=lambda step: None)
        self.is_synthetic_ = np.arange(len(y) + len(made)) >= len(y)
        labels = classes[made[TARGET].cat.codes.to_numpy()]
        return form.joined(X, made), np.concatenate([y, labels.astype(y.dtype)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = False
        tags.input_tags.string = False
        return tags


@dataclass(frozen=True)
class _Form:
    """How the columns of an array or frame become those of a table and back; ``levels`` are a label column's."""

    names: tuple[str, ...]
    levels: tuple[np.ndarray[Any, Any] | None, ...]

    @classmethod
    def of(cls, X: Any, categorical: Any) -> _Form:
        frame = _frame(X)
        is_label = _which_are_labels(frame, categorical)
        levels = [_levels(frame.iloc[:, at]) if flag else None for at, flag in enumerate(is_label)]
        # Positions stand in for names, since a frame's names may be anything, even alike.
        return cls(tuple(f"x{at}" for at in range(frame.shape[1])), tuple(levels))

    def table(self, X: Any, codes: np.ndarray[Any, Any], classes: int) -> Table[ModelledSchema]:
        """Return the canonical table with the classes as its target."""
        frame = _frame(X)
        columns: list[Column] = []
        cells: dict[str, Any] = {}
        for at, (name, levels) in enumerate(zip(self.names, self.levels, strict=True)):
            values = frame.iloc[:, at]
            if levels is None:
                columns.append(Column(name, "numeric"))
                cells[name] = _numbers(values)
            else:
                places = tuple(str(place) for place in range(len(levels)))
                columns.append(Column(name, "categorical", categories=places))
                found = pd.Index(levels, dtype=object).get_indexer(pd.Index(values, dtype=object))
                cells[name] = pd.Categorical.from_codes(found.astype(np.int64), dtype=pd.CategoricalDtype(list(places)))
        places = tuple(str(place) for place in range(classes))
        columns.append(Column(TARGET, "categorical", "target", categories=places))
        cells[TARGET] = pd.Categorical.from_codes(codes.astype(np.int64), dtype=pd.CategoricalDtype(list(places)))
        return Table(pd.DataFrame(cells), ModelledSchema(tuple(columns), target=TARGET), "real")

    def joined(self, X: Any, made: pd.DataFrame) -> Any:
        """Return the real rows and the made ones below them, in the form the real ones came in."""
        pieces = [
            made[name].to_numpy(np.float64) if levels is None else _cells(made[name], levels)
            for name, levels in zip(self.names, self.levels, strict=True)
        ]
        if not isinstance(X, pd.DataFrame):
            rows = np.empty((len(made), len(pieces)), dtype=X.dtype)
            for at, piece in enumerate(pieces):
                rows[:, at] = piece
            return np.vstack([X, rows])
        new = [_like(piece, X.iloc[:, at]) for at, piece in enumerate(pieces)]
        old = [X.iloc[:, at].reset_index(drop=True) for at in range(X.shape[1])]
        both = [pd.concat(pair, ignore_index=True).astype(pair[0].dtype) for pair in zip(old, new, strict=True)]
        joined = pd.concat(both, axis=1)
        joined.columns = X.columns
        return joined


def _frame(X: Any) -> pd.DataFrame:
    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)


def _which_are_labels(frame: pd.DataFrame, categorical: Any) -> Sequence[bool]:
    if isinstance(categorical, str):
        return [not (pd.api.types.is_numeric_dtype(d) and not pd.api.types.is_bool_dtype(d)) for d in frame.dtypes]
    chosen = list(categorical)
    if all(isinstance(each, bool | np.bool_) for each in chosen) and len(chosen) == frame.shape[1]:
        return [bool(each) for each in chosen]
    names = list(frame.columns)
    places = [int(e) if isinstance(e, Integral) else names.index(e) if e in names else -1 for e in chosen]
    if any(not 0 <= place < frame.shape[1] for place in places):
        raise OversamplingError(
            f"categorical_features must name columns, however {len(places)} were named and some of them are not among "
            f"the {frame.shape[1]} there are. Give names, positions or a mask."
        )
    return [at in places for at in range(frame.shape[1])]


def _levels(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return np.asarray(values.cat.categories, dtype=object)
    found = values.dropna().astype(object)
    return np.array(sorted(set(found), key=lambda value: (str(type(value)), str(value))), dtype=object)


def _numbers(values: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise OversamplingError(
            f"Every column must hold numbers or labels, however one holds {values.dtype}. Turn dates into numbers."
        )
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _cells(values: pd.Series[Any], levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return labels as they were, None where missing."""
    return np.append(levels, [None])[values.cat.codes.to_numpy()]


def _like(values: np.ndarray[Any, Any], real: pd.Series[Any]) -> pd.Series[Any]:
    """Return made cells in the dtype of the real column, whole numbers rounded."""
    if pd.api.types.is_integer_dtype(real.dtype):
        values = np.round(values.astype(np.float64))
    return pd.Series(values).astype(real.dtype)


__all__ = ["GANOverSampler"]
