"""Imports run downward only: each wing from the floors below it, each stage from those before it.

What a function imports when it runs counts as much as what a module imports when it loads: an
upward import hidden in a function is still one. CONTRIBUTING.md shows the floors to people.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tinygrad_edu

PACKAGE = Path(tinygrad_edu.__file__).parent

# wing (first part of the module path) -> floor; a wing imports itself and the floors below,
# and on the lowest floor the helpers that stand beside it
FLOORS = {
    "engine": 0, "functional": 0, "data": 0, "_files": 0, "_plot": 0, "_version": 0,
    "_interrupts": 0, "_saved": 0, "_forks": 0,
    "formula": 1, "checking": 1, "nn": 1, "optim": 1, "compiler": 1,
    "training": 2, "drawing": 2, "expression": 2,
    "saving": 3, "interop": 3, "sklearn": 3, "grading": 3,
    "cli": 4, "__main__": 4, "__init__": 4,
}  # fmt: skip

# inside the two big wings: stages in the order that a program or a picture passes through them;
# rooms that are not named stand above all stages
STAGES = {
    "compiler": ["llvm", "trace", "loops", "emit"],
    "drawing": ["figures", "words", "plots", "pages"],
}


def _name(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _is_for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for child in ast.iter_child_nodes(tree):
        if _is_for_checkers(child):
            for other in child.orelse:  # type: ignore[attr-defined]
                yield other
                yield from _nodes(other)
        else:
            yield child
            yield from _nodes(child)


def imports(path: Path) -> set[str]:
    """The names of all modules that the file imports, at any depth."""
    found: set[str] = set()
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return found


def _wing(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward(module: str) -> None:
    wing = _wing(module)
    assert wing in FLOORS, f"{module}: which floor is {wing} on? Add it to FLOORS"
    for other in imports(MODULES[module]) & MODULES.keys():
        floor, below = FLOORS[wing], FLOORS[_wing(other)]
        assert _wing(other) == wing or below < floor or below == floor in (0, 4), (
            f"{module} imports {other}, which is not below it"
        )


@pytest.mark.parametrize("wing", STAGES)
def test_stages_follow_one_another(wing: str) -> None:
    order = {stage: i for i, stage in enumerate(STAGES[wing])}

    def rank(module: str) -> int:
        parts = module.split(".")
        return order.get(parts[2], len(order)) if len(parts) > 2 else len(order)

    assert order.keys() <= {name.split(".")[2] for name in MODULES if name.count(".") >= 2}
    for module, path in MODULES.items():
        if _wing(module) == wing:
            for other in imports(path) & MODULES.keys():
                if _wing(other) == wing:
                    assert rank(other) <= rank(module), f"{module} imports {other}, a later stage"


def test_there_are_no_cycles() -> None:
    graph = {module: imports(path) & MODULES.keys() for module, path in MODULES.items()}
    graph["tinygrad_edu"] = set()  # the front door loads what is asked for
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_two_rooms_have_one_name() -> None:
    names: dict[str, str] = {}
    for module in MODULES:
        last = module.rpartition(".")[2]
        if last.startswith("__") or module.count(".") < 2:  # public paths may name a room again
            continue
        assert last not in names, f"{module} and {names[last]}: a name says what is in the room"
        names[last] = module


@pytest.mark.parametrize("module", [name for name, p in MODULES.items() if p.name == "__init__.py"])
def test_each_folder_says_what_passes_through_it(module: str) -> None:
    doc = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))) or ""
    assert len(doc.splitlines()) >= 3, f"{module}: what passes through its rooms, in order?"


def test_contributing_shows_these_floors() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = {
        wing: int(floor)
        for floor, wings in re.findall(r"^\| (\d) \| (.*) \|$", text, flags=re.MULTILINE)
        for wing in re.findall(r"`(\w+)`", wings)
    }
    assert shown == {wing: floor for wing, floor in FLOORS.items() if not wing.startswith("__")}


def test_torch_is_imported_where_a_user_asks_for_it_alone() -> None:
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if "torch" in {name.split(".")[0] for name in imports(path)}:
            assert _wing(module) in ("interop", "grading"), module
        at_load = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert not any("torch" in ast.dump(node).split("'") for node in at_load), module


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their names alone."""
    names = [path.name for path in (PACKAGE.parent / "tests").rglob("*.py")]
    twice = {name for name in names if names.count(name) > 1 and name != "__init__.py"}
    assert twice <= {"conftest.py"}
