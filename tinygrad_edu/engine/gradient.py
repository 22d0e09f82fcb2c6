"""Gradients as results: ``grad()`` leaves the graph untouched and can be differentiated again.

``Value.backward()`` stores gradients in the nodes; ``grad()`` returns them. With
``create_graph=True`` the local-gradient rules run on Values instead of floats, so a gradient is
itself the output of a computational graph: second derivatives, Newton's method, gradients inside a
loss. (The notes, section 'The Chain Rule': the sum over the children of a node.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, overload

from tinygrad_edu.engine import tracing
from tinygrad_edu.engine.operation import Node, fail
from tinygrad_edu.engine.order import check_current, topological_order
from tinygrad_edu.engine.value import Value, as_value


@overload
def grad(output: Value, inputs: Value, *, create_graph: Literal[False] = False) -> float: ...
@overload
def grad(output: Value, inputs: Value, *, create_graph: Literal[True]) -> Value: ...
@overload
def grad(
    output: Value, inputs: Iterable[Value], *, create_graph: Literal[False] = False
) -> list[float]: ...
@overload
def grad(output: Value, inputs: Iterable[Value], *, create_graph: Literal[True]) -> list[Value]: ...
@overload
def grad(output: Value, inputs: Any, *, create_graph: bool = False) -> Any: ...
def grad(output: Any, inputs: Any, *, create_graph: bool = False) -> Any:
    """Return the gradients of ``output`` by each of ``inputs``; no ``.grad`` is touched.

    Args:
        output: The node to differentiate.
        inputs: A node, or several; leaves or interior nodes alike.
        create_graph: Return Values, computed by recorded operations, that can be differentiated
            again: second derivatives, Newton's method, gradients inside a loss. Otherwise floats.

    Returns:
        One gradient for a node, a list for several. An input that the output does not depend on
        has gradient 0.

    Raises:
        TypeError: If ``output`` or an input is not a node.
        ZeroDivisionError, ValueError, OverflowError: Where a derivative does not exist.

    >>> x = Value(2.0)
    >>> slope = grad(x**3, x, create_graph=True)
    >>> slope.data, grad(slope, x)
    (12.0, 12.0)
    """
    several = isinstance(inputs, Iterable)
    wanted = list(inputs) if several else [inputs]
    for node in (output, *wanted):
        if not isinstance(node, Node):
            raise TypeError(f"grad: expected a Value, got {type(node).__name__} {node!r:.60}")
    if tracing.tracing() and isinstance(output, Value):
        output = tracing.lifted(output)  # a captured Value: its gradient is to be followed, too
    if not all(isinstance(node, Value) for node in (output, *wanted)):
        results = output.gradient(wanted, create_graph)  # a compiler's symbols do it themselves
    else:
        results = _gradients(output, wanted, create_graph)
    return results if several else results[0]


def _gradients(output: Value, inputs: list[Value], create_graph: bool) -> list[Any]:
    # 1. Only nodes between the inputs and the output matter.
    between = set(inputs)
    order = [node for node in topological_order(output) if _reaches(node, between)]
    # 2. Backward, as in Value.backward(), with sums that may themselves be nodes.
    gradients: dict[Value, Any] = {output: 1.0}
    for node in reversed(order):
        if node.op is None or node not in gradients:
            continue
        check_current(node, output)
        upstream = gradients[node]
        chooses = node.op.chooses  # then partials are plain numbers, and 0 is: not chosen
        if create_graph and not chooses:
            try:
                partials = node.op.local_gradients(node, *node.operands)
            except (ArithmeticError, ValueError) as error:
                fail(node.op, node.operands, error, "gradient of ")
        else:
            partials = node.local_gradients()
        for operand, partial in zip(node.operands, partials):
            if operand not in between or (
                (chooses or create_graph) and type(partial) is float and partial == 0.0
            ):
                continue
            share = upstream if type(partial) is float and partial == 1.0 else upstream * partial
            gradients[operand] = gradients[operand] + share if operand in gradients else share
    found = [gradients.get(node, 0.0) for node in inputs]
    return [as_value(g) for g in found] if create_graph else found


def _reaches(node: Value, between: set[Value]) -> bool:
    if node in between:
        return True
    for operand in node.operands:
        if operand in between:
            between.add(node)
            return True
    return False
