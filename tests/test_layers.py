"""Who may import whom. This table is the architecture diagram; CONTRIBUTING.md draws it."""

from __future__ import annotations

import ast
from pathlib import Path

import synthrelease

PACKAGE = Path(synthrelease.__file__).parent
BASE = {"contracts", "errors"}
TABLES = BASE | {"schema", "generalise", "moments"}
ALLOWED: dict[str, set[str]] = {
    "declarations": set(),
    "claims": set(),
    "demands": set(),
    "witnessing": set(),
    "contracts": {"claims", "declarations", "demands", "witnessing"},
    "errors": set(),
    "wording": {"contracts"},
    "scales": set(),
    "svg": {"contracts", "wording"},
    "grids": {"contracts", "svg", "wording"},
    "charts": {"contracts", "grids", "svg", "wording"},
    "masking": {"contracts"},
    "pages": {"wording"},
    "ceilings": {"contracts"},
    "ledger": {"ceilings", "wording"},
    "phrases": {"contracts", "wording"},
    "gaps": {"contracts", "phrases", "wording"},
    "remedies": {"contracts", "gaps", "phrases", "wording"},
    "views": {"charts", "contracts", "masking", "phrases", "wording"},
    "front": {"contracts", "gaps", "ledger", "pages", "phrases", "remedies", "wording"},
    "regulations": {"contracts", "phrases"},
    "datacard": {"contracts", "pages", "phrases", "wording"},
    "croissant": {"wording"},
    "report": {"ceilings", "contracts", "datacard", "front", "gaps", "ledger", "pages", "phrases", "regulations"}
    | {"views", "wording"},
    "policy": BASE | {"wording"},
    "gate": BASE | {"phrases", "wording"},
    "osnoise": {"contracts"},
    "accounting": {"contracts"},
    "budget": BASE | {"accounting", "ceilings"},
    "onerun": {"contracts"},
    "canary": BASE | {"generators", "onerun", "osnoise"},
    "demonstration": {"drafting", "tables"},
    "intervals": {"contracts"},
    "halving": {"contracts", "intervals"},
    "neighbours": {"contracts"},
    "space": {"contracts"},
    "exchange": {"contracts"},
    "checks": {"constraints", "contracts", "exchange", "halving", "intervals", "moments", "neighbours", "space"},
    "audit": {"contracts", "checks"},
    "moments": {"contracts"},
    "generalise": {"contracts", "identifiers", "moments", "scales"},
    "transforms": {"contracts", "moments"},
    "dating": {"contracts", "identifiers", "moments"},
    "constraints": BASE,
    "schemablocks": set(),
    "schemawords": set(),
    "schema": BASE | {"constraints", "generalise", "moments", "schemablocks", "schemawords"},
    "promise": BASE
    | {"budget", "constraints", "generalise", "generators", "layout", "osnoise", "repairs", "transforms"},
    "levels": BASE | {"layout", "tablefile"},
    "patients": {"contracts"},
    "repairs": BASE | {"conditions", "constraints"},
    "tablefile": BASE,
    "formats": BASE | {"tablefile"},
    "parquet": BASE | {"moments", "tablefile"},
    "vocabulary": set(),
    "shapes": {"vocabulary"},
    "identifiers": {"shapes", "vocabulary"},
    "screening": BASE | {"identifiers"},
    "surrogates": BASE,
    "layout": TABLES | {"formats", "moments", "parquet", "surrogates", "tablefile"},
    "tables": TABLES | {"formats", "generalise", "layout", "levels", "moments", "tablefile"},
    "oddities": set(),
    "relations": {"contracts"},
    "drafting": TABLES | {"dating", "formats", "identifiers", "oddities", "relations", "scales", "tablefile"},
    "inspection": TABLES | {"drafting", "formats", "identifiers", "oddities", "relations", "tablefile"},
    "merging": BASE,
    "conversation": {"inspection", "merging", "wording"},
    "explanation": {"contracts", "generators", "wording"},
    "conditions": BASE | {"moments"},
    "making": BASE | {"conditions", "generalise", "generators", "patients", "repairs", "runs", "transforms"},
    "sampling": BASE | {"outcomes", "conditions", "intake", "making", "runs", "tables"},
    "ending": {"contracts", "phrases", "pipeline"},
    "guarding": {"errors"},
    "package": set(),
    "handing": BASE | {"keys", "outcomes", "package", "register", "runs", "signing", "signoff"},
    "verification": BASE | {"keys", "package", "signing", "wording"},
    "standings": {"register", "signing", "signoff", "trail", "verification", "wording"},
    "reviewing": BASE | {"decisions", "keys", "signing", "signoff", "wording"},
    "office": {"guarding", "handing", "keys", "register", "reviewing", "signing", "signoff", "standings"}
    | {"verification", "wording"},
    "intake": TABLES
    | {
        "audit",
        "canary",
        "constraints",
        "formats",
        "generalise",
        "generators",
        "layout",
        "levels",
        "runs",
        "screening",
        "tables",
    },
    "binning": {"contracts"},
    "encoding": BASE | {"binning"},
    "generators": BASE | {"accounting", "binning", "encoding", "osnoise"},
    "history": {"contracts"},
    "refitting": {"contracts", "generalise", "repairs", "transforms"},
    "oversampling": BASE | {"generators"},
    "balance": BASE | {"generators", "oversampling"},
    "balancing": TABLES | {"constraints", "formats", "generators", "oversampling", "repairs", "tablefile", "tables"},
    "paper": BASE | {"balancing", "charts", "generators", "neighbours", "oversampling", "runs", "wording"},
    "runs": {"errors"},
    "keys": {"errors"},
    "register": {"errors", "keys", "runs"},
    "trail": BASE | {"formats", "register", "tables"},
    "outcomes": BASE | {"runs"},
    "signing": BASE | {"keys", "wording"},
    "decisions": {"contracts", "signing", "wording"},
    "signoff": BASE | {"bundle", "decisions", "outcomes", "register", "runs", "signing", "trail"},
    "record": {"contracts", "generalise", "moments"},
    "bundle": BASE | {"croissant", "decisions", "outcomes", "report", "runs", "signing"},
    "filing": BASE | {"budget", "bundle", "decisions", "intake", "outcomes", "record", "runs", "trail"},
    "pipeline": TABLES
    | {
        "audit",
        "budget",
        "canary",
        "checks",
        "demonstration",
        "formats",
        "gate",
        "generators",
        "policy",
        "record",
        "report",
        "runs",
    }
    | {
        "conditions",
        "constraints",
        "filing",
        "history",
        "intake",
        "levels",
        "making",
        "outcomes",
        "patients",
        "promise",
        "refitting",
    }
    | {"repairs", "tables", "trail", "transforms"},
    "cli": BASE
    | {
        "balancing",
        "canary",
        "conversation",
        "ending",
        "explanation",
        "formats",
        "generators",
        "guarding",
        "inspection",
        "merging",
        "office",
        "paper",
        "pipeline",
        "policy",
        "promise",
        "runs",
        "sampling",
        "schema",
    },
    "__init__": BASE | {"pipeline", "verification"},
    "__main__": {"cli"},
}


def imports_of(path: Path) -> set[str]:
    """Modules of ours that a file imports, by the first name below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "synthrelease":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synthrelease."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("synthrelease.")}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_imports_only_what_the_table_allows():
    wrong = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        extra = imports_of(path) - ALLOWED.get(room, set()) - {room}
        if extra:
            wrong[str(path.relative_to(PACKAGE))] = sorted(extra)
    assert wrong == {}


def test_the_table_names_the_rooms_there_are():
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} == set(ALLOWED)


def test_the_table_has_no_cycles():
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {room for room, needs in ALLOWED.items() if room not in done and needs <= done}
        assert ready, f"these rooms import one another: {sorted(set(ALLOWED) - done)}"
        done |= ready


def test_few_files_import_what_is_special():
    """FAISS, OpenDP and Opacus stay in a file each (Opacus in two: one counts, one trains); torch in the generators."""
    users: dict[str, set[str]] = {"faiss": set(), "torch": set(), "opacus": set(), "opendp": set()}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for library, files in users.items():
                if any(name.split(".")[0] == library for name in names):
                    files.add(room_of(path) if library == "torch" else str(path.relative_to(PACKAGE)))
    assert users == {
        "faiss": {"neighbours.py"},
        "torch": {"generators"},
        "opacus": {"accounting.py", "generators/dpsgd.py"},
        "opendp": {"osnoise.py"},
    }
