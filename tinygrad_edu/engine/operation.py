"""What an operation is, and what it can be recorded on (layer 0, below the table of ``ops.py``).

``Op`` is the form of a row of the table; ``Node`` is what operations are recorded on: ``Value`` in
the engine, a symbol in the compiler. Numbers are checked here, and errors get their wording here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from numbers import Real
from typing import Any, ClassVar, NoReturn

Interval = tuple[float, float]


class GraphWarning(UserWarning):
    """A computational graph was cut, or lost a part, where the program hardly meant it to.

    >>> import warnings
    >>> warnings.simplefilter("error", GraphWarning)  # makes it an error, while you look for it
    >>> warnings.simplefilter("default", GraphWarning)
    """


class Node:
    """Anything that operations can be recorded on.

    Where two kinds of node meet in one operation, the one with the higher ``rank`` records it.
    """

    __slots__ = ()
    rank: ClassVar[float] = 0.0

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Any:
        """Record ``op`` applied to ``operands`` (nodes, plain numbers) and return the new node."""
        raise NotImplementedError

    @classmethod
    def unary(cls, op: Op, operand: Any) -> Any:
        """Record an operation of one operand."""
        return cls.record(op, (operand,))


class _Signature:
    """What ``inspect.signature`` and editors see of an operation: its operands, by position."""

    def __get__(self, op: Op | None, kind: type[Op]) -> Any:
        if op is None:
            raise AttributeError("__signature__")  # of the class: that of its __init__
        from inspect import Parameter, Signature

        if op.arity is None:
            return Signature([Parameter("operands", Parameter.VAR_POSITIONAL)])
        names = ["x"] if op.arity == 1 else ["condition", "a", "b"][-op.arity :]
        return Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])


class Op:
    """One row of the table; calling it applies the operation to numbers and nodes alike.

    Args:
        name: Function name, unique in the table.
        symbol: Text for drawings.
        arity: Number of operands, ``None`` for n-ary.
        forward: Maps operand floats to the result.
        local_gradients: Maps ``(result, *operands)`` to the tuple of partial derivatives.
        doc: What the operation computes, in one line.
        requires: The domain in words, for error messages; empty if every real number is fine.
        sample: For each operand an interval in which value and derivatives are well behaved, from
            which tests draw (a single interval serves all operands).
        formula: The forward function written with other rows, for operations that are not
            elementary; a compiler can lower the operation through it.
        parameter: The captured constant of a parametrised operation such as ``power(3.0)``.
        chooses: Its partial derivatives are constant between jumps, and one that is 0 says that the
            operand was not chosen (``where``) or that nothing goes back there (``less``). Such an
            operand gets nothing, not 0 times what comes behind it: ``0 * inf`` would be nan.
        taught: The rule as the notes write it, for reading, where ``local_gradients`` is a form of
            it that stays accurate where that one cancels.

    >>> from tinygrad_edu.engine.ops import exp
    >>> exp(0.0), exp.arity, exp.local_gradients(1.0, 0.0)
    (1.0, 1, (1.0,))
    """

    __name__: str

    __signature__: ClassVar[Any] = _Signature()

    def __init__(
        self,
        name: str,
        symbol: str,
        arity: int | None,
        forward: Callable[..., float],
        local_gradients: Callable[..., tuple[Any, ...]],
        doc: str,
        *,
        requires: str = "",
        sample: tuple[Interval, ...] = ((-3.0, 3.0),),
        formula: Callable[..., Any] | None = None,
        parameter: float | None = None,
        chooses: bool = False,
        taught: Callable[..., tuple[Any, ...]] | None = None,
    ) -> None:
        self.name = self.__name__ = name
        self.symbol = symbol
        self.arity = arity
        self.forward = forward
        self.local_gradients = local_gradients
        self.doc = self.__doc__ = doc
        self.requires = requires
        self.sample = sample
        self.formula = formula
        self.parameter = parameter
        self.step: Callable[[], None] | None = None  # in the place of the rule, for one node
        self.chooses = chooses
        self.taught = taught or local_gradients

    def __call__(self, *operands: Any) -> Any:
        """Apply to plain numbers (gives a float) or, if any operand is a node, record a node."""
        if len(operands) != self.arity and (self.arity is not None or not operands):
            wanted = "at least one operand" if self.arity is None else f"{self.arity} operand(s)"
            raise TypeError(f"{self.name} takes {wanted}, got {len(operands)}")
        recorder: type[Node] | None = None
        numbers: Any = operands
        for operand in operands:
            kind = type(operand)
            if kind is float:
                continue
            if not issubclass(kind, Node):
                numbers = [to_float(x, self.name) for x in numbers if not isinstance(x, Node)]
            elif recorder is None or kind.rank > recorder.rank:
                recorder = kind
        if recorder is not None:
            if self.arity == 1:
                return recorder.unary(self, operands[0])
            return recorder.record(self, operands)
        try:
            return self.forward(*numbers)
        except (ArithmeticError, ValueError) as error:
            fail(self, operands, error)

    def with_step(self, step: Callable[[], None]) -> Op:
        """Return this operation for one node whose backward step is ``step``, not the rule."""
        twin = copy(self)
        twin.step = step
        return twin

    def __copy__(self) -> Op:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __repr__(self) -> str:
        return (
            f"<op {self.name}>"
            if self.parameter is None
            else f"<op {self.name} {self.parameter:g}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (lookup, (self.name, self.parameter))  # a pickled row is found again by its name


# All rows by name, and families of rows with a captured constant; the table fills both.
TABLE: dict[str, Op] = {}
FAMILIES: dict[str, Callable[[float], Op]] = {}
OWN: dict[str, Op] = {}  # and those that users made


def row(name: str, symbol: str, arity: int | None, *rest: Any, **options: Any) -> Op:
    """Add a row to the table; the arguments are those of ``Op``."""
    op = TABLE[name] = Op(name, symbol, arity, *rest, **options)
    return op


def lookup(name: str, parameter: float | None = None) -> Op:
    """Find an operation by its name and, for a parametrised one, its captured constant.

    >>> lookup("exp")
    <op exp>

    Raises:
        LookupError: If there is none.
    """
    if parameter is not None:
        return FAMILIES[name](parameter)
    if name in TABLE:
        return TABLE[name]
    if name not in OWN:
        raise LookupError(
            f"no operation {name!r} here: import the module that defines it with @operation first"
        )
    return OWN[name]


def is_number(value: Any, where: str, wanted: str = "a real number or a Value") -> bool:
    """Is ``value`` a plain real number? ``False`` for foreign types, an error for wrong ones.

    Raises:
        TypeError: For bool, complex, text, ``None`` and containers, which never make sense here.

    >>> is_number(2, "x * 2"), is_number(object(), "x * object()")
    (True, False)
    """
    kind = type(value)
    if kind is float or kind is int:
        return True
    if isinstance(value, (bool, complex, str, bytes, list, tuple, dict, set, type(None))):
        hint = "; write 1.0 or 0.0, or use where()" if isinstance(value, bool) else ""
        raise TypeError(f"{where}: expected {wanted}, got {kind.__name__} {value!r:.60}{hint}")
    return isinstance(value, Real)


def to_float(value: Any, where: str) -> float:
    """Return ``value`` as a float; takes ints, floats, fractions and numpy scalars.

    Raises:
        TypeError: If it is not a real number; ``where`` starts the message.
        OverflowError: If it is too large for a float.

    >>> to_float(3, "data")
    3.0
    """
    if type(value) is float:
        return value
    if not is_number(value, where, "a real number"):
        raise TypeError(
            f"{where}: expected a real number, got {type(value).__name__} {value!r:.60}"
        )
    try:
        return float(value)
    except OverflowError:
        raise OverflowError(
            f"{where}: the {type(value).__name__} is too large for a float"
        ) from None


def fail(op: Op, operands: Iterable[Any], error: Exception, what: str = "") -> NoReturn:
    """Raise ``error`` again, as the same built-in type, naming the operation and its operands."""
    names = [
        f"{x.label}={x.data!r}" if getattr(x, "label", "") else repr(getattr(x, "data", x))
        for x in operands
    ]
    shown = ", ".join(names if len(names) <= 8 else [*names[:6], f"... {len(names)} operands"])
    kind: type[Exception]
    if isinstance(error, ZeroDivisionError):
        kind, reason = ZeroDivisionError, "division by zero"
    elif isinstance(error, OverflowError):
        kind, reason = OverflowError, "the result is too large for a float"
    else:
        kind, reason = ValueError, op.requires or str(error)
    raise kind(f"{what}{op.name}({shown}): {reason}") from error
