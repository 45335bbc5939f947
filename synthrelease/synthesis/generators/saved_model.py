"""A trained generator in a run folder: ``model.json`` says what it is, ``model.safetensors`` holds its tensors.

Each generator says how a model of its format is built; what can be wrong with the files is found and told here, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from synthrelease.core.contracts import TrainingStep
from synthrelease.core.errors import InputError

FACTS, TENSORS = "model.json", "model.safetensors"

Built = TypeVar("Built")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """What two files hold: ``facts`` as plain JSON values, their ``format`` first, and ``tensors`` by name."""

    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def history(self) -> tuple[TrainingStep, ...]:
        """The progress reports of the training."""
        return tuple(TrainingStep(**step) for step in self.facts["history"])

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader of the report should know of the training."""
        return tuple(self.facts["notices"])

    def tensor(self, name: str, *shape: int) -> Tensor:
        """Return the tensor of that name; a ValueError if its shape is another, a KeyError if there is none."""
        found = self.tensors[name]
        if tuple(found.shape) != shape:
            raise ValueError(f"{name} must be of shape {shape}, however it is of shape {tuple(found.shape)}")
        return found

    def write(self, folder: Path) -> None:
        """Write both files into ``folder``, which is made if it is missing; NaN among the facts is a ValueError."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: each.detach().cpu().contiguous() for name, each in self.tensors.items()}, folder / TENSORS)
        (folder / FACTS).write_text(json.dumps(self.facts, allow_nan=False, indent=1), encoding="utf-8")


def history_facts(history: Sequence[TrainingStep]) -> list[dict[str, Any]]:
    """Return progress reports as plain JSON values, as ``SavedModel.history`` reads them."""
    return [asdict(step) for step in history]


def load(folder: Path, formats: Mapping[str, Callable[[SavedModel], Built]]) -> Built:
    """Return the generator that a folder holds, built by the function that stands for its format in ``formats``.

    Raises:
        InputError: a file is missing or damaged, the format is none of these, or facts and tensors do not fit.
    """
    missing = [name for name in (FACTS, TENSORS) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"A saved model is a {FACTS} and a {TENSORS}, however {folder} has no {' and no '.join(missing)}. "
            "Name the internal folder of a finished run."
        )
    facts = _facts(folder / FACTS)
    build = formats.get(str(facts.get("format")))
    if build is None:
        raise InputError(
            f"A saved model of this generator says {' or '.join(formats)} in its {FACTS}, however the one in {folder} "
            "does not. It may be another generator's, or come from another version: train again."
        )
    model = SavedModel(facts, _tensors(folder / TENSORS))
    try:
        return build(model)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:  # torch refuses shapes with a RuntimeError
        raise _damaged(folder / FACTS, f"what it says does not fit the tensors in {TENSORS}") from error


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, "it cannot be read as JSON") from error
    if not isinstance(facts, dict):
        raise _damaged(path, "it holds no object")
    return facts


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        tensors: Mapping[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, "it cannot be read as tensors") from error
    return tensors


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"A saved model must be as it was written, however {path} is not: {why}. Bring both files back from a copy, or "
        "train again."
    )
