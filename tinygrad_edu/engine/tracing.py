"""What a Value stands for while a function is being traced.

A compiler runs a function once, on symbols. Values that the function takes from its surroundings
are inputs of the compiled code: what is computed with them is recorded, and so must be what is
asked about them. ``w > 0`` would otherwise be answered once, for all calls. While a function is
traced, the compiler says here what a Value stands for (``lifting``), and ``Number`` and ``grad``
ask; per thread, for other threads may be computing as always.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _Here(threading.local):
    lift: Callable[[Any], Any] | None = None
    loops: Callable[..., Any] | None = None


_here = _Here()
_depth = [0]  # traces under way in all threads: 0 almost always, and quick to look up


def lifted(value: Any) -> Any:
    """Return what ``value`` stands for in the trace under way on this thread; ``None`` if none is.

    >>> lifted(1.0) is None
    True
    """
    return None if not _depth[0] or _here.lift is None else _here.lift(value)


def tracing() -> bool:
    """Is a function being traced on this thread?

    >>> tracing()
    False
    """
    return _depth[0] > 0 and _here.lift is not None


def recorder_of_loops() -> Callable[..., Any] | None:
    """Return what records ``scan`` in the trace under way on this thread; ``None``: a plain loop.

    >>> recorder_of_loops() is None
    True
    """
    return None if not _depth[0] else _here.loops


@contextmanager
def lifting(lift: Callable[[Any], Any], loops: Callable[..., Any] | None = None) -> Iterator[None]:
    """Let ``lift`` say what a Value stands for, on this thread, inside the ``with`` block.

    Args:
        lift: Takes a Value.
        loops: Records a ``scan``, given its arguments; a plain loop is recorded without it.

    >>> with lifting(lambda value: "symbol"):
    ...     lifted(1.0)
    'symbol'
    """
    before = _here.lift, _here.loops
    _here.lift, _here.loops = lift, loops
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        _here.lift, _here.loops = before
