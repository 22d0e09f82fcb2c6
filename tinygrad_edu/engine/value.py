"""The engine: a number that remembers how it was made, and the backward pass over its history.

A ``Value`` is one node of a computational graph. Arithmetic on Values computes a number, as always,
and also records which operands it came from and by which operation. ``backward()`` then walks the
graph from the last node to the first and hands each operand its share of the derivative, by the
chain rule; where a node was used more than once, the shares add up.

This is the notes' section 'Neural Networks: Backpropagation'. Figure 1 there:

>>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
>>> f = (x + y) * z
>>> f.backward()
>>> f.data, x.grad, y.grad, z.grad
(20.0, 4.0, 4.0, 5.0)
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from tinygrad_edu.engine.notebook import svg_of
from tinygrad_edu.engine.operation import Node, Op, fail, is_number, to_float
from tinygrad_edu.engine.operators import Operators


class Value(Operators):
    """A number in a computational graph, with the gradient of an output with respect to it.

    Args:
        data: A real number; stored as a float.
        label: A name for drawings and error messages.

    Attributes:
        data: The forward value. Assigning to a leaf (``p.data -= 0.1 * p.grad``) is how parameters
            are updated; graphs built before keep the results they had, so build the graph anew.
        grad: The gradient that ``backward()`` left here, 0.0 before.
        label: The name; may be set at any time.
        operands: The nodes this one was computed from, in order; empty for a leaf.
        op: The operation, whose ``local_gradients`` closure gives the partial derivative of this
            node by each operand; ``None`` for a leaf.

    ``<``, ``<=``, ``>`` and ``>=`` compare the data. ``==`` and ``hash()`` go by identity, for two
    nodes are two nodes even if they hold the same number; compare ``a.data == b.data`` instead.

    Raises:
        TypeError: If ``data`` is not a real number or ``label`` is not text.
    """

    __slots__ = ("_data", "grad", "label", "operands", "op")

    grad: float
    label: str
    operands: tuple[Value, ...]
    op: Op | None

    def __init__(self, data: float | Any, label: str = "") -> None:
        if not isinstance(label, str):
            raise TypeError(f"label: expected text, got {type(label).__name__} {label!r}")
        self._data = to_float(data, "data")
        self.grad = 0.0
        self.label = label
        self.operands = ()
        self.op = None

    @property
    def data(self) -> float:
        """The forward value."""
        return self._data

    @data.setter
    def data(self, data: float) -> None:
        if self.op is not None:
            raise AttributeError(
                f"the data of {self._name()} is computed by {self.op.name}; assign to the "
                "leaves and compute it again"
            )
        self._data = to_float(data, "data")

    # --- recording: the forward pass ---

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Value:
        """Compute ``op`` and remember its operands; plain numbers become ``Constant`` leaves."""
        try:
            numbers = [x._data for x in operands]
        except AttributeError:  # a plain number among them
            operands = tuple(
                [x if isinstance(x, Value) else Constant(to_float(x, op.name)) for x in operands]
            )
            numbers = [x._data for x in operands]
        try:
            data = op.forward(*numbers)
        except (ArithmeticError, ValueError) as error:
            fail(op, operands, error)
        return _node(data, op, operands)

    @classmethod
    def unary(cls, op: Op, operand: Value) -> Value:
        """Do what ``record`` does for one operand, where every nanosecond counts."""
        try:
            data = op.forward(operand._data)
        except (ArithmeticError, ValueError) as error:
            fail(op, (operand,), error)
        return _node(data, op, (operand,))

    @classmethod
    def binary(cls, op: Op, left: Any, right: Any) -> Any:
        """Do what ``record`` does for two operands; foreign types give ``NotImplemented``."""
        if not isinstance(right, Value):
            if isinstance(right, Node) or not is_number(right, op.name):
                return NotImplemented
            right = Constant(right)
        elif not isinstance(left, Value):
            if not is_number(left, op.name):
                return NotImplemented
            left = Constant(left)
        try:
            data = op.forward(left._data, right._data)
        except (ArithmeticError, ValueError) as error:
            fail(op, (left, right), error)
        return _node(data, op, (left, right))

    # --- the backward pass ---

    def local_gradients(self) -> tuple[float, ...]:
        """Return the partial derivative of this node by each operand; ``()`` for a leaf.

        >>> (Value(5.0) * Value(4.0)).local_gradients()
        (4.0, 5.0)
        """
        if self.op is None:
            return ()
        try:
            return self.op.local_gradients(self._data, *[x._data for x in self.operands])
        except (ArithmeticError, ValueError) as error:
            fail(self.op, self.operands, error, "gradient of ")

    def backward(self) -> None:
        """Compute the gradient of this node with respect to every node it was computed from.

        Leaves accumulate: the gradients of this pass are added to what ``grad`` held, until
        ``zero_grad()``, as torch's leaves do. Interior nodes hold the gradients of the latest pass
        over them alone. If a rule raises, all gradients are as they were.

        Raises:
            ZeroDivisionError, ValueError, OverflowError: Where a derivative does not exist or is
                infinite; the message names the operation and its operands.

        >>> x = Value(3.0)
        >>> (x * x).backward()          # x is used twice: 3 + 3
        >>> x.grad
        6.0
        """
        order = topological_order(self)
        before = [node.grad for node in order]
        for node in order:
            if node.op is not None:
                node.grad = 0.0
        self.grad = 1.0 if self.op is not None else self.grad + 1.0  # df/df = 1
        node = self
        try:
            for node in reversed(order):
                op = node.op
                if op is None:
                    continue
                grad, operands = node.grad, node.operands
                if op.arity == 2:  # the chain rule, written out for two operands, for one, for many
                    a, b = operands
                    by_a, by_b = op.local_gradients(node._data, a._data, b._data)
                    a.grad += grad * by_a
                    b.grad += grad * by_b
                elif op.arity == 1:
                    (a,) = operands
                    (by_a,) = op.local_gradients(node._data, a._data)
                    a.grad += grad * by_a
                elif grad != 0.0 or not isfinite(node._data):
                    # Else nothing is passed on (a dead ReLU behind a neuron): where the result of
                    # an n-ary operation is finite, so are its partials, and 0 times them is 0.
                    partials = op.local_gradients(node._data, *[x._data for x in operands])
                    for x, partial in zip(operands, partials):
                        x.grad += grad * partial
        except BaseException as error:
            for changed, old in zip(order, before):
                changed.grad = old
            if node.op is not None and isinstance(error, (ArithmeticError, ValueError)):
                fail(node.op, node.operands, error, "gradient of ")
            raise

    def zero_grad(self) -> None:
        """Set the gradient of this node, and of every node it was computed from, to 0.

        >>> x = Value(3.0)
        >>> y = x * x; y.backward(); y.zero_grad()
        >>> x.grad, y.grad
        (0.0, 0.0)
        """
        for node in topological_order(self):
            node.grad = 0.0

    # --- being a number ---

    def __float__(self) -> float:
        return self._data

    def __int__(self) -> int:
        return int(self._data)

    def __bool__(self) -> bool:
        return self._data != 0.0

    def __round__(self, digits: int | None = None) -> float:
        return round(self._data, digits) if digits is not None else round(self._data)

    def __lt__(self, other: Any) -> Any:
        number = _comparable(other)
        return NotImplemented if number is None else self._data < number

    def __le__(self, other: Any) -> Any:
        number = _comparable(other)
        return NotImplemented if number is None else self._data <= number

    def __gt__(self, other: Any) -> Any:
        number = _comparable(other)
        return NotImplemented if number is None else self._data > number

    def __ge__(self, other: Any) -> Any:
        number = _comparable(other)
        return NotImplemented if number is None else self._data >= number

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"{type(self).__name__}(data={self._data!r}, grad={self.grad!r}{label})"

    def __format__(self, spec: str) -> str:
        return format(self._data, spec) if spec else repr(self)

    def _repr_svg_(self) -> str | None:
        """Draw the graph where a notebook shows this node; a leaf or a large graph stays text."""
        if self.op is None or len(topological_order(self)) > 100:
            return None
        return svg_of(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise TypeError(
                f"{self._name()} was computed by {self.op.name}: only leaves are copied or "
                "pickled; take Value(x.data) to cut it from its graph"
            )
        return (_restore, (type(self), self._data, self.label, self.grad))

    def _name(self) -> str:
        return f"Value {self.label!r}" if self.label else f"Value({self._data!r})"


class Constant(Value):
    """A plain number that met a Value (``x * 2``): a leaf whose gradient nobody asks for."""

    __slots__ = ()


_new = object.__new__


def _node(data: float, op: Op, operands: tuple[Value, ...]) -> Value:
    node = _new(Value)
    node._data = data
    node.grad = 0.0
    node.label = ""
    node.operands = operands
    node.op = op
    return node


def _restore(kind: type[Value], data: float, label: str, grad: float) -> Value:
    leaf = kind(data, label)
    leaf.grad = grad
    return leaf


def _comparable(other: Any) -> Any:
    if isinstance(other, Value):
        return other._data
    if isinstance(other, Node) or not is_number(other, "comparison"):
        return None
    return other if type(other) is int else float(other)  # numpy's would give numpy's truth


def as_value(number: Any) -> Value:
    """Return ``number`` itself if it is a Value, else a constant leaf that holds it.

    >>> as_value(2)
    Constant(data=2.0, grad=0.0)
    """
    return number if isinstance(number, Value) else Constant(number)


def topological_order(*outputs: Value) -> list[Value]:
    """List every node that ``outputs`` depend on, operands before the nodes computed from them.

    Iterative: a depth-first walk with a stack of its own, so a graph may be millions of nodes deep.

    >>> x = Value(2.0, "x")
    >>> [node.op.symbol if node.op else node.label for node in topological_order((x + x) * x)]
    ['x', '+', '*']
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = list(reversed(outputs))
    while stack:
        node = stack.pop()
        if node is None:  # the operands of the node below this mark are done
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            if node.operands:
                stack += (node, None)
                stack += reversed(node.operands)
            else:
                order.append(node)
    return order
