"""The parts that figures are made of, which no layout engine has a say in."""

from __future__ import annotations

import random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value, draw
from tinygrad_edu.drawing.figures.diagram import Diagram, Link, Node
from tinygrad_edu.drawing.figures.geometry import Obstacles, point_on
from tinygrad_edu.drawing.figures.graph import drawn_nodes, graph_diagram
from tinygrad_edu.drawing.figures.png import ITALIC_FONT, REGULAR_FONT
from tinygrad_edu.drawing.figures.references import cut_links
from tinygrad_edu.drawing.figures.text import number_text, printable, text_width


def figure_1() -> Value:
    f = (Value(2.0, "x") + Value(3.0, "y")) * Value(4.0, "z")
    f.backward()
    return f


def test_obstacles_agree_with_a_search_through_all_boxes() -> None:
    source = random.Random(0)
    boxes = []
    for _ in range(200):
        x, y = source.uniform(-500, 500), source.uniform(-500, 500)
        boxes.append(((x, y), (x + source.uniform(5, 200), y + source.uniform(5, 60))))
    obstacles = Obstacles(boxes)
    outcomes = set()
    for _ in range(100):
        x, y = source.uniform(-500, 500), source.uniform(-500, 500)
        segment = [(x + source.uniform(0, 80), y + source.uniform(0, 80)) for _ in range(4)]
        but = source.randrange(200)
        points = [point_on(segment, k / 1000) for k in range(1001)]

        def inside(margin: float) -> bool:
            return any(
                x0 + margin < px < x1 - margin and y0 + margin < py < y1 - margin
                for index, ((x0, y0), (x1, y1)) in enumerate(boxes)
                if index != but  # noqa: B023
                for px, py in points  # noqa: B023
            )

        hit = obstacles.hit(segment, but)
        assert hit or not inside(6.0)  # it looks every four points, so corners may escape it
        assert inside(0.99) or not hit
        outcomes.add(hit)
    assert outcomes == {True, False}


@settings(max_examples=200)
@given(st.text(max_size=20))
def test_printable_text_is_xml(text: str) -> None:
    shown = printable(text)
    assert ElementTree.fromstring(f"<x>{shown.replace('&', '').replace('<', '')}</x>") is not None
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_widths_are_upper_bounds_in_the_font_that_ships() -> None:
    tt_font = pytest.importorskip("fontTools.ttLib").TTFont
    for path in (REGULAR_FONT, ITALIC_FONT):
        font = tt_font(path)
        names, unit = font.getBestCmap(), font["head"].unitsPerEm
        for code in [*range(0x20, 0x7F), *range(0xA0, 0x100), *range(0x391, 0x3CA), 0x2212]:
            if code in names:
                width = font["hmtx"][names[code]][0] / unit
                assert width <= text_width(chr(code), 1.0) + 0.005, chr(code)


@pytest.mark.parametrize(
    ("number", "number_format", "text"),
    [
        (4.0, ".4g", "4"),
        (-1.5, ".4g", "−1.5"),
        (-0.0, ".4g", "0"),
        (1 / 3, ".2f", "0.33"),
        (1e-9, ".4g", "1e−09"),
        (float("inf"), ".4g", "inf"),
        (float("-inf"), ".4g", "−inf"),
        (float("nan"), ".4g", "nan"),
        (2.0, lambda x: f"{x:.1f} V", "2.0 V"),
    ],
)
def test_number_text(number: float, number_format: Any, text: str) -> None:
    assert number_text(number, number_format) == text


def test_a_node_that_a_second_path_leads_to_is_drawn_whole() -> None:
    """tanh(b) is at depth 1 but needs b, which is at depth 1 by itself: a link joins them."""
    x = Value(2.0, "x")
    b = x + 1
    f = b * b.tanh()
    nodes, cut = drawn_nodes(f, 1)
    assert [node in cut for node in nodes] == [True, True, False]


def test_depth_copes_with_a_chain_of_any_length() -> None:
    x = Value(1.0, "x")
    for _ in range(100_000):
        x = x + 1.0
    assert len(graph_diagram(x, depth=3).nodes) == 7


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"direction": "down"}, ValueError, "direction: expected one of LR, RL, TB, BT"),
        ({"constants": "no"}, ValueError, "constants: expected one of show, inside, hide"),
        ({"number_format": "%d"}, ValueError, "number_format: expected a format specification"),
        ({"number_format": 3}, ValueError, "number_format: expected a format specification"),
        ({"parameters": [1.0]}, TypeError, "parameters: expected Values, got float"),
        ({"expand": ["x"]}, TypeError, "expand: expected Values, got str"),
        ({"depth": -1}, ValueError, "depth: expected a number of operations"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw(figure_1(), **options)


def test_only_values_are_drawn() -> None:
    with pytest.raises(TypeError, match=r"output: expected a Value, got float 3\.0"):
        draw(3.0)  # type: ignore[arg-type]


def test_short_lines_are_never_cut() -> None:
    nodes = tuple(Node(("+",), above="1") for _ in range(500))
    chain = Diagram(nodes, tuple(Link(i, i + 1) for i in range(499)))
    assert cut_links(chain.columns, chain.links) == frozenset()
    two = graph_diagram(figure_1())
    assert cut_links(two.columns, two.links) == frozenset()
    far = Diagram(nodes, (*chain.links, *(Link(0, i, 1) for i in range(20, 500))))
    cut = cut_links(far.columns, far.links)
    assert set(chain.links).isdisjoint(cut)
    assert len(cut) > 400
