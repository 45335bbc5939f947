"""Who may import whom. This table is the architecture diagram; CONTRIBUTING.md draws it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import synthrelease

PACKAGE = Path(synthrelease.__file__).parent
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "privacy": {"core"},
    "schema": {"core"},
    "report": {"schema", "privacy", "core"},
    "evaluation": {"schema", "core"},
    "synthesis": {"schema", "privacy", "core"},
    "data": {"schema", "core"},
    "governance": {"data", "report", "core"},
    "workflows": {"governance", "data", "synthesis", "evaluation", "report", "schema", "privacy", "core"},
    "cli": {"workflows", "governance", "report", "data.formats", "schema", "synthesis", "core"},
}
"""Each room, from the ground up, and what it may import besides itself."""
FRONT = {"__init__": {"core", "governance", "workflows"}, "__main__": {"cli"}, "balance": {"synthesis"}}
"""The files beside the rooms."""
MOST_CROSSINGS = 170
"""Imports across rooms other than into core: more than this and the cut between rooms is wrong."""


def imports_of(path: Path) -> Iterator[str]:
    """Modules of ours that a file imports, dotted below the package: each name of each statement once."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written from the package's top"
            name = node.module or ""
            if name == "synthrelease":
                yield from (alias.name for alias in node.names)
            elif name.startswith("synthrelease."):
                below = name.removeprefix("synthrelease.")
                modules = [f"{below}.{alias.name}" for alias in node.names]
                yield from dict.fromkeys(each if is_module(each) else below for each in modules)
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from (name.removeprefix("synthrelease.") for name in names if name.startswith("synthrelease."))


def is_module(dotted: str) -> bool:
    place = PACKAGE / dotted.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").is_file()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def crossings() -> list[tuple[str, str]]:
    """All imports from one room into another, other than into core: (file, module)."""
    return [
        (str(path.relative_to(PACKAGE)), module)
        for path in sorted(PACKAGE.rglob("*.py"))
        for module in dict.fromkeys(imports_of(path))
        if module.split(".")[0] not in {room_of(path), "core"}
    ]


def test_every_module_imports_only_what_the_table_allows():
    wrong = [
        f"{name} imports {module}"
        for name, module in crossings()
        for allowed in [(MAY_IMPORT | FRONT)[name.split("/")[0].removesuffix(".py")]]
        if not any(f"{module}.".startswith(f"{each}.") for each in allowed)
    ]
    assert wrong == []


def test_core_imports_nobody():
    for path in (PACKAGE / "core").glob("*.py"):
        assert {module.split(".")[0] for module in imports_of(path)} <= {"core"}


def test_the_table_names_the_rooms_there_are():
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} == {*MAY_IMPORT, *FRONT}
    assert len(MAY_IMPORT) <= 10


def test_imports_point_downwards_only():
    rooms = list(MAY_IMPORT)
    for room, needs in MAY_IMPORT.items():
        assert {each.split(".")[0] for each in needs} <= set(rooms[: rooms.index(room)])


def test_no_module_imports_in_a_circle():
    needs = {}
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE)).removesuffix(".py").replace("/", ".")
        needs[name] = {
            each if not (PACKAGE / each.replace(".", "/")).is_dir() else f"{each}.__init__" for each in imports_of(path)
        }
    done: set[str] = set()
    while len(done) < len(needs):
        ready = {name for name, wants in needs.items() if name not in done and (wants & needs.keys()) - {name} <= done}
        assert ready, f"these modules import one another: {sorted(set(needs) - done)}"
        done |= ready


def test_few_imports_cross_rooms():
    assert len(crossings()) <= MOST_CROSSINGS


def test_public_functions_stay_functions_when_every_module_is_imported():
    for module in pkgutil.walk_packages(synthrelease.__path__, "synthrelease."):
        if module.name != "synthrelease.__main__":
            importlib.import_module(module.name)
    assert all(callable(getattr(synthrelease, name)) for name in ("audit", "build", "verify"))


def test_few_files_import_what_is_special():
    """FAISS, OpenDP and Opacus stay in a file each (Opacus in two: one counts, one trains); torch in the generators."""
    users: dict[str, set[str]] = {"faiss": set(), "torch": set(), "opacus": set(), "opendp": set()}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for library, files in users.items():
                if any(name.split(".")[0] == library for name in names):
                    inner = path.relative_to(PACKAGE)
                    files.add("/".join(inner.parts[:2]) if library == "torch" else str(inner))
    assert users == {
        "faiss": {"evaluation/statistics/nearest_neighbours.py"},
        "torch": {"synthesis/generators"},
        "opacus": {"privacy/accounting.py", "synthesis/generators/private/dp_sgd.py"},
        "opendp": {"privacy/noise.py"},
    }


if __name__ == "__main__":
    found = crossings()
    print(f"{len(found)} imports cross a room, other than into core; {len(MAY_IMPORT)} rooms")
