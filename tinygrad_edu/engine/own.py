"""Operations of your own: a row like those of the table, made outside it.

``@operation`` turns a function of floats into an operation, given the rule for its derivatives. It
then takes numbers, Values, the compiler's symbols and numpy arrays of any of them; it is drawn,
explained, differentiated, compiled, pickled and saved as the package's own are.
docs/own-operations.md is a lesson on it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_edu.engine.operation import OWN, TABLE, GraphWarning, Interval, Node, Op, to_float
from tinygrad_edu.engine.value import Value

Rule = Callable[..., tuple[Any, ...]]
_checkers: list[Callable[..., Any]] = []


def check_with(checker: Callable[..., Any]) -> None:
    """Let ``checker(function, point)`` check gradients from now on; a wing above does."""
    _checkers[:] = [checker]


class Operation(Op):
    """An operation of your own; ``@operation`` makes one from a function.

    Args:
        name: The function's name. Pickles and saved models find the operation by it.
        forward: Maps operand floats to the result. If it is written with arithmetic and operations
            alone (no ``math``, no ``if`` on an operand), it is the ``formula`` as well.
        rule: Maps ``(result, *operands)`` to the tuple of partial derivatives, one per operand.
            Written with arithmetic and operations, it can be differentiated again and compiled.
        symbol: Text for drawings; the name, if not given.
        doc: What it computes, in one line.
        requires: The domain in words, for error messages.
        sample: For each operand an interval where value and derivatives are well behaved.
        formula: ``forward`` written with operations, for the compiler, where ``forward`` is not.
        check: Check the rule against finite differences now: ``True`` for points of ``sample``, or
            a list of points, each a number or a tuple of one number per operand.

    Raises:
        TypeError: If ``forward`` does not return a number, or the rule no tuple of one partial
            derivative per operand.
        ValueError: If the name is taken, or no point of ``sample`` is in the domain.
        GradientError: If ``check`` finds the rule wrong.

    >>> cube = Operation("cube", lambda x: x * x * x, lambda y, x: (3.0 * x * x,), symbol="^3")
    >>> cube(2.0)
    8.0
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., float],
        rule: Rule,
        *,
        symbol: str = "",
        doc: str = "",
        requires: str = "",
        sample: tuple[Interval, ...] | Interval = ((-3.0, 3.0),),
        formula: Callable[..., Any] | None = None,
        check: bool | Iterable[Any] = False,
    ) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"name: expected a name such as 'square', got {name!r:.60}")
        if name in TABLE:
            raise ValueError(f"name: {name!r} is an operation of the package; choose another")
        for what, function in (("forward", forward), ("rule", rule)):
            if not callable(function):
                raise TypeError(f"{what} of {name}: expected a function, got {function!r:.60}")
        intervals: Any = sample
        if len(intervals) == 2 and not isinstance(intervals[0], (tuple, list)):
            intervals = (sample,)
        super().__init__(
            name,
            symbol or name,
            _arity(forward, name),
            forward,
            self._checked_rule(name, rule),
            doc or _first_line(forward) or name,
            requires=requires,
            sample=intervals,
            formula=formula,
        )
        self._try_out()
        if check is not False:
            self.check(None if check is True else check)
        OWN[name] = self

    def __call__(self, *operands: Any) -> Any:
        """Apply to numbers, nodes, or numpy arrays of either, element by element."""
        for operand in operands:
            if getattr(operand, "ndim", 0) and hasattr(operand, "dtype"):
                numpy = sys.modules["numpy"]
                found = numpy.frompyfunc(self.__call__, len(operands), 1)(*operands)
                nodes = any(
                    isinstance(x, Node) or getattr(x, "dtype", None) == numpy.dtype(object)
                    for x in operands
                )
                return found if nodes else found.astype(float)
        result = super().__call__(*operands)
        return (
            result if isinstance(result, Node) else to_float(result, f"the result of {self.name}")
        )

    def check(self, points: Iterable[Any] | None = None, **options: Any) -> None:
        """Check the rule by ``check_gradients`` at ``points``, by default three of ``sample``.

        >>> cube = Operation("cube", lambda x: x**3, lambda y, x: (3.0 * x * x,))
        >>> cube.check([2.0, -1.0], order=2)
        """
        if not _checkers:
            raise RuntimeError("check: import tinygrad_edu first, which brings check_gradients")
        for point in self._points() if points is None else points:
            numbers = list(point) if isinstance(point, (tuple, list)) else [point]
            _checkers[0](self, numbers, **options)

    @staticmethod
    def _checked_rule(name: str, rule: Rule) -> Rule:
        def local_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
            partials = rule(y, *operands)
            if type(partials) is not tuple or len(partials) != len(operands):
                got = len(partials) if type(partials) is tuple else repr(partials)[:60]
                raise TypeError(
                    f"rule of {name}: expected a tuple of {len(operands)} partial derivative(s), "
                    f"one for each operand, got {got}"
                )
            return partials

        return local_gradients

    def _points(self) -> list[list[float]]:
        """Points within ``sample``; an n-ary operation is tried on three operands."""
        count = self.arity or 3
        ends = self.sample if len(self.sample) == count else self.sample[:1] * count
        return [
            [low + (high - low) * (share + 0.1 * i) for i, (low, high) in enumerate(ends)]
            for share in (0.62, 0.17, 0.41)
        ]

    def _try_out(self) -> None:
        """Run forward and rule at one point, so that a mistake shows at once."""
        failed: Exception | None = None
        for point in self._points():
            try:
                result = self.forward(*point)
            except (ArithmeticError, ValueError) as error:
                failed = error
                continue
            y = to_float(result, f"forward of {self.name}")
            try:
                for partial in self.local_gradients(y, *point):
                    to_float(partial, f"rule of {self.name}")
            except NameError as error:
                if error.name != self.name:  # a rule may use the operation that is being made
                    raise
            break
        else:
            raise ValueError(
                f"forward of {self.name} fails at every point tried, such as "
                f"{tuple(point)}: {failed}; give sample=, intervals within its domain"
            ) from failed
        if self.formula is None and self._is_formula(point):
            self.formula = self.forward

    def _is_formula(self, point: list[float]) -> bool:
        """Is ``forward`` written with operations alone, so that nodes pass through it?"""
        nodes = [Value(x) * 1.0 for x in point]
        with warnings.catch_warnings():
            warnings.simplefilter("error", GraphWarning)
            try:
                return isinstance(self.forward(*nodes), Value)
            except Exception:  # of whatever kind: it is not made for nodes
                return False


def operation(
    function: Callable[..., Any] | None = None, /, *, rule: Rule | None = None, **options: Any
) -> Any:
    """Make an operation of a function of floats: ``@operation(rule=..., symbol=...)``.

    Args:
        function: What it decorates: ``forward``. Its name and the first line of its docstring are
            those of the operation.
        rule: See ``Operation``, as for the other options.

    >>> @operation(rule=lambda y, a, b: (b, a + 2.0 * b), symbol="*+")
    ... def product_and_square(a, b):
    ...     "a b + b^2"
    ...     return a * b + b * b
    >>> a, b = Value(2.0), Value(3.0)
    >>> f = product_and_square(a, b)
    >>> f.backward()
    >>> f.data, a.grad, b.grad, product_and_square.doc
    (15.0, 3.0, 8.0, 'a b + b^2')
    """
    if rule is None:
        raise TypeError(
            "operation: give the rule for its derivatives, as in "
            "@operation(rule=lambda y, x: (2.0 * x,))"
        )
    if function is not None:
        return Operation(options.pop("name", function.__name__), function, rule, **options)
    return lambda forward: operation(forward, rule=rule, **options)


def _arity(forward: Callable[..., Any], name: str) -> int | None:
    import inspect  # takes as long to load as the whole engine

    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not say
        return 1
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(p.kind in kinds and p.default is p.empty for p in parameters)
    if count == 0:
        raise TypeError(f"forward of {name}: expected a function of at least one operand")
    return count


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0].rstrip(".")
