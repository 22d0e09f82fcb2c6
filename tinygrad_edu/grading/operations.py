"""Checks of single operations: their results, their derivatives, what they do to their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinygrad_edu.grading.programs import (
    FORMS,
    Program,
    program,
)
from tinygrad_edu.grading.running import Broken
from tinygrad_edu.grading.session import OPERATIONS, Fault, Session, listed, words_for


def interface(session: Session) -> None:
    """``Value(data)`` with ``.data``, ``.grad`` and ``.backward()``."""
    runner = session.runner
    try:
        node = runner.nodes(program((2.0,)))[0]
        absent = runner.ask("a.grad", do="has", node=node, names=["data", "grad"])["absent"]
    except Broken as broken:
        raise Fault(broken.message, ["a = Value(2.0)"], broken.line) from None
    if not (runner.has("backward") or runner.about.get("mapped_backward")):
        absent.append("backward")
    if absent:
        listed = " and no ".join(f"`{name}`" for name in absent)
        raise Fault(f"A Value has no {listed}; it needs .data, .grad and .backward().",
                    ["a = Value(2.0)", *(f"a.{name}" for name in absent)])  # fmt: skip
    try:
        data = runner.number(node, "data", "a")
        if runner.ask("a.grad", do="read", wanted=[[node, "grad"]])["values"][0][2] == "NoneType":
            raise Fault("`Value(2.0).grad` is None; let it start at 0.0, so that gradients can be "
                        "added to it.", ["a = Value(2.0)", "a.grad"])  # fmt: skip
        start = runner.number(node, "grad", "a")
    except Broken as broken:
        raise Fault(broken.message, ["a = Value(2.0)"], broken.line) from None
    for name, got, wanted in (("data", data, 2.0), ("grad", start, 0.0)):
        if not session.close(got, wanted):
            raise Fault(f"`Value(2.0).{name}` should be {wanted:g}, but it is {got:.10g}.",
                        ["a = Value(2.0)", f"a.{name}"])  # fmt: skip
    try:
        kept = runner.number(runner.nodes(program((-1.5,)))[0], "data", "a")
    except Broken as broken:
        raise Fault(broken.message, ["a = Value(-1.5)"], broken.line) from None
    if not session.close(kept, -1.5):
        raise Fault(f"`Value(-1.5).data` should be -1.5, but it is {kept:.10g}.",
                    ["a = Value(-1.5)", "a.data"])  # fmt: skip


_METHODS = {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "**": "pow", "neg": "neg"}


def method_of(code: Program) -> str:
    """The special method that Python calls for the (only) step of ``code``."""
    step = code.steps[0]
    name = _METHODS.get(step.form)
    if name is None:
        return step.form
    return f"__{'r' if isinstance(step.operands[0], float) else ''}{name}__"


def forward(session: Session, name: str) -> None:
    """The result of one operation, and that its operands stay as they are."""
    wrong = []
    for code in OPERATIONS[name]:
        wanted = session.expected(code)
        lines = session.code(code)[:-1]
        try:
            nodes = session.runner.nodes(code)
        except Broken as broken:
            method = method_of(code)
            if broken.is_a("TypeError", "AttributeError") and not session.runner.has(method):
                raise Fault(_missing(method, name), lines, cause=f"no {method}") from None
            raise Fault(broken.message, lines, broken.line) from None
        try:
            wrong.append(
                (code, _forward(session, name, code, nodes, lines), wanted.data[-1], lines)
            )
        except Broken as broken:
            raise Fault(broken.message, lines, broken.line) from None
    bad = [entry for entry in wrong if not session.close(entry[1], entry[2])]
    if bad:
        code, got, right, lines = bad[0]
        form, operands = code.steps[0].form, code.steps[0].operands
        text = f"`{name}` at {_at(code)} should be {right:.10g}, got {got:.10g}."
        cause = ""
        if form in ("-", "/", "**") and all(
            session.close(g, FORMS[form].apply(*_numbers(c, operands)[::-1]))
            for c, g, _, _ in wrong
        ):
            text += f" The operands are in the wrong order: this is `{_swapped(code)}`."
            cause = f"operands swapped in {method_of(code)}"
        result = code.names[-1]
        raise Fault(
            text + _inherited(session, "forward", name),
            [*lines, f"# {result}.data: expected {right:.10g}, got {got:.10g}"],
            cause=cause,
        )


def _forward(
    session: Session, name: str, code: Program, nodes: list[int], lines: list[str]
) -> float:
    """The result of one operation at one point, if it is a new Value."""
    runner, result = session.runner, nodes[-1]
    for i, leaf in enumerate(nodes[:-1]):
        got = runner.number(leaf, "data", code.names[i])
        if not session.close(got, code.inputs[i]):
            raise Fault(
                f"`{name}` changed the data of its operand {code.names[i]} from "
                f"{code.inputs[i]:g} to {got:g}. An operation has to leave its operands as "
                "they are and return a new Value.",
                lines,
            )
    if any(runner.bench.ask({"do": "is", "one": result, "other": x})["same"] for x in nodes[:-1]):
        raise Fault(f"`{name}` returned its operand; it has to return a new Value.", lines)
    found = runner.ask(name, do="has", node=result, names=["data", "grad", "backward"])
    if found["absent"]:
        what = (
            "None. Is a `return` missing?"
            if found["type"] == "NoneType"
            else f"{found['shown']} of type {found['type']}. Wrap the result in a Value."
        )
        raise Fault(f"`{name}` has to return a Value, but it returned {what}", lines)
    return runner.number(result, "data", code.names[-1])


def _missing(method: str, name: str) -> str:
    text = f"`{name}` does not work: the class has no `{method}`."
    if method.startswith("__r"):
        text += (
            f" For `{name}` Python asks the number on the left first, which does not know Values, "
            f"and then the Value on the right, by its `{method}`."
        )
    return text


def _numbers(code: Program, operands: Sequence[int | float]) -> list[float]:
    return [code.inputs[x] if isinstance(x, int) else x for x in operands]


def _swapped(code: Program) -> str:
    step = code.steps[0]
    left, right = (code.operand_text(step, x) for x in step.operands)
    return FORMS[step.form].code.format(right, left)


def _at(code: Program) -> str:
    return ", ".join(f"{n} = {x:g}" for n, x in zip(code.names, code.inputs))


def seeding(session: Session) -> None:
    """The gradient of the result by itself is 1 (the notes: df/df = 1)."""
    code = next(OPERATIONS[n][0] for n in OPERATIONS if f"forward of {n}" in session.good)
    y = code.names[-1]
    try:
        outcome = session.runner.run(code)
    except Broken as broken:
        raise Fault(broken.message, session.code(code), broken.line) from None
    got = outcome.grads[-1]
    if session.close(got, 1.0):
        return
    lines = session.code(code, f"{y}.grad: expected 1, got {got:.10g}")
    text = (
        f"After `{y}.backward()`, `{y}.grad` should be 1, for df/df = 1, but it is {got:.10g}: "
        "backward() has to begin with `self.grad = 1.0`."
    )
    by_hand = replace(session, runner=replace(session.runner, seeded=True))
    try:
        cured = not by_hand.compare(code)[0]
    except Fault:
        cured = False
    if cured:
        session.runner = by_hand.runner  # so that the other checks can still say what they find
        text += (
            f" With `{y}.grad = 1.0` set by hand before the call, all gradients of this expression "
            "are right. (The checks below set it by hand.)"
        )
    raise Fault(text, lines, cause="backward() does not begin with 1")


def gradient(session: Session, name: str) -> None:
    """The partial derivatives of one operation on leaves of its own."""
    seen = []
    for code in OPERATIONS[name]:
        remark, got = session.compare(code)
        seen.append((code, remark, got, session.expected(code)))
    bad = [entry for entry in seen if entry[1]]
    if not bad:
        return
    code, remark, got, wanted = bad[0]
    text = f"The gradient of `{name}` is wrong."
    cause = ""
    for i in range(len(code.inputs)):
        if not session.close(got.grads[i], wanted.grads[i]):
            n = code.names[i]
            text += (
                f" At {_at(code)} the derivative by {n} is {wanted.grads[i]:.10g}, "
                f"but `{n}.grad` is {got.grads[i]:.10g}."
            )
            if all(session.close(g.grads[i], 0.0) for _, _, g, _ in seen):
                text += f" It is 0 wherever it was tried: nothing is passed on to {n}."
            elif all(session.close(g.grads[i], -w.grads[i]) for _, _, g, w in seen):
                text += " Its sign is wrong."
                cause = f"wrong sign in {words_for(name)}"
    if len(code.inputs) == 2 and all(
        session.close(g.grads[0], w.grads[1]) and session.close(g.grads[1], w.grads[0])
        for _, _, g, w in seen
    ):
        text += " Each operand got the derivative that belongs to the other."
        cause = f"derivatives exchanged in {words_for(name)}"
    text += _inherited(session, "gradient", name)
    raise Fault(text, session.code(code, remark), cause=cause)


def _inherited(session: Session, what: str, name: str) -> str:
    """A word of caution for `-` and `/`, which many classes make from other operations."""
    sources = {"-": ("a + b", "a * b", "-a"), "/": ("a * b", "a ** (-1)")}
    form = OPERATIONS[name][0].steps[0].form
    wrong = [n for n in sources.get(form, ()) if f"{what} of {n}" not in session.good]
    if not wrong:
        return ""
    return f" If your class makes it from {listed(wrong)}, mend that first."


def kink(session: Session) -> None:
    """The derivative of ReLU at 0 is a convention: 0."""
    code = program((0.0,), ("relu", 0))
    remark, got = session.compare(code)
    if remark:
        raise Fault(
            "ReLU has no derivative at exactly 0. torch, micrograd and tinygrad_edu say 0 there; "
            f"your class says {got.grads[0]:.10g}.",
            session.code(code, remark),
        )
