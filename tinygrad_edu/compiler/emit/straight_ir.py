"""Straight-line code: the operations of a program one after the other, values in registers.

A chunk is one LLVM function of bounded size, so that the time LLVM takes grows linearly with the
program. Numbers that a later chunk needs go through memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_edu.compiler.emit.scalar_ir import Writer, kind
from tinygrad_edu.compiler.loops.nests import Item
from tinygrad_edu.compiler.loops.storage import CONST, LANE, Layout
from tinygrad_edu.compiler.trace.lowering import CHAIN

_NEAR = 96  # a value not used for so many operations is loaded again


def write_chunk(
    writer: Writer, layout: Layout, items: Sequence[Item], lanes: int, exported: bytearray
) -> None:
    """Write straight-line code, storing the nodes marked in ``exported``."""
    program = layout.program
    place, constants = layout.place, program.constants
    _park(layout, items, exported)
    values: dict[int, str] = {}
    touched: dict[int, int] = {}  # when a value was last used
    unfinished: dict[int, str] = {}  # sums so far

    def value(node: int) -> str:
        name = values.get(node)
        if name is not None and now - touched[node] <= _NEAR:
            touched[node] = now
            return name
        touched[node] = now
        if place[node] == CONST:
            return writer.literal(constants[node], lanes)
        if place[node] == LANE:
            name = values[node] = writer.load("%tile", layout.address[node] * lanes, lanes)
            return name
        # a shared number is loaded where it is used: broadcasts are free, registers are not
        scalar = writer.load("%shared", layout.address[node])
        if lanes > 1:
            return writer.splat(scalar, lanes)
        values[node] = scalar
        return scalar

    for now, item in enumerate(items):
        node = item.node
        op = program.op(node)
        assert op is not None
        operands = program.operands_of(node)
        if item.end:
            total = unfinished.pop(node, "")
            if not total and item.first:  # begun in an earlier chunk
                total = value(node)
            result = _some_terms(writer, op.name, operands, item, total, value, lanes)
            if not item.last:
                unfinished[node] = result
                continue
        else:
            result = operation(writer, op.name, [value(x) for x in operands], lanes)
        values[node] = result
        touched[node] = now
        if node in layout.sum_index:
            if "active" not in writer.masks:
                active_lanes(writer, lanes)
            accumulate(writer, result, layout.sum_slots([node]) * lanes, lanes)
        if exported[node]:
            _store(writer, layout, node, result, lanes)
    for node, total in unfinished.items():
        _store(writer, layout, node, total, lanes)


def _park(layout: Layout, items: Sequence[Item], exported: bytearray) -> None:
    """Mark values for memory that lie idle for long: LLVM is slow with many values alive."""
    program = layout.program
    touched: dict[int, int] = {}
    for now, item in enumerate(items):
        operands = program.operands_of(item.node)
        if item.end:
            used = operands[item.first : item.end]
            if program.rows[program.codes[item.node]] is CHAIN:
                half = len(operands) // 2
                used += operands[half + item.first : half + item.end]
                if item.first == 0 and len(operands) % 2:
                    used.append(operands[-1])
            operands = used
        for x in operands:
            last = touched.get(x)
            if last is not None:
                if now - last > _NEAR and not exported[x]:
                    exported[x] = 1
                    layout.reserve(x)
                touched[x] = now
        touched[item.node] = now


def _store(writer: Writer, layout: Layout, node: int, value: str, lanes: int) -> None:
    """Store a result. ``volatile`` keeps LLVM from looking for stores to merge, which takes it
    five times as long as all the rest when there are thousands."""
    lane = layout.place[node] == LANE
    index = layout.reserve(node) * (lanes if lane else 1)
    pointer = writer.address("%tile" if lane else "%shared", index)
    writer.say(f"store volatile {kind(lanes)} {value}, ptr {pointer}, align 8")


def _some_terms(
    writer: Writer,
    name: str,
    operands: Sequence[int],
    item: Item,
    total: str,
    value: Callable[[int], str],
    lanes: int,
) -> str:
    """Go on with a sum; ``total`` is what has been added up before, nothing at the first term."""
    pairs = len(operands) // 2
    for j in range(item.first, item.end):
        if name == "total":
            term = value(operands[j])
            total = writer.operation("add", [total, term], lanes) if total else term
            continue
        if not total and len(operands) % 2:
            total = value(operands[-1])
        a, b = value(operands[j]), value(operands[pairs + j])
        if total:
            total = writer.multiply_add(a, b, total, lanes, pairs)
        else:
            total = writer.operation("mul", [a, b], lanes)
    return total


def operation(writer: Writer, name: str, operands: list[str], lanes: int) -> str:
    """Write one whole operation of a lowered program, of however many operands."""
    if name == "chain":
        pairs = len(operands) // 2
        if len(operands) % 2:
            total, first = operands[-1], 0
        else:
            total, first = writer.operation("mul", [operands[0], operands[pairs]], lanes), 1
        for a, b in zip(operands[first:pairs], operands[pairs + first : 2 * pairs]):
            total = writer.multiply_add(a, b, total, lanes, pairs)
        return total
    if name in ("total", "max"):
        total = operands[0]
        for term in operands[1:]:
            if name == "max":
                total = writer.maximum(total, term, lanes)
            else:
                total = writer.operation("add", [total, term], lanes)
        return total
    if name == "take":
        return writer.take(operands[0], operands[1:], lanes)
    return writer.operation(name, operands, lanes)


def active_lanes(writer: Writer, lanes: int) -> None:
    """Write the mask of the lanes that hold a row: all but in the last tile."""
    ty = f"<{lanes} x i64>"
    iota = ", ".join(f"i64 {i}" for i in range(lanes))
    first = writer.let(f"insertelement {ty} poison, i64 %count, i64 0")
    count = writer.let(f"shufflevector {ty} {first}, {ty} poison, <{lanes} x i32> zeroinitializer")
    writer.masks["active"] = writer.let(f"icmp ult {ty} <{iota}>, {count}")


def accumulate(writer: Writer, value: str, index: int | str, lanes: int) -> None:
    """Add a value to its sums per lane, in the lanes that hold a row."""
    held = writer.select(writer.masks["active"], value, writer.literal(0.0, lanes), lanes)
    before = writer.load("%sums", index, lanes)
    total = writer.let(f"fadd {kind(lanes)} {before}, {held}")
    writer.store(total, "%sums", index, lanes)
