"""Pages: one HTML file each, which asks nothing of the network.

The parts are in ``pages/``: a template, style sheets and scripts that one can read. Data goes in as
JSON, and the page's own policy lets no script run but the one it came with.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinygrad_edu._files import write_atomically
from tinygrad_edu._version import __version__


class Page:
    """A page that saves itself and shows itself in notebooks.

    Attributes:
        html: The page, one HTML document that needs nothing else.
        title: What the page is about.

    >>> Page("<title>empty</title>", "nothing")
    <page about nothing, 0 KB>
    """

    def __init__(self, html: str, title: str) -> None:
        self.html = html
        self.title = title

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to ``path``, which ends in ``.html`` or ``.htm``.

        Raises:
            ValueError: If the suffix is another one; nothing is written.
            OSError: If the file cannot be written; an old file stays as it was.
        """
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{os.fspath(path)!r}: a page is saved as .html")
        write_atomically(path, self.html)

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self.title)}" '
            'style="width: 100%; height: 760px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<page about {self.title}, {len(self.html) / 1024:.0f} KB>"


def page_file(name: str) -> str:
    """Return one of the files in ``pages/``."""
    return files("tinygrad_edu.drawing.pages").joinpath(name).read_text(encoding="utf-8")


def make_page(
    name: str,
    title: str,
    *,
    data: Any,
    scripts: list[str],
    inner: Iterable[Page] = (),
    **parts: str,
) -> Page:
    """Put a page together from ``pages/<name>.html``, ``.css`` and ``.js``, and what all share.

    Args:
        name: Which template.
        title: Plain text; escaped here.
        data: What the script reads, as JSON can hold it.
        scripts: JavaScript that ``<name>.js`` builds on.
        inner: Pages that this one shows in a frame; their scripts may run, too.
        parts: HTML for the other places of the template, by name.
    """
    script = "\n".join(["", page_file("player.js"), *scripts, page_file(f"{name}.js")])
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    hashes = [f"'sha256-{base64.b64encode(digest).decode('ascii')}'"]
    for page in inner:
        hashes += re.findall(r"script-src ([^;\"]+)", page.html)[:1]
    filled = fill_template(
        name,
        html.escape(title),
        page_file("common.css") + page_file(f"{name}.css"),
        **parts,
        hash=" ".join(dict.fromkeys(hashes)),
        controls=page_file("controls.html"),
        data=_json(data),
        script=script,
    )
    return Page(filled, title)


def fill_template(name: str, title: str, style: str, **parts: str) -> str:
    """Fill ``pages/<name>.html``; all parts are HTML."""
    parts = {**parts, "version": __version__, "title": title, "style": style}
    return _fill(page_file(f"{name}.html"), parts)


def _json(data: Any) -> str:
    """JSON that can stand in a page: no ``<`` in it, so no label can end the script element."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _fill(template: str, parts: dict[str, str]) -> str:
    """Put the parts into a template, in one pass: nothing that was put in is looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
