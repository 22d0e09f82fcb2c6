"""Being a number, and showing oneself: what a Value does besides recording and differentiating.

Comparisons, rounding, text, notebooks, copies and pickles. ``value.py`` holds the rest.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from tinygrad_edu.engine import tracing
from tinygrad_edu.engine.notebook import svg_of
from tinygrad_edu.engine.operation import GraphWarning, Node, Op, is_number, to_float

if TYPE_CHECKING:  # what operators and methods take and return; see tools/signatures.py
    from tinygrad_edu.engine._signatures import Operand
    from tinygrad_edu.engine._signatures import ValueOperators as Operators
else:
    from tinygrad_edu.engine.operators import Operators


class Number(Operators):
    """The part of ``Value`` that behaves as a Python float does."""

    __slots__ = ()

    if TYPE_CHECKING:  # the slots of Value
        _data: float
        grad: float
        label: str
        op: Op | None

    def item(self) -> float:
        """Return the forward value as a plain float, as ``data`` does (torch's word).

        >>> from tinygrad_edu import Value
        >>> (Value(2.0) * 3.0).item()
        6.0
        """
        return self._float()

    def __float__(self) -> float:
        if tracing.tracing():
            return float(tracing.lifted(self))
        if self.op is not None:
            warnings.warn(
                "float() of a computed Value cuts the graph, and no gradient flows back through "
                "it: write x.data for the number, or tinygrad_edu.exp(x) in place of math.exp(x)",
                GraphWarning,
                stacklevel=2,
            )
        return self._float()

    def _float(self) -> float:
        data = self._data  # of a leaf: whatever was assigned
        return data if type(data) is float else to_float(data, f"data of {self.label or 'a leaf'}")

    def __int__(self) -> int:
        if tracing.tracing():
            return int(tracing.lifted(self))
        return int(self._data)

    def __bool__(self) -> bool:
        if tracing.tracing():
            return bool(tracing.lifted(self))
        return self._data != 0.0

    def __round__(self, digits: int | None = None) -> float:
        if tracing.tracing():
            return tracing.lifted(self).__round__(digits)  # type: ignore[no-any-return]
        return round(self._data, digits) if digits is not None else round(self._data)

    def __lt__(self, other: Operand) -> bool:
        if tracing.tracing():
            return tracing.lifted(self) < other  # type: ignore[no-any-return]
        number = _comparable(other)
        return NotImplemented if number is None else self._data < number

    def __le__(self, other: Operand) -> bool:
        if tracing.tracing():
            return tracing.lifted(self) <= other  # type: ignore[no-any-return]
        number = _comparable(other)
        return NotImplemented if number is None else self._data <= number

    def __gt__(self, other: Operand) -> bool:
        if tracing.tracing():
            return tracing.lifted(self) > other  # type: ignore[no-any-return]
        number = _comparable(other)
        return NotImplemented if number is None else self._data > number

    def __ge__(self, other: Operand) -> bool:
        if tracing.tracing():
            return tracing.lifted(self) >= other  # type: ignore[no-any-return]
        number = _comparable(other)
        return NotImplemented if number is None else self._data >= number

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"{type(self).__name__}(data={self._data!r}, grad={self.grad!r}{label})"

    def __format__(self, spec: str) -> str:
        if spec and tracing.tracing():
            return format(tracing.lifted(self), spec)
        return format(self._data, spec) if spec else repr(self)

    def _repr_svg_(self) -> str | None:
        """Draw the graph where a notebook shows this node; a leaf or a large graph stays text."""
        return None if self.op is None or _is_large(self) else svg_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise TypeError(
                f"{self._name()} was computed by {self.op.name}: only leaves are copied or "
                "pickled; take x.detach() to cut it from its graph"
            )
        kind = type(self)
        slots = [  # of the user's own classes
            name
            for base in kind.__mro__
            if not base.__module__.startswith("tinygrad_edu.engine.")
            for name in _names(base.__dict__.get("__slots__", ()))
            if name not in ("__dict__", "__weakref__") and hasattr(self, name)
        ]
        own = (
            dict(getattr(self, "__dict__", {})) or None,
            {name: getattr(self, name) for name in slots},
        )
        state = (own,) if any(own) else ()
        return (restore, (kind, self._data, self.label, self.grad), *state)

    def _name(self) -> str:
        return f"Value {self.label!r}" if self.label else f"Value({self._data!r})"


def as_float(number: Any) -> float:
    """Return a number, or what a node holds, as a float: ``float()`` where the graph may be cut.

    >>> from tinygrad_edu import Value
    >>> as_float(2), as_float(Value(2.0) * 3.0)
    (2.0, 6.0)
    """
    return number._float() if isinstance(number, Number) else float(number)


def restore(kind: Any, data: float, label: str, grad: float) -> Any:
    """Make a leaf of class ``kind`` as it was when it was pickled."""
    leaf = kind.__new__(kind)
    leaf.reset(data, label)
    leaf.grad = grad
    return leaf


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_large(output: Any, limit: int = 100) -> bool:
    seen, waiting = {output}, [output]
    while waiting and len(seen) <= limit:
        new = set(waiting.pop().operands) - seen
        seen |= new
        waiting += new
    return len(seen) > limit


def _comparable(other: Any) -> float | None:
    if isinstance(other, Number):
        return other._data
    if isinstance(other, Node) or not is_number(other, "comparison"):
        return None
    return other if type(other) is int else float(other)  # numpy's would give numpy's truth
