"""Compiled functions: calls, gradients, rows, errors, threads."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinygrad_edu as t
from tinygrad_edu import Value, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def neuron(w, x):
    return t.tanh(w[0] * x[0] + w[1] * x[1])


# --- calls and structures ---


def test_structures_in_and_out():
    def f(a, pair, named, array):
        return {"sum": a + pair[0] * pair[1][0], "rest": [named["k"] * 2, (array[1, 0], 3.5)]}

    fast = compile(f)
    args = (1, (2.0, [3.0]), {"k": Value(4.0)}, np.array([[1, 2], [3, 4]]))
    found = fast(*args)  # with a Value among the arguments: nodes
    assert found["sum"].data == 7.0
    assert found["rest"][0].data == 8.0
    assert [x.data for x in found["rest"][1]] == [3.0, 3.5]
    plain = fast(*args[:2], {"k": 4.0}, args[3])
    assert plain == {"sum": 7.0, "rest": [8.0, (3.0, 3.5)]}
    value, gradient = compile(lambda *args: f(*args)["sum"]).value_and_grad(*args)
    assert value == 7.0
    assert gradient[:3] == (1.0, (3.0, [2.0]), {"k": 0.0})
    assert_allclose(gradient[3], np.zeros((2, 2)))


def test_arrays_of_results_and_numpy_functions_on_symbols():
    fast = compile(lambda x: np.tanh(x) @ x)
    x = np.array([0.3, -0.7, 1.1])
    assert_allclose(fast(x), np.tanh(x) @ x, rtol=1e-14)
    doubled = compile(lambda x: x * 2.0)(x)
    assert isinstance(doubled, np.ndarray)
    assert_allclose(doubled, 2.0 * x, rtol=0)


def test_wrt_selects_arguments():
    fast = compile(lambda x, y, z: x * y + z * z)
    assert fast.value_and_grad(2.0, 3.0, 4.0) == (22.0, (3.0, 2.0, 8.0))
    assert fast.value_and_grad(2.0, 3.0, 4.0, wrt=-1) == (22.0, 8.0)
    assert fast.value_and_grad(2.0, 3.0, 4.0, wrt=[2, 0]) == (22.0, (8.0, 3.0))
    with pytest.raises(ValueError, match=r"wrt: expected positions from 0 to 2, got 3"):
        fast.value_and_grad(2.0, 3.0, 4.0, wrt=3)


def test_each_shape_is_traced_once():
    traces = []

    def f(x):
        traces.append(len(x))
        return functional.sum(x)

    fast = compile(f)
    for n in (3, 4, 3, 4, 3):
        assert fast([1.0] * n) == n
    # it changes a list that it sees: is what it computes the same when it runs again?
    assert traces == [3, 3, 3, 4]
    assert fast.report().count("\n") == 1
    assert "2 after lowering" not in fast.report()


def test_captured_values_are_read_at_each_call_and_may_be_differentiated_by():
    w = Value(3.0)
    fast = compile(lambda x: w * x + w)
    assert fast(2.0) == 9.0
    w.data = 5.0
    assert fast(2.0) == 15.0
    assert fast.value_and_grad(2.0, wrt=w) == (15.0, 3.0)
    assert fast.value_and_grad(2.0, wrt=[0, w]) == (15.0, (5.0, 3.0))
    assert_allclose(fast.map([1.0, 2.0]), [10.0, 15.0])


def test_a_computed_value_of_the_surroundings_is_refused():
    w = Value(3.0) * 2.0
    with pytest.raises(TypeError, match="the result of mul on Values from outside"):
        compile(lambda x: w * x)(2.0)


def test_a_result_that_ignores_its_arguments():
    assert compile(lambda x: 4.0)(1.0) == 4.0
    assert compile(lambda x: [x, x, 1.0])(2.0) == [2.0, 2.0, 1.0]
    assert compile(lambda x: 4.0).value_and_grad(1.0) == (4.0, 0.0)
    assert_allclose(compile(lambda x: (4.0, x)).map([1.0, 2.0]), [[4.0, 4.0], [1.0, 2.0]])


def test_compiled_functions_compose():
    square = compile(lambda x: x * x)
    assert compile(lambda x: square(x) + square(2.0 * x)).value_and_grad(3.0) == (45.0, 30.0)


# --- derivatives of higher order ---


def test_functions_that_call_grad():
    def f(x):
        y = t.exp(x[0]) * x[1] ** 3 + t.sin(x[0] * x[1])
        return functional.sum(g * g for g in grad(y, x, create_graph=True))

    x = [0.3, -0.8]
    values = [Value(v) for v in x]
    slow = f(values)
    value, gradient = compile(f).value_and_grad(x)
    assert_allclose(value, slow.data, rtol=1e-13)
    assert_allclose(gradient, grad(slow, values), rtol=1e-12)


def test_plain_gradients_are_not_differentiated_again():
    def f(x, y):
        return y * grad(x * x * x, x)  # a float in the engine

    fast = compile(f)
    assert fast(2.0, 5.0) == 60.0
    assert fast.value_and_grad(2.0, 5.0, wrt=1) == (60.0, 12.0)
    with pytest.raises(TypeError, match="create_graph=True"):
        fast.value_and_grad(2.0, 5.0)


def test_hessian_jacobian_and_hvp_agree_with_the_engine():
    def f(x):
        return t.log(1.0 + t.exp(x[0] * x[1])) * x[2] + t.maximum(x[0], x[2]) ** 2

    x, v = [0.4, -0.6, 1.2], [1.0, -2.0, 0.5]
    values = [Value(a) for a in x]
    slopes = grad(f(values), values, create_graph=True)
    slow = np.array([grad(s, values) for s in slopes])
    fast = compile(f)
    assert_allclose(fast.hessian(x), slow, rtol=1e-12, atol=1e-15)
    assert_allclose(fast.hvp(x, vector=v), slow @ v, rtol=1e-12)
    by_grad = compile(lambda x: grad(f(x), x, create_graph=True))
    assert_allclose(by_grad.jacobian(x), slow, rtol=1e-12, atol=1e-15)


def test_what_is_computed_from_captured_values_inside_the_function():
    w, u = Value(2.0), Value(3.0)

    def f(x):
        s = w
        for _ in range(3000):  # deeper than Python's stack
            s = t.sin(s) + 0.5
        return w * w * x + u * w + s * x

    fast = compile(f)
    for number in (2.0, -0.7):
        w.data = number
        slow = f(x := Value(1.5))
        value, slopes = fast.value_and_grad(1.5, wrt=[0, w, u])
        assert_allclose(value, slow.data, rtol=1e-12)
        assert_allclose(slopes, grad(slow, [x, w, u]), rtol=1e-12)
    assert compile(lambda x: w * w)(1.0) == w.data * w.data
    assert compile(lambda x: grad(x * (w * w) * u, u))(2.0) == 2.0 * w.data * w.data


def test_what_was_computed_outside_is_an_error():
    w, kept = Value(2.0), {}
    square = w * w

    def remembers(x):
        kept.setdefault("square", w * w)
        return kept["square"] * x

    for f in (lambda x: square * x, lambda x: (square + w) * x, lambda x: square, remembers):
        with pytest.raises(TypeError, match="outside the traced function"):
            compile(f)(1.0)
    with pytest.raises(TypeError, match="outside the traced function"):
        compile(lambda x: w * x).value_and_grad(1.0, wrt=square)


def test_captured_values_and_symbols_in_grad():
    w = Value(2.0)
    assert compile(lambda x: grad(x * w * w, w))(3.0) == 12.0


# --- rows ---


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 101])
@pytest.mark.parametrize("columns", [1, 2, 5, 8, 11, 19])
def test_rows(n, columns):
    def f(row, scale):
        return [scale * row[i] - row[(i + 1) % columns] ** 2 for i in range(columns)]

    X = np.random.default_rng(n).standard_normal((n, columns))
    got = np.stack(compile(f).map(X, 1.5, shared=[1]), axis=1)
    assert_allclose(got, 1.5 * X - np.roll(X, -1, 1) ** 2, rtol=1e-13)


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_of_several_arguments_and_threads(threads):
    rng = np.random.default_rng(0)
    W, X, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 3)), rng.integers(0, 3, 50)
    fast = compile(lambda w, x, i: t.take(x, i) * functional.dot(w, x))
    expected = X[np.arange(50), y] * (W * X).sum(1)
    assert_allclose(fast.map(W, X, y, threads=threads), expected, rtol=1e-13)
    value, (by_w, _, by_i) = fast.map_value_and_grad(W, X, y, threads=threads)
    assert_allclose(value, expected, rtol=1e-13)
    assert_allclose(by_w, X[np.arange(50), y][:, None] * X, rtol=1e-13)
    assert not by_i.any()


def test_lists_of_rows_and_their_errors():
    fast = compile(lambda x, y: x[0] * y)
    assert fast.map([[1, 2], [3, 4]], [Value(5.0), 6]).tolist() == [5.0, 18.0]
    with pytest.raises(ValueError, match=r"argument 1: expected 2 rows as before, got 3"):
        fast.map([[1.0], [2.0]], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"argument 1: expected rows, got one number"):
        fast.map([[1.0], [2.0]], 1.0)
    with pytest.raises(ValueError, match="every argument is shared"):
        fast.map([1.0], 1.0, shared=(0, 1))
    with pytest.raises(ValueError, match="argument 0: row 1 is of another form than row 0"):
        fast.map([["a"], ["b"]], [1.0, 2.0])


def test_no_rows_at_all():
    assert compile(lambda x: x * x).map(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_batch_value_and_grad(reduce):
    def loss(p, x, y):
        error = functional.dot(p["w"], x, start=p["b"]) - y
        return error * error, error

    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((37, 5)), rng.standard_normal(37)
    p = {"w": rng.standard_normal(5), "b": 0.3}
    value, gradient, errors = compile(loss).batch_value_and_grad(p, X, y, reduce=reduce)
    expected = X @ p["w"] + p["b"] - y
    scale = 1.0 if reduce == "sum" else 1.0 / 37
    assert_allclose(value, scale * (expected**2).sum(), rtol=1e-13)
    assert_allclose(errors, expected, rtol=1e-12)
    assert_allclose(gradient["w"], scale * 2.0 * expected @ X, rtol=1e-12)
    assert_allclose(gradient["b"], scale * 2.0 * expected.sum(), rtol=1e-12)


def test_batch_gradients_are_by_shared_arguments_only():
    fast = compile(lambda w, x: w * x)
    with pytest.raises(ValueError, match="argument 1 has a value per row"):
        fast.batch_value_and_grad(1.0, [1.0, 2.0], wrt=1)
    with pytest.raises(ValueError, match=r'reduce: expected "mean" or "sum"'):
        fast.batch_value_and_grad(1.0, [1.0, 2.0], reduce="max")


# --- what cannot be traced ---

WAYS_OUT = "maximum, minimum or where.*take"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x > 0.0 else -x,
        lambda x: max(x, 1.0),
        lambda x: x.data,
        lambda x: float(x),
        lambda x: int(x),
        lambda x: round(x),
        lambda x: math.exp(x),
        lambda x: [1.0, 2.0][x],
        lambda x: x * (x == 1.0),
        lambda x: x and 1.0,
        lambda x: f"{x:.2f}",
        lambda x: x.backward(),
        lambda x: x.grad,
    ],
)
def test_control_flow_on_traced_numbers_is_an_error_that_names_the_ways_out(function):
    with pytest.raises(TypeError, match=WAYS_OUT):
        compile(function)(2.0)


def test_traced_numbers_do_not_outlive_their_trace():
    kept = []
    compile(lambda x: kept.append(x) or x)(1.0)
    with pytest.raises(TypeError, match="of another compiled function, or of an earlier trace"):
        compile(lambda y: y * kept[0])(1.0)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="expected a function, got int"):
        compile(3)
    with pytest.raises(TypeError, match="got bool True"):
        compile(lambda x: x)(True)
    with pytest.raises(TypeError, match="expected a real number, got object"):
        compile(lambda x: x)(object())
    two = compile(lambda x: [x, x])
    with pytest.raises(TypeError, match=r"must return one number.*use jacobian"):
        two.value_and_grad(1.0)
    with pytest.raises(ValueError, match="expected a vector of 2 numbers, got 1"):
        compile(lambda x: x[0]).hvp([1.0, 2.0], vector=[1.0])


def test_an_error_in_the_function_is_its_own_and_nothing_is_kept():
    def f(x):
        raise KeyError("mine")

    fast = compile(f)
    with pytest.raises(KeyError, match="mine"):
        fast(1.0)
    assert "nothing compiled" in fast.report()


# --- choices made at run time ---


def test_where_take_and_comparisons_follow_the_numbers():
    def f(x, y):
        smaller = t.where(x < y, x, y)
        return smaller * t.take(
            [x, y, x * y], t.less_equal(y, x) + t.where(x >= 10.0, 1.0, 0.0)
        ) + abs(x - y)

    fast = compile(f)
    for x, y in [(1.0, 2.0), (2.0, 1.0), (3.0, 3.0), (20.0, 0.5)]:
        a, b = Value(x), Value(y)
        slow = f(a, b)
        value, gradient = fast.value_and_grad(x, y)
        assert value == slow.data
        assert list(gradient) == grad(slow, [a, b])


def test_an_index_out_of_range_gives_nan_and_check_says_so():
    fast = compile(lambda x, i: t.take(x, i))
    assert fast([1.0, 2.0], 1) == 2.0
    assert math.isnan(fast([1.0, 2.0], 2))
    assert math.isnan(fast([1.0, 2.0], -1))
    assert math.isnan(fast([1.0, 2.0], 0.5))
    with pytest.raises(FloatingPointError, match=r"result number \(0,\) is nan"):
        compile(lambda x, i: t.take(x, i), check=True)([1.0, 2.0], 2)


def test_take_from_a_long_row():
    fast = compile(lambda x, i: t.take(x, i) * 2.0)
    X = np.arange(4000.0).reshape(40, 100)
    i = np.arange(40) * 2
    assert_allclose(fast.map(X, i), 2.0 * X[np.arange(40), i])
    _, (by_x, _) = fast.map_value_and_grad(X, i)
    assert_allclose(by_x, 2.0 * (np.arange(100) == i[:, None]))
    assert fast(X[3], 99) == 798.0


def test_check_reports_infinite_results_and_compiled_code_never_raises():
    f = lambda x: t.log(x)  # noqa: E731
    assert compile(f)(0.0) == -math.inf
    assert math.isnan(compile(f)(-1.0))
    with pytest.raises(FloatingPointError, match="is -inf"):
        compile(f, check=True)(0.0)
    with pytest.raises(FloatingPointError):
        compile(f, check=True).map([1.0, 0.0])


# --- modules ---


def test_modules_are_arguments():
    from tinygrad_edu.nn import MLP

    model = MLP(3, [4, 1], seed=0)
    fast = compile(lambda m, x: m(x))
    x = [0.1, -0.4, 0.9]
    slow = model(x)
    value, gradient = fast.value_and_grad(model, x, wrt=0)
    assert_allclose(value, slow.data, rtol=1e-13)
    names = [name for name, _ in model.named_parameters()]
    assert list(gradient) == names
    assert_allclose(list(gradient.values()), grad(slow, model.parameters()), rtol=1e-12)


# --- threads and installation ---


def test_several_threads_call_and_compile_at_once():
    fast = compile(lambda x: functional.sum(t.exp(-a * a) for a in x))
    failures = []

    def work(k):
        rng = np.random.default_rng(k)
        for _ in range(20):
            x = rng.standard_normal(3 + k % 3)
            X = rng.standard_normal((33, 5))
            if not (
                np.isclose(fast(x), np.exp(-x * x).sum(), rtol=1e-13)
                and np.allclose(fast.map(X), np.exp(-X * X).sum(1), rtol=1e-13)
            ):
                failures.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not failures


def test_without_the_extra_the_error_names_it():
    script = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "import tinygrad_edu.compiler as c\n"
        "try:\n    c.compile(lambda x: x)\n"
        "except ImportError as e:\n    print(e)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 'pip install "tinygrad_edu[fast]"' in run.stdout, run.stderr


def test_an_old_llvmlite_is_refused_with_its_version(monkeypatch):
    from tinygrad_edu.compiler import llvm

    monkeypatch.setattr(llvm, "_LEAST_LLVM", 10**6)
    with pytest.raises(ImportError, match=r"needs llvmlite 0\.45 or later, got \d"):
        compile(lambda x: x)


def test_importing_the_compiler_loads_neither_numpy_nor_llvmlite():
    script = (
        "import sys, tinygrad_edu.compiler\n"
        "print([m for m in ('numpy', 'llvmlite') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_parts_of_a_loss_that_all_rows_share_are_added_once_for_each_row(threads):
    def loss(p, q, x, y):
        hidden = [t.tanh(functional.dot(p[4 * i : 4 * i + 4], x)) for i in range(16)]
        error = functional.dot(q, hidden) - y
        return error * error + 0.1 * functional.dot(p, p) + q[0] + 3.0, q[1] * x[0]

    rng = np.random.default_rng(2)
    p, q = rng.standard_normal(64), rng.standard_normal(16)
    X, y = rng.standard_normal((43, 4)), rng.standard_normal(43)
    fast = compile(loss)
    value, (by_p, by_q), _ = fast.batch_value_and_grad(
        p, q, X, y, shared=(0, 1), wrt=(0, 1), threads=threads
    )
    every = [compile(lambda *a: loss(*a)[0]).value_and_grad(p, q, a, b) for a, b in zip(X, y)]
    assert_allclose(value, np.mean([v for v, _ in every]), rtol=1e-12)
    assert_allclose(by_p, np.mean([g[0] for _, g in every], axis=0), rtol=1e-11, atol=1e-14)
    assert_allclose(by_q, np.mean([g[1] for _, g in every], axis=0), rtol=1e-11, atol=1e-14)
    (statistics,) = [v.kernel.statistics for v in fast._variants.values()]
    assert statistics.straight < 60, fast.report()


def test_sums_over_rows_of_nothing_but_shared_numbers():
    fast = compile(lambda w, x: w * w)
    value, slope, losses = fast.batch_value_and_grad(3.0, [1.0, 2.0, 4.0], reduce="sum")
    assert (value, slope, losses.tolist()) == (27.0, 18.0, [9.0, 9.0, 9.0])


def test_rows_without_numbers():
    fast = compile(lambda w, x: w * w)
    value, slope, losses = fast.batch_value_and_grad(3.0, np.zeros((9, 0)))
    assert (value, slope, losses.tolist()) == (9.0, 6.0, [9.0] * 9)
    both = compile(lambda w, x, y: w * y)
    assert both.map(3.0, np.zeros((2, 0)), [1.0, 2.0], shared=(0,)).tolist() == [3.0, 6.0]


@pytest.mark.parametrize("threads", [0, -1, 2.5, True, None])
def test_a_number_of_threads_that_is_none(threads):
    with pytest.raises(ValueError, match="threads: expected a whole number from 1"):
        compile(lambda x: x).map([1.0, 2.0], threads=threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own():
    script = (
        "import os, signal\n"
        "from tinygrad_edu import compile\n"
        "fast, rows = compile(lambda x: x * x), [float(i) for i in range(100)]\n"
        "expected = fast.map(rows, threads=2).tolist()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.alarm(20)\n"
        "    os._exit(0 if fast.map(rows, threads=2).tolist() == expected else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.strip() == "0", run.stderr


_FORKED_WHILE_BUSY = """
import os, sys, threading, time
from tinygrad_edu import Value
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional as F

stop = False
shared = compile(lambda x: F.sin(x[0]) + F.sum(x))

def compiling():
    n = 1
    while not stop:
        n += 1
        shared.value_and_grad([0.5] * n)

def differentiating():
    while not stop:
        x = Value(1.0)
        y = x
        for _ in range(300):
            y = y * 1.001
        y.backward()

threads = [threading.Thread(target=f) for f in (compiling, differentiating)]
for t in threads:
    t.start()
failed = 0
for i in range(12):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        x = Value(2.0)
        (x * x).backward()
        right = x.grad == 4.0 and shared.value_and_grad([0.5] * (500 + i))[0] > 0.0
        os._exit(0 if right else 1)
    end = time.time() + 60
    while time.time() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            failed += status != 0
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        failed += 100
stop = True
for t in threads:
    t.join()
print("failed", failed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_other_threads_compile_and_differentiate() -> None:
    out = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKED_WHILE_BUSY],
        capture_output=True, text=True, timeout=240, check=True,
        env={**os.environ, "TINYGRAD_EDU_CACHE": "0"},
    )  # fmt: skip
    assert out.stdout == "failed 0\n", out.stdout + out.stderr
