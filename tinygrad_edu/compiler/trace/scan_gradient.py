"""Reverse mode over a loop: its gradient is another loop, from the last turn to the first.

A turn of it gets the state at the beginning of the same turn of the first loop, and its entry;
computes what the step computed, then hands back what the turns after it handed back. Its own state
are the gradients by the state, and by what all turns use, so far. As it is an ordinary loop, it can
be differentiated again.

What nothing is handed back to gets nothing, not 0 times a slope: the last turns, in which fewer
numbers matter than in those before, are loops of one turn for as long as that differs. A ``hasty``
program takes the 0, which makes a difference only where a slope is infinite or nan; then the result
is nan, and it is traced again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_edu.compiler.trace.gradient_program import Number, add_up, node_for, pull_back
from tinygrad_edu.compiler.trace.program import Program
from tinygrad_edu.compiler.trace.scan_row import PART, CannotScan, Scan, Step
from tinygrad_edu.compiler.trace.scan_trace import add_loop, without_unused

_PIECES = 8  # so many stretches of turns are told apart; for more the turns are written out


@dataclass(frozen=True)
class _Pattern:
    """Which gradients come in to a turn, by position, and which are wanted."""

    state: tuple[int, ...]
    ys: tuple[int, ...]
    trail: tuple[int, ...]
    wanted_state: tuple[int, ...]
    wanted_xs: tuple[int, ...]
    wanted_captured: tuple[int, ...]


@dataclass
class _Turn:
    """One turn of the gradient as a program.

    Attributes:
        program: The operations.
        known: Its inputs that the step has, too: state, entry, captured.
        state, ys, trail, totals: Its inputs for what is handed back, in the order of the pattern.
        to_state, to_xs, to_captured: What it hands back: position -> node.
    """

    program: Program
    known: tuple[list[int], list[int], list[int]]
    state: list[int]
    ys: list[int]
    trail: list[int]
    totals: list[int]
    to_state: dict[int, int]
    to_xs: dict[int, int]
    to_captured: dict[int, int]


def pull_back_loop(
    program: Program,
    head: int,
    found: dict[int, Number],
    shares: dict[int, list[Number]],
    between: Sequence[int],
) -> None:
    """Append the gradient of the loop at ``head``; see ``PullBack``."""
    _LoopGradient(program, head, found, shares, between).run()


class _LoopGradient:
    """The state of one such gradient, which goes from turn to turn backwards."""

    def __init__(
        self,
        program: Program,
        head: int,
        found: dict[int, Number],
        shares: dict[int, list[Number]],
        between: Sequence[int],
    ) -> None:
        op = program.op(head)
        assert isinstance(op, Scan)
        self.program, self.op, self.step = program, op, op.loop
        self.shares, self.between = shares, between
        self.first, self.flat, self.taken = op.split(program.operands_of(head).tolist())
        n, p, turns = len(self.step.state), len(self.step.ys), op.turns
        with_trail = head if op.trail or not n else self._twin(head)
        self.trail = with_trail + 1 + n + turns * p  # the node of the first number of the trail
        # what is handed back to the last state, and to the outputs and the state of each turn
        self.state: dict[int, Number] = {}
        self.ys: dict[int, dict[int, Number]] = {}
        self.states: dict[int, dict[int, Number]] = {}
        for k, gradient in found.items():
            if k < n:
                self.state[k] = gradient
            elif k < n + turns * p:
                t, j = divmod(k - n, p)
                self.ys.setdefault(t, {})[j] = gradient
            else:
                t, j = divmod(k - n - turns * p, len(op.trail))
                self.states.setdefault(t, {})[op.trail[j]] = gradient
        self.wanted = self._wanted()

    def _twin(self, head: int) -> int:
        """Return the same loop with a trail."""
        program = self.program
        twin = program.twins.get(head)
        if twin is None:
            op = Scan(self.step, self.op.turns, range(len(self.step.state)))
            twin = program.add_unshared(op, program.operands_of(head).tolist())
            program.add_many(PART, twin, op.results)
            program.twins[head] = twin
        return twin

    def _wanted(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return which numbers of state, entries and captured ones depend on the inputs."""
        step, between, m = self.step, self.between, len(self.step.xs)
        state = {i for i, x in enumerate(self.first) if between[x]}
        xs = tuple([j for j in range(m) if any(between[x] for x in self.flat[j::m])])
        captured = tuple([c for c, x in enumerate(self.taken) if between[x]])
        sources = [step.xs[j] for j in xs] + [step.captured[c] for c in captured]
        while True:  # a number of the state that depends on one that does, does in the end
            marks = _depending(step.program, [*sources, *[step.state[i] for i in state]])
            more = {i for i, x in enumerate(step.new_state) if marks[x]} | state
            if more == state:
                return tuple(sorted(state)), xs, captured
            state = more

    def run(self) -> None:
        """Go back over all turns, then hand on to the operands."""
        self.state = {i: g for i, g in self.state.items() if i in self.wanted[0]}
        t, pieces = self.op.turns, 0
        while t > 0:
            ys, states = self._incoming(t - 1)
            if not (self.state or any(k < t for k in (*self.ys, *self.states))):
                break
            pieces += 1
            start = t - 1
            while start > 0 and self._incoming(start - 1) == (ys, states):
                start -= 1
            turn = self._turn(tuple(sorted(self.state)), ys, states)
            same = set(turn.to_state) == set(self.state)
            if same and start == 0:
                self._loop(turn, 0, t)
                t = 0
            elif not self.program.exact and (self.program.hasty or pieces >= _PIECES):
                self.program.masked = True
                self._all(t)
                t = 0
            elif pieces >= _PIECES:
                raise CannotScan("a loop whose last turns hand back to this and that")
            elif same:
                self._loop(turn, start, t)
                t = start
            else:
                self._single(turn, t - 1)
                t -= 1
        for i, gradient in self.state.items():
            if self.between[self.first[i]]:
                self.shares.setdefault(self.first[i], []).append(gradient)

    def _incoming(self, t: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(sorted(self.ys.get(t, ()))), tuple(sorted(self.states.get(t, ())))

    def _turn(self, state: tuple[int, ...], ys: tuple[int, ...], trail: tuple[int, ...]) -> _Turn:
        pattern = _Pattern(state, ys, trail, *self.wanted)
        made, exact = self.step.made, self.program.exact
        key = (pattern, exact)
        if key not in made:
            made[key] = _differentiate(self.step, pattern, exact)
        found: _Turn = made[key]
        if found.program.masked:
            if exact:  # what is handed back to a turn may come from a choice in another one
                raise CannotScan("a loop with a choice in its step")
            self.program.masked = True
        return found

    # --- stretches of turns ---

    def _all(self, end: int) -> None:
        """Go over all turns that are left in one loop, with 0 where nothing is handed back."""
        ys = tuple(sorted({j for t, found in self.ys.items() if t < end for j in found}))
        trail = tuple(sorted({i for t, found in self.states.items() if t < end for i in found}))
        state = set(self.state)
        while True:
            turn = self._turn(tuple(sorted(state)), ys, trail)
            if state >= set(turn.to_state):
                break
            state |= set(turn.to_state)
        for i in state:
            self.state.setdefault(i, 0.0)
        nothing = turn.program.constant(0.0)
        turn = replace(turn, to_state={i: turn.to_state.get(i, nothing) for i in state})
        for t in range(end):
            for j in ys:
                self.ys.setdefault(t, {}).setdefault(j, 0.0)
            for i in trail:
                self.states.setdefault(t, {}).setdefault(i, 0.0)
        self._loop(turn, 0, end)

    def _loop(self, turn: _Turn, start: int, end: int) -> None:
        """Go back over turns of one kind."""
        if end - start == 1:
            self._single(turn, start)
            return
        state, totals = sorted(self.state), sorted(turn.to_captured)
        places = [self.wanted[2].index(c) for c in totals]
        known_state, known_xs, captured = turn.known
        to_xs = sorted(turn.to_xs)
        step = Step(
            turn.program,
            [*turn.state, *[turn.totals[i] for i in places]],
            [*known_state, *known_xs, *turn.ys, *turn.trail],
            captured,
            [*[turn.to_state[i] for i in state], *[turn.to_captured[c] for c in totals]],
            [turn.to_xs[j] for j in to_xs],
        )
        first = [node_for(self.program, self.state[i]) for i in state] + self._before(totals)
        flat = [x for t in reversed(range(start, end)) for x in self._entries(turn, t)]
        step, operands = _pruned(step, (first, flat, self.taken))
        last, ys = add_loop(self.program, step, end - start, *operands, trail=False)
        self.state = dict(zip(state, last))
        self._hand_on(totals, last[len(state) :])
        width = len(to_xs)
        for k, t in enumerate(reversed(range(start, end))):
            self._hand_to_entries(t, to_xs, ys[k * width : (k + 1) * width])

    def _single(self, turn: _Turn, t: int) -> None:
        """Go back over one turn: a loop without state, as what comes in differs from what goes."""
        state, totals, to_xs = sorted(turn.to_state), sorted(turn.to_captured), sorted(turn.to_xs)
        places = [self.wanted[2].index(c) for c in totals]
        known_state, known_xs, captured = turn.known
        step = Step(
            turn.program,
            [],
            [
                *known_state, *known_xs, *turn.ys, *turn.trail,
                *turn.state, *[turn.totals[i] for i in places],
            ],
            captured,
            [],
            [
                *[turn.to_state[i] for i in state],
                *[turn.to_captured[c] for c in totals],
                *[turn.to_xs[j] for j in to_xs],
            ],
        )  # fmt: skip
        flat = self._entries(turn, t)
        flat += [node_for(self.program, self.state[i]) for i in sorted(self.state)]
        flat += self._before(totals)
        step, operands = _pruned(step, ([], flat, self.taken))
        _, ys = add_loop(self.program, step, 1, *operands, trail=False)
        self.state = dict(zip(state, ys))
        self._hand_on(totals, ys[len(state) :])
        self._hand_to_entries(t, to_xs, ys[len(state) + len(totals) :])

    # --- what goes in and out ---

    def _entries(self, turn: _Turn, t: int) -> list[int]:
        """Return what the gradient's turn gets: state, entry, and what is handed back to it."""
        n, m, program = len(self.step.state), len(self.step.xs), self.program
        handed = [self.ys[t][j] for j in sorted(self.ys[t])] if turn.ys else []
        handed += [self.states[t][i] for i in sorted(self.states[t])] if turn.trail else []
        states = range(self.trail + t * n, self.trail + (t + 1) * n)
        return [
            *states, *self.flat[t * m : (t + 1) * m],
            *[node_for(program, x) for x in handed],
        ]  # fmt: skip

    def _before(self, totals: list[int]) -> list[int]:
        """Return the sums so far of the gradients by what all turns use."""
        found = []
        for c in totals:
            terms = self.shares.pop(self.taken[c], [0.0])
            total = terms[0] if len(terms) == 1 else add_up(self.program, terms)
            found.append(node_for(self.program, total))
        return found

    def _hand_on(self, totals: list[int], nodes: Sequence[int]) -> None:
        for c, node in zip(totals, nodes):
            self.shares[self.taken[c]] = [node]

    def _hand_to_entries(self, t: int, positions: list[int], nodes: Sequence[int]) -> None:
        m = len(self.step.xs)
        for j, node in zip(positions, nodes):
            entry = self.flat[t * m + j]
            if self.between[entry]:
                self.shares.setdefault(entry, []).append(node)


def _differentiate(step: Step, pattern: _Pattern, exact: bool) -> _Turn:
    """Return one turn of the gradient."""
    program = step.program.copy()
    program.exact, program.hasty = exact, not exact

    def inputs(count: int) -> list[int]:
        return [program.add_input() for _ in range(count)]

    state, ys, trail = map(inputs, map(len, (pattern.state, pattern.ys, pattern.trail)))
    totals = inputs(len(pattern.wanted_captured))
    seeds: dict[int, list[Number]] = {}
    for places, nodes, handed in (
        (pattern.ys, step.ys, ys),
        (pattern.state, step.new_state, state),
        (pattern.trail, step.state, trail),
    ):
        for k, gradient in zip(places, handed):
            seeds.setdefault(nodes[k], []).append(gradient)
    for c, total in zip(pattern.wanted_captured, totals):
        seeds.setdefault(step.captured[c], []).append(total)
    wanted = (
        [(i, step.state[i]) for i in pattern.wanted_state],
        [(j, step.xs[j]) for j in pattern.wanted_xs],
        [(c, step.captured[c]) for c in pattern.wanted_captured],
    )
    found = pull_back(program, seeds, [x for pairs in wanted for _, x in pairs])
    to: list[dict[int, int]] = [
        {k: node_for(program, found[x]) for k, x in pairs if x in found} for pairs in wanted
    ]
    for c, total in zip(pattern.wanted_captured, totals):
        if to[2].get(c) == total:  # this turn adds nothing
            del to[2][c]
    known = (step.state, step.xs, step.captured)
    return _Turn(program, known, state, ys, trail, totals, *to)


def _pruned(
    step: Step, operands: tuple[Sequence[int], Sequence[int], Sequence[int]]
) -> tuple[Step, tuple[Sequence[int], Sequence[int], Sequence[int]]]:
    """Drop the inputs that are not used; the turn keeps its list of inputs for other stretches."""
    program: Any = step.program
    copy = program.copy()
    return without_unused(
        Step(copy, step.state, step.xs, step.captured, step.new_state, step.ys), operands
    )


def _depending(program: Program, inputs: Sequence[int]) -> bytearray:
    """Mark the nodes that depend on some of ``inputs``."""
    marks = bytearray(len(program))
    for node in inputs:
        marks[node] = 1
    starts, operands = program.starts, program.operands
    for node in range(min(inputs, default=len(program)), len(program)):
        if not marks[node]:
            for x in operands[starts[node] : starts[node + 1]]:
                if marks[x]:
                    marks[node] = 1
                    break
    return marks


Scan.pull_back = staticmethod(pull_back_loop)
