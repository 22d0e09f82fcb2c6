"""``scan``: the loop over time as a function, so that a compiler need not unroll it.

In the engine it is the loop that it stands for. While a function is being compiled, the compiler
says what it is (``tracing.lifting``): there the step is recorded once, whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.engine.tracing import recorder_of_loops


def scan(
    step: Callable[[Any, Any], Any],
    state: Any,
    xs: Any,
    *,
    outputs: bool | None = None,
    checkpoint: int | None = None,
) -> Any:
    """Run ``for x in xs: state = step(state, x)`` and return the last state.

    In the engine it is that loop. In compiled code the step is traced, differentiated and compiled
    once, however long ``xs`` is, and it runs as a loop; another length needs a short new trace, but
    no new code for the step. So, as in the whole of a compiled function, an ``if`` in the step
    cannot ask for a traced number, and side effects of the step happen once.

    Args:
        step: Takes the state and one entry of ``xs``; returns the new state, in the same structure,
            or a pair ``(state, y)`` of it and an output of any structure. It may use Values,
            arguments and modules of its surroundings; gradients flow to them.
        state: A number, or a list, tuple, named tuple, dict, dataclass or array of numbers.
        xs: What a loop can go over: a list or tuple with a structure of numbers for each turn, the
            rows of an array, ``range(n)``, ``zip(a, b)``; or a dict or named tuple of such columns.
        outputs: Whether the step returns pairs ``(state, y)``. By default the first turn tells:
            what it returns has the form of the state, or else is such a pair.
        checkpoint: In compiled gradients, keep every ``checkpoint``-th state only and compute those
            between again.

    Returns:
        The last state; with outputs ``(state, ys)``, where ``ys`` is the list of the outputs.

    Memory of a compiled gradient: for each of T turns the numbers of the state that the derivative
    of the step needs (at most all n of them), 8 T n bytes, for a row in each lane in ``map``; what
    the step computes on its way is computed again. With ``checkpoint=k`` it is 8 n (T / k + k)
    bytes, for one more run of the step.

    Raises:
        TypeError: If ``xs`` has no entries to go over, or the step returns another structure than
            the state's (lists, tuples and arrays of the same numbers pass).
        ValueError: If ``checkpoint`` is not a whole number from 1, or columns differ in length.

    >>> scan(lambda total, x: total + x * x, 0.0, [1.0, 2.0, 3.0])
    14.0
    >>> scan(lambda total, x: (total + x, 2.0 * total), 0.0, [1.0, 2.0, 3.0])
    (6.0, [0.0, 2.0, 6.0])
    """
    if not callable(step):
        raise TypeError(f"scan: expected a function as the step, got {type(step).__name__}")
    if checkpoint is not None and (
        isinstance(checkpoint, bool) or not isinstance(checkpoint, int) or checkpoint < 1
    ):
        raise ValueError(f"scan: checkpoint: expected a whole number from 1, got {checkpoint!r}")
    rows = entries(xs)
    record = recorder_of_loops()
    if record is not None and rows:
        recorded = record(step, state, rows, outputs, checkpoint)
        if recorded is not None:
            return recorded[0]
    return run(step, state, rows, outputs)


def run(step: Callable[[Any, Any], Any], state: Any, rows: list[Any], outputs: bool | None) -> Any:
    """Run the loop itself; see ``scan``."""
    form = form_of(state)
    ys: list[Any] = []
    for x in rows:
        result = step(state, x)
        if not ys and form is not None:
            outputs = has_outputs(form, result, outputs)
            form = None  # the first turn tells
        if outputs:
            state, y = result
            ys.append(y)
        else:
            state = result
    return (state, ys) if outputs else state


def has_outputs(form: Any, result: Any, outputs: bool | None) -> bool:
    """Say whether a step returned ``(state, y)``; check that it returned the state's form.

    Args:
        form: The form of the state before.
        result: What the step returned.
        outputs: What the user said.

    Raises:
        TypeError: If it returned something else.
    """
    pair = type(result) is tuple and len(result) == 2 and form_of(result[0]) == form
    if outputs is not True and form_of(result) == form:
        return False
    if pair and outputs is not False:
        return True
    wanted = "a pair (state, y)" if outputs else "the new state"
    raise TypeError(
        f"scan: the step should return {wanted} with a state of the form of the one before, "
        f"{_words(form)}; it returned {_words(form_of(result))}"
    )


def entries(xs: Any) -> list[Any]:
    """Return the entries of ``xs``, one for each turn of the loop."""
    if isinstance(xs, dict):
        columns = _columns(list(xs), list(xs.values()))
        return [dict(zip(xs, row)) for row in zip(*columns)]
    if isinstance(xs, tuple) and hasattr(type(xs), "_make"):
        columns = _columns(type(xs)._fields, list(xs))  # type: ignore[attr-defined]
        return [type(xs)._make(row) for row in zip(*columns)]  # type: ignore[attr-defined]
    if isinstance(xs, (str, bytes, set, frozenset)) or not hasattr(type(xs), "__iter__"):
        raise TypeError(
            "scan: xs: expected something to go over, such as a list, an array or range(n), got "
            f"{type(xs).__name__}"
        )
    if getattr(xs, "ndim", 1) == 0:
        raise TypeError("scan: xs: expected something to go over, got an array without axes")
    if hasattr(type(xs), "__array_interface__") and xs.ndim == 1:
        return list(xs.tolist())
    return list(xs)


def _columns(names: Any, columns: list[Any]) -> list[list[Any]]:
    found = [entries(column) for column in columns]
    lengths = [len(column) for column in found]
    if len(set(lengths)) > 1:
        said = ", ".join(f"{name!r}: {n}" for name, n in zip(names, lengths))
        raise ValueError(f"scan: xs: expected columns of one length, got {said}")
    return found


def form_of(x: Any) -> Any:
    """Return a description of a structure without its numbers, to compare structures by.

    Lists, tuples and arrays with the same numbers of entries are of one form.
    """
    if isinstance(x, dict):
        return ("dict", tuple(x), tuple([form_of(y) for y in x.values()]))
    if isinstance(x, (list, tuple)):
        kind = type(x) if isinstance(x, tuple) and hasattr(type(x), "_make") else "sequence"
        return (kind, None, tuple([form_of(y) for y in x]))
    if hasattr(type(x), "__array_interface__") and x.ndim > 0:
        form: Any = "number"
        for count in reversed(x.shape):
            form = ("sequence", None, (form,) * count)
        return form
    if hasattr(type(x), "__dataclass_fields__"):
        fields = tuple(type(x).__dataclass_fields__)
        return (type(x), fields, tuple([form_of(getattr(x, name)) for name in fields]))
    if x is None or isinstance(x, str):
        return ("fixed", x, ())
    return "number"


def _words(form: Any) -> str:
    if form == "number":
        return "a number"
    kind, detail, parts = form
    if kind == "fixed":
        return repr(detail)
    if kind == "dict":
        return f"a dict with the keys {', '.join(map(repr, detail))}"[:200]
    name = kind if isinstance(kind, str) else kind.__name__
    inside = "numbers" if {*parts} <= {"number"} else ", ".join(map(_words, parts))
    return f"a {name} of {len(parts)} {inside}"[:200]
