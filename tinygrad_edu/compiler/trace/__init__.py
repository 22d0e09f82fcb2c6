"""From a Python function to a flat program of native operations.

In order: ``arguments`` (structures of numbers, flattened and built up again), ``symbol`` (what the
function is run on), ``program`` (the flat list of operations that is left), ``gradient_program``
(its derivative, by the table's rules; ``scan_row``, ``scan_trace`` and ``scan_gradient`` for loops
that stay loops, ``tangent_program`` in forward mode, ``compressed`` and
``colouring`` for sparse matrices), ``lowering`` (everything in the operations native code has).
"""

from tinygrad_edu.compiler.trace import gradient_program as gradient_program  # what symbols ask for
from tinygrad_edu.compiler.trace import scan_gradient as scan_gradient  # what gradients ask for
