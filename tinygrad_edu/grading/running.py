"""Running programs on a student's class, wherever it lives, and saying in words what went wrong."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tinygrad_edu.grading.bench import Bench, Reply, TooLong
from tinygrad_edu.grading.programs import Outcome, Program, as_written

__all__ = ["Broken", "Runner", "TooLong", "bounded", "local_bench", "magnitude"]

T = TypeVar("T")
STEPS = 3_000_000  # of the student's bytecode that one run may execute; honest ones need thousands
_HERE = str(Path(__file__).parent)


class Broken(Exception):
    """The class could not run a program; the message says what happened, in words.

    Attributes:
        error: The exception that the student's code raised, as the bench describes it, or ``None``.
        where: What ran: a line of the program.

    >>> Broken("it raised ZeroDivisionError", "f = a / b").where
    'f = a / b'
    """

    def __init__(self, message: str, where: str, error: Reply | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.error = error

    def is_a(self, *names: str) -> bool:
        """Did the student's code raise one of these?"""
        return self.error is not None and not set(names).isdisjoint(self.error["bases"])

    @property
    def line(self) -> int | None:
        """The student's line where it arose."""
        return None if self.error is None else self.error["line"]


def bounded(function: Callable[[], T], steps: int = STEPS) -> T:
    """Call ``function``, but stop it after it has executed ``steps`` bytecode instructions.

    Instructions are counted, not seconds, so the verdict is the same on a slow machine and a fast
    one; lines would not do, for ``while True: pass`` stays on one. What the code prints is dropped.
    A loop inside C code is not counted.

    Raises:
        TooLong: If the code has not come to an end by then.

    >>> bounded(lambda: 1 + 1)
    2
    """
    count = 0

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal count
        if event == "call":
            frame.f_trace_opcodes = True
        count += 1
        if count > steps:
            raise TooLong(f"stopped after {steps:,} steps")
        return trace

    previous = sys.gettrace()
    with contextlib.redirect_stdout(io.StringIO()):
        sys.settrace(trace)
        try:
            return function()
        finally:
            sys.settrace(previous)


class Asked(Protocol):
    """A bench, in this process or behind a pipe."""

    def ask(self, request: Mapping[str, Any]) -> Reply: ...


def _theirs(file: str) -> bool:
    return not file.startswith(_HERE) and not file.endswith("operator.py")


def local_bench(kind: Any) -> Bench:
    """A bench in this process; the student's code is stopped after so many steps.

    >>> type(local_bench(float)).__name__
    'Bench'
    """
    return Bench(
        kind, lambda function, patience: bounded(function, int(STEPS * patience)), own=_theirs
    )


@dataclass(frozen=True)
class Runner:
    """Runs programs on one student's class.

    Args:
        bench: Where the class lives.
        seeded: Set the last gradient to 1 by hand, for a class whose ``backward()`` forgets to.
        about: What is known of the class without running it.
        name: How programs write the class.
        tolerance: How far apart two numbers may be, relatively, and count as equal.

    >>> from tinygrad_edu import Value
    >>> Runner(local_bench(Value)).tolerance
    1e-07
    """

    bench: Asked
    seeded: bool = False
    about: Reply = field(default_factory=dict)
    tolerance: float = 1e-7

    @classmethod
    def of(cls, bench: Asked) -> Runner:
        """A runner that knows what can be seen of the class."""
        return cls(bench, about=bench.ask({"do": "class"}))

    def has(self, method: str) -> bool:
        """Has the class this method (or its file this function)?"""
        return method in self.about["methods"] or method in self.about.get("functions", ())

    def nodes(self, code: Program, *, patience: float = 1.0) -> list[int]:
        """Build the graph and return handles of the nodes; raises ``Broken``."""
        reply = self.bench.ask({"do": "nodes", **_data(code), "patience": patience})
        if "error" in reply:
            raise self._built(code, reply)
        made: list[int] = reply["made"]
        return made

    def _built(self, code: Program, reply: Reply) -> Broken:
        i = len(reply.get("made", ())) - len(code.inputs)
        if i >= len(code.steps):
            i = len(code.steps) - 1
        where = (
            code.line(code.steps[i]) if i >= 0 else f"Value({code.inputs[i + len(code.inputs)]!r})"
        )
        return self.broken(reply["error"], where)

    def backward(self, node: int, name: str, *, patience: float = 1.0) -> None:
        """Call ``backward()``; raises ``Broken``."""
        self.ask(
            f"{name}.backward()", do="backward", node=node, seeded=self.seeded, patience=patience
        )

    def run(self, code: Program) -> Outcome:
        """Build the graph, go backward, and read every node; raises ``Broken``."""
        reply = self.bench.ask({"do": "run", **_data(code), "seeded": self.seeded})
        names = code.names
        if "error" in reply:
            stage = reply.get("stage", "build")
            if stage == "build":
                raise self._built(code, reply)
            if stage == "backward":
                where = f"{names[-1]}.backward()"
            else:
                where = f"{names[len(reply['data' if stage == 'data' else 'grads'])]}.{stage}"
            raise self.broken(reply["error"], where)
        data, grads = (
            tuple(self._checked(x, key, name) for x, name in zip(reply[entry], names))
            for key, entry in (("data", "data"), ("grad", "grads"))
        )
        return Outcome(data, grads)

    def number(self, node: int, attribute: str, name: str) -> float:
        """Read ``node.data`` or ``node.grad`` as a float; raises ``Broken`` if it is none."""
        reply = self.ask(f"{name}.{attribute}", do="read", wanted=[[node, attribute]])
        return self._checked(reply["values"][0], attribute, name)

    def ask(self, where: str, **request: Any) -> Reply:
        """Ask the bench; raises ``Broken`` about the code ``where`` if the student's code fails."""
        reply = self.bench.ask(request)
        if "error" in reply:
            raise self.broken(reply["error"], where)
        return reply

    def called(self, code: Program) -> set[str]:
        """The student's methods that run when the graph is built; raises ``Broken``."""
        reply = self.ask(code.line(code.steps[-1]), do="calls", **_data(code))
        return set(reply["called"])

    def _checked(self, found: Sequence[Any], attribute: str, name: str) -> float:
        kind, value, extra = found
        where = f"{name}.{attribute}"
        if kind == "number":
            return float(value)
        if kind == "absent":
            if not extra["value"]:
                none = extra["type"] == "NoneType"
                what = "None: is a `return` missing?" if none else f"a {extra['type']}"
                raise Broken(f"`{name}` should be a Value, but it is {what}", where)
            raise Broken(f"`{where}` is missing ({value})", where)
        raise Broken(f"`{where}` should be a number, but it is {value} of type {extra}", where)

    def broken(self, error: Reply, where: str) -> Broken:
        """The exception for a description of the student's."""
        return Broken(self.explain(error, where), where, error)

    def explain(self, error: Reply, where: str) -> str:
        """Say what an exception of the student's code means, and in which of its lines it arose."""
        if error["type"] == "TooLong":
            return (
                f"`{where}` did not come to an end ({error['text']}): "
                "is there a loop without a way out?"
            )
        text = f"`{where}` raised {error['type']}: {error['text'] or 'without a message'}"
        if error["line"] is not None and "RecursionError" not in error["bases"]:
            text += f" ({error['file']}, line {error['line']}"
            text += f", in {error['name']}" if error["name"] else ""
            text += f": `{error['source']}`)" if error["source"] else ")"
        hint = self._hint(error)
        return f"{text}. {hint}" if hint else text

    def _hint(self, error: Reply) -> str:
        """Add what is certain about the exception; nothing where it is not."""
        text, kinds = error["text"], error["bases"]
        if "TypeError" in kinds and "unhashable" in text and self.about.get("unhashable"):
            return (
                "A class that defines __eq__ loses its __hash__, so its objects cannot go into a "
                "set: leave __eq__ out, or add `__hash__ = object.__hash__`."
            )
        if "AttributeError" in kinds and text.startswith(("'int'", "'float'")):
            return (
                "A plain number has no such attribute: make it a Value first, "
                "`other = other if isinstance(other, Value) else Value(other)`."
            )
        if (
            "TypeError" in kinds
            and text == f"bad operand type for unary -: '{self.about.get('name', 'Value')}'"
            and not self.has("__neg__")
        ):
            return "For the unary minus the class has no `__neg__`."
        if "RecursionError" in kinds:
            return "A method calls itself without end, or deeper than Python allows."
        return ""


def _data(code: Program) -> dict[str, Any]:
    """A program as data: an operand that is a node is a list of its position."""
    return {
        "inputs": list(code.inputs),
        "steps": [
            [s.form, *([x] if type(x) is int else as_written(s, x) for x in s.operands)]
            for s in code.steps
        ],
    }


def magnitude(*outcomes: Outcome) -> float:
    """The largest number in the outcomes, 1 without any: the scale on which rounding is judged.

    >>> magnitude()
    1.0
    """
    numbers = [abs(x) for o in outcomes for x in (*o.data, *o.grads) if math.isfinite(x)]
    return max(numbers, default=1.0)
