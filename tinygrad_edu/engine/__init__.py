"""The engine: numbers that remember how they were made, and derivatives of what was made of them.

In order: ``operation`` (what an operation is and what it can be recorded on), ``ops`` (the table of
operations with their derivatives), ``operators`` (Python's operators and methods, from the table),
``value`` (the node and its backward pass), ``gradient`` (gradients that are nodes again),
``functional`` (functions over numbers and nodes alike).
"""

from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.value import Value

__all__ = ["Value", "grad"]
