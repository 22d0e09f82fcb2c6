"""Sums over rows of products: the gradient by the weights of a layer.

``totals[i, k] += sum over rows of a[i, row] * b[k, row]``. With a row per lane each product would
leave a vector to add up. So the slots of ``b`` are turned into rows first; then vectors run along
``k``, each ``a`` is a broadcast, and no sums across lanes are left to do.
"""

from __future__ import annotations

from tinygrad_edu.compiler.emit.addresses import Index, LoopWriter
from tinygrad_edu.compiler.emit.scalar_ir import kind
from tinygrad_edu.compiler.loops.nests import Nest, Ref
from tinygrad_edu.compiler.loops.storage import LANE

_JAM = 4  # how many i are done at once, so that each vector of b is loaded once for all of them

Setting = dict[int, Index]  # counter -> where it stands


class ContractionWriter(LoopWriter):
    """Writes a nest that is ``contractible`` as the body of a function.

    The last counter is ``k``. Of the others, some move ``b``: for each of their settings, and for
    each term if the product is itself a sum, a part of ``b`` is copied. The rest are ``i``.
    """

    a: Ref
    b: Ref
    counts: tuple[int, ...]
    columns: int

    def __init__(
        self, nest: Nest, tile: int, width: int, strict: bool, helpers: dict[str, str]
    ) -> None:
        super().__init__(tile, width, strict, helpers)
        step = nest.steps[0]
        assert step.result is not None
        self.totals: Ref = step.result
        self.terms: tuple[int, ...] = step.terms
        self.last: int = len(nest.counts) - 1
        self.a, self.b = step.operands[-2:]
        if self.b.strides[self.last] != 1:
            self.a, self.b = self.b, self.a
        self.counts, self.columns = nest.counts[: self.last], nest.counts[self.last]
        self.moving: list[int] = [j for j in range(self.last) if self.b.strides[j]]
        self.still: list[int] = [j for j in range(self.last) if not self.b.strides[j]]
        self.jam: int = max(self.still, key=lambda j: self.counts[j]) if self.still else -1
        helpers["@rows_out"] = ""
        self._over_moving({}, 0)
        self.say("ret void")

    def _at(self, setting: Setting, k: Index) -> tuple[Index, ...]:
        return (*[setting.get(j, Index()) for j in range(self.last)], k)

    def _over_moving(self, setting: Setting, done: int) -> None:
        """Loop over the counters that move b, then over the terms."""
        if done == len(self.moving):
            self._over_terms(setting, ())
            return
        j = self.moving[done]
        self.repeat(self.counts[j], lambda i: self._over_moving({**setting, j: i}, done + 1))

    def _over_terms(self, setting: Setting, terms: tuple[Index, ...]) -> None:
        if len(terms) < len(self.terms):
            count = self.terms[len(terms)]
            self.repeat(count, lambda t: self._over_terms(setting, (*terms, t)))
            return
        first = self.position(self.b, self._at(setting, Index()), terms, self.tile)
        slots = self.pointer("%tile", first)
        self.say(f"call void @rows_out(ptr %scratch, i64 {self.columns}, i64 %count, ptr {slots})")
        self._over_still(setting, terms, 0, 1)

    def _over_still(
        self, setting: Setting, terms: tuple[Index, ...], done: int, bundle: int
    ) -> None:
        """Loop over the counters on which b does not depend, then over vectors of k."""
        if done == len(self.still):
            start = 0
            for piece in (4 * self.width, 2 * self.width, self.width, 4, 2, 1):
                whole = (self.columns - start) // piece * piece
                if whole:
                    self._vectors(setting, terms, bundle, start, whole, piece)
                    start += whole
            return
        j = self.still[done]
        start = 0
        for size in (_JAM, self.counts[j] % _JAM) if j == self.jam else (1,):
            whole = (self.counts[j] - start) // size * size if size else 0
            if whole:
                self._still_loop(setting, terms, done, bundle, start, whole, size)
                start += whole

    def _still_loop(
        self, setting: Setting, terms: tuple[Index, ...], done: int, bundle: int,
        start: int, whole: int, size: int,
    ) -> None:  # fmt: skip
        j = self.still[done]
        self.repeat(
            whole,
            lambda i: self._over_still(
                {**setting, j: i.plus(start)}, terms, done + 1, bundle * size
            ),
            size,
        )

    def _vectors(
        self, setting: Setting, terms: tuple[Index, ...], bundle: int, start: int, whole: int,
        piece: int,
    ) -> None:  # fmt: skip
        self.repeat(
            whole, lambda k: self._block(setting, terms, bundle, k.plus(start), piece), piece
        )

    def _block(
        self, setting: Setting, terms: tuple[Index, ...], bundle: int, k: Index, piece: int
    ) -> None:
        """Add up the rows for ``bundle`` neighbouring i and ``piece`` neighbouring k."""
        lanes = min(piece, self.width)
        offsets = range(0, piece, lanes)
        ty = kind(lanes)
        settings = [setting]
        if self.jam >= 0:
            settings = [{**setting, self.jam: setting[self.jam].plus(u)} for u in range(bundle)]
        pointers = [
            self.pointer("%totals", self.position(self.totals, self._at(s, k.plus(o)), (), 1))
            for s in settings
            for o in offsets
        ]
        held = [(ty, self.let(f"load {ty}, ptr {p}, align 8")) for p in pointers]

        def one_row(row: Index, totals: list[str]) -> list[str]:
            start = self.position(Ref(LANE, 0, (self.columns, 1)), (row, k), (), 1)
            vectors = [
                self.let(f"load {ty}, ptr {self.pointer('%scratch', start.plus(o))}, align 8")
                for o in offsets
            ]
            after = []
            remaining = iter(totals)
            for s in settings:
                where = self.position(self.a, self._at(s, Index()), terms, self.tile)
                pointer = self.address(self.pointer("%tile", where), row.name)
                scalar = self.let(f"load double, ptr {pointer}, align 8")
                wide = self.splat(scalar, lanes)
                after += [self.multiply_add(wide, v, next(remaining), lanes) for v in vectors]
            return after

        sums = self.loop(0, 1, held, one_row, limit="%count")
        for pointer, value in zip(pointers, sums):
            self.say(f"store {ty} {value}, ptr {pointer}, align 8")
