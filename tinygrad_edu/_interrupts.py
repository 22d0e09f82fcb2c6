"""Ctrl-C and SIGTERM: what must not be cut in two is not, and what is asked to end ends in order.

Python runs the handlers of signals between two of its own instructions, so a Ctrl-C can come
anywhere in a row of statements, also in the part that puts things back after the first one.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any


def at_once(changes: Iterable[partial[None]]) -> None:
    """Make all of these changes, or none of them if a Ctrl-C comes.

    A change is a call of a method written in C that takes nothing for an answer, such as
    ``partial(numbers.append, 1.0)``: then the interpreter is left once for all of them, and an
    interrupt (or another thread) sees the time before or the time after.

    >>> loss, accuracy = [], []
    >>> at_once([partial(loss.append, 0.5), partial(accuracy.append, 1.0)])
    >>> loss, accuracy
    ([0.5], [1.0])
    """
    deque(map(partial.__call__, tuple(changes)), maxlen=0)


class HeldBack:
    """A context that a Ctrl-C does not interrupt: it is raised at the end instead.

    For a few statements that change things together. Only the main thread of a process gets
    interrupts, elsewhere the context does nothing.

    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)
    >>> try:
    ...     with HeldBack():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("all of it")
    ... except KeyboardInterrupt:
    ...     print("and then the interrupt")
    ... finally:
    ...     _ = signal.signal(signal.SIGINT, before)
    all of it
    and then the interrupt
    """

    def __init__(self) -> None:
        self._handler: Any = None
        self._came: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> None:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            self._handler = handler
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGINT, self._note)
                return
            self._handler = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = (number, frame)

    def __exit__(self, *reason: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._came is not None:
                self._handler(*self._came)


class EndsOnTermination:
    """A context in which SIGTERM raises ``SystemExit(143)``, as Ctrl-C raises KeyboardInterrupt.

    By default SIGTERM ends a process on the spot, in the middle of whatever it writes. Where the
    program has a handler of its own, or outside the main thread, the context changes nothing.
    """

    def __enter__(self) -> None:
        self._mine = False
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            with suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGTERM, _end)
                self._mine = True

    def __exit__(self, *reason: object) -> None:
        if self._mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
