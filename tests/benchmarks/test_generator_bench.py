"""The benchmark of the generators: its figures on tables whose answer is known, its store, and its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ward
from generator import cells, findings, inputs, page, scores
from generator.fit_peer import decimals, label_columns, tidied
from generator.inputs import BenchError, Input
from generator.systems import BY_NAME, ENVIRONMENTS, HERE, SYSTEMS
from generator.tradeoff import Mark, draw, figure_of

BENCH = Path(__file__).parent / "benchmarks"


def three(made: pd.DataFrame | None = None, rows: int = 300) -> scores.Trio:
    """A made-up ward as training rows and unseen rows; made rows are fresh ones unless given."""
    whole = ward(3 * rows).drop(columns="patient_id")
    train, test, fresh = (whole.iloc[i * rows : (i + 1) * rows] for i in range(3))
    return scores.trio(train, test, fresh if made is None else made, "readmitted")


def test_use_of_training_rows_is_the_use_of_real_rows():
    ours = three()
    copied = scores.trio(ours.train, ours.test, ours.train, "readmitted")
    assert scores.usefulness(copied, copied.made) == scores.usefulness(copied, copied.train)


def test_shuffled_columns_teach_nothing_and_are_told_apart():
    ours = three()
    rng = np.random.default_rng(0)
    shuffled = scores.trio(ours.train, ours.test, ours.train.apply(rng.permutation), "readmitted")
    real, made = scores.usefulness(ours, ours.train), scores.usefulness(shuffled, shuffled.made)
    assert real["logistic_auc"] > 0.7 > made["logistic_auc"]
    assert scores.told_apart(shuffled) > scores.told_apart(ours) + 0.1
    assert scores.pair_distance(shuffled) > scores.pair_distance(scores.trio(ours.train, ours.test, ours.train, "sex"))


def test_a_table_of_one_class_is_a_coin():
    ours = three()
    one = ours.made.assign(readmitted="yes")
    assert scores.usefulness(ours, one)["boosting_auc"] == 0.5


def test_distance_of_pairs_worked_out_by_hand():
    train = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": ["p", "q", "p", "q"]})
    made = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": ["p", "p", "q", "q"]})
    assert scores.pair_distance(scores.trio(train, train, made, "b")) == pytest.approx(0.5)
    assert scores.pair_distance(scores.trio(train, train, train, "b")) == 0


def test_labels_and_gaps_beyond_the_training_rows_count_as_different():
    train = pd.DataFrame({"a": ["x", "y"], "b": ["p", "p"]})
    made = pd.DataFrame({"a": ["z", None], "b": ["p", "p"]})
    assert scores.pair_distance(scores.trio(train, train, made, "b")) == 1


def test_numbers_that_are_no_class_go_to_the_nearest_one():
    found = scores.snapped(pd.Series([0.2, 0.9, 1.0, np.nan]), ["0", "1"])
    assert list(found[:3]) == ["0", "1", "1"]
    assert found.isna().tolist() == [False, False, False, True]
    assert scores.snapped(pd.Series(["no", "odd"]), ["no", "yes"]).tolist()[1] is None


def test_nearest_rows_are_those_of_the_obvious_loop():
    ours = three(rows=40)
    found, places = scores.nearest(ours, ours.made, ours.train)
    real = pd.concat([ours.train, ours.test])
    for i, row in ours.made.iterrows():
        far = []
        for _, other in ours.train.iterrows():
            total = 0.0
            for name in ours.labels:
                total += row[name] != other[name]
            for name in ours.numbers:
                fill, span = ours.train[name].median(), real[name].max() - real[name].min()
                a, b = (fill if np.isnan(v) else v for v in (row[name], other[name]))
                total += ((a - b) / span) ** 2 + (np.isnan(row[name]) != np.isnan(other[name]))
            far.append(np.sqrt(total))
        assert found[i] == pytest.approx(min(far), abs=1e-6)
        assert far[places[i]] == pytest.approx(min(far), abs=1e-6)


def test_the_copy_machine_is_closer_and_fresh_rows_are_not():
    fresh = three()
    share, evidence = scores.closer(fresh)
    assert not scores.alarms(0.0, share, evidence, {})
    copied = scores.trio(fresh.train, fresh.test, fresh.train, "readmitted")
    share, evidence = scores.closer(copied)
    assert share > 0.95
    assert scores.alarms(1.0, share, evidence, {}) == ["copies", "closer"]


def test_an_attack_rings_only_beyond_three_points_and_three_standard_errors():
    def rates(training: float) -> dict[str, dict[str, float] | None]:
        return {"inference": {"training": training, "unseen": 0.5, "attacks": 500.0}, "linkability": None}

    assert scores.alarms(0.0, 0.5, 1_000, rates(0.58)) == []
    assert scores.alarms(0.0, 0.5, 1_000, rates(0.62)) == ["inference"]
    assert scores.alarms(0.011, 0.5, 1_000, {}) == ["copies"]
    assert scores.alarms(0.0, 0.54, 1_000, {}) == []
    assert scores.alarms(0.0, 0.56, 1_000, {}) == ["closer"]


def test_validity_sees_range_label_and_type():
    ours = three()
    broken = ours.made.assign(age=-1.5, sex="other")
    raw = broken.assign(stay="long")
    found = scores.validity(scores.trio(ours.train, ours.test, raw, "readmitted"), ours.train, raw)
    assert found["out_of_range"] > 0.3
    assert found["unseen_labels"] == pytest.approx(1 / 3)
    assert found["broken_types"] == 2
    real = scores.trio(ours.train, ours.test, ours.test, "readmitted")
    assert set(scores.validity(real, ours.train, ours.test).values()) == {0.0}


def test_peers_get_labels_and_give_decimals_back():
    frame = pd.DataFrame({"a": [1, 2, 3] * 5, "b": np.arange(15) / 8, "c": ["x", None, "y"] * 5, "y": range(15)})
    assert label_columns(frame, "y") == ["a", "c", "y"]
    assert decimals(frame["b"]) == 3
    made = tidied(pd.DataFrame({"b": [0.12345, 1.0], "c": ["gap", "x"], "a": [1.2, 2.0], "y": [1, 2]}), frame)
    assert list(made.columns) == ["a", "b", "c", "y"]
    assert made["a"].tolist() == [1, 2]
    assert made["b"].tolist() == [0.123, 1.0]
    assert made["c"].isna().tolist() == [True, False]


def row(system: str, table: str = "pima", seed: int = 0, **more: object) -> dict[str, object]:
    """A cell as the file has it."""
    figures = {figure.key: 0.6 for figure in findings.FIGURES} | {"alarms": 0, "attacks_made": 4, "alarm_names": ""}
    return dict.fromkeys(cells.FIELDS, "") | figures | {
        "system": system, "table": table, "seed": seed, "status": "ok", **more,
    }  # fmt: skip


def test_a_cell_takes_the_place_of_its_elder_and_survives_on_disk(tmp_path):
    path = tmp_path / "generator.csv"
    rows = cells.kept([], row("CART", seed=1), path)
    rows = cells.kept(rows, row("CART", seed=0), path)
    rows = cells.kept(rows, row("CART", seed=0, data="new", note='a, "b"'), path)
    again = cells.known(path)
    assert [(r["seed"], r["data"], r["note"]) for r in again] == [("0", "new", 'a, "b"'), ("1", "", "")]
    assert [cells.key_of(r) for r in rows] == [cells.key_of(r) for r in again]


def test_a_slow_or_failed_first_seed_is_the_only_one():
    table = Input("pima", "Outcome", Path("a"), Path("b"), "d")
    cell = cells.Cell(BY_NAME["CART"], table, 1)
    first = dict(zip(cells.KEY, cells.Cell(BY_NAME["CART"], table, 0).key, strict=True))
    quick = row(**first | {"fit_seconds": "500", "sample_seconds": "1"})
    assert not cells.is_slow([quick], cell)
    assert cells.is_slow([quick | {"fit_seconds": "700"}], cell)
    assert cells.is_slow([quick | {"status": "failed"}], cell)
    assert not cells.is_slow([], cell)


def test_cells_of_other_code_or_figures_are_no_longer_current():
    table = Input("pima", "Outcome", Path("a"), Path("b"), "d")
    fresh = row(**dict(zip(cells.KEY, cells.Cell(BY_NAME["CART"], table, 0).key, strict=True)))
    real = row(**dict(zip(cells.KEY, cells.Cell(None, table, 0).key, strict=True)))
    gone = [fresh | {"code": "old"}, real | {"figures": "0"}, fresh | {"system": "gone"}]
    assert cells.current([fresh, real, *gone]) == [fresh, real]


def test_a_key_changes_with_data_and_code():
    one, other = (Input("pima", "Outcome", Path("a"), Path("b"), digest) for digest in ("d", "e"))
    keys = {cells.Cell(system, table, 0).key for system in SYSTEMS for table in (one, other)}
    assert len(keys) == 2 * len(SYSTEMS)
    assert {system.environment for system in SYSTEMS} - {None} <= set(ENVIRONMENTS)
    assert {e.requirements for e in ENVIRONMENTS.values()} == {p.name for p in (HERE / "peers").glob("*.txt")}


def test_what_cannot_be_installed_or_crashes_is_a_result(tmp_path):
    table = Input("pima", "Outcome", tmp_path / "no.csv", tmp_path / "no.csv", "d")
    places = cells.Places(tmp_path, tmp_path / "made", {"synthpop": "no such package"})
    found = cells.measured(cells.Cell(BY_NAME["CART"], table, 0), places)
    assert (found["status"], found["note"]) == ("failed", "could not be installed: no such package")


def test_a_program_over_its_limit_is_stopped_and_says_so(tmp_path):
    with (tmp_path / "log").open("w") as log:
        assert (
            cells._run([sys.executable, "-c", "while True: pass"], log, 1)
            == "stopped after 0.0166667 minutes of one core"
        )
        assert cells._run([sys.executable, "-c", "pass"], log, 5) == ""


def test_best_is_never_a_system_that_rang():
    rows = [row("CART", boosting_auc=0.9, alarms=1, alarm_names="closer"), row("TVAE", boosting_auc=0.8), row("CTGAN")]
    found = findings.results(rows, "pima")
    assert findings.best(found, findings.FIGURES[0]) == {"TVAE"}
    assert findings.best(found, next(f for f in findings.FIGURES if f.key == "quality")) == frozenset()


def test_the_page_shows_failures_and_missing_cells_and_needs_nothing_from_outside():
    rows = [
        row("real rows"), row("gan-standard", boosting_auc=0.7), row("gan-standard", seed=1, boosting_auc=0.8),
        row("TVAE", boosting_auc=0.9), row("CART", status="failed", note="<ran> out"),
        row("CTGAN", alarm_names="copies"),
    ]  # fmt: skip
    text = page.render(rows)
    assert "&lt;ran&gt; out" in text
    assert "not measured yet" in text
    assert "0.700 to 0.800" in text
    assert "behind in AUC, boosting (0.750, TVAE 0.900)" in text
    assert "Alarms rang for CTGAN (copies)." in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_names_in_the_drawing_do_not_lie_on_each_other():
    marks = [Mark(f"system {i}", 10.0 + i / 100, 0.9 - i / 1_000, 1) for i in range(4)]
    figure = figure_of(marks, name="n", title="t", caption="c", y_label="y")
    text = str(draw(figure, marks, ["system 0", "system 1"]))
    assert all(text.count(mark.name) == 1 for mark in marks)
    assert "Nothing to draw" in draw(figure_of([], name="n", title="t", caption="c", y_label="y"), [], [])


def test_the_wisconsin_table_needs_no_file_and_a_missing_one_is_named(tmp_path):
    (table,) = inputs.prepared(("wdbc",), tmp_path, None, tmp_path / "out")
    train, test = scores.read(table.train), scores.read(table.test)
    assert (train.shape, test.shape) == ((398, 31), (171, 31))
    assert train["diagnosis"].mean() == pytest.approx(test["diagnosis"].mean(), abs=0.01)
    assert inputs.prepared(("wdbc",), tmp_path, None, tmp_path / "out")[0] == table
    with pytest.raises(BenchError, match=r"pima\.csv is not in"):
        inputs.prepared(("pima",), tmp_path, None, tmp_path / "out")


def test_splits_have_the_last_word(tmp_path):
    for part in ("train", "test"):
        pd.DataFrame({"Age": [1, 2], "Outcome": [0, 1]}).to_csv(tmp_path / f"pima_{part}.csv", index=False)
    (table,) = inputs.prepared(("pima",), tmp_path, tmp_path, tmp_path / "out")
    assert len(scores.read(table.train)) == 2


def test_without_data_the_command_says_what_to_do(tmp_path):
    command = [sys.executable, "-m", "generator", "--data", "", "--out", str(tmp_path)]
    done = subprocess.run(command, env=cells.one_thread(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "DATA=folder" in done.stderr
    assert "Traceback" not in done.stderr
