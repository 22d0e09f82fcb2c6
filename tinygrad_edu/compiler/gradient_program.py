"""Reverse mode on the flat program: gradients of a node, appended to the same program.

The table's local-gradient rules run on symbols, so a gradient is more program: it can be
differentiated again, which is all there is to Hessians. (The notes, section 'The Backpropagation
Algorithm': visit the nodes from the last to the first, and add up what the readers hand back.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.compiler.program import Program
from tinygrad_edu.compiler.symbol import Symbol


def gradients(program: Program, output: int, inputs: Sequence[int]) -> list[int]:
    """Append the gradients of ``output`` by each of ``inputs`` and return their nodes.

    Partial derivatives that a rule states as the plain number 0.0 or 1.0 cost nothing; numbers
    that merely turn out to be 0 at run time do count (``0 * inf`` is nan, as in the engine).
    """
    between = _between(program, output, inputs)
    rows, codes = program.rows, program.codes
    shares: dict[int, list[Any]] = {output: [1.0]}
    found: dict[int, Any] = {}
    wanted = set(inputs)
    for node in range(output, min(inputs, default=output) - 1, -1):
        terms = shares.pop(node, None)
        if terms is None:
            continue
        upstream = _add_up(terms)
        if node in wanted:
            found[node] = upstream
        op = rows[codes[node]]
        if op is None:
            continue
        operands = program.operands_of(node)
        if op is ops.mul:  # the most frequent rule, without the detour over two symbols
            a, b = operands
            partials: Sequence[Any] = (
                Symbol(program, b) if between[a] else 0.0,
                Symbol(program, a) if between[b] else 0.0,
            )
        else:
            partials = op.local_gradients(
                Symbol(program, node), *[Symbol(program, x) for x in operands]
            )
        for operand, partial in zip(operands, partials):
            if not between[operand]:
                continue
            if type(partial) is float:
                if partial == 0.0:
                    continue
                if partial == 1.0:
                    share = upstream
                elif partial == -1.0 and type(upstream) is Symbol:
                    share = -upstream
                else:
                    share = upstream * partial
            elif type(upstream) is float and upstream == 1.0:
                share = partial
            else:
                share = upstream * partial
            shares.setdefault(operand, []).append(share)
    return [_node(program, found.get(node, 0.0)) for node in inputs]


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


def _add_up(terms: list[Any]) -> Any:
    if len(terms) == 1:
        return terms[0]
    if len(terms) == 2:
        return terms[0] + terms[1]
    return ops.sum_(*terms)


def _node(program: Program, gradient: Any) -> int:
    return gradient.index if type(gradient) is Symbol else program.constant(float(gradient))
