"""From the paths that a teacher names to the submissions in them, and what each depends on."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".py", ".ipynb")
_LEFT_OUT = {"__pycache__", "__MACOSX", "node_modules", "site-packages", "venv", "env"}
_LARGE = 5_000_000  # bytes; a larger file is data, known by its size


@dataclass(frozen=True)
class Submission:
    """One submission.

    Attributes:
        path: The file to grade, as it was reached from the path that was named; the folder if there
            is no such file in it.
        name: What tells it apart from the others: its folder's name, or its own.
        folder: The folder that is the submission; None if it is one file among others.
    """

    path: Path
    name: str
    folder: Path | None = None

    @property
    def is_file(self) -> bool:
        """Is there a file to grade?"""
        return self.path.suffix.lower() in SUFFIXES and not self.path.is_dir()

    def content(self) -> str:
        """A hash of all that the submission consists of.

        Of a folder these are all its files; of a file among others, the file and those beside it
        that it imports.
        """
        parts = hashlib.sha256()
        if self.folder is not None:
            base, files = self.folder, sorted(_files(self.folder, ("",)))
        else:
            base, files = self.path.parent, sorted(_with_imported(self.path))
        for file in files:
            parts.update(json.dumps(file.relative_to(base).as_posix()).encode())
            try:
                size = file.stat().st_size
                parts.update(f":{size}:".encode())
                if size <= _LARGE:
                    parts.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError as error:
                parts.update(str(error.errno).encode())
        return parts.hexdigest()


def find_submissions(
    paths: Sequence[str | Path], class_name: str | None = None, *, whole: bool = False
) -> list[Submission]:
    """Find the submissions that paths lead to, in order of their paths, each once.

    A file is a submission. In a folder, each ``.py`` and ``.ipynb`` file is one, and so is each
    sub-folder that holds such files at any depth; of those the one that is graded has the class
    (``class_name`` if given, else ``Value``, else one with arithmetic). Hidden files, caches and
    virtual environments are passed over. With ``whole`` a folder that is named is one submission.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If a file is neither ``.py`` nor ``.ipynb``, or there is nothing to grade.
    """
    found: dict[Path, Submission] = {}
    for given in map(Path, paths):
        if not given.exists():
            raise FileNotFoundError(f"there is no file or folder {given}")
        if given.is_dir():
            entries = list((_as_one if whole else _in_folder)(given, class_name))
            if not entries:
                raise ValueError(f"{given}: no .py or .ipynb file in it, nor in its sub-folders")
        elif given.suffix.lower() in SUFFIXES:
            entries = [Submission(given, given.stem)]
        else:
            raise ValueError(f"{given}: expected a .py or .ipynb file, or a folder")
        for entry in entries:
            found.setdefault(entry.path.resolve(), entry)
    return _named_apart(sorted(found.values(), key=lambda s: s.path.as_posix()))


def _in_folder(folder: Path, class_name: str | None) -> Iterator[Submission]:
    for entry in sorted(folder.iterdir()):
        if _is_hidden(entry):
            continue
        if entry.is_dir():
            found = list(_as_one(entry, class_name))
            if found:
                yield from found
            elif any(_files(entry, ("",))):  # something else was handed in
                yield Submission(entry, entry.name, entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield Submission(entry, entry.stem)


def _as_one(folder: Path, class_name: str | None) -> Iterator[Submission]:
    files = sorted(_files(folder, SUFFIXES), key=lambda f: (len(f.parts), f.as_posix()))
    if files:
        best = max(files, key=lambda f: _rank(f, class_name))  # the first of equals
        yield Submission(best, folder.resolve().name, folder)


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name in _LEFT_OUT


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """All files below a folder, without following links to folders."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not _is_hidden(Path(name)) and not (Path(base) / name / "pyvenv.cfg").exists()
        )
        for name in names:
            if not _is_hidden(Path(name)) and name.lower().endswith(suffixes):
                yield Path(base) / name


def _named_apart(found: list[Submission]) -> list[Submission]:
    """Give those that share a name longer ones, with as many folders before it as it takes."""
    names = [s.name for s in found]
    twice = {name for name in names if names.count(name) > 1}
    return [
        Submission(s.path, _longer(s), s.folder) if s.name in twice else s for s in found
    ]  # fmt: skip


def _longer(submission: Submission) -> str:
    return (submission.folder or submission.path).as_posix()


# --- which file holds the class -------------------------------------------------------------------

_ARITHMETIC = {"__add__", "__mul__", "__radd__", "__rmul__"}
_BACKWARD = re.compile("back", re.IGNORECASE)


def source_of(path: Path) -> str:
    """The Python in a file; of a notebook the code cells, without magics. Empty if it is none."""
    try:
        raw = path.read_bytes()
        if path.suffix.lower() != ".ipynb":
            return raw.decode("utf-8-sig", "replace")
        cells: list[Any] = json.loads(raw).get("cells", [])
        code = [c.get("source", "") for c in cells if c.get("cell_type") == "code"]
        return "\n".join(_plain(x if isinstance(x, str) else "".join(x)) for x in code)
    except (OSError, ValueError, AttributeError, TypeError):
        return ""


def _plain(cell: str) -> str:
    """A cell of a notebook without what only notebooks understand."""
    first = cell.lstrip().partition("\n")[0]
    if first.startswith("%%") and not re.match(r"%%(time|capture|prun)\b", first):
        return ""  # not Python, or Python that is measured
    return re.sub(r"(?m)^(\s*)(?:[%!?].*|[\w.]+\?+\s*)$", r"\1pass", cell)


def _rank(path: Path, class_name: str | None) -> tuple[int, int]:
    """How likely a file is to hold the class: (what is in it, a script before a notebook)."""
    script = int(path.suffix.lower() == ".py")
    text = source_of(path)
    best = 0
    for name, methods in _classes(text):
        arithmetic = bool(_ARITHMETIC & methods)
        backward = any(_BACKWARD.search(method) for method in methods)
        if name == class_name:
            rank = 9
        else:
            rank = 4 * arithmetic + 2 * (arithmetic and backward) + (name == "Value")
        best = max(best, rank)
    if re.match(r"(?i)(test_|.*_test$|conftest$|setup$)", path.stem):
        best -= 4  # a class made for a test
    return best, script


def _classes(text: str) -> Iterator[tuple[str, set[str]]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for found in re.finditer(r"(?m)^class\s+(\w+)(.*\n(?:(?:[ \t].*)?\n)*)", text + "\n"):
            yield found[1], set(re.findall(r"def\s+(\w+)", found[2]))
        return
    outside: set[str] = set()  # Value.__add__ = add
    for top in tree.body:
        if isinstance(top, ast.Assign):
            outside |= {t.attr for t in top.targets if isinstance(t, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = {x.name for x in node.body if isinstance(x, ast.FunctionDef)}
            names |= {
                t.id
                for x in node.body
                if isinstance(x, ast.Assign)
                for t in x.targets
                if isinstance(t, ast.Name)
            }
            yield node.name, names | outside


# --- what a file depends on -----------------------------------------------------------------------


def _with_imported(path: Path) -> set[Path]:
    """A file and the files beside it that it imports, and those that they import."""
    found, waiting = {path}, [path]
    while waiting:
        for name in _imported(source_of(waiting.pop())):
            module = path.parent.joinpath(*name.split("."))
            for file in (module.with_name(module.name + ".py"), module / "__init__.py"):
                if file not in found and file.is_file():
                    found.add(file)
                    waiting.append(file)
    return found


def _imported(text: str) -> Iterable[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        names = re.findall(r"(?m)^\s*(?:from|import)\s+\.*([\w.]+)", text)
        return [name for name in names if name]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            before = f"{node.module}." if node.module else ""
            found += [node.module] if node.module else []
            found += [before + alias.name for alias in node.names if alias.name != "*"]
    parents = [name.rpartition(".")[0] for name in found]
    return [name for name in (*found, *parents) if name]
