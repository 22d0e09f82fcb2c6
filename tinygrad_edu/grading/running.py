"""Running a student's class with care: bounded, quiet, and with every exception explained."""

from __future__ import annotations

import contextlib
import io
import linecache
import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeVar

from tinygrad_edu.grading.programs import Outcome, Program

T = TypeVar("T")
STEPS = 3_000_000  # of the student's bytecode that one run may execute; honest ones need thousands


class TooLong(BaseException):
    """Raised inside code that does not end; not an Exception, so that few handlers swallow it."""


class Broken(Exception):
    """The class could not run a program; the message says what happened, in words.

    Attributes:
        error: The exception that the student's code raised, or ``None``.
        where: What ran: a line of the program.
    """

    def __init__(self, message: str, where: str, error: BaseException | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.error = error


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


@dataclass(frozen=True)
class Runner:
    """Runs programs on one student's class.

    Args:
        kind: The class.
        seeded: Set the last gradient to 1 by hand, for a class whose ``backward()`` forgets to.
    """

    kind: Any
    seeded: bool = False

    def nodes(self, code: Program, *, steps: int = STEPS) -> list[Any]:
        """Build the graph; raises ``Broken``."""
        made: list[Any] = []

        def build() -> None:
            made.extend(code.build(self.kind))  # keeps what was made before an exception

        try:
            bounded(build, steps)
        except (Exception, SystemExit, TooLong) as error:
            i = len(made) - len(code.inputs)
            where = code.line(code.steps[i]) if i >= 0 else f"Value({code.inputs[len(made)]!r})"
            raise Broken(self.explain(error, where), where, error) from error
        return made

    def backward(self, node: Any, name: str, *, steps: int = STEPS) -> None:
        """Call ``backward()``; raises ``Broken``."""
        if self.seeded:
            node.grad = 1.0
        try:
            bounded(node.backward, steps)
        except (Exception, SystemExit, TooLong) as error:
            where = f"{name}.backward()"
            raise Broken(self.explain(error, where), where, error) from error

    def run(self, code: Program, *, steps: int = STEPS) -> Outcome:
        """Build the graph, go backward, and read every node; raises ``Broken``."""
        nodes = self.nodes(code, steps=steps)
        data = tuple(self.number(n, "data", name) for n, name in zip(nodes, code.names))
        self.backward(nodes[-1], code.names[-1], steps=steps)
        grads = tuple(self.number(n, "grad", name) for n, name in zip(nodes, code.names))
        return Outcome(data, grads)

    def number(self, node: Any, attribute: str, name: str) -> float:
        """Read ``node.data`` or ``node.grad`` as a float; raises ``Broken`` if it is none."""
        where = f"{name}.{attribute}"
        try:
            found = bounded(lambda: getattr(node, attribute))
        except AttributeError as error:
            what = "None: is a `return` missing?" if node is None else f"a {type(node).__name__}"
            if not isinstance(node, self.kind):
                raise Broken(f"`{name}` should be a Value, but it is {what}", where) from None
            raise Broken(f"`{where}` is missing ({error})", where, error) from error
        except (Exception, SystemExit, TooLong) as error:
            raise Broken(self.explain(error, where), where, error) from error
        if isinstance(found, Real) and not isinstance(found, bool):
            return float(found)
        raise Broken(
            f"`{where}` should be a number, but it is {found!r:.60} of type {type(found).__name__}",
            where,
        )

    def explain(self, error: BaseException, where: str) -> str:
        """Say what an exception of the student's code means, and in which of its lines it arose."""
        if isinstance(error, TooLong):
            return f"`{where}` did not come to an end ({error}): is there a loop without a way out?"
        text = f"`{where}` raised {type(error).__name__}: {str(error) or 'without a message'}"
        frames = [
            f
            for f in traceback.extract_tb(error.__traceback__)
            if not f.filename.startswith(__file__.rpartition("running.py")[0])
            and "operator" not in f.filename
        ]
        if frames and not isinstance(error, RecursionError):
            frame = frames[-1]
            line = frame.line or linecache.getline(frame.filename, frame.lineno or 0).strip()
            file = frame.filename.replace("\\", "/").rpartition("/")[2]
            text += f" ({file}, line {frame.lineno}, in {frame.name}"
            text += f": `{line}`)" if line else ")"
        hint = self._hint(error)
        return f"{text}. {hint}" if hint else text

    def _hint(self, error: BaseException) -> str:
        """Add what is certain about the exception; nothing where it is not."""
        text = str(error)
        if isinstance(error, TypeError) and "unhashable" in text and self.kind.__hash__ is None:
            return (
                "A class that defines __eq__ loses its __hash__, so its objects cannot go into a "
                "set: leave __eq__ out, or add `__hash__ = object.__hash__`."
            )
        if isinstance(error, AttributeError) and text.startswith(("'int'", "'float'")):
            return (
                "A plain number has no such attribute: make it a Value first, "
                "`other = other if isinstance(other, Value) else Value(other)`."
            )
        if (
            isinstance(error, TypeError)
            and text == f"bad operand type for unary -: '{self.kind.__name__}'"
            and not hasattr(self.kind, "__neg__")
        ):
            return "For the unary minus the class has no `__neg__`."
        if isinstance(error, RecursionError):
            return "A method calls itself without end, or deeper than Python allows."
        return ""


def magnitude(*outcomes: Outcome) -> float:
    """The largest number in the outcomes: the scale on which rounding is judged."""
    numbers = [abs(x) for o in outcomes for x in (*o.data, *o.grads) if math.isfinite(x)]
    return max(numbers, default=1.0)
