"""The operation table in JavaScript, for pages that compute for themselves.

Nothing is translated by hand but the elementary functions (``pages/arithmetic.js``). A row's
``formula`` and ``local_gradients`` are applied to nodes that write down the JavaScript of what was
done to them, so a page's derivatives are those of the table.

>>> from tinygrad_edu.engine import ops
>>> print(operation_source(ops.exp, 1))
{
  name: "exp", requires: "",
  forward: (a) => exp(a),
  gradients: (y, a) => [y],
}
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from tinygrad_edu.drawing.pages.page import page_file
from tinygrad_edu.drawing.words.notation import ATOM, SIGNED, Formula
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.value import Value

_SHARE_FROM = 48  # characters; a longer text gets a name, so that no text is written twice


ELEMENTARY = frozenset(re.findall(r"^(?:const|function) (\w+)", page_file("arithmetic.js"), re.M))


def operation_key(op: Op, count: int) -> str:
    """Return the name under which a page keeps ``op`` with ``count`` operands.

    >>> from tinygrad_edu.engine import ops
    >>> operation_key(ops.mul, 2), operation_key(ops.power(3.0), 1), operation_key(ops.dot, 5)
    ('mul', 'power 3.0', 'dot/5')
    """
    key = op.name if op.parameter is None else f"{op.name} {op.parameter!r}"
    return key if op.arity is not None else f"{key}/{count}"


def operations_source(nodes: Iterable[Value]) -> str:
    """Return JavaScript that defines ``OPERATIONS``, with every operation that ``nodes`` use."""
    used = {
        operation_key(node.op, len(node.operands)): (node.op, len(node.operands))
        for node in nodes
        if node.op is not None
    }
    rows = (f"{json.dumps(key)}: {operation_source(*used[key])}," for key in sorted(used))
    return "\n".join(["const OPERATIONS = {", *rows, "};", ""])


def operation_source(op: Op, count: int) -> str:
    """Return the JavaScript of one operation applied to ``count`` operands.

    Raises:
        NotImplementedError: If the operation is elementary, that is, has no formula, and is not in
            ``pages/arithmetic.js``.
    """
    names = ["a", "b", "c"][:count] if count <= 3 else [f"a{i}" for i in range(count)]
    forward = function_source(names, op.formula or op, names)
    if op.name == "polygamma":  # the formula goes on where the forward raises
        forward = f"inDomain({forward})"
    gradients = function_source(["y", *names], op.local_gradients, ["y", *names])
    return (
        f"{{\n  name: {json.dumps(op.name)}, requires: {json.dumps(op.requires)},\n"
        f"  forward: {forward},\n  gradients: {gradients},\n}}"
    )


class JavaScript(Formula):
    """A number in JavaScript: the expression that computes it."""

    __slots__ = ()

    @classmethod
    def number(cls, x: float) -> Formula:
        text = "NaN" if math.isnan(x) else repr(x).replace("inf", "Infinity")
        return cls(text, SIGNED if text.startswith("-") else ATOM)

    @classmethod
    def writers(cls) -> dict[str, Callable[[Op, list[Formula]], Formula]]:
        infix = super().writers()
        return {
            **{name: infix[name] for name in ("add", "sub", "mul", "neg")},
            "power": lambda op, x: cls(f"pow({x[0]}, {cls.number(op.parameter or 0.0)})"),
            "exponential": lambda op, x: cls(f"pow({cls.number(op.parameter or 0.0)}, {x[0]})"),
        }

    @classmethod
    def call(cls, op: Op, operands: list[Formula]) -> Formula:
        if op.formula is not None:
            result = op.formula(*operands)
            assert isinstance(result, Formula)
            return result
        if op.name not in ELEMENTARY:
            raise NotImplementedError(
                f"{op.name} has no formula and is not in pages/arithmetic.js: add it to one of "
                "them (an operation of yours takes formula=, written with other operations)"
            )
        return cls(f"{op.name}({', '.join(x.text for x in operands)})")


def function_source(
    parameters: Sequence[str], function: Callable[..., Any], operands: Iterable[str]
) -> str:
    """Return a function of numbers and nodes as a JavaScript arrow function.

    Args:
        parameters: The names of the arrow function's parameters.
        function: The function; its result is a number or node, or a tuple of them (then the arrow
            function returns an array).
        operands: What it is called with, in JavaScript, such as ``"a"`` or ``"p[0]"``.

    >>> function_source(["p"], lambda a, b: a * b + 1.0, ["p[0]", "p[1]"])
    '(p) => p[0] * p[1] + 1.0'
    """
    constants: dict[str, str] = {}

    class Sharing(JavaScript):
        __slots__ = ()
        rank: ClassVar[int] = JavaScript.rank + 1

        @classmethod
        def record(cls, op: Op, operands: tuple[Any, ...]) -> Formula:
            written = super().record(op, operands)
            if len(written.text) < _SHARE_FROM:
                return written
            return cls(constants.setdefault(written.text, f"t{len(constants)}"))

    results = function(*(Sharing(operand) for operand in operands))
    several = isinstance(results, tuple)
    texts = [
        x.text if isinstance(x, Formula) else JavaScript.number(float(x)).text
        for x in (results if several else [results])
    ]
    uses = Counter(re.findall(r"\bt\d+\b", " ".join([*constants, *texts])))
    for text, name in list(constants.items()):  # what is used once needs no name
        if uses[name] == 1 and name in texts:
            texts[texts.index(name)] = text
            del constants[text]
    value = f"[{', '.join(texts)}]" if several else texts[0]
    head = f"({', '.join(parameters)}) =>"
    if not constants:
        return f"{head} {value}"
    lines = [f"    const {name} = {text};\n" for text, name in constants.items()]
    return f"{head} {{\n{''.join(lines)}    return {value};\n  }}"
