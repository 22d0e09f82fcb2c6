"""Make the laboratory: ``python tools/lab.py`` (``make lab``) writes ``lab.html``, one file.

Into it go this package, Python as WebAssembly (Pyodide), Graphviz as WebAssembly (Viz.js), the
package ``graphviz``, the lessons and the page itself, all from ``laboratory/``. The first two come
from npm, in the versions that ``laboratory/package.json`` pins and with the contents that ``FILES``
pins. Python is started once here, in Node, and its memory with everything imported is what the page
starts from. A machine without npm is told so, and nothing is made.
"""

from __future__ import annotations

import argparse
import ast
import base64
import gzip
import hashlib
import html
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "laboratory"
WORK = ROOT / "build" / "lab"
TARGET = ROOT / "lab.html"
SECONDS = 300  # for one step

# part of the page -> the file from npm, and its SHA-256
FILES = {
    "wasm": (
        "pyodide/pyodide.asm.wasm",
        "cc36e3cab04fdfc9a63ff13eb52eae2b911bf46c025cc7b281f394bd3de1d5e6",
    ),
    "asm": (
        "pyodide/pyodide.asm.mjs",
        "f7cdc8ece80678ceb712f8e65ebe6d3a83203a180c399865f49612a051693635",
    ),
    "pyodide": (
        "pyodide/pyodide.mjs",
        "6f1d60f7bf529beb300f0f47983c921d3982363640ba20af0e38efdddbc66109",
    ),
    "stdlib": (
        "pyodide/python_stdlib.zip",
        "fa1957e5777068fc4f7437f96d860ae2fbe9c19732ba06c84e004ec16dd7dd7a",
    ),
    "graphviz": (
        "@viz-js/viz/dist/viz.js",
        "b9840ae5b70681356c207510db8820ac3f883607740616455d9c7c47d67ea646",
    ),
}


class Absent(Exception):
    """Something that the laboratory is made with is not on this machine."""


# --- what goes in ---------------------------------------------------------------------------------


def package_files() -> dict[str, Path]:
    """The files of this package and of ``graphviz``, by their name in the archive."""
    package = ROOT / "tinygrad_edu"
    found = {
        path.relative_to(ROOT).as_posix(): path
        for path in sorted(package.rglob("*"))
        if path.suffix in (".py", ".html", ".css", ".js")
    }
    spec = importlib.util.find_spec("graphviz")
    if spec is None or spec.origin is None:
        raise Absent("the package graphviz is not installed")
    graphviz = Path(spec.origin).parent
    found |= {
        path.relative_to(graphviz.parent).as_posix(): path
        for path in sorted(graphviz.rglob("*.py"))
    }
    return found


def lesson(path: Path) -> dict[str, Any]:
    """Read a lesson: a program whose docstring has a title, paragraphs and tasks.

    Raises:
        ValueError: If one of them is missing.
    """
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    text = ast.get_docstring(tree)
    if not text or "\n\nTasks:\n" not in text or len(tree.body) < 2:
        raise ValueError(f"{path.name}: expected a docstring with a title and 'Tasks:', and code")
    said, tasks = text.split("\n\nTasks:\n")
    title, *paragraphs = said.split("\n\n")
    end = tree.body[0].end_lineno or 0
    return {
        "title": title,
        "text": [" ".join(paragraph.split()) for paragraph in paragraphs],
        "tasks": [" ".join(task.split()) for task in f"\n{tasks}".split("\n- ")[1:]],
        "code": "\n".join(source.split("\n")[end:]).strip("\n") + "\n",
    }


def lessons() -> list[dict[str, Any]]:
    """All lessons, in the order of the notes."""
    return [lesson(path) for path in sorted((SOURCES / "lessons").glob("*.py"))]


def digest() -> str:
    """A number for everything that the page is made of; a page of another one is out of date."""
    code = hashlib.sha256(json.dumps([FILES, version("graphviz")]).encode())
    files = package_files()
    for path in sorted(SOURCES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[path.relative_to(ROOT).as_posix()] = path
    files["tools/lab.py"] = Path(__file__)
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        code.update(f"{name} {len(content)} ".encode())
        code.update(content)
    return code.hexdigest()


def is_current(page: Path = TARGET) -> bool:
    """Whether ``page`` is there and was made of what is here now."""
    if not page.is_file():
        return False
    with open(page, encoding="utf-8") as opened:
        return digest() in opened.read(4000)


# --- making it ------------------------------------------------------------------------------------


def program(name: str) -> str:
    """The path of a program.

    Raises:
        Absent: If it is not on the PATH.
    """
    path = shutil.which(name)
    if path is None:
        raise Absent(f"the program {name!r} is not on the PATH (Node.js brings it)")
    return path


def run(command: list[str], what: str, **options: Any) -> None:
    """Run a command.

    Raises:
        RuntimeError: If it fails or does not end; the message has the end of what it said.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors="replace",
            timeout=SECONDS, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{what} did not end within {SECONDS} s") from None
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")


def from_npm() -> dict[str, bytes]:
    """Fetch the packages of ``package.json`` into build/lab, unless they are there.

    Raises:
        Absent: If npm is missing, or gives us nothing.
        RuntimeError: If a file is not the one that ``FILES`` pins.
    """
    npm = program("npm")
    WORK.mkdir(parents=True, exist_ok=True)
    wanted = (SOURCES / "package.json").read_text(encoding="utf-8")
    there = WORK / "package.json"
    modules = WORK / "node_modules"
    if not modules.is_dir() or not there.is_file() or there.read_text("utf-8") != wanted:
        shutil.rmtree(modules, ignore_errors=True)
        there.write_text(wanted, encoding="utf-8")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        try:
            run([npm, "install", *options], "npm install", cwd=WORK)
        except RuntimeError as error:
            there.unlink()
            raise Absent(f"npm has nothing for us: {error}") from None
    contents = {}
    for name, (path, pinned) in FILES.items():
        contents[name] = (modules / path).read_bytes()
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != pinned:
            raise RuntimeError(f"{path}: expected the SHA-256 {pinned}, got {found}")
    return contents


def archive() -> bytes:
    """The packages as one zip file, the same for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, path in package_files().items():
            packed.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def snapshot(packed: bytes) -> bytes:
    """Python's memory after it has started and imported the package."""
    place, target = WORK / "package.zip", WORK / "snapshot.bin"
    place.write_bytes(packed)
    folder = WORK / "node_modules" / "pyodide"
    arguments = [folder, place, SOURCES / "warm.py", target]
    run([program("node"), str(SOURCES / "snapshot.mjs"), *map(str, arguments)], "the snapshot")
    return target.read_bytes()


def json_in_page(data: Any) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def page(contents: dict[str, bytes]) -> str:
    """Put the page together."""
    read = {path.name: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.*")}
    pins = json.loads(read["package.json"])["dependencies"]
    lock = json.loads((WORK / "node_modules/pyodide/pyodide-lock.json").read_text("utf-8"))
    common = (ROOT / "tinygrad_edu/drawing/pages/common.css").read_text(encoding="utf-8")
    parts = "\n".join(
        f'<script id="part-{name}" type="text/plain">'
        f"{base64.b64encode(gzip.compress(content, 9, mtime=0)).decode('ascii')}</script>"
        for name, content in contents.items()
    )
    scope: dict[str, str] = {}
    exec((ROOT / "tinygrad_edu/_version.py").read_text(encoding="utf-8"), scope)
    filled = {
        "version": scope["__version__"],
        "digest": digest(),
        "pyodide": pins["pyodide"],
        "viz": pins["@viz-js/viz"],
        "graphviz": version("graphviz"),
        "style": common + read["page.css"],
        "lessons": json_in_page(lessons()),
        "texts": json_in_page(
            {"worker": read["worker.js"], "start": read["start.py"], "info": lock["info"]}
        ),
        "size": f"{len(parts) / 1e6:.0f} MB",
        "script": read["page.js"],
    }
    whole = read["page.html"]
    for name in ("version", "digest", "pyodide", "viz", "graphviz", "size"):
        whole = whole.replace(f"{{{{{name}}}}}", html.escape(filled[name]))
    for name in ("style", "lessons", "texts", "script"):
        whole = whole.replace(f"{{{{{name}}}}}", filled[name])
    return whole.replace("{{parts}}", parts)


def make(target: Path = TARGET) -> Path:
    """Write the laboratory to ``target``, unless what is there is of today.

    Raises:
        Absent: If this machine has not what it takes.
        RuntimeError: If a step fails.
    """
    if is_current(target):
        return target
    program("node")
    contents = from_npm()
    packed = archive()
    contents |= {"archive": packed, "snapshot": snapshot(packed)}
    partial = WORK / "lab.html"
    partial.write_text(page(contents), encoding="utf-8", newline="\n")
    os.replace(partial, target)
    return target


def main() -> int:
    """Make the laboratory; returns 0 also where it cannot be made, after saying why."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=TARGET, help="the file to write")
    options = parser.parse_args()
    try:
        made = make(options.output.resolve())
    except Absent as error:
        print(f"laboratory: skipped, {error}")
        return 0
    print(f"laboratory: {os.path.relpath(made)}, {made.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
