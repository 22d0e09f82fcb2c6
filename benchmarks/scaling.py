"""Training on several workers: ``python -m benchmarks.scaling [--quick]``.

Two networks on handwritten digits, full batches: one trained node by node, one in native code on
twenty copies of the data (else there is nothing to share). Measured: the time of a step without an
executor, and with threads and processes; ``fit(..., executor=Sharding(E, shards=workers))`` does
just these steps. All must end at the same parameters, or nothing is timed. What two processes can
gain at all on the machine as busy as it is, is measured first.

Then the parts of a step, measured one by one, and the model made of them:

    T(W) = step + W * (handling + bytes / bandwidth) + latency + rows * row / W

``step`` is what only one can do (penalty, update); ``handling`` packing and unpacking for a worker;
``bytes`` what travels to a worker and back in each step: the parameters, row numbers, the gradient;
``row`` the gradient of one row. The model is shown beside the measurements, and then for more
workers than this machine has cores, here and behind a network of 1 Gbit/s with 0.2 ms to and fro.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import pickle
import statistics
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._contest import hardware, markdown, one_thread, write_json

WORKERS = (1, 2, 4, 8, 16, 64)
NETWORK_BYTES_PER_SECOND, NETWORK_LATENCY = 125e6, 2e-4


class Parts(NamedTuple):
    """The parts of a step, in seconds and bytes."""

    step: float
    handling: float
    latency: float
    row: float
    rows: int
    up: int
    down: int

    def seconds(self, workers: int, bandwidth: float = float("inf"), latency: float = 0.0) -> float:
        """Return how long a step takes by the model."""
        each = self.handling + (self.up + self.down) / bandwidth
        return self.step + workers * each + self.latency + latency + self.rows * self.row / workers


def problem(compiled: bool, quick: bool) -> Any:
    """Return a problem, the same each time."""
    from sklearn.datasets import load_digits

    from tinygrad_edu.nn import L2, MLP, cross_entropy
    from tinygrad_edu.optim import Adam
    from tinygrad_edu.training.problem import make_problem

    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    rows = (X.tolist() * (5 if quick else 20)) if compiled else X.tolist()[: 60 if quick else 300]
    classes = (y.tolist() * 20)[: len(rows)]
    model = MLP(64, [100, 10] if compiled else [16, 10], seed=1)
    made = make_problem(model, rows, classes, cross_entropy, Adam(0.001), None)
    made.penalty = L2(1e-4)
    return made


def timed(work: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a call."""
    seconds = []
    for _ in range(rounds):
        gc.collect()
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def engines(compiled: bool, quick: bool, stack: ExitStack) -> dict[str, Any]:
    """Return the contestants; each trains a model of its own."""
    from tinygrad_edu.training import Sharding
    from tinygrad_edu.training.eager import EagerEngine
    from tinygrad_edu.training.loop import _engine
    from tinygrad_edu.training.sharded import ShardedEngine

    spawn = multiprocessing.get_context("spawn")
    alone = _engine(problem(True, quick), True, None) if compiled else None
    found: dict[str, Any] = {"no executor": alone or EagerEngine(problem(compiled, quick))}
    for name, make in (
        ("threads", ThreadPoolExecutor),
        ("processes", lambda n: ProcessPoolExecutor(n, spawn)),
    ):
        for workers in (1, 2):
            executor: Executor = stack.enter_context(make(workers))
            found[f"{name}, {workers}"] = ShardedEngine(
                problem(compiled, quick), Sharding(executor, workers), compiled
            )
    return found


def measure(contestants: dict[str, Any], rounds: int) -> dict[str, float]:
    """Return seconds per step, measured in turns; refuse what does not agree."""
    for _ in range(2):  # compiles, and brings the data to the workers
        for engine in contestants.values():
            engine.epoch([range(len(engine.problem.rows))], 1)
    states = [[p.data for p in e.problem.parameters] for e in contestants.values()]
    worst = max(abs(a - b) for state in states[1:] for a, b in zip(state, states[0]))
    if worst > 1e-9:
        raise AssertionError(f"the contestants disagree by {worst}")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, engine in contestants.items():
            batch = [range(len(engine.problem.rows))]
            seconds[name].append(timed(lambda: engine.epoch(batch, 1), 1))  # noqa: B023
    return {name: statistics.median(found) for name, found in seconds.items()}


def count(number: int) -> int:
    """Keep a processor busy."""
    total = 0
    for i in range(number):
        total += i
    return total


def ceiling(rounds: int) -> float:
    """Return how much faster two processes count than one: 2 on a machine with nothing else to do.

    What is measured below cannot be better than this.
    """
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(count, [1000] * 2))
        number = 5_000_000
        one = timed(lambda: pool.submit(count, number).result(), rounds)
        two = timed(lambda: list(pool.map(count, [number] * 2)), rounds)
    return 2.0 * one / two


def echo(numbers: Any, batch: range) -> Any:
    """Return an answer as large as that of a shard, at once."""
    return 0.0, len(batch), numbers


def parts(engine: Any, rounds: int) -> Parts:
    """Measure the parts of a step of an engine that works with processes."""
    from tinygrad_edu.training.gradients import gradients_of

    p, rows = engine.problem, len(engine.problem.rows)
    numbers = array("d", [x.data for x in p.parameters])
    # 1. What is computed: by a worker for a row, and by the one who takes the step.
    compiled = engine.taken is not None
    gradients = gradients_of(p.model, p.loss, compiled)
    data = pickle.loads(engine.workers.work)
    gradients(numbers, data.rows, data.targets)
    row = timed(lambda: gradients(numbers, data.rows, data.targets), rounds) / rows
    sums = gradients(numbers, data.rows[:1], data.targets[:1])
    engine.workers.sums = lambda *_: [sums]
    step = timed(lambda: engine.epoch([range(1)], 1), rounds)
    # 2. What travels.
    executor = engine.workers.sharding.executor
    few, many = (
        timed(lambda n=n: [f.result() for f in [executor.submit(echo, numbers, range(rows))
              for _ in range(n)]], 5 * rounds)
        for n in (1, 9)
    )  # fmt: skip
    handling = max(0.0, (many - few) / 8)
    up = len(pickle.dumps((numbers, range(rows))))
    down = len(pickle.dumps((0.0, rows, numbers)))
    return Parts(step, handling, max(0.0, few - handling), row, rows, up, down)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    one_thread()
    print(hardware(), end="\n\n")
    rounds, results = 3 if arguments.quick else 11, []
    limit = ceiling(rounds)
    print(f"Two processes that only count are {limit:.2f} times as fast as one: the ceiling\n")
    for compiled in (False, True):
        with ExitStack() as stack:
            contestants = engines(compiled, arguments.quick, stack)
            measured = measure(contestants, rounds)
            model = parts(contestants["processes, 2"], rounds)
        alone = measured["no executor"]
        made = problem(compiled, arguments.quick)
        how = "in native code" if compiled else "node by node"
        print(f"{made.model!r}, {model.rows:,} rows, {how}\n")
        table = [["", "ms per step", "speed-up", "by the model"]]
        for name, seconds in measured.items():
            workers = int(name[-1]) if name.startswith("processes") else 0
            guess = f"{1e3 * model.seconds(workers):.1f}" if workers else ""
            table.append([name, f"{1e3 * seconds:.1f}", f"{alone / seconds:.2f}", guess])
        print(markdown(table))
        print(
            f"\nstep {1e3 * model.step:.2f} ms, handling {1e3 * model.handling:.3f} ms and "
            f"{(model.up + model.down) / 1e3:.1f} kB for each worker, latency "
            f"{1e3 * model.latency:.2f} ms, {1e6 * model.row:.2f} us for each row\n"
        )
        table = [["workers", "here: ms", "speed-up", "1 Gbit/s: ms", "speed-up", "MB per step"]]
        for workers in WORKERS:
            here = model.seconds(workers)
            there = model.seconds(workers, NETWORK_BYTES_PER_SECOND, NETWORK_LATENCY)
            moved = workers * (model.up + model.down) / 1e6
            table.append(
                [
                    str(workers),
                    f"{1e3 * here:.2f}",
                    f"{alone / here:.1f}",
                    f"{1e3 * there:.2f}",
                    f"{alone / there:.1f}",
                    f"{moved:.2f}",
                ]
            )
        print("Modelled\n\n" + markdown(table) + "\n")
        results.append(
            {"ceiling": limit, "compiled": compiled, "measured": measured, "model": model._asdict()}
        )
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
