"""The compiler against its peers: ``python -m benchmarks.compiled [--quick] [--only NAME]``.

Training steps (forward, backward, update) of three networks and of the tiny GPT in ``demos/``, and
four programs from the literature on automatic differentiation, on many rows at once. Everybody
computes in float64. Contestants: this package compiled and node by node, micrograd where it has
the operations, torch in eager mode (as its tutorials write it, with one and with two threads, and
lean, without modules and optimizers), numpy with backward passes written by hand, jax (``jit``) and
casadi where they are installed.

Then: how long compiling takes, cold and from the cache on disk, each in a process of its own, and
how tracing and differentiating grow with the length of a program.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks._contest import (
    Contest,
    duration,
    hardware,
    in_fresh_process,
    markdown,
    one_thread,
    resident_peak,
    write_json,
)

COMPILED, EAGER, NUMPY, JAX, CASADI = "compiled", "eager", "numpy by hand", "jax jit", "casadi SX"
TORCH, TORCH_LEAN, TORCH_TWO = "torch", "torch, lean", "torch, two threads"
COMPILED_TWO = "compiled, two threads"
RATE = 0.01
ROWS = 1000
EAGER_ROWS = 20


# --- training steps -------------------------------------------------------------------------------


def _enter_all(contest: Contest, kind: str, *arguments: Any, two_threads: bool = False) -> Contest:
    """Enter the function ``kind`` of every module that has one."""
    from benchmarks import in_casadi, in_jax, in_numpy, in_tinygrad, in_torch

    compiled = getattr(in_tinygrad, kind)
    contest.enter(COMPILED, partial(compiled, *arguments), needs=["numpy", "llvmlite"])
    if two_threads:
        contest.enter(
            COMPILED_TWO,
            partial(compiled, *arguments, threads=2),
            needs=["numpy", "llvmlite"],
            threads=2,
        )
    contest.enter(EAGER, partial(getattr(in_tinygrad, "eager_" + kind), *arguments))
    for name, module, prefix, needs, threads in (
        (TORCH, in_torch, "", ["torch"], 1),
        (TORCH_LEAN, in_torch, "lean_", ["torch"], 1),
        (TORCH_TWO, in_torch, "", ["torch"], 2),
        (NUMPY, in_numpy, "", ["numpy"], 1),
        (JAX, in_jax, "", ["jax"], 1),
        (CASADI, in_casadi, "", ["casadi", "numpy"], 1),
    ):
        if hasattr(module, prefix + kind):
            prepare = partial(getattr(module, prefix + kind), *arguments)
            contest.enter(name, prepare, needs=needs, threads=threads)
    return contest


def two_moons() -> Contest:
    from benchmarks.engine import two_moons_step

    contest = Contest(
        "two moons: full-batch step, 2-16-16-1, 100 points, max-margin loss and L2",
        checked_calls=2,
        least_calls=3,
    )
    layers = programs.initial_layers([2, 16, 16, 1], seed=2)
    _enter_all(contest, "margin_step", layers, *programs.two_moons(100, seed=1), RATE)
    contest.enter("micrograd", partial(_by_layers, two_moons_step), needs=["micrograd"])
    return contest


def _by_layers(step: Callable[[str], Callable[[], Any]]) -> Callable[[], Any]:
    """micrograd's step, whose gradients come neuron by neuron, in the order of everybody else's."""
    run = step("micrograd")

    def call() -> Any:
        loss, gradients = run()
        numbers, ordered = iter(gradients), []
        for inputs, outputs in ((2, 16), (16, 16), (16, 1)):
            neurons = [[next(numbers) for _ in range(inputs + 1)] for _ in range(outputs)]
            ordered.append(([row[:-1] for row in neurons], [row[-1] for row in neurons]))
        return loss, ordered

    return call


def digits() -> Contest:
    try:
        from sklearn.datasets import load_digits

        data = load_digits()
        xs, ys = (data.data[:32] / 16.0).tolist(), data.target[:32].astype(float).tolist()
    except ImportError:  # numbers of the same shape take the same time
        xs, ys = programs.images(32, 64, 10, seed=3)
    layers = programs.initial_layers([64, 32, 10], seed=4)
    contest = Contest("digits: mini-batch step, 64-32-10, 32 points", checked_calls=2)
    return _enter_all(contest, "classifier_step", layers, xs, ys, RATE)


def mnist(examples: int) -> Contest:
    layers = programs.initial_layers([784, 50, 10], seed=5)
    data = programs.images(examples, 784, 10, seed=6)
    title = f"MNIST-shaped data: step, 784-50-10, {examples} example{'s' * (examples > 1)}"
    contest = Contest(title, checked_calls=2)
    return _enter_all(contest, "classifier_step", layers, *data, RATE, two_threads=examples > 1)


def gpt(name: str = "amelia") -> Contest:
    import random

    from demos import gpt

    parameters = gpt.initial_parameters(random.Random(1))
    contest = Contest(
        f"tiny GPT: one document step ({len(name)} letters) with Adam, 4,192 parameters",
        checked_calls=2,
    )
    return _enter_all(contest, "gpt_step", parameters, gpt.encode(name), RATE)


# --- four programs --------------------------------------------------------------------------------


def _value_and_gradient(contest: Contest, kind: str, program: Any, rows: programs.Rows) -> Contest:
    """Enter the function ``kind`` of every module, for value and gradient and for the value alone.

    The first argument of ``kind`` is ``program``: the program's name, or its parameters. The eager
    engine gets a few of the rows only.
    """
    from benchmarks import in_casadi, in_jax, in_tinygrad, in_torch

    few = rows[:EAGER_ROWS]
    for name, module, needs in (
        (COMPILED, in_tinygrad, ["numpy", "llvmlite"]),
        (TORCH, in_torch, ["torch"]),
        (JAX, in_jax, ["jax"]),
        (CASADI, in_casadi, ["casadi", "numpy"]),
    ):
        for suffix, gradient in (("", True), (VALUE, False)):
            prepare = partial(getattr(module, kind), program, rows, gradient)
            contest.enter(name + suffix, prepare, needs=needs, group=suffix)
    for suffix, gradient in (("", True), (VALUE, False)):
        contest.enter(
            EAGER + suffix,
            partial(getattr(in_tinygrad, "eager_" + kind), program, few, gradient),
            share=len(few) / len(rows),
            reference=partial(getattr(in_tinygrad, kind), program, few, gradient),
        )
    return contest


VALUE = ", value alone"


def bundle_adjustment() -> Contest:
    contest = Contest(f"bundle-adjustment residual, {ROWS:,} rows of 17 numbers")
    rows = programs.observations(ROWS, seed=7)
    return _value_and_gradient(contest, "rows", "bundle_adjustment", rows)


def gaussian_mixture() -> Contest:
    contest = Contest(f"Gaussian mixture log-likelihood, 5 components, d = 4, {ROWS:,} points")
    parameters, points = programs.mixture(5, 4, seed=8), programs.points(ROWS, 4, seed=9)
    return _value_and_gradient(contest, "mixture", parameters, points)


def determinant() -> Contest:
    contest = Contest(f"determinant by minors, {ROWS:,} matrices, 6 x 6")
    return _value_and_gradient(contest, "rows", "determinant", programs.matrices(ROWS, 6, seed=10))


def ode() -> Contest:
    contest = Contest(f"ODE loop: Lotka-Volterra, 100 Runge-Kutta steps, {ROWS:,} rows")
    return _value_and_gradient(
        contest, "rows", "predator_prey", programs.populations(ROWS, seed=11)
    )


CONTESTS: dict[str, Callable[[], Contest]] = {
    "two-moons": two_moons,
    "digits": digits,
    "mnist-1": lambda: mnist(1),
    "mnist-32": lambda: mnist(32),
    "gpt": gpt,
    "gpt-long": lambda: gpt("wolfgangamadeus"),  # the whole context
    "bundle-adjustment": bundle_adjustment,
    "mixture": gaussian_mixture,
    "determinant": determinant,
    "ode": ode,
}


# --- targets --------------------------------------------------------------------------------------


@dataclass
class Target:
    """What a contest should show: ``slow`` takes at least (at most) ``bound`` times ``fast``."""

    work: str
    slow: str
    fast: str
    bound: float
    at_most: bool = False

    def judge(self, contest: Contest) -> list[str] | None:
        ratio = contest.ratio(self.slow, self.fast)
        if ratio is None:
            return None
        met = ratio <= self.bound if self.at_most else ratio >= self.bound
        what = f"{self.slow} / {self.fast}"
        bound = f"{'at most' if self.at_most else 'at least'} {self.bound:,g}"
        return [self.work, what, bound, f"{ratio:,.3g}", "yes" if met else "**no**"]


PROGRAMS = ("bundle-adjustment", "mixture", "determinant", "ode")
TARGETS = [
    Target("two-moons", TORCH, COMPILED, 25),
    Target("two-moons", "micrograd", COMPILED, 20_000),
    Target("digits", TORCH, COMPILED, 8),
    Target("mnist-1", TORCH, COMPILED, 4),
    Target("mnist-32", TORCH, COMPILED, 1),
    Target("gpt", EAGER, COMPILED, 500),
    Target("gpt-long", EAGER, COMPILED, 500),
    *(Target(name, COMPILED, COMPILED + VALUE, 3, at_most=True) for name in PROGRAMS),
    *(Target(name, rival, COMPILED, 1) for name in PROGRAMS for rival in (TORCH, CASADI)),
]


# --- compile times and growth ---------------------------------------------------------------------


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def first_call(name: str, clock: str) -> dict[str, float]:
    """In a fresh process: the seconds from ``compile()`` to the first result, and the next call."""
    now = CLOCKS[clock]
    from benchmarks import in_tinygrad  # imports of numpy and llvmlite are not compile time
    from tinygrad_edu.compiler.emit import machine_code as native

    native.llvm()
    if name == "gpt, every length":
        return _first_gpt_steps(now)
    if name.startswith("irregular"):
        run = _irregular(int(name.split()[1].replace(",", "")))
    else:
        sizes, n = {
            "2-16-16-1": ([2, 16, 16, 1], 100),
            "64-32-10": ([64, 32, 10], 32),
            "784-50-10": ([784, 50, 10], 32),
        }[name]
        kind = in_tinygrad.margin_step if n == 100 else in_tinygrad.classifier_step
        data = programs.two_moons(n, 1) if n == 100 else programs.images(n, sizes[0], 10, 1)
        run = kind(programs.initial_layers(sizes, 2), *data, RATE)
    started = now()
    run()
    first = now() - started
    run()
    return {"first": first, "next": now() - started - first}


def _first_gpt_steps(now: Callable[[], float]) -> dict[str, float]:
    import random

    from demos import gpt

    parameters = gpt.initial_parameters(random.Random(1))
    lengths = sorted({len(name) for name in gpt.read_names()})
    started = now()
    trainer = gpt.Compiled(parameters)
    for n in lengths:
        trainer.step(gpt.encode("a" * n), RATE)
    first = now() - started
    for n in lengths:
        trainer.step(gpt.encode("a" * n), RATE)
    return {"first": first, "next": now() - started - first}


def _irregular(operations: int) -> Callable[[], Any]:
    import random

    import numpy

    from tinygrad_edu import compile

    fast = compile(programs.random_graph(operations, leaves=100, seed=3))
    rng = random.Random(4)
    numbers = numpy.array([rng.uniform(-1.0, 1.0) for _ in range(100)])
    return lambda: fast.value_and_grad(numbers)


COMPILE_TARGETS = {
    "2-16-16-1": 0.5,
    "64-32-10": 1.5,
    "784-50-10": 5.0,
    "gpt, every length": 30.0,
    "irregular 100,000 operations": 20.0,
}


def compile_times(quick: bool, clock: str) -> tuple[str, dict[str, Any]]:
    rows = [["program, value and gradient", "cold", "target", "met", "from disk", "next call"]]
    found = {}
    for name, target in COMPILE_TARGETS.items():
        if quick and target > 10.0:
            continue
        with tempfile.TemporaryDirectory() as cache:
            here = "benchmarks.compiled:first_call"
            cold = in_fresh_process(here, name, clock, XDG_CACHE_HOME=cache)
            warm = in_fresh_process(here, name, clock, XDG_CACHE_HOME=cache)
        found[name] = {"cold": cold["first"], "warm": warm["first"], "next": warm["next"]}
        times = [duration(cold["first"]), f"{target:g} s"]
        times += ["yes" if cold["first"] < target else "**no**"]
        rows.append([name, *times, duration(warm["first"]), duration(warm["next"])])
    title = f"### From compile() to the first result, tracing included ({clock} time)"
    return f"{title}\n\n{markdown(rows)}\n", found


def growth(kind: str, operations: int, clock: str) -> dict[str, float]:
    """In a fresh process: trace a program of about so many operations and differentiate it."""
    from tinygrad_edu.compiler.trace.gradient_program import gradients
    from tinygrad_edu.compiler.trace.program import Program
    from tinygrad_edu.compiler.trace.symbol import Symbol

    now = CLOCKS[clock]
    regular = kind == "recurrence"
    function = (
        programs.recurrence(operations)
        if regular
        else programs.random_graph(operations, leaves=100, seed=3)
    )
    program = Program()
    symbols = [Symbol(program, program.add_input()) for _ in range(2 if regular else 100)]
    memory = resident_peak(reset=True)
    started = now()
    output = function(*symbols) if regular else function(symbols)
    traced = now() - started
    traced_memory = resident_peak() - memory
    count = len(program)
    started = now()
    gradients(program, output.index, [s.index for s in symbols])
    gradient = now() - started
    return {
        "operations": count,
        "trace": traced,
        "bytes": traced_memory / count,
        "gradient": gradient,
        "gradient operations": len(program) - count,
        "bytes with gradient": (resident_peak() - memory) / count,
    }


def growth_curves(quick: bool, clock: str) -> tuple[str, list[dict[str, Any]]]:
    rows = [["program", "operations", "trace", "each", "memory each", "gradient", "each"]]
    rows[0].append("memory each, both")
    found = []
    for kind in ("recurrence", "random graph"):
        for operations in (10_000, 100_000, 1_000_000)[: 2 if quick else 3]:
            got = in_fresh_process("benchmarks.compiled:growth", kind, operations, clock)
            found.append({"kind": kind, **got})
            n = got["operations"]
            rows.append(
                [
                    kind, f"{n:,}", duration(got["trace"]), duration(got["trace"] / n),
                    f"{got['bytes']:.0f} B", duration(got["gradient"]),
                    duration(got["gradient"] / n), f"{got['bytes with gradient']:.0f} B",
                ]
            )  # fmt: skip
    title = f"### Growth of the trace and its gradient ({clock} time; target: 300 B per operation)"
    return f"{title}\n\n{markdown(rows)}\n", found


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compiled",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*CONTESTS, "compile-times", "growth"]
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="time spent computing instead of time passed, for a busy machine",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE too")
    options = parser.parse_args(arguments)
    chosen = options.only or names
    one_thread()
    print(f"## The compiler\n\n{hardware()}\n", flush=True)
    results: dict[str, Any] = {"hardware": hardware(), "contests": {}}
    verdicts = [["work", "ratio of medians", "target", "measured", "met"]]
    with tempfile.TemporaryDirectory() as cache:  # so that first calls are cold
        os.environ["XDG_CACHE_HOME"] = cache
        for name in [name for name in CONTESTS if name in chosen]:
            contest = CONTESTS[name]().run(3 if options.quick else 9, options.processor_time)
            print(contest.table(), flush=True)
            results["contests"][name] = contest.record()
            judged = [target.judge(contest) for target in TARGETS if target.work == name]
            verdicts += [row for row in judged if row is not None]
    for name, measure in (("compile-times", compile_times), ("growth", growth_curves)):
        if name in chosen:
            table, results[name] = measure(
                options.quick, "processor" if options.processor_time else "wall"
            )
            print(table, flush=True)
    if len(verdicts) > 1:
        print(f"### Targets\n\n{markdown(verdicts)}\n")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
