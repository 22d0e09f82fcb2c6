"""LLVM IR for loops over time that were found again: what they contain, turn after turn."""

from __future__ import annotations

from tinygrad_edu.compiler.emit.addresses import Index
from tinygrad_edu.compiler.emit.nests_ir import NestWriter
from tinygrad_edu.compiler.loops.nests import Segment


class RolledWriter(NestWriter):
    """Writes a loop over turns, with all that is in it, as the body of a function.

    Args:
        segment: What to write.
        tile, width: See ``LoopWriter``.
    """

    def __init__(
        self, segment: Segment, tile: int, width: int, strict: bool, helpers: dict[str, str]
    ) -> None:
        super(NestWriter, self).__init__(tile, width, strict, helpers)
        self._loop(segment, ())
        self.say("ret void")

    def _loop(self, segment: Segment, turns: tuple[Index, ...]) -> None:
        def body(turn: Index) -> None:
            for inner in segment.body:
                self.scopes.append({})  # what is known of memory holds until the next segment
                if inner.nest is not None:
                    self.write(inner.nest, (*turns, turn))
                else:
                    self._loop(inner, (*turns, turn))
                self.scopes.pop()

        self.repeat(segment.count, body)
