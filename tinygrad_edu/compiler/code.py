"""From a program with places to functions in LLVM IR: the code of a kernel, and of a loop's step.

Each segment of the schedule becomes a function. A loop over time is a function of its own, with the
functions of its step, which may have loops in turn. Its name is made of its content: loops that do
the same, such as those of the same step over other lengths, are compiled once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tinygrad_edu.compiler.emit import rows_ir, turns_ir
from tinygrad_edu.compiler.emit.contraction import ContractionWriter
from tinygrad_edu.compiler.emit.nests_ir import NestWriter
from tinygrad_edu.compiler.emit.rolled_ir import RolledWriter
from tinygrad_edu.compiler.emit.scalar_ir import Writer
from tinygrad_edu.compiler.emit.straight_ir import write_chunk
from tinygrad_edu.compiler.loops.nests import Item, Segment, Turns
from tinygrad_edu.compiler.loops.rolled import RollingFinder
from tinygrad_edu.compiler.loops.storage import LANE, SHARED, Layout, Request, lay_out
from tinygrad_edu.compiler.trace.lowering import lower

_STEP = "loop.unnamed"  # stands for the name of a loop until its content is known


@dataclass(frozen=True)
class Machine:
    """What code is written for: rows per tile, doubles per vector, and whether it is strict."""

    lanes: int
    width: int
    strict: bool


@dataclass
class Counts:
    """What came out."""

    loops: int = 0
    straight: int = 0
    chunks: int = 0
    scans: int = 0
    rolled: int = 0  # loops over time found again
    operations: int = 0  # in the steps of loops


@dataclass
class Loop:
    """The code of a loop over time.

    Attributes:
        name: Of its function, whose parameters are ``turns_ir.PARAMETERS``.
        modules: Its code, in pieces: helper functions by name, and the text.
        inner: The loops in its step.
        tables: Index tables of the step.
        shared, slots: How many numbers, and how many slots of a tile, the step works on.
        counts: What is in it.
    """

    name: str
    modules: list[tuple[dict[str, str], str]]
    inner: list[Loop]
    tables: Any
    shared: int
    slots: int
    counts: Counts


class Functions(Protocol):
    """Where functions are collected."""

    helpers: dict[str, str]

    def add(self, name: str, writer: Writer) -> str:
        """Add a function; return its name."""
        ...

    def add_loop(self, loop: Loop) -> None:
        """Add the code of a loop, unless it is there already."""
        ...


@dataclass
class Written:
    """What was written: the functions' names by place, the schedule's finder, and sizes."""

    names: dict[int, list[str]]
    finder: RollingFinder
    scratch: int


def write_segments(
    functions: Functions, layout: Layout, machine: Machine, loops: bool, counts: Counts
) -> Written:
    """Find the loops of a program and write all of it."""
    finder = RollingFinder(layout, loops)
    segments = finder.schedule()
    exported = finder.mark_stored()
    names: dict[int, list[str]] = {SHARED: [], LANE: []}
    lanes, width, strict = machine.lanes, machine.width, machine.strict
    scratch = 0
    for i, segment in enumerate(segments):
        nest = segment.nest
        writer: Writer
        if segment.turns is not None:
            writer = _write_call(functions, finder, segment.turns, segment.place, machine, counts)
        elif segment.body:
            writer = RolledWriter(segment, lanes, width, strict, functions.helpers)
            _count(segment, counts)
        elif nest is not None:
            arguments = (nest, lanes, width, strict, functions.helpers)
            if nest.contraction:
                writer = ContractionWriter(*arguments)
                scratch = max(scratch, nest.counts[-1])
            else:
                writer = NestWriter(*arguments)
            counts.loops += 1
        else:
            writer = Writer(strict, functions.helpers)
            items = [Item(*row) for row in segment.items.tolist()]
            here = lanes if segment.place == LANE else 1
            write_chunk(writer, layout, items, here, exported)
            writer.say("ret void")
            counts.chunks += 1
            counts.straight += sum(item.last for item in items)
        names[segment.place].append(functions.add(f"segment{i}", writer))
    return Written(names, finder, scratch)


def _count(segment: Segment, counts: Counts) -> None:
    """Count what a loop that was found again is made of."""
    nest = segment.nest
    if segment.body:
        counts.loops += 1
        counts.rolled += 1
        for inner in segment.body:
            _count(inner, counts)
    elif nest is not None and len(nest.counts) > nest.outer:
        counts.loops += 1
    elif nest is not None:
        counts.straight += len(nest.steps)


# --- loops over time ---


def _write_call(
    functions: Functions,
    finder: RollingFinder,
    turns: Turns,
    place: int,
    machine: Machine,
    counts: Counts,
) -> Writer:
    """Write the segment that calls a loop, and reserve the memory that its step works in."""
    layout = finder.layout
    loop = loop_code(turns, place, machine)
    functions.add_loop(loop)
    counts.scans += 1 + loop.counts.scans
    counts.loops += loop.counts.loops
    counts.straight += loop.counts.straight
    counts.rolled += loop.counts.rolled
    counts.chunks += loop.counts.chunks
    counts.operations += loop.counts.operations
    writer = Writer(machine.strict, functions.helpers)
    tables = finder.table_size
    if len(loop.tables):
        finder.add_table(loop.tables)
    if place == LANE:
        slots = -(-loop.shared // machine.lanes)
        first = layout.reserve_many(LANE, slots + loop.slots)
        local = writer.address("%tile", first * machine.lanes)
        own = writer.address("%tile", (first + slots) * machine.lanes)
    else:
        local = writer.address("%shared", layout.reserve_many(SHARED, loop.shared))
        own = "null"
    addresses = writer.let(f"getelementptr i32, ptr %tables, i64 {turns.table}")
    nests = writer.let(f"getelementptr i32, ptr %tables, i64 {tables}")
    writer.say(
        f"call void @{loop.name}(ptr %shared, ptr %tile, i64 %count, ptr {addresses}, "
        f"ptr {local}, ptr {own}, ptr {nests}, i64 {turns.loop.turns})"
    )
    writer.say("ret void")
    return writer


def loop_code(turns: Turns, place: int, machine: Machine) -> Loop:
    """Return the code of a loop; it is kept with the step."""
    step = turns.loop.loop
    if place != LANE:
        machine = Machine(1, machine.width, machine.strict)
    key = ("code", place, machine, turns.state, turns.xs, turns.captured, turns.loop.trail)
    found: Loop | None = step.made.get(key)
    if found is None:
        found = step.made[key] = _write_loop(turns, place, machine)
    return found


def _write_loop(turns: Turns, place: int, machine: Machine) -> Loop:
    import numpy

    step = turns.loop.loop
    program, results = lower(step.program, [*step.new_state, *step.ys], machine.strict)
    # 1. The step as a program whose inputs are where the loop puts them.
    shared = lane = 0
    inputs: list[turns_ir.Input] = []
    sources = [*turns.state, *turns.xs, *turns.captured]
    for i, source in enumerate(sources):
        target = SHARED if place != LANE or (source == SHARED and i >= len(turns.state)) else LANE
        inputs.append(turns_ir.Input(source, target, lane if target == LANE else shared))
        lane += target == LANE
        shared += target != LANE
    places = [(0 if x.target == LANE else -1, x.index) for x in inputs]
    widths = [lane] if place == LANE else []
    request = Request(program, places, widths, results, [], machine.strict)
    layout = lay_out(request)
    functions = _StepFunctions()
    counts = Counts(operations=sum(code > 1 for code in program.codes))
    written = write_segments(functions, layout, machine, True, counts)
    # 2. The loop around it.
    n, m = len(turns.state), len(turns.xs)
    turn = turns_ir.Turn(
        place,
        inputs[:n],
        inputs[n : n + m],
        inputs[n + m :],
        lane if place == LANE else shared,
        len(step.ys),
        turns.loop.trail,
        layout.constants,
        written.names[SHARED],
        written.names[LANE],
    )
    functions.finish(
        turns_ir.TurnsWriter(turn, machine.lanes, machine.width, machine.strict, functions.helpers),
        [*written.names[SHARED], *written.names[LANE]],
    )
    # 3. Its name is a hash of its content.
    digest = hashlib.sha256()
    for helpers, text in functions.modules:
        digest.update("\n".join([*helpers.values(), text]).encode())
    name = f"loop.{digest.hexdigest()[:24]}"
    modules = [(helpers, text.replace(_STEP, name)) for helpers, text in functions.modules]
    modules = [({k.replace(_STEP, name): v.replace(_STEP, name) for k, v in helpers.items()}, text)
               for helpers, text in modules]  # fmt: skip
    tables = written.finder.tables
    return Loop(
        name,
        modules,
        functions.inner,
        numpy.concatenate(tables) if tables else numpy.zeros(0, numpy.int32),
        layout.shared_size,
        layout.tile_size,
        counts,
    )


class _StepFunctions:
    """The functions of a step, in modules of bounded size."""

    _MODULE = 6000  # lines

    def __init__(self) -> None:
        self.modules: list[tuple[dict[str, str], str]] = []
        self.helpers: dict[str, str] = {}
        self.inner: list[Loop] = []
        self._text: list[str] = []
        self._here: set[str] = set()
        self._size = 0

    def add(self, name: str, writer: Writer) -> str:
        name = f"{_STEP}.{name}"
        body = "\n".join(writer.lines)
        self._text.append(f"define void @{name}({rows_ir.RECEIVED}) {{\n{body}\n}}")
        self._here.add(name)
        self._size += len(writer.lines)
        if self._size > self._MODULE:
            self._flush()
        return name

    def add_loop(self, loop: Loop) -> None:
        self.helpers[f"@{loop.name}"] = f"declare void @{loop.name}({turns_ir.TYPES})"
        self.inner.append(loop)

    def finish(self, writer: Writer, called: Sequence[str]) -> None:
        """Add the loop's own function."""
        for name in called:
            if name not in self._here:
                self.helpers[f"@{name}"] = f"declare void @{name}({rows_ir.TYPES})"
        body = "\n".join(writer.lines)
        self._text.append(f"define void @{_STEP}({turns_ir.PARAMETERS}) {{\n{body}\n}}")
        self._flush()

    def _flush(self) -> None:
        self.modules.append((dict(self.helpers), "\n".join(self._text)))
        self.helpers.clear()
        self._text.clear()
        self._here.clear()
        self._size = 0
