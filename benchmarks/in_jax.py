"""The programs in jax, compiled by ``jit``, float64, on the CPU with one thread.

Networks and the mixture are written with arrays, as one does in jax; the other programs are the
scalar code of ``programs.py`` under ``vmap``, with ``scan`` for the loop over time steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from benchmarks import programs
from benchmarks.programs import L2, Rows


def _jax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _mlp(layers: Sequence[Any], x: Any) -> Any:
    import jax

    for depth, (weights, biases) in enumerate(layers):
        x = x @ weights.T + biases
        if depth < len(layers) - 1:
            x = jax.nn.relu(x)
    return x


def _step(layers: Sequence[Any], objective: Callable[[Any], Any], rate: float) -> Any:
    jax = _jax()
    parameters = [tuple(jax.numpy.array(part) for part in layer) for layer in layers]

    @jax.jit
    def update(parameters: Any) -> Any:
        loss, gradients = jax.value_and_grad(objective)(parameters)
        return loss, gradients, jax.tree.map(lambda p, g: p - rate * g, parameters, gradients)

    def step() -> Any:
        nonlocal parameters
        loss, gradients, parameters = jax.block_until_ready(update(parameters))
        return loss, gradients

    return step


def margin_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Callable[[], Any]:
    jax = _jax()
    inputs, labels = jax.numpy.array(xs), jax.numpy.array(ys)

    def objective(parameters: Any) -> Any:
        scores = _mlp(parameters, inputs)[:, 0]
        penalty = sum((p * p).sum() for layer in parameters for p in layer)
        return jax.nn.relu(1.0 - labels * scores).mean() + L2 * penalty

    return _step(layers, objective, rate)


def classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    jax = _jax()
    inputs, classes = jax.numpy.array(xs), jax.numpy.array(ys).astype(int)
    n = jax.numpy.arange(len(ys))

    def objective(parameters: Any) -> Any:
        scores = _mlp(parameters, inputs)
        return (jax.nn.logsumexp(scores, axis=1) - scores[n, classes]).mean()

    return _step(layers, objective, rate)


def gpt_step(parameters: Sequence[float], tokens: Sequence[int], rate: float) -> Callable[[], Any]:
    """One name through the tiny GPT of ``demos/gpt.py``, and a step of Adam."""
    jax = _jax()
    from demos import gpt

    np = jax.numpy
    p = {name: np.array(rows) for name, rows in gpt.cut(parameters).items()}
    zeros = jax.tree.map(np.zeros_like, p)
    state: Any = (p, zeros, zeros)
    read, targets = np.array(tokens[:-1]), np.array(tokens[1:])
    n = len(read)
    past = np.tril(np.ones((n, n), dtype=bool))
    width = gpt.WIDTH // gpt.HEADS

    def normalise(x: Any) -> Any:
        return x * ((x * x).mean(axis=1, keepdims=True) + 1e-5) ** -0.5

    def objective(p: Any, read: Any, targets: Any) -> Any:
        x = p["letter"][read] + p["place"][:n]
        calm = normalise(x)
        query, key, value = (
            (calm @ p[name].T).reshape(n, gpt.HEADS, width).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        likeness = query @ key.transpose(0, 2, 1) / width**0.5
        attention = jax.nn.softmax(np.where(past, likeness, -np.inf), axis=2)
        x = x + (attention @ value).transpose(1, 0, 2).reshape(n, gpt.WIDTH) @ p["mix"].T
        x = x + jax.nn.relu(normalise(x) @ p["wide"].T) @ p["narrow"].T
        scores = normalise(x) @ p["next"].T
        return (jax.nn.logsumexp(scores, axis=1) - scores[np.arange(n), targets]).mean()

    @jax.jit
    def update(state: Any, steps: Any, read: Any, targets: Any) -> Any:
        p, m, v = state
        loss, gradients = jax.value_and_grad(objective)(p, read, targets)
        moved = jax.tree.map(lambda *x: gpt.adam(*x, steps, rate), p, gradients, m, v)
        return loss, tuple({name: moved[name][i] for name in moved} for i in range(3))

    steps = 0

    def step() -> Any:
        nonlocal state, steps
        steps += 1
        loss, state = jax.block_until_ready(update(state, float(steps), read, targets))
        return loss, [state[0][name] for name in gpt.ROWS]  # jax sorts the keys of dicts

    return step


# --- the four programs ----------------------------------------------------------------------------


def _functions(jax: Any) -> Any:
    np = jax.numpy
    return SimpleNamespace(sqrt=np.sqrt, sin=np.sin, cos=np.cos)


def rows(name: str, numbers: Rows, gradient: bool) -> Callable[[], Any]:
    """Values, and gradients if asked for, of a program on many rows."""
    jax = _jax()
    inputs, f = jax.numpy.array(numbers), _functions(jax)

    def one(row: Any) -> Any:
        if name != "predator_prey":
            return getattr(programs, name)(list(row), f)
        step = lambda xy, _: (programs.runge_kutta(*xy, row[2:]), None)  # noqa: E731
        (x, y), _ = jax.lax.scan(step, (row[0], row[1]), length=programs.ODE_STEPS)
        return (x - 1.0) ** 2 + (y - 1.0) ** 2

    call = jax.jit(jax.vmap(jax.value_and_grad(one) if gradient else one))
    return lambda: jax.block_until_ready(call(inputs))


def mixture(parameters: Any, points: Rows, gradient: bool) -> Callable[[], Any]:
    """The mean log-likelihood of many points, and its gradient if asked for."""
    jax = _jax()
    np = jax.numpy
    numbers = tuple(np.array(part) for part in parameters)
    xs = np.array(points)
    below_diagonal = np.tril_indices(xs.shape[1], -1)

    def log_likelihood(numbers: Any) -> Any:
        weights, means, log_diagonals, below = numbers
        roots = jax.vmap(np.diag)(np.exp(log_diagonals))
        roots = roots.at[:, below_diagonal[0], below_diagonal[1]].set(below)
        squares = (np.einsum("kij,nkj->nki", roots, xs[:, None, :] - means) ** 2).sum(axis=2)
        terms = weights + log_diagonals.sum(axis=1) - 0.5 * squares
        return jax.nn.logsumexp(terms, axis=1).mean() - jax.nn.logsumexp(weights)

    call = jax.jit(jax.value_and_grad(log_likelihood) if gradient else log_likelihood)
    return lambda: jax.block_until_ready(call(numbers))
