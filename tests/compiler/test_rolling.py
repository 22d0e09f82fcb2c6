"""Loops over time: plain Python loops, unrolled by tracing, are loops again in compiled code.

Random programs are sources of Python, so that a failing one can be read and run by itself. The
thresholds are lowered, so that short loops roll up, too.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import tinygrad_edu
from tinygrad_edu import Value, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.compiler.loops import groups, rolled, rolling

KINDS = (
    "plain", "skips", "inputs", "data", "chosen", "reversed", "nested", "triangle", "broken",
    "in place", "wide", "sweeps", "outputs", "decay",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def eager_to_roll(monkeypatch):
    monkeypatch.setattr(rolling, "FEWEST", 4)
    monkeypatch.setattr(rolling, "SMALLEST", 12)


def term(rng, names):
    """Return a random expression in some names, of moderate size whatever they are."""
    a, b = rng.choice(names), rng.choice(names)
    return rng.choice(
        [
            f"tanh({a} + {b})", f"tanh({a} * p[{rng.randrange(4)}])", f"sin({a} - {b})",
            f"({a} + {b}) * 0.5", f"({a} * {b}) / (1 + {a} * {a} + {b} * {b})",
            f"p[{rng.randrange(4)}] * sin({a})", f"where({a} < {b}, tanh({a}), sin({b}))",
            f"0.3 * {a} - tanh({b}) * p[{rng.randrange(4)}]", f"maximum({a}, {b}) * 0.7",
            f"sum([{a}, {b}, p[{rng.randrange(4)}] * sin({a})])", f"exp(-({a} * {a}))",
        ]
    )  # fmt: skip


def program(seed, kind):
    """Return the source of a function of ``p`` (4 numbers) and ``x`` (40), and how long it is."""
    rng = random.Random(f"{kind} {seed}")
    turns = rng.randrange(9, 24)
    states = ["a", "b", "c"][: rng.randrange(1, 4)]
    lines = [f"    {s} = {rng.choice(['0.0', 'p[0]', 'p[1] * 0.5', '1.0'])}" for s in states]
    lines.append("    loss = p[2] * p[2]")
    names = [*states, "p[0]", "p[3]"]

    def body(indent, extra=(), count=None):
        found = []
        for _ in range(count or rng.randrange(1, 5)):
            s = rng.choice(states)
            found.append(f"{indent}{s} = {term(rng, [*names, *extra])}")
        return found

    loss = f"loss + {rng.choice(states)} * {rng.choice(states)}"
    head = f"    for t in range({turns}):"
    inner = "        "
    if kind == "plain":
        lines += [head, *body(inner)]
    elif kind == "skips":
        lines += [f"    h = [{rng.choice(states)}, p[2]]", head]
        lines += [*body(inner, ["h[-1]", "h[-2]"])]
        lines += [f"        h.append({term(rng, ['h[-1]', 'h[-2]', *states])})"]
        lines += ["    loss = loss + h[-1]"]
    elif kind == "inputs":
        lines += [head, *body(inner, ["x[t]", "x[t + 1]"]), f"        loss = {loss} - x[t]"]
    elif kind == "data":
        data = [rng.choice([0.25, 1.0, 0.0, rng.gauss(0, 1)]) for _ in range(turns)]
        lines += [f"    d = {data}", head, *body(inner, ["d[t]"]), f"        loss = {loss}"]
    elif kind == "chosen":
        chosen = [rng.randrange(3) for _ in range(turns)]
        lines += ["    e = [sin(p[0]), p[1] * p[2], exp(p[3])]", f"    o = {chosen}"]
        lines += [head, *body(inner, ["e[o[t]]"]), f"        loss = {loss}"]
    elif kind == "reversed":
        lines += [f"    for t in reversed(range({turns})):", *body(inner, ["x[2 * t]", "x[t]"])]
        lines += [f"        loss = {loss}"]
    elif kind == "nested":
        n = rng.randrange(4, 8)
        lines += [head, *body(inner, ["x[t]"]), f"        for i in range({n}):"]
        lines += [*body(inner + "    ", ["x[i]"]), f"        loss = {loss}"]
    elif kind == "triangle":
        lines += [head, f"        for i in range({rng.choice(['t', 't + 1', f'{turns} - t'])}):"]
        lines += [*body(inner + "    ", ["x[i]"]), f"        loss = {loss}"]
    elif kind == "broken":
        lines += [head, *body(inner), f"        if t == {rng.randrange(turns)}:"]
        lines += [*body(inner + "    ", count=rng.randrange(1, 3)), *body(inner, ["x[t]"])]
    elif kind == "in place":
        n = rng.randrange(3, 10)
        lines += [f"    h = [x[i] * p[i % 4] for i in range({n})]", head, *body(inner)]
        lines += [f"        for i in range({n}):"]
        lines += [f"            h[i] = {term(rng, ['h[i]', 'h[i - 1]', f'h[(i + 1) % {n}]'])}"]
        lines += [f"        {rng.choice(states)} = {term(rng, ['h[0]', 'h[-1]', *states])}"]
    elif kind == "wide":
        n = rng.randrange(3, 6 if seed < 100 else 11)
        lines += [f"    h = [p[i % 4] * x[i] for i in range({n})]", head]
        lines += [f"        h = [tanh(sum([x[(i + j) % {n}] * h[j] for j in range({n})],"]
        lines += [f"            p[i % 4] + x[t] * x[i])) for i in range({n})]"]
        lines += [f"        loss = loss + h[{rng.randrange(n)}] * x[t]"]
    elif kind == "sweeps":
        n = rng.randrange(5, 12)
        lines += [f"    h = [x[i] for i in range({n})]", head]
        lines += [f"        h = [{term(rng, ['h[i]', f'h[(i + 1) % {n}]', 'h[i - 1]'])}"]
        lines += [f"            for i in range({n})]"]
        lines += [f"    loss = loss + sum(h) + h[{rng.randrange(n)}]"]
    elif kind == "outputs":
        lines += ["    every = []", head, *body(inner, ["x[t]"]), f"        loss = {loss}"]
        lines += [f"        every.append({rng.choice(states)} + 0.5)"]
    elif kind == "decay":
        lines += [head, *body(inner, ["x[t]"]), f"        loss = 0.9 * loss + {states[0]} * x[t]"]
    end = " + ".join(["loss", *states])
    lines.append(f"    return {end}" if kind != "outputs" else f"    return {end}, every")
    return "def f(p, x):\n" + "\n".join(lines) + "\n"


def function_of(source):
    space = {n: getattr(tinygrad_edu, n) for n in ("tanh", "sin", "exp", "maximum", "where")}
    exec(source, space)
    return space["f"]


def same(got, expected, scale=1.0, message=""):
    assert got == expected or abs(got - expected) <= 1e-9 * max(abs(expected), scale), message


def check(source, seed, monkeypatch):
    """Check value, gradient, ``map`` and ``strict`` of a program against the engine."""
    f = function_of(source)
    rng = random.Random(seed)
    p = [rng.gauss(0, 0.7) for _ in range(4)]
    x = [rng.gauss(0, 0.7) for _ in range(64)]
    several = "every" in source
    vp, vx = [Value(a) for a in p], [Value(a) for a in x]
    out = f(vp, vx)
    loss = out[0] if several else out
    slopes = grad(loss, [*vp, *vx])
    loops = 0
    for strict in (True, False):
        fast = compile(f, strict=strict)
        value = fast(p, x)
        if several:
            every = [getattr(v, "data", v) for v in out[1]]
            for got, expected in zip(value[1], every):
                assert got == expected if strict else abs(got - expected) <= 1e-9, source
            value = value[0]
        if strict:
            assert value == loss.data, f"{value} != {loss.data}\n{source}"
        else:
            same(value, loss.data, 1.0, f"{value} != {loss.data}\n{source}")
        one = compile(lambda p, x: f(p, x)[0], strict=strict) if several else fast
        value, (gp, gx) = one.value_and_grad(p, x)
        largest = max(map(abs, slopes))
        for got, expected in zip([*gp, *gx], slopes):
            same(got, expected, largest, f"{got} != {expected}\n{source}")
        if strict:  # the engine may add the shares of a gradient in another order
            with monkeypatch.context() as patch:
                patch.setattr(rolled, "find_turns", lambda sequence: [])
                flat = compile(one.function, strict=True).value_and_grad(p, x)
            assert (value, (gp, gx)) == flat, f"not as without loops:\n{source}"
        if not several:
            rows = np.array([x, x[::-1], x])
            values, (gp, gx) = one.map_value_and_grad(p, rows, shared=[0])
            same(values[0], loss.data, 1.0, source)
            assert values[2] == values[0]
            for got, expected in zip([*[g[0] for g in gp], *gx[0]], slopes):
                same(got, expected, largest, f"rows: {got} != {expected}\n{source}")
        loops += sum(v.kernel.statistics.rolled for v in one._variants.values())
    return loops


@pytest.mark.parametrize("kind", KINDS)
def test_random_loops_equal_the_engine(kind, eager_to_roll, monkeypatch):
    loops = 0
    for seed in range(1 if kind in ("wide", "sweeps", "in place") else 2):
        loops += check(program(seed, kind), seed, monkeypatch)
    assert loops or kind not in ("skips", "nested", "in place", "sweeps", "wide", "decay")


@pytest.mark.parametrize(
    "step",
    [
        lambda h, p, x: tinygrad_edu.tanh(p[0] * h + p[1] * x),
        lambda h, p, x: h + 0.01 * (p[0] * h * (1 - h / p[1]) + tinygrad_edu.sin(x)) / (1 + p[0]),
        lambda h, p, x: (h + x) / (h * h + p[0] * p[0] + 1) ** 0.5,
    ],
)
def test_code_does_not_grow_with_the_number_of_turns(step):
    def loss(p, x):
        h, total = p[2], 0.0
        for entry in x:
            h = step(h, p, entry)
            total = total + (h - entry) ** 2
        return total

    made = []
    for count in (100, 1000):
        fast = compile(loss)
        fast.value_and_grad([0.3, 0.8, 0.1], [((7 * t) % 11) / 10 for t in range(count)])
        made.append(next(iter(fast._variants.values())).kernel.statistics)
    few, many = made
    assert few.rolled == many.rolled == 2
    assert abs(many.code_bytes - few.code_bytes) <= 0.1 * few.code_bytes
    assert many.loops == few.loops


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(8))
def test_many_random_loops_equal_the_engine(kind, part, eager_to_roll, monkeypatch):
    if part % 2:  # nests inside loops, of few members
        monkeypatch.setattr(groups, "_FEWEST", 3)
        monkeypatch.setattr(groups, "_LIGHTEST", 4)
    for seed in range(100 + 25 * part, 125 + 25 * part):
        check(program(seed, kind), seed, monkeypatch)
