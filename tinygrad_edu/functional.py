"""Functions over numbers and nodes alike: ``exp(2.0)`` is a float, ``exp(Value(2.0))`` a Value.

The public path of ``tinygrad_edu.engine.functional``.

>>> from tinygrad_edu.functional import exp
>>> exp(0.0)
1.0
"""

from tinygrad_edu.engine.functional import *  # noqa: F403
from tinygrad_edu.engine.functional import __all__ as __all__
