"""``explain``: the notes' two worked examples, word for word, and any other graph."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import pytest

from tinygrad_edu import Value, grad
from tinygrad_edu.cli import main
from tinygrad_edu.drawing.words.chain_rule import ChainRule
from tinygrad_edu.drawing.words.explanation import Explanation, explain
from tinygrad_edu.drawing.words.notation import LatexFormula, TextFormula, is_rounded, number
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.value import topological_order


def figure_1(labelled: bool = False) -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    g = x + y
    f = g * z
    if labelled:
        g.label, f.label = "g", "f"
    return f


def figure_2() -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    return ((x + y) + (x * y)) * z


# --- the notes' worked examples ---


@pytest.mark.parametrize("labelled", [True, False])
def test_figure_1(labelled: bool) -> None:
    explanation = explain(figure_1(labelled))
    backward = [line.text for line in explanation.lines if line.part == "backward"]
    assert backward == [
        "df/df = 1",
        "df/dg = d(g * z)/dg = z = 4",
        "df/dz = d(g * z)/dz = g = 5",
        "df/dx = df/dg * dg/dx = 4 * 1 = 4",
        "df/dy = df/dg * dg/dy = 4 * 1 = 4",
    ]
    local = [line.text for line in explanation.lines if line.part == "local"]
    assert "dg/dx = d(x + y)/dx = 1" in local
    forward = [line.text for line in explanation.lines if line.part == "forward"]
    assert forward[-2:] == ["g = x + y = 2 + 3 = 5", "f = g * z = 5 * 4 = 20"]
    assert explanation.text.startswith("f = (x + y) * z\n")
    assert not explanation.rounded


def test_figure_2() -> None:
    explanation = explain(figure_2())
    assert explanation["x"] == (
        "df/dx = df/dh * dh/dx + df/di * di/dx = 4 * 1 + 4 * 3 = 4 + 12 = 16"
    )
    assert explanation["y"] == (
        "df/dy = df/dh * dh/dy + df/di * di/dy = 4 * 1 + 4 * 2 = 4 + 8 = 12"
    )
    assert explanation["z"] == "df/dz = d(g * z)/dz = g = 11"
    assert (
        r"\frac{\partial f}{\partial x} &="
        r" \frac{\partial f}{\partial h} \frac{\partial h}{\partial x}"
        r" + \frac{\partial f}{\partial i} \frac{\partial i}{\partial x}"
        r" = 4 \cdot 1 + 4 \cdot 3 = 4 + 12 = 16"
    ) in explanation.latex
    assert explanation.latex in explanation.markdown


# --- any graph ---


STEPS: list[Callable[[Value, Value], Value]] = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - b,
    lambda a, b: a.tanh(),
    lambda a, b: a * 0.5,
    lambda a, b: functional.maximum(a, b),
    lambda a, b: functional.dot([a, b], [b, a], start=a),
]


def random_graph(seed: int, size: int) -> Value:
    choose = random.Random(seed)
    nodes = [Value(choose.uniform(0.5, 2.0), name) for name in ("x", "y", "w_1", "")]
    for _ in range(size):
        a, b = choose.choice(nodes[-6:]), choose.choice(nodes)
        nodes.append(choose.choice(STEPS)(a, b))
    return nodes[-1]


@pytest.mark.parametrize("seed", range(20))
def test_every_gradient_is_the_engines_and_every_line_adds_up(seed: int) -> None:
    f = random_graph(seed, 30)
    order = topological_order(f)
    before = [node.grad for node in order]
    rule = ChainRule(f)
    explanation = explain(f, limit=None)
    assert [node.grad for node in order] == before  # nothing is touched
    assert [rule.gradients[i] for i in rule.backward] == grad(f, [order[i] for i in rule.backward])
    assert list(explanation.gradients.values()) == [rule.gradients[i] for i in rule.backward]
    for i in rule.backward[1:]:
        assert rule.terms[i]
        total = math.fsum(term.upstream * term.local for term in rule.terms[i])
        scale = math.fsum(abs(term.share) for term in rule.terms[i])
        assert abs(total - rule.gradients[i]) <= 1e-14 * scale
    # In the order of the backward pass: what a line refers to, an earlier line has derived.
    derived = set()
    for line in explanation.lines:
        if line.part == "backward":
            left, *sides = line.text.split(" = ")
            derived.add(left)
            for factor in re.findall(r"df?\S*/d\S+(?= \* d)", sides[0]):
                assert factor in derived, line.text
            last = sides[-1].removesuffix("...")
            assert float(last) == pytest.approx(explanation.gradients[line.name], rel=1e-3)


def test_numbers_of_a_line_lead_to_its_result() -> None:
    """The sides with numbers are arithmetic that anybody can check."""
    for line in explain(figure_2()).lines:
        for side in line.text.split(" = ")[1:]:
            if re.fullmatch(r"[\d.+*() -]+", side):
                value = functional_value(side)
                assert value == float(line.text.split(" = ")[-1]), line.text


def functional_value(side: str) -> float:
    total = 0.0
    for term in side.split(" + "):
        product = 1.0
        for factor in term.split(" * "):
            product *= float(factor.strip("()"))
        total += product
    return total


def test_wrt_follows_the_paths_to_one_node_only() -> None:
    f = figure_2()
    x = next(node for node in topological_order(f) if node.label == "x")
    explanation = explain(f, wrt=x)
    assert list(explanation.gradients) == ["f", "g", "h", "i", "x"]
    assert explanation["x"].endswith("= 16")
    with pytest.raises(KeyError, match="not explained here; there are f, g, h, i, x"):
        explanation["z"]
    forward = [line.text for line in explanation.lines if line.part == "forward"]
    assert "z = 4" in forward
    assert "i = x * y = 2 * 3 = 6" in forward


def test_wrt_an_interior_node_and_one_that_is_not_there() -> None:
    x = Value(3.0, "x")
    g = x * x
    f = g + 1.0
    assert explain(f, wrt=g)["g"] == "df/dg = d(g + 1)/dg = 1"
    lost = Value(1.0, "lost")
    assert explain(f, wrt=[x, lost])["lost"] == "df/dlost = 0 (no path leads there)"


def test_a_node_used_twice_by_one_operation() -> None:
    x = Value(3.0, "x")
    assert explain(x * x)["x"] == "df/dx = d(x * x)/dx[1] + d(x * x)/dx[2] = 3 + 3 = 6"


def test_direct_derivatives_are_told_from_those_over_all_paths() -> None:
    x = Value(3.0, "x")
    g = x * (x + 1.0)
    f = g * 2.0
    assert explain(f)["x"] == (
        "df/dx = df/dg * dg/dx(direct) + df/dh * dh/dx = 2 * 4 + 6 * 1 = 8 + 6 = 14"
    )


def test_constants_are_numbers_without_a_gradient() -> None:
    explanation = explain(Value(3.0, "x") * -2.0)
    assert explanation.text.splitlines()[:5] == [
        "f = x * (-2)", "", "Forward pass", "  x = 3", "  f = x * (-2) = 3 * (-2) = -6",
    ]  # fmt: skip
    assert list(explanation.gradients) == ["f", "x"]


def test_negative_terms_read_as_differences() -> None:
    x, y = Value(2.0, "x"), Value(5.0, "y")
    f = (x + y) - (x * y)
    assert explain(f)["x"] == (
        "df/dx = df/dg * dg/dx + df/dh * dh/dx = 1 * 1 + (-1) * 5 = 1 - 5 = -4"
    )


def test_generated_names_do_not_collide_and_are_stable() -> None:
    def build() -> Value:
        g, x1 = Value(1.5, "g"), Value(2.0, "x1")
        return (g * x1 + Value(3.0)) * (g + Value(4.0, "g"))

    rule = ChainRule(build())
    named = [name for name, node in zip(rule.names, rule.nodes)]
    assert len(set(named)) == len(named)
    assert rule.names[-1] == "f"
    assert {"g", "g#2", "x1", "x2", "h", "i", "j"} <= set(named)
    assert explain(build()).text == explain(build()).text


def test_a_leaf_alone() -> None:
    assert explain(Value(2.0, "x"))["x"] == "dx/dx = 1"


# --- large graphs ---


def test_large_graphs_collapse_and_say_what_was_left_out() -> None:
    weights = [Value(0.1 * i, f"w{i}") for i in range(500)]
    x = Value(1.0, "x")
    f = sum((w * x for w in weights), Value(0.0, "start"))
    explanation = explain(f, limit=10)
    assert sum(line.part == "backward" for line in explanation.lines) == 11
    assert "... 1,492 more nodes (" in explanation.text
    assert explain(f, wrt=weights[0], limit=None)["w0"].endswith("= 1 * 1 = 1")
    # A sum of 500 terms at the junction x keeps its ends.
    line = explain(f, wrt=x, limit=10)["x"]
    assert " + ... + " in line
    assert len(line) < 400
    assert explain(f, limit=10, wrt=[x])["x"] == line


def test_deep_graphs_need_no_recursion() -> None:
    x = node = Value(1.0, "x")
    for _ in range(20_000):
        node = node + 1.0
    assert explain(node, wrt=x)["x"].endswith("= 1 * 1 = 1")


# --- text that could do harm, numbers, errors ---


def test_hostile_labels_stay_text() -> None:
    x = Value(2.0, "</svg><script>alert('1')</script>")
    y = Value(3.0, "a$b`c\\d{e}\nf_|")
    explanation = explain(x * y)
    assert "<script>" not in explanation.markdown
    assert r"\lt \text{script}\gt " in explanation.markdown
    markdown = explanation.markdown
    unescaped = re.sub(r"\\[{}$]", "", markdown)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    assert "`" not in markdown
    assert "[a$b`c\\d{e} f_|] = 3" in explanation.text  # one line in plain text


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-2.5, "-2.5"), (1 / 3, "0.3333"), (1e-5, "1e-5"),
        (123456.789, "123456.8"), (1e20, "1e20"), (-1.5e-300, "-1.5e-300"), (math.inf, "inf"),
        (math.nan, "nan"), (9999.5, "10000"),
        (2.3125, "2.313"), (-2.3125, "-2.313"), (1e7, "1e7"), (10000.0, "10000"),
    ],
)  # fmt: skip
def test_numbers(x: float, text: str) -> None:
    assert number(x) == text
    assert is_rounded(x) == (math.isfinite(x) and float(text) != x)


def test_brackets_are_written_where_they_are_needed() -> None:
    a, b, c = (TextFormula(name) for name in "abc")
    written = {
        "a - (b - c)": a - (b - c),
        "a - b - c": (a - b) - c,
        "a * (b + c)": a * (b + c),
        "a / (b * c)": a / (b * c),
        "a * b / c": a * b / c,
        "(a + b)^2": (a + b) ** 2,
        "a^(-1)": a**-1,
        "-(a + b)": -(a + b),
        "a + (-b)": a + (-b),
        "(-a)^2": (-a) ** 2,
        "2^(a + b)": 2 ** (a + b),
        "-a * b": (-a) * b,
        "1 - tanh(a) * tanh(a)": 1.0 - a.tanh() * a.tanh(),
    }
    assert {text: repr(formula) for text, formula in written.items()} == {t: t for t in written}
    assert repr(LatexFormula("a") ** -1) == "a^{-1}"
    assert repr((LatexFormula("a") + 1) / LatexFormula("b")) == r"\frac{a + 1}{b}"


def test_errors() -> None:
    with pytest.raises(TypeError, match="explain: expected a Value, got float"):
        explain(2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit: expected at least 1"):
        explain(figure_1(), limit=0)
    with pytest.raises(ZeroDivisionError, match="gradient of sqrt"):
        explain(Value(0.0, "x").sqrt())


def test_it_shows_itself_in_a_notebook() -> None:
    explanation = explain(figure_1())
    assert isinstance(explanation, Explanation)
    assert explanation._repr_markdown_() == explanation.markdown
    assert explanation._repr_latex_() == f"$${explanation.latex}$$"
    assert str(explanation) == explanation.text


# --- the command line ---


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    formula = ["((x+y)+(x*y))*z", "x=2", "y=3", "z=4"]
    assert main(["explain", *formula]) == 0
    assert capsys.readouterr().out == explain(figure_2()).text + "\n"
    assert main(["explain", *formula, "--markdown"]) == 0
    assert capsys.readouterr().out == explain(figure_2()).markdown + "\n"
    assert main(["explain", "g = x + y; f = g * z", *formula[1:], "--wrt", "x,g"]) == 0
    out = capsys.readouterr().out
    assert "df/dx = df/dg * dg/dx = 4 * 1 = 4" in out
    assert "df/dz" not in out
    assert main(["explain", *formula, "--wrt", "w"]) == 2
    assert "--wrt: no 'w' in the formula" in capsys.readouterr().err
    assert main(["explain", *formula, "--limit", "0"]) == 2
    assert "limit: expected at least 1" in capsys.readouterr().err
