"""The kit for teachers: a right class passes, and each mistake, planted alone, is told by name.

The mistakes are planted by replacing a few characters of a right class. For each, the report has to
fail the right checks and name the right causes: all of them, and no other.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import micrograd.engine
import pytest
import torch  # noqa: F401  (imported before any code is traced)

import tinygrad_edu
from tinygrad_edu.grading import Report, grade, load_class, orders
from tinygrad_edu.grading.__main__ import main
from tinygrad_edu.grading.loading import Unloadable
from tinygrad_edu.grading.programs import expected, program, shrink
from tinygrad_edu.grading.running import TooLong, bounded

RIGHT = """
import math

class Value:
    def __init__(self, data, operands=()):
        self.data, self.grad = data, 0.0
        self.operands = operands
        self.rule = lambda: None

    def wrap(x):
        return x if isinstance(x, Value) else Value(x)

    def __add__(self, other):
        other = Value.wrap(other)
        out = Value(self.data + other.data, (self, other))
        def rule():
            self.grad += out.grad
            other.grad += out.grad
        out.rule = rule
        return out

    def __mul__(self, other):
        other = Value.wrap(other)
        out = Value(self.data * other.data, (self, other))
        def rule():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out.rule = rule
        return out

    def __pow__(self, n):
        out = Value(self.data**n, (self,))
        def rule():
            self.grad += n * self.data ** (n - 1) * out.grad
        out.rule = rule
        return out

    def relu(self):
        out = Value(self.data if self.data > 0 else 0.0, (self,))
        def rule():
            self.grad += (1.0 if self.data > 0 else 0.0) * out.grad
        out.rule = rule
        return out

    def exp(self):
        out = Value(math.exp(self.data), (self,))
        def rule():
            self.grad += out.data * out.grad
        out.rule = rule
        return out

    def __sub__(self, other): return self + -Value.wrap(other)
    def __truediv__(self, other): return self * Value.wrap(other) ** -1
    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __rmul__(self, other): return self * other
    def __rsub__(self, other): return Value(other) - self
    def __rtruediv__(self, other): return Value(other) / self

    def backward(self):
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(x, False) for x in node.operands]
        for node in order:
            if node.operands:
                node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            node.rule()
"""

# cause -> words that appear in a report exactly when it claims that cause
CAUSES = {
    "missing": "the class has no",
    "swapped": "in the wrong order: this is",
    "number": "make it a Value first",
    "mutated": "has to leave its operands as",
    "same object": "returned its operand",
    "no return": "Is a `return` missing?",
    "not wrapped": "Wrap the result in a Value",
    "unhashable": "loses its __hash__",
    "seed": "set by hand before the call",
    "sign": "Its sign is wrong",
    "nothing": "nothing is passed on to",
    "exchanged": "belongs to the other",
    "local gradient": "The gradient of `",
    "upstream": "the derivative is passed on as it is",
    "overwritten": "replaces the gradient that `a` already has",
    "counted once": "only one of its two shares",
    "stuck": "Either backward() goes one step and stops",
    "forward": "Start at the result: reverse the order",
    "too often": "once for every path",
    "too early": "before all nodes that use it",
    "interior": "does not hold its own",
    "equality": "takes one for the other",
    "shared default": "shared by all Values",
    "reset": "must not set the gradients of leaves",
    "data changed": "it may change gradients only",
    "sum": "sum() starts from the number 0",
    "exponential": "did not come to an end: the work",
    "endless": "is there a loop without a way out",
    "recursion limit": "exceeds Python's recursion limit",
    "stale": "still held their gradients",
    "kink": "ReLU has no derivative at exactly 0",
    "never ends": "calls itself without end",
    "attribute": "A Value has no",
    "grad none": "is None; let it start at 0.0",
}

RECURSIVE = """
        self.grad = 1.0
        self.pass_on()

    def pass_on(self):
        self.rule()
        for x in self.operands:
            x.pass_on()
"""
BREADTH_FIRST = """
        queue, seen = [self], {self}
        self.grad = 1.0
        while queue:
            node = queue.pop(0)
            node.rule()
            for x in node.operands:
                if x not in seen:
                    seen.add(x)
                    queue.append(x)
"""
DEPTH_FIRST = """
        self.grad = 1.0
        seen = set()
        def visit(node):
            if node not in seen:
                seen.add(node)
                node.rule()
                for x in node.operands:
                    visit(x)
        visit(self)
"""
NO_VISITED_SET = """
        order = []
        def build(node):
            for x in node.operands:
                build(x)
            order.append(node)
        build(self)
        self.grad = 1.0
        for node in reversed(order):
            node.rule()
"""
RECURSIVE_ORDER = """
        order, seen = [], set()
        def build(node):
            if node not in seen:
                seen.add(node)
                for x in node.operands:
                    build(x)
                order.append(node)
        build(self)
        self.grad = 1.0
        for node in reversed(order):
            node.rule()
"""
# right on every graph, and exponential: gradients are handed down path by path
PATH_BY_PATH = """
        self.hand_down(1.0)

    def hand_down(self, share):
        before, self.grad = self.grad, share
        held = [x.grad for x in self.operands]
        for x in self.operands: x.grad = 0.0
        self.rule()
        shares = [x.grad for x in self.operands]
        for x, g in zip(self.operands, held): x.grad = g
        self.grad = before + share
        if len(self.operands) == 2 and self.operands[0] is self.operands[1]:
            self.operands[0].hand_down(shares[0])
        else:
            for x, g in zip(self.operands, shares): x.hand_down(g)
"""
WITH_SETS = """
        order, seen = [], set()
        def build(node):
            if node not in seen:
                seen.add(node)
                for x in node.operands: build(x)
                order.append(node)
        build(self)
        self.grad = 1.0
        for node in reversed(order):
            before = {x: x.grad for x in node.operands}
            for x in before: x.grad = 0.0
            node.rule()
            same = len(node.operands) == 2 and node.operands[0] is node.operands[1]
            for x, g in before.items(): x.grad = g + (x.grad / 2 if same else x.grad)
"""


def planted(*changes: tuple[str, str]) -> Any:
    """The right class with some of its text replaced; ``backward`` replaces that method's body."""
    source = RIGHT
    for old, new in changes:
        if old == "backward":
            source = source[: source.index("        order, seen, stack")] + new.lstrip("\n")
        else:
            assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
            source = source.replace(old, new)
    namespace: dict[str, Any] = {}
    exec(compile(source, "student.py", "exec"), namespace)
    return namespace["Value"]


def causes(report: Report) -> set[str]:
    text = " ".join(str(report).split())
    return {name for name, words in CAUSES.items() if words in text}


KEEP_INTERIOR = ("                node.grad = 0.0\n", "                pass\n")
ADD_RULE = "self.grad += out.grad\n            other.grad += out.grad"
MUL_RULE = "self.grad += other.data * out.grad\n            other.grad += self.data * out.grad"

# name: (changes, the first check that fails, the causes that the whole report names)
MISTAKES: dict[str, tuple[list[tuple[str, str]], str, set[str]]] = {
    # the interface
    "no grad": (
        [("self.data, self.grad = data, 0.0", "self.data = data")], "interface", {"attribute"}),
    "grad None": ([("= data, 0.0", "= data, None")], "interface", {"grad none"}),
    "init raises": ([("self.operands = operands", "self.operands = parents")], "interface", set()),
    "grad starts at 1": ([("= data, 0.0", "= data, 1.0")], "interface", set()),
    # operators
    **{
        f"no {method}": (
            [(f"def {method}", f"def no{method}")], f"forward of {name}", {"missing"} | more)
        for method, name, more in (
            ("__radd__", "2.0 + a", {"sum"}), ("__rmul__", "2.0 * a", set()),
            ("__rsub__", "2.0 - a", set()), ("__rtruediv__", "2.0 / a", set()),
            ("__truediv__", "a / b", set()), ("__sub__", "a - b", set()),
            ("__neg__", "-a", set()), ("__pow__", "a ** 2", set()), ("__add__", "a + b", set()),
        )
    },
    "rsub swapped": (
        [("return Value(other) - self", "return self - other")], "forward of 2.0 - a", {"swapped"}),
    "rtruediv swapped": (
        [("return Value(other) / self", "return self / other")], "forward of 2.0 / a", {"swapped"}),
    "number not wrapped": (
        [("other = Value.wrap(other)\n        out = Value(self.data * other.data",
          "out = Value(self.data * other.data")], "forward of a * 2.0", {"number"}),
    "wrong forward": (
        [("Value(self.data * other.data", "Value(self.data + other.data")],
        "forward of a * b", set()),
    "in place": (
        [("out = Value(self.data + other.data, (self, other))",
          "self.data += other.data; out = Value(self.data, (self, other))")],
        "forward of a + b", {"mutated"}),
    "abs in place": (
        [("def __neg__(self): return self * -1", "def __neg__(self): return self")],
        "forward of -a", {"same object"}),
    "no return": (
        [("        out.rule = rule\n        return out\n\n    def __mul__",
          "        out.rule = rule\n\n    def __mul__")], "forward of a + b", {"no return"}),
    "returns a float": (
        [("out = Value(math.exp(self.data), (self,))", "return math.exp(self.data)")],
        "forward of a.exp()", {"not wrapped"}),
    "raises": ([("math.exp(", "maths.exp(")], "forward of a.exp()", set()),
    "recursion in an operator": (
        [("def __radd__(self, other): return self + other",
          "def __radd__(self, other): return other + self")], "forward of 2.0 + a", {"never ends"}),
    "endless operator": (
        [("out = Value(math.exp(self.data), (self,))",
          "out = Value(math.exp(self.data), (self,))\n        while True: pass")],
        "forward of a.exp()", {"endless"}),
    # the result's own gradient
    "not seeded": (
        [("        self.grad = 1.0\n", ""), KEEP_INTERIOR],
        "gradient of the result", {"seed", "stale"}),
    "not seeded, interior reset": (
        [("        self.grad = 1.0\n", "")], "gradient of the result", set()),
    "seeded with data": (
        [("        self.grad = 1.0\n", "        self.grad = self.data\n")],
        "gradient of the result", set()),
    # local gradients
    "mul exchanged": (
        [(MUL_RULE, MUL_RULE.replace("other.data", "T").replace("self.data", "other.data")
          .replace("T", "self.data"))],
        "gradient of a * b", {"local gradient", "exchanged"}),
    "add passes to one": (
        [(ADD_RULE, "self.grad += out.grad")],
        "gradient of a + b", {"local gradient", "nothing"}),
    "pow sign": (
        [("+= n * self.data", "-= n * self.data")],
        "gradient of a ** 2", {"local gradient", "sign"}),
    "pow without n": (
        [("+= n * self.data", "+= self.data")], "gradient of a ** 2", {"local gradient", "sign"}),
    "exp of the operand": ([("out.data * out.grad", "self.data * out.grad")],
                           "gradient of a.exp()", {"local gradient"}),
    "relu passes all": (
        [("(1.0 if self.data > 0 else 0.0) * out.grad", "out.grad")],
        "gradient of a.relu()", {"local gradient"}),
    "raises in backward": (
        [("out.data * out.grad", "out.dta * out.grad")], "gradient of a.exp()", set()),
    "backward needs an argument": (
        [("def backward(self)", "def backward(self, seed)")], "gradient of the result", set()),
    # the chain rule
    "mul forgets upstream": (
        [(MUL_RULE, MUL_RULE.replace(" * out.grad", ""))], "chain rule", {"upstream"}),
    "exp forgets upstream": ([("out.data * out.grad", "out.data")], "chain rule", {"upstream"}),
    # junctions
    "mul overwrites": (
        [(MUL_RULE, MUL_RULE.replace("+=", "="))], "gradients add up", {"overwritten"}),
    "add overwrites": (
        [(ADD_RULE, ADD_RULE.replace("+=", "="))], "gradients add up", {"overwritten"}),
    "exp overwrites": (
        [("self.grad += out.data * out.grad", "self.grad = out.data * out.grad")],
        "gradients add up", {"overwritten"}),
    "same operand counted once": (
        [("backward", WITH_SETS)], "gradients add up", {"counted once"}),
    # the order
    "goes one step": ([("backward", "\n        self.grad = 1.0\n        self.rule()\n")],
                      "order of the backward pass", {"stuck"}),
    "not reversed": (
        [("in reversed(order)", "in order"), KEEP_INTERIOR],
        "order of the backward pass", {"forward"}),
    "not reversed, interior reset": (
        [("in reversed(order)", "in order")], "order of the backward pass", {"stuck"}),
    "recursive": ([("backward", RECURSIVE)], "order of the backward pass", {"too often"}),
    "no visited set": ([("backward", NO_VISITED_SET)], "order of the backward pass", {"too often"}),
    "breadth first": ([("backward", BREADTH_FIRST)], "order of the backward pass", {"too early"}),
    "depth first": ([("backward", DEPTH_FIRST)], "order of the backward pass", {"too early"}),
    "endless backward": (
        [("node, done = stack.pop()", "node, done = stack[-1]")],
        "gradient of the result", {"endless"}),
    "path by path": ([("backward", PATH_BY_PATH)], "many paths", {"exponential"}),
    # the nodes
    "interior gradients dropped": (
        [("            node.rule()\n", "            node.rule()\n            if node.operands and "
          "node is not self: node.grad = 0.0\n")], "interior nodes", {"interior"}),
    "equality by data": (
        [("    def __neg__", "    def __eq__(self, other): return self.data == other.data\n"
          "    def __hash__(self): return hash(self.data)\n    def __neg__")],
        "equal data", {"equality"}),
    "unhashable": (
        [("    def __neg__", "    def __eq__(self, other): return self is other\n    def __neg__")],
        "gradient of the result", {"unhashable"}),
    "leaves reset": (
        [("            if node.operands:\n", "            if True:\n")],
        "separate graphs", {"reset"}),
    "data changed": (
        [("            node.rule()\n", "            node.rule()\n            if node is not self: "
          "node.data -= 0.1 * node.grad\n")], "data unchanged", {"data changed"}),
    # advice
    "recursive order": (
        [("backward", RECURSIVE_ORDER)], "backward twice", {"stale", "recursion limit"}),
    "stale gradients": ([KEEP_INTERIOR],
                        "backward twice", {"stale"}),
    "relu at 0": ([("1.0 if self.data > 0", "1.0 if self.data >= 0")], "ReLU at 0", {"kink"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_told_by_name_and_no_other_is(name: str) -> None:
    changes, check, named = MISTAKES[name]
    report = grade(planted(*changes), examples=20)
    trouble = [r.name for r in report.results if r.status in ("failed", "advice")]
    assert trouble, "nothing was found"
    assert trouble[0] == check, str(report)
    assert causes(report) == named, str(report)
    assert report.passed == (report[check].status == "advice")
    assert report[check].message in " ".join(str(report).split())


def _pairs() -> list[tuple[str, str]]:
    return [(a, b) for a in MISTAKES for b in MISTAKES if a < b]


# what is said of gradients that are wrong for a reason found elsewhere, and true all the same
OBSERVATIONS = {"local gradient", "nothing", "sign"}
# causes that only show once another mistake no longer hides them
HIDDEN = {
    "not seeded, interior reset": {"seed", "stale"},
    "not reversed, interior reset": {"forward", "stale"},
    "path by path": {"counted once"},  # a + a is all that is left to overwrite
}


def _pair_names_only_its_own_causes(one: str, other: str) -> None:
    try:
        kind = planted(*MISTAKES[one][0], *MISTAKES[other][0])
    except (AssertionError, ValueError, SyntaxError):
        return  # both change the same text
    report = grade(kind, examples=5)
    if {one, other} != {"equality by data", "unhashable"}:  # these two undo each other
        assert [r for r in report.results if r.status in ("failed", "advice")]
    own = OBSERVATIONS.union(*(MISTAKES[n][2] | HIDDEN.get(n, set()) for n in (one, other)))
    assert causes(report) <= own, str(report)


@pytest.mark.parametrize(("one", "other"), random.Random(1).sample(_pairs(), 40))
def test_of_two_mistakes_at_once_no_third_is_named(one: str, other: str) -> None:
    _pair_names_only_its_own_causes(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("one", MISTAKES)
def test_of_any_two_mistakes_at_once_no_third_is_named(one: str) -> None:
    for a, b in _pairs():
        if a == one:
            _pair_names_only_its_own_causes(a, b)


@pytest.mark.parametrize(
    "kind",
    [tinygrad_edu.Value, micrograd.engine.Value, planted()],
    ids=["ours", "micrograd", "plain"],
)
@pytest.mark.parametrize("against", ["tinygrad_edu", "torch"])
def test_right_classes_pass(kind: Any, against: str) -> None:
    report = grade(kind, against=against)
    assert report.passed, str(report)
    assert report.score == 1.0
    assert all(r.status in ("passed", "advice") for r in report.results)


def test_strict_counts_advice_and_skip_leaves_a_check_out() -> None:
    kind = micrograd.engine.Value
    assert not grade(kind, strict=True, examples=5).passed
    report = grade(kind, strict=True, examples=5, skip=["backward twice", "long chain"])
    assert report.passed
    assert "long chain" not in {r.name for r in report.results}
    with pytest.raises(
        ValueError, match="no check named 'speed'; there are interface, precision, forward of"
    ):
        grade(kind, skip=["speed"])


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="expected a class, got Value"):
        grade(tinygrad_edu.Value(1.0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="examples: expected a whole number from 0, got -1"):
        grade(tinygrad_edu.Value, examples=-1)
    with pytest.raises(ValueError, match="against: expected 'tinygrad_edu' or 'torch', got 'jax'"):
        grade(tinygrad_edu.Value, against="jax")


def test_score_counts_every_check_that_does_not_pass() -> None:
    report = grade(planted(("def __rsub__", "def norsub__")), examples=5)
    not_passed = [r.name for r in report.results if r.status in ("failed", "waiting")]
    counted = [r for r in report.results if r.status != "advice"]
    assert not_passed == ["forward of 2.0 - a", "gradient of 2.0 - a"]
    assert report.score == pytest.approx(1 - len(not_passed) / len(counted))
    assert [r.name for r in report.failures] == ["forward of 2.0 - a"]
    assert report["gradient of 2.0 - a"].status == "waiting"
    with pytest.raises(KeyError, match="no check 'speed'"):
        report["speed"]


@pytest.mark.parametrize("name", ["no __rsub__", "exp of the operand", "recursive", "unhashable"])
def test_every_example_shows_its_fault_when_pasted(name: str) -> None:
    kind = planted(*MISTAKES[name][0])
    failures = grade(kind, examples=5).failures
    assert failures
    for result in failures:
        *lines, last = result.example
        try:
            namespace: dict[str, Any] = {"Value": kind}
            exec("\n".join([*lines, last]), namespace)
        except TypeError:
            continue  # the fault is an exception
        where, numbers = last.removeprefix("# ").split(": expected ")
        wanted, got = (float(text.split()[-1]) for text in numbers.split(", got"))
        assert eval(where, namespace) == pytest.approx(got)
        assert wanted != pytest.approx(got)


def test_a_fault_that_only_random_graphs_find_is_shrunk_to_the_smallest() -> None:
    # wrong for the exponential of a ReLU alone, which no check but the last one tries
    odd = planted(
        ("out = Value(self.data if self.data > 0 else 0.0, (self,))",
         "out = Value(self.data if self.data > 0 else 0.0, (self,)); out.is_relu = True"),
        ("out.data * out.grad", "out.data * out.grad * (0.5 if hasattr(self, 'is_relu') else 1.0)"),
    )  # fmt: skip
    report = grade(odd)
    assert [r.name for r in report.failures] == ["random graphs"]
    assert report["random graphs"].example[:4] == (
        "a = Value(2.0)", "b = a.relu()", "c = b.exp()", "c.backward()",
    )  # fmt: skip
    assert not causes(report)


def test_shrinking_keeps_what_fails_and_nothing_else() -> None:
    big = program((1.7, 2.6, 0.4), ("+", 0, 1), ("tanh", 2), ("*", 3, 4), ("-", 5, 3), ("neg", 6))
    small = shrink(big, lambda p: any(s.form == "-" for s in p.steps))
    assert small.code() == ["a = Value(2.0)", "b = a - a", "b.backward()"]


@pytest.mark.parametrize("against", ["tinygrad_edu", "torch"])
def test_expected_gradients_are_the_notes_figure_2(against: str) -> None:
    outcome = expected(orders.GRAPHS[-1], against)
    assert outcome.data == pytest.approx((2, 3, 4, 5, 6, 11, 44))
    assert outcome.grads == pytest.approx((16, 12, 11, 4, 4, 4, 1))


def test_the_right_order_is_none_of_the_mistakes_and_each_mistake_is_itself() -> None:
    assert orders.mistake(expected) is None
    for kind, ways in orders.MISTAKES.items():
        for visits in ways:

            def run(code: Any, visits: Any = visits) -> Any:
                right = expected(code)
                wrong = list(orders.predictions(code, visits))[-1]
                return type(right)(right.data, wrong)

            assert orders.mistake(run) == kind


def test_code_without_end_is_stopped_and_the_trace_function_is_put_back() -> None:
    def endless() -> None:
        while True:
            pass

    before = sys.gettrace()
    with pytest.raises(TooLong):
        bounded(endless, 10_000)
    assert sys.gettrace() is before
    assert bounded(lambda: sum(range(100))) == 4950


def test_what_the_student_prints_is_dropped(capsys: Any) -> None:
    noisy = planted(("        self.grad = 1.0\n", "        self.grad = 1.0; print('here')\n"))
    assert grade(noisy, examples=5).passed
    assert capsys.readouterr().out == ""


def test_the_exception_of_a_student_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "student.py"
    file.write_text(RIGHT.replace("math.exp(", "maths.exp("), encoding="utf-8")
    message = grade(load_class(str(file)), examples=5)["forward of a.exp()"].message
    assert "`a.exp()` raised NameError: name 'maths' is not defined" in message
    assert "(student.py, line" in message
    assert "in exp: `out = Value(maths.exp(self.data), (self,))`)" in message


def test_markdown_and_notebook_show_the_same() -> None:
    report = grade(planted(*MISTAKES["recursive"][0]), examples=5)
    text = report.markdown()
    assert report._repr_markdown_() == text
    assert "### Failed: order of the backward pass" in text
    assert "```python\na = Value(2.0)" in text
    assert text.count("\n| ") == len(report.results) + 1


def test_loading(tmp_path: Path) -> None:
    file = tmp_path / "s.py"
    for text, words in (
        ("class Other: pass", "has no class Value"),
        ("Value = 3", "has no class Value"),
        ("import nonsuch", "raised ModuleNotFoundError: No module named 'nonsuch'"),
        ("def f(:", "raised SyntaxError"),
        ("raise SystemExit(3)", "raised SystemExit"),
        ("while True: pass", "did not come to an end"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(Unloadable, match=words):
            load_class(str(file))
    with pytest.raises(Unloadable, match="there is no file"):
        load_class(str(tmp_path / "none.py"))
    file.write_text(
        "import dataclasses\n@dataclasses.dataclass\nclass Scalar:\n    data: float",
        encoding="utf-8",
    )
    assert load_class(f"{file}:Scalar").__name__ == "Scalar"
    assert not [name for name in sys.modules if name.startswith("_student_")]


def test_command_line(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "student.py"
    file.write_text(RIGHT, encoding="utf-8")
    assert main([str(file)]) == 0
    assert "passed, " in capsys.readouterr().out
    file.write_text(RIGHT.replace("def __rsub__", "def no"), encoding="utf-8")
    assert main([str(file)]) == 1
    assert "FAILED: forward of 2.0 - a (reversed operators)" in capsys.readouterr().out
    assert main([str(tmp_path / "none.py")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_class_that_ends_the_program_fails() -> None:
    report = grade(planted(("backward", "        raise SystemExit(0)\n")), examples=5)
    assert not report.passed
    assert "`c.backward()` raised SystemExit: 0" in report["gradient of the result"].message


def test_what_the_class_is_given_it_keeps() -> None:
    def start(self: Any, data: float, *rest: Any) -> None:
        right.__init__(self, int(data), *rest)

    right: Any = planted()
    message = grade(type("Value", (right,), {"__init__": start}), examples=5)["interface"].message
    assert message == "`Value(-1.5).data` should be -1.5, but it is -1."

    def refuse(self: Any, data: float, *rest: Any) -> None:
        if data < 0.0:
            raise ValueError("positive numbers only")
        right.__init__(self, data, *rest)

    message = grade(type("Value", (right,), {"__init__": refuse}), examples=5)["interface"].message
    assert "`Value(-1.5)` raised ValueError: positive numbers only" in message


def test_pytest_plugin(tmp_path: Path) -> None:
    right, wrong = tmp_path / "one" / "engine.py", tmp_path / "two" / "engine.py"
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    scalar = (RIGHT.replace("class Value", "class Scalar").replace("Value(", "Scalar(")
              .replace("Value.", "Scalar.").replace(", Value)", ", Scalar)"))  # fmt: skip
    ran = tmp_path / "ran"
    right.write_text(f"{scalar}\nopen({str(ran)!r}, 'a').write('x')\n{RIGHT}", encoding="utf-8")
    wrong.write_text(
        RIGHT.replace("self.grad += out.data", "self.grad = out.data"), encoding="utf-8"
    )
    (tmp_path / "three" / "engine.py").write_text("def f(:", encoding="utf-8")
    (tmp_path / "test_other.py").write_text("def test_other(): assert False", encoding="utf-8")
    wanted = [f"{right}:Scalar", f"{right}:Value", f"{right}:Scalar", "two/engine.py",
              "three/engine.py"]  # fmt: skip
    options = [word for where in wanted for word in ("--student-value", where)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tinygrad_edu.grading.pytest_plugin", "-p",
         "no:cacheprovider", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(tinygrad_edu.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"\b2 failed, \d{3} passed in", done.stdout), done.stdout
    assert ran.read_text() == "xx"  # once for each class
    assert "`a.exp()`: what the operation passes on replaces the gradient" in " ".join(
        done.stdout.split()
    )
    assert "three/engine.py: loading" in done.stdout
    assert "not loaded: `engine.py` raised SyntaxError" in done.stdout
    assert "test_other" not in done.stdout
    assert "Traceback" not in done.stdout
