"""Single columns counted with noise, and what follows from that alone: their codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthrelease.core.contracts import Column, FloatArray, IntArray, PrivacyBudget, Witness
from synthrelease.core.errors import InputError
from synthrelease.synthesis.generators.private import noisy_counts, refined_cells
from synthrelease.synthesis.generators.private.codebook import Codes, codes_of, starts_of
from synthrelease.synthesis.generators.private.noisy_counts import Counted, Noise
from synthrelease.synthesis.generators.private.public_domain import Cells
from synthrelease.synthesis.generators.private.refined_cells import Folded, Round

MOST_NOISE = 0.1


@dataclass(frozen=True, slots=True)
class Single:
    """What is known of single columns: their codes, and the noisy counts that these are made from.

    ``rounds``: what was counted to find the cells in which public ones are ``folded``. ``counts``: the histograms of
    these, (cells,) a column, as they left with ``noise``.
    """

    columns: tuple[Codes, ...]
    folded: Folded
    rounds: tuple[Round, ...]
    counts: tuple[FloatArray, ...]
    noise: Noise

    @property
    def noises(self) -> tuple[Noise, ...]:
        """Of all histograms that were counted."""
        return (*(each.noise for each in self.rounds), self.noise)

    def codes_of(self, cells: IntArray) -> IntArray:
        """Return the codes of rows of public cells, (rows, columns)."""
        folded = self.folded(cells)
        return np.stack([each.encode(folded[:, at]) for at, each in enumerate(self.columns)], axis=1)

    def rounded(self, declared: Sequence[Column]) -> Single:
        """Return the same with decimals for the columns that are declared without any."""
        pairs = zip(self.columns, declared, strict=True)
        return replace(self, columns=tuple(refined_cells.rounded(codes, column) for codes, column in pairs))

    def show(self, witness: Witness) -> None:
        """Tell an audit of everything that left with noise, and how cells become codes."""
        for each in self.rounds:
            witness.released(np.concatenate(each.counts), each.noise.scale, _Places(each.folded, each.places))
        everywhere = _Places(self.folded, tuple(range(len(self.columns))))
        witness.released(np.concatenate(self.counts), self.noise.scale, everywhere)
        witness.coded(self.codes_of, starts_of(self.columns))


@dataclass(frozen=True, slots=True)
class _Places:
    """Which numbers of histograms of the columns at ``places`` rows of public cells add to (a ``contracts.Place``)."""

    folded: Folded
    places: tuple[int, ...]

    def __call__(self, cells: IntArray) -> tuple[IntArray, FloatArray]:
        return noisy_counts.in_histograms(self.folded(cells[:, list(self.places)]), self.folded.sizes)


def counted(
    rows: Counted, domains: Sequence[Cells], budget: PrivacyBudget, *, units: float, share: float, most: int
) -> Single:
    """Count columns with a share of the budget and make ``most`` codes of each, or fewer; how: see ``refined_cells``.

    Raises:
        InputError: the table of so many ``units`` (public or noisy) is too small for the budget.
    """
    left = (1.0 - refined_cells.rounds_share(domains)) * share
    noise = Noise.of("histograms of single columns", len(domains), budget, left)
    _refuse_if_drowned(noise, units, budget)
    folded, rounds = refined_cells.refined(rows, domains, budget, share)
    counts = noisy_counts.histograms(replace(rows, cells=folded(rows.cells)), folded.counted, noise)
    columns = tuple(
        codes_of(cells, noisy, noise=noise.scale, most=most, expected=folded.expected.get(at))
        for at, (cells, noisy) in enumerate(zip(folded.counted, counts, strict=True))
    )
    return Single(columns, folded, rounds, tuple(counts), noise)


def _refuse_if_drowned(noise: Noise, units: float, budget: PrivacyBudget) -> None:
    """Refuse a budget under which not even single columns could be told from noise."""
    share = noise.scale / units
    if share > MOST_NOISE:
        times = share / MOST_NOISE
        raise InputError(
            f"Noise may be at most {MOST_NOISE:.0%} of the {budget.unit}s in one cell of a histogram, or nothing is "
            f"learned, however it is {share:.0%} of about {units:,.0f} with epsilon {budget.epsilon:g} and "
            f"{noise.tables} columns. About {units * times:,.0f} {budget.unit}s or epsilon "
            f"{budget.epsilon * times:.2g} would do; fewer columns help as well."
        )
