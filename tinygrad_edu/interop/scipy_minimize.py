"""``minimize``: scipy's optimisers, with value, gradient and Hessian in native code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.compiler import Compiled, compile

# scipy's methods that use a Hessian; the others would compute it for nothing
_WITH_HESSIAN = ("newton-cg", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr")


def minimize(
    function: Callable[..., Any] | Compiled[Any],
    x0: Sequence[float],
    args: tuple[Any, ...] = (),
    *,
    method: str | None = None,
    sparse: bool = False,
    **options: Any,
) -> Any:
    """Minimise ``function(x, *args)`` over the n numbers of ``x``, by ``scipy.optimize.minimize``.

    The function is compiled; gradients are exact, and so are Hessians, for the methods that use
    them: ``"Newton-CG"``, ``"trust-ncg"``, ``"trust-krylov"``, ``"trust-exact"``, ``"dogleg"`` and
    ``"trust-constr"``.

    Args:
        function: Takes a sequence of n numbers, and ``args``; returns one number.
        x0: Where to start: n numbers.
        args: Further arguments, which stay as they are.
        method: scipy's name of a method; by default scipy chooses (BFGS, or L-BFGS-B with bounds).
        sparse: Hand the Hessian over as a sparse matrix (``"trust-constr"`` alone makes use of it).
        options: Everything else that scipy's ``minimize`` takes: ``bounds``, ``constraints``,
            ``tol``, ``callback``, ``options``.

    Returns:
        scipy's ``OptimizeResult``: ``x``, ``fun``, ``jac``, ``success``, ``message``, ``nit``, ...

    Raises:
        ImportError: If scipy or the compiler is missing (``pip install "tinygrad_edu[optimize]"``).
        TypeError: If ``jac`` or ``hess`` is given: they are what this function is for.

    >>> from tinygrad_edu.interop import minimize
    >>> found = minimize(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, [-1.0, 2.0])
    >>> found.success, [round(float(x), 4) for x in found.x]
    (True, [1.0, 1.0])
    """
    try:
        import numpy
        from scipy import optimize
    except ImportError as error:
        raise ImportError('minimize needs scipy: pip install "tinygrad_edu[optimize]"') from error
    given = sorted({"jac", "hess", "hessp"} & options.keys())
    if given:
        raise TypeError(f"minimize: {given[0]} is computed here; leave it away")
    fast = function if isinstance(function, Compiled) else compile(function)

    def value_and_gradient(x: Any) -> tuple[float, Any]:
        value, slopes = fast.value_and_grad(x, *args, wrt=0)
        return value, numpy.asarray(slopes)

    if method is not None and method.lower() in _WITH_HESSIAN:
        options["hess"] = lambda x: fast.hessian(x, *args, wrt=0, sparse=sparse)
    elif sparse:
        raise ValueError(f"minimize: sparse=True is for methods with a Hessian, got {method!r}")
    start = numpy.array(x0, dtype=float)
    if start.ndim != 1:
        raise ValueError(f"x0: expected a sequence of numbers, got an array of shape {start.shape}")
    return optimize.minimize(value_and_gradient, start, method=method, jac=True, **options)
