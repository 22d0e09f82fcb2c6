"""Is what was compiled what was written? The function is run eagerly as well, and compared.

Tracing sees one way through the code. A function that takes another way for numbers than for
symbols (it asks for types, or for what is in a table) would be compiled into something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.compiler.trace.arguments import Shape, build, outputs_of
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value

_OUTPUTS = 3  # how many results are differentiated


def eager_results(
    function: Callable[..., Any], shapes: Sequence[Shape], numbers: Sequence[Sequence[float]]
) -> tuple[list[float], list[list[float]]] | None:
    """Return what a function gives for such arguments, and the gradients of its first results.

    Returns:
        ``None`` where eager code raises, for want of a finite result.
    """
    leaves = [[Value(x) for x in part] for part in numbers]
    flat = [x for part in leaves for x in part]
    arguments = [build(shape, iter(part)) for shape, part in zip(shapes, leaves)]
    try:
        found = outputs_of(function(*arguments), "result")[1]
        rows = [
            [float(g) for g in grad(y, flat)]
            if isinstance(y, Value) and flat
            else [0.0] * len(flat)
            for y in found[:_OUTPUTS]
        ]
    except (ArithmeticError, ValueError):
        return None
    return [as_float(y) for y in found], rows


def difference(found: Sequence[float], expected: Sequence[float]) -> tuple[float, float] | None:
    """Return the first pair of numbers that differ by more than rounding."""
    allowed = 1e-6 * max((abs(x) for x in expected if abs(x) < 1e300), default=0.0) + 1e-9
    for a, b in zip(found, expected):
        if not (abs(a - b) <= allowed or a == b or (a != a and b != b)):
            return a, b
    return None


def check(name: str, found: Any, expected: tuple[list[float], list[list[float]]]) -> None:
    """Compare compiled values and rows of a Jacobian with eager ones.

    Raises:
        RuntimeError: If they differ.
    """
    values, rows = found
    pairs = [("result", values, expected[0])]
    pairs += [(f"gradient of result {k}", a, b) for k, (a, b) in enumerate(zip(rows, expected[1]))]
    for what, compiled, eager in pairs:
        wrong = difference(compiled, eager)
        if wrong is not None:
            raise RuntimeError(
                f"compile(verify=True): the {what} of {name} is {wrong[1]:.9g} in eager code and "
                f"{wrong[0]:.9g} in compiled code; does it do something else for numbers (look "
                "for their types, look them up) than for traced numbers?"
            )
