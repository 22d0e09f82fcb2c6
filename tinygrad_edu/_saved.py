"""How a training finds the room that saves it.

The room ``saving`` stands above training, for it writes models, optimizers and histories down. So
``fit(checkpoint=...)`` asks ``saving_room``, and the front door of the package says which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_rooms: list[Callable[[], Any]] = []


def saved_by(room: Callable[[], Any]) -> None:
    """Let ``room()`` answer ``saving_room`` from now on."""
    _rooms[:] = [room]


def saving_room() -> Any:
    """Return the module with ``save`` and ``load``; it loads when it is first asked for.

    >>> saving_room().__name__
    'tinygrad_edu.saving'
    """
    return _rooms[0]()
