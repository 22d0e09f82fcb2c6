"""Making a loop nest out of a group of operations that do the same to different numbers.

A draft begins with one group, put into an order in which the addresses of its operands step
regularly. Groups that work on its results one by one may join it. When no more can join, a draft
becomes a ``Nest``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tinygrad_edu.compiler.loops.nests import FOLDED, LOCAL, Nest, Ref, Step, contractible, factor
from tinygrad_edu.compiler.loops.storage import CONST, LANE, SHARED, Layout
from tinygrad_edu.compiler.trace.scan_row import PART, Scan

_PIECES = 6  # a sum inside a loop over turns is cut into so many at most
_TABLED = 256  # the least work for a loop that reads its addresses from a table


@dataclass
class Draft:
    """A nest in the making: its members may still grow by steps that work on its results."""

    place: int
    size: int
    index: int
    columns: list[Any]  # addresses per iteration that step regularly
    factors: tuple[tuple[int, ...], Any]
    turns: tuple[int, ...] = ()  # how often the loops around it turn
    steps: list[DraftStep] = field(default_factory=list)


@dataclass
class Column:
    """An operand of a step over all iterations: a row of addresses, with offsets for its terms."""

    place: int
    rows: Any = None  # one address per iteration, or ...
    inner: Any = None  # ... with one offset per term, or ...
    matrix: Any = None  # ... an address per turn, iteration and term, in no regular order
    steps: tuple[int, ...] = ()  # from turn to turn of the loops around the nest
    local: int = -1  # the step of the same nest whose result it is
    value: float = 0.0  # a constant
    at: int = -1  # which of the draft's columns ``rows`` is; -1: it needs a table


@dataclass
class DraftStep:
    name: str
    nodes: Any  # None: a sum that the next step goes on with
    operands: list[Column]
    terms: tuple[int, ...]
    result: Column | None
    forced: int


_BEFORE = Column(LOCAL, local=0)  # the sum so far; which step has it is filled in later


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
        self.address = numpy.frombuffer(layout.address, numpy.int32)  # not a copy
        self.tabled: int = _TABLED
        self.turns: tuple[int, ...] = ()  # of the loops around the operations at hand
        size = len(program)
        self.ready = numpy.full(size, -1, numpy.int32)  # the segment that computes a node
        self.position = numpy.full(size, -1, numpy.int32)  # its iteration there, if a nest
        self.step = numpy.full(size, -1, numpy.int32)  # its step there
        self.drafts: dict[int, Draft] = {}
        self.tables: list[Any] = []
        self.table_size = 0

    def _slots(self, group: Any) -> Any:
        """Return where in ``flat`` the operands of a group are, a row for each member."""
        first = self.starts[group]
        count = int(self.starts[group[0] + 1] - first[0])
        return first[:, None] + self.np.arange(count)

    def _operands(self, group: Any) -> Any:
        """Return the operand nodes of a group, a row for each member."""
        return self.flat[self._slots(group)]

    # A group inside a loop over turns stands for all of them: its nodes are those of one turn.

    def _operands_of_turns(self, slots: Any) -> Any:
        """Return the operand nodes of all turns: ``(turns, *slots.shape)``."""
        return self.flat[slots][None]

    def _nodes_of_turns(self, nodes: Any) -> Any:
        """Return the nodes that do in each turn what ``nodes`` do in one."""
        return nodes[None]

    def _allocate(self, nodes: Any) -> None:
        """Give neighbouring addresses to nodes that have none, in every turn."""
        base = self.layout.reserve_many(int(self.place[nodes[0]]), len(nodes))
        self.address[nodes] = base + self.np.arange(len(nodes))

    def _steps(self, addresses: Any) -> tuple[int, ...] | None:
        """Return by what all addresses step in the loops around; ``None`` if not in step."""
        if not self.turns:
            return ()
        np = self.np
        table = addresses.reshape(*self.turns, -1)
        left = table - table[(0,) * len(self.turns)]
        steps = []
        for j, count in enumerate(self.turns):
            step = int(np.take(left, min(1, count - 1), axis=j).flat[0])
            shape = [1] * left.ndim
            shape[j] = count
            left = left - step * np.arange(count).reshape(shape)
            steps.append(step)
        return None if left.any() else tuple(steps)

    def _forced(self, node: int) -> int:
        """Is the address of a node given: 1 for outputs, 2 for sums over rows, 0 if free."""
        return 2 if node in self.layout.sum_index else int(self.layout.address[node] >= 0)

    def _any_forced(self, group: Any) -> int:
        """Return ``_forced`` for a group; in a loop, turns may have asked for some of it before."""
        if self._forced(int(group[0])) == 2:
            return 2
        return int((self.address[group] >= 0).any())

    def _work(self, nodes: Any) -> int:
        """Count operations, n-ary ones with their terms."""
        arity = self.starts[nodes + 1] - self.starts[nodes]
        return int(self.np.maximum(1, arity // 2).sum())

    def _addresses(self, nodes: Any) -> Any:
        """Return the addresses of nodes, giving some to those that have none yet."""
        missing = self.np.unique(nodes[self.address[nodes] < 0])
        for node in missing.tolist():
            self.layout.reserve(node)
        return self.address[nodes].astype(self.np.int64)

    def _columns(self, group: Any) -> list[tuple[str, list[Column], tuple[int, ...]]]:
        """Describe the operands of a group of operations, in the order given.

        Returns:
            Name, operands and counts of terms; for a sum inside a loop over turns there may be
            several of these, each going on with the sum of the one before.
        """
        name = self.names[self.codes[group[0]]]
        slots = self._slots(group)
        places = self.place[self.flat[slots]]
        if name not in FOLDED:
            if name == "mul" and places[0, 0] > places[0, 1]:
                slots = slots[:, ::-1]  # shared factor first
            return [(name, [self._column(c) for c in slots.T], ())]
        if name == "chain":
            pairs = slots.shape[1] // 2
            parts = [slots[:, :pairs], slots[:, pairs : 2 * pairs]]
            if (places[:, :pairs] == LANE).all() and (places[:, pairs : 2 * pairs] != LANE).all():
                parts.reverse()
            single = [slots[:, -1]] if slots.shape[1] % 2 else []
        else:
            single, parts = [slots[:, 0]], [slots[:, 1:]]
        matrices = [self._addresses(self._operands_of_turns(part)) for part in parts]
        kinds = [LANE if self.place[self.flat[part[0, 0]]] == LANE else SHARED for part in parts]
        starts = [self._column(c) for c in single]
        found = []
        for first, end in self._runs(name, matrices):
            columns, terms = self._terms([m[:, :, first:end] for m in matrices], kinds)
            found.append((name, [*(starts if not first else [_BEFORE]), *columns], terms))
        return found

    def _runs(self, name: str, matrices: list[Any]) -> list[tuple[int, int]]:
        """Cut a sum where its terms do not step together from turn to turn."""
        count = matrices[0].shape[2]
        if not self.turns or name not in ("chain", "total"):
            return [(0, count)]
        np = self.np
        moved = np.concatenate([m[-1] - m[0] for m in matrices])
        cuts = (np.nonzero((moved[:, 1:] != moved[:, :-1]).any(axis=0))[0] + 1).tolist()
        bounds = [0, *cuts, count] if len(cuts) < _PIECES else [0, count]
        return list(pairwise(bounds))

    def _terms(
        self, matrices: list[Any], places: list[int]
    ) -> tuple[list[Column], tuple[int, ...]]:
        """Describe the terms of a run from their addresses by turn, member and term."""
        np = self.np
        terms: tuple[int, ...] = (matrices[0].shape[2],)
        steps = [
            self._steps(m[:, :, 0]) if (m - m[:, :, :1] == m[0, 0] - m[0, 0, 0]).all() else None
            for m in matrices
        ]
        found = None
        if None not in steps:
            found = factor(np.stack([m[0, 0] - m[0, 0, 0] for m in matrices]))
        if found is not None and found[0]:
            terms = found[0]
        columns = []
        for i, (matrix, step) in enumerate(zip(matrices, steps)):
            if step is not None:
                offsets = matrix[0, 0] - matrix[0, 0, 0]
                inner = found[1][i] if found is not None and found[0] else offsets
                columns.append(Column(places[i], rows=matrix[0, :, 0], inner=inner, steps=step))
            else:
                columns.append(Column(places[i], matrix=matrix))
        return columns, terms

    def _column(self, slots: Any) -> Column:
        return self._column_of(self._operands_of_turns(slots))

    def _column_of(self, nodes: Any) -> Column:
        """Describe an operand by its nodes, by turn and member."""
        if self.place[nodes[0, 0]] == CONST and (nodes == nodes[0, 0]).all():
            return Column(CONST, value=self.layout.program.constants[int(nodes[0, 0])])
        place = LANE if self.place[nodes[0, 0]] == LANE else SHARED
        if self.turns and (self.place[nodes] == CONST).all():  # numbers in the program's text
            base = self.layout.reserve_many(SHARED, nodes.size)
            numbers = [self.layout.program.constants[n] for n in nodes.ravel().tolist()]
            self.layout.constants += zip(range(base, base + nodes.size), numbers)
            return self._stepping(place, base + self.np.arange(nodes.size).reshape(nodes.shape))
        return self._stepping(place, self._addresses(nodes))

    def _stepping(self, place: int, addresses: Any) -> Column:
        """Describe an operand or result by its addresses by turn and member."""
        steps = self._steps(addresses)
        if steps is None:
            return Column(place, matrix=addresses[:, :, None])
        return Column(place, rows=addresses[0], steps=steps)

    def _result(self, group: Any) -> tuple[Column, int]:
        forced = self._any_forced(group)
        place = int(self.place[group[0]])
        if forced == 2:
            return Column(place, rows=self._given(group)), forced
        if forced == 0:
            self._allocate(group)
        return self._stepping(place, self._addresses(self._nodes_of_turns(group))), forced

    def _draft(self, group: Any, index: int) -> Draft | None:
        """Start a nest: choose an order in which addresses step regularly.

        A group that would need tables must be large: a loop costs LLVM as much as some hundred
        operations one by one.
        """
        np = self.np
        best: Any = None
        for order in self._orders(group):
            members = group[order]
            parts = self._columns(members)
            free = [c.rows for _, columns, _ in parts for c in columns if c.rows is not None]
            if self._any_forced(group):
                free.append(self._given(members))
            table = np.stack([np.arange(len(group)), *free])
            found = factor(table)
            if found is not None and (best is None or len(found[0]) < len(best[0][0])):
                best = (found, members, parts)
            if best is not None and len(best[0][0]) <= 1:
                break
        if best is None and self._work(group) < self.tabled:
            return None
        if best is None:
            members = group[self._orders(group)[0]]
            best = (factor(np.arange(len(group))[None]), members, self._columns(members))
        found, members, parts = best
        result, forced = self._result(members)
        draft = Draft(int(self.place[group[0]]), len(group), index, [np.arange(len(group))], found)
        draft.factors = factor(draft.columns[0][None]) or ((), None)
        draft.turns = self.turns
        for column in (*[c for _, columns, _ in parts for c in columns], result):
            self._enter(draft, column)
        for i, (name, columns, terms) in enumerate(parts):
            if i:  # go on with the sum so far
                columns[0] = Column(LOCAL, local=i - 1)
            last = i == len(parts) - 1
            draft.steps.append(
                DraftStep(
                    name, members if last else None, columns, terms,
                    result if last else None, forced if last else 0,
                )
            )  # fmt: skip
        self._enlist(draft, members)
        return draft

    def _given(self, members: Any) -> Any:
        sums = self.layout.sum_index
        if int(members[0]) in sums:
            return self.np.array([sums[n] for n in members.tolist()])
        return self._addresses(self._nodes_of_turns(members))[0]

    def _orders(self, group: Any) -> list[Any]:
        """Return orders of the members to try."""
        np = self.np
        if self._any_forced(group):
            return [np.argsort(self._given(group), kind="stable")]
        slots = self._slots(group)
        if self.turns:  # neighbours in a sum become neighbours in memory
            self._addresses(self._operands_of_turns(slots))
        addresses = self._addresses(self._operands_of_turns(slots[:, :6]))[0]
        by_first = np.lexsort(addresses.T[::-1])
        by_last = np.lexsort(addresses.T)
        return [by_first, np.arange(len(group)), by_last]

    def _enter(self, draft: Draft, column: Column) -> bool:
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

    def _enlist(self, draft: Draft, nodes: Any) -> None:
        """Note that the last step of a draft computes ``nodes``."""
        self.ready[nodes] = draft.index
        self.position[nodes] = self.np.arange(len(nodes))
        self.step[nodes] = len(draft.steps) - 1

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
        if self._any_forced(group) == 2 and len(group) > 64:
            return False  # better as a contraction of its own
        columns: list[Column] = []
        before = (list(draft.columns), draft.factors)
        for j, slots in enumerate(self._slots(members).T):
            if j in inside:
                if not self._same_turn(slots):
                    return False
                columns.append(Column(LOCAL, local=int(steps[0, inside.index(j)])))
            else:
                columns.append(self._column(slots))
        given = self._any_forced(group) > 0
        outer = [c for c in columns if c.rows is not None]
        if any(c.matrix is not None for c in columns):
            return False
        if given:
            outer.append(self._wanted_at(members))
        if not all(self._enter(draft, c) for c in outer):
            draft.columns, draft.factors = before
            return False
        result, forced = self._result(members)
        self._enter(draft, result)
        name = self.names[self.codes[group[0]]]
        draft.steps.append(DraftStep(name, members, columns, (), result, forced))
        self._enlist(draft, members)
        return True

    def _wanted_at(self, members: Any) -> Column:
        """Describe where results must be stored."""
        place = int(self.place[members[0]])
        if int(members[0]) in self.layout.sum_index:
            return Column(place, rows=self._given(members))
        return self._stepping(place, self._addresses(self._nodes_of_turns(members)))

    def _same_turn(self, slots: Any) -> bool:
        """Do all turns find these operands in themselves, as the one that stands for them?"""
        operands = self.np.array(self.flat[slots])
        found = self._operands_of_turns(slots)
        return bool((found == self._nodes_of_turns(operands)).all())

    # --- finishing a nest ---

    def _finish(self, draft: Draft) -> Nest:
        counts, strides = draft.factors
        if not counts:
            counts, strides = (1,), self.np.zeros((len(draft.columns), 1), self.np.int64)
        turns = draft.turns
        steps = []
        for step in draft.steps:
            operands = [self._ref(c, step.terms, turns, counts, strides) for c in step.operands]
            result = None
            if step.result is not None:
                result = self._ref(step.result, (), turns, counts, strides)
            steps.append(
                Step(step.name, operands, step.terms, result, step.forced == 2, step.nodes)
            )
        nest = Nest(draft.place, turns + counts, steps, outer=len(turns))
        nest.contraction = contractible(nest)
        if not nest.contraction:  # then each sum has a slot with a partial sum per lane
            flat = (0,) * len(turns) + tuple(int(s) for s in strides[0])
            for made in steps:
                if made.is_sum:
                    made.result = Ref(LANE, self.layout.sum_slots(made.nodes.tolist()), flat)
        return nest

    def _ref(
        self,
        c: Column,
        terms: tuple[int, ...],
        turns: tuple[int, ...],
        counts: tuple[int, ...],
        strides: Any,
    ) -> Ref:
        np = self.np
        if c.local >= 0:
            return Ref(LOCAL, base=c.local)
        if c.rows is None and c.matrix is None:
            return Ref(CONST, value=c.value)
        flat = tuple(int(s) for s in strides[0])  # of the iteration's number
        still = (0,) * len(turns)
        none = still + (0,) * len(counts)
        last = (0,) * (len(terms) - 1) + (1,)
        if c.matrix is not None:
            matrix = c.matrix
            if (matrix == matrix[:, :1]).all():  # the same for all members
                matrix, flat = matrix[:, :1], (0,) * len(flat)
            size, width = math.prod(matrix.shape[1:]), matrix.shape[2]
            by_turn = [math.prod(turns[j + 1 :]) * size for j in range(len(turns))]
            position = Ref(
                SHARED, self.add_table(matrix), (*by_turn, *[s * width for s in flat]), last
            )
            return Ref(c.place, 0, none, (0,) * len(terms), position)
        steps = c.steps or still
        table: Ref | None = None
        inner: tuple[int, ...] = (0,) * len(terms)
        if c.inner is not None and len(c.inner) == len(terms):
            inner = tuple(int(x) for x in c.inner)
        elif c.inner is not None:  # offsets of the terms without a rule
            table = Ref(SHARED, self.add_table(c.inner), none, last)
        if c.at >= 0:
            by_counter = steps + tuple(int(s) for s in strides[c.at])
            return Ref(c.place, int(c.rows[0]), by_counter, inner, table)
        moving = steps + (0,) * len(counts)
        if table is None:
            position = Ref(SHARED, self.add_table(c.rows), still + flat, (0,) * len(terms))
            return Ref(c.place, 0, moving, inner, position)
        rows = c.rows[:, None] + np.asarray(c.inner)
        position = Ref(
            SHARED, self.add_table(rows), still + tuple(s * rows.shape[1] for s in flat), last
        )
        return Ref(c.place, 0, moving, inner, position)

    def add_table(self, numbers: Any) -> int:
        """Add an index table; return where it begins."""
        start = self.table_size
        self.tables.append(numbers.astype(self.np.int32).ravel())
        self.table_size += numbers.size
        return start
