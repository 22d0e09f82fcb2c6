"""The books of a training: what an epoch came to, the best one, and files to go on from.

An epoch is entered as one: an interrupt finds all columns of a history equally long, and the best
epoch beside its own parameters.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from tinygrad_edu._interrupts import HeldBack, at_once
from tinygrad_edu._saved import saving_room
from tinygrad_edu.training.eager import Measured
from tinygrad_edu.training.history import History
from tinygrad_edu.training.problem import Problem


class Keeper:
    """Enters epochs into a history, and keeps the parameters of the best.

    Over a full batch the loss of an epoch belongs to the parameters ``before`` its step.

    Raises:
        ValueError: If the history belongs to a model with another number of parameters.
    """

    parameters: list[Any]
    history: History
    before: bool
    record: int
    start: list[float]

    def __init__(self, problem: Problem, history: History, *, before: bool, record: int) -> None:
        self.parameters, self.history = problem.parameters, history
        self.before, self.record = before, record
        self.start = self._numbers()
        if history.best_parameters and len(history.best_parameters) != len(self.parameters):
            raise ValueError(
                f"history: belongs to a model with {len(history.best_parameters)} parameters, "
                f"this one has {len(self.parameters)}"
            )
        self.first: list[float] = self.start
        if record and not history.snapshots:
            history.snapshots.append((len(history), self.start))

    def _numbers(self) -> list[float]:
        return [parameter.data for parameter in self.parameters]

    def epoch_starts(self) -> None:
        if self.before:
            self.start = self._numbers()

    def epoch_ends(
        self, measured: Measured, n: int, held: Measured | None, m: int, seconds: float
    ) -> None:
        """Enter what an epoch measured over n examples, and m held-out ones."""
        history, epoch = self.history, len(self.history) + 1
        entries: list[tuple[list[float], float]] = [
            (history.gradient_norm, measured.gradient_norm),
            (history.learning_rate, measured.learning_rate),
            (history.seconds, seconds),
        ]
        if measured.correct is not None:
            entries.append((history.accuracy, measured.correct / n))
        if held is not None:
            entries.append((history.validation_loss, held.loss))
            if held.correct is not None:
                entries.append((history.validation_accuracy, held.correct / m))
        changes: list[partial[None]] = [partial(column.append, x) for column, x in entries]
        changes.append(partial(history.loss.append, measured.loss))
        loss = measured.loss if held is None else held.loss
        best = history.best_epoch
        if not history.best_parameters or history.better(loss, history.monitored[best - 1]):
            numbers = self.start if self.before else self._numbers()
            # vars(): a dict takes both entries in one step
            changes.append(partial(vars(history).update, best_epoch=epoch, best_parameters=numbers))
        if self.record and epoch % self.record == 0:
            changes.append(partial(history.snapshots.append, (epoch, self._numbers())))
        at_once(changes)

    def restore(self) -> None:
        """Set the parameters to those of the best epoch, or of the start if there is none."""
        with HeldBack():
            for parameter, number in zip(
                self.parameters, self.history.best_parameters or self.first
            ):
                parameter.data = number


class Checkpoint:
    """The file that a training is kept in from epoch to epoch; without a path, nothing.

    Raises:
        TypeError: If ``path`` is none, or the random source has no state to save.
        ImportError: If safetensors or numpy is not installed.
    """

    problem: Problem
    source: random.Random

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        problem: Problem,
        source: random.Random,
    ) -> None:
        self.path: str | None = None if path is None else os.fspath(path)
        self.problem, self.source = problem, source

    def begin(self, history: History | None, maximize: bool) -> History:
        """Return the history to go on with, the model and all else as in the file if there is one.

        Raises:
            ValueError: If there is a file and a history, or the file belongs to something else.
            OSError: If the file cannot be read or written.
        """
        if self.path is None:
            return History(maximize=maximize) if history is None else history
        if history is not None:
            raise ValueError("history: expected none beside checkpoint, whose file holds it")
        if not os.path.exists(self.path):
            history = History(maximize=maximize)
            self.save(history)  # whatever stands in the way of saving, show it now
            return history
        problem = self.problem
        loaded = saving_room().load(
            self.path, problem.model, optimizer=problem.optimizer, seed=self.source
        )
        if loaded is None:
            raise ValueError(f"checkpoint: {self.path} holds a model without a history")
        assert isinstance(loaded, History)
        return loaded

    def save(self, history: History) -> None:
        """Write everything that the training needs to go on."""
        if self.path is not None:
            problem = self.problem
            saving_room().save(
                self.path,
                problem.model,
                optimizer=problem.optimizer,
                history=history,
                seed=self.source,
            )


def first_reason(criteria: Sequence[Any], history: History) -> str:
    """Return why training is to stop, by the first criterion that says so; nothing if none does."""
    reason = next(filter(None, (criterion(history) for criterion in criteria)), None)
    if not reason:
        return ""
    return reason if isinstance(reason, str) else "converged"
