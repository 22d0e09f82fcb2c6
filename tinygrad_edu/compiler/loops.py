"""LLVM IR for loop nests.

A nest is emitted for *bundles*: several neighbouring iterations at once, so that what they have in
common is loaded once and their sums are independent of each other. Over rows, every number is a
vector with one row per lane. Without rows, vectors run along a counter of the nest in which all
addresses step by 0 or 1, or along the terms of a sum, which adds the terms in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tinygrad_edu.compiler.layout import CONST, LANE, SHARED
from tinygrad_edu.compiler.scalar_ir import Writer, double, kind
from tinygrad_edu.compiler.straight import accumulate, active_lanes
from tinygrad_edu.compiler.structure import LOCAL, Nest, Ref, Step, contractible

_UNROLLED = 8  # sums of up to so many terms are written out


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


class NestWriter(Writer):
    """Writes one nest as the body of a function.

    Args:
        lanes: Rows per tile; 1 without rows.
        width: Doubles per vector register.
    """

    def __init__(
        self, nest: Nest, lanes: int, width: int, strict: bool, helpers: dict[str, str]
    ) -> None:
        super().__init__(strict, helpers)
        self.nest = nest
        self.tile = lanes
        self.width = width
        self.block = "entry"
        self.labels = 0
        self.scopes: list[dict[tuple[object, ...], str]] = [{}]
        self.label("entry")
        self._plan()
        if any(s.is_sum for s in nest.steps) and not self.contraction:
            active_lanes(self, lanes)
        if self.contraction:
            self._contract()
        else:
            self._level(0, [()], self.tile if nest.place == LANE else 1)
        self.say("ret void")

    # --- control flow ---

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
            if stride == 0:
                continue
            factor = stride * scale
            product = part
            if factor != 1:
                product = self.known(
                    ("mul", part, factor),
                    lambda p=part, f=factor: self.let(f"mul nsw i64 {p}, {f}"),
                )
            if name:
                name = self.known(
                    ("add", name, product),
                    lambda a=name, b=product: self.let(f"add nsw i64 {a}, {b}"),
                )
            else:
                name = product
        if ref.table is not None:
            where = self.position(ref.table, at, terms, 1)
            entry = self.known(("entry", where), lambda: self._entry(where))
            if scale != 1:
                entry = self.known(
                    ("mul", entry, scale), lambda: self.let(f"mul nsw i64 {entry}, {scale}")
                )
            name = self.let(f"add nsw i64 {name}, {entry}") if name else entry
        return Index(name, base * scale)

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
            array = self.known(
                ("ptr", array, index.name), lambda a=array: self.address(a, index.name)
            )
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

    # --- planning ---

    def _plan(self) -> None:
        """Choose what to vectorise and which counter's neighbours to bundle."""
        nest = self.nest
        self.axis = -1  # the counter along which vectors run, without rows
        self.along_terms = False
        self.contraction = nest.place == LANE and contractible(nest)
        sums = [s for s in nest.steps if s.terms]
        if nest.place == SHARED:
            candidates = [
                j for j in range(len(nest.counts)) if nest.counts[j] >= 4 and self._steps_by_one(j)
            ]
            if candidates:
                self.axis = max(candidates, key=lambda j: min(nest.counts[j], 4 * self.width))
            self.along_terms = not self.strict and any(
                s.terms[-1] >= self.width and self._runs_along_terms(s) for s in sums
            )
            if self.along_terms and self.axis >= 0:
                best = max(s.terms[-1] for s in sums)
                if nest.counts[self.axis] < self.width and best >= self.width:
                    self.axis = -1
                else:
                    self.along_terms = False
        vectors = max(1, self.tile // self.width) if nest.place == LANE else 1
        self.jam, self.jam_count = -1, 1
        if sums:
            free = [j for j in range(len(nest.counts)) if j != self.axis and nest.counts[j] > 1]
            if free:
                self.jam = max(free, key=lambda j: (self._shared_loads(j), j))
                self.jam_count = min(
                    nest.counts[self.jam], 4 if vectors > 1 or nest.place == SHARED else 8
                )

    def _refs(self) -> list[Ref]:
        found = []
        for step in self.nest.steps:
            found += [r for r in step.operands if r.place in (SHARED, LANE)]
            if step.result is not None and step.stored:
                found.append(step.result)
        return found

    def _steps_by_one(self, j: int) -> bool:
        if any(s.name == "take" for s in self.nest.steps):
            return False
        for ref in self._refs():
            if ref.strides[j] not in (0, 1) or (ref.table is not None and ref.table.strides[j]):
                return False
        return all(
            s.result is None
            or not s.stored
            or (s.result.strides[j] == 1 and s.result.table is None)
            for s in self.nest.steps
        )

    def _runs_along_terms(self, step: Step) -> bool:
        if step.name not in ("chain", "total"):
            return False
        runs = step.operands[-2:] if step.name == "chain" else step.operands[-1:]
        return all(
            r.inner[-1] in (0, 1) and (r.table is None or not r.table.inner[-1]) for r in runs
        )

    def _shared_loads(self, j: int) -> int:
        """How many operands of sums are the same for neighbours along counter ``j``."""
        return sum(
            ref.strides[j] == 0 and (ref.table is None or ref.table.strides[j] == 0)
            for step in self.nest.steps
            if step.terms
            for ref in step.operands
            if ref.place in (SHARED, LANE)
        )

    # --- the nest ---

    def _level(self, j: int, bundle: list[tuple[Index, ...]], lanes: int) -> None:
        """Write the loop of counter ``j`` and, inside, those of the counters after it."""
        if j == len(self.nest.counts):
            self._body([Iteration(at, lanes) for at in bundle])
            return
        count = self.nest.counts[j]
        start = 0
        if j == self.axis:
            pieces = [4 * self.width, 2 * self.width, self.width, 4, 2, 1]
            if any(s.terms for s in self.nest.steps) and self.jam_count > 1:
                pieces = pieces[1:]
        elif j == self.jam:
            pieces = [self.jam_count, 1] if count % self.jam_count else [self.jam_count]
            if count % self.jam_count:
                pieces = [self.jam_count, count % self.jam_count]
        else:
            pieces = [1]
        for piece in pieces:
            whole = (count - start) // piece * piece
            if not whole:
                continue

            def body(i: Index, _: list[str], piece: int = piece, start: int = start) -> list[str]:
                if j == self.axis:
                    each = min(piece, self.width)
                    offsets = range(0, piece, each)
                else:
                    each, offsets = lanes, range(piece)
                wider = [(*at, i.plus(start + o)) for at in bundle for o in offsets]
                self._level(j + 1, wider, each)
                return []

            self.loop(whole, piece, [], body)
            start += whole

    def _body(self, bundle: list[Iteration]) -> None:
        values: list[list[str]] = []
        self.scopes.append({})
        for step in self.nest.steps:
            if step.name == "take":
                results = [self._take(step, it, values, n) for n, it in enumerate(bundle)]
            elif step.terms:
                results = self._sum(step, bundle, values)
            else:
                results = [
                    self.operation(
                        step.name,
                        [self._operand(r, it, values, n) for r in step.operands],
                        it.lanes,
                    )
                    for n, it in enumerate(bundle)
                ]
            values.append(results)
            for it, value in zip(bundle, results):
                if step.is_sum and step.result is not None:
                    at = self.position(step.result, it.at, (), self.tile)
                    accumulate(self, value, self.number(at), it.lanes)
                elif step.stored and step.result is not None:
                    scale = self.tile if step.result.place == LANE else 1
                    array = "%tile" if step.result.place == LANE else "%shared"
                    pointer = self.pointer(array, self.position(step.result, it.at, (), scale))
                    self.say(f"store {kind(it.lanes)} {value}, ptr {pointer}, align 8")
        self.scopes.pop()

    def _operand(self, ref: Ref, it: Iteration, values: list[list[str]], n: int) -> str:
        if ref.place == CONST:
            return self.literal(ref.value, it.lanes)
        if ref.place == LOCAL:
            return values[ref.base][n]
        axis = ref.strides[self.axis] if self.axis >= 0 else 0
        return self.fetch(ref, it, (), axis)

    def _sum(self, step: Step, bundle: list[Iteration], values: list[list[str]]) -> list[str]:
        """Write ``chain``, ``total`` or ``max`` for every iteration of a bundle."""
        runs = step.operands[-2:] if step.name == "chain" else step.operands[-1:]
        start = step.operands[: -len(runs)]
        along = self.along_terms and step.terms[-1] >= self.width and self._runs_along_terms(step)
        firsts = [
            self._operand(start[0], it, values, n) if start else self.literal(-0.0, it.lanes)
            for n, it in enumerate(bundle)
        ]

        def add(totals: list[str], terms: tuple[Index, ...], lanes: int = 0) -> list[str]:
            after = []
            for total, it in zip(totals, bundle):
                wide = Iteration(it.at, lanes or it.lanes)
                numbers = []
                for ref in runs:
                    axis = ref.strides[self.axis] if self.axis >= 0 else 0
                    numbers.append(self.fetch(ref, wide, terms, ref.inner[-1] if lanes else axis))
                if step.name == "chain":
                    after.append(self.multiply_add(*numbers, total, wide.lanes))
                elif step.name == "total":
                    after.append(self.operation("add", [total, *numbers], wide.lanes))
                else:
                    after.append(self.maximum(total, *numbers, wide.lanes))
            return after

        def nested(p: int, terms: tuple[Index, ...], totals: list[str]) -> list[str]:
            count = step.terms[p]
            types = [kind(it.lanes) for it in bundle]
            if p < len(step.terms) - 1:
                return self.loop(
                    count, 1, list(zip(types, totals)), lambda k, c: nested(p + 1, (*terms, k), c)
                )
            done = 0
            if along:
                done = count // self.width * self.width
                ty = kind(self.width)
                vectors = self.loop(
                    done,
                    self.width,
                    [(ty, self.literal(-0.0, self.width))] * len(bundle),
                    lambda k, c: add(c, (*terms, k), self.width),
                )
                totals = [self.across(v, t, self.width) for v, t in zip(vectors, totals)]
            left = count - done
            if left <= _UNROLLED:
                for k in range(left):
                    totals = add(totals, (*terms, Index("", done + k)))
                return totals
            step_by = 4 if len(bundle) * max(1, bundle[0].lanes // self.width) <= 8 else 2
            whole = left // step_by * step_by

            def several(k: Index, c: list[str]) -> list[str]:
                for o in range(step_by):
                    c = add(c, (*terms, k.plus(done + o)))
                return c

            totals = self.loop(whole, step_by, list(zip(types, totals)), several)
            for k in range(whole, left):
                totals = add(totals, (*terms, Index("", done + k)))
            return totals

        return nested(0, (), firsts)

    # --- take ---

    def _take(self, step: Step, it: Iteration, values: list[list[str]], n: int) -> str:
        index = self._operand(step.operands[0], it, values, n)
        count = math.prod(step.terms)
        if it.lanes == 1:
            return self._take_one(step, index, it, count, "")
        total = "zeroinitializer"
        for lane in range(it.lanes):
            one = self.let(f"extractelement {kind(it.lanes)} {index}, i64 {lane}")
            found = self._take_one(step, one, it, count, str(lane))
            total = self.let(f"insertelement {kind(it.lanes)} {total}, double {found}, i64 {lane}")
        return total

    def _take_one(self, step: Step, index: str, it: Iteration, count: int, lane: str) -> str:
        name = "@llvm.floor.f64"
        self.helpers[name] = f"declare double {name}(double)"
        whole = self.let(
            f"fcmp oeq double {self.let(f'call double {name}(double {index})')}, {index}"
        )
        low = self.let(f"fcmp oge double {index}, {double(0.0)}")
        high = self.let(f"fcmp olt double {index}, {double(float(count))}")
        valid = self.let(f"and i1 {self.let(f'and i1 {low}, {high}')}, {whole}")
        safe = self.let(f"select i1 {valid}, double {index}, double {double(0.0)}")
        flat = self.let(f"fptosi double {safe} to i64")
        terms: tuple[Index, ...] = ()
        rest = flat
        for size in reversed(step.terms[1:]):
            terms = (Index(self.let(f"urem i64 {rest}, {size}")), *terms)
            rest = self.let(f"udiv i64 {rest}, {size}")
        ref = step.operands[1]
        scale = self.tile if ref.place == LANE else 1
        where = self.position(ref, it.at, (Index(rest), *terms), scale)
        if lane and ref.place == LANE:
            where = where.plus(int(lane))
        array = "%tile" if ref.place == LANE else "%shared"
        found = self.let(f"load double, ptr {self.pointer(array, where)}, align 8")
        return self.let(f"select i1 {valid}, double {found}, double {double(math.nan)}")

    # --- contractions over the rows of a tile ---

    def _contract(self) -> None:
        """Write ``totals[i, k] += sum over rows of a[i, row] * b[k, row]``.

        The slots of ``b`` are turned into rows first, so that vectors run along ``k`` and each
        ``a`` is a broadcast: no sums across lanes are left to do.
        """
        nest = self.nest
        step = nest.steps[0]
        result = step.result
        assert result is not None
        a, b = step.operands[-2:]
        last = len(nest.counts) - 1
        if b.strides[last] != 1:
            a, b = b, a
        count = nest.counts[last]
        outer = nest.counts[:-1]
        # which slots b runs over, for each setting of the outer counters and the terms
        moves = [j for j in range(last) if b.strides[j]]
        terms = step.terms

        def copy(at: tuple[Index, ...], inner: tuple[Index, ...]) -> None:
            first = self.position(Ref(LANE, b.base, b.strides, b.inner), at, inner, self.tile)
            self.say(
                f"call void @rows_out(ptr %scratch, i64 {count}, i64 %count, "
                f"ptr {self.pointer('%tile', first)})"
            )

        self.helpers["@rows_out"] = ""
        free = [j for j in range(last) if j not in moves]
        jam = max(free, key=lambda j: outer[j]) if free else -1
        jam_count = 4 if jam >= 0 else 1

        def inside(at: dict[int, Index], inner: tuple[Index, ...], p: int, bundle: int) -> None:
            """Loop over the counters on which b does not depend, then over vectors of k."""
            if p < len(free):
                j = free[p]
                sizes = [jam_count, outer[j] % jam_count] if j == jam else [1]
                start = 0
                for size in sizes:
                    whole = (outer[j] - start) // size * size if size else 0
                    if whole:

                        def body(
                            i: Index, _: list[str], size: int = size, start: int = start
                        ) -> list[str]:
                            wider = bundle * size if j == jam else bundle
                            inside({**at, j: i.plus(start)}, inner, p + 1, wider)
                            return []

                        self.loop(whole, size, [], body)
                        start += whole
                return
            start = 0
            for piece in (4 * self.width, 2 * self.width, self.width, 4, 2, 1):
                whole = (count - start) // piece * piece
                if whole:
                    self.loop(
                        whole, piece, [],
                        lambda k, _, piece=piece, start=start: block(at, inner, bundle, k.plus(start), piece),
                    )  # fmt: skip
                    start += whole

        def block(
            at: dict[int, Index], inner: tuple[Index, ...], bundle: int, k: Index, piece: int
        ) -> list[str]:
            lanes = min(piece, self.width)
            offsets = range(0, piece, lanes)
            ty = kind(lanes)
            rows = []
            for u in range(bundle):
                setting = [at.get(j, Index()) for j in range(last)]
                if jam >= 0:
                    setting[jam] = setting[jam].plus(u)
                rows.append(tuple(setting))
            places = [
                [self.position(result, (*row, k.plus(o)), (), 1) for o in offsets] for row in rows
            ]
            pointers = [[self.pointer("%totals", p) for p in line] for line in places]
            held = [self.let(f"load {ty}, ptr {p}, align 8") for line in pointers for p in line]

            def body(row: Index, totals: list[str]) -> list[str]:
                start = self.position(Ref(LANE, 0, (count, 1)), (row, k), (), 1)
                vectors = [
                    self.let(f"load {ty}, ptr {self.pointer('%scratch', start.plus(o))}, align 8")
                    for o in offsets
                ]
                after = []
                for u, setting in enumerate(rows):
                    where = self.position(a, (*setting, Index()), inner, self.tile)
                    pointer = self.address(self.pointer("%tile", where), row.name or row.offset)
                    scalar = self.let(f"load double, ptr {pointer}, align 8")
                    wide = self.splat(scalar, lanes)
                    for v, vector in enumerate(vectors):
                        total = totals[u * len(vectors) + v]
                        after.append(self.multiply_add(wide, vector, total, lanes))
                return after

            sums = self.loop(0, 1, [(ty, h) for h in held], body, limit="%count")
            for p, value in zip((p for line in pointers for p in line), sums):
                self.say(f"store {ty} {value}, ptr {p}, align 8")
            return []

        def outside(p: int, at: dict[int, Index]) -> None:
            """Loop over the counters that move b, then over its terms, and copy b."""
            if p < len(moves):
                self.loop(
                    outer[moves[p]], 1, [], lambda i, _: outside(p + 1, {**at, moves[p]: i}) or []
                )
                return
            over_terms(at, ())

        def over_terms(at: dict[int, Index], inner: tuple[Index, ...]) -> None:
            if len(inner) < len(terms):
                self.loop(terms[len(inner)], 1, [], lambda k, _: over_terms(at, (*inner, k)) or [])
                return
            full = tuple(at.get(j, Index()) for j in range(last))
            copy((*full, Index()), inner)
            inside(at, inner, 0, 1)

        outside(0, {})
