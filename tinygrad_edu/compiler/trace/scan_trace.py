"""Recording ``scan``: the step is run on symbols once, and the loop becomes one node.

Where that cannot be known to equal the plain loop, nothing is recorded, and the turns are written
out: if the entries are of different forms, or if the step takes gradients that could lead through
earlier turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_edu.compiler.trace.arguments import NUMBER, Shape, build, elements, shape_of
from tinygrad_edu.compiler.trace.program import INPUT, Program
from tinygrad_edu.compiler.trace.scan_row import PART, CannotScan, Scan, Step
from tinygrad_edu.compiler.trace.symbol import Symbol, node_in
from tinygrad_edu.engine.scanning import form_of, has_outputs
from tinygrad_edu.engine.tracing import lifting

Recorded = tuple[Any] | None


def symbols_for(program: Program) -> Callable[[Any], Any]:
    """What stands for a Value while ``program`` is traced."""
    return lambda x: x if type(x) is Symbol else Symbol(program, program.node_of(x, "trace"))


def recorder(program: Program) -> Callable[..., Recorded]:
    """Return what records a ``scan`` in ``program``; its result comes in a tuple."""

    def record(
        step: Callable[[Any, Any], Any],
        state: Any,
        rows: list[Any],
        outputs: bool | None,
        checkpoint: int | None,
        forms: bool = False,
    ) -> Recorded:
        if not rows:
            return ((state, []) if outputs else state,)
        state_shape = shape_of(state, "scan: state")
        entry = _common_shape(rows)
        if entry is None or _has_modules(state_shape) or _has_modules(entry):
            return None
        inner = Program(program)
        states = [inner.add_input() for _ in range(state_shape.size)]
        xs = [inner.add_input() for _ in range(entry.size)]
        try:
            with lifting(symbols_for(inner), recorder(inner)):
                result = step(
                    build(state_shape, iter([Symbol(inner, x) for x in states])),
                    build(entry, iter([Symbol(inner, x) for x in xs])),
                )
                pair = has_outputs(form_of(state), result, outputs)
                y_shape = shape_of(result[1], "scan: output") if pair else Shape("list", 0, (), 0)
                new_state = _nodes(inner, result[0] if pair else result, "scan: state")
                ys = _nodes(inner, result[1], "scan: output") if pair else []
        except CannotScan:
            return None
        finally:
            inner.closed = True
        if shape_of(result[0] if pair else result, "scan: state") != state_shape:
            # say, a list in the place of an array: the first turn alone
            if forms:
                return None
            state = step(state, rows[0])
            rest = record(step, state[0] if pair else state, rows[1:], pair, checkpoint, True)
            if rest is None or not pair:
                return rest
            (last_state, more), y = rest[0], state[1]
            return ((last_state, [y, *more]),)
        first = _nodes(program, state, "scan: state")
        flat = _entry_nodes(program, rows)
        if _has_modules(y_shape) or any(output < 0 for output, _ in inner.asked):
            return None
        made = Step(inner, states, xs, list(inner.taken.values()), new_state, ys)
        operands = (first, flat, list(inner.taken))
        if any(wanted for _, wanted in inner.asked) and not _local(program, made, operands):
            return None
        made, used = without_unused(made, operands)
        last, listed = add_loop(program, made, len(rows), *used, checkpoint)
        found = build(state_shape, iter([Symbol(program, x) for x in last]))
        if not pair:
            return (found,)
        numbers = iter([Symbol(program, x) for x in listed])
        return ((found, [build(y_shape, numbers) for _ in rows]),)

    return record


def add_loop(
    program: Program,
    step: Step,
    turns: int,
    first: Sequence[int],
    flat: Sequence[int],
    taken: Sequence[int],
    checkpoint: int | None = None,
    trail: bool = True,
) -> tuple[list[int], list[int]]:
    """Append a loop and return the nodes of the last state, and of the outputs turn by turn.

    Args:
        program: Grows.
        step: What is done in a turn.
        turns: How often.
        first: The nodes of the first state.
        flat: The nodes of the entries, turn by turn.
        taken: The nodes that the step uses in each turn.
        checkpoint: Of how many turns only the first one's state is kept for the gradient: the loop
            becomes one over blocks of so many turns, and one over those that are left.
        trail: Whether the state of each turn is a result, too, as gradients need it.
    """
    if checkpoint is not None and checkpoint < turns:
        blocks, m = turns // checkpoint, len(step.xs)
        whole = blocks * checkpoint
        state, ys = add_loop(
            program, _block(step, checkpoint), blocks, first, flat[: whole * m], taken
        )
        if whole < turns:
            state, more = add_loop(program, step, turns - whole, state, flat[whole * m :], taken)
            ys = ys + more
        return state, ys
    n, p = len(step.state), len(step.ys)
    op = Scan(step, turns, range(n) if trail else ())
    head = program.add_unshared(op, [*first, *flat, *taken])
    part = program.add_many(PART, head, op.results)
    return list(range(part, part + n)), list(range(part + n, part + n + turns * p))


def _block(step: Step, turns: int) -> Step:
    """Return the step that does ``turns`` turns of another one."""
    key = ("block", turns)
    found: Step | None = step.made.get(key)
    if found is None:
        program = Program()
        state = [program.add_input() for _ in step.state]
        xs = [program.add_input() for _ in range(turns * len(step.xs))]
        captured = [program.add_input() for _ in step.captured]
        last, ys = add_loop(program, step, turns, state, xs, captured)
        found = step.made[key] = Step(program, state, xs, captured, last, ys)
    return found


def needed(program: Program, outputs: Iterable[int]) -> bytearray:
    """Mark the nodes that some of ``outputs`` depend on, and these."""
    marks = bytearray(len(program))
    last = -1
    for node in outputs:
        marks[node] = 1
        last = max(last, node)
    starts, operands = program.starts, program.operands
    for node in range(last, -1, -1):
        if marks[node]:
            for x in operands[starts[node] : starts[node + 1]]:
                marks[x] = 1
    return marks


def without_unused(
    step: Step, operands: tuple[Sequence[int], Sequence[int], Sequence[int]]
) -> tuple[Step, tuple[Sequence[int], Sequence[int], Sequence[int]]]:
    """Return a step without the inputs, but for the state, that nothing depends on."""
    first, flat, taken = operands
    used = needed(step.program, [*step.new_state, *step.ys])
    kept = [j for j, x in enumerate(step.xs) if used[x]]
    held = [j for j, x in enumerate(step.captured) if used[x]]
    if len(kept) < len(step.xs):
        m = len(step.xs)
        flat = [flat[t + j] for t in range(0, len(flat), m) for j in kept]
    xs, captured = [step.xs[j] for j in kept], [step.captured[j] for j in held]
    step.program.inputs = [*step.state, *xs, *captured]
    step = Step(step.program, step.state, xs, captured, step.new_state, step.ys)
    return step, (first, flat, [taken[j] for j in held])


def _nodes(program: Program, x: Any, where: str) -> list[int]:
    return [node_in(program, y, where) for y in elements(x)]


def _entry_nodes(program: Program, rows: list[Any]) -> list[int]:
    """Return the nodes of all entries, turn by turn."""
    if {float, Symbol}.issuperset(map(type, rows)):  # numbers: long loops have many
        return [node_in(program, x, "scan: xs") for x in rows]
    return [node for x in rows for node in _nodes(program, x, "scan: xs")]


def _common_shape(rows: list[Any]) -> Shape | None:
    """Return the shape that all entries have; ``None`` if they differ."""
    first = shape_of(rows[0], "scan: xs")
    if first is NUMBER and {float, int, Symbol}.issuperset(map(type, rows)):
        return first
    return first if all(shape_of(x, "scan: xs") == first for x in rows) else None


def _has_modules(shape: Shape) -> bool:
    return shape.kind == "module" or any(map(_has_modules, shape.parts))


# --- gradients in the step ---


def _local(
    program: Program,
    step: Step,
    operands: tuple[Sequence[int], Sequence[int], Sequence[int]],
) -> bool:
    """Are the gradients taken in the step those of the plain loop?

    There, a gradient by a number of the state also leads through other numbers that the output
    depends on, if these were computed from it in earlier turns, or before the loop. So each such
    number has to be made in the turn before, from anything but the one that is differentiated by.
    """
    inner, (first, flat, taken) = step.program, operands
    position = {x: i for i, x in enumerate(step.state)}
    outside = {*step.xs, *step.captured}
    others = dict(zip(step.captured, taken))
    for output, wanted in inner.asked:
        uses = needed(inner, [output])
        used = [x for x in (*step.state, *step.xs, *step.captured) if x <= output and uses[x]]
        for x in wanted:
            if x in outside:
                return False
            if x not in position:
                continue  # made in this turn
            i = position[x]
            made = step.new_state[i]
            known = first[i] in program.constants
            if inner.op(made) is None and inner.codes[made] == INPUT:
                return False
            for other in used:
                if other == x:
                    continue
                if other in position:
                    j = position[other]
                    if step.new_state[j] == made or needed(inner, [step.new_state[j]])[made]:
                        return False
                    sources = [first[j]]
                elif other in others:
                    sources = [others[other]]
                else:
                    m = len(step.xs)
                    sources = list(flat[step.xs.index(other) :: m])
                if not known and needed(program, sources)[first[i]]:
                    return False
    return True
