"""The loop over optimizer steps as LLVM IR: what ``training.py`` calls once for many steps.

A step takes the rows of a batch, calls the loss's kernel on them and the penalty's on the
parameters, and then goes over the parameters once: add up the gradient, its length, clip it, the
optimizer's update. Nothing of a step is kept before all of it is known to be finite: each array it
writes has a twin, and the two change places when the step is accepted.

The arrays of doubles, P being the number of parameters:

    shared, other       in front the parameters before and after the step, behind them whatever
                        the loss's kernel puts there
    now, next           the gradient, then the first, second, ... number of the optimizer's state
                        of each parameter; each part P long, rounded up to full vectors
    results             what the loss's kernel returns: loss, correct predictions, gradient
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygrad_edu.compiler.emit.scalar_ir import Writer, double, kind, suffix
from tinygrad_edu.compiler.emit.straight_ir import operation
from tinygrad_edu.compiler.trace.program import CONSTANT, Program

LANES = 8
# The words of the plan, all 64 bits wide: the first ones are addresses.
ADDRESSES = (
    "loss_part", "loss_rows", "loss_tables", "tile", "sums", "scratch",
    "penalty_part", "penalty_tables", "penalty_shared", "penalty_results",
    "shared", "other", "now", "next", "results", "matrices", "batch_inputs", "batch_targets",
    "inputs", "targets", "order", "starts", "sources", "rates", "report",
)  # fmt: skip
COUNTS = ("loss_outputs", "steps_before")
PLAN = ADDRESSES + COUNTS
# The words of the report: first how many steps were accepted, then sums over them.
LOSS, PENALTY, NORM, CORRECT = range(1, 5)


@dataclass
class Step:
    """What the steps of a training are made of.

    Attributes:
        parameters, inputs, targets: How many numbers there are: parameters, and in each row.
        single: Whether each batch is one row, which the loss's kernel finds in ``shared``.
        mean: Whether the loss is averaged over the rows, not added up.
        penalty: Whether there is one.
        clip_norm, clip_value: Limits of the gradient, or ``None``.
        update: The lowered program of the optimizer's update; its inputs are parameter, gradient,
            state, learning rate and number of the step.
        updated: Its outputs: parameter and state.
    """

    parameters: int
    inputs: int
    targets: int
    single: bool
    mean: bool
    penalty: bool
    clip_norm: float | None
    clip_value: float | None
    update: Program
    updated: list[int]

    @property
    def part(self) -> int:
        """How many doubles lie between the parts of ``now`` and ``next``."""
        return -(-self.parameters // LANES) * LANES

    @property
    def parts(self) -> int:
        """How many parts there are: the gradient and the state."""
        return len(self.updated)


def steps_ir(step: Step) -> str:
    """Return the module that defines ``@steps(plan, first, last)``, which takes these steps.

    It stops before the first step whose loss, gradient or new parameters are not finite.
    """
    helpers: dict[str, str] = {}
    w = Writer(False, helpers)
    w.label("entry")
    at = {}
    for i, name in enumerate(PLAN):
        word = w.let(f"getelementptr i64, ptr %plan, i64 {i}")
        at[name] = w.let(f"load {'ptr' if name in ADDRESSES else 'i64'}, ptr {word}")
    w.say("br label %step")
    w.label("step")
    w.say("%s = phi i64 [ %first, %entry ], [ %s.next, %accept ]")
    for a, b in (("shared", "other"), ("now", "next")):  # twins change places
        w.say(f"%{a} = phi ptr [ {at[a]}, %entry ], [ %{b}, %accept ]")
        w.say(f"%{b} = phi ptr [ {at[b]}, %entry ], [ %{a}, %accept ]")
    count = _run_loss(w, step, at)
    results = at["results"]
    if step.single:
        results = w.let(f"getelementptr double, ptr %shared, i64 {at['loss_outputs']}")
    loss, correct = w.load(results, 0), w.load(results, 1)
    penalty = _run_penalty(w, step, at) if step.penalty else "0.0"
    _refuse_unless_finite(w, w.let(f"fadd double {loss}, {penalty}"), "loss")

    # The gradient of the objective at a parameter.
    scale = ""
    if step.mean and not step.single:
        n = w.let(f"uitofp i64 {count} to double")
        scale = w.let(f"fdiv double 1.0, {n}")

    def gradient(index: str, lanes: int) -> str:
        found = w.load(w.address(results, 2), index, lanes)
        if scale:
            found = w.let(f"fmul {kind(lanes)} {found}, {w.splat(scale, lanes)}")
        if step.penalty:
            other = w.load(w.address(at["penalty_results"], 1), index, lanes)
            found = w.let(f"fadd {kind(lanes)} {found}, {other}")
        return found

    # Its length is needed beforehand if it is to be limited.
    start, factor, squares = "loss.fine", "", "0.0"
    if step.clip_norm is not None:
        only = lambda i, lanes, sums: [_add_square(w, gradient(i, lanes), sums[0], lanes)]  # noqa: E731
        (squares,), start = _for_all(w, "length", step.parameters, only, 1, start)
        norm, start = _length(w, step, squares, gradient, start)
        guarded = w.let(f"fadd double {norm}, {double(1e-6)}")
        ratio = w.let(f"fdiv double {double(step.clip_norm)}, {guarded}")
        longer = w.let(f"fcmp olt double {ratio}, 1.0")
        factor = w.let(f"select i1 {longer}, double {ratio}, double 1.0")

    # One pass: clip, update, and what tells whether all is finite.
    update = _Update(w, step, at)

    def move(index: str, lanes: int, sums: Sequence[str]) -> list[str]:
        g = gradient(index, lanes)
        totals = [] if factor else [_add_square(w, g, sums[0], lanes)]
        if factor:
            g = w.let(f"fmul {kind(lanes)} {g}, {w.splat(factor, lanes)}")
        if step.clip_value is not None:
            g = _clamp(w, g, step.clip_value, lanes)
        w.store(g, "%next", index, lanes)
        nothing = update.write(index, g, lanes)
        return [*totals, w.let(f"fadd {kind(lanes)} {sums[-1]}, {nothing}")]

    totals, start = _for_all(w, "move", step.parameters, move, 1 if factor else 2, start)
    if not factor:
        norm, start = _length(w, step, totals[0], gradient, start)
    _refuse_unless_finite(w, totals[-1], "parameters")

    # The step is accepted.
    w.say("br label %accept")
    w.label("accept")
    report = at["report"]
    for slot, number in ((LOSS, loss), (PENALTY, penalty), (NORM, norm), (CORRECT, correct)):
        w.store(w.let(f"fadd double {w.load(report, slot)}, {number}"), report, slot)
    w.say("%s.next = add i64 %s, 1")
    w.say("%more = icmp ult i64 %s.next, %last")
    w.say("br i1 %more, label %step, label %end")
    w.label("refused")
    w.say("br label %end")
    w.label("end")
    w.say("%reached = phi i64 [ %s.next, %accept ], [ %s, %refused ]")
    w.say(f"store i64 {w.let('sub i64 %reached, %first')}, ptr {report}")
    w.say("ret void")
    body = "\n".join(w.lines)
    declared = "\n".join(helpers.values())
    return f"{declared}\ndefine void @steps(ptr %plan, i64 %first, i64 %last) {{\n{body}\n}}"


# --- loss and penalty ---


def _run_loss(w: Writer, step: Step, at: dict[str, str]) -> str:
    """Call the kernel of the loss for the rows of the batch; return how many rows there are."""
    source = _word(w, at["sources"], "%s")
    rows: list[str] = []
    for name, width in (("inputs", step.inputs), ("targets", step.targets)):
        rows.append(w.address(at[name], w.let(f"mul i64 {source}, {width}")))
    if step.single:
        place = step.parameters
        for row, width in zip(rows, (step.inputs, step.targets)):
            _copy(w, row, w.address("%shared", place), width)
            place += width
        _call(w, at["loss_part"], "%shared", at["loss_tables"])
        return "1"
    begin = _word(w, at["starts"], "%s")
    end = _word(w, at["starts"], w.let("add i64 %s, 1"))
    count = w.let(f"sub i64 {end}, {begin}")
    # Rows that stand side by side are used where they are, others are brought together.
    scattered = w.let(f"icmp slt i64 {source}, 0")
    w.say(f"br i1 {scattered}, label %gather, label %gathered")
    w.label("gather")
    w.say("%g = phi i64 [ 0, %step ], [ %g.next, %gather ]")
    row = _word(w, at["order"], w.let(f"add i64 {begin}, %g"))
    for name, width in (("inputs", step.inputs), ("targets", step.targets)):
        from_row = w.address(at[name], w.let(f"mul i64 {row}, {width}"))
        to_row = w.address(at[f"batch_{name}"], w.let(f"mul i64 %g, {width}"))
        _copy(w, from_row, to_row, width)
    w.say("%g.next = add i64 %g, 1")
    more = w.let(f"icmp ult i64 %g.next, {count}")
    w.say(f"br i1 {more}, label %gather, label %gathered")
    w.label("gathered")
    for name, row in zip(("inputs", "targets"), rows):
        w.say(f"%{name} = phi ptr [ {row}, %step ], [ {at[f'batch_{name}']}, %gather ]")
    matrices = at["matrices"]
    w.say(f"store ptr %inputs, ptr {matrices}")
    w.say(f"store ptr %targets, ptr {w.let(f'getelementptr ptr, ptr {matrices}, i64 1')}")
    _call(w, at["loss_part"], "%shared", at["loss_tables"])
    size = (step.parameters + 2) * 8
    w.helpers["@llvm.memset.p0.i64"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    w.say(f"call void @llvm.memset.p0.i64(ptr {at['results']}, i8 0, i64 {size}, i1 false)")
    w.say(
        f"call void {at['loss_rows']}(ptr %shared, ptr {at['tile']}, ptr {at['loss_tables']}, "
        f"ptr {at['sums']}, ptr {at['results']}, ptr {at['scratch']}, ptr {at['matrices']}, "
        f"i64 0, i64 {count}, ptr null)"
    )
    return count


def _word(w: Writer, words: str, index: str) -> str:
    return w.let(f"load i64, ptr {w.let(f'getelementptr i64, ptr {words}, i64 {index}')}")


def _run_penalty(w: Writer, step: Step, at: dict[str, str]) -> str:
    _copy(w, "%shared", at["penalty_shared"], step.parameters)
    _call(w, at["penalty_part"], at["penalty_shared"], at["penalty_tables"])
    return w.load(at["penalty_results"], 0)


def _call(w: Writer, function: str, shared: str, tables: str) -> None:
    """Call the part of a kernel that depends on shared inputs alone."""
    w.say(
        f"call void {function}(ptr {shared}, ptr null, i64 0, ptr {tables}, ptr null, ptr null, "
        "ptr null)"
    )


def _copy(w: Writer, source: str, target: str, count: int) -> None:
    name = "@llvm.memcpy.p0.p0.i64"
    w.helpers[name] = f"declare void {name}(ptr, ptr, i64, i1)"
    w.say(
        f"call void {name}(ptr align 8 {target}, ptr align 8 {source}, i64 {count * 8}, i1 false)"
    )


# --- over the parameters ---

Body = Callable[[str, int, Sequence[str]], list[str]]


def _for_all(
    w: Writer, name: str, count: int, body: Body, totals: int, before: str
) -> tuple[list[str], str]:
    """Write a loop over ``count`` numbers, some lanes at a time, that adds up ``totals`` sums.

    ``body(index, lanes, sums)`` writes the work and returns the new sums. ``before`` is the block
    that the loop follows. Returns the sums and the block that the loop ends in.
    """
    sums = ["0.0"] * totals
    whole = count - count % LANES
    for lanes, begin, end in ((LANES, 0, whole), (1, whole, count)):
        if begin == end:
            continue
        label, ty = f"{name}.{lanes}", kind(lanes)
        index = f"%{label}.i"
        w.say(f"br label %{label}")
        w.label(label)
        w.say(f"{index} = phi i64 [ {begin}, %{before} ], [ {index}.next, %{label} ]")
        place = len(w.lines)
        found = body(index, lanes, [f"%{label}.sum{t}" for t in range(totals)])
        first = ["zeroinitializer"] * totals if lanes > 1 else sums
        w.lines[place:place] = [
            f"  %{label}.sum{t} = phi {ty} [ {first[t]}, %{before} ], [ {found[t]}, %{label} ]"
            for t in range(totals)
        ]
        w.say(f"{index}.next = add i64 {index}, {lanes}")
        more = w.let(f"icmp ult i64 {index}.next, {end}")
        before = f"{label}.done"
        w.say(f"br i1 {more}, label %{label}, label %{before}")
        w.label(before)
        sums = [_across(w, x) for x in found] if lanes > 1 else found
    return sums, before


def _across(w: Writer, vector: str) -> str:
    name = f"@llvm.vector.reduce.fadd.{suffix(LANES)}"
    w.helpers[name] = f"declare double {name}(double, {kind(LANES)})"
    return w.let(f"call reassoc double {name}(double -0.0, {kind(LANES)} {vector})")


def _add_square(w: Writer, x: str, total: str, lanes: int) -> str:
    return w.multiply_add(x, x, total, lanes)


def _length(
    w: Writer, step: Step, squares: str, gradient: Callable[[str, int], str], before: str
) -> tuple[str, str]:
    """Write the root of a sum of squares; refuse the step if it is not finite.

    A sum that is near overflow or underflow, or 0, is formed again from numbers divided by the
    largest of them.
    """
    w.helpers["@llvm.sqrt.f64"] = "declare double @llvm.sqrt.f64(double)"
    w.helpers["@llvm.fabs.f64"] = "declare double @llvm.fabs.f64(double)"
    direct = w.let(f"call double @llvm.sqrt.f64(double {squares})")
    low = w.let(f"fcmp ult double {squares}, {double(1e-280)}")
    high = w.let(f"fcmp ugt double {squares}, {double(1e280)}")
    outside = w.let(f"or i1 {low}, {high}")
    w.say(f"br i1 {outside}, label %scaled, label %length.known")
    # 1. The largest.
    w.label("scaled")
    w.say("br label %largest")
    w.label("largest")
    w.say("%l = phi i64 [ 0, %scaled ], [ %l.next, %largest ]")
    w.say("%l.max = phi double [ 0.0, %scaled ], [ %l.max.next, %largest ]")
    size = w.let(f"call double @llvm.fabs.f64(double {gradient('%l', 1)})")
    w.say(f"%l.larger = fcmp ugt double {size}, %l.max")
    w.say(f"%l.max.next = select i1 %l.larger, double {size}, double %l.max")
    w.say("%l.next = add i64 %l, 1")
    w.say(f"%l.more = icmp ult i64 %l.next, {step.parameters}")
    w.say("br i1 %l.more, label %largest, label %some")
    w.label("some")
    w.say("%zero = fcmp oeq double %l.max.next, 0.0")
    w.say("br i1 %zero, label %length.known, label %ratios")
    # 2. The length in units of it.
    w.label("ratios")
    w.say("%r = phi i64 [ 0, %some ], [ %r.next, %ratios ]")
    w.say("%r.sum = phi double [ 0.0, %some ], [ %r.sum.next, %ratios ]")
    ratio = w.let(f"fdiv double {gradient('%r', 1)}, %l.max.next")
    square = w.let(f"fmul double {ratio}, {ratio}")
    w.say(f"%r.sum.next = fadd double %r.sum, {square}")
    w.say("%r.next = add i64 %r, 1")
    w.say(f"%r.more = icmp ult i64 %r.next, {step.parameters}")
    w.say("br i1 %r.more, label %ratios, label %rescaled")
    w.label("rescaled")
    root = w.let("call double @llvm.sqrt.f64(double %r.sum.next)")
    again = w.let(f"fmul double {root}, %l.max.next")
    w.say("br label %length.known")
    w.label("length.known")
    w.say(f"%length = phi double [ {direct}, %{before} ], [ 0.0, %some ], [ {again}, %rescaled ]")
    _refuse_unless_finite(w, "%length", "length")
    return "%length", "length.fine"


def _refuse_unless_finite(w: Writer, number: str, name: str) -> None:
    nothing = w.let(f"fsub double {number}, {number}")  # nan for infinities and nan
    w.say(f"br i1 {w.let(f'fcmp oeq double {nothing}, 0.0')}, label %{name}.fine, label %refused")
    w.label(f"{name}.fine")


def _clamp(w: Writer, x: str, limit: float, lanes: int) -> str:
    ty = kind(lanes)
    for bound, test in ((limit, "ogt"), (-limit, "olt")):
        literal = w.literal(bound, lanes)
        beyond = w.let(f"fcmp {test} {ty} {x}, {literal}")
        x = w.select(beyond, literal, x, lanes)
    return x


class _Update:
    """The optimizer's update: what depends on rate and step alone beforehand, the rest in lanes."""

    def __init__(self, w: Writer, step: Step, at: dict[str, str]) -> None:
        self.w, self.step, program = w, step, step.update
        self.inputs = program.inputs[:-2]
        rate = w.load(at["rates"], "%s")
        taken = w.let(f"add i64 {at['steps_before']}, %s")
        number = w.let(f"uitofp i64 {w.let(f'add i64 {taken}, 1')} to double")
        self.scalars: dict[int, str] = dict(zip(program.inputs[-2:], (rate, number)))
        self.varying: list[int] = []
        depends = set(self.inputs)
        for node, code in enumerate(program.codes):
            if code == CONSTANT:
                self.scalars[node] = double(program.constants[node])
            elif program.rows[code] is not None:
                operands = program.operands_of(node)
                if depends.isdisjoint(operands):
                    self.scalars[node] = self._operation(node, self.scalars, 1)
                else:
                    depends.add(node)
                    self.varying.append(node)
        used = {x for node in self.varying for x in program.operands_of(node)}
        used.update(step.updated)
        self.vectors = {x: w.splat(y, LANES) for x, y in self.scalars.items() if x in used}

    def _operation(self, node: int, values: dict[int, str], lanes: int) -> str:
        op = self.step.update.op(node)
        assert op is not None
        operands = [values[x] for x in self.step.update.operands_of(node)]
        return operation(self.w, op.name, operands, lanes)

    def write(self, index: str, gradient: str, lanes: int) -> str:
        """Write the update of the parameters from ``index`` on.

        Returns:
            0 times their new numbers and what is remembered of them: nan if any is not finite.
        """
        w, part = self.w, self.step.part
        values = dict(self.scalars if lanes == 1 else self.vectors)
        values[self.inputs[0]] = w.load("%shared", index, lanes)
        values[self.inputs[1]] = gradient
        for i, node in enumerate(self.inputs[2:], start=1):
            values[node] = w.load(w.address("%now", i * part), index, lanes)
        for node in self.varying:
            values[node] = self._operation(node, values, lanes)
        moved, *state = [values[node] for node in self.step.updated]
        w.store(moved, "%other", index, lanes)
        for i, number in enumerate(state, start=1):
            w.store(number, w.address("%next", i * part), index, lanes)
        zero = w.literal(0.0, lanes)
        nothing = w.let(f"fmul {kind(lanes)} {moved}, {zero}")
        for number in state:  # else its steps would be 0 from then on
            of_state = w.let(f"fmul {kind(lanes)} {number}, {zero}")
            nothing = w.let(f"fadd {kind(lanes)} {nothing}, {of_state}")
        return nothing
