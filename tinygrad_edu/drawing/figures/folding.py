"""Parts of a graph drawn as one circle: a neuron, or whatever leads to one node and nowhere else.

A folded node stands for its operation and for all that only it makes use of. What else that part
reads, the inputs above all, is linked to the folded node itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tinygrad_edu.engine.value import Constant, Value

Fold = Literal["neurons"]


class Folding:
    """What is folded in one figure.

    Attributes:
        operands: For each folded node what it is linked to instead of its own operands.
        hidden: The nodes that are folded into others.
        counts: For each folded node how many nodes are folded into it.
    """

    def __init__(self) -> None:
        self.operands: dict[Value, list[Value]] = {}
        self.hidden: set[Value] = set()
        self.counts: dict[Value, int] = {}

    def operands_of(self, node: Value) -> Sequence[Value]:
        """Return what a node is linked to in the figure."""
        return self.operands.get(node) or node.operands


def fold_graph(
    nodes: Sequence[Value], fold: Fold | Iterable[Value], parameters: set[Value]
) -> Folding:
    """Return what is folded in the figure of ``nodes``, which stand in the forward order.

    Args:
        nodes: The nodes that would be drawn, operands first, the output last.
        fold: ``"neurons"``, every ``activation(w . x + b)`` as one circle, its weights and bias in
            it; or nodes, each drawn as one circle with all that only it makes use of.
        parameters: Leaves that are folded with the node that uses them; other inputs stay.

    Raises:
        ValueError, TypeError: If ``fold`` is neither.

    >>> x, y = Value(2.0, "x"), Value(3.0, "y")
    >>> g = (x + y).tanh()
    >>> folding = fold_graph([x, y, *g.operands, g], [g], set())
    >>> [node.label for node in folding.operands_of(g)], folding.counts[g]
    (['x', 'y'], 1)
    """
    if isinstance(fold, str):
        if fold != "neurons":
            raise ValueError(f"fold: expected 'neurons' or Values, got {fold!r}")
        return _neurons(nodes)
    heads = set()
    for node in [fold] if isinstance(fold, Value) else _listed(fold):
        if not isinstance(node, Value):
            raise TypeError(f"fold: expected Values, got {type(node).__name__} {node!r:.60}")
        heads.add(node)
    users = _users(nodes)
    folding = Folding()
    owner: dict[Value, Value] = {}  # the folded node that a node is part of
    for node in reversed(nodes):
        owners = {owner.get(user) for user in users[node]}
        stays = node.op is None and not isinstance(node, Constant) and node not in parameters
        if len(owners) == 1 and None not in owners and not stays:
            (owner[node],) = owners  # type: ignore[assignment]
            folding.hidden.add(node)
        elif node in heads and node.operands:
            owner[node] = node
    for node in nodes:
        head = owner.get(node)
        if head is not None:
            linked = folding.operands.setdefault(head, [])
            linked += [x for x in node.operands if owner.get(x) is not head and x not in linked]
            folding.counts[head] = folding.counts.get(head, -1) + 1
    return folding


def _listed(fold: Any) -> list[Any]:
    try:
        return list(fold)
    except TypeError:
        raise TypeError(
            f"fold: expected 'neurons' or Values, got {type(fold).__name__} {fold!r:.60}"
        ) from None


def _users(nodes: Sequence[Value]) -> dict[Value, list[Value]]:
    users: dict[Value, list[Value]] = {node: [] for node in nodes}
    for node in nodes:
        for operand in node.operands:
            if operand in users:
                users[operand].append(node)
    return users


def _neurons(nodes: Sequence[Value]) -> Folding:
    users, folding = _users(nodes), Folding()
    head_of: dict[Value, Value] = {}  # from a neuron's sum of products to its last node
    for node in nodes:
        weights = node.operands[: len(node.operands) // 2]
        if node.op is None or node.op.name != "dot" or any(x.op is not None for x in weights):
            continue
        after = users[node]
        single = len(after) == 1 and len(after[0].operands) == 1 and not node.label
        head_of[node] = after[0] if single else node
    for score, head in head_of.items():
        half = len(score.operands) // 2
        own = [*score.operands[:half], *score.operands[2 * half :]]
        inside = [x for x in own if x in users and all(user in head_of for user in users[x])]
        shared = [x for x in own if x not in inside]
        folding.operands[head] = [*score.operands[half : 2 * half], *shared]
        folding.counts[head] = len(inside) + (score is not head)
        folding.hidden.update(inside if score is head else [*inside, score])
    return folding
