"""Gradient checks: is the derivative that the engine computes the derivative of the function?

The partial derivative is the limit of ``(f(x + h) - f(x - h)) / 2h`` (the notes, section
'Optimization', introduce the gradient as the direction of steepest ascent; its entries are such
limits). ``check_gradients`` computes it from function values alone and compares.

``finite_differences.py`` does the numerical side and bounds its own error, so that no
absolute tolerance is needed: a rule that returns 0 fails however small the slope is, as long as
rounding does not hide it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.checking.finite_differences import (
    Estimate,
    Outputs,
    best,
    differentiate,
    noisy,
)
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.operation import Node, to_float
from tinygrad_edu.engine.value import Value, topological_order


@dataclass(frozen=True)
class GradientRow:
    """One derivative: by one input (order 1) or by two (order 2).

    >>> from tinygrad_edu.checking import check_gradients
    >>> (row,) = check_gradients(lambda x: x * x, [3.0]).rows
    >>> row.analytic, row.problem
    (6.0, '')
    """

    inputs: tuple[str, ...]  # names of the inputs it is a derivative by
    value: float  # of the last of these inputs
    analytic: float  # what the engine computed
    numeric: float  # what finite differences found
    uncertainty: float  # a bound for the error of ``numeric``
    tolerance: float  # the difference that was allowed
    problem: str  # why it failed; empty if it passed

    @property
    def error(self) -> float:
        """The difference between the two, absolute."""
        return abs(self.analytic - self.numeric)

    @property
    def relative_error(self) -> float:
        """The difference, relative to the larger of the two; 0.0 if both are 0."""
        larger = max(abs(self.analytic), abs(self.numeric))
        return self.error / larger if larger else 0.0

    def _badness(self) -> float:
        if not math.isfinite(self.error):
            return math.inf
        return self.error / self.tolerance if self.tolerance else (math.inf if self.error else 0.0)


@dataclass(frozen=True)
class GradientReport:
    """What ``check_gradients`` found; ``print`` it for a table.

    >>> from tinygrad_edu.checking import check_gradients
    >>> report = check_gradients(lambda x, y: x * y, [3.0, 4.0])
    >>> report.ok, report.value, len(report.rows)
    (True, 12.0, 2)
    """

    value: float  # of the function at the inputs
    rows: tuple[GradientRow, ...]

    @property
    def ok(self) -> bool:
        """Did every derivative pass?"""
        return not self.failures

    @property
    def failures(self) -> tuple[GradientRow, ...]:
        """The derivatives that did not pass."""
        return tuple(row for row in self.rows if row.problem)

    @property
    def worst(self) -> GradientRow | None:
        """The derivative with the largest error for its tolerance, failed ones first."""
        return max(self.rows, key=lambda row: (bool(row.problem), row._badness()), default=None)

    def summary(self) -> str:
        """Return the outcome in one line, naming the worst input."""
        worst = self.worst
        if worst is None:
            return "gradient check passed: there are no inputs"
        count = len(self.failures)
        outcome = f"failed for {count} of {len(self.rows)}" if count else "passed"
        by = ", ".join(worst.inputs)
        return (
            f"gradient check {outcome}; worst: by {by} at {worst.inputs[-1]} = {worst.value!r}: "
            f"analytic {worst.analytic!r}, numeric {worst.numeric!r}, "
            f"relative error {worst.relative_error:.2g}"
            + (f" ({worst.problem})" if worst.problem else "")
        )

    def __str__(self) -> str:
        shown = list(self.rows)
        if len(shown) > 40:  # all of it is in ``rows``
            order = sorted(shown, key=lambda row: (bool(row.problem), row._badness()), reverse=True)
            shown = order[:40]
        header = ("by", "at", "analytic", "numeric", "relative error", "")
        table = [header] + [
            (
                ", ".join(row.inputs),
                f"{row.value:.10g}",
                f"{row.analytic:.10g}",
                f"{row.numeric:.10g}",
                f"{row.relative_error:.1e}",
                row.problem or "ok",
            )
            for row in shown
        ]
        widths = [max(len(line[column]) for line in table) for column in range(5)]
        lines = [
            "  ".join([text.ljust(width) for text, width in zip(line, widths)] + [line[5]]).rstrip()
            for line in table
        ]
        if len(shown) < len(self.rows):
            lines.append(f"... the worst {len(shown)} of {len(self.rows)} derivatives")
        return "\n".join([self.summary(), *lines])


class GradientError(AssertionError):
    """Raised by ``check_gradients``; shows the report, which is its attribute ``report``.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.checking import check_gradients
    >>> def wrong(x):
    ...     return Value(x.data ** 2, operands=(x,), local_gradients=(x.data,))  # a 2 is missing
    >>> try:
    ...     check_gradients(wrong, [3.0])
    ... except GradientError as error:
    ...     print([row.analytic for row in error.report.failures])
    [3.0]
    """

    def __init__(self, report: GradientReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return str(self.report)


def check_gradients(
    function: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 0.0,
    allow_kinks: bool = False,
    raises: bool = True,
) -> GradientReport:
    """Compare the derivatives the engine computes with finite differences of ``function``.

    Order 1 checks every partial derivative as ``backward()`` finds it. Order 2 checks these and
    the whole matrix of second derivatives: those of ``grad(..., create_graph=True)`` against
    differences of the first derivatives.

    Args:
        function: Takes Values, returns a Value (a scalar). It is called many times and must give
            the same result for the same inputs.
        inputs: Where to check. A sequence of arguments, ``[2.0, 3.0]`` for ``function(a, b)``; an
            argument may itself be a list of numbers, ``[[1.0, 2.0], 3.0]`` for ``function(w, x)``.
            Or a mapping of arguments by name, or a single number.
        order: 1 or 2.
        rtol: Allowed error, relative to the larger of the two derivatives.
        atol: Allowed error in absolute terms, in addition.
        allow_kinks: At a kink (``relu`` at 0) there is no derivative, and the check fails. With
            ``True`` it accepts any slope between those on the left and on the right.
        raises: Raise an error if a derivative is wrong; ``False`` only returns the report.

    Raises:
        GradientError: If a derivative is wrong, not finite, or cannot be settled numerically.
        TypeError: If the function does not return a scalar, or an input is not a number.
        ValueError: If an input is not finite, or ``order``, ``rtol`` or ``atol`` is out of range.

    >>> check_gradients(lambda x, y: (x * y).sin(), [2.0, 3.0]).ok
    True
    >>> print(check_gradients(lambda x: abs(x), [0.0], raises=False).failures[0].problem)
    a kink: the slope is -1 on the left, 1 on the right
    """
    if order not in (1, 2) or isinstance(order, bool):
        raise ValueError(f"order: expected 1 or 2, got {order!r}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not 0.0 <= tolerance < math.inf:
            raise ValueError(f"{name}: expected a finite number >= 0, got {tolerance!r}")
    problem = _Problem(function, inputs)
    settings = _Settings(rtol, atol, allow_kinks)
    value, gradient = problem.backward(problem.point)
    rows = _rows(problem, settings, lambda point: [problem.value(point)], [gradient], [()])
    if order == 2:
        rows += _rows(
            problem,
            settings,
            lambda point: problem.backward(point)[1],
            problem.hessian(),
            [(name,) for name in problem.names],
        )
    report = GradientReport(value, tuple(rows))
    if raises and not report.ok:
        raise GradientError(report)
    return report


@dataclass(frozen=True)
class _Settings:
    rtol: float
    atol: float
    allow_kinks: bool

    def allowed(self, analytic: float, numeric: float) -> float:
        return self.atol + self.rtol * max(abs(analytic), abs(numeric))

    def settled(self, tried: list[Estimate]) -> bool:
        """Is the best estimate so far much better than the tolerance asks for?"""
        if not tried:
            return False
        found = best(tried)
        allowed = self.allowed(found.slope, found.slope)  # a wrong slope may be far too large
        return not found.singular and found.uncertainty <= 0.05 * allowed


# --- the function and its inputs ------------------------------------------------------------------


class _Problem:
    """The function as a map from a flat list of floats, whatever shape its arguments have."""

    def __init__(self, function: Callable[..., Any], inputs: Any) -> None:
        self.function = function
        self.by_name = isinstance(inputs, Mapping)
        if isinstance(inputs, Mapping):
            arguments = {str(name): argument for name, argument in inputs.items()}
        else:
            several = inputs if _is_sequence(inputs) else [inputs]
            arguments = dict(zip(_argument_names(function, len(several)), several))
        self.arguments = arguments
        found = [leaf for name, x in arguments.items() for leaf in _leaves(name, x)]
        self.names = [name for name, _ in found]
        self.point = [to_float(x.data if isinstance(x, Value) else x, name) for name, x in found]
        for name, x in zip(self.names, self.point):
            if not math.isfinite(x):
                raise ValueError(f"{name}: expected a finite number to check at, got {x}")

    def leaves(self, point: Sequence[float]) -> list[Value]:
        return [Value(x, name) for x, name in zip(point, self.names)]

    def call(self, leaves: list[Value]) -> Any:
        remaining = iter(leaves)
        arguments = {name: _rebuild(x, remaining) for name, x in self.arguments.items()}
        if self.by_name:
            output = self.function(**arguments)
        else:
            output = self.function(*arguments.values())
        if not isinstance(output, Value):
            output = Value(to_float(output, "the function's result"))  # it ignores its inputs
        return output

    def value(self, point: Sequence[float]) -> float:
        return as_float(self.call(self.leaves(point)))

    def backward(self, point: Sequence[float]) -> tuple[float, list[float]]:
        leaves = self.leaves(point)
        output = self.call(leaves)
        order = topological_order(output)  # may hold nodes of the caller: a model's parameters
        before = [node.grad for node in order]
        output.backward()
        gradient = [leaf.grad for leaf in leaves]
        for node, old in zip(order, before):
            node.grad = old
        return output.data, gradient

    def hessian(self) -> list[list[float]]:
        leaves = self.leaves(self.point)
        first = grad(self.call(leaves), leaves, create_graph=True)
        return [grad(slope, leaves) for slope in first]


def _is_sequence(x: Any) -> bool:
    if isinstance(x, (str, bytes, Node)):
        return False
    return isinstance(x, Sequence) or bool(getattr(x, "shape", ()))  # numpy arrays too


def _leaves(name: str, argument: Any) -> Iterator[tuple[str, Any]]:
    stack = [(name, argument)]
    while stack:
        name, argument = stack.pop()
        if _is_sequence(argument):
            stack += [(f"{name}[{i}]", x) for i, x in reversed(list(enumerate(argument)))]
        else:
            yield name, argument


def _rebuild(argument: Any, leaves: Iterator[Value]) -> Any:
    """Put the leaves into the shape of ``argument`` (as deep as the caller nested it)."""
    if not _is_sequence(argument):
        return next(leaves)
    return [_rebuild(x, leaves) for x in argument]


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    import inspect

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD][:count]
    return names + [f"input {i}" for i in range(len(names), count)]


# --- the comparison ------------------------------------------------------------------------------


def _rows(
    problem: _Problem,
    settings: _Settings,
    outputs: Outputs,
    analytic: list[list[float]],
    prefixes: list[tuple[str, ...]],
) -> list[GradientRow]:
    """Check the derivative of each of several outputs (row) by each input (column)."""
    centre = outputs(problem.point)
    rows: list[list[GradientRow]] = [[] for _ in centre]
    for column, (name, x) in enumerate(zip(problem.names, problem.point)):
        slopes = [row[column] for row in analytic]
        tried = differentiate(
            outputs, problem.point, centre, column, lambda t: all(map(settings.settled, t))
        )
        for i, (prefix, slope) in enumerate(zip(prefixes, slopes)):
            rows[i].append(_judge((*prefix, name), x, centre[i], slope, tried[i], settings))
    return [row for output in rows for row in output]


def _judge(
    inputs: tuple[str, ...],
    x: float,
    centre: float,
    analytic: float,
    tried: list[Estimate],
    settings: _Settings,
) -> GradientRow:
    if not tried:
        problem = "the function is not finite on both sides of the input"
        if not math.isfinite(centre):
            problem = f"the function is {centre} at the input"
        return GradientRow(inputs, x, analytic, math.nan, math.inf, math.inf, problem)
    found = best(tried)
    tolerance = settings.allowed(analytic, found.slope) + found.uncertainty
    variation = max(abs(tried[0].left), abs(tried[0].right))
    slope = max(abs(analytic), abs(found.slope))
    problem = ""
    if not math.isfinite(analytic):
        problem = "the analytic derivative is not finite"
    elif noisy(tried) and not abs(analytic - found.slope) <= tolerance:
        problem = "cannot tell: differences at smaller and smaller steps do not settle"
    elif found.singular == "jump":
        problem = "a jump, or an infinite slope: there is no derivative"
    elif found.singular:
        low, high = sorted((found.left, found.right))
        if not (settings.allow_kinks and low - tolerance <= analytic <= high + tolerance):
            sides = f"{found.left:.6g} on the left, {found.right:.6g} on the right"
            problem = f"a kink: the slope is {sides}"
    elif abs(analytic - found.slope) > tolerance:
        problem = "wrong"
    elif found.spread > max(settings.atol, 1e-3 * slope, 1e-3 * variation, 8.0 * found.rounding):
        problem = f"cannot tell: finite differences do not settle (+-{found.uncertainty:.1g})"
    return GradientRow(inputs, x, analytic, found.slope, found.uncertainty, tolerance, problem)
