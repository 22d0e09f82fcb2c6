"""The reference: a page for each room of the package, made from its docstrings by Sphinx."""

from __future__ import annotations

import ast
from pathlib import Path

import tinygrad_edu

PACKAGE = Path(tinygrad_edu.__file__).parent

# the rooms in reading order; those not named here follow, in the order of the alphabet
ORDER = ("engine", "functional", "formula", "checking", "drawing", "nn", "optim", "training",
         "data", "compiler", "saving", "interop", "sklearn", "grading")  # fmt: skip
HIDDEN = {"cli", "expression"}


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


def write(folder: Path) -> None:
    """Write a page for each room, and a page that lists them."""
    folder.mkdir(parents=True)
    names = rooms()
    for name in names:
        module = f"tinygrad_edu.{name}"
        options = [":members:", ":show-inheritance:"]
        if (PACKAGE / name).is_dir():  # a package shows what it brings together
            options.append(":imported-members:")
        lines = [f"# {module}", "", "```{eval-rst}", f".. automodule:: {module}"]
        lines += [*(f"   {option}" for option in options), "```", ""]
        (folder / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
    lines = ["# Reference", "", "| module | |", "|---|---|"]
    lines += [f"| [{name}]({name}.md) | {summary(name)} |" for name in names]
    lines += ["", "```{toctree}", ":hidden:", "", *names, "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
