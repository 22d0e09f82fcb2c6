"""Mutation testing: change one thing in the code, and see whether a test notices.

    python tools/mutants.py                       # what changed since main, 20 mutants
    python tools/mutants.py --count 50 --seed 3 tinygrad_edu/optim/schedules.py
    python tools/mutants.py --all-at tinygrad_edu/optim/schedules.py:100

Each mutant is one change of one expression (a condition negated, a constant, a comparison, ``and``
for ``or``, an operator, two arguments or the branches of an ``if`` swapped, a call or a returned
value dropped) in a copy of the project; the tests of its wing run against it. A mutant that no test
kills is a hole in the net or an equivalent program: read it. The exit code is 1 if any survived.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tinygrad_edu"
TIMES_UP = "killed: ran out of time"

_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.And: ast.Or,
    ast.Or: ast.And,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change: ``old`` at ``start`` of the file's text becomes ``new``."""

    path: str  # from the root
    line: int
    kind: str
    start: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The changed text."""
        assert text.startswith(self.old, self.start)
        return text[: self.start] + self.new + text[self.start + len(self.old) :]

    def __str__(self) -> str:
        old, new = (" ".join(part.split())[:70] for part in (self.old, self.new))
        return f"{self.path}:{self.line} ({self.kind}): {old}  ->  {new}"


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may become of ``node``: (kind, another node)."""
    if isinstance(node, (ast.If, ast.While)):
        return  # their tests are expressions of their own
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        other = copy.deepcopy(node)
        other.ops = [_OTHER[type(node.ops[0])]()]  # type: ignore[list-item]
        yield "comparison", other
    elif isinstance(node, ast.BoolOp):
        other_bool = copy.deepcopy(node)
        other_bool.op = _OTHER[type(node.op)]()  # type: ignore[assignment]
        yield "and/or", other_bool
    elif isinstance(node, ast.BinOp) and type(node.op) in _OTHER:
        other_bin = copy.deepcopy(node)
        other_bin.op = _OTHER[type(node.op)]()  # type: ignore[assignment]
        yield "operator", other_bin
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negated", node.operand
    elif isinstance(node, ast.IfExp):
        yield "branches swapped", ast.IfExp(test=node.test, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "constant", ast.Constant(not node.value)
    elif (
        isinstance(node, ast.Call)
        and len(node.args) == 2
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    ):
        swapped = ast.Call(func=node.func, args=node.args[::-1], keywords=node.keywords)
        yield "arguments swapped", swapped


def mutants(path: Path) -> list[Mutant]:
    """All mutants of one file; docstrings, annotations and messages of errors are left alone."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        head = text[starts[line - 1] : starts[line]].encode()[:column]
        return starts[line - 1] + len(head.decode())

    name = str(path.relative_to(ROOT))
    found: list[Mutant] = []

    def add(node: ast.expr, kind: str, new: str) -> None:
        start = place(node.lineno, node.col_offset)
        end = place(node.end_lineno or node.lineno, node.end_col_offset or 0)
        found.append(Mutant(name, node.lineno, kind, start, text[start:end], new))

    def visit(node: ast.AST) -> None:
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.AnnAssign)) and not (
            isinstance(node, ast.AnnAssign) and node.value is not None
        ):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, (ast.If, ast.While, ast.IfExp)):
            add(node.test, "negated", f"(not ({ast.unparse(node.test)}))")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            add(node.value, "call dropped", "None")
        if isinstance(node, ast.Return) and node.value is not None:
            add(node.value, "return", "None")
        if isinstance(node, ast.expr):
            for kind, other in _changes(node):
                add(node, kind, f"({ast.unparse(other)})")
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    visit(ast.parse(text))
    return found


def tests_for(path: str) -> list[str]:
    """The tests that should notice: those of the file's wing, and the doctests of the file."""
    parts = Path(path).parts[1:]
    wing = parts[0].removesuffix(".py")
    tests = [f"tests/{wing}", f"tests/test_{wing}.py", "tests/test_survivors.py"]
    return [test for test in tests if (ROOT / test).exists()] + [path]


def changed(since: str) -> list[Path]:
    """Files of the package that differ from the commit ``since``."""
    command = ["git", "diff", "--name-only", "--diff-filter=d", since, "--", PACKAGE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split() if name.endswith(".py")]


def copy_of_project(place: Path) -> Path:
    """Copy the files under version control, and new ones, to ``place``."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in done.stdout.splitlines():
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    return place


def verdict(mutant: Mutant, project: Path, seconds: float) -> str:
    """Run the tests against ``mutant``: ``"killed..."`` or ``"SURVIVED"``."""
    file = project / mutant.path
    text = file.read_text(encoding="utf-8")
    file.write_text(mutant.apply(text), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
    ]
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1",
                   "XDG_CACHE_HOME": str(project / ".cache")}  # fmt: skip
    try:
        done = subprocess.run(
            [*command, *tests_for(mutant.path)], cwd=project, env=environment,
            capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return TIMES_UP
    finally:
        file.write_text(text, encoding="utf-8")
    if done.returncode == 0:
        return "SURVIVED"
    if done.returncode in (1, 2):  # a test failed, or a file could not be collected
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return f"killed: {failed[0].split(' - ')[0]}" if failed else "killed"
    raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def main() -> int:
    """Choose mutants, try them, report."""
    parser = argparse.ArgumentParser(description="Mutation testing of changed files.")
    parser.add_argument("files", nargs="*", help="files to change; default: those changed")
    parser.add_argument("--since", default="HEAD~1", help="what 'changed' compares with")
    parser.add_argument("--count", type=int, default=20, help="how many mutants, of all possible")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--all-at", metavar="FILE:LINE", help="all mutants of one line instead")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--time", type=float, default=120.0, help="seconds for one mutant's tests")
    options = parser.parse_args()
    if options.all_at:
        file, _, line = options.all_at.rpartition(":")
        chosen = [m for m in mutants((ROOT / file).resolve()) if m.line == int(line)]
    else:
        paths = [Path(f).resolve() for f in options.files] or changed(options.since)
        every = [mutant for path in paths for mutant in mutants(path)]
        chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    if not chosen:
        print("nothing to change")
        return 0
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        free: SimpleQueue[Path] = SimpleQueue()
        for i in range(options.jobs):
            free.put(copy_of_project(Path(name) / str(i)))

        def judge(mutant: Mutant) -> tuple[Mutant, str]:
            project = free.get()
            try:
                return mutant, verdict(mutant, project, options.time)
            finally:
                free.put(project)

        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, found in pool.map(judge, chosen):
                print(f"{found:<12} {mutant}", flush=True)
                if not found.startswith("killed"):
                    survivors.append(mutant)
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    for mutant in survivors:
        print(f"survived: {mutant}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
