"""The model of the target given all other columns: one effect for each code, found from noisy tables.

The tables of each column with the target are the sufficient statistics of a model that adds up one effect a code (a
softmax of a sum); sums of a number by class are further ones. Effects are fitted so that rows made by the network have
these statistics as far as their noise demands, which is known exactly, and to which comes the luck of which rows are in
the table. In between stands a prior: the effects of a number are a line and a smooth bend, those of labels are
independent, and how strong a column's effects are is learned from its own table. Columns whose tables are mere noise
hardly get any. It is the largest posterior of a Gaussian process seen through sums (Rasmussen & Williams 2006, sections
2.2 and 5.2, gaussianprocess.org/gpml), with prior covariances averaged over strengths and shapes.

All of it is post-processing of tables that are already private. Measured on stroke (3,577 rows, 175 of them positive;
means of three noises, with labels sharpened as they were then, reports/benchmarks/dp.html): boosting trained on made
rows has an AUC of .81, .83 and .83 on real test rows at epsilon 1, 3 and 10, and of .84 trained on real ones. With
effects of single codes and a ridge, fitted to tables that were smoothed before, it had .72, .75 and .79: they let the
noise of single codes break how risk rises with age.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthrelease.core.contracts import FloatArray, IntArray
from synthrelease.synthesis.generators.autoregressive_gan.config import temperature_for
from synthrelease.synthesis.generators.private.codebook import Codes
from synthrelease.synthesis.generators.private.denoising import Slope, line_of
from synthrelease.synthesis.generators.private.target_sampling import Labels

STRENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Standard deviations that a column's effects may have, in logits."""
NOTHING = 0.9
"""The chance, before anything is seen, that a column has no effect at all; at .5 noise often passed for an effect."""
UPDATES = 400
"""At most; 50 to 80 were enough on adult at epsilon 10, where sums are known best."""
HELD = 0.01
"""How exactly classes keep their shares while effects are found; afterwards they are kept exactly."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the target: ``tables`` of each code with each class, noisy shares, (codes, classes).

    ``variances``: of the noise of a cell of each column's table, (columns,). ``slopes``: sums of a number by class, by
    column. ``units``: how many there are.
    """

    tables: FloatArray
    variances: FloatArray
    slopes: Mapping[int, Slope]
    units: float


@dataclass(frozen=True, slots=True)
class View:
    """Sums over one column's codes: ``look`` (sums, codes), what they are beyond independence, (sums, classes).

    ``noise``: the variance of each sum's noise, (sums,), and ``luck`` that of which rows there are, as a multiple of a
    class's own variance, (sums,).
    """

    look: FloatArray
    sums: FloatArray
    noise: FloatArray
    luck: FloatArray


def fit(
    made: IntArray, seen: Seen, columns: Sequence[Codes], shares: FloatArray, target: int, *, temperature: float = 1.0
) -> Labels:
    """Fit the model of the column ``target``.

    Args:
        made: codes of made rows, (rows, columns): how other columns go together.
        seen: the tables with the target.
        columns: what the codes are.
        shares: each code's share, (codes,).
        target: the target's place among the columns.
        temperature: below 1 labels follow the effects more decisively than they were found to, with the same shares of
            classes.
    """
    starts = np.concatenate([[0], np.cumsum([each.size for each in columns])]).astype(np.int64)
    spans = [slice(int(start), int(stop)) for start, stop in itertools.pairwise(starts)]
    others = np.concatenate([np.arange(span.start, span.stop) for at, span in enumerate(spans) if at != target])
    base = np.maximum(shares[spans[target]], 1e-6)
    base = base / base.sum()
    alike = _between_classes(columns[target], base)
    views, roots = [], []
    for at, span in enumerate(spans):
        if at != target:
            view = _view(seen.tables[span], shares[span], base, seen.variances[at], seen.slopes.get(at), seen.units)
            kernels = _kernels(columns[at], shares[span], seen.slopes.get(at))
            views.append(view)
            roots.append(_root(_covariance(view, kernels, shares[span], base, alike)))
    rows = torch.zeros(len(made), int(starts[-1]))
    rows.scatter_(1, torch.from_numpy(made + starts[:-1]), 1.0)
    rows = rows[:, torch.from_numpy(others)]  # (rows, codes of others)
    effects, level = _fitted(rows, views, _diagonal(roots), _root(alike), base, temperature)
    whole = np.zeros((int(starts[-1]), len(base)))
    whole[others] = effects
    return Labels(target, starts, whole, level)


def temperature_of(target: Codes, units: float) -> float:
    """Return the temperature of sharpened labels, by how many units there are to tell two classes apart by.

    That number is how many would be in the smaller of two classes, were it small; a number is drawn as it was found.
    Boosting on stroke, with what the network makes replaced by real rows so that labels alone differ (mean of eight
    noises): 0.42 gives an AUC of .82 at epsilon 3, as 0.6 and 0.3 do, and 1.0 gives .80; at epsilon 1 it is .79 to .80
    with each of them.
    """
    if target.cells.is_number:
        return 1.0
    return temperature_for(round(units * (1.0 - float(np.square(target.shares).sum())) / 2.0))


def _view(
    table: FloatArray, shares: FloatArray, base: FloatArray, variance: float, slope: Slope | None, units: float
) -> View:
    """What a column's noisy table, (codes, classes), and its slope say beyond the margins, which are known better."""
    look = np.eye(len(shares)) - 1.0 / len(shares)
    sums = look @ (table - np.outer(shares, base))
    noise, luck = np.full(len(shares), variance), shares / units
    if slope is not None:
        look = np.vstack([look, slope.line])
        sums = np.vstack([sums, slope.sums - base * float(slope.line @ shares)])
        noise = np.append(noise, slope.variance)
        luck = np.append(luck, float(slope.line**2 @ shares) / units)
    return View(look, sums - sums.mean(axis=1, keepdims=True), noise, luck)


def _kernels(codes: Codes, shares: FloatArray, slope: Slope | None) -> tuple[FloatArray, ...]:
    """The covariances, (codes, codes), that a column's effects may have: of labels one, of numbers several shapes."""
    rough = np.eye(codes.size)
    if not codes.cells.ordered or codes.size <= 2:
        return (rough,)
    line = line_of(shares, codes.has_missing) if slope is None else slope.line
    apart = np.abs(line[:, None] - line[None, :])  # 2 from end to end
    straight = 3.0 * np.outer(line, line)
    wide, narrow, broken = np.exp(-(apart**2) / 0.5), np.exp(-(apart**2) / 0.08), np.exp(-apart / 0.5)
    shapes = (
        straight + 0.02 * rough,
        0.8 * straight + 0.2 * wide + 0.02 * rough,
        0.6 * straight + 0.3 * narrow + 0.02 * rough,
        0.5 * straight + 0.4 * broken + 0.1 * rough,
    )
    if codes.has_missing:
        for shape in shapes:
            shape[-1, :-1] = shape[:-1, -1] = 0.0
            shape[-1, -1] = 1.0
    return shapes


def _between_classes(codes: Codes, base: FloatArray) -> FloatArray:
    """The covariance of effects between classes, (classes, classes): neighbouring stretches of a number are alike."""
    return _kernels(codes, base, None)[-1]


def _covariance(
    view: View, kernels: Sequence[FloatArray], shares: FloatArray, base: FloatArray, alike: FloatArray
) -> FloatArray:
    """The mean of the covariances that a column's effects may have, (codes, codes), by how likely each is.

    Effects are taken for small here, so that what is seen is linear in them, and columns for independent.
    """
    spread = np.diag(shares) - np.outer(shares, shares)  # (codes, codes)
    classes = np.diag(base) - np.outer(base, base)  # (classes, classes)
    values, vectors = np.linalg.eigh(classes @ alike @ classes)
    real = values > 1e-9 * values.max()
    found = view.sums @ vectors[:, real]  # (sums, k): each direction among classes has a field of its own
    own = np.einsum("ij,ik,kj->j", vectors[:, real], classes, vectors[:, real])  # (k,): a class's own variance
    weights = np.exp(-0.5 * np.square(STRENGTHS))
    weights = (1.0 - NOTHING) * weights / weights.sum() / len(kernels)
    choices = [(0.0, NOTHING, kernels[0])]
    choices += [
        (strength, weight, kernel)
        for kernel in kernels
        for strength, weight in zip(STRENGTHS, weights.tolist(), strict=True)
    ]
    chances = np.empty(len(choices))
    for place, (strength, weight, kernel) in enumerate(choices):
        reach = view.look @ spread @ kernel @ spread @ view.look.T  # (sums, sums)
        total = (strength**2 * values[real])[:, None, None] * reach
        total = total + (view.noise + np.outer(own, view.luck))[:, :, None] * np.eye(len(view.noise))
        solved = np.linalg.solve(total, found.T[:, :, None])[:, :, 0]  # (k, sums)
        chances[place] = np.log(weight) - 0.5 * float((solved * found.T).sum() + np.linalg.slogdet(total)[1].sum())
    chances = np.exp(chances - chances.max())
    chances /= chances.sum()
    mean: FloatArray = sum(
        (chance * strength**2 * kernel for chance, (strength, _, kernel) in zip(chances, choices, strict=True)),
        np.zeros_like(spread),
    )
    return mean


def _root(covariance: FloatArray) -> FloatArray:
    """A matrix whose product with its own transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _diagonal(blocks: Sequence[FloatArray]) -> FloatArray:
    """Matrices along the diagonal of one, with zeros elsewhere."""
    out = np.zeros((sum(len(each) for each in blocks), sum(each.shape[1] for each in blocks)))
    row = column = 0
    for each in blocks:
        out[row : row + len(each), column : column + each.shape[1]] = each
        row, column = row + len(each), column + each.shape[1]
    return out


def _fitted(
    rows: Tensor, views: Sequence[View], root: FloatArray, alike: FloatArray, base: FloatArray, temperature: float
) -> tuple[FloatArray, FloatArray]:
    """Return the effects of largest posterior, (codes, classes), and a base with which classes have their shares.

    Args:
        rows: made rows as one-hot vectors, (rows, codes).
        views: what is known of each column.
        root: of the prior's covariance between codes, (codes, codes).
        alike: root of that between classes, (classes, classes).
        base: shares of the classes, (classes,).
        temperature: what effects are divided by in the end.
    """
    own = base * (1.0 - base)
    noise = np.concatenate([each.noise[:, None] + each.luck[:, None] * own for each in views])
    look, sums, variances, reach, sides, level = (
        torch.from_numpy(array).float()
        for array in (
            _diagonal([each.look for each in views]),
            np.concatenate([each.sums for each in views]),
            noise,
            root,
            alike,
            base,
        )
    )
    alone = rows.mean(0)[:, None] * level  # (codes, classes): the tables of made rows, were the target independent
    turned, scale, across = _straightened(look @ _spread(rows) @ reach, variances, sides, level)
    steps = torch.zeros_like(scale, requires_grad=True)
    drift = torch.zeros_like(level, requires_grad=True)
    centred = rows - rows.mean(0)  # so that effects hardly move the shares of classes

    def misfit() -> Tensor:
        weights = turned @ (steps * scale) @ across.T
        chances = centred @ (reach @ weights @ sides.T) + level.log() + HELD * drift
        chances = torch.softmax(chances, dim=1)  # (rows, classes)
        excess = look @ (rows.T @ chances / len(rows) - alone)  # (sums, classes)
        apart = sums - (excess - excess.mean(dim=1, keepdim=True))
        off = (chances.mean(0) - level) / (HELD * level)
        return 0.5 * ((apart.square() / variances).sum() + weights.square().sum() + off.square().sum())

    _minimise(misfit, [steps, drift])
    effects = (reach @ turned @ (steps.detach() * scale) @ across.T @ sides.T) / temperature
    along = rows @ effects
    offset = level.log().clone().requires_grad_(True)
    _minimise(lambda: torch.logsumexp(along + offset, dim=1).mean() - (offset * level).sum(), [offset])
    return effects.double().numpy(), offset.detach().double().numpy()


def _spread(rows: Tensor) -> Tensor:
    """The covariance of one-hot codes, (codes, codes)."""
    mean = rows.mean(0)
    return rows.T @ rows / len(rows) - torch.outer(mean, mean)


def _straightened(moved: Tensor, variances: Tensor, sides: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Axes along which the misfit of weights bends equally much where effects are small, so that its minimum is near.

    Some sums are known a thousand times better than others. Without this, steps along them are all that happens.

    Args:
        moved: how sums of codes answer to weights, (sums, weights).
        variances: of the sums, (sums, classes).
        sides: root of the covariance between classes, (classes, classes).
        level: shares of the classes, (classes,).

    Returns:
        Rotations of the rows of weights, (weights, weights), and of its columns, (classes, classes), and how far a
        step goes along each pair of axes, (weights, classes).
    """
    classes = (torch.diag(level) - torch.outer(level, level)) @ sides
    along, turned = torch.linalg.eigh(moved.T @ (moved / variances.mean(dim=1, keepdim=True)))
    between, across = torch.linalg.eigh(classes.T @ classes)
    bend = 1.0 + torch.outer(along.clamp_min(0.0), between.clamp_min(0.0))
    return turned, bend.rsqrt(), across


def _minimise(value: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    """Find a minimum of a smooth function of a few parameters."""
    solver = torch.optim.LBFGS(parameters, max_iter=UPDATES, history_size=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        now = value()
        torch.autograd.backward(now)
        return now.detach()

    solver.step(loss)  # type: ignore[no-untyped-call]
