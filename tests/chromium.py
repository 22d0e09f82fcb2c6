"""A real browser for tests of pages: Chromium, driven by playwright; skips where it is absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing that Chromium likes to fetch on its own account, and no sandbox: containers run as root.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
]  # fmt: skip


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium; skip the test if there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on the PATH (apt install chromium, or set CHROMIUM)")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


class Opened:
    """A page, and everything about it that must not happen: errors, dialogs and requests."""

    def __init__(self, browser: Any, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        self.troubles: list[str] = []
        self.requests: list[str] = []

    def __call__(self, html: str, **options: Any) -> Any:
        path = self._folder / f"page{len(list(self._folder.iterdir()))}.html"
        path.write_text(html, encoding="utf-8")
        page = self._browser.new_page(**options)
        page.on("console", lambda message: self.troubles.append(message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self._dialog(dialog))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()


OpenPage = Callable[..., Any]


@contextmanager
def watched(browser: Any, folder: Path) -> Iterator[OpenPage]:
    """Give a function that opens HTML as a page; afterwards nothing may have gone wrong."""
    opened = Opened(browser, folder)
    yield opened
    for context in browser.contexts:
        context.close()
    assert opened.troubles == []
    assert all(url.startswith(("file:", "data:")) for url in opened.requests), opened.requests
