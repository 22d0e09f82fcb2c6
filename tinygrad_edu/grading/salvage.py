"""Reading a student's file: its text, and what of it is worth keeping when it does not run whole.

Imports nothing but the standard library, for ``child.py`` loads it by its path.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Iterator

# calls that make a constant, and do nothing else
_PURE = {
    "float", "int", "bool", "str", "complex", "tuple", "list", "set", "dict", "frozenset", "range",
    "len", "min", "max", "abs", "round", "sum", "property", "staticmethod", "classmethod", "object",
    "TypeVar", "NewType", "namedtuple", "NamedTuple", "defaultdict", "Decimal", "Fraction",
    "total_ordering", "lru_cache", "cache", "partial", "methodcaller", "attrgetter", "itemgetter",
}  # fmt: skip


def read_source(path: str) -> tuple[str, list[str]]:
    """The Python text of a ``.py`` file or a notebook, and what has to be told about it.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is a broken notebook.
    """
    with open(path, "rb") as file:
        raw = file.read()
    if path.lower().endswith(".ipynb"):
        return _notebook(raw)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return raw.decode(encoding).replace("\r\n", "\n"), []
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = raw.decode("latin-1").replace("\r\n", "\n")
        return text, ["the file is not in UTF-8; it was read as Latin-1"]


def _notebook(raw: bytes) -> tuple[str, list[str]]:
    try:
        cells = json.loads(raw.decode("utf-8-sig"))["cells"]
        texts = [
            "".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code"
        ]  # a list of lines, or one text
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a notebook ({type(error).__name__}: {error})") from None
    kept: list[str] = []
    notes: list[str] = []
    for number, text in enumerate(texts, 1):
        lines = text.split("\n")
        first = next((line for line in lines if line.strip()), "")
        if first.startswith("%%") and first.split()[0] not in ("%%time", "%%timeit", "%%capture"):
            notes.append(f"cell {number}: `{first.strip()[:40]}`")
            lines = []
        for i, line in enumerate(lines):
            bare = line.lstrip()
            if bare.startswith(("%", "!", "?")) or (bare.endswith("?") and "#" not in bare):
                indent = line[: len(line) - len(bare)]
                lines[i] = f"{indent}pass  # {bare}"
                notes.append(f"cell {number}: `{bare[:40]}`")
        joined = "\n".join(lines)
        try:
            compile(joined, "cell", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            # one unfinished cell must not cost the others
            line_number = getattr(error, "lineno", None)
            notes.append(f"cell {number}: not Python (line {line_number}: {error.args[0]})")
            continue
        kept.append(joined)
    return "\n".join(kept) + "\n", notes


def salvage(source: str, name: str) -> tuple[list[ast.stmt], list[str]]:
    """The statements to run one by one, and what is left out, one text each.

    Kept are imports, classes, functions, constants and assignments to attributes of classes; left
    out is what computes, trains, plots, prints, asks or ends the program at the top level.

    Raises:
        SyntaxError: If it is no Python.
    """
    tree = ast.parse(source, name)
    kept: list[ast.stmt] = []
    left: list[ast.stmt] = []
    for statement in tree.body:
        kept.extend(_kept(statement, left))
    lines = source.split("\n")
    return kept, [*_told(left, lines)]


def _kept(node: ast.stmt, left: list[ast.stmt]) -> Iterator[ast.stmt]:
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef,
                         ast.ClassDef)):  # fmt: skip
        yield node
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        if node.value is None or _constant(node.value):
            yield node
        else:
            left.append(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    elif isinstance(node, ast.Expr) and _called(node.value) == "setattr":
        yield node
    elif isinstance(node, ast.If) and not _is_main(node):
        body, other = _inside(node.body, left), _inside(node.orelse, left)
        if (body or other) and _constant(node.test):
            made = ast.If(node.test, body or [ast.Pass()], other)
            yield ast.fix_missing_locations(ast.copy_location(made, node))
    elif isinstance(node, ast.Try):
        body = _inside(node.body, left)
        if body:
            handlers = [
                ast.copy_location(
                    ast.ExceptHandler(h.type, h.name, _inside(h.body, left) or [ast.Pass()]), h
                )
                for h in node.handlers
            ]
            rest = _inside(node.orelse, left), _inside(node.finalbody, left)
            if not handlers and not rest[1]:
                yield from body
                return
            made_try = ast.Try(body, handlers, rest[0] if handlers else [], rest[1])
            yield ast.fix_missing_locations(ast.copy_location(made_try, node))
    elif isinstance(node, ast.For) and all(
        isinstance(x, ast.Expr) and _called(x.value) == "setattr" for x in node.body
    ):
        yield node
    elif not isinstance(node, ast.Pass):
        left.append(node)


def _inside(body: list[ast.stmt], left: list[ast.stmt]) -> list[ast.stmt]:
    return [kept for statement in body for kept in _kept(statement, left)]


def _is_main(node: ast.If) -> bool:
    # the demonstration of a file that is imported does not run anyway
    return any(isinstance(x, ast.Name) and x.id == "__name__" for x in ast.walk(node.test))


def _called(node: ast.expr) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _constant(node: ast.expr) -> bool:
    """Does it compute nothing but a constant?"""
    stack: list[ast.AST] = [node]
    while stack:
        x = stack.pop()
        if isinstance(x, ast.Lambda):
            continue
        if isinstance(x, (ast.Await, ast.Yield, ast.YieldFrom, ast.ListComp, ast.GeneratorExp)):
            return False
        if isinstance(x, ast.Call):
            in_math = (
                isinstance(x.func, ast.Attribute)
                and isinstance(x.func.value, ast.Name)
                and x.func.value.id in ("math", "np", "numpy", "typing")
                and x.func.attr not in ("load", "loadtxt", "genfromtxt")
            )
            if _called(x) not in _PURE and not in_math:
                return False
        stack.extend(ast.iter_child_nodes(x))
    return True


def _told(left: list[ast.stmt], lines: list[str]) -> Iterator[str]:
    """What was left out, neighbours together."""
    groups: list[list[ast.stmt]] = []
    for node in left:
        if groups:
            last = groups[-1][-1].end_lineno or 0
            between = lines[last : node.lineno - 1]
            if all(not line.strip() or line.lstrip().startswith("#") for line in between):
                groups[-1].append(node)
                continue
        groups.append([node])
    for group in groups:
        first, last = group[0].lineno, group[-1].end_lineno or group[-1].lineno
        where = f"line {first}" if first == last else f"lines {first}-{last}"
        yield f"{where}: {_kind(group)} (`{lines[first - 1].strip()[:50]}`)"


def _kind(group: list[ast.stmt]) -> str:
    node = group[0]
    if any(isinstance(x, (ast.For, ast.While)) for x in group):
        return "a loop at the top level"
    if len(group) > 1:
        return f"{len(group)} statements at the top level"
    name = _called(node.value) if isinstance(node, ast.Expr) else ""
    words = {"print": "output", "input": "a question", "exit": "an exit", "quit": "an exit"}
    return words.get(name, "a statement at the top level")
