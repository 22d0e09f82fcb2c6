"""Python's operators and the methods ``x.exp()``, ``x.relu()``, ... stated once (layer 0).

``Value`` and the compiler's symbols both inherit them, so a program means the same to both.
Operands of foreign types make an operator return ``NotImplemented``: numpy arrays of nodes then
work as arrays of numbers do. The methods come from the table, one for each one-operand operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Node, Op, is_number


class Operators(Node):
    """Arithmetic on nodes; every operator comes down to ``binary`` or to a row of the table."""

    __slots__ = ()

    @classmethod
    def binary(cls, op: Op, left: Any, right: Any) -> Any:
        """Record an operator; an operand of a foreign type gives ``NotImplemented``."""
        for operand in (left, right):
            if not isinstance(operand, Node) and not is_number(operand, op.name):
                return NotImplemented
        return op(left, right)

    def __add__(self, other: Any) -> Any:
        return self.binary(ops.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.binary(ops.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self.binary(ops.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.binary(ops.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return self.binary(ops.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.binary(ops.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.binary(ops.div, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.binary(ops.div, other, self)

    def __mod__(self, other: Any) -> Any:
        return self.binary(ops.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.binary(ops.mod, other, self)

    def __pow__(self, exponent: Any) -> Any:
        if isinstance(exponent, Node):
            return self.binary(ops.pow_, self, exponent)
        if not is_number(exponent, "power"):
            return NotImplemented
        # a constant exponent: the rule captures it
        return self.unary(ops.power(float(exponent)), self)

    def __rpow__(self, base: Any) -> Any:
        if not is_number(base, "exponential"):
            return NotImplemented
        return self.unary(ops.exponential(float(base)), self)

    def __neg__(self) -> Any:
        return self.unary(ops.neg, self)

    def __pos__(self) -> Any:
        return self

    def conjugate(self) -> Any:
        """Return the number itself, which is real; numpy's var() and std() ask for it."""
        return self

    def __abs__(self) -> Any:
        return self.unary(ops.abs_, self)

    def leaky_relu(self, slope: float = 0.01) -> Any:
        """Apply the leaky ReLU: ``x`` if ``x > 0``, else ``slope * x``."""
        return self.unary(ops.leaky_relu_with(float(slope)), self)


def _method(op: Op) -> Callable[..., Any]:
    if op.arity == 1:

        def method(self: Operators) -> Any:
            return self.unary(op, self)

    else:

        def method(self: Operators, other: Any) -> Any:  # type: ignore[misc]
            return op(self, other)

    method.__name__ = method.__qualname__ = op.name
    method.__doc__ = f"Apply {op.name}: {op.doc}."
    return method


for _op in ops.TABLE.values():
    if _op.arity == 1 or _op.name in ("hypot", "atan2", "maximum", "minimum"):
        setattr(Operators, _op.name, _method(_op))

# numpy calls these methods on the elements of object arrays: np.arctan(array_of_values)
for _alias in ("sin", "cos", "tan", "tan2"):
    if hasattr(Operators, f"a{_alias}"):
        setattr(Operators, f"arc{_alias}", getattr(Operators, f"a{_alias}"))
