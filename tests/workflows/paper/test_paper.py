"""The paper's experiments: what is printed, how trials are run and kept, and what the page says."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import data_folder, real_file

from synthrelease.cli.main import main
from synthrelease.core.errors import InputError, RunFolderError
from synthrelease.workflows.paper import (
    comparison,
    experiments,
    extension,
    findings,
    input_tables,
    journal,
    published,
    scoring,
    trials,
)
from synthrelease.workflows.paper.comparison import Summary, compared, gain, summary
from synthrelease.workflows.paper.experiments import PaperOptions
from synthrelease.workflows.paper.journal import Progress
from synthrelease.workflows.paper.published import Printed
from synthrelease.workflows.paper.trials import Trial


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up tables under the names of the paper's, small enough to train on in a second."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def table(rows: int, share: float, target: str) -> pd.DataFrame:
        y = (rng.random(rows) < share).astype(int)
        shift = 1.5 * y
        return pd.DataFrame({"a": rng.normal(shift), "b": rng.normal(-shift), "c": rng.integers(0, 9, rows), target: y})

    table(150, 0.35, "Outcome").to_csv(folder / "pima.csv", index=False)
    cancer = table(150, 0.4, "diagnosis")
    cancer.insert(0, "id", rng.permutation(150) + 1_000)
    cancer.to_csv(folder / "wdbc.csv", index=False)
    fraud = table(700, 0.08, "Class")
    fraud.to_csv(folder / "creditcard_sample.csv", index=False)
    ranges = pd.DataFrame({"column": ["a", "b", "c"], "full_min": [-6.0, -6.0, 0.0], "full_max": [6.0, 6.0, 8.0]})
    ranges.to_csv(folder / "creditcard_full_minmax.csv", index=False)
    stroke = table(400, 0.2, "stroke").rename(columns={"c": "ward"})
    stroke.insert(0, "id", np.arange(400))
    stroke["bmi"] = np.where(rng.random(400) < 0.1, "N/A", np.round(rng.normal(27, 4, 400), 1).astype(str))
    stroke.to_csv(folder / "stroke.csv", index=False)
    return folder


def ignore(progress: Progress) -> None:
    """Hear how far a run is and do nothing."""


def invoke(data: Path, out: Path, experiment: int, *more: str) -> tuple[int, str]:
    words = ["paper", "--experiment", str(experiment), "--data", str(data), "--out", str(out), "--quick"]
    result = CliRunner().invoke(main, [*words, "--epochs", "4", "--repetitions", "2", "--workers", "1", *more])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which experiment 1 was run; tests take a copy of it."""
    folder = tmp_path_factory.mktemp("finished")
    assert invoke(data, folder, 1)[0] == 0
    return folder


@pytest.mark.parametrize(("table", "printed"), [("cancer", published.CANCER), ("diabetes", published.DIABETES)])
def test_the_tree_on_the_original_table_gives_the_printed_figures_exactly(table, printed):
    real_file(input_tables.SOURCES[table].files[0].removesuffix(".csv"))
    scores = trials.run(Trial(1, table, "original", "clean", 0), data_folder())["scores"]["imbalanced"]
    for score, wanted in printed["original"].items():
        if score in ("accuracy", "precision", "recall"):
            assert round(scores[score], 3) == wanted.mean


def test_every_printed_row_is_a_row_of_its_experiment():
    for table in published.EXPERIMENT_1.values():
        assert set(table) <= set(experiments.ROWS[1])
    for table in published.EXPERIMENT_2.values():
        assert set(table) <= set(experiments.ROWS[2])
    assert published.EXPERIMENT_1["cancer"]["paper-256-512"]["accuracy"] == Printed(0.935, 0.03)
    assert published.EXPERIMENT_1["diabetes"]["paper-128"]["distance"] == Printed(0.189, 0.088)
    assert published.EXPERIMENT_2["balanced"]["smote"]["precision"] == Printed(0.959)


def test_the_splits_are_the_papers(data):
    found = input_tables.load("diabetes", data)
    assert list(found.training_rows("clean", 0)) == list(range(105))
    assert list(found.test_rows()) == list(range(105, 150))
    leaking = found.training_rows("published", 0)
    assert len(leaking) == 105
    assert len(np.intersect1d(leaking, found.test_rows())) > 20
    scaled = found.scaled
    assert (scaled.min().min(), scaled.max().max()) == (0.0, 1.0)


def test_a_random_cut_is_another_for_each_repetition_and_leaks_nothing(data):
    found = input_tables.load("diabetes", data)
    train, test = found.training_rows("random", 3), found.test_rows("random", 3)
    assert (len(train), len(test), len(np.union1d(train, test))) == (105, 45, 150)
    assert list(test) != list(found.test_rows("random", 4))
    assert list(test) == list(input_tables.load("diabetes", data).test_rows("random", 3))


def test_random_cuts_are_compared_repetition_by_repetition():
    def records(values):
        return [
            {"trial": {"seed": seed}, "scores": {"imbalanced": {"accuracy": value}}}
            for seed, value in enumerate(values)
        ]

    found = gain(records([0.8, 0.7, 0.9, 0.2]), records([0.9, 0.8, 1.0]), "imbalanced", "accuracy")
    assert (found.n, round(found.mean, 6)) == (3, -0.1)  # a loss is not cut off at 0
    assert gain(records([]), records([0.9]), "imbalanced", "accuracy") is None


def test_a_sample_is_scaled_by_the_full_tables_ranges(data):
    found = input_tables.load("fraud", data)
    assert found.is_sample
    assert found.scaled["c"].max() == 1.0
    assert found.scaled["a"].max() < 1.0


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"creditcard\.csv or creditcard_sample\.csv"):
        input_tables.load("fraud", tmp_path)
    code, output = invoke(tmp_path, tmp_path / "out", 1)
    assert code == 2
    assert "wdbc.csv" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("experiment", [1, 2, 3])
def test_an_experiment_writes_its_page_and_table_and_a_second_run_trains_nothing(data, tmp_path, experiment):
    code, output = invoke(data, tmp_path, experiment, "--as-published")
    assert code == 0, output
    page = (tmp_path / f"experiment-{experiment}.html").read_text()
    assert "<script" not in page
    assert "synthrelease (gan)" in page
    assert ("cut at random 2 times: the accuracy of synthrelease (gan), 0." in page) == (experiment == 1)
    kept = (tmp_path / f"trials-{experiment}.jsonl").read_text()
    lines = list(csv.reader((tmp_path / f"experiment-{experiment}.csv").open()))
    if experiment < 3:
        assert {line[2] for line in lines if len(line) == 16} >= {"row", "original", "paper-128", "gan"}
        assert "Ours, as published (leak)" in page
        assert "<svg" in page
    started = time.monotonic()
    code, _ = invoke(data, tmp_path, experiment, "--as-published")
    assert code == 0
    assert time.monotonic() - started < 20
    assert (tmp_path / f"trials-{experiment}.jsonl").read_text() == kept
    assert not (tmp_path / ".lock").exists()


@pytest.mark.slow
def test_a_quick_run_as_it_is_uses_every_core(data, tmp_path):
    words = ["paper", "--experiment", "1", "--data", str(data), "--out", str(tmp_path), "--quick"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "32 of 32 trials" in result.output
    epochs = {record["trial"]["epochs"] for record in journal.read(tmp_path / "trials-1.jsonl").values()}
    assert epochs == {300, 1_500}  # the original table is trained on by a tree alone


def test_no_record_holds_a_row(finished):
    """Values of scaled rows have many digits; what is kept is rounded or a share of rows."""
    for line in (finished / "trials-1.jsonl").read_text().splitlines():
        record = json.loads(line)
        known = {"key", "trial", "core_seconds", "scores", "failed"}
        assert set(record) <= known | {"histograms", "history", "signs", "diagnosis", "recoveries"}
        assert all(len(shares) == trials.BINS for shares in record.get("histograms", {}).values())


def test_a_line_that_was_cut_short_is_run_again(data, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "trials-1.jsonl"
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("\n", 0, -1) + 40])
    assert invoke(data, tmp_path, 1)[0] == 0
    assert len(journal.read(path)) == len(whole.splitlines())


def test_a_killed_run_goes_on(data, tmp_path):
    code = (
        "from pathlib import Path; from synthrelease.workflows.paper.experiments import *\n"
        f"where = Path({str(data)!r}), Path({str(tmp_path)!r})\n"
        "o = PaperOptions(1, *where, quick=True, epochs=8, repetitions=2, workers=1)\n"
        "reproduce(o, on_trial=lambda progress: print(progress.done, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "3":
            pass
        os.kill(process.pid, signal.SIGKILL)
    before = journal.read(tmp_path / "trials-1.jsonl")
    assert 3 <= len(before) < 12
    seen: list[int] = []
    options = PaperOptions(1, data, tmp_path, quick=True, epochs=8, repetitions=2, workers=2)
    experiments.reproduce(options, on_trial=lambda progress: seen.append(progress.done))
    assert seen[0] == len(before)
    after = journal.read(tmp_path / "trials-1.jsonl")
    assert {key: after[key] for key in before} == before


def test_two_runs_never_share_a_folder(data, tmp_path):
    with journal.locked(tmp_path), pytest.raises(RunFolderError, match="another is at work"), journal.locked(tmp_path):
        pass


def test_the_same_trial_gives_the_same_scores_in_any_process(data):
    trial = Trial(2, "fraud", "paper-128", "published", 1, 3)
    first, again = (trials.run(trial, data)["scores"] for _ in range(2))
    assert first == again


def test_a_generator_of_the_registry_is_one_more_row(data, tmp_path):
    options = PaperOptions(1, data, tmp_path, quick=True, more=("paper-128-as-written",), repetitions=1, epochs=2)
    rows = {trial.row for trial in experiments.plan(options)}
    assert rows == {"original", "paper-256", "paper-128", "gan", "paper-128-as-written"}
    assert findings.name_of("paper-128-as-written") == "GAN 128, as written"
    code, output = invoke(data, tmp_path, 1, "--generator", "copy-machine")
    assert code == 2
    assert "known generators" in output


def test_a_row_with_more_rows_makes_sixteen_times_as_many(data):
    once, more = (Trial(1, "diabetes", row, "clean", 0, 1) for row in ("paper-128", "paper-128-x16"))
    found = input_tables.load("diabetes", data)
    assert [len(trials._made(trial, found)[1]) for trial in (once, more)] == [len(found.frame), 16 * len(found.frame)]
    assert findings.name_of(more.row) == "GAN 128, 16 times the rows"


def test_a_full_run_repeats_the_best_network_as_often_as_the_paper(data, tmp_path):
    counted: dict[tuple[str, str, str], int] = {}
    for trial in experiments.plan(PaperOptions(1, data, tmp_path, as_published=True)):
        place = (trial.table, trial.row, trial.part)
        counted[place] = counted.get(place, 0) + 1
        assert trial.epochs == 1_500
    assert counted["cancer", "paper-256-512", "clean"] == counted["cancer", "gan", "clean"] == 80
    assert counted["diabetes", "paper-256-512", "clean"] == counted["diabetes", "gan", "clean"] == 20
    assert counted["cancer", "gan-x16", "clean"] == 20
    assert counted["diabetes", "paper-256", "clean"] == counted["diabetes", "paper-256", "published"] == 5
    assert counted["cancer", "original", "clean"] == 1


def test_scores_by_hand_and_weighed_to_another_share():
    truth, chance = np.array([1, 1, 0, 0, 0, 0]), np.array([0.9, 0.2, 0.8, 0.1, 0.1, 0.1])
    found = scoring.scores(truth, chance)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((0.5, 0.5, 0.5))
    rare = scoring.scores(truth, chance, positive_share=0.01)
    # Each other row now stands for 49.5 of 198: one false alarm is 49.5 to one hit.
    assert rare["precision"] == pytest.approx(1 / 50.5)
    assert rare["recall"] == 0.5
    assert scoring.chances("decision_tree", np.zeros((3, 1)), np.ones(3, int), np.zeros((2, 1)), seed=0).tolist() == [
        1,
        1,
    ]


def test_distances_are_to_the_closest_real_row_and_of_real_rows_to_another():
    real = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert scoring.distance(np.array([[0.0, 1.0]]), real)["distance"] == pytest.approx(1.0)
    assert scoring.own_distance(real)["distance"] == pytest.approx(5.0)


def test_an_interval_is_students():
    found = summary([0.7, 0.8, 0.9])
    assert found == Summary(pytest.approx(0.8), pytest.approx(0.1), 3, pytest.approx(0.5516, abs=1e-3), 1.0)
    assert math.isnan(summary([0.5]).low)
    assert summary([math.nan]) is None


@pytest.mark.parametrize(("printed", "values", "leaking", "words", "is_far"), [
    (Printed(0.9, 0.05), [0.88, 0.92, 0.9], None, "The same figure.", False),
    (Printed(0.9, 0.05), [0.86, 0.93, 0.89], None, "Agrees: 0.007 lower, which chance explains", False),
    (Printed(0.9, 0.02), [0.8, 0.81, 0.79], None, "Differs: 0.100 lower (p < 0.001), 5.0 published", True),
    (Printed(0.9, 0.1), [0.84, 0.85, 0.83], [0.87, 0.87, 0.87], "which accounts for 50% of it", False),
    (Printed(0.9, 0.1), [0.84, 0.85, 0.83], [0.8, 0.8, 0.8], "does not explain it", False),
    (Printed(0.9), [0.84, 0.86], None, "0.050 lower than the one figure printed.", False),
    (None, [0.84], None, "Not in the paper.", False),
    (Printed(0.9, 0.1), [], None, "Not measured.", False),
])  # fmt: skip
def test_every_difference_gets_a_plain_sentence(printed, values, leaking, words, is_far):
    found = compared(("t", "r", "accuracy"), printed, summary(values), summary(leaking or []), printed_n=20)
    assert words in found.sentence
    assert found.is_far == is_far


def test_distances_are_held_to_a_quarter():
    found = compared(("t", "r", "distance"), Printed(0.2, 0.07), summary([0.26, 0.26]), None, printed_n=20)
    assert found.sentence == "30% larger than printed, beyond a quarter."
    assert found.is_far
    assert comparison.CONFIDENCE == 0.95


def test_tables_of_experiment_3_hold_numbers_and_labels_and_a_rare_class(data):
    train, test = extension.load("stroke", data, 0)
    assert len(train) == 280
    assert len(test) == 120
    kinds = {column.name: column.kind for column in train.schema.columns}
    assert kinds == {"a": "numeric", "b": "numeric", "ward": "categorical", "bmi": "numeric", "class": "boolean"}
    assert train.frame["bmi"].isna().any()
    assert train.frame["class"].value_counts()["1"] / 280 == pytest.approx(
        test.frame["class"].value_counts()["1"] / 120, abs=0.02
    )


def test_a_trial_that_cannot_train_is_kept_with_its_reason(data, monkeypatch):
    monkeypatch.setattr(extension, "_filled", lambda table: table)
    record = extension.run(Trial(3, "stroke", "smote", "clean", 0), data)
    assert record["scores"] == {}
    assert "cannot work with missing values" in record["failed"]
