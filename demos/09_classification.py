# %% [markdown]
# # Classification, end to end
#
# Everything together (the notes, 'Neural Networks' to the end): a network gives a score for each
# class, softmax makes probabilities of the scores, backpropagation computes the gradients of the
# log-likelihood, and gradient descent on mini-batches maximizes it,
#
#     ll(w) = sum_i log P(y_i | x_i; w)
#
# First two moons of points in the plane, where the border between the classes can be seen; then
# real handwritten digits, 8 by 8 pixels each (Alpaydin and Kaynak, 1998; with scikit-learn).

# %%
from __future__ import annotations

from typing import Any, NamedTuple

from _shared import (
    INK,
    LINES,
    panels,
    run,
    save,
)
from sklearn.datasets import load_digits, make_moons
from sklearn.model_selection import train_test_split

from tinygrad_edu import softmax
from tinygrad_edu.drawing.plots.charts import plot_boundary, plot_confusion
from tinygrad_edu.nn import L2, MLP, argmax, confusion_matrix, cross_entropy, hinge
from tinygrad_edu.optim import Adam, GradientDescent, Linear
from tinygrad_edu.training import History, Patience, evaluate, fit

# %% [markdown]
# ## Two moons
#
# A network with two hidden layers of 16 neurons separates them: max-margin loss, a little L2
# regularisation, a learning rate that decays.


# %%
def two_moons(epochs: int, compiled: bool, folder: str | None) -> float:
    X, y = make_moons(n_samples=100, noise=0.2, random_state=1)
    X_test, y_test = make_moons(n_samples=100, noise=0.2, random_state=2)
    model = MLP(2, [16, 16, 1], seed=1)
    history = fit(
        model, X, y, loss=hinge, penalty=L2(1e-4), epochs=epochs, compiled=compiled,
        optimizer=GradientDescent(Linear(1.0, end=0.1, steps=100)),
    )  # fmt: skip
    _, score = evaluate(model, X_test, y_test, loss=hinge)
    assert score is not None
    print(f"two moons: {model}")
    print(f"  {history}")
    print(f"  accuracy on 100 new points {score:.1%}")
    figure, (panel,) = panels(1, width=6.6, height=4.0)
    plot_boundary(model, X, y, loss=hinge, resolution=60, axes=panel)
    hollow: Any = {"s": 26, "facecolors": "none", "edgecolors": INK, "linewidths": 0.7}
    for k, marker in enumerate(("o", "s")):
        x1, x2 = X_test[y_test == k].T
        panel.scatter(x1, x2, marker=marker, **hollow)
    panel.scatter([], [], label="new points", **hollow)
    panel.set(xlabel="$x_1$", ylabel="$x_2$")
    panel.set_title(f"two moons: {score:.0%} of the new points are right")
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    save(figure, "09_two_moons", folder)
    return score


# %% [markdown]
# ## Handwritten digits
#
# 64 pixels in, 32 hidden neurons, 10 scores out. The data are split in three: the training data to
# learn from, the validation data to choose the epoch that is best on digits not learned from, and
# the test data, not looked at before the end, to measure what was achieved.


# %%
class Digits(NamedTuple):
    """Pixels from 0 to 1, and the digits they show, in three parts."""

    X: Any
    y: Any
    X_validation: Any
    y_validation: Any
    X_test: Any
    y_test: Any


def load(rows: int, held_out: int) -> Digits:
    """Return ``rows`` digits to train on and ``held_out`` to validate on; 0 for all there are."""
    pixels, digits = load_digits(return_X_y=True)
    rest, X_test, y_rest, y_test = train_test_split(
        pixels / 16.0, digits, test_size=360, random_state=0, stratify=digits
    )
    X, X_validation, y, y_validation = train_test_split(
        rest, y_rest, test_size=360, random_state=0, stratify=y_rest
    )
    some, few = slice(rows or None), slice(held_out or None)
    return Digits(X[some], y[some], X_validation[few], y_validation[few], X_test, y_test)


def train(
    data: Digits, epochs: int, batch: int, rate: float, compiled: bool, **options: Any
) -> tuple[MLP, History]:
    model = MLP(64, [32, 10], seed=0)
    history = fit(
        model, data.X, data.y, loss=cross_entropy, optimizer=Adam(rate), batch=batch, epochs=epochs,
        validation=(data.X_validation, data.y_validation), seed=0, compiled=compiled, **options,
    )  # fmt: skip
    return model, history


# %%
def digits(data: Digits, epochs: int, compiled: bool, folder: str | None) -> float:
    model, history = train(data, epochs, 16, 0.01, compiled, restore_best=True)
    loss, score = evaluate(model, data.X_test, data.y_test, loss=cross_entropy)
    assert score is not None
    print(f"digits: {model}, {len(data.X)} to train on, {len(data.X_validation)} to validate on")
    print(f"  {history}")
    print(f"  {1e3 * sum(history.seconds) / len(history):.0f} ms per epoch; best epoch ", end="")
    print(f"{history.best_epoch}, by the validation data")
    print(f"  test data: loss {loss:.3f}, accuracy {score:.1%} of {len(data.y_test)} digits")
    predict = model.numbers()
    scores = [predict(x) for x in data.X_test]
    figure, (left, right) = panels(2, width=4.8, height=4.2)
    left.plot(range(1, len(history) + 1), history.accuracy, label="training", **LINES[0])
    held_out = history.validation_accuracy
    left.plot(range(1, len(history) + 1), held_out, label="validation", **LINES[1])
    left.set(xlabel="epoch", ylabel="accuracy", title="learning")
    left.yaxis.set_major_formatter("{x:.0%}")
    left.legend(fontsize=9)
    matrix = confusion_matrix([argmax(s) for s in scores], data.y_test, 10)
    plot_confusion(matrix, axes=right)
    right.set_title(f"test data, {score:.1%} right")
    save(figure, "09_digits", folder)
    show_examples(data, scores, folder)
    return score


def show_examples(data: Digits, scores: list[list[float]], folder: str | None) -> None:
    """Show eight test digits and, below, up to eight of those that were taken for another."""
    right = [i for i, s in enumerate(scores) if argmax(s) == data.y_test[i]][:8]
    wrong = [i for i, s in enumerate(scores) if argmax(s) != data.y_test[i]][:8]
    figure, axes = panels(8, 2, width=1.0, height=1.35)
    for panel in axes:
        panel.set_axis_off()
    for start, chosen in ((0, right), (8, wrong)):
        for panel, i in zip(axes[start:], chosen):
            panel.imshow(data.X_test[i].reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0)
            answer = argmax(scores[i])
            chance = softmax(scores[i])[answer]
            truth = "" if answer == data.y_test[i] else f" not {data.y_test[i]}"
            panel.set_title(f"{answer}{truth}\n{chance:.0%}", fontsize=9, color=INK)
    figure.suptitle("what the network reads, how sure it is; below, its mistakes", fontsize=11)
    save(figure, "09_digits_examples", folder)


# %% [markdown]
# ## Over-fitting
#
# "Since neural nets have many parameters, it's often easy to overfit training data" (the notes'
# last section). With few digits to learn from, 2,410 parameters soon know them by heart: the
# training loss goes on falling while the loss on held-out digits turns and rises. Stopping where it
# was best is the cheapest remedy.


# %%
def over_fitting(data: Digits, epochs: int, compiled: bool, folder: str | None) -> History:
    _, history = train(data, epochs, 10, 0.03, compiled)
    best, held_out = history.best_epoch, history.validation_loss
    print(f"over-fitting on {len(data.X)} digits: training loss {history.loss[-1]:.4f}, ", end="")
    print(
        f"validation loss {held_out[best - 1]:.3f} in epoch {best}, {held_out[-1]:.3f} at the end"
    )
    stop = next((n for n in range(1, epochs) if _stops(history, n)), epochs)
    print(f"  patience of 5 epochs would have stopped the training in epoch {stop}")
    figure, (panel,) = panels(1, width=5.8, height=3.8)
    epoch = range(1, len(history) + 1)
    panel.plot(epoch, history.loss, label=f"training, {len(data.X)} digits", **LINES[0])
    panel.plot(epoch, held_out, label=f"held out, {len(data.X_validation)} digits", **LINES[1])
    panel.axvline(best, color=INK, linestyle=":", linewidth=1.0)
    panel.annotate(f" best on held-out digits: epoch {best}", (best, 0.96), va="top")
    panel.set(xlabel="epoch", ylabel="cross-entropy per digit", ylim=(0.0, 1.0))
    panel.set_title("over-fitting: better on the training data, worse on others")
    panel.legend(loc="center right", fontsize=9)
    save(figure, "09_over_fitting", folder)
    return history


def _stops(history: History, epochs: int) -> bool:
    return bool(Patience(5)(History(validation_loss=history.validation_loss[:epochs])))


# %%
def main(
    epochs: int = 0,
    rows: int = 0,
    full: bool = False,
    compiled: bool = False,
    folder: str | None = None,
) -> None:
    """Two moons, handwritten digits, and over-fitting; --full takes all digits and more epochs."""
    score = two_moons(min(epochs or 60, 60), compiled, folder)
    if not epochs:
        assert score >= 0.9
    data = load(rows or (0 if full else 600), 0 if full else 150)
    score = digits(data, epochs or (30 if full else 8), compiled, folder)
    if not epochs and not rows:
        assert score >= 0.93
    history = over_fitting(load(rows or 100, 150), epochs or 40, compiled, folder)
    if not epochs and not rows:
        assert history.validation_loss[-1] > 1.05 * min(history.validation_loss)
        assert history.loss[-1] < 0.1 * min(history.validation_loss)


# %%
if __name__ == "__main__":
    run(main)
