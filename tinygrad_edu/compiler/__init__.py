"""The compiler: the same scalar code at native speed.

The rooms, in the order in which a program passes through them:

``symbol``, ``program``  run the function on symbols; a flat list of operations is left
``gradient_program``     differentiate that list with the table's rules
``lowering``             write everything with the operations that native code has
``layout``               decide where each number lives
``structure``, ``drafts``  find the loops; what is left is straight-line code
``nests``                what loops and straight-line code are made of
``loops``, ``contraction``, ``addresses``  LLVM IR for loop nests
``straight``             LLVM IR for one operation after the other
``rows_ir``              the frame of programs over rows, one row per SIMD lane
``scalar_ir``, ``vector_math``  LLVM IR for single operations
``native``               machine code, and the cache of it on disk
``kernel``               all of the above for one program
``arguments``, ``variant``, ``api``  what users see
``objective``, ``steps_ir``, ``training``  training in native code, for ``fit(compiled=True)``
"""

from __future__ import annotations

from tinygrad_edu.compiler.api import Compiled, compile

__all__ = ["Compiled", "compile"]
