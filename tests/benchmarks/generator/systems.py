"""What is compared: the systems, how each is fitted, and the limits that hold for all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synthrelease.cli.options import EFFORTS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SEEDS = (0, 1, 2)
LIMIT_SECONDS = 900
"""Seconds of one core that a fit may take, sampling included."""
SLOW_SECONDS = 600
"""A peer that needs more than this for its first seed is not asked for more seeds."""
MEMORY_GIB = 12
REAL = "real rows"
AT = " at epsilon "
EPSILONS = (0.5, 1.0, 3.0, 10.0)
ALMOST_FREE = 100.0
"""A budget at which noise costs next to nothing: what is lost there is lost by the method, not by privacy."""


@dataclass(frozen=True, slots=True)
class System:
    """One line of every table of the page. ``environment`` is None for this package's own generators.

    ``about``: what it is in plain words. ``arguments``: what its fitting program is told. ``epsilon``: of its budget of
    differential privacy, None where it has none; ``family``: its name without it.
    """

    name: str
    environment: str | None
    about: str
    arguments: tuple[str, ...]
    epsilon: float | None = None

    @property
    def family(self) -> str:
        """The name without the budget."""
        return self.name.split(AT)[0]

    @property
    def is_ours(self) -> bool:
        """Whether the package itself is measured here."""
        return self.environment is None


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment: its requirements, and packages to take out again since they keep it from importing."""

    requirements: str
    remove: tuple[str, ...] = ()


ENVIRONMENTS: Mapping[str, Environment] = {
    "scorer": Environment("scorer.txt"),
    "sdv": Environment("sdv.txt"),
    "mostlyai": Environment("mostlyai.txt", remove=("torchvision", "torchaudio")),
    "synthpop": Environment("synthpop.txt"),
    "smote": Environment("smote.txt"),
    "smartnoise": Environment("smartnoise.txt"),
    "dpmm": Environment("dpmm.txt"),
}


def _ours(name: str, generator: str, about: str, effort: float = 1.0, *, settings: tuple[str, ...] = ()) -> System:
    told = tuple(word for setting in settings for word in ("--set", setting))
    return System(name, None, about, ("--generator", generator, "--effort", f"{effort:g}", *told))


def _peer(name: str, environment: str, about: str) -> System:
    return System(name, environment, about, ("--system", name))


SYSTEMS: tuple[System, ...] = (
    *(
        _ours(f"gan-{effort}", "gan", f"this package's default generator at the effort “{effort}”", share)
        for effort, share in EFFORTS.items()
    ),
    _ours(
        "gan without critic",
        "gan",
        "the default generator by likelihood alone: what its critic is worth",
        settings=("adversarial_weight=0", "redraw_trees=0"),
    ),
    _ours("marginals", "marginals", "this package's quick generator, without a critic"),
    _peer("TabularARGN", "mostlyai", "MOSTLY AI's network that writes a row cell by cell"),
    _peer("CTGAN", "sdv", "the best known GAN for tables, as SDV has it"),
    _peer("TVAE", "sdv", "a variational autoencoder, as SDV has it"),
    _peer("GaussianCopula", "sdv", "SDV's statistical model of single columns and their correlations"),
    _peer("CART", "synthpop", "trees that draw each cell from cells of real patients (synthpop-py)"),
    _peer("SMOTE", "smote", "points on lines between two real patients (imbalanced-learn; it was made to add rows)"),
)


def _budgeted(family: str, environment: str | None, about: str, epsilon: float) -> System:
    ours = ("--generator", family, "--effort", "1")
    arguments = (*(("--system", family) if environment else ours), "--epsilon", f"{epsilon:g}")
    return System(f"{family}{AT}{epsilon:g}", environment, about, arguments, epsilon)


PRIVATE_FAMILIES: Mapping[str, tuple[str | None, str]] = {
    "marginals": (None, "this package's default with a budget: noisy tables of pairs of columns"),
    "marginals+dp-gan": (None, "the same, refined by a critic that learns by DP-SGD where its noise lets it"),
    "dp-gan": (None, "this package's GAN whose critic sees real rows through DP-SGD alone"),
    "MST": ("smartnoise", "a tree of noisy tables of pairs (SmartNoise)"),
    "AIM": ("smartnoise", "noisy tables chosen one after another (SmartNoise)"),
    "DP-CTGAN": ("smartnoise", "CTGAN with DP-SGD (SmartNoise)"),
    "PATE-CTGAN": ("smartnoise", "CTGAN taught by a vote of critics (SmartNoise)"),
    "TabularARGN (DP)": ("mostlyai", "MOSTLY AI's network that writes a row cell by cell, with DP-SGD"),
    "dpmm": ("dpmm", "a graphical model of noisy tables, dpmm's pipeline of MST"),
}
PRIVATE_SYSTEMS: tuple[System, ...] = tuple(
    _budgeted(family, environment, about, epsilon)
    for epsilon in (*EPSILONS, ALMOST_FREE)
    for family, (environment, about) in PRIVATE_FAMILIES.items()
    if environment is None or epsilon != ALMOST_FREE
)
"""The systems of ``make bench-dp``. Only ours are asked what they reach almost without noise."""
BY_NAME: Mapping[str, System] = {system.name: system for system in (*SYSTEMS, *PRIVATE_SYSTEMS)}


def code_of(system: System) -> str:
    """Digest of what decides a system's tables beside the data: our generators' code, or a peer's pinned packages."""
    if system.environment is None:
        files = files_of(is_private=system.epsilon is not None)
    else:
        files = [HERE / "peers" / ENVIRONMENTS[system.environment].requirements]
    return digest(*(file.read_bytes() for file in files))


def files_of(*, is_private: bool) -> list[Path]:
    """The files of this package that decide a table: with a budget those of the private generators, else all others."""
    rooms = ROOT / "synthrelease"
    generators = rooms / "synthesis" / "generators"
    if is_private:
        folders = [generators, generators / "private"]
        return [
            *(file for at in folders for file in sorted(at.glob("*.py"))),
            *sorted((rooms / "privacy").glob("*.py")),
        ]
    shared = (file for file in sorted(generators.rglob("*.py")) if file.parent.name != "private")
    return [*shared, *sorted((rooms / "synthesis" / "encoding").glob("*.py"))]


def digest(*parts: bytes) -> str:
    """Twelve hexadecimal digits of SHA-256 over the parts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:12]
