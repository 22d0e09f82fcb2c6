"""The loop over time as LLVM IR: what ``scan`` is once it is compiled.

The step is code like that of any program, with arrays of its own that begin with its inputs:
``local`` for numbers that rows share, ``lanes`` for those of the rows of a tile. A turn fetches the
entry, runs the step and moves the new state to where the old one was. Where numbers come from and
go to stands in a table (see ``Turns``), so the code is the same for every length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tinygrad_edu.compiler.emit.addresses import Index, LoopWriter
from tinygrad_edu.compiler.emit.scalar_ir import double, kind
from tinygrad_edu.compiler.loops.nests import MIXED
from tinygrad_edu.compiler.loops.storage import LANE, SHARED

PARAMETERS = (
    "ptr %shared, ptr %tile, i64 %count, ptr %tables, ptr %local, ptr %lanes, ptr %nests, "
) + "i64 %turns"
TYPES = "ptr, ptr, i64, ptr, ptr, ptr, ptr, i64"
_WRITTEN_OUT = 12  # so many numbers are moved one by one, more in a loop


@dataclass(frozen=True)
class Input:
    """Where an input of the step comes from, in which of its arrays it is, and at which place."""

    source: int
    target: int
    index: int


@dataclass
class Turn:
    """What the loop needs to know of its step.

    Attributes:
        place: ``LANE`` if the loop depends on the row.
        state, xs, captured: The inputs.
        outputs: Where in its array the new state is, and behind it the outputs.
        ys: How many outputs there are.
        trail: Which numbers of the state are stored for each turn.
        constants: Numbers that the step finds in ``local``, and where.
        shared_part, lane_part: The names of the step's functions: those for what the rows share.
    """

    place: int
    state: Sequence[Input]
    xs: Sequence[Input]
    captured: Sequence[Input]
    outputs: int
    ys: int
    trail: Sequence[int]
    constants: Sequence[tuple[int, float]]
    shared_part: Sequence[str]
    lane_part: Sequence[str]


class TurnsWriter(LoopWriter):
    """Writes the loop as the body of a function with ``PARAMETERS``."""

    def __init__(
        self, turn: Turn, tile: int, width: int, strict: bool, helpers: dict[str, str]
    ) -> None:
        super().__init__(tile if turn.place == LANE else 1, width, strict, helpers)
        self.turn = turn
        n, m = len(turn.state), len(turn.xs)
        captured = len(turn.captured)
        for index, number in turn.constants:
            self.store(double(number), "%local", index)
        self._fetch("%tables", 0, turn.state)
        self._fetch("%tables", n, turn.captured)
        invariant = bool(turn.lane_part) and all(x.target == LANE for x in turn.xs)
        if invariant:  # what rows share is the same in all turns
            self._call(turn.shared_part)
        # the tables of the turns, whose length is known at run time
        entries = self._at("%tables", str(n + captured + n))
        ys = self._at(entries, self.let(f"mul i64 %turns, {m}"))
        trail = self._at(ys, self.let(f"mul i64 %turns, {turn.ys}"))

        def body(t: Index, _: list[str]) -> list[str]:
            if turn.trail:
                here = self._at(trail, self.let(f"mul i64 {t.name}, {len(turn.trail)}"))
                self._put(here, 0, [turn.state[i].index for i in turn.trail])
            if m:
                self._fetch(self._at(entries, self.let(f"mul i64 {t.name}, {m}")), 0, turn.xs)
            self._call([] if invariant else turn.shared_part)
            self._call(turn.lane_part)
            if turn.ys:
                here = self._at(ys, self.let(f"mul i64 {t.name}, {turn.ys}"))
                self._put(here, 0, range(turn.outputs + n, turn.outputs + n + turn.ys))
            self._move_state()
            return []

        none = self.let("icmp eq i64 %turns, 0")
        self.say(f"br i1 {none}, label %end, label %begin")
        self.label("begin")
        self.block = "begin"
        self.loop(0, 1, [], body, limit="%turns")
        self.say("br label %end")
        self.label("end")
        self.block = "end"
        self._put("%tables", n + captured, [x.index for x in turn.state])
        self.say("ret void")

    def _at(self, table: str, index: str) -> str:
        return self.let(f"getelementptr i32, ptr {table}, i64 {index}")

    def _address(self, table: str, position: str) -> str:
        """Load an address from a table."""
        return self.let(f"sext i32 {self.let(f'load i32, ptr {self._at(table, position)}')} to i64")

    def _call(self, names: Sequence[str]) -> None:
        for name in names:
            self.say(
                f"call void @{name}(ptr %local, ptr %lanes, i64 %count, ptr %nests, ptr null, "
                "ptr null, ptr null)"
            )

    def _each(self, count: int, body: Callable[[Index], None]) -> None:
        if count <= _WRITTEN_OUT:
            for i in range(count):
                body(Index("", i))
        else:
            self.repeat(count, body)

    def _fetch(self, table: str, start: int, inputs: Sequence[Input]) -> None:
        """Bring inputs to where the step reads them."""
        done = 0
        for (source, target, _), run in groupby(
            enumerate(inputs),
            key=lambda pair: (pair[1].source, pair[1].target, pair[1].index - pair[0]),
        ):
            count, first = len(list(run)), inputs[done].index
            position = start + done

            def move(i: Index, source: int = source, target: int = target,
                     first: int = first, position: int = position) -> None:  # fmt: skip
                where = self._address(table, self.number(i.plus(position)))
                self._write(target, self._read(source, target, where), i.plus(first))

            self._each(count, move)
            done += count

    def _read(self, source: int, target: int, where: str) -> str:
        lanes = self.tile if target == LANE else 1
        if source == SHARED:
            return self.splat(self.load("%shared", where), lanes)
        if source == LANE:
            return self.load("%tile", self.let(f"mul i64 {where}, {lanes}"), lanes)
        assert source == MIXED
        shared = self.let(f"icmp slt i64 {where}, 0")
        here = self.let(f"xor i64 {where}, -1")
        row = self.let(f"select i1 {shared}, i64 0, i64 {where}")
        scalar = self.load("%shared", self.let(f"select i1 {shared}, i64 {here}, i64 0"))
        vector = self.load("%tile", self.let(f"mul i64 {row}, {lanes}"), lanes)
        wide = self.splat(scalar, lanes)
        return self.let(f"select i1 {shared}, {kind(lanes)} {wide}, {kind(lanes)} {vector}")

    def _write(self, place: int, number: str, index: Index) -> None:
        lanes, array = (self.tile, "%lanes") if place == LANE else (1, "%local")
        at = self.number(index)
        if index.name and lanes > 1:
            at = self.let(f"mul i64 {at}, {lanes}")
        elif lanes > 1:
            at = str(index.offset * lanes)
        self.store(number, array, at, lanes)

    def _put(self, table: str, start: int, indices: Sequence[int]) -> None:
        """Store numbers of the step in the program's arrays."""
        place, lanes = self.turn.place, self.tile
        own, array = ("%lanes", "%tile") if place == LANE else ("%local", "%shared")
        done = 0
        for _, run in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
            count = len(list(run))
            first, position = indices[done], start + done

            def move(i: Index, first: int = first, position: int = position) -> None:
                index = self.number(i.plus(first))
                if lanes > 1:
                    index = self.let(f"mul i64 {index}, {lanes}")
                number = self.load(own, index, lanes)
                where = self._address(table, self.number(i.plus(position)))
                if lanes > 1:
                    where = self.let(f"mul i64 {where}, {lanes}")
                self.store(number, array, where, lanes)

            self._each(count, move)
            done += count

    def _move_state(self) -> None:
        """Let the new state be the old one: both lie side by side."""
        turn, n = self.turn, len(self.turn.state)
        if not n:
            return
        array = "%lanes" if turn.place == LANE else "%local"
        total, start, done = n * self.tile, turn.outputs * self.tile, 0
        for piece in (8, 4, 2, 1):
            whole = (total - done) // piece * piece
            if not whole:
                continue

            def move(i: Index, piece: int = piece, done: int = done) -> None:
                number = self.load(array, self.number(i.plus(start + done)), piece)
                self.store(number, array, self.number(i.plus(done)), piece)

            self.repeat(whole, move, piece)
            done += whole
