"""The demos as pages: their text, their code, and what they print and draw.

The demos are programs in the percent format (cells that begin with ``# %%``), which jupytext reads.
They are run once for each state of their code and the package's: the results wait in build/demos.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 900  # for one demo


def cells(path: Path) -> list[tuple[str, str]]:
    """The cells of a demo as pairs of kind (``"markdown"`` or ``"code"``) and text.

    Raises:
        ImportError: If jupytext is missing.
    """
    try:
        import jupytext
    except ImportError as error:
        raise ImportError(
            "the pages of the demos need jupytext: pip install --group docs"
        ) from error
    notebook = jupytext.read(path, fmt="py:percent")
    return [(cell.cell_type, cell.source) for cell in notebook.cells if cell.source.strip()]


def demo_files(root: Path) -> list[Path]:
    """The programs in demos/ that are written in cells."""
    return [
        path
        for path in sorted((root / "demos").glob("*.py"))
        if path.read_text(encoding="utf-8").startswith("# %%")
    ]


def results(path: Path, root: Path) -> Path:
    """Run a demo, unless that was done already; return the folder with its output and figures.

    Raises:
        RuntimeError: If it fails or does not end.
    """
    code = hashlib.sha256()
    for source in [path, *sorted((root / "demos").glob("_*.py")),
                   *sorted((root / "tinygrad_edu").rglob("*.py"))]:  # fmt: skip
        code.update(source.read_bytes())
    folder = root / "build" / "demos" / f"{path.stem}-{code.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    for old in folder.parent.glob(f"{path.stem}-*"):
        shutil.rmtree(old)
    partial = folder.with_name(f"{path.stem}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    print(f"running demos/{path.name} ...", end=" ", flush=True)
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, str(path), "--folder", str(partial)],
            cwd=root / "demos", capture_output=True, text=True, timeout=SECONDS,
            env={**os.environ, "PYTHONPATH": str(root)}, encoding="utf-8",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{path.name} did not end within {SECONDS} s") from None
    if done.returncode:
        raise RuntimeError(f"{path.name} failed:\n{done.stdout}\n{done.stderr}")
    print(f"{time.perf_counter() - started:.0f} s")
    (partial / "output.txt").write_text(done.stdout, encoding="utf-8")
    partial.rename(folder)
    return folder


def page(path: Path, found: Path | None, pictures: Path) -> str:
    """The page of a demo in Markdown; ``found`` is the folder of its results, if it was run."""
    lines: list[str] = []
    for kind, text in cells(path):
        lines += [text, ""] if kind == "markdown" else ["```python", text, "```", ""]
    if found is not None:
        said = (found / "output.txt").read_text(encoding="utf-8")
        pictures_of = sorted(p for p in found.iterdir() if p.suffix in (".png", ".svg"))
        shown = sorted(pictures_of, key=lambda p: said.find(p.name))  # in the order of their making
        # where a figure was saved is of no interest: it is below
        lines_said = [line for line in said.split("\n") if not line.startswith("figure: ")]
        output = "\n".join(lines_said).strip("\n")
        if output:
            lines += ["## What it prints", "", "````text", output, "````", ""]
        if shown:
            lines += ["## What it draws", ""]
        for picture in shown:
            shutil.copy(picture, pictures / picture.name)
            title = picture.stem.replace("_", " ")
            lines += [f"![{title}]({picture.name})", ""]
    lines += [f"The program: {{download}}`demos/{path.name} <{path.name}>`.", ""]
    return "\n".join(lines)


def write(folder: Path, root: Path, *, run: bool) -> list[str]:
    """Write a page for each demo and a page that lists them; returns the pages' names."""
    folder.mkdir(parents=True)
    files = demo_files(root)
    lines = ["# Demos", "", "Each is a program; `make demos` runs them all.", ""]
    for path in files:
        text = page(path, results(path, root) if run else None, folder)
        shutil.copy(path, folder / path.name)
        (folder / f"{path.stem}.md").write_text(text, encoding="utf-8")
        title = next(line for line in text.split("\n") if line.startswith("# "))[2:]
        lines.append(f"- [{title}]({path.stem}.md)")
    stems = [path.stem for path in files]
    lines += ["", "```{toctree}", ":hidden:", "", *stems, "```", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
    return stems
