"""Locks and ``fork``: a child has no thread that could release what another thread held.

So a fork waits until such a lock is free, and the child starts with it free. Where there is no fork
(Windows), nothing is to be done.
"""

from __future__ import annotations

import os
from typing import Protocol, TypeVar


class _Lock(Protocol):
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def release(self) -> None: ...


L = TypeVar("L", bound=_Lock)
_PATIENCE = 20.0  # seconds; then fork goes on without, rather than to wait for ever


def held_while_forking(lock: L) -> L:
    """Return ``lock``, which every fork of this process takes and gives back, on both sides.

    >>> import threading
    >>> lock = held_while_forking(threading.RLock())
    """
    held = [False]

    def take() -> None:
        held[0] = lock.acquire(timeout=_PATIENCE)

    def give_back() -> None:
        if held[0]:
            held[0] = False
            lock.release()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=take, after_in_parent=give_back, after_in_child=give_back)
    return lock
