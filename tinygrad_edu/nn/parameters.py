"""Where a module keeps its parameters: the one walk that everything that asks for them goes by.

Searched are the attributes of modules and dataclasses (slots too), lists, tuples, named tuples,
deques, dicts and numpy's object arrays, to any depth, each once: a pointer to a parent is no
trouble. A set has no order, so parameters in one are refused, and so are those in an object that is
none of these: nobody would find them again when the model is saved, copied or compiled.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import is_dataclass
from functools import cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

from tinygrad_edu.engine.operation import GraphWarning, Node, Op
from tinygrad_edu.engine.ops import add, sub
from tinygrad_edu.engine.value import Constant, Leaf, Value

Step = tuple[str, Any, Any]  # where the holder is, the key in it, what is there

# what holds nothing, looked up by type because most attributes are of these
_SIMPLE = {
    float, int, str, bool, bytes, complex, NoneType, type, range, Op, random.Random,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
}  # fmt: skip


class Searched:
    """An object whose attributes may hold parameters: the base of ``Module``."""

    def parameters(self) -> list[Any]:
        """Return every parameter once, in a fixed order."""
        return collect(self)


def is_parameter(held: Any) -> bool:
    """Tell whether this is a leaf that is no constant, or what a compiler puts in its place.

    >>> is_parameter(Value(1.0)), is_parameter(Value(1.0) * 2.0), is_parameter(Constant(1.0))
    (True, False, False)
    """
    if isinstance(held, Value):
        return held.op is None and not isinstance(held, Constant)
    return isinstance(held, Node)


def parts_of(held: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the keys and items of a container; ``None`` for what is not searched.

    Raises:
        TypeError: For a set of parameters or modules.
    """
    if isinstance(held, (list, tuple, deque)):
        return enumerate(held)
    if isinstance(held, dict):
        return held.items()
    if isinstance(held, Searched) or (is_dataclass(held) and not isinstance(held, type)):
        return _attributes(held)
    if _is_object_array(held):
        return ((".".join(map(str, at)), held[at]) for at in _indices(held))
    if isinstance(held, (set, frozenset)) and any(
        is_parameter(item) or isinstance(item, Searched) for item in held
    ):
        raise TypeError(
            f"expected parameters in lists, tuples or dicts, got a {type(held).__name__} of "
            f"{len(held)}, which has no order: use a list"
        )
    return None


def is_flat(held: Any) -> bool:
    """Tell whether this is a sequence of parameters alone, which a state shows as one list."""
    if isinstance(held, (list, tuple, deque)) or (_is_object_array(held) and held.ndim == 1):
        return len(held) > 0 and all(map(is_parameter, held))
    return False


def walk(
    root: Any, *, flat: bool = False, chosen: bool = False, others: list[Step] | None = None
) -> Iterator[Step]:
    """Yield every parameter and every container below ``root``, each container once.

    Args:
        root: The module to search.
        flat: Do not look into sequences of parameters alone.
        chosen: Of an inner module with a ``parameters()`` of its own, yield what that returns.
        others: Gets what is neither: computed Values, and objects that are not searched.
    """
    seen = {id(root)}
    stack = [("", iter(parts_of(root) or ()))]
    while stack:
        path, inside = stack[-1]
        for key, item in inside:
            kind = type(item)
            if kind is Leaf and item.op is None:  # the common case first
                yield path, key, item
                continue
            if kind in _SIMPLE:
                continue
            if is_parameter(item):
                yield path, key, item
                continue
            name = f"{path}.{key}" if path else str(key)
            try:
                inner = None if isinstance(item, Node) else parts_of(item)
            except TypeError as error:
                raise TypeError(f"{type(root).__name__}.{name}: {error}") from None
            if inner is None:
                if others is not None and kind is not Constant:
                    others.append((path, key, item))
                continue
            if id(item) in seen:
                continue
            seen.add(id(item))
            yield path, key, item
            if chosen and isinstance(item, Searched) and _chooses(kind):
                for parameter in item.parameters():
                    yield path, key, parameter
            elif not (flat and is_flat(item)):
                stack.append((name, iter(inner)))
                break
        else:
            stack.pop()


def collect(root: Any) -> list[Any]:
    """Return the parameters of a module, each once.

    Raises:
        TypeError: If there are some where they would not be found again.
    """
    found: dict[int, Any] = {}
    others: list[Step] = []
    for _, _, item in walk(root, chosen=True, others=others):
        if isinstance(item, Node):
            found[id(item)] = item
    for path, key, item in others:
        name = f"{path}.{key}" if path else str(key)
        if isinstance(item, Value):
            _check_computed(item, name, found)
        else:
            _check_object(item, f"{type(root).__name__}.{name}", found)
    return list(found.values())


def holders(root: Any) -> dict[str, Any]:
    """Return each parameter, or sequence of nothing but parameters, by its dotted name.

    Raises:
        ValueError: If two have the same name, such as those of the keys ``1`` and ``"1"``.
    """
    found: dict[str, Any] = {}
    for path, key, item in walk(root, flat=True):
        if is_parameter(item) or is_flat(item):
            name = f"{path}.{key}" if path else str(key)
            if name in found:
                raise ValueError(
                    f"{type(root).__name__}: two parameters would have the name {name!r}; change "
                    "one of the keys or attributes"
                )
            found[name] = item
    return found


def replaced(root: Any, new: Mapping[int, Any]) -> Any:
    """Return a copy of a module with ``new[id(parameter)]`` in the place of each parameter.

    Containers are copied, once each, so what was shared or pointed back still does.
    """
    containers = [root, *(item for _, _, item in walk(root) if not isinstance(item, Node))]
    copies: dict[int, Any] = {}

    def now(item: Any) -> Any:
        return copies[id(item)] if id(item) in copies else new.get(id(item), item)

    # 1. Those that can be filled later.
    tuples = [held for held in containers if isinstance(held, tuple)]
    others = [held for held in containers if not isinstance(held, tuple)]
    for held in others:
        copies[id(held)] = copy(held)
    # 2. Tuples, the inner ones first.
    waiting = tuples[::-1]
    unfinished = set(map(id, waiting))
    while waiting:
        later = []
        for held in waiting:
            if any(id(item) in unfinished for item in held):
                later.append(held)
                continue
            items = [now(item) for item in held]
            make = getattr(held, "_make", type(held))  # named tuples have _make
            copies[id(held)] = make(items)
            unfinished.discard(id(held))
        waiting = later
    # 3. Everything else.
    for held in others:
        _fill(copies[id(held)], held, now)
    return copies[id(root)]


def _fill(copied: Any, held: Any, now: Any) -> None:
    if isinstance(held, list):
        copied[:] = [now(item) for item in held]
    elif isinstance(held, deque):
        copied.clear()
        copied.extend([now(item) for item in held])
    elif isinstance(held, dict):
        for key, item in held.items():
            copied[key] = now(item)
    elif _is_object_array(held):
        for at in _indices(held):
            copied[at] = now(held[at])
    else:
        inside = getattr(held, "__dict__", {})
        if inside:
            copied.__dict__.update({name: now(item) for name, item in inside.items()})
        for name in _slots(type(held)):
            if hasattr(held, name):
                object.__setattr__(copied, name, now(getattr(held, name)))


def _attributes(held: Any) -> Iterable[tuple[str, Any]]:
    inside = getattr(held, "__dict__", None) or {}
    slots = _slots(type(held))
    if not slots:
        return inside.items()
    return [*inside.items(), *((n, getattr(held, n)) for n in slots if hasattr(held, n))]


def _slot_names(kind: Any) -> tuple[str, ...]:
    names: list[str] = []
    for base in reversed(kind.__mro__):
        own = base.__dict__.get("__slots__", ())
        names += [own] if isinstance(own, str) else list(own)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


_slots: Callable[[Any], tuple[str, ...]] = cache(_slot_names)


def _chooses(kind: type[Searched]) -> bool:
    """Whether a kind of module says itself what its parameters are, as micrograd's do."""
    return getattr(kind.parameters, "__module__", None) not in _OWN


_OWN = (__name__, "tinygrad_edu.nn.module")


def _is_object_array(held: Any) -> bool:
    numpy = sys.modules.get("numpy")  # without it there is no array either
    return numpy is not None and isinstance(held, numpy.ndarray) and held.dtype == object


def _indices(array: Any) -> Iterator[tuple[int, ...]]:
    import numpy

    return iter(numpy.ndindex(array.shape))


def _check_computed(node: Value, name: str, found: Mapping[int, Any]) -> None:
    """``w[0] = w[0] - 0.1 * g`` leaves a computed Value where a parameter was."""
    if node.op is sub or node.op is add:
        old, change = node.operands
        if type(old) is Leaf and id(old) not in found and type(change) is Constant:
            warnings.warn(lost(name, node), GraphWarning, stacklevel=4)


def lost(name: str, node: Value) -> str:
    """Return what to say where a computed Value takes the place of a parameter."""
    by = node.op.name if node.op is not None else ""
    return (
        f"{name} was a parameter and is now computed by {by}, so parameters() no longer has it: to "
        f"change its number write {name}.data -= ..., as in p.data -= 0.1 * p.grad"
    )


def _check_object(held: Any, name: str, found: Mapping[int, Any]) -> None:
    inside = list(_attributes(held)) if not isinstance(held, type) else []
    for key, item in inside:
        first: Any = item
        if isinstance(item, (list, tuple)) and item:
            first = item[0]
        elif isinstance(item, dict) and item:
            first = next(iter(item.values()))
        lone = is_parameter(first) and id(first) not in found
        if lone or (
            isinstance(first, Searched)
            and any(isinstance(x, Node) and id(x) not in found for _, _, x in walk(first))
        ):
            kind = type(held).__name__
            raise TypeError(
                f"{name}: a {kind} holds parameters in its attribute {key!r}, where they are not "
                f"found; make {kind} a Module or a dataclass"
            )
