"""The code on the pages in docs/ runs, top to bottom, and says what the pages say it says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def plain_program(text: str) -> str:
    """The blocks that are no interpreter sessions, as one program on the lines of the page."""
    program = [""] * text.count("\n")
    for block in _BLOCK.finditer(text):
        if ">>>" not in block[1]:
            first = text.count("\n", 0, block.start(1))
            lines = block[1].splitlines()
            program[first : first + len(lines)] = lines
    return "\n".join(program)


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / name).read_text(encoding="utf-8")
    program = plain_program(text)
    if "llvmlite" in text or "compile" in text:
        pytest.importorskip("llvmlite", reason="the compiler comes with the extra [fast]")
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(program, str(DOCS / name), "exec"), names)
    session = doctest.DocTestParser().get_doctest(text, {}, name, str(DOCS / name), 0)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(session, out=told.append)
    assert not told, "".join(told)


def test_blocks_are_found_on_their_lines() -> None:
    text = "a\n```python\nx = 1\n```\n```python\n>>> 1\n1\n```\n```sh\nls\n```\n"
    text += "```python\ny = 2\n```\n"
    assert plain_program(text).splitlines() == [*["", "", "x = 1"], *[""] * 9, "y = 2"]
