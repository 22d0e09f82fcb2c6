"""The eager engine against micrograd 0.1.0: ``python -m benchmarks.engine``.

Three pieces of work, written once with scalar operators and run on either ``Value`` class:

(a) one full-batch training step on two moons: a 2-16-16-1 network, 100 points, max-margin loss and
    an L2 penalty, as in micrograd's demo: forward, backward and update;
(b) forward and backward through a random graph of 10,000 operations;
(c) the same through a chain of 100,000 links, where micrograd's recursive sort survives it.

Default interpreter settings, garbage collector on. Memory is the peak over five steps of (a), each
engine in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks._contest import (
    Contest,
    hardware,
    markdown,
    one_thread,
    peak_memory,
    size,
    write_json,
)

OURS, THEIRS = "tinygrad_edu", "micrograd"
ENGINES = {OURS: "tinygrad_edu.engine.value", THEIRS: "micrograd.engine"}


def value_class(engine: str) -> Any:
    return importlib.import_module(ENGINES[engine]).Value


# --- (a) ------------------------------------------------------------------------------------------


def two_moons_step(engine: str, points: int = 100) -> Callable[[], Any]:
    """Return a function that does one training step and returns the loss and the gradients."""
    Value = value_class(engine)
    data, labels = programs.two_moons(points, seed=1)
    layers = [
        [([Value(w) for w in row], Value(b)) for row, b in zip(rows, biases)]
        for rows, biases in programs.initial_layers([2, 16, 16, 1], seed=2)
    ]
    parameters = [p for layer in layers for weights, bias in layer for p in (*weights, bias)]

    def score(x: list[Any]) -> Any:
        for depth, layer in enumerate(layers):
            x = [sum((w * a for w, a in zip(weights, x)), bias) for weights, bias in layer]
            if depth < len(layers) - 1:
                x = [a.relu() for a in x]
        return x[0]

    def step() -> Any:
        # 1. Forward
        inputs = [list(map(Value, row)) for row in data]
        losses = [(1 + -y * score(x)).relu() for x, y in zip(inputs, labels)]
        data_loss = sum(losses) * (1.0 / len(losses))
        loss = data_loss + programs.L2 * sum(p * p for p in parameters)
        # 2. Backward
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        # 3. Update
        for p in parameters:
            p.data -= 0.01 * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


def five_steps(engine: str) -> Callable[[], None]:
    """The work whose memory is measured."""
    step = two_moons_step(engine)

    def work() -> None:
        for _ in range(5):
            step()

    return work


def two_moons_dot_step(points: int = 100) -> Callable[[], Any]:
    """(a) as this engine would have it written: one n-ary ``dot`` node for each neuron."""
    from tinygrad_edu import Value
    from tinygrad_edu.engine import functional

    data, labels = programs.two_moons(points, seed=1)
    layers = [
        ([[Value(w) for w in row] for row in rows], [Value(b) for b in biases])
        for rows, biases in programs.initial_layers([2, 16, 16, 1], seed=2)
    ]
    parameters = [
        p for rows, biases in layers for row, b in zip(rows, biases) for p in (*row, b)
    ]  # fmt: skip

    def step() -> Any:
        losses = [programs.margin_loss(layers, x, y) for x, y in zip(data, labels)]
        loss = functional.mean(losses) + programs.penalty(layers)
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= 0.01 * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


# --- (b) and (c) ----------------------------------------------------------------------------------


def random_graph(engine: str, operations: int = 10_000) -> Callable[[], Any]:
    Value = value_class(engine)
    program = programs.random_graph(operations, leaves=100, seed=3)
    rng = random.Random(4)
    numbers = [rng.uniform(-1.0, 1.0) for _ in range(100)]

    def work() -> Any:
        leaves = [Value(x) for x in numbers]
        output = program(leaves)
        output.backward()
        return output.data, [x.grad for x in leaves]

    return work


def chain(engine: str, links: int = 100_000, recursion_limit: int = 0) -> Callable[[], Any]:
    Value = value_class(engine)

    def work() -> Any:
        a, b = Value(0.999), Value(0.001)
        x = a
        for i in range(links):
            x = x + b if i % 2 else x * a
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(recursion_limit or limit)
        try:
            x.backward()
        finally:
            sys.setrecursionlimit(limit)
        return x.data, [a.grad, b.grad]

    return work


# --- the command ----------------------------------------------------------------------------------


def contests() -> list[Contest]:
    moons = Contest(
        "(a) two moons, full-batch step, 2-16-16-1, 100 points, scalar operators",
        checked_calls=2,
        least_calls=5,
    )
    graph = Contest("(b) random graph, 10,000 operations, forward and backward", least_calls=20)
    links = Contest("(c) chain of 100,000 links, forward and backward", least_calls=3)
    works = ((moons, two_moons_step), (graph, random_graph), (links, chain))
    for contest, work in works:
        for engine in ENGINES:
            needs = (THEIRS,) if engine == THEIRS else ()
            contest.enter(engine, lambda work=work, engine=engine: work(engine), needs=needs)
    moons.enter(f"{OURS}, a dot node per neuron", two_moons_dot_step)
    if sys.version_info >= (3, 11):  # before, Python's own recursion used up the C stack
        deep = lambda: chain(THEIRS, recursion_limit=1_000_000)  # noqa: E731
        links.enter(f"{THEIRS}, sys.setrecursionlimit(1000000)", deep, needs=(THEIRS,))
    return [moons, graph, links]


def memory_table() -> tuple[str, dict[str, Any]]:
    """Return the peaks of both engines on (a) as a Markdown table, and as numbers."""
    found: dict[str, Any] = {}
    rows = [["five steps of (a)", "Python's allocations", "resident"]]
    for engine in ENGINES:
        peaks = found[engine] = peak_memory("benchmarks.engine:five_steps", engine)
        rows.append([engine, size(peaks["python"]), size(peaks["resident"])])
    ratios = {kind: found[THEIRS][kind] / found[OURS][kind] for kind in ("python", "resident")}
    rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios.values())])
    found["ratio"] = ratios
    return f"### Peak memory beyond what was there before\n\n{markdown(rows)}\n", found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="time spent computing instead of time passed, for a busy machine",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE too")
    options = parser.parse_args(arguments)
    one_thread()
    print(f"## The eager engine\n\n{hardware()}\n", flush=True)
    done = []
    for contest in contests():
        contest.run(3 if options.quick else 9, options.processor_time)
        print(contest.table(), flush=True)
        done.append(contest)
    results: dict[str, Any] = {"hardware": hardware(), "contests": [c.record() for c in done]}
    if THEIRS in done[0]:
        table, results["memory"] = memory_table()
        print(table)
        ratio = done[0].ratio(THEIRS, OURS)
        print(
            f"(a) is {ratio:.1f} times faster than micrograd (target: 4, stretch: 6) and needs "
            f"1/{results['memory']['ratio']['python']:.1f} of its memory (target: at most 1/3).\n"
        )
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
