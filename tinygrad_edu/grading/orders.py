"""What a backward pass computes that visits the nodes in a wrong order, to recognise it by.

The right order is the notes', section 'The Backpropagation Algorithm': each node combines the
gradients from its children (all nodes that use it) before it passes its own on. Each wrong schedule
here predicts the wrong numbers it leads to; where a class shows exactly the numbers of one kind of
mistake on every one of ``GRAPHS``, and of no other kind, that is its mistake.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import product

from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.value import Value
from tinygrad_edu.grading.programs import FORMS, Outcome, Program, close, expected, program
from tinygrad_edu.grading.running import magnitude

# Only + and *, which no class makes from other operations: every class builds these very graphs.
GRAPHS: list[Program] = [
    program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2)),
    program((2.0, 3.0), ("*", 0, 1), ("+", 2, 2)),
    program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2), ("+", 4, 3)),
    program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2), ("+", 3, 4)),
    program((2.0, 3.0, 5.0, 7.0), ("*", 0, 1), ("*", 4, 2), ("*", 5, 3), ("*", 6, 4)),
    program((2.0, 3.0, 5.0, 7.0), ("*", 0, 1), ("*", 4, 2), ("*", 5, 3), ("*", 4, 6)),
    program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2), ("+", 4, 3), ("*", 5, 4), ("+", 6, 5)),
    program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2), ("+", 3, 4), ("*", 4, 5), ("+", 5, 6)),
    program((2.0, 3.0, 4.0), ("+", 0, 1), ("*", 0, 1), ("+", 3, 4), ("*", 5, 2)),  # Figure 2
]

Edges = dict[int, list[tuple[int, float]]]  # node -> its operands and the partial derivatives
Visits = Callable[[Edges, int], Iterator[int]]  # the nodes, as they pass their gradients on


def _depth_first_each_path(edges: Edges, last: int) -> Iterator[int]:
    stack = [last]
    while stack:
        node = stack.pop()
        yield node
        stack += [x for x, _ in reversed(edges[node])]


def _breadth_first_each_path(edges: Edges, last: int) -> Iterator[int]:
    queue = deque([last])
    while queue:
        node = queue.popleft()
        yield node
        queue += [x for x, _ in edges[node]]


def _depth_first_once(edges: Edges, last: int) -> Iterator[int]:
    seen: set[int] = set()
    for node in _depth_first_each_path(edges, last):
        if node not in seen:
            seen.add(node)
            yield node


def _breadth_first_once(edges: Edges, last: int) -> Iterator[int]:
    seen: set[int] = set()
    for node in _breadth_first_each_path(edges, last):
        if node not in seen:
            seen.add(node)
            yield node


def _stack_once(edges: Edges, last: int) -> Iterator[int]:
    stack, seen = [last], {last}
    while stack:
        node = stack.pop()
        yield node
        for x, _ in edges[node]:
            if x not in seen:
                seen.add(x)
                stack.append(x)


# kind of mistake -> the ways in which programs make it
MISTAKES: dict[str, list[Visits]] = {
    "too often": [_depth_first_each_path, _breadth_first_each_path],
    "too early": [_depth_first_once, _breadth_first_once, _stack_once],
}

ADVICE = {
    "too often": (
        "Your numbers are those of a backward() that lets a node pass its gradient on once for "
        "every path that leads to it, counting again what it had passed on before. Put the nodes "
        "into a topological order, each node once (a set of visited nodes), and visit them in "
        "reverse."
    ),
    "too early": (
        "Your numbers are those of a backward() that visits a node before all nodes that use it "
        "have passed their gradients to it. A node may pass its gradient on only when that is "
        "complete: put the nodes into a topological order (a node after all of its operands), and "
        "visit them in reverse."
    ),
}


def edges_of(code: Program) -> Edges:
    """The operands of each node with the partial derivatives by them."""
    nodes = [node.data for node in code.build(Value)]
    first = len(code.inputs)
    edges: Edges = {i: [] for i in range(first)}
    for i, step in enumerate(code.steps, first):
        leaves = [Value(nodes[x] if isinstance(x, int) else x) for x in step.operands]
        partials = grad(FORMS[step.form].apply(*leaves), leaves)
        edges[i] = [(x, p) for x, p in zip(step.operands, partials) if isinstance(x, int)]
    return edges


def predictions(code: Program, visits: Visits) -> Iterator[tuple[float, ...]]:
    """The gradients of all nodes under a schedule, for every order in which operands may be met.

    A class may keep the operands in a set, whose order is not fixed and where an operand that
    occurs twice is met once; all of these are predicted.
    """
    edges = edges_of(code)
    inner = [i for i in edges if len(edges[i]) == 2]
    for choices in product((1, -1), repeat=len(inner)):
        for as_set in (False, True):
            shown = dict(edges)
            for i, direction in zip(inner, choices):
                shown[i] = edges[i][::direction]
                if as_set and edges[i][0][0] == edges[i][1][0]:
                    shown[i] = edges[i][:1]
            grads = [0.0] * len(edges)
            grads[-1] = 1.0
            for node in visits(shown, len(edges) - 1):
                for x, partial in edges[node]:
                    grads[x] += grads[node] * partial
            yield tuple(grads)


def mistake(run: Callable[[Program], Outcome]) -> str | None:
    """The one kind of mistake that explains what ``run`` shows on all ``GRAPHS``, or ``None``."""
    outcomes = [run(code) for code in GRAPHS]
    right = [expected(code) for code in GRAPHS]
    wrong = sum(
        not all(map(close, got.grads, wanted.grads)) for got, wanted in zip(outcomes, right)
    )
    if wrong < 2:  # a wrong order upsets several of them
        return None
    kinds = [
        kind
        for kind, ways in MISTAKES.items()
        if any(
            all(_explains(visits, code, o) for code, o in zip(GRAPHS, outcomes)) for visits in ways
        )
    ]
    return kinds[0] if len(kinds) == 1 else None


def _explains(visits: Visits, code: Program, outcome: Outcome) -> bool:
    scale = magnitude(outcome)
    return any(
        all(close(got, wanted, scale) for got, wanted in zip(outcome.grads, grads))
        for grads in predictions(code, visits)
    )
