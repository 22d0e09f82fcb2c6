"""Arguments as they come: arrays of every make, containers of every kind, functions as values."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu import Value, compile, functional
from tinygrad_edu.nn import MLP


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def program(w: Any, x: Any) -> Any:
    return functional.sum([w[0] * a * a + w[1] for a in x])


DTYPES = ["f8", ">f8", "<f8", "f4", ">f4", "<f4", "f2", ">f2", "g", "i8", ">i8", "i4", ">i4", "i2",
          ">i2", "i1", "u8", ">u8", "u4", "u2", "u1", "O"]  # fmt: skip


def layouts(a: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same numbers in memory in many ways."""
    yield "C", np.ascontiguousarray(a)
    yield "Fortran", np.asfortranarray(a)
    wide = np.zeros((2 * a.shape[0], 2 * a.shape[1]), a.dtype)
    wide[::2, 1::2] = a
    yield "strided", wide[::2, 1::2]
    yield "reversed", np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]
    if a.dtype != object:
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[:] = a
        yield "unaligned", raw
        read_only = a.copy()
        read_only.flags.writeable = False
        yield "read-only", read_only
        yield "masked nowhere", np.ma.array(a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_layout_twice(dtype: str) -> None:
    numbers = np.arange(1, 13).reshape(4, 3)
    weights = np.array([2.0, 0.5])
    expected = [float(program([2.0, 0.5], row)) for row in numbers.tolist()]
    fast = compile(program)
    for name, x in layouts(numbers.astype(dtype)):
        w = weights.astype(dtype) if dtype.lstrip("<>")[0] in "fgO" else weights
        for turn in range(2):  # the second call takes the way of known shapes
            where = (dtype, name, turn)
            assert [fast(w, row) for row in x] == expected, where
            assert fast.map(w, x, shared=(0,)).tolist() == expected, where
            total, slopes, losses = fast.batch_value_and_grad(w, x, reduce="sum")
            assert (total, losses.tolist()) == (sum(expected), expected), where
            assert_allclose(slopes, [float((numbers**2).sum()), 12.0], err_msg=str(where))


def test_what_is_masked_is_refused() -> None:
    x = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [False, False]])
    fast = compile(program)
    for call in (lambda: fast([1.0, 2.0], x[0]), lambda: fast.map([1.0, 2.0], x, shared=(0,)),
                 lambda: fast.batch_value_and_grad([1.0, 2.0], x)):  # fmt: skip
        with pytest.raises(ValueError, match=r"masked numbers: fill them"):
            call()


def test_arrays_without_axes_are_numbers() -> None:
    fast = compile(lambda a, b: a * b)
    for two in (np.array(2.0), np.array(2), np.array(2.0, ">f4"), np.float32(2), np.int8(2)):
        assert fast(two, 3.0) == 6.0
        assert fast.value_and_grad(3.0, two) == (6.0, (2.0, 3.0))
    with pytest.raises(TypeError, match="expected a real number"):
        fast(np.array("2"), 3.0)


def test_whole_numbers_of_numpy_are_positions_and_counts() -> None:
    fast = compile(lambda a, b: a * b)
    assert fast.value_and_grad(2.0, 3.0, wrt=np.int64(0)) == (6.0, 3.0)
    assert fast.value_and_grad(2.0, 3.0, wrt=[np.uint8(1)]) == (6.0, (2.0,))
    x = np.ones(9)
    assert fast.map(2.0, x, shared=[np.int32(0)], threads=np.int64(2)).tolist() == [2.0] * 9
    for wrong in (True, 0.0, "0"):
        with pytest.raises((ValueError, TypeError)):
            fast.value_and_grad(2.0, 3.0, wrt=wrong)


def test_the_mean_over_no_rows_is_nan_as_numpys() -> None:
    fast = compile(lambda w, x: w * x)
    value, slope, losses = fast.batch_value_and_grad(1.0, np.zeros(0))
    assert np.isnan([value, slope]).all()
    assert losses.shape == (0,)
    assert fast.batch_value_and_grad(1.0, np.zeros(0), reduce="sum")[:2] == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["product", "power"])
def test_70_000_distinct_constants(kind: str) -> None:
    constants = [0.5 + 1e-6 * i for i in range(70_000)]
    work = (lambda x, k: x * k) if kind == "product" else (lambda x, k: x**k)
    fast = compile(lambda x: functional.sum([work(x, k) for k in constants]))
    assert_allclose(fast(1.25), sum(work(1.25, k) for k in constants), rtol=1e-12)


# --- containers ---

Point = namedtuple("Point", "x y")


class State(NamedTuple):
    place: list[float]
    speed: float


@dataclass
class Body:
    mass: float
    state: State


def test_named_tuples_and_dataclasses_keep_their_kind() -> None:
    def step(body: Body, push: Point) -> Body:
        assert isinstance(body, Body)
        assert isinstance(body.state, State)
        assert isinstance(push, Point)
        speed = body.state.speed + push.x / body.mass
        return Body(body.mass, State([body.state.place[0] + speed, push.y], speed))

    fast = compile(step)
    body, push = Body(2.0, State([1.0, 0.0], 3.0)), Point(4.0, 5.0)
    assert fast(body, push) == step(body, push)
    gradient = compile(lambda b, p: step(b, p).state.place[0]).value_and_grad(body, push)[1]
    assert gradient == (Body(-1.0, State([1.0, 0.0], 1.0)), Point(0.5, 0.0))
    moved = fast.map([body, Body(4.0, State([0.0, 1.0], 0.0))], [push, push])
    assert moved.state.speed.tolist() == [5.0, 1.0]
    leaf = Value(2.0)
    node = fast(Body(leaf, body.state), push)
    node.state.speed.backward()
    assert leaf.grad == -1.0


def test_rows_in_lists_are_what_they_are() -> None:
    kinds: list[type] = []

    def look(row: Any) -> Any:
        kinds.append(type(row))
        return row["a"] if isinstance(row, dict) else row[0] * 2.0

    points = [Point(1, 2), Point(3, 4)]
    for rows in ([[1, 2], [3, 4]], [(1, 2), (3, 4)], [{"a": 1}, {"a": 3}], points,
                 [np.array([1, 2]), np.array([3, 4])]):  # fmt: skip
        kinds.clear()
        assert compile(look).map(rows).tolist() == [float(look(row)) for row in rows]
        assert set(kinds) == {type(rows[0])}
    with pytest.raises(ValueError, match="row 1 is of another form than row 0"):
        compile(look).map([[1, 2], [3, 4, 5]])


# --- functions as values ---


@compile
def decorated(x: Any) -> Any:
    return x * x


def plain(x: Any) -> Any:
    return x * x * x


def test_compiled_functions_are_copied_and_pickled() -> None:
    fast = compile(plain, strict=True)
    assert fast(2.0) == 8.0
    for other in (copy.copy(fast), copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        assert other is not fast
        assert other.strict
        assert other(3.0) == 27.0
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    holder = copy.deepcopy({"loss": fast})
    assert holder["loss"](2.0) == 8.0


class Spring:
    def __init__(self, stiffness: float) -> None:
        self.stiffness = Value(stiffness)

    @compile
    def energy(self, x: Any) -> Any:
        return 0.5 * self.stiffness * x * x


def test_a_method_binds_to_its_instance_and_lets_it_go() -> None:
    soft, hard = Spring(1.0), Spring(10.0)
    assert soft.energy(2.0) == 2.0
    assert hard.energy(2.0) == 20.0
    assert hard.energy.value_and_grad(2.0) == (20.0, 20.0)
    assert soft.energy.value_and_grad(2.0, wrt=soft.stiffness) == (2.0, 2.0)
    soft.stiffness.data = 3.0
    assert soft.energy(2.0) == 6.0
    assert soft.energy is soft.energy
    gone = weakref.ref(hard)
    gc.disable()
    try:
        del hard
        assert gone() is None, "no reference cycle keeps the instance"
    finally:
        gc.enable()


def test_wrt_may_not_name_a_value_among_the_arguments() -> None:
    w = Value(2.0, "w")
    fast = compile(lambda a: a * a * w)
    assert fast.value_and_grad(3.0, wrt=w) == (18.0, 9.0)
    for args in ((w,), ([w],), (np.array([w]),)):
        with pytest.raises(ValueError, match="wrt: Value 'w' is among the arguments"):
            compile(lambda a: a).value_and_grad(*args, wrt=w)


def test_a_model_as_an_argument() -> None:
    model = MLP(2, [3, 1], seed=0)
    fast = compile(lambda m, x: m(x))
    assert_allclose(fast(model, [1.0, 2.0]), model([1.0, 2.0]).data, rtol=1e-14)
