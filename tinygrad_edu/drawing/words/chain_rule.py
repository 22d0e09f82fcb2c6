"""The chain rule over one graph, as data: who hands what to whom in the backward pass.

``explain`` writes it out and the step-through page plays it. The notes, sections 'The Chain Rule'
(a node's gradient is a sum with one term for every child) and 'The Backpropagation Algorithm'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tinygrad_edu.drawing.words.notation import node_names
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.value import Constant, Value, topological_order


class Term(NamedTuple):
    """One term of a node's gradient: what one of its children passes back to it.

    Attributes:
        child: Index of the child, the node that this one is an operand of.
        position: Which operand of the child it is, from 0.
        upstream: The child's own gradient.
        local: The partial derivative of the child by this operand.
        share: Their product.
    """

    child: int
    position: int
    upstream: float
    local: float
    share: float


class ChainRule:
    """Every node of a graph with its name, its gradient and the terms that make it up.

    Nodes are known by their place in the forward pass. Gradients are computed here; the ``grad`` of
    no node is read or changed.

    Args:
        output: The node that is differentiated.
        wrt: The nodes whose gradients are wanted, if not those of all; nodes that lie on no path
            between them and the output have no part in the backward pass then.

    Attributes:
        nodes: All nodes in the order of the forward pass, operands before results.
        names: Their names.
        backward: The nodes that take part in the backward pass, in its order: each after all its
            children, the output first. The output's operands come before their operands, as in the
            notes. Constants take no part.
        gradients: The derivative of the output by each node; 0 for nodes that take no part.
        terms: For each node the terms of its gradient, in the order they arrive.
        passed: For each node the terms that it passes back, in the order of its operands.

    Raises:
        TypeError: If ``output`` or one of ``wrt`` is not a Value.
        ZeroDivisionError, ValueError, OverflowError: Where a derivative does not exist.

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> rule = ChainRule(((x + y) + (x * y)) * z)
    >>> [rule.names[i] for i in rule.backward]
    ['f', 'g', 'z', 'h', 'i', 'x', 'y']
    >>> [(term.upstream, term.local) for term in rule.terms[0]]
    [(4.0, 1.0), (4.0, 3.0)]
    """

    nodes: list[Value]
    index: dict[Value, int]

    def __init__(self, output: Value, wrt: Value | Iterable[Value] | None = None) -> None:
        wanted = None if wrt is None else [wrt] if isinstance(wrt, Value) else list(wrt)
        for node in (output, *(wanted or ())):
            if not isinstance(node, Value):
                raise TypeError(f"expected a Value, got {type(node).__name__} {node!r:.60}")
        self.output = output
        self.nodes = nodes = topological_order(output)
        self.index = index = {node: i for i, node in enumerate(nodes)}
        self.wrt = wanted
        # 1. The nodes that a gradient passes through.
        active = [wanted is None and not _is_constant(node) for node in nodes]
        for i, node in enumerate(nodes):
            if wanted is not None:
                active[i] = node in wanted or any(active[index[x]] for x in node.operands)
        active[-1] = True
        # 2. Breadth first from the output; a node's turn comes after the last of its children's.
        children_left = [0] * len(nodes)
        for node in nodes:
            for x in node.operands:
                children_left[index[x]] += 1
        order: list[int] = []
        everything = [len(nodes) - 1]
        for i in everything:
            if active[i]:
                order.append(i)
            for x in nodes[i].operands:
                children_left[index[x]] -= 1
                if not children_left[index[x]]:
                    everything.append(index[x])
        self.backward: list[int] = order
        self.names: list[str] = node_names(output, nodes, [nodes[i] for i in everything])
        # 3. The engine's own gradients, to the bit; and where they come from.
        self.gradients: list[float] = [0.0] * len(nodes)
        for i, gradient in zip(order, grad(output, [nodes[i] for i in order])):
            self.gradients[i] = gradient
        self.terms: list[list[Term]] = [[] for _ in nodes]
        self.passed: list[list[Term]] = [[] for _ in nodes]
        for i in order:
            operands = nodes[i].operands
            if not any(active[index[x]] for x in operands):
                continue
            for position, (x, local) in enumerate(zip(operands, nodes[i].local_gradients())):
                if active[index[x]]:
                    upstream = self.gradients[i]
                    term = Term(i, position, upstream, local, upstream * local)
                    self.terms[index[x]].append(term)
                    self.passed[i].append(term)

    def is_direct(self, term: Term) -> bool:
        """Is this path from operand to child only one of several?

        Then "the derivative of the child by the operand" would be read as that over all paths, and
        the one meant here must be called the direct one: that with the other operands held fixed.

        >>> x = Value(2.0)
        >>> rule = ChainRule(x * (x + 1.0))
        >>> [rule.is_direct(term) for term in rule.terms[0]]
        [True, False]
        """
        target = self.nodes[term.child].operands[term.position]
        lowest = self.index[target]
        others = list(self.nodes[term.child].operands)
        del others[term.position]
        seen: set[Value] = set()
        while others:
            node = others.pop()
            if node is target:
                return True
            if node not in seen and self.index[node] > lowest:
                seen.add(node)
                others += node.operands
        return False


def _is_constant(node: Value) -> bool:
    return isinstance(node, Constant) and node.op is None
