"""Checks of the edges: zeros, whole numbers, in-place operators, large arguments.

Each asks for one mistake that learners are seen to make, with the smallest program that shows it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

from tinygrad_edu.grading.programs import Program, expected, program
from tinygrad_edu.grading.running import Broken
from tinygrad_edu.grading.session import Fault, Session


def precision(session: Session) -> None:
    """Numbers are kept in double precision, as Python's own."""
    runner = session.runner
    lines = ["a = Value(0.1)", "a.data"]
    try:
        node = runner.nodes(program((0.1,)))[0]
        kind, got, name = runner.ask("a.data", do="read", wanted=[[node, "data"]])["values"][0]
    except Broken as broken:
        raise Fault(broken.message, lines, broken.line) from None
    if kind != "number" or got == 0.1:
        return
    single = struct.unpack("f", struct.pack("f", 0.1))[0]
    if math.isclose(got, single, rel_tol=1e-12) or name in ("float32", "float16", "bfloat16"):
        # its own rounding must not be taken for mistakes
        session.runner = replace(runner, tolerance=2e-5 if got == single else 5e-3)
        what = name if name.endswith(("32", "16")) else "float32"
        raise Fault(
            f"The numbers are kept as {what}, with 7 digits or fewer: 0.1 becomes {got!r}. "
            "Python's own float has 16; keep `data` as it is given, or as float64. (The other "
            "checks allow for it.)",
            [*lines[:1], f"# a.data: expected 0.1, got {got:.12g}"],
            cause=f"data in {what}",
        )


def powers_at_the_edge(session: Session) -> None:
    """``a ** 2`` where a is 0, as in a squared loss that is 0; and ``a ** 0``."""
    for code in (
        program((0.0,), ("**", 0, 2.0)),
        program((0.0,), ("**", 0, 3.0)),
        program((0.0, 0.0), ("-", 0, 1), ("**", 2, 2.0)),
        program((2.0,), ("**", 0, 0.0)),
        program((2.0,), ("**", 0, 1.0)),
    ):
        name = code.line(code.steps[-1])
        try:
            remark, _ = session.compare(code)
        except Fault as fault:
            raise Fault(
                f"`{name}` fails where {_edge(code)}. {fault.message}{_quotient(code)}",
                fault.example,
                fault.line,
                cause=_edge_cause(code),
            ) from None
        if remark:
            raise Fault(
                f"`{name}` is wrong where {_edge(code)}.{_quotient(code)}",
                session.code(code, remark),
                cause=_edge_cause(code),
            )


def _edge(code: Program) -> str:
    exponent = code.steps[-1].operands[1]
    return "the base is 0" if exponent > 1.0 else f"the exponent is {exponent:g}"


def _edge_cause(code: Program) -> str:
    exponent = code.steps[-1].operands[1]
    return "power at base 0" if exponent > 1.0 else f"power with exponent {exponent:g}"


def _quotient(code: Program) -> str:
    if code.steps[-1].operands[1] <= 1.0:
        return ""
    return (
        " The derivative of a^n is n * a^(n-1), which is 0 there; written as n * out / a it "
        "divides by 0. A squared loss of 0 comes here."
    )


def whole_numbers(session: Session) -> None:
    """Whole numbers are numbers: 7 / 2 is 3.5."""
    for code in (
        program((7, 2), ("/", 0, 1)),
        program((7,), ("/", 0, 2.0)),
        program((2,), ("**", 0, -1.0)),
        program((7, 2), ("*", 0, 1)),
        program((7, 2), ("+", 0, 1)),
    ):
        name = code.line(code.steps[0])
        if f"gradient of {name}" not in session.good:
            continue
        remark, got = session.compare(code)
        if remark:
            text = f"`{name}` is wrong where the Values hold whole numbers."
            right = session.expected(code).data[-1]
            cause = ""
            if got.data[-1] == math.floor(right) != right:
                text += " The result is rounded down: divide with `/`, not `//`."
                cause = "whole numbers divided with //"
            raise Fault(text, session.code(code, remark), cause=cause)


_IN_PLACE = {"+": "__iadd__", "-": "__isub__", "*": "__imul__", "/": "__itruediv__"}


def in_place(session: Session) -> None:
    """``s += x`` gives a new Value: the old one is still part of the graph."""
    runner = session.runner
    for form, method in _IN_PLACE.items():
        if not runner.has(method):
            continue
        code = program((2.0, 3.0, 4.0), ("*", 0, 1))
        grown = program((2.0, 3.0, 4.0), ("*", 0, 1), (form, 3, 2))
        wanted = expected(grown)
        lines = [
            *session.code(code)[:4], "t = d",
            f"t {form}= c", *(["t.grad = 1.0"] if runner.seeded else []), "t.backward()",
        ]  # fmt: skip
        where = f"t {form}= c"
        try:
            nodes = runner.nodes(code)
            reply = runner.ask(where, do="augmented", form=form, node=nodes[3], operand=[nodes[2]])
            kept = runner.number(nodes[3], "data", "d")
            made = reply["made"][0]
            data = runner.number(made, "data", "t")
            runner.backward(made, "t")
            grads = [runner.number(n, "grad", x) for n, x in zip(nodes[:3], "abc")]
        except Broken as broken:
            raise Fault(broken.message, lines, broken.line) from None
        cause = f"{method} in place"
        if not session.close(kept, 6.0):
            raise Fault(
                f"`{where}` changes the data of the Value `d` in place (`{method}`), from 6 to "
                f"{kept:.10g}. What was computed from `d` before still needs it, and so does the "
                f"backward pass: leave `{method}` out (Python then makes `t = t {form} c` of it), "
                "or return a new Value.",
                [*lines[:-1], f"# d.data: expected 6, got {kept:.10g}"],
                cause=cause,
            )
        pairs = [("t.data", data, wanted.data[-1]),
                 *((f"{x}.grad", g, w) for x, g, w in zip("abc", grads, wanted.grads))]  # fmt: skip
        for name, got, right in pairs:
            if not session.close(got, right):
                raise Fault(
                    f"`{where}` (`{method}`) gives a wrong result: leave `{method}` out, and "
                    f"Python makes `t = t {form} c` of it.",
                    [*lines, f"# {name}: expected {right:.10g}, got {got:.10g}"],
                    cause=cause if reply["same"] else "",
                )


def second_graph(session: Session) -> None:
    """A node that two graphs share passes its gradient on in both."""
    runner = session.runner
    lines = [
        "a = Value(2.0); b = Value(3.0); h = a * b",
        "c = Value(5.0); y = h * c", *(["y.grad = 1.0"] if runner.seeded else []), "y.backward()",
        "d = Value(7.0); z = h * d", *(["z.grad = 1.0"] if runner.seeded else []), "z.backward()",
    ]  # fmt: skip
    try:
        a, _, _, h, y = runner.nodes(program((2.0, 3.0, 5.0), ("*", 0, 1), ("*", 3, 2)))
        runner.backward(y, "y")
        first = runner.number(a, "grad", "a")
        d = runner.nodes(program((7.0,)))[0]
        z = runner.ask("h * d", do="apply", form="*", nodes=[h, d])["made"][0]
        runner.backward(z, "z")
        second = runner.number(a, "grad", "a")
    except Broken as broken:
        raise Fault(broken.message, lines, broken.line) from None
    if session.close(first, 15.0) and session.close(second, first):
        shared = [n for n in runner.about["shared_defaults"] if n != "__init__"]
        text = (
            "Of a second graph that shares a node with the first, nothing reaches the inputs: "
            "`z.backward()` left `a.grad` as it was."
        )
        if shared:
            text += (
                f" `{shared[0]}` has a list, set or dict as a default argument, which Python makes "
                "once: what the first call put in is still there in the second, so its nodes "
                "count as visited. Use None, and make a new one in the body."
            )
        else:
            text += " Are nodes still marked as visited after the first call?"
        raise Fault(
            text,
            [*lines, f"# a.grad: expected 36, got {second:.10g}"],
            cause="visited set kept between calls",
        )


def large_arguments(session: Session) -> None:
    """``tanh`` and the like are defined for every number; the textbook formulas overflow."""
    found: list[tuple[str, float, str]] = []
    lines: list[str] = []
    for name in ("tanh", "sigmoid", "softplus", "silu"):
        if f"gradient of a.{name}()" not in session.good:
            continue
        for sign in (1.0, -1.0):
            first = next((x for x in _SIZES if _trouble(session, name, sign * x)), None)
            if first is None:
                continue
            low = max((x for x in _SIZES if x < first), default=1)
            while first - low > 1:  # the smallest whole number that shows it
                middle = (low + first) // 2
                low, first = (low, middle) if _trouble(session, name, sign * middle) else (
                    middle, first)  # fmt: skip
            found.append((name, sign * first, _trouble(session, name, sign * first)))
    if not found:
        return
    name, x, trouble = found[0]
    lines = session.code(program((x,), (name, 0)))
    others = [f"`a.{n}()` from a = {y:g}" for n, y, _ in found[1:]]
    more = f" So it is with {', '.join(others)}." if others else ""
    raise Fault(
        f"`a.{name}()` fails from a = {x:g} on: {trouble}. The formula of the textbook computes "
        f"exp() of a large number, which is too large for a float; `math.tanh`, or an exp() of a "
        f"negative number only, is right everywhere.{more}",
        lines,
        cause="exp() overflows in tanh or sigmoid",
    )


_SIZES = (10, 20, 50, 100, 200, 400, 710, 1000, 2000)


def _trouble(session: Session, name: str, x: float) -> str:
    code = program((x,), (name, 0))
    try:
        got = session.runner.run(code)
    except Broken as broken:
        return broken.error["type"] if broken.error is not None else "no number"
    wanted = session.expected(code)
    for label, g, w in zip(
        (".data", ".grad"), (got.data[-1], got.grads[0]), (wanted.data[-1], wanted.grads[0])
    ):
        if not session.close(g, w):
            return f"{'b' if label == '.data' else 'a'}{label} is {g:.10g}, not {w:.10g}"
    return ""


def shown(session: Session) -> None:
    """``repr`` gives text."""
    try:
        node = session.runner.nodes(program((2.0,)))[0]
        session.runner.ask("repr(a)", do="show", node=node)
    except Broken as broken:
        raise Fault(
            broken.message, ["a = Value(2.0)", "repr(a)"], broken.line, cause="repr fails"
        ) from None


def work(session: Session) -> None:
    """The time of ``backward()`` grows with the number of nodes, not with its square."""
    seconds: list[float] = []
    try:
        for leaves in (500, 4000):
            reply: dict[str, Any] = session.runner.ask("y.backward()", do="time", leaves=leaves)
            seconds.append(reply["seconds"])
    except Broken:
        return  # other checks report it
    small, large = seconds
    if large > 0.05 and large > 24.0 * small:
        raise Fault(
            "Eight times as many nodes take far more than eight times as long in backward(): the "
            "work grows with the square of the graph. `node in visited` looks through all of a "
            "list; make it a set.",
            ["y = sum of 4000 Values, added in pairs", "y.backward()"],
            cause="visited list in place of a set",
        )
