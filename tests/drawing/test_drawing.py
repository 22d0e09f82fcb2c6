"""Figures: their DOT text, their SVG, where things stand in it, and what the options do."""

from __future__ import annotations

import random
import re
import subprocess
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value, atan2, dot, draw, explain, grad, maximum, where
from tinygrad_edu.drawing import Figure
from tinygrad_edu.drawing.figures.diagram import DIRECTIONS, dot_text
from tinygrad_edu.drawing.figures.geometry import box_of, point_on
from tinygrad_edu.drawing.figures.graph import drawn_nodes, graph_diagram, operation_title
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.drawing.figures.text import label_lines, printable, text_width, typeset
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.value import Constant, topological_order
from tinygrad_edu.nn import MLP, Neuron

pytestmark = pytest.mark.usefixtures("each_engine")

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("1 & 2")</script> \\ | {x} </svg>\n\x07\x00 \ud800 שלום 输入 🎉 ‮'


def figure_1() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    g = x + y
    g.label = "g"
    f = g * z
    f.label = "f"
    f.backward()
    return f


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    h, i = x + y, x * y
    g = h + i
    f = g * z
    for node, label in ((h, "h"), (i, "i"), (g, "g"), (f, "f")):
        node.label = label
    f.backward()
    return f


def random_graph(size: int, seed: int) -> Value:
    source = random.Random(seed)
    pool = [Value(round(source.uniform(-2, 2), 2), f"x{i}") for i in range(source.randint(2, 9))]
    while len(pool) < size:
        a, b = source.choice(pool[-8:]), source.choice(pool)
        some = source.sample(pool, min(len(pool), source.randint(1, 9)))
        node = source.choice(
            [a + b, a * b, a - b, a.tanh(), a * 2.5, maximum(a, b), functional.sum(some)]
        )
        if source.random() < 0.3:
            node.label = source.choice(["g", "hidden unit 7", "loss\nof step"])
        pool.append(node)
    used = {operand for node in pool for operand in node.operands}
    output = functional.sum([node for node in pool if node not in used])
    output.backward()
    return output


def parse(figure: Figure) -> ElementTree.Element:
    return ElementTree.fromstring(figure.svg)


def by_id(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    named = [element for element in root.iter() if "id" in element.attrib]
    found = {element.attrib["id"]: element for element in named}
    assert len(found) == len(named), "an id is there twice"
    return found


def texts(element: ElementTree.Element, kind: str) -> list[str]:
    found = [x for x in element.iter(f"{SVG}text") if x.get("class") == kind]
    return ["".join(x.itertext()) for x in found]


# --- DOT text -------------------------------------------------------------------------------------


def test_dot_text_of_figure_1() -> None:
    value = '<font color="#15803d">{}</font>&#160; <font color="#c81e1e">{}</font>'
    lines = [line.strip() for line in draw(figure_1()).dot.splitlines()]
    assert lines[0] == "digraph f {"
    labels = {
        line.split(" [")[0]: line.split("label=<")[1].split(">]")[0].split("> ord")[0]
        for line in lines
        if re.match(r"n\d \[", line)
    }
    assert labels == {
        "n0": "x<br/>" + value.format(2, 4),
        "n1": "y<br/>" + value.format(3, 4),
        "n2": "+<br/><i>g</i><br/>" + value.format(5, 4),
        "n3": "z<br/>" + value.format(4, 5),
        "n4": "*<br/><i>f</i><br/>" + value.format(20, 1),
    }
    assert [line for line in lines if "->" in line] == [
        'n0:e -> n2:w [id="e-0-2-0"]',
        'n1:e -> n2:w [id="e-1-2-1"]',
        'n2:e -> n4:w [id="e-2-4-0" weight=3]',
        'n3:e -> n4:w [id="e-3-4-1"]',
    ]


def test_dot_text_is_the_same_from_run_to_run() -> None:
    assert draw(figure_2()).dot == draw(figure_2()).dot
    assert draw(figure_2()).svg == draw(figure_2()).svg


def test_sizes_for_the_layout_are_all_fixed() -> None:
    """Else the layout would depend on fonts, and differ between machines."""
    diagram = graph_diagram(random_graph(40, 1))
    text = dot_text(diagram, layout=True)
    assert "fixedsize=true" in text
    nodes = re.findall(r"^\t*n\d+ \[.*", text, re.MULTILINE)
    assert len(nodes) == len(diagram.nodes)
    assert all("width=" in node and "height=" in node for node in nodes)
    assert "label=<" not in text


def test_a_saved_dot_file_is_good_for_graphviz(require_dot: Any) -> None:
    """Nothing to complain about, every text as it is, and no box too small for its text."""
    require_dot()
    labels = ["\\N \\G", "a\\", "<b>&", "w1_23", "theta", "输入", "a long name of a node", "]]>"]
    nodes = [Value(float(i), label) for i, label in enumerate(labels)]
    output = functional.sum([(a - b) * nodes[0] for a, b in combinations(nodes, 2)])
    output.backward()
    dot = draw(output, title='\\G "x"').dot
    done = subprocess.run(
        ["dot", "-Tsvg"], input=dot, capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert "size too small" not in done.stderr
    shown = [text.replace("\u00a0", " ") for text in ElementTree.fromstring(done.stdout).itertext()]
    assert {"\\N \\G", "a\\", "<b>&", "w", "(1)", "23", "θ", "输入", "]]>"} <= set(shown)


def test_an_operand_used_twice_has_two_links() -> None:
    x = Value(3.0, "x")
    square = x * x
    square.backward()
    figure = draw(square)
    assert figure.dot.count("n0:e -> n1:w") == 2
    assert {"edge-0-1-0", "edge-0-1-1"} <= set(by_id(parse(figure)))


# --- the notes' figures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        (figure_1(), {"x": (2, 4), "y": (3, 4), "g": (5, 4), "z": (4, 5), "f": (20, 1)}),
        (
            figure_2(),
            {"x": (2, 16), "y": (3, 12), "h": (5, 4), "i": (6, 4), "g": (11, 4), "z": (4, 11),
             "f": (44, 1)},
        ),
    ],
    ids=["figure 1", "figure 2"],
)  # fmt: skip
def test_figures_of_the_notes(output: Value, wanted: dict[str, tuple[int, int]]) -> None:
    root = parse(draw(output))
    found = by_id(root)
    for index, node in enumerate(topological_order(output)):
        group = found[f"node-{index}"]
        symbol = [node.op.symbol] if node.op else [node.label]
        assert texts(group, "title") == symbol
        assert texts(group, "name") == ([node.label] if node.op else [])
        value, gradient = found[f"value-{index}"], found[f"gradient-{index}"]
        assert (value.text, gradient.text) == tuple(map(str, wanted[node.label]))
        assert (value.get("fill"), gradient.get("fill")) == ("#15803d", "#c81e1e")
        assert float(value.attrib["y"]) < float(gradient.attrib["y"]), "green is not above red"
    last = found[f"node-{index}"]
    assert [x for x in last if x.get("class") == "arrow"], "no line leaves the output"
    junctions = [x for x in root.iter() if x.get("class") == "junction"]
    assert len(junctions) == (2 if len(wanted) == 7 else 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_flow_goes_where_it_should(direction: Any) -> None:
    diagram = graph_diagram(figure_2(), direction=direction)
    centers = [node.center for node in place(diagram).nodes]
    axis, sign = {"LR": (0, 1), "RL": (0, -1), "TB": (1, 1), "BT": (1, -1)}[direction]
    for link in diagram.links:
        assert sign * centers[link.tail][axis] < sign * centers[link.head][axis]
    inputs = [centers[i][axis] for i, node in enumerate(diagram.nodes) if "input" in node.kind]
    assert max(inputs) - min(inputs) < 0.1, "the inputs do not stand in one column"


def test_operands_stand_in_order() -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    for output in (a - b, b - a):
        root = by_id(parse(draw(output)))
        top, bottom = (float(root[f"value-{i}"].attrib["y"]) for i in (0, 1))
        assert top < bottom


def arrow_tip(edge: ElementTree.Element) -> tuple[float, float]:
    (polygon,) = edge.iter(f"{SVG}polygon")
    x, y = polygon.attrib["points"].split()[1].split(",")
    return float(x), float(y)


def read_off(root: ElementTree.Element, vertical: bool) -> str:
    """The formula, as a reader of the picture has it: nothing is used that is not to be seen.

    Operands are taken in the order of the arrowheads, unless they are numbered.
    """
    groups = [x for x in root.iter(f"{SVG}g") if "edge" in x.get("class", "").split()]
    entering: dict[str, list[ElementTree.Element]] = {}
    for edge in groups:
        entering.setdefault(edge.attrib["data-head"], []).append(edge)
    written: dict[str, str] = {}
    for group in root.iter(f"{SVG}g"):
        if "node" not in group.get("class", "").split():
            continue
        index = group.attrib["id"].removeprefix("node-")
        edges = sorted(entering.get(index, []), key=lambda edge: arrow_tip(edge)[not vertical])
        numbers = ["".join(texts(edge, "operand")) for edge in edges]
        symbol = "".join(texts(group, "title"))
        operands = [written[edge.attrib["data-tail"]] for edge in edges]
        pairs = len(edges) // 2
        if symbol == "dot":
            if not any(numbers):
                numbers = [*map(str, range(pairs)), *map(str, range(pairs)), ""]
            operands = dot_operands(operands, numbers)
        elif any(numbers):
            assert sorted(numbers) == [str(k + 1) for k in range(len(edges))]
            operands = [operands[numbers.index(str(k + 1))] for k in range(len(edges))]
        written[index] = formula(symbol, operands)
    return written[index]


def dot_operands(operands: list[str], numbers: list[str]) -> list[str]:
    """The products of a ``dot`` and what is added to them, in an order of their own."""
    products: dict[str, list[str]] = {}
    for number, operand in zip(numbers, operands):
        products.setdefault(number, []).append(operand)
    return sorted("*".join(sorted(product)) for product in products.values())


def formula(symbol: str, operands: list[str]) -> str:
    """Sums, products and maxima do not tell their operands apart."""
    if symbol in ("+", "*", "Σ", "maximum"):
        operands = sorted(operands)
    return f"{symbol}({' '.join(operands)})" if operands else symbol


def written_formula(output: Value) -> str:
    written: dict[Value, str] = {}
    for node in topological_order(output):
        symbol = operation_title(node.op) if node.op else node.label or f"{node.data:g}"
        operands = [written[x] for x in node.operands]
        if symbol == "dot":
            pairs = range(len(operands) // 2)
            operands = dot_operands(operands, [*map(str, pairs), *map(str, pairs), ""])
        written[node] = formula(symbol, operands)
    return written[output]


def ordered_graph(size: int, seed: int) -> Value:
    """A random graph of operations at which it matters which operand is which."""
    source = random.Random(seed)
    pool = [Value(source.uniform(1.0, 2.0), name) for name in "abcd"]
    while len(pool) < size:
        a, b, c = (source.choice(pool[-9:]) for _ in range(3))
        make = source.choice(
            [
                lambda a, b, c: a - b,
                lambda a, b, c: a / (b * b + 1),
                lambda a, b, c: (a * a + 1) ** b.tanh(),
                lambda a, b, c: where(a < b, b, c),
                lambda a, b, c: functional.dot([a, b], [b, c]),
                lambda a, b, c: Neuron(3, "tanh", seed=1)([a, b, c]),
                lambda a, b, c: atan2(a, b) + c,
            ]
        )
        pool.append(make(a, b, c).tanh() if source.random() < 0.7 else make(a, b, c))
    return functional.sum(pool[-5:])


@pytest.mark.parametrize("seed", range(10))
def test_a_reader_can_tell_the_formula(seed: int) -> None:
    direction = DIRECTIONS[seed % 4]
    output = ordered_graph(9 + seed, seed)
    root = parse(draw(output, direction=direction))
    assert read_off(root, direction in ("TB", "BT")) == written_formula(output)


@pytest.mark.slow
def test_a_reader_can_tell_many_formulas() -> None:
    for seed in range(100, 300):
        direction = DIRECTIONS[seed % 4]
        output = ordered_graph(6 + seed % 25, seed)
        root = parse(draw(output, direction=direction))
        assert read_off(root, direction in ("TB", "BT")) == written_formula(output), f"seed {seed}"
        assert overlaps(root) == [], f"seed {seed}"


def test_numbers_say_which_of_two_is_subtracted() -> None:
    x, y = Value(3.0, "x"), Value(4.0, "y")
    root = parse(draw((x - y) / (y - x)))
    assert sorted(texts(root, "operand")) == ["1", "2"], "one of the two differences is crossed"
    assert texts(parse(draw(x - y)), "operand") == []
    assert texts(parse(draw((x + y) * (y + x))), "operand") == []


def test_numbers_stand_left_and_right_of_a_vertical_stem() -> None:
    found = by_id(parse(draw(figure_1(), direction="TB")))
    value, gradient = found["value-2"].attrib, found["gradient-2"].attrib
    assert float(value["x"]) < float(gradient["x"])
    assert value["y"] == gradient["y"]


# --- nothing lies on anything ---------------------------------------------------------------------


def boxes_of_texts(root: ElementTree.Element) -> list[Any]:
    """The room that each text takes at most, from the same upper bound of widths as the layout."""
    found = []
    for text in root.iter(f"{SVG}text"):
        size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
        runs = [(text.text or "", size)]
        for run in text:
            runs += [(run.text or "", float(run.get("font-size", size))), (run.tail or "", size)]
        width = sum(text_width(*run) for run in runs)
        left = {"middle": x - width / 2, "end": x - width, "start": x}[
            text.get("text-anchor", "middle")
        ]
        above, below = (0.7, -0.25) if text.text == "*" else (0.68, 0.2)  # the sign hangs high
        found.append(((left, y - above * size), (left + width, y + below * size)))
    return found


def segments(root: ElementTree.Element) -> list[Any]:
    """All lines, as Bezier segments."""
    found = []
    for path in root.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
        points = list(zip(numbers[::2], numbers[1::2]))
        if "L" in path.attrib["d"]:
            points = [points[0], points[0], points[1], points[1]]
        found += [points[i : i + 4] for i in range(0, len(points) - 3, 3)]
    return found


def overlaps(root: ElementTree.Element) -> list[str]:
    """Say where a line touches a text, or a text another one."""
    boxes = boxes_of_texts(root)
    found = []
    for segment in segments(root):
        (left, top), (right, bottom) = box_of(segment)
        for (x0, y0), (x1, y1) in boxes:
            if x0 < right and left < x1 and y0 < bottom and top < y1:
                points = [point_on(segment, k / 50) for k in range(51)]
                if any(x0 < x < x1 and y0 < y < y1 for x, y in points):
                    found.append(f"a line runs through the text at {x0:.0f}, {y0:.0f}")
    for ((x0, y0), (x1, y1)), ((u0, v0), (u1, v1)) in combinations(boxes, 2):
        if x0 < u1 and u0 < x1 and y0 < v1 and v0 < y1:
            found.append(f"texts overlap at {x0:.0f}, {y0:.0f}")
    return found


def test_overlaps_are_found() -> None:
    """The test below would notice: it does once a line is put through a figure."""
    svg = draw(figure_1()).svg
    assert overlaps(ElementTree.fromstring(svg)) == []
    crossed = svg.replace("</svg>", '<path d="M0,0L300,160"/><path d="M0,160L300,0"/></svg>')
    assert overlaps(ElementTree.fromstring(crossed))
    doubled = svg.replace("</svg>", svg[svg.index('<g class="nodes">') :])
    assert overlaps(ElementTree.fromstring(doubled))


def neuron() -> Value:
    out = dot([Value(0.5, "w1"), Value(-1.0, "w2")], [Value(1.0, "x1"), Value(2.0, "x2")]).tanh()
    out.backward()
    return out


def hessian() -> Value:
    x, y = Value(1.0, "x"), Value(2.0, "y")
    (slope,) = grad(x * x * y + y.exp(), [x], create_graph=True)
    (curvature,) = grad(slope, [y], create_graph=True)
    curvature.backward()
    return slope + curvature


@pytest.mark.parametrize("make", [figure_1, figure_2, neuron, hessian])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_texts_and_lines_do_not_touch(make: Any, direction: Any) -> None:
    assert overlaps(parse(draw(make(), direction=direction))) == []


@pytest.mark.parametrize("seed", range(12))
def test_texts_and_lines_do_not_touch_in_random_graphs(seed: int) -> None:
    direction = DIRECTIONS[seed % 4]
    figure = draw(random_graph(10 + 6 * seed, seed), direction=direction)
    assert overlaps(parse(figure)) == []


@pytest.mark.slow
def test_texts_and_lines_do_not_touch_in_many_graphs() -> None:
    for seed in range(100, 250):
        diagram = graph_diagram(
            random_graph(5 + seed * 7 % 80, seed), direction=DIRECTIONS[seed % 4]
        )
        root = ElementTree.fromstring(svg_text(place(diagram)))
        assert overlaps(root) == [], f"seed {seed}"


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label",
    ["<b>", 'say "x"', "a\\b", "\\N \\l \\G", "a|b", "{a}", "&amp;", "two\nlines", "<<x>>", "]]>",
     "<!--", "输入", "שלום עולם", "🎉", "e\u0301", "  two  spaces ", "\x1b[31m", HOSTILE],
)  # fmt: skip
def test_labels_draw_as_themselves(label: str) -> None:
    x = Value(1.0, label)
    y = -x
    y.label = label
    diagram = graph_diagram(y)
    svg = svg_text(place(diagram))
    found = by_id(ElementTree.fromstring(svg))
    lines = list(label_lines(label))
    assert texts(found["node-0"], "title") == lines
    assert texts(found["node-1"], "name") == lines
    if len(label) < 30 and printable(label) == label:
        assert "\n".join(lines) == label, "the label is drawn otherwise than it was given"


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_label_breaks_a_figure(first: str, second: str) -> None:
    x = Value(1.0, first)
    y = x * Value(2.0, second)
    y.label = second
    root = parse(draw(y))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "rect", "g", "path", "polygon", "circle", "text", "tspan",
    }  # fmt: skip
    assert len(by_id(root)) == 3 + 2 + 3  # nodes, links, values: nothing was added by a label
    named = list(label_lines(second)) if second.strip() else []
    named = ["".join(run for run, _ in typeset(line)) for line in named]
    assert texts(by_id(root)["node-2"], "name") == named


def test_a_hostile_label_stays_text() -> None:
    x = Value(1.0, HOSTILE)
    figure = draw(x * 2.0, title=HOSTILE, number_format=lambda _: HOSTILE)
    assert "<script" not in figure.svg
    assert "\x07" not in figure.svg
    head, *rest = figure.dot.splitlines()
    assert head.startswith('digraph "<script>alert(\\"1 & 2\\")</script> ')  # one quoted name
    assert "<script" not in "".join(rest)
    root = parse(figure)
    assert (root.findtext(f"{SVG}title") or "").startswith('<script>alert("1 & 2")</script>')


def test_long_labels_end_in_an_ellipsis_and_are_told_in_full() -> None:
    label = "the negative log-likelihood of the whole batch, averaged"
    node = by_id(parse(draw(Value(1.0, label))))["node-0"]
    (line,) = texts(node, "title")
    assert line.endswith("…")
    assert len(line) == 32
    assert label in (node.findtext(f"{SVG}title") or "")


# --- numbers --------------------------------------------------------------------------------------


def test_number_format_is_used_for_values_gradients_and_constants() -> None:
    x = Value(2.0, "x")
    y = x * 3
    y.backward()
    root = parse(draw(y, number_format=".2f"))
    assert texts(root, "value") == ["2.00", "6.00"]
    assert texts(root, "gradient") == ["3.00", "1.00"]
    assert texts(root, "title")[1] == "3.00"


def test_a_figure_keeps_the_numbers_of_its_moment() -> None:
    x = Value(2.0, "x")
    y = x * 3
    figure = draw(y)
    y.backward()
    x.data = 99.0
    root = parse(figure)
    assert texts(root, "value") == ["2", "6"]
    assert texts(root, "gradient") == []


def test_gradients_show_once_there_are_any() -> None:
    x = Value(2.0, "x")
    y = x * 3
    assert texts(parse(draw(y)), "gradient") == []
    assert texts(parse(draw(y, gradients=True)), "gradient") == ["0", "0"]
    y.backward()
    assert texts(parse(draw(y)), "gradient") == ["3", "1"]
    assert texts(parse(draw(y, gradients=False)), "gradient") == []


def test_red_numbers_belong_to_the_output() -> None:
    """Else none are drawn, and a line says so."""

    def note(figure: Figure) -> str:
        return " ".join(texts(parse(figure), "note"))

    x = Value(2.0, "x")
    y = x * x
    y.backward()
    assert note(draw(y)) == ""
    w = x + 1
    for stray in (w, x * 3.0):
        assert texts(parse(draw(stray)), "gradient") == []
        assert "not of one backward() from this node" in note(draw(stray))
    y.backward()  # a second pass: the leaf holds the sum of both
    assert texts(parse(draw(y)), "gradient") == []
    assert note(draw(y)).startswith("No gradients are drawn:")
    assert texts(parse(draw(y, gradients=True)), "gradient") == ["8", "1"]
    assert note(draw(y, gradients=True)).startswith("Gradients:")
    y.zero_grad()
    assert note(draw(y)) == ""
    y.backward()
    assert texts(parse(draw(y)), "gradient") == ["4", "1"]
    assert "No gradients" not in draw(y).svg
    assert "No gradients are drawn" in (parse(draw(w)).findtext(f"{SVG}desc") or "")


def test_gradients_of_a_backward_pass_under_way_are_drawn() -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    h = x * y
    f = h + x
    f.grad = 1.0
    assert texts(parse(draw(f)), "gradient") == ["0", "0", "0", "1"]
    h.grad, x.grad = 1.0, 1.0
    assert texts(parse(draw(f)), "gradient") == ["1", "0", "1", "1"]
    x.grad, y.grad = 4.0, 2.0
    assert texts(parse(draw(f)), "gradient") == ["4", "2", "1", "1"]
    x.grad = 3.0  # '=' instead of '+=' where paths join: one of the terms, which is drawn
    assert texts(parse(draw(f)), "gradient") == ["3", "2", "1", "1"]
    y.grad = 2.5
    assert texts(parse(draw(f)), "gradient") == []


def test_unlabelled_inputs_have_the_names_that_explain_gives_them() -> None:
    f = Value(2.0) * Value(3.0) + Value(1.0, "x1") * Value(5.0, "theta_2")
    root = parse(draw(f))
    assert [x for x in texts(root, "title") if x not in "*+"] == ["x2", "x3", "x1", "θ2"]
    assert "x2 = 2" in str(explain(f))
    assert "x3 = 3" in str(explain(f))


def test_subscripts_are_lowered_and_small() -> None:
    root = by_id(parse(draw(Value(1.0, "w1_23"))))
    (title,) = [x for x in root["node-0"].iter(f"{SVG}text") if x.get("class") == "title"]
    raised, lowered = title
    assert (title.text, raised.text, lowered.text) == ("w", "(1)", "23")
    assert float(raised.attrib["dy"]) < 0.0 < float(lowered.attrib["dy"])
    assert float(lowered.attrib["font-size"]) < float(title.attrib["font-size"])


# --- options --------------------------------------------------------------------------------------


def test_constants() -> None:
    x = Value(3.0, "x")
    y = maximum(2 * x**3 - x / 4, 0.5)
    shown, inside, hidden = (
        texts(parse(draw(y, constants=how)), "title") for how in ("show", "inside", "hide")
    )
    assert sorted(shown) == sorted(["x", "^3", "2", "*", "4", "/", "−", "0.5", "maximum"])
    assert sorted(inside) == sorted(["x", "^3", "2 *", "/ 4", "−", "maximum(·, 0.5)"])
    assert sorted(hidden) == sorted(["x", "^3", "*", "/", "−", "maximum"])


def test_a_constant_has_no_stem() -> None:
    x = Value(3.0, "x")
    y = x * 2
    y.backward()
    found = by_id(parse(draw(y)))
    assert "constant" in found["node-1"].attrib["class"]
    assert "value-1" not in found
    assert "gradient-1" not in found


def test_a_figure_of_a_single_node() -> None:
    assert texts(parse(draw(Value(3.0, "x"))), "value") == ["3"]
    assert texts(parse(draw(Constant(3.0), constants="hide")), "value") == ["3"]
    assert texts(parse(draw(Value(3.0))), "title") == ["x1"]


def test_parameters_are_highlighted() -> None:
    w, x, stranger = Value(3.0, "w"), Value(2.0, "x"), Value(1.0)
    found = by_id(parse(draw(w * x, parameters=[w, stranger])))
    kinds = [found[f"node-{i}"].attrib["class"].split() for i in range(3)]
    assert kinds == [["node", "parameter", "input"], ["node", "input"], ["node", "operation"]]
    fills = [
        next(x.attrib["fill"] for x in found[f"node-{i}"] if x.get("class") == "shape")
        for i in range(3)
    ]
    assert len(set(fills)) == 3


def test_depth_and_expand() -> None:
    x = Value(2.0, "x")
    a = x * x
    b = a + x
    f = b * b.tanh()
    order = topological_order(f)
    assert order == [x, a, b, order[3], f]
    assert drawn_nodes(f) == (order, set())
    assert drawn_nodes(f, 0) == ([f], {f})
    assert drawn_nodes(f, 1) == ([b, order[3], f], {b, order[3]})
    assert drawn_nodes(f, 2) == ([x, a, b, order[3], f], {a})
    assert drawn_nodes(f, 9) == (order, set())
    assert drawn_nodes(f, 2, [a]) == (order, set())
    found = by_id(parse(draw(f, depth=1)))
    assert [("cut" in found[f"node-{i}"].attrib["class"]) for i in range(3)] == [True, True, False]
    assert set(found) >= {"edge-0-2-0", "edge-1-2-1"}


def test_max_nodes() -> None:
    with pytest.raises(ValueError, match=r"7 nodes to draw, more than max_nodes=6.*depth=3"):
        draw(figure_2(), max_nodes=6)
    draw(figure_2(), max_nodes=7)
    draw(figure_2(), max_nodes=3, depth=1)


def test_neurons_fold_to_one_circle() -> None:
    model = MLP(2, [3, 2, 1], "tanh", seed=0)
    x = [Value(1.0, "x1"), Value(-2.0, "x2")]
    loss = (model(x) - 1.0) ** 2
    loss.backward()
    diagram = graph_diagram(loss, fold="neurons")
    names = [" ".join(node.name or node.title) for node in diagram.nodes]
    assert names == ["x1", "x2", "h1_1", "h1_2", "h1_3", "h2_1", "h2_2", "out", "1", "−", "^2"]
    wired = {name: [] for name in names}
    for link in diagram.links:
        wired[names[link.head]].append(names[link.tail])
    assert wired["h1_2"] == ["x1", "x2"]
    assert wired["h2_1"] == ["h1_1", "h1_2", "h1_3"]
    assert wired["out"] == ["h2_1", "h2_2"]
    root = parse(draw(loss, fold="neurons"))
    assert overlaps(root) == []
    assert len([x for x in root.iter() if x.get("class") == "rim"]) == 6
    heights = [float(by_id(root)[f"value-{i}"].attrib["y"]) for i in (2, 3, 4)]
    assert heights == sorted(heights), "neurons are not drawn in their order"
    batch = functional.sum([model(row) for row in ([1.0, 2.0], [3.0, 4.0])])
    assert not [n for n in graph_diagram(batch, fold="neurons").nodes if "w" in n.title[0]]


def test_any_part_folds() -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    a = x * y
    b = (a + 1.0).tanh() * 2.0
    f = b + a
    diagram = graph_diagram(f, fold=[b])
    assert [node.title[0] for node in diagram.nodes] == ["x", "y", "*", "*", "+"]
    assert {(link.tail, link.head) for link in diagram.links} == {
        (0, 2), (1, 2), (2, 3), (3, 4), (2, 4)
    }  # fmt: skip
    assert "3 nodes folded into it" not in diagram.nodes[2].description
    assert "4 nodes folded into it" in diagram.nodes[3].description
    assert len(graph_diagram(f, fold=[f]).nodes) == 3, "inputs stay"
    assert len(graph_diagram(f, fold=[f], parameters=[x]).nodes) == 2
    with pytest.raises(ValueError, match="fold: expected 'neurons' or Values, got 'neuron'"):
        draw(f, fold="neuron")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fold: expected Values, got float"):
        draw(f, fold=[1.0])  # type: ignore[list-item]


def test_max_edges() -> None:
    with pytest.raises(ValueError, match=r"8 links to draw, more than max_edges=7.*depth=3.*fold="):
        draw(figure_2(), max_edges=7)
    draw(figure_2(), max_edges=8)


def test_title_and_description_for_screen_readers() -> None:
    root = parse(draw(figure_1(), title="the notes' Figure 1"))
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "the notes' Figure 1"
    assert (root.findtext(f"{SVG}desc") or "").splitlines() == [
        "x, input, value 2, gradient 4",
        "y, input, value 3, gradient 4",
        "g, operation add, value 5, gradient 4",
        "z, input, value 4, gradient 5",
        "f, operation mul, value 20, gradient 1",
    ]


def test_ids_take_a_prefix() -> None:
    layout = place(graph_diagram(figure_1()))
    names = set(by_id(ElementTree.fromstring(svg_text(layout, prefix="left-"))))
    assert names
    assert all(name.startswith("left-") for name in names)


# --- large figures --------------------------------------------------------------------------------


def recurrence(steps: int) -> Value:
    w, u, h = Value(0.7, "w"), Value(0.5, "u"), Value(0.0, "h0")
    for step in range(steps):
        h = (w * h + u * Value(0.1, f"x{step}")).tanh()
        h.label = f"h{step + 1}"
    h.backward()
    return h


def test_long_lines_of_large_figures_are_cut() -> None:
    diagram = graph_diagram(recurrence(90))
    assert len(diagram.nodes) > 400
    layout = place(diagram)
    cut = [placed for placed in layout.links if placed.reference is not None]
    assert {placed.link for placed in cut} == diagram.cut
    root = ElementTree.fromstring(svg_text(layout))
    assert len(by_id(root)) == len(diagram.nodes) + len(diagram.links) + 2 * len(layout.nodes)
    names = texts(root, "reference")
    assert len(names) == len(cut)
    assert {"w", "u"} <= set(names) <= {"w", "u", *(f"x{step}" for step in range(90))}
    straight = [placed.center[1] for placed, node in zip(layout.nodes, diagram.nodes) if node.name]
    assert max(straight) - min(straight) < 200, "the main line wanders off"


@pytest.mark.slow
def test_five_thousand_nodes() -> None:
    output = random_graph(5000, 0)
    figure = draw(output, max_nodes=10_000)
    root = parse(figure)
    assert len(root.findall(f".//{SVG}*[@class='stem']")) > 4000
