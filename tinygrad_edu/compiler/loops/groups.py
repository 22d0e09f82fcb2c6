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
from collections import deque
from typing import Any

from tinygrad_edu.compiler.loops.drafts import Draft, Drafting
from tinygrad_edu.compiler.loops.nests import FOLDED, MIXED, Segment, Turns
from tinygrad_edu.compiler.loops.storage import LANE, SHARED, Layout
from tinygrad_edu.compiler.trace.scan_row import Scan

CHUNK = 1500  # operations of straight-line code in one function
_LONG = 8  # operands from which on a sum in straight-line code is added up term by term
_FEWEST = 8  # a group with fewer members than this is not worth a loop,
_LIGHTEST = 16  # nor is a group of sums with fewer operands than this
_REGULAR = 0.5  # with less of the work than this in loops, a program is straight-line code


class Finder(Drafting):
    """Turns one layout into a schedule of segments, with the tables that its loops read."""

    def __init__(self, layout: Layout, loops: bool) -> None:
        super().__init__(layout, loops)
        self.pieces: list[Segment] = []  # what ``ready`` counts: segments but for loops over turns
        self.drafted: list[tuple[Draft, Segment]] = []

    def schedule(self) -> list[Segment]:
        """Return the segments in an order in which they can run, shared ones first."""
        wanted = (self.codes > 1) & ~self.of_loops[self.codes]
        segments = self._straight_or_nests(self.np.nonzero(wanted)[0].astype(self.np.int32))
        self._finish_drafts()
        return segments

    def _finish_drafts(self) -> None:
        for draft, segment in self.drafted:
            segment.nest = self._finish(draft)

    def _straight_or_nests(self, nodes: Any) -> list[Segment]:
        """Return segments that compute ``nodes``, in an order in which they can run."""
        np = self.np
        groups = self._groups(nodes) if self.loops and len(nodes) else []
        loops = bool(groups)
        if not groups:
            groups = [nodes[self.place[nodes] == kind] for kind in (SHARED, LANE)]
        if self.of_loops.any():
            groups = self._with_loops(groups, loops)
        segments: list[Segment] = []
        pending: list[Any] = []  # single nodes waiting for their chunk

        def flush() -> None:
            if pending:
                nodes = np.sort(np.concatenate(pending))
                self.ready[nodes] = waiting
                segments.extend(self._straight(nodes))
                pending.clear()

        waiting = len(self.codes) + 1  # in ``ready``: not scheduled yet
        upcoming = deque(groups)
        while upcoming:
            group = upcoming.popleft()
            if not len(group):
                continue
            if pending and self.place[group[0]] != self.place[pending[0][0]]:
                flush()
            if self.of_loops[self.codes[group[0]]]:
                if pending and (self.ready[self._operands(group)] == waiting).any():
                    flush()
                segments.append(self._turns(int(group[0]), len(self.pieces)))
                self.pieces.append(segments[-1])
                continue
            if not loops or not self._worthwhile(group):
                self.ready[group] = waiting
                pending.append(group)
                continue
            if pending and (self.ready[self._operands(group)] == waiting).any():
                flush()
            if self._join(group):
                continue
            draft = self._draft(group, len(self.pieces))
            if draft is None:
                parts = self._split_by_sources(group)
                if len(parts) > 1:
                    upcoming.extendleft(reversed(parts))
                    continue
                self.ready[group] = waiting
                pending.append(group)
            else:
                self.drafts[len(self.pieces)] = draft
                segment = Segment(draft.place)
                self.drafted.append((draft, segment))
                self.pieces.append(segment)
                segments.append(segment)
        flush()
        return segments

    def _straight(self, nodes: Any) -> list[Segment]:
        """Return chunks of straight-line code for ``nodes``."""
        segments = []
        for chunk in _chunks(self._items(nodes)):
            self.ready[chunk[chunk[:, 4] > 0, 0]] = len(self.pieces)
            segments.append(Segment(int(self.place[nodes[0]]), chunk))
            self.pieces.append(segments[-1])
        return segments

    def _with_loops(self, groups: list[Any], loops: bool) -> list[Any]:
        """Put the loops over time between the groups, each a group of its own."""
        np = self.np
        heads = self.codes != self.part
        heads &= self.of_loops[self.codes]
        if loops:  # groups are in the order of their places and depths
            time = self._depths(np.arange(len(self.codes)))
        else:  # straight-line code is cut
            time = np.arange(len(self.codes))
            cuts = np.nonzero(heads)[0]
            groups = [
                piece for group in groups for piece in np.split(group, np.searchsorted(group, cuts))
            ]
        groups = [g for g in groups if len(g)]
        groups += [np.array([head], np.int32) for head in np.nonzero(heads)[0]]
        return sorted(groups, key=lambda g: (self.place[g[0]], time[g[0]]))

    def _turns(self, head: int, index: int) -> Segment:
        """Return the segment of a loop over time; its results get their places."""
        np = self.np
        op = self.layout.program.op(head)
        assert isinstance(op, Scan)
        place = int(self.place[head])
        operands = self._operands(np.array([head]))[0]
        places = np.where(self.place[operands] == LANE, LANE, SHARED)
        addresses = self._addresses(operands)
        parts = np.arange(head + 1, head + 1 + op.results)
        free = parts[self.address[parts] < 0]
        if len(free):
            self.address[free] = self.layout.reserve_many(place, len(free)) + np.arange(len(free))
        self.ready[head : head + 1 + op.results] = index
        n, m = len(op.loop.state), len(op.loop.xs)
        first, entries, captured = op.split(addresses)
        first_places, entry_places, captured_places = op.split(places)
        entries, entry_places = entries.reshape(op.turns, m), entry_places.reshape(op.turns, m)
        xs = tuple(
            int(column[0]) if (column == column[0]).all() else MIXED for column in entry_places.T
        )
        shared = (entry_places != LANE) & (np.array(xs, int) == MIXED)
        entries = np.where(shared, ~entries, entries)
        results = self.address[parts]
        table = self.add_table(
            np.concatenate([first, captured, results[:n], entries.ravel(), results[n:]])
        )
        turns = Turns(op, table, tuple(first_places.tolist()), xs, tuple(captured_places.tolist()))
        return Segment(place, turns=turns)

    def _groups(self, nodes: Any) -> list[Any]:
        """Group nodes by place, depth, kind and number of operands, in the order of depth.

        Returns:
            Nothing, if so little is regular that the program is better left straight-line code.
        """
        np = self.np
        everything = np.arange(len(self.codes)) if self.of_loops.any() else nodes
        depth = self._depths(everything)[nodes]
        arity = (self.starts[nodes + 1] - self.starts[nodes]).astype(np.int32)
        place, code = self.place[nodes], self.codes[nodes]
        order = np.lexsort((arity, code, depth, place))
        change = np.zeros(len(nodes), bool)
        change[0] = True
        for key in (place, depth, code, arity):
            change[1:] |= key[order[1:]] != key[order[:-1]]
        first = np.nonzero(change)[0]
        work = np.maximum(1, arity // 2)[order]
        size, total = np.diff(first, append=len(nodes)), np.add.reduceat(work, first)
        folded = np.array([name in FOLDED for name in self.names])[code[order[first]]]
        operands = np.add.reduceat(arity[order], first)
        likely = (size >= _FEWEST) | (folded & (operands >= _LIGHTEST))
        if total[likely].sum() < _REGULAR * total.sum():
            return []
        groups = []
        regular = 0
        for group, promising in zip(np.split(nodes[order], first[1:]), likely.tolist()):
            parts = self._split_by_places(group) if promising else [group]
            groups += parts
            regular += sum(self._work(part) for part in parts if self._worthwhile(part))
        return groups if regular >= _REGULAR * total.sum() else []

    def mark_stored(self) -> bytearray:
        """Mark the nodes that must be in memory: outputs, and what another segment reads.

        Results that stay in registers of their loop are noted in its steps, too.
        """
        np = self.np
        readers = np.repeat(np.arange(len(self.codes), dtype=np.int32), np.diff(self.starts))
        home = self._homes()
        outside = home[readers] != home[self.flat]
        stored = np.zeros(len(self.codes), np.uint8)
        stored[self.flat[outside]] = 1
        stored[self.layout.kept] = 1
        for segment in self.pieces:
            if segment.nest is not None:
                for step in segment.nest.steps:
                    step.stored = step.nodes is not None and bool(stored[step.nodes].any())
                    step.nodes = None
        self._addresses(np.nonzero((stored > 0) & (self.codes > 1))[0])
        return bytearray(stored.tobytes())

    def _homes(self) -> Any:
        """Return a number for each node that says what computes it."""
        return self.ready

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
        items = np.zeros((len(nodes), 5), np.int32)
        items[:, 0], items[:, 3], items[:, 4] = nodes, arity, 1
        if long.any():
            inside = np.zeros(len(self.codes), bool)
            inside[nodes] = True
            pieces = [p for node in nodes[long].tolist() for p in self._pieces(node, inside)]
            timed = np.array(pieces, np.int64)
            items = np.concatenate([items[~long], timed[:, 1:].astype(np.int32)])
            time = np.concatenate([2 * nodes[~long].astype(np.int64), timed[:, 0]])
            items = items[np.argsort(time, kind="stable")]
        return items

    def _pieces(self, node: int, inside: Any) -> list[tuple[int, ...]]:
        """Cut a long sum where terms become ready: rows as in ``_items``, after twice the time."""
        operands = self.flat[self.starts[node] : self.starts[node + 1]]
        ready = self.np.where(inside[operands], operands, -1)
        if self.names[self.codes[node]] == "chain":
            pairs = len(operands) // 2
            start = ready[2 * pairs :].max(initial=-1)
            ready = self.np.maximum(ready[:pairs], ready[pairs : 2 * pairs])
            ready[0] = max(ready[0], start)
        pieces: list[tuple[int, ...]] = []
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

    def _depths(self, nodes: Any) -> Any:
        """Return the depths of ``nodes``; what they read from elsewhere has depth 0."""
        depth = array("i", bytes(4 * len(self.codes)))
        starts, flat = self.layout.program.starts, self.layout.program.operands
        for node in nodes.tolist():
            first, end = starts[node], starts[node + 1]
            if end > first:
                depth[node] = 1 + max([depth[x] for x in flat[first:end]])
        return self.np.frombuffer(depth, self.np.int32)

    def _split_by_places(self, group: Any) -> list[Any]:
        """Split so that in each part an operand position is in one place for all members."""
        np = self.np
        key = np.array([self._forced(n) for n in group.tolist()])
        places = self.place[self._operands(group)]
        name = self.names[self.codes[group[0]]]
        if name in FOLDED:  # the operands outside the run of terms: the start, or the index
            single = places.shape[1] % 2 if name == "chain" else 1
            places = places[:, places.shape[1] - single :] if name == "chain" else places[:, :1]
        for column in places.T:
            key = key * 4 + column
        return [group[key == k] for k in np.unique(key)]

    def _split_by_sources(self, group: Any) -> list[Any]:
        """Split a group that has no order of its own by the segments that its operands come from.

        Two layers may do the same at one depth; each of them is regular, both together are not.
        """
        np = self.np
        if self.names[self.codes[group[0]]] in FOLDED:
            return [group]
        sources = self.ready[self._operands(group)]
        _, part = np.unique(sources, axis=0, return_inverse=True)
        parts = [group[part.ravel() == k] for k in range(int(part.max(initial=0)) + 1)]
        return parts if all(len(some) >= _FEWEST for some in parts) else [group]

    def _worthwhile(self, group: Any) -> bool:
        name = self.names[self.codes[group[0]]]
        terms = int(self.starts[group[0] + 1] - self.starts[group[0]])
        if name not in FOLDED:
            return len(group) >= _FEWEST
        if len(group) * terms < _LIGHTEST or (len(group) < 2 and terms < 4 * _LIGHTEST):
            return False
        return all((h == LANE).all() or (h != LANE).all() for h in self._folded_places(group))

    def _folded_places(self, group: Any) -> list[Any]:
        places = self.place[self._operands(group)]
        pairs = places.shape[1] // 2
        if self.names[self.codes[group[0]]] == "chain":
            return [places[:, :pairs], places[:, pairs : 2 * pairs]]
        return [places[:, 1:]]


def _chunks(items: Any) -> list[Any]:
    """Cut straight-line code into chunks of bounded size."""
    import numpy

    work = numpy.cumsum(numpy.maximum(1, items[:, 3] // 2))
    cuts = numpy.nonzero(numpy.diff(work // CHUNK))[0] + 1
    return numpy.split(items, cuts)
