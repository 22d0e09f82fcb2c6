"""Value, backward() and grad(): semantics against torch, size limits, errors, numpy."""

from __future__ import annotations

import copy
import fractions
import gc
import math
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from reference import tensor

import tinygrad_edu as tg
from tinygrad_edu import Value, grad, where
from tinygrad_edu.engine.value import Constant, as_value, topological_order

# --- the notes' figures ---


def test_figure_1() -> None:
    x, y, z = Value(2.0), Value(3.0), Value(4.0)
    g = x + y
    f = g * z
    f.backward()
    assert (f.data, f.grad, g.data, g.grad) == (20.0, 1.0, 5.0, 4.0)
    assert (x.grad, y.grad, z.grad) == (4.0, 4.0, 5.0)


def test_figure_2_gradients_add_at_path_junctions() -> None:
    x, y, z = Value(2.0), Value(3.0), Value(4.0)
    h, i = x + y, x * y
    g = h + i
    f = g * z
    f.backward()
    assert (f.data, g.grad, h.grad, i.grad) == (44.0, 4.0, 4.0, 4.0)
    assert (x.grad, y.grad, z.grad) == (16.0, 12.0, 11.0)


# --- what a node records ---


def test_a_node_records_operands_operation_and_local_gradients() -> None:
    x, y = Value(2.0, "x"), Value(5.0, "y")
    product = x * y
    assert product.operands == (x, y)
    assert product.op is not None
    assert product.op.symbol == "*"
    assert product.local_gradients() == (5.0, 2.0)
    assert (x.operands, x.op, x.local_gradients()) == ((), None, ())
    square = x * x
    assert square.operands == (x, x)


def test_plain_numbers_become_constant_leaves() -> None:
    x = Value(3.0)
    for node, data in [
        (x + 1, 4.0), (1 + x, 4.0), (x - 1, 2.0), (1 - x, -2.0), (x * 2, 6.0), (2 * x, 6.0),
        (x / 2, 1.5), (6 / x, 2.0), (x**2, 9.0), (2**x, 8.0), (-x, -3.0), (+x, 3.0), (abs(-x), 3.0),
        (x + fractions.Fraction(1, 2), 3.5), (x * np.float64(2.0), 6.0), (np.float64(2.0) * x, 6.0),
        (x + np.int64(1), 4.0), (np.float32(0.5) + x, 3.5), (sum([x, 1]), 4.0),
    ]:  # fmt: skip
        assert isinstance(node, Value)
        assert type(node.data) is float
        assert node.data == data
    assert isinstance((x + 1).operands[1], Constant)
    assert as_value(x) is x


def test_constant_exponents_and_bases_are_captured() -> None:
    x = Value(-2.0)
    y = x**3
    y.backward()
    assert (y.data, x.grad, y.operands) == (-8.0, 12.0, (x,))
    x = Value(3.0)
    y = 2**x
    y.backward()
    assert x.grad == pytest.approx(8.0 * math.log(2.0), rel=1e-15)
    assert y.operands == (x,)


@pytest.mark.parametrize("data", ["2", None, 1j, True, [1.0], np.zeros(2), np.bool_(True), b"1"])
def test_data_must_be_a_real_number(data) -> None:
    with pytest.raises(TypeError, match="data: expected a real number, got"):
        Value(data)
    with pytest.raises(OverflowError, match="data: the int is too large for a float"):
        Value(10**400)
    computed, hand_made = Value(1.0) * 2.0, Constant(1.0)
    with pytest.raises(AttributeError, match="is computed by mul; assign to the leaves"):
        computed.data = data
    with pytest.raises(TypeError, match="data: expected a real number"):
        hand_made.data = data
    assert (computed.data, hand_made.data) == (2.0, 1.0)


WRONG = ["2", None, 1j, [1.0], np.zeros(2), b"1", Value(2.0), Value(2.0) * 2.0]
USES = {
    "add": lambda x, y: x + y, "radd": lambda x, y: 1.0 + x, "right": lambda x, y: y + x,
    "mul": lambda x, y: x * y, "rmul": lambda x, y: 2 * x, "sub": lambda x, y: y - x,
    "div": lambda x, y: x / y, "pow": lambda x, y: x**2, "rpow": lambda x, y: 2**x,
    "neg": lambda x, y: -x, "relu": lambda x, y: x.relu(), "exp": lambda x, y: tg.exp(x),
    "dot": lambda x, y: tg.dot([x, y], [y, y]), "sum": lambda x, y: tg.sum([y, x]),
    "max": lambda x, y: tg.max([y, x]), "where": lambda x, y: tg.where(y, x, y),
    "float": lambda x, y: float(x), "own": lambda x, y: tg.sum([x, x]),
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_what_was_assigned_to_data_is_checked_when_it_is_next_computed_with(use: str) -> None:
    """The data of a leaf is a plain slot, for speed; nothing wrong gets past the next operation."""
    for wrong in WRONG:
        x, y = Value(1.0, "x"), Value(2.0, "y")
        x.data = wrong  # type: ignore[assignment]
        with pytest.raises(TypeError, match="data of x: expected a real number, got"):
            USES[use](x, y)
    for fine in (3, np.float64(3.0), np.float32(3.0), np.int64(3), fractions.Fraction(3)):
        x, y = Value(1.0, "x"), Value(2.0, "y")
        x.data = fine  # type: ignore[assignment]
        twin = Value(3.0, "x")
        got, expected = USES[use](x, y), USES[use](twin, y)
        assert float(getattr(got, "data", got)) == float(getattr(expected, "data", expected))
        if isinstance(got, Value):
            assert type(got.data) is float
            got.backward()
            expected.backward()
            assert x.grad == twin.grad


def test_data_is_stored_as_a_python_float() -> None:
    for number in (2, 2.0, np.float64(2.0), np.float32(2.0), np.int8(2), fractions.Fraction(2)):
        assert type(Value(number).data) is float
    x = Value(1.0)
    x.data -= np.float64(0.5)
    assert type((x * 1.0).data) is float
    assert type(x.data) is float
    with pytest.raises(OverflowError):
        Value(10**400)


def test_label_must_be_text() -> None:
    with pytest.raises(TypeError, match="label: expected text, got int 3"):
        Value(1.0, 3)  # type: ignore[arg-type]


# --- being a number ---


def test_number_protocol() -> None:
    x = Value(2.567, "x")
    assert float(x) == 2.567
    assert int(x) == 2
    assert round(x, 1) == 2.6
    assert round(x) == 3
    assert bool(x)
    assert not Value(0.0)
    assert f"{x:.1f}" == "2.6"
    assert repr(x) == f"{x}" == "Value(data=2.567, grad=0.0, label='x')"
    assert math.sqrt(Value(4.0)) == 2.0


def test_order_compares_data_and_equality_is_identity() -> None:
    a, b, c = Value(1.0), Value(2.0), Value(1.0)
    assert a < b
    assert b > a
    assert a <= c
    assert a >= c
    assert a < 1.5 < b
    assert not a < 0
    assert max([a, b]) is b
    assert sorted([b, a]) == [a, b]
    assert a != c
    assert a == a
    assert len({a, b, c}) == 3
    assert {a: "a", c: "c"}[a] == "a"
    with pytest.raises(TypeError, match="comparison: expected a real number"):
        a < "1"  # noqa: B015


def test_numpy_truth_chooses_and_numpy_measures_spread() -> None:
    x, y = Value(2.0), Value(4.0)
    assert (x < np.float64(3.0)) is True
    assert [where(np.float64(c) > x, x, y).data for c in (3.0, 1.0)] == [2.0, 4.0]
    assert [where(c, x, y).data for c in (np.bool_(True), np.bool_(False))] == [2.0, 4.0]
    spread = np.std(np.array([x, y]))
    assert spread.data == 1.0
    assert grad(spread, [x, y]) == [-0.5, 0.5]


def test_numpy_object_arrays() -> None:
    a = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]], dtype=object)
    x = np.array([0.5, -1.0])
    product = a @ x
    assert [v.data for v in product] == [-1.5, -2.5]
    total = np.exp(a).sum() + np.tanh(a * 2.0).mean() + (x * a).sum()
    total.backward()
    t = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64, requires_grad=True)
    tx = torch.tensor([0.5, -1.0], dtype=torch.float64)
    (torch.exp(t).sum() + torch.tanh(t * 2.0).mean() + (tx * t).sum()).backward()
    got = [[v.grad for v in row] for row in a]
    assert np.allclose(got, t.grad.numpy(), rtol=1e-13)
    for name in ("sin", "arcsin", "arctan", "sqrt", "log1p", "expm1", "arccos", "absolute"):
        column = np.array([Value(0.25)], dtype=object)
        assert getattr(np, name)(column)[0].data == pytest.approx(
            getattr(np, name)(0.25), rel=1e-15
        )
    value = Value(3.0)
    scaled = value * np.array([1.0, 2.0])
    assert scaled.dtype == object
    assert [v.data for v in scaled] == [3.0, 6.0]


def test_copy_and_pickle_of_leaves() -> None:
    x = Value(2.0, "x")
    x.grad = 3.0
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (twin.data, twin.label, twin.grad) == (2.0, "x", 3.0)
        assert twin is not x
    with pytest.raises(TypeError, match="computed by mul: only leaves"):
        copy.deepcopy(x * x)


# --- backward(): the semantics ---


def test_repeated_backward_accumulates_in_leaves_like_torch() -> None:
    x, y = Value(2.0), Value(3.0)
    tx, ty = tensor(2.0), tensor(3.0)
    f, tf = x * y + x.tanh(), tx * ty + tx.tanh()
    for _ in range(3):
        f.backward()
        tf.backward(retain_graph=True)
        assert x.grad == pytest.approx(tx.grad.item(), rel=1e-15)
        assert y.grad == pytest.approx(ty.grad.item(), rel=1e-15)
        assert f.grad == 1.0  # interior nodes hold this pass alone
        assert f.operands[0].grad == 1.0


def test_two_outputs_share_a_graph() -> None:
    x, tx = Value(1.5), tensor(1.5)
    shared, t_shared = x * x, tx * tx
    a, b = shared * 3.0, shared.exp()
    (t_shared * 3.0).backward(retain_graph=True)
    t_shared.exp().backward()
    a.backward()
    assert shared.grad == 3.0
    b.backward()
    assert shared.grad == b.data  # not mixed with the pass over a
    assert x.grad == pytest.approx(tx.grad.item(), rel=1e-15)


def test_a_leaf_alone_is_its_own_output() -> None:
    x = Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0  # accumulates, like torch


def test_zero_grad_reaches_the_whole_graph() -> None:
    x, y = Value(2.0), Value(3.0)
    f = (x + y) * x
    f.backward()
    f.zero_grad()
    assert [node.grad for node in topological_order(f)] == [0.0] * 4


def test_updating_leaves_between_passes() -> None:
    x = Value(3.0)
    for _ in range(60):
        loss = (x - 1.0) ** 2
        x.grad = 0.0
        loss.backward()
        x.data -= 0.25 * x.grad
    assert x.data == pytest.approx(1.0, abs=1e-12)


def test_data_of_an_interior_node_cannot_be_assigned() -> None:
    x = Value(3.0)
    y = x * x
    y.label = "y"
    with pytest.raises(AttributeError, match="data of Value 'y' is computed by mul"):
        y.data = 1.0
    assert y.data == 9.0


def test_interior_nodes_keep_their_values_when_a_leaf_changes() -> None:
    x = Value(3.0)
    y = x * x
    x.data = 5.0
    assert y.data == 9.0


def test_topological_order_lists_operands_first_and_each_node_once() -> None:
    x, y = Value(1.0, "x"), Value(2.0, "y")
    a = x * y
    b = a + x
    c = b * a
    order = topological_order(c)
    assert order == [x, y, a, b, c]
    assert topological_order(a, c) == order


# --- grad() ---


def test_grad_leaves_the_graph_untouched() -> None:
    x, y = Value(2.0), Value(3.0)
    product = x * y
    f = product + product * x
    x.grad = 11.0
    assert grad(f, [x, y, product]) == [3.0 + 2 * 2.0 * 3.0, 2.0 + 4.0, 3.0]
    assert (x.grad, y.grad, product.grad, f.grad) == (11.0, 0.0, 0.0, 0.0)
    assert grad(f, f) == 1.0


def test_grad_of_an_input_that_does_not_matter_is_zero() -> None:
    x, other = Value(2.0), Value(5.0)
    assert grad(x * x, [other, x]) == [0.0, 4.0]
    zero = grad(x * x, other, create_graph=True)
    assert isinstance(zero, Value)
    assert zero.data == 0.0


@pytest.mark.parametrize("bad", [3.0, "x", None])
def test_grad_wants_nodes(bad) -> None:
    x = Value(1.0)
    with pytest.raises(TypeError, match="grad: expected a Value"):
        grad(bad, x)
    with pytest.raises(TypeError, match="grad: expected a Value"):
        grad(x * x, [x, bad])


def test_third_order_against_torch_and_closed_form() -> None:
    def program(f, x):
        return (x**4) * f.sin(x) + f.exp(x * x * 0.3) / (x + 3.0)

    x, tx = Value(1.3), tensor(1.3)
    y, ty = program(tg, x), program(torch, tx)
    for _ in range(3):
        y = grad(y, x, create_graph=True)
        (ty,) = torch.autograd.grad(ty, tx, create_graph=True)
        assert y.data == pytest.approx(ty.item(), rel=1e-12)
    x = Value(0.7)
    y = x.sin()
    for expected in (math.cos(0.7), -math.sin(0.7), -math.cos(0.7), math.sin(0.7)):
        y = grad(y, x, create_graph=True)
        assert y.data == pytest.approx(expected, rel=1e-15)


def test_hessian_is_symmetric_and_agrees_with_torch() -> None:
    def f(lib, x):
        return lib.exp(x[0] * x[1]) + x[1] ** 3 * lib.tanh(x[2]) + x[0] * x[2] / (1.0 + x[1] * x[1])

    xs = [Value(0.3), Value(-0.8), Value(1.1)]
    hessian = [grad(g, xs) for g in grad(f(tg, xs), xs, create_graph=True)]
    expected = torch.autograd.functional.hessian(
        lambda t: f(torch, t), torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64)
    )
    assert np.allclose(hessian, expected.numpy(), rtol=1e-12, atol=1e-14)
    assert np.allclose(hessian, np.transpose(hessian), rtol=1e-12)


def test_newtons_method() -> None:
    x = 1.0
    for _ in range(8):
        v = Value(x)
        slope = grad(v**4 - 3.0 * v**2 + v, v, create_graph=True)
        x -= slope.data / grad(slope, v)
    v = Value(x)
    assert abs(grad(v**4 - 3.0 * v**2 + v, v)) < 1e-12


def test_optimising_through_an_inner_step_of_descent() -> None:
    """The derivative of the loss after one step of descent, by the learning rate of that step."""
    rate, w = Value(0.1), Value(2.0)
    inner = grad((w - 0.5) ** 2, w, create_graph=True)
    after = w - rate * inner
    outer = (after - 0.5) ** 2
    # after - 0.5 = (w - 0.5)(1 - 2 rate)
    assert grad(outer, rate) == pytest.approx(2 * 1.5 * 0.8 * 1.5 * -2.0, rel=1e-14)


def test_gradient_penalty_inside_a_loss() -> None:
    x, w = Value(0.7), Value(1.9)
    slope = grad((w * x).tanh(), x, create_graph=True)
    (slope * slope).backward()
    tx, tw = tensor(0.7), tensor(1.9)
    (t_slope,) = torch.autograd.grad(torch.tanh(tw * tx), tx, create_graph=True)
    (t_slope * t_slope).backward()
    assert x.grad == pytest.approx(tx.grad.item(), rel=1e-12)
    assert w.grad == pytest.approx(tw.grad.item(), rel=1e-12)


def test_smallest_of_several_agrees_with_torch() -> None:
    data = [2.0, -1.0, 3.0, -1.0]
    values = [Value(x) for x in data]
    tg.min(values).backward()
    t = torch.tensor(data, dtype=torch.float64, requires_grad=True)
    t.amin().backward()
    assert [v.grad for v in values] == t.grad.tolist() == [0.0, 0.5, 0.0, 0.5]
    assert tg.min(data) == -1.0


# --- size ---


def _chain(length: int) -> tuple[Value, Value]:
    x = Value(1.0)
    y = x
    for _ in range(length):
        y = y + x
    return x, y


def test_a_million_nodes_differentiate_and_are_freed_in_bounded_memory() -> None:
    x, y = _chain(1_000_000)
    tracemalloc.start()
    y.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert x.grad == 1_000_001.0
    assert peak < 200 * 1_000_000
    del y  # must not overflow the C stack


def test_grad_of_a_deep_chain() -> None:
    x, y = _chain(100_000)
    assert grad(y, x) == 100_001.0
    assert grad(y, x, create_graph=True).data == 100_001.0


def test_graphs_are_freed_by_reference_counting_alone() -> None:
    def allocated() -> int:
        return sum(1 for o in gc.get_objects() if issubclass(type(o), Value))

    gc.collect()
    before = allocated()
    gc.disable()
    try:
        x, y = Value(0.5), Value(2.0)
        f = tg.softmax([x * y, x**3, tg.dot([x, y], [y, x], x), y.tanh()])[0]
        f = f + grad(f, x, create_graph=True) * (2**y)
        f.backward()
        assert allocated() > before + 20
        with pytest.raises(ZeroDivisionError):
            (f / (x - 0.5)).backward()
        del f
        assert allocated() == before + 2
        del x, y
        assert allocated() == before
    finally:
        gc.enable()


def test_import_changes_nothing_global() -> None:
    code = """
import gc, random, sys
before = gc.get_threshold(), random.getstate(), sys.getrecursionlimit()
import tinygrad_edu
assert before == (gc.get_threshold(), random.getstate(), sys.getrecursionlimit())
heavy = {"numpy", "matplotlib", "torch", "llvmlite", "graphviz", "wasmtime"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
