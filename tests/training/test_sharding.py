"""Training on workers: the numbers of one process, whatever happens to the workers."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import (
    L2,
    MLP,
    LinearRegression,
    LogisticRegression,
    Loss,
    Polynomial,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    log_likelihood,
    squared_error,
)
from tinygrad_edu.optim import Adam, GradientAscent, Momentum
from tinygrad_edu.training import History, Sharding, fit
from tinygrad_edu.training.gradients import gradients_of
from tinygrad_edu.training.workers import _kept, cut, shard_sums

SOURCE = random.Random(7)
X = [[SOURCE.gauss(0.0, 1.0), SOURCE.gauss(0.0, 1.0)] for _ in range(23)]
SIGNS = [1 if a * b > 0.0 else -1 for a, b in X]
CLASSES = [(a > 0.0) + (b > 0.0) for a, b in X]
NUMBERS = [a * a - b for a, b in X]

PROBLEMS: dict[str, tuple[Callable[[], Any], list[Any], dict[str, Any]]] = {
    "network": (
        lambda: MLP(2, [4, 1], "tanh", seed=1),
        SIGNS,
        {"loss": hinge, "penalty": L2(0.01), "batch": 7, "clip_norm": 0.5},
    ),
    "softmax": (
        lambda: SoftmaxRegression(2, 3, seed=1),
        CLASSES,
        {"loss": log_likelihood, "batch": "full", "maximize": True},
    ),
    "features": (
        lambda: LogisticRegression(2, features=Polynomial(2), seed=1),
        SIGNS,
        {"loss": cross_entropy, "batch": 5},
    ),
    "numbers": (
        lambda: LinearRegression(2, features=Polynomial(2), seed=1),
        NUMBERS,
        {"loss": squared_error.mean(), "batch": 1, "validation": (X[:5], NUMBERS[:5])},
    ),
    "probabilities": (
        lambda: MLP(2, [3, 3], "relu", seed=1),
        [[1.0, 0.0, 0.0] if c == 0 else [0.0, 0.25, 0.75] for c in CLASSES],
        {"loss": cross_entropy, "batch": 9},
    ),
}


def train(name: str, epochs: int = 4, **options: Any) -> tuple[list[float], History]:
    make, targets, settings = PROBLEMS[name]
    settings = dict(settings)
    optimizer = GradientAscent(0.01) if settings.pop("maximize", False) else Momentum(0.05)
    model = make()
    history = fit(
        model, X, targets, optimizer=optimizer, epochs=epochs, seed=3, **settings, **options
    )
    return [p.data for p in model.parameters()], history


def close(a: list[float], b: list[float]) -> None:
    assert a == pytest.approx(b, rel=1e-12, abs=1e-13)


def same_training(a: tuple[list[float], History], b: tuple[list[float], History]) -> None:
    close(a[0], b[0])
    for column in ("loss", "gradient_norm", "validation_loss"):
        close(getattr(a[1], column), getattr(b[1], column))
    assert a[1].accuracy == b[1].accuracy
    assert a[1].learning_rate == b[1].learning_rate


class Here(Executor):
    """Runs everything at once, in this thread; a stand-in for executors of other libraries."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append(args)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


# --- the same numbers ---


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shards", [1, 2, 3, 40])
@pytest.mark.parametrize("name", PROBLEMS)
def test_shards_train_as_one_process_does(name: str, shards: int, compiled: bool) -> None:
    expected = train(name)
    same_training(train(name, executor=Sharding(Here(), shards), compiled=compiled), expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_threads(compiled: bool) -> None:
    expected = train("network")
    with ThreadPoolExecutor(3) as pool:
        found = [
            train("network", executor=Sharding(pool, shards=3, timeout=60.0), compiled=compiled)
            for _ in range(3)
        ]
        same_training(train("network", executor=pool), expected)
    same_training(found[0], expected)
    assert found[0][0] == found[1][0] == found[2][0]  # bit for bit, whoever is first


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("compiled", [False, True])
def test_processes(processes: ProcessPoolExecutor, compiled: bool) -> None:
    for name in PROBLEMS:
        options = {"compiled": compiled}
        found = train(name, executor=Sharding(processes, shards=3), **options)
        same_training(found, train(name))
        # The same shards in this thread: the same bits.
        assert found[0] == train(name, executor=Sharding(Here(), shards=3), **options)[0]


def test_a_training_with_workers_goes_on_bit_for_bit() -> None:
    def run(parts: list[int]) -> list[float]:
        model, optimizer, source, history = (
            MLP(2, [4, 1], seed=1),
            Adam(0.1),
            random.Random(2),
            None,
        )
        for epochs in parts:
            history = fit(
                model, X, SIGNS, loss=hinge, optimizer=optimizer, batch=6, seed=source,
                epochs=epochs, history=history, executor=Sharding(Here(), shards=2),
            )  # fmt: skip
        return [p.data for p in model.parameters()]

    assert run([5]) == run([2, 3])


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30), st.integers(1, 12))
def test_cutting(batch: list[int], shards: int) -> None:
    pieces = cut(batch, shards)
    assert [i for piece in pieces for i in piece] == batch
    assert len(pieces) == min(shards, len(batch))
    sizes = {len(piece) for piece in pieces}
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1


def test_gradients_of_parts_add_up_to_the_gradient_of_the_whole() -> None:
    model = MLP(2, [3, 3], seed=1)
    numbers = [p.data for p in model.parameters()]
    eager, compiled = (gradients_of(model, cross_entropy, kind) for kind in (False, True))
    whole = eager(numbers, X, CLASSES)
    for gradients in (eager, compiled):
        parts = [gradients(numbers, X[a:b], CLASSES[a:b]) for a, b in ((0, 9), (9, 9), (9, 23))]
        close([sum(p.loss for p in parts)], [whole.loss])
        assert sum(p.correct for p in parts) == whole.correct
        close([sum(g) for g in zip(*(p.gradient for p in parts))], whole.gradient)
    assert all(p.grad == 0.0 for p in model.parameters())  # it works on parameters of its own


# --- what travels ---


def test_the_data_travel_once_for_each_worker() -> None:
    executor = Here()
    train("network", executor=Sharding(executor, shards=2))
    sizes = [len(work) for _, work, _, _ in executor.calls if work is not None]
    assert len(sizes) == 2  # with the shards of the first step: they found no data
    assert len(executor.calls) == 2 + 2 * 4 * 4  # shards, batches, epochs


def test_a_worker_forgets_trainings_that_are_over() -> None:
    executor = Here()
    for _ in range(10):
        train("network", epochs=1, executor=executor)
    assert len(_kept.trainings) <= 4


def test_trainings_may_share_their_workers() -> None:
    expected = [train(name)[0] for name in PROBLEMS]
    with ThreadPoolExecutor(2) as workers, ThreadPoolExecutor(5) as trainings:
        sharding = Sharding(workers, shards=2)
        found = list(trainings.map(lambda name: train(name, executor=sharding)[0], PROBLEMS))
    for a, b in zip(found, expected):
        close(a, b)


# --- workers that fail ---


class Unreliable(Executor):
    """Does what a plan says with each call: run it, fail, never answer, refuse, answer late."""

    def __init__(self, plan: Callable[[int], str]) -> None:
        self.plan, self.calls, self.late = plan, 0, []  # type: ignore[var-annotated]

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        what = self.plan(self.calls)
        future: Future[Any] = Future()
        if what == "refuse":
            raise BrokenProcessPool("a worker died")
        if what == "fail":
            future.set_exception(OSError("connection lost"))
        elif what == "cancel":
            future.cancel()
            future.set_running_or_notify_cancel()
        elif what == "run":
            future.set_result(function(*args, **kwargs))
        elif what == "late":
            future.set_running_or_notify_cancel()
            timer = threading.Timer(0.3, lambda: future.set_result(function(*args, **kwargs)))
            timer.start()
            self.late.append(timer)
        return future


@pytest.mark.parametrize("trouble", ["fail", "refuse", "cancel", "silent", "late"])
def test_a_failed_shard_is_handed_out_again(trouble: str) -> None:
    source = random.Random(1)
    executor = Unreliable(lambda call: trouble if source.random() < 0.15 else "run")
    found = train("network", 3, executor=Sharding(executor, shards=3, timeout=0.02, retries=8))
    assert found[0] == train("network", 3, executor=Sharding(Here(), shards=3))[0]
    assert executor.calls > 3 * 4 * 3 + 3
    for timer in executor.late:
        timer.join()


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("fail", "OSError: connection lost"),
        ("refuse", "BrokenProcessPool: a worker died"),
        ("cancel", "CancelledError"),
        ("silent", r"TimeoutError: no answer within 0\.02 s"),
    ],
)
def test_at_last_there_is_an_error_and_nothing_has_changed(trouble: str, message: str) -> None:
    # two epochs of four batches are fine; in the next one, shard 2 of the third batch never works
    model, optimizer, states = MLP(2, [3, 1], "tanh", seed=1), Adam(0.1), []
    executor = Unreliable(lambda call: trouble if call > 2 * 4 * 2 + 1 + 2 * 2 + 1 else "run")

    def state() -> Any:
        return [(p.data, p.grad) for p in model.parameters()], optimizer.state_dict()

    step = optimizer.step

    def watched(parameters: Any) -> None:
        step(parameters)
        states.append(state())

    optimizer.step = watched  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match=r"epoch 3, batch 3: shard . of 2 failed 3 time") as info:
        fit(
            model, X, SIGNS, loss=hinge, optimizer=optimizer, batch=6, epochs=5, seed=1,
            executor=Sharding(executor, shards=2, timeout=0.02, retries=2),
        )  # fmt: skip
    assert info.match(message)
    assert len(states) == 2 * 4 + 2
    assert state() == states[-1]


def bad_loss(prediction: Any, target: Any) -> Any:
    return F.log(prediction - target)


def test_an_error_of_the_computation_is_not_tried_again() -> None:
    model, executor = LinearRegression(1, initialization="zeros"), Here()
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 1, .* log\(-4.0\)"):
        fit(model, [1.0, 2.0], [-1.0, 4.0], loss=Loss(bad_loss), executor=Sharding(executor, 2))
    assert len(executor.calls) == 4  # each shard had no data at first
    assert [p.data for p in model.parameters()] == [0.0, 0.0]
    # compiled code goes on with nan, and that is seen here
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch 1, .* the loss is nan"):
        fit(model, [1.0, 2.0], [-1.0, 4.0], loss=Loss(bad_loss), executor=Here(), compiled=True)
    assert [p.data for p in model.parameters()] == [0.0, 0.0]


def suicidal_loss(prediction: Any, target: Any) -> Any:
    """A squared error that kills the worker once, if the file is still there."""
    victim = os.environ.get("SUICIDE_NOTE", "")
    if victim and os.path.exists(victim) and multiprocessing.parent_process() is not None:
        os.unlink(victim)
        os._exit(1)
    return (prediction - target) ** 2


def test_a_broken_process_pool_ends_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "note"
    note.write_text("goodbye")
    monkeypatch.setenv("SUICIDE_NOTE", str(note))
    model = LinearRegression(2, seed=1)
    before = [p.data for p in model.parameters()]
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(RuntimeError, match=r"epoch 1, batch 1: shard 1 .*BrokenProcessPool"),
    ):
        fit(model, X, NUMBERS, loss=Loss(suicidal_loss), executor=pool, epochs=2)
    assert [p.data for p in model.parameters()] == before
    # with another pool it goes on
    with ThreadPoolExecutor(1) as other:
        history = fit(model, X, NUMBERS, loss=Loss(suicidal_loss), executor=other, epochs=3)
    assert history.loss[-1] < history.loss[0]


def test_ctrl_c_while_waiting_gives_up_the_shards() -> None:
    class Interrupted(Unreliable):
        futures: list[Future[Any]] = []

        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.calls > 20:
                raise KeyboardInterrupt
            future = super().submit(function, *args, **kwargs)
            self.futures.append(future)
            return future

    executor = Interrupted(lambda call: "run" if call <= 20 else "silent")
    model = MLP(2, [3, 1], seed=1)
    history = fit(model, X, SIGNS, loss=hinge, batch=6, executor=Sharding(executor, 2), seed=1)
    assert history.stopped == "interrupted"
    assert history.epochs == 2
    assert executor.futures[-1].cancelled()


# --- refusals ---


def test_wrong_arguments() -> None:
    model = MLP(2, [1])
    for arguments, kind, message in (
        ((4,), TypeError, "executor: expected a concurrent.futures.Executor, got int"),
        ((Here(), 0), ValueError, "shards: expected a whole number from 1, got 0"),
        ((Here(), True), ValueError, "shards: expected"),
        ((Here(), 2, 0.0), ValueError, "timeout: expected seconds above 0, got 0.0"),
        ((Here(), 2, None, -1), ValueError, "retries: expected a whole number from 0, got -1"),
    ):
        with pytest.raises(kind, match=message):
            Sharding(*arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="executor: expected"):
        fit(model, X, SIGNS, loss=hinge, executor="processes")  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool:  # threads need no importing
        fit(model, X, SIGNS, loss=Loss(lambda p, t: p * t), executor=pool, epochs=1)


def test_what_lives_in_a_function_needs_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match=r"must be importable by a worker .* or cloudpickle"):
        fit(MLP(2, [1]), X, SIGNS, loss=Loss(lambda p, t: p * t), executor=Here())


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_of_a_notebook_is_sent_by_value(
    processes: ProcessPoolExecutor, compiled: bool
) -> None:
    pytest.importorskip("cloudpickle")
    scale = 0.5
    found = []
    for options in ({}, {"executor": Sharding(processes, shards=2), "compiled": compiled}):
        model = MLP(2, [2, 1], seed=3)
        loss = Loss(lambda p, t: scale * (p - t) ** 2, reduction="sum")
        history = fit(model, X, SIGNS, loss=loss, epochs=3, learning_rate=0.01, **options)
        found.append([*history.loss, *(p.data for p in model.parameters())])
    assert found[1] == pytest.approx(found[0], rel=1e-12)


def test_a_client_is_told_from_its_executor() -> None:
    class Client:
        def get_executor(self) -> Executor:
            return Here()

    with pytest.raises(TypeError, match=r"got Client; write executor=client\.get_executor\(\)"):
        Sharding(Client())  # type: ignore[arg-type]


def test_the_number_of_shards_is_that_of_the_workers() -> None:
    with ThreadPoolExecutor(3) as pool:
        assert Sharding(pool).count == 3
    assert Sharding(Here()).count == os.cpu_count()
    assert shard_sums("unknown", None, [], [0]) is None  # type: ignore[arg-type]


# --- dask ---


@contextmanager
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            silence_logs=50,
        ) as local,
        distributed.Client(local) as client,
    ):  # fmt: skip
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_and_workers_killed_in_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "note"
    monkeypatch.setenv("SUICIDE_NOTE", str(note))
    with cluster() as client:
        sharding = Sharding(client.get_executor(), shards=4, timeout=60.0, retries=5)
        for compiled in (False, True):
            found = train("network", executor=sharding, compiled=compiled)
            same_training(found, train("network"))
        # The worker that finds the note dies in the middle of a shard.
        before = set(client.run(os.getpid).values())

        def leave_a_note(model: Any, history: History) -> None:
            if len(history) in (2, 5):
                note.write_text("goodbye")

        found = []
        for executor in (sharding, Sharding(Here(), shards=4)):
            model = MLP(2, [4, 1], "tanh", seed=1)
            fit(
                model, X, NUMBERS, loss=Loss(suicidal_loss), optimizer=Adam(0.05), batch=7, seed=1,
                epochs=8, executor=executor, callbacks=[leave_a_note],
            )  # fmt: skip
            found.append([p.data for p in model.parameters()])
            if executor is sharding:
                assert not note.exists()
                after = set(client.run(os.getpid).values())
                assert len(before - after) >= 1  # one at least is another process now
        assert found[0] == found[1]  # nothing was lost
