"""Random DAGs with shared subexpressions: values and all gradients agree with torch to 1e-12."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from reference import TORCH, tensor

from tinygrad_edu import Value, grad
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.value import topological_order

# Operations that are safe on any operand after the guards below, with their guards: every node of a
# random graph is kept within [-3, 3] by tanh-like squashing where an operation could blow it up.
UNARY = [
    "neg", "abs", "exp", "expm1", "sin", "cos", "atan", "sinh", "cosh", "tanh", "erf", "sigmoid",
    "log_sigmoid", "softplus", "relu",
]  # fmt: skip
POSITIVE = ["log", "log1p", "log2", "log10", "sqrt"]  # applied to 1 + a^2
UNIT = ["asin", "acos", "tan"]  # applied to 0.9 tanh(a)
BINARY = ["add", "sub", "mul", "maximum", "minimum", "hypot", "atan2", "div", "pow"]
NARY = ["sum", "dot", "max", "logsumexp"]
CHOICES = UNARY + POSITIVE + UNIT + BINARY * 2 + NARY + ["where"]

Step = tuple[str, tuple[int, ...]]


@st.composite
def programs(draw: Any, max_nodes: int = 200) -> tuple[list[float], list[Step]]:
    """Leaf values, and steps (operation, which earlier nodes)."""
    leaves = draw(st.lists(st.floats(-2.0, 2.0, width=32), min_size=2, max_size=6))
    size = draw(st.integers(3, max_nodes))
    rng = draw(st.randoms(use_true_random=False))
    steps: list[Step] = []
    for i in range(size):
        name = rng.choice(CHOICES)
        count = (
            1 if name in UNARY + POSITIVE + UNIT else 2 if name in BINARY else 3 if name == "where"
            else 2 * rng.randint(1, 3) + rng.randint(0, 1) if name == "dot" else rng.randint(1, 5)
        )  # fmt: skip
        available = len(leaves) + i
        # half of the operands are recent nodes: deep graphs; the rest anywhere: shared nodes
        picks = tuple(
            rng.randrange(max(0, available - 4), available)
            if rng.random() < 0.5
            else rng.randrange(available)
            for _ in range(count)
        )
        steps.append((name, picks))
    return leaves, steps


def run(leaves: list[Any], steps: list[Step], apply: Any) -> list[Any]:
    """All nodes of the program, with ``apply(name, operands)`` computing one of them."""
    nodes = list(leaves)
    squash = lambda a: apply("tanh", (a,))  # noqa: E731
    for name, picks in steps:
        a = [nodes[i] for i in picks]
        if name in POSITIVE:
            a = [a[0] * a[0] + 1.0]
        elif name in UNIT:
            a = [squash(a[0]) * 0.9]
        elif name in ("exp", "expm1", "sinh", "cosh", "mul", "dot"):
            a = [squash(x) * 3.0 for x in a]
        elif name == "div":
            a = [a[0], a[1] * a[1] + 0.5]
        elif name in ("pow", "hypot", "atan2"):
            a = [squash(a[0]) + 1.5, squash(a[1])]
        elif name == "where":
            a = [apply("less", (a[0], a[1])), a[1], a[2]]
        nodes.append(apply(name, tuple(a)))
    return nodes


def apply_ours(name: str, operands: tuple[Any, ...]) -> Any:
    return ops.TABLE[name](*operands)


def apply_torch(name: str, operands: tuple[torch.Tensor, ...]) -> torch.Tensor:
    result = TORCH[name](*operands)
    if result.requires_grad:
        result.retain_grad()
    return result


def agree(got: float, expected: float, scale: float) -> bool:
    return abs(got - expected) <= 1e-12 * max(abs(got), abs(expected), scale)


@settings(max_examples=150, deadline=None, print_blob=True)
@given(programs())
def test_values_and_all_gradients_agree_with_torch(program: tuple[list[float], list[Step]]) -> None:
    leaf_data, steps = program
    leaves, tensors = [Value(x) for x in leaf_data], [tensor(x) for x in leaf_data]
    ours, theirs = run(leaves, steps, apply_ours), run(tensors, steps, apply_torch)
    out = functional.sum([node / float(i + 1) for i, node in enumerate(ours)])
    torch_out = torch.stack([node / float(i + 1) for i, node in enumerate(theirs)]).sum()
    out.backward()
    torch_out.backward()
    largest = max(1.0, *(abs(node.grad) for node in ours))
    for i, (node, twin) in enumerate(zip(ours, theirs)):
        expected = 0.0 if twin.grad is None else twin.grad.item()
        what = "leaf" if i < len(leaves) else steps[i - len(leaves)]
        note(f"node {i} {what}: value {node.data!r}, gradient {node.grad!r}, torch {expected!r}")
        assert agree(node.data, twin.item(), 1.0)
        # sums of hundreds of cancelling terms: relative to the largest gradient in the graph
        assert agree(node.grad, expected, largest)


@settings(max_examples=60, deadline=None, print_blob=True)
@given(programs(max_nodes=40))
def test_grad_and_backward_and_create_graph_agree(program: tuple[list[float], list[Step]]) -> None:
    leaf_data, steps = program
    leaves = [Value(x) for x in leaf_data]
    out = functional.sum(run(leaves, steps, apply_ours))
    interior = [node for node in topological_order(out) if node.op is not None]
    everything = [*leaves, *interior]
    by_grad = grad(out, everything)
    by_graph = grad(out, everything, create_graph=True)
    out.backward()
    largest = max(1.0, *(abs(g) for g in by_grad))
    for node, a, b in zip(everything, by_grad, by_graph):
        assert agree(a, node.grad, largest)
        assert agree(b.data, node.grad, largest)
        assert math.isfinite(a)


def test_the_check_would_notice_a_forgotten_accumulation() -> None:
    """The comparison above fails for an engine that overwrites instead of adding."""
    x = Value(2.0)
    y = x * x
    a, b = y.operands
    a.grad = 1.0 * b.data  # overwritten twice
    b.grad = 1.0 * a.data
    t = tensor(2.0)
    (t * t).backward()
    assert not agree(x.grad, t.grad.item(), 1.0)
