"""The training steps in numpy, with the backward passes worked out and written by hand.

Written as somebody in a hurry for speed would: one vector of parameters with views into it, whole
batches as matrix products, results written in place. The notes, section 'Backpropagation'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.programs import L2, Rows, flat


def descend(parameters: Any, gradients: Any, rate: float, scratch: Any) -> None:
    """``parameters -= rate * gradients`` without allocating anything."""
    import numpy as np

    np.multiply(gradients, rate, out=scratch)
    np.subtract(parameters, scratch, out=parameters)


class Network:
    """A multilayer perceptron: the parameters, the gradients, and views of both, layer by layer."""

    def __init__(self, layers: Sequence[Any]) -> None:
        import numpy as np

        sizes = [len(layers[0][0][0]), *(len(biases) for _, biases in layers)]
        self.parameters = np.array(flat(layers))
        self.gradients = np.zeros_like(self.parameters)
        self.scratch = np.zeros_like(self.parameters)
        self.layers = self._views(self.parameters, sizes)
        self.by_layers = self._views(self.gradients, sizes)

    @staticmethod
    def _views(numbers: Any, sizes: Sequence[int]) -> list[tuple[Any, Any]]:
        views, start = [], 0
        for inputs, outputs in pairwise(sizes):
            end = start + inputs * outputs
            views.append((numbers[start:end].reshape(outputs, inputs), numbers[end:][:outputs]))
            start = end + outputs
        return views

    def forward(self, x: Any) -> list[Any]:
        """Return what goes into each layer, and what comes out of the last."""
        activations = [x]
        for depth, (weights, biases) in enumerate(self.layers):
            x = x @ weights.T
            x += biases
            if depth < len(self.layers) - 1:
                x = x.clip(min=0.0)
            activations.append(x)
        return activations

    def backward(self, activations: list[Any], by_output: Any) -> None:
        """Fill in the gradients, given the gradient by the output of the last layer."""
        import numpy as np

        for depth in reversed(range(len(self.layers))):
            x = activations[depth]
            np.matmul(by_output.T, x, out=self.by_layers[depth][0])
            np.sum(by_output, axis=0, out=self.by_layers[depth][1])
            if depth:
                by_output = by_output @ self.layers[depth][0]
                by_output *= x > 0.0


def margin_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Callable[[], Any]:
    import numpy as np

    network, inputs, labels = Network(layers), np.array(xs), np.array(ys)[:, None]

    def step() -> Any:
        # 1. Forward
        activations = network.forward(inputs)
        losses = np.maximum(1.0 - labels * activations[-1], 0.0)
        p = network.parameters
        loss = losses.mean() + L2 * (p @ p)
        # 2. Backward
        network.backward(activations, (losses > 0.0) * labels * (-1.0 / len(labels)))
        gradients = network.gradients
        gradients += 2.0 * L2 * p
        # 3. Update
        descend(p, gradients, rate, network.scratch)
        return loss, gradients

    return step


def classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    import numpy as np

    network, inputs, classes = Network(layers), np.array(xs), np.array(ys, dtype=int)
    n = np.arange(len(classes))

    def step() -> Any:
        # 1. Forward
        activations = network.forward(inputs)
        scores = activations[-1]
        top = scores.max(axis=1, keepdims=True)
        exponentials = np.exp(scores - top)
        sums = exponentials.sum(axis=1, keepdims=True)
        loss = (top + np.log(sums)).mean() - scores[n, classes].mean()
        # 2. Backward: the softmax probabilities, minus 1 for the right class
        exponentials /= sums
        exponentials[n, classes] -= 1.0
        exponentials /= len(classes)
        network.backward(activations, exponentials)
        # 3. Update
        descend(network.parameters, network.gradients, rate, network.scratch)
        return loss, network.gradients

    return step


def gpt_step(parameters: Sequence[float], tokens: Sequence[int], rate: float) -> Callable[[], Any]:
    """One name through the tiny GPT of ``demos/gpt.py``, and a step of Adam."""
    import numpy as np

    from demos import gpt

    theta = np.array(parameters)
    gradient, m, v = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)

    def views(numbers: Any) -> dict[str, Any]:
        named, start = {}, 0
        for name, (rows, columns) in gpt.ROWS.items():
            named[name] = numbers[start : start + rows * columns].reshape(rows, columns)
            start += rows * columns
        return named

    p, g = views(theta), views(gradient)
    heads, width = gpt.HEADS, gpt.WIDTH // gpt.HEADS
    read, targets = np.array(tokens[:-1]), np.array(tokens[1:])
    n = len(read)
    rows = np.arange(n)
    future = np.triu(np.full((n, n), -np.inf), 1)
    steps = 0

    def normalise(x: Any) -> tuple[Any, Any]:
        scale = (np.mean(x * x, axis=1, keepdims=True) + 1e-5) ** -0.5
        return x * scale, scale

    def by_normalise(by_y: Any, y: Any, scale: Any) -> Any:
        return scale * (by_y - y * np.mean(by_y * y, axis=1, keepdims=True))

    def split(x: Any) -> Any:
        return x.reshape(n, heads, width).transpose(1, 0, 2)

    def join(x: Any) -> Any:
        return x.transpose(1, 0, 2).reshape(n, gpt.WIDTH)

    def step() -> Any:
        nonlocal steps
        steps += 1
        # 1. Forward
        x0 = p["letter"][read] + p["place"][:n]
        calm, calm_scale = normalise(x0)
        query, key, value = (split(calm @ p[name].T) for name in ("query", "key", "value"))
        likeness = query @ key.transpose(0, 2, 1) / width**0.5 + future
        attention = np.exp(likeness - likeness.max(axis=2, keepdims=True))
        attention /= attention.sum(axis=2, keepdims=True)
        heard = join(attention @ value)
        x1 = x0 + heard @ p["mix"].T
        thought, thought_scale = normalise(x1)
        hidden = np.maximum(thought @ p["wide"].T, 0.0)
        x2 = x1 + hidden @ p["narrow"].T
        last, last_scale = normalise(x2)
        scores = last @ p["next"].T
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        sums = chances.sum(axis=1, keepdims=True)
        loss = np.log(sums).mean() - scores[rows, targets].mean()
        # 2. Backward
        by_scores = chances / sums
        by_scores[rows, targets] -= 1.0
        by_scores /= n
        np.matmul(by_scores.T, last, out=g["next"])
        by_x2 = by_normalise(by_scores @ p["next"], last, last_scale)
        np.matmul(by_x2.T, hidden, out=g["narrow"])
        by_hidden = by_x2 @ p["narrow"] * (hidden > 0.0)
        np.matmul(by_hidden.T, thought, out=g["wide"])
        by_x1 = by_x2 + by_normalise(by_hidden @ p["wide"], thought, thought_scale)
        np.matmul(by_x1.T, heard, out=g["mix"])
        by_heard = split(by_x1 @ p["mix"])
        by_attention = by_heard @ value.transpose(0, 2, 1)
        by_value = join(attention.transpose(0, 2, 1) @ by_heard)
        by_likeness = by_attention - (by_attention * attention).sum(axis=2, keepdims=True)
        by_likeness *= attention / width**0.5
        by_query, by_key = join(by_likeness @ key), join(by_likeness.transpose(0, 2, 1) @ query)
        by_calm = np.zeros_like(calm)
        for name, by in (("query", by_query), ("key", by_key), ("value", by_value)):
            np.matmul(by.T, calm, out=g[name])
            by_calm += by @ p[name]
        by_x0 = by_x1 + by_normalise(by_calm, calm, calm_scale)
        g["letter"].fill(0.0)
        np.add.at(g["letter"], read, by_x0)
        g["place"].fill(0.0)
        g["place"][:n] = by_x0
        # 3. Update
        theta[:], m[:], v[:] = gpt.adam(theta, gradient, m, v, steps, rate)
        return loss, theta

    return step
