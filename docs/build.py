"""Build the documentation: ``python -m docs.build`` (``make docs``) writes it to site/.

The pages come from three places: texts that stand in the project (README, CONTRIBUTING, CHANGELOG,
docs/*.md), the docstrings, and what is made here from the table of operations and from the demos.
All of it is put together in build/docs, Sphinx makes HTML of it, with warnings as errors, and then
every link between the pages is followed, and every public name looked up in the inventory. Nothing
is fetched from a network, except with --online the inventories of the libraries that are named.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import zlib
from pathlib import Path

from docs import api, demos, estimators, operations
from docs.links import broken_links
from docs.texts import convert

ROOT = Path(__file__).resolve().parent.parent
# the figures are drawn for a light ground, and the theme has a dark one too
CSS = "article img { background: white; }\n"
TEXTS = {"README.md": "index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
# the pages by what a reader wants; a text that is not named here is a how-to guide
SECTIONS = {
    "Start here": ["start"],
    "Tutorials": ["demos/index"],
    "How-to guides": [],
    "Reference": ["api/index", "estimators"],
    "Explanation": ["engine", "compiler", "numerics", "versions"],
    "Project": ["installs", "contributing", "changelog"],
}


def toctree(caption: str, pages: list[str]) -> str:
    """A table of contents that shows in the side bar alone."""
    return "\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", "", *pages, "```", ""])


def sections(own: list[str]) -> dict[str, list[str]]:
    """Caption -> pages; ``own`` are the names of the texts in docs/."""
    placed = {page for pages in SECTIONS.values() for page in pages}
    guides = [page for page in own if page not in placed]
    return {caption: pages or guides for caption, pages in SECTIONS.items()}


def missing_entries(inventory: Path) -> list[str]:
    """The names of the package's ``__all__``s that an ``objects.inv`` does not list."""
    lines = inventory.read_bytes().split(b"\n", 4)
    entries = zlib.decompress(lines[4]).decode("utf-8").splitlines()
    listed = {line.split(" ", 1)[0] for line in entries if " py:" in line}
    wanted = {f"{m}.{name}" for m in api.listing_modules() for name in api.public_names(m)}
    return sorted(wanted - listed)


def write_sources(source: Path, *, run: bool) -> None:
    """Put all pages into the folder ``source``; ``run`` says whether the demos are to be run."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", source)
    (source / "static").mkdir()
    (source / "static" / "figures.css").write_text(CSS, encoding="utf-8")
    own = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    pages = {
        **TEXTS,
        **{f"docs/{name}.md": name for name in own},
        "demos": "demos/index",
        "tinygrad_edu": "api/index",
        **{f"tinygrad_edu/{path}": f"api/{name}" for name, path in api.paths().items()},
        "tinygrad_edu/engine/ops.py": "operations/index",
    }
    figures = ROOT / "docs" / "figures"
    if figures.is_dir():  # README shows them by an HTML tag, which Sphinx leaves as it is
        shutil.copytree(figures, source / "extra" / "docs" / "figures")
        shutil.copytree(figures, source / "extra" / "figures")  # as docs/*.md see them
    operations.write(source / "operations")
    api.write(source / "api")
    estimators.write(source / "estimators.md")
    demo_pages = demos.write(source / "demos", ROOT, run=run)
    pages |= {f"demos/{Path(page).name}.py": f"demos/{page}" for page in demo_pages}
    for text, page in pages.items():
        if text.endswith(".md"):
            content = convert((ROOT / text).read_text(encoding="utf-8"), text, pages, ROOT, source)
            (source / f"{page}.md").write_text(content, encoding="utf-8")
    laboratory = ROOT / "lab.html"  # made by `make lab`, where there is npm
    if laboratory.is_file():
        (source / "extra").mkdir(exist_ok=True)
        shutil.copy(laboratory, source / "extra")
        with open(source / "laboratory.md", "a", encoding="utf-8") as page_of_it:
            page_of_it.write('\n<p><a href="lab.html">Open the laboratory</a></p>\n')
    with open(source / "index.md", "a", encoding="utf-8") as index:
        index.write("\n")
        for caption, names in sections(own).items():
            index.write(toctree(caption, names))


def main() -> int:
    """Build the documentation; returns 0 if no page has a fault and no link is broken."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "site", help="folder for the pages")
    parser.add_argument("--no-run", action="store_true", help="show the demos without running them")
    parser.add_argument(
        "--online", action="store_true", help="link to numpy's, torch's, ... own documentation"
    )
    options = parser.parse_args()
    if options.online:
        os.environ["TINYGRAD_EDU_DOCS_ONLINE"] = "1"
    try:
        from sphinx.cmd.build import build_main
    except ImportError:
        print("the documentation needs Sphinx: pip install --group docs", file=sys.stderr)
        return 2
    source = ROOT / "build" / "docs"
    write_sources(source, run=not options.no_run)
    shutil.rmtree(options.output, ignore_errors=True)
    status = build_main(
        ["-q", "-W", "--keep-going", "-E", "-b", "html", str(source), str(options.output)]
    )
    shutil.rmtree(options.output / ".doctrees", ignore_errors=True)
    broken = broken_links(options.output)
    for link in broken:
        print(f"broken link: {link}", file=sys.stderr)
    missing = [] if status else missing_entries(options.output / "objects.inv")
    for name in missing:
        print(f"not in the reference: {name}", file=sys.stderr)
    if not (status or broken or missing):
        print(f"documentation: {os.path.relpath(options.output / 'index.html')}")
    return 1 if status or broken or missing else 0


if __name__ == "__main__":
    sys.exit(main())
