"""What a compiled function sees besides its arguments is followed, as eager code follows it.

Each case changes one thing between calls; the compiled function must say what the function itself
says then, and be traced again no more often than there are different surroundings.
"""

from __future__ import annotations

import functools
import gc
import random
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional as F
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.nn import L2, MLP, Module, squared_error
from tinygrad_edu.optim import SGD
from tinygrad_edu.training import fit, native

SCALE = 2.0
SETTINGS = types.ModuleType("settings_of_the_user")
SETTINGS.scale = 2.0  # type: ignore[attr-defined]


class Scaled(Module):
    offset = 0.0

    def __init__(self, w: float = 1.5) -> None:
        self.w = Value(w)
        self.scale = 2.0
        self.training = True
        self.table = {"a": 1.0}
        self.powers = [1.0, 2.0]

    def __call__(self, x: Any) -> Any:
        out = self.w * x * self.scale + self.offset + self.table["a"]
        for power in self.powers:
            out = out + power * x
        return F.tanh(out) if self.training else out


class Slotted:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale = 2.0


@dataclass
class Settings:
    scale: float = 2.0
    parts: list[float] = field(default_factory=lambda: [1.0])


def _global(x: Any) -> Any:
    return SCALE * x


def _set_global(scale: float) -> None:
    global SCALE
    SCALE = scale


def _helper(x: Any) -> Any:
    return _global(x) + 1.0


def closure() -> tuple[Callable[..., Any], Callable[[float], None]]:
    scale = 2.0

    def change(to: float) -> None:
        nonlocal scale
        scale = to

    return lambda x: scale * x, change


def of_holder(holder: Any, name: str = "scale") -> tuple[Any, Any]:
    return lambda x: getattr(holder, name) * x, lambda to: setattr(holder, name, to)


def of_list(make: Callable[[list[float]], Any]) -> tuple[Any, Any]:
    held = make([2.0, 3.0])
    return lambda x: held[0] * x + held[1], lambda to: held.__setitem__(0, to)


def of_dict() -> tuple[Any, Any]:
    held = {"deep": {"scale": 2.0}}
    return lambda x: held["deep"]["scale"] * x, lambda to: held["deep"].update(scale=to)


def of_array() -> tuple[Any, Any]:
    held = np.array([2.0, 3.0])
    return lambda x: float(held[0]) * x, lambda to: held.__setitem__(0, to)


def of_method() -> tuple[Any, Any]:
    model = Scaled()
    return model.__call__, lambda to: setattr(model, "scale", to)


def of_partial() -> tuple[Any, Any]:
    held = Settings()

    def scaled(held: Settings, x: Any) -> Any:
        return held.scale * x

    return functools.partial(scaled, held), lambda to: setattr(held, "scale", to)


def of_default() -> tuple[Any, Any]:
    def scaled(x: Any, held: list[float] = [2.0]) -> Any:  # noqa: B006
        return held[0] * x

    return scaled, lambda to: scaled.__defaults__[0].__setitem__(0, to)


def of_parameter_replaced() -> tuple[Any, Any]:
    model = Scaled()
    return lambda x: model(x), lambda to: setattr(model, "w", Value(to))


def of_compiled() -> tuple[Any, Any]:
    f, change = closure()
    inner = compile(f)
    return lambda x: inner(x) + 1.0, change


CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "global": lambda: (_global, _set_global),
    "global of a helper": lambda: (_helper, _set_global),
    "closure": closure,
    "object": lambda: of_holder(types.SimpleNamespace(scale=2.0)),
    "slots": lambda: of_holder(Slotted()),
    "dataclass": lambda: of_holder(Settings()),
    "module": lambda: of_holder(Scaled()),
    "user's Python module": lambda: (
        lambda x: SETTINGS.scale * x,
        lambda to: setattr(SETTINGS, "scale", to),
    ),
    "list": lambda: of_list(list),
    "deque": lambda: of_list(deque),
    "dict": of_dict,
    "array": of_array,
    "method": of_method,
    "partial": of_partial,
    "default": of_default,
    "parameter replaced": of_parameter_replaced,
    "compiled function": of_compiled,
}


@pytest.mark.parametrize("name", CASES)
def test_changes_are_followed(name: str) -> None:
    f, change = CASES[name]()
    fast = compile(f)
    rows = np.array([0.5, -1.0, 3.0])
    for to in (2.0, 5.0, 5.0, -1.25, 2.0):
        change(to)
        expected = as_float(f(0.5))
        assert fast(0.5) == pytest.approx(expected, rel=1e-14)
        assert fast.value_and_grad(0.5)[0] == pytest.approx(expected, rel=1e-14)
        assert fast.map(rows)[0] == pytest.approx(expected, rel=1e-14)
        assert fast.map(rows).tolist() == pytest.approx([as_float(f(x)) for x in rows.tolist()])
    _set_global(2.0)
    different = 5 if name == "parameter replaced" else 3
    assert len(fast._variants) <= 3 * different


CHANGES: dict[str, Callable[[Scaled], Any]] = {
    "number": lambda m: setattr(m, "scale", 3.0),
    "flag": lambda m: setattr(m, "training", False),
    "dict": lambda m: m.table.update(a=4.0),
    "list": lambda m: m.powers.append(0.5),
    "class": lambda m: setattr(type(m), "offset", 1.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_module_as_argument_is_followed_and_equal_ones_share_a_variant(name: str) -> None:
    fast = compile(lambda m, x: m(x))
    models = [Scaled(w) for w in (1.0, 2.0, 3.0)]
    try:
        for model in models:
            assert fast(model, 0.1) == pytest.approx(model(0.1).data, rel=1e-14)
        assert len(fast._variants) == 1
        CHANGES[name](models[1])
        for model in models:
            assert fast(model, 0.1) == pytest.approx(model(0.1).data, rel=1e-14)
            _, (slopes, _) = fast.value_and_grad(model, 0.1)
            model.zero_grad()
            model(0.1).backward()
            assert slopes == {"w": pytest.approx(model.w.grad, rel=1e-14)}
    finally:
        Scaled.offset = 0.0


def test_many_networks_are_one_variant_and_shared_parameters_another() -> None:
    fast = compile(lambda m, x: m(x))
    x = [0.5, -1.0]
    models = [MLP(2, [4, 1], seed=i) for i in range(6)]
    models[4].layers[1].neurons[0].w[0] = models[4].layers[1].neurons[0].w[1]
    for model in models:
        assert fast(model, x) == pytest.approx(model(x).data, rel=1e-13)
    assert len(fast._variants) == 2
    other = MLP(2, [4, 1], "softplus", seed=0)
    assert fast(other, x) == pytest.approx(other(x).data, rel=1e-13)
    assert len(fast._variants) == 3


def test_models_are_let_go() -> None:
    fast = compile(lambda m, x: m(x))
    kept, gone = MLP(2, [3, 1], seed=0), MLP(2, [3, 1], seed=1)
    fast(kept, [1.0, 2.0])
    fast(gone, [1.0, 2.0])
    alive = weakref.ref(gone)
    del gone
    gc.collect()
    assert alive() is None


def test_a_function_that_counts_its_calls_is_no_other_function() -> None:
    calls = {"count": 0}

    def f(x: Any) -> Any:
        calls["count"] += 1
        return x * x

    fast = compile(f)
    assert [fast(float(i)) for i in range(5)] == [0.0, 1.0, 4.0, 9.0, 16.0]
    assert calls["count"] == 3
    counter = [0]

    def g(x: Any) -> Any:
        counter[0] += 1
        return x * counter[0]

    with pytest.raises(TypeError, match="does something else each time"):
        compile(g)(1.0)

    def in_a_loop(x: Any) -> Any:
        counter[0] += 1
        factor = float(counter[0])
        return F.scan(lambda state, y: 0.5 * state + factor * y, x, [1.0, 2.0, 3.0])

    with pytest.raises(TypeError, match="does something else each time"):
        compile(in_a_loop)(1.0)


def test_what_changes_at_every_call_is_told() -> None:
    held = {"rate": 0.0}
    fast = compile(lambda x: held["rate"] * x)

    def use() -> None:
        for i in range(20):
            held["rate"] = float(i)
            assert fast(2.0) == 2.0 * i

    with pytest.warns(RuntimeWarning, match="whenever what it uses changes, which is often: rate"):
        use()


class Dropping(Module):
    """A network that drops inputs at random while it is trained."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.mlp = MLP(2, [3, 1], seed=0)
        self.draw = draw
        self.training = False

    def __call__(self, x: Any) -> Any:
        if self.training:
            x = [y if self.draw() < 0.5 else 0.0 for y in x]
        return self.mlp(x)


@pytest.mark.parametrize("draw", [random.random, random.Random(3).random, lambda: random.random()])
def test_dropout_is_the_identity_at_rest_and_refused_in_training(draw: Any) -> None:
    net = Dropping(draw)
    fast = compile(lambda x: net(x))
    x = [1.0, 2.0]
    assert fast(x) == pytest.approx(net(x).data, rel=1e-13)
    net.training = True

    def draw_ten_times() -> None:  # two runs may draw alike, ten do not
        for _ in range(10):
            fast.value_and_grad(x)
            fast._variants.clear()

    with pytest.raises(TypeError, match="draws random numbers"):
        draw_ten_times()
    net.training = False
    assert fast(x) == pytest.approx(net(x).data, rel=1e-13)


# --- training ---

X = [[0.1 * i, 1.0 - 0.05 * i] for i in range(12)]
Y = [0.5 * a - b for a, b in X]


def trained(compiled: bool, change: Callable[[int, Any, Any, Any], None], **named: Any) -> Any:
    model = Scaled2()
    optimizer = SGD(0.05, momentum=0.5)
    penalty = Strength()

    def callback(model: Any, history: Any) -> None:
        change(len(history), model, optimizer, penalty)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model, X, Y, loss=squared_error.mean(), optimizer=optimizer, penalty=penalty,
                      epochs=8, callbacks=[callback], compiled=compiled, **named)  # fmt: skip
    return [*history.loss, *(p.data for p in model.parameters())]


class Scaled2(Module):
    def __init__(self) -> None:
        self.mlp = MLP(2, [3, 1], seed=3)
        self.scale = 1.0

    def __call__(self, x: Any) -> Any:
        return self.scale * self.mlp(x)


class Strength:
    def __init__(self) -> None:
        self.strength = 0.001

    def __call__(self, parameters: Any) -> Any:
        return L2(self.strength)(parameters)


TRAINING: dict[str, Callable[[int, Any, Any, Any], None]] = {
    "nothing": lambda epoch, model, optimizer, penalty: None,
    "momentum": lambda epoch, model, optimizer, penalty: setattr(
        optimizer, "momentum", 0.5 + 0.05 * epoch
    ),
    "attribute of the model": lambda epoch, model, optimizer, penalty: setattr(
        model, "scale", 1.0 + 0.1 * epoch
    ),
    "strength of the penalty": lambda epoch, model, optimizer, penalty: setattr(
        penalty, "strength", 0.01 * epoch
    ),
    "number of a parameter": lambda epoch, model, optimizer, penalty: setattr(
        model.parameters()[0], "data", 0.1 * epoch
    ),
}


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("batch", ["full", 5, 1])
def test_training_follows_what_callbacks_change(name: str, batch: Any) -> None:
    found, expected = (trained(c, TRAINING[name], batch=batch, seed=1) for c in (True, False))
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_model_that_counts_its_calls_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Scaled2):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def __call__(self, x: Any) -> Any:
            self.calls += 1
            return super().__call__(x)

    made = []
    objective = native.Objective
    monkeypatch.setattr(native, "Objective", lambda *a: made.append(1) or objective(*a))
    fit(Counting(), X, Y, loss=squared_error.mean(), epochs=6, compiled=True)
    assert len(made) == 1


# --- verification ---


def _by_type(x: Any) -> Any:
    return x * 2.0 if isinstance(x, Value) else x * 3.0


def _by_table(x: Any) -> Any:
    weight = 1.0 if not isinstance(x, (float, Value)) else 5.0
    return weight * x * x


def _slope_alone(x: Any) -> Any:
    return x if isinstance(x, (float, Value)) else 2.0 * x - F.detach(x)


@pytest.mark.parametrize("f", [_by_type, _by_table, _slope_alone])
@pytest.mark.parametrize("question", ["call", "value_and_grad", "map", "batch", "hessian", "jvp"])
def test_verification_finds_what_is_compiled_into_something_else(f: Any, question: str) -> None:
    fast = compile(f, verify=True)
    ask = {
        "call": lambda: fast(2.0),
        "value_and_grad": lambda: fast.value_and_grad(2.0),
        "map": lambda: fast.map([2.0, 3.0]),
        "batch": lambda: compile(lambda w, x: w * f(x), verify=True).batch_value_and_grad(
            1.0, [2.0, 3.0]
        ),
        "hessian": lambda: fast.hessian(2.0),
        "jvp": lambda: fast.jvp(2.0, tangent=1.0),
    }[question]
    with pytest.raises(RuntimeError, match="in eager code and"):
        ask()


def test_verification_lets_right_programs_pass() -> None:
    for i, f in enumerate([lambda x, y: F.sin(x * y) + x, lambda x, y: F.where(x > y, x, y * y)]):
        fast = compile(f, verify=True)
        plain = compile(f)
        assert fast(1.0, 2.0) == plain(1.0, 2.0), i
        assert (
            fast.map([1.0, 3.0], [2.0, 2.0]).tolist() == plain.map([1.0, 3.0], [2.0, 2.0]).tolist()
        )
    model = MLP(2, [3, 1], seed=0)
    compile(lambda m, x: m(x), verify=True).value_and_grad(model, [1.0, 2.0])


def test_training_looks_at_each_kind_of_target() -> None:
    """A loss that weighs classes by looking them up trains eagerly, and as it should."""
    weights = {0.0: 1.0, 1.0: 3.0, 2.0: 0.5}

    def weighed(p: Any, t: Any) -> Any:
        return weights.get(t if isinstance(t, (int, float)) else 0.0, 1.0) * (p - t) ** 2

    histories = []
    for compiled in (False, True):
        model = MLP(1, [3, 1], seed=1)
        named: dict[str, Any] = {"loss": weighed, "epochs": 5, "compiled": compiled}
        x, y = [[0.1], [0.4], [0.6], [0.9]], [0.0, 0.0, 1.0, 2.0]
        if compiled:
            with pytest.warns(RuntimeWarning, match="trains eagerly.*example 2"):
                history = fit(model, x, y, **named)
        else:
            history = fit(model, x, y, **named)
        histories.append(history.loss)
    assert histories[0] == histories[1]


def test_training_goes_on_eagerly_from_where_it_differs() -> None:
    class Late(Scaled2):
        """Does something else for numbers than for symbols once an example is large."""

        def __call__(self, x: Any) -> Any:
            large = isinstance(x[0], float) and x[0] > 0.95
            return (2.0 if large else 1.0) * super().__call__(x)

    with pytest.warns(RuntimeWarning, match=r"trains eagerly.*example"):
        fit(Late(), X, Y, loss=squared_error.mean(), epochs=60, compiled=True)
