"""Workers: the sums over shards of a batch, from threads, processes or machines.

``sharding`` says what this is for. What travels: a worker that has not seen this training is sent
the model, the loss and all the data, and keeps them. After that it gets the parameters and row
numbers, and returns a gradient. A shard whose worker fails, or is late, is handed out again.
"""

from __future__ import annotations

import os
import pickle
import threading
import uuid
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tinygrad_edu.nn.loss import Loss
from tinygrad_edu.nn.module import Module
from tinygrad_edu.training.gradients import Gradients, Sums, gradients_of
from tinygrad_edu.training.problem import Problem


@dataclass(frozen=True)
class Sharding:
    """How the work of each step is handed out; ``fit(executor=E)`` is ``Sharding(E)``.

    Args:
        executor: Any ``concurrent.futures.Executor``. It is not shut down.
        shards: Into how many parts a batch is cut. By default the number of the executor's workers
            (where it has one, else of this machine's processors); give a number to have the same
            last digits on any machine.
        timeout: How many seconds a shard may take before it is handed out once more; ``None`` waits
            for as long as it takes.
        retries: How often a shard is handed out again after a failure or a timeout.

    Raises:
        TypeError, ValueError: If an argument is out of range.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> from tinygrad_edu.training import fit
    >>> line = LinearRegression(1, initialization="zeros")
    >>> with ThreadPoolExecutor(2) as pool:
    ...     history = fit(line, [0.0, 1.0, 2.0], [1.0, 3.0, 5.0], loss=squared_error, epochs=300,
    ...                   executor=Sharding(pool, shards=2, timeout=60.0))
    >>> [round(p.data, 3) for p in line.parameters()]
    [2.0, 1.0]
    """

    executor: Executor
    shards: int | None = None
    timeout: float | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.executor, Executor):
            kind = type(self.executor).__name__
            hint = ""
            if hasattr(self.executor, "get_executor"):  # dask's Client, and what is like it
                hint = "; write executor=client.get_executor()"
            raise TypeError(f"executor: expected a concurrent.futures.Executor, got {kind}{hint}")
        for name, least in (("shards", 1), ("retries", 0)):
            number = getattr(self, name)
            if name == "shards" and number is None:
                continue
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ValueError(f"{name}: expected a whole number from {least}, got {number!r}")
        if self.timeout is not None and not self.timeout > 0.0:
            raise ValueError(f"timeout: expected seconds above 0, got {self.timeout!r}")

    @property
    def count(self) -> int:
        """The number of shards."""
        workers = getattr(self.executor, "_max_workers", None)
        return self.shards or (workers if isinstance(workers, int) else os.cpu_count()) or 1


def _pickled(work: Any) -> bytes:
    """Pickle work; where cloudpickle is installed, also what only lives in a notebook or function.

    cloudpickle takes such things by value, and workers need it to read them. What can be imported
    goes by name in either case, and is read by plain pickle.
    """
    try:
        import cloudpickle
    except ImportError:
        return pickle.dumps(work)
    return bytes(cloudpickle.dumps(work))


class Workers:
    """The executor and what it is told: the model, the loss and the data of one training.

    Raises:
        TypeError: If model or loss cannot be sent to another process.
    """

    def __init__(self, problem: Problem, sharding: Sharding, compiled: bool) -> None:
        self.sharding = sharding
        self.key: str = uuid.uuid4().hex
        work = Work(problem.model, problem.loss, problem.rows, problem.targets, compiled)
        self.work: Work | bytes = work
        # Threads share the data; anything else may be another process, or another machine.
        self.sent_first: Work | None = None
        if type(sharding.executor) is ThreadPoolExecutor:
            self.sent_first = work
        else:
            try:
                self.work = _pickled(work)
            except Exception as error:
                raise TypeError(
                    "executor: model, loss and their functions must be importable by a worker "
                    "process (no lambdas, nothing defined inside a function), or cloudpickle "
                    f"installed: {error}"
                ) from error

    def sums(self, numbers: Any, batch: Sequence[int], place: str) -> list[Sums]:
        """Return the sums over each shard of a batch, in order.

        Args:
            numbers: The parameters.
            batch: Row numbers.
            place: Which step this is, for error messages.

        Raises:
            RuntimeError: If a shard failed, or was late, more often than it may.
            ValueError: If the computation itself failed.
        """
        return _Round(self, place, array("d", numbers), cut(batch, self.sharding.count)).run()


def cut(batch: Sequence[int], shards: int) -> list[Sequence[int]]:
    """Cut row numbers into as many pieces, whose lengths differ by one at most; none is empty.

    >>> cut(range(5), 2), cut([7, 3], 4)
    ([range(0, 3), range(3, 5)], [[7], [3]])
    """
    size, more = divmod(len(batch), shards)
    pieces, start = [], 0
    for i in range(min(shards, len(batch))):
        end = start + size + (i < more)
        pieces.append(batch[start:end])
        start = end
    return pieces


class _Round:
    """The shards of one step: handed out, waited for, handed out again."""

    def __init__(
        self, workers: Workers, place: str, numbers: array[float], pieces: list[Sequence[int]]
    ) -> None:
        self.workers, self.place = workers, place
        self.numbers, self.pieces = numbers, pieces
        self.answers: list[Sums | None] = [None] * len(pieces)
        self.running: dict[Future[Any], int] = {}
        self.latest: list[Future[Any] | None] = [None] * len(pieces)
        self.handed_out = [0] * len(pieces)  # as far as it counts: not for want of the data
        self.deadlines = [float("inf")] * len(pieces)

    def run(self) -> list[Sums]:
        """Return the sums of all shards, in the order of the shards."""
        try:
            for i in range(len(self.pieces)):
                self.hand_out(i)
            while None in self.answers:
                waiting = [i for i, answer in enumerate(self.answers) if answer is None]
                left = min(self.deadlines[i] for i in waiting) - monotonic()
                done, _ = wait(
                    list(self.running),
                    timeout=None if left == float("inf") else max(0.0, left),
                    return_when=FIRST_COMPLETED,
                )
                for future in done:
                    self.take(future)
                for i in waiting:
                    if self.answers[i] is None and self.deadlines[i] <= monotonic():
                        seconds = self.workers.sharding.timeout
                        self.hand_out(i, TimeoutError(f"no answer within {seconds:g} s"))
            return [answer for answer in self.answers if answer is not None]
        finally:
            for future in self.running:  # those that others have overtaken, or all after an error
                future.cancel()

    def hand_out(self, i: int, error: Exception | None = None, *, data: bool = False) -> None:
        """Submit shard ``i``: after an ``error`` again, if it may be; with the data, if wanted."""
        workers, sharding = self.workers, self.workers.sharding
        while True:
            if not data:
                self.handed_out[i] += 1
            if self.handed_out[i] > 1 + sharding.retries:
                raise RuntimeError(
                    f"{self.place}: shard {i + 1} of {len(self.pieces)} failed "
                    f"{self.handed_out[i] - 1} time(s), the parameters are as before this step; "
                    f"at last: {type(error).__name__}: {error}"
                ) from error
            try:
                work = workers.work if data else workers.sent_first
                future = sharding.executor.submit(
                    shard_sums, workers.key, work, self.numbers, self.pieces[i]
                )
            except Exception as refusal:  # a broken pool takes no more work
                error, data = refusal, False
                continue
            self.running[future] = i
            self.latest[i] = future
            if sharding.timeout is not None:
                self.deadlines[i] = monotonic() + sharding.timeout
            return

    def take(self, future: Future[Any]) -> None:
        i = self.running.pop(future)
        if self.answers[i] is not None:
            return  # the shard was handed out twice, and the other worker was faster
        try:
            answer = future.result()
        except Exception as error:
            if future is self.latest[i]:
                self.hand_out(i, error)
            return
        if answer is None:
            self.hand_out(i, data=True)
        elif isinstance(answer, str):
            raise ValueError(answer)  # the computation itself failed; it would fail again
        else:
            self.answers[i] = Sums(*answer)


# --- what runs in the workers ---


@dataclass
class Work:
    """What a worker keeps: the model and the loss, and the data that row numbers refer to."""

    model: Module
    loss: Loss
    rows: Any
    targets: Any
    compiled: bool
    shared: Gradients | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.compiled:
            import numpy

            self.rows = numpy.asarray(self.rows)
            self.targets = numpy.asarray(_of_one_kind(self.targets))
            # Threads run the same native program: it keeps nothing between calls.
            self.shared = gradients_of(self.model, self.loss, compiled=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "shared": None}


def _of_one_kind(targets: Sequence[Any]) -> Sequence[Any]:
    """Return class numbers as one-hot lists where other rows have probabilities."""
    width = max((len(t) for t in targets if isinstance(t, list)), default=0)
    if not width:
        return targets
    return [
        t if isinstance(t, list) else [float(k == int(t)) for k in range(width)] for t in targets
    ]


_kept = threading.local()
_KEPT_AT_MOST = 4  # trainings that share the workers


def shard_sums(
    key: str, work: Work | bytes | None, numbers: array[float], batch: Sequence[int]
) -> tuple[float, int, array[float]] | str | None:
    """Return the sums over some rows; ``None`` for want of the data, a text if computing failed.

    Args:
        key: Names the training.
        work: Its data; ``None`` if the worker should have them.
        numbers: The parameters.
        batch: Row numbers.
    """
    trainings: OrderedDict[str, tuple[Gradients, Work]] = _kept.__dict__.setdefault(
        "trainings", OrderedDict()
    )
    if key not in trainings:
        if work is None:
            return None
        known: Work = pickle.loads(work) if isinstance(work, bytes) else work
        gradients = known.shared or gradients_of(known.model, known.loss, known.compiled)
        trainings[key] = gradients, known
        while len(trainings) > _KEPT_AT_MOST:
            trainings.popitem(last=False)
    gradients, known = trainings[key]
    trainings.move_to_end(key)
    try:
        if known.compiled:
            chosen: Any = slice(batch.start, batch.stop) if isinstance(batch, range) else batch
            sums = gradients(numbers, known.rows[chosen], known.targets[chosen])
        else:
            rows, targets = [known.rows[i] for i in batch], [known.targets[i] for i in batch]
            sums = gradients(numbers, rows, targets)
    except (ArithmeticError, ValueError) as error:
        return str(error)
    gradient = sums.gradient  # from native code a numpy array, of which the bytes are wanted
    packed = array("d", gradient.tobytes() if hasattr(gradient, "tobytes") else gradient)
    return sums.loss, sums.correct, packed
