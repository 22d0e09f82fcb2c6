"""The misconception that a failed check proves, in a few words, the same for all who have it."""

from __future__ import annotations

import re

from tinygrad_edu.grading.record import CheckRecord

_PYTHON = {"+": "add", "-": "sub", "*": "mul", "/": "truediv", "**": "pow"}

# words of a message that stand there only where an experiment shows the cause; {} is the operation
_WORDS = [
    (r"replaces the gradient", "overwrite in {}"),
    (r"lets a node pass its gradient on once for every path", "passes on once for every path"),
    (r"visits a node before all nodes that use it", "passes on before all has come in"),
    (r"the derivative is passed on as it is", "no chain rule in {}"),
    (r"belongs to the other", "derivatives exchanged in {}"),
    (r"nothing is passed on to", "nothing passed on in {}"),
    (r"Its sign is wrong", "wrong sign in {}"),
    (r"in the wrong order: this is", "operands swapped in {}"),
    (r"the class has no `(\w+)`", "no {0}"),
    (r"loses its __hash__", "__eq__ without __hash__"),
    (r"make it a Value first", "plain numbers are not made Values"),
    (r"Is a `return` missing", "a return is missing"),
    (r"Wrap the result in a Value", "a result is not wrapped in a Value"),
    (r"has to leave its operands as", "an operation changes its operands"),
    (r"has to begin with `self.grad = 1.0`", "backward does not start with 1"),
]


def cause_of(check: CheckRecord) -> str:
    """The cause that the check carries, or that its message names; empty if it is left open.

    >>> cause_of(CheckRecord("gradients add up", "accumulation", False,
    ...     "`a ** 2`: what the operation passes on replaces the gradient that `a` had."))
    'overwrite in pow'
    """
    if check.passed or check.cause:
        return "" if check.passed else check.cause
    for words, cause in _WORDS:
        found = re.search(words, check.message)
        if found is None:
            continue
        if "{0}" in cause:
            return cause.format(found[1])
        code = check.name.partition(" of ")[2]
        if " " not in code and "." not in code and not code.startswith("-"):
            code = next(iter(re.findall(r"`([^`]+)`", check.message)), "")
        return cause.format(_operation(code))
    return ""


def _operation(code: str) -> str:
    method = re.search(r"\.(\w+)\(\)", code)
    if method:
        return method[1]
    sign = re.search(r" (\*\*|[-+*/]) ", code)
    return _PYTHON[sign[1]] if sign else "neg" if code.startswith("-") else "backward"
