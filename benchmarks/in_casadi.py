"""The programs in casadi: SX graphs from the same scalar code, run by casadi's own virtual machine.

A batch is ``Function.map`` (serial); casadi shares common subexpressions (option ``cse``) and is
called through its buffer interface, which copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from types import SimpleNamespace
from typing import Any

from benchmarks import programs
from benchmarks.in_numpy import descend
from benchmarks.programs import L2, Rows


def _functions() -> Any:
    """What ``tinygrad_edu.functional`` offers, on SX."""
    import casadi

    def logsumexp(terms: Sequence[Any]) -> Any:
        top = reduce(casadi.fmax, terms)
        return top + casadi.log(reduce(add, [casadi.exp(term - top) for term in terms]))

    def dot(a: Sequence[Any], b: Sequence[Any], start: Any = None) -> Any:
        products = [x * y for x, y in zip(a, b)]
        return reduce(add, products if start is None else [start, *products])

    def take(values: Sequence[Any], index: Any) -> Any:
        return reduce(add, [casadi.if_else(index == i, v, 0.0) for i, v in enumerate(values)])

    return SimpleNamespace(
        sqrt=casadi.sqrt, exp=casadi.exp, sin=casadi.sin, cos=casadi.cos, dot=dot, take=take,
        sum=lambda terms: reduce(add, terms), relu=lambda x: casadi.fmax(x, 0.0),
        logsumexp=logsumexp,
    )  # fmt: skip


def _split(vector: Any) -> list[Any]:
    return [vector[i] for i in range(vector.numel())]


def _buffered(function: Any, inputs: Sequence[Any]) -> Callable[[], list[Any]]:
    """Bind a function to arrays; return the call and what it fills in, one array per output."""
    import numpy as np

    buffer, evaluate = function.buffer()
    outputs = []
    for i, array in enumerate(inputs):
        buffer.set_arg(i, memoryview(array))
    for i in range(function.n_out()):
        outputs.append(np.zeros(function.numel_out(i)))
        buffer.set_res(i, memoryview(outputs[i]))

    def call() -> list[Any]:
        evaluate()
        return outputs

    call.keep = buffer, inputs  # type: ignore[attr-defined]  # the buffer holds bare addresses
    return call


def rows(name: str, numbers: Rows, gradient: bool) -> Callable[[], Any]:
    """Values, and gradients if asked for, of a program on many rows."""
    import casadi
    import numpy as np

    row = casadi.SX.sym("row", len(numbers[0]))
    value = getattr(programs, name)(_split(row), _functions())
    outputs = [value, casadi.gradient(value, row)] if gradient else [value]
    one = casadi.Function(name, [row], outputs, {"cse": True})
    return _buffered(one.map(len(numbers), "serial"), [np.array(numbers)])


def _sums(
    program: Callable[[list[Any], Any, Any, Any], Any],
    parameters: Any,
    columns: Sequence[Any],
    gradient: bool = True,
) -> Callable[[], Any]:
    """Sum a program over rows, and its gradient by the parameters, which the rows share."""
    import casadi

    shared = casadi.SX.sym("shared", len(parameters))
    each = [casadi.SX.sym("row", column.size // len(column)) for column in columns]
    arguments = [_split(row) for row in each]
    value = program(_split(shared), *arguments, _functions())
    outputs = [value, casadi.gradient(value, shared)] if gradient else [value]
    one = casadi.Function("one", [shared, *each], outputs, {"cse": True})
    many = one.map("many", "serial", len(columns[0]), [0], list(range(len(outputs))))
    return _buffered(many, [parameters, *columns])


def mixture(parameters: Any, points: Rows, gradient: bool) -> Callable[[], Any]:
    """The mean log-likelihood of many points, and its gradient if asked for."""
    import numpy as np

    components = len(parameters[0])
    parts = [np.array(part).reshape(components, -1) for part in parameters]
    flat = np.concatenate([part.ravel() for part in parts])

    def program(shared: list[Any], x: list[Any], f: Any) -> Any:
        cut, start = [], 0
        for part in parts:
            columns = part.shape[1]
            cut.append([shared[start + k * columns :][:columns] for k in range(components)])
            start += part.size
        return programs.gaussian_mixture(([w for (w,) in cut[0]], *cut[1:]), x, f)

    call = _sums(program, flat, [np.array(points)], gradient)
    n = len(points)
    return lambda: [total / n for total in call()]


def margin_step(layers: Sequence[Any], xs: Rows, ys: list[float], rate: float) -> Callable[[], Any]:
    import casadi
    import numpy as np

    sizes = [len(layers[0][0][0]), *(len(biases) for _, biases in layers)]
    parameters = np.array(programs.flat(layers))
    scratch = np.zeros_like(parameters)
    call = _sums(
        lambda p, x, y, f: programs.margin_loss(programs.cut(p, sizes), x, y[0], f),
        parameters,
        [np.array(xs), np.array(ys)],
    )
    p = casadi.SX.sym("p", len(parameters))
    value = programs.penalty(programs.cut(_split(p), sizes), _functions())
    penalty = _buffered(
        casadi.Function("penalty", [p], [value, casadi.gradient(value, p)]), [parameters]
    )
    n = len(xs)

    def step() -> Any:
        (total, by_total), (extra, by_extra) = call(), penalty()
        gradients = by_total / n + by_extra
        descend(parameters, gradients, rate, scratch)
        return total / n + extra, gradients

    assert L2 > 0.0
    return step


def classifier_step(
    layers: Sequence[Any], xs: Rows, ys: list[float], rate: float
) -> Callable[[], Any]:
    import numpy as np

    sizes = [len(layers[0][0][0]), *(len(biases) for _, biases in layers)]
    parameters = np.array(programs.flat(layers))
    scratch = np.zeros_like(parameters)
    call = _sums(
        lambda p, x, y, f: programs.cross_entropy(programs.cut(p, sizes), x, y[0], f),
        parameters,
        [np.array(xs), np.array(ys)],
    )
    n = len(xs)

    def step() -> Any:
        total, by_total = call()
        gradients = by_total / n
        descend(parameters, gradients, rate, scratch)
        return total / n, gradients

    return step
