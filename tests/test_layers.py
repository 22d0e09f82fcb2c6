"""Imports run downward only: each room of the package imports from the floors below it."""

from __future__ import annotations

import ast
from pathlib import Path

import tinygrad_edu

PACKAGE = Path(tinygrad_edu.__file__).parent

# first part of the module path -> floor
FLOORS = {
    "engine": 0, "_files": 0, "_plot": 0, "data": 0, "functional": 0,
    "formula": 1, "expression": 1, "checking": 1, "nn": 1, "optim": 1, "compiler": 1,
    "training": 2, "drawing": 2, "grading": 2,
    "saving": 3, "interop": 3, "sklearn": 3,
    "cli": 4, "__main__": 4,
}  # fmt: skip


def _imports_at_module_level(tree: ast.Module) -> list[str]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "tinygrad_edu":
                found += [f"tinygrad_edu.{alias.name}" for alias in node.names]
            else:
                found.append(node.module)
    return found


def test_imports_run_downward() -> None:
    seen = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room == "__init__":
            continue
        assert room in FLOORS, f"{path.name}: which floor is {room} on? Add it to FLOORS"
        seen.add(room)
        for name in _imports_at_module_level(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] != "tinygrad_edu" or len(parts) == 1:
                continue
            if parts[1] in FLOORS and parts[1] != room:
                assert FLOORS[parts[1]] <= FLOORS[room], (
                    f"{room} imports {parts[1]}, which is above it"
                )
    assert {"engine", "compiler", "functional"} <= seen


def test_torch_is_never_imported_at_module_level() -> None:
    for path in PACKAGE.rglob("*.py"):
        names = _imports_at_module_level(ast.parse(path.read_text(encoding="utf-8")))
        assert not any(name.split(".")[0] == "torch" for name in names), path
