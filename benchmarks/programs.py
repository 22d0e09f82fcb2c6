"""The programs that are measured, written once, as scalar code.

Each function works on plain floats, on ``Value``s, on the compiler's symbols and on anything else
that does arithmetic: ``f`` is the place the functions come from (``f.exp``, ``f.dot``, ...), by
default ``tinygrad_edu.functional``; the same program then runs on casadi's SX, jax's tracers, or
with a torch tensor of a whole batch in the place of each number.

Networks take their parameters as a list of layers, each a pair (one row of weights for each neuron,
one bias for each neuron): nested lists of nodes, or numpy arrays. The notes, section 'Multi-layer
Feedforward Neural Networks'.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinygrad_edu.engine import functional

Rows = list[list[float]]
L2 = 1e-4  # the weight of the penalty in the two-moons objective, as in micrograd's demo


# --- networks -------------------------------------------------------------------------------------


def mlp(layers: Sequence[Any], x: Sequence[Any], f: Any = functional) -> list[Any]:
    """A multilayer perceptron with ReLU between the layers and nothing after the last."""
    for depth, (weights, biases) in enumerate(layers):
        x = [f.dot(row, x, start=bias) for row, bias in zip(weights, biases)]
        if depth < len(layers) - 1:
            x = [f.relu(a) for a in x]
    return list(x)


def margin_loss(layers: Sequence[Any], x: Sequence[Any], y: Any, f: Any = functional) -> Any:
    """Two moons, one example: max(0, 1 - y * score), with the label y = -1 or 1."""
    (score,) = mlp(layers, x, f)
    return f.relu(1.0 - y * score)


def penalty(layers: Sequence[Any], f: Any = functional) -> Any:
    """L2: the sum of the squares of all parameters."""
    squares = []
    for weights, biases in layers:
        squares += [f.dot(row, row) for row in (*weights, biases)]
    return L2 * f.sum(squares)


def cross_entropy(layers: Sequence[Any], x: Sequence[Any], y: Any, f: Any = functional) -> Any:
    """Classification, one example: minus the log-likelihood of the class whose index is y."""
    scores = mlp(layers, x, f)
    return f.logsumexp(scores) - f.take(scores, y)


def initial_layers(sizes: Sequence[int], seed: int) -> list[tuple[Rows, list[float]]]:
    """Draw weights uniformly from -1/sqrt(inputs) to 1/sqrt(inputs), and small biases."""
    rng = random.Random(seed)
    layers = []
    for inputs, outputs in pairwise(sizes):
        bound = 1.0 / math.sqrt(inputs)
        weights = [[rng.uniform(-bound, bound) for _ in range(inputs)] for _ in range(outputs)]
        layers.append((weights, [rng.uniform(-0.1, 0.1) for _ in range(outputs)]))
    return layers


def flat(layers: Sequence[Any]) -> list[Any]:
    """All parameters as one list: each layer's weights row by row, then its biases."""
    return [p for rows, biases in layers for row in (*rows, biases) for p in row]


def cut(parameters: Sequence[Any], sizes: Sequence[int]) -> list[tuple[list[Any], Any]]:
    """Undo ``flat``; slices of arrays are views, so nothing is copied."""
    layers, start = [], 0
    for inputs, outputs in pairwise(sizes):
        rows = [parameters[start + i * inputs :][:inputs] for i in range(outputs)]
        start += inputs * outputs
        layers.append((rows, parameters[start : start + outputs]))
        start += outputs
    return layers


def two_moons(n: int, seed: int, noise: float = 0.1) -> tuple[Rows, list[float]]:
    """Two interleaved half circles with labels -1 and 1, in random order."""
    rng = random.Random(seed)
    points = []
    for i in range(n):
        angle = math.pi * rng.random()
        x, y = math.cos(angle), math.sin(angle)
        if i % 2:
            x, y = 1.0 - x, 0.5 - y
        noisy = [x + rng.gauss(0.0, noise), y + rng.gauss(0.0, noise)]
        points.append((noisy, 1.0 if i % 2 else -1.0))
    rng.shuffle(points)
    return [x for x, _ in points], [y for _, y in points]


def images(n: int, pixels: int, classes: int, seed: int) -> tuple[Rows, list[float]]:
    """MNIST-shaped data: four pixels in five are 0, the others between 0 and 1."""
    rng = random.Random(seed)
    rows = [[max(0.0, 5.0 * rng.random() - 4.0) for _ in range(pixels)] for _ in range(n)]
    return rows, [float(rng.randrange(classes)) for _ in range(n)]


# --- four programs from the literature on automatic differentiation -------------------------------


def bundle_adjustment(row: Sequence[Any], f: Any = functional) -> Any:
    """Half the squared reprojection error of one observation in bundle adjustment.

    ``row`` holds 17 numbers: the camera's rotation (an axis times an angle, 3), centre (3), focal
    length, principal point (2) and radial distortion (2), the 3-D point (3), a weight, and the
    measured image point (2). The model is the one of Srajer, Kukelova and Fitzgibbon, 'A Benchmark
    of Selected Algorithmic Differentiation Tools', Optimization Methods and Software 33 (2018).
    """
    rotation, centre, focal, principal, radial = row[0:3], row[3:6], row[6], row[7:9], row[9:11]
    point, weight, measured = row[11:14], row[14], row[15:17]
    # 1. The point as the camera sees it: shifted, then turned by Rodrigues' formula.
    shifted = [p - c for p, c in zip(point, centre)]
    angle = f.sqrt(sum_of_squares(rotation))
    axis = [r / angle for r in rotation]
    cosine, sine = f.cos(angle), f.sin(angle)
    along = axis[0] * shifted[0] + axis[1] * shifted[1] + axis[2] * shifted[2]
    crossed = cross(axis, shifted)
    x, y, z = (
        p * cosine + c * sine + a * along * (1.0 - cosine)
        for p, c, a in zip(shifted, crossed, axis)
    )
    # 2. Projected onto the image plane, with radial distortion.
    x, y = x / z, y / z
    r2 = x * x + y * y
    stretch = 1.0 + radial[0] * r2 + radial[1] * r2 * r2
    # 3. In pixels, against what was measured.
    errors = [
        weight * (focal * stretch * a + p - m) for a, p, m in zip((x, y), principal, measured)
    ]
    return 0.5 * sum_of_squares(errors)


def sum_of_squares(xs: Sequence[Any]) -> Any:
    total = xs[0] * xs[0]
    for x in xs[1:]:
        total = total + x * x
    return total


def cross(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """The cross product of two vectors in space."""
    return [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]


def observations(n: int, seed: int) -> Rows:
    """Rows for ``bundle_adjustment``, all in front of the camera."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        rotation = [rng.uniform(-0.4, 0.4) for _ in range(3)]
        centre = [rng.uniform(-1.0, 1.0) for _ in range(3)]
        camera = [rng.uniform(0.8, 1.2), rng.gauss(0.0, 0.1), rng.gauss(0.0, 0.1)]
        radial = [rng.gauss(0.0, 0.05), rng.gauss(0.0, 0.01)]
        point = [rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0), rng.uniform(5.0, 9.0)]
        measured = [rng.gauss(0.0, 0.3), rng.gauss(0.0, 0.3)]
        rows.append(
            [*rotation, *centre, *camera, *radial, *point, rng.uniform(0.5, 1.5), *measured]
        )
    return rows


def gaussian_mixture(parameters: Any, x: Sequence[Any], f: Any = functional) -> Any:
    """The log-likelihood of one point under a mixture of Gaussians, constant terms left out.

    ``parameters`` is (weights before the softmax, means, logarithms of the diagonals and entries
    below the diagonals, row by row, of the lower triangular square roots Q of the precision
    matrices): per component one number, d, d, and d (d - 1) / 2. The formula is that of Srajer,
    Kukelova and Fitzgibbon (2018), without the prior: log sum_k exp(log w_k + log det Q_k -
    |Q_k (x - mean_k)|^2 / 2).
    """
    weights, means, log_diagonals, below = parameters
    terms = []
    for weight, mean, log_diagonal, lower in zip(weights, means, log_diagonals, below):
        offset = [a - m for a, m in zip(x, mean)]
        squares = 0.0
        entries = iter(lower)
        for i in range(len(offset)):
            entry = f.exp(log_diagonal[i]) * offset[i]
            for j in range(i):
                entry = entry + next(entries) * offset[j]
            squares = squares + entry * entry
        terms.append(weight + f.sum(log_diagonal) - 0.5 * squares)
    return f.logsumexp(terms) - f.logsumexp(weights)


def mixture(components: int, d: int, seed: int) -> tuple[list[float], Rows, Rows, Rows]:
    """Parameters for ``gaussian_mixture``."""
    rng = random.Random(seed)

    def draw(columns: int, spread: float) -> Rows:
        return [[rng.gauss(0.0, spread) for _ in range(columns)] for _ in range(components)]

    weights = [rng.gauss(0.0, 1.0) for _ in range(components)]
    return weights, draw(d, 2.0), draw(d, 0.3), draw(d * (d - 1) // 2, 0.5)


def points(n: int, d: int, seed: int) -> Rows:
    rng = random.Random(seed)
    return [[rng.gauss(0.0, 2.0) for _ in range(d)] for _ in range(n)]


def determinant(row: Sequence[Any], f: Any = functional) -> Any:  # noqa: ARG001 - arithmetic alone
    """The determinant of an n x n matrix, given row by row, by expansion into minors.

    The minors of the last rows are computed once for each choice of columns and shared.
    """
    n = math.isqrt(len(row))
    matrix = [row[i * n : (i + 1) * n] for i in range(n)]
    minors: dict[tuple[int, ...], Any] = {(j,): matrix[n - 1][j] for j in range(n)}
    for i in range(n - 2, -1, -1):  # expand along row i, with the rows below it done
        wider: dict[tuple[int, ...], Any] = {}
        for columns in choices(n, n - i):
            total: Any = None
            for position, j in enumerate(columns):
                rest = columns[:position] + columns[position + 1 :]
                term = matrix[i][j] * minors[rest]
                if total is None:
                    total = term
                else:
                    total = total - term if position % 2 else total + term
            wider[columns] = total
        minors = wider
    return minors[tuple(range(n))]


def choices(n: int, k: int) -> list[tuple[int, ...]]:
    """All ways to choose k of the columns 0 .. n - 1, in order."""
    chosen: list[tuple[int, ...]] = [()]
    for _ in range(k):
        chosen = [(*c, j) for c in chosen for j in range(c[-1] + 1 if c else 0, n)]
    return chosen


def matrices(count: int, n: int, seed: int) -> Rows:
    rng = random.Random(seed)
    return [[rng.uniform(-1.0, 1.0) for _ in range(n * n)] for _ in range(count)]


ODE_STEPS = 100


def predator_prey(row: Sequence[Any], f: Any = functional) -> Any:  # noqa: ARG001
    """How far from (1, 1) a Lotka-Volterra system ends: a loop of 100 Runge-Kutta steps.

    ``row`` holds the two populations at the start and the four rates.
    """
    x, y, *rates = row
    for _ in range(ODE_STEPS):
        x, y = runge_kutta(x, y, rates)
    return (x - 1.0) * (x - 1.0) + (y - 1.0) * (y - 1.0)


def runge_kutta(x: Any, y: Any, rates: Sequence[Any]) -> tuple[Any, Any]:
    """One step of the classical Runge-Kutta method for the populations x (prey) and y."""
    birth, hunt, feed, death = rates
    h = 5.0 / ODE_STEPS

    def slope(x: Any, y: Any) -> tuple[Any, Any]:
        meetings = x * y
        return birth * x - hunt * meetings, feed * meetings - death * y

    a, b = slope(x, y)
    c, d = slope(x + 0.5 * h * a, y + 0.5 * h * b)
    p, q = slope(x + 0.5 * h * c, y + 0.5 * h * d)
    r, s = slope(x + h * p, y + h * q)
    return x + h / 6.0 * (a + 2.0 * (c + p) + r), y + h / 6.0 * (b + 2.0 * (d + q) + s)


def populations(n: int, seed: int) -> Rows:
    rng = random.Random(seed)
    ranges = ((0.5, 2.0), (0.5, 2.0), (0.8, 1.2), (0.3, 0.6), (0.2, 0.4), (0.5, 1.0))
    return [[rng.uniform(*bounds) for bounds in ranges] for _ in range(n)]


# --- programs of any length -----------------------------------------------------------------------


def recurrence(operations: int) -> Any:
    """A regular program of the given number of operations, for the curve of growth."""

    def program(a: Any, b: Any) -> Any:
        x = a
        for _ in range(operations // 3):
            x = x - b * (x * x)
        return x

    return program


def random_graph(operations: int, leaves: int, seed: int) -> Any:
    """An irregular program: random operations on random earlier results, bounded by construction.

    Every result is used: those that no later operation happens to read are added up in pairs. Uses
    only what micrograd has: ``+ - *`` and ``relu``.
    """
    rng = random.Random(seed)
    plan = []
    for i in range(operations):
        available = leaves + i
        plan.append((rng.randrange(4), rng.randrange(available), rng.randrange(available)))

    def program(xs: Sequence[Any]) -> Any:
        nodes = list(xs)
        used = set()
        for kind, i, j in plan:
            a, b = nodes[i], nodes[j]
            used.add(i)
            if kind == 3:
                nodes.append(a.relu())
                continue
            if kind == 2:
                j %= leaves  # a factor from the leaves, so that nothing explodes
                b = nodes[j]
            used.add(j)
            nodes.append(a + b if kind == 0 else a - b if kind == 1 else a * b)
        ends = [node for i, node in enumerate(nodes) if i not in used]
        while len(ends) > 1:
            last = [ends.pop()] if len(ends) % 2 else []
            ends = [a + b for a, b in zip(ends[::2], ends[1::2])] + last
        return ends[0]

    return program
