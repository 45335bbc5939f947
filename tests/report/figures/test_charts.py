from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from sample_report import FIGURES

from synthrelease.core.contracts import Figure, Line
from synthrelease.report.figures import charts, svg

NAN, INF = math.nan, math.inf
HOSTILE = (
    "<script>alert(1)</script>",
    "=cmd|'/C calc'!A0",
    '"onload="x\' & </svg>',
    "<img src=x onerror=1>",
    "n" * 300,
)
SAMPLES = [figure for figures in FIGURES.values() for figure in figures]
SVG = "{http://www.w3.org/2000/svg}"


def figure(kind, *lines, **changes):
    plain = Figure("f", kind, "A title", "A caption", "x label", "y label", tuple(lines))
    return replace(plain, **changes)


def parse(drawing):
    return ElementTree.fromstring(str(drawing))


def texts(root):
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def numbers_in(root):
    for element in root.iter():
        for name, value in element.attrib.items():
            if name not in ("fill", "stroke", "class", "role", "font-family", "text-anchor", "fill-opacity"):
                yield from map(float, re.findall(r"-?\d+\.?\d*(?:e-?\d+)?|nan|inf", value))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_samples_are_well_formed_and_stay_inside_their_box(sample):
    root = parse(charts.draw(sample))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == sample.title
    assert root.find(f"{SVG}desc").text == sample.caption
    for element in root.iter(f"{SVG}path"):
        x = [float(pair.split()[0]) for pair in element.attrib["d"][1:].split(" L")]
        y = [float(pair.split()[1]) for pair in element.attrib["d"][1:].split(" L")]
        assert min(x) >= 0
        assert max(x) <= width
        assert min(y) >= 0
        assert max(y) <= height


def test_a_curve_lies_where_its_numbers_say():
    root = parse(charts.draw(figure("curve", Line("a", (0.0, 5.0, 10.0), (0.0, 0.5, 1.0)))))
    curve = next(e for e in root.iter(f"{SVG}path") if e.attrib["stroke"] == svg.COLOURS[0])
    points = [tuple(map(float, pair.split())) for pair in curve.attrib["d"][1:].split(" L")]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 == pytest.approx((x0 + x2) / 2)
    assert y1 == pytest.approx((y0 + y2) / 2)
    assert y2 < y0


def test_a_logarithmic_axis_puts_decades_at_equal_steps_and_leaves_out_zero():
    line = Line("a", (0.0, 0.01, 0.1, 1.0), (0.1, 0.2, 0.3, 0.4))
    root = parse(charts.draw(figure("curve", line, log_x=True, diagonal=True)))
    curve = [e for e in root.iter(f"{SVG}path") if e.attrib["stroke"] == svg.COLOURS[0]][-1]
    x = [float(pair.split()[0]) for pair in curve.attrib["d"][1:].split(" L")]
    assert len(x) == 3
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert {"0.01", "0.1", "1"} <= set(texts(root))


def test_points_that_are_not_finite_leave_a_gap_and_never_reach_the_drawing():
    line = Line("a", (0.0, 1.0, 2.0, 3.0, 4.0, INF), (0.1, 0.2, NAN, 0.4, 0.3, 0.2), (NAN,) * 6, (INF,) * 6)
    drawing = charts.draw(figure("curve", line))
    root = parse(drawing)
    stretches = [e for e in root.iter(f"{SVG}path") if e.attrib["stroke"] == svg.COLOURS[0]]
    assert len(stretches) == 2
    assert all(math.isfinite(value) for value in numbers_in(root))


@pytest.mark.parametrize("kind", ["curve", "bars", "dots"])
@pytest.mark.parametrize("lines", [(), (Line("a", (), ()),), (Line("a", (1.0, 2.0), (NAN, INF)),)])
def test_nothing_to_draw_is_a_sentence(kind, lines):
    drawing = charts.draw(figure(kind, *lines))
    assert "<svg" not in drawing
    assert "holds no numbers" in drawing


@pytest.mark.parametrize("kind", ["bars", "dots"])
@pytest.mark.parametrize("y", [(0.0, 0.0), (-3.0, 2.0), (1e-9, 2e-9), (1e12, 3e12), (5.0, 5.0)])
def test_labelled_drawings_take_any_magnitude(kind, y):
    root = parse(charts.draw(figure(kind, Line("a", ("p", "q"), y, tuple(v - 1 for v in y), tuple(v + 1 for v in y)))))
    assert all(math.isfinite(value) for value in numbers_in(root))
    assert all(float(e.attrib["width"]) >= 0 for e in root.iter(f"{SVG}rect"))


@pytest.mark.parametrize("y", [(5.0,), (5.0, 5.0), (0.0, 0.0), (-1e-9, 1e-9), (-4.0, 9e9)])
def test_curves_take_any_magnitude(y):
    x = tuple(float(i) for i in range(len(y)))
    for changes in ({}, {"diagonal": True}, {"log_x": True, "diagonal": True}):
        drawing = charts.draw(figure("curve", Line("a", tuple(v + 1 for v in x), y), **changes))
        assert all(math.isfinite(value) for value in numbers_in(parse(drawing)))


@pytest.mark.parametrize("kind", ["curve", "bars", "dots"])
def test_hostile_names_are_text_and_long_ones_keep_their_whole_text(kind):
    x = (0.0, 1.0, 2.0, 3.0, 4.0) if kind == "curve" else HOSTILE
    lines = tuple(Line(name, x, (1.0, 2.0, 3.0, 4.0, 5.0)) for name in HOSTILE)
    drawing = charts.draw(
        figure(kind, *lines, title=HOSTILE[0], caption=HOSTILE[2], x_label=HOSTILE[3], y_label=HOSTILE[2])
    )
    root = parse(drawing)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "path",
        "text",
        "rect",
        "circle",
    }
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert "n" * 300 in [element.text for element in root.iter(f"{SVG}title")]


def test_series_differ_by_more_than_colour():
    lines = tuple(Line(str(i), (0.0, 1.0), (float(i), i + 1.0)) for i in range(20))
    root = parse(charts.draw(figure("curve", *lines)))
    paths = [e for e in root.iter(f"{SVG}path") if e.attrib["stroke-width"] == "2.2"]
    assert len({(e.attrib["stroke"], e.attrib.get("stroke-dasharray")) for e in paths}) == 20
    first = [e.attrib.get("stroke-dasharray") for e in paths[:4]]
    assert len(set(first)) == 4


def test_many_labels_lie_down_and_say_how_many_are_left_out():
    labels = tuple(f"column number {i}" for i in range(100))
    root = parse(charts.draw(figure("bars", Line("a", labels, tuple(float(i) for i in range(100))))))
    words = texts(root)
    assert "column number 59" in words
    assert "column number 60" not in words
    assert f"The first {charts.MAX_ROWS} of 100; the table holds all." in words


def test_ticks_are_round_and_inside():
    assert svg.ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.ticks(-3.0, 7.0) == [-2.0, 0.0, 2.0, 4.0, 6.0]
    assert svg.log_ticks(0.001, 1.0) == pytest.approx([0.001, 0.01, 0.1, 1.0])


def test_the_table_holds_the_numbers_of_the_drawing():
    shared = figure(
        "dots", Line("a", ("p", "q"), (0.5, NAN), (0.4, NAN), (0.6, NAN)), Line("b", ("p", "q"), (1.0, 2.0))
    )
    assert charts.table(shared).header == ("x label", "a", "b")
    assert charts.table(shared).rows == (("p", "0.500 (0.400 to 0.600)", "1"), ("q", "not known", "2"))
    apart = replace(shared, lines=(shared.lines[0], Line("b", ("r",), (3.0,))))
    assert charts.table(apart).header == ("Series", "x label", "y label")
    assert charts.table(apart).rows[-1] == ("b", "r", "3")


def test_long_curves_are_thinned_with_both_ends_kept():
    x = tuple(float(i) for i in range(5000))
    thinned = charts.table(figure("curve", Line("a", x, x)))
    assert len(thinned.rows) == charts.MAX_TABLE
    assert (thinned.rows[0][0], thinned.rows[-1][0]) == ("0", "4,999")
    assert thinned.note
    assert len(charts.draw(figure("curve", Line("a", x, x)))) < 12_000


def test_the_gauge_shades_the_side_that_is_not_allowed():
    for below in (True, False):
        root = parse(
            f'<r xmlns="http://www.w3.org/2000/svg">{charts.gauge(0.5, 0.4, 0.6, limit=0.7, allowed_below=below)}</r>'
        )
        shade = next(root.iter(f"{SVG}rect")).attrib
        dot = float(next(root.iter(f"{SVG}circle")).attrib["cx"])
        inside = float(shade["x"]) < dot < float(shade["x"]) + float(shade["width"])
        assert inside is not below
    assert charts.gauge(NAN, 0.4, 0.6, limit=0.7, allowed_below=True) == ""
    assert "nan" not in charts.gauge(0.0, 0.0, 0.0, limit=0.0, allowed_below=True)


def test_squares_of_a_grid_have_areas_like_their_values():
    drawn = parse(charts.draw(figure("grid", Line("s", ("a", "b"), (4.0, 1.0), row=("r", "r")))))
    sides = [float(e.attrib["width"]) for e in drawn.iter(f"{SVG}rect")]
    assert sides[0] == pytest.approx(2 * sides[1], abs=0.1)
    assert "A square that fills its cell is 4." in texts(drawn)


def test_a_grid_draws_no_square_for_nothing_and_a_cross_for_what_is_masked():
    line = Line("s", ("a", "b", "c", "d"), (4.0, 0.0, NAN, NAN), row=("r",) * 4, people=(9, 0, 2, 0))
    drawn = parse(charts.draw(figure("grid", line)))
    assert len(list(drawn.iter(f"{SVG}rect"))) == 1
    plain = parse(charts.draw(figure("grid", replace(line, people=()))))
    assert len(list(drawn.iter(f"{SVG}path"))) == len(list(plain.iter(f"{SVG}path"))) + 2
    shown = charts.table(figure("grid", line))
    assert shown.header == ("Row", "a", "b", "c", "d")
    assert shown.rows == (("r", "4", "0", "masked", "not known"),)


def test_a_cell_of_a_grid_holds_every_series_in_its_table():
    lines = (Line("real", ("a",), (1.0,), row=("r",)), Line("made", ("a", "b"), (2.0, 3.0), row=("r", "r")))
    shown = charts.table(figure("grid", *lines))
    assert shown.rows == (("r", "1 / 2", "3"),)
    assert shown.note == "In each cell: real / made"


def test_an_empty_grid_says_so():
    assert "Nothing to draw" in charts.draw(figure("grid", Line("s", ("a",), (NAN,), row=("r",))))


def test_both_axes_can_be_logarithmic_and_zero_is_left_out():
    line = Line("attack", (0.001, 0.01, 0.1, 1.0), (0.0, 0.02, 0.2, 1.0), (0.0, 0.0, 0.1, 0.9), (0.1, 0.1, 0.3, 1.0))
    drawn = parse(charts.draw(figure("curve", line, log_x=True, log_y=True, diagonal=True)))
    assert not [number for number in numbers_in(drawn) if not math.isfinite(number)]
    assert {"0.02", "0.1", "1"} & set(texts(drawn))


def test_a_histogram_has_a_bar_a_range_and_an_outline_for_the_other_side():
    lines = (
        Line("real", ("a", "b", "c"), (1.0, NAN, 2.0), people=(5, 2, 9)),
        Line("made", ("a", "b", "c"), (1.0, 1.0, 1.0)),
    )
    drawn = parse(charts.draw(figure("histogram", *lines)))
    bars = [e for e in drawn.iter(f"{SVG}rect") if float(e.attrib["width"]) > 20]
    assert len(bars) == 2
    assert any(e.attrib["stroke"] == svg.COLOURS[1] for e in drawn.iter(f"{SVG}path"))


def test_a_range_beside_its_reference_is_empty_without_one():
    assert "<circle" in charts.span_picture(0.5, 0.4, 0.6, reference=0.5)
    for broken in ((0.5, 0.4, 0.6, None), (NAN, 0.4, 0.6, 0.5), (0.5, 0.5, 0.5, 0.5)):
        assert charts.span_picture(*broken[:3], reference=broken[3]) == ""
