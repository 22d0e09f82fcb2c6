"""Formulas as text: ``parse("(x + y) * z")`` becomes a computational graph.

The notes (section 'The Backpropagation Algorithm') write a graph as named steps, ``g = x + y`` and
``f = g * z``; so do formulas here, one step a line or several with ``;`` between them. The grammar,
and why no text can do harm, is in ``grammar.py``; here the checked steps meet numbers and nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_edu.engine.operation import Node, to_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.formula.grammar import FUNCTIONS, Compiler, FormulaError, Step, scan

__all__ = ["Expression", "FormulaError", "Graph", "parse"]


class Graph(NamedTuple):
    """What ``Expression.build`` returns: the output node, and the named nodes (inputs first).

    >>> graph = parse("g = x + y; f = g * z").build({"x": 2, "y": 3, "z": 4})
    >>> graph.output.data, graph.nodes["g"].data
    (20.0, 5.0)
    """

    output: Any
    nodes: dict[str, Any]


class Expression:
    """A parsed formula; made by ``parse``, then evaluated as often as you like.

    Attributes:
        text: The formula as it was given.
        names: The inputs, in the order of first use: names that are used but not computed.
        defaults: Inputs that the formula gives a number (``x = 2; f = x * y``).
        output_name: The name of the output: the one it is assigned to, else ``"f"``, or
            ``"output"`` if the formula uses ``f`` for something else.

    >>> expression = parse("x = 2; f = x * y")
    >>> expression.names, expression.defaults, expression.output_name
    (('y', 'x'), {'x': 2.0}, 'f')
    >>> expression.evaluate(y=3.0)
    6.0
    """

    __slots__ = ("_positions", "_program", "defaults", "names", "output_name", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"formula: expected text, got {type(text).__name__} {text!r:.60}")
        compiler = Compiler(text)
        program: list[tuple[str, tuple[Step, ...]]] = []
        statements = scan(text)
        for number, statement in enumerate(statements, 1):
            steps, size = compiler.statement(statement)
            last = number == len(statements)
            if last and size is not None:
                problem = "the output is a list; choose one with take(list, index), or sum(list)"
                raise FormulaError(problem, text, statement.start)
            if not last and statement.name is None:
                problem = "only the last step may go without a name; write g = ..."
                raise FormulaError(problem, text, statement.start)
            program.append((statement.name or "", steps))
        self.text: str = text
        self.defaults: dict[str, float] = compiler.defaults
        taken = {*compiler.free, *compiler.assigned, *compiler.defaults}
        self.output_name: str = program[-1][0] or next(
            name for name in ("f", "output", *(f"output{i}" for i in range(len(taken))))
            if name not in taken
        )  # fmt: skip
        self.names: tuple[str, ...] = (*compiler.free, *compiler.defaults)
        self._positions = compiler.free
        program[-1] = (self.output_name, program[-1][1])
        self._program = tuple(program)

    def __repr__(self) -> str:
        return f"<formula {self.text!r:.70} of {', '.join(self.names) or 'no inputs'}>"

    def __call__(self, /, *values: Any) -> Any:
        """Compute the output for values in the order of ``names``; see ``evaluate``.

        >>> parse("x / y")(3, 4)
        0.75
        """
        if len(values) != len(self.names):
            raise TypeError(
                f"expected {len(self.names)} values ({_some(self.names)}), got {len(values)}"
            )
        return self.evaluate(**dict(zip(self.names, values)))

    def evaluate(self, /, **values: Any) -> Any:
        """Compute the output for one value per input: a float from numbers, a node from nodes.

        Args:
            values: Numbers or nodes by name. Inputs with a default may be left out.

        Raises:
            FormulaError: If a value is missing, or belongs to no input.
            ZeroDivisionError, ValueError, OverflowError, IndexError: From the operations.

        >>> parse("(x + y) * z").evaluate(x=2, y=3, z=4)
        20.0
        """
        return self._run({**self.defaults, **self.check(values)}, wrap=False).output

    def build(self, values: Mapping[str, Any] | None = None, /) -> Graph:
        """Record the computational graph for one value per input.

        Numbers become ``Value`` leaves labelled with their name; nodes (Values, the compiler's
        symbols) are used as they are. Every named step gets its name as label.

        Raises:
            FormulaError: If a value is missing, or belongs to no input.
            ZeroDivisionError, ValueError, OverflowError, IndexError: From the operations.

        >>> f, nodes = parse("g = x + y; f = g * z").build({"x": 2, "y": 3, "z": 4})
        >>> f.backward()
        >>> f.data, nodes["g"].grad, nodes["z"].grad
        (20.0, 4.0, 5.0)
        """
        return self._run({**self.defaults, **self.check(values or {})}, wrap=True)

    def check(self, values: Mapping[str, Any], /) -> dict[str, Any]:
        """Return ``values``, numbers as floats, if there is exactly one for each input.

        Raises:
            FormulaError: If a value is missing, or belongs to no input.
            TypeError: If a value is neither a number nor a node.

        >>> parse("a * b").check({"a": 1, "b": 2})
        {'a': 1.0, 'b': 2.0}
        """
        for name in values:
            if name not in self.names:
                inputs = f"its inputs are {_some(self.names)}" if self.names else "it has no inputs"
                raise FormulaError(
                    f"{str(name)[:40]!r} is no input of the formula; {inputs}", self.text, 0
                )
        missing = [name for name in self.names if name not in values and name not in self.defaults]
        if missing:
            hint = f"; {missing[0]} is a function, call it" if missing[0] in FUNCTIONS else ""
            problem = f"no value given for {_some(missing)}{hint}"
            raise FormulaError(problem, self.text, self._positions[missing[0]])
        return {
            name: value if isinstance(value, Node) else to_float(value, name)
            for name, value in values.items()
        }

    def _run(self, inputs: dict[str, Any], wrap: bool) -> Graph:
        if any(isinstance(value, Node) and value.rank > 0 for value in inputs.values()):
            wrap = False  # a program is being traced: numbers are its constants
        known: dict[str, Any] = {
            name: Value(value, name) if wrap and not isinstance(value, Node) else value
            for name, value in inputs.items()
        }
        given = {id(node) for node in inputs.values()}  # the caller's nodes keep their labels
        for name, steps in self._program:
            if name in self.defaults:
                continue
            stack: list[Any] = []
            for kind, payload, count in steps:
                if kind == "number":
                    stack.append(payload)
                elif kind == "name":
                    stack.append(known[payload])
                else:
                    operands = stack[-count:]
                    del stack[-count:]
                    if kind == "call":
                        stack.append(payload(*operands))
                    else:
                        stack.append(operands if kind == "list" else payload(operands))
            result = stack.pop()
            if wrap and not isinstance(result, (Node, list)):
                result = Value(result)
            elements = enumerate(result) if isinstance(result, list) else ()
            for label, node in [(name, result), *((f"{name}[{i}]", x) for i, x in elements)]:
                if id(node) not in given and getattr(node, "label", None) == "":
                    node.label = label
            known[name] = result
        return Graph(known[self.output_name], known)


def parse(text: str) -> Expression:
    """Read a formula; see ``Expression`` for what can be done with it.

    A formula is one or more steps, separated by ``;`` or line ends: ``g = x + y; f = g * z``. The
    last one is the output. There are numbers and ``pi``, names, ``+ - * / **``, comparisons (1.0
    for true, 0.0 for false), lists in ``[ ]``, comments after ``#``, and the functions of the
    table: ``exp(x)``, ``where(x < 0, a, b)``, ``sum(a, b, c)``, ``dot([a, b], [c, d], start)``,
    ``take(softmax(a, b), 0)``, ...

    Raises:
        FormulaError: If ``text`` is not a formula; the message says what is wrong and where. Also
            if it is longer than 100,000 characters, nests brackets more than 90 deep, or needs more
            than 1000 operations on top of one another in one statement.

    >>> formula = parse("g = x + y; f = g * z")
    >>> formula.names, formula.output_name, formula.evaluate(x=2, y=3, z=4)
    (('x', 'y', 'z'), 'f', 20.0)
    """
    return Expression(text)


def _some(names: Sequence[str]) -> str:
    shown = [name if len(name) <= 40 else name[:40] + "..." for name in names[:8]]
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
