"""Each submission in a process of its own: whatever it does there is a record, and a fair one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu.grading import isolated
from tinygrad_edu.grading.record import Record
from tinygrad_edu.grading.rubric import Rubric

RIGHT = """
import math

class Value:
    def __init__(self, data, operands=()):
        self.data, self.grad = data, 0.0
        self.operands = operands
        self.rule = lambda: None

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))
        def rule():
            self.grad += out.grad
            other.grad += out.grad
        out.rule = rule
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))
        def rule():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out.rule = rule
        return out

    def __pow__(self, n):
        out = Value(self.data**n, (self,))
        def rule():
            self.grad += (n * self.data ** (n - 1) if n else 0.0) * out.grad
        out.rule = rule
        return out

    def __sub__(self, other): return self + other * -1
    def __truediv__(self, other):
        return self * (other if isinstance(other, Value) else Value(other)) ** -1
    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __rmul__(self, other): return self * other
    def __rsub__(self, other): return Value(other) - self
    def __rtruediv__(self, other): return Value(other) / self

    def backward(self):
        order, seen = [], set()
        def visit(node):
            if node not in seen:
                seen.add(node)
                for x in node.operands:
                    visit(x)
                order.append(node)
        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node.rule()
"""


def graded(folder: Path, text: str, name: str = "work.py", **options: Any) -> Record:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return isolated.grade_file(file, **{"time": 15.0, "memory": 600e6, **options})


def test_a_right_class_passes_and_the_same_seed_gives_the_same_record(tmp_path: Path) -> None:
    first, second = (graded(tmp_path, RIGHT, seed=3) for _ in range(2))
    assert (first.verdict, first.score) == ("passed", 0.95), first  # no functions
    assert first.checks == second.checks
    assert first.advice == second.advice
    assert {check.name for check in first.advice} >= {"backward twice", "long chain"}


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        ("import os\n" + RIGHT + "\nValue.__mul__ = lambda *_: os._exit(0)", "crashed", "code 0"),
        ("import os\nos._exit(0)\n" + RIGHT, "passed", ""),  # the class is right, and it is read
        ("import ctypes\n" + RIGHT + "\nValue.__mul__ = lambda *_: ctypes.string_at(0)", "crashed",
         "SIGSEGV"),
        ("x = [1]\nwhile True: x = x * 2\n", "not loaded|out of memory", ""),
        (RIGHT + "\nValue.__mul__ = lambda *_: [1] * 10**9", "out of memory", "0.6 GB"),
    ],
)  # fmt: skip
def test_what_ends_the_process_has_its_verdict(
    tmp_path: Path, text: str, verdict: str, words: str
) -> None:
    record = graded(tmp_path, text)
    assert record.verdict in verdict.split("|"), record
    assert words in record.message


def test_other_names_are_found_by_trying(tmp_path: Path) -> None:
    text = RIGHT.replace("Value", "Num").replace("grad", "slope").replace(".data", ".amount")
    text = text.replace("    def backward(self):", "    def go(self):")
    record = graded(tmp_path, text)
    assert record.verdict == "passed", record
    assert record.loaded_as.class_name == "Num"
    assert record.loaded_as.mapping == {"data": "amount", "grad": "slope", "backward": "go"}


POW = "self.grad += (n * self.data ** (n - 1) if n else 0.0) * out.grad"
IADD = """
def add(self, other):
    self.data += other.data
    return self
Value.__iadd__ = add
"""
TANH = """
def tanh(self):
    t = (math.exp(2 * self.data) - 1) / (math.exp(2 * self.data) + 1)
    out = Value(t, (self,))
    def rule():
        self.grad += (1 - t * t) * out.grad
    out.rule = rule
    return out
Value.tanh = tanh
"""


@pytest.mark.parametrize(
    ("text", "name", "cause"),
    [
        (RIGHT.replace(POW, "self.grad += n * out.data / self.data * out.grad"),
         "powers at the edge", "power at base 0"),
        (RIGHT + IADD, "in-place operators", "__iadd__ in place"),
        (RIGHT.replace("def backward(self):", "def backward(self, seen=set()):")
         .replace("order, seen = [], set()", "order = []"),
         "a node in two graphs", "visited set kept between calls"),
        (RIGHT.replace("self.data, self.grad = data", "self.data, self.grad = single(data)")
         .replace("import math", "import struct\ndef single(x): "
                  "return struct.unpack('f', struct.pack('f', x))[0]"),
         "precision", "data in float32"),
        (RIGHT.replace("            other.grad += out.grad", "            other.grad = out.grad"),
         "gradients add up", "overwrite in plus"),
        (RIGHT.replace("self.grad += (n", "self.grad = (n"), "gradients add up",
         "overwrite in pow"),
        (RIGHT.replace("    def __radd__", "    def none"), "forward of 2.0 + a", "no __radd__"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_under_its_name_and_costs_once(
    tmp_path: Path, text: str, name: str, cause: str
) -> None:
    record = graded(tmp_path, text)
    assert record.verdict == "failed"
    assert (record.failures[0].name, record.failures[0].cause) == (name, cause), record.failures
    assert 0.5 < record.score < 0.95
    assert record.failures[0].program


def test_the_textbook_tanh_is_one_piece_of_advice_whatever_the_seed(tmp_path: Path) -> None:
    for seed in (1, 2):
        record = graded(tmp_path, RIGHT + TANH, seed=seed)
        assert record.verdict == "passed", record.failures
        (check,) = [c for c in record.advice if c.name == "large arguments"]
        assert "fails from a = 355 on: OverflowError" in check.message


def test_a_rubric_asks_for_a_function_and_lets_an_operator_be(tmp_path: Path) -> None:
    rubric = Rubric.read({"required": ["+", "*", "tanh"]})
    text = RIGHT.replace("def __pow__", "def power").replace("truediv__", "over")
    record = graded(tmp_path, text, rubric=rubric)
    assert [check.name for check in record.failures] == ["forward of a.tanh()"]


def test_nothing_of_a_submission_is_left_in_this_process(tmp_path: Path) -> None:
    before = os.getcwd()
    (tmp_path / "helper.py").write_text("import math\nSIZE = 3\n", encoding="utf-8")
    text = "import helper, sys\nsys.setrecursionlimit(50000)\nassert helper.SIZE == 3\n" + RIGHT
    assert graded(tmp_path, text).verdict == "passed"
    assert os.getcwd() == before
    assert sorted(os.listdir(tmp_path)) == ["helper.py", "work.py"]
