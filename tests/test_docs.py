"""What makes the documentation: pages of operations and demos, converted texts, links."""

from __future__ import annotations

import argparse
import ast
import doctest
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from docs import api, build, demos, operations
from docs.links import broken_links
from docs.texts import convert
from tinygrad_edu import Value, cli
from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Op

ROOT = Path(build.__file__).resolve().parent.parent
ENTRIES = {entry.name: entry for entry in operations.entries()}


def test_every_operation_and_family_has_a_page() -> None:
    assert set(ENTRIES) == {*ops.TABLE, *ops.FAMILIES}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_page_shows_the_whole_rule_and_the_numbers_that_backward_gives(name: str) -> None:
    entry = ENTRIES[name]
    source = ast.parse(operations.rule_source(entry))
    # the row itself, and every helper function that the row or another helper names
    named = {node.id for node in ast.walk(source) if isinstance(node, ast.Name)}
    shown = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    helpers = {
        name
        for name in named
        if name.startswith("_")
        and any(isinstance(getattr(file, name, None), FunctionType) for file in operations.FILES)
    }
    assert helpers - {"_add_up"} <= shown
    assert f'"{name}"' in operations.rule_source(entry)

    operands = operations.example_operands(entry.op)
    assert len(set(operands)) == len(operands)
    leaves = [Value(x) for x in operands]
    result = entry.op(*leaves)
    result.backward()
    page = operations.page(entry, operands)
    for letter, leaf in zip(operations.NAMES, leaves):
        assert f"| {letter} | {leaf.data:g} | {leaf.grad:.6g} |" in page
    assert f"The result is {result.data:.6g}." in page


def test_the_graph_and_the_plot_are_svg_with_the_right_numbers(tmp_path: Path) -> None:
    graph = operations.graph_svg(ops.mul, [1.5, 4.0])
    texts = {text for node in ET.fromstring(graph).iter() if (text := (node.text or "").strip())}
    assert {"1.5", "4", "6", "1"} <= texts
    operations.plot(ops.mul, [1.5, 4.0], tmp_path / "plot.svg")
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    assert operations._at(ops.mul, [1.5, 4.0], 0, 2.0) == (8.0, 4.0)
    value, slope = operations._at(ops.log, [1.0], 0, -1.0)
    assert value != value
    assert slope != slope


def test_every_room_is_in_the_reference(tmp_path: Path) -> None:
    names = api.rooms()
    assert names[:3] == ["engine", "functional", "formula"]
    assert {"nn", "compiler", "drawing", "grading"} <= set(names)
    assert all(api.summary(name) for name in names)
    api.write(tmp_path / "api")
    assert "automodule:: tinygrad_edu.nn" in (tmp_path / "api" / "nn.md").read_text("utf-8")


def entries_of(folder: Path) -> set[str]:
    """The dotted names that the sources of the reference give an entry to."""
    found = set()
    for page in folder.glob("*.md"):
        module = ""
        for line in page.read_text("utf-8").splitlines():
            directive = re.match(r"\.\. ([\w:]+):: (?:class )?([\w.]+)", line)
            if directive is None:
                continue
            kind, name = directive.groups()
            if kind in ("py:module", "py:currentmodule"):
                module = name
            elif kind.startswith("auto"):
                found.add(name)
            elif kind.startswith("py:"):
                found.add(f"{module}.{name}")
    return found


def test_every_public_name_has_an_entry(tmp_path: Path) -> None:
    modules = list(api.listing_modules())
    assert {"tinygrad_edu", "tinygrad_edu.nn", "tinygrad_edu.drawing.plots"} <= set(modules)
    wanted = {f"{module}.{name}" for module in modules for name in api.public_names(module)}
    assert {"tinygrad_edu.compile", "tinygrad_edu.nn.cross_entropy"} <= wanted
    api.write(tmp_path / "api")
    assert not wanted - entries_of(tmp_path / "api")


def test_every_public_name_has_an_example(tmp_path: Path) -> None:
    bare = set()
    for module in api.listing_modules():
        for name in api.public_names(module):
            thing = getattr(import_module(module), name)
            if isinstance(thing, Op):  # the reference makes one
                assert ">>> " + name in "\n".join(api.entry("tinygrad_edu.functional", name))
            elif ">>> " not in (thing.__doc__ or ""):  # not what a base class says
                bare.add(f"{module}.{name}")
    assert not bare
    page = tmp_path / "functional.md"
    page.write_text(api.room_page("functional"), encoding="utf-8")
    told: list[str] = []
    session = doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, "page", None, 0)
    assert len(session.examples) > 100
    doctest.DocTestRunner().run(session, out=told.append)
    assert not told, "".join(told)


def test_every_option_of_the_command_line_has_an_entry() -> None:
    page = api.command_line_page()
    for name, command in cli.COMMANDS.items():
        section = page.partition(f"## tinygrad-edu {name}\n")[2].partition("\n## ")[0]
        parser = argparse.ArgumentParser()
        command.configure(parser)
        for action in parser._actions:
            for option in action.option_strings or [str(action.metavar or action.dest.upper())]:
                assert re.search(rf"^\.\. option::.*{re.escape(option)}\b", section, re.M), option


def test_every_text_has_one_place_in_the_contents() -> None:
    own = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    listed = [page for pages in build.sections(own).values() for page in pages]
    assert len(listed) == len(set(listed))
    assert set(own) <= set(listed)
    made = {"demos/index", "api/index", "contributing", "changelog", "estimators"}
    assert set(listed) - made <= set(own)


def test_a_name_that_the_inventory_lacks_is_found(tmp_path: Path) -> None:
    wanted = [f"{m}.{name}" for m in api.listing_modules() for name in api.public_names(m)]
    kept = [name for name in wanted if name != "tinygrad_edu.nn.hinge"]
    entries = "".join(f"{name} py:function 1 api/x.html#$ -\n" for name in kept)
    head = b"# Sphinx inventory version 2\n# Project: x\n# Version: 0\n# zlib\n"
    (tmp_path / "objects.inv").write_bytes(head + zlib.compress(entries.encode()))
    assert build.missing_entries(tmp_path / "objects.inv") == ["tinygrad_edu.nn.hinge"]


def test_links_of_a_text_lead_to_pages_or_copies(tmp_path: Path) -> None:
    root, source = tmp_path / "root", tmp_path / "source"
    (root / "docs").mkdir(parents=True)
    (root / "LICENSE").write_text("free", encoding="utf-8")
    pages = {"README.md": "index", "docs/compiler.md": "compiler", "demos": "demos/index"}
    text = (
        "[a](docs/compiler.md#loops) [b](LICENSE) [c](docs) [d](https://x.org/y) [e](#here) "
        "`[f](nowhere)` ![g](LICENSE) [`h`](demos/)\n```\n[i](nowhere)\n```\n"
    )
    assert convert(text, "README.md", pages, root, source) == (
        "[a](compiler.md#loops) [b](files/LICENSE) c [d](https://x.org/y) [e](#here) "
        "`[f](nowhere)` ![g](files/LICENSE) [`h`](demos/index.md)\n```\n[i](nowhere)\n```\n"
    )
    assert (source / "files" / "LICENSE").read_text("utf-8") == "free"
    assert convert("[r](../README.md)", "docs/compiler.md", pages, root, source) == "[r](index.md)"
    with pytest.raises(
        ValueError, match=r"README\.md links to gone\.md, which is not in the project"
    ):
        convert("[x](gone.md)", "README.md", pages, root, source)


def test_the_links_of_the_projects_own_texts_lead_somewhere(tmp_path: Path) -> None:
    texts = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    texts += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
    pages = {text: Path(text).stem for text in texts}
    for text in texts:
        convert((ROOT / text).read_text(encoding="utf-8"), text, pages, ROOT, tmp_path)


def test_broken_links_are_found_and_good_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/page.html#there">1</a> <a href="#top">2</a> <p id="top"></p>'
        '<img src="picture.svg"> <a href="https://elsewhere.org/x">3</a> <a href="sub/">4</a>'
        '<a href="sub/page.html#gone">5</a>', encoding="utf-8",
    )  # fmt: skip
    (tmp_path / "sub" / "page.html").write_text(
        '<h1 id="there"></h1><a href="../index.html">1</a><a href="other.html">2</a>',
        encoding="utf-8",
    )
    assert broken_links(tmp_path) == [
        "index.html: picture.svg",
        "index.html: sub/",
        "index.html: sub/page.html#gone",
        "sub/page.html: other.html",
    ]
    (tmp_path / "picture.svg").write_text("<svg/>", encoding="utf-8")
    for name in ("index.html", "other.html"):
        (tmp_path / "sub" / name).write_text("", encoding="utf-8")
    assert broken_links(tmp_path) == ["index.html: sub/page.html#gone"]


DEMO = """# %% [markdown]
# # A small demo
#
# It prints and draws.

# %%
import sys
from pathlib import Path

print("six:", 2 * 3)
for name in ("second", "first"):
    Path(sys.argv[2], f"{name}.svg").write_text("<svg/>")
    print("figure:", Path(sys.argv[2], f"{name}.svg"))
"""


def test_a_demo_becomes_a_page_and_is_run_once_per_state_of_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jupytext", reason="jupytext comes with the dependency group docs")
    (tmp_path / "demos").mkdir()
    (tmp_path / "tinygrad_edu").mkdir()
    (tmp_path / "demos" / "all.py").write_text('"""Not in cells."""\n', encoding="utf-8")
    demo = tmp_path / "demos" / "01_small.py"
    demo.write_text(DEMO, encoding="utf-8")
    for folder in ("first", "second"):
        assert demos.write(tmp_path / folder, tmp_path, run=True) == ["01_small"]
    assert capsys.readouterr().out.count("running demos/01_small.py") == 1
    page = (tmp_path / "second" / "01_small.md").read_text("utf-8")
    assert page.startswith("# A small demo\n\nIt prints and draws.\n")
    assert '```python\nimport sys\nfrom pathlib import Path\n\nprint("six:", 2 * 3)' in page
    assert "````text\nsix: 6\n````" in page
    assert "![second](second.svg)\n\n![first](first.svg)\n" in page
    assert (tmp_path / "second" / "first.svg").is_file()
    assert "figure:" not in page.replace('print("figure:"', "")
    assert "[A small demo](01_small.md)" in (tmp_path / "second" / "index.md").read_text("utf-8")

    demo.write_text(DEMO + "raise ValueError('too small')\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"01_small\.py failed:(.|\n)*ValueError: too small"):
        demos.write(tmp_path / "third", tmp_path, run=True)
    assert "What it prints" not in demos.page(demo, None, tmp_path)


@pytest.mark.slow
def test_the_whole_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="Sphinx comes with the dependency group docs")
    done = subprocess.run(
        [sys.executable, "-m", "docs.build", "--no-run", "--output", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "operations" / "tanh.html").is_file()
    assert not broken_links(tmp_path / "site")
    assert not build.missing_entries(tmp_path / "site" / "objects.inv")


def test_the_readme_says_what_to_type_without_make() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from readme_commands import lines, on_this_system
    finally:
        sys.path.remove(str(ROOT / "tools"))
    commands = lines()
    assert commands.keys() == {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line, program in ((commands["demo"], "demos/main.py"), (commands["test"], "-m pytest")):
        assert program in line
        assert f"$(BIN)/python {program}" in makefile
        assert "\\" not in on_this_system(line) or sys.platform == "win32"
