"""A schedule with loops over turns: the recurrences that ``rolling.py`` found, one turn of each.

The operations of one turn, the last, stand for those of all. They become nests and straight-line
code as anywhere; besides, each of their operands and results has an address in every turn.
Storage is chosen so that these step by constants: what other turns need, the backward pass for one,
lies in a frame for each turn; what only its own turn reads has one place for all turns. What does
not step, such as numbers chosen by data, is looked up in a table with an entry for each turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.compiler.loops.drafts import Draft
from tinygrad_edu.compiler.loops.groups import CHUNK, Finder
from tinygrad_edu.compiler.loops.nests import LOCAL, Nest, Ref, Segment, Step
from tinygrad_edu.compiler.loops.rolling import Turns, find_turns, sequence_of
from tinygrad_edu.compiler.loops.storage import LANE, SHARED, Layout
from tinygrad_edu.compiler.trace.lowering import COPY
from tinygrad_edu.compiler.trace.scan_row import PART, Scan

_TABLED = 64  # the least work for a loop with a table beside loops over time: sums over turns
_BESIDE = 2  # frames before and after those of a loop, for turns that look a little different


@dataclass
class _Region:
    """Operations in a row, with the loops around them.

    Attributes:
        first, end: The positions of the operations in the first turn.
        counts, periods: Of the loops around, outermost first.
        line: All operations of the place, in order.
        framed: Which operations give numbers that other turns or regions read.
    """

    first: int
    end: int
    counts: tuple[int, ...]
    periods: tuple[int, ...]
    line: Any
    framed: Any = None

    def grid(self, beside: tuple[int, ...] = ()) -> Any:
        """Return how far each turn is from the first one, with turns beside those of the loop."""
        import numpy as np

        far = np.zeros(1, np.int64)
        for j, (count, period) in enumerate(zip(self.counts, self.periods)):
            more = beside[j] if beside else 0
            far = (far[:, None] + np.arange(-more, count + more) * period).ravel()
        return far


@dataclass
class _Part:
    """A piece of a place's operations: a region, or the body of a loop."""

    region: _Region | None = None
    count: int = 0
    body: list[_Part] = field(default_factory=list)


class RollingFinder(Finder):
    """Turns one layout into a schedule in which recurrences are loops."""

    def __init__(self, layout: Layout, loops: bool) -> None:
        import numpy

        self.parts: list[list[_Part]] = []
        self.regions: list[_Region] = []
        if loops:
            self._look_for_turns(layout, numpy)
        super().__init__(layout, loops)
        if self.parts:
            self.tabled = _TABLED
            self._prepare()

    def _look_for_turns(self, layout: Layout, np: Any) -> None:
        """Find the loops of each place, and give outputs inside of them that need it copies."""
        program = layout.program
        if any(op is PART or isinstance(op, Scan) for op in program.rows):
            return
        codes = np.array(program.codes)
        starts = np.array(program.starts)
        flat = np.array(program.operands)
        place = np.array(layout.place)
        lines, found = [], []
        for kind in (SHARED, LANE):
            line = np.nonzero((codes > 1) & (place == kind))[0]
            lines.append(line)
            turns: list[Turns] = []
            if len(line):
                turns = find_turns(sequence_of(line, codes, starts, flat, place == LANE))
            found.append(turns)
        if not any(found):
            return
        for i, turns in enumerate(found):
            parts = self._parts(turns, 0, len(lines[i]), (), (), lines[i])
            copies = [node for region in self.regions if region.line is lines[i] and region.counts
                      for node in _copied(layout, region, np)]  # fmt: skip
            new = [_copy(layout, node) for node in copies]
            if new:
                line = np.concatenate([lines[i], np.array(new, lines[i].dtype)])
                for region in self.regions:
                    if region.line is lines[i]:
                        region.line = line
                last = _Region(len(lines[i]), len(line), (), (), line)
                self.regions.append(last)
                parts.append(_Part(last))
            self.parts.append(parts)

    def _parts(
        self, turns: list[Turns], begin: int, end: int,
        counts: tuple[int, ...], periods: tuple[int, ...], line: Any,
    ) -> list[_Part]:  # fmt: skip
        parts: list[_Part] = []
        at = begin

        def straight(until: int) -> None:
            if until > at:
                region = _Region(at, until, counts, periods, line)
                self.regions.append(region)
                parts.append(_Part(region))

        for loop in turns:
            first = begin + loop.first
            straight(first)
            inside = (*counts, loop.count), (*periods, loop.period)
            body = self._parts(loop.inner, first, first + loop.period, *inside, line)
            parts.append(_Part(None, loop.count, body))
            at = first + loop.period * loop.count
        straight(end)
        return parts

    def _prepare(self) -> None:
        """Say of each node where it belongs, and find out what needs frames."""
        np = self.np
        size = len(self.codes)
        self.region = np.full(size, -1, np.int32)  # of which region in a loop a node is,
        self.spot = np.full(size, -1, np.int32)  # which of its operations,
        self.turn = np.full(size, -1, np.int64)  # and in which turn of which region
        self.rank = np.full(size, -1, np.int64)
        self.promised = np.full(size, -1, np.int64)
        self.column = np.full(len(self.flat), -1, np.int32)  # of an operand in ``many``
        self.many: Any = None
        self.here: _Region | None = None
        self.label: dict[int, Any] = {}  # which group each operation of a region is in
        self.homes: list[tuple[Any, int, _Region]] = []
        self.straight: list[tuple[Any, Segment, _Region]] = []
        numbered = 0
        for i, region in enumerate(self.regions):
            self.rank[region.line] = np.arange(len(region.line))
            grid = region.grid()
            nodes = region.line[grid[:, None] + np.arange(region.first, region.end)]
            self.turn[nodes] = numbered + np.arange(len(grid))[:, None]
            numbered += len(grid)
            if region.counts:
                self.region[nodes] = i
                self.spot[nodes] = np.arange(region.end - region.first)
        readers = np.repeat(np.arange(size, dtype=np.int32), np.diff(self.starts))
        framed = np.zeros(size, bool)
        framed[self.flat[self.turn[readers] != self.turn[self.flat]]] = True
        for region in self.regions:
            if region.counts:
                nodes = region.line[region.grid()[:, None] + np.arange(region.first, region.end)]
                region.framed = framed[nodes].any(axis=0)

    # --- addresses ---

    def _operands_of_turns(self, slots: Any) -> Any:
        if not self.turns:
            return super()._operands_of_turns(slots)
        return self.many[:, self.column[slots]]

    def _nodes_of_turns(self, nodes: Any) -> Any:
        if not self.turns or self.here is None:
            return super()._nodes_of_turns(nodes)
        grid = self.here.grid()
        where = self.rank[nodes] - grid[-1] + grid.reshape(-1, *[1] * nodes.ndim)
        return self.here.line[where.clip(0)]

    def _allocate(self, nodes: Any) -> None:
        if not self.turns:
            super()._allocate(nodes)
        else:
            assert self.here is not None
            self._allocate_frames(self.here, self.spot[nodes])

    def _allocate_frames(self, region: _Region, spots: Any) -> None:
        """Give addresses to some of a region's operations in all turns, neighbours in each."""
        np = self.np
        nodes = region.line[region.grid()[:, None] + region.first + spots]
        place, count = int(self.place[nodes[0, 0]]), len(spots)
        if not region.framed[spots].any():
            base = self.layout.reserve_many(place, count)
            self.address[nodes] = base + np.arange(count)
            return
        beside = (_BESIDE, *[1] * (len(region.counts) - 1))
        grid = region.grid(beside)
        base = self.layout.reserve_many(place, len(grid) * count)
        ranks = grid[:, None] + region.first + spots
        addresses = base + np.arange(ranks.size).reshape(ranks.shape)
        inside = (ranks >= 0) & (ranks < len(region.line))
        around, addresses = region.line[ranks[inside]], addresses[inside]
        owner = self.region[around]
        depth = np.array([len(r.counts) for r in self.regions])[owner]
        mine = owner == self.region[nodes[0, 0]]
        in_turn = mine & (self.spot[around] >= 0)
        # turns beside the loop belong to nobody, or to what is around the loop
        free = (self.address[around] < 0) & (self.promised[around] < 0)
        free &= (owner < 0) | (~mine & (depth < len(region.counts)))
        self.promised[around[free]] = addresses[free]
        self.address[around[in_turn]] = addresses[in_turn]

    def _addresses(self, nodes: Any) -> Any:
        if self.parts:
            np = self.np
            missing = np.unique(nodes[self.address[nodes] < 0])
            promised = missing[self.promised[missing] >= 0]
            self.address[promised] = self.promised[promised]
            missing = missing[(self.address[missing] < 0) & (self.region[missing] >= 0)]
            for i in np.unique(self.region[missing]).tolist():
                spots = np.unique(self.spot[missing[self.region[missing] == i]])
                self._allocate_frames(self.regions[i], self._with_group(i, spots))
        return super()._addresses(nodes)

    def _with_group(self, region: int, spots: Any) -> Any:
        """Add to operations of a region what will be in a nest with them, if nothing has places."""
        np = self.np
        labels = self.label.get(region)
        if labels is None:
            return spots
        wanted = labels[spots]
        grown = np.unique(np.concatenate([spots, np.nonzero(np.isin(labels, wanted))[0]]))
        r = self.regions[region]
        free = self.address[r.line[r.first + grown]] < 0
        return grown[free]

    def _groups(self, nodes: Any) -> list[Any]:
        groups = super()._groups(nodes)
        if self.turns and groups:
            assert self.here is not None
            labels = -1 - self.np.arange(self.here.end - self.here.first)
            for i, group in enumerate(groups):
                if self._worthwhile(group):
                    labels[self.spot[group]] = i
            self.label[int(self.region[nodes[0]])] = labels
        return groups

    # --- the schedule ---

    def schedule(self) -> list[Segment]:
        """Return the segments in an order in which they can run, shared ones first."""
        if not self.parts:
            return super().schedule()
        loops = {id(p): self._loop(p) for parts in self.parts for p in parts if p.region is None}
        spoken_for = self.np.nonzero((self.promised >= 0) & (self.address < 0))[0]
        self._addresses(spoken_for)
        segments: list[Segment] = []
        for parts in self.parts:
            for part in parts:
                if part.region is None:
                    segments.append(loops[id(part)])
                else:
                    segments += self._segments(part.region)
        self._finish_drafts()
        return segments

    def _loop(self, part: _Part) -> Segment:
        body: list[Segment] = []
        for inner in part.body:
            body += [self._loop(inner)] if inner.region is None else self._segments(inner.region)
        return Segment(body[0].place, count=part.count, body=body)

    def _segments(self, region: _Region) -> list[Segment]:
        np = self.np
        grid = region.grid()
        nodes = region.line[grid[-1] + np.arange(region.first, region.end)].astype(np.int32)
        self.turns, self.here = region.counts, region
        self.drafts = {}
        if region.counts:  # all operands in all turns
            arity = self.starts[nodes + 1] - self.starts[nodes]
            offsets = np.arange(arity.sum()) - np.repeat(np.cumsum(arity) - arity, arity)
            slots = np.repeat(self.starts[nodes], arity) + offsets
            self.column[slots] = np.arange(len(slots))
            all_nodes = region.line[grid[:, None] + np.arange(region.first, region.end)]
            first = self.starts[all_nodes]
            self.many = self.flat[np.repeat(first, arity, axis=1) + offsets]
        before = len(self.drafted)
        segments = self._straight_or_nests(nodes)
        if region.counts:
            for draft, _ in self.drafted[before:]:
                self._at_home(draft, region)
        self.turns, self.here, self.many = (), None, None
        return segments

    def _at_home(self, draft: Draft, region: _Region) -> None:
        for step in draft.steps:
            if step.nodes is not None:
                self.homes.append((step.nodes, draft.index, region))

    def _straight(self, nodes: Any) -> list[Segment]:
        if not self.turns:
            return super()._straight(nodes)
        assert self.here is not None
        np = self.np
        segments = []
        work = np.cumsum(np.maximum(1, (self.starts[nodes + 1] - self.starts[nodes]) // 2))
        for chunk in np.split(nodes, np.nonzero(np.diff(work // CHUNK))[0] + 1):
            segment = Segment(int(self.place[chunk[0]]))
            self.ready[chunk] = len(self.pieces)
            self.homes.append((chunk, len(self.pieces), self.here))
            self.pieces.append(segment)
            segments.append(segment)
            self.straight.append((chunk, segment, self.here))
        return segments

    def _homes(self) -> Any:
        if not self.parts:
            return super()._homes()
        np = self.np
        homes = self.ready.astype(np.int64)
        numbered = len(self.pieces)
        first: dict[int, int] = {}
        for nodes, index, region in self.homes:
            grid = region.grid()
            if index not in first:
                first[index] = numbered
                numbered += len(grid)
            all_nodes = region.line[self.rank[nodes] - grid[-1] + grid[:, None]]
            homes[all_nodes] = first[index] + np.arange(len(grid))[:, None]
        return homes

    def mark_stored(self) -> bytearray:
        """Mark the nodes that must be in memory, and write the straight-line code of turns."""
        stored = super().mark_stored()
        if self.parts:
            marks = self.np.frombuffer(stored, self.np.uint8)
            for nodes, segment, region in self.straight:
                segment.nest = self._written_out(nodes, region, marks)
        return stored

    def _written_out(self, nodes: Any, region: _Region, stored: Any) -> Nest:
        """Return straight-line code as a nest without counters of its own."""
        np = self.np
        self.turns, self.here = region.counts, region
        strides = np.zeros((1, 0), np.int64)
        grid = region.grid()
        all_nodes = region.line[self.rank[nodes] - grid[-1] + grid[:, None]]
        number = {node: i for i, node in enumerate(nodes.tolist())}
        steps = []
        for i, node in enumerate(nodes.tolist()):
            begin, end = int(self.starts[node]), int(self.starts[node + 1])
            first = self.starts[all_nodes[:, i]]
            operands = []
            for slot in range(begin, end):
                read = self.flat[first + (slot - begin)]
                local = number.get(int(read[-1]))
                if local is not None and (read == all_nodes[:, local]).all():
                    operands.append(Ref(LOCAL, base=local))
                else:
                    column = self._column_of(read[:, None])
                    column.at = -1 if column.rows is None else 0
                    operands.append(self._ref(column, (), self.turns, (), strides))
            made = all_nodes[:, i : i + 1]
            kept = bool(stored[made].any())
            result = None
            if kept:
                column = self._stepping(int(self.place[node]), self._addresses(made))
                column.at = -1 if column.rows is None else 0
                result = self._ref(column, (), self.turns, (), strides)
            steps.append(Step(self.names[self.codes[node]], operands, (), result, stored=kept))
        place = int(self.place[nodes[0]])
        nest = Nest(place, region.counts, steps, outer=len(region.counts))
        self.turns, self.here = (), None
        return nest


def _copied(layout: Layout, region: _Region, np: Any) -> list[int]:
    """Return nodes of a loop that are outputs, but not at addresses that step with the turns."""
    nodes = region.line[region.grid()[:, None] + np.arange(region.first, region.end)]
    address = np.array(layout.address)[nodes]
    sums = np.isin(nodes, np.array(list(layout.sum_index), np.int64))
    copied: list[int] = []
    for j in np.nonzero(((address >= 0) | sums).any(axis=0))[0].tolist():
        column = address[:, j]
        steps = np.diff(column)
        if (column < 0).any() or (steps != steps[:1]).any() or sums[:, j].any():
            copied += nodes[(column >= 0) | sums[:, j], j].tolist()
    return copied


def _copy(layout: Layout, node: int) -> int:
    """Let a copy be the output in place of ``node``."""
    copy = layout.program.add_unshared(COPY, [node])
    layout.place.append(layout.place[node])
    layout.address.append(layout.address[node])
    layout.address[node] = -1
    layout.kept = [copy if x == node else x for x in layout.kept]
    layout.each = [copy if x == node else x for x in layout.each]
    if node in layout.sum_index:
        layout.sum_index[copy] = layout.sum_index.pop(node)
    return copy
