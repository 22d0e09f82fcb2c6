"""A Ctrl-C at a place of one's choice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def interrupted_at(event: int, call: Callable[[], Any], inside: str) -> tuple[int, BaseException]:
    """Run ``call`` with a Ctrl-C before the event-th instruction in a file.

    Return how many instructions of that file ran, and what was raised.
    """
    count, raised = 0, None

    def trace(frame: Any, kind: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != inside:
            return None
        frame.f_trace_opcodes = True
        if kind == "opcode":
            count += 1
            if count == event:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except BaseException as error:
        raised = error
    finally:
        sys.settrace(before)
    return count, raised
