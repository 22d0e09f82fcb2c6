"""Finding loops in a flat program.

Operations of one depth, of one kind and with the same number of operands do the same thing to
different numbers. If the addresses of those numbers step by constant strides in one or a few
counters, the group is a loop nest: a layer of a network is ``for i < 50: for k < 784``. Storage is
chosen to make it so: the results of a group lie side by side, in the order of its operands. What
does not step by constant strides is looked up in an index table. Either way code grows with the
number of groups, not of operations. Groups that work member by member on the results of another
join its loop, so that results stay in registers. The rest stays straight-line code.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinygrad_edu.compiler.layout import CONST, LANE, SHARED, Layout

LOCAL = 3  # the place of a result of the same loop body, still in a register
_FOLDED = {"chain": 2, "total": 1, "max": 1, "take": 1}  # operations that run over many terms
CHUNK = 1500  # operations of straight-line code in one function
_LONG = 8  # operands from which on a sum in straight-line code is added up term by term
_FEWEST = 4  # a group with fewer members than this, or
_REGULAR = 0.5  # with less of the work than this in loops, a program is straight-line code
_TABLED = 256  # the least work for a loop that reads its addresses from a table
_LIGHTEST = 16  # less work than this, is not worth a loop


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
    """A loop nest: ``counts`` iterations, outermost first, of ``steps`` one after the other."""

    place: int
    counts: tuple[int, ...]
    steps: list[Step]


class Item(NamedTuple):
    """A piece of straight-line code: a node, or the terms ``first`` to ``end`` of a long sum."""

    node: int
    first: int
    end: int
    work: int
    last: int


@dataclass
class Segment:
    """A piece of the schedule: a chunk of straight-line code, or a loop nest."""

    place: int
    items: Any = ()  # a matrix with a row for each ``Item``
    nest: Nest | None = None


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


@dataclass
class _Draft:
    """A nest in the making: its members may still grow by steps that work on its results."""

    place: int
    size: int
    index: int
    columns: list[Any]  # addresses per iteration that step regularly
    factors: tuple[tuple[int, ...], Any]
    steps: list[_DraftStep] = field(default_factory=list)


@dataclass
class _Column:
    """An operand of a step over all iterations: a row of addresses, with offsets for its terms."""

    place: int
    rows: Any = None  # one address per iteration, or ...
    inner: Any = None  # ... with one offset per term, or ...
    matrix: Any = None  # ... an address per iteration and term, in no regular order
    local: int = -1  # the step of the same nest whose result it is
    value: float = 0.0  # a constant
    at: int = -1  # which of the draft's columns ``rows`` is; -1: it needs a table


@dataclass
class _DraftStep:
    name: str
    nodes: Any
    operands: list[_Column]
    terms: tuple[int, ...]
    result: _Column
    forced: int


def _chunks(items: Any) -> list[Any]:
    """Cut straight-line code into chunks of bounded size."""
    import numpy

    work = numpy.cumsum(numpy.maximum(1, items[:, 3] // 2))
    cuts = numpy.nonzero(numpy.diff(work // CHUNK))[0] + 1
    return numpy.split(items, cuts)


class Finder:
    """Turns one layout into a schedule of segments, with the tables that its loops read."""

    def __init__(self, layout: Layout, loops: bool) -> None:
        import numpy

        self.np = numpy
        self.layout = layout
        self.loops = loops
        program = layout.program
        self.starts = numpy.array(program.starts, numpy.int64)
        self.flat = numpy.array(program.operands, numpy.int64)
        self.codes = numpy.array(program.codes, numpy.int64)
        self.names = ["" if op is None else op.name for op in program.rows]
        self.place = numpy.array(layout.place, numpy.int64)
        self.address = numpy.array(layout.address, numpy.int64)
        self.ready = numpy.full(len(program), -1, numpy.int64)  # segment that computes a node
        self.position = numpy.full(len(program), -1, numpy.int64)  # its iteration there, if a nest
        self.step = numpy.full(len(program), -1, numpy.int64)  # its step there
        self.drafts: dict[int, _Draft] = {}
        self.tables: list[Any] = []
        self.table_size = 0

    def schedule(self) -> list[Segment]:
        """Return the segments in an order in which they can run, shared ones first."""
        np = self.np
        nodes = np.nonzero(self.codes > 1)[0]
        groups: list[Any] = [nodes[self.place[nodes] == kind] for kind in (SHARED, LANE)]
        if self.loops and len(nodes):
            depth = self._depths()
            arity = np.diff(self.starts)
            keys = (arity[nodes], self.codes[nodes], depth[nodes], self.place[nodes])
            order = nodes[np.lexsort(keys)]
            key = np.stack([self.place[order], depth[order], self.codes[order], arity[order]])
            cuts = np.nonzero((key[:, 1:] != key[:, :-1]).any(axis=0))[0] + 1
            found = [part for g in np.split(order, cuts) for part in self._split_by_places(g)]
            regular = sum(self._work(g) for g in found if self._worthwhile(g))
            self.loops = regular >= _REGULAR * self._work(nodes)
            if self.loops:
                groups = found
        segments: list[Segment] = []
        pending: list[Any] = []  # single nodes waiting for their chunk

        def flush() -> None:
            if pending:
                nodes = np.sort(np.concatenate(pending))
                place = int(self.place[nodes[0]])
                self.ready[nodes] = waiting
                for chunk in _chunks(self._items(nodes)):
                    self.ready[chunk[chunk[:, 4] > 0, 0]] = len(segments)
                    segments.append(Segment(place, chunk))
                pending.clear()

        waiting = len(self.codes) + 1  # in ``ready``: not scheduled yet
        for group in groups:
            if not len(group):
                continue
            if pending and self.place[group[0]] != self.place[pending[0][0]]:
                flush()
            if not self.loops or not self._worthwhile(group):
                self.ready[group] = waiting
                pending.append(group)
                continue
            if pending and (self.ready[self._operands(group)] == waiting).any():
                flush()
            if self._join(group):
                continue
            draft = self._draft(group, len(segments))
            if draft is None:
                self.ready[group] = waiting
                pending.append(group)
            else:
                self.drafts[len(segments)] = draft
                segments.append(Segment(draft.place))
        flush()
        for i, draft in self.drafts.items():
            segments[i].nest = self._finish(draft)
        return segments

    def mark_stored(self, segments: list[Segment]) -> bytearray:
        """Mark the nodes that must be in memory: outputs, and what another segment reads.

        Results that stay in registers of their loop are noted in its steps, too.
        """
        np = self.np
        readers = np.repeat(np.arange(len(self.codes)), np.diff(self.starts))
        outside = self.ready[readers] != self.ready[self.flat]
        stored = np.zeros(len(self.codes), np.uint8)
        stored[self.flat[outside]] = 1
        stored[self.layout.each] = 1
        for segment in segments:
            if segment.nest is not None:
                for step in segment.nest.steps:
                    step.stored = bool(stored[step.nodes].any())
                    step.nodes = None
        wanted = np.nonzero((stored > 0) & (self.codes > 1))[0]
        for node in wanted.tolist():
            self.layout.reserve(node)
        return bytearray(stored.tobytes())

    def _items(self, nodes: Any) -> Any:
        """List what straight-line code does for ``nodes``: long sums term by term.

        Adding a term as soon as it is there spares memory: the gradient by something used in each
        step of a long recurrence would otherwise need all steps' numbers at the end.

        Returns:
            An integer matrix with the columns of ``Item`` in the order in which they are to run.
        """
        np = self.np
        arity = self.starts[nodes + 1] - self.starts[nodes]
        sums = np.array([name in ("chain", "total") for name in self.names])[self.codes[nodes]]
        long = sums & (arity >= _LONG)
        one = np.ones(len(nodes), np.int64)
        items = np.stack([2 * nodes, nodes, 0 * one, 0 * one, arity, one], 1)[~long]
        if long.any():
            inside = np.zeros(len(self.codes), bool)
            inside[nodes] = True
            pieces = [p for node in nodes[long].tolist() for p in self._pieces(node, inside)]
            items = np.concatenate([items, np.array(pieces, np.int64)])
            items = items[np.argsort(items[:, 0], kind="stable")]
        return items[:, 1:].astype(np.int32)

    def _pieces(self, node: int, inside: Any) -> list[tuple[int, ...]]:
        """Cut a long sum where terms become ready: rows as in ``_items``, after twice the time."""
        operands = self.flat[self.starts[node] : self.starts[node + 1]]
        ready = self.np.where(inside[operands], operands, -1)
        if self.names[self.codes[node]] == "chain":
            pairs = len(operands) // 2
            start = ready[2 * pairs :].max(initial=-1)
            ready = self.np.maximum(ready[:pairs], ready[pairs : 2 * pairs])
            ready[0] = max(ready[0], start)
        pieces = []
        first, time, terms = 0, -1, ready.tolist()
        for j, moment in enumerate(terms):
            if moment > time:
                if time >= 0:
                    pieces.append((2 * time + 1, node, first, j, j - first, 0))
                    first = j
                time = moment
        count = len(terms)
        pieces.append((2 * node, node, first, count, count - first, 1))
        return pieces

    # --- groups ---

    def _depths(self) -> Any:
        depth = array("i", bytes(4 * len(self.codes)))
        starts, flat = self.layout.program.starts, self.layout.program.operands
        for node in range(len(depth)):
            first, end = starts[node], starts[node + 1]
            if end > first:
                depth[node] = 1 + max([depth[x] for x in flat[first:end]])
        return self.np.array(depth, self.np.int64)

    def _operands(self, group: Any) -> Any:
        """Return the operand nodes of a group, a row for each member."""
        first = self.starts[group]
        count = int(self.starts[group[0] + 1] - first[0])
        return self.flat[first[:, None] + self.np.arange(count)]

    def _split_by_places(self, group: Any) -> list[Any]:
        """Split so that in each part an operand position is in one place for all members."""
        np = self.np
        key = np.array([self._forced(n) for n in group.tolist()])
        places = self.place[self._operands(group)]
        name = self.names[self.codes[group[0]]]
        if name in _FOLDED:  # the operands outside the run of terms: the start, or the index
            single = places.shape[1] % 2 if name == "chain" else 1
            places = places[:, places.shape[1] - single :] if name == "chain" else places[:, :1]
        for column in places.T:
            key = key * 4 + column
        return [group[key == k] for k in np.unique(key)]

    def _forced(self, node: int) -> int:
        """Is the address of a node given: 1 for outputs, 2 for sums over rows, 0 if free."""
        return 2 if node in self.layout.sum_index else int(self.layout.address[node] >= 0)

    def _work(self, nodes: Any) -> int:
        """Count operations, n-ary ones with their terms."""
        arity = self.starts[nodes + 1] - self.starts[nodes]
        return int(self.np.maximum(1, arity // 2).sum())

    def _worthwhile(self, group: Any) -> bool:
        name = self.names[self.codes[group[0]]]
        terms = int(self.starts[group[0] + 1] - self.starts[group[0]])
        if name not in _FOLDED:
            return len(group) >= 2 * _FEWEST
        if len(group) * terms < _LIGHTEST or (len(group) < 2 and terms < 4 * _LIGHTEST):
            return False
        return all((h == LANE).all() or (h != LANE).all() for h in self._folded_places(group))

    def _folded_places(self, group: Any) -> list[Any]:
        places = self.place[self._operands(group)]
        pairs = places.shape[1] // 2
        if self.names[self.codes[group[0]]] == "chain":
            return [places[:, :pairs], places[:, pairs : 2 * pairs]]
        return [places[:, 1:]]

    # --- drafting a nest ---

    def _addresses(self, nodes: Any) -> Any:
        """Return the addresses of nodes, giving some to those that have none yet."""
        missing = self.np.unique(nodes[self.address[nodes] < 0])
        for node in missing.tolist():
            self.address[node] = self.layout.reserve(node)
        return self.address[nodes]

    def _columns(self, group: Any) -> tuple[str, list[_Column], tuple[int, ...]]:
        """Describe the operands of a group of operations, in the order given."""
        np = self.np
        name = self.names[self.codes[group[0]]]
        operands = self._operands(group)
        if name not in _FOLDED:
            if name == "mul" and self.place[operands[0, 0]] > self.place[operands[0, 1]]:
                operands = operands[:, ::-1]  # shared factor first
            return name, [self._column(c) for c in operands.T], ()
        if name == "chain":
            pairs = operands.shape[1] // 2
            parts = [operands[:, :pairs], operands[:, pairs : 2 * pairs]]
            if (self.place[parts[0]] == LANE).all() and (self.place[parts[1]] != LANE).all():
                parts.reverse()
            single = [operands[:, -1]] if operands.shape[1] % 2 else []
        else:
            single, parts = [operands[:, 0]], [operands[:, 1:]]
        matrices = [self._addresses(part) for part in parts]
        regular = [(m - m[:, :1] == m[0] - m[0, 0]).all() for m in matrices]
        terms: tuple[int, ...] = (matrices[0].shape[1],)
        found = factor(np.stack([m[0] - m[0, 0] for m in matrices])) if all(regular) else None
        if found is not None and found[0]:
            terms = found[0]
        columns = [self._column(c) for c in single]
        for i, matrix in enumerate(matrices):
            place = LANE if self.place[parts[i][0, 0]] == LANE else SHARED
            if regular[i]:
                offsets = matrix[0] - matrix[0, 0]
                inner = found[1][i] if found is not None and found[0] else offsets
                columns.append(_Column(place, rows=matrix[:, 0], inner=inner))
            else:
                columns.append(_Column(place, matrix=matrix))
        return name, columns, terms

    def _column(self, nodes: Any) -> _Column:
        if self.place[nodes[0]] == CONST and (nodes == nodes[0]).all():
            return _Column(CONST, value=self.layout.program.constants[int(nodes[0])])
        place = LANE if self.place[nodes[0]] == LANE else SHARED
        return _Column(place, rows=self._addresses(nodes))

    def _result(self, group: Any) -> tuple[_Column, int]:
        np = self.np
        forced = self._forced(int(group[0]))
        place = int(self.place[group[0]])
        if forced == 2:
            index = np.array([self.layout.sum_index[n] for n in group.tolist()])
            return _Column(place, rows=index), forced
        if forced == 0:
            base = self.layout.reserve_many(place, len(group))
            self.address[group] = base + np.arange(len(group))
            for i, node in enumerate(group.tolist()):
                self.layout.address[node] = base + i
        return _Column(place, rows=self.address[group]), forced

    def _draft(self, group: Any, index: int) -> _Draft | None:
        """Start a nest: choose an order in which addresses step regularly.

        A group that would need tables must be large: a loop costs LLVM as much as some hundred
        operations one by one.
        """
        np = self.np
        best: Any = None
        for order in self._orders(group):
            members = group[order]
            name, columns, terms = self._columns(members)
            free = [c.rows for c in columns if c.rows is not None]
            if self._forced(int(group[0])):
                free.append(self._given(members))
            table = np.stack([np.arange(len(group)), *free])
            found = factor(table)
            if found is not None and (best is None or len(found[0]) < len(best[0][0])):
                best = (found, members, name, columns, terms)
            if best is not None and len(best[0][0]) <= 1:
                break
        if best is None and self._work(group) < _TABLED:
            return None
        if best is None:
            members = group[self._orders(group)[0]]
            name, columns, terms = self._columns(members)
            best = (factor(np.arange(len(group))[None]), members, name, columns, terms)
        found, members, name, columns, terms = best
        result, forced = self._result(members)
        draft = _Draft(int(self.place[group[0]]), len(group), index, [np.arange(len(group))], found)
        draft.factors = factor(draft.columns[0][None]) or ((), None)
        for column in (*columns, result):
            self._enter(draft, column)
        self._append(draft, _DraftStep(name, members, columns, terms, result, forced))
        return draft

    def _given(self, members: Any) -> Any:
        sums = self.layout.sum_index
        if int(members[0]) in sums:
            return self.np.array([sums[n] for n in members.tolist()])
        return self.address[members]

    def _orders(self, group: Any) -> list[Any]:
        """Return orders of the members to try."""
        np = self.np
        if self._forced(int(group[0])):
            return [np.argsort(self._given(group), kind="stable")]
        addresses = self._addresses(self._operands(group)[:, :6])
        by_first = np.lexsort(addresses.T[::-1])
        by_last = np.lexsort(addresses.T)
        return [by_first, np.arange(len(group)), by_last]

    def _enter(self, draft: _Draft, column: _Column) -> bool:
        """Add a column to a draft if all its columns still step regularly together."""
        if column.rows is None:
            return column.matrix is None
        for i, known in enumerate(draft.columns):
            if (known == column.rows).all():
                column.at = i
                return True
        found = factor(self.np.stack([*draft.columns, column.rows]))
        if found is None:
            return False
        column.at = len(draft.columns)
        draft.columns.append(column.rows)
        draft.factors = found
        return True

    def _append(self, draft: _Draft, step: _DraftStep) -> None:
        nodes = step.nodes
        self.ready[nodes] = draft.index
        self.position[nodes] = self.np.arange(len(nodes))
        self.step[nodes] = len(draft.steps)
        draft.steps.append(step)

    # --- joining a nest ---

    def _join(self, group: Any) -> bool:
        """Let a group join the nest whose results it works on, member by member, if it can."""
        np = self.np
        if self.names[self.codes[group[0]]] in _FOLDED:
            return False
        operands = self._operands(group)
        homes = self.ready[operands]
        target = int(homes.max())
        draft = self.drafts.get(target)
        if draft is None or draft.size != len(group) or draft.place != self.place[group[0]]:
            return False
        inside = [j for j in range(operands.shape[1]) if (homes[:, j] == target).all()]
        if (
            not inside
            or (homes[:, [j for j in range(homes.shape[1]) if j not in inside]] == target).any()
        ):
            return False
        positions = self.position[operands[:, inside]]
        if (positions != positions[:, :1]).any() or len(np.unique(positions[:, 0])) != len(group):
            return False
        steps = self.step[operands[:, inside]]
        if (steps != steps[0]).any():
            return False
        members = group[np.argsort(positions[:, 0])]
        if self._forced(int(group[0])) == 2 and len(group) > 64:
            return False  # better as a contraction of its own
        columns: list[_Column] = []
        before = (list(draft.columns), draft.factors)
        for j, nodes in enumerate(self._operands(members).T):
            if j in inside:
                columns.append(_Column(LOCAL, local=int(steps[0, inside.index(j)])))
            else:
                columns.append(self._column(nodes))
        given = self._forced(int(group[0])) > 0
        outer = [c for c in columns if c.rows is not None]
        if given:
            outer.append(_Column(draft.place, rows=self._given(members)))
        if not all(self._enter(draft, c) for c in outer):
            draft.columns, draft.factors = before
            return False
        result, forced = self._result(members)
        self._enter(draft, result)
        name = self.names[self.codes[group[0]]]
        self._append(draft, _DraftStep(name, members, columns, (), result, forced))
        return True

    # --- finishing a nest ---

    def _finish(self, draft: _Draft) -> Nest:
        counts, strides = draft.factors
        if not counts:
            counts, strides = (1,), self.np.zeros((len(draft.columns), 1), self.np.int64)
        steps = []
        for step in draft.steps:
            operands = [self._ref(draft, c, step.terms, counts, strides) for c in step.operands]
            result = self._ref(draft, step.result, (), counts, strides)
            steps.append(
                Step(step.name, operands, step.terms, result, step.forced == 2, step.nodes)
            )
        nest = Nest(draft.place, counts, steps)
        if not contractible(nest):  # then each sum has a slot with a partial sum per lane
            flat = tuple(int(s) for s in strides[0])
            for step, drafted in zip(steps, draft.steps):
                if step.is_sum:
                    step.result = Ref(LANE, self.layout.sum_slots(drafted.nodes.tolist()), flat)
        return nest

    def _ref(
        self,
        draft: _Draft,
        c: _Column,
        terms: tuple[int, ...],
        counts: tuple[int, ...],
        strides: Any,
    ) -> Ref:
        np = self.np
        if c.local >= 0:
            return Ref(LOCAL, base=c.local)
        if c.rows is None and c.matrix is None:
            return Ref(CONST, value=c.value)
        flat = [int(s) for s in strides[0]]  # of the iteration's number
        none = (0,) * len(counts)
        last = (0,) * (len(terms) - 1) + (1,)
        if c.matrix is not None:
            width = c.matrix.shape[1]
            position = Ref(SHARED, self._table(c.matrix), tuple(s * width for s in flat), last)
            return Ref(c.place, 0, none, (0,) * len(terms), position)
        table: Ref | None = None
        inner: tuple[int, ...] = (0,) * len(terms)
        if c.inner is not None and len(c.inner) == len(terms):
            inner = tuple(int(x) for x in c.inner)
        elif c.inner is not None:  # offsets of the terms without a rule
            table = Ref(SHARED, self._table(c.inner), none, last)
        if c.at >= 0:
            by_counter = tuple(int(s) for s in strides[c.at])
            return Ref(c.place, int(c.rows[0]), by_counter, inner, table)
        if table is None:
            position = Ref(SHARED, self._table(c.rows), tuple(flat), (0,) * len(terms))
            return Ref(c.place, 0, none, inner, position)
        rows = c.rows[:, None] + np.asarray(c.inner)
        position = Ref(SHARED, self._table(rows), tuple(s * rows.shape[1] for s in flat), last)
        return Ref(c.place, 0, none, inner, position)

    def _table(self, numbers: Any) -> int:
        start = self.table_size
        self.tables.append(numbers.astype(self.np.int32).ravel())
        self.table_size += numbers.size
        return start


def contractible(nest: Nest) -> bool:
    """Is a nest a sum over rows of products that ``_contract`` can do?"""
    step = nest.steps[0]
    if len(nest.steps) != 1 or not step.is_sum or step.name not in ("mul", "chain"):
        return False
    runs, start = step.operands[-2:], step.operands[:-2]
    if any(s.place != CONST or s.value != 0.0 for s in start) or step.result is None:
        return False
    if any(r.place != LANE or r.table is not None for r in runs) or step.result.table is not None:
        return False
    steps = sorted(r.strides[-1] for r in runs)
    return step.result.strides[-1] == 1 and steps == [0, 1] and nest.counts[-1] >= 4
