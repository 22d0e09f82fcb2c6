"""Write the stubs that type checkers and editors read, from the table of operations.

    python tools/signatures.py          writes them
    python tools/signatures.py --check  exit code 1, and their names, if one is not current

At run time one object serves floats, Values and the compiler's symbols, and names come from the
table; what a checker needs to know about that is the same for every row, so nobody writes it down.

``engine/_signatures.pyi``  what operators and methods of a Value take and return
``engine/functional.pyi``   the functions, each with its one line from the table
``__init__.pyi``            the front door: every public name, where it comes from
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinygrad_edu"
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import tinygrad_edu  # noqa: E402
from tinygrad_edu.engine import functional, ops  # noqa: E402
from tinygrad_edu.engine.operation import Op  # noqa: E402
from tinygrad_edu.engine.operators import Operators  # noqa: E402

_HEAD = """\
# Written by tools/signatures.py from the table of operations; change that, not this.
"""
_TYPES = '''
class RealNumber(Protocol):
    """A plain real number: int, float, a fraction, one of numpy's."""

    def __float__(self) -> float: ...
    def as_integer_ratio(self) -> tuple[int, int]: ...

Number: TypeAlias = float | RealNumber
Operand: TypeAlias = Value | Number

_T = TypeVar("_T", covariant=True)

class Numbers(Protocol[_T]):
    """A sequence of numbers: a list, a tuple, an array."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_T]: ...
'''
_BINARY = ("add", "sub", "mul", "truediv", "mod")
_REDUCTIONS = ("sum", "mean", "max", "min", "norm", "logsumexp")
_LISTS = ("softmax", "log_softmax")


def _doc(thing: Any, indent: str = "    ") -> str:
    """The docstring of a function; for a row of the table what it computes, and where."""
    text = inspect.getdoc(thing) or ""
    quoted = text.replace("\\", "\\\\").replace('"""', '\\"""')
    if "\n" not in quoted:
        return f'{indent}"""{quoted}"""\n'
    lines = [f"{indent}{line}".rstrip() for line in f'"""{quoted}'.splitlines()]
    return "\n".join(lines) + f'\n{indent}"""\n'


def _overloads(name: str, doc: str, cases: list[tuple[str, str]]) -> str:
    """Write one function that answers by the kinds of its arguments."""
    # A list of floats is also a list of floats and Values, for which a checker is told to expect a
    # Value: whoever mixes them knows that there is one.
    written = []
    for parameters, result in cases:
        # every case has the docstring: checkers and editors show that of the case that matched
        ignored = "  # type: ignore[overload-overlap]" if "[Number]" in parameters else ""
        written.append(f"@overload\ndef {name}({parameters}) -> {result}:{ignored}\n{doc}    ...\n")
    return "".join(written)


def _scalar(name: str, operands: list[str], doc: str, *, rest: str = "", slash: bool = True) -> str:
    """A function of single numbers: of floats a float, of Values a Value."""

    def parameters(kinds: list[str]) -> str:
        listed = [f"{x}: {kind}" for x, kind in zip(operands, kinds)]
        return ", ".join([*listed, *(["/"] if slash else []), *([rest] if rest else [])])

    n = len(operands)
    cases = [(parameters(["Number"] * n), "float")]
    for i in range(n):
        kinds = ["Number"] * i + ["Value"] + ["Operand"] * (n - i - 1)
        cases.append((parameters(kinds), "Value"))
    cases.append((parameters(["Node | Number"] * n), "Any"))
    return _overloads(name, doc, cases)


def _function(name: str) -> str:
    """The stub of one public function of ``functional``."""
    held = getattr(functional, name)
    doc = _doc(held)
    if isinstance(held, Op):
        arity = held.arity or 0
        return _scalar(name, {1: ["x"], 2: ["a", "b"]}.get(arity, [*"abcdefgh"[:arity]]), doc)
    signature = inspect.signature(held)
    names = list(signature.parameters)
    if name == "leaky_relu":
        return _scalar(name, ["x"], doc, rest="slope: float = 0.01", slash=False)
    if name == "elu":
        return _scalar(name, ["x"], doc, rest="alpha: float = 1.0", slash=False)
    if name == "polygamma":
        kinds = (("Number", "float"), ("Value", "Value"), ("Node | Number", "Any"))
        return _overloads(name, doc, [(f"order: int, x: {k}", result) for k, result in kinds])
    if name in ("pow", "greater", "greater_equal"):
        return _scalar(name, names, doc, slash=False)
    if name == "where":
        kinds = (
            ("bool | Number", "Number", "Number", "float"),
            ("bool | Operand", "Value", "Operand", "Value"),
            ("bool | Operand", "Operand", "Value", "Value"),
            ("Value", "Number", "Number", "Value"),
            ("Any", "Node | Number", "Node | Number", "Any"),
        )
        return _overloads(
            name, doc, [(f"condition: {c}, a: {a}, b: {b}", result) for c, a, b, result in kinds]
        )
    if name in (*_REDUCTIONS, *_LISTS) and len(names) == 1:
        result = "list[{}]" if name in _LISTS else "{}"
        return _overloads(
            name,
            doc,
            [
                (f"{names[0]}: Iterable[Number]", result.format("float")),
                (f"{names[0]}: Iterable[Operand]", result.format("Value")),
                (f"{names[0]}: Iterable[Node | Number]", result.format("Any")),
            ],
        )
    if name == "dot" and names == ["a", "b", "start"]:
        kinds = (("Number", "float"), ("Operand", "Value"), ("Node | Number", "Any"))
        return _overloads(
            name,
            doc,
            [
                (f"a: Numbers[{k}], b: Numbers[{k}], start: {k} | None = None", result)
                for k, result in kinds
            ],
        )
    if name == "take" and names == ["values", "index"]:
        kinds = (
            ("Number", "Number", "float"),
            ("Operand", "Operand", "Value"),
            ("Node | Number", "Node | Number", "Any"),
        )
        return _overloads(
            name, doc, [(f"values: Numbers[{v}], index: {i}", result) for v, i, result in kinds]
        )
    written = str(signature).replace("'", "")  # annotations are text there
    return f"def {name}{written}:\n{doc}    ...\n"  # as it stands


def functional_stub() -> str:
    """Return the text of ``engine/functional.pyi``."""
    names = sorted(functional.__all__)
    return (
        _HEAD
        + "from collections.abc import Callable, Iterable\n"
        + "from typing import Any, overload\n\n"
        + "from tinygrad_edu.engine._signatures import Number, Numbers, Operand\n"
        + "from tinygrad_edu.engine.operation import Node\n"
        + "from tinygrad_edu.engine.value import Value\n\n"
        + f"__all__ = {names!r}\n\n"
        + "\n".join(map(_function, names))
    )


def operators_stub() -> str:
    """Return the text of ``engine/_signatures.pyi``."""
    lines = [
        "class ValueOperators(Operators):",
        '    """What arithmetic on a Value gives: another Value."""',
        "",
    ]
    lines += [
        f"    def __{side}{name}__(self, other: Operand) -> Value: ..."
        for name in _BINARY
        for side in ("", "r")
    ]
    lines += [
        "    def __pow__(self, exponent: Operand) -> Value: ...",
        "    def __rpow__(self, base: Number) -> Value: ...",
        "    def __neg__(self) -> Value: ...",
        "    def __pos__(self) -> Value: ...",
        "    def __abs__(self) -> Value: ...",
        "    def conjugate(self) -> Value: ...",
        "    def leaky_relu(self, slope: float = 0.01) -> Value:",
        _doc(Operators.leaky_relu, "        ").rstrip("\n"),
        "        ...",
    ]
    for name, method in sorted(vars(Operators).items()):
        row = ops.TABLE.get(method.__name__) if inspect.isfunction(method) else None
        if row is None or name.startswith("_"):
            continue
        if name in vars(Operators) and row.arity in (1, 2):
            lines.append(
                f"    def {name}(self) -> Value:"
                if row.arity == 1
                else f"    def {name}(self, other: Operand, /) -> Value:"
            )
            lines += [_doc(method, "        ").rstrip("\n"), "        ..."]
    return (
        _HEAD
        + "from collections.abc import Iterator\n"
        + "from typing import Protocol, TypeAlias, TypeVar\n\n"
        + "from tinygrad_edu.engine.operators import Operators\n"
        + "from tinygrad_edu.engine.value import Value\n"
        + _TYPES
        + "\n"
        + "\n".join(lines)
        + "\n"
    )


def package_stub() -> str:
    """Return the text of ``__init__.pyi``: the imports that checkers see, and the names in full."""
    front = tinygrad_edu
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tinygrad_edu"):
            for alias in node.names:
                if alias.asname == alias.name:
                    imports[alias.name] = str(node.module)
    missing = set(front._LAZY) - set(imports)
    assert not missing, f"__init__.py: import {missing} for checkers, too"
    functions = [name for name in functional.__all__ if name not in imports]
    lines = [f"from {module} import {name} as {name}" for name, module in imports.items()]
    lines += [f"from tinygrad_edu.engine.functional import {name} as {name}" for name in functions]
    rooms = sorted({*front._ROOMS, "functional"})
    lines += [f"from tinygrad_edu import {room} as {room}" for room in rooms]
    return _HEAD + _doc(front, "") + "\n".join(sorted(lines)) + f"\n\n__all__ = {front.__all__!r}\n"


STUBS = {
    "engine/_signatures.pyi": operators_stub,
    "engine/functional.pyi": functional_stub,
    "__init__.pyi": package_stub,
}


def formatted(text: str, path: str) -> str:
    """Return text as ``ruff format`` has it."""
    import subprocess

    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(PACKAGE / path), "-"],
            input=text, capture_output=True, text=True, check=True, encoding="utf-8", cwd=ROOT,
        )  # fmt: skip
        text = done.stdout
    return text


def main(arguments: list[str]) -> int:
    """Write the stubs, or check them."""
    stale = []
    for path, write in STUBS.items():
        text, file = formatted(write(), path), PACKAGE / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(path)
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8")
    if stale:
        print("not current:" if "--check" in arguments else "written:", *stale)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
