"""Drawing a computational graph of Values, as the notes' Figures 1 and 2 are drawn.

Circles hold inputs (their name) and operations (their symbol, and the name given with ``label=``).
On the line that leaves a node stand its forward value in green, above, and its gradient in red,
below: the derivative of the output with respect to that node. See the notes, section 'The
Backpropagation Algorithm'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import count
from math import isclose
from typing import Literal, get_args

from tinygrad_edu.drawing.figures.diagram import (
    DIRECTIONS,
    Diagram,
    Direction,
    Link,
    Node,
    dot_text,
)
from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.folding import Fold, fold_graph
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.drawing.figures.text import (
    NumberFormat,
    isolated,
    label_lines,
    number_text,
    printable,
)
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.value import Constant, Value, topological_order

Constants = Literal["show", "inside", "hide"]

# Where the table's symbol is hard to see, or to tell from another, in a circle; and letters.
_SYMBOLS = {"-": "−", "·": "dot", "σ": "σ", "Σ": "Σ"}

# Operations whose operands may change places; at all others it is told which operand is which.
_SYMMETRIC = {
    "add", "mul", "maximum", "minimum", "sum", "max", "min", "logsumexp", "hypot", "equal", "norm",
    "prod", "mean",
}  # fmt: skip

_DESCRIBED = 60  # nodes that the text for screen readers lists
_FIRST_COLUMN = 10  # up to so many inputs stand in one column


def draw(
    output: Value,
    *,
    direction: Direction = "LR",
    number_format: NumberFormat = ".4g",
    gradients: bool | None = None,
    constants: Constants = "show",
    parameters: Iterable[Value] = (),
    depth: int | None = None,
    expand: Iterable[Value] = (),
    fold: Fold | Iterable[Value] = (),
    max_nodes: int = 1000,
    max_edges: int = 4000,
    title: str = "",
) -> Figure:
    """Draw the graph that ``output`` was computed by.

    The figure holds the values and gradients of this moment; later changes do not reach it.

    Args:
        output: The last node.
        direction: Where the flow goes: ``"LR"`` left to right, ``"RL"``, ``"TB"`` top to bottom or
            ``"BT"``. In vertical figures the value stands left of the line, the gradient right.
        number_format: A format specification (``".4g"``, ``"+.2f"``) or a function from a float to
            its text.
        gradients: Whether to write gradients; by default if there are any and they are those of
            ``output``, of one pass. Where they are not (of two passes, of another output, of
            leaves that have changed since), a line below the figure says so instead; with
            ``True`` they are written all the same, above that line.
        constants: How plain numbers in a formula (``x * 2``) look: as circles (``"show"``), written
            into the operation that uses them (``"inside"``) or not at all (``"hide"``).
        parameters: Nodes to highlight, such as ``model.parameters()``; those that are not in the
            graph are passed over.
        depth: Draw only the nodes at most so many operations away from the output. Where operands
            are left out, a node has a dashed rim.
        expand: Nodes to draw with their operands all the same.
        fold: Draw parts as one circle with a double rim: ``"neurons"`` for every
            ``activation(w . x + b)``, or nodes, each with all that only it makes use of.
        max_nodes: The most nodes to draw.
        max_edges: The most links between them.
        title: What the figure shows, for screen readers and file properties; by default the name of
            the output.

    Raises:
        TypeError: If ``output``, or a member of ``parameters`` or ``expand``, is not a Value.
        ValueError: If there are more than ``max_nodes`` nodes or ``max_edges`` links to draw, or an
            option is none of those above.

    Operands arrive at an operation in their order, from the top (in vertical figures from the
    left). Where they do not, and it matters (``a - b``, ``a / b``, ``a ** b``, ``where``, ``dot``),
    small numbers 1, 2, ... beside the arrowheads say which operand is which; at a ``dot`` the two
    with the same number are multiplied.

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> g = x + y; g.label = "g"
    >>> f = g * z; f.label = "f"
    >>> f.backward()
    >>> figure = draw(f)
    >>> '<text id="value-4" class="value"' in figure.svg
    True
    """
    diagram = graph_diagram(
        output, direction=direction, number_format=number_format, gradients=gradients,
        constants=constants, parameters=parameters, depth=depth, expand=expand,
        fold=fold, max_nodes=max_nodes, max_edges=max_edges, title=title,
    )  # fmt: skip
    return Figure(lambda: svg_text(place(diagram)), lambda: dot_text(diagram))


def graph_diagram(
    output: Value,
    *,
    direction: Direction = "LR",
    number_format: NumberFormat = ".4g",
    gradients: bool | None = None,
    constants: Constants = "show",
    parameters: Iterable[Value] = (),
    depth: int | None = None,
    expand: Iterable[Value] = (),
    fold: Fold | Iterable[Value] = (),
    max_nodes: int = 1000,
    max_edges: int = 4000,
    title: str = "",
) -> Diagram:
    """Return what ``draw`` draws, before it is laid out; node ``i`` is that of ``drawn_nodes``."""
    if not isinstance(output, Value):
        raise TypeError(f"output: expected a Value, got {type(output).__name__} {output!r:.60}")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction: expected one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if constants not in get_args(Constants):
        raise ValueError(
            f"constants: expected one of {', '.join(get_args(Constants))}, got {constants!r}"
        )
    try:
        number_text(1.0, number_format)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "number_format: expected a format specification for floats, such as '.4g', or a "
            f"function, got {number_format!r} ({error})"
        ) from None
    highlighted = _values(parameters, "parameters")
    nodes, cut = drawn_nodes(output, depth, expand)
    if constants != "show":
        nodes = [node for node in nodes if not isinstance(node, Constant) or node is output]
    folding = fold_graph(nodes, fold, highlighted)
    nodes = [node for node in nodes if node not in folding.hidden]
    if len(nodes) > max_nodes:
        raise ValueError(
            f"the graph has {len(nodes):,} nodes to draw, more than max_nodes={max_nodes:,}: pass "
            "depth=3 to draw the last operations alone, fold= to draw parts of it as one node, or "
            f"max_nodes={len(nodes)} to draw them all"
        )
    note = ""
    if gradients is not False:
        stray = stray_gradients(output, nodes)
        note = f"Gradients: {stray}." if stray and gradients else ""
        note = f"No gradients are drawn: {stray}." if stray and not gradients else note
        if gradients is None:
            gradients = not stray and any(node.grad for node in nodes)
    place_of = {node: index for index, node in enumerate(nodes)}
    inputs = [node for node in nodes if node.op is None and not isinstance(node, Constant)]
    column = 1 < len(inputs) <= _FIRST_COLUMN and not cut

    names = input_names(nodes)
    drawn: list[Node] = []
    links: list[Link] = []
    for index, node in enumerate(nodes):
        value, gradient = (number_text(x, number_format) for x in (node.data, node.grad))
        kind, head, name = _texts(
            node, names.get(node, value), constants if node not in cut else "hide", number_format
        )
        if node in highlighted:
            kind = f"parameter {kind}"
        if node in cut:
            kind = f"cut {kind}"
        folded = folding.counts.get(node, 0)
        if folded:
            kind = f"folded {kind}"
        bare = isinstance(node, Constant) and node is not output
        drawn.append(
            Node(
                title=head,
                name=name,
                description=_description(
                    node, value, gradient if gradients else "", node in cut, folded
                ),
                kind=kind,
                above=None if bare else value,
                below=gradient if gradients and not bare else "",
                first=column and node in inputs,
                ends=node is output,
                ordered=node.op is not None and node.op.name not in _SYMMETRIC and not folded,
            )
        )
        if node not in cut:
            links += [
                Link(place_of[operand], index, position, _operand_number(node, position))
                for position, operand in enumerate(folding.operands_of(node))
                if operand in place_of
            ]
    if len(links) > max_edges:
        raise ValueError(
            f"the graph has {len(links):,} links to draw, more than max_edges={max_edges:,}: pass "
            f"depth=3 to draw the last operations alone, fold= to draw parts of it as one node, or "
            f"max_edges={len(links)} to draw them all"
        )
    title = printable(title or output.label or "computation graph").replace("\n", " ")
    description = "\n".join(filter(None, [note, _summary(drawn)]))
    return Diagram(
        tuple(drawn), tuple(links), title=title, description=description, direction=direction,
        note=note, stacks=_stacks(nodes, links),
    )  # fmt: skip


def _stacks(nodes: Sequence[Value], links: Sequence[Link]) -> tuple[tuple[int, ...], ...]:
    """Return the neurons of each layer in their order: those called ``h1``, ``h2``, ... or so.

    Only if they can stand in one column, and each is there once, not once for every example.
    """
    layers: dict[str, dict[int, int]] = {}
    twice = set()
    for index, node in enumerate(nodes):
        found = re.fullmatch(r"((?:h|h\d+_|out_))(\d+)", node.label) if node.op else None
        if found is not None:
            layer, unit = layers.setdefault(found[1], {}), int(found[2])
            if unit in layer:
                twice.add(found[1])
            layer[unit] = index
    stacks = [
        tuple(layer[unit] for unit in sorted(layer))
        for name, layer in layers.items()
        if len(layer) > 1 and name not in twice
    ]
    if not stacks:
        return ()
    depth = [0] * len(nodes)
    for link in sorted(links, key=lambda link: link.head):
        depth[link.head] = max(depth[link.head], depth[link.tail] + 1)
    return tuple(stack for stack in stacks if len({depth[index] for index in stack}) == 1)


def input_names(nodes: Iterable[Value]) -> dict[Value, str]:
    """Name the inputs among ``nodes`` that have no label: ``x1``, ``x2``, ... in their order.

    >>> a, b = Value(1.0), Value(2.0, "x1")
    >>> list(input_names([a, b]).values())
    ['x2']
    """
    nodes = list(nodes)
    taken = {node.label for node in nodes}
    free = (name for name in map("x{}".format, count(1)) if name not in taken)
    return {
        node: next(free)
        for node in nodes
        if node.op is None and not isinstance(node, Constant) and not node.label.strip()
    }


def stray_gradients(output: Value, nodes: Sequence[Value]) -> str:
    """Say why the ``grad`` of ``nodes`` are not the derivatives of ``output``; nothing if they are.

    Gradients of a backward pass that is under way, node by node, are taken as well: there each is
    the sum of some of its terms.

    >>> x = Value(3.0, "x")
    >>> y = x * x; y.backward()
    >>> stray_gradients(y, [x, y])
    ''
    >>> z = x + 1.0
    >>> stray_gradients(z, [x, z])
    'those that the nodes hold are not of one backward() from this node'
    """
    if not any(node.grad for node in nodes):
        return ""
    try:
        wanted = dict(zip(nodes, grad(output, nodes)))
        if all(_same(node.grad, wanted[node]) for node in nodes):
            return ""
        if output.grad == 1.0 and len(nodes) <= _FEW and _is_under_way(output, nodes):
            return ""
    except RuntimeError as error:  # a leaf has changed since
        return str(error)
    except (ArithmeticError, ValueError) as error:
        return f"they cannot be told to be those of this node ({error})"
    return "those that the nodes hold are not of one backward() from this node"


_FEW = 300  # nodes of which it is looked at whether a backward pass is under way


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b) or isclose(a, b, rel_tol=1e-9)


def _is_under_way(output: Value, nodes: Sequence[Value]) -> bool:
    """Is each gradient the sum of some of the terms that its children pass back?"""
    everything = topological_order(output)
    full = dict(zip(everything, grad(output, everything)))
    sums: dict[Value, set[float]] = {node: {0.0} for node in everything}
    for node in everything:
        for operand, partial in zip(node.operands, node.local_gradients()):
            if len(sums[operand]) <= 256:
                sums[operand] |= {x + full[node] * partial for x in sums[operand]}
    return all(node is output or any(_same(node.grad, x) for x in sums[node]) for node in nodes)


def drawn_nodes(
    output: Value, depth: int | None = None, expand: Iterable[Value] = ()
) -> tuple[list[Value], set[Value]]:
    """Return the nodes to draw, operands first, and those of them whose operands are left out.

    >>> x = Value(2.0, "x")
    >>> nodes, cut = drawn_nodes((x + 1.0) * x, depth=1)
    >>> [node.op.symbol if node.op else node.label for node in nodes], len(cut)
    (['x', '+', '*'], 1)
    """
    expanded = _values(expand, "expand")
    if depth is None:
        return topological_order(output), set()
    if depth < 0:
        raise ValueError(f"depth: expected a number of operations, 0 or more, got {depth!r}")
    # Breadth first, so that a node counts with its shortest way to the output.
    near: set[Value] = {output}
    cut: set[Value] = set()
    frontier, distance = [output], 0
    while frontier:
        operands: list[Value] = []
        for node in frontier:
            if distance < depth or node in expanded:
                operands += [x for x in dict.fromkeys(node.operands) if x not in near]
                near.update(node.operands)
            elif node.operands:
                cut.add(node)
        frontier, distance = operands, distance + 1
    return [node for node in topological_order(output) if node in near], cut


def _operand_number(node: Value, position: int) -> str | None:
    """Return what tells an operand apart: in a ``dot`` the product it is in, else its place."""
    if node.op is None or node.op.name != "dot":
        return None
    pairs = len(node.operands) // 2
    return str(position % pairs + 1) if position < 2 * pairs else ""


def _values(nodes: Iterable[Value], what: str) -> set[Value]:
    found = set()
    for node in nodes:
        if not isinstance(node, Value):
            raise TypeError(f"{what}: expected Values, got {type(node).__name__} {node!r:.60}")
        found.add(node)
    return found


def _texts(
    node: Value, fallback: str, constants: Constants, number_format: NumberFormat
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return kind, title and name of a node."""
    label = label_lines(node.label) if node.label.strip() else ()
    if node.op is None:
        kind = "constant" if isinstance(node, Constant) else "input"
        return kind, label or (fallback,), ()
    title = operation_title(node.op)
    if constants == "inside" and any(isinstance(x, Constant) for x in node.operands):
        title = _with_constants(node, title, number_format)
    return "operation", (title,), label


def operation_title(op: Op) -> str:
    """Return how an operation is shown: its sign, or else its name, as in formulas and in Python.

    >>> from tinygrad_edu import exp, functional
    >>> x = Value(1.0)
    >>> [operation_title(node.op) for node in (x - 2.0, exp(x), functional.logsumexp([x]))]
    ['−', 'exp', 'logsumexp']
    """
    if op.symbol in _SYMBOLS:
        return _SYMBOLS[op.symbol]
    return printable(op.name if op.symbol.isalnum() else op.symbol)


def _with_constants(node: Value, symbol: str, number_format: NumberFormat) -> str:
    """Write the constant operands of an operation into its symbol: ``x * 2`` becomes ``* 2``."""
    numbers = [
        number_text(x.data, number_format) if isinstance(x, Constant) else "" for x in node.operands
    ]
    if node.op is not None and node.op.arity == 2 and not symbol.isalnum():
        return f"{numbers[0]} {symbol} {numbers[1]}".strip()
    return f"{symbol}({', '.join(number or '·' for number in numbers)})"


def _description(node: Value, value: str, gradient: str, cut: bool, folded: int) -> str:
    """Say in words what a node is, for pointing devices and screen readers."""
    parts = [isolated(printable(node.label))] if node.label else []
    if node.op is not None:
        parts.append(f"operation {node.op.name}")
    else:
        parts.append("constant" if isinstance(node, Constant) else "input")
    parts.append(f"value {value}")
    if gradient:
        parts.append(f"gradient {gradient}")
    if cut:
        parts.append("operands not drawn")
    if folded:
        parts.append(f"{folded} nodes folded into it")
    return ", ".join(parts)


def _summary(drawn: list[Node]) -> str:
    lines = [node.description for node in drawn[-_DESCRIBED:]]
    if len(drawn) > _DESCRIBED:
        lines.insert(0, f"The last {_DESCRIBED} of {len(drawn)} nodes:")
    return "\n".join(lines)
