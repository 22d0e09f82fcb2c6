"""The table of operations: what each one computes and what its derivative is.

This is the ground floor (layer 0). Everything else reads this table: the engine, the drawings,
the compiler. One row states one operation once:

``name``             the function's name, ``"mul"``
``symbol``           what a drawing writes into the circle, ``"*"``
``arity``            how many operands it takes; ``None`` means any number
``forward``          operands (floats) -> result (float)
``local_gradients``  ``(result, *operands)`` -> one partial derivative per operand

The rows stand in files beside this one: ``elementary`` (arithmetic, powers, logarithms, angles),
``choice`` (comparing, choosing, rounding), ``activations``, ``special`` (erf, gamma), ``nary``
(sums, products, softmax). Here they are all together.

A local-gradient rule uses only arithmetic and other rows of the table, so the same rule works on

1. floats: the backward pass of ``Value.backward()``;
2. ``Value`` objects: gradients that can be differentiated again;
3. the compiler's symbols: the gradient program.

Sources: the notes, sections 'The Chain Rule' and 'The Backpropagation Algorithm' (every node needs
the partial derivative of its result by each operand); 'Logistic Regression' for the sigmoid and
``g' = g (1 - g)``; 'Multi-layer Feedforward Neural Networks' for step, sigmoid and ReLU.

**Edges.** Forward functions follow Python: outside the domain they raise ``ValueError``, division
by zero raises ``ZeroDivisionError``, ``exp``, ``**`` and their kin raise ``OverflowError``;
``+ - * /`` overflow to ``inf``. Infinities and nan that come in as data flow through as IEEE 754
(and torch) have them. A rule may raise where the derivative is infinite (``sqrt`` at 0). At a kink
the derivative is torch's: 0 for ``abs`` and ``relu`` at 0, the slope for ``leaky_relu``, an even
split between tied operands of ``maximum``, ``minimum`` and ``max``.

**Choice.** What is not chosen contributes exactly nothing, in every mode and order (``choice.py``).

**Accuracy.** Rules are accurate to a few units in the last place over the whole range, orders 1 and
2, as tested against mpmath. Where an accurate rule is long, the row has a short one for reading.
"""

from __future__ import annotations

from tinygrad_edu.engine.activations import (
    elu_with as elu_with, gelu as gelu, leaky_relu_with as leaky_relu_with,
    log_sigmoid as log_sigmoid, sigmoid as sigmoid, silu as silu, softplus as softplus,
)  # fmt: skip
from tinygrad_edu.engine.choice import (
    abs_ as abs_, ceil as ceil, clip as clip, detach as detach, equal as equal, floor as floor,
    less as less, less_equal as less_equal, maximum as maximum, minimum as minimum,
    relu as relu, round_ as round_, sign as sign, step as step, where as where,
)  # fmt: skip
from tinygrad_edu.engine.elementary import (
    acos as acos, acosh as acosh, add as add, asin as asin, asinh as asinh, atan as atan,
    atan2 as atan2, atanh as atanh, cos as cos, cosh as cosh, degrees as degrees, div as div,
    exp as exp, exp2 as exp2, expm1 as expm1, exponential as exponential, fmod as fmod,
    hypot as hypot, log as log, log10 as log10, log1mexp as log1mexp, log1p as log1p,
    log2 as log2, mod as mod, mul as mul, neg as neg, pow_ as pow_, power as power,
    radians as radians, sigmoid_slope as sigmoid_slope, sin as sin, sinh as sinh, sqrt as sqrt,
    sub as sub, tan as tan, tanh as tanh, xlogy as xlogy,
)  # fmt: skip
from tinygrad_edu.engine.nary import (
    dot as dot, less_the_largest as less_the_largest, logsumexp as logsumexp, max_ as max_,
    norm as norm, sum_ as sum_, take as take,
)  # fmt: skip
from tinygrad_edu.engine.operation import FAMILIES as FAMILIES
from tinygrad_edu.engine.operation import TABLE as TABLE
from tinygrad_edu.engine.operation import lookup as lookup
from tinygrad_edu.engine.special import (
    digamma as digamma, erf as erf, erfc as erfc, lgamma as lgamma,
    polygamma_of as polygamma_of,
)  # fmt: skip
