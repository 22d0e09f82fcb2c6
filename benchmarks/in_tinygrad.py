"""The programs in tinygrad_edu: node by node (``eager_...``) and compiled.

Both run the same scalar functions of ``programs.py``. Compiled training steps keep their parameters
in one numpy vector, of which the program sees slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import programs
from benchmarks.in_numpy import descend
from benchmarks.programs import Rows
from tinygrad_edu import Value
from tinygrad_edu.engine import functional

Step = Callable[[], Any]


# --- eager ----------------------------------------------------------------------------------------


def _values(numbers: Any) -> Any:
    return [_values(x) for x in numbers] if isinstance(numbers, (list, tuple)) else Value(numbers)


def _eager_step(layers: Sequence[Any], objective: Callable[[Any], Any], rate: float) -> Step:
    layers = _values(layers)
    parameters = programs.flat(layers)

    def step() -> Any:
        loss = objective(layers)
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= rate * p.grad
        return loss.data, [p.grad for p in parameters]

    return step


def eager_margin_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Step:
    def objective(layers: Any) -> Any:
        losses = [programs.margin_loss(layers, x, y) for x, y in zip(xs, ys)]
        return functional.mean(losses) + programs.penalty(layers)

    return _eager_step(layers, objective, rate)


def eager_classifier_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Step:
    def objective(layers: Any) -> Any:
        return functional.mean(programs.cross_entropy(layers, x, y) for x, y in zip(xs, ys))

    return _eager_step(layers, objective, rate)


def eager_rows(name: str, numbers: Rows, gradient: bool) -> Step:
    program = getattr(programs, name)

    def values() -> Any:
        return [program(_values(row)).data for row in numbers]

    def values_and_gradients() -> Any:
        outputs, gradients = [], []
        for row in numbers:
            inputs = _values(row)
            output = program(inputs)
            output.backward()
            outputs.append(output.data)
            gradients.append([x.grad for x in inputs])
        return outputs, gradients

    return values_and_gradients if gradient else values


def eager_mixture(parameters: Any, points: Rows, gradient: bool) -> Step:
    def value_and_gradient() -> Any:
        numbers = _values(parameters)
        output = functional.mean(programs.gaussian_mixture(numbers, x) for x in points)
        if not gradient:
            return output.data
        output.backward()
        weights, *matrices = numbers
        by_matrices = [[[x.grad for x in row] for row in matrix] for matrix in matrices]
        return output.data, [x.grad for x in weights], by_matrices

    return value_and_gradient


def eager_gpt_step(parameters: Sequence[float], tokens: Sequence[int], rate: float) -> Step:
    from demos import gpt

    trainer = gpt.Eager(parameters)
    return lambda: (trainer.step(tokens, rate), trainer.parameters)


# --- compiled -------------------------------------------------------------------------------------


def _sizes(layers: Sequence[Any]) -> list[int]:
    return [len(layers[0][0][0]), *(len(biases) for _, biases in layers)]


def margin_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float, threads: int = 1
) -> Step:
    import numpy

    from tinygrad_edu import compile

    sizes = _sizes(layers)
    parameters = numpy.array(programs.flat(layers))
    scratch = numpy.zeros_like(parameters)
    inputs, labels = numpy.array(xs), numpy.array(ys)

    @compile
    def objective(p: Any, x: Any, y: Any) -> Any:  # the mean over the rows leaves the penalty as is
        layers = programs.cut(p, sizes)
        return programs.margin_loss(layers, x, y) + programs.penalty(layers)

    def step() -> Any:
        value, gradient, _ = objective.batch_value_and_grad(
            parameters, inputs, labels, threads=threads
        )
        descend(parameters, gradient, rate, scratch)
        return value, gradient

    return step


def classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float, threads: int = 1
) -> Step:
    import numpy

    from tinygrad_edu import compile

    sizes = _sizes(layers)
    parameters = numpy.array(programs.flat(layers))
    scratch = numpy.zeros_like(parameters)
    inputs, classes = numpy.array(xs), numpy.array(ys)
    loss = compile(lambda p, x, y: programs.cross_entropy(programs.cut(p, sizes), x, y))

    def step() -> Any:
        value, gradient, _ = loss.batch_value_and_grad(parameters, inputs, classes, threads=threads)
        descend(parameters, gradient, rate, scratch)
        return value, gradient

    def single() -> Any:
        value, gradient = loss.value_and_grad(parameters, inputs[0], classes[0], wrt=0)
        descend(parameters, gradient, rate, scratch)
        return value, gradient

    return step if len(xs) > 1 else single


def rows(name: str, numbers: Rows, gradient: bool, threads: int = 1) -> Step:
    import numpy

    from tinygrad_edu import compile

    fast, inputs = compile(getattr(programs, name)), numpy.array(numbers)
    if gradient:
        return lambda: fast.map_value_and_grad(inputs, threads=threads)
    return lambda: fast.map(inputs, threads=threads)


def mixture(parameters: Any, points: Rows, gradient: bool, threads: int = 1) -> Step:
    import numpy

    from tinygrad_edu import compile

    fast = compile(programs.gaussian_mixture)
    numbers = tuple(numpy.array(part) for part in parameters)
    xs = numpy.array(points)
    if gradient:
        return lambda: fast.batch_value_and_grad(numbers, xs, threads=threads)[:2]
    return lambda: fast.map(numbers, xs, shared=(0,), threads=threads).mean()


def gpt_step(parameters: Sequence[float], tokens: Sequence[int], rate: float) -> Step:
    import numpy

    from demos import gpt

    trainer = gpt.Compiled(parameters)
    letters: Any = numpy.array(tokens, dtype=float)
    return lambda: (trainer.step(letters, rate), trainer.parameters)
