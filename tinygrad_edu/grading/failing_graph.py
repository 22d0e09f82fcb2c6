"""A figure of the graph that a check failed on, with the right numbers and those that came.

The program of a record is text from the process in which a student's code ran, so it is never
executed: it is read as a syntax tree, of which only numbers, names, arithmetic and the known
functions are understood.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tinygrad_edu.drawing.figures.diagram import Diagram
from tinygrad_edu.drawing.figures.graph import drawn_nodes, graph_diagram
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.value import Value
from tinygrad_edu.grading.record import CheckRecord
from tinygrad_edu.grading.rubric import FUNCTIONS

_MOST_NODES = 40  # a larger figure shows a beginner nothing
_MOST_TEXT = 4000

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class _Unreadable(Exception):
    """The program has something in it that is no formula."""


def read_program(program: str) -> dict[str, Value] | None:
    """The variables of a program, as nodes of this package; None if it is more than formulas.

    The last one in the dictionary is the one that ``backward()`` is called on, if there is a call.

    >>> nodes = read_program("a = Value(2.0)\\nb = a * a\\nb.backward()")
    >>> nodes["b"].data
    4.0
    """
    if len(program) > _MOST_TEXT:
        return None
    nodes: dict[str, Value] = {}
    last: str | None = None
    try:
        for line in ast.parse(program).body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    nodes[name] = _as_node(_evaluate(value, nodes))
                case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                    apply = _BINARY.get(type(op))
                    if apply is None or name not in nodes:
                        return None
                    nodes[name] = _as_node(apply(nodes[name], _evaluate(value, nodes)))
                case ast.Expr(ast.Call(ast.Attribute(ast.Name(id=name), attr="backward"), [], [])):
                    last = name
                case ast.Expr(ast.Call(ast.Name(id="backward"), [ast.Name(id=name)], [])):
                    last = name
                case ast.Expr(ast.Attribute(ast.Name())):  # a look at a.grad
                    pass
                case ast.Assign(targets=[ast.Attribute(attr="grad")]):  # a seed set by hand
                    pass
                case _:
                    return None
            if len(nodes) > _MOST_NODES:
                return None
    except (_Unreadable, SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError):
        return None
    if last is not None:
        if last not in nodes:
            return None
        nodes[last] = nodes.pop(last)
    return nodes or None


def _as_node(found: Any) -> Value:
    if not isinstance(found, Value):
        raise _Unreadable
    return found


def _evaluate(node: ast.expr, nodes: dict[str, Value]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number if abs(number) <= 1e6 and math.isfinite(number) else float(number)
        case ast.Name(id=name) if name in nodes:
            return nodes[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluate(inner, nodes)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _evaluate(left, nodes), _evaluate(right, nodes)
            if not isinstance(a, Value) and not isinstance(b, Value):
                a = float(a)  # whole numbers could grow without end
            return _BINARY[type(op)](a, b)
        case ast.Call(func=ast.Name(id="Value"), args=[number], keywords=[]):
            data = _evaluate(number, nodes)
            if isinstance(data, Value):
                raise _Unreadable
            return Value(float(data))
        case ast.Call(func=ast.Attribute(value=inner, attr=name), args=[], keywords=[]):
            return _function(name, _evaluate(inner, nodes))
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]):
            return _function(name, _evaluate(inner, nodes))
        case ast.Call(func=ast.Name(id="sum"), args=[ast.List(elts=terms) | ast.Tuple(elts=terms)]):
            return sum(_evaluate(term, nodes) for term in terms)
    raise _Unreadable


def _function(name: str, operand: Any) -> Value:
    name = name.lower()
    known = name in FUNCTIONS and hasattr(functional, name)
    if not known or not isinstance(operand, Value):
        raise _Unreadable
    return _as_node(getattr(functional, name)(operand))


# --- which numbers came ---------------------------------------------------------------------------

_REMARK = re.compile(r"(?m)^#\s*(\w+)\.(data|grad): expected \S+, got (\S+?)[.,]?$")


def _differing(check: CheckRecord) -> dict[str, str]:
    """``{"a.grad": "3"}``: what came where something else was expected."""
    found: dict[str, str] = {}
    if isinstance(check.got, dict):
        wanted = check.expected if isinstance(check.expected, dict) else {}
        for name, got in check.got.items():
            if not _same(got, wanted.get(name)):
                found[name] = _number(got)
    for name, attribute, got in _REMARK.findall(check.program):
        found.setdefault(f"{name}.{attribute}", _number(got))
    return found


def _same(got: Any, wanted: Any) -> bool:
    try:
        return math.isclose(float(got), float(wanted), rel_tol=1e-7, abs_tol=1e-9)
    except (TypeError, ValueError):
        return bool(got == wanted)


def _number(found: Any) -> str:
    try:
        return f"{float(found):.4g}"
    except ValueError:
        return str(found)[:20]


def failing_figure(check: CheckRecord) -> str | None:
    """An SVG of the graph of a check's program; None where it has none that can be drawn.

    Beside a right number stands the one that came instead, and its node is marked.

    >>> check = CheckRecord("add up", "accumulation", False,
    ...     program="a = Value(3.0)\\nb = a * a\\nb.backward()",
    ...     expected={"a.grad": 6.0}, got={"a.grad": 3.0})
    >>> "6, yours 3" in failing_figure(check)
    True
    """
    return _figure(check.program, tuple(sorted(_differing(check).items())), check.name)


@lru_cache(maxsize=1000)  # many make the same mistake
def _figure(program: str, differing: tuple[tuple[str, str], ...], title: str) -> str | None:
    nodes = read_program(program)
    if nodes is None:
        return None
    for name, node in nodes.items():
        if not node.label:
            node.label = name
    output = list(nodes.values())[-1]
    try:
        output.backward()
        order, _cut = drawn_nodes(output)
        if len(order) > _MOST_NODES:
            return None
        diagram = graph_diagram(output, gradients=True, title=title)
        return svg_text(place(_marked(diagram, order, nodes, dict(differing))))
    except (ArithmeticError, ValueError, OSError, RuntimeError):  # no figure rather than no report
        return None


def _marked(
    diagram: Diagram, order: list[Value], names: dict[str, Value], differing: dict[str, str]
) -> Diagram:
    index = {node: i for i, node in enumerate(order)}
    drawn = list(diagram.nodes)
    for place_name, got in differing.items():
        name, _, attribute = place_name.partition(".")
        if name not in names or names[name] not in index:
            continue
        i = index[names[name]]
        node = drawn[i]
        if attribute == "grad":
            node = replace(node, below=f"{node.below or '0'}, yours {got}")
        elif attribute == "data":
            node = replace(node, above=f"{node.above}, yours {got}")
        else:
            continue
        if "parameter" not in node.kind:
            node = replace(node, kind=f"parameter {node.kind}")
        drawn[i] = replace(
            node, description=f"{node.description}; the submission's {attribute} is {got}"
        )
    return replace(diagram, nodes=tuple(drawn))
