"""Formulas: what they mean, what is refused and how, and that no text does harm."""

from __future__ import annotations

import ast
import contextlib
import gc
import math
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value, grad
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.value import topological_order
from tinygrad_edu.formula.expression import Expression, FormulaError, parse
from tinygrad_edu.formula.grammar import FUNCTIONS, MAX_BRACKETS, MAX_HEIGHT, MAX_LENGTH, scan

# --- meaning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("-2 ** 2", -4.0),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512.0),
        ("8 - 4 - 2", 2.0),
        ("8 / 4 / 2", 1.0),
        ("+-+2", -2.0),
        ("1e3 + .5 + 2.", 1002.5),
        ("cos(pi)", -1.0),
        ("2 < 3", 1.0),
        ("2 >= 3", 0.0),
        ("2 != 3", 1.0),
        ("where(1 == 1, 5, 6)", 5.0),
        ("sum(1, 2, 3) + sum([1, 2, 3])", 12.0),
        ("max(1, 3, 2) - mean([1, 3, 2])", 1.0),
        ("dot([1, 2], [3, 4]) + dot([1, 2], [3, 4], 10)", 32.0),
        ("take(softmax(0, 0), 1)", 0.5),
        ("p = softmax([0, 0, 0, 0]); -log2(take(p, 2))", 2.0),
        ("logsumexp(0, 0) - log(2)", 0.0),
        ("leaky_relu(-2) + leaky_relu(-2, 0.5)", -1.02),
        ("atan2(1, 1) - pi / 4", 0.0),
        ("max(\n  1,\n  2 # the larger\n)", 2.0),
        ("# a comment\n\n g = 2 ;; f = g * 3 ; # the end\r\n", 6.0),
        ("0 + 00.5 + 0e1", 0.5),
    ],
)
def test_meaning(text: str, expected: float) -> None:
    result = parse(text).evaluate()
    assert type(result) is float
    assert result == pytest.approx(expected, rel=1e-15)


def test_every_operation_of_the_table_can_be_called() -> None:
    rng = random.Random(1)
    for name, op in ops.TABLE.items():
        if op.arity is None:
            assert name in FUNCTIONS
            continue
        intervals = op.sample * op.arity if len(op.sample) == 1 else op.sample
        values = [rng.uniform(*interval) for interval in intervals]
        names = [f"x{i}" for i in range(op.arity)]
        formula = parse(f"{name}({', '.join(names)})")
        assert formula.evaluate(**dict(zip(names, values))) == op(*values), name


def test_figure_1_of_the_notes_and_its_names() -> None:
    formula = parse("g = x + y; f = g * z")
    assert (formula.names, formula.output_name) == (("x", "y", "z"), "f")
    f, nodes = formula.build({"z": 4, "x": 2, "y": 3})
    f.backward()
    assert [node.label for node in topological_order(f)] == ["x", "y", "g", "z", "f"]
    assert f.data == 20.0
    assert {name: node.grad for name, node in nodes.items()} == {
        "x": 4.0, "y": 4.0, "z": 5.0, "g": 4.0, "f": 1.0,
    }  # fmt: skip


def test_a_name_is_one_node_however_often_it_is_used() -> None:
    f = parse("s = x * x; s + s * x").build({"x": 3}).output
    assert len(topological_order(f)) == 4
    assert grad(f, f) == 1.0


def test_output_without_a_name_is_called_f_unless_f_is_taken() -> None:
    assert parse("x + 1").output_name == "f"
    assert parse("f + 1").output_name == "output"
    assert parse("f = 1; output = 2; f + output + x").output_name not in ("f", "output", "x")
    assert parse("x + 1").build({"x": 1}).output.label == "f"


def test_an_input_may_have_a_default_and_be_overridden() -> None:
    formula = parse("x = 2; y = -3; f = x * y")
    assert formula.defaults == {"x": 2.0, "y": -3.0}
    assert formula.evaluate() == -6.0
    assert formula.evaluate(y=5) == 10.0
    f, nodes = formula.build()
    assert grad(f, [nodes["x"], nodes["y"]]) == [-3.0, 2.0]


def test_numbers_alone_still_give_a_node() -> None:
    output = parse("2 * 3").build().output
    assert isinstance(output, Value)
    assert (output.data, output.label, output.operands) == (6.0, "f", ())


def test_nodes_go_in_as_they_are_and_keep_their_labels() -> None:
    x, y = Value(2.0), Value(3.0, "mine")
    output, nodes = parse("a = x; b = a * y").build({"x": x, "y": y})
    assert nodes["x"] is nodes["a"] is x
    assert (x.label, y.label, output.label) == ("", "mine", "b")
    assert grad(output, [x, y]) == [3.0, 2.0]
    assert parse("x")(x) is x


def test_elements_of_a_named_list_are_labelled() -> None:
    nodes = parse("p = softmax(x, y); take(p, 0)").build({"x": 1, "y": 2}).nodes
    assert [node.label for node in nodes["p"]] == ["p[0]", "p[1]"]


def test_values_may_be_called_anything() -> None:
    assert parse("self + values + text").evaluate(self=1, values=2, text=3) == 6.0


def test_symbols_of_the_compiler_go_in_too() -> None:
    pytest.importorskip("llvmlite")
    from tinygrad_edu.compiler import compile

    formula = parse("k = 3; p = softmax(x, y); f = take(p, 1) * where(x < y, x ** 2, 2 ** y) + k")
    compiled = compile(lambda x, y: formula.evaluate(x=x, y=y))
    for point in ((0.5, 1.5), (1.5, 0.5)):
        expected = formula.build({"x": point[0], "y": point[1]})
        value, gradient = compiled.value_and_grad(*point)
        assert value == pytest.approx(expected.output.data, rel=1e-14)
        wanted = grad(expected.output, [expected.nodes["x"], expected.nodes["y"]])
        assert gradient == pytest.approx(tuple(wanted), rel=1e-13)


# --- refusal --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "empty"),
        (" \n ;; # nothing", 15, "empty"),
        ("x +", 4, "after '[+]'"),
        ("x + * y", 5, "before '[*]'"),
        ("x ** ** y", 6, "before"),
        ("* x", 1, "before"),
        ("2x", 2, "expected an operator"),
        ("2(x)", 2, "write [*] for a product"),
        ("(x)(y)", 4, "write [*] for a product"),
        ("x y", 3, "expected an operator"),
        ("sin x", 5, "expected an operator"),
        ("1..5", 3, "expected an operator"),
        ("1_000", 2, "expected an operator"),
        ("0x10", 2, "expected an operator"),
        ("1j", 2, "expected an operator"),
        ("007", 1, "start with 0"),
        ("(x + y", 1, "never closed"),
        ("f(x, [y)", 8, "closes nothing"),
        ("x + y)", 6, "closes nothing"),
        ("(x]", 3, "closes nothing"),
        ("()", 2, "expected a value"),
        ("exp()", 5, "expected a value"),
        ("sum([])", 6, "expected a value"),
        ("max(x,)", 7, "expected a value"),
        ("max(,x)", 5, "expected a value"),
        ("(x, y)", 3, "comma"),
        ("x, y", 2, "comma"),
        ("x ^ 2", 3, r"write x [*][*] 2"),
        ("x.data", 2, "attributes"),
        ("x.__class__", 2, "attributes"),
        ("x[0]", 2, "take"),
        ("[x][0]", 4, "take"),
        ("lambda: 1", 1, "reserved word"),
        ("x if y else z", 3, "where"),
        ("x and y", 3, "where"),
        ("import os", 1, "reserved word"),
        ("None", 1, "reserved word"),
        ("True", 1, "reserved word"),
        ("__debug__", 1, "reserved word"),
        ("f'{x}'", 2, "text"),
        ("'x'", 1, "text"),
        ("(y := x)", 4, "lambdas or :="),
        ("x % 2", 3, "remainder"),
        ("x // 2", 4, "before '/'"),
        ("x & y", 3, "belong"),
        ("~x", 1, "belong"),
        ("x @ y", 3, "belong"),
        ("max(*x)", 5, "before '[*]'"),
        ("max(x=1)", 6, "only a name"),
        ("x == y == z", 1, "two values"),
        ("a < b < c", 1, "two values"),
        ("x + y = z", 7, "only a name"),
        ("a = b = c", 7, "only a name"),
        ("2 = x", 3, "only a name"),
        ("= x", 1, "only a name"),
        ("a =", 4, "after '='"),
        ("a = ; x", 5, "after '='"),
        ("exp(x) = y", 8, "only a name"),
        ("pi = 3", 1, "constant"),
        ("a = x; a = y", 8, "second time"),
        ("a = x; x = y", 8, "used before"),
        ("a = a + 1", 5, "used in its own"),
        ("a = 1; a = a + 1", 8, "second time"),
        ("x + 1; y", 1, "without a name"),
        ("[x, y]", 1, "output is a list"),
        ("p = softmax(x, y)", 5, "output is a list"),
        ("sin(x, y)", 1, "sin takes 1"),
        ("hypot(x)", 1, "hypot takes 2"),
        ("exp([x])", 1, "operand 1 must be a number, got a list"),
        ("[x] + [y]", 1, "must be a number"),
        ("-[x]", 1, "must be a number"),
        ("+[x]", 1, "must be a number"),
        ("sum([x], y)", 1, "must be a number"),
        ("sum([[x]])", 5, "must be a number"),
        ("take(x, 0)", 1, "must be a list"),
        ("dot([x], [y, z])", 1, "lengths 1 and 2"),
        ("dot(x, y)", 1, "must be a list"),
        ("leaky_relu(x, y)", 1, "slope must be a number"),
        ("sine(x)", 1, "did you mean sin"),
        ("x + Exp(x)", 5, "did you mean .*exp"),
        ("x + zzzz(x)", 5, "there are abs, "),
        ("eval(x)", 1, "unknown function 'eval'"),
        ("__import__(x)", 1, "unknown function"),
        ("\u03c3(x)", 1, "letters a-z"),
        ("x \u2212 y", 3, "write - for minus"),
        ("x \u00d7 y", 3, "write [*] for times"),
        ("\uff58 + 1", 1, "letters a-z"),  # full-width x, which Python would take for x
        ("\u2460", 1, "belong"),
        ("x + \u0663", 5, "letters a-z"),  # an Arabic digit
        ("x\0", 2, r"'\\x00'"),
        ("x\f", 2, r"'\\x0c'"),
        ("x\\\ny", 2, "belong"),
        ("\ud800", 1, "belong"),
        ("\ufeffx", 1, "belong"),
        ("1e999", 1, "too large"),
        ("1" * 400, 1, "too large"),
        ("1" * 5000, 1, "1000 characters"),
        ("0." + "1" * 5000, 1, "1000 characters"),
    ],
)  # fmt: skip
def test_refusal_says_what_and_where(text: str, column: int, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    assert (caught.value.column, caught.value.text) == (
        column if caught.value.line == 1 else caught.value.column, text,
    )  # fmt: skip


def test_the_place_in_a_longer_text() -> None:
    with pytest.raises(FormulaError, match=r"^line 3, column 7, at 'tanj\(y\)': ") as caught:
        parse("# two steps\r\ng = x\r\nf = g*tanj(y)\r\n")
    error = caught.value
    assert (error.line, error.column) == (3, 7)
    assert error.pointer() == "f = g*tanj(y)\n      ^"
    assert str(error).endswith("did you mean tan, tanh or atan?")


def test_the_place_behind_brackets_and_comments() -> None:
    with pytest.raises(FormulaError, match=r"line 3, column 3, at 'foo\(x\)\)'"):
        parse("max(x,  # one, \u00fc \n  1,\n  foo(x))")


def test_missing_and_unknown_values() -> None:
    formula = parse("x * y + z")
    with pytest.raises(FormulaError, match="no value given for y, z") as caught:
        formula.evaluate(x=1)
    assert caught.value.column == 5
    with pytest.raises(
        FormulaError, match="'w' is no input of the formula; its inputs are x, y, z"
    ):
        formula.build({"x": 1, "y": 2, "z": 3, "w": 4})
    with pytest.raises(FormulaError, match="exp is a function"):
        parse("exp * 2").evaluate()
    with pytest.raises(FormulaError, match="it has no inputs"):
        parse("1 + 2").evaluate(x=1)
    with pytest.raises(TypeError, match="x: expected a real number"):
        formula.evaluate(x="1", y=2, z=3)
    with pytest.raises(TypeError, match="expected 3 values"):
        formula(1, 2)
    with pytest.raises(TypeError, match="expected text"):
        parse(b"x")  # type: ignore[arg-type]


def test_what_the_operations_raise_comes_through() -> None:
    with pytest.raises(ZeroDivisionError, match=r"div\(x=1.0, 0.0\)"):
        parse("x / 0").build({"x": 1})
    with pytest.raises(OverflowError, match="too large"):
        parse("9 ** 9 ** 9 ** 9").evaluate()
    with pytest.raises(ValueError, match="operand > 0"):
        parse("log(x)").evaluate(x=-1)
    with pytest.raises(IndexError, match="from 0 to 1"):
        parse("take([x, y], 2)").evaluate(x=1, y=2)


def test_errors_survive_pickling() -> None:
    import pickle

    with pytest.raises(FormulaError) as caught:
        parse("x + sine(y)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.pointer()) == (str(caught.value), caught.value.pointer())


# --- limits ---------------------------------------------------------------------------------------


def _from_depth(depth: int, text: str) -> Any:
    return parse(text) if depth == 0 else _from_depth(depth - 1, text)


@pytest.mark.parametrize(
    "text",
    [
        "+".join(["x"] * (MAX_HEIGHT + 1)),
        "**".join(["x"] * (MAX_HEIGHT + 1)),
        "-" * MAX_HEIGHT + "x",
        "x**-" * (MAX_HEIGHT // 2) + "x",
        "(" * MAX_BRACKETS + "x" + ")" * MAX_BRACKETS,
        "1+2*x**-exp(" * MAX_BRACKETS + "x" + ")" * MAX_BRACKETS,
        "x<(x+x*-x**(" * (MAX_BRACKETS // 2) + "x" + "))" * (MAX_BRACKETS // 2),
        "max(" + ",".join(["x"] * 40_000) + ")",
        ";".join(["a0=x", *(f"a{i}=a{i - 1}*x" for i in range(1, 5000))]),
    ],
)
def test_up_to_the_limits_formulas_are_read_and_run(text: str) -> None:
    formula = _from_depth(100, text)
    output = formula.build({"x": 1.0}).output
    output.backward()
    assert math.isfinite(output.data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+".join(["x"] * (MAX_HEIGHT + 2)), "more than 1000 operations"),
        ("+".join(["x"] * 50_000), "more than 1000 operations"),
        ("**".join(["x"] * 30_000), "more than 1000 operations"),
        ("-" * 99_000 + "x", "more than 1000 operations"),
        ("(x+" * 89 + "+".join(["x"] * 950) + ")" * 89, "more than 1000 operations"),
        ("(" * 90 + "x" + "+x)" * 90 + "+x" * 900, "more than 1000 operations"),
        ("(" * 10_000 + "x" + ")" * 10_000, "brackets nest more than 90"),
        ("exp(" * 10_000 + "x" + ")" * 10_000, "brackets nest more than 90"),
        ("[" * 10_000, "brackets nest more than 90"),
        ("f(g(" * 50_000, "characters of formula"),
        ("-" * 10_000 + "1", "more than 1000 operations"),
        ("x+" * 500_000 + "x", "characters of formula"),
        ("1" * 1_000_000, "characters of formula"),
        ("x" * (MAX_LENGTH - 10) + "(y)", "unknown function"),
        ("p=[" + "x," * 24_000 + "x];" + "+".join(["sum(p)"] * 900), "operands in all"),
    ],
)
def test_beyond_the_limits_is_one_line_in_bounded_memory(text: str, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FormulaError, match=message) as caught:
            parse(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 1500
    assert peak < 64_000_000


def test_deep_in_a_program_a_formula_is_refused_rather_than_crashing() -> None:
    text = "+".join(["x"] * MAX_HEIGHT)
    with contextlib.suppress(FormulaError):  # some versions of Python have room enough
        assert _from_depth(800, text).evaluate(x=1) == MAX_HEIGHT


def test_parsing_leaves_no_cycles_and_builds_no_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            parse("g = x + y; p = softmax(g, y); take(p, 0) * g").build({"x": 1, "y": 2})
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- random formulas ------------------------------------------------------------------------------

Tree = tuple[Any, ...]
_NAMES = ("x", "y", "z")
_BINARY = {"+": ops.add, "-": ops.sub, "*": ops.mul, "/": ops.div, "**": ops.pow_,
           "<": ops.less, "<=": ops.less_equal, "==": ops.equal}  # fmt: skip
_LEVEL = {"<": 0, "<=": 0, "==": 0, "+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}
_CALLS = ("sin", "tanh", "sigmoid", "relu", "abs", "hypot", "maximum", "where")

_leaf = st.one_of(
    st.sampled_from(_NAMES).map(lambda name: ("name", name)),
    st.floats(0, 100, allow_subnormal=False).map(lambda x: ("number", x)),
)


def _grow(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(sorted(_BINARY)), children, children),
        st.tuples(st.just("neg"), children),
        st.sampled_from(_CALLS).flatmap(
            lambda name: st.tuples(st.just(name), *[children] * (ops.TABLE[name].arity or 0))
        ),
        st.tuples(st.just("sum"), children, children, children),
        st.tuples(st.just("max"), children, children),
    )


trees = st.recursive(_leaf, _grow, max_leaves=25)


def _direct(tree: Tree, values: dict[str, float]) -> float:
    """Compute the tree without any parsing."""
    kind, *rest = tree
    if kind == "name":
        return values[rest[0]]
    if kind == "number":
        return float(rest[0])
    operands = [_direct(x, values) for x in rest]
    if kind in ("sum", "max"):
        return float(getattr(functional, kind)(operands))
    op = _BINARY.get(kind) or ops.TABLE[kind]
    return float(op(*operands))


def _render(tree: Tree, rng: random.Random) -> tuple[str, int]:
    """Write the tree with as few brackets as precedence needs, and a few at random."""
    kind, *rest = tree
    space = rng.choice(("", "", " ", "  ", "\t"))
    if kind in ("name", "number"):
        text, level = (rest[0] if kind == "name" else repr(rest[0])), 9
    elif kind in _BINARY:
        level = _LEVEL[kind]
        (left, a), (right, b) = (_render(x, rng) for x in rest)
        if (
            a < level
            or (a == level and kind in ("<", "<=", "==", "**"))
            or (kind == "**" and a == 3)
        ):
            left = f"({left})"
        if (b < level and (kind, b) != ("**", 3)) or (b == level and kind != "**"):
            right = f"({right})"
        text = f"{left}{space}{kind}{space}{right}"
    elif kind == "neg":
        level = 3
        text, inner = _render(rest[0], rng)
        text = f"-{space}({text})" if inner < 3 else f"-{space}{text}"
    else:
        parts = [_render(x, rng)[0] for x in rest]
        inside = f",{space}".join(parts)
        listed = kind in ("sum", "max") and rng.random() < 0.5
        text, level = f"{kind}({f'[{inside}]' if listed else inside})", 9
    if rng.random() < 0.1:
        return f"({space}{text}{space})", 9
    return text, level


def _round_trip(tree: Tree, seed: int) -> None:
    text = _render(tree, random.Random(seed))[0]
    used = parse(text).names
    values = {"x": 0.7, "y": -1.3, "z": 2.5}
    given_values = {name: values[name] for name in used}
    try:
        expected = _direct(tree, values)
    except (ArithmeticError, ValueError) as error:
        with pytest.raises(type(error)):
            parse(text).evaluate(**given_values)
        return
    evaluated = parse(text).evaluate(**given_values)
    built = parse(text).build(given_values).output.data
    assert repr(evaluated) == repr(built) == repr(expected), (
        text
    )  # repr: nan is nan, 0.0 is not -0.0


@settings(deadline=None, max_examples=150)
@given(trees, st.integers(0, 2**32))
def test_a_rendered_tree_means_itself(tree: Tree, seed: int) -> None:
    _round_trip(tree, seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=20_000)
@given(trees, st.integers(0, 2**32))
def test_a_rendered_tree_means_itself_long(tree: Tree, seed: int) -> None:
    _round_trip(tree, seed)


_PIECES = (
    *"()[],;=+-*/<>!.^%&|~@:'\"\\{}#_ \t\n\r\0\f", "**", "==", "->", ":=", "//", "lambda", "x", "y",
    "exp", "exp(", "sum(", "dot(", "take(", "softmax(", "log", "1", "0", "1e9", "1e999", ".5",
    "007", "9**9**9", "if", "else", "for", "in", "not", "None", "__import__", "x.y", "f'{x}'",
    "0x1", "1j", "\u03c3", "\u2212", "\ud83d", "\ufeff", "\u00aa", "\u2028", "((((((", "))))))",
    "-" * 50, "a=x;",
)  # fmt: skip
_FORMULAS = (
    "((x+y)+(x*y))*z",
    "g = x + y; f = g * z",
    "p = softmax(x, y, 1); -log(take(p, 0)) + 0.1 * (x**2 + y**2)",
    "dot([x, y], [1, 2], 3) ** 2 / (1 + exp(-x))",
    "where(x < y, leaky_relu(x, 0.1), max([x, y, z]))",
)


def _garbage(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "".join(rng.choice(_PIECES) for _ in range(rng.randrange(1, 30)))
    text = rng.choice(_FORMULAS)
    for _ in range(rng.randrange(1, 5)):
        at, length = rng.randrange(len(text) + 1), rng.randrange(4)
        middle = rng.choice(("", text[at : at + length] * rng.randrange(3), rng.choice(_PIECES)))
        text = text[:at] + middle + text[at + length :]
    return text


def _read(text: str) -> Expression | FormulaError:
    try:
        return parse(text)
    except FormulaError as error:
        return error


def _survive(text: str) -> str:
    """Parse and run any text: the only errors are those that are promised."""
    formula = _read(text)
    if isinstance(formula, FormulaError):
        message = str(formula)
        assert message.isascii()
        assert message.isprintable()
        assert 0 <= formula.position <= len(text)
        assert formula.pointer().endswith("^")
        return "refused"
    try:
        formula.build(dict.fromkeys(formula.names, 0.5))
    except (ArithmeticError, ValueError, IndexError):
        return "raised"
    return "ran"


def test_garbage_gives_the_one_error() -> None:
    rng = random.Random(2024)
    outcomes = {_survive(_garbage(rng)) for _ in range(3000)}
    assert outcomes == {"refused", "raised", "ran"}


@pytest.mark.slow
def test_garbage_gives_the_one_error_long() -> None:
    rng = random.Random(7)
    for _ in range(300_000):
        _survive(_garbage(rng))


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_any_text_gives_the_one_error(text: str) -> None:
    _survive(text)


def test_python_takes_whatever_gate_1_lets_through() -> None:
    rng = random.Random(3)
    tokens = ("x", "2", "exp", "(", ")", "[", "]", ",", "+", "-", "*", "**", "<", "==", " ", "1.5")
    taken = 0
    for _ in range(20_000):
        text = "".join(rng.choice(tokens) for _ in range(rng.randrange(1, 12)))
        try:
            (statement,) = scan(text)
        except FormulaError:
            continue
        ast.parse(text[statement.start : statement.end], mode="eval")
        taken += len(text) > 4
    assert taken > 100
