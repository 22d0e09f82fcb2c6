"""LLVM IR for loop nests.

A nest is emitted for *bundles*: several neighbouring iterations at once, so that what they have in
common is loaded once and their sums are independent of each other. Over rows, every number is a
vector with one row per lane. Without rows, vectors run along a counter of the nest in which all
addresses step by 0 or 1, or along the terms of a sum, which adds the terms in another order.
"""

from __future__ import annotations

import math

from tinygrad_edu.compiler.emit.addresses import Index, Iteration, LoopWriter
from tinygrad_edu.compiler.emit.scalar_ir import double, kind
from tinygrad_edu.compiler.emit.straight_ir import accumulate, active_lanes, operation
from tinygrad_edu.compiler.loops.nests import LOCAL, Nest, Ref, Step
from tinygrad_edu.compiler.loops.storage import CONST, LANE, SHARED

_UNROLLED = 8  # sums of up to so many terms are written out


class NestWriter(LoopWriter):
    """Writes one nest as the body of a function.

    Args:
        nest: What to write.
        tile, width: See ``LoopWriter``.
    """

    def __init__(
        self, nest: Nest, tile: int, width: int, strict: bool, helpers: dict[str, str]
    ) -> None:
        super().__init__(tile, width, strict, helpers)
        if any(s.is_sum for s in nest.steps):
            active_lanes(self, tile)
        self.write(nest, ())
        self.say("ret void")

    def write(self, nest: Nest, turns: tuple[Index, ...]) -> None:
        """Write a nest, given the counters of the loops around it."""
        self.nest = nest
        self._plan()
        self._level(nest.outer, [turns], self.tile if nest.place == LANE else 1)

    # --- planning ---

    def _plan(self) -> None:
        """Choose what to vectorise and which counter's neighbours to bundle."""
        nest = self.nest
        self.axis = -1  # the counter along which vectors run, without rows
        self.along_terms = False
        sums = [s for s in nest.steps if s.terms]
        if nest.place == SHARED:
            candidates = [
                j
                for j in range(nest.outer, len(nest.counts))
                if nest.counts[j] >= 4 and self._steps_by_one(j)
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
            inner = range(nest.outer, len(nest.counts))
            free = [j for j in inner if j != self.axis and nest.counts[j] > 1]
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
        if any(s.name == "take" and s.terms for s in self.nest.steps):
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

            self._piece(j, bundle, lanes, start, whole, piece)
            start += whole

    def _piece(
        self,
        j: int,
        bundle: list[tuple[Index, ...]],
        lanes: int,
        start: int,
        whole: int,
        piece: int,
    ) -> None:
        """Write a part of the loop of counter ``j`` that takes ``piece`` iterations at a time."""
        each, offsets = lanes, range(piece)
        if j == self.axis:
            each = min(piece, self.width)
            offsets = range(0, piece, each)

        def body(i: Index) -> None:
            wider = [(*at, i.plus(start + o)) for at in bundle for o in offsets]
            self._level(j + 1, wider, each)

        self.repeat(whole, body, piece)

    def _body(self, bundle: list[Iteration]) -> None:
        values: list[list[str]] = []
        self.scopes.append({})
        for step in self.nest.steps:
            if step.name == "take" and step.terms:
                results = [self._take(step, it, values, n) for n, it in enumerate(bundle)]
            elif step.terms:
                results = self._sum(step, bundle, values)
            else:
                results = [
                    operation(
                        self,
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
        products = math.prod(step.terms)
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
                    after.append(
                        self.multiply_add(numbers[0], numbers[1], total, wide.lanes, products)
                    )
                elif step.name == "total":
                    after.append(self.operation("add", [total, *numbers], wide.lanes))
                else:
                    after.append(self.maximum(total, numbers[0], wide.lanes))
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
