"""The laboratory's Python: runs a student's program and says what there is to show of it.

The page ``lab.html`` (``make lab``; its other parts are in the project's folder ``laboratory/``)
has this package inside, in a Python that runs in the browser. It hands the text of the editor to
``Laboratory.run`` and gets back plain data: pictures, the derivation, the line of an error. Nothing
here knows of the browser, so that everything can be tried, and is tested, in any Python.

>>> found = Laboratory().run("x = Value(3.0)\\nf = x * x\\nf.backward()")
Traceback (most recent call last):
...
TypeError: Laboratory: expected the names that programs find, such as vars(tinygrad_edu)
>>> laboratory = Laboratory({"Value": Value})
>>> found = laboratory.run("x = Value(3.0)\\nf = x * x\\nf.backward()")
>>> found["error"], len(found["pictures"]), found["derivation"][0]["lines"][1]
(None, 1, 'f = x * x = 3 * 3 = 9')
>>> laboratory.run("y = 1 / 0")["error"]["line"]
1
"""

from __future__ import annotations

import ast
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import TextIOBase
from types import CodeType, TracebackType
from typing import Any

from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.graph import draw, drawn_nodes
from tinygrad_edu.drawing.figures.network import draw_network
from tinygrad_edu.drawing.pages.course import copies_of
from tinygrad_edu.drawing.pages.page import Page
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.drawing.words.explanation import Explanation, explain
from tinygrad_edu.engine.order import check_current
from tinygrad_edu.engine.value import Constant, Value, topological_order
from tinygrad_edu.formula.expression import Expression, FormulaError, Graph, parse
from tinygrad_edu.nn.module import Module

PROGRAM = "program.py"  # the name under which the student's text is compiled

_WHOLE = 100  # nodes of a graph that is drawn whole; of a larger one only the last operations are
_PART = 60
_MOST_PICTURES = 12
_MOST_PRINTED = 100_000  # characters
_HEADINGS = {
    "forward": "Forward pass", "local": "Local derivatives", "backward": "Backward pass",
}  # fmt: skip


class Laboratory:
    """Runs programs one after the other, each from the beginning.

    Args:
        names: What a program finds without importing it, such as ``vars(tinygrad_edu)``.
        write: Takes what is printed, piece by piece, while the program runs.
    """

    def __init__(
        self, names: Mapping[str, Any] | None = None, write: Callable[[str], object] | None = None
    ) -> None:
        if not names:
            raise TypeError(
                "Laboratory: expected the names that programs find, such as vars(tinygrad_edu)"
            )
        self._names = {name: x for name, x in names.items() if not name.startswith("_")}
        self._write = write
        self._output: Value | None = None

    def run(self, source: str) -> dict[str, Any]:
        """Run a program; return what is to be shown of it, as JSON can hold it.

        Shown are the arguments of every call of ``show(...)``; else the last expression, if it is
        something that can be drawn; else the graph that was last given a name, and the networks.
        Nodes without a label are called what the program calls them. A program of plain numbers
        (``x = 2; f = x * x``) that draws nothing is read as a formula.

        Returns:
            ``error``: ``None``, or what went wrong: ``line`` (``None`` if it has none), ``kind``,
            ``message``. ``notes``: warnings, each with its ``line`` and ``message``.
            ``pictures``: each with its ``kind`` (``"figure"``, ``"page"`` or ``"text"``),
            ``content`` (SVG, HTML or text), ``title`` and a ``note`` below it.
            ``derivation``: blocks of ``heading`` and ``lines``. ``steps``: whether there is a
            graph to step through (see ``player``).
        """
        self._output = None
        shown: list[Any] = []
        space: dict[str, Any] = {
            **self._names, "__name__": "__main__", "show": lambda *things: shown.extend(things),
        }  # fmt: skip
        found: dict[str, Any] = {
            "error": None, "notes": [], "pictures": [], "derivation": [], "steps": False,
        }  # fmt: skip
        printed = _Printed(self._write)
        with (
            warnings.catch_warnings(record=True) as raised,
            redirect_stdout(printed),
            redirect_stderr(printed),
        ):
            warnings.simplefilter("default")
            try:
                body, last, targets = _parts(source)
                exec(body, space)
                result = None if last is None else eval(last, space)
            except SystemExit:
                result, targets = None, []
            except Exception as error:
                found["error"] = _error(error)
                result, targets = None, []
            if found["error"] is None:
                _name(space, self._names)
                named = [space[x] for x in targets if x in space]
                formula = None if shown or any(map(_can_be_drawn, named)) else _formula(source)
                self._choose(found, shown, result if formula is None else formula, named)
        found["notes"] += [
            {
                "line": note.lineno if note.filename == PROGRAM else None,
                "message": str(note.message),
            }
            for note in raised
        ]
        return found

    def player(self) -> str:
        """The page that steps through the graph of the last run; empty if there is none."""
        if self._output is None:
            return ""
        return step_through(self._output, depth=_depth(self._output)).html

    def _choose(
        self, found: dict[str, Any], shown: list[Any], result: Any, named: list[Any]
    ) -> None:
        """Fill ``found`` with pictures and the derivation of what the program made."""
        things = [x for thing in shown for x in _members(thing)]
        things = things or [x for x in _members(result) if _can_be_drawn(x)]
        graphs = [x for x in named if isinstance(x, Value) and x.op is not None]
        if not things:
            networks = dict.fromkeys(x for x in named if isinstance(x, Module))
            things = [*graphs[:1], *networks]
        outputs = [x for x in reversed(things) if isinstance(x, Value)] or graphs
        things, outputs = [_anew(x) for x in things], [_anew(x) for x in outputs[:1]]
        for thing in things[:_MOST_PICTURES]:
            picture, problem = _picture(thing)
            found["pictures"] += [picture] if picture else []
            found["notes"] += [_note(f"not drawn: {problem}")] if problem else []
        if len(things) > _MOST_PICTURES:
            message = f"{len(things)} pictures; the first {_MOST_PICTURES} are shown"
            found["notes"].append(_note(message))
        if outputs and outputs[0].op is not None:
            try:
                found["derivation"] = _derivation(explain(outputs[0]))
            except (ValueError, ArithmeticError) as error:
                found["notes"].append(_note(f"no derivation: {error}"))
            else:
                self._output = outputs[0]
                found["steps"] = True


# --- the program ----------------------------------------------------------------------------------


def _parts(source: str) -> tuple[CodeType, CodeType | None, list[str]]:
    """Compile a program: all but its last expression, that, and the names it assigns, last first.

    Raises:
        SyntaxError: If it is not Python.
    """
    tree = ast.parse(source, PROGRAM)
    targets = [
        node.id for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]  # fmt: skip
    places = {
        node.id: (node.lineno, node.col_offset) for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }  # fmt: skip
    targets = sorted(dict.fromkeys(targets), key=lambda name: places[name], reverse=True)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        last = compile(expression, PROGRAM, "eval", dont_inherit=True)
    return compile(tree, PROGRAM, "exec", dont_inherit=True), last, targets


def _name(space: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Call nodes what the program calls them; those with a label keep it."""
    for name, thing in space.items():
        if name.startswith("_") or given.get(name) is thing:
            continue
        if isinstance(thing, Value):
            members = [(name, thing)]
        elif isinstance(thing, (list, tuple)):
            members = [(f"{name}{k}", x) for k, x in enumerate(thing, 1) if isinstance(x, Value)]
        else:
            continue
        for label, node in members:
            if not node.label and not isinstance(node, Constant):
                node.label = label


def _error(error: Exception) -> dict[str, Any]:
    """What went wrong, and the line of the program at which it did."""
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        line: int | None = error.lineno
        message = error.msg
    else:
        line = next(_lines(error.__traceback__), None)
        written = traceback.TracebackException.from_exception(error).format_exception_only()
        text = "".join(written).strip()  # with "Did you mean ...?" and the notes
        message = text.split(": ", 1)[1] if ": " in text else ""
    return {"line": line, "kind": type(error).__name__, "message": message}


def _lines(trace: TracebackType | None) -> Iterator[int]:
    """The lines of the program that the error went through, innermost first."""
    lines = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == PROGRAM:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    yield from reversed(lines)


class _Printed(TextIOBase):
    """Hands on what is printed, up to a limit: an endless loop may print as well."""

    def __init__(self, write: Callable[[str], object] | None) -> None:
        self._hand_on = write
        self._room = _MOST_PRINTED

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._room > 0 and self._hand_on is not None:
            self._hand_on(text[: self._room])
            if len(text) >= self._room:
                self._hand_on(f"\n... only the first {_MOST_PRINTED:,} characters are shown\n")
        self._room -= len(text)
        return len(text)


# --- what is shown --------------------------------------------------------------------------------


def _members(thing: Any) -> list[Any]:
    if isinstance(thing, Graph):
        return [thing.output]
    if isinstance(thing, Expression) and not set(thing.names) - set(thing.defaults):
        return [thing.build().output]
    return list(thing) if isinstance(thing, (list, tuple)) else [thing]


def _can_be_drawn(thing: Any) -> bool:
    return isinstance(thing, (Value, Module, Figure, Page, Explanation))


def _formula(source: str) -> Value | None:
    """The graph of a program that is a formula with numbers, after its backward pass."""
    try:
        output = parse(source).build().output
        output.backward()
    except (FormulaError, ArithmeticError, ValueError, IndexError):
        return None
    return output if output.op is not None else None


def _depth(output: Value) -> int | None:
    """How many operations deep a graph is shown: ``None`` for all of it."""
    if len(drawn_nodes(output)[0]) <= _WHOLE:
        return None
    depth = 1
    while len(drawn_nodes(output, depth + 1)[0]) <= _PART:
        depth += 1
    return depth


def _anew(thing: Any) -> Any:
    """A graph whose inputs have changed since, as after a training step, computed again."""
    if not isinstance(thing, Value) or thing.op is None:
        return thing
    try:
        for node in topological_order(thing):
            if node.op is not None:
                check_current(node, thing)
    except RuntimeError:
        again = copies_of(thing, None, max_nodes=1_000_000)[thing]
        again.backward()
        return again
    return thing


def _note(message: str, line: int | None = None) -> dict[str, Any]:
    return {"line": line, "message": message}


def _picture(thing: Any) -> tuple[dict[str, str] | None, str]:
    """What the page shows of a thing (nothing of ``None``), or why it cannot be drawn."""
    try:
        return _drawn(thing), ""
    except (ValueError, TypeError, RuntimeError, ArithmeticError, ImportError) as error:
        return None, str(error)


def _drawn(thing: Any) -> dict[str, str] | None:
    kind, note, title = "figure", "", ""
    if isinstance(thing, Value):
        depth = _depth(thing)
        content = draw(thing, depth=depth).svg
        title = thing.label
        if depth is not None:
            count = len(drawn_nodes(thing)[0])
            note = (
                f"The last {depth} operations of a graph of {count:,} nodes; "
                "show(draw(...)) draws others."
            )
    elif isinstance(thing, Module):
        content, title = draw_network(thing).svg, type(thing).__name__
    elif isinstance(thing, Figure):
        content = thing.svg
    elif isinstance(thing, Page):
        kind, content, title = "page", thing.html, thing.title
    elif thing is None:
        return None
    else:
        kind = "text"
        content = thing.text if isinstance(thing, Explanation) else str(thing)
    return {"kind": kind, "content": content, "title": title, "note": note}


def _derivation(explanation: Explanation) -> list[dict[str, Any]]:
    return [
        {"heading": heading, "lines": lines}
        for part, heading in _HEADINGS.items()
        if (lines := [line.text for line in explanation.lines if line.part == part])
    ]
