"""jvp, vjp and sparse matrices of derivatives against the dense Jacobian and Hessian."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu import Value, compile, functional
from tinygrad_edu.compiler.trace.colouring import column_colours, star_colours, transposed

UNARY = ["sin", "tanh", "exp", "sigmoid", "softplus"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def random_function(seed: int, inputs: int, outputs: int) -> Any:
    """A function of few random inputs per output, so that its Jacobian is sparse."""
    choose = random.Random(seed)
    plans = []
    for _ in range(outputs):
        picks = [choose.randrange(inputs) for _ in range(choose.randint(0, 3))]
        plans.append([(i, choose.choice(UNARY), choose.choice("+*-")) for i in picks])

    def function(x: Any) -> Any:
        results = []
        for plan in plans:
            total: Any = 0.25
            for i, name, sign in plan:
                term = getattr(functional, name)(0.5 * x[i])
                total = (
                    total + term if sign == "+" else total * term if sign == "*" else total - term
                )
            results.append(total)
        return results

    return function


def squares(function: Any) -> Any:
    """One number out of several, with second derivatives between what shares a term."""
    return lambda x: functional.sum([y * y * (1.0 + 0.1 * y) for y in function(x)])


@pytest.mark.parametrize("seed", range(12))
def test_directions_and_sparse_matrices_agree_with_dense_ones(seed: int) -> None:
    choose = random.Random(seed)
    inputs, outputs = choose.randint(1, 9), choose.randint(1, 9)
    function = random_function(seed, inputs, outputs)
    x = [choose.uniform(-1, 1) for _ in range(inputs)]
    fast = compile(function)
    dense = fast.jacobian(x)
    assert_allclose(fast.jacobian(x, sparse=True).toarray(), dense, rtol=1e-12, atol=1e-14)
    tangent = [choose.uniform(-1, 1) for _ in range(inputs)]
    value, along = fast.jvp(x, tangent=tangent)
    assert value == fast(x)
    assert_allclose(along, dense @ tangent, rtol=1e-11, atol=1e-13)
    weights = [choose.uniform(-1, 1) for _ in range(outputs)]
    value, slopes = fast.vjp(x, cotangent=weights)
    assert value == fast(x)
    assert_allclose(slopes, weights @ dense, rtol=1e-11, atol=1e-13)
    one = compile(squares(function))
    assert_allclose(one.hessian(x, sparse=True).toarray(), one.hessian(x), rtol=1e-11, atol=1e-13)


def test_directions_follow_wrt_and_structures() -> None:
    fast = compile(lambda p, k: {"a": p["u"] * k[0], "b": (p["v"] + k[1], 3.0)})
    p, k = {"u": 2.0, "v": 5.0}, [3.0, 7.0]
    value, along = fast.jvp(p, k, tangent={"u": 1.0, "v": 10.0}, wrt=0)
    assert value == {"a": 6.0, "b": (12.0, 3.0)}
    assert along == {"a": 3.0, "b": (10.0, 0.0)}
    _, slopes = fast.vjp(p, k, cotangent={"a": 1.0, "b": (1.0, 100.0)}, wrt=[1, 0])
    assert slopes == ([2.0, 1.0], {"u": 3.0, "v": 1.0})
    w = Value(4.0)
    captured = compile(lambda x: w * w * x)
    assert captured.jvp(2.0, tangent=1.0, wrt=w) == (32.0, 16.0)
    assert captured.vjp(2.0, cotangent=0.5, wrt=w) == (32.0, 8.0)


def test_a_direction_of_another_length_is_an_error() -> None:
    fast = compile(lambda x: [x[0], x[1], x[0]])
    with pytest.raises(ValueError, match="jvp: expected a tangent of 2 numbers, got 3"):
        fast.jvp([1.0, 2.0], tangent=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="vjp: expected a cotangent of 3 numbers, got 2"):
        fast.vjp([1.0, 2.0], cotangent=[1.0, 2.0])


def test_a_chain_needs_three_columns_however_long_it_is() -> None:
    def rosenbrock(x: Any) -> Any:
        return functional.sum([100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)])

    fast = compile(rosenbrock)
    x = np.linspace(-1.0, 1.0, 1000)
    hessian = fast.hessian(x, sparse=True)
    assert "2,998 entries from 3 of 1,000 columns" in fast.report()
    i = 500
    assert_allclose(hessian[i, i], 1200 * x[i] ** 2 - 400 * x[i + 1] + 202, rtol=1e-12)
    assert_allclose(hessian[i, i + 1], -400 * x[i], rtol=1e-12)
    assert hessian[i, i + 2] == 0.0


def test_an_arrow_needs_two_columns() -> None:
    fast = compile(lambda x: functional.sum([x[0] * y * y for y in x[1:]]))
    x = [2.0, *range(1, 20)]
    assert_allclose(fast.hessian(x, sparse=True).toarray(), fast.hessian(x))
    assert "from 2 of 20 columns" in fast.report()


def test_one_full_row_is_computed_in_reverse_mode() -> None:
    fast = compile(lambda x: [functional.sum(x), *[functional.sin(y) for y in x]])
    x = [0.1 * i for i in range(30)]
    assert_allclose(fast.jacobian(x, sparse=True).toarray(), fast.jacobian(x))
    assert "from 2 of 31 rows" in fast.report()


def test_nothing_to_differentiate_by_gives_empty_matrices() -> None:
    fast = compile(lambda x, k: [k, 2.0])
    assert fast.jacobian([1.0, 2.0], 3.0, wrt=0, sparse=True).nnz == 0
    assert fast.jacobian([1.0, 2.0], 3.0, wrt=0, sparse=True).shape == (2, 2)
    assert compile(lambda x: 3.0 * x[0]).hessian([1.0, 2.0], sparse=True).nnz == 0


@pytest.mark.parametrize("seed", range(200))
def test_colours_keep_entries_apart(seed: int) -> None:
    choose = random.Random(seed)
    n, density = choose.randint(1, 14), choose.random()
    some = [[choose.random() < density for _ in range(n)] for _ in range(n)]
    rows = [[j for j in range(n) if some[i][j]] for i in range(n)]
    plain = column_colours(rows, n)
    for row in rows:
        assert len({plain[j] for j in row}) == len(row)
    assert transposed(transposed(rows, n), n) == rows
    symmetric = [[j for j in range(n) if some[i][j] or some[j][i]] for i in range(n)]
    star = star_colours(symmetric)
    for i, row in enumerate(symmetric):
        for j in row:
            in_row = sum(star[k] == star[j] for k in row)
            in_column = sum(star[k] == star[i] for k in symmetric[j])
            assert 1 in (in_row, in_column), (seed, symmetric, star, i, j)
