"""The eager engine against micrograd 0.1.0 and a lean class: ``python -m benchmarks.engine``.

Work, written once and run on each ``Value`` class; the lean one (``lean_value.py``) has the form of
the public 200-line GPT:

- one full-batch training step on two moons: a 2-16-16-1 network, 100 points, max-margin loss and
  an L2 penalty, as in micrograd's demo, in scalar operators: forward, backward and update; and the
  same step with each library's own ``nn``;
- one training step of a tiny GPT in scalar operators;
- forward and backward through a random graph of 10,000 operations, and a chain of 100,000 links;
- reading and updating ``p.data`` of 1,000 parameters, beside a class of two plain slots;
- the memory that a node of the chain takes.

Each contestant computes in a process of its own, with default settings and the garbage collector
on, and they take turns; values and gradients are compared before any timing. What is reported is
the median over the rounds, and ratios of medians. Recursive engines get a thread with a large
stack.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks._contest import (
    ROOT,
    check_equal,
    duration,
    flatten,
    hardware,
    markdown,
    one_thread,
    size,
    write_json,
)

OURS, THEIRS, LEAN, SLOTS = "tinygrad_edu", "micrograd", "lean", "plain slots"
ENGINES = {
    OURS: "tinygrad_edu.engine.value",
    THEIRS: "micrograd.engine",
    LEAN: "benchmarks.lean_value",
    SLOTS: "benchmarks.engine",
}


def value_class(engine: str) -> Any:
    module = importlib.import_module(ENGINES[engine])
    return module.Slots if engine == SLOTS else module.Value


class Slots:
    """As little as ``p.data`` can cost."""

    __slots__ = ("data", "grad")

    def __init__(self, data: float) -> None:
        self.data = data
        self.grad = 0.0


# --- two moons ------------------------------------------------------------------------------------


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


def own_nn_step(engine: str) -> Callable[[], Any]:
    """The step with the library's own ``nn``; ours with its own losses, a dot node per neuron."""
    from benchmarks import two_moons_nn

    if engine == OURS:
        return two_moons_nn.with_own_losses()
    return two_moons_nn.micrograd_program(f"{engine}.nn")


# --- a tiny GPT -----------------------------------------------------------------------------------


def gpt_step(engine: str, width: int = 8, length: int = 6, letters: int = 12) -> Callable[[], Any]:
    """One step of a GPT of one layer with two heads on one sequence, in scalar operators."""
    Value = value_class(engine)
    rng = random.Random(5)

    def matrix(rows: int, columns: int) -> list[list[Any]]:
        return [[Value(rng.gauss(0.0, 0.3)) for _ in range(columns)] for _ in range(rows)]

    names = ("query", "key", "value", "out")
    weights = {name: matrix(width, width) for name in names}
    weights |= {"up": matrix(2 * width, width), "down": matrix(width, 2 * width)}
    weights |= {"letter": matrix(letters, width), "place": matrix(length, width)}
    weights["head"] = matrix(letters, width)
    parameters = [p for rows in weights.values() for row in rows for p in row]
    text = [rng.randrange(letters) for _ in range(length + 1)]
    half = width // 2

    def linear(x: list[Any], rows: list[list[Any]]) -> list[Any]:
        return [sum(w * a for w, a in zip(row, x)) for row in rows]

    def softmax(logits: list[Any]) -> list[Any]:
        top = max(logit.data for logit in logits)
        powers = [(logit - top).exp() for logit in logits]
        total = sum(powers)
        return [power / total for power in powers]

    def norm(x: list[Any]) -> list[Any]:
        scale = (sum(a * a for a in x) / len(x) + 1e-5) ** -0.5
        return [a * scale for a in x]

    def loss_of(text: list[int]) -> Any:
        keys: list[list[Any]] = []
        values: list[list[Any]] = []
        losses = []
        for place, (letter, following) in enumerate(pairwise(text)):
            x = [a + b for a, b in zip(weights["letter"][letter], weights["place"][place])]
            x = norm(x)
            query = linear(x, weights["query"])
            keys.append(linear(x, weights["key"]))
            values.append(linear(x, weights["value"]))
            mixed = []
            for start in (0, half):
                part = slice(start, start + half)
                scores = [
                    sum(q * k for q, k in zip(query[part], key[part])) / half**0.5 for key in keys
                ]
                shares = softmax(scores)
                mixed += [
                    sum(share * value[start + j] for share, value in zip(shares, values))
                    for j in range(half)
                ]
            x = [a + b for a, b in zip(x, linear(mixed, weights["out"]))]
            hidden = [a.relu() for a in linear(norm(x), weights["up"])]
            x = [a + b for a, b in zip(x, linear(hidden, weights["down"]))]
            losses.append(-softmax(linear(x, weights["head"]))[following].log())
        return (1.0 / len(losses)) * sum(losses)

    def step() -> Any:
        loss = loss_of(text)
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= 0.05 * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


# --- graphs of any size ---------------------------------------------------------------------------


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


# --- data -----------------------------------------------------------------------------------------


def data_loop(engine: str, count: int = 1000) -> Callable[[], Any]:
    """Update the data of each parameter by its gradient, then add them all up."""
    Value = value_class(engine)
    parameters = [Value(0.5 + i / count) for i in range(count)]
    for p in parameters:
        p.grad = 1e-9

    def work() -> float:
        total = 0.0
        for p in parameters:
            p.data -= 0.1 * p.grad
        for p in parameters:
            total += p.data
        return total

    return work


def node_memory(engine: str, links: int = 20_000) -> float:
    """Return how many bytes a node takes, before and after ``backward()``, as their mean."""
    import tracemalloc

    Value = value_class(engine)
    a, b = Value(0.999), Value(0.001)
    tracemalloc.start()
    x = a
    for i in range(links):
        x = x + b if i % 2 else x * a
    built, _ = tracemalloc.get_traced_memory()
    x.backward()
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (built + kept) / 2.0 / links


# --- contestants, each in a process of its own ----------------------------------------------------

WORKS: dict[str, tuple[str, Callable[[str], Callable[[], Any]], tuple[str, ...]]] = {
    "two moons": ("two moons, full batch, 2-16-16-1, 100 points, scalar operators",
                  two_moons_step, (OURS, THEIRS, LEAN)),
    "nn": ("the same with each library's own nn", own_nn_step, (OURS, THEIRS)),
    "gpt": ("a step of a tiny GPT in scalar operators", gpt_step, (OURS, LEAN)),
    "graph": ("random graph of 10,000 operations", random_graph, (OURS, THEIRS, LEAN)),
    "chain": ("chain of 100,000 links", chain, (OURS, THEIRS, LEAN)),
    "data": ("updating and reading the data of 1,000 parameters", data_loop,
             (OURS, THEIRS, SLOTS)),
}  # fmt: skip

TARGETS = {
    ("two moons", THEIRS): 8.0, ("two moons", LEAN): 1.6, ("nn", THEIRS): 25.0,
    ("gpt", LEAN): 1.3, ("chain", LEAN): 1.3, ("data", SLOTS): 1 / 1.5,
}  # fmt: skip
TURN_SECONDS = 0.1


class Contestant:
    """A process that prepares a piece of work for one engine, and does it when asked."""

    def __init__(self, work: str, engine: str) -> None:
        self.name = engine
        command = [sys.executable, "-m", "benchmarks.engine", "--serve", work, engine]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.seconds: list[float] = []

    def ask(self, question: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(work: str, engine: str) -> None:
    """Answer the questions of ``Contestant.ask``: a result, the seconds of a call, the memory."""
    run = WORKS[work][1](engine) if work in WORKS else None
    calls = 1
    for line in sys.stdin:
        question, *clock = line.split()
        answer: Any
        if question == "memory":
            answer = node_memory(engine)
        elif question == "result":
            assert run is not None
            answer = [flatten(run()) for _ in range(1 if work == "data" else 2)]
        else:
            assert run is not None
            now = time.process_time if clock == ["processor"] else time.perf_counter
            while True:
                started = now()
                for _ in range(calls):
                    run()
                seconds = now() - started
                if seconds > TURN_SECONDS / 2:
                    break
                calls *= 2
            answer = seconds / calls
        print(json.dumps(answer), flush=True)


def with_a_large_stack(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread in which recursive engines can go as deep as they need."""
    sys.setrecursionlimit(1_000_000)
    threading.stack_size(512 * 1024 * 1024)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def contest(work: str, rounds: int, clock: str) -> dict[str, Any]:
    """Time all engines at one piece of work; return the medians and our ratios to the others."""
    _title, _function, engines = WORKS[work]
    contestants = [Contestant(work, engine) for engine in engines if installed(engine)]
    try:
        expected, *others = [c.ask("result") for c in contestants]
        for c, results in zip(contestants[1:], others):
            for a, b in zip(expected, results):
                check_equal(a, b, 1e-9, f"{work}: {c.name} against {OURS}")
        for c in contestants:
            c.ask(f"turn {clock}")  # warm
        for i in range(rounds):
            for c in contestants[i % len(contestants) :] + contestants[: i % len(contestants)]:
                c.seconds.append(c.ask(f"turn {clock}"))
    finally:
        for c in contestants:
            c.close()
    medians = {c.name: statistics.median(c.seconds) for c in contestants}
    ratios = {name: medians[name] / medians[OURS] for name in medians if name != OURS}
    return {
        "medians": medians,
        "ratios": ratios,
        "rounds": {c.name: c.seconds for c in contestants},
    }


def memory() -> dict[str, float]:
    """Return the bytes that a node takes in each engine."""
    found = {}
    for engine in (OURS, THEIRS, LEAN):
        if installed(engine):
            contestant = Contestant("memory", engine)
            found[engine] = contestant.ask("memory")
            contestant.close()
    return found


def installed(engine: str) -> bool:
    return engine != THEIRS or importlib.util.find_spec("micrograd") is not None


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--only", choices=WORKS, help="one piece of work")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="time spent computing instead of time passed, for a busy machine",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE too")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    one_thread()
    if options.serve:
        with_a_large_stack(lambda: serve(*options.serve))
        return
    print(f"## The eager engine\n\n{hardware()}\n", flush=True)
    clock = "processor" if options.processor_time else "wall"
    results: dict[str, Any] = {"hardware": hardware(), "clock": clock, "works": {}}
    rows = [["work", "ours", "beside", "theirs", "ratio", "target"]]
    for work in [options.only] if options.only else WORKS:
        found = results["works"][work] = contest(work, 3 if options.quick else 9, clock)
        for other, ratio in found["ratios"].items():
            target = TARGETS.get((work, other))
            times = [duration(found["medians"][name]) for name in (OURS, other)]
            wanted = "" if target is None else f"{target:.2g}"
            rows.append([WORKS[work][0], times[0], other, times[1], f"{ratio:.2f}", wanted])
    if not options.only:
        results["memory"] = memory()
        ours = results["memory"][OURS]
        for other, theirs in results["memory"].items():
            if other != OURS:
                sizes = [size(ours), other, size(theirs), f"{theirs / ours:.2f}"]
                rows.append(["memory of a node", *sizes, ""])
    print(markdown(rows))
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
