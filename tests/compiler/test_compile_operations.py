"""Every operation of the table in compiled code: against the engine and torch, at the edges."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import torch

from tinygrad_edu import Value, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.operation import Op

ROWS = [
    *ops.TABLE.values(),
    *[ops.power(n) for n in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 7.0)],
    *[ops.exponential(b) for b in (0.0, 0.5, 2.0)],
    ops.leaky_relu_with(0.01),
    ops.elu_with(0.5),
    *[ops.polygamma_of(n) for n in (1.0, 2.0)],
]
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 1e308, -1e308, 1e-308, 5e-324]
EDGES += [math.inf, -math.inf, math.nan, 710.0, -750.0, 1e-9, 37.0]
NOT_PYTHONS = {"hypot", "lgamma"}  # Python has functions of its own for these
NAMES = [repr(op) for op in ROWS]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def operands_of(op):
    return {"dot": 5, "take": 4}.get(op.name, op.arity or 3)


def edge_points(op):
    count = operands_of(op)
    if count <= 2:
        points = list(itertools.product(EDGES, repeat=count))
    else:
        rng = random.Random(count)
        points = [tuple(rng.choice(EDGES) for _ in range(count)) for _ in range(250)]
    if op.name == "take":
        points = [(float(i % 3), *p[1:]) for i, p in enumerate(points)]
    return points


def same(a, b, tolerance):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def fused(op, point, value, slow):
    """Is this the one stated difference: ``a b + c`` in one rounding, not overflowing half-way?"""
    if op.name != "dot":
        return False
    products = [point[0] * point[2], point[1] * point[3]]
    finite = all(map(math.isfinite, products))
    return not finite or abs(value - slow) <= 2e-16 * sum(map(abs, products))


@pytest.mark.parametrize("strict", [False, True], ids=["fast", "strict"])
@pytest.mark.parametrize("op", ROWS, ids=NAMES)
def test_values_and_gradients_at_the_edges_are_the_engines(op, strict):
    points = edge_points(op)
    fast = compile(lambda x: op(*x), strict=strict)
    values, gradients = fast.map_value_and_grad(np.array(points))
    compared = 0
    for point, value, gradient in zip(points, values, gradients):
        nodes = [Value(x) for x in point]
        try:
            slow = op(*nodes)
        except (ArithmeticError, ValueError):
            continue  # compared with torch below
        if not strict and fused(op, point, float(value), slow.data):
            continue
        compared += 1
        tolerance = 0.0 if strict and op.name not in NOT_PYTHONS else 1e-12
        assert same(slow.data, value, tolerance), (point, slow.data, value)
        try:
            expected = grad(slow, nodes)
        except (ArithmeticError, ValueError):
            continue
        for a, b in zip(expected, gradient):
            assert same(a, b, 1e-12), (point, expected, gradient)
    assert compared >= len(points) // 15


def raises(op, point):
    try:
        op(*point)
    except (ArithmeticError, ValueError):
        return True
    return False


TORCH = {
    "log": torch.log, "log1p": torch.log1p, "log2": torch.log2, "log10": torch.log10,
    "sqrt": torch.sqrt, "asin": torch.asin, "acos": torch.acos, "exp": torch.exp,
    "expm1": torch.expm1, "sinh": torch.sinh, "cosh": torch.cosh, "div": torch.div,
    "pow": torch.pow,
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_where_the_engine_raises_compiled_code_answers_as_torch_does(name):
    op = ops.TABLE[name]
    points = edge_points(op)
    inputs = torch.tensor(points, dtype=torch.float64)
    expected = TORCH[name](*inputs.T).tolist()
    values = compile(lambda x: op(*x)).map(np.array(points))
    raised = [i for i, point in enumerate(points) if raises(op, point)]
    assert raised
    for i in raised:
        assert same(expected[i], values[i], 1e-12), (points[i], expected[i], values[i])


SMOOTH = [op for op in ROWS if op is not ops.exponential(0.0)]  # 0 ** a has no derivatives


@pytest.mark.parametrize("op", SMOOTH, ids=map(repr, SMOOTH))
def test_random_points_once_and_twice_differentiated(op):
    rng = random.Random(op.name)
    count = operands_of(op)
    intervals = op.sample * count if len(op.sample) == 1 else op.sample
    points = [[rng.uniform(*interval) for interval in intervals[:count]] for _ in range(20)]
    if op.name == "take":
        points = [[float(rng.randrange(3)), *p[1:]] for p in points]

    def slopes(x):
        y = op(*x)
        return [y, *grad(y, x, create_graph=True)]

    def second(x):
        return functional.sum(w * g for w, g in zip((0.3, -0.7, 1.1, 0.2, 0.5), slopes(x)[1:]))

    values = np.stack(compile(slopes).map(np.array(points)), 1)
    _, seconds = compile(second).map_value_and_grad(np.array(points))
    strict = compile(lambda x: op(*x), strict=True)
    for point, row, twice in zip(points, values, seconds):
        nodes = [Value(x) for x in point]
        slow = slopes(nodes)
        np.testing.assert_allclose(row, [v.data for v in slow], rtol=1e-12, atol=1e-14)
        summed = second(nodes)
        np.testing.assert_allclose(twice, grad(summed, nodes), rtol=1e-11, atol=1e-12)
        if op.name not in NOT_PYTHONS:
            assert strict(point) == slow[0].data


def test_a_new_row_works_through_its_formula_or_its_c_function():
    cubed = Op(
        "my_cube", "³", 1, lambda a: a**3, lambda y, a: (3.0 * a * a,), "a cubed",
        formula=lambda a: a * a * a,
    )  # fmt: skip
    root = Op("cbrt", "∛", 1, lambda a: a ** (1 / 3), lambda y, a: (y / (3.0 * a),), "cube root")
    lost = Op("no_such_function", "?", 1, lambda a: a, lambda y, a: (1.0,), "nothing")
    assert compile(lambda x: cubed(x)).value_and_grad(2.0) == (8.0, 12.0)
    assert compile(lambda x: root(x))(27.0) == pytest.approx(3.0, rel=1e-15)
    with pytest.raises(TypeError, match="'no_such_function' has no formula"):
        compile(lambda x: lost(x))(1.0)


@pytest.mark.parametrize("n", [1, 2, 7, 40, 300])
def test_sums_products_and_softmax_of_any_length(n):
    def f(a, b):
        s = functional.softmax([x * y for x, y in zip(a, b)])
        chain = 0.5
        for x, y in zip(a, b):
            chain = chain + x * y
        total = a[0]
        for x in a[1:]:
            total = total + x
        top = functional.max(a) - functional.logsumexp(b) + functional.mean(a)
        return [functional.dot(s, a), chain, total, top, functional.dot(a, b, start=a[0])]

    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((2, n))
    nodes = [[Value(x) for x in v] for v in (a, b)]
    slow = f(*nodes)
    np.testing.assert_allclose(compile(f)(a, b), [y.data for y in slow], rtol=1e-12, atol=1e-15)
    assert compile(f, strict=True)(a, b) == [y.data for y in slow]
    jacobian = compile(f).jacobian(a, b)
    expected = [grad(y, nodes[0] + nodes[1]) for y in slow]
    np.testing.assert_allclose(jacobian, expected, rtol=1e-11, atol=1e-14)
    A, B = rng.standard_normal((2, 13, n))
    mapped = np.stack(compile(f).map(A, B), 1)
    np.testing.assert_allclose(mapped, [f(x, y) for x, y in zip(A, B)], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "tanh", "sin", "cos"])
def test_vector_functions_are_within_three_units_in_the_last_place(name):
    fast = compile(lambda x: ops.TABLE[name](x))
    rng = np.random.default_rng(0)
    reach = [1e-6, 1.0, 20.0, 740.0, 1e5, 1e12]
    points = np.concatenate([rng.uniform(-r, r, 5000) for r in reach])
    points = np.concatenate([points, np.ldexp(points, -1000), np.ldexp(points, 300)])
    if name.startswith("log"):
        points = np.abs(points)
    got = fast.map(points)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(points.astype(np.longdouble))
        rounded = exact.astype(float)
        assert ((got == rounded) | np.isfinite(rounded)).all()
        error = np.abs(got - exact) / np.spacing(np.abs(rounded))
    assert error[np.isfinite(rounded)].max() < 3.0
