"""The compiler: the same scalar code at native speed.

What passes through, in order: ``trace`` (run the function on symbols, differentiate the list of
operations that is left, write it in native operations), ``loops`` (find the loops again), ``emit``
(LLVM IR and machine code), ``code`` (the functions of a program and of its scans), ``kernel`` (all
of this for one program, and how it is called), ``variant`` (one shape of arguments, one question),
``api`` (what users call).
"""

from __future__ import annotations

from tinygrad_edu.compiler.api import Compiled, compile

__all__ = ["Compiled", "compile"]
