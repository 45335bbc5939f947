"""Every interval by simulation: a one-sided 95% bound must hold in 93% to 97.5% of many samples drawn from a known
truth.

Seeds are fixed, so a test either always passes or never does. With 2,000 samples a rate is known to half a per cent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import cKDTree

from synthrelease.core.contracts import Column, Evidence, Metric, Schema, Table
from synthrelease.data import learned_categories
from synthrelease.evaluation.checks import (
    _control_variates,
    _risk,
    _scores,
    attributes,
    combinations,
    copies,
    distances,
    downstream,
    fidelity,
    identity,
    inference,
    membership,
    realism,
    shadow,
)
from synthrelease.evaluation.checks._attacks import Side
from synthrelease.evaluation.checks._coding import coded as coded_cells
from synthrelease.evaluation.checks._models import Task
from synthrelease.evaluation.statistics import half_sampling, permutation_tests
from synthrelease.evaluation.statistics.confidence_intervals import (
    Bounds,
    auc,
    controlled,
    equal_size_share,
    normal_bounds,
    proportion,
    proportion_difference,
    ratio,
)
from synthrelease.evaluation.statistics.permutation_tests import group_scan, tail_scan

LEVEL = 0.95
SAMPLES = 2_000
LEAST, MOST = 0.93, 0.975

Sample = Callable[[np.random.Generator], Bounds]


def share(rng: np.random.Generator) -> Bounds:
    return proportion(int(rng.binomial(2_000, 0.3)), 2_000, LEVEL)


def difference(rng: np.random.Generator) -> Bounds:
    first, second = rng.binomial([800, 600], [0.10, 0.04])
    return proportion_difference((int(first), 800), (int(second), 600), LEVEL)


def no_difference(rng: np.random.Generator) -> Bounds:
    first, second = rng.binomial([1_000, 1_000], 0.02)
    return proportion_difference((int(first), 1_000), (int(second), 1_000), LEVEL)


def guessing(rng: np.random.Generator) -> Bounds:
    return auc(rng.normal(size=150), rng.normal(size=120), LEVEL)


def better_than_guessing(rng: np.random.Generator) -> Bounds:
    return auc(rng.normal(1.0, 1.0, 150), rng.normal(size=120), LEVEL)


def near_share(rng: np.random.Generator) -> Bounds:
    inside = int(rng.binomial(1_000, 0.6 * 2 / (0.6 * 2 + 0.4)))
    return equal_size_share((inside, 1_000 - inside), (2_000, 1_000), LEVEL)


def wp29_risk(rng: np.random.Generator) -> Bounds:
    attack, control = rng.binomial(1_000, [0.30, 0.20])
    trials = _risk.Trials("attack", (int(attack), 1_000), (int(control), 1_000), (0, 1_000))
    return _risk.risk(trials, LEVEL)


def clustered_rows(rng: np.random.Generator) -> Bounds:
    """600 rows in clusters of up to five that share most of their value."""
    cluster = rng.integers(200, size=600).astype(np.uint64)
    return combinations._clustered(rng.normal(size=200)[cluster] + 0.3 * rng.normal(size=600), cluster, LEVEL)


def cells_with_a_control(rng: np.random.Generator) -> Bounds:
    """80 cells on one side or the other: synthetic rows come in the cells' own numbers, as the real rows do."""
    size, side = rng.integers(1, 9, 80), rng.choice([-1.0, 1.0], 80)
    real, made = (np.repeat(np.arange(80), rng.poisson(size)).astype(np.uint64) for _ in range(2))
    at = [places.astype(np.int64) for places in (made, real)]
    return combinations._clustered(side[at[0]], made, LEVEL, (side[at[1]], real))


def mean(rng: np.random.Generator) -> Bounds:
    values = rng.random(size=500)
    return normal_bounds(float(values.mean()), float(values.std(ddof=1)) / np.sqrt(500), LEVEL)


def helped_gap(rng: np.random.Generator) -> Bounds:
    """A gap of 0.1 between 300 and 200 patients, half of whose noise a control shares."""
    eased = [rng.normal(size=size) for size in (300, 200)]
    values = [ease + rng.normal(size=len(ease)) + shift for ease, shift in zip(eased, (0.1, 0.0), strict=True)]
    gaps = (float(values[0].mean() - values[1].mean()), float(eased[0].mean() - eased[1].mean()))
    return controlled(gaps, list(zip(values, eased, strict=True)), LEVEL, fewest=200)


def helped_risk(rng: np.random.Generator) -> Bounds:
    """The WP29 risk of guesses that are right for the same easy patients as guesses without the table."""
    easy = [rng.random(size) for size in (900, 600)]
    hits = [(0.6 * ease + 0.4 * rng.random(len(ease))) < 0.4 for ease in easy]
    control = [(0.6 * ease + 0.4 * rng.random(len(ease))) < 0.4 for ease in easy]
    counts = [(int(hit.sum()), len(hit)) for hit in hits]
    return _risk.risk(_risk.Trials("x", counts[0], counts[1], (0, 900), *_risk.chance_of(hits, control)), LEVEL)


def crossed_areas(rng: np.random.Generator) -> Bounds:
    """A density ratio attack on 200 patients a side, either half of the others being the other half's reference."""
    members, others, made = (rng.normal(size=(200, 5)) for _ in range(3))
    fold, crowd = np.arange(200) % 2 == 0, cKDTree(made)
    sides = []
    for points in (members, others):
        score = -np.log(crowd.query(points, [1, 5])[0]).mean(axis=1)
        for half in (False, True):
            reference = cKDTree(others[fold != half])
            score[fold == half] += np.log(reference.query(points[fold == half], [1, 5])[0]).mean(axis=1)
        sides.append(Side({"attack": score}, fold, np.zeros(200)))
    folds = membership._folds(*sides, membership._area)
    found = membership._auc("mia_auc", folds, 200, LEVEL, membership.FOLDS_TOGETHER)
    return Bounds(found.value, found.low, found.high)


def difference_of_areas(rng: np.random.Generator) -> Bounds:
    first, second = (auc(rng.normal(0.8, 1.0, n), rng.normal(size=m), LEVEL) for n, m in ((120, 200), (100, 150)))
    return attributes._difference(first, second, LEVEL)


SECRETS = {
    "two labels": Column("s", "boolean", categories=("no", "yes")),
    "labels": Column("s", "categorical", categories=("a", "b", "c")),
    "number": Column("s", "numeric"),
}


def attribute_gap(kind: str) -> Sample:
    """Guesses at a secret of 300 and of 200 patients that are equally good, beside guesses that know no table."""

    def guessed(rng: np.random.Generator, size: int) -> attributes._Guessed:
        known, noise = rng.normal(size=size), rng.normal(size=(3, size))
        if kind == "number":
            return attributes._Guessed(known + noise[0], 0.7 * known + 0.3 * noise[1], 0.8 * known + 0.3 * noise[2])
        if kind == "two labels":
            truth = (rng.random(size) < 1 / (1 + np.exp(-known))).astype(float)
            return attributes._Guessed(truth, known + noise[1], known + noise[2])
        truth, is_easy = rng.integers(3, size=size).astype(float), rng.random(size) < 0.4
        said, control = (np.where(is_easy | (luck > 0.8), truth, (truth + 1) % 3) for luck in noise[1:])
        return attributes._Guessed(truth, said, control)

    def sample(rng: np.random.Generator) -> Bounds:
        measured = [attributes._scored(SECRETS[kind], guessed(rng, size)) for size in (300, 200)]
        return attributes._controlled_gap(measured, LEVEL, fewest=200)

    return sample


def shadow_models(rng: np.random.Generator) -> Bounds:
    """24 releases that tell nothing about 100 patients, half of whom each was trained on."""
    inside = np.array([rng.permutation(100) < 50 for _ in range(24)])
    found = shadow._auc(shadow._Shadows(inside, rng.normal(size=(24, 100))), LEVEL)
    return Bounds(found.value, found.low, found.high)


def drawn_patients(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A number of each holdout patient, and resamples of them."""
    number = rng.normal(size=rows)
    table = Table(pd.DataFrame({"x": number}), Schema((Column("x", "numeric"),)), "real")
    return number, _scores.resamples(rng, table, 100)


def loss_of_area(rng: np.random.Generator) -> Bounds:
    """What one model's AUC has beyond a worse one's, both tried on the same 300 patients."""
    noise, weights = drawn_patients(rng, 300)
    is_ill = rng.random(300) < 0.3
    good = 1.2 * is_ill + noise
    worse = 0.7 * (good + rng.normal(size=300))
    return downstream._bounded(
        _scores.weighted_auc(is_ill, good, weights) - _scores.weighted_auc(is_ill, worse, weights), LEVEL
    )


def loss_of_r2(rng: np.random.Generator) -> Bounds:
    known, weights = drawn_patients(rng, 400)
    truth = known + rng.normal(size=400)
    good, worse = (_scores.regression(truth, slope * known, weights)["r2"] for slope in (1.0, 0.6))
    return downstream._bounded(good - worse, LEVEL)


def added_miscalibration(rng: np.random.Generator) -> Bounds:
    """400 patients whose risks, Beta(1, 2) distributed, one model says and the other squares."""
    _, weights = drawn_patients(rng, 400)
    risk = rng.beta(1, 2, 400)
    task = Task(Column("y", "boolean", categories=("no", "yes")), 2, 1)
    truth = (rng.random(400) < risk).astype(np.int64)
    part = downstream._Test(numbers(rng, 400), truth, weights, task)
    found = downstream._calibration(rng, [risk, risk**2], part, LEVEL)
    return Bounds(found.value, found.low, found.high)


def no_added_miscalibration(rng: np.random.Generator) -> Bounds:
    """Two models of 400 patients that are both right: either knows another thing that the risk hangs on."""
    _, weights = drawn_patients(rng, 400)
    known = rng.random((2, 400))
    task = Task(Column("y", "boolean", categories=("no", "yes")), 2, 1)
    truth = (rng.random(400) < known.mean(axis=0)).astype(np.int64)
    part = downstream._Test(numbers(rng, 400), truth, weights, task)
    found = downstream._calibration(rng, [known[0] / 2 + 0.25, known[1] / 2 + 0.25], part, LEVEL)
    return Bounds(found.value, found.low, found.high)


def divided(rng: np.random.Generator) -> Bounds:
    """A ratio of two means of 60 patients each, of which the lower one is not sure to a sixth."""
    pairs = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]]) + np.array([0.6, 0.8])
    return ratio(*pairs.mean(axis=0), np.cov(pairs.T) / 60, float(stats.t.ppf(LEVEL, 59)))


def mean_of_halves(rng: np.random.Generator) -> Bounds:
    values = rng.random(size=200)
    halves = half_sampling.halved(rng, (numbers(rng, 200),), 200)
    each = halves[0].rows()
    return half_sampling.bounds(each @ values / each.sum(axis=1), halves, LEVEL)


def squares_of_halves(rng: np.random.Generator) -> Bounds:
    """Squares of means that are 0, less their part by chance, less others: all of it hangs on pairs of patients."""
    values = rng.normal(size=(200, 10))
    halves = half_sampling.halved(rng, (numbers(rng, 200),), 200)
    each = halves[0].rows()
    people = each.sum(axis=1, keepdims=True)
    mean = each @ values / people
    square = mean**2 - (each @ values**2 / people - mean**2) / (people - 1)
    return half_sampling.bounds(square[:, :5].sum(axis=1) - square[:, 5:].sum(axis=1), halves, LEVEL)


def importances(rng: np.random.Generator) -> Bounds:
    first = rng.normal(size=12)
    second = 0.7 * first + np.sqrt(1 - 0.49) * rng.normal(size=12)
    return downstream._agreement(first.tolist(), second.tolist(), LEVEL)


CASES: dict[str, tuple[Sample, float]] = {
    "proportion": (share, 0.3),
    "difference of proportions": (difference, 0.06),
    "no difference of rare proportions": (no_difference, 0.0),
    "AUC of guessing": (guessing, 0.5),
    "AUC of folds that are each other's reference": (crossed_areas, 0.5),
    "AUC": (better_than_guessing, float(stats.norm.cdf(1 / np.sqrt(2)))),
    "share at equal sizes": (near_share, 0.6),
    "WP29 risk": (wp29_risk, 0.10 / 0.80),
    "clustered mean": (clustered_rows, 0.0),
    "clustered mean with a control": (cells_with_a_control, 0.0),
    "mean": (mean, 0.5),
    "gap with a control": (helped_gap, 0.1),
    "WP29 risk with a control": (helped_risk, 0.0),
    "difference of two AUCs": (difference_of_areas, 0.0),
    "attribute gap of two labels": (attribute_gap("two labels"), 0.0),
    "attribute gap of labels": (attribute_gap("labels"), 0.0),
    "attribute gap of a number": (attribute_gap("number"), 0.0),
    "AUC of shadow models": (shadow_models, 0.5),
    "loss of AUC": (loss_of_area, float(stats.norm.cdf(1.2 / np.sqrt(2)) - stats.norm.cdf(1.2 / 2))),
    "loss of R2": (loss_of_r2, 0.5 - 0.42),
    "added miscalibration": (added_miscalibration, 0.1817),
    "no added miscalibration": (no_added_miscalibration, 0.0),
    "ratio": (divided, 0.75),
    "mean over halves": (mean_of_halves, 0.5),
    "squares over halves": (squares_of_halves, 0.0),
    "agreement of importances": (importances, float(6 / np.pi * np.arcsin(0.7 / 2))),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sided_bounds_hold_as_often_as_they_say(name):
    sample, truth = CASES[name]
    rng = np.random.default_rng(1)
    bounds = [sample(rng) for _ in range(SAMPLES)]
    below = np.mean([b.low <= truth + 1e-12 for b in bounds])
    above = np.mean([truth - 1e-12 <= b.high for b in bounds])
    assert LEAST <= below <= MOST
    assert LEAST <= above <= MOST


def test_an_attack_s_rates_at_thresholds_of_other_patients_hold():
    """The truth is the rate beyond the very thresholds that were drawn; the lower bound's is less surplus false alarms.

    False alarms are a surplus where the thresholds let more through than was meant.
    """
    rng = np.random.default_rng(8)
    held = []
    for _ in range(SAMPLES):
        scores = [rng.normal(shift, 1.0, size) for size, shift in ((400, 1.0), (300, 0.0))]
        sides = [Side({"attack": s}, np.arange(len(s)) % 2 == 0, np.zeros(len(s))) for s in scores]
        folds = membership._folds(*sides, membership._area)
        limits = np.array([membership._upper_quantile(fold.tuning_others, 0.1) for fold in folds])
        rate = membership._rate("tpr_at_1pct_fpr", (sides[0], sides[1]), 0.1, LEVEL)
        found, false = stats.norm.sf(limits - 1.0).mean(), stats.norm.sf(limits).mean()
        limits = np.array([membership._best_threshold(fold) for fold in folds])
        lead, truth = membership._advantage(folds, LEVEL), (stats.norm.sf(limits - 1.0) - stats.norm.sf(limits)).mean()
        beyond = found - max(0.0, false - 0.1)
        held.append((rate.low <= beyond, found <= rate.high, lead.low <= truth, truth <= lead.high))
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST).all(), rates
    assert (rates <= MOST).all(), rates


NUMBERS = Schema(tuple(Column(f"n{i}", "numeric") for i in range(3)))


def numbers(rng: np.random.Generator, rows: int, origin: str = "real") -> Table:
    return Table(pd.DataFrame(rng.normal(size=(rows, 3)), columns=["n0", "n1", "n2"]), NUMBERS, origin)


@pytest.fixture
def no_pictures(monkeypatch):
    """Figures are drawn of what has been measured; hundreds of tables are measured for their bounds alone."""
    monkeypatch.setattr(fidelity, "_pictured", lambda *_: [])
    monkeypatch.setattr(fidelity, "_worst_pairs", lambda *_: None)
    monkeypatch.setattr(distances, "_curves", lambda *_: None)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_bounds_of_dcr_and_nndr_hold():
    """400 honest tables: a rate is known to one per cent, which the band allows for at either end."""
    rng = np.random.default_rng(2)
    held = []
    for seed in range(400):
        made = Evidence(numbers(rng, 400), numbers(rng, 300), numbers(rng, 400, "synthetic"), seed)
        found = {m.name: m for m in distances.measure(made).metrics}
        dcr, nndr = found["dcr_share"], found["nndr_gap"]
        held.append((dcr.low <= 0.5, dcr.high >= 0.5, nndr.low <= 0.0, nndr.high >= 0.0))
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST - 0.01).all(), rates
    assert (rates <= MOST + 0.01).all(), rates


CODES = tuple(map(str, range(60)))


def coded(rng: np.random.Generator, rows: int, origin: str, often: np.ndarray, other: str) -> Table:
    """Eight columns of codes, as often as ``often`` says, whose rare ones become ``other``, or missing if it is ""."""
    column = Column("", "categorical", categories=CODES[: len(often)], learns_levels=True, other=other)
    columns = tuple(replace(column, name=f"c{i}") for i in range(8))
    drawn = rng.choice(len(often), size=(rows, 8), p=often / often.sum())
    frame = {c.name: pd.Categorical.from_codes(drawn[:, i], list(c.categories)) for i, c in enumerate(columns)}
    return Table(pd.DataFrame(frame), Schema(columns), origin)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("often", "other"), [(1 / np.arange(1, 61), "Other"), (1 / np.arange(1, 61), ""), (np.ones(50), "Other")]
)
def test_labels_that_training_rows_decide_about_pull_honest_rows_to_neither_side(often, other):
    """Rare labels are merged by their number in the training rows: the merged one is commoner in the holdout."""
    rng = np.random.default_rng(7)
    shares, held = [], []
    for seed in range(60):
        raw = [coded(rng, 500, origin, often, other) for origin in ("real", "real", "synthetic")]
        known = learned_categories.learned(raw[0], min_cell=10)
        found = distances.measure(Evidence(*(learned_categories.coded(table, known) for table in raw), seed)).metric(
            "dcr_share"
        )
        shares.append(found.value)
        held.append((found.low <= 0.5, found.high >= 0.5))
    assert np.mean(shares) == pytest.approx(0.5, abs=0.01)  # .42 to .48 where the training rows alone decide
    assert (np.mean(held, axis=0) >= LEAST - 0.05).all(), np.mean(held, axis=0)


GRID = Schema(
    (
        *(Column(f"c{i}", "categorical", categories=("a", "b", "c")) for i in range(9)),
        Column("n", "numeric"),
        Column("secret", "categorical", categories=("yes", "no"), role="sensitive", declared_sensitive=True),
    )
)


def grid(rng: np.random.Generator, rows: int, origin: str = "real") -> Table:
    """Rows of common and of rare kinds, whose secret hangs on their first columns."""
    codes = np.minimum(rng.geometric(0.7, size=(rows, 9)) - 1, 2)
    frame = pd.DataFrame({f"c{i}": pd.Categorical.from_codes(codes[:, i], categories=list("abc")) for i in range(9)})
    frame["n"] = np.round(rng.exponential(size=rows), 1)
    secret = (rng.random(rows) < 0.1 + 0.4 * codes[:, 0]).astype(int)
    frame["secret"] = pd.Categorical.from_codes(secret, categories=["yes", "no"])
    return Table(frame, GRID, origin)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_bounds_that_use_a_control_hold_in_large_honest_tables():
    """Near copies, nearest rows and inference above the size from which they foresee by real rows."""
    rng = np.random.default_rng(5)
    held = []
    for seed in range(200):
        made = Evidence(grid(rng, 1_200), grid(rng, 1_000), grid(rng, 1_000, "synthetic"), seed, LEVEL)
        near = copies.measure(made).metric("near_copy_excess")
        share = distances.measure(made).metric("dcr_share")
        risk = inference.measure(made).metric("inference_risk")
        held.append((near.low <= 0, near.high >= 0, share.low <= 0.5, share.high >= 0.5, risk.low <= 0, risk.high >= 0))
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST - 0.01).all(), rates
    assert (rates <= MOST + 0.01).all(), rates


@pytest.mark.slow
def test_bounds_of_identity_risk_hold():
    rng = np.random.default_rng(9)
    known = {"c0", "c1", "c2", "n"}
    columns = tuple(replace(c, role="quasi_identifier" if c.name in known else c.role) for c in GRID.columns)
    held = []
    for seed in range(400):
        rows = (grid(rng, 300), grid(rng, 300), grid(rng, 300, "synthetic"))
        tables = [replace(table, schema=replace(GRID, columns=columns)) for table in rows]
        found = identity.measure(Evidence(*tables, seed, LEVEL)).metric("identity_risk")
        held.append((found.low <= 0.0, found.high >= 0.0))
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST - 0.01).all(), rates
    assert (rates <= MOST + 0.01).all(), rates


@pytest.mark.slow
def test_bounds_of_the_two_sample_test_hold():
    """400 honest tables. The areas of its two halves go together, which its bounds have to allow for."""
    rng = np.random.default_rng(10)
    held = []
    for seed in range(400):
        made = Evidence(numbers(rng, 150), numbers(rng, 150), numbers(rng, 150, "synthetic"), seed, LEVEL)
        found = realism._c2st(np.random.default_rng(seed), made)
        held.append((found.low <= 0.5, found.high >= 0.5))
    rates = np.mean(held, axis=0)
    assert (rates >= LEAST - 0.01).all(), rates
    assert (rates <= MOST + 0.01).all(), rates


def likeness(
    rng: np.random.Generator, seed: int, kind: Callable[..., Table], rows: tuple[int, int], visits: int
) -> dict[str, Metric]:
    """Likeness of honest tables of some training and holdout rows; a real patient has several ``visits``."""
    real = [kind(rng, size) for size in rows]
    if visits > 1:
        real = [replace(table, units=np.arange(len(table)) // visits) for table in real]
    made = Evidence(real[0], real[1], kind(rng, rows[0], "synthetic"), seed, LEVEL)
    draws = np.random.default_rng(seed)
    triples = realism._triples(draws, made, coded_cells(made, bins=5), rows[1] // 2)
    correlations = realism._correlations(draws, made, rows[1] // 2)
    return {m.name: m for m in (*fidelity.measure(made).metrics, *triples, correlations)}


DISTANCES = ("marginal_tvd_excess", "pair_tvd_excess", "triple_tvd_excess")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("kind", "rows", "visits", "wanted"),
    [
        (grid, (500, 375), 1, (*DISTANCES, "dependence_kept", "k_marginal_score")),
        (numbers, (300, 225), 1, (*DISTANCES, "correlation_gap")),
        (numbers, (480, 120), 1, (*DISTANCES, "correlation_gap")),
        (numbers, (480, 360), 4, (*DISTANCES, "correlation_gap")),
    ],
)
def test_bounds_of_distances_between_marginals_hold(kind, rows, visits, wanted):
    """400 honest tables, 800 small ones. The truth of the k-marginal score, which hangs on their size, is its mean."""
    rng = np.random.default_rng(11)
    found = [likeness(rng, seed, kind, rows, visits) for seed in range(400 if kind is grid else 800)]
    truth = {"dependence_kept": 1.0, "k_marginal_score": np.mean([each["k_marginal_score"].value for each in found])}
    for name in wanted:
        ends = [(each[name].low <= truth.get(name, 0.0), each[name].high >= truth.get(name, 0.0)) for each in found]
        rates = np.mean(ends, axis=0)
        assert (rates >= LEAST - 0.01).all(), (name, rates)
        assert (rates <= MOST + 0.01).all(), (name, rates)


def test_a_control_does_not_take_off_what_a_model_learned_of_its_training_rows():
    """Labels by cell of the training rows: what they tell of training patients alone must stay in the gap.

    Foreseen by two numbers that real rows give it does; by the cell itself, the leak would pass for foreseeable.
    """
    rng = np.random.default_rng(6)
    raw, kept = [], []
    for _ in range(30):
        cell, chance = rng.integers(400, size=8_000), rng.random(8_000)
        truth = (rng.random(8_000) < chance).astype(float)
        is_member = rng.permutation(8_000) < 4_000
        votes = np.bincount(cell[is_member], 2 * truth[is_member] - 1, minlength=400)
        hit = ((votes > 0)[cell] == (truth > 0)).astype(float)
        foreseen = _control_variates.foreseen(rng, np.column_stack([chance, truth]), hit, np.arange(8_000))
        sides = [(hit[side], foreseen[side]) for side in (is_member, ~is_member)]
        gaps = [float(sides[0][i].mean() - sides[1][i].mean()) for i in (0, 1)]
        raw.append(gaps[0])
        kept.append(controlled((gaps[0], gaps[1]), sides, LEVEL, fewest=4_000).value)
    assert np.mean(raw) > 0.05
    assert np.mean(kept) == pytest.approx(np.mean(raw), rel=0.1)


def test_the_tail_scan_cries_wolf_no_more_often_than_it_says():
    rng = np.random.default_rng(3)
    member = np.arange(300) < 200
    found = [tail_scan(rng, member, {"a": rng.normal(size=300), "b": rng.normal(size=300)}).p for _ in range(600)]
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level / 600)
    assert np.mean(np.array(found) <= 0.2) > 0.1


@pytest.mark.parametrize("freely", [0, 200])
def test_the_group_scan_cries_wolf_no_more_often_than_it_says(freely, monkeypatch):
    monkeypatch.setattr(permutation_tests, "FREE_PATIENTS", freely)
    rng = np.random.default_rng(4)
    member = np.arange(200) < 120
    found = []
    for _ in range(300):
        weights = (rng.random((20, 200)) < 0.1).astype(np.float32)
        found.append(group_scan(rng, member, [([str(i) for i in range(20)], weights)])[0].p)
    for level in (0.02, 0.05, 0.2):
        assert np.mean(np.array(found) <= level) <= level + 3 * np.sqrt(level / 300)
    assert np.mean(np.array(found) <= 0.2) > 0.1
