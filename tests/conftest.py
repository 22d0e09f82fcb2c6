"""What several test files need."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest


@pytest.fixture
def require_dot() -> Callable[[], None]:
    """A function that skips the test where Graphviz's program ``dot`` is not installed."""

    def require() -> None:
        if shutil.which("dot") is None:
            pytest.skip("Graphviz's program 'dot' is not on the PATH")

    return require
