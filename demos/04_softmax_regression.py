# %% [markdown]
# # Multi-class logistic regression
#
# With K classes the softmax function takes the place of the logistic function (the notes, section
# 'Multi-Class Logistic Regression'):
#
#     P(y = i | x; w) = exp(w_i . x) / sum_k exp(w_k . x)
#
# Two data sets that come with scikit-learn: 150 irises of three kinds, with the length and width of
# their petals and sepals (Fisher, 1936), and 178 wines of three growers, with 13 measurements.

# %%
from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

import numpy as np
from _shared import (
    LINES,
    panels,
    run,
    save,
)
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from tinygrad_edu.drawing.plots.charts import plot_boundary, plot_confusion
from tinygrad_edu.nn import (
    SoftmaxRegression,
    accuracy,
    confusion_matrix,
    likelihood,
    log_likelihood,
)
from tinygrad_edu.optim import GradientAscent
from tinygrad_edu.training import History, fit


class Data(NamedTuple):
    """Standardised features and classes 0 to 2, 70 % to train on, the rest held out."""

    name: str
    X: Any
    X_test: Any
    y: list[int]
    y_test: list[int]
    classes: list[str]


def load(name: str, columns: slice = slice(None)) -> Data:
    data = load_iris() if name == "iris" else load_wine()
    X, X_test, y, y_test = train_test_split(
        data.data[:, columns], data.target, test_size=0.3, random_state=1, stratify=data.target
    )
    scaler = StandardScaler().fit(X)
    classes = [str(c).replace("class_", "grower ") for c in data.target_names]
    return Data(
        name, scaler.transform(X), scaler.transform(X_test), y.tolist(), y_test.tolist(), classes
    )


# %% [markdown]
# ## The gradient, by hand and by backpropagation
#
# With t_ik = 1 if example i is of class k, else 0, the likelihood is
# prod_i prod_k P(y = k | x_i)^t_ik, its logarithm a sum, and the gradient of the logarithm
#
#     grad_{w_j} log l(w) = sum_i (t_ij - P(y = j | x_i; w)) x_i


# %%
def compare_gradients(data: Data) -> None:
    n, width = data.X.shape
    model = SoftmaxRegression(width, 3, bias=False, seed=random.Random(0))
    weights = np.array([[w.data for w in neuron.w] for neuron in model.neurons])
    # 1. By hand: the formula, for all classes at once.
    powers = np.exp(data.X @ weights.T)
    P = powers / powers.sum(axis=1, keepdims=True)
    t = np.eye(3)[data.y]
    by_hand = (t - P).T @ data.X
    # 2. By backpropagation through the sum of all logarithms.
    node = log_likelihood.of([model.logits(x) for x in data.X], data.y)
    node.backward()
    by_autodiff = np.array([[w.grad for w in neuron.w] for neuron in model.neurons])
    apart = float(np.abs(by_hand - by_autodiff).max())
    print(f"{data.name}: gradient of the log-likelihood, {n} examples, {by_hand.size} weights")
    print(f"  largest difference of the notes' formula from backpropagation: {apart:.1e}")
    assert apart < 1e-12
    # 3. The product form says the same, as long as there are few examples.
    few = likelihood([model(x) for x in data.X[:10]], t[:10].tolist())
    several = log_likelihood.of([model.logits(x) for x in data.X[:10]], data.y[:10])
    print(f"  likelihood of 10 examples {few.data:.3g}, exp(log-likelihood) ", end="")
    print(f"{math.exp(several.data):.3g}")
    assert abs(math.log(few.data) - several.data) < 1e-12


# %% [markdown]
# ## Gradient ascent on the log-likelihood


# %%
def train(data: Data, epochs: int, compiled: bool) -> tuple[SoftmaxRegression, History, float]:
    model = SoftmaxRegression(data.X.shape[1], 3, initialization="zeros")
    history = fit(
        model, data.X, data.y, loss=log_likelihood, optimizer=GradientAscent(2.0 / len(data.y)),
        epochs=epochs, validation=(data.X_test, data.y_test), compiled=compiled,
    )  # fmt: skip
    score = accuracy([model.predict(x) for x in data.X_test], data.y_test)
    assert abs(history.loss[0] - len(data.y) * math.log(1.0 / 3.0)) < 1e-9  # no idea yet: P = 1/3
    assert history.loss[-1] > history.loss[0]
    print(
        f"{data.name}: log-likelihood {history.loss[0]:.2f} -> {history.loss[-1]:.2f} in ", end=""
    )
    print(f"{epochs} epochs; accuracy on {len(data.y_test)} held-out examples {score:.1%}")
    for x, label in list(zip(data.X_test, data.y_test))[:3]:
        chances = ", ".join(f"{p.data:.3f}" for p in model(x))
        print(f"  P = ({chances}): {data.classes[model.predict(x)]}, is {data.classes[label]}")
    return model, history, score


def show_training(runs: list[tuple[Data, SoftmaxRegression, History]], folder: str | None) -> None:
    figure, axes = panels(3, width=4.3)
    for (data, _, history), line in zip(runs, LINES):
        n, m = len(data.y), len(data.y_test)
        epochs = range(1, len(history) + 1)
        axes[0].plot(epochs, [v / n for v in history.loss], label=f"{data.name}, training", **line)
        thin = {**line, "linewidth": 1.0, "alpha": 0.6}
        held = [v / m for v in history.validation_loss]
        axes[0].plot(epochs, held, label=f"{data.name}, held out", **thin)
    axes[0].set(xlabel="epoch", ylabel="log-likelihood per example")
    axes[0].set_title("gradient ascent")
    axes[0].legend(fontsize=9, loc="lower right")
    for panel, (data, model, _) in zip(axes[1:], runs):
        predicted = [model.predict(x) for x in data.X_test]
        plot_confusion(confusion_matrix(predicted, data.y_test, 3), data.classes, axes=panel)
        panel.set_title(f"{data.name}, held out")
    save(figure, "04_training", folder)


# %% [markdown]
# ## What the classes look like
#
# Where two classes are equally probable, (w_i - w_j) . x = 0: the borders are straight lines.


# %%
def show_regions(epochs: int, compiled: bool, folder: str | None) -> None:
    data = load("iris", slice(2, 4))  # length and width of the petals
    model, _, score = train(data, epochs, compiled)
    figure, (panel,) = panels(1, width=5.6, height=4.2)
    points = [*data.X, *data.X_test]
    labels = [*data.y, *data.y_test]
    plot_boundary(model, points, labels, class_names=data.classes, axes=panel)
    panel.set(xlabel="petal length, standardised", ylabel="petal width, standardised")
    panel.set_title(f"three kinds of iris, {score:.0%} of the held-out ones are right")
    save(figure, "04_regions", folder)


# %%
def main(epochs: int = 100, compiled: bool = False, folder: str | None = None) -> None:
    """Softmax regression on irises and wines."""
    runs = []
    for name in ("iris", "wine"):
        data = load(name)
        compare_gradients(data)
        model, history, score = train(data, epochs, compiled)
        if epochs >= 100:
            assert score > 0.9
        runs.append((data, model, history))
    show_training(runs, folder)
    show_regions(epochs, compiled, folder)


# %%
if __name__ == "__main__":
    run(main)
