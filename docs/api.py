"""The reference: a page for each room of the package, made from its docstrings by Sphinx.

Every name of every ``__all__`` has an entry, so that it can be searched for and linked to: the room
that it belongs to describes it; the other paths that lead to it (``tinygrad_edu.exp``) are listed
on a page of their own, each with a line and a link to the description. The command line's entries
are made from its parsers.
"""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import tinygrad_edu
from docs.operations import example_operands
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.nn import Loss

PACKAGE = Path(tinygrad_edu.__file__).parent

# the rooms in reading order; those not named here follow, in the order of the alphabet
ORDER = ("engine", "functional", "formula", "checking", "drawing", "nn", "optim", "training",
         "data", "compiler", "saving", "interop", "sklearn", "grading")  # fmt: skip
HIDDEN = {"cli", "expression"}  # a page of its own; another path to formula
# described where the front door takes them from, which is no room's __all__
EXTRA = {"engine": {"GraphWarning", "Operation", "operation"}}


def rooms() -> list[str]:
    """The public modules and packages directly inside ``tinygrad_edu``."""
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if not path.name.startswith("_")
        and (path.suffix == ".py" or (path / "__init__.py").is_file())
    } - HIDDEN
    return [*(name for name in ORDER if name in found), *sorted(found - set(ORDER))]


def paths() -> dict[str, str]:
    """Room -> its file or folder, from the package's folder."""
    return {name: name if (PACKAGE / name).is_dir() else f"{name}.py" for name in rooms()}


def summary(room: str) -> str:
    """The first line of a room's docstring."""
    path = PACKAGE / f"{room}.py"
    if not path.is_file():
        path = PACKAGE / room / "__init__.py"
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0].replace("``", "`")


def listing_modules() -> Iterator[str]:
    """The modules of the package that have an ``__all__``, by their dotted names."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "__all__" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if hasattr(import_module(module), "__all__"):
                yield module


def public_names(module: str) -> list[str]:
    """The names of a module's ``__all__``; of the front door also those that hide a built-in."""
    here = import_module(module)
    names = {*here.__all__}
    if module == "tinygrad_edu":
        names |= {*tinygrad_edu.functional.__all__, *tinygrad_edu._LAZY}
    return sorted(names, key=lambda name: (name.lower(), name))


def own_names(room: str) -> list[str]:
    """The names that a room describes: those of its ``__all__``, or else what it defines."""
    module = import_module(f"tinygrad_edu.{room}")
    if hasattr(module, "__all__"):
        return public_names(module.__name__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


def signature(name: str, thing: Any) -> str:
    """How a thing is called, in a form that Sphinx reads."""
    if isinstance(thing, Op):
        letters = ("a", "b", "c") if thing.arity != 1 else ("x",)
        if name == "where":
            letters = ("condition", "a", "b")
        return f"{name}({', '.join(letters[: thing.arity]) if thing.arity else '*operands'})"
    if isinstance(thing, Loss):
        return f"{name}(prediction, target)"
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return name
    plain = [
        p.replace(
            annotation=inspect.Parameter.empty,
            default=p.default if _short(p.default) else ...,
        )
        for p in parameters
    ]
    return f"{name}{inspect.Signature(plain)}"


def _short(default: Any) -> bool:
    return default is inspect.Parameter.empty or isinstance(default, (str, int, float, type(None)))


def kind(thing: Any) -> str:
    """What a thing is to Sphinx: ``class``, ``exception`` or ``function``."""
    if isinstance(thing, type):
        return "exception" if issubclass(thing, BaseException) else "class"
    return "function"


def first_line(thing: Any) -> str:
    """The first line of a thing's docstring, in reStructuredText."""
    if isinstance(thing, Op):
        return f"{thing.doc.replace('|', chr(92) + '|').replace('*', chr(92) + '*')}"
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def entry(module: str, name: str) -> list[str]:
    """The full description of a name, as lines of reStructuredText."""
    thing = getattr(import_module(module), name)
    if isinstance(thing, Op):
        lines = [f".. py:function:: {signature(name, thing)}", "", f"   {first_line(thing)}", ""]
        if thing.requires:
            needs = thing.requires.replace("|", "\\|").replace("*", "\\*")
            lines += [f"   Raises ``ValueError`` where its domain ends: {needs}.", ""]
        operands = example_operands(thing)
        call = f"{name}({', '.join(map(repr, operands))})"
        lines += [f"   >>> from {module} import {name}", f"   >>> {call}"]
        lines += [f"   {thing(*operands)!r}", ""]
        page = thing.name if thing.name in ops.TABLE else ""
        where = f"   Its rule, graph and plot: :doc:`/operations/{page}`."
        return [*lines, where, ""] if page else lines
    if isinstance(thing, Loss):
        takes = (
            f"takes {thing.takes}",
            f"targets: {thing.targets}",
            f"{thing.reduction} of a batch",
        )
        lines = [f".. py:function:: {signature(name, thing)}", ""]
        lines += [f"   {line}".rstrip() for line in (inspect.getdoc(thing) or "").splitlines()]
        larger = "; larger is better" if thing.maximize else ""
        return [*lines, "", f"   A :class:`~tinygrad_edu.nn.Loss`: {', '.join(takes)}{larger}.", ""]
    lines = [f".. auto{kind(thing)}:: {module}.{name}"]
    if isinstance(thing, type):
        lines += ["   :members:", "   :show-inheritance:"]
    return [*lines, ""]


def homes() -> dict[int, str]:
    """The dotted name under which each public thing is described, by the thing's id."""
    found: dict[int, str] = {}
    for room in rooms():
        module = import_module(f"tinygrad_edu.{room}")
        for name in own_names(room):
            found.setdefault(id(getattr(module, name)), f"{module.__name__}.{name}")
        for name in EXTRA.get(room, ()):
            found.setdefault(id(getattr(tinygrad_edu, name)), f"tinygrad_edu.{name}")
    return found


def room_page(room: str) -> str:
    """The page of a room."""
    module = f"tinygrad_edu.{room}"
    lines = [f"# {module}", "", "```{eval-rst}", f".. automodule:: {module}", ""]
    lines += [f".. py:currentmodule:: {module}", ""]
    for name in own_names(room):
        lines += entry(module, name)
    for name in sorted(EXTRA.get(room, ())):
        lines += entry("tinygrad_edu", name)
    return "\n".join([*lines, "```", ""])


def other_paths_page(module: str, title: str, text: str) -> str:
    """The page of a module that brings together what others describe."""
    described = homes()
    here = import_module(module)
    lines = [f"# {title}", "", text, "", "```{eval-rst}", f".. py:module:: {module}", ""]
    for name in public_names(module):
        thing = getattr(here, name)
        home = described.get(id(thing))
        if home is None:  # no room lists it: this is its place
            lines += entry(module, name)
            continue
        if home == f"{module}.{name}":  # described on the page of the engine
            continue
        lines += [f".. py:{kind(thing)}:: {signature(name, thing)}", "   :no-index-entry:", ""]
        lines += [f"   {first_line(thing)}", "", f"   Described as :py:obj:`{home}`.", ""]
    return "\n".join([*lines, "```", ""])


def other_paths() -> dict[str, tuple[str, str, str]]:
    """Page -> module, title and text, for the modules with an ``__all__`` that are no rooms."""
    known = {f"tinygrad_edu.{room}" for room in rooms()}
    pages = {
        "top-level": (
            "tinygrad_edu",
            "Top-level names",
            "What `from tinygrad_edu import ...` finds. `abs`, `compile`, `max`, `min`, `pow`,\n"
            "`round` and `sum` would hide a built-in function, so `import *` leaves them out.",
        )
    }
    for module in listing_modules():
        if module not in known and module != "tinygrad_edu":
            name = module.removeprefix("tinygrad_edu.")
            pages[name.replace(".", "-")] = (module, module, "Another path to the same things.")
    return pages


# --- the command line -----------------------------------------------------------------------------


def command_line_page() -> str:
    """The page of ``tinygrad-edu``: usage, arguments and options of every command."""
    from tinygrad_edu.cli import COMMANDS, PROGRAM

    lines = ["# The command line", ""]
    lines += [f"`{PROGRAM} COMMAND ...`, or `python -m tinygrad_edu COMMAND ...`. An error is one"]
    lines += ["line on stderr and exit code 2; `check` has exit code 1 for a wrong gradient.", ""]
    for name, command in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}")
        command.configure(parser)
        lines += [f"## {PROGRAM} {name}", "", f"{command.summary[0].upper()}{command.summary[1:]}."]
        lines += ["", "```sh", f"{PROGRAM} {command.example}", "```", "", "```{eval-rst}"]
        lines += [f".. program:: {PROGRAM} {name}", ""]
        for action in parser._actions:
            lines += option(action)
        lines += ["```", ""]
    return "\n".join(lines)


def option(action: argparse.Action) -> list[str]:
    """The entry of an argument or option of a command."""
    metavar = action.metavar or action.dest.upper()
    shown = metavar if isinstance(metavar, str) else " ".join(metavar)
    if action.choices and not action.metavar:
        shown = "|".join(str(choice) for choice in action.choices)
    names = [f"{name} {shown}" if action.nargs != 0 else name for name in action.option_strings]
    text = (action.help or "") % {**vars(action), "prog": ""}
    return [f".. option:: {', '.join(names or [shown])}", "", f"   {text}", ""]


def write(folder: Path) -> None:
    """Write a page for each room and each other path, and a page that lists them."""
    folder.mkdir(parents=True)
    names = rooms()
    for name in names:
        (folder / f"{name}.md").write_text(room_page(name), encoding="utf-8")
    others = other_paths()
    for page, (module, title, text) in others.items():
        content = other_paths_page(module, title, text)
        (folder / f"{page}.md").write_text(content, encoding="utf-8")
    (folder / "command-line.md").write_text(command_line_page(), encoding="utf-8")
    lines = ["# Reference", "", "| | |", "|---|---|"]
    lines += ["| [Top-level names](top-level.md) | what `from tinygrad_edu import ...` finds |"]
    lines += [f"| [tinygrad_edu.{name}]({name}.md) | {summary(name)} |" for name in names]
    lines += ["| [The command line](command-line.md) | `tinygrad-edu draw`, `grad`, `check`, ... |"]
    lines += ["| [Operations](../operations/index.md) | a page for each row of the table |"]
    rest = [page for page in others if page != "top-level"]
    pages = ["top-level", *names, "command-line", "../operations/index", *rest]
    lines += ["", "```{toctree}", ":hidden:", "", *pages, "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
