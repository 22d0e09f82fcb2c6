"""Finding the loop over time in a straight line of operations.

A plain Python loop leaves the same few operations behind again and again. If operation ``i`` and
operation ``i + P`` do the same for a long stretch, and the operands of one step by the same
distance from turn to turn, the stretch is a loop of period ``P``: forwards in the value, where a
turn reads the turn before, and backwards in the gradient, where each turn also reads numbers of
the forward loop that step the other way. What differs at the beginning and at the end stays
outside. Loops are looked for from the outermost to the innermost.

Not every repetition is taken: the neurons of a layer repeat as well, but they do not wait for each
other, and ``groups.py`` makes better loops of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FEWEST = 8  # turns from which on a loop is worth it
SMALLEST = 200  # operations in all turns of a loop from which on it is worth it
_WINDOW = 16  # neighbouring operations by which a period is recognised
_RECURRENT = 10  # at least one operation in so many waits for the turn before
_CUTS = 64  # places to begin a turn at that are looked at closely
_TRIES = 6  # periods that are looked at closely
_NEAR = (0, 300, 5000)  # how far back an operand may be to count as a mark of its reader


@dataclass
class Sequence:
    """Operations in the order in which they ran.

    Attributes:
        nodes: The node of each operation.
        kinds: A number for what each operation does, to operands in which places.
        starts: Where the operands of each begin in ``sources``; one more than there are nodes.
        sources: The operands by their positions in this sequence; -1: from elsewhere.
    """

    nodes: Any
    kinds: Any
    starts: Any
    sources: Any


@dataclass
class Turns:
    """A loop: ``count`` turns of ``period`` operations from ``first`` on; its ``inner`` loops.

    Positions of inner loops count from the beginning of the turn.
    """

    first: int
    period: int
    count: int
    inner: list[Turns] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The position behind the last turn."""
        return self.first + self.period * self.count


def sequence_of(nodes: Any, codes: Any, starts: Any, flat: Any, lane: Any) -> Sequence:
    """Describe ``nodes``, in this order; ``lane`` says which nodes are in lanes."""
    import numpy as np

    rank = np.full(len(codes), -1, np.int64)
    rank[nodes] = np.arange(len(nodes))
    arity = starts[nodes + 1] - starts[nodes]
    bounds = np.concatenate([[0], np.cumsum(arity)])
    where = np.repeat(starts[nodes] - bounds[:-1], arity) + np.arange(bounds[-1])
    operands = flat[where]
    kinds = codes[nodes].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    kinds ^= arity.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    place = lane[operands].astype(np.uint64) * _scatter(np.arange(len(operands)) - np.repeat(
        bounds[:-1], arity))  # fmt: skip
    kinds ^= _sums(place, bounds)
    _, kinds = np.unique(kinds, return_inverse=True)
    return Sequence(nodes, kinds.astype(np.int64), bounds, rank[operands])


def _scatter(numbers: Any) -> Any:
    """Return well-mixed 64-bit numbers for small ones."""
    import numpy as np

    x = (numbers.astype(np.int64).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(32))


def _sums(numbers: Any, bounds: Any) -> Any:
    """Add up the numbers between neighbouring bounds, modulo 2**64."""
    import numpy as np

    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers, dtype=np.uint64)])
    return total[bounds[1:]] - total[bounds[:-1]]


def find_turns(sequence: Sequence) -> list[Turns]:
    """Return the outermost loops of a sequence, in order, with the loops inside them."""
    return _Search(sequence).within(0, len(sequence.kinds), FEWEST, SMALLEST)


class _Search:
    def __init__(self, sequence: Sequence) -> None:
        import numpy

        self.np = numpy
        self.s = sequence

    def within(self, begin: int, end: int, fewest: int, smallest: int) -> list[Turns]:
        """Return the loops between two positions."""
        found: list[Turns] = []
        waiting = [(begin, end)]
        while waiting:
            first, last = waiting.pop()
            if last - first < smallest:
                continue
            turns = self._longest(first, last, fewest, smallest)
            if turns is None:
                continue
            found.append(turns)
            waiting += [(first, turns.first), (turns.end, last)]
        found.sort(key=lambda turns: turns.first)
        for turns in found:
            begin = turns.first + turns.period * (turns.count - 1)  # the last turn stands for all
            turns.inner = self.within(begin, begin + turns.period, fewest, smallest)
            for inner in turns.inner:
                inner.first -= begin
        return found

    def _longest(self, begin: int, end: int, fewest: int, smallest: int) -> Turns | None:
        """Return the loop that covers most, the one with the shortest turns of several such."""
        tried: set[int] = set()
        for near in _NEAR:
            tried.update(self._periods(begin, end, near, fewest))
        best: Turns | None = None
        for loose in (False, True):
            stretches = [
                stretch
                for period in sorted(tried)
                for stretch in self._stretches(begin, end, period, fewest, loose)
            ]
            for first, last, period in stretches:
                if last - first < max(smallest, fewest * period):
                    continue
                # twice the period repeats as well; operands that are chosen cost tables
                most = 0.0 if best is None else (best.end - best.first) * (1.5 if loose else 1.1)
                if last - first > most + 2 * period:
                    turns = self._cut(first, last, period)
                    if turns.count >= fewest and self._recurs(turns):
                        best = turns
        return best

    def _periods(self, begin: int, end: int, near: int, fewest: int) -> list[int]:
        """Return distances at which a window of operations comes again and again, best first."""
        np, s = self.np, self.s
        window = min(_WINDOW, max(1, (end - begin) // (2 * fewest)))
        marks = _scatter(s.kinds[begin:end])
        if near:
            low, high = s.starts[begin], s.starts[end]
            readers = np.repeat(np.arange(begin, end), np.diff(s.starts[begin : end + 1]))
            back = readers - s.sources[low:high]
            known = (s.sources[low:high] >= 0) & (back < near)
            marks = marks + _sums(
                np.where(known, _scatter(back), np.uint64(7)), s.starts[begin : end + 1] - low
            )
        hashes = np.zeros(end - begin - window + 1, np.uint64)
        for j in range(window):
            hashes = hashes * np.uint64(0xD6E8FEB86659FD93) + marks[j : j + len(hashes)]
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        same = ordered[1:] == ordered[:-1]
        if not same.any():
            return []
        distance = (order[1:] - order[:-1])[same]
        kind = np.cumsum(np.concatenate([[0], ~same]))[1:][same]
        key = kind * (end - begin + 1) + distance
        keys, counts = np.unique(key, return_counts=True)
        distances = keys % (end - begin + 1)
        good = counts >= fewest - 1
        if not good.any():
            return []
        distances, covered = distances[good], (counts * distances)[good]
        best, inverse = np.unique(distances, return_inverse=True)
        most = np.zeros(len(best), np.int64)
        np.maximum.at(most, inverse, covered)
        return [int(d) for d in best[np.lexsort((best, -most))][:_TRIES]]

    def _stretches(
        self, begin: int, end: int, period: int, fewest: int, loose: bool
    ) -> list[tuple[int, int, int]]:
        """Return where operations repeat at a distance, and their operands step regularly."""
        np, s = self.np, self.s
        kinds = s.kinds[begin:end]
        equal = kinds[:-period] == kinds[period:]
        found = []
        for first, last in _runs(equal, (fewest - 1) * period):
            # operations first to last + period; their operands have equal places in their turns
            first, last = first + begin, last + begin + period
            low, high = s.starts[first], s.starts[last]
            shift = s.starts[first + period] - low
            if shift == 0:
                continue
            sources = s.sources[low:high]
            step = sources[shift:] - sources[:-shift]
            outside = (sources[shift:] < 0) | (sources[:-shift] < 0)
            mixed = (sources[shift:] < 0) != (sources[:-shift] < 0)
            step[outside] = 0
            step[mixed] = np.iinfo(np.int64).max  # a number from elsewhere at one turn alone
            regular = (step[shift:] == step[:-shift]) & ~mixed[shift:] & ~mixed[:-shift]
            if loose:  # what was there before may be chosen in any way
                before = sources < first
                regular |= before[: -2 * shift] & before[shift:-shift] & before[2 * shift :]
            # an operation of two turns before the end is regular if all its operands are
            bad = np.concatenate([[0], np.cumsum(~regular)])
            bounds = s.starts[first : last - 2 * period + 1] - low
            good = bad[bounds[1:]] == bad[bounds[:-1]]
            for a, b in _runs(good, (fewest - 2) * period):
                found.append((first + a, first + b + 2 * period, period))
        return found

    def _cut(self, first: int, last: int, period: int) -> Turns:
        """Choose where turns begin: where the fewest numbers are handed on."""
        np, s = self.np, self.s
        begin = first
        end = min(last, first + 6 * period)
        low, high = s.starts[begin], s.starts[end]
        readers = np.repeat(np.arange(begin, end), np.diff(s.starts[begin : end + 1]))
        sources = s.sources[low:high]
        inside = sources >= begin
        last_read = np.zeros(end - begin, np.int64)
        np.maximum.at(last_read, sources[inside] - begin, readers[inside] - begin)
        change = np.zeros(end - begin + 1, np.int64)
        made = np.nonzero(last_read)[0]
        np.add.at(change, made + 1, 1)  # a cut before position c severs made < c <= last read
        np.add.at(change, last_read[made] + 1, -1)
        alive = np.cumsum(change)
        middle = min(3, (last - first) // period - 2) * period  # away from both ends
        window = alive[middle : middle + period]
        candidates = np.argsort(window, kind="stable")[:_CUTS].tolist()
        best = min(candidates, key=lambda j: self._variety(begin + middle + j, period))
        count = (last - first - best) // period
        return Turns(first + best, period, int(count))

    def _variety(self, begin: int, period: int) -> int:
        """Count the kinds of operations in a turn, at each depth: the groups that it makes."""
        s = self.s
        starts = s.starts[begin : begin + period + 1].tolist()
        sources = (s.sources[starts[0] : starts[-1]] - begin).tolist()
        kinds = s.kinds[begin : begin + period].tolist()
        depth = [0] * period
        for i in range(period):
            mine = sources[starts[i] - starts[0] : starts[i + 1] - starts[0]]
            depth[i] = 1 + max([depth[x] for x in mine if x >= 0], default=0)
        return len(set(zip(depth, kinds)))

    def _recurs(self, turns: Turns) -> bool:
        """Do turns wait for each other, for most of what they do?"""
        s, period = self.s, turns.period
        begin = turns.first + (turns.count - 4) * period
        depth = [0] * (4 * period)
        starts = s.starts[begin : begin + 4 * period + 1].tolist()
        sources = (s.sources[starts[0] : starts[-1]] - begin).tolist()
        for i in range(4 * period):
            mine = sources[starts[i] - starts[0] : starts[i + 1] - starts[0]]
            depth[i] = 1 + max([depth[x] for x in mine if x >= 0], default=0)
        later = sum(depth[i + 3 * period] > depth[i + 2 * period] for i in range(period))
        return _RECURRENT * later >= period


def _runs(flags: Any, least: int) -> list[tuple[int, int]]:
    """Return where runs of true flags begin and end that are at least so long."""
    import numpy as np

    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    begins, ends = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0]
    long = ends - begins >= max(1, least)
    return list(zip(begins[long].tolist(), ends[long].tolist()))
