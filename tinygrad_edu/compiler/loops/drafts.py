"""Making a loop nest out of a group of operations that do the same to different numbers.

A draft begins with one group, put into an order in which the addresses of its operands step
regularly. Groups that work on its results one by one may join it. When no more can join, a draft
becomes a ``Nest``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.compiler.loops.nests import FOLDED, LOCAL, Nest, Ref, Step, contractible, factor
from tinygrad_edu.compiler.loops.storage import CONST, LANE, SHARED, Layout
from tinygrad_edu.compiler.trace.scan_row import PART, Scan

_TABLED = 256  # the least work for a loop that reads its addresses from a table


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


class Drafting:
    """The program in arrays, the drafts so far, and the index tables that their loops read."""

    def __init__(self, layout: Layout, loops: bool) -> None:
        import numpy

        self.np = numpy
        self.layout = layout
        self.loops = loops
        program = layout.program
        self.starts = numpy.array(program.starts, numpy.int64)
        self.flat = numpy.array(program.operands, numpy.int32)
        self.codes = numpy.array(program.codes, numpy.uint32)
        self.names = ["" if op is None else op.name for op in program.rows]
        self.part = next((c for c, op in enumerate(program.rows) if op is PART), -1)
        self.of_loops = numpy.array([x is PART or isinstance(x, Scan) for x in program.rows])
        self.place = numpy.array(layout.place, numpy.int8)
        self.address = numpy.array(layout.address, numpy.int64)
        size = len(program)
        self.ready = numpy.full(size, -1, numpy.int32)  # the segment that computes a node
        self.position = numpy.full(size, -1, numpy.int32)  # its iteration there, if a nest
        self.step = numpy.full(size, -1, numpy.int32)  # its step there
        self.drafts: dict[int, _Draft] = {}
        self.tables: list[Any] = []
        self.table_size = 0

    def _operands(self, group: Any) -> Any:
        """Return the operand nodes of a group, a row for each member."""
        first = self.starts[group]
        count = int(self.starts[group[0] + 1] - first[0])
        return self.flat[first[:, None] + self.np.arange(count)]

    def _forced(self, node: int) -> int:
        """Is the address of a node given: 1 for outputs, 2 for sums over rows, 0 if free."""
        return 2 if node in self.layout.sum_index else int(self.layout.address[node] >= 0)

    def _work(self, nodes: Any) -> int:
        """Count operations, n-ary ones with their terms."""
        arity = self.starts[nodes + 1] - self.starts[nodes]
        return int(self.np.maximum(1, arity // 2).sum())

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
        if name not in FOLDED:
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
        if self.names[self.codes[group[0]]] in FOLDED:
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
            operands = [self._ref(c, step.terms, counts, strides) for c in step.operands]
            result = self._ref(step.result, (), counts, strides)
            steps.append(
                Step(step.name, operands, step.terms, result, step.forced == 2, step.nodes)
            )
        nest = Nest(draft.place, counts, steps)
        nest.contraction = contractible(nest)
        if not nest.contraction:  # then each sum has a slot with a partial sum per lane
            flat = tuple(int(s) for s in strides[0])
            for made in steps:
                if made.is_sum:
                    made.result = Ref(LANE, self.layout.sum_slots(made.nodes.tolist()), flat)
        return nest

    def _ref(
        self,
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
            position = Ref(SHARED, self.add_table(c.matrix), tuple(s * width for s in flat), last)
            return Ref(c.place, 0, none, (0,) * len(terms), position)
        table: Ref | None = None
        inner: tuple[int, ...] = (0,) * len(terms)
        if c.inner is not None and len(c.inner) == len(terms):
            inner = tuple(int(x) for x in c.inner)
        elif c.inner is not None:  # offsets of the terms without a rule
            table = Ref(SHARED, self.add_table(c.inner), none, last)
        if c.at >= 0:
            by_counter = tuple(int(s) for s in strides[c.at])
            return Ref(c.place, int(c.rows[0]), by_counter, inner, table)
        if table is None:
            position = Ref(SHARED, self.add_table(c.rows), tuple(flat), (0,) * len(terms))
            return Ref(c.place, 0, none, inner, position)
        rows = c.rows[:, None] + np.asarray(c.inner)
        position = Ref(SHARED, self.add_table(rows), tuple(s * rows.shape[1] for s in flat), last)
        return Ref(c.place, 0, none, inner, position)

    def add_table(self, numbers: Any) -> int:
        """Add an index table; return where it begins."""
        start = self.table_size
        self.tables.append(numbers.astype(self.np.int32).ravel())
        self.table_size += numbers.size
        return start
