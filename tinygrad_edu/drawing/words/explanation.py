"""``explain``: the chain rule spelled out for one graph, with its names and its numbers.

The notes do this for two graphs (section 'The Backpropagation Algorithm'); here it is done for any:

>>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
>>> print(explain((x + y) * z))
f = (x + y) * z
<BLANKLINE>
Forward pass
  x = 2
  y = 3
  z = 4
  g = x + y = 2 + 3 = 5
  f = g * z = 5 * 4 = 20
<BLANKLINE>
Local derivatives
  df/dg = d(g * z)/dg = z = 4
  df/dz = d(g * z)/dz = g = 5
  dg/dx = d(x + y)/dx = 1
  dg/dy = d(x + y)/dy = 1
<BLANKLINE>
Backward pass
  df/df = 1
  df/dg = d(g * z)/dg = z = 4
  df/dz = d(g * z)/dz = g = 5
  df/dx = df/dg * dg/dx = 4 * 1 = 4
  df/dy = df/dg * dg/dy = 4 * 1 = 4
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tinygrad_edu.drawing.words.chain_rule import ChainRule, Term
from tinygrad_edu.drawing.words.notation import (
    POWER,
    PRODUCT,
    SIGNED,
    Formula,
    LatexFormula,
    TextFormula,
    is_rounded,
    shorten,
)
from tinygrad_edu.engine.value import Constant, Value

_LONGEST_RULE = (
    40  # characters of a derivative written with letters; longer ones are left to numbers
)
_LONGEST_TITLE = 72  # characters of the whole formula
MOST_TERMS = 6  # of a sum at a junction, before its middle is left out


class Line(NamedTuple):
    """One line of an explanation.

    Attributes:
        part: ``"forward"``, ``"local"`` or ``"backward"``.
        name: The node it is about; for a local derivative, the operand. Empty where several nodes
            were collapsed into this line.
        text: The line as plain text.
        latex: The line as LaTeX, ``left &= right`` for an aligned block.
    """

    part: str
    name: str
    text: str
    latex: str


class Explanation:
    """What ``explain`` returns; prints as text and shows itself in notebooks.

    Attributes:
        lines: All lines, in order.
        gradients: The derivative of the output by each node that takes part, by name.
        rounded: Whether any number is shown with fewer digits than it has.

    ``explanation["x"]`` is the line that derives the gradient of the node called ``x``.

    >>> from tinygrad_edu import Value, explain
    >>> x = Value(3.0, "x")
    >>> f = x * x
    >>> f.backward()
    >>> found = explain(f)
    >>> found.gradients["x"], found.rounded
    (6.0, False)
    """

    def __init__(
        self,
        title: tuple[str, str],
        lines: Sequence[Line],
        gradients: dict[str, float],
        rounded: bool,
    ) -> None:
        self._title = title
        self.lines: tuple[Line, ...] = tuple(lines)
        self.gradients = gradients
        self.rounded = rounded

    def _parts(self) -> Iterator[tuple[str, list[Line]]]:
        for part, heading in _HEADINGS.items():
            yield heading, [line for line in self.lines if line.part == part]

    @property
    def text(self) -> str:
        """The explanation as plain text."""
        blocks = [self._title[0]] + [
            "\n".join([heading, *(f"  {line.text}" for line in lines)])
            for heading, lines in self._parts()
            if lines
        ]
        return "\n\n".join(block for block in [*blocks, _ROUNDED * self.rounded] if block)

    @property
    def markdown(self) -> str:
        """The explanation as Markdown, its formulas as LaTeX between dollar signs."""
        title = f"$${self._title[1]}$$" if self._title[1] else ""
        blocks = [title] + [
            f"**{heading}**\n\n$${_aligned(lines)}$$" for heading, lines in self._parts() if lines
        ]
        note = f"*{_ROUNDED}*" if self.rounded else ""
        return "\n\n".join(block for block in [*blocks, note] if block)

    @property
    def latex(self) -> str:
        """The backward pass alone, as one LaTeX block."""
        return _aligned([line for line in self.lines if line.part == "backward"])

    def __getitem__(self, name: str) -> str:
        for line in self.lines:
            if line.part == "backward" and line.name == name:
                return line.text
        known = [line.name for line in self.lines if line.part == "backward" and line.name]
        raise KeyError(f"{name}: not explained here; there are {', '.join(shorten(known, 20))}")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<explanation of {self._title[0] or 'a graph'}, {len(self.lines)} lines>"

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self.text if not cycle else "...")


_HEADINGS = {
    "forward": "Forward pass",
    "local": "Local derivatives",
    "backward": "Backward pass",
}
_ROUNDED = "Numbers are shown with four significant digits."


def explain(
    output: Value, wrt: Value | Iterable[Value] | None = None, *, limit: int | None = 40
) -> Explanation:
    """Write out the chain rule for every node of a graph, in the order of the backward pass.

    Three parts: the forward pass; each node's derivative by its own operands; and the backward
    pass, where the gradient of a node is the sum, over the children that use it, of the child's
    gradient times the child's local derivative. Nothing in the graph is changed, and no ``grad``
    is read.

    Unlabelled nodes get names that are the same in every run: ``f`` for the output and ``g``,
    ``h``, ... behind it, ``v1``, ``v2``, ... in large graphs. ``dh/dx(direct)`` marks a derivative
    that holds the other operands fixed although they depend on ``x`` as well; ``x[1]`` is ``x`` as
    the first operand of a node that uses it more than once.

    Args:
        output: The node to differentiate.
        wrt: One node or several; only the paths from the output to them are explained. All nodes
            by default.
        limit: How many nodes are written out. Of a larger graph these are the nodes of ``wrt`` and
            then those next to the output; the others are counted by operation. ``None`` for all.

    Returns:
        The explanation: ``print`` it, take ``.markdown`` or ``.latex``, or let a notebook show it.

    Raises:
        TypeError: If ``output`` or one of ``wrt`` is not a Value.
        ValueError: If ``limit`` is less than 1.
        ZeroDivisionError, ValueError, OverflowError: Where a derivative does not exist.

    Source: the notes, section 'The Backpropagation Algorithm'. Where paths join, as in their second
    example:

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> explain(((x + y) + (x * y)) * z)["x"]
    'df/dx = df/dh * dh/dx + df/di * di/dx = 4 * 1 + 4 * 3 = 4 + 12 = 16'
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1, or None for no limit, got {limit}")
    try:
        rule = ChainRule(output, wrt)
    except TypeError as error:
        raise TypeError(f"explain: {error}") from None
    asked = [rule.index[node] for node in rule.wrt or () if node in rule.index]
    shown = set(rule.backward)
    if limit is not None and len(rule.backward) > limit:
        shown = set(list(dict.fromkeys([rule.backward[0], *asked, *rule.backward]))[:limit])
    writers = Writer(rule, TextFormula), Writer(rule, LatexFormula)
    lines = [*_forward(rule, shown, writers), *_local(rule, shown, writers)]
    lines += _backward(rule, shown, writers)
    for node in rule.wrt or ():
        if node not in rule.index:
            lines.append(_no_path(rule, node))
    data = [rule.nodes[i].data for i in shown]
    numbers = [*data, *(x for i in shown for term in rule.terms[i] for x in term[2:])]
    return Explanation(
        (writers[0].title(), writers[1].title()),
        lines,
        {rule.names[i]: rule.gradients[i] for i in rule.backward},
        any(is_rounded(x) for x in numbers),
    )


# --- the three parts ---

Writers = tuple["Writer", "Writer"]


def _forward(rule: ChainRule, shown: set[int], writers: Writers) -> Iterator[Line]:
    needed = shown | {
        rule.index[x]
        for i in shown
        for x in rule.nodes[i].operands
        if len(rule.backward) == len(shown) and not is_number_node(x)
    }
    for leaf in (True, False):  # inputs first, as one reads an example
        for i, node in enumerate(rule.nodes):
            if i in needed and (node.op is None) is leaf:
                text, latex = (_equation(w.forward(i), w.formula.equals) for w in writers)
                yield Line("forward", rule.names[i], text, latex)
    yield from _collapsed(rule, shown, "forward")


def _local(rule: ChainRule, shown: set[int], writers: Writers) -> Iterator[Line]:
    for i in rule.backward:
        if i not in shown:
            continue
        for term in rule.passed[i][:MOST_TERMS]:
            operand = rule.index[rule.nodes[i].operands[term.position]]
            text, latex = (_equation(w.local(operand, term), w.formula.equals) for w in writers)
            yield Line("local", rule.names[operand], text, latex)
        if len(rule.passed[i]) > MOST_TERMS:
            more = f"... and by {len(rule.passed[i]) - MOST_TERMS} more operands"
            yield Line("local", "", more, rf"&\text{{{more}}}")


def _backward(rule: ChainRule, shown: set[int], writers: Writers) -> Iterator[Line]:
    for i in rule.backward:
        if i in shown:
            text, latex = (_equation(w.backward(i), w.formula.equals) for w in writers)
            yield Line("backward", rule.names[i], text, latex)
    yield from _collapsed(rule, shown, "backward")


def _collapsed(rule: ChainRule, shown: set[int], part: str) -> Iterator[Line]:
    """One line in the place of the nodes beyond the limit."""
    hidden = [rule.nodes[i] for i in rule.backward if i not in shown]
    if not hidden:
        return
    counts = Counter("inputs" if node.op is None else node.op.name for node in hidden)
    by_kind = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    text = f"... {len(hidden):,} more nodes ({by_kind})"
    yield Line(part, "", text, rf"&\text{{{text.replace('_', ' ')}}}")


def _no_path(rule: ChainRule, node: Value) -> Line:
    name = node.label or "?"
    of = rule.names[-1]
    text = TextFormula.derivative(of, TextFormula.named(name).text)
    latex = LatexFormula.derivative(LatexFormula.named(of).text, LatexFormula.named(name).text)
    return Line("backward", name, f"{text} = 0 (no path leads there)", rf"{latex} &= 0")


# --- how a line is put together ---


class Writer:
    """Writes the sides of an equation in one notation: ``["df/dx", "df/dg * dg/dx", ..., "4"]``."""

    def __init__(self, rule: ChainRule, formula: type[Formula]) -> None:
        self.rule = rule
        self.formula = formula

    def name(self, i: int) -> Formula:
        node = self.rule.nodes[i]
        return (
            self.formula.number(node.data)
            if is_number_node(node)
            else self.formula.named(self.rule.names[i])
        )

    def operation(self, i: int, operands: Iterable[Any]) -> Formula:
        op = self.rule.nodes[i].op
        assert op is not None
        return self.formula.record(op, tuple(operands))

    def title(self) -> str:
        """The whole graph as one formula, if that is short and not already said by one node."""
        written: list[Formula] = []
        for i, node in enumerate(self.rule.nodes):
            operands = [written[self.rule.index[x]] for x in node.operands]
            written.append(self.operation(i, operands) if operands else self.name(i))
            if len(written[-1].text) > _LONGEST_TITLE * self.formula.verbosity:
                return ""
        last = self.rule.nodes[-1]
        return f"{self.name(len(written) - 1)} = {written[-1]}" if last.op else ""

    def forward(self, i: int) -> list[str]:
        node = self.rule.nodes[i]
        result = self.formula.number(node.data).text
        operands = [self.rule.index[x] for x in node.operands]
        if not operands or (
            self.rule.wrt is not None and i not in self.rule.backward
        ):  # what lies off the paths is known by its value
            return [self.name(i).text, result]
        letters = self.operation(i, map(self.name, operands)).text
        numbers = self.operation(i, [self.rule.nodes[x].data for x in operands]).text
        return [self.name(i).text, letters, numbers, result]

    def operand(self, operand: int, term: Term) -> str:
        """The operand's name, with its place where the child uses it more than once."""
        name = self.name(operand).text
        operands = self.rule.nodes[term.child].operands
        twice = operands.count(operands[term.position]) > 1
        return self.formula.placed(name, term.position + 1) if twice else name

    def local_name(self, operand: int, term: Term) -> str:
        """``dg/dx``, marked where that alone would be read as something else."""
        by = self.operand(operand, term)
        text = self.formula.derivative(self.name(term.child).text, by)
        unmarked = by == self.name(operand).text
        return self.formula.direct(text) if unmarked and self.rule.is_direct(term) else text

    def operation_derivative(self, operand: int, term: Term) -> str:
        """``d(x + y)/dx``, or nothing if that is long."""
        operands = [self.rule.index[x] for x in self.rule.nodes[term.child].operands]
        of = self.operation(term.child, map(self.name, operands))
        if len(of.text) > _LONGEST_RULE * self.formula.verbosity:
            return ""
        return self.formula.derivative_of(of, self.operand(operand, term))

    def rule_text(self, term: Term) -> str:
        """The local derivative in letters, as the table's rule has it; nothing if that is long."""
        node = self.rule.nodes[term.child]
        assert node.op is not None
        operands = [self.name(self.rule.index[x]) for x in node.operands]
        partial = node.op.taught(self.name(term.child), *operands)[term.position]
        if not isinstance(partial, Formula):
            return ""
        return partial.text if len(partial.text) <= _LONGEST_RULE * self.formula.verbosity else ""

    def local(self, operand: int, term: Term) -> list[str]:
        return [
            self.local_name(operand, term),
            self.operation_derivative(operand, term),
            self.rule_text(term),
            self.formula.number(term.local).text,
        ]

    def term(self, i: int, term: Term) -> str:
        """``df/dg * dg/dx``; for an operand of the output ``d(...)/dx``, as df/df is 1."""
        if term.child == len(self.rule.nodes) - 1:
            return self.operation_derivative(i, term) or self.local_name(i, term)
        return self.formula.between.join([self.gradient_name(term.child), self.local_name(i, term)])

    def gradient_name(self, i: int) -> str:
        """``df/dx``."""
        return self.formula.derivative(self.name(-1).text, self.name(i).text)

    def backward(self, i: int, count: int | None = None) -> list[str]:
        """The gradient's line; with ``count`` as it is when so many of its terms have arrived."""
        rule, last = self.rule, len(self.rule.nodes) - 1
        left = self.gradient_name(i)
        if i == last:
            return [left, "1"]
        terms = rule.terms[i]
        total = self.formula.number(rule.gradients[i]).text
        if len(terms) == 1 and terms[0].child == last:  # df/dg, where f is computed from g
            first = terms[0]
            return [left, self.operation_derivative(i, first), self.rule_text(first), total]
        arrived = terms if count is None else terms[:count]
        letters = [self.term(i, term) for term in self._shown(terms)]
        products, shares = [], []
        for term in self._shown(arrived):
            local = self.formula.number(term.local)
            # a minus may start a sum, not follow a +
            sign = SIGNED if term is terms[0] else PRODUCT
            if term.child == last:
                products.append(local.at(sign))
            else:
                factor = self.formula.number(term.upstream).at(sign)
                products.append(factor + self.formula.times + local.at(POWER))
            shares.append(self.formula.number(term.share).text)
        for sides, number in ((letters, terms), (products, arrived), (shares, arrived)):
            if len(sides) < len(number):
                sides.insert(-1, self.formula.ellipsis)
        if len(arrived) < len(terms):
            products.append(self.formula.ellipsis)
            return [left, " + ".join(letters), " + ".join(products)]
        sums = " + ".join(shares).replace("+ -", "- ") if len(terms) > 1 else ""
        return [left, " + ".join(letters), " + ".join(products), sums, total]

    def _shown(self, terms: Sequence[Term]) -> Sequence[Term]:
        """The terms that are written out of a long sum."""
        return terms if len(terms) <= MOST_TERMS else [*terms[: MOST_TERMS - 1], terms[-1]]


def is_number_node(node: Value) -> bool:
    return isinstance(node, Constant) and node.op is None


def _equation(sides: Sequence[str], equals: str) -> str:
    """Join the sides that say something new: ``df/dx = 4 * 1 = 4``."""
    kept: list[str] = []
    for side in sides:
        if side and (not kept or side != kept[-1]):
            kept.append(side)
    return equals.join(kept[:2]) + "".join(f" = {side}" for side in kept[2:])


def one_line(sides: Sequence[str]) -> str:
    """Join the sides of an equation as plain text."""
    return _equation(sides, TextFormula.equals)


def _aligned(lines: Sequence[Line]) -> str:
    rows = " \\\\\n".join(line.latex for line in lines)
    return f"\\begin{{aligned}}\n{rows}\n\\end{{aligned}}"
