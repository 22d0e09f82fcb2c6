"""Whole programs in compiled code: random graphs, layers as loops, long and irregular ones."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from test_random_graphs import apply_ours, programs, run

from tinygrad_edu import Value, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.compiler.kernel import Kernel
from tinygrad_edu.compiler.loops.nests import factor
from tinygrad_edu.compiler.loops.storage import Request
from tinygrad_edu.compiler.trace.lowering import lower
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.symbol import Symbol
from tinygrad_edu.engine import functional

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def close(got, expected, scale):
    assert got == expected or abs(got - expected) <= 1e-12 * max(abs(expected), scale)


# --- random graphs ---


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(programs(max_nodes=80))
def test_random_graphs_equal_the_engine(program):
    leaves, steps = program

    def f(x):
        nodes = run(x, steps, apply_ours)
        return functional.sum(nodes[len(x) :])

    values = [Value(x) for x in leaves]
    slow = f(values)
    expected = grad(slow, values)
    if not math.isfinite(slow.data) or not all(map(math.isfinite, expected)):
        return
    scale = sum(abs(n.data) for n in run(values, steps, apply_ours))
    assert compile(f, strict=True)(leaves) == slow.data or "hypot" in str(steps)
    value, gradient = compile(f).value_and_grad(leaves)
    close(value, slow.data, scale)
    largest = max(map(abs, expected))
    rows = np.array([leaves] * 3)
    mapped, by_rows = compile(f).map_value_and_grad(rows)
    for got in (gradient, *by_rows.tolist()):
        for a, b in zip(got, expected):
            assert abs(a - b) <= 1e-11 * max(abs(b), largest, scale)
    for a in mapped:
        close(a, slow.data, scale)


# --- loops ---


def network(sizes, style, activation=functional.tanh):
    """A network over one flat list of parameters, written in one of several styles."""

    def f(p, x):
        start, h = 0, list(x)
        for n, m in pairwise(sizes):
            rows = [p[start + i * n : start + (i + 1) * n] for i in range(m)]
            biases = p[start + n * m : start + n * m + m]
            start += n * m + m
            if style == "dot":
                h = [functional.dot(w, h, start=b) for w, b in zip(rows, biases)]
            elif style == "sum":
                h = [
                    functional.sum([a * v for a, v in zip(w, h)]) + b for w, b in zip(rows, biases)
                ]
            else:
                out = []
                for w, b in zip(rows, biases):
                    s = b
                    for a, v in zip(w, h):
                        s = s + (a * v if style == "chain" else v * a)
                    out.append(s)
                h = out
            h = [activation(a) for a in h]
        return functional.logsumexp(h)

    return f


def count(sizes):
    return sum(n * m + m for n, m in pairwise(sizes))


def by_hand(sizes, p, X):
    """Values and gradients by matrices, with the backward pass written out."""
    start, h, layers = 0, X, []
    for n, m in pairwise(sizes):
        W, b = p[start : start + n * m].reshape(m, n), p[start + n * m : start + n * m + m]
        layers.append((h, W))
        h = np.tanh(h @ W.T + b)
        start += n * m + m
    top = h.max(1, keepdims=True)
    value = np.log(np.exp(h - top).sum(1)) + top[:, 0]
    g, gradients = np.exp(h - value[:, None]), []
    for before, W in reversed(layers):
        g = g * (1.0 - h * h)
        gradients[:0] = [(g.T @ before).ravel(), g.sum(0)]
        g, h = g @ W, before
    return value, np.concatenate(gradients), g


@pytest.mark.parametrize("style", ["dot", "sum", "chain", "swapped"])
@pytest.mark.parametrize(
    "sizes", [(2, 16, 16, 1), (9, 7, 5), (64, 32, 10), (3, 33, 2), (5, 4)], ids=str
)
def test_layers_become_loops_and_compute_the_same(sizes, style):
    rng = np.random.default_rng(len(sizes))
    p, X = rng.standard_normal(count(sizes)) * 0.3, rng.standard_normal((21, sizes[0]))
    fast = compile(network(sizes, style))
    values, gradient, inputs = by_hand(sizes, p, X)
    total, got, each = fast.batch_value_and_grad(p, X, reduce="sum")
    assert_allclose(each, values, rtol=1e-12)
    assert_allclose(total, values.sum(), rtol=1e-12)
    assert_allclose(got, gradient, rtol=1e-10, atol=1e-13)
    _, by_x = fast.map_value_and_grad(p, X, shared=[0], wrt=1)
    assert_allclose(by_x, inputs, rtol=1e-10, atol=1e-13)
    values, gradient, inputs = by_hand(sizes, p, X[:1])
    value, (by_p, by_x) = fast.value_and_grad(p, X[0])
    assert_allclose(value, values[0], rtol=1e-12)
    assert_allclose(by_p, gradient, rtol=1e-10, atol=1e-13)
    assert_allclose(by_x, inputs[0], rtol=1e-10, atol=1e-13)
    statistics = [entry.kernel.statistics for entry in fast._variants.values()]
    if count(sizes) > 300:
        assert all(0 < s.loops <= 20 and s.straight <= 60 for s in statistics), fast.report()


def test_code_does_not_grow_with_the_layer():
    sizes = [(40, 30, 10), (200, 60, 10)]
    code = []
    for s in sizes:
        fast = compile(network(s, "dot"))
        fast.batch_value_and_grad(np.zeros(count(s)), np.zeros((2, s[0])))
        code.append(next(e.kernel.statistics for e in fast._variants.values()))
    assert code[0].loops == code[1].loops
    assert code[1].code_bytes < 1.5 * code[0].code_bytes


def test_strict_layers_are_the_engines_bit_for_bit():
    sizes = (20, 17, 3)
    rng = np.random.default_rng(0)
    p, x = rng.standard_normal(count(sizes)), rng.standard_normal(20)
    for style in ("dot", "chain"):
        f = network(sizes, style)
        assert compile(f, strict=True)(p, x) == f(p.tolist(), x.tolist())


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(st.data())
def test_loops_and_straight_line_code_agree(data):
    """Random layers with random wiring: affine, permuted, ragged and shared operands."""
    rng = random.Random(data.draw(st.integers(0, 10**6)))
    program = Program()
    x = [Symbol(program, program.add_input()) for _ in range(40)]
    per_row = rng.randrange(0, 40)
    layer = list(x)
    outputs = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(
            ["affine", "strided", "permuted", "ragged", "elementwise", "pairs", "take"]
        )
        n, width = rng.randint(4, 40), rng.randint(2, 12)
        pick = [rng.randrange(len(layer)) for _ in range(4 * n)]
        if kind == "affine":
            layer = [
                functional.dot(x[: len(layer[:width])], layer[:width], start=layer[i % len(layer)])
                for i in range(n)
            ]
        elif kind == "strided":
            step = rng.choice([1, 2, 3])
            layer = [
                functional.sum(layer[(i * step) % len(layer)] * v for v in x[:width])
                for i in range(n)
            ]
        elif kind == "permuted":
            layer = [functional.tanh(layer[pick[i]] - x[pick[n + i] % 40]) for i in range(n)]
        elif kind == "ragged":
            layer = [functional.sum(layer[: 2 + i % width]) * 0.1 for i in range(n)]
        elif kind == "elementwise":
            layer = [functional.sin(a * b) + 2.0 for a, b in zip(layer, layer[1:] + layer[:1])]
        elif kind == "pairs":
            layer = [functional.maximum(a, b) * 0.5 for a in layer[:6] for b in x[:7]]
        else:
            layer = [
                functional.take(layer, functional.where(v > 0.0, 1.0, float(len(layer) - 1))) + v
                for v in x[:n]
            ]
        outputs += layer[:5]
    total = functional.sum(outputs)
    wanted = [*outputs, *total.gradient(x, create_graph=True)]
    strict = rng.random() < 0.3
    lowered, nodes = lower(program, [s.index for s in wanted], strict)
    numbers = np.random.default_rng(rng.randrange(1000)).standard_normal((19, 40))
    numbers[:, per_row:] = numbers[0, per_row:]
    results = []
    for loops in (False, True):
        fresh, again = lower(lowered, nodes, strict)  # layouts add copies: each gets its own
        single = Kernel(
            Request(fresh, [(-1, i) for i in range(40)], [], again, [], strict), 1, loops
        )
        shared = single.shared_array()
        shared[:40] = numbers[0]
        results.append(single.run(shared).copy())
        if per_row:
            fresh, again = lower(lowered, nodes, strict)
            places = [(0, i) if i < per_row else (-1, i - per_row) for i in range(40)]
            k = len(outputs)
            rows = Kernel(Request(fresh, places, [per_row], again[:k], again[k:], strict), 8, loops)
            shared = rows.shared_array()
            shared[: 40 - per_row] = numbers[0, per_row:]
            matrix = np.ascontiguousarray(numbers[:, :per_row])
            out, sums = rows.run_rows(shared, [matrix])
            results.append(np.concatenate([out.ravel(), sums]))
    half = len(results) // 2
    for a, b in zip(results[:half], results[half:]):
        scale = np.abs(a[np.isfinite(a)]).max(initial=1.0)
        assert_allclose(b, a, rtol=1e-11, atol=1e-13 * scale)


def test_factor_finds_counters_and_refuses_what_has_none():
    i, j, k = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
    columns = np.stack([(100 * i + 7 * j - k).ravel(), (2 * j).ravel(), np.zeros(60, int)])
    counts, strides = factor(columns)
    assert counts == (3, 4, 5)
    assert strides.tolist() == [[100, 7, -1], [0, 2, 0], [0, 0, 0]]
    assert factor(np.array([[0, 1, 2, 4, 5, 7]])) is None
    assert factor(np.array([[3, 5, 7, 9]]))[0] == (4,)


# --- long and irregular programs ---


def test_a_long_recurrence_and_its_gradient():
    def f(x, r):
        for _ in range(3000):
            x = r * x * (1.0 - x)
        return x

    a, b = Value(0.3), Value(2.9)
    slow = f(a, b)
    value, gradient = compile(f).value_and_grad(0.3, 2.9)
    assert_allclose(value, slow.data, rtol=1e-12)
    assert_allclose(gradient, grad(slow, [a, b]), rtol=1e-9, atol=1e-15)
    assert compile(f, strict=True)(0.3, 2.9) == slow.data


def test_an_irregular_program_in_pieces():
    rng = random.Random(5)
    plan = [(rng.randrange(3), rng.randrange(10 + i), rng.randrange(10 + i)) for i in range(4000)]

    def f(x):
        nodes = list(x)
        for kind, i, j in plan:
            a, b = nodes[i], nodes[j]
            nodes.append(a - b if kind == 0 else a * x[j % 10] if kind == 1 else a + b * 0.5)
        return functional.sum(nodes[-200:])

    x = [math.sin(i) for i in range(10)]
    values = [Value(v) for v in x]
    slow = f(values)
    assert compile(f, strict=True)(x) == slow.data
    value, gradient = compile(f).value_and_grad(x)
    expected = grad(slow, values)
    assert_allclose(value, slow.data, rtol=1e-10)
    assert_allclose(gradient, expected, rtol=1e-9)
    _, by_rows = compile(f).map_value_and_grad([x] * 3)
    assert_allclose(np.transpose(by_rows), [gradient] * 3, rtol=1e-9)


def test_memory_per_traced_operation_is_bounded():
    import tracemalloc

    program = Program()
    x = y = Symbol(program, program.add_input())
    one = Symbol(program, program.add_input())
    tracemalloc.start()
    for _ in range(20_000):
        x = x * y - one
    traced = tracemalloc.get_traced_memory()[0]
    lowered, _ = lower(program, [x.index], False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert traced < 150 * len(program)
    assert peak < 300 * len(program)
    assert len(lowered) >= 40_000
