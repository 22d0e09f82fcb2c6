"""What happened during training: one entry for each epoch, ready to print, plot, save.

The notes' last section warns that it is "easy to overfit training data": the losses on the training
data and on held-out data, side by side, are what shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tinygrad_edu._plot import new_figure


@dataclass
class History:
    """The course of a training, in lists with one entry for each epoch.

    Attributes:
        loss: The objective on the training data, penalty included. With ``batch="full"`` it belongs
            to the parameters before the epoch's step; else it is averaged over the epoch's batches.
        accuracy: The fraction of training examples classified correctly, measured along with the
            loss; empty where the targets are numbers.
        learning_rate: The learning rate of the epoch's last step.
        gradient_norm: The length of the objective's gradient, averaged over the epoch's batches.
        seconds: How long the epoch took.
        validation_loss, validation_accuracy: On held-out data after the epoch; empty without them.
        snapshots: Pairs of an epoch's number (0: before training) and all parameters after it, as
            asked for by ``fit(..., record=...)``.
        best_epoch: The number, from 1, of the epoch with the best loss (held-out if there is one).
        best_parameters: All parameters that this loss belongs to.
        stopped: Why training ended, in words.
        maximize: Whether the objective is to be large, as a log-likelihood is.

    >>> history = History(loss=[2.0, 1.0], seconds=[0.1, 0.1], stopped="2 epochs done")
    >>> history
    <history of 2 epochs: loss 2 -> 1; 2 epochs done>
    >>> History.from_dict(history.to_dict()) == history
    True
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    snapshots: list[tuple[int, list[float]]] = field(default_factory=list)
    best_epoch: int = 0
    best_parameters: list[float] = field(default_factory=list)
    stopped: str = ""
    maximize: bool = False

    @property
    def epochs(self) -> int:
        """How many epochs there were."""
        return len(self.loss)

    def __len__(self) -> int:
        return len(self.loss)

    def __bool__(self) -> bool:
        return True

    @property
    def monitored(self) -> list[float]:
        """The losses that say which epoch was best: held-out if there are any, else training."""
        return self.validation_loss or self.loss

    def better(self, a: float, b: float) -> bool:
        """Tell whether loss ``a`` is better than loss ``b``.

        >>> History().better(1.0, 2.0), History(maximize=True).better(1.0, 2.0)
        (True, False)
        """
        return a > b if self.maximize else a < b

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and texts, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> History:
        """Return the history that ``to_dict`` was called on, also after a way through JSON.

        Raises:
            ValueError: If there are entries that no history has, or entries that do not fit each
                other: columns of different lengths, a best epoch that is none of them.
            TypeError: If an entry is of another type.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(saved) - known):
            raise ValueError(f"History: expected entries from {sorted(known)}, got {unknown}")
        history = cls(**saved)
        history.snapshots = [(epoch, list(numbers)) for epoch, numbers in history.snapshots]
        history._check()
        return history

    def _check(self) -> None:
        """Raise unless the entries are of their types and fit each other."""
        epochs, size = len(self.loss), len(self.best_parameters)
        for name in _COLUMNS:
            column = getattr(self, name)
            _check_numbers(name, column)
            if column and len(column) != epochs:
                raise ValueError(f"History: {name}: expected {epochs} entries, got {len(column)}")
        _check_numbers("best_parameters", self.best_parameters)
        for epoch, numbers in self.snapshots:
            _check_numbers("snapshots", numbers)
            if not _is_count(epoch) or epoch > epochs or size not in (0, len(numbers)):
                raise ValueError(f"History: snapshots: one of epoch {epoch!r:.20} does not belong")
        if not _is_count(self.best_epoch) or self.best_epoch > epochs:
            raise ValueError(
                f"History: best_epoch: expected 0 to {epochs}, got {self.best_epoch!r:.20}"
            )
        if bool(self.best_epoch) != bool(size):
            raise ValueError("History: expected best_epoch and best_parameters both, or neither")
        if not isinstance(self.stopped, str) or not isinstance(self.maximize, bool):
            raise TypeError("History: expected text for stopped, true or false for maximize")

    def plot(self) -> Any:
        """Draw losses and, where there is one, accuracy over the epochs; return the figure.

        Needs matplotlib, from the extra ``[plot]``.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If there is nothing to draw.
        """
        if not self.loss:
            raise ValueError("History.plot: expected at least one epoch, got none")
        panels = [("loss", self.loss, self.validation_loss)]
        if self.accuracy:
            panels.append(("accuracy", self.accuracy, self.validation_accuracy))
        figure = new_figure(5.0 * len(panels), 3.5)
        epochs = range(1, len(self.loss) + 1)
        for axes, (name, training, held_out) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels
        ):
            axes.plot(epochs, training, color="black", label="training")
            if held_out:  # told apart by the line's style as well as by its colour
                axes.plot(epochs, held_out, color="tab:blue", linestyle="--", label="held-out")
                axes.axvline(self.best_epoch, color="0.6", linestyle=":", label="best epoch")
                axes.legend(frameon=False)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.spines[["top", "right"]].set_visible(False)
        return figure

    def _repr_png_(self) -> bytes | None:
        """Show the plot where a notebook shows this history; text if there is nothing to plot."""
        try:
            figure = self.plot()
        except (ImportError, ValueError):
            return None
        picture: bytes = figure._repr_png_()
        return picture

    def __repr__(self) -> str:
        names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
        series = [(name, getattr(self, name)) for name in names]
        parts = [f"{name} {v[0]:.4g} -> {v[-1]:.4g}" for name, v in series if v]
        count = "1 epoch" if len(self) == 1 else f"{len(self)} epochs"
        return f"<history of {count}: {', '.join(parts) or 'empty'}; {self.stopped or 'running'}>"


_COLUMNS = (
    "loss", "accuracy", "learning_rate", "gradient_norm", "seconds", "validation_loss",
    "validation_accuracy",
)  # fmt: skip


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _check_numbers(name: str, numbers: Any) -> None:
    if not isinstance(numbers, list) or not all(type(x) in (float, int) for x in numbers):
        raise TypeError(f"History: {name}: expected a list of numbers, got {numbers!r:.60}")
