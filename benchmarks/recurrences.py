"""Loops over time: ``python -m benchmarks.recurrences [--turns 200 1000] [--quick]``.

Six recurrences as a user writes them, on scalars: an LSTM of 6 units, the forward algorithm of a
hidden Markov model with 4 states, the heat equation on 16 cells, a recurrent network of 8 units, an
orbit by leapfrog steps, a Kalman filter of one state. Each is compiled from nothing (no cache) as a
plain loop, through ``scan``, and, where jax is installed, written with ``jax.lax.scan``; values and
gradients must agree first. Measured: the seconds to the first value and gradient, then the time of
a later call, contestants in turn. The plain loop unrolls, so it takes part up to ``--plain`` turns.

Each contestant of each program runs in a process of its own, so that nobody finds code compiled.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONTESTANTS = ("plain loop", "scan", "jax.lax.scan")
TOLERANCE = 1e-9

Step = Callable[[Any, Any, Any], Any]  # parameters, state, entry -> state


# --- the programs: a step, the first state, the loss of the last state ----------------------------


def _numbers(count: int, phase: float, scale: float = 0.5) -> list[float]:
    return [scale * math.sin(phase + 1.7 * i) for i in range(count)]


def lstm(f: Any) -> tuple[Step, list[float], list[Any], int]:
    """An LSTM: 4 gates of 6 units over one input, and the sum of squares of what it forgets."""
    units = 6

    def step(w: Any, s: Any, x: Any) -> Any:
        hidden, cell = s[:units], s[units : 2 * units]
        gates, at = [], 0
        for _ in range(4 * units):
            total = w[at] + w[at + 1] * x
            for i in range(units):
                total = total + w[at + 2 + i] * hidden[i]
            gates.append(total)
            at += 2 + units
        new_h, new_c = [], []
        for i in range(units):
            forget, enter = f.sigmoid(gates[i]), f.sigmoid(gates[units + i])
            out, new = f.sigmoid(gates[2 * units + i]), f.tanh(gates[3 * units + i])
            c = forget * cell[i] + enter * new
            new_c.append(c)
            new_h.append(out * f.tanh(c))
        return [*new_h, *new_c, s[2 * units] + (new_h[0] - x) * (new_h[0] - x)]

    return step, _numbers(4 * units * (2 + units), 0.3), [0.0] * (2 * units + 1), 2 * units


def hmm(f: Any) -> tuple[Step, list[float], list[Any], int]:
    """The forward algorithm on logarithms; the entry is what was observed, a number."""
    states = 4

    def step(w: Any, s: Any, x: Any) -> Any:
        new = []
        for j in range(states):
            terms = [s[i] + w[i * states + j] for i in range(states)]
            top = terms[0]
            for t in terms[1:]:
                top = f.maximum(top, t)
            total = f.exp(terms[0] - top)
            for t in terms[1:]:
                total = total + f.exp(t - top)
            d = x - w[states * states + j]
            new.append(top + f.log(total) - 0.5 * d * d)
        most = f.maximum(f.maximum(new[0], new[1]), f.maximum(new[2], new[3]))
        return [*[v - most for v in new], s[states] + most]

    return step, _numbers(states * states + states, 0.9, 1.0), [0.0] * (states + 1), states


def heat(_f: Any) -> tuple[Step, list[float], list[Any], int]:
    """Heat in a rod of 16 cells with a conductivity for each, warmed at one end."""
    cells = 16

    def step(w: Any, s: Any, x: Any) -> Any:
        u = s[:cells]
        new = []
        for i in range(cells):
            left = u[i - 1] if i else x
            right = u[i + 1] if i < cells - 1 else 0.0
            new.append(u[i] + (0.2 + 0.1 * w[i]) * (left - 2.0 * u[i] + right))
        return [*new, s[cells] + (new[8] - x) * (new[8] - x)]

    return step, _numbers(cells, 0.5), [0.0] * (cells + 1), cells


def rnn(f: Any) -> tuple[Step, list[float], list[Any], int]:
    """A recurrent network of 8 units."""
    units = 8

    def step(w: Any, s: Any, x: Any) -> Any:
        new = []
        for j in range(units):
            at = j * (units + 2)
            total = w[at] + w[at + 1] * x
            for i in range(units):
                total = total + w[at + 2 + i] * s[i]
            new.append(f.tanh(total))
        return [*new, s[units] + (new[0] - x) * (new[0] - x)]

    return step, _numbers(units * (units + 2), 0.1), [0.0] * (units + 1), units


def orbit(f: Any) -> tuple[Step, list[float], list[Any], int]:
    """A planet around a star by leapfrog steps; the parameters are mass and step."""

    def step(w: Any, s: Any, x: Any) -> Any:
        px, py, vx, vy = s
        dt = 0.001 * w[1]

        def pull(px: Any, py: Any) -> tuple[Any, Any]:
            square = px * px + py * py
            strength = w[0] / (square * f.sqrt(square))
            return -px * strength, -py * strength

        ax, ay = pull(px, py)
        vx, vy = vx + 0.5 * dt * ax, vy + 0.5 * dt * ay
        px, py = px + dt * vx, py + dt * vy
        ax, ay = pull(px, py)
        return [px, py, vx + 0.5 * dt * ax + 1e-6 * x, vy + 0.5 * dt * ay]

    return step, [1.1, 0.9], [1.0, 0.0, 0.0, 1.05], 0


def kalman(f: Any) -> tuple[Step, list[float], list[Any], int]:
    """The likelihood of a random walk seen through noise; the parameters are two variances."""

    def step(w: Any, s: Any, x: Any) -> Any:
        mean, variance, total = s
        variance = variance + f.exp(w[0])
        seen = variance + f.exp(w[1])
        gap, gain = x - mean, variance / seen
        total = total + 0.5 * (f.log(seen) + gap * gap / seen)
        return [mean + gain * gap, (1.0 - gain) * variance, total]

    return step, [-1.0, -0.5], [0.0, 1.0, 0.0], 2


PROGRAMS = {
    "LSTM, 6 units": lstm,
    "HMM forward, 4 states": hmm,
    "heat equation, 16 cells": heat,
    "RNN, 8 units": rnn,
    "leapfrog orbit": orbit,
    "Kalman filter, one state": kalman,
}


# --- the contestants ------------------------------------------------------------------------------


def ours(program: str, turns: int, looped: bool) -> Callable[[], list[float]]:
    """Return a function of no arguments: the value and its gradient by the parameters."""
    import numpy

    import tinygrad_edu
    from tinygrad_edu import functional

    step, weights, start, which = PROGRAMS[program](functional)
    xs = numpy.array(_numbers(turns, 0.0, 1.0))

    def loss(w: Any, xs: Any) -> Any:
        if looped:
            return functional.scan(lambda s, x: step(w, s, x), start, xs)[which] / turns
        s = start
        for x in xs:
            s = step(w, s, x)
        return s[which] / turns

    fast = tinygrad_edu.compile(loss)

    def call() -> list[float]:
        value, slopes = fast.value_and_grad(weights, xs, wrt=0)
        return [value, *slopes]

    return call


class _JaxFunctions:
    def __init__(self, jax: Any) -> None:
        self.tanh, self.sigmoid = jax.numpy.tanh, jax.nn.sigmoid
        self.exp, self.log, self.sqrt = jax.numpy.exp, jax.numpy.log, jax.numpy.sqrt
        self.maximum = jax.numpy.maximum


def in_jax(program: str, turns: int) -> Callable[[], list[float]]:
    """The same step on arrays of numbers, under ``jax.lax.scan`` and ``jit``."""
    import jax
    import numpy

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    step, weights, start, which = PROGRAMS[program](_JaxFunctions(jax))
    xs = jnp.array(_numbers(turns, 0.0, 1.0))

    def loss(w: Any, xs: Any) -> Any:
        def turn(s: Any, x: Any) -> Any:
            return jnp.stack(step(w, list(s), x)), None

        return jax.lax.scan(turn, jnp.array(start), xs)[0][which] / turns

    fast = jax.jit(jax.value_and_grad(loss))
    w = jnp.array(weights)

    def call() -> list[float]:
        value, slopes = fast(w, xs)
        return [float(value), *numpy.asarray(slopes).tolist()]

    return call


def contestant(name: str, program: str, turns: int) -> Callable[[], list[float]]:
    """Return the contestant's function of no arguments."""
    if name == "jax.lax.scan":
        return in_jax(program, turns)
    return ours(program, turns, looped=name == "scan")


# --- measuring ------------------------------------------------------------------------------------


def measure(name: str, program: str, turns: int, seconds: float) -> dict[str, Any]:
    """Time the first call and later ones in this process; imports are not counted."""
    if name == "jax.lax.scan":
        import jax

        jax.jit(lambda x: x + 1.0)(1.0)
    else:
        import tinygrad_edu

        tinygrad_edu.compile(lambda x: x + 1.0)(1.0)
    began = time.perf_counter()
    call = contestant(name, program, turns)
    result = call()
    first = time.perf_counter() - began
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 2000):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return {"first": first, "later": median(times), "result": result}


def in_process(name: str, program: str, turns: int, seconds: float) -> dict[str, Any]:
    """``measure`` in a process of its own, without the cache on disk."""
    command = [sys.executable, "-m", "benchmarks.recurrences", "--one", name, program, str(turns)]
    environment = {**os.environ, "TINYGRAD_EDU_CACHE": "0", "OMP_NUM_THREADS": "1"}
    environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    done = subprocess.run(
        [*command, "--seconds", str(seconds)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{name}, {program}: {done.stderr.strip()[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(results: dict[str, list[float]], program: str) -> None:
    """Raise ``AssertionError`` if contestants disagree about the value or its gradient."""
    names = list(results)
    for name in names[1:]:
        for i, (a, b) in enumerate(zip(results[names[0]], results[name], strict=True)):
            assert math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE), (
                f"{program}: number {i} is {a!r} by {names[0]} and {b!r} by {name}"
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the contests and print a table for each number of turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--plain", type=int, default=200, help="most turns of a plain loop")
    parser.add_argument("--seconds", type=float, default=0.5, help="for the later calls of each")
    parser.add_argument("--quick", action="store_true", help="20 turns, a moment each")
    parser.add_argument(
        "--one", nargs=3, metavar=("NAME", "PROGRAM", "TURNS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.one:
        name, program, turns = options.one
        print(json.dumps(measure(name, program, int(turns), options.seconds)))
        return
    if options.quick:
        options.turns, options.seconds = [20], 0.05
    names = list(CONTESTANTS)
    if importlib.util.find_spec("jax") is None:
        names.remove("jax.lax.scan")
        print("jax is not installed (pip install jax): its column is left out\n")
    for turns in options.turns:
        print(f"T = {turns}: seconds to the first gradient, microseconds of a later call\n")
        print("| program | " + " | ".join(names) + " |")
        print("|---|" + "---|" * len(names))
        for program in PROGRAMS:
            found = {
                name: in_process(name, program, turns, options.seconds)
                for name in names
                if name != "plain loop" or turns <= options.plain
            }
            check({name: x["result"] for name, x in found.items()}, program)
            cells = [
                f"{found[name]['first']:.2f} s, {found[name]['later'] * 1e6:.0f} us"
                if name in found
                else "-"
                for name in names
            ]
            print(f"| {program} | " + " | ".join(cells) + " |", flush=True)
        print()


if __name__ == "__main__":
    main()
