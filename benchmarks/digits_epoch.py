"""An epoch of handwritten digits with the eager engine: ``python -m benchmarks.digits_epoch``.

1. Training: scikit-learn's bundled 8x8 digits (1,437 of 1,797), a 64-32-10 network, cross-entropy,
   mini-batches of 32, Adam: a whole epoch of ``fit``, with the cost of one example and the memory.
   Beside it a torch epoch in the same batches, which computes 32 examples with each call.
2. One mini-batch beside micrograd 0.1.0, each with its own ``nn``. micrograd has neither ``exp``
   nor ``log``, so the loss is the multi-class hinge, which needs only ReLU.

Default interpreter settings, garbage collector on, one thread.
"""

from __future__ import annotations

import argparse
import importlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._contest import (
    Contest,
    duration,
    hardware,
    markdown,
    one_thread,
    peak_memory,
    size,
    write_json,
)

EXAMPLES, BATCH, RATE = 1437, 32, 0.01
OURS, TORCH, THEIRS = "tinygrad_edu, eager fit", "torch eager", "micrograd.nn"
SHAPE = (64, [32, 10])


def digits() -> tuple[list[list[float]], list[int]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data[:EXAMPLES] / 16.0).tolist(), data.target[:EXAMPLES].tolist()


def initial_weights() -> list[float]:
    """The same start for everybody: neuron by neuron, the weights and then a bias of 0."""
    source, numbers, nin = random.Random(1), [], SHAPE[0]
    for nout in SHAPE[1]:
        for _ in range(nout):
            numbers += [source.uniform(-1.0, 1.0) / nin**0.5 for _ in range(nin)] + [0.0]
        nin = nout
    return numbers


def model_of(library: str) -> Any:
    model = importlib.import_module(library).MLP(*SHAPE)
    for parameter, number in zip(model.parameters(), initial_weights()):
        parameter.data = number
    return model


# --- 1. an epoch ----------------------------------------------------------------------------------


def our_epoch(examples: int = EXAMPLES) -> Callable[[], Any]:
    """Return a function that trains for one epoch and returns its loss and the parameters."""
    from tinygrad_edu.nn import cross_entropy
    from tinygrad_edu.optim import Adam
    from tinygrad_edu.training import EagerEngine, Problem

    model, (X, y) = model_of("tinygrad_edu.nn"), digits()
    engine = EagerEngine(Problem(model, model.parameters(), X, y, cross_entropy, Adam(RATE)))
    batches = [range(i, min(i + BATCH, examples)) for i in range(0, examples, BATCH)]

    def epoch() -> Any:
        return engine.epoch(batches, 1).loss, [p.data for p in model.parameters()]

    return epoch


def torch_epoch() -> Callable[[], Any]:
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    ).double()
    flat, start = torch.tensor(initial_weights(), dtype=torch.float64), 0
    with torch.no_grad():
        for linear in (model[0], model[2]):
            nout, nin = linear.weight.shape
            block = flat[start : start + nout * (nin + 1)].reshape(nout, nin + 1)
            linear.weight.copy_(block[:, :nin])
            linear.bias.copy_(block[:, nin])
            start += nout * (nin + 1)
    X, y = digits()
    X, y = torch.tensor(X, dtype=torch.float64), torch.tensor(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def epoch() -> Any:
        total = 0.0
        for rows, labels in zip(X.split(BATCH), y.split(BATCH)):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(rows), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        numbers = []
        for linear in (model[0], model[2]):
            for row, bias in zip(linear.weight.tolist(), linear.bias.tolist()):
                numbers += [*row, bias]
        return total / EXAMPLES, numbers

    return epoch


# --- 2. a mini-batch ------------------------------------------------------------------------------


def mini_batch(library: str) -> Callable[[], Any]:
    """One step on 32 examples, written as a program for micrograd: mean over k of the hinges."""
    model, (X, y) = model_of(library), digits()
    rows, labels = X[:BATCH], y[:BATCH]

    def step() -> Any:
        losses = []
        for row, label in zip(rows, labels):
            scores = model(row)
            margins = [(1 + s - scores[label]).relu() for k, s in enumerate(scores) if k != label]
            losses.append(sum(margins) * (1.0 / len(scores)))
        loss = sum(losses) * (1.0 / len(losses))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= RATE * p.grad
        return loss.data, [p.grad for p in model.parameters()]

    return step


# --- the command ----------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits_epoch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE too")
    options = parser.parse_args(arguments)
    one_thread()
    print(f"## Digits, 64-32-10, eager\n\n{hardware()}\n", flush=True)
    rounds = 2 if options.quick else 5
    epoch = Contest(f"epoch of {EXAMPLES} examples, batches of {BATCH}, Adam", tolerance=1e-8)
    epoch.enter(OURS, our_epoch, needs=("sklearn",))
    epoch.enter(TORCH, torch_epoch, needs=("sklearn", "torch"))
    batch = Contest(f"one step on {BATCH} examples, multi-class hinge", checked_calls=2)
    for library in (THEIRS, "tinygrad_edu.nn"):
        needs = ("sklearn", "micrograd") if library == THEIRS else ("sklearn",)
        batch.enter(library, lambda library=library: mini_batch(library), needs=needs)
    for contest in (epoch, batch):
        contest.run(rounds)
        print(contest.table(), flush=True)
    results: dict[str, Any] = {"hardware": hardware(), "contests": [epoch.record(), batch.record()]}
    rows = [["contestant", "one example", "peak memory of the epoch"]]
    peaks = results["memory"] = peak_memory("benchmarks.digits_epoch:our_epoch", 10 * BATCH)
    rows.append([OURS, duration(epoch[OURS].median / EXAMPLES), size(peaks["python"])])
    if TORCH in epoch:
        rows.append([TORCH, duration(epoch[TORCH].median / EXAMPLES), ""])
    print(f"### Cost of an example\n\n{markdown(rows)}\n")
    if ratio := batch.ratio(THEIRS, "tinygrad_edu.nn"):
        print(f"The mini-batch is {ratio:.1f} times faster than micrograd's.")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
