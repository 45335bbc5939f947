"""The benchmark under differential privacy: its systems, what it declares public, and its page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from conftest import ward
from generator import cells, findings, private_page
from generator.fit_ours import declared
from generator.fit_private_peer import PEERS
from generator.inputs import Input
from generator.running import Bench
from generator.systems import (
    ALMOST_FREE,
    EPSILONS,
    PRIVATE_FAMILIES,
    PRIVATE_SYSTEMS,
    REAL,
    SYSTEMS,
    code_of,
    files_of,
)

from synthrelease.data import table_reader
from synthrelease.schema import schema_file
from synthrelease.synthesis import generators, private_requirements
from synthrelease.workflows.inspect import draft_schema


def row(system: str, seed: int = 0, table: str = "stroke", **more: object) -> dict[str, object]:
    """A cell as the file has it."""
    figures = {figure.key: 0.6 for figure in findings.FIGURES} | {"alarms": 0, "attacks_made": 4, "alarm_names": ""}
    return dict.fromkeys(cells.FIELDS, "") | figures | {
        "system": system, "table": table, "seed": seed, "status": "ok", **more,
    }  # fmt: skip


def test_every_private_generator_and_peer_is_asked_at_every_budget():
    ours = {family for family, (environment, _) in PRIVATE_FAMILIES.items() if environment is None}
    assert ours == set(generators.PRIVATE)
    assert set(PRIVATE_FAMILIES) - ours == set(PEERS)
    asked = {(system.family, system.epsilon) for system in PRIVATE_SYSTEMS}
    assert asked == {(f, e) for f in PRIVATE_FAMILIES for e in EPSILONS} | {(f, ALMOST_FREE) for f in ours}
    assert len({system.name for system in (*PRIVATE_SYSTEMS, *SYSTEMS)}) == len(PRIVATE_SYSTEMS) + len(SYSTEMS)
    names = {file.name for file in files_of(is_private=True)}
    assert names >= {"noise.py", "accounting.py", "noisy_counts.py", "denoising.py", "dp_gan.py"}


def test_a_family_stands_for_all_its_budgets_and_a_cell_is_told_by_its_budget():
    bench = Bench("dp", PRIVATE_SYSTEMS, private_page.TABLES, private_page.write)
    assert len(bench.groups["marginals"]) == 5
    assert len(bench.groups["MST"]) == 4
    table = Input("stroke", "stroke", Path("a"), Path("b"), "d")
    keys = {cells.Cell(system, table, 0).key for system in PRIVATE_SYSTEMS}
    assert len(keys) == len(PRIVATE_SYSTEMS)
    plain = next(system for system in SYSTEMS if system.name == "marginals")
    private = next(system for system in PRIVATE_SYSTEMS if system.family == "marginals")
    assert code_of(plain) != code_of(private)


def test_what_is_declared_leaves_nothing_open_and_no_label_out(tmp_path):
    frame = ward(400).drop(columns="patient_id")
    frame["wing"] = pd.Series([f"w{at}" for at in range(8)] * 50)
    frame.loc[0, "wing"] = "rare"
    path = tmp_path / "train.csv"
    frame.to_csv(path, index=False)
    (tmp_path / "schema.toml").write_text(draft_schema.draft(path, target="readmitted"), encoding="utf-8")
    known = declared(schema_file.load(tmp_path / "schema.toml"), path)
    assert known.rows_are_public
    assert not [line for line in private_requirements.advice(known) if line.startswith("must")]
    read = table_reader.read(path, known).table
    assert "rare" in known.column("wing").categories
    assert read.frame["wing"].notna().all()


def test_the_page_says_how_many_seeds_stand_behind_a_cell_and_what_is_missing():
    rows = [
        row(REAL, boosting_auc=0.8),
        row("marginals at epsilon 1", boosting_auc=0.7),
        row("marginals at epsilon 1", 1, boosting_auc=0.72),
        row("marginals at epsilon 3", boosting_auc=0.75),
        row("MST at epsilon 1", boosting_auc=0.6, tv2=0.2),
        row("AIM at epsilon 1", status="failed", note="<ran> out"),
    ]
    found = findings.results(rows, "stroke", PRIVATE_SYSTEMS)
    one, three = private_page.sentences(found, "stroke")
    assert "epsilon 1: marginals has an AUC of 0.710 (real rows 0.800)" in one
    assert one.endswith("Mean of 2 seeds.")
    assert "of 1 measured here the best in AUC is MST (0.600), in pairs MST (0.200)" in one
    assert three.endswith("One seed.")
    text = private_page.render(rows)
    assert "&lt;ran&gt; out" in text
    assert "Not measured yet: marginals+dp-gan, dp-gan, DP-CTGAN, PATE-CTGAN, TabularARGN (DP), dpmm." in text
    assert "Epsilon 100" in text
    assert "Use against epsilon, stroke" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


@pytest.mark.parametrize("name", ["0.5", "1", "3", "10"])
def test_fitting_programs_are_told_the_budget(name):
    asked = [system for system in PRIVATE_SYSTEMS if system.epsilon == float(name)]
    assert all(system.arguments[-2:] == ("--epsilon", name) for system in asked)
