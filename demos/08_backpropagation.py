# %% [markdown]
# # Backpropagation
#
# A network is a graph of operators and operands, the *computational graph*. The forward pass
# computes each node's value from the nodes before it; the backward pass starts at the last node,
# whose gradient is 1, and hands every node its share of the derivative, by the chain rule (the
# notes, section 'The Backpropagation Algorithm').
#
# In the figures the forward value stands in green above the line that leaves a node, and the
# gradient in red below it: the derivative of the last node f with respect to that node.

# %%
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from _shared import FIGURES, in_notebook, run

from tinygrad_edu import Value, draw
from tinygrad_edu.cli import forward_table
from tinygrad_edu.nn import MLP
from tinygrad_edu.nn.losses import mean_squared_error
from tinygrad_edu.optim import Adam
from tinygrad_edu.training import fit


def show(
    title: str, output: Value, file: str, folder: str | None, parameters: Iterable[Value] = ()
) -> None:
    """Draw a graph, save it as SVG and as PNG, and print the table of its nodes."""
    place = FIGURES if folder is None else Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    figure = draw(output, parameters=parameters, title=title)
    print(f"{title}\n\n{forward_table(output)}\n")
    for suffix in (".svg", ".png"):
        path = place / f"{file}{suffix}"
        figure.save(path)
        print(f"figure: {os.path.relpath(path)}")
    print()
    if in_notebook():
        from IPython.display import display

        display(figure)


# %% [markdown]
# ## Figure 1
#
# f = g * z with g = x + y, at x = 2, y = 3, z = 4. A product hands each factor the other one, times
# the gradient that comes in: df/dg = z = 4 and df/dz = g = 5. A sum hands its gradient on as it is:
# df/dx = df/dy = 4.


# %%
def figure_1(folder: str | None = None) -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    g = x + y
    g.label = "g"
    f = g * z
    f.label = "f"
    f.backward()
    assert (f.data, x.grad, y.grad, z.grad) == (20.0, 4.0, 4.0, 5.0)
    show("Figure 1: (x + y) * z", f, "figure1", folder)
    return f


# %% [markdown]
# ## Figure 2
#
# Here x and y are used twice: in the sum h and in the product i. Gradients add where paths join:
# df/dx = df/dh * dh/dx + df/di * di/dx = 4 * 1 + 4 * 3 = 16.


# %%
def figure_2(folder: str | None = None) -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    h, i = x + y, x * y
    g = h + i
    h.label, i.label, g.label = "h", "i", "g"
    f = g * z
    f.label = "f"
    f.backward()
    assert (f.data, x.grad, y.grad, z.grad) == (44.0, 16.0, 12.0, 11.0)
    show("Figure 2: ((x + y) + (x * y)) * z", f, "figure2", folder)
    return f


# %% [markdown]
# ## A neuron of a trained network
#
# A network of three hidden neurons learns "one or the other, but not both", which no line can
# separate. Its first hidden neuron is drawn at one example, every product and sum of it, with the
# parameters tinted. The gradients are those of the loss at this example: a step of gradient descent
# subtracts a little of each parameter's red number from its green one. They are small, for little
# is left to be learned. (Those of x1 and x2 add up over all three neurons, of which one is drawn.)


# %%
def neuron(epochs: int = 200, folder: str | None = None) -> Value:
    X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    model = MLP(2, [3, 1], "tanh", seed=2)
    history = fit(model, X, y, loss=mean_squared_error, optimizer=Adam(0.1), epochs=epochs)
    print(f"exclusive or: {history}\n")

    first = model.layers[0].neurons[0]
    first.expanded = True
    for name, weight in zip(("w1", "w2"), first.w):
        weight.label = name
    first.b.label = "b"
    model.zero_grad()
    inputs = [Value(1.0, "x1"), Value(0.0, "x2")]
    hidden = [neuron(inputs) for neuron in model.layers[0].neurons]
    hidden[0].label = "hidden 1"
    loss = mean_squared_error(model.layers[1](hidden), 1.0)
    loss.backward()
    parameters = first.parameters()
    show("A neuron of a trained network", hidden[0], "08_neuron", folder, parameters)
    return hidden[0]


# %% [markdown]
# ## By hand
#
# `backward()` is nothing but this: give the output the gradient 1, then let every node hand its
# operands their share, outputs before what they were computed from. `step_back()` is one node's
# part; in micrograd it is called `_backward()`. After each step the graph is drawn: the numbers
# below the lines arrive one after the other, and at x and y, where two paths join, they grow.


# %%
def by_hand(folder: str | None = None) -> Value:
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    h, i = x + y, x * y
    g = h + i
    f = g * z
    for node, name in zip((f, g, h, i), "fghi"):
        node.label = name
    f.grad = 1.0
    for step, node in enumerate((f, g, i, h), 1):
        node.step_back()
        print(
            f"after {node.label} has passed its gradient on: df/dx = {x.grad:g}, df/dy = {y.grad:g}"
        )
        figure = draw(f, gradients=True, title=f"Step {step}")
        place = FIGURES if folder is None else Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        figure.save(place / f"08_by_hand_{step}.svg")
        if in_notebook():
            from IPython.display import display

            display(figure)
    return f


# %%
def main(epochs: int = 200, folder: str | None = None) -> None:
    """Draw the notes' Figures 1 and 2, and a neuron of a network trained on exclusive or."""
    figure_1(folder)
    figure_2(folder)
    by_hand(folder)
    neuron(epochs, folder)


# %%
if __name__ == "__main__":
    run(main)
