"""Sums over rows of numbers that do not depend on the row: the penalty inside a loss.

The sum over n rows of ``a + b``, where ``b`` is the same for all of them, is the sum of ``a`` plus
``n b``. Taking ``b`` out saves its addition in each row; and what is left of a gradient, a product
of two numbers of the row, can be summed as ``contraction.py`` does it.
"""

from __future__ import annotations

from dataclasses import replace

from tinygrad_edu.compiler.loops.storage import LANE, Request, places_of
from tinygrad_edu.compiler.trace.lowering import CHAIN, TOTAL, lower
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.engine import ops


def separate(request: Request) -> Request:
    """Return a request in which the sums have no parts that all rows share.

    Its ``sums`` is -1 where nothing is left to add up, ``shared_sums`` has the parts taken out.
    """
    if not request.sums or not request.widths:
        return request
    program = request.program
    place = places_of(request)
    parts = [_split(program, place, node) for node in request.sums]
    if all(shared < 0 for _, shared in parts):
        return request
    lanes = [a for a, _ in parts if a >= 0]
    shared = [b for _, b in parts if b >= 0]
    # once more through lowering, which drops what is no longer needed
    program, nodes = lower(program, [*request.each, *lanes, *shared], request.strict)
    count = len(request.each)
    left = iter(nodes[count : count + len(lanes)])
    taken = iter(nodes[count + len(lanes) :])
    return replace(
        request,
        program=program,
        each=nodes[:count],
        sums=[next(left) if a >= 0 else -1 for a, _ in parts],
        shared_sums={i: next(taken) for i, (_, b) in enumerate(parts) if b >= 0},
    )


def _split(program: Program, place: bytearray, node: int) -> tuple[int, int]:
    """Return the part of a sum that depends on the row, and the part that does not; -1: none."""
    if place[node] != LANE:
        return -1, node
    op = program.op(node)
    operands = program.operands_of(node).tolist()
    if op is ops.add or op is TOTAL:
        row = [x for x in operands if place[x] == LANE]
        rest = [x for x in operands if place[x] != LANE]
        return (_total(program, row), _total(program, rest)) if rest else (node, -1)
    if op is not CHAIN:
        return node, -1
    half = len(operands) // 2
    pairs = list(zip(operands[:half], operands[half : 2 * half]))
    start = operands[2 * half :]
    rest_pairs = [p for p in pairs if place[p[0]] != LANE and place[p[1]] != LANE]
    fixed = [x for x in start if place[x] != LANE and program.constants.get(x) != 0.0]
    if not rest_pairs and not fixed:
        return node, -1
    row_pairs = [p for p in pairs if p not in rest_pairs]
    row_start = [x for x in start if place[x] == LANE]
    return _chain(program, row_pairs, row_start), _chain(program, rest_pairs, fixed)


def _total(program: Program, terms: list[int]) -> int:
    if len(terms) < 2:
        return terms[0] if terms else -1
    return program.add(ops.add if len(terms) == 2 else TOTAL, terms)


def _chain(program: Program, pairs: list[tuple[int, int]], start: list[int]) -> int:
    if not pairs:
        return start[0] if start else -1
    if len(pairs) == 1 and not start:
        return program.add(ops.mul, list(pairs[0]))
    return program.add(CHAIN, [a for a, _ in pairs] + [b for _, b in pairs] + start)
