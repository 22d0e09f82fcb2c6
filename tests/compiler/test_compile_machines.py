"""Code for other processors: fewer lanes, no AVX, no fused multiply-add."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu.compiler import compile
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.engine import functional

X86 = platform.machine() in ("x86_64", "AMD64")
MACHINES = [(None, 2), (None, 4)]
MACHINES += [(("x86-64", ""), 2), (("x86-64-v2", ""), 2)] if X86 else []


@pytest.fixture(params=MACHINES, ids=lambda m: f"{m[0][0] if m[0] else 'host'}, {m[1]} lanes")
def machine(request, tmp_path, monkeypatch):
    cpu, lanes = request.param
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native._target_machine.cache_clear()
    if cpu is not None:
        monkeypatch.setattr(native, "machine", lambda: cpu)
    monkeypatch.setattr(native, "native_lanes", lambda: lanes)
    yield lanes
    native._target_machine.cache_clear()


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 9])
def test_rows_of_any_width(machine, columns):
    X = np.random.default_rng(0).standard_normal((11, columns))
    fast = compile(lambda x: [2.0 * a - x[0] for a in x])
    assert_allclose(np.stack(fast.map(X), 1), 2.0 * X - X[:, :1], rtol=1e-15)
    assert fast._variants[next(iter(fast._variants))].kernel.lanes == machine


def test_functions_layers_and_gradients(machine):
    def loss(p, x):
        hidden = [functional.tanh(functional.dot(p[5 * i : 5 * i + 5], x)) for i in range(12)]
        score = functional.log(1.0 + functional.exp(functional.dot(p[60:72], hidden)))
        return score + functional.sin(score) * functional.cos(x[0]) + functional.log1p(score)

    rng = np.random.default_rng(1)
    p, X = rng.standard_normal(72), rng.standard_normal((19, 5))

    def by_hand(p):
        hidden = np.tanh(X @ p[:60].reshape(12, 5).T)
        score = np.log(1.0 + np.exp(hidden @ p[60:]))
        return score + np.sin(score) * np.cos(X[:, 0]) + np.log1p(score)

    fast = compile(loss)
    _, gradient, losses = fast.batch_value_and_grad(p, X)
    assert_allclose(losses, by_hand(p), rtol=1e-12)
    steps = 1e-6 * np.eye(72)
    slopes = [(by_hand(p + h).mean() - by_hand(p - h).mean()) / 2e-6 for h in steps]
    assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-8)
    one, _ = fast.value_and_grad(p, X[0], wrt=0)
    assert_allclose(one, losses[0], rtol=1e-12)
    assert_allclose(
        np.mean([fast.value_and_grad(p, x, wrt=0)[1] for x in X], axis=0), gradient, rtol=1e-11
    )
    assert_allclose(compile(loss, strict=True).map(p, X, shared=[0]), losses, rtol=1e-12)
