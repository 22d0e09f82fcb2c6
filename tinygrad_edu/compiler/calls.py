"""Calls of compiled functions by keyword and with fixed arguments, arranged as positional ones.

What a function is compiled for are its positional arguments. A call such as ``fast(x, scale=2.0)``
is one of ``lambda x, scale: f(x, scale=scale)``; an argument that is ``static`` is not traced at
all but seen by the function as it is, and each of its values is a function of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Arranged(NamedTuple):
    """A call as one of a function of positional arguments alone."""

    function: Callable[..., Any]
    key: tuple[Any, ...]
    args: tuple[Any, ...]
    positions: dict[int | str, int]  # where arguments were, or their names -> where they are now


def static_names(function: Callable[..., Any], static: str | int | Sequence[Any]) -> frozenset[Any]:
    """Return the names of static arguments (positions, where the function says no names).

    Raises:
        TypeError, ValueError: If one of them is no argument of the function.
    """
    several = [static] if isinstance(static, (str, int)) else list(static)
    names = parameter_names(function)
    found = set()
    for x in several:
        if isinstance(x, bool) or not isinstance(x, (str, int)):
            raise TypeError(f"static: expected names or positions of arguments, got {x!r}")
        if isinstance(x, int) and names is not None:
            if not -len(names) <= x < len(names):
                raise ValueError(f"static: there is no argument {x}; there are {', '.join(names)}")
            x = names[x]
        if isinstance(x, str) and names is not None and x not in names and not _any_name(function):
            raise ValueError(f"static: there is no argument {x!r}; there are {', '.join(names)}")
        found.add(x)
    return frozenset(found)


def parameter_names(function: Callable[..., Any]) -> list[str] | None:
    """Return the names of a function's arguments, ``None`` if it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _any_name(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def arrange(
    function: Callable[..., Any],
    static: frozenset[Any],
    names: list[str],
    args: tuple[Any, ...],
    named: dict[str, Any],
) -> Arranged:
    """Arrange a call.

    Raises:
        TypeError: If a static argument cannot be told apart from others (it has no hash).
    """
    given: list[tuple[int | str, str, Any]] = [
        (i, names[i] if i < len(names) else "", x) for i, x in enumerate(args)
    ]
    given += [(name, name, x) for name, x in named.items()]
    plan: list[tuple[Any, bool, Any]] = []  # where, whether static, its value or new position
    left: list[Any] = []
    positions: dict[int | str, int] = {}
    for where, name, x in given:
        if name in static or where in static:
            try:
                hash(x)
            except TypeError:
                raise TypeError(
                    f"static argument {name or where}: expected something with a hash (a number, "
                    f"a text, a tuple), got {type(x).__name__}"
                ) from None
            plan.append((where, True, x))
            continue
        positions[where] = len(left)
        if name:
            positions[name] = len(left)
        plan.append((where, False, len(left)))
        left.append(x)

    def arranged(*traced: Any) -> Any:
        positional = [x if fixed else traced[x] for where, fixed, x in plan if type(where) is int]
        by_name = {w: x if fixed else traced[x] for w, fixed, x in plan if isinstance(w, str)}
        return function(*positional, **by_name)

    arranged.__name__ = getattr(function, "__name__", "function")
    key = tuple([(w, fixed, type(x), x) for w, fixed, x in plan])
    return Arranged(arranged, key, tuple(left), positions)


def moved(chosen: Any, positions: dict[int | str, int], count: int, what: str) -> Any:
    """Translate ``wrt`` or ``shared``: positions and names of the call to those arranged.

    Raises:
        ValueError: For a name that is not in the call, or a static argument.
    """
    if isinstance(chosen, (list, tuple)):
        return type(chosen)([moved(x, positions, count, what) for x in chosen])
    if isinstance(chosen, str) or (isinstance(chosen, int) and not isinstance(chosen, bool)):
        place = chosen % count if isinstance(chosen, int) and -count <= chosen < count else chosen
        if place not in positions:
            raise ValueError(
                f"{what}: {chosen!r} is no argument of this call that is traced; there are "
                f"{', '.join(str(x) for x in positions)}"
            )
        return positions[place]
    return chosen


def _names_in(chosen: Any) -> bool:
    kind = type(chosen)
    return kind is str or (kind in (list, tuple) and any(type(x) is str for x in chosen))


def takes_names(method: F) -> F:
    """Let a method of ``Compiled`` take the function's arguments by keyword, and static ones."""
    parameters = inspect.signature(method).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @wraps(method)
    def asked(self: Any, *args: Any, **named: Any) -> Any:
        by_name = _names_in(named.get("wrt")) or _names_in(named.get("shared"))
        if not self.static and not by_name and options.keys() >= named.keys():
            return method(self, *args, **named)
        chosen = {name: named.pop(name) for name in options.keys() & named.keys()}
        other, args, positions, count = self.arranged(args, named)
        for option in chosen.keys() & {"wrt", "shared"}:
            chosen[option] = moved(chosen[option], positions, count, option)
        if options.get("shared"):  # the default is of arguments where they were
            kept = [positions[x] for x in options["shared"] if x in positions]
            chosen.setdefault("shared", tuple(kept))
        return method(other, *args, **chosen)

    return cast(F, asked)
