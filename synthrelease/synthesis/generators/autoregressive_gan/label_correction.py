"""What the prior on the weights takes from the target's effects, given back.

The prior holds weights back, so that no patient is learned by heart, and with them what other columns do to the target:
log-odds ratios come out at .7 to .9 of the real ones. After training, main effects are fitted beside the generator,
``target ~ offset(its logit given the columns before) + main effects``, by maximum likelihood on all training rows, and
added whenever a label is drawn. Then the table's main effects are those of the training rows, while bends and
interactions stay as learned (a calibration of the logit, as Platt 1999, with a slope of its own for each column).

Numbers count as standardised, clipped at eight standard deviations; labels and gaps that 2% of the rows have as
indicators. Little evidence is not stretched: a class needs ten patients for each effect fitted, and an indicator ten of
each class among its own, or a weak prior holds the effect.

The target is corrected given the columns *before* it. Written last, as by default, that is all of them; a target that
is asked for by value is written first, and what follows from it stays as learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.encoding.column_codec import once_a_patient
from synthrelease.synthesis.encoding.number_bins import NumberCoding
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import Cells
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter

FARTHEST = 8.0
"""Standard deviations at which numbers are clipped."""
FEWEST_ROWS = 0.02
"""Share of the rows that a label or a gap needs for an effect of its own."""
EVENTS = 10
"""Patients of a class for each effect that is fitted freely (Peduzzi 1996, doi:10.1016/S0895-4356(96)00236-3)."""
WEAK, FREE = 4.0, 1e-3
"""Precisions of the normal prior on an effect: a standard deviation of half a logit, or next to none."""
MOST_EFFECTS = 1_000
"""More would take minutes to solve for; such a target stays as learned."""
CHUNK = 65_536
_STEPS, _HALVINGS, _CLOSE = 50, 20, 1e-7


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """All training rows as cells in writing order, ``codes`` (rows, columns).

    ``units``: the patient of each, (rows,), or None where each is one. ``weights``: how much each counts, (rows,), 1 on
    average.
    """

    codes: IntArray
    units: IntArray | None
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to the logits of the target's cells, by the cells of the columns written before it.

    ``starts``: where each of these columns' cells begin, (columns before,). ``effects``: (cells before, its cells).
    """

    starts: IntArray
    effects: FloatArray

    def added(self, codes: IntArray) -> FloatArray:
        """Return what is added for rows of cells in writing order, (rows, target's cells)."""
        out = np.zeros((len(codes), self.effects.shape[1]))
        for at, start in enumerate(self.starts):
            out += self.effects[start + codes[:, at]]
        return out

    def of(self, cells: IntArray) -> Correction:
        """Return the same for some of the target's cells, in that order."""
        return replace(self, effects=self.effects[:, cells])


def correction(
    writer: RowWriter, cells: Cells, encoder: Encoder, rows: TrainingRows, *, target: int
) -> Correction | None:
    """Fit main effects beside a trained writer; None where nothing stands before the target, or too much would.

    Args:
        writer: the trained network.
        cells: what its cells are.
        encoder: which columns the cells are of.
        rows: all training rows.
        target: the target's place in writing order.
    """
    codes = rows.codes
    size, labels = cells.columns[target].size, codes[:, target]
    blocks = _blocks(cells, encoder, target)
    effects = sum(block.shape[1] for block in blocks)
    if not 0 < effects * (size - 1) <= MOST_EFFECTS:
        return None
    base = int(np.bincount(labels, minlength=size).argmax())
    others = np.delete(np.arange(size), base)
    first = once_a_patient(labels, rows.units)
    held = _held(_events(blocks, codes[first], np.eye(size)[labels[first]]), base)[:, others]
    fit = _Regression(blocks, rows, labels, _logits(writer, codes, target), others, held)
    found = np.zeros((1 + effects, size))
    found[:, others] = fit.solved()
    stops = 1 + np.cumsum([0, *(block.shape[1] for block in blocks)])
    by_cell = [block @ found[start:stop] for block, (start, stop) in zip(blocks, pairwise(stops), strict=True)]
    by_cell[0] = by_cell[0] + found[0]  # the level, which every row gets once
    return Correction(cells.starts[:target], np.concatenate(by_cell))


def _blocks(cells: Cells, encoder: Encoder, target: int) -> list[FloatArray]:
    """The main effects in which each cell of a column takes part, (its cells, effects), column by column."""
    blocks = []
    for place, column in zip(cells.places[:target], cells.columns[:target], strict=True):
        coding, one = encoder.codings[place], np.eye(column.size)
        common = np.flatnonzero(column.shares >= FEWEST_ROWS)
        if isinstance(coding, NumberCoding):
            gap = common[common >= column.size - int(coding.has_missing)]
            blocks.append(np.hstack([_standardised(coding, column.shares), one[:, gap]]))
        else:
            blocks.append(one[:, np.setdiff1d(common, [int(column.shares.argmax())])])
    return blocks


def _standardised(coding: NumberCoding, shares: FloatArray) -> FloatArray:
    """The middle of each cell in standard deviations from the mean, (cells, 1); (cells, 0) if they are all the same."""
    middles = np.concatenate([np.asarray(coding.lows) / 2 + np.asarray(coding.highs) / 2, np.asarray(coding.atoms)])
    weights = shares[: len(middles)] / shares[: len(middles)].sum() if len(middles) else np.zeros(0)
    scale = float(np.abs(middles).max(initial=0.0)) or 1.0  # so that squares of huge numbers stay finite
    apart = middles / scale - float(weights @ (middles / scale))
    spread = float(weights @ apart**2) ** 0.5
    if spread < 1e-12:
        return np.zeros((len(shares), 0))
    scores = np.zeros((len(shares), 1))
    scores[: len(middles), 0] = (apart / spread).clip(-FARTHEST, FARTHEST)
    return scores


def _events(blocks: Sequence[FloatArray], codes: IntArray, label: FloatArray) -> FloatArray:
    """How many patients of each class an effect rests on, (1 + effects, classes): of a number all, else its own."""
    own = sum((chunk.T @ each for chunk, each in _chunks(blocks, codes, label)), np.zeros(()))
    is_number = np.concatenate([[True], *(((block != 0.0) & (block != 1.0)).any(axis=0) for block in blocks)])
    return np.where(is_number[:, None], label.sum(axis=0), own)


def _held(events: FloatArray, base: int) -> FloatArray:
    """The precision of the prior on each effect, (1 + effects, classes): weak where there are few events for it."""
    enough = events[0] >= EVENTS * (len(events) - 1)  # (classes,)
    enough_own = np.minimum(events, events[:, [base]]) >= EVENTS
    held = np.where(enough & enough_own, FREE, WEAK)
    held[0] = FREE
    return held


def _chunks(
    blocks: Sequence[FloatArray], codes: IntArray, *others: np.ndarray[Any, Any]
) -> Iterator[tuple[np.ndarray[Any, Any], ...]]:
    """Yield the design of some rows at a time, (rows, 1 + effects), with the same rows of other arrays."""
    for start in range(0, len(codes), CHUNK):
        some = slice(start, start + CHUNK)
        columns = [block[codes[some, at]] for at, block in enumerate(blocks)]
        yield np.hstack([np.ones((len(columns[0]), 1)), *columns]), *(each[some] for each in others)


@torch.no_grad()
def _logits(writer: RowWriter, codes: IntArray, target: int) -> FloatArray:
    """The writer's logits of the target given the real columns before it, (rows, target's cells)."""
    weights, device = writer.weights(), writer.log_shares.device
    span = slice(writer.feature_starts[target], writer.feature_starts[target + 1])
    pieces = []
    for chunk in np.array_split(codes, max(1, len(codes) // 4_096)):
        features = writer.features(torch.from_numpy(chunk).to(device), weights)
        logits = writer.logits(target, writer.scores(features, weights)[:, span], weights)
        pieces.append(logits.double().cpu().numpy())
    return np.concatenate(pieces)


@dataclass(frozen=True, slots=True)
class _Regression:
    """``labels`` (rows,) on the main effects of the columns of ``rows`` beside ``offset`` (rows, classes).

    ``others``: the classes but the commonest. ``held``: precisions of the prior, (1 + effects, others).
    """

    blocks: Sequence[FloatArray]
    rows: TrainingRows
    labels: IntArray
    offset: FloatArray
    others: IntArray
    held: FloatArray

    def solved(self) -> FloatArray:
        """Return the effects of largest posterior, (1 + effects, others), by Newton steps that never climb."""
        effects = np.zeros_like(self.held)
        loss = self._loss(effects)
        for _ in range(_STEPS):
            slope, bend = self._bend(effects)
            step = np.linalg.solve(bend, slope.T.ravel()).reshape(slope.T.shape).T
            for halving in range(_HALVINGS):
                tried = effects - step / 2**halving
                if (lower := self._loss(tried)) < loss:
                    break
            else:
                break
            gain, effects, loss = loss - lower, tried, lower
            if gain < _CLOSE:
                break
        return effects

    def _chances(self, design: FloatArray, offset: FloatArray, effects: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The probability of each class, (rows, classes), and its logs."""
        scores = offset.copy()
        scores[:, self.others] += design @ effects
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return np.exp(scores), scores

    def _loss(self, effects: FloatArray) -> float:
        """The negative log posterior."""
        loss = 0.5 * float((self.held * effects**2).sum())
        for design, offset, labels, weights in self._parts():
            logs = self._chances(design, offset, effects)[1]
            loss -= float((weights * logs[np.arange(len(logs)), labels]).sum())
        return loss

    def _parts(self) -> Iterator[tuple[np.ndarray[Any, Any], ...]]:
        """Yield design, offset, labels and weights of some rows at a time."""
        return _chunks(self.blocks, self.rows.codes, self.offset, self.labels, self.rows.weights)

    def _bend(self, effects: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Its slope, (1 + effects, others), and its second derivatives, class by class, (all effects, all effects)."""
        count, classes = effects.shape
        slope, bend = self.held * effects, np.diag(self.held.T.ravel())
        for design, offset, labels, weights in self._parts():
            chances = self._chances(design, offset, effects)[0][:, self.others]  # (rows, others)
            slope = slope + design.T @ (weights[:, None] * (chances - (labels[:, None] == self.others)))
            for one in range(classes):
                for two in range(one + 1):
                    weight = weights * chances[:, one] * (float(one == two) - chances[:, two])
                    part = design.T @ (weight[:, None] * design)
                    at, to = (slice(each * count, (each + 1) * count) for each in (one, two))
                    bend[at, to] += part
                    if one != two:
                        bend[to, at] += part.T
        return slope, bend


__all__ = ["Correction", "TrainingRows", "correction"]
