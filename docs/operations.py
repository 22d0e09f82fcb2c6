"""A page for each operation of the table: its rule, its graph, its plot.

Nothing about any one operation is written here; a new row of ``ops.py`` gets its page by existing.
"""

from __future__ import annotations

import ast
import inspect
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.engine import activations, choice, elementary, nary, ops, special
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.operators import Operators

EXAMPLES = {"power": 3.0, "exponential": 2.0, "leaky_relu": 0.1}  # constants to show a family with
NAMES = "abcdefgh"


@dataclass(frozen=True)
class Entry:
    """An operation, or a family of them that differ in a constant."""

    name: str
    op: Op  # the operation, or the family's example
    family: bool = False


def entries() -> list[Entry]:
    """The whole table, then the families."""
    table = [Entry(name, op) for name, op in ops.TABLE.items()]
    return table + [
        Entry(name, family(EXAMPLES.get(name, 2.0)), True) for name, family in ops.FAMILIES.items()
    ]


FILES = (choice, elementary, activations, special, nary)  # the rooms of the table


@cache
def _sources() -> list[tuple[str, ast.Module]]:
    texts = map(inspect.getsource, FILES)
    return [(text, ast.parse(text)) for text in texts]


def rule_source(entry: Entry) -> str:
    """The source of the row, after the helpers that it names.

    Raises:
        LookupError: If the row is not found.
    """
    for text, tree in _sources():
        statements = {
            node.name: node
            for node in tree.body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        }
        row: ast.stmt | None = None
        if entry.family:
            name = ops.FAMILIES[entry.name].__wrapped__.__name__  # type: ignore[attr-defined]
            row = statements.get(name)
        else:
            for node in tree.body:
                if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(
                    node.value, ast.Call
                ):
                    call = node.value
                    named = call.args and isinstance(call.args[0], ast.Constant)
                    if named and call.args[0].value == entry.name:
                        row = node
        if row is not None:
            return _with_helpers(text, statements, row)
    raise LookupError(f"the table has no row {entry.name!r}")


def _with_helpers(text: str, statements: dict[str, Any], row: ast.stmt) -> str:
    used: list[str] = []
    waiting: list[ast.AST] = [row]
    while waiting:
        for node in ast.walk(waiting.pop()):
            name = node.id if isinstance(node, ast.Name) else ""
            if name.startswith("_") and name in statements and name not in used:
                used.append(name)
                waiting.append(statements[name])
    parts = [*sorted((statements[n] for n in used), key=lambda node: node.lineno), row]
    lines = text.split("\n")
    shown = []
    for part in parts:
        first = min([part.lineno, *(d.lineno for d in getattr(part, "decorator_list", []))])
        shown.append("\n".join(lines[first - 1 : part.end_lineno]))
    return "\n\n".join(shown)


def example_operands(op: Op) -> list[float]:
    """Operands inside the intervals of the row, rounded, no two alike."""
    if op.name in ("take", "where"):
        return [1.0, 2.0, 3.0]
    count = op.arity or 4
    intervals = op.sample if len(op.sample) == count else op.sample[:1] * count
    return [
        round(low + (0.75 - 0.15 * i) * (high - low), 1) for i, (low, high) in enumerate(intervals)
    ]


def graph_svg(op: Op, operands: list[float]) -> str:
    """The computation graph of one application, with values and gradients."""
    from tinygrad_edu import draw

    leaves = [Value(x, name) for x, name in zip(operands, NAMES)]
    result = op(*leaves)
    result.backward()
    return draw(result).svg


def plot(op: Op, operands: list[float], path: Path) -> None:
    """Plot value (green) and derivative (red) over each operand, the others held fixed."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR

    varied = range(min(len(operands), 2))
    if op.name == "where":
        varied = range(1, 3)
    elif op.name == "take":
        varied = range(1, 2)
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "tinygrad_edu", "font.size": 9}):
        figure = Figure(figsize=(4.2 * len(varied), 3.0), layout="constrained")
        panels = figure.subplots(1, len(varied), squeeze=False)[0]
        for panel, i in zip(panels, varied):
            low, high = op.sample[i] if i < len(op.sample) else op.sample[0]
            xs = [low + (high - low) * k / 400 for k in range(401)]
            values, slopes = zip(*(_at(op, operands, i, x) for x in xs))
            panel.axhline(0.0, color="#d0d7de", linewidth=0.8)
            panel.plot(xs, values, color=VALUE_COLOR, label="value")
            panel.plot(xs, slopes, color=GRADIENT_COLOR, linestyle="--", label="derivative")
            fixed = ", ".join(f"{NAMES[j]} = {x:g}" for j, x in enumerate(operands) if j != i)
            panel.set_xlabel(NAMES[i] + (f"   ({fixed})" if fixed else ""))
            panel.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _at(op: Op, operands: list[float], i: int, x: float) -> tuple[float, float]:
    moved = [*operands[:i], x, *operands[i + 1 :]]
    try:
        value = op.forward(*moved)
        return value, op.local_gradients(value, *moved)[i]
    except (ArithmeticError, ValueError):
        return math.nan, math.nan


def page(entry: Entry, operands: list[float]) -> str:
    """The page of an operation, in Markdown."""
    op = entry.op
    leaves = [Value(x) for x in operands]
    result = op(*leaves)
    partials = result.local_gradients()
    call = f"{entry.name}({', '.join(NAMES[: op.arity] if op.arity else 'ab')}"
    call += ")" if op.arity else ", ...)"
    facts = [
        ("computes", op.doc.replace("|", "\\|")),
        ("symbol", f"`{op.symbol}`"),
        ("operands", str(op.arity) if op.arity else "any number"),
        ("domain", op.requires or "every real number"),
    ]
    if op.arity == 1 and hasattr(Operators, entry.name):
        facts.append(("as a method", f"`a.{entry.name}()`"))
    if op.formula is not None:
        facts.append(("made of other operations", "yes: the row gives the formula"))
    lines = [f"# {entry.name}", "", f"`{call}`", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in facts]
    if entry.family:
        shown = f"{op.parameter:g}"
        lines += ["", f"A family of operations that differ in a constant (here {shown}), which the"]
        lines += ["rule captures."]
    lines += ["", "## Rule", ""]
    lines += [
        "From the table in `tinygrad_edu/engine`: the forward function, then the rule that maps"
    ]
    lines += ["result and operands to one partial derivative for each operand.", ""]
    lines += ["```python", rule_source(entry), "```", ""]
    lines += ["## Graph", "", "Forward values in green, gradients in red.", ""]
    lines += [f"![The graph of {entry.name}]({entry.name}_graph.svg)", ""]
    lines += ["| operand | value | derivative of the result by it |", "|---|---|---|"]
    lines += [f"| {n} | {x:g} | {float(p):.6g} |" for n, x, p in zip(NAMES, operands, partials)]
    lines += ["", f"The result is {result.data:.6g}.", "", "## Plot", ""]
    lines += [f"![Value and derivative of {entry.name}]({entry.name}_plot.svg)", ""]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """Write all pages, their pictures, and a page that lists them."""
    folder.mkdir(parents=True)
    found = entries()
    for entry in found:
        operands = example_operands(entry.op)
        svg = graph_svg(entry.op, operands)
        (folder / f"{entry.name}_graph.svg").write_text(svg, encoding="utf-8")
        plot(entry.op, operands, folder / f"{entry.name}_plot.svg")
        (folder / f"{entry.name}.md").write_text(page(entry, operands), encoding="utf-8")
    lines = ["# Operations", "", "Every operation is one row of one table: what it computes and"]
    lines += ["what its derivative is.", "", "| operation | computes |", "|---|---|"]
    docs = ((entry.name, entry.op.doc.replace("|", "\\|")) for entry in found)
    lines += [f"| [{name}]({name}.md) | {doc} |" for name, doc in docs]
    lines += ["", "```{toctree}", ":hidden:", "", *(entry.name for entry in found), "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
