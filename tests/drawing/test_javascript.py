"""The pages' JavaScript computes what Python computes: operations, derivatives and errors.

Run here by node where there is one; ``test_browser.py`` runs the same cases in Chromium.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from reference import ALL_OPS, close, op_id, sample_operands

from tinygrad_edu import Value
from tinygrad_edu.drawing.pages.javascript import (
    ELEMENTARY,
    JavaScript,
    operation_key,
    operation_source,
    operations_source,
)
from tinygrad_edu.drawing.pages.page import page_file
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op

# Units in the last place. Both sides' exp, log, ... are off by one or two, each in its own way, and
# exp(a - y) in the rule of logsumexp magnifies that.
ULPS = 16
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e-300, 1e-9, 1e9, 1e300, -1e300]
EDGES += [math.inf, -math.inf, math.nan, 700.0, 720.0, -750.0, 1.5, 5.9, 6.1, 3.5]

Case = tuple[Op, list[float]]


def cases() -> Iterator[Case]:
    choose = random.Random(5)
    for op in ALL_OPS:
        for _ in range(40):
            yield op, sample_operands(op, choose)
        count = op.arity or 3
        for a in EDGES:
            for b in EDGES if count > 1 else [0.0]:
                rest = [choose.choice(EDGES) for _ in range(count - 2)]
                operands = [a, b, *rest][:count]
                if op is ops.take:
                    operands[0] = float(choose.randrange(2))
                yield op, operands


def python_answer(op: Op, operands: list[float]) -> dict[str, Any]:
    """Value and partial derivatives as JSON can hold them; ``None`` where Python raises."""
    try:
        value = op.forward(*operands)
    except (ArithmeticError, ValueError):
        return {"value": None, "gradients": None}
    try:
        gradients = [float(x) for x in op.local_gradients(value, *operands)]
    except (ArithmeticError, ValueError):
        return {"value": value, "gradients": None}
    return {"value": value, "gradients": gradients}


def script(all_cases: list[Case]) -> str:
    """JavaScript whose last expression is the list of answers, as JSON text."""
    table = {operation_key(op, len(x)): operation_source(op, len(x)) for op, x in all_cases}
    rows = ",\n".join(f"{json.dumps(key)}: {source}" for key, source in table.items())
    calls = ",".join(
        f"[{json.dumps(operation_key(op, len(x)))}, [{','.join(map(literal, x))}]]"
        for op, x in all_cases
    )
    return f"""{page_file("arithmetic.js")}
const OPERATIONS = {{{rows}}};
const attempt = (f) => {{
  try {{ return f(); }} catch (error) {{
    if (error instanceof MathError) return null;
    throw error;
  }}
}};
JSON.stringify([{calls}].map(([key, x]) => {{
  const value = attempt(() => OPERATIONS[key].forward(...x));
  const gradients = value === null ? null : attempt(() => OPERATIONS[key].gradients(value, ...x));
  return {{value, gradients}};
}}), (_, x) => (typeof x === "number" && !Number.isFinite(x) ? String(x) : x));"""


def literal(x: float) -> str:
    return JavaScript.number(x).text


def number_of(answer: Any) -> float:
    return float(str(answer).replace("Infinity", "inf"))


def compare(all_cases: list[Case], answers: list[dict[str, Any]]) -> None:
    assert len(answers) == len(all_cases)
    for (op, operands), got in zip(all_cases, answers):
        expected = python_answer(op, operands)
        where = f"{op_id(op)}{tuple(operands)}: python {expected}, javascript {got}"
        for part in ("value", "gradients"):
            assert (expected[part] is None) == (got[part] is None), where
        if expected["value"] is None:
            continue
        pairs = [(expected["value"], got["value"])]
        if expected["gradients"] is not None:
            pairs += list(zip(expected["gradients"], got["gradients"], strict=True))
        for python, javascript in pairs:
            # near a root of a sum; and Python's own lgamma is 20 units off near its root at 2
            atol = 1e-14 if op.name in ("lgamma", "gelu", "silu", "erfc") else 1e-307
            assert close(number_of(javascript), python, ULPS * 2.0**-53, atol), where


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def run_node(source: str) -> str:
    program = f"console.log(eval({json.dumps(source)}));"
    return subprocess.run(
        ["node", "-"], input=program, capture_output=True, text=True, check=True, timeout=60
    ).stdout


@needs_node
def test_every_operation_agrees_with_python() -> None:
    all_cases = list(cases())
    compare(all_cases, json.loads(run_node(script(all_cases))))


def test_every_elementary_operation_is_there() -> None:
    for op in ALL_OPS:
        operation_source(op, op.arity or 3)
    assert {op.name for op in ops.TABLE.values() if op.formula is None} - ELEMENTARY == {
        "add", "sub", "mul", "neg",  # written as signs
    }  # fmt: skip


def test_an_operation_that_javascript_lacks_says_what_to_do() -> None:
    op = Op("gamma", "Γ", 1, math.gamma, lambda y, a: (y,), "the gamma function")
    with pytest.raises(NotImplementedError, match=r"gamma has no formula and is not in pages/"):
        operation_source(op, 1)


def test_a_page_carries_only_the_operations_it_uses() -> None:
    x = Value(2.0)
    source = operations_source([x, x * x, (x + 1.0) ** 3])
    assert '"mul": {' in source
    assert '"power 3.0": {' in source
    assert "tanh" not in source


def test_the_text_of_a_large_operation_grows_with_its_operands() -> None:
    sizes = [len(operation_source(ops.max_, count)) for count in (100, 200, 400)]
    assert sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])
