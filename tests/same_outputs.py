"""Does a change of the code leave every output as it was? Fixed seeds, two checkouts, one comparison.

    python tests/same_outputs.py make --code OLD_CHECKOUT --data TABLES --out before
    python tests/same_outputs.py make --code . --data TABLES --out after
    python tests/same_outputs.py compare before after

``make`` runs the command line of the checkout on the bundled table, on stroke, on adult (every sixth row), and on a
table whose patients have several rows (diabetes130, the first 4,000 rows), draws more rows from a saved run, fills up a
minority class, and builds a private table whose noise comes from a fixed stream, for this comparison alone. ``compare``
demands the same synthetic tables byte for byte, and the same ``audit.json`` but for times, run names and keyed digests.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHANGING = {"seconds", "created", "run", "run_id", "id", "versions", "at", "started", "finished", "since", "entry"}
"""Keys of ``audit.json`` whose values are times or drawn anew in every run (``entry`` is a digest over a time)."""

FIXED_NOISE = """
import importlib, runpy, sys
import numpy as np
for name in ("synthrelease.privacy.noise", "synthrelease.osnoise"):
    try:
        noise = importlib.import_module(name)
        break
    except ModuleNotFoundError:
        continue
rng = np.random.default_rng(7)
noise._words = lambda count: rng.integers(0, 2**64, size=count, dtype=np.uint64)
def discrete_gaussian(counts, scale):
    return np.asarray(counts, dtype=np.int64) + np.rint(rng.normal(0.0, scale, np.shape(counts))).astype(np.int64)
noise.discrete_gaussian = discrete_gaussian
sys.argv = ["synthrelease", *sys.argv[1:]]
from synthrelease.__main__ import main
main(prog_name="synthrelease")
"""


def tables(data: Path, out: Path) -> None:
    """Write the parts of real tables that are built from."""
    adult = (data / "adult.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "adult.csv").write_text(adult[0] + "".join(adult[1::6]), encoding="utf-8")
    visits = (data / "diabetes130.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "visits.csv").write_text("".join(visits[:4001]), encoding="utf-8")
    (out / "stroke.csv").write_bytes((data / "stroke.csv").read_bytes())
    (out / "pima.csv").write_bytes((data / "pima.csv").read_bytes())


COMMANDS = {
    "schema-stroke": "inspect stroke.csv --out stroke.toml --target stroke --missing N/A",
    "schema-adult": "inspect adult.csv --out adult.toml --target income --missing ?",
    "schema-visits": "inspect visits.csv --out visits.toml --target readmitted --missing ? --unit patient_nbr",
    "schema-pima": "inspect pima.csv --out pima.toml --target Outcome",
    "demo": "build --demo --policy internal_sandbox --seed 1",
    "stroke": "build stroke.csv --schema stroke.toml --policy partner_handoff --seed 1",
    "adult": "build adult.csv --schema adult.toml --policy partner_handoff --seed 1 --effort fast",
    "visits": "build visits.csv --schema visits.toml --policy internal_sandbox --seed 1 --effort fast",
    "pima-marginals": "build pima.csv --schema pima.toml --policy internal_sandbox --seed 1 --generator marginals",
    "pima-paper": "build pima.csv --schema pima.toml --policy internal_sandbox --seed 1 --generator paper-128",
    "sample": "sample demo --rows 500 --seed 3 --out sample.csv",
    "balance": "balance pima.csv --schema pima.toml --method gan --effort fast --seed 1 --out balance.csv",
    "private": "build stroke.csv --schema private.toml --policy internal_sandbox --seed 1 --epsilon 3",
    "private-gan": "build stroke.csv --schema private.toml --policy internal_sandbox --seed 1 --epsilon 3 "
    "--generator marginals+dp-gan --effort fast --audit canary",
}  # fmt: skip


def make(code: Path, data: Path, out: Path, only: set[str]) -> None:
    """Run every command with the code of one checkout; what is there already is kept."""
    out.mkdir(parents=True, exist_ok=True)
    tables(data, out)
    environment = {**os.environ, "PYTHONPATH": str(code.resolve()), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    environment["SYNTHRELEASE_REGISTER"] = str((out / "register").resolve())
    for name, line in COMMANDS.items():
        if (only and name not in only) or (out / f"{name}.exit").exists():
            continue
        if name == "private":
            text = (out / "stroke.toml").read_text(encoding="utf-8")
            (out / "private.toml").write_text(f'unit = "row"\n{text}', encoding="utf-8")
        words = [*line.split(), *(["--out", name] if line.startswith("build") else [])]
        start = ["-c", FIXED_NOISE] if name.startswith("private") else ["-m", "synthrelease"]
        done = subprocess.run(  # noqa: PLW1510
            [sys.executable, *start, *words], cwd=out, env=environment, capture_output=True, text=True
        )
        (out / f"{name}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        print(f"{name}: exit {done.returncode}", flush=True)
        (out / f"{name}.exit").write_text(str(done.returncode), encoding="utf-8")


def digests(folder: Path, only: set[str]) -> dict[str, str]:
    """Digests of every table and schema that was made."""
    found = [*folder.glob("*/quarantine/synthetic.*"), *folder.glob("*/release/synthetic.*")]
    found += [path for pattern in ("*.toml", "*/internal/model.safetensors", "sample.csv", "balance.csv", "*.exit")
              for path in folder.glob(pattern)]  # fmt: skip
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(found)
        if not only or path.relative_to(folder).parts[0].split(".")[0] in only
    }


def differences(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Where two records differ, times and what is drawn anew aside."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if key not in CHANGING and not key.endswith("(HMAC)"):
                yield from differences(before.get(key), after.get(key), f"{at}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{at}[{place}]")
    elif before != after:
        yield f"{at}: {str(before)[:80]} became {str(after)[:80]}"


def compare(before: Path, after: Path, only: set[str]) -> list[str]:
    """Say in what two folders of outputs differ."""
    first, second = digests(before, only), digests(after, only)
    if not first:
        return [f"{before} holds nothing to compare"]
    found = [f"{name} differs" for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)]
    audits = 0
    for path in sorted(before.glob("*/internal/audit.json")):
        other = after / path.relative_to(before)
        if only and path.parent.parent.name not in only:
            continue
        audits += 1
        if other.exists():
            read = (json.loads(each.read_text(encoding="utf-8")) for each in (path, other))
            found += [f"{path.parent.parent.name}/audit.json{each}" for each in differences(*read)]
    print(f"{len(first)} files by their digests, {audits} audit.json: {len(found)} differences")
    return found


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make")
    making.add_argument("--code", type=Path, default=Path())
    making.add_argument("--data", type=Path, required=True)
    making.add_argument("--out", type=Path, required=True)
    comparing = verbs.add_parser("compare")
    for each in (making, comparing):
        each.add_argument("--only", default="", help="some of the commands by name, with commas")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    asked = parser.parse_args()
    only = {each for each in asked.only.split(",") if each}
    if asked.verb == "make":
        make(asked.code, asked.data, asked.out, only)
        return
    found = compare(asked.before, asked.after, only)
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
