"""Compiled functions inside eager code: called on Values, they give nodes of the graph.

A node's operands are the Values among the arguments and those that the function uses from its
surroundings; its local gradients are the compiled ones.
Differentiated again (``create_graph=True``), they come from the function's gradient, compiled in
turn and called on Values in its turn: any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.compiler.trace.arguments import Shape, build, elements, outputs_of, shape_of
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.operation import Node, Op
from tinygrad_edu.engine.value import Value


def record_call(compiled: Any, args: tuple[Any, ...]) -> Any:
    """Return what ``compiled(*args)`` gives, with a node for each number that it returns.

    Args:
        compiled: A ``Compiled``.
        args: Its arguments, with Values among their numbers.
    """
    shapes = tuple([shape_of(x, f"{compiled.__name__}: argument") for x in args])
    flat = [x for argument in args for x in elements(argument)]
    places = tuple([i for i, x in enumerate(flat) if isinstance(x, Value)])
    operands = tuple([flat[i] for i in places])
    numbers = iter([x.data if isinstance(x, Value) else x for x in flat])
    plain = tuple([build(shape, numbers) for shape in shapes])
    shape, values = outputs_of(compiled(*plain), f"{compiled.__name__}: result")
    captured = tuple(compiled.captured_by(plain))
    wrt = (*range(len(args)), *captured)
    columns = [*places, *range(len(flat), len(flat) + len(captured))]
    rows = compiled.jacobian(*plain, wrt=wrt)[:, columns].tolist() if values else []
    made = []
    for k, value in enumerate(values):
        slopes = _slopes(compiled, shapes, flat, places, captured, k, rows[k])
        name = compiled.__name__ if compiled.__name__.isidentifier() else "compiled"
        doc = f"number {k} of what the compiled function {compiled.__name__} returns"
        op = Op(name, name, None, lambda *_numbers, value=value: value, slopes, doc)
        made.append(Value.record(op, (*operands, *captured)))
    return build(shape, iter(made))


def _slopes(
    compiled: Any,
    shapes: tuple[Shape, ...],
    flat: list[Any],
    places: tuple[int, ...],
    captured: tuple[Value, ...],
    k: int,
    known: list[float],
) -> Callable[..., tuple[Any, ...]]:
    """Return the rule of number ``k``: the slopes by the numbers at ``places`` and ``captured``."""

    def rule(_result: Any, *operands: Any) -> tuple[Any, ...]:
        if not any(isinstance(x, Node) for x in operands):
            return tuple(known)
        filled = list(flat)
        for place, operand in zip(places, operands):
            filled[place] = operand
        return tuple(compiled.gradient_function(shapes, places, captured, k)(filled))

    return rule


def gradient_of(
    function: Callable[..., Any],
    shapes: tuple[Shape, ...],
    places: tuple[int, ...],
    captured: tuple[Value, ...],
    k: int,
) -> Callable[[list[Any]], list[Any]]:
    """Return a function of a list of all numbers: the slopes of result ``k`` by some of them."""

    def slopes(numbers: list[Any]) -> list[Any]:
        nodes = iter(numbers)
        results = outputs_of(function(*[build(x, nodes) for x in shapes]), "result")[1]
        if not isinstance(results[k], Node):
            return [0.0 for _ in (*places, *captured)]
        wanted = [*(numbers[i] for i in places), *captured]
        found: list[Any] = grad(results[k], wanted, create_graph=True)
        return found

    return slopes
