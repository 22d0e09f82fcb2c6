"""From a schedule to machine code.

In order: ``scalar_ir`` and ``vector_math`` (LLVM IR for one operation on a number or a vector),
``straight_ir`` (operations one after the other), ``addresses``, ``nests_ir`` and ``contraction``
(loop nests), ``rows_ir`` (rows in lanes), ``turns_ir`` (the loop of a ``scan``), ``steps_ir`` (the
loop over optimizer steps), ``machine_code`` (code in memory, and the cache of it on disk).
"""

from tinygrad_edu.compiler.emit import vector_math as vector_math  # functions that scalar_ir calls
