"""Symbols: what a function is run on to be compiled.

A ``Symbol`` stands for a number that is not known yet. It behaves as a Value does, but instead of
computing it records into a ``Program``. Whatever would need the number now, such as an ``if``, is
an error that names the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, Protocol

from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.scan_row import CannotScan
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Node, Op, is_number
from tinygrad_edu.engine.operators import Operators

_WAYS_OUT = (
    "a traced number is not known while the function is being compiled; "
    "use maximum, minimum or where(condition, a, b) instead of an if, and take(values, index) "
    "instead of indexing"
)


def _unknown(what: str) -> NoReturn:
    raise TypeError(f"{what}: {_WAYS_OUT}")


def _no_gradients(*_operands: Any) -> NoReturn:
    raise TypeError(
        "compile: grad() without create_graph=True returns plain numbers, which cannot be "
        "differentiated; write grad(output, inputs, create_graph=True)"
    )


# what grad() returns without create_graph
PLAIN = Op("plain", "=", 1, lambda a: a, _no_gradients, "a", formula=lambda a: a)


class ReverseMode(Protocol):
    """Appends the gradients of ``output`` by ``inputs`` to ``program`` and returns their nodes."""

    def __call__(self, program: Program, output: int, inputs: Sequence[int]) -> list[int]: ...


class Symbol(Operators):
    """A number known only at run time: node ``index`` of ``program``."""

    __slots__ = ("index", "program")
    rank: ClassVar[int] = 1
    # reverse mode over a program, which is written with symbols: ``gradient_program`` fills this
    differentiate: ClassVar[ReverseMode]

    def __init__(self, program: Program, index: int) -> None:
        self.program: Program = program
        self.index: int = index

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Symbol:
        """Append ``op`` to the program that the operands belong to."""
        program = _innermost(operands)
        nodes = [
            x.index if type(x) is Symbol and x.program is program else _foreign(program, x, op)
            for x in operands
        ]
        return Symbol(program, program.add(op, nodes))

    @classmethod
    def binary(cls, op: Op, left: Any, right: Any) -> Any:
        """Record an operator on two operands, of which one at least is a symbol."""
        if type(left) is Symbol and type(right) is Symbol and left.program is right.program:
            program = left.program
            return Symbol(program, program.add(op, [left.index, right.index]))
        for operand in (left, right):
            if not isinstance(operand, Node) and not is_number(operand, op.name):
                return NotImplemented
        return cls.record(op, (left, right))

    def gradient(self, inputs: list[Any], create_graph: bool) -> list[Symbol]:
        """Return the gradients by ``inputs`` as symbols: the hook behind ``grad()``.

        Without ``create_graph`` they are plain numbers in the engine; so here it is an error to
        differentiate them again.
        """
        program = self.program
        if program.outer is not None:
            _check_in_step(program, inputs)
        nodes = [
            x.index if type(x) is Symbol and x.program is program else _foreign(program, x, None)
            for x in inputs
        ]
        if program.outer is not None:
            program.asked.append((self.index, nodes))
        # What the function makes of gradients may hide a nan, so here nothing unchosen gets in.
        before = program.exact
        program.exact = True
        try:
            found = self.differentiate(program, self.index, nodes)
        finally:
            program.exact = before
        if not create_graph:
            found = [x if x in program.constants else program.add(PLAIN, [x]) for x in found]
        return [Symbol(program, node) for node in found]

    # --- comparisons give traced conditions ---

    def __lt__(self, other: Any) -> Any:
        return ops.less(self, _plain(other))

    def __le__(self, other: Any) -> Any:
        return ops.less_equal(self, _plain(other))

    def __gt__(self, other: Any) -> Any:
        return ops.less(_plain(other), self)

    def __ge__(self, other: Any) -> Any:
        return ops.less_equal(_plain(other), self)

    def __eq__(self, other: object) -> bool:
        if other is None or isinstance(other, (str, bytes)):
            return False  # whatever the number will be
        _unknown("== or != on a traced number (equal(a, b) compares in both modes)")

    def __hash__(self) -> int:
        _unknown(
            "a traced number as a key of a dict or in a set, which ask for its hash; keep a list, "
            "or choose with where(equal(x, 1), a, b) or take(values, i)"
        )

    # --- what would need the number ---

    def __bool__(self) -> bool:
        _unknown("if, and, or, min(), max() or bool() on a traced number")

    def __float__(self) -> float:
        _unknown(
            "float() or a math function on a traced number (tinygrad_edu has exp, log, ... for "
            "both modes)"
        )

    def __int__(self) -> int:
        _unknown("int() of a traced number")

    def __index__(self) -> int:
        _unknown("a traced number as an index or a count")

    def __round__(self, digits: int | None = None) -> float:
        _unknown("round() of a traced number")

    @property
    def data(self) -> float:
        """Not there while tracing."""
        _unknown(".data of a traced number")

    @property
    def grad(self) -> float:
        """Not there while tracing; ``grad(output, inputs)`` is."""
        _unknown(".grad of a traced number (grad(output, inputs) works in both modes)")

    def backward(self) -> None:
        """Not there while tracing; ``grad(output, inputs)`` is."""
        _unknown("backward() on a traced number (grad(output, inputs) works in both modes)")

    def __repr__(self) -> str:
        op = self.program.op(self.index)
        return f"<traced number {self.index}: {op.name if op else 'input'}>"

    def __format__(self, spec: str) -> str:
        if spec:
            _unknown("formatting a traced number")
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a traced number cannot be copied or pickled: it lives in one program")


def _plain(other: Any) -> Any:
    return float(other) if isinstance(other, bool) else other


def _innermost(operands: tuple[Any, ...]) -> Program:
    """Return the program that an operation belongs to: of a step rather than of what is around."""
    found: Program | None = None
    for x in operands:
        if type(x) is Symbol and (found is None or x.program.depth > found.depth):
            found = x.program
    assert found is not None
    return found


def _check_in_step(program: Program, inputs: list[Any]) -> None:
    """A gradient in the step of a loop by what comes from outside leads through earlier turns."""
    if any(type(x) is not Symbol or x.program is not program for x in inputs):
        program.asked.append((-1, []))
        raise CannotScan("a gradient by something outside of the step")


def node_in(program: Program, operand: Any, where: str) -> int:
    """Return the node of ``program`` for a symbol, a number or a Value."""
    if type(operand) is Symbol:
        if operand.program is program:
            return operand.index
        return _foreign(program, operand, None)
    return program.node_of(operand, where)


def _foreign(program: Program, operand: Any, op: Op | None) -> int:
    if isinstance(operand, Symbol):
        closed = operand.program if operand.program.closed else program
        if closed.closed:
            raise TypeError(
                "compile: a number made inside the step of a scan was used outside of it; return "
                "it from the step as an output: (state, y)"
            )
        found = program.reach(operand.program, operand.index)
        if found is not None:
            return found
        raise TypeError(
            "compile: a traced number of another compiled function, or of an earlier trace, was "
            "used here; do not keep traced numbers beyond the call that made them"
        )
    return program.node_of(operand, op.name if op else "grad")
