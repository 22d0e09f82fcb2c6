"""Loop nests and straight-line chunks: what a schedule is made of, and where their operands are.

A nest is a few counters and, for each iteration, a few operations on numbers whose addresses step
by constant strides in the counters, or stand in a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinygrad_edu.compiler.loops.storage import CONST, LANE
from tinygrad_edu.compiler.trace.scan_row import Scan

MIXED = 4  # the place of an entry that is a lane number in some turns only
LOCAL = 3  # the place of a result of the same loop body, still in a register
# operations that run over many terms
FOLDED = ("chain", "total", "max", "take")


@dataclass(slots=True)
class Ref:
    """Where the operand or the result of an operation in a loop body is found.

    The address is ``base`` plus the counters of the nest times ``strides`` plus the counters of the
    terms times ``inner``; with a table, plus the table's entry at a position of the same form.
    """

    place: int
    base: int = 0
    strides: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    table: Ref | None = None
    value: float = 0.0


@dataclass(slots=True)
class Step:
    """One operation of a loop body; ``terms`` are the counts of its own loops, if it is a sum."""

    name: str
    operands: list[Ref]
    terms: tuple[int, ...]
    result: Ref | None
    is_sum: bool = False
    nodes: Any = None
    stored: bool = True


@dataclass(slots=True)
class Nest:
    """A loop nest: ``counts`` iterations, outermost first, of ``steps`` one after the other.

    The first ``outer`` counters are those of loops over turns around it.
    """

    place: int
    counts: tuple[int, ...]
    steps: list[Step]
    contraction: bool = False
    outer: int = 0


@dataclass(slots=True)
class Turns:
    """A loop over time, and where it finds its numbers.

    Attributes:
        loop: What is done.
        table: Where its addresses begin in the index tables: those of the first state, of what all
            turns use, of the last state; then for each turn those of the entry, for each turn those
            of the outputs, and for each turn those of the trail. In an entry, ``~address`` stands
            for a shared number where others are lane numbers.
        state, xs, captured: The place of each; ``MIXED`` if it differs from turn to turn.
    """

    loop: Scan
    table: int
    state: tuple[int, ...]
    xs: tuple[int, ...]
    captured: tuple[int, ...]


class Item(NamedTuple):
    """A piece of straight-line code: a node, or the terms ``first`` to ``end`` of a long sum."""

    node: int
    first: int
    end: int
    work: int
    last: int


@dataclass
class Segment:
    """A piece of the schedule: a chunk of straight-line code, a loop nest, or a loop over time.

    A loop that ``scan`` states has ``turns``, one that was found again a ``count`` and a ``body``.
    """

    place: int
    items: Any = ()  # a matrix with a row for each ``Item``
    nest: Nest | None = None
    turns: Turns | None = None
    count: int = 0  # turns of ``body``
    body: list[Segment] = field(default_factory=list)


def factor(columns: Any, most: int = 4) -> tuple[tuple[int, ...], Any] | None:
    """Write columns of addresses as ``first + sum(counter * stride)`` with common counters.

    Args:
        columns: An integer matrix, a column of addresses in each row.
        most: How many counters there may be.

    Returns:
        The counts, outermost first, and the strides of each column (a matrix); ``None`` if the
        columns do not step regularly.
    """
    import numpy

    length = columns.shape[1]
    counts: list[int] = []
    strides: list[Any] = []
    while length > 1:
        steps = columns[:, 1:] - columns[:, :-1]
        same = (steps == steps[:, :1]).all(axis=0)
        count = length if same.all() else int(same.argmin()) + 1
        if length % count or len(counts) == most:
            return None
        blocks = columns.reshape(len(columns), length // count, count)
        if not (blocks - blocks[:, :, :1] == (blocks - blocks[:, :, :1])[:, :1]).all():
            return None
        counts.append(count)
        strides.append(steps[:, 0])
        columns, length = blocks[:, :, 0], length // count
    table = numpy.array(strides[::-1], dtype=numpy.int64).reshape(len(counts), len(columns))
    return tuple(counts[::-1]), table.T


def contractible(nest: Nest) -> bool:
    """Is a nest a sum over rows of products that ``_contract`` can do?"""
    step = nest.steps[0]
    if nest.outer or len(nest.steps) != 1 or not step.is_sum or step.name not in ("mul", "chain"):
        return False
    runs, start = step.operands[-2:], step.operands[:-2]
    if any(s.place != CONST or s.value != 0.0 for s in start) or step.result is None:
        return False
    if any(r.place != LANE or r.table is not None for r in runs) or step.result.table is not None:
        return False
    steps = sorted(r.strides[-1] for r in runs)
    return step.result.strides[-1] == 1 and steps == [0, 1] and nest.counts[-1] >= 4
