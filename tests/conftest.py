"""What several test files need."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _control_c_is_heard() -> Iterator[None]:
    """A job that a shell starts in the background ignores SIGINT; the tests of Ctrl-C need it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def require_dot() -> Callable[[], None]:
    """A function that skips the test where Graphviz's program ``dot`` is not installed."""

    def require() -> None:
        if shutil.which("dot") is None:
            pytest.skip("Graphviz's program 'dot' is not on the PATH")

    return require
