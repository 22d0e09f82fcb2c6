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

Beside this file: ``number`` (comparing, rounding, printing), ``handmade`` (nodes that a program
makes itself, micrograd's names), ``operators`` (all operators and methods, from the table).
"""

from __future__ import annotations

from collections import deque
from math import isfinite, isnan
from operator import attrgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

from tinygrad_edu._forks import held_while_forking
from tinygrad_edu.engine.handmade import Form, Handmade
from tinygrad_edu.engine.number import Number
from tinygrad_edu.engine.operation import Node, Op, fail, is_number, to_float
from tinygrad_edu.engine.ops import add, dot, mul
from tinygrad_edu.engine.order import check_current, marked_order
from tinygrad_edu.engine.order import topological_order as topological_order

if TYPE_CHECKING:
    from tinygrad_edu.engine._signatures import Operand

_new = object.__new__
_FLOAT = {float}


class Value(Number, Handmade):
    """A number in a computational graph, with the gradient of an output with respect to it.

    Args:
        data: A real number; stored as a float.
        label: A name for drawings and error messages.
        more, named: For a node made by hand: its operands and how gradients pass through it; see
            ``tinygrad_edu.engine.handmade``.

    Attributes:
        data: The forward value. Assigning to a leaf (``p.data -= 0.1 * p.grad``) is how parameters
            are updated; graphs built before are out of date then, so build the graph anew.
        grad: The gradient that ``backward()`` left here, 0.0 before.
        label: The name; may be set at any time.
        operands: The nodes this one was computed from, in order; empty for a leaf.
        op: The operation, whose ``local_gradients`` rule gives the partial derivative of this node
            by each operand; ``None`` for a leaf.

    Leaves take attributes of your own as well (``p.momentum = 0.0``). ``<``, ``<=``, ``>`` and
    ``>=`` compare the data. ``==`` and ``hash()`` go by identity, for two nodes are two nodes even
    if they hold the same number; compare ``a.data == b.data`` instead. Operations on a subclass of
    yours give nodes of that subclass, made without calling its ``__init__``.

    Raises:
        TypeError: If ``data`` is not a real number or ``label`` is not text.

    >>> x, y = Value(2.0, "x"), Value(3.0, "y")
    >>> f = x * y + x
    >>> f.backward()
    >>> f.data, x.grad, y.grad
    (8.0, 4.0, 2.0)
    """

    # _a, _b: the operands of an operation of one or two, in slots of their own because a tuple
    # would be one more object that Python's cyclic collector walks; else _a is the tuple.
    # _x, _y: the numbers that they held, for the rule, and to notice that a leaf has changed since.
    # _mark: of the last backward pass that came by.
    __slots__ = ("_data", "grad", "label", "op", "_a", "_b", "_x", "_y", "_mark", "__weakref__")
    rank: ClassVar[float] = -1.0

    grad: float
    label: str
    op: Op | None

    if TYPE_CHECKING:
        _a: Any
        _b: Any
        _x: Any
        _y: Any
        _mark: object

    def __new__(cls, *_arguments: Any, **_named: Any) -> Value:
        return _new(Leaf if cls is Value else cls)

    def __init__(self, data: float | Any, label: Any = "", *more: Any, **named: Any) -> None:
        if type(data) is not float:
            data = to_float(data, "data")
        if type(label) is str and not more and not named:
            self.reset(data, label)
            return
        form = Form(label, more, named)
        self.reset(data, form.label)
        if form.operands:
            operands = tuple([as_value(x) for x in form.operands])
            _remember(self, form.operation(data), operands, tuple([x._data for x in operands]))

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if cls.__module__ != __name__:  # a user's: what is computed with it is of its kind
            cls.rank = cls.rank / 2.0

    def reset(self, data: float, label: str = "") -> None:
        """Make this a leaf that holds ``data``, as new."""
        self._data = data
        self.grad = 0.0
        self.label = label
        self.op = self._mark = None

    def _set_data(self, data: float) -> None:
        if self.op is not None:
            raise AttributeError(
                f"the data of {self._name()} is computed by {self.op.name}; assign to the "
                "leaves and compute it again"
            )
        self._data = to_float(data, "data")

    if TYPE_CHECKING:

        @property
        def data(self) -> float: ...
        @data.setter
        def data(self, data: float) -> None: ...

    else:
        data = property(attrgetter("_data"), _set_data, doc="The forward value.")

    def _take(self, op: Op) -> None:
        self.op = op

    @property
    def operands(self) -> tuple[Value, ...]:
        """The nodes this one was computed from, in order."""
        if self.op is None:
            return ()
        arity = self.op.arity
        return (self._a, self._b) if arity == 2 else (self._a,) if arity == 1 else self._a

    def _numbers(self) -> tuple[float, ...]:
        """The numbers that the operands held when this node was computed."""
        if self.op is None:
            return ()
        arity = self.op.arity
        return (self._x, self._y) if arity == 2 else (self._x,) if arity == 1 else self._x

    def detach(self) -> Value:
        """Return a constant of the same number, cut from the graph: no gradient flows through it.

        >>> x = Value(3.0)
        >>> (x * x.detach()).backward()
        >>> x.grad
        3.0
        """
        return Constant(self._data)

    # --- recording: the forward pass ---

    def __add__(self, other: Operand) -> Value:
        mine, kind = type(self), type(other)
        if mine is not Value and mine is not Leaf and mine is not Constant:
            return self.binary(add, self, other)  # a user's subclass: the general way
        if kind is float or kind is int:
            other = _constant(other)
        elif kind is not Value and kind is not Leaf:
            return self.binary(add, self, other)
        x, y = self._data, other._data  # type: ignore[union-attr]
        try:
            data = x + y
        except TypeError:  # somebody assigned what is no number: the general way says so
            return self.binary(add, self, other)
        if type(data) is not float:
            return self.binary(add, self, other)
        node = _new(Value)  # written out, for most nodes of most graphs are sums and products
        node._data, node.grad, node.label = data, 0.0, ""
        node.op, node._mark = add, None
        node._a, node._b = self, other
        node._x, node._y = x, y
        return node

    def __mul__(self, other: Operand) -> Value:
        mine, kind = type(self), type(other)
        if mine is not Value and mine is not Leaf and mine is not Constant:
            return self.binary(mul, self, other)  # a user's subclass: the general way
        if kind is float or kind is int:
            other = _constant(other)
        elif kind is not Value and kind is not Leaf:
            return self.binary(mul, self, other)
        x, y = self._data, other._data  # type: ignore[union-attr]
        try:
            data = x * y
        except TypeError:
            return self.binary(mul, self, other)
        if type(data) is not float:
            return self.binary(mul, self, other)
        node = _new(Value)
        node._data, node.grad, node.label = data, 0.0, ""
        node.op, node._mark = mul, None
        node._a, node._b = self, other
        node._x, node._y = x, y
        return node

    def __radd__(self, other: Operand) -> Value:
        kind = type(other)
        if kind is float or kind is int:
            return _constant(other) + self
        result: Value = self.binary(add, other, self)
        return result

    def __rmul__(self, other: Operand) -> Value:
        kind = type(other)
        if kind is float or kind is int:
            return _constant(other) * self
        result: Value = self.binary(mul, other, self)
        return result

    @classmethod
    def unary(cls, op: Op, operand: Any) -> Value:
        """Record an operation of one operand."""
        number = operand._data
        if type(number) is float and cls.rank == -1.0:
            try:
                data = op.forward(number)
            except (ArithmeticError, ValueError) as error:
                fail(op, (operand,), error)
            if type(data) is float:
                node = _new(Value)
                node._data, node.grad, node.label = data, 0.0, ""
                node.op, node._mark = op, None
                node._a, node._x = operand, number
                return node
        return cls.record(op, (operand,))

    @classmethod
    def binary(cls, op: Op, left: Any, right: Any) -> Value:
        """Record an operation of two operands; foreign types give ``NotImplemented``."""
        if not isinstance(right, Value):
            if isinstance(right, Node) or not is_number(right, op.name):
                return NotImplemented  # type: ignore[no-any-return]
            right = _constant(right)
        elif not isinstance(left, Value):
            if not is_number(left, op.name):
                return NotImplemented  # type: ignore[no-any-return]
            left = _constant(left)
        if left.rank != -1.0 or right.rank != -1.0:
            return (left if left.rank >= right.rank else right).record(op, (left, right))  # type: ignore[no-any-return]
        x, y = left._data, right._data
        if type(x) is float and type(y) is float:
            try:
                data = op.forward(x, y)
            except (ArithmeticError, ValueError) as error:
                fail(op, (left, right), error)
            if type(data) is float:
                node = _new(Value)
                node._data, node.grad, node.label = data, 0.0, ""
                node.op, node._mark = op, None
                node._a, node._b = left, right
                node._x, node._y = x, y
                return node
        return cls.record(op, (left, right))

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Value:
        """Compute ``op`` and remember its operands; plain numbers become ``Constant`` leaves.

        Raises:
            TypeError: If the result is not a real number.
            ZeroDivisionError, ValueError, OverflowError: Outside the operation's domain.
        """
        try:
            numbers = tuple([x._data for x in operands])
        except AttributeError:  # a plain number among them
            operands = tuple(
                [x if isinstance(x, Value) else _constant(to_float(x, op.name)) for x in operands]
            )
            numbers = tuple([x._data for x in operands])
        if op is not dot and not _FLOAT.issuperset(map(type, numbers)):
            numbers = _as_floats(operands)
        try:
            data = op.forward(*numbers)
            if type(data) is not float and op is dot:
                numbers = _as_floats(operands)
                data = op.forward(*numbers)
        except (ArithmeticError, ValueError) as error:
            fail(op, operands, error)
        except TypeError:
            _as_floats(operands)  # says so if a leaf was given what is no number
            raise
        if type(data) is not float:
            data = to_float(data, f"the result of {op.name}")
        node: Value = _new(cls if cls.rank != -1.0 else Value)
        node.reset(data)
        _remember(node, op, operands, numbers)
        return node

    # --- the backward pass ---

    def local_gradients(self) -> tuple[float, ...]:
        """Return the partial derivative of this node by each operand; ``()`` for a leaf.

        >>> (Value(5.0) * Value(4.0)).local_gradients()
        (4.0, 5.0)
        """
        if self.op is None:
            return ()
        try:
            return self.op.local_gradients(self._data, *self._numbers())
        except (ArithmeticError, ValueError) as error:
            fail(self.op, self.operands, error, "gradient of ")

    def backward(self) -> None:
        """Compute the gradient of this node with respect to every node it was computed from.

        Leaves accumulate: the gradients of this pass are added to what ``grad`` held, until
        ``zero_grad()``, as torch's leaves do. Interior nodes hold the gradients of the latest pass
        over them alone. All or nothing: if a rule raises, or Ctrl-C comes in between, all gradients
        are as they were. Threads wait for each other.

        Raises:
            ZeroDivisionError, ValueError, OverflowError: Where a derivative does not exist or is
                infinite; the message names the operation and its operands.
            RuntimeError: If a leaf's data changed after this node was computed.

        >>> x = Value(3.0)
        >>> (x * x).backward()          # x is used twice: 3 + 3
        >>> x.grad
        6.0
        """
        if _one_at_a_time._is_owned():  # type: ignore[attr-defined]
            raise RuntimeError(
                "backward() inside backward(): in a rule or a signal handler, use grad()"
            )
        with _one_at_a_time:
            order = marked_order(self)
            before = [node.grad for node in order]
            undo = map(_set_grad, order, before)
            try:
                _chain_rule(self, order, before)
            except BaseException:
                _exhaust(undo)  # a single call into C: a second Ctrl-C cannot cut it in two
                raise

    def step_back(self) -> None:
        """Do this node's part of a backward pass: give each operand its share of the gradient.

        Calling it on every node, outputs before their operands, after ``output.grad = 1.0``, is the
        backward pass done by hand.

        >>> x = Value(3.0)
        >>> y = x * x
        >>> y.grad = 1.0
        >>> y.step_back()
        >>> x.grad
        6.0
        """
        if self.op is None:
            return
        try:
            _step_back(self, self.op, self)
        except (ArithmeticError, ValueError) as error:
            fail(self.op, self.operands, error, "gradient of ")

    def zero_grad(self) -> None:
        """Set the gradient of this node, and of every node it was computed from, to 0.

        >>> x = Value(3.0)
        >>> y = x * x; y.backward(); y.zero_grad()
        >>> x.grad, y.grad
        (0.0, 0.0)
        """
        for node in topological_order(self):
            node.grad = 0.0


class Leaf(Value):
    """What ``Value(2.0)`` makes: a node with room for attributes of the user's own.

    Its ``data`` is a plain slot, so reading and updating parameters is fast; what is assigned there
    is checked when it is next computed with.
    """

    __slots__ = ("__dict__",)
    if not TYPE_CHECKING:
        data = Value.__dict__["_data"]


Leaf.__name__ = "Value"  # in messages: the user made a Value


class Constant(Value):
    """A plain number that met a Value (``x * 2``): a leaf whose gradient nobody asks for."""

    __slots__ = ()

    if TYPE_CHECKING:
        grad: float
        op: Op | None

    def __new__(cls, *_arguments: Any, **_named: Any) -> Constant:
        return _new(cls)

    def __init__(self, data: float | Any, label: str = "") -> None:
        self._data = data if type(data) is float else to_float(data, "data")
        self.grad = 0.0
        self.label = label
        self.op = self._mark = None


# --- remembering ---------------------------------------------------------------------------------


def _remember(node: Value, op: Op, operands: tuple[Value, ...], numbers: tuple[float, ...]) -> None:
    node.op = op
    if op.arity == 2:
        node._a, node._b = operands
        node._x, node._y = numbers
    elif op.arity == 1:
        (node._a,), (node._x,) = operands, numbers
    else:
        node._a, node._x = operands, numbers


def _constant(number: Any) -> Constant:
    node = _new(Constant)
    node._data = number if type(number) is float else to_float(number, "data")
    node.grad, node.label = 0.0, ""
    node.op = node._mark = None
    return node


def _as_floats(operands: tuple[Value, ...]) -> tuple[float, ...]:
    """Make floats of what was assigned to the data of leaves, such as ints and numpy scalars."""
    for x in operands:
        if type(x._data) is not float:
            x._data = to_float(x._data, f"data of {x.label or 'a leaf'}")
    return tuple([x._data for x in operands])


def as_value(number: Any) -> Value:
    """Return ``number`` itself if it is a Value, else a constant leaf that holds it.

    >>> as_value(2)
    Constant(data=2.0, grad=0.0)
    """
    return number if isinstance(number, Value) else Constant(number)


# --- the chain rule ------------------------------------------------------------------------------

_one_at_a_time = held_while_forking(
    RLock()
)  # held by a backward pass: two at once would mix up marks and gradients
_exhaust = deque[Any](maxlen=0).extend
_set_grad = Value.__dict__["grad"].__set__
_get_grad = attrgetter("grad")


def _chain_rule(output: Value, order: list[Value], before: list[Any]) -> None:
    choice = False
    try:
        choice = _pass_back(output, order)
        if not choice or not isnan(sum(map(_get_grad, order))):
            return
    except (ArithmeticError, ValueError):
        if not any(node.op is not None and node.op.chooses for node in order):
            raise
    _pass_back_what_was_chosen(output, order, before)


def _pass_back(output: Value, order: list[Value]) -> bool:
    """Do the pass, and tell whether something on the way was chosen among others."""
    choice = False
    node: Any
    for node in order:
        if node.op is not None:
            node.grad = 0.0
        elif type(node.grad) is not float:
            node.grad = _usable(node.grad)
    output.grad = 1.0 if output.op is not None else output.grad + 1.0  # df/df = 1
    try:
        for node in reversed(order):
            op = node.op
            if op is mul:  # the chain rule, written out for products, sums, and one or two operands
                a, b = node._a, node._b
                x, y = node._x, node._y
                if a._data is not x or b._data is not y:
                    check_current(node, output)
                grad = node.grad
                a.grad += grad * y
                b.grad += grad * x
            elif op is add:
                a, b = node._a, node._b
                if a._data is not node._x or b._data is not node._y:
                    check_current(node, output)
                grad = node.grad
                a.grad += grad
                b.grad += grad
            elif op is not None:
                if op.chooses:
                    choice = True
                if op.step is not None or op.arity is None or op.arity > 2:
                    _step_back(node, op, output)
                elif op.arity == 2:
                    a, b = node._a, node._b
                    x, y = node._x, node._y
                    if a._data is not x or b._data is not y:
                        check_current(node, output)
                    by_a, by_b = op.local_gradients(node._data, x, y)
                    grad = node.grad
                    a.grad += grad * by_a
                    b.grad += grad * by_b
                else:
                    a, x = node._a, node._x
                    if a._data is not x:
                        check_current(node, output)
                    (by_a,) = op.local_gradients(node._data, x)
                    a.grad += node.grad * by_a
    except (ArithmeticError, ValueError) as error:
        fail(node.op, node.operands, error, "gradient of ")
    return choice


def _pass_back_what_was_chosen(output: Value, order: list[Value], before: list[Any]) -> None:
    """Do the pass again where 0 times an infinite or missing derivative came up behind a choice.

    What is not chosen contributes exactly nothing: its derivatives are not even asked for.
    """
    for node, grad in zip(order, before):
        node.grad = 0.0 if node.op is not None else _usable(grad)
    output.grad = 1.0 if output.op is not None else output.grad + 1.0
    reached = {output}
    for node in reversed(order):
        op = node.op
        if op is None or node not in reached:
            continue
        check_current(node, output)
        if op.step is not None:
            op.step()
            reached.update(node.operands)
            continue
        for x, partial in zip(node.operands, node.local_gradients()):
            if partial != 0.0 or not op.chooses:
                x.grad += node.grad * partial
                reached.add(x)


def _step_back(node: Any, op: Op, output: Value) -> None:
    """Add to the gradient of each operand: the node's gradient times the partial derivative."""
    check_current(node, output)
    if op.step is not None:
        op.step()
        return
    grad = node.grad
    if op.arity in (1, 2) or grad != 0.0 or not isfinite(node._data):
        # Else nothing is passed on (a dead ReLU behind a neuron): where the result of an n-ary
        # operation is finite, so are its partials, and 0 times them is 0.
        partials = op.local_gradients(node._data, *node._numbers())
        for x, partial in zip(node.operands, partials, strict=True):
            x.grad += grad * partial


def _usable(grad: Any) -> float:
    """What was assigned to ``grad`` as a float: ``None`` and numpy's numbers will do."""
    if grad is None:
        return 0.0
    return to_float(grad._data if isinstance(grad, Value) else grad, "grad")
