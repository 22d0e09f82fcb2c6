"""What a beginner falls into is said at once, in one line that names the cure."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import GraphWarning, Value, grad

# --- a computed node turned into a plain number ---


@pytest.mark.parametrize(
    "cut",
    [
        float,
        math.exp,
        lambda y: math.sqrt(y),
        lambda y: np.array([y, y], float),
    ],
)
def test_a_computed_node_that_becomes_a_plain_number_cuts_the_graph_with_a_warning(cut) -> None:
    x = Value(2.0)
    with pytest.warns(GraphWarning, match=r"write x\.data .* or tinygrad_edu\.exp\(x\)") as seen:
        cut(x * x)
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut(x)  # a leaf: there is no graph to cut


def test_reading_printing_rounding_and_comparing_do_not_warn() -> None:
    y = Value(2.0) * 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (f"{y:.1f}", f"{y}", round(y, 1), int(y), y > 1.0, bool(y), y.item(), y.data) == (
            "6.0", "Value(data=6.0, grad=0.0)", 6.0, 6, True, True, 6.0, 6.0,
        )  # fmt: skip
        assert np.exp(np.array([y]))[0].data == math.exp(6.0)


# --- leaves that changed after the graph was computed ---


def _outputs(x: Value, y: Value) -> dict[str, Value]:
    return {
        "+": x + y, "*": x * y, "-": y - x, "/": y / x, "**2": x**2, "**": y**x, "2**": 2**x,
        "exp": x.exp(), "relu": x.relu(), "dot": tg.dot([x, y], [y, y], y), "sum": tg.sum([y, x]),
        "max": tg.max([y, x]), "lse": tg.logsumexp([x, y, y]), "where": tg.where(y, y, x),
        "where y": tg.where(x, y, 1.0), "deep": ((y * y + x).tanh() * y).exp(), "5 * x": 5.0 * x,
    }  # fmt: skip


@pytest.mark.parametrize("name", _outputs(Value(2.0), Value(3.0)))
@pytest.mark.parametrize("way", ["backward", "grad", "create_graph"])
def test_a_leaf_that_changed_since_is_an_error_that_leaves_gradients_alone(name, way) -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    f = _outputs(x, y)[name]
    f.label = "f"
    f.backward()
    x.grad, y.grad = 0.25, 0.5
    x.data = 5.0
    with pytest.raises(
        RuntimeError, match=r"^x was 2 when f was computed and is 5 now: compute f again$"
    ):
        f.backward() if way == "backward" else grad(f, [y, x], create_graph=way != "grad")
    assert (x.grad, y.grad) == (0.25, 0.5)
    x.data = 2  # back to the same number
    f.backward()
    assert f.grad == 1.0


def test_unnamed_leaves_and_graphs_in_the_message() -> None:
    x = Value(2.0)
    f = x * x
    x.data += 1e-9
    with pytest.raises(
        RuntimeError, match=r"^a leaf was 2 when this graph was computed and is 2\.0"
    ):
        f.backward()


def test_updates_between_graphs_and_numbers_that_are_nan_are_fine() -> None:
    x = Value(math.nan)
    f = x * 2.0
    x.data = math.nan
    f.backward()
    for _ in range(3):
        f = x * x + x.tanh()
        f.backward()
        x.data = 0.5
    shared, other = Value(1.0), Value(2.0)
    a, b = shared * 2.0, other * 3.0
    a.backward()
    shared.data -= 0.1 * shared.grad  # b does not depend on it
    b.backward()
    assert other.grad == 3.0


# --- gradients that hold something else ---


def test_what_was_assigned_to_grad_becomes_a_float_or_an_error() -> None:
    for start, expected in ((None, 0.0), (Value(0.0), 0.0), (np.float64(1.5), 1.5), (2, 2.0)):
        x = Value(3.0, "x")
        x.grad = start  # type: ignore[assignment]
        (x * x).backward()
        assert type(x.grad) is float
        assert x.grad == expected + 6.0
    x = Value(3.0, "x")
    x.grad = "0"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="grad: expected a real number, got str '0'"):
        (x * x).backward()
    assert x.grad == "0"
