"""Writing loops and addresses: the ground that code for loop nests stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinygrad_edu.compiler.emit.scalar_ir import Writer, kind
from tinygrad_edu.compiler.loops.nests import Ref
from tinygrad_edu.compiler.loops.storage import LANE


@dataclass(frozen=True, slots=True)
class Index:
    """A counter's value: a name of the IR, or nothing, plus a constant."""

    name: str = ""
    offset: int = 0

    def plus(self, offset: int) -> Index:
        return Index(self.name, self.offset + offset)


@dataclass(frozen=True, slots=True)
class Iteration:
    """One member of a bundle: an index per counter, and how many lanes it has."""

    at: tuple[Index, ...]
    lanes: int


class LoopWriter(Writer):
    """A function under construction that has loops.

    Args:
        tile: Rows per tile; 1 without rows.
        width: Doubles per vector register.
    """

    labels: int

    def __init__(self, tile: int, width: int, strict: bool, helpers: dict[str, str]) -> None:
        super().__init__(strict, helpers)
        self.tile = tile
        self.width = width
        self.block = "entry"
        self.labels = 0
        self.scopes: list[dict[tuple[object, ...], str]] = [{}]
        self.label("entry")

    def loop(
        self,
        count: int,
        step: int,
        carried: list[tuple[str, str]],
        body: Callable[[Index, list[str]], list[str]],
        limit: str = "",
    ) -> list[str]:
        """Write ``for i in range(0, count, step)`` with values handed from turn to turn.

        Args:
            count: A multiple of ``step``; or 0 if ``limit`` names the count.
            step: Increment of the index.
            carried: The type and the first value of each carried value.
            body: Writes the body, given the index and the carried values; returns the new ones.
            limit: The name of a count known only at run time; at least 1.

        Returns:
            The carried values after the loop.
        """
        if count == step and not limit:
            return body(Index(), [first for _, first in carried])
        self.labels += 1
        number = self.labels
        head = f"loop{number}"
        before = self.block
        self.say(f"br label %{head}")
        self.label(head)
        self.block = head
        place = len(self.lines)
        index = f"%i{number}"
        phis = [f"%c{number}.{n}" for n in range(len(carried))]
        self.scopes.append({})
        after = body(Index(index), phis)
        self.scopes.pop()
        following = self.let(f"add nuw nsw i64 {index}, {step}")
        more = self.let(f"icmp ult i64 {following}, {limit or count}")
        lines = [f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"]
        for phi, (ty, first), last in zip(phis, carried, after):
            lines.append(f"  {phi} = phi {ty} [ {first}, %{before} ], [ {last}, %{self.block} ]")
        self.lines[place:place] = lines
        done = f"done{number}"
        self.say(f"br i1 {more}, label %{head}, label %{done}")
        self.label(done)
        self.block = done
        return after

    def repeat(self, count: int, body: Callable[[Index], None], step: int = 1) -> None:
        """Write a loop that hands nothing from turn to turn."""

        def nothing(index: Index, _: list[str]) -> list[str]:
            body(index)
            return []

        self.loop(count, step, [], nothing)

    def truth(self, value: str, lanes: int) -> str:
        if value in self.masks:
            return self.masks[value]
        return self.known(
            ("truth", value),
            lambda: self.let(f"fcmp une {kind(lanes)} {value}, {self.literal(0.0, lanes)}"),
        )

    # --- addresses and loads ---

    def known(self, key: tuple[object, ...], make: Callable[[], str]) -> str:
        """Return what an enclosing scope already has under ``key``, or make it here."""
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        name = self.scopes[-1][key] = make()
        return name

    def position(
        self, ref: Ref, at: tuple[Index, ...], terms: tuple[Index, ...], scale: int
    ) -> Index:
        """Return ``scale`` times the address that a reference has at these counters."""
        base = ref.base
        parts: dict[str, int] = {}
        for index, stride in (*zip(at, ref.strides), *zip(terms, ref.inner)):
            base += index.offset * stride
            if index.name and stride:
                parts[index.name] = parts.get(index.name, 0) + stride
        name = ""
        for part, stride in parts.items():
            if stride:
                product = self._product(part, stride * scale)
                name = self._plus(name, product) if name else product
        if ref.table is not None:
            where = self.position(ref.table, at, terms, 1)
            entry = self._product(self.known(("entry", where), lambda: self._entry(where)), scale)
            name = self._plus(name, entry) if name else entry
        return Index(name, base * scale)

    def _product(self, name: str, factor: int) -> str:
        if factor == 1:
            return name
        return self.known(("mul", name, factor), lambda: self.let(f"mul nsw i64 {name}, {factor}"))

    def _plus(self, a: str, b: str) -> str:
        return self.known(("add", a, b), lambda: self.let(f"add nsw i64 {a}, {b}"))

    def _entry(self, where: Index) -> str:
        pointer = self.let(f"getelementptr i32, ptr %tables, i64 {self.number(where)}")
        return self.let(f"sext i32 {self.let(f'load i32, ptr {pointer}')} to i64")

    def number(self, index: Index) -> str:
        """Return an index as one operand of an instruction."""
        if not index.name or not index.offset:
            return index.name or str(index.offset)
        return self.known(
            ("add", index), lambda: self.let(f"add nsw i64 {index.name}, {index.offset}")
        )

    def pointer(self, array: str, index: Index) -> str:
        """Return the address of an element, the constant part of its index last."""
        if index.name:
            moved = index.name
            start = array
            array = self.known(("ptr", start, moved), lambda: self.address(start, moved))
        return self.address(array, index.offset)

    def fetch(
        self, ref: Ref, iteration: Iteration, terms: tuple[Index, ...] = (), axis: int = 0
    ) -> str:
        """Load an operand as one vector with the lanes of the iteration.

        Args:
            ref: Where it is, in memory.
            iteration: At which counters.
            terms: At which counters of the terms.
            axis: How far the address steps from lane to lane, without rows: 0 or 1.
        """
        lanes = iteration.lanes
        scale = self.tile if ref.place == LANE else 1
        array = "%tile" if ref.place == LANE else "%shared"
        index = self.position(ref, iteration.at, terms, scale)
        if ref.place == LANE or (axis and lanes > 1):
            return self.known(
                ("load", array, index, lanes),
                lambda: self.let(f"load {kind(lanes)}, ptr {self.pointer(array, index)}, align 8"),
            )
        scalar = self.known(
            ("load", array, index, 1),
            lambda: self.let(f"load double, ptr {self.pointer(array, index)}, align 8"),
        )
        if lanes == 1:
            return scalar
        return self.known(("splat", scalar, lanes), lambda: self.splat(scalar, lanes))
