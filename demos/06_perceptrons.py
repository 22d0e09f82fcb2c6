# %% [markdown]
# # Perceptrons, and why networks have other activations
#
# A perceptron answers with the sign of w . f(x): it is a neuron with the step function (the notes,
# sections 'Multi-layer Perceptron', 'Measuring Accuracy' and 'Multi-layer Feedforward Neural
# Networks').

# %%
from __future__ import annotations

import numpy as np
from _shared import LINES, panels, run, save
from sklearn.datasets import load_iris

from tinygrad_edu.drawing.plots.charts import plot_activations, plot_boundary
from tinygrad_edu.nn import (
    MLP,
    LinearRegression,
    MultiLayerPerceptron,
    Perceptron,
    accuracy,
    cross_entropy,
    hinge,
    sgn,
    squared_error,
)
from tinygrad_edu.optim import Adam
from tinygrad_edu.training import fit

# %% [markdown]
# ## A binary perceptron and its accuracy
#
#     accuracy(w) = 1/n sum_i (sgn(w . f(x_i)) == y_i)
#
# Where the answer is wrong, the perceptron rule adds y_i f(x_i) to w. Two kinds of iris, told apart
# by their sepals.


# %%
def binary_perceptron(epochs: int, folder: str | None) -> float:
    data = load_iris()
    X = data.data[:100, :2].tolist()
    y = [1 if kind == 1 else -1 for kind in data.target[:100]]
    model = Perceptron(2, initialization="zeros")
    before = accuracy([sgn(model.score(x)) for x in X], y)
    corrections = model.learn(X, y, epochs=epochs, seed=0)
    after = accuracy([sgn(model.score(x)) for x in X], y)
    (w1, w2), b = [w.data for w in model.w], model.b.data
    print(f"perceptron: accuracy {before:.0%} -> {after:.0%} after {corrections} corrections")
    print(f"  answers sgn({w1:+.2f} length {w2:+.2f} width {b:+.2f})")
    wrong = sum(sgn(w1 * x1 + w2 * x2 + b) != label for (x1, x2), label in zip(X, y))
    assert after == 1.0 - wrong / len(X)
    figure, (panel,) = panels(1, width=5.2, height=3.9)
    names = ["setosa, $y = -1$", "versicolor, $y = 1$"]
    border = LinearRegression(2)  # the same w . x + b, without the step
    border.load_state_dict(model.state_dict())
    plot_boundary(border, X, y, loss=hinge, class_names=names, axes=panel)
    panel.legend(loc="upper left", fontsize=9)
    panel.set(xlabel="sepal length (cm)", ylabel="sepal width (cm)")
    panel.set_title(f"a perceptron, accuracy {after:.0%}")
    save(figure, "06_perceptron", folder)
    return after


# %% [markdown]
# ## Two layers of perceptrons
#
# No single perceptron computes "exactly one of the two" (XOR). Two layers do: one hidden neuron
# says "x1 or x2", the other "not both", and the last one "both of these".

# %%
CORNERS = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
XOR = [-1, 1, 1, -1]


def two_layer_perceptron() -> MultiLayerPerceptron:
    network = MultiLayerPerceptron(2, [2, 1])
    either, not_both = network.layers[0].neurons
    either.load_state_dict({"w": [1.0, 1.0], "b": 1.0})
    not_both.load_state_dict({"w": [-1.0, -1.0], "b": 1.0})
    network.layers[1].neurons[0].load_state_dict({"w": [1.0, 1.0], "b": -1.0})
    answers = [network(x).data for x in CORNERS]
    print(f"two-layer perceptron, weights by hand: XOR = {answers}")
    assert answers == XOR
    return network


# %% [markdown]
# ## ... that gradient descent cannot find
#
# "It has a derivative of zero at all points. Intuitively, this means that we cannot know in which
# direction to look." Whatever the weights, every gradient of the loss is exactly 0. With the
# sigmoid in place of the step the gradients say where to go, and the same network learns XOR.


# %%
def step_against_sigmoid(epochs: int) -> None:
    steps = MultiLayerPerceptron(2, [2, 1], seed=0)
    squared_error.of([steps(x) for x in CORNERS], XOR).backward()
    gradients = [p.grad for p in steps.parameters()]
    print(f"step:    gradients of the loss {gradients}")
    assert all(g == 0.0 for g in gradients)
    smooth = MLP(2, [2, 1], "sigmoid", seed=1)
    cross_entropy.of([smooth(x) for x in CORNERS], XOR).backward()
    gradients = [p.grad for p in smooth.parameters()]
    print(f"sigmoid: gradients of the loss {[round(g, 3) for g in gradients]}")
    assert any(g != 0.0 for g in gradients)
    history = fit(smooth, CORNERS, XOR, loss=cross_entropy, optimizer=Adam(0.1), epochs=epochs)
    score = accuracy([sgn(smooth(x)) for x in CORNERS], XOR)
    print(f"sigmoid: loss {history.loss[0]:.3f} -> {history.loss[-1]:.4f}, accuracy {score:.0%}")
    if epochs >= 200:
        assert score == 1.0


# %% [markdown]
# ## Three activations and their derivatives
#
#     step(x) = 1 if x >= 0 else -1     sigma(x) = 1 / (1 + exp(-x))     ReLU(x) = 0 if x < 0 else x
#
# The functions in green, as the forward pass computes them; their derivatives in red, as the
# backward pass does.


# %%
def activations(folder: str | None) -> None:
    save(plot_activations(), "06_activations", folder)


# %% [markdown]
# ## What the loss looks like
#
# The loss of the XOR network as one of its weights changes: with steps it is a staircase, flat
# wherever one stands; with sigmoids it is a slope.


# %%
def loss_along_a_weight(network: MultiLayerPerceptron, folder: str | None) -> None:
    figure, (panel,) = panels(1, width=5.2, height=3.4)
    at = np.linspace(-3.0, 3.0, 241)
    weights = [p.data for p in network.parameters()]
    for name, line, output in (("step", LINES[0], "step"), ("sigmoid", LINES[1], "tanh")):
        losses = []
        model = MLP(2, [2, 1], [name, output])
        for w in at:
            frozen = model.with_parameters([float(w), *weights[1:]])
            losses.append(squared_error.of([frozen(x) for x in CORNERS], XOR))
        jumps = np.flatnonzero(np.abs(np.diff(losses)) > 0.5) + 1  # a jump is no steep line
        panel.plot(
            np.insert(at, jumps, np.nan), np.insert(losses, jumps, np.nan), label=name, **line
        )
    panel.set(xlabel="first weight of the network", ylabel="loss on XOR")
    panel.set_title("the loss as one weight changes")
    panel.legend(title="hidden neurons", fontsize=9)
    save(figure, "06_loss", folder)


# %%
def main(epochs: int = 300, folder: str | None = None) -> None:
    """Perceptrons, two layers of them, and the activations that can be trained."""
    score = binary_perceptron(5 * epochs, folder)
    if epochs >= 200:
        assert score == 1.0  # the data are separable, so the rule comes to an end
    network = two_layer_perceptron()
    step_against_sigmoid(epochs)
    activations(folder)
    loss_along_a_weight(network, folder)


# %%
if __name__ == "__main__":
    run(main)
