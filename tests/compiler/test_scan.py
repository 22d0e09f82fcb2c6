"""``scan``: the loop as one operation equals the loop written out, whatever is asked of it."""

from __future__ import annotations

import ctypes
import math
import random
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu import Value, compile, exp, fit, functional, grad, nn, scan, sigmoid, sqrt, tanh
from tinygrad_edu.engine.scanning import entries, run

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")


def plain(step: Any, state: Any, xs: Any, outputs: Any = None, checkpoint: Any = None) -> Any:
    """The loop itself."""
    return run(step, state, entries(xs), outputs)


# --- random programs ---


def _expressions(r: random.Random, names: list[str], count: int, tag: str) -> list[str]:
    """Append ``count`` random assignments' targets to ``names``; return the assignments."""
    lines = []
    for i in range(count):
        a, b = r.choice(names), r.choice(names)
        lines.append(
            f"{tag}{i} = "
            + r.choice(
                [
                    f"{a} + {b}",
                    f"{a} * {b}",
                    f"{a} - {b}",
                    f"te.tanh({a})",
                    f"te.sin({a}) * 0.5",
                    f"{a} * {r.uniform(-1, 1):.3f}",
                    f"te.sigmoid({a})",
                    f"te.where(te.less({a}, {b}), {a}, {b})",
                    f"te.sqrt(te.exp({a} * 0.1))",
                    f"te.maximum({a}, {b})",
                ]
            )
        )
        names.append(f"{tag}{i}")
    return lines


def random_program(seed: int) -> tuple[str, Any, tuple[Any, ...]]:
    """Return the text of a function ``f(w, s0, xs, scan)``, the function, and arguments."""
    r = random.Random(seed)
    n, m, c = r.randint(1, 4), r.randint(0, 3), r.randint(0, 3)
    p, turns = r.choice([0, 0, 1, 2]), r.choice([0, 1, 2, 3, 5, 9])
    state = [f"s[{i}]" for i in range(n)]
    names = state + [f"x[{j}]" for j in range(m)] + [f"w[{j}]" for j in range(c)]
    lines = _expressions(r, names, r.randint(1, 10), "v")
    if r.random() < 0.25:  # a loop in the step
        inner = ["q[0]", "q[1]", "z", r.choice(names), r.choice(names)]
        lines.append("def inner(q, z):")
        lines += ["    " + x for x in _expressions(r, inner, r.randint(1, 5), "u")]
        lines.append(f"    return [te.tanh({r.choice(inner)}), te.sin({r.choice(inner)})]")
        zs = ", ".join(r.choice(names) for _ in range(r.randint(0, 3)))
        lines.append(f"k = scan(inner, [{r.choice(names)}, {r.choice(names)}], [{zs}])")
        names += ["k[0]", "k[1]"]
    new = [x if x in state else f"te.tanh({x})" for x in (r.choice(names + state) for _ in state)]
    result = f"[{', '.join(new)}]"
    if p:
        result = f"({result}, [{', '.join(r.choice(names) for _ in range(p))}])"
    terms = [f"st[{i}] * {r.uniform(-1, 1):.3f}" for i in range(n) if r.random() < 0.6]
    terms += [f"ys[{t}][{r.randrange(p)}]" for t in range(turns) if p and r.random() < 0.6]
    if c and r.random() < 0.5:
        terms.append("w[0] * w[0]")
    if m and turns and r.random() < 0.5:
        terms.append("xs[0][0]")
    checkpoint = r.choice([None, None, None, 1, 2, 3])
    last = r.choice(["0.0 * s0[0]", "s0[0]"])
    text = "\n".join(
        [
            "def f(w, s0, xs, scan):",
            "    def step(s, x):",
            *["        " + line for line in lines],
            f"        return {result}",
            f"    r = scan(step, s0, xs, outputs={bool(p)}, checkpoint={checkpoint})",
            "    st, ys = r" if p else "    st = r",
            f"    return {' + '.join([*terms, last])}",
        ]
    )
    space: dict[str, Any] = {"te": functional}
    exec(text, space)
    numbers = np.random.default_rng(seed)
    arguments = (numbers.normal(size=c), numbers.normal(size=n), numbers.normal(size=(turns, m)))
    return text, space["f"], arguments


def _close(got: Any, expected: Any, what: str, text: str, tolerance: float = 1e-10) -> None:
    a, b = np.asarray(got, float).ravel(), np.asarray(expected, float).ravel()
    close = a.shape == b.shape and np.allclose(a, b, tolerance, tolerance, equal_nan=True)
    assert close, f"{what}: got {a}, expected {b}, in\n{text}"


def check_program(seed: int) -> None:
    text, f, args = random_program(seed)
    text = f"seed {seed}\n{text}"
    strict = seed % 3 == 0
    looped = compile(lambda w, s, xs: f(w, s, xs, scan), strict=strict)
    written = compile(lambda w, s, xs: f(w, s, xs, plain), strict=strict)
    eager = f(*[x.tolist() for x in args], scan)
    value, slopes = looped.value_and_grad(*args)
    _close(value, eager, "value", text)
    if strict:
        assert looped(*args) == eager, text
        assert value == eager, text
    for a, b in zip(slopes, written.value_and_grad(*args)[1]):
        _close(a, b, "gradient", text)
    if seed % 8 == 0:
        _close(looped.hessian(*args), written.hessian(*args), "Hessian", text, 1e-8)
    if seed % 4 == 1:
        rows = [np.stack([x + 0.1 * k for k in range(5)]) for x in args]
        for shared in ((), (0,), (1, 2)):
            here = [args[i] if i in shared else rows[i] for i in range(3)]
            a, b = (g.map_value_and_grad(*here, shared=shared) for g in (looped, written))
            _close(a[0], b[0], f"map, shared={shared}", text)
            for x, y in zip(a[1], b[1]):
                _close(x, y, f"gradients in map, shared={shared}", text)
        here = [args[0], rows[1], rows[2]]
        a = looped.batch_value_and_grad(*here, threads=2)
        b = written.batch_value_and_grad(*here)
        _close(a[0], b[0], "batch", text)
        _close(a[1], b[1], "gradient of a batch", text)


@pytest.mark.parametrize("seed", range(24))
def test_random_programs_equal_the_plain_loop(seed: int) -> None:
    check_program(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 1100))
def test_more_random_programs_equal_the_plain_loop(seed: int) -> None:
    check_program(seed)


# --- one compilation, whatever the length ---


def test_the_step_is_traced_once_and_the_code_does_not_grow() -> None:
    calls = []

    def f(w: Any, s: Any, xs: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            calls.append(1)
            return [tanh(w[0] * s[0] + x), w[1] * s[1] + s[0]]

        last = scan(step, s, xs)
        return last[0] * last[1]

    sizes = {}
    for turns in (10, 1000):
        calls.clear()
        fast = compile(f)
        xs = np.linspace(-1.0, 1.0, turns)
        value, slopes = fast.value_and_grad([0.5, 0.7], [0.1, 0.2], xs)
        assert len(calls) <= 3  # the list changes: does f repeat itself?
        (variant,) = fast._variants.values()
        sizes[turns] = variant.kernel.statistics.code_bytes
        eager = f([0.5, 0.7], [0.1, 0.2], xs.tolist())
        assert value == pytest.approx(eager, rel=1e-13)
        a = [Value(0.5), Value(0.7)]
        f(a, [0.1, 0.2], xs.tolist()).backward()
        assert slopes[0] == pytest.approx([a[0].grad, a[1].grad], rel=1e-12)
    assert sizes[1000] <= 1.05 * sizes[10]
    assert variant.kernel.statistics.cached >= 2  # the loops of the length before


# --- structures ---

State = namedtuple("State", "position velocity")


def test_structures_of_state_and_entries() -> None:
    def f(k: Any, xs: Any, ys: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            v = s.velocity + x["force"] * k - s.position["a"] * 0.1 + x["pair"][1]
            return State({"a": s.position["a"] + v * 0.1}, v), (v, [s.position["a"]])

        start = State({"a": 1.0}, 0.5)
        last, outputs = scan(step, start, {"force": xs, "pair": list(zip(xs, ys))})
        assert isinstance(last, State)
        return last.position["a"] + outputs[1][0] * outputs[-1][1][0]

    args = (0.3, [0.1, 0.2, 0.3], [1.0, -1.0, 2.0])
    assert compile(f, strict=True)(*args) == f(*args)
    ks = Value(0.3)
    f(ks, *args[1:]).backward()
    assert compile(f).value_and_grad(*args, wrt=0)[1] == pytest.approx(ks.grad, rel=1e-12)


def test_captured_values_and_ranges_are_differentiated_by() -> None:
    w = Value(0.9)

    def f(s: Any) -> Any:
        return scan(lambda s, i: w * s + 0.1 * i, s, range(7))

    fast = compile(f)
    value, slope = fast.value_and_grad(2.0, wrt=w)
    f(Value(2.0)).backward()
    assert value == pytest.approx(f(2.0).data)
    assert slope == pytest.approx(w.grad, rel=1e-13)
    w.data = 0.5
    assert fast(2.0) == pytest.approx(f(2.0).data)


def test_what_is_not_handed_back_to_counts_as_nothing() -> None:
    """The root's slope at 0 is infinite, but nothing of the last turn's root is used."""

    def f(s: Any, xs: Any) -> Any:
        return scan(lambda s, x: [s[0] * x, sqrt(x) + s[0]], [s, 0.0], xs)[0]

    value, slopes = compile(f).value_and_grad(3.0, [2.0, 0.0])
    assert value == 0.0
    assert slopes == (0.0, [0.0, 6.0])


def test_gradients_in_the_step_that_lead_through_earlier_turns() -> None:
    def local(s: Any, dt: float) -> Any:  # the potential's slope by the position alone
        def step(s: Any, _: Any) -> Any:
            (force,) = grad(s[0] ** 4 + s[0] * s[0], [s[0]], create_graph=True)
            v = s[1] - dt * force
            return [s[0] + dt * v, v]

        return scan(step, [s, 0.1], range(5))[0]

    fast = compile(lambda s: local(s, 0.05))
    x = Value(0.7)
    y = local(x, 0.05)
    y.backward()
    value, slope = fast.value_and_grad(0.7)
    assert (value, slope) == (pytest.approx(y.data), pytest.approx(x.grad))
    assert "1 scan" in fast.report() or "scans" in fast.report()

    def far(a: Any, b: Any) -> Any:  # s[1] depends on s[0] of the turns before
        def step(s: Any, _: Any) -> Any:
            (slope,) = grad(s[0] * s[1], [s[0]], create_graph=True)
            return [s[1] * 0.5 + s[0], s[0] + slope * 0.1]

        return scan(step, [a, b], range(4))[1]

    a = Value(0.3)
    assert compile(far)(0.3, 0.4) == pytest.approx(far(a, Value(0.4)).data)


def test_second_derivatives_and_directions() -> None:
    def f(x: Any) -> Any:
        return scan(lambda s, t: s * sigmoid(x[0] * s) + x[1] * t, x[2], [0.1, 0.2, 0.3])

    def g(x: Any) -> Any:
        return plain(lambda s, t: s * sigmoid(x[0] * s) + x[1] * t, x[2], [0.1, 0.2, 0.3])

    x, v = [0.3, -0.8, 1.1], [1.0, 2.0, -0.5]
    a, b = compile(f), compile(g)
    assert np.allclose(a.hessian(x), b.hessian(x), 1e-12)
    assert np.allclose(a.hvp(x, vector=v), b.hvp(x, vector=v), 1e-12)
    assert np.allclose(a.jvp(x, tangent=v), b.jvp(x, tangent=v), 1e-12)
    assert np.allclose(a.jacobian(x), b.jacobian(x), 1e-12)
    xs = [Value(t) for t in x]
    y = a(xs)
    assert grad(y, xs) == pytest.approx(b.value_and_grad(x)[1])


# --- errors ---


def test_bad_arguments_are_refused() -> None:
    def step(s: Any, x: Any) -> Any:
        return s + x

    with pytest.raises(TypeError, match="expected a function as the step"):
        scan(3, 0.0, [1.0])  # type: ignore[arg-type]
    for bad in (3.0, "text", Value(1.0), {1.0, 2.0}, np.array(1.0)):
        with pytest.raises(TypeError, match="something to go over"):
            scan(step, 0.0, bad)
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="checkpoint: expected a whole number"):
            scan(step, 0.0, [1.0], checkpoint=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="columns of one length"):
        scan(step, 0.0, {"a": [1.0], "b": [1.0, 2.0]})
    for wrap in (lambda f: f, compile):
        with pytest.raises(TypeError, match="the step should return"):
            wrap(lambda s: scan(lambda s, x: [s, x, s], s, [1.0, 2.0]))(0.5)
        with pytest.raises(TypeError, match="the step should return a pair"):
            wrap(lambda s: scan(lambda s, x: s, s, [1.0], outputs=True))(0.5)


def test_numbers_of_the_step_stay_in_the_step() -> None:
    def f(s: Any) -> Any:
        kept = []

        def step(s: Any, x: Any) -> Any:
            kept.append(s * x)
            return s + x

        return scan(step, s, [1.0, 2.0]) + kept[0]

    with pytest.raises(TypeError, match="inside the step of a scan"):
        compile(f)(0.5)


def test_no_turns() -> None:
    f = compile(lambda s, xs: scan(lambda s, x: s * exp(x), s, xs))
    assert f(2.0, np.zeros(0)) == 2.0
    assert scan(lambda s, x: (s, x), 1.0, [], outputs=True) == (1.0, [])
    assert math.isclose(f(2.0, np.zeros(3)), 2.0)


def test_choices_in_the_step_contribute_exactly_nothing() -> None:
    """A root whose slope is infinite, not chosen in this turn or in a later one."""

    def f(s: Any, xs: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            return [functional.where(s[0] > 0.0, s[0] * x, sqrt(s[1])), s[1] * 1.0 + 0.0 * x]

        return scan(step, s, xs)[0]

    def g(a: Any, xs: Any) -> Any:
        return functional.where(a > 5.0, scan(lambda s, x: sqrt(s) * x, a, xs), a)

    for check, start in ((f, [1.5, 0.0]), (g, 0.0)):
        value, slopes = compile(check).value_and_grad(start, [2.0, 0.5])
        written = [Value(x) for x in start] if isinstance(start, list) else Value(start)
        y = check(written, [2.0, 0.5])
        y.backward()
        assert value == y.data
        found = np.asarray(slopes[0]).ravel()
        leaves = written if isinstance(written, list) else [written]
        assert found.tolist() == [x.grad for x in leaves]


class Recurrent(nn.Module):
    """A network of a user's own: two units over the numbers of a row."""

    def __init__(self) -> None:
        self.weights = [Value(w) for w in (0.3, -0.2, 0.5, 0.1, 0.7, -0.4)]

    def parameters(self) -> list[Value]:
        return self.weights

    def __call__(self, row: Any) -> Any:
        w = self.weights

        def step(s: Any, x: Any) -> Any:
            return [tanh(w[0] * s[0] + w[1] * s[1] + w[2] * x), tanh(w[3] * s[0] + w[4] * x)]

        s = scan(step, [0.0, 0.0], row)
        return s[0] + w[5] * s[1]


@pytest.mark.parametrize("batch", ["full", 1, 3])
def test_fit_with_a_loop_over_time(batch: int | str) -> None:
    rows = [[math.sin(i + t) for t in range(6)] for i in range(7)]
    targets = [r[0] * r[-1] for r in rows]
    ends = []
    for compiled in (False, True):
        model = Recurrent()
        fit(
            model, rows, targets, loss=nn.squared_error, learning_rate=0.1, batch=batch, epochs=3,
            compiled=compiled, seed=1, progress=False,
        )  # fmt: skip
        ends.append([p.data for p in model.parameters()])
    assert ends[0] != [0.3, -0.2, 0.5, 0.1, 0.7, -0.4]
    assert ends[1] == pytest.approx(ends[0], rel=1e-9)


def test_entries_that_differ_between_rows_in_some_turns_only() -> None:
    def f(a: Any, b: Any) -> Any:
        return scan(lambda s, x: [s[0] * x + b, s[0] - x], [a, b], [a, b, 1.5, a * b])[0]

    rows = np.linspace(-1.0, 1.0, 11)
    fast = compile(f)
    values, slopes = fast.map_value_and_grad(rows, 0.7, shared=(1,))
    for a, value, by_a, by_b in zip(rows.tolist(), values, *slopes):
        x, y = Value(a), Value(0.7)
        f(x, y).backward()
        assert value == pytest.approx(f(a, 0.7))
        assert (by_a, by_b) == (pytest.approx(x.grad), pytest.approx(y.grad))


def test_a_long_shift_register() -> None:
    """In each of the last turns another number of the state is handed back to."""

    def f(s: Any, xs: Any) -> Any:
        return scan(lambda s, x: [*s[1:], s[0] * x + sqrt(s[1])], s, xs)[0]

    start, xs = [1.0 + 0.1 * i for i in range(12)], [0.9, 1.1] * 10
    value, (by_start, by_xs) = compile(f).value_and_grad(start, xs)
    a, b = [Value(x) for x in start], [Value(x) for x in xs]
    y = f(a, b)
    y.backward()
    assert value == pytest.approx(y.data, rel=1e-13)
    assert by_start == pytest.approx([x.grad for x in a], rel=1e-11)
    assert by_xs == pytest.approx([x.grad for x in b], rel=1e-11)


def test_exported_loops(tmp_path: Any) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")

    def orbit(w: Any, xs: Any) -> Any:
        def step(s: Any, x: Any) -> Any:
            return [tanh(w[0] * s[0] + x), scan(lambda q, z: q * z + s[1], s[0], [w[1], x])]

        return scan(step, [0.1, 0.2], xs)[1]

    args = [0.5, 0.7], [0.1 * i for i in range(9)]
    made = compile(orbit).export(tmp_path / "orbit.so", *args)
    library = ctypes.CDLL(made.path)
    text = Path(made.header).read_text()
    for name, size in (("orbit", 1), ("orbit_value_and_grad", 12)):
        work = int(text.split(f"{name.upper()}_WORKSPACE ")[1].split()[0])
        inputs = (ctypes.c_double * 11)(*args[0], *args[1])
        outputs, memory = (ctypes.c_double * size)(), (ctypes.c_double * work)(*[math.nan] * work)
        getattr(library, name)(inputs, outputs, memory)
        assert outputs[0] == pytest.approx(orbit(*args), rel=1e-13)
    value, (by_w, by_xs) = compile(orbit).value_and_grad(*args)
    assert list(outputs) == pytest.approx([value, *by_w, *by_xs], rel=1e-12)


def test_two_lengths_in_threads_and_state_of_nothing() -> None:
    fast = compile(lambda w, xs: scan(lambda s, x: (s, w * x * x), (), xs, outputs=True)[1][-1])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: fast.value_and_grad(2.0, [0.5] * n, wrt=0), [3, 5] * 8))
    assert found == [(0.5, 0.25)] * 16


def test_checkpoints_keep_less_and_change_nothing() -> None:
    turns, n = 1000, 10

    def f(w: Any, xs: Any, every: int | None) -> Any:
        def step(s: Any, x: Any) -> Any:
            return [tanh(w * s[-1] + x), *s[:-1]]

        return sum(scan(step, [0.1] * n, xs, checkpoint=every))

    xs = [math.sin(i) for i in range(turns)]
    found, sizes = [], []
    for every in (None, 30):
        fast = compile(lambda w, xs, every=every: f(w, xs, every), strict=True)
        found.append(fast.value_and_grad(0.7, xs))
        (variant,) = fast._variants.values()
        sizes.append(variant.kernel._layout.shared_size - 2 * turns)  # but for xs and their slopes
    assert found[0] == found[1]
    assert sizes[0] <= n * turns + 200
    assert sizes[1] <= n * (turns / 30 + 30) + 600
