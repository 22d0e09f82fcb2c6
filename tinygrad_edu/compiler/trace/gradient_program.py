"""Reverse mode on the flat program: gradients of a node, appended to the same program.

The table's local-gradient rules run on symbols, so a gradient is more program: it can be
differentiated again, which is all there is to Hessians. (The notes, section 'The Backpropagation
Algorithm': visit the nodes from the last to the first, and add up what the readers hand back.)

**Choice.** What ``where``, ``max`` and their like did not choose gets an upstream gradient of 0 and
hands on 0 times its partial derivatives: exactly nothing, unless one of them is infinite or nan.
Programs as a rule run without a thought of that; where a result comes out as nan, they are traced
again as ``exact``: then every share behind a choice is selected, not multiplied away.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from math import isfinite

from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.scan_row import PART, CannotScan, Scan
from tinygrad_edu.compiler.trace.symbol import Symbol
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op

Number = float | int  # floats are numbers, ints are nodes


def gradients(program: Program, output: int, inputs: Sequence[int]) -> list[int]:
    """Append the gradients of ``output`` by each of ``inputs`` and return their nodes.

    Partial derivatives that a rule states as the plain number 0.0 or 1.0 cost nothing; numbers
    that merely turn out to be 0 at run time do count (``0 * inf`` is nan, as in the engine).
    """
    found = pull_back(program, {output: [1.0]}, inputs)
    return [node_for(program, found.get(node, 0.0)) for node in inputs]


def pull_back(
    program: Program, seeds: Mapping[int, list[Number]], inputs: Sequence[int]
) -> dict[int, Number]:
    """Append the gradients by ``inputs`` of whatever hands back ``seeds`` to some nodes.

    Args:
        program: Grows.
        seeds: Node -> what its readers outside hand back, in the order in which it is added up.
        inputs: The nodes to differentiate by.

    Returns:
        The gradients by those of the inputs that anything is handed back to.
    """
    output = max(seeds, default=-1)
    between = _between(program, output, inputs)
    choice = Choice(program)
    rows, codes, starts, flat = program.rows, program.codes, program.starts, program.operands
    add, mul = program.add, ops.mul
    shares = {node: list(terms) for node, terms in seeds.items()}
    found: dict[int, Number] = {}
    parts: dict[int, dict[int, Number]] = {}  # loop -> what is handed back to its results
    wanted = set(inputs)
    for node in range(output, min(inputs, default=output) - 1, -1):
        terms = shares.pop(node, None)
        if terms is None:
            if node in parts:
                _through_loop(program, node, parts.pop(node), shares, between, choice)
            continue
        upstream = terms[0] if len(terms) == 1 else add_up(program, terms)
        if node in wanted:
            found[node] = upstream
        op = rows[codes[node]]
        if op is None:
            continue
        operands = flat[starts[node] : starts[node + 1]]
        behind = choice.of(node)
        if op is PART:
            if behind is not None:
                raise CannotScan("a loop whose results may not be chosen")
            parts.setdefault(operands[0], {})[node - operands[0] - 1] = upstream
            continue
        for operand, partial in zip(operands, partials_of(program, op, node, operands)):
            if not between[operand]:
                continue
            if type(partial) is float:
                if partial == 0.0:
                    continue
                if partial == 1.0:
                    shares.setdefault(operand, []).append(upstream)
                    choice.pass_on(operand, behind)
                    continue
            if type(upstream) is int and type(partial) is int:
                share: Number = add(mul, [upstream, partial])
            else:
                share = product(program, upstream, partial)
            if op.chooses or behind is not None:
                share = choice.select(op, operand, behind, share, partial)
            else:
                choice.pass_on(operand, None)
            shares.setdefault(operand, []).append(share)
    return found


def _through_loop(
    program: Program,
    head: int,
    found: dict[int, Number],
    shares: dict[int, list[Number]],
    between: Sequence[int],
    choice: Choice,
) -> None:
    """Hand back what the parts of a loop got to its operands."""
    operands = set(program.operands_of(head))
    before = {x: shares[x][-1] for x in operands if x in shares}
    assert Scan.pull_back is not None
    Scan.pull_back(program, head, found, shares, between)
    for x in operands:
        if x in shares and before.get(x) != shares[x][-1]:
            choice.pass_on(x, None)


class Choice:
    """On which conditions gradients arrive at nodes, for programs that are ``exact``.

    A condition is a node, true if it is not 0; ``None`` is: always. Other programs only learn
    whether there was a choice at all.
    """

    __slots__ = ("exact", "program", "readers")

    def __init__(self, program: Program) -> None:
        self.program = program
        self.exact = program.exact
        self.readers: dict[int, set[int | None]] = {}

    def of(self, node: int) -> int | None:
        """Return the condition on which a gradient arrives at ``node``; its readers are through."""
        conditions = self.readers.pop(node, None)
        if conditions is None or None in conditions:
            return None
        program = self.program
        found, *others = sorted(x for x in conditions if x is not None)
        for other in others:
            found = program.add(ops.where, [found, program.constant(1.0), other])
        return found

    def pass_on(self, operand: int, condition: int | None) -> None:
        """Note that ``operand`` gets a share on this condition."""
        if self.exact:
            self.readers.setdefault(operand, set()).add(condition)

    def select(
        self, op: Op, operand: int, behind: int | None, share: float | int, partial: float | int
    ) -> float | int:
        """Return the share of an operand of ``op``, or 0.0 where the operand was not chosen.

        Args:
            op: What handed it back.
            operand: Whose share it is.
            behind: On which condition a gradient arrived at ``op``.
            share: The product of upstream gradient and partial derivative.
            partial: The partial derivative.
        """
        program = self.program
        condition = behind
        if op.chooses and type(partial) is int and partial not in program.constants:
            program.masked = True
            if self.exact:
                none = program.constant(0.0)
                condition = (
                    partial
                    if behind is None
                    else program.add(ops.where, [behind, int(partial), none])
                )
        self.pass_on(operand, condition)
        if condition is None or type(share) is float or self._finite(partial):
            return share
        return program.add(ops.where, [int(condition), int(share), program.constant(0.0)])

    def chosen(self, share: float | int, partial: float | int) -> float | int:
        """Return what an operand of a choice hands on in forward mode; 0.0 if it was not chosen."""
        program = self.program
        if type(partial) is float or partial in program.constants or type(share) is float:
            return share
        program.masked = True
        if not self.exact:
            return share
        return program.add(ops.where, [int(partial), int(share), program.constant(0.0)])

    def _finite(self, partial: float | int) -> bool:
        number = partial if type(partial) is float else self.program.constants.get(int(partial))
        return number is not None and isfinite(number)


def partials_of(program: Program, op: Op, node: int, operands: array[int]) -> Sequence[float | int]:
    """Return the partial derivatives of a node: numbers (floats) or nodes (ints)."""
    if op is ops.mul:  # the two most frequent rules, without the detour over symbols
        return operands[::-1]
    if op is ops.dot and len(operands) % 2 == 0:
        half = len(operands) // 2
        return operands[half:] + operands[:half]
    partials = op.local_gradients(Symbol(program, node), *[Symbol(program, x) for x in operands])
    return [x.index if type(x) is Symbol else float(x) for x in partials]


def _between(program: Program, output: int, inputs: Sequence[int]) -> bytearray:
    """Mark the nodes up to ``output`` that depend on an input."""
    between = bytearray(output + 1)
    first = output + 1
    for node in inputs:
        if node <= output:
            between[node] = 1
            first = min(first, node)
    starts, operands = program.starts, program.operands
    for node in range(first + 1, output + 1):
        for operand in operands[starts[node] : starts[node + 1]]:
            if between[operand]:
                between[node] = 1
                break
    return between


def product(program: Program, upstream: Number, partial: Number) -> Number:
    """Append the product of two of what ``partials_of`` returns; numbers are multiplied at once."""
    if type(upstream) is float and type(partial) is float:
        return upstream * partial
    if upstream == 1.0 and type(upstream) is float:
        return partial
    if partial == -1.0 and type(partial) is float:
        return program.add(ops.neg, [node_for(program, upstream)])
    return program.add(ops.mul, [node_for(program, upstream), node_for(program, partial)])


def add_up(program: Program, terms: list[float | int]) -> float | int:
    """Append the sum of two or more terms."""
    nodes = [node_for(program, term) for term in terms]
    return program.add(ops.add if len(nodes) == 2 else ops.sum_, nodes)


def node_for(program: Program, gradient: float | int) -> int:
    """Return the node of a number, or the node itself."""
    return gradient if type(gradient) is int else program.constant(float(gradient))


Symbol.differentiate = staticmethod(gradients)
