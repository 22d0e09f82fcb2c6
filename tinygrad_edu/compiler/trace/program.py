"""The flat program: what a traced function did, as numbers in compact arrays.

A function run on symbols leaves no graph of objects behind but a list of operations in the order
in which they happened, which is already topological. Node ``i`` applies ``rows[codes[i]]`` to the
nodes ``operands[starts[i]:starts[i + 1]]``; inputs and constants are nodes without operands. About
20 bytes per operation stay, whatever the program does, and nothing here is recursive.
"""

from __future__ import annotations

from array import array
from typing import Any

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op, to_float
from tinygrad_edu.engine.value import Constant, Value

INPUT, CONSTANT = 0, 1  # the codes of nodes that are not operations
_WINDOW = 1 << 18  # how many recent operations are remembered to find common subexpressions


class Program:
    """A growing list of scalar operations over numbered nodes.

    Attributes:
        rows: The distinct operations in use; ``codes`` index into it.
        inputs: The node of each input, in the order in which inputs were added.
        constants: Node -> number, for the constants.
        captured: Leaf Values of the enclosing scope that the function used, with their nodes; they
            are inputs, read anew at each call.
        interior: Values with a history whose operations were recorded, too, with their nodes;
            ``None`` where that is an error.
        exact: Whether derivatives leave out what was not chosen even where it is infinite or nan
            (0 times that is nan); it takes a selection for each such operation.
        masked: Whether there was something to leave out.
        hasty: Whether the gradient of a loop may count as 0 times a slope what nothing was handed
            back to (then it is ``masked``), for the sake of one piece of code for all turns.
        twins: Loops without a trail, and the same loops with one.
        outer: For the step of a loop, the program that the loop is in.
        taken: Nodes of ``outer`` that the step uses, with their nodes here; they are inputs.
        depth: How many programs there are around this one.
        closed: Whether the step has been recorded, so that its numbers are out of reach.
        asked: The output and the inputs of each gradient taken while the step was recorded.
    """

    __slots__ = (
        "_constant_nodes",
        "_older",
        "_row_codes",
        "_seen",
        "asked",
        "captured",
        "closed",
        "codes",
        "constants",
        "exact",
        "hasty",
        "depth",
        "inputs",
        "interior",
        "masked",
        "operands",
        "outer",
        "rows",
        "starts",
        "taken",
        "twins",
    )

    def __init__(self, outer: Program | None = None) -> None:
        self.rows: list[Op | None] = [None, None]  # INPUT, CONSTANT
        self._row_codes: dict[Op, int] = {}
        self.codes: array[int] = array("I")
        self.starts: array[int] = array("q", [0])
        self.operands: array[int] = array("i")
        self.inputs: list[int] = []
        self.constants: dict[int, float] = {}
        self._constant_nodes: dict[Any, int] = {}
        self.captured: dict[Value, int] = {}
        self.interior: dict[Value, int] | None = None
        self.exact = False
        self.masked = False
        self.hasty = False
        self.twins: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self.outer = outer
        self.taken: dict[int, int] = {}
        self.depth: int = outer.depth + 1 if outer is not None else 0
        self.closed: bool = False
        self.asked: list[tuple[int, list[int]]] = []

    def __len__(self) -> int:
        return len(self.codes)

    def add_input(self) -> int:
        """Add an input and return its node."""
        self.inputs.append(len(self.codes))
        return self._leaf(INPUT)

    def constant(self, number: float) -> int:
        """Return the node of a constant; each number has one (0.0 and -0.0 are two)."""
        key: Any = number if number != 0.0 and number == number else repr(number)
        node = self._constant_nodes.get(key)
        if node is None:
            node = self._leaf(CONSTANT)
            self._constant_nodes[key] = node
            self.constants[node] = number
        return node

    def node_of(self, operand: Any, where: str) -> int:
        """Return the node for an operand that is not a symbol: a number or a captured Value.

        Raises:
            TypeError: For an interior Value, unless ``interior`` is a dict: its history may lie
                outside the traced function, so that it could only be frozen, or computed again
                from other numbers than it came from.
        """
        if not isinstance(operand, Value):
            return self.constant(to_float(operand, where))
        if isinstance(operand, Constant):
            return self.constant(operand.data)
        if self.outer is not None:
            return self.take(self.outer.node_of(operand, where))
        if operand.op is not None:
            if self.interior is None:
                raise outside(operand)
            return self._record_history(operand, self.interior)
        node = self.captured.get(operand)
        if node is None:
            node = self.captured[operand] = self.add_input()
        return node

    def take(self, node: int) -> int:
        """Return the node here for a node of the program around this one."""
        assert self.outer is not None
        number = self.outer.constants.get(node)
        if number is not None:
            return self.constant(number)
        here = self.taken.get(node)
        if here is None:
            here = self.taken[node] = self.add_input()
        return here

    def reach(self, owner: Program, node: int) -> int | None:
        """Return the node here for a node of ``owner``; ``None`` if it is not around this one."""
        if owner is self:
            return node
        if self.outer is None:
            return None
        found = self.outer.reach(owner, node)
        return None if found is None else self.take(found)

    def _record_history(self, value: Value, interior: dict[Value, int]) -> int:
        """Record the operations that an interior Value came from, but for those already here."""
        waiting = [value]
        while waiting:
            last = waiting[-1]
            missing = [x for x in last.operands if x.op is not None and x not in interior]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if last.op is not None and last not in interior:
                operands = [interior.get(x, -1) for x in last.operands]
                operands = [
                    self.node_of(x, last.op.name) if node < 0 else node
                    for x, node in zip(last.operands, operands)
                ]
                interior[last] = self.add(last.op, operands)
        return interior[value]

    def add(self, op: Op, operands: list[int]) -> int:
        """Record ``op`` on nodes and return the new node, or an old one that is the same.

        Only what cannot change a result is simplified: ``x * 1``, ``x / 1``, ``x - 0``, ``--x``,
        the largest of one number.
        """
        count = len(operands)
        if count > 3:
            return self.add_unshared(op, operands)
        code = self._row_codes.get(op)
        if code is None:
            code = self._code(op)
        if count == 2:
            a, b = operands
            key = (code << 32 | a) << 32 | b
        elif count == 1:
            if op is ops.max_:
                return operands[0]
            key = code << 32 | operands[0]
        else:
            key = code
            for node in operands:
                key = key << 32 | node
        seen, codes = self._seen, self.codes
        same = seen.get(key)
        if same is not None:
            return same
        same = self._older.get(key)
        if same is None and op in _SIMPLIFIED:
            same = self._simpler(op, operands)
            if same is not None:
                return same
        if len(seen) >= _WINDOW:  # bounded memory: sharing reaches back two windows at most
            self._older, self._seen = seen, {}
            seen = self._seen
        if same is not None:  # what each turn of a loop uses stays known
            seen[key] = same
            return same
        node = seen[key] = len(codes)
        codes.append(code)
        self.operands.extend(operands)
        self.starts.append(len(self.operands))
        return node

    def add_unshared(self, op: Op, operands: list[int]) -> int:
        """Record ``op`` as a new node in any case."""
        self.codes.append(self._code(op))
        self.operands.extend(operands)
        self.starts.append(len(self.operands))
        return len(self.codes) - 1

    def add_many(self, op: Op, operand: int, count: int) -> int:
        """Record ``op`` on one operand ``count`` times; return the first of the new nodes."""
        first, end = len(self.codes), len(self.operands)
        self.codes.extend(array("I", [self._code(op)]) * count)
        self.operands.extend(array("i", [operand]) * count)
        self.starts.extend(range(end + 1, end + 1 + count))
        return first

    def copy(self) -> Program:
        """Return a program of the same operations, which may go on otherwise."""
        other = Program()
        other.rows, other._row_codes = list(self.rows), dict(self._row_codes)
        other.codes, other.starts = self.codes[:], self.starts[:]
        other.operands, other.inputs = self.operands[:], list(self.inputs)
        other.constants, other._constant_nodes = dict(self.constants), dict(self._constant_nodes)
        other._seen, other._older = dict(self._seen), dict(self._older)
        return other

    def op(self, node: int) -> Op | None:
        """Return the operation of a node, ``None`` for inputs and constants."""
        return self.rows[self.codes[node]]

    def operands_of(self, node: int) -> array[int]:
        """Return the operand nodes of a node."""
        return self.operands[self.starts[node] : self.starts[node + 1]]

    def _leaf(self, code: int) -> int:
        self.codes.append(code)
        self.starts.append(len(self.operands))
        return len(self.codes) - 1

    def _code(self, op: Op) -> int:
        code = self._row_codes.get(op)
        if code is None:
            code = self._row_codes[op] = len(self.rows)
            self.rows.append(op)
        return code

    def _simpler(self, op: Op, operands: list[int]) -> int | None:
        constants = self.constants
        if op is ops.neg:
            inner = operands[0]
            return self.operands[self.starts[inner]] if self.op(inner) is ops.neg else None
        a, b = operands
        if op is ops.mul:
            if constants.get(b) == 1.0:
                return a
            return b if constants.get(a) == 1.0 else None
        if op is ops.div:
            return a if constants.get(b) == 1.0 else None
        return a if repr(constants.get(b)) == "0.0" else None  # sub; x - (-0.0) is x + 0.0


def outside(value: Value) -> TypeError:
    """Return the error for a Value with a history outside the traced function."""
    what = f"the result of {value.op.name} on " if value.op is not None else ""
    return TypeError(
        f"compile: {value._name()} is {what}Values from outside the traced function, so compiled "
        "code cannot follow it: pass it as an argument, or pass the Values it was computed from"
    )


_SIMPLIFIED = frozenset({ops.mul, ops.div, ops.sub, ops.neg})
