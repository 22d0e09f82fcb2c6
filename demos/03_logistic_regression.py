# %% [markdown]
# # Logistic regression
#
# The logistic function turns a linear combination of features into a probability (the notes,
# section 'Logistic Regression'):
#
#     h_w(x) = P(y = +1 | x; w) = 1 / (1 + exp(-w . x))         P(y = -1 | x; w) = 1 - h_w(x)
#
# The data are 569 breast tumours seen through a microscope (Wolberg et al., 1995; they come with
# scikit-learn): 30 measurements of cell nuclei, and whether the tumour was malignant (1) or benign
# (0).

# %%
from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
from _shared import GREEN, GREY, LINES, RED, panels, run, save
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tinygrad_edu import Value, sigmoid
from tinygrad_edu.drawing.plots.charts import plot_probabilities
from tinygrad_edu.nn import LogisticRegression, accuracy, log_likelihood, logistic_loss
from tinygrad_edu.optim import GradientAscent, GradientDescent
from tinygrad_edu.training import GradientNorm, fit

PAIR = ["mean texture", "mean concave points"]


class Data(NamedTuple):
    """Standardised measurements and labels, 70 % to train on, the rest held out."""

    X: Any
    X_test: Any
    y: list[int]
    y_test: list[int]


def load(columns: list[str] | None = None) -> Data:
    data = load_breast_cancer()
    names = list(data.feature_names)
    X = data.data if columns is None else data.data[:, [names.index(c) for c in columns]]
    malignant = 1 - data.target  # scikit-learn has it the other way round
    X, X_test, y, y_test = train_test_split(
        X, malignant, test_size=0.3, random_state=0, stratify=malignant
    )
    scaler = StandardScaler().fit(X)  # the held-out data must not tell their mean
    return Data(scaler.transform(X), scaler.transform(X_test), y.tolist(), y_test.tolist())


# %% [markdown]
# ## The logistic function and its derivative
#
#     g(z) = 1 / (1 + exp(-z))        g'(z) = g(z) (1 - g(z))


# %%
def logistic_function(folder: str | None) -> None:
    figure, (panel,) = panels(1, width=5.6, height=3.2)
    zs = [Value(z) for z in np.linspace(-7.0, 7.0, 141)]
    g = [sigmoid(z) for z in zs]
    for node in g:
        node.backward()
    for node, z in zip(g, zs):
        assert abs(z.grad - node.data * (1.0 - node.data)) < 1e-15
    at = [z.data for z in zs]
    panel.plot(at, [node.data for node in g], color=GREEN, label="$g(z) = 1/(1 + e^{-z})$")
    panel.plot(at, [z.grad for z in zs], "--", color=RED, label="$g'(z) = g(z)\\,(1 - g(z))$")
    panel.axhline(0.5, color=GREY, linewidth=0.7, linestyle=":")
    panel.set(xlabel="$z$", yticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    panel.set_title("the logistic function: values and gradients")
    panel.legend(loc="upper left", fontsize=9)
    save(figure, "03_logistic_function", folder)


# %% [markdown]
# ## The gradients, by hand and by backpropagation
#
# The notes differentiate the L2 loss of one example by the chain rule:
#
#     d/dw_i  1/2 (y - h_w(x))^2  =  -(y - h_w(x)) h_w(x) (1 - h_w(x)) x_i
#
# and for the log-likelihood, log P(y | x; w), the same steps leave (y - h_w(x)) x_i.


# %%
def compare_gradients(data: Data) -> None:
    source = random.Random(0)
    width = data.X.shape[1]
    worst = {"L2 loss": 0.0, "log-likelihood": 0.0}
    for x, y in zip(data.X.tolist(), data.y):
        # Weights small enough that not every probability is 0 or 1.
        model = LogisticRegression(width, bias=False, initialization="zeros")
        for w in model.w:
            w.data = source.gauss(0.0, 1.0 / width**0.5)
        h = model(x).data
        by_hand = {
            "L2 loss": [-(y - h) * h * (1.0 - h) * x_i for x_i in x],
            "log-likelihood": [(y - h) * x_i for x_i in x],
        }
        for name, node in (
            ("L2 loss", logistic_loss(model(x), y)),
            ("log-likelihood", log_likelihood(model.logits(x), y)),
        ):
            model.zero_grad()
            node.backward()
            apart = max(abs(w.grad - g) for w, g in zip(model.w, by_hand[name]))
            worst[name] = max(worst[name], apart)
    print(f"the notes' gradients against backpropagation, {len(data.y)} patients, {width} weights:")
    for name, apart in worst.items():
        print(f"  {name:15} largest difference {apart:.1e}")
        assert apart < 1e-12


# %% [markdown]
# ## Training, on all 30 measurements
#
# Gradient descent on the notes' L2 loss, gradient ascent on the log-likelihood; then the tumours
# that were held out are classified: malignant if P(y = +1) > 0.5.


# %%
def train(data: Data, epochs: int, compiled: bool, folder: str | None) -> dict[str, float]:
    figure, (left, right) = panels(2, width=4.8, height=3.6)
    found = {}
    ways: Any = (
        ("L2 loss", logistic_loss.mean(), GradientDescent(2.0)),
        ("log-likelihood", log_likelihood.mean(), GradientAscent(0.5)),
    )
    for (name, loss, optimizer), line in zip(ways, LINES):
        model = LogisticRegression(data.X.shape[1], initialization="zeros")
        history = fit(
            model, data.X, data.y, loss=loss, optimizer=optimizer, epochs=epochs,
            validation=(data.X_test, data.y_test), compiled=compiled,
        )  # fmt: skip
        found[name] = accuracy([model.predict(x) for x in data.X_test], data.y_test)
        print(f"{name}: {history}")
        print(f"  accuracy on {len(data.y_test)} held-out tumours: {found[name]:.1%}")
        # The L2 loss falls, the log-likelihood rises; its negative shows both on one plot.
        epoch = range(1, epochs + 1)
        left.plot(epoch, np.abs(history.loss), label=name.replace("log-l", "$-$log-l"), **line)
        right.plot(epoch, history.validation_accuracy, label=name, **line)
    left.set(xlabel="epoch", ylabel="mean over the training data", yscale="log")
    left.set_title("objective")
    right.set(xlabel="epoch", ylabel="accuracy on held-out data", ylim=(0.85, 1.0))
    right.yaxis.set_major_formatter("{x:.0%}")
    right.set_title("classified by $P(y=+1) > 0.5$")
    left.legend(fontsize=9)
    right.legend(fontsize=9, loc="lower right")
    save(figure, "03_training", folder)
    return found


# %% [markdown]
# ## Against scikit-learn
#
# On all 30 measurements a plane separates the training data without an error. Then there is no best
# w: larger weights always give a higher likelihood, for ever. On two measurements there are errors,
# so there is one best w, and scikit-learn's solver must find the same.


# %%
def against_sklearn(data: Data, epochs: int, compiled: bool, folder: str | None) -> float:
    model = LogisticRegression(2, initialization="zeros")
    history = fit(
        model, data.X, data.y, loss=log_likelihood.mean(), optimizer=GradientAscent(5.0),
        epochs=epochs, until=GradientNorm(1e-8), compiled=compiled,
    )  # fmt: skip
    everything = load()  # a support vector machine finds a separating plane, if there is one
    separable = SVC(kernel="linear", C=1e6).fit(everything.X, everything.y)
    assert separable.score(everything.X, everything.y) == 1.0
    reference = Reference(C=np.inf, tol=1e-10, max_iter=1000).fit(data.X, data.y)
    ours = [p.data for p in model.parameters()]
    theirs = [*reference.coef_[0], *reference.intercept_]
    print(f"two measurements: {history.stopped} after {len(history)} epochs")
    for name, a, b in zip([*PAIR, "constant"], ours, theirs):
        print(f"  {name:20} {a:+.6f}   scikit-learn {b:+.6f}")
    apart = max(abs(a - b) for a, b in zip(ours, theirs))
    score = accuracy([model.predict(x) for x in data.X_test], data.y_test)
    print(f"  largest difference {apart:.1e}; accuracy on held-out tumours {score:.1%}")
    if history.gradient_norm[-1] <= 1e-8:
        assert apart < 1e-5
    show_probabilities(model, data, folder)
    return apart


def show_probabilities(model: LogisticRegression, data: Data, folder: str | None) -> None:
    figure = plot_probabilities(
        model, data.X_test, data.y_test, class_names=["benign", "malignant"]
    )
    panel, colors = figure.axes
    panel.set(xlabel="texture, standardised", ylabel="concave points, standardised")
    panel.set_title("held-out tumours, and where $P(y = +1 \\mid x; w) = 0.5$")
    colors.set_ylabel("probability that the tumour is malignant")
    figure.set_size_inches(6.0, 4.2)
    save(figure, "03_probability", folder)


# %%
def main(epochs: int = 60, compiled: bool = False, folder: str | None = None) -> None:
    """Logistic regression on breast cancer data."""
    logistic_function(folder)
    data = load()
    compare_gradients(data)
    found = train(data, epochs, compiled, folder)
    if epochs >= 50:
        assert min(found.values()) > 0.94
    against_sklearn(load(PAIR), 10 * epochs, compiled, folder)


# %%
if __name__ == "__main__":
    run(main)
