"""What the checks share: the class under test, how a fault is raised, the operations to try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tinygrad_edu.grading.programs import (
    FORMS,
    Outcome,
    Program,
    close,
    expected,
    program,
)
from tinygrad_edu.grading.running import Broken, Runner, magnitude


class Fault(Exception):
    """A check found something; carries the message and the lines that show it."""

    def __init__(
        self,
        message: str,
        example: Sequence[str] = (),
        line: int | None = None,
        *,
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.line = line
        self.cause = cause  # the misconception, where it is proven
        self.message = message
        self.example: tuple[str, ...] = tuple(example)


class NotYet(Exception):
    """A check has nothing to work with before others pass."""


@dataclass
class Session:
    """One grading: the student's class and what is known about it so far."""

    runner: Runner
    against: str
    seed: int
    examples: int
    good: set[str] = field(default_factory=set)  # the names of the checks that passed
    required: frozenset[str] | None = None  # by the rubric; None: what every class should have
    timed: bool = False  # may time be measured? in this process steps are counted instead
    chained: set[str] = field(default_factory=set)  # the operations that obey the chain rule

    def close(self, got: float, wanted: float, scale: float = 1.0) -> bool:
        """Equal up to the rounding of this class's numbers."""
        return close(got, wanted, scale, self.runner.tolerance)

    def expected(self, code: Program) -> Outcome:
        return expected(code, self.against)

    def code(self, code: Program, *remarks: str) -> list[str]:
        return [*code.code(seeded=self.runner.seeded), *(f"# {remark}" for remark in remarks)]

    def compare(self, code: Program, nodes: Iterable[int] | None = None) -> tuple[str, Outcome]:
        """Run; return what differs (like ``a.grad: expected 4, got 2``) and the outcome."""
        try:
            got = self.runner.run(code)
        except Broken as broken:
            raise Fault(broken.message, self.code(code), broken.line) from None
        wanted = self.expected(code)
        scale = magnitude(wanted)
        shown = range(len(code.inputs)) if nodes is None else nodes
        for i, name in enumerate(code.names):
            if not self.close(got.data[i], wanted.data[i], scale):
                return f"{name}.data: expected {wanted.data[i]:.10g}, got {got.data[i]:.10g}", got
        for i in shown:
            if not self.close(got.grads[i], wanted.grads[i], scale):
                name = code.names[i]
                return f"{name}.grad: expected {wanted.grads[i]:.10g}, got {got.grads[i]:.10g}", got
        return "", got


_POINTS = [(2.0, 3.0), (-1.5, 4.0), (0.5, -2.5)]
_POSITIVE = [(2.0, 3.0), (0.5, 0.7), (1.5, 2.5)]
_WITHIN_ONE = [(0.5, 0.25), (-0.25, 0.5), (0.75, -0.5)]
_REGIONS = {
    **dict.fromkeys(("log", "ln", "sqrt", "log2", "log10"), _POSITIVE),
    **dict.fromkeys(("asin", "acos", "tan", "log1p"), _WITHIN_ONE),
}


def _operations() -> dict[str, list[Program]]:
    """For each form, by the code that names it, the programs that try it."""
    table: dict[str, list[Program]] = {}

    def add(form: str, *operands: int | float, points: list[tuple[float, float]] = _POINTS) -> None:
        inputs = 2 if operands == (0, 1) else 1
        codes = [program(point[:inputs], (form, *operands)) for point in points]
        table[codes[0].line(codes[0].steps[0])] = codes

    # First what is usually written out, then what is usually made from it.
    for form in ("+", "*"):
        for operands in ((0, 1), (0, 2.0), (2.0, 0)):
            add(form, *operands)
    add("neg", 0)
    for exponent in (2.0, 3.0, -1.0, 0.5):
        add("**", 0, exponent, points=_POSITIVE if exponent == 0.5 else _POINTS)
    for form in ("-", "/"):
        for operands in ((0, 1), (0, 2.0), (2.0, 0)):
            add(form, *operands)
    for form, entry in FORMS.items():
        if entry.needs:
            add(form, 0, points=_REGIONS.get(form, _POINTS))
    return table


OPERATIONS = _operations()


def listed(names: Sequence[str]) -> str:
    """The first names, as code, and how many more."""
    shown = [f"`{name}`" for name in names[:4]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


_NAMES = {"+": "plus", "-": "minus", "*": "times", "/": "divide", "**": "pow", "neg": "neg"}


def words_for(name: str) -> str:
    """The operation of a program by a word: ``pow`` for ``a ** 2``."""
    form = OPERATIONS[name][0].steps[0].form
    return _NAMES.get(form, form.strip("_"))
