"""Small programs over numbers that remember how they were made, and how to run and shrink them.

A ``Program`` is straight-line code: inputs, then steps that each apply one operation to earlier
nodes or plain numbers. It runs on any class with the interface of ``Value``, prints as code that a
student can paste, and can be made smaller while it still shows what it is meant to show.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_edu.engine.value import Value

# an operand: the position of an earlier node, or (a float) a plain number
Operand = int | float


@dataclass(frozen=True)
class Form:
    """One way to write an operation: its code and what it does to any kind of number."""

    code: str
    apply: Callable[..., Any]
    arity: int = 2
    needs: str = ""  # the method a class must have, for the forms that not every class offers


MORE = ("sin", "cos", "tan", "sqrt", "sinh", "cosh", "asin", "acos", "atan", "log2", "log10",
        "exp2", "log1p", "expm1", "softplus", "silu")  # fmt: skip
ALIASES = {
    "reLU": "relu", "ReLU": "relu", "Relu": "relu", "reLu": "relu", "Tanh": "tanh", "Exp": "exp",
    "Log": "log", "ln": "log", "Sigmoid": "sigmoid", "sigm": "sigmoid", "logistic": "sigmoid",
    "swish": "silu", "Sin": "sin", "Cos": "cos", "sine": "sin", "cosine": "cos", "Sqrt": "sqrt",
}  # fmt: skip

FORMS: dict[str, Form] = {
    "+": Form("{0} + {1}", operator.add),
    "-": Form("{0} - {1}", operator.sub),
    "*": Form("{0} * {1}", operator.mul),
    "/": Form("{0} / {1}", operator.truediv),
    "**": Form("{0} ** {1}", operator.pow),
    "neg": Form("-{0}", operator.neg, 1),
    **{
        name: Form(f"{{0}}.{name}()", operator.methodcaller(name), 1, name)
        for name in ("relu", "tanh", "exp", "log", "sigmoid", *MORE)
    },
    "__abs__": Form("abs({0})", abs, 1, "__abs__"),
    # other names for the same, as learners write them
    **{
        other: Form(f"{{0}}.{other}()", operator.methodcaller(name), 1, other)
        for other, name in ALIASES.items()
    },
}
# what random graphs are made of
MIXED = ("+", "-", "*", "/", "**", "neg", "relu", "tanh", "exp", "log", "sigmoid", "sin", "cos",
         "sqrt")  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One line of a program: the name of a form and its operands."""

    form: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Program:
    """Straight-line code; node ``i`` is input ``i``, or step ``i - len(inputs)``."""

    inputs: tuple[float, ...]
    steps: tuple[Step, ...]

    @property
    def names(self) -> list[str]:
        """The variable names of the nodes in the code: a, b, c, ..."""
        count = len(self.inputs) + len(self.steps)
        letters = "abcdefghijklmnopqrstuvwxyz"
        return [letters[i] if i < 26 else f"n{i}" for i in range(count)]

    def line(self, step: Step) -> str:
        """The right-hand side of a step, as code."""
        return FORMS[step.form].code.format(*(self.operand_text(step, x) for x in step.operands))

    def operand_text(self, step: Step, operand: Operand) -> str:
        """An operand as code: a variable, or a number (a whole exponent without its point)."""
        if isinstance(operand, int):
            return self.names[operand]
        text = f"{operand:g}" if step.form == "**" else repr(operand)
        return f"({text})" if operand < 0 and step.form == "**" else text

    def code(self, *, seeded: bool = False) -> list[str]:
        """The program as lines of Python; ``seeded`` sets the last gradient to 1 by hand."""
        names = self.names
        lines = [f"{name} = Value({x!r})" for name, x in zip(names, self.inputs)]
        lines += [
            f"{name} = {self.line(step)}"
            for name, step in zip(names[len(self.inputs) :], self.steps)
        ]
        return [*lines, *([f"{names[-1]}.grad = 1.0"] if seeded else []), f"{names[-1]}.backward()"]

    def build(self, kind: Callable[[float], Any]) -> Iterator[Any]:
        """Make the nodes one by one, so that a caller sees how far it came when one raises."""
        nodes: list[Any] = []
        for x in self.inputs:
            nodes.append(kind(x))
            yield nodes[-1]
        for step in self.steps:
            operands = [
                nodes[x] if isinstance(x, int) else as_written(step, x) for x in step.operands
            ]
            nodes.append(FORMS[step.form].apply(*operands))
            yield nodes[-1]


def as_written(step: Step, number: float) -> float:
    """The number as the code shows it: a whole exponent is an int."""
    return int(number) if step.form == "**" and number == int(number) else number


def program(inputs: tuple[float, ...], *steps: tuple[Any, ...]) -> Program:
    """Write a program compactly.

    >>> print("; ".join(program((2.0, 3.0), ("*", 0, 1), ("+", 2, 0)).code()))
    a = Value(2.0); b = Value(3.0); c = a * b; d = c + a; d.backward()
    """
    return Program(inputs, tuple(Step(form, tuple(operands)) for form, *operands in steps))


_NO_METHOD = ("softplus", "silu", "swish")


@dataclass(frozen=True)
class Outcome:
    """The data of every node, and its gradient after ``backward()``."""

    data: tuple[float, ...]
    grads: tuple[float, ...]


def expected(code: Program, against: str = "tinygrad_edu") -> Outcome:
    """Run a program on the engine of this package, or on torch in double precision.

    Raises:
        ImportError: If torch is asked for and missing.
        ValueError: If the name of the engine is another.
        ArithmeticError: If an operation leaves its domain.
    """
    if against == "torch" and any(step.form in _NO_METHOD for step in code.steps):
        against = "tinygrad_edu"  # torch has these as functions only
    if against == "tinygrad_edu":
        nodes = list(code.build(Value))
        nodes[-1].backward()
        return Outcome(tuple(n.data for n in nodes), tuple(n.grad for n in nodes))
    if against != "torch":
        raise ValueError(f"against: expected 'tinygrad_edu' or 'torch', got {against!r}")
    try:
        import torch
    except ImportError as error:
        raise ImportError("comparing with torch needs torch: pip install torch") from error
    tensors = []
    for tensor in code.build(lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True)):
        tensor.retain_grad()
        tensors.append(tensor)
    tensors[-1].backward()
    return Outcome(
        tuple(t.item() for t in tensors),
        tuple(0.0 if t.grad is None else t.grad.item() for t in tensors),
    )


def close(got: float, wanted: float, scale: float = 1.0, tolerance: float = 1e-7) -> bool:
    """Equal up to rounding; ``scale`` is the size of the numbers that met on the way."""
    return math.isclose(got, wanted, rel_tol=tolerance, abs_tol=0.01 * tolerance * max(1.0, scale))


def well_behaved(code: Program) -> bool:
    """Do all numbers stay of moderate size, and away from poles and kinks?"""
    nodes: list[float] = []
    try:
        for i, data in enumerate(code.build(Value)):
            nodes.append(data.data)
            if not abs(nodes[-1]) <= 1e4:
                return False
            if i < len(code.inputs):
                continue
            step = code.steps[i - len(code.inputs)]
            x = [nodes[o] if isinstance(o, int) else o for o in step.operands]
            if (step.form == "/" and abs(x[1]) < 0.1) or (step.form == "relu" and abs(x[0]) < 0.01):
                return False
            if step.form in ("log", "sqrt") and x[0] < 0.1:
                return False
            if step.form in ("tanh", "sigmoid") and abs(x[0]) > 20.0:
                return False  # far out a check of its own looks at them, not chance
            if step.form == "**" and (abs(x[0]) < 0.1 or (x[1] != int(x[1]) and x[0] < 0.1)):
                return False
        return all(abs(g) <= 1e6 for g in expected(code).grads)
    except (ArithmeticError, ValueError):
        return False


def random_program(
    rng: random.Random, forms: list[str], *, inputs: int = 3, steps: int = 12
) -> Program:
    """Draw a well-behaved program of at most ``inputs`` inputs and ``steps`` steps.

    Recent nodes are more likely operands than old ones, so the graphs are deep, and nodes that
    were used before are used again, so they have junctions.
    """
    while True:
        count = rng.randint(1, inputs)
        code = Program(tuple(round(rng.uniform(-3.0, 3.0), 1) for _ in range(count)), ())
        for _ in range(rng.randint(2, steps)):
            for _attempt in range(5):
                longer = replace(code, steps=(*code.steps, _random_step(rng, forms, code)))
                if well_behaved(longer):
                    code = longer
                    break
        code = _trimmed(code)
        if code.steps:
            return code


def _random_step(rng: random.Random, forms: list[str], code: Program) -> Step:
    form = rng.choice(forms)
    count = len(code.inputs) + len(code.steps)
    nodes: list[Operand] = [
        count - 1 - min(int(rng.expovariate(0.5)), count - 1) for _ in range(FORMS[form].arity)
    ]
    if form == "**":
        nodes[1] = rng.choice([2.0, 3.0, -1.0, 2.5])
    elif len(nodes) == 2 and rng.random() < 0.3:  # a plain number on one side
        nodes[rng.randrange(2)] = round(rng.uniform(0.5, 3.0), 1)
    return Step(form, tuple(nodes))


def _trimmed(code: Program) -> Program:
    """Leave out the inputs and steps that the last node does not depend on."""
    count = len(code.inputs) + len(code.steps)
    used = {count - 1}
    for i in range(count - 1, len(code.inputs) - 1, -1):
        if i in used:
            used.update(x for x in code.steps[i - len(code.inputs)].operands if isinstance(x, int))
    position = {old: new for new, old in enumerate(sorted(used))}
    return Program(
        tuple(x for i, x in enumerate(code.inputs) if i in used),
        tuple(
            Step(s.form, tuple(position[x] if isinstance(x, int) else x for x in s.operands))
            for i, s in enumerate(code.steps, len(code.inputs))
            if i in used
        ),
    )


def shrink(code: Program, fails: Callable[[Program], bool]) -> Program:
    """Make a program that ``fails`` smaller, step by step, for as long as it still fails.

    >>> big = program((1.7, 2.6), ("+", 0, 1), ("*", 2, 2), ("-", 3, 0))
    >>> small = shrink(big, lambda p: any(step.form == "*" for step in p.steps))
    >>> print(*small.code(), sep="; ")
    a = Value(2.0); b = a * a; b.backward()
    """
    smaller: Program | None = code
    while smaller is not None:
        code = smaller
        smaller = next(
            (p for p in _smaller(code) if p.steps and well_behaved(p) and fails(p)), None
        )
    return code


def _smaller(code: Program) -> Iterator[Program]:
    first = len(code.inputs)
    # 1. End earlier.
    for n in range(1, len(code.steps)):
        yield _trimmed(replace(code, steps=code.steps[:n]))
    # 2. Put an operand of a step in the place of the step.
    for i, step in enumerate(code.steps[:-1], first):
        for x in step.operands:
            if isinstance(x, int):
                yield _trimmed(_renamed(code, i, x))
    # 3. Put an input in the place of a step.
    for i in range(first, first + len(code.steps) - 1):
        for x in range(first):
            yield _trimmed(_renamed(code, i, x))
    # 4. Two inputs become one.
    for i in range(1, first):
        for x in range(i):
            yield _trimmed(_renamed(code, i, x))
    # 5. Simpler numbers: the first of these that still fails stays.
    simple = [2.0, 3.0, 4.0, 5.0]
    for i, number in enumerate(code.inputs):
        before = simple[: simple.index(number)] if number in simple else simple
        for x in before:
            yield replace(code, inputs=(*code.inputs[:i], x, *code.inputs[i + 1 :]))
    for i, step in enumerate(code.steps):
        for j, operand in enumerate(step.operands):
            if isinstance(operand, float) and operand not in simple[:2]:
                for x in simple[:2]:
                    operands = (*step.operands[:j], x, *step.operands[j + 1 :])
                    shorter = Step(step.form, operands)
                    yield replace(code, steps=(*code.steps[:i], shorter, *code.steps[i + 1 :]))


def _renamed(code: Program, old: int, new: int) -> Program:
    return replace(
        code,
        steps=tuple(
            Step(s.form, tuple(new if type(x) is int and x == old else x for x in s.operands))
            for s in code.steps
        ),
    )
