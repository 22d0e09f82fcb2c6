r"""How formulas, names and numbers are written: as text, and as LaTeX.

A ``Formula`` is a node that operations are recorded on, like a ``Value``, except that it remembers
how the result is *written*. So the rules of the table write their own derivatives: the rule of
``tanh``, applied to formulas, gives ``1 - h * h``. Nothing about an operation is said twice.

Source: the notes, section 'The Backpropagation Algorithm', whose way of writing this follows.

>>> x, y = TextFormula("x"), TextFormula("y")
>>> (x + y) * 2.0
(x + y) * 2
>>> LatexFormula("x") / LatexFormula("y")
\frac{x}{y}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context
from typing import Any, ClassVar

from tinygrad_edu.drawing.figures.graph import input_names
from tinygrad_edu.drawing.figures.text import GREEK, isolated, printable, typeset
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.operators import Operators
from tinygrad_edu.engine.value import Constant, Value

# How tightly a text holds together; an operand that holds less tightly than it must gets brackets.
CHOICE, COMPARISON, SUM, SIGNED, PRODUCT, POWER, ATOM = range(7)

MOST_OPERANDS = 6  # of an n-ary operation, before the middle is left out

# The names of unlabelled operations, as the notes have them: f is computed from g, g from h and i.
# Letters that read as something else (e, l, o) or that inputs like to have (a-d, x-z) are left out.
_LETTERS = "fghijkmnpqrstuvw"
_FEW, _MORE = (Context(prec=digits, rounding=ROUND_HALF_UP) for digits in (4, 7))


def number(x: float) -> str:
    """Write a number for reading: four significant digits, more for the whole part of large ones.

    >>> number(4.0), number(2 / 3), number(-0.0), number(12345.678), number(1.5e-7)
    ('4', '0.6667', '0', '12345.68', '1.5e-7')
    """
    if not math.isfinite(x):
        return str(x)
    # Halves are rounded away from zero, as at school and in JavaScript; format() rounds to even.
    context = _FEW if abs(x) < 1e4 else _MORE
    digits = context.create_decimal_from_float(x + 0.0)
    if digits and not -4 <= digits.adjusted() < 7:
        mantissa, _, exponent = f"{digits.normalize():e}".partition("e")
        return f"{mantissa}e{exponent.removeprefix('+')}"
    return f"{digits.normalize():f}" if digits else "0"


def is_rounded(x: float) -> bool:
    """Does ``number(x)`` leave anything of ``x`` out?"""
    return math.isfinite(x) and float(number(x)) != x


def node_names(output: Value, forward: Sequence[Value], backward: Sequence[Value]) -> list[str]:
    """Name every node: by its label where it has one, else by a name that is always the same.

    The output is ``f``; the operations it is computed from are ``g``, ``h``, ... in the order of
    the backward pass, which names the notes' examples as the notes do. Large graphs count: ``v1``,
    ``v2``, ... in the order of the forward pass. Unlabelled inputs are ``x1``, ``x2``, ...,
    constants their number. Where two nodes share a label, the second is called ``label#2``.

    Args:
        output: The last node.
        forward: All nodes, in the order of the forward pass.
        backward: All nodes, in the order of the backward pass.

    Returns:
        The names in the order of ``forward``; no two nodes but constants have the same.
    """
    taken: set[str] = set()
    names: dict[Value, str] = {}

    def name(node: Value, wanted: str) -> None:
        unique, count = wanted, 1
        while unique in taken:
            count += 1
            unique = f"{wanted}#{count}"
        taken.add(unique)
        names[node] = unique

    for node in forward:
        if node.label and not (isinstance(node, Constant) and node.op is None):
            name(node, " ".join(printable(node.label).split()) or "?")
    unnamed = [node for node in backward if node not in names and node.op is not None]
    stems = {label[0] for label in taken if label[0].isalpha() and label[1:2].isdigit()}
    letters = [letter for letter in _LETTERS if letter not in taken | stems]  # no h beside h1
    if len(unnamed) <= len(letters):
        for node, letter in zip(unnamed, letters):
            name(node, letter)
    elif output not in names and letters:
        name(output, letters[0])
    steps = 0
    unlabelled = input_names(forward)
    for node in forward:
        if node in names:
            continue
        if node.op is not None:
            steps += 1
            name(node, f"v{steps}")
        elif isinstance(node, Constant):
            names[node] = number(node.data)
        else:
            name(node, unlabelled.get(node, "?"))
    return [names[node] for node in forward]


def shorten(items: Sequence[str], keep: int = MOST_OPERANDS, gap: str = "...") -> list[str]:
    """Leave out the middle of a long sequence.

    >>> shorten(["a", "b", "c", "d", "e"], keep=3)
    ['a', 'b', '...', 'e']
    """
    return list(items) if len(items) <= keep else [*items[: keep - 1], gap, items[-1]]


class Formula(Operators):
    """A formula as it is written, and how tightly it holds together; see the module's description.

    Args:
        text: The text.
        level: The level of its loosest operation: ``ATOM``, ``PRODUCT``, ``SUM``, ...
    """

    __slots__ = ("level", "text")
    rank: ClassVar[int] = 100
    times: ClassVar[str] = " * "
    between: ClassVar[str] = " * "  # two derivatives that are multiplied
    equals: ClassVar[str] = " = "  # the first equality sign of a line
    ellipsis: ClassVar[str] = "..."
    verbosity: ClassVar[int] = 1  # about how many characters stand for one

    def __init__(self, text: str, level: int = ATOM) -> None:
        self.text: str = text
        self.level: int = level

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def number(cls, x: float) -> Formula:
        """Write a number."""
        return cls(number(x), SIGNED if number(x).startswith("-") else ATOM)

    @classmethod
    def named(cls, name: str) -> Formula:
        """Write the name of a node."""
        return cls(name)

    @classmethod
    def derivative(cls, of: str, by: str) -> str:
        """Write the derivative of one thing, already written, by another."""
        return f"d{of}/d{by}"

    @classmethod
    def derivative_of(cls, of: Formula, by: str) -> str:
        """Write the derivative of a formula."""
        return cls.derivative(of.bracketed(), by)

    @classmethod
    def placed(cls, name: str, position: int) -> str:
        """Write the name of an operand together with its place among the operands."""
        return f"{name}[{position}]"

    @classmethod
    def direct(cls, derivative: str) -> str:
        """Mark a derivative as one that holds the other operands fixed."""
        return f"{derivative}(direct)"

    @classmethod
    def record(cls, op: Op, operands: tuple[Any, ...]) -> Formula:
        """Write an operation applied to operands."""
        written = [x if isinstance(x, Formula) else cls.number(float(x)) for x in operands]
        writer = cls.writers().get(op.name)
        return writer(op, written) if writer else cls.call(op, written)

    @classmethod
    def writers(cls) -> dict[str, Callable[[Op, list[Formula]], Formula]]:
        """The operations that are not written as ``name(operands)``."""
        return {
            "add": lambda _, x: cls(f"{x[0].at(SUM)} + {x[1].at(PRODUCT)}", SUM),
            "sub": lambda _, x: cls(f"{x[0].at(SUM)} - {x[1].at(PRODUCT)}", SUM),
            "mul": lambda _, x: cls(x[0].at(SIGNED) + cls.times + x[1].at(POWER), PRODUCT),
            "div": lambda _, x: cls.fraction(*x),
            "neg": lambda _, x: cls(f"-{x[0].at(PRODUCT)}", SIGNED),
            "power": lambda op, x: cls.raised(x[0], cls.number(op.parameter or 0.0)),
            "pow": lambda _, x: cls.raised(*x),
            "exponential": lambda op, x: cls.raised(cls.number(op.parameter or 0.0), x[0]),
            "less": lambda _, x: cls(f"{x[0].at(SUM)} < {x[1].at(SUM)}", COMPARISON),
            "less_equal": lambda _, x: cls(f"{x[0].at(SUM)} <= {x[1].at(SUM)}", COMPARISON),
            "equal": lambda _, x: cls(f"{x[0].at(SUM)} = {x[1].at(SUM)}", COMPARISON),
            "where": lambda _, x: cls.choice(*x),
            "sum": lambda _, x: cls.total([term.at(PRODUCT) for term in x]),
            "dot": lambda _, x: cls.total(
                [
                    a.at(SIGNED) + cls.times + b.at(POWER)
                    for a, b in zip(x[: len(x) // 2], x[len(x) // 2 : len(x) // 2 * 2])
                ]
                + [x[-1].at(PRODUCT)] * (len(x) % 2)
            ),
        }

    @classmethod
    def total(cls, terms: list[str]) -> Formula:
        """Write a sum of terms that are already written."""
        return cls(" + ".join(shorten(terms, gap=cls.ellipsis)), SUM if len(terms) > 1 else PRODUCT)

    @classmethod
    def call(cls, op: Op, operands: list[Formula]) -> Formula:
        """Write ``name(operands)``."""
        arguments = [x.text for x in operands]
        if op.parameter is not None:
            arguments.append(number(op.parameter))
        return cls(f"{op.name}({', '.join(shorten(arguments, gap=cls.ellipsis))})")

    @classmethod
    def fraction(cls, a: Formula, b: Formula) -> Formula:
        """Write ``a / b``."""
        return cls(f"{a.at(SIGNED)} / {b.at(POWER)}", PRODUCT)

    @classmethod
    def raised(cls, base: Formula, exponent: Formula) -> Formula:
        """Write ``base ^ exponent``."""
        return cls(f"{base.at(ATOM)}^{exponent.at(ATOM)}", POWER)

    @classmethod
    def choice(cls, condition: Formula, a: Formula, b: Formula) -> Formula:
        """Write ``a if condition else b``."""
        return cls(f"{a.at(COMPARISON)} if {condition.at(COMPARISON)} else {b.text}", CHOICE)

    def at(self, level: int) -> str:
        """Return the text, in brackets where it holds less tightly than ``level``."""
        return self.text if self.level >= level else self.bracketed()

    def bracketed(self) -> str:
        """Return the text in brackets."""
        return f"({self.text})"


class TextFormula(Formula):
    """A formula as plain text, in the way the notes' figures and Python write it."""

    __slots__ = ()

    @classmethod
    def named(cls, name: str) -> Formula:
        """Write a name; one with blanks or signs in it gets brackets, ``[loss of example 3]``."""
        plain = re.fullmatch(r"[\w.,'#\[\]{}₀-₉]+", name)
        return cls(isolated(name if plain else f"[{name}]"))


_LATEX_CHARACTERS = {
    "<": r"\lt ", ">": r"\gt ", "\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$",
    "#": r"\#", "%": r"\%", "&": r"\&", "_": r"\_", "^": r"\wedge ", "~": r"\sim ", "`": "'",
    "|": r"\vert ", "*": r"\ast ",
}  # fmt: skip
_LATEX_FUNCTIONS = {
    "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max",
}  # fmt: skip


class LatexFormula(Formula):
    """A formula as LaTeX, for Markdown between dollar signs."""

    __slots__ = ()
    times: ClassVar[str] = r" \cdot "
    between: ClassVar[str] = " "
    equals: ClassVar[str] = " &= "
    ellipsis: ClassVar[str] = r"\dots"
    verbosity: ClassVar[int] = 2

    @classmethod
    def number(cls, x: float) -> Formula:
        text = number(x)
        if math.isinf(x):
            return cls(text.replace("inf", r"\infty"), ATOM if x > 0.0 else SIGNED)
        mantissa, found, exponent = text.partition("e")
        level = SIGNED if text.startswith("-") else PRODUCT if found else ATOM
        text = rf"{mantissa} \cdot 10^{{{exponent}}}" if found else text
        return cls(rf"\text{{{text}}}" if math.isnan(x) else text, level)

    @classmethod
    def named(cls, name: str) -> Formula:
        if not re.fullmatch(r"[A-Za-z0-9_,#α-ωΑ-Ω]+", name):
            return cls(_latex_text(name))
        (stem, _), *scripts = typeset(name)
        spelled = {letter: word for word, letter in GREEK.items()}
        if "_" in stem:
            return cls(_latex_text(name))

        def written(text: str) -> str:
            return rf"\{spelled[text]}" if text in spelled else text

        text = written(stem) if len(stem) == 1 else rf"\text{{{stem}}}"
        for script, shift in scripts:
            if shift:
                text += f"{'^' if shift > 0 else '_'}{{{written(script)}}}"
            else:  # the second node of this name
                text = (
                    rf"{{{text}}}^{{({script[1:]})}}"
                    if "^" in text
                    else (rf"{text}^{{({script[1:]})}}")
                )
        return cls(text)

    @classmethod
    def derivative(cls, of: str, by: str) -> str:
        return rf"\frac{{\partial {of}}}{{\partial {by}}}"

    @classmethod
    def derivative_of(cls, of: Formula, by: str) -> str:
        return rf"\frac{{\partial}}{{\partial {by}}} {of.bracketed()}"

    @classmethod
    def placed(cls, name: str, position: int) -> str:
        return rf"{name}^{{[{position}]}}"

    @classmethod
    def direct(cls, derivative: str) -> str:
        return rf"{{{derivative}}}_{{\text{{direct}}}}"

    @classmethod
    def writers(cls) -> dict[str, Callable[[Op, list[Formula]], Formula]]:
        return {
            **super().writers(),
            "less": lambda _, x: cls(rf"{x[0].at(SUM)} \lt {x[1].at(SUM)}", COMPARISON),
            "less_equal": lambda _, x: cls(rf"{x[0].at(SUM)} \le {x[1].at(SUM)}", COMPARISON),
            "abs": lambda _, x: cls(rf"\left|{x[0].text}\right|"),
            "sqrt": lambda _, x: cls(rf"\sqrt{{{x[0].text}}}"),
            "exp": lambda _, x: cls(f"e^{{{x[0].text}}}", POWER),
            "sigmoid": lambda _, x: cls(rf"\sigma\left({x[0].text}\right)"),
        }

    @classmethod
    def call(cls, op: Op, operands: list[Formula]) -> Formula:
        name = op.name.replace("_", r"\_")
        name = rf"\{name}" if name in _LATEX_FUNCTIONS else rf"\operatorname{{{name}}}"
        written = [x.text for x in operands]
        if op.parameter is not None:
            written.append(cls.number(op.parameter).text)
        arguments = ", ".join(shorten(written, gap=cls.ellipsis))
        return cls(rf"{name}\left({arguments}\right)")

    @classmethod
    def fraction(cls, a: Formula, b: Formula) -> Formula:
        return cls(rf"\frac{{{a.text}}}{{{b.text}}}", POWER)

    @classmethod
    def raised(cls, base: Formula, exponent: Formula) -> Formula:
        return cls(f"{base.at(ATOM)}^{{{exponent.text}}}", POWER)

    @classmethod
    def choice(cls, condition: Formula, a: Formula, b: Formula) -> Formula:
        cases = rf"{a.text} & \text{{if }} {condition.text} \\ {b.text} & \text{{else}}"
        return cls(rf"\begin{{cases}} {cases} \end{{cases}}", PRODUCT)

    def bracketed(self) -> str:
        return rf"\left({self.text}\right)"


def _latex_text(text: str) -> str:
    """Write any text in LaTeX; characters that mean something there are written as signs."""
    parts = re.split(r"([<>\\{}$#%&_^~`|*])", text)
    written = [_LATEX_CHARACTERS.get(part, rf"\text{{{isolated(part)}}}") for part in parts if part]
    return "{" + "".join(written) + "}"
