"""The programs in torch, eager mode, float64, as one writes them there: whole batches as tensors.

The training steps come in two forms: as torch's tutorials have them (``nn.Sequential``,
``backward()``, ``torch.optim``), and lean: bare tensors, ``torch.autograd.grad``, updates in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import programs
from benchmarks.programs import L2, Rows


def _double(numbers: Any, requires_grad: bool = False) -> Any:
    import torch

    return torch.tensor(numbers, dtype=torch.float64, requires_grad=requires_grad)


# --- as the tutorials have it ---------------------------------------------------------------------


def _sequential(layers: Sequence[Any]) -> Any:
    import torch

    modules: list[Any] = []
    for weights, biases in layers:
        linear = torch.nn.Linear(len(weights[0]), len(biases), dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(_double(weights))
            linear.bias.copy_(_double(biases))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def _step(model: Any, objective: Callable[[], Any], rate: float) -> Callable[[], Any]:
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=rate)

    def step() -> Any:
        loss = objective()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, [p.grad for p in model.parameters()]

    return step


def margin_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Callable[[], Any]:
    import torch

    model, inputs, labels = _sequential(layers), _double(xs), _double(ys)

    def objective() -> Any:
        losses = torch.relu(1.0 - labels * model(inputs).squeeze(1))
        return losses.mean() + L2 * sum((p * p).sum() for p in model.parameters())

    return _step(model, objective, rate)


def classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    import torch

    model, inputs, classes = _sequential(layers), _double(xs), _double(ys).long()
    loss = torch.nn.CrossEntropyLoss()
    return _step(model, lambda: loss(model(inputs), classes), rate)


# --- lean -----------------------------------------------------------------------------------------


def _mlp(parameters: Sequence[Any], x: Any) -> Any:
    from torch.nn import functional as F

    for i in range(0, len(parameters), 2):
        x = F.linear(x, parameters[i], parameters[i + 1])
        if i < len(parameters) - 2:
            x = F.relu(x)
    return x


def _lean_step(
    layers: Sequence[Any], objective: Callable[[Sequence[Any]], Any], rate: float
) -> Callable[[], Any]:
    import torch

    parameters = [_double(part, requires_grad=True) for layer in layers for part in layer]

    def step() -> Any:
        loss = objective(parameters)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g in zip(parameters, gradients):
                p.sub_(g, alpha=rate)
        return loss, gradients

    return step


def lean_margin_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    from torch.nn import functional as F

    inputs, labels = _double(xs), _double(ys)

    def objective(parameters: Sequence[Any]) -> Any:
        scores = _mlp(parameters, inputs).squeeze(1)
        penalty = sum(p.square().sum() for p in parameters)
        return F.relu(1.0 - labels * scores).mean() + L2 * penalty

    return _lean_step(layers, objective, rate)


def lean_classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    from torch.nn import functional as F

    inputs, classes = _double(xs), _double(ys).long()
    return _lean_step(layers, lambda p: F.cross_entropy(_mlp(p, inputs), classes), rate)


# --- the tiny GPT ---------------------------------------------------------------------------------


def gpt_step(parameters: Sequence[float], tokens: Sequence[int], rate: float) -> Callable[[], Any]:
    """One name through the tiny GPT of ``demos/gpt.py``, and a step of torch's fused Adam."""
    import torch
    from torch.nn import functional as F

    from demos import gpt

    p = {name: _double(rows, requires_grad=True) for name, rows in gpt.cut(parameters).items()}
    optimizer = torch.optim.Adam(p.values(), lr=rate, betas=(0.85, 0.99), eps=1e-8, fused=True)
    read, targets = torch.tensor(tokens[:-1]), torch.tensor(tokens[1:])
    n = len(read)

    def split(x: Any) -> Any:
        return x.view(n, gpt.HEADS, gpt.WIDTH // gpt.HEADS).transpose(0, 1)

    def normalise(x: Any) -> Any:
        return F.rms_norm(x, (gpt.WIDTH,), eps=1e-5)

    def step() -> Any:
        x = F.embedding(read, p["letter"]) + p["place"][:n]
        calm = normalise(x)
        query, key, value = (split(F.linear(calm, p[name])) for name in ("query", "key", "value"))
        heard = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + F.linear(heard.transpose(0, 1).reshape(n, gpt.WIDTH), p["mix"])
        x = x + F.linear(F.relu(F.linear(normalise(x), p["wide"])), p["narrow"])
        loss = F.cross_entropy(F.linear(normalise(x), p["next"]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, list(p.values())

    return step


# --- the four programs ----------------------------------------------------------------------------


def _bundle_adjustment(rows: Any) -> Any:
    import torch

    rotation, centre, focal = rows[:, 0:3], rows[:, 3:6], rows[:, 6:7]
    principal, radial, point = rows[:, 7:9], rows[:, 9:11], rows[:, 11:14]
    weight, measured = rows[:, 14:15], rows[:, 15:17]
    shifted = point - centre
    angle = rotation.norm(dim=1, keepdim=True)
    axis = rotation / angle
    cosine, sine = angle.cos(), angle.sin()
    along = (axis * shifted).sum(dim=1, keepdim=True)
    crossed = torch.linalg.cross(axis, shifted)
    turned = shifted * cosine + crossed * sine + axis * (along * (1.0 - cosine))
    image = turned[:, :2] / turned[:, 2:]
    r2 = image.square().sum(dim=1, keepdim=True)
    stretch = 1.0 + radial[:, :1] * r2 + radial[:, 1:] * r2.square()
    errors = weight * (focal * stretch * image + principal - measured)
    return 0.5 * errors.square().sum(dim=1)


def _determinant(rows: Any) -> Any:
    return programs.determinant(rows.unbind(1))  # the same minors, a column of numbers for each


def _predator_prey(rows: Any) -> Any:
    return programs.predator_prey(rows.unbind(1))


ROW_PROGRAMS = {
    "bundle_adjustment": _bundle_adjustment,
    "determinant": _determinant,
    "predator_prey": _predator_prey,
}


def rows(name: str, numbers: Rows, gradient: bool) -> Callable[[], Any]:
    """Values, and gradients if asked for, of a program on many rows at once."""
    import torch

    program, inputs = ROW_PROGRAMS[name], _double(numbers, requires_grad=gradient)

    def value() -> Any:
        with torch.no_grad():
            return program(inputs)

    def value_and_gradient() -> Any:
        values = program(inputs)
        return values, torch.autograd.grad(values.sum(), inputs)

    return value_and_gradient if gradient else value


def mixture(parameters: Any, points: Rows, gradient: bool) -> Callable[[], Any]:
    """The mean log-likelihood of many points, and its gradient if asked for."""
    import torch

    numbers = [_double(part, requires_grad=gradient) for part in parameters]
    weights, means, log_diagonals, below = numbers
    xs = _double(points)
    d = means.shape[1]
    i, j = torch.tril_indices(d, d, -1)

    def log_likelihood() -> Any:
        roots = torch.diag_embed(log_diagonals.exp())
        roots[:, i, j] = below
        offsets = xs[:, None, :] - means  # points, components, d
        squares = torch.einsum("kij,nkj->nki", roots, offsets).square().sum(dim=2)
        terms = weights + log_diagonals.sum(dim=1) - 0.5 * squares
        return terms.logsumexp(dim=1).mean() - weights.logsumexp(dim=0)

    def value() -> Any:
        with torch.no_grad():
            return log_likelihood()

    def value_and_gradient() -> Any:
        found = log_likelihood()
        return found, torch.autograd.grad(found, numbers)

    return value_and_gradient if gradient else value
