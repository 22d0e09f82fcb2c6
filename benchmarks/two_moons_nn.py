"""A training step with each library's own ``nn``: ``python -m benchmarks.two_moons_nn``.

Two moons: a 2-16-16-1 network, 100 points, max-margin loss and an L2 penalty, as in micrograd's
demo: forward, backward and update. micrograd 0.1.0 is the reference. Of ours there are three ways:
the program for micrograd with only its import changed; the same step with the library's losses; a
step of ``fit``.

Default interpreter settings, garbage collector on. Memory is the peak over five steps, each way in
a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import random
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

RATE = 0.01
THEIRS = "micrograd.nn"
SAME_PROGRAM = "tinygrad_edu.nn, only the import changed"
OWN_LOSSES = "tinygrad_edu.nn, its own losses"
FIT = "tinygrad_edu, a step of fit"


def start(library: str) -> tuple[Any, list[list[float]], list[float]]:
    """Return a model of the library with the same weights as the other's, and the data."""
    model = importlib.import_module(library).MLP(2, [16, 16, 1])
    source = random.Random(2)
    for parameter in model.parameters():
        parameter.data = source.uniform(-1.0, 1.0)
    return model, *programs.two_moons(100, seed=1)


def micrograd_program(library: str) -> Callable[[], Any]:
    """The step as a program for micrograd writes it."""
    model, data, labels = start(library)

    def step() -> Any:
        scores = list(map(model, data))
        losses = [(1 + -y * score).relu() for y, score in zip(labels, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        loss = data_loss + programs.L2 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= RATE * p.grad
        return loss.data, [p.grad for p in model.parameters()]

    return step


def with_own_losses() -> Callable[[], Any]:
    """The step with one node for the penalty and one for the mean of the losses."""
    from tinygrad_edu.nn import L2, hinge

    model, data, labels = start("tinygrad_edu.nn")
    penalty = L2(programs.L2)

    def step() -> Any:
        loss = hinge.of(map(model, data), labels) + penalty(model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= RATE * p.grad
        return loss.data, [p.grad for p in model.parameters()]

    return step


def step_of_fit() -> Callable[[], Any]:
    """The step as ``fit`` takes it: one example's graph at a time."""
    from tinygrad_edu.nn import L2, hinge
    from tinygrad_edu.optim import GradientDescent
    from tinygrad_edu.training import EagerEngine, Problem

    model, data, labels = start("tinygrad_edu.nn")
    problem = Problem(
        model, model.parameters(), data, labels, hinge, GradientDescent(RATE), L2(programs.L2)
    )
    engine = EagerEngine(problem)

    def step() -> Any:
        return engine.epoch([range(len(data))], 1).loss, [p.grad for p in problem.parameters]

    return step


WAYS: dict[str, Callable[[], Callable[[], Any]]] = {
    THEIRS: lambda: micrograd_program(THEIRS),
    SAME_PROGRAM: lambda: micrograd_program("tinygrad_edu.nn"),
    OWN_LOSSES: with_own_losses,
    FIT: step_of_fit,
}


def five_steps(way: str) -> Callable[[], None]:
    """The work whose memory is measured."""
    step = WAYS[way]()

    def work() -> None:
        for _ in range(5):
            step()

    return work


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_moons_nn", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE too")
    options = parser.parse_args(arguments)
    one_thread()
    print(f"## Two moons with nn\n\n{hardware()}\n", flush=True)
    contest = Contest("full-batch step, 2-16-16-1, 100 points", checked_calls=2, least_calls=5)
    for name, prepare in WAYS.items():
        contest.enter(name, prepare, needs=("micrograd",) if name == THEIRS else ())
    contest.run(rounds=3 if options.quick else 9)
    print(contest.table(), flush=True)
    results: dict[str, Any] = {"hardware": hardware(), "contests": [contest.record()]}
    rows = [["five steps", "Python's allocations", "resident"]]
    memory = results["memory"] = {}
    for way in [name for name in WAYS if name in contest]:
        peaks = memory[way] = peak_memory("benchmarks.two_moons_nn:five_steps", way)
        rows.append([way, size(peaks["python"]), size(peaks["resident"])])
    print(f"### Peak memory beyond what was there before\n\n{markdown(rows)}\n")
    for way in (SAME_PROGRAM, OWN_LOSSES, FIT):
        if ratio := contest.ratio(THEIRS, way):
            print(f"{way}: {ratio:.1f} times faster than micrograd (target: 20, stretch: 30)")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
