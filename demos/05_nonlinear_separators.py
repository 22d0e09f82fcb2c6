# %% [markdown]
# # Non-linear separators
#
# "We would like to separate the two colors, and clearly there is no way this can be done in a
# single dimension" (the notes, section 'Non-linear Separators'): the points of one colour lie
# between those of the other, and a linear separator on a line is a single point.

# %%
from __future__ import annotations

from typing import Any

import numpy as np
from _shared import INK, panels, run, save

from tinygrad_edu.drawing.plots.charts import plot_boundary
from tinygrad_edu.drawing.plots.classes import CLASS_COLORS, CLASS_MARKERS
from tinygrad_edu.nn import MLP, LogisticRegression, Polynomial, accuracy, cross_entropy
from tinygrad_edu.optim import Adam, GradientDescent
from tinygrad_edu.training import fit

X = [[-3.0], [-2.5], [-2.0], [-0.8], [-0.4], [0.0], [0.5], [0.9], [1.8], [2.4], [2.9]]
Y = [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]
NAMES = ["$y = 0$", "$y = 1$"]


# %% [markdown]
# ## On the line: not possible
#
# A logistic regression that sees x alone does what it can.


# %%
def one_feature(epochs: int) -> tuple[LogisticRegression, float]:
    model = LogisticRegression(1, initialization="zeros")
    fit(model, X, Y, loss=cross_entropy, optimizer=GradientDescent(0.5), epochs=epochs)
    score = accuracy([model.predict(x) for x in X], Y)
    print(f"x alone:        accuracy {score:.0%}, w = {model.w[0].data:+.2f}, ", end="")
    print(f"b = {model.b.data:+.2f}")
    assert score < 1.0
    return model, score


# %% [markdown]
# ## With x^2 as a second feature: a line separates them
#
# "We were able to fix the problem by mapping our data to a higher dimensional space by manually
# adding useful features": f(x) = (x, x^2). The separator w . f(x) + b = 0 is a line in the plane of
# the two features; back on the x-axis it is two points, the roots of a quadratic.


# %%
def two_features(epochs: int) -> tuple[LogisticRegression, float]:
    model = LogisticRegression(1, features=Polynomial(2), initialization="zeros")
    fit(model, X, Y, loss=cross_entropy, optimizer=GradientDescent(0.3), epochs=epochs)
    score = accuracy([model.predict(x) for x in X], Y)
    (w1, w2), b = [w.data for w in model.w], model.b.data
    print(f"x and x^2:      accuracy {score:.0%}, separator ", end="")
    print(f"{w1:+.2f} x {w2:+.2f} x^2 {b:+.2f} = 0")
    if epochs >= 100:
        assert score == 1.0
    return model, score


# %% [markdown]
# ## Learned features
#
# "A natural desire is to learn these featurization or transformation functions as well." A network
# with two hidden neurons does: their outputs are the features that the last neuron looks at, and
# they are trained together with it. (From some starts, such as seed 1, the same training gets
# stuck: "gradient descent is a greedy algorithm and neural nets can have many local optima".)


# %%
def learned_features(epochs: int) -> tuple[MLP, float]:
    model = MLP(1, [2, 1], "tanh", seed=0)
    history = fit(model, X, Y, loss=cross_entropy, optimizer=Adam(0.1), epochs=epochs)
    score = accuracy([int(model(x).data > 0.0) for x in X], Y)
    print(f"two tanh units: accuracy {score:.0%}, loss {history.loss[0]:.3f} -> ", end="")
    print(f"{history.loss[-1]:.4f}")
    for i, neuron in enumerate(model.layers[0].neurons, start=1):
        print(f"  learned feature {i}: tanh({neuron.w[0].data:+.2f} x {neuron.b.data:+.2f})")
    if epochs >= 100:
        assert score == 1.0
    return model, score


# %%
def show(alone: Any, square: Any, network: MLP, scores: list[float], folder: str | None) -> None:
    figure, (first, second, third) = panels(3, width=4.2, height=3.9)
    # 1. The line itself, with what the model makes of it.
    at = np.linspace(-3.4, 3.4, 201)
    first.plot(at, [alone([float(x)]).data for x in at], color=INK, linewidth=1.2)
    for k, name in enumerate(NAMES):
        on_line = [x for (x,), label in zip(X, Y) if label == k]
        options: Any = {"c": CLASS_COLORS[k], "marker": CLASS_MARKERS[k], "s": 45, "clip_on": False}
        first.scatter(on_line, [0.0] * len(on_line), label=name, zorder=3, **options)
    first.annotate("$P(y = 1 \\mid x)$", (1.0, alone([1.0]).data), (0.0, 0.62), ha="center")
    first.set(xlabel="$x$", ylabel="probability", ylim=(0.0, 1.0))
    first.set_title(f"$x$ alone: no point separates them ({scores[0]:.0%})")
    first.legend(loc="upper right", fontsize=9)
    # 2. The plane of x and x^2.
    squared = [[x, x * x] for (x,) in X]
    plane = LogisticRegression(2)
    plane.load_state_dict(square.state_dict())
    plot_boundary(plane, squared, Y, class_names=NAMES, axes=second)
    second.plot(at, at**2, color=INK, linewidth=0.7, linestyle=":")
    second.set(xlabel="$x$", ylabel="$x^2$")
    second.set_title(f"$x$ and $x^2$: a line does ({scores[1]:.0%})")
    # 3. The plane of the two hidden neurons.
    hidden, last = network.layers[0].numbers(), network.layers[1]
    plot_boundary(last, [hidden(x) for x in X], Y, class_names=NAMES, axes=third)
    third.plot(*zip(*(hidden([float(x)]) for x in at)), color=INK, linewidth=0.7, linestyle=":")
    third.set(xlabel="hidden neuron 1", ylabel="hidden neuron 2")
    third.set_title(f"features learned by a network ({scores[2]:.0%})")
    save(figure, "05_nonlinear_separators", folder)


# %%
def main(epochs: int = 200, folder: str | None = None) -> None:
    """One-dimensional data that no line separates, and the features that make it easy."""
    alone, square, network = one_feature(epochs), two_features(epochs), learned_features(epochs)
    show(alone[0], square[0], network[0], [alone[1], square[1], network[1]], folder)


# %%
if __name__ == "__main__":
    run(main)
