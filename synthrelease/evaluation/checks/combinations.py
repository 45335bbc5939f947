"""Do rare combinations of values come back that only training patients have?

A leak of some columns is invisible to distances over all columns, and a rare combination shows it: if the synthetic
table repeats combinations of training patients more often than those of holdout patients, training patients were
copied in part. Looked at are single columns, pairs, triples and larger sets, drawn at random but the same for every
table, and always the quasi-identifiers with each sensitive column. The sets that a leak sits in are also searched for:
half of the patients tell which sets to look at, the other half, whose labels the search has not seen, decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations as subsets

import numpy as np

from synthrelease.core.contracts import (
    BoolArray,
    CheckResult,
    CheckSpec,
    Evidence,
    FloatArray,
    IntArray,
    Metric,
    MetricSpec,
    Table,
)
from synthrelease.evaluation.checks._cells import Keys, cell_keys, combined, entropies, numbered
from synthrelease.evaluation.checks._pool import Pool, pooled, telling
from synthrelease.evaluation.statistics.confidence_intervals import Bounds, draw, exactly, normal_bounds, patients
from synthrelease.evaluation.statistics.permutation_tests import Finding, Weights, group_scan, standard_scores

SPEC = CheckSpec(
    name="combinations",
    title="Rare combinations, small groups and extremes",
    family="privacy",
    metrics=(
        MetricSpec(
            "combination_p",
            "Could chance explain which rare combinations of values come back?",
            "probability",
            "higher",
            topic="rare combinations of values",
            wanted="yes",
        ),
        MetricSpec(
            "small_group_excess",
            "Does the table repeat small groups of quasi-identifiers that only training patients form?",
            "share of synthetic rows",
            "lower",
            topic="small groups",
        ),
        MetricSpec(
            "rarest_label",
            "Does every label that was learned from the data belong to enough patients?",
            "training patients",
            "higher",
            topic="rare labels",
            wanted="yes",
        ),
        MetricSpec(
            "repeated_extremes",
            "Does the table end where one training patient's value ends?",
            "columns",
            "lower",
            topic="extreme values",
        ),
    ),
    about=(
        "Counts combinations of values that few real patients share and looks which of them stand in the synthetic "
        "table: those of training patients should come back no more often than those of holdout patients. This finds "
        "leaks of a part of the columns, which distances over all columns miss. Small groups are cells of one to three "
        "quasi-identifiers with fewer than ten patients. Extremes are a column's largest and smallest value, where a "
        "single patient has it."
    ),
    cost=8,
)

SMALL = 10
"""Fewer patients than this share a small cell; in the pool of both sides for combinations, in one side for cells."""
RARE = 4
MARGIN = 0.01
"""Share of training patients whose rare combinations may come back beyond those of strangers in any set of columns.

Every model follows its training rows a little: it emits a code that three of them have a little more often than a code
that three others have. Without this margin such a trace becomes significant in any table that is large enough.
"""
SETS = 500
LARGEST_SET = 6
DECLARED_SETS = 60
BLOCK = 100
BEAM = 12
GROWN = 10
TRIED = 150
"""Sets tried at each size while searching, the ``BEAM`` best of which grow; the ``GROWN`` best of all are tested."""
SMALLEST_GAIN = 0.01
"""The unit of weights is at least this: where one more row would hardly count, no excess is made out of rounding."""
FEWEST_CELLS = 20
LEAST_BITS, MOST_BITS = 0.01, 8.0


def measure(evidence: Evidence) -> CheckResult:
    """Scan rare combinations, then count small cells, rare labels and extremes."""
    rng = np.random.default_rng(evidence.seed)
    pool = pooled(rng, evidence)
    n = 2 * int(min(pool.member.sum(), (~pool.member).sum()))
    metrics = (
        _scan(rng, pool, evidence.synthetic, n),
        _small_cells(rng, evidence),
        _labels(evidence),
        _extremes(evidence),
    )
    return CheckResult(SPEC.name, "measured", n, metrics=metrics)


def _scan(rng: np.random.Generator, pool: Pool, made: Table, n: int) -> Metric:
    cells = cell_keys(pool.table)
    finding, scores = group_scan(rng, pool.member, exposures(pool, made, column_sets(cells, pool.table)), margin=MARGIN)
    looks = [finding, _of_declared(rng, pool, made, cells), *_searched(rng, pool, made)]
    tested = [look for look in looks if look.name] or looks[:1]
    finding = min(tested, key=lambda look: look.p)
    finding = replace(finding, p=min(1.0, len(tested) * finding.p))
    text = "No set of columns has enough rare combinations that come back to tell anything."
    if finding.name:
        text = (
            f"{len(scores):,} sets of columns were looked at, and more were searched for; rare combinations of "
            f"training patients come back most often in {finding.name}. As much shows by chance in {finding.chance}."
        )
    bounds = exactly(finding.p)
    return Metric("combination_p", bounds.value, bounds.low, bounds.high, SPEC.metrics[0].unit, n, text, 1.0)


def _of_declared(rng: np.random.Generator, pool: Pool, made: Table, cells: Keys) -> Finding:
    """The quasi-identifiers with the sensitive columns by themselves: few sets, in which chance seldom shows much."""
    looks = exposures(pool, made, declared_sets(pool.table, _varied(cells)))
    return group_scan(rng, pool.member, looks, margin=MARGIN)[0]


def _searched(rng: np.random.Generator, pool: Pool, made: Table) -> list[Finding]:
    """Two searches: either half of the patients chooses sets of columns, and the other half tests them."""
    real, synthetic = cell_keys(pool.table), cell_keys(made)
    first = rng.permutation(len(pool.member)) < len(pool.member) // 2
    findings = []
    for chooses in (first, ~first):
        chosen = _grown(rng, real, synthetic, pool, chooses)
        tests = ~chooses
        blocks = [([_named(pool.table, columns)], weight[None, tests]) for columns, weight in chosen]
        findings.append(group_scan(rng, pool.member[tests], blocks, margin=MARGIN)[0])
    return findings


def _grown(
    rng: np.random.Generator, real: Keys, synthetic: Keys, pool: Pool, chooses: BoolArray
) -> list[tuple[tuple[int, ...], Weights]]:
    """The sets in which training patients of one half stand out most, grown column by column from pairs."""
    varied = _varied(real)
    beam: list[tuple[int, ...]] = [(i,) for i in varied]
    found: dict[tuple[int, ...], tuple[float, Weights]] = {}
    for _ in range(1, min(LARGEST_SET, len(varied))):
        larger = sorted({tuple(sorted((*columns, i))) for columns in beam for i in varied if i not in columns})
        scored = []
        for at in rng.permutation(len(larger))[:TRIED]:
            weight = returns(real, synthetic, larger[at], pool)
            if weight is not None:
                score = float(standard_scores(pool.member[chooses], weight[None, chooses], margin=MARGIN)[0])
                scored.append((score, larger[at], weight))
        scored.sort(key=lambda each: -each[0])
        beam = [columns for _, columns, _ in scored[:BEAM]] or [larger[i] for i in rng.permutation(len(larger))[:BEAM]]
        found |= {columns: (score, weight) for score, columns, weight in scored[:GROWN]}
    best = sorted(found, key=lambda columns: -found[columns][0])[:GROWN]
    return [(columns, found[columns][1]) for columns in best]


def exposures(pool: Pool, made: Table, sets: Sequence[tuple[int, ...]]) -> Iterator[tuple[list[str], Weights]]:
    """For blocks of column sets: names, and how strongly each patient's rare combinations return: (sets, patients)."""
    real, synthetic = cell_keys(pool.table), cell_keys(made)
    for start in range(0, len(sets), BLOCK):
        found = [(columns, returns(real, synthetic, columns, pool)) for columns in sets[start : start + BLOCK]]
        kept = [(_named(pool.table, columns), weight) for columns, weight in found if weight is not None]
        if kept:
            yield [name for name, _ in kept], np.stack([weight for _, weight in kept])


def _named(table: Table, columns: tuple[int, ...]) -> str:
    return " + ".join(table.schema.learned[i].name for i in columns)


def column_sets(cells: Keys, table: Table) -> list[tuple[int, ...]]:
    """Which sets of columns to look at: the same for every table with these columns and this spread of values.

    Columns that carry more bits are drawn more often; every column alone and every declared set is always there.
    """
    bits = np.minimum(entropies(cells), MOST_BITS)
    varied = np.flatnonzero(bits > LEAST_BITS)
    rng = np.random.default_rng(len(bits))
    chosen = dict.fromkeys((int(i),) for i in varied)
    pairs = list(subsets(varied.tolist(), 2))
    chosen |= dict.fromkeys(pairs[i] for i in rng.permutation(len(pairs))[: SETS // 4])
    if len(varied) > 2:
        for _ in range(SETS):
            size = min(int(rng.integers(3, LARGEST_SET + 1)), len(varied))
            drawn = rng.choice(varied, size, replace=False, p=bits[varied] / bits[varied].sum())
            chosen[tuple(sorted(drawn.tolist()))] = None
    declared = declared_sets(table, varied.tolist())
    return list(chosen | dict.fromkeys((*declared, *_parts_of_declared(table, varied.tolist()))))


def declared_sets(table: Table, varied: Sequence[int]) -> list[tuple[int, ...]]:
    """All quasi-identifiers: alone, with each sensitive column, and with all of them."""
    know, hide = _declared(table, varied)
    if not know:
        return []
    sets = (know, *(tuple(sorted((*know, each))) for each in hide), tuple(sorted((*know, *hide))))
    return list(dict.fromkeys(sets))


def _parts_of_declared(table: Table, varied: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Pairs and triples of quasi-identifiers, each with one sensitive column."""
    know, hide = _declared(table, varied)
    for size in (2, 3):
        few = [tuple(sorted((*group, each))) for group in subsets(know, size) for each in hide]
        yield from few[:DECLARED_SETS]


def _declared(table: Table, varied: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of the quasi-identifiers and of the sensitive columns, of those that vary."""
    known, hidden = ({column.name for column in each} for each in telling(table))
    names = [column.name for column in table.schema.learned]
    return tuple(i for i in varied if names[i] in known), tuple(i for i in varied if names[i] in hidden)


def _varied(cells: Keys) -> list[int]:
    varied: list[int] = np.flatnonzero(entropies(cells) > LEAST_BITS).tolist()
    return varied


def returns(real: Keys, synthetic: Keys, columns: tuple[int, ...], pool: Pool) -> Weights | None:
    """How strongly it shows that each patient's rare combination was copied; 0 for common ones: (patients,).

    A combination that ``held`` patients of the pool share and that returns in ``made`` rows weighs made / (held + made
    - 1): by how much one copied row makes that count likelier, where combinations are as rare as in the logarithmic
    series of Fisher, Corbet & Williams (1943, J. Animal Ecology 12), whose counts given ``held`` are negative binomial.
    That is the score test, the most powerful one for small leaks. The usual weight of combinations that as many
    patients share is taken off. The unit is what one more row of a patient's own combination would add on average.

    None where too few rare combinations exist to tell anything.
    """
    number = numbered(np.concatenate([combined(real, columns), combined(synthetic, columns)]))
    which, patient = _once_a_patient(number[: len(real)], pool)
    held = np.bincount(which)
    made = np.bincount(number[len(real) :], minlength=len(held))[: len(held)]
    rare = held <= RARE
    if int(rare.sum()) < FEWEST_CELLS or not made[rare].any():
        return None
    sharing, made = held[rare], made[rare]
    weight = _weight(sharing, made)
    usual = np.bincount(sharing, weight * sharing) / np.maximum(np.bincount(sharing, sharing), 1)
    gain = max(float(np.average(_weight(sharing, made + 1) - weight, weights=sharing)), SMALLEST_GAIN)
    each = np.zeros(len(held))
    each[rare] = (weight - usual[sharing]) / gain
    out: Weights = np.bincount(patient, weights=each[which], minlength=len(pool.member)).astype(np.float32)
    return out


def _once_a_patient(which: IntArray, pool: Pool) -> tuple[IntArray, IntArray]:
    """Combination and patient of each row, but once where several rows of a patient have the same combination."""
    if len(pool.member) == len(which):
        return which, pool.patient
    people = len(pool.member)
    pairs = np.unique(which * people + pool.patient)
    return pairs // people, pairs % people


def _weight(held: IntArray, made: IntArray) -> FloatArray:
    weight: FloatArray = np.where(made > 0, made / np.maximum(held + made - 1, 1), 0.0)
    return weight


# Small cells of quasi-identifiers.


@dataclass(frozen=True, slots=True)
class _Sides:
    """Cell keys (rows, quasi-identifiers) and patients of equally large sides, and the synthetic rows' cell keys."""

    keys: tuple[Keys, Keys]
    units: tuple[IntArray, IntArray]
    made: Keys


def _small_cells(rng: np.random.Generator, evidence: Evidence) -> Metric:
    """Synthetic rows in small cells that training patients alone form, less those in cells of the holdout alone."""
    known = [i for i, c in enumerate(evidence.train.schema.learned) if c.role == "quasi_identifier"]
    name, unit = "small_group_excess", SPEC.metrics[1].unit
    if not known:
        nan = float("nan")
        return Metric(name, nan, nan, nan, unit, 1, "The schema declares no quasi-identifier.", 0.0)
    size = min(len(evidence.train), len(evidence.holdout))
    equal = [table.take(draw(rng, table, size)) for table in (evidence.train, evidence.holdout)]
    cells = [cell_keys(table)[:, known] for table in (*equal, evidence.synthetic)]
    units = [np.arange(len(t)) if t.units is None else np.unique(t.units, return_inverse=True)[1] for t in equal]
    sides = _Sides((cells[0], cells[1]), (units[0], units[1]), cells[2])
    ours, theirs, cluster = _in_small_cells(sides)
    made = slice(2 * size, None)
    lean = ours.astype(np.float64) - theirs
    bounds = _clustered(lean[made], cluster[made], evidence.confidence, (lean[: 2 * size], cluster[: 2 * size]))
    hits = ours[made], theirs[made]
    text = (
        f"{int(hits[0].sum()):,} of {len(hits[0]):,} synthetic rows stand in a group of fewer than {SMALL} patients "
        f"that the training data has and the holdout has not; {int(hits[1].sum()):,} the other way round."
    )
    return Metric(name, bounds.value, bounds.low, bounds.high, unit, min(len(hits[0]), size), text, 0.0)


def _in_small_cells(sides: _Sides) -> tuple[BoolArray, BoolArray, Keys]:
    """Which rows stand in small cells of the training side alone and of the holdout alone, and in which such cell.

    Rows are those of both sides and then the synthetic ones, (rows,) each. A row in several such cells counts for that
    of the fewest columns, which decides for all rows in it at once.
    """
    stacked = np.concatenate([*sides.keys, sides.made])
    hits = [np.zeros(len(stacked), dtype=np.bool_) for _ in range(2)]
    cluster = combined(stacked, tuple(range(stacked.shape[1])))
    is_free = np.ones(len(stacked), dtype=np.bool_)
    for columns in (c for k in (1, 2, 3) for c in subsets(range(stacked.shape[1]), k)):
        keys = combined(stacked, columns)
        for side in (0, 1):
            found = np.isin(keys, _small(sides, side, columns))
            hits[side] |= found
            cluster[found & is_free] = keys[found & is_free]
            is_free &= ~found
    return hits[0], hits[1], cluster


def _small(sides: _Sides, side: int, columns: tuple[int, ...]) -> Keys:
    """Cells that 1 to 9 patients of one side form and none of the other."""
    keys, other = (combined(sides.keys[s], columns) for s in (side, 1 - side))
    owned = np.unique(np.column_stack([keys, sides.units[side].astype(np.uint64)]), axis=0)[:, 0]
    cells, held = np.unique(owned, return_counts=True)
    few = cells[held < SMALL]
    return few[~np.isin(few, other)]


def _clustered(
    values: FloatArray, cluster: Keys, confidence: float, control: tuple[FloatArray, Keys] | None = None
) -> Bounds:
    """Mean with bounds that allow for rows of one cluster going together; at least one row's worth of doubt.

    ``control``: values and clusters of real rows, whose sum is 0 but for chance, whatever was leaked. A cell that more
    real rows of either side form should hold more synthetic rows as well, so that part of its sum is chance.
    """
    mean = float(values.mean())
    known, places = np.unique(cluster, return_inverse=True)
    sums = np.bincount(places, weights=values - mean)
    if control is not None and len(known) >= FEWEST_CELLS:
        shared = np.flatnonzero(np.isin(control[1], known))
        expected = np.bincount(np.searchsorted(known, control[1][shared]), control[0][shared], minlength=len(known))
        apart = np.flatnonzero(~np.isin(control[1], known))
        alone = np.bincount(np.unique(control[1][apart], return_inverse=True)[1], control[0][apart])
        sums, expected = np.append(sums, np.zeros(len(alone))), np.append(expected, alone)
        slope = float(sums @ expected / (expected @ expected)) if expected.any() else 0.0
        mean -= slope * float(expected.sum()) / len(values)
        sums = sums - slope * expected
    spread = max(float(np.sqrt((sums**2).sum())), 1.0) / len(values)
    return normal_bounds(mean, spread, confidence)


# Labels and extremes.


def _labels(evidence: Evidence) -> Metric:
    """The fewest training patients that stand behind a label which was learned and which the table uses."""
    train, made = evidence.train, evidence.synthetic
    learned = [column for column in train.schema.learned if column.learns_levels]
    units = np.arange(len(train)) if train.units is None else train.units
    fewest, where = patients(train), ""
    for column in learned:
        used = np.flatnonzero(np.bincount(made.frame[column.name].cat.codes + 1, minlength=2)[1:])
        codes = train.frame[column.name].cat.codes.to_numpy()
        for level in used:
            if column.categories[level] == column.other:
                continue
            held = len(np.unique(units[codes == level]))
            if held < fewest:
                fewest, where = held, column.name
    text = f"The rarest label of {where!r} that the table uses belongs to {fewest:,} training patients."
    if not learned:
        text = "All labels were declared by the steward; none was learned from the data."
    bounds = exactly(float(fewest))
    n = patients(train)
    return Metric(
        "rarest_label", bounds.value, bounds.low, bounds.high, SPEC.metrics[2].unit, n, text, applies=bool(learned)
    )


def _extremes(evidence: Evidence) -> Metric:
    """Columns of numbers whose extreme in the synthetic table is the value of one training patient and no other."""
    counts = []
    for side, other in ((evidence.train, evidence.holdout), (evidence.holdout, evidence.train)):
        counts.append(
            [c.name for c in side.schema.learned if c.is_number and _ends_alike(c.name, side, other, evidence)]
        )
    bounds = exactly(float(len(counts[0])))
    where = f": {', '.join(counts[0])}" if counts[0] else ""
    text = (
        f"In {len(counts[0]):,} columns the largest or smallest synthetic value is that of one training "
        f"patient{where}; in {len(counts[1]):,} it is that of one holdout patient."
    )
    n = len(evidence.synthetic)
    unit = SPEC.metrics[3].unit
    return Metric("repeated_extremes", bounds.value, bounds.low, bounds.high, unit, n, text, float(len(counts[1])))


def _ends_alike(name: str, side: Table, other: Table, evidence: Evidence) -> bool:
    made = evidence.synthetic.frame[name].to_numpy(np.float64)
    values, beyond = side.frame[name].to_numpy(np.float64), other.frame[name].to_numpy(np.float64)
    if np.isnan(made).all() or np.isnan(values).all():
        return False
    ends = (np.nanmin(made), np.nanmin(values)), (np.nanmax(made), np.nanmax(values))
    return any(a == b and int((values == b).sum()) == 1 and not (beyond == b).any() for a, b in ends)
