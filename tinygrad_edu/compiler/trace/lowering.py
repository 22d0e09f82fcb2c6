"""Lowering: from the rows of the table to the few operations that native code has.

One pass over the traced program drops what no output needs, writes operations out by their
``formula``, and collects chains of additions into n-ary operations: ``((b + w1*x1) + w2*x2)``,
whose inner results nobody else reads, becomes one ``chain`` of products with start ``b``. The order
of the additions is kept, so results stay the same bit for bit.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.compiler.llvm import has_symbol
from tinygrad_edu.compiler.trace.program import CONSTANT, INPUT, Program
from tinygrad_edu.compiler.trace.scan_row import PART, Scan
from tinygrad_edu.compiler.trace.symbol import Symbol
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op


def _never(*operands: float) -> Any:
    raise NotImplementedError("a lowered operation runs in compiled code alone")


# n products and an odd last operand as the start, like ``dot``; but without a start the first
# product is the start, where ``dot`` begins with 0.0 (which matters for -0.0 alone).
CHAIN = Op("chain", "Σ", None, _never, _never, "a_1 b_1 + ... + a_n b_n, from left to right")
COPY = Op("copy", "=", 1, _never, _never, "a")
TOTAL = Op("total", "Σ", None, _never, _never, "a_1 + ... + a_n, from left to right")
NOT_LIBM = {"add", "sub", "mul", "div", "neg", "abs", "less", "less_equal", "equal", "where"}
NOT_LIBM |= {
    "floor",
    "ceil",
    "round",
    "sqrt",
    "dot",
    "sum",
    "max",
    "take",
    "chain",
    "total",
    "copy",
}
LIBM = {"pow", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos"}
LIBM |= {"atan", "atan2", "hypot", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "fmod"}
LIBM |= {"erf", "erfc", "lgamma"}


def _logsumexp(*operands: Any) -> Any:
    top = ops.max_(*operands)
    total = TOTAL(0.0, *[ops.exp(a - top) for a in operands])
    infinite_or_nan = 1.0 - ops.less(ops.abs_(top), math.inf)
    return ops.where(infinite_or_nan, top, top + ops.log(total))


def _power(exponent: float, strict: bool) -> Callable[[Any], Any]:
    if not strict:
        if exponent == 2.0:
            return lambda a: a * a
        if exponent == 3.0:
            return lambda a: a * a * a
        if exponent == 0.5:
            return lambda a: ops.sqrt(ops.where(ops.equal(a, -math.inf), math.inf, a + 0.0))
        if exponent == -0.5:
            return lambda a: 1.0 / ops.sqrt(ops.where(ops.equal(a, -math.inf), math.inf, a + 0.0))
    if exponent == -1.0:
        return lambda a: 1.0 / a
    if exponent == 1.0:
        return lambda a: a
    return lambda a: ops.pow_(a, exponent)


def _formula(op: Op, strict: bool) -> Callable[..., Any] | None:
    """Return how ``op`` is written with native operations; ``None`` if it is one.

    Raises:
        TypeError: For a row that has neither a formula nor a libm function of its name.
    """
    if op is PART or isinstance(op, Scan):
        return None
    if op.name == "power" and op.parameter is not None:
        return _power(op.parameter, strict)
    if op.name == "exponential":
        return lambda a: ops.pow_(op.parameter, a)
    if op is ops.logsumexp:
        return _logsumexp
    if op.name in NOT_LIBM or op.name in LIBM:
        return None
    if op.formula is not None:
        return op.formula
    if op.arity in (1, 2) and op.name.isidentifier() and libm_has(op.name):
        return None
    raise TypeError(
        f"compile: the operation {op.name!r} has no formula in terms of other operations, and the "
        "C library has no function of that name, so it cannot be compiled; give its row a formula"
    )


def libm_has(name: str) -> bool:
    """Is there a C function of this name in the running process?"""
    return has_symbol(name)


def lower(source: Program, outputs: Sequence[int], strict: bool) -> tuple[Program, list[int]]:
    """Return a program of native operations for ``outputs`` of ``source``, and its outputs.

    All inputs of ``source`` are inputs of the result, in the same order. With ``strict``, powers
    stay calls of ``pow`` and the terms of every sum keep their order.
    """
    lowering = _Lowering(source, outputs, strict)
    lowering.run()
    target, results = lowering.target, [lowering.new[x] for x in outputs]
    # Formulas may use sums, and rows that have formulas themselves.
    written = (ops.sum_, ops.dot)
    if any(op in written or (op and _formula(op, strict)) for op in target.rows):
        return lower(target, results, strict)
    return target, results


class _Lowering:
    """The state of one pass."""

    def __init__(self, source: Program, outputs: Sequence[int], strict: bool) -> None:
        self.source = source
        self.strict = strict
        self.target = Program()
        self.new = array("i", [-1]) * len(source)  # node of source -> node of target
        codes = {op: code for code, op in enumerate(source.rows)}
        self.add, self.mul = codes.get(ops.add, -1), codes.get(ops.mul, -1)
        self.sum, self.dot = codes.get(ops.sum_, -1), codes.get(ops.dot, -1)
        self._find_usage(outputs)

    def _find_usage(self, outputs: Sequence[int]) -> None:
        """Count readers (0, 1, 2 for more); mark sums and products that their reader takes in."""
        source = self.source
        self.readers = readers = bytearray(len(source))
        self.inner = inner = bytearray(len(source))
        for node in outputs:
            readers[node] = 2
        codes, starts, flat = source.codes, source.starts, source.operands
        add, mul, sums = self.add, self.mul, (self.add, self.sum)
        for node in range(len(source) - 1, -1, -1):
            if readers[node]:
                for x in flat[starts[node] : starts[node + 1]]:
                    if readers[x] < 2:
                        readers[x] += 1
        for node, code in enumerate(codes):
            if code in sums and readers[node]:
                operands = flat[starts[node] : starts[node + 1]]
                for x in operands:
                    if codes[x] == mul and readers[x] == 1:
                        inner[x] = 1
                if code == add:  # one inner sum goes on in this one
                    for x in operands:
                        if codes[x] == add and readers[x] == 1:
                            inner[x] = 1
                            break

    def run(self) -> None:
        source, target, new = self.source, self.target, self.new
        starts, flat = source.starts, source.operands
        for node in source.inputs:
            new[node] = target.add_input()
        formulas: dict[int, Callable[..., Any] | None] = {INPUT: None, CONSTANT: None}
        for node, code in enumerate(source.codes):
            if not self.readers[node] or self.inner[node] or code == INPUT:
                continue
            if code == CONSTANT:
                new[node] = target.constant(source.constants[node])
                continue
            operands = flat[starts[node] : starts[node + 1]].tolist()
            if code == self.add:
                new[node] = self._fold(self._chain_of_sums(operands))
            elif code == self.sum:
                if not self.strict:  # products last: more of them in one run
                    operands.sort(key=self.inner.__getitem__)
                new[node] = self._fold(operands, target.constant(0.0))
            elif code == self.dot:
                nodes = [new[x] for x in operands]
                if len(nodes) % 2 == 0:
                    nodes.append(target.constant(0.0))
                new[node] = target.add(CHAIN, nodes)
            else:
                op = source.rows[code]
                assert op is not None
                if op is PART:
                    continue  # came with its loop
                if isinstance(op, Scan):
                    self._copy_loop(node, op, [new[x] for x in operands])
                    continue
                if code not in formulas:
                    formulas[code] = _formula(op, self.strict)
                formula = formulas[code]
                if formula is None:
                    new[node] = target.add(op, [new[x] for x in operands])
                else:
                    result = formula(*[Symbol(target, new[x]) for x in operands])
                    known = type(result) is not Symbol
                    new[node] = target.constant(float(result)) if known else result.index

    def _copy_loop(self, head: int, op: Scan, operands: list[int]) -> None:
        """Copy a loop with those of its results that are read."""
        new, readers, target = self.new, self.readers, self.target
        n, p, turns = len(op.loop.state), len(op.loop.ys), op.turns
        first = head + 1 + n
        trail = first + turns * p

        def read(start: int, width: int) -> list[int]:
            end = start + turns * width
            return [k for k in range(width) if any(readers[start + k : end : width])]

        ys, states = read(first, p), read(trail, len(op.trail))
        kept = Scan(op.loop.keeping(ys), turns, [op.trail[i] for i in states])
        new[head] = target.add_unshared(kept, operands)
        node = target.add_many(PART, new[head], kept.results)
        new[head + 1 : first] = array("i", range(node, node + n))
        node += n
        for start, width, columns in ((first, p, ys), (trail, len(op.trail), states)):
            end = node + turns * len(columns)
            for k, column in enumerate(columns):
                here = array("i", range(node + k, end, len(columns)))
                new[start + column : start + turns * width : width] = here
            node = end

    def _chain_of_sums(self, operands: list[int]) -> list[int]:
        """Follow inner sums down from an addition; return the terms, first added first."""
        source, inner, add = self.source, self.inner, self.add
        terms: list[int] = []
        while True:
            a, b = operands
            if not (inner[a] and source.codes[a] == add):
                a, b = b, a  # x + y and y + x are the same number
                if not (inner[a] and source.codes[a] == add):
                    if inner[b] and not inner[a]:
                        a, b = b, a  # start with the plain term: s + x*y
                    terms += (a, b)
                    return terms[::-1]
            terms.append(b)
            start = source.starts[a]
            operands = source.operands[start : start + 2].tolist()

    def _fold(self, terms: list[int], total: int = -1) -> int:
        """Add from left to right; every run of products, or of plain terms, becomes one node."""
        source, inner, new, target = self.source, self.inner, self.new, self.target
        position = 0
        while position < len(terms):
            kind = inner[terms[position]]
            end = position
            while end < len(terms) and inner[terms[end]] == kind:
                end += 1
            run = terms[position:end]
            start = [total] if total >= 0 else []
            if kind:
                firsts = [source.starts[x] for x in run]
                left = [new[source.operands[i]] for i in firsts]
                right = [new[source.operands[i + 1]] for i in firsts]
                nodes = left + right + start
                total = target.add(ops.mul if len(nodes) == 2 else CHAIN, nodes)
            else:
                nodes = start + [new[x] for x in run]
                if len(nodes) > 1:
                    total = target.add(ops.add if len(nodes) == 2 else TOTAL, nodes)
                else:
                    total = nodes[0]
            position = end
        return total
