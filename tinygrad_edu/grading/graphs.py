"""Checks of whole graphs: the chain rule, junctions, the order, and random graphs."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tinygrad_edu.grading import orders
from tinygrad_edu.grading.programs import (
    MIXED,
    Outcome,
    Program,
    expected,
    program,
    random_program,
    shrink,
)
from tinygrad_edu.grading.running import Broken
from tinygrad_edu.grading.session import OPERATIONS, Fault, NotYet, Session, listed, words_for


def _good_operations(session: Session) -> list[str]:
    return [name for name in OPERATIONS if f"gradient of {name}" in session.good]


def _inside(code: Program, *after: tuple[Any, ...], extra: float | None = None) -> Program:
    """The program of one operation with an input and steps added behind; -1 is its result.

    In the steps added, ``-1`` stands for the result of the operation, ``-2`` for the extra input
    ``-3`` for the first input and ``-4`` for the second.
    """
    inputs = code.inputs if extra is None else (*code.inputs, extra)
    shift = len(inputs) - len(code.inputs)
    step = code.steps[0]
    names = {-1: len(inputs), -2: len(inputs) - 1, -3: 0, -4: 1}
    first = (
        step.form,
        *(x + shift if type(x) is int and x >= len(code.inputs) else x for x in step.operands),
    )
    rest = [(form, *(names[x] for x in operands)) for form, *operands in after]
    return program(inputs, first, *rest)


def chain(session: Session) -> None:
    """The chain rule: a node multiplies what it passes on by its own gradient."""
    names = _good_operations(session)
    form = "*" if "a * b" in names else "/"
    unmultiplied: list[str] = []
    unexplained: list[str] = []
    lines: list[str] = []
    for name in names:
        faults = []
        for code in OPERATIONS[name]:
            longer = _inside(code, (form, -1, -2), extra=7.0)
            remark, got = session.compare(longer)
            if remark:
                faults.append((longer, got, session.expected(code)))
                lines = lines or session.code(longer, remark)
        if not faults:
            session.chained.add(name)
        elif all(_unmultiplied(session, *fault) for fault in faults):
            unmultiplied.append(name)
        else:
            unexplained.append(name)
    texts = []
    if unmultiplied:
        texts.append(
            f"{listed(unmultiplied)}: the derivative is passed on as it is. It has to be "
            "multiplied by the gradient of the result first (the chain rule: `out.grad` times the "
            "local derivative)."
        )
    if unexplained:
        texts.append(
            f"{listed(unexplained)}: right alone, but not when the result is used further."
        )
    if texts:
        cause = ""
        if unmultiplied and not unexplained:
            cause = f"no chain rule in {words_for(unmultiplied[0])}"
        raise Fault(" ".join([*texts, *_built(unmultiplied + unexplained)]), lines, cause=cause)


def _unmultiplied(session: Session, longer: Program, got: Outcome, alone: Outcome) -> bool:
    """Has the result of the operation the right gradient, and its inputs the bare derivatives?"""
    result = len(longer.inputs)
    return session.close(got.grads[result], session.expected(longer).grads[result]) and all(
        session.close(got.grads[i], alone.grads[i]) for i in range(result - 1)
    )


def _built(names: Sequence[str]) -> list[str]:
    if len(names) < 2:
        return []
    return ["If your class makes some of these operations from another, mend that one first."]


def reach(session: Session) -> None:
    """Does the backward pass get past the first step? Asked early: all else depends on it."""
    runner = session.runner
    stuck = []
    for name, codes in OPERATIONS.items():
        if f"forward of {name}" not in session.good:
            continue
        first = len(codes[0].inputs)
        for behind in (
            ("*", first, first),
            ("+", first, first),
            ("neg", first),
            ("**", first, 2.0),
        ):
            seen = []
            for code in codes:
                longer = program(code.inputs, (code.steps[0].form, *code.steps[0].operands), behind)
                try:
                    alone, chained = runner.run(code), runner.run(longer)
                except Broken:
                    continue  # the checks of the operations report it
                if any(alone.grads[:first]) and any(chained.grads[:first]):
                    return
                if any(alone.grads[:first]) and chained.grads[first]:
                    seen.append(longer)
            # At every point: at one, equal numbers may have been taken for one node.
            if len(seen) == len(codes):
                stuck.append(seen[0])
    if not stuck:
        return
    code = stuck[0]
    text = (
        "Only the last node passed its gradient on, to its operands, and they passed nothing on. "
        "Either backward() goes one step and stops, or it visits the nodes from the inputs to the "
        "result, so that they have nothing to pass on yet. It has to start at the result and visit "
        "every node that the result depends on, in reverse topological order."
    )
    # Going forward, a second pass finds the gradients that the first left in the interior nodes.
    nodes = runner.nodes(code)
    for _ in range(2):
        runner.backward(nodes[-1], code.names[-1])
    if any(runner.number(node, "grad", "a") for node in nodes[: len(code.inputs)]):
        text = (
            "The nodes are visited from the inputs to the result: a second call of backward() "
            "brings the gradients one step further, for it finds those that the first call left "
            "behind. Start at the result: reverse the order."
        )
    raise Fault(text, session.code(code, session.compare(code)[0]))


def _mistake(session: Session) -> str | None:
    try:
        return orders.mistake(session.runner.run)
    except Broken:
        return None


def junctions(session: Session) -> None:
    """Gradients add where a node is used more than once."""
    overwritten: list[str] = []
    once: list[str] = []
    unexplained: list[str] = []
    lines: list[str] = []
    names = [name for name in OPERATIONS if name in session.chained]
    if not names:
        raise NotYet
    for name in names:
        code = OPERATIONS[name][0]
        # 1. f(a) + a: one share, 1, comes from the sum; then one comes from f, and joins it.
        if "a + b" in session.chained:
            for i in range(len(code.inputs)):  # each operand has a share from the sum already
                with_sum = _inside(code, ("+", -1, -3 - i))
                fault = _junction(session, with_sum, i)
                if fault is not None:
                    break
            if fault is not None:
                remark, got, wanted = fault
                (overwritten if session.close(got, wanted - 1.0) else unexplained).append(name)
                lines = lines or session.code(with_sum, remark)
    for name in names:
        code = OPERATIONS[name][0]
        # 2. a op a: both shares come from the same operation.
        if len(code.inputs) == 2 and name not in overwritten:
            same = program(code.inputs[:1], (code.steps[0].form, 0, 0))
            fault = _junction(session, same)
            if fault is not None:
                remark, got, _ = fault
                one_share = any(session.close(got, share) for share in _shares(code))
                explained = one_share and "a + b" in session.chained and not overwritten
                (once if explained else unexplained).append(same.line(same.steps[0]))
                lines = lines or session.code(same, remark)
    texts = []
    if overwritten:
        texts.append(
            f"{listed(overwritten)}: what the operation passes on replaces the gradient that `a` "
            "already has from elsewhere, and should be added to it: write `+=`, not `=`."
        )
    if once:
        texts.append(
            f"{listed(once)}: the operand is one node used twice, and only one of its two shares "
            "arrives. Shares from different operations do add up, so look at how operands that are "
            "the same node are treated (a set or a dict keeps only one of them, `=` only the last)."
        )
    if unexplained:
        texts.append(f"{listed(unexplained)}: wrong where `a` is used more than once.")
    if texts:
        built = _built(overwritten + once + unexplained)
        start = "Gradients have to add up where a node is used more than once."
        cause = ""
        if overwritten:  # the first in the order of the table; others may be made from it
            cause = f"overwrite in {words_for(overwritten[0])}"
        raise Fault(" ".join([start, *texts, *built]), lines, cause=cause)


def _junction(session: Session, code: Program, node: int = 0) -> tuple[str, float, float] | None:
    remark, outcome = session.compare(code)
    if not remark:
        return None
    return remark, outcome.grads[node], session.expected(code).grads[node]


def _shares(code: Program) -> tuple[float, float]:
    """The two partial derivatives of ``a op a``."""
    same = program((code.inputs[0], code.inputs[0]), (code.steps[0].form, 0, 1))
    grads = expected(same).grads
    return grads[0], grads[1]


def order(session: Session) -> None:
    """Each node is visited once, after all nodes that use it."""
    for code in orders.GRAPHS:
        remark, _ = session.compare(code)
        if remark:
            kind = _mistake(session)
            text = "The gradients are wrong where the paths through a graph join."
            if kind is not None:
                text += f" {orders.ADVICE[kind]}"
            cause = {"too often": "a node passes its gradient on once per path",
                     "too early": "a node passes its gradient on too early"}  # fmt: skip
            raise Fault(text, session.code(code, remark), cause=cause.get(kind or "", ""))


def interior(session: Session) -> None:
    """Interior nodes hold their gradients too: the red numbers of the notes' Figure 2."""
    code = orders.GRAPHS[-1]
    remark, _ = session.compare(code, range(len(code.names)))
    if remark:
        raise Fault(
            "The inputs have the right gradients, but a node in between does not hold its own in "
            "`.grad`, so it cannot be looked at or drawn.",
            session.code(code, remark),
        )


_EQUAL = program((2.0, 2.0, 3.0, 3.0), ("*", 0, 2), ("*", 1, 3), ("+", 4, 5))
_DIFFERENT = program((2.0, 4.0, 3.0, 5.0), ("*", 0, 2), ("*", 1, 3), ("+", 4, 5))


def mixed_up(session: Session) -> None:
    """Are nodes with equal numbers taken for one? Asked early, for it can upset anything else."""
    try:
        remark, _ = session.compare(_EQUAL)
        if not remark or session.compare(_DIFFERENT)[0]:
            return
        a, b = session.runner.nodes(program((2.0, 2.0), ("*", 0, 1)))[:2]
        found = session.runner.ask("a == b", do="same", one=a, other=b)
    except (Fault, Broken):  # other checks report it
        return
    text, cause = "The gradients are wrong where different nodes hold equal numbers. ", ""
    if found["same"]:
        text += "`Value(2.0)` gives the same object each time; it has to make a new one."
    elif found["equal"]:
        cause = "nodes compared by value"
        text += (
            "With different numbers the same graph is right, and `Value(2.0) == Value(2.0)` is "
            "true: a set or list of visited nodes takes one for the other. Leave __eq__ out (then "
            "== and hash go by identity), or collect `id(node)`."
        )
    else:
        return
    raise Fault(text, session.code(_EQUAL, remark), cause=cause)


def equal_data(session: Session) -> None:
    """Two nodes are two nodes, even if they hold the same number."""
    remark, _ = session.compare(_EQUAL)
    if remark:
        raise Fault(
            "The gradients are wrong where different nodes hold equal numbers.",
            session.code(_EQUAL, remark),
        )


def separate_graphs(session: Session) -> None:
    """One graph does not touch another; a leaf that both use adds up what it gets."""
    runner = session.runner
    code = program((2.0, 3.0), ("*", 0, 1))
    try:
        a, b, y = runner.nodes(code)
        c, _, z = runner.nodes(program((4.0, 5.0), ("*", 0, 1)))
        runner.backward(z, "z")
        lines = [
            "a = Value(2.0); b = Value(3.0); y = a * b",
            "c = Value(4.0); d = Value(5.0); z = c * d",
            *(["z.grad = 1.0"] if runner.seeded else []), "z.backward()",
        ]  # fmt: skip
        for name, node in (("a", a), ("b", b), ("y", y)):
            got = runner.number(node, "grad", name)
            if not session.close(got, 0.0):
                raise Fault(
                    f"`z` does not depend on {name}, yet `z.backward()` changed `{name}.grad` to "
                    f"{got:.10g}. {_shared(session)}",
                    [*lines, f"# {name}.grad: expected 0, got {got:.10g}"],
                )
        runner.backward(y, "y")
        second = runner.ask("a * c", do="apply", form="*", nodes=[a, c])["made"][0]
        before = runner.number(a, "grad", "a")
        runner.backward(second, "z")
        lines = [
            "a = Value(2.0); b = Value(3.0); y = a * b; y.backward()",
            "c = Value(4.0); z = a * c; z.backward()",
        ]
        got = runner.number(a, "grad", "a")
    except Broken as broken:
        raise Fault(broken.message, (), broken.line) from None
    if not session.close(got, 7.0):
        text = (
            "Gradients of several results have to add up in a leaf until they are reset: "
            f"dy/da = {before:.10g} and dz/da = 4 make 7, but `a.grad` is {got:.10g}."
        )
        if session.close(got, 4.0):
            text += (
                " Only the last one is there: backward() must not set the gradients of leaves to 0."
            )
        raise Fault(
            text,
            [*lines, f"# a.grad: expected 7, got {got:.10g}"],
            cause="gradients of leaves reset" if session.close(got, 4.0) else "",
        )


def _shared(session: Session) -> str:
    if "__init__" in session.runner.about["shared_defaults"]:
        return (
            "A default argument of `__init__` is a list, set or dict that is made once and then "
            "shared by all Values: use a tuple, or None and a new list in the body."
        )
    return "Do Values share something (a class attribute, one tape for all graphs)?"


def unchanged(session: Session) -> None:
    """The backward pass leaves the data as the forward pass made it."""
    for code in (orders.GRAPHS[-1], orders.GRAPHS[2]):
        try:
            nodes = session.runner.nodes(code)
            before = [session.runner.number(n, "data", name) for n, name in zip(nodes, code.names)]
            session.runner.backward(nodes[-1], code.names[-1])
            after = [session.runner.number(n, "data", name) for n, name in zip(nodes, code.names)]
        except Broken as broken:
            raise Fault(broken.message, session.code(code), broken.line) from None
        for name, x, y in zip(code.names, before, after):
            if not session.close(x, y):
                raise Fault(
                    f"backward() changed `{name}.data` from {x:.10g} to {y:.10g}; it may change "
                    "gradients only.",
                    session.code(code, f"{name}.data: expected {x:.10g}, got {y:.10g}"),
                )


def summing(session: Session) -> None:
    """``sum([a, b, c])``, which starts from the number 0."""
    lines = ["a, b, c = Value(1.0), Value(2.0), Value(3.0)", "y = sum([a, b, c])", "y.backward()"]
    try:
        a, b, c, _ = session.runner.nodes(program((1.0, 2.0, 3.0), ("+", 0, 1)))
        y = session.runner.ask("sum([a, b, c])", do="sum", nodes=[a, b, c])["made"][0]
        data = session.runner.number(y, "data", "y")
        session.runner.backward(y, "y")
        grads = [session.runner.number(x, "grad", name) for x, name in zip((a, b, c), "abc")]
    except Broken as broken:
        if broken.is_a("TypeError") and not session.runner.has("__radd__"):
            raise Fault(
                "`sum([a, b, c])` does not work: sum() starts from the number 0, so its first step "
                "is `0 + a`, and the class has no `__radd__`.",
                lines[:2],
            ) from None
        raise Fault(broken.message, lines, broken.line) from None
    if not session.close(data, 6.0) or not all(session.close(g, 1.0) for g in grads):
        raise Fault(
            f"`sum([a, b, c])` should be 6 with gradients 1, 1, 1; got {data:.10g} with {grads}.",
            lines,
        )


_LAYERS = 60


def many_paths(session: Session) -> None:
    """The work grows with the number of nodes, not with the number of paths."""
    steps: list[tuple[Any, ...]] = []
    y = 0
    for _ in range(_LAYERS):
        n = len(steps) + 2
        steps += [("+", y, 1), ("+", y, 1), ("+", n, n + 1)]
        y = n + 2
    code = program((1.0, 0.0), *steps)
    lines = [
        "y = a = Value(1.0)", "b = Value(0.0)", f"for _ in range({_LAYERS}):",
        "    y = (y + b) + (y + b)", "y.backward()",
    ]  # fmt: skip
    try:
        nodes = session.runner.nodes(code)
        session.runner.backward(nodes[-1], "y", patience=0.34)
        got = session.runner.number(nodes[0], "grad", "a")
    except Broken as broken:
        if broken.is_a("TooLong"):
            raise Fault(
                f"A graph of {len(nodes)} nodes, with 2^{_LAYERS} paths through it, did not come "
                "to an end: the work has to grow with the number of nodes, so visit each once.",
                lines,
            ) from None
        raise Fault(broken.message, lines, broken.line) from None
    wanted = 2.0**_LAYERS
    if not session.close(got / wanted, 1.0):
        raise Fault(f"`a.grad` should be 2^{_LAYERS} = {wanted:.10g}, got {got:.10g}.", lines)


def random_graphs(session: Session) -> None:
    """Random graphs of all operations that passed; a failure is shrunk as far as it goes."""
    forms = [form for form in MIXED if _usable(session, form)]
    if not forms:
        raise NotYet

    def fault(code: Program) -> str:
        try:
            return session.compare(code)[0]
        except Fault as found:
            return found.message

    for code in _programs(session.seed, tuple(forms), session.examples):
        if fault(code):
            small = shrink(code, lambda p: bool(fault(p)))
            raise Fault(
                "The checks of the order passed, but this random graph is wrong; no smaller one "
                "was found.",
                session.code(small, fault(small)),
            )


@lru_cache(maxsize=16)  # most classes of a course have the same operations
def _programs(seed: int, forms: tuple[str, ...], count: int) -> tuple[Program, ...]:
    rng = random.Random(seed)
    return tuple(random_program(rng, list(forms)) for _ in range(count))


def _usable(session: Session, form: str) -> bool:
    names = [n for n, codes in OPERATIONS.items() if codes[0].steps[0].form == form]
    return bool(names) and all(f"gradient of {n}" in session.good for n in names)


# --- advice: what a class can live without -------------------------------------------------------


def twice(session: Session) -> None:
    """A second ``backward()`` adds the same gradients again, and no more."""
    code = program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2))
    try:
        nodes = session.runner.nodes(code)
        session.runner.backward(nodes[-1], "e")
        session.runner.backward(nodes[-1], "e")
        got = session.runner.number(nodes[0], "grad", "a")
    except Broken as broken:
        raise Fault(broken.message, [*session.code(code), "e.backward()"]) from None
    if session.close(got, 30.0):
        return
    text = (
        f"A second `e.backward()` should add 15 to `a.grad` again, which makes 30; got {got:.10g}."
    )
    if session.close(got, 45.0):
        text += (
            " The interior nodes still held their gradients of the first pass and passed them on "
            "again; micrograd does so too. Set the gradients of interior nodes to 0 first."
        )
    elif session.close(got, 15.0):
        text += " Gradients do not add up over calls."
    raise Fault(
        text, [*session.code(code), "e.backward()", f"# a.grad: expected 30, got {got:.10g}"]
    )


def leaf(session: Session) -> None:
    """``backward()`` of a leaf: its derivative by itself is 1."""
    try:
        a = session.runner.nodes(program((2.0, 3.0), ("*", 0, 1)))[0]
        session.runner.backward(a, "a")
        got = session.runner.number(a, "grad", "a")
    except Broken as broken:
        raise Fault(broken.message, ["a = Value(2.0)", "a.backward()"]) from None
    if not session.close(got, 1.0):
        raise Fault(
            f"After `a.backward()` of a leaf, `a.grad` should be 1, got {got:.10g}.",
            ["a = Value(2.0)", "a.backward()"],
        )


def long_chain(session: Session) -> None:
    """A chain of thousands of operations, such as the sum over a data set."""
    length = 2000
    code = program((1.0, 0.5), ("+", 0, 1), *[("+", i + 2, 1) for i in range(length - 1)])
    lines = ["y = a = Value(1.0)", "b = Value(0.5)", f"for _ in range({length}):",
             "    y = y + b", "y.backward()"]  # fmt: skip
    try:
        nodes = session.runner.nodes(code)
        session.runner.backward(nodes[-1], "y")
        got = session.runner.number(nodes[1], "grad", "b")
    except Broken as broken:
        if broken.is_a("RecursionError"):
            raise Fault(
                f"A chain of {length} operations exceeds Python's recursion limit "
                f"({sys.getrecursionlimit()}), as it does with micrograd. Build the topological "
                "order with a list as a stack instead of a function that calls itself.",
                lines,
            ) from None
        raise Fault(broken.message, lines, broken.line) from None
    if not session.close(got, float(length)):
        raise Fault(f"`b.grad` should be {length}, got {got:.10g}.", lines)
