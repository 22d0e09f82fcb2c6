"""The project's own texts as pages: their links, written for the repository, lead to pages here."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path

# whichever begins first: a block of code or a piece of it, which are left alone, or a link
_PIECE = re.compile(
    r"^```.*?^```$|`[^`\n]*`|(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)",
    re.M | re.S,
)


def convert(text: str, name: str, pages: dict[str, str], root: Path, source: Path) -> str:
    """Rewrite the links of a Markdown text.

    Args:
        text: The text of the file ``name``.
        name: Path of the file from the root of the project, with slashes.
        pages: Path of a text or program -> name of its page.
        root: The root of the project.
        source: The folder of the pages.

    A link to a text that has a page leads to the page; to any other file, to a copy of it; to a
    folder without a page, nowhere: its text stays.

    Raises:
        ValueError: If a link leads to nothing in the project.
    """
    here = posixpath.dirname(pages[name])

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match["text"], match["target"], match["anchor"] or ""
        if not target or ":" in target:  # code, a place on the same page, another site
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if path in pages:
            page = posixpath.relpath(pages[path], here or ".")
            return f"{label}({page}.md{anchor})"
        place = root / path
        if place.is_dir():
            return label[1:-1]
        if not place.is_file():
            raise ValueError(f"{name} links to {target}, which is not in the project")
        copy = source / "files" / path
        os.makedirs(copy.parent, exist_ok=True)
        shutil.copy(place, copy)
        return f"{label}({posixpath.relpath(f'files/{path}', here or '.')})"

    return _PIECE.sub(replace, text)
