"""The committed example reports, made from the public table that scikit-learn carries: one released, one refused.

The released one is the demonstration. The refused one is a vendor's table as it should not be: the released rows with
one row in five exchanged for a training patient's own.

    python tests/example_reports.py reports
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from needs import chromium_path

from synthrelease.workflows import audit, build, demo_table, run_options

POLICY = "internal_sandbox"
COPIED = 0.2


def main(reports: Path) -> None:
    """Write both examples below ``reports``, with a picture of each first screen."""
    with tempfile.TemporaryDirectory(prefix="synthrelease-examples-") as made:
        folder = Path(made)
        # A register of their own, so that the examples do not count how often they were made before.
        os.environ["SYNTHRELEASE_REGISTER"] = str(folder / "register")
        table, schema_file = demo_table.demo_files(folder)
        parts = apart(table, folder)
        built = build.build(
            parts["train"],
            schema_file=schema_file,
            out=folder / "wisconsin",
            policy_name=POLICY,
            options=run_options.BuildOptions(holdout=parts["holdout"], seed=1),
        )
        vendor = leaky(built.folder, parts["train"], folder / "vendor.csv")
        audited = audit.audit(
            run_options.AuditTables(parts["train"], parts["holdout"], vendor),
            schema_file=schema_file,
            out=folder / "vendor",
            policy_name=POLICY,
            options=run_options.BuildOptions(seed=1),
        )
        decisions = (built.verdict.decision, audited.verdict.decision)
        if decisions != ("release", "refuse"):
            raise SystemExit(f"the examples must be released and refused, however they came out as {decisions}")
        keep(built.folder, reports / "example-wisconsin")
        keep(audited.folder, reports / "example-refused")


def apart(table: Path, folder: Path) -> dict[str, Path]:
    """The real table cut into what is trained on and what is kept apart."""
    rows = pd.read_csv(table)
    order = np.random.default_rng(1).permutation(len(rows))
    cut = round(0.7 * len(rows))
    places = {"train": folder / "wisconsin-train.csv", "holdout": folder / "wisconsin-holdout.csv"}
    for place, chosen in zip(places.values(), (order[:cut], order[cut:]), strict=True):
        rows.iloc[np.sort(chosen)].to_csv(place, index=False)
    return places


def leaky(run: Path, train: Path, out: Path) -> Path:
    """The synthetic table of a run with one row in five exchanged for a training row."""
    rows, real = pd.read_csv(next(run.glob("*/synthetic.csv"))), pd.read_csv(train)
    rng = np.random.default_rng(2)
    copied = round(COPIED * len(rows))
    rows.iloc[rng.permutation(len(rows))[:copied]] = real.iloc[rng.permutation(len(real))[:copied]].to_numpy()
    rows.to_csv(out, index=False)
    return out


def keep(run: Path, place: Path) -> None:
    """Copy what may be shown of a run on public data, and take a picture of its first screen."""
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    shutil.copy(run / "internal" / "report.html", place)
    for name in ("data-card.html", "data-card.json", "croissant.json"):
        if (run / "release" / name).is_file():
            shutil.copy(run / "release" / name, place)
    photograph(place / "report.html", place / "first-screen.jpg")


def photograph(page: Path, out: Path) -> None:
    """Take a picture of the page's first screen; leave it out where there is no browser."""
    chromium = chromium_path()
    if chromium is None:
        print(f"there is no chromium here, so {out} was left out")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox", "--disable-gpu"])
        view = browser.new_page(viewport={"width": 1280, "height": 800})
        view.goto(page.resolve().as_uri())
        view.screenshot(path=str(out), type="jpeg", quality=50)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
