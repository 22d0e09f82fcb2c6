"""Derivatives from function values alone, with a bound for their error; ``checking.py`` uses them.

Central differences ``(f(x + h) - f(x - h)) / 2h`` are taken at ``h``, ``h/2`` and ``h/4`` and
extrapolated to ``h = 0`` (Richardson, 1911). How far two extrapolations disagree, plus the rounding
of the function values, bounds the error. Steps start at a size that suits the input and shrink
until the caller is content, which deals with inputs near the edge of a domain or near a kink, and
further where the estimates contradict each other.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ROUNDING = 8.0 * sys.float_info.epsilon  # relative error granted to a value of the function

Outputs = Callable[[Sequence[float]], list[float]]


@dataclass(frozen=True)
class Estimate:
    """The derivative of one output by one input, from differences at h, h/2 and h/4."""

    step: float
    slope: float
    spread: float  # what the extrapolations leave open
    rounding: float  # what rounded function values leave open
    left: float  # one-sided slopes
    right: float
    singular: str  # "kink" or "jump" as far as this step can tell, else empty

    @property
    def uncertainty(self) -> float:
        return self.spread + self.rounding


def differentiate(
    outputs: Outputs,
    point: list[float],
    centre: list[float],
    column: int,
    settled: Callable[[list[list[Estimate]]], bool],
) -> list[list[Estimate]]:
    """Differentiate every output by one input, at one step after another.

    Args:
        outputs: The function, from all inputs to all outputs; may raise outside its domain.
        point: The inputs.
        centre: The outputs there.
        column: Which input to differentiate by.
        settled: Gets the estimates so far and says whether they are good enough.

    Returns:
        For every output its estimates; none where the function is not finite on both sides.

    >>> (estimates,) = differentiate(lambda p: [p[0] ** 2], [3.0], [9.0], 0, lambda tried: False)
    >>> round(best(estimates).slope, 9)
    6.0
    """
    tried: list[list[Estimate]] = [[] for _ in centre]
    steps = _steps(point[column])
    finest = min(steps, default=0.0)
    for h in (*steps, *(finest * 8.0**-k for k in (1, 2, 3))):
        if h < finest and (all(map(_close, tried)) or h <= 1000.0 * math.ulp(point[column])):
            break  # smaller steps than usual are for what varies on a scale far below 1
        for estimates, new in zip(tried, _estimates(outputs, point, centre, column, h)):
            if new is not None:
                estimates.append(new)
        if settled(tried):
            break
    return tried


def _close(tried: list[Estimate]) -> bool:
    """Is the best estimate known to three digits, or 0 but for rounding, or is there none?"""
    if not tried:
        return True
    found = best(tried)
    known = found.uncertainty <= 1e-3 * abs(found.slope) or found.spread <= found.rounding
    return known or bool(found.singular and not noisy(tried))


def _steps(x: float) -> list[float]:
    """List step sizes for an input at ``x``, from large to small.

    The first suit functions that vary on a scale of 1, the others those that vary on the scale of
    a small ``x``. A large ``x`` puts a step on its own scale last, to beat rounding.
    """
    steps = [1e-3 * max(1.0, math.sqrt(abs(x))) * 8.0**-k for k in range(5)]
    if 0.0 < abs(x) < 1e-2:
        steps += [1e-3 * abs(x) * 8.0**-k for k in range(3)]
    steps.sort(reverse=True)
    if abs(x) > 1.0:
        steps.append(1e-3 * abs(x))
    return [h for h in steps if h > 1000.0 * math.ulp(x)]  # or x + h says little about h


def best(tried: list[Estimate]) -> Estimate:
    """Choose among the estimates of one derivative, in the order they were made."""
    found = tried[0]
    for new in tried[1:]:
        close = found.uncertainty <= 1e-3 * abs(found.slope)
        agree = abs(found.slope - new.slope) <= 4.0 * (found.uncertainty + new.uncertainty)
        if new.singular or found.singular:
            sharp, blunt = sorted((new, found), key=lambda estimate: estimate.step)
            seen = max(abs(blunt.left), abs(blunt.right), abs(blunt.right - blunt.left))
            hidden = blunt.singular and not sharp.singular and seen <= 8.0 * sharp.rounding
            found = blunt if hidden else sharp  # the smaller step, unless it drowns in rounding
        elif new.uncertainty < found.uncertainty and (agree or not close):
            found = new  # what contradicts a good estimate is noise that agrees with itself
    return found


def noisy(tried: list[Estimate]) -> bool:
    """Say whether differences tell nothing: the smaller the step, the less certain they are.

    So it is where a function varies on a scale far below the steps (``sin(1e8 * x)``): rounding
    does not explain it, and no step is small enough to see a slope. At a jump, or where the slope
    is infinite, differences grow as well, but all of them the same way.
    """
    finest = min(tried, key=lambda estimate: estimate.step)
    coarser = [estimate for estimate in tried if estimate.step > finest.step]
    grows = any(finest.spread >= estimate.spread for estimate in coarser)
    same_way = len({estimate.slope > 0.0 for estimate in tried}) == 1
    sharp = bool(finest.singular) and same_way
    return grows and not sharp and finest.spread > 8.0 * finest.rounding


def _estimates(
    outputs: Outputs,
    point: list[float],
    centre: list[float],
    column: int,
    h: float,
) -> list[Estimate | None]:
    """Differentiate every output at one step size; None where that is impossible."""
    x = point[column]
    sides: list[tuple[float, float, list[float], list[float]]] = []
    for step in (h, h / 2.0, h / 4.0):
        above, below = x + step, x - step
        try:
            upper = outputs([*point[:column], above, *point[column + 1 :]])
            lower = outputs([*point[:column], below, *point[column + 1 :]])
        except (ArithmeticError, ValueError):  # outside the domain
            return [None] * len(centre)
        sides.append((above - x, x - below, upper, lower))
    found: list[Estimate | None] = []
    for i, middle in enumerate(centre):
        values = [middle, *(y[i] for _, _, upper, lower in sides for y in (upper, lower))]
        if not all(map(math.isfinite, values)):
            found.append(None)
            continue
        # 1. Central differences, and two extrapolations that cancel their error terms in h^2.
        d1, d2, d3 = [(u[i] - v[i]) / (right + left) for right, left, u, v in sides]
        coarse, fine = (4.0 * d2 - d1) / 3.0, (4.0 * d3 - d2) / 3.0
        # 2. How far off: what the extrapolations leave open, and rounded function values.
        spread = 4.0 * abs(fine - coarse) + 0.1 * abs(d3 - fine)
        rounding = 6.0 * _ROUNDING * max(map(abs, values)) / h
        # 3. One-sided slopes: the gap between them shrinks with the step, unless there is a kink;
        #    the slopes themselves grow if there is a jump.
        slopes = [((u[i] - middle) / r, (middle - v[i]) / w) for r, w, u, v in sides]
        gap, gap_before = (abs(slopes[k][0] - slopes[k][1]) for k in (2, 0))
        steep, steep_before = (max(map(abs, slopes[k])) for k in (2, 0))
        singular = ""
        if steep > 1.9 * steep_before and steep > 8.0 * rounding:
            singular = "jump"
        elif gap > 0.6 * gap_before and gap > 8.0 * rounding:
            singular = "kink"
        right, left = slopes[2]
        estimate = Estimate(h, fine, spread, rounding, left, right, singular)
        found.append(estimate if math.isfinite(fine + spread + rounding) else None)
    return found
