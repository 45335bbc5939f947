"""The row writer sees only what is written before, and its rows are drawn from exactly what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_tables import clinic

from synthrelease.core.contracts import BoolArray, Column, Schema, Table
from synthrelease.core.errors import TrainingError
from synthrelease.synthesis.encoding.binning import FINE
from synthrelease.synthesis.encoding.table_encoder import Encoder
from synthrelease.synthesis.generators.autoregressive_gan.column_cells import LEARNED_FEATURES, Cells
from synthrelease.synthesis.generators.autoregressive_gan.masked_network import RowWriter, Walk, Width
from synthrelease.synthesis.generators.autoregressive_gan.sampling import (
    Choice,
    Manner,
    Spread,
    choices,
    draw,
    piece_rows,
    settle,
)

WIDTHS = [Width(24, 0), Width(24, 1), Width(7, 2)]


def made(table: Table, width: Width = WIDTHS[1], *, scale: float = 0.2) -> tuple[Cells, RowWriter, torch.Tensor]:
    """The cells of a table, a writer with random weights, and the rows as cells."""
    encoder = Encoder.fit(table, FINE)
    encoded = encoder.encode(table.frame)
    cells = Cells.fit(encoder, encoded, order=[4, 2, 0, 3, 1], knots=5)
    writer = RowWriter(cells, width, rng=torch.Generator().manual_seed(0)).requires_grad_(requires_grad=False)
    rng = torch.Generator().manual_seed(1)
    for each in writer.parameters():
        each.add_(scale * torch.randn(each.shape, generator=rng))
    return cells, writer, torch.from_numpy(cells.codes(encoded))


def drawn(
    cells: Cells, writer: RowWriter, rows: int, *, spread: Spread = "even", manner: Manner | None = None
) -> tuple[np.ndarray, np.ndarray]:
    weights = writer.weights()
    ready = choices(writer, weights, cells, manner or Manner())
    return draw(writer, weights, ready, rows, spread=spread, rng=np.random.default_rng(0))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_column_changes_nothing_before_itself(width):
    cells, writer, codes = made(clinic(), width)
    weights, row = writer.weights(), codes[:1]
    for place, column in enumerate(cells.columns):
        other = row.clone()
        other[0, place] = (row[0, place] + 1) % column.size
        scores = [writer.scores(writer.features(each, weights), weights) for each in (row, other)]
        same = (scores[0] == scores[1]).flatten()
        starts = writer.feature_starts
        assert same[: starts[place + 1]].all()
        assert place == len(cells.columns) - 1 or not same[starts[place + 1] :].all()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("in_place", [True, False])
def test_writing_column_by_column_says_what_one_pass_says(width, in_place):
    cells, writer, codes = made(clinic(), width)
    weights = writer.weights()
    walk, losses = Walk(writer, weights, len(codes), in_place=in_place), []
    for place in range(len(cells.columns)):
        logits = writer.logits(place, walk.scores(place), weights)
        losses.append(torch.nn.functional.cross_entropy(logits, codes[:, place], reduction="none"))
        walk.write(place, weights.tables[place][codes[:, place]])
    torch.testing.assert_close(torch.stack(losses, 1), writer.surprise(codes, weights), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(walk.written, writer.features(codes, weights))


def test_probabilities_of_all_rows_add_up_to_one():
    table = clinic()
    schema = Schema((Column("ward", "categorical", categories=("A", "B", "C", "Z")), table.schema.columns[4]))
    table = Table(table.frame[["ward", "ill"]], schema, "real")
    encoder = Encoder.fit(table, FINE)
    cells = Cells.fit(encoder, encoder.encode(table.frame), order=[1, 0], knots=4)
    writer = RowWriter(cells, Width(8, 1), rng=torch.Generator().manual_seed(0)).requires_grad_(requires_grad=False)
    writer.linear += 1.0
    sizes = [column.size for column in cells.columns]
    every = torch.cartesian_prod(*(torch.arange(size) for size in sizes))
    assert float((-writer.surprise(every, writer.weights()).sum(1)).exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_an_unlearned_writer_has_the_training_shares():
    cells, writer, codes = made(clinic(), scale=0.0)
    writer.leave *= 0.0
    surprise = writer.surprise(codes, writer.weights())
    for place, column in enumerate(cells.columns):
        expected = -np.log(column.shares[codes[:, place].numpy()])
        np.testing.assert_allclose(surprise[:, place].numpy(), expected, rtol=1e-4)


def test_rows_written_with_a_gradient_hold_cells_and_teach_every_weight():
    _, writer, _ = made(clinic())
    writer.requires_grad_(requires_grad=True)
    weights = writer.weights()
    written = writer.relaxed(64, weights, tau=0.7, rng=torch.Generator().manual_seed(0))
    start = 0
    for table in weights.tables:
        part = written[:, start : start + table.shape[1]].detach()
        assert float((part.unsqueeze(1) - table).abs().sum(2).min(1).values.max()) < 1e-5
        start += table.shape[1]
    torch.autograd.backward(written.square().sum())
    assert all(each.grad is not None and float(each.grad.abs().sum()) > 0 for each in writer.parameters())


@pytest.mark.parametrize("spread", ["independent", "even", "balanced"])
def test_drawn_rows_have_the_probabilities_that_the_writer_says(spread):
    cells, writer, _ = made(clinic(), scale=0.1)
    rows = 3_000 if spread == "balanced" else 20_000
    codes, positions = drawn(cells, writer, rows, spread=spread)
    assert ((positions >= 0) & (positions < 1)).all()
    weights = writer.weights()
    scores = writer.scores(writer.features(torch.from_numpy(codes), weights), weights)
    for place, column in enumerate(cells.columns):
        part = scores[:, writer.feature_starts[place] : writer.feature_starts[place + 1]]
        logits = writer.logits(place, part, weights).masked_fill(~torch.from_numpy(column.emitted), -torch.inf)
        expected = torch.softmax(logits, 1).mean(0).numpy()
        found = np.bincount(codes[:, place], minlength=column.size) / len(codes)
        assert np.abs(found - expected).max() < (0.015 if spread == "independent" else 40 / rows)


def test_even_numbers_leave_less_noise_in_shares_than_independent_ones():
    cells, writer, _ = made(clinic(), scale=0.05)
    noise = {}
    for spread in ("even", "independent"):
        codes, _ = drawn(cells, writer, 400, spread=spread)
        noise[spread] = np.mean(
            [
                np.abs(np.bincount(codes[:, place], minlength=column.size) / 400 - column.shares).sum()
                for place, column in enumerate(cells.columns)
            ]
        )
    assert noise["even"] < 0.7 * noise["independent"]


def test_settling_gives_written_rows_the_shares_of_the_training_rows():
    cells, writer, _ = made(clinic(), scale=0.2)

    def gap() -> float:
        codes, _ = drawn(cells, writer, 8_000)
        return sum(
            np.abs(
                np.bincount(codes[:, place], minlength=column.size) / 8_000
                - column.shares * column.emitted / column.shares[column.emitted].sum()
            ).sum()
            for place, column in enumerate(cells.columns)
        )

    before = gap()
    settle(writer, cells, Manner())
    assert gap() < before / 4


def test_what_too_few_rows_hold_is_never_drawn():
    cells, writer, _ = made(clinic())
    place = cells.places.index(3)
    codes, _ = drawn(cells, writer, 5_000)
    assert not cells.columns[place].emitted.all()
    assert cells.columns[place].emitted[codes[:, place]].all()


def test_only_what_is_given_is_drawn():
    cells, writer, _ = made(clinic())
    given: BoolArray = np.array([False, True])
    codes, _ = drawn(cells, writer, 300, manner=Manner(given={0: given}))
    assert (codes[:, 0] == 1).all()


def test_a_low_temperature_sharpens_rows_and_keeps_shares():
    cells, writer, _ = made(clinic(), scale=0.5)
    last = len(cells.columns) - 1
    plain, _ = drawn(cells, writer, 4_000)
    sharp, _ = drawn(cells, writer, 4_000, manner=Manner(target=last, temperature=0.3))
    assert (plain[:, :last] == sharp[:, :last]).all()
    size = cells.columns[last].size
    shares = [np.bincount(each[:, last], minlength=size) / 4_000 for each in (plain, sharp)]
    assert np.abs(shares[0] - shares[1]).max() < 0.01
    weights = writer.weights()
    surprise = [float(writer.surprise(torch.from_numpy(each), weights)[:, last].mean()) for each in (plain, sharp)]
    assert surprise[1] < surprise[0]


def risks(rows: int = 2_000) -> torch.Tensor:
    """Logits of two labels, the second of which few rows are likely to have."""
    scores = torch.randn(rows, 1, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.zeros(rows, 1), 1.5 * scores - 4.0], dim=1)


def test_rows_where_a_rare_label_is_likeliest_are_drawn_the_most_decisively():
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    logits = risks()
    plain = torch.softmax(logits, dim=1)
    even, bent = sharpened(logits, 0.4), sharpened(logits, 0.4, 1)
    for each in (even, bent):
        assert each.mean(dim=0).tolist() == pytest.approx(plain.mean(dim=0).tolist(), abs=1e-3)
        assert each.sum(dim=1).tolist() == pytest.approx([1.0] * len(logits))
    odds = [(each[:, 1] / each[:, 0]).log() for each in (plain, bent)]
    order = odds[0].argsort()
    assert bool((odds[1][order].diff() > -1e-4).all())  # nobody overtakes anybody
    top = round(3 * float(plain[:, 1].mean()) * len(logits))

    def slope(rows: torch.Tensor) -> float:
        first, last = rows[0], rows[-1]
        return float((odds[1][last] - odds[1][first]) / (odds[0][last] - odds[0][first]))

    assert slope(order[-top:]) == pytest.approx(0.4**-2, rel=0.05)
    assert slope(order[: -top - 1]) == pytest.approx(1 / 0.4, rel=0.05)


def test_a_rare_label_among_several_keeps_the_shares_of_all():
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    logits = torch.randn(2_000, 3, generator=torch.Generator().manual_seed(1)) - torch.tensor([0.0, 1.0, 3.0])
    wanted = torch.softmax(logits, dim=1).mean(dim=0).tolist()
    assert sharpened(logits, 0.4, 2).mean(dim=0).tolist() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 0.42])
@pytest.mark.parametrize("rare", [None, 1])
def test_shares_are_kept_at_the_lowest_temperatures(temperature, rare):
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    logits = risks() + torch.tensor([0.0, 1.0])
    wanted = float(torch.softmax(logits, dim=1)[:, 1].mean())
    assert float(sharpened(logits, temperature, rare)[:, 1].mean()) == pytest.approx(wanted, rel=0.02)


def test_a_class_that_is_not_rare_has_one_temperature():
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    logits = risks() + torch.tensor([0.0, 3.5])
    assert torch.equal(sharpened(logits, 0.4, 1), sharpened(logits, 0.4))


def test_at_a_temperature_of_one_no_row_is_drawn_more_decisively():
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    assert torch.equal(sharpened(risks(), 1.0, 1), torch.softmax(risks(), dim=1))


def test_one_label_alone_stays_what_it_is():
    from synthrelease.synthesis.generators.autoregressive_gan.sampling import sharpened

    assert sharpened(torch.zeros(5, 1), 0.4, 0).tolist() == [[1.0]] * 5


def test_a_network_that_is_not_finite_is_an_error():
    cells, writer, _ = made(clinic())
    writer.enter_bias += torch.nan
    with pytest.raises(TrainingError, match="finite values"):
        drawn(cells, writer, 10)


def test_numbers_at_both_ends_point_to_cells_that_may_be_drawn():
    from synthrelease.synthesis.generators.autoregressive_gan import sampling

    shares = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]).repeat(3, 1)
    chosen, spot = sampling._inverted(shares, torch.tensor([0.0, 0.5, 1.0]))
    assert chosen.tolist() == [1, 3, 3]
    assert spot[:2].tolist() == pytest.approx([0.0, 0.0])
    assert 0 <= float(spot[2]) < 1


def test_cells_come_back_from_json_and_many_labels_share_features():
    rng = np.random.default_rng(0)
    import pandas as pd

    labels = tuple(f"c{place}" for place in range(200))
    frame = pd.DataFrame({"x": pd.Categorical.from_codes(rng.integers(0, 200, 6_000), list(labels))})
    table = Table(frame, Schema((Column("x", "categorical", categories=labels),)), "real")
    for each, order in ((table, [0]), (clinic(), [4, 2, 0, 3, 1])):
        encoder = Encoder.fit(each, FINE)
        cells = Cells.fit(encoder, encoder.encode(each.frame), order=order, knots=6)
        again = Cells.from_json(cells.to_json(encoder), encoder)
        assert (again.places, again.rows, again.knots) == (cells.places, cells.rows, cells.knots)
        for a, b in zip(cells.columns, again.columns, strict=True):
            np.testing.assert_array_equal(a.features, b.features)
            np.testing.assert_array_equal(a.shares, b.shares)
            np.testing.assert_array_equal(a.order, b.order)
    encoder = Encoder.fit(table, FINE)
    cells = Cells.fit(encoder, encoder.encode(frame), order=[0], knots=6)
    assert cells.columns[0].learned == LEARNED_FEATURES
    assert cells.columns[0].width < 200
    assert piece_rows(RowWriter(cells, Width(8, 0), rng=torch.Generator()), cells) >= 256
    assert isinstance(
        choices(*(lambda w: (w, w.weights()))(RowWriter(cells, Width(8, 0), rng=torch.Generator())), cells, Manner())[
            0
        ],
        Choice,
    )
