"""scipy's optimisers over compiled functions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu import compile, functional
from tinygrad_edu.interop import minimize


def rosenbrock(x: Any, scale: float = 100.0) -> Any:
    return functional.sum([scale * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)])


METHODS = ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP", "Newton-CG", "trust-ncg", "trust-krylov",
           "trust-exact", "trust-constr"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_with_gradients_finds_the_minimum(method: str) -> None:
    found = minimize(rosenbrock, [0.5, 0.8, 0.9, 1.1], method=method, tol=1e-8)
    assert_allclose(found.x, 1.0, atol=1e-3)


def test_arguments_bounds_and_compiled_functions() -> None:
    fast = compile(rosenbrock)
    found = minimize(fast, [0.5, 0.5], (10.0,), bounds=[(None, 0.8), (None, None)])
    assert found.success
    assert_allclose(found.x, [0.8, 0.64], atol=1e-5)


def test_a_sparse_hessian_of_many_variables() -> None:
    x0 = np.full(60, 0.9)
    found = minimize(rosenbrock, x0, method="trust-constr", sparse=True, tol=1e-8)
    assert_allclose(found.x, 1.0, atol=1e-4)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(TypeError, match="jac is computed here"):
        minimize(rosenbrock, [1.0, 2.0], jac=lambda x: x)
    with pytest.raises(ValueError, match=r"x0: expected a sequence of numbers, got .*\(2, 1\)"):
        minimize(rosenbrock, [[1.0], [2.0]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="sparse=True is for methods with a Hessian"):
        minimize(rosenbrock, [1.0, 2.0], method="BFGS", sparse=True)
