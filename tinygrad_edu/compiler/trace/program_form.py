"""What a program does, apart from the objects it is made of: two traces are compared by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.scan_row import Scan
from tinygrad_edu.engine.operation import Op


def form_of_program(program: Program, outputs: Sequence[int]) -> tuple[Any, ...]:
    """Return what is equal for programs that compute the same in the same way.

    A captured Value made on the spot is another one each time; what counts is its number.
    """
    rows = [op if op is None else _form_of_row(op) for op in program.rows]
    constants = {node: repr(number) for node, number in program.constants.items()}
    captured = [(repr(value.data), node) for value, node in program.captured.items()]
    return rows, program.codes, program.starts, program.operands, constants, captured, [*outputs]


def _form_of_row(op: Op) -> tuple[Any, ...]:
    if not isinstance(op, Scan):
        return op.name, op.parameter
    step = op.loop
    inputs = (step.state, step.xs, step.captured)
    return op.turns, op.trail, inputs, form_of_program(step.program, [*step.new_state, *step.ys])
