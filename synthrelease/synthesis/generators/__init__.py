"""The generators by name. Importing this loads none of them: torch comes in with the first that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from synthrelease.core.contracts import Fitted, Generator
from synthrelease.core.errors import InputError

PAPER_ARCHITECTURES = ("256-512-1024", "256-512", "256", "128-256-512", "128-256", "128")
"""The six networks of Tanaka & Aranha 2019 (table 2); the name of a preset is ``paper-`` and one of them."""
PAPER_READINGS = ("", "-as-written", "-recovering")
"""How a preset's name ends: as in the authors' code, as in their text, or with recovery from divergence."""
PAPER_PROVOKED = ("paper-128-hot", "paper-128-hot-recovering")
"""The smallest network at fifty times the paper's learning rate: a divergence that can be had whenever it is needed."""
REGISTRY: dict[str, str] = {
    "gan": "synthrelease.synthesis.generators.autoregressive_gan.generator",
    "marginals": "synthrelease.synthesis.generators.marginals.generator",
    "marginals+dp-gan": "synthrelease.synthesis.generators.private.dp_gan",
    "dp-gan": "synthrelease.synthesis.generators.private.dp_gan",
    **{
        f"paper-{architecture}{reading}": "synthrelease.synthesis.generators.tanaka_aranha.generator"
        for reading in PAPER_READINGS
        for architecture in PAPER_ARCHITECTURES
    },
    **dict.fromkeys(PAPER_PROVOKED, "synthrelease.synthesis.generators.tanaka_aranha.generator"),
}
"""Module of each generator: its ``fit`` is the generator, or its ``PRESETS`` hold it by name."""
DEFAULT = "gan"
PRIVATE = ("marginals", "marginals+dp-gan", "dp-gan")
"""The generators that keep to a privacy budget; the first is the default where there is one."""
_ABOUT: Mapping[str, str] = {
    "gan": "writes a row column by column, by likelihood and against a critic; a second critic has rows that no "
    "patient could have drawn again; the default",
    "marginals": "makes rows at once so that all tables of pairs are right; quick, without a critic, coarser; "
    "keeps to a privacy budget, and is the default with --epsilon",
    "marginals+dp-gan": "the same with a critic of noisy steps (DP-SGD) after it, where the budget leaves it something "
    "to learn",
    "dp-gan": "learns from a critic of noisy steps alone; to compare with, as tables make more of a budget",
    "paper": "the GAN of Tanaka & Aranha 2019, to compare with; its name gives the widths of its layers",
}


def about(name: str) -> str:
    """Say in one line what a generator does."""
    return _ABOUT.get(name) or _ABOUT[name.split("-")[0]]


def saved(name: str, folder: Path) -> Fitted:
    """Read a trained generator called ``name`` from the folder that it was saved into; InputError if it holds none."""
    load(name)  # refuses unknown names
    fitted: Fitted = import_module(REGISTRY[name]).load(folder)
    return fitted


def load(name: str) -> Generator:
    """Return the generator called ``name``.

    Raises:
        InputError: no generator has that name.
    """
    if name not in REGISTRY:
        raise InputError(
            f"A generator must be a known one, however {name!r} is not. "
            f"Choose one of the known generators: {', '.join(REGISTRY)}."
        )
    module = import_module(REGISTRY[name])
    generator: Generator = module.PRESETS[name] if hasattr(module, "PRESETS") else module.fit
    return generator
