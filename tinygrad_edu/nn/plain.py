"""Numbers that behave as Values do and record nothing, for models with code of the user's own.

A neuron written for micrograd ends in ``act.relu()``. ``Module.numbers()`` gives such models these
numbers in the place of floats, which have no such methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tinygrad_edu.engine.operation import Node, Op, fail, is_number, to_float
from tinygrad_edu.engine.operators import Operators

if TYPE_CHECKING:
    _Number = float
else:

    class _Number(Operators, float):
        __slots__ = ()


class Plain(_Number):
    """A float with the operators and methods of a ``Value``; what is computed with it is one, too.

    >>> (Plain(2.0) * -3.0).relu()
    0.0
    >>> isinstance(Plain(2.0).exp(), float)
    True
    """

    rank: ClassVar[float] = -2.0  # where a Value joins in, the Value records

    @property
    def data(self) -> float:
        """The number, as a plain float."""
        return float(self)

    def item(self) -> float:
        """Return the number, as a plain float."""
        return float(self)

    def detach(self) -> Plain:
        """Return the number itself: there is no graph to cut it from."""
        return self

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Plain:
        """Compute ``op`` and remember nothing."""
        numbers = [to_float(x, op.name) for x in operands]
        try:
            return cls(op.forward(*numbers))
        except (ArithmeticError, ValueError) as error:
            fail(op, operands, error)

    @classmethod
    def unary(cls, op: Op, operand: Any) -> Plain:
        """Do what ``record`` does for one operand."""
        return cls.record(op, (operand,))

    @classmethod
    def binary(cls, op: Op, left: Any, right: Any) -> Any:
        """Do what ``record`` does for two; a Value or a symbol among them records as always."""
        for other in (left, right):
            if isinstance(other, cls):
                continue
            if isinstance(other, Node):
                return other.record(op, (left, right))
            if not is_number(other, op.name):
                return NotImplemented
        return cls.record(op, (left, right))
