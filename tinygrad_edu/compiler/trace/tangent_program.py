"""Forward mode on the flat program: derivatives along directions, appended to the same program.

The same rules of the table as in reverse mode, read the other way: a node's tangent is the sum of
its partial derivatives times its operands' tangents, from the first node to the last. Several
directions are taken in one pass; the partial derivatives are shared between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinygrad_edu.compiler.trace.gradient_program import (
    Choice,
    add_up,
    node_for,
    partials_of,
    product,
)
from tinygrad_edu.compiler.trace.program import Program

Number = float | int  # floats are numbers, ints are nodes


class ForwardMode:
    """Tangents of ``outputs``, and by which inputs each of them has a derivative at all.

    Args:
        program: What to differentiate; grows.
        inputs: The nodes to differentiate by.
        outputs: The nodes whose derivatives are wanted.
    """

    def __init__(self, program: Program, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self.program = program
        self.inputs = inputs
        self.outputs = outputs
        self._order = _between(program, inputs, outputs)
        # node -> (operand, partial) for what can hand a tangent on
        self._steps: list[tuple[int, list[tuple[int, Number]]]] = []
        self._choice = Choice(program)
        active = set(inputs)
        for node in self._order:
            op = program.op(node)
            if op is None or node in active:
                continue
            operands = program.operands_of(node)
            if active.isdisjoint(operands):
                continue
            terms = [
                (operand, partial)
                for operand, partial in zip(operands, partials_of(program, op, node, operands))
                if operand in active and not (type(partial) is float and partial == 0.0)
            ]
            if terms:
                active.add(node)
                self._steps.append((node, terms))

    def tangents(self, direction: Mapping[int, Number]) -> list[int]:
        """Append the tangents of the outputs along ``direction`` (input node -> component)."""
        program = self.program
        found: dict[int, Number] = dict(direction)
        for node, terms in self._steps:
            op = program.op(node)
            assert op is not None
            shares = [
                product(program, found[operand], partial)
                if not op.chooses
                else self._choice.chosen(product(program, found[operand], partial), partial)
                for operand, partial in terms
                if operand in found
            ]
            if shares:
                found[node] = shares[0] if len(shares) == 1 else add_up(program, shares)
        return [node_for(program, found.get(node, 0.0)) for node in self.outputs]

    def pattern(self) -> list[list[int]]:
        """For each output, the positions among the inputs of those it has a derivative by."""
        on: dict[int, frozenset[int]] = {x: frozenset((i,)) for i, x in enumerate(self.inputs)}
        for node, terms in self._steps:
            widest = max((on[operand] for operand, _ in terms), key=len)
            others = [on[operand] for operand, _ in terms if not on[operand] <= widest]
            on[node] = widest.union(*others) if others else widest  # equal sets are one object
        return [sorted(on.get(node, ())) for node in self.outputs]


def _between(program: Program, inputs: Sequence[int], outputs: Sequence[int]) -> list[int]:
    """Return the nodes, in order, that ``outputs`` depend on and that come after some input."""
    last, first = max(outputs, default=-1), min(inputs, default=0)
    needed = bytearray(last + 1)
    for node in outputs:
        needed[node] = 1
    starts, operands = program.starts, program.operands
    for node in range(last, first - 1, -1):
        if needed[node]:
            for operand in operands[starts[node] : starts[node + 1]]:
                needed[operand] = 1
    return [node for node in range(first, last + 1) if needed[node]]
