"""One private path: what a private build gives out is public or paid for, and a leak planted into it shows.

Two made-up tables have nothing in common but what their schema declares. With noise that drowns every count, all that
may be known of one is what may be known of the other: whatever differs was learned past the budget.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_tables import ignore
from private_tables import SCHEMA as PUBLIC_SCHEMA
from private_tables import table

from synthrelease.core.contracts import CanaryFinding, FitSettings, Fitted, PublicFact, Schema, Table
from synthrelease.core.errors import InputError
from synthrelease.core.preparation import Internal, Paid, Public
from synthrelease.evaluation.checks.effects import invented
from synthrelease.governance import policy_file
from synthrelease.privacy import claim as privacy_claim
from synthrelease.privacy import noise
from synthrelease.schema import schema_file
from synthrelease.synthesis import constraint_repair, generators, patient_grouping
from synthrelease.synthesis.encoding import datetime_transforms
from synthrelease.workflows import build, finish_run, private_preparation
from synthrelease.workflows.private_preparation import PrivatePreparation
from synthrelease.workflows.run_context import begun
from synthrelease.workflows.run_options import BuildOptions

SECRET = "REAL-"
NOISY_COUNT = 1_500
"""Noise says that there are so many rows, or half as many patients of two rows at most."""
SCHEMA = """
{unit}
target = "ill"
rows_are_public = false
constraints = [{{ rule = "total = dose + dose" }}]

[columns.patient]
kind = "identifier"

[columns.age]
kind = "integer"
bounds = {bounds}

[columns.dose]
kind = "numeric"
bounds = [0, 5]
missing = ["?", "none"]

[columns.total]
kind = "numeric"
bounds = [0, 10]

[columns.admitted]
kind = "datetime"
bounds = ["2020-01-01", "2022-12-31"]
format = "%Y-%m-%d %H:%M"

[columns.left]
kind = "datetime"
bounds = ["2020-01-01", "2022-12-31"]
format = "%Y-%m-%d %H:%M"
anchor = "admitted"

[columns.ward]
kind = "categorical"
categories = {categories}

[columns.ill]
kind = "boolean"
categories = ["no", "yes"]
"""
DECLARED = {"bounds": "[0, 120]", "categories": '["a", "b", "c", "d"]'}
LEARNED = {"bounds": '"learn"', "categories": '"learn"'}
KINDS = [pytest.param(("row", False), id="rows-declared"), pytest.param(("patient", True), id="patients-learned")]
"""The unit that is protected, and whether domains are learned."""
PATIENTS = pytest.mark.parametrize("worlds", KINDS[1:], indirect=True)


def one_world(rows: int) -> pd.DataFrame:
    """The old, with whole doses, all dates whole and known, ``?`` for missing, and one row a patient."""
    rng = np.random.default_rng(1)
    dose = pd.Series(rng.integers(1, 5, rows)).astype(object)
    days = pd.Timestamp("2020-03-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    frame = pd.DataFrame({
        "patient": [f"{SECRET}{place:05d}" for place in range(rows)],
        "age": rng.integers(64, 119, rows),
        "dose": dose,
        "total": dose * 2,
        "admitted": days.strftime("%Y-%m-%d 00:00"),
        "left": (days + pd.Timedelta(days=3)).strftime("%Y-%m-%d 00:00"),
        "ward": rng.choice(list("abcd"), rows, p=[0.4, 0.2, 0.2, 0.2]),
        "ill": rng.choice(["no", "yes"], rows, p=[0.3, 0.7]),
    })  # fmt: skip
    frame.loc[rng.random(rows) < 0.1, "dose"] = "?"
    return frame


def other_world(rows: int) -> pd.DataFrame:
    """The young, with decimals, times of day, gaps in dates, ``none`` for missing, and four rows a patient."""
    rng = np.random.default_rng(2)
    dose = pd.Series(rng.uniform(0.1, 4.9, rows).round(3)).astype(object)
    days = pd.Timestamp("2021-09-01") + pd.to_timedelta(rng.integers(0, 500_000, rows), unit="min")
    frame = pd.DataFrame({
        "patient": [f"{SECRET}X{place // 4:06d}Y" for place in range(rows)],
        "age": rng.integers(1, 30, rows),
        "dose": dose,
        "total": (dose * 2).astype(float).round(3),
        "admitted": pd.Series(days.strftime("%Y-%m-%d %H:%M")).mask(rng.random(rows) < 0.2, ""),
        "left": (days + pd.Timedelta(hours=7)).strftime("%Y-%m-%d %H:%M"),
        "ward": rng.choice(list("dcba"), rows, p=[0.4, 0.2, 0.2, 0.2]),
        "ill": rng.choice(["no", "yes"], rows, p=[0.8, 0.2]),
    })  # fmt: skip
    frame.loc[rng.random(rows) < 0.3, "dose"] = "none"
    return frame


WORLDS: dict[str, Callable[[], pd.DataFrame]] = {
    "one": lambda: one_world(1_203),
    "other": lambda: other_world(1_316),
}
OPTIONS = BuildOptions(epsilon=8.0, seed=1, effort=0.01, shadow_models=0, folds=0)


@pytest.fixture(scope="module")
def drowned() -> Iterator[None]:
    """Noise that no count survives: what leaves depends on how many numbers leave, and on nothing else."""

    def drown(counts: Any, scale: float) -> Any:
        if np.size(counts) == 1:  # the number of units
            return np.full(np.shape(counts), NOISY_COUNT, dtype=np.int64)
        return np.random.default_rng(np.size(counts)).integers(50, 4_000, np.shape(counts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "discrete_gaussian", drown)
        yield


def files(folder: Path, world: str, *, unit: str = "row", is_learned: bool = False) -> tuple[Path, Path]:
    """A world's table and its schema, which says the same in each world."""
    folder.mkdir(exist_ok=True)
    unit_line = 'unit = "row"' if unit == "row" else 'unit = "patient"\nrows_per_unit = 2'
    domains = LEARNED if is_learned else DECLARED
    WORLDS[world]().to_csv(folder / "table.csv", index=False)
    text = SCHEMA.format(unit=unit_line, **domains)
    (folder / "schema.toml").write_text(text, encoding="utf-8")
    return folder / "table.csv", folder / "schema.toml"


def prepared(folder: Path, world: str, **kinds: Any) -> PrivatePreparation:
    """The private preparation of one world."""
    table, schema = files(folder / world, world, **kinds)
    rules = policy_file.load("internal_sandbox", finish_run.known_checks())
    declared = schema_file.load(schema)
    run = begun(declared, rules, schema_file=schema, source=table.name, options=OPTIONS, listener=None)
    return private_preparation.read(run, table, options=OPTIONS, epsilon=8.0)


def no_finding(train: Table) -> CanaryFinding:
    return CanaryFinding(8.0, 1e-6, 0.0, 0.95, 9, 2, 1, "counts", ("counts",), 3.4, 0.05, None, 1.0)


def accessors(preparation: PrivatePreparation) -> Iterator[str]:
    """Names of everything that a preparation gives out; ``on`` gives a preparation, not a fact."""
    for name, member in inspect.getmembers(type(preparation)):
        if not name.startswith("_") and name != "on" and (inspect.isfunction(member) or isinstance(member, property)):
            yield name


def trained(preparation: PrivatePreparation) -> Paid[Fitted]:
    return preparation.trained(generators.load("marginals"), FitSettings(1, 0.01), ignore)


def given(preparation: PrivatePreparation, fitted: Paid[Fitted]) -> dict[str, Any]:
    """Everything that a preparation gives out, by name; a new method is found, and called with what it asks for."""
    made = Table(pd.DataFrame(), Schema(()), "synthetic")
    known = {"fitted": fitted.value, "made": made, "attack": no_finding}
    out: dict[str, Any] = {"trained": fitted}
    for name in accessors(preparation):
        if name != "trained":
            member = getattr(preparation, name)
            asked = inspect.signature(member).parameters if callable(member) else {}
            out[name] = member(**{key: known[key] for key in asked}) if callable(member) else member
    return out


def leaves(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Everything that can be reached from a value: fields, items, closures, and what methods are bound to."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type | types.ModuleType):
        return
    seen.add(id(value))
    yield value
    parts: list[Any] = []
    if isinstance(value, dict | types.MappingProxyType):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, types.MethodType):
        parts = [value.__self__, value.__func__]
    elif isinstance(value, types.FunctionType):
        parts = [*(cell.cell_contents for cell in value.__closure__ or ()), *(value.__defaults__ or ())]
    elif not isinstance(value, str | bytes | np.ndarray | pd.DataFrame | pd.Series):
        slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
        parts = [getattr(value, name) for name in slots if hasattr(value, name)]
        parts += list(getattr(value, "__dict__", {}).values())
    for part in parts:
        yield from leaves(part, seen)


def _slots(kind: type) -> tuple[str, ...]:
    found = kind.__dict__.get("__slots__", ())
    return (found,) if isinstance(found, str) else tuple(found)


def real_rows_in(value: Any, sizes: set[int]) -> list[str]:
    """What of real rows can be reached: a table, a frame, an array or column as long as one, or an identifier."""
    found = []
    for leaf in leaves(value):
        if isinstance(leaf, Table | pd.DataFrame | pd.Series) and len(leaf):
            found.append(type(leaf).__name__)
        elif isinstance(leaf, np.ndarray) and leaf.ndim and leaf.shape[0] in sizes:
            found.append(f"array of {leaf.shape}")
        elif isinstance(leaf, str) and SECRET in leaf:
            found.append("a real identifier")
    return found


def sizes_of(preparation: PrivatePreparation) -> set[int]:
    split = preparation._real.split
    return {len(split.train), len(split.holdout), len(split.train) + len(split.holdout)}


def plain(value: Any) -> Any:
    """A value as nested plain values that can be compared; a trained generator as the rows that it makes."""
    if hasattr(value, "sample"):
        rows = pd.concat(list(value.sample(60, seed=3)))
        return [rows.to_json(), dict(value.description), list(value.notices), list(value.spends)]
    if isinstance(value, pd.DataFrame):
        return value.to_json()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what two preparations give out otherwise, what is for internal eyes aside."""
    assert one.keys() == other.keys()
    return [
        name
        for name in one
        if not (isinstance(one[name], Internal) and isinstance(other[name], Internal))
        and plain(one[name]) != plain(other[name])
    ]


def promised(kind: type) -> dict[str, set[Any]]:
    """What each method says that it returns: the classes of a union, without their parameters."""
    out = {}
    for name, member in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_") and name != "on":
            said = typing.get_type_hints(member).get("return")
            options = typing.get_args(said) if typing.get_origin(said) in (typing.Union, types.UnionType) else (said,)
            out[name] = {typing.get_origin(each) or each for each in options}
    return out


# The honest preparation.


def test_every_method_returns_what_is_public_paid_for_or_internal():
    said = promised(PrivatePreparation)
    assert {"schema", "transform", "trained", "claim", "plan", "habits", "style", "rows", "for_audit"} <= said.keys()
    assert {name: kinds for name, kinds in said.items() if not kinds <= {Public, Paid, Internal}} == {}


@pytest.fixture(scope="module", params=KINDS)
def worlds(request, drowned, tmp_path_factory) -> list[tuple[PrivatePreparation, Paid[Fitted]]]:
    """The preparations of both worlds, and a generator trained by each."""
    (unit, is_learned), folder = request.param, tmp_path_factory.mktemp("worlds")
    found = [prepared(folder, world, unit=unit, is_learned=is_learned) for world in WORLDS]
    return [(each, trained(each)) for each in found]


def test_what_is_given_out_holds_no_real_row_and_says_by_what_right(worlds):
    for preparation, fitted in worlds:
        out, sizes = given(preparation, fitted), sizes_of(preparation)
        claim = out["claim"].value
        for name, each in out.items():
            assert isinstance(each, Public | Paid | Internal), name
            if not isinstance(each, Internal):
                assert real_rows_in(each, sizes) == [], name
            if isinstance(each, Paid):
                assert set(each.receipts) <= set(claim.spends), name
            if isinstance(each, Public) and name not in ("order", "habits"):
                assert set(each.because) <= set(claim.public), name
        assert isinstance(out["schema"], Paid if preparation._budget.spent else Public)


def test_tables_with_nothing_in_common_give_out_the_same_where_noise_drowns_all_counts(worlds):
    one, other = (given(preparation, fitted) for preparation, fitted in worlds)
    assert len({len(preparation._real.split.train) for preparation, _ in worlds}) == 2
    assert differing(one, other) == []


def test_a_whole_build_writes_the_same_table_where_noise_drowns_all_counts(tmp_path, drowned):
    """From end to end: nothing on the way past the preparation brings a real row into the synthetic table."""
    made = []
    for world in WORLDS:
        table, schema = files(tmp_path / world, world, unit="patient", is_learned=True)
        options = dataclasses.replace(OPTIONS, register=tmp_path / f"register-{world}")
        done = build.build(
            table, schema_file=schema, out=tmp_path / f"run-{world}", policy_name="internal_sandbox", options=options
        )
        (path,) = [*done.folder.glob("*/synthetic.csv")]
        made.append(path.read_bytes())
        assert SECRET not in path.read_text(encoding="utf-8")
    assert made[0] == made[1]
    assert made[0].count(b"\n") == NOISY_COUNT // 2 + 1


@PATIENTS
def test_a_refit_learns_by_the_same_schema_and_budget(worlds):
    (one, fitted), (other, _) = worlds
    again = one.on(other._real.split.train.take(np.arange(400)))
    assert differing(given(one, fitted), given(again, trained(again))) == []


def test_a_refit_with_planted_columns_learns_them_by_domains_that_are_known(worlds):
    (one, _), _ = worlds
    train = one._real.split.train
    wider, planted = invented.plant(np.random.default_rng(0), train, 4)
    again = one.on(wider)
    assert [column.name for column in again.schema().value.columns[-4:]] == [column.name for column in planted]
    assert type(again.schema()) is type(one.schema())
    assert {column.name for column in planted} <= {column.name for column in again.transform().value.modelled.columns}
    strange = dataclasses.replace(planted[0], categories=(*planted[0].categories, "seen in one row"))
    told = dataclasses.replace(
        wider, schema=dataclasses.replace(wider.schema, columns=(*train.schema.columns, strange))
    )
    with pytest.raises(ValueError, match="domain of a column of the schema"):
        one.on(told)


def test_real_rows_come_out_only_against_a_synthetic_table(tmp_path):
    preparation = prepared(tmp_path, "one")
    real = preparation._real.split.train
    with pytest.raises(ValueError, match="synthetic table"):
        preparation.for_audit(real)
    assert preparation.for_audit(dataclasses.replace(real, origin="synthetic")).value.train is real


def test_an_attack_hands_out_its_finding_and_nothing_else(tmp_path):
    preparation = prepared(tmp_path, "one")
    assert preparation.attacked(no_finding).value == no_finding(preparation._real.split.train)
    with pytest.raises(TypeError, match="finding alone"):
        preparation.attacked(lambda train: train)


def test_nothing_is_public_or_paid_for_by_default():
    with pytest.raises(ValueError, match="declares it public"):
        Public(1, ())
    with pytest.raises(ValueError, match="receipts"):
        Paid(1, ())


def test_delta_tells_nothing_of_the_rows():
    private_count = dataclasses.replace(PUBLIC_SCHEMA, rows_are_public=False)
    data = [dataclasses.replace(table(rows), schema=private_count) for rows in (100_003, 130_001)]
    assert len({private_preparation.wanted(1.0, None, each).delta for each in data}) == 1
    assert privacy_claim.default_delta(100_003) != privacy_claim.default_delta(130_001)


def test_a_delta_that_would_publish_a_whole_row_is_refused():
    with pytest.raises(InputError, match="below one over"):
        private_preparation.wanted(1.0, 0.01, table(200))


def test_each_unit_has_a_coin_of_its_own_in_the_split():
    units = np.repeat(np.arange(500), 2)
    split = private_preparation.parted(table(1_000, units=units), holdout_share=0.3)
    assert not set(split.train.units) & set(split.holdout.units)
    assert 90 < len(np.unique(split.holdout.units)) < 210


# Planted faults: an ordinary learned fact that reaches a private build must show.

CLAIMED = (PublicFact("anything", "nobody"),)


class OrdinaryTransform(PrivatePreparation):
    def transform(self):
        return Public(datetime_transforms.fit(self._real.split.train), CLAIMED)


class OrdinaryPlan(PrivatePreparation):
    def plan(self):
        return Public(constraint_repair.plan(self._real.split.train, min_cell=11), CLAIMED)


class OrdinaryHabits(PrivatePreparation):
    def habits(self):
        return Public(patient_grouping.habits(self._real.split.train, min_cell=11), CLAIMED)


class OrdinaryStyle(PrivatePreparation):
    def style(self):
        return Public(self._real.style, CLAIMED)


class NumberOfRows(PrivatePreparation):
    def rows(self, fitted):
        return Public(self._real.table_rows, CLAIMED)


class ObservedBounds(PrivatePreparation):
    def schema(self):
        age = self._real.split.train.frame["age"]
        columns = tuple(
            dataclasses.replace(each, bounds=(age.min(), age.max())) if each.name == "age" else each
            for each in self._schema.columns
        )
        return Public(dataclasses.replace(self._schema, columns=columns), CLAIMED)


class ANewFact(PrivatePreparation):
    def missing_share(self):
        return Public(float(self._real.split.train.frame["dose"].isna().mean()), CLAIMED)


class ARawFact(PrivatePreparation):
    def oldest(self) -> float:
        return float(self._real.split.train.frame["age"].max())


class RowsInAClosure(PrivatePreparation):
    def habits(self):
        train = self._real.split.train
        return Public(lambda: train, CLAIMED)


def faulty(kind: type[PrivatePreparation], honest: PrivatePreparation) -> PrivatePreparation:
    return kind(honest._real, honest._schema, honest._budget, honest._asked_rows)


@PATIENTS
@pytest.mark.parametrize(
    ("kind", "shows"),
    [
        (OrdinaryTransform, "transform"),
        (OrdinaryPlan, "plan"),
        (OrdinaryHabits, "habits"),
        (OrdinaryStyle, "style"),
        (NumberOfRows, "rows"),
        (ObservedBounds, "schema"),
        (ANewFact, "missing_share"),
        (ARawFact, "oldest"),
    ],
)
def test_a_leak_of_an_ordinary_fact_shows(worlds, kind, shows):
    one, other = (given(faulty(kind, honest), fitted) for honest, fitted in worlds)
    assert differing(one, other) == [shows]


@PATIENTS
def test_a_raw_value_and_rows_in_a_closure_show(worlds):
    assert not promised(ARawFact)["oldest"] <= {Public, Paid, Internal}
    assert not promised(ANewFact)["missing_share"] <= {Public, Paid, Internal}  # it says nothing
    leaky = faulty(RowsInAClosure, worlds[0][0])
    assert "Table" in real_rows_in(leaky.habits(), sizes_of(leaky))
    style = faulty(OrdinaryStyle, leaky).style()
    assert "a real identifier" in real_rows_in(style, sizes_of(leaky))
