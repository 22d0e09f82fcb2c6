"""What the parameters of an estimator may be, and the error where one is not.

Estimators take whatever they are given and look at it in ``fit``, as scikit-learn has it, so that a
search can set parameters one by one. The errors have scikit-learn's form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy

from tinygrad_edu.nn.initialization import ACTIVATIONS
from tinygrad_edu.optim import Optimizer


class Rule(NamedTuple):
    """What is expected, in words, and whether something is that."""

    words: str
    holds: Callable[[Any], bool]

    def __or__(self, other: Rule) -> Rule:
        return Rule(f"{self.words} or {other.words}", lambda x: self.holds(x) or other.holds(x))


def _is_real(x: Any) -> bool:
    return isinstance(x, Real) and not isinstance(x, bool | numpy.bool_) and not math.isnan(x)


def real(low: float, high: float = math.inf, closed: str = "[)") -> Rule:
    """Return the rule of a number in an interval.

    >>> real(0.0, 1.0, "[)").words
    'a float in the range [0.0, 1.0)'
    """

    def inside(x: Any) -> bool:
        above = x >= low if closed[0] == "[" else x > low
        return bool(above and (x <= high if closed[1] == "]" else x < high))

    return Rule(
        f"a float in the range {closed[0]}{low}, {high}{closed[1]}",
        lambda x: _is_real(x) and inside(x),
    )


def _is_whole(x: Any) -> bool:
    return isinstance(x, Integral) and not isinstance(x, bool | numpy.bool_) and int(x) >= 1


def names(*choices: str) -> Rule:
    """Return the rule of a word among some.

    >>> names("constant", "adaptive").holds("constant")
    True
    """
    quoted = ", ".join(map(repr, choices))
    return Rule(f"a str among {{{quoted}}}", lambda x: isinstance(x, str) and x in choices)


WHOLE = Rule("an int in the range [1, inf)", _is_whole)
BOOLEAN = Rule("an instance of 'bool'", lambda x: isinstance(x, bool | numpy.bool_))
INFINITY = Rule("inf", lambda x: _is_real(x) and x == math.inf)
VERBOSE = BOOLEAN | Rule(
    "an int in the range [0, inf)", lambda x: isinstance(x, Integral) and int(x) >= 0
)
OPTIMIZER = Rule("an optimizer of tinygrad_edu.optim", lambda x: isinstance(x, Optimizer))
WEIGHTS = names("balanced") | Rule(
    "a dict of classes and weights, or None", lambda x: x is None or isinstance(x, Mapping)
)
WIDTHS = WHOLE | Rule(
    "a sequence of ints in the range [1, inf)",
    lambda x: (
        isinstance(x, list | tuple | numpy.ndarray)
        and numpy.ndim(x) == 1
        and all(map(_is_whole, x))
    ),
)
# scikit-learn's name for the sigmoid, and all of ours
ACTIVATION = names("logistic", *sorted(ACTIVATIONS)) | Rule("a function of one number", callable)
COMPILED = BOOLEAN | names("auto")


def check_parameters(estimator: Any, rules: Mapping[str, Rule]) -> None:
    """Raise unless all parameters are what the rules say.

    Raises:
        ValueError: Names the first that is not, what it must be, and what it is.
    """
    for name, value in estimator.get_params(deep=False).items():
        rule = rules.get(name)
        if rule is not None and not rule.holds(value):
            raise ValueError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {rule.words}. "
                f"Got {value!r:.80} instead."
            )
