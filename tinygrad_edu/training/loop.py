"""``fit``: the loop of the notes' Algorithms 1 to 3, in batches, with everything kept in a history.

Source: the notes, sections 'Optimization' (full, stochastic and mini-batch gradient descent,
learning rate decay) and 'The Backpropagation Algorithm' (compute gradients, update the parameters,
repeat until they converge).
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from functools import wraps
from numbers import Integral
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

from tinygrad_edu._interrupts import EndsOnTermination
from tinygrad_edu.engine.operation import GraphWarning, to_float
from tinygrad_edu.nn.initialization import Seed, random_source
from tinygrad_edu.nn.loss import Loss, as_loss
from tinygrad_edu.nn.module import Module
from tinygrad_edu.optim import Optimizer, Schedule
from tinygrad_edu.training.bookkeeping import Checkpoint, Keeper, first_reason
from tinygrad_edu.training.eager import EagerEngine, StepEngine, evaluate_on
from tinygrad_edu.training.history import History
from tinygrad_edu.training.problem import Problem, checked, held_out_data, make_problem
from tinygrad_edu.training.sharded import ShardedEngine
from tinygrad_edu.training.workers import Sharding

Criterion = Callable[[History], Any]
Callback = Callable[[Any, History], Any]


P = ParamSpec("P")
R = TypeVar("R")


def _tell_unreached(names: list[str]) -> None:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    warnings.warn(
        f"the loss does not depend on {shown}: no gradient has reached it, and no step changes it; "
        "use it in the model, or leave it out",
        GraphWarning,
        stacklevel=3,
    )


# what other libraries call it, and what to write here
_WORDS_HERE = {
    "lr": "; write learning_rate=", "batch_size": "; write batch=", "optim": "; write optimizer=",
    "criterion": "; write loss=", "n_epochs": "; write epochs=", "num_epochs": "; write epochs=",
    "max_iter": "; write epochs=", "verbose": "; write progress=True", "steps": "; write epochs=",
    "validation_data": "; write validation=(X, y)", "random_state": "; write seed=",
    "shuffle": "; mini-batches (batch=m) are of shuffled rows",
    "tol": "; write until=LossChange(tol)", "patience": "; write until=Patience(epochs)",
    "callback": "; write callbacks=[callback]",
    "weight_decay": "; write penalty=L2(strength), or optimizer=AdamW(...)",
}  # fmt: skip


def _names_the_words_here(function: Callable[P, R]) -> Callable[P, R]:
    """Let an error about a keyword of another library say what to write here."""

    @wraps(function)
    def explained(*arguments: P.args, **named: P.kwargs) -> R:
        for name in named.keys() & _WORDS_HERE.keys():
            raise TypeError(f"{function.__name__}: there is no {name}={_WORDS_HERE[name]}")
        return function(*arguments, **named)

    return explained


@_names_the_words_here
def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: Loss | Callable[[Any, Any], Any],
    optimizer: Optimizer | None = None,
    learning_rate: float | Schedule | None = None,
    batch: int | str = "full",
    epochs: int = 100,
    until: Criterion | Iterable[Criterion] = (),
    validation: tuple[Any, Any] | None = None,
    penalty: Callable[[Sequence[Any]], Any] | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    seed: Seed = None,
    callbacks: Iterable[Callback] = (),
    progress: bool | None = None,
    record: int = 0,
    restore_best: bool = False,
    history: History | None = None,
    compiled: bool = False,
    executor: Executor | Sharding | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> History:
    """Train a model on examples ``X`` with targets ``y``; return the history of the training.

    Args:
        model: Its parameters are changed in place.
        X: n rows of numbers: nested sequences, a numpy array, a pandas frame.
        y: n targets, as the loss takes them.
        loss: One of ``tinygrad_edu.nn.losses``, or any function ``(prediction, target) -> node``
            of one example, which is then averaged over the examples. Losses of logits get
            ``model.logits(x)`` where the model has that method, other losses ``model(x)``.
        optimizer: How to step. By default ``GradientDescent(learning_rate)``, or
            ``GradientAscent`` for a loss to be maximized.
        learning_rate: Instead of an optimizer; 0.1 by default.
        batch: ``"full"``: one step for each epoch, on all rows. 1: n steps, each on one random row
            (stochastic gradient descent). m: the rows are shuffled and taken m at a time; the last
            batch may be short (mini-batch gradient descent).
        epochs: How many epochs at most.
        until: Convergence criteria, such as ``GradientNorm``, ``LossChange``, ``Patience``, or any
            function of the history that returns something true (a reason) to stop.
        validation: Held-out ``(X, y)``, measured after each epoch.
        penalty: A function of the parameters added to the loss, such as ``L2(0.001)``; where the
            loss is maximized it is subtracted.
        clip_norm, clip_value: Limit the length, or each component, of the gradient.
        seed: A whole number or a ``random.Random`` for the order of the rows; ``None`` for fresh
            entropy. The same seed gives the same training.
        callbacks: Called as ``callback(model, history)`` after each epoch.
        progress: Show a progress bar (needs tqdm): ``None``, only if stderr is a terminal.
        record: Keep the parameters of every so many epochs in ``history.snapshots``; 0: none.
        restore_best: At the end set the parameters to those of the best epoch.
        history: Go on with this history. Where optimizer and ``random.Random`` are kept as well, a
            training in two parts equals the training in one, bit for bit.
        compiled: Run the epochs in native code (extra ``[fast]``); the results are the same up to
            rounding. What cannot be compiled (a custom activation with an ``if``, say) is trained
            eagerly, after a ``RuntimeWarning`` that says why.
        executor: Have the gradients computed by the workers of a ``concurrent.futures.Executor``:
            threads, processes, machines. ``Sharding(executor, ...)`` says how. The result is that
            of one process, up to the rounding of sums.
        checkpoint: A file that the whole training is saved to after every epoch (extra ``[io]``).
            If it is there already, the training goes on from it until it has ``epochs`` epochs in
            all, equal bit for bit to one that was never interrupted; remove the file to start
            anew. SIGTERM then ends the program in order, with exit code 143.

    Returns:
        The history. After Ctrl-C, the history so far, with the model at its best epoch. Any other
        exception that leaves ``fit`` once the epochs have begun has it as its ``history``.

    Raises:
        TypeError, ValueError: Before the first step, if an argument or the data are unusable.
        FloatingPointError: If the loss or a gradient is not finite; names epoch, batch and learning
            rate. The parameters are left as they were before that step.
        RuntimeError: If workers of the ``executor`` failed too often; names epoch and batch. The
            parameters are left as they were before that step.
        ImportError: If ``compiled`` or ``checkpoint`` and the extra is not installed.
        OSError: If the file of the ``checkpoint`` cannot be written.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> line = LinearRegression(1, seed=0)
    >>> history = fit(line, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], loss=squared_error.mean(),
    ...               learning_rate=0.3, epochs=500)
    >>> [round(p.data, 6) for p in line.parameters()]
    [2.0, 1.0]
    """
    # 1. Everything is checked before anything changes.
    loss = as_loss(loss)
    problem = make_problem(model, X, y, loss, optimizer, learning_rate)
    if len(problem.unreached) == len(problem.parameters) and penalty is None:
        raise ValueError(
            "loss: it depends on no parameter of the model, so no step would change anything; "
            "compute it from the prediction, with Values (x.data and float(x) cut the graph)"
        )
    problem.penalty, problem.clip_norm, problem.clip_value = penalty, clip_norm, clip_value
    for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if limit is not None and not to_float(limit, name) > 0.0:
            raise ValueError(f"{name}: expected a number above 0, got {limit!r}")
    if history is not None and not isinstance(history, History):
        raise TypeError(f"history: expected a History, got {type(history).__name__}")
    held_out = None if validation is None else held_out_data(problem, validation)
    source = random_source(seed)
    batches = _batches(batch, len(problem.rows), source)
    criteria = _functions([until] if callable(until) else until, "until")
    observers = _functions(callbacks, "callbacks")
    if penalty is not None:
        _functions([penalty], "penalty")
    for name, number in (("epochs", epochs), ("record", record)):
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 0:
            raise ValueError(f"{name}: expected a whole number from 0, got {number!r}")
    engine = _engine(problem, compiled, executor)
    saved = Checkpoint(checkpoint, problem, source)
    # 2. The epochs; of a training that goes on from a file, those that are missing.
    history = saved.begin(history, loss.maximize)
    keeper = Keeper(problem, history, before=batch == "full" and held_out is None, record=record)
    history.stopped = first_reason(criteria, history) if checkpoint and len(history) else ""
    last = epochs if checkpoint else len(history) + epochs
    bar = _progress_bar(progress, max(0, last - len(history)))
    n, m = len(problem.rows), len(held_out[0]) if held_out else 0
    try:
        with EndsOnTermination() if checkpoint else nullcontext():
            while len(history) < last and not history.stopped:
                started = perf_counter()
                keeper.epoch_starts()
                measured = engine.epoch(batches(), len(history) + 1)
                problem.optimizer.end_epoch()
                held = engine.evaluate(*held_out) if held_out else None
                keeper.epoch_ends(measured, n, held, m, perf_counter() - started)
                if len(history) == 1 and problem.unreached and penalty is None:
                    _tell_unreached(problem.unreached)
                if bar is not None:
                    bar.update()
                    bar.set_postfix_str(f"loss {history.loss[-1]:.4g}", refresh=False)
                for observer in observers:
                    observer(model, history)
                history.stopped = first_reason(criteria, history)
                saved.save(history)
            history.stopped = history.stopped or f"all {epochs} epochs done"
            if restore_best:
                keeper.restore()
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        keeper.restore()
    except BaseException as error:
        history.stopped = f"{type(error).__name__}: {error}".rstrip(": ")
        with suppress(AttributeError, TypeError):  # an exception may have no room for it
            error.history = history  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.close()
    return history


def evaluate(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: Loss,
    penalty: Callable[[Sequence[Any]], Any] | None = None,
) -> tuple[float, float | None]:
    """Return a model's loss and accuracy on data; accuracy is ``None`` where targets are numbers.

    Raises:
        TypeError, ValueError: If the data are unusable.

    >>> from tinygrad_edu.nn import LogisticRegression, cross_entropy
    >>> model = LogisticRegression(1, initialization="zeros")
    >>> evaluate(model, [[1.0], [2.0]], [0, 1], loss=cross_entropy)
    (0.6931471805599453, 0.5)
    """
    loss = as_loss(loss)
    rows, targets = checked(model, loss, X, y, "")
    measured = evaluate_on(model, rows, targets, loss, penalty)
    return measured.loss, None if measured.correct is None else measured.correct / len(rows)


def _functions(members: Any, name: str) -> list[Callable[..., Any]]:
    """Return ``members`` as a list if each of them can be called."""
    functions = list(members) if isinstance(members, Iterable) else [members]
    for member in functions:
        if not callable(member):
            raise TypeError(
                f"{name}: expected functions, got {type(member).__name__} {member!r:.60}"
            )
    return functions


def _batches(batch: int | str, n: int, source: random.Random) -> Callable[[], list[Sequence[int]]]:
    """Return the function that draws the batches of an epoch, as lists of row numbers."""
    if batch == "full":
        return lambda: [range(n)]
    if not isinstance(batch, Integral) or isinstance(batch, bool) or batch < 1:
        raise ValueError(f"batch: expected 'full' or a whole number from 1, got {batch!r}")
    batch = int(batch)
    if batch == 1:
        return lambda: [[source.randrange(n)] for _ in range(n)]

    def shuffled() -> list[Sequence[int]]:
        order = list(range(n))
        source.shuffle(order)
        return [order[i : i + batch] for i in range(0, n, batch)]

    return shuffled


def _engine(problem: Problem, compiled: bool, executor: Executor | Sharding | None) -> StepEngine:
    if executor is not None:
        sharding = executor if isinstance(executor, Sharding) else Sharding(executor)
        return ShardedEngine(problem, sharding, compiled)
    if not compiled:
        return EagerEngine(problem)
    from tinygrad_edu.training.native import CompiledEngine  # loads the compiler: only if asked

    return CompiledEngine(problem)


def _progress_bar(progress: bool | None, epochs: int) -> Any:
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        if progress:
            raise ImportError(
                'progress=True needs tqdm: pip install "tinygrad_edu[progress]"'
            ) from None
        return None
    return tqdm(total=epochs, unit="epoch")
