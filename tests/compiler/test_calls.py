"""Arguments by keyword, and static ones: compiled functions are called as plain ones are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional as F
from tinygrad_edu.engine.number import as_float


def f(x: Any, y: Any = 2.0, *, scale: Any = 1.0) -> Any:
    return scale * F.sin(x) * y + x


def power(x: Any, n: int, kind: str = "product") -> Any:
    out = x
    for _ in range(n - 1):
        out = out * x if kind == "product" else out + x
    return out


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((0.5,), {}),
    ((0.5, 3.0), {}),
    ((0.5,), {"y": 3.0}),
    ((), {"y": 3.0, "x": 0.5}),
    ((0.5,), {"scale": 4.0}),
    ((0.5, 3.0), {"scale": 4.0}),
    ((), {"scale": 4.0, "y": 3.0, "x": 0.5}),
]


@pytest.mark.parametrize(("args", "named"), CALLS)
def test_keywords(args: Any, named: Any) -> None:
    fast = compile(f)
    expected = f(*args, **named)
    assert fast(*args, **named) == pytest.approx(as_float(expected), rel=1e-14)
    leaves = [Value(x) for x in args]
    by_name = {name: Value(x) for name, x in named.items()}
    f(*leaves, **by_name).backward()
    slopes = [x.grad for x in (*leaves, *by_name.values())]
    value, found = fast.value_and_grad(*args, **named)
    found = found if isinstance(found, tuple) else (found,)
    assert value == pytest.approx(as_float(expected), rel=1e-14)
    assert list(found) == pytest.approx(slopes, rel=1e-13)
    assert fast.jacobian(*args, **named).tolist()[0] == pytest.approx(slopes, rel=1e-13)
    for name, slope in zip(by_name, slopes[len(args) :]):
        assert fast.value_and_grad(*args, wrt=name, **named)[1] == pytest.approx(slope, rel=1e-13)
    rows = [np.array([x, -x]) for x in args], {name: np.array([x, -x]) for name, x in named.items()}
    mapped = fast.map(*rows[0], **rows[1])
    assert mapped[0] == pytest.approx(as_float(expected), rel=1e-14)
    recorded = fast(*leaves, **by_name)
    assert isinstance(recorded, Value)


def test_names_for_wrt_and_shared() -> None:
    fast = compile(lambda w, x, y: (w * x - y) ** 2)
    x, y = np.array([1.0, 2.0]), np.array([0.5, 3.0])
    expected = fast.batch_value_and_grad(0.7, x, y)
    found = fast.batch_value_and_grad(x=x, y=y, w=0.7, wrt="w", shared=("w",))
    assert found[:2] == expected[:2]
    assert (
        fast.value_and_grad(0.7, 1.0, 2.0, wrt="x")[1] == fast.value_and_grad(0.7, 1.0, 2.0)[1][1]
    )
    several = fast.value_and_grad(0.7, 1.0, 2.0, wrt=("x", "w"))[1]
    assert several == fast.value_and_grad(0.7, 1.0, 2.0, wrt=(1, 0))[1]
    with pytest.raises(ValueError, match="wrt: 'z' is no argument of this call"):
        fast.value_and_grad(0.7, 1.0, 2.0, wrt="z")


@pytest.mark.parametrize("static", ["n", 1, ("n", "kind"), (1, 2), ["kind", "n"]])
def test_static_arguments_are_seen_as_they_are(static: Any) -> None:
    several = not isinstance(static, (str, int))
    fast = compile(power, static=static)
    for n in (2, 3, 2, 5):
        assert fast(1.5, n) == power(1.5, n)
        assert fast(1.5, n=n) == power(1.5, n)
        assert fast.value_and_grad(1.5, n)[1] == pytest.approx(n * 1.5 ** (n - 1))
        if several:
            assert fast(1.5, n, kind="sum") == pytest.approx(n * 1.5)
            assert fast.map(np.array([1.0, 2.0]), n, "sum").tolist() == [n, 2.0 * n]
    assert fast.hessian(1.5, 3).tolist() == [[9.0]]


def test_what_cannot_be_static() -> None:
    with pytest.raises(ValueError, match=r"static: there is no argument 'm'; there are x, n, kind"):
        compile(power, static="m")
    with pytest.raises(ValueError, match="static: there is no argument 7"):
        compile(power, static=7)
    with pytest.raises(TypeError, match="names or positions"):
        compile(power, static=[1.5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="static argument n: expected something with a hash"):
        compile(power, static="n")(1.5, [2])
    with pytest.raises(ValueError, match="wrt: 1 is no argument of this call that is traced"):
        compile(power, static="n").value_and_grad(1.5, 2, wrt=1)
    with pytest.raises(TypeError, match="unexpected keyword"):
        compile(power)(1.5, m=2)


def test_methods_and_static() -> None:
    class Model:
        def __init__(self) -> None:
            self.w = Value(2.0)

        @compile
        def plain(self, x: Any, shift: Any = 0.0) -> Any:
            return self.w * x + shift

    model = Model()
    assert model.plain(3.0, shift=1.0) == 7.0
    assert model.plain.value_and_grad(3.0, shift=1.0)[1] == (2.0, 1.0)
