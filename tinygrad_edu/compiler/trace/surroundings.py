"""What a traced function sees besides its arguments: followed, so that compiled code is not stale.

Tracing reads plain numbers, flags and texts once: a scale in a closure, a module's attribute, a
global. A ``Survey`` writes down all of it that can be reached from a function or a module. Its
``key`` is part of what a compiled variant is looked up by, so where something has changed, the
function is traced again. ``unchanged`` is asked before each call; it compares containers with
copies of themselves, at C speed.
"""

from __future__ import annotations

import random
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any

from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.value import Constant, Value

_MISSING: Any = object()
_SIMPLE = {float, int, bool, str, bytes, complex, type(None), range}
_OPAQUE = (Op, random.Random, BuiltinFunctionType, ModuleType)  # what has no content to follow
_OTHERS = {"numpy", "torch", "pandas", "scipy", "sklearn", "matplotlib", "llvmlite", "tqdm"}
_LARGE = 1_000_000  # numbers in an array that are not looked through at each call


class Same:
    """An object as a key: equal to itself alone, and kept alive."""

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.held is self.held

    def __hash__(self) -> int:
        return id(self.held)


class Survey:
    """All that can be seen from ``root``: a key, and a quick look whether it is still true.

    Args:
        root: A function or a module.
        numbered: Parameters are numbered in the order they are met, so that modules of the same
            structure have the same key; otherwise each is itself.
        ignored: What the function itself changes when it runs: holders' ids and names.

    Attributes:
        key: Hashable; equal for what looks the same.
    """

    def __init__(
        self, root: Any, *, numbered: bool = False, ignored: frozenset[Any] = frozenset()
    ) -> None:
        self._ignored = ignored
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any], bool]] = []
        self._others: list[tuple[Any, Any]] = []  # lists, deques, sets, with copies
        self._cells: list[tuple[CellType, Any, str]] = []
        self._names: list[tuple[Any, str, Any]] = []  # globals, attributes of classes
        self._slots: list[tuple[Any, str, Any]] = []
        self._arrays: list[tuple[Any, bytes]] = []
        self._sources: list[Any] = []  # of random numbers
        self._seen: dict[int, int] = {}
        self._numbers: dict[int, int] | None = {} if numbered else None
        self._keep: list[Any] = []  # ids stay good as long as their objects live
        self._light: set[int] = {id(root)}  # who keeps a survey does not keep these
        tokens: list[Any] = []
        stack = [root]
        while stack:
            self._visit(stack.pop(), tokens, stack)
        self.key: tuple[Any, ...] = tuple(tokens)

    # --- looking again ---

    def unchanged(self) -> bool:
        """Is everything as it was?"""
        try:
            for held, known, whole in self._dicts:
                if whole:
                    if held != known:
                        return False
                elif self._without_ignored(held) != known:
                    return False
            for other, known in self._others:
                if other != known:
                    return False
        except (ValueError, TypeError):  # arrays of other sizes do not compare
            return False
        for cell, old, _ in self._cells:
            if _content(cell) is not old:
                return False
        for names, name, old in self._names:
            if names.get(name, _MISSING) is not old:
                return False
        for holder, name, old in self._slots:
            if getattr(holder, name, _MISSING) is not old:
                return False
        return all(array.tobytes() == known for array, known in self._arrays)

    def changes(self) -> list[tuple[int, str]]:
        """Return what is not as it was: the id of a holder, and the name in it."""
        found: list[tuple[int, str]] = []
        for held, known, _ in self._dicts:
            now = self._without_ignored(held)
            found += [
                (id(held), str(k))
                for k in {**known, **now}
                if now.get(k, _MISSING) is not known.get(k, _MISSING)
            ]
        found += [(id(x), f"a {type(x).__name__}") for x, known in self._others if x != known]
        found += [(id(c), name) for c, old, name in self._cells if _content(c) is not old]
        found += [
            (id(names), name)
            for names, name, old in self._names
            if names.get(name, _MISSING) is not old
        ]
        found += [
            (id(x), name) for x, name, old in self._slots if getattr(x, name, _MISSING) is not old
        ]
        return found + [(id(a), "an array") for a, known in self._arrays if a.tobytes() != known]

    def _without_ignored(self, held: dict[Any, Any]) -> dict[Any, Any]:
        place = id(held)
        return {k: x for k, x in held.items() if (place, str(k)) not in self._ignored}

    def drawn(self) -> list[Any]:
        """Return the states of the sources of random numbers: they tell whether any were drawn."""
        return [
            x.getstate() if isinstance(x, random.Random) else repr(x.bit_generator.state)
            for x in self._sources
        ]

    # --- looking for the first time ---

    def _visit(self, x: Any, tokens: list[Any], stack: list[Any]) -> None:
        kind = type(x)
        if kind in _SIMPLE:
            tokens.append((kind, x if x == x and x != 0 else repr(x)))
            return
        if isinstance(x, Value):
            self._value(x, tokens)
            return
        source = x.__self__ if kind is BuiltinFunctionType else x
        if isinstance(source, random.Random) or hasattr(type(source), "bit_generator"):
            self._sources.append(source)
        if isinstance(x, (*_OPAQUE, type)):
            tokens.append(Same(x))
            return
        place = id(x)
        if place in self._seen:
            tokens.append(("seen", self._seen[place]))
            return
        self._seen[place] = len(self._seen)
        if place not in self._light:
            self._keep.append(x)
        if isinstance(x, (list, tuple, deque)):
            self._sequence(x, tokens, stack)
        elif isinstance(x, dict):
            self._mapping(x, kind, tokens, stack)
        elif isinstance(x, (set, frozenset)):
            if (place, f"a {kind.__name__}") in self._ignored:
                tokens.append(Same(x))
                return
            tokens.append((kind, frozenset(map(Same, x) if _odd(x) else x)))
            self._others.append((x, kind(x)))
        elif isinstance(x, FunctionType):
            tokens.append(Same(x))
            stack += self._seen_by(x)
        elif isinstance(x, MethodType):
            tokens.append(kind)
            stack += [x.__self__, x.__func__]
        elif isinstance(x, partial):
            tokens.append(kind)
            stack += [x.keywords, x.args, x.func]
        elif isinstance(x, weakref.ref):
            tokens.append(kind)
            stack.append(x())
            self._light.add(id(stack[-1]))
        elif hasattr(kind, "__array_interface__"):
            self._array(x, tokens, stack)
        elif hasattr(kind, "batch_value_and_grad"):  # a compiled function is what it was made of
            tokens.append(kind)
            stack.append(x.function)
        elif _followed(kind):
            self._object(x, kind, tokens, stack)
        else:
            tokens.append(Same(x))

    def _value(self, x: Value, tokens: list[Any]) -> None:
        if isinstance(x, Constant):
            tokens.append((Constant, repr(x.data)))
        elif self._numbers is not None and x.op is None:
            tokens.append(self._numbers.setdefault(id(x), len(self._numbers)))
            self._keep.append(x)
        else:
            tokens.append(Same(x))

    def _sequence(self, x: Any, tokens: list[Any], stack: list[Any]) -> None:
        kind = type(x)
        if (id(x), f"a {kind.__name__}") in self._ignored:
            tokens.append(Same(x))
            return
        kinds = set(map(type, x))
        if not isinstance(x, tuple):
            self._others.append((x, kind(x) if kind in (list, deque) else list(x)))
        if kinds <= {int, float}:
            tokens.append((kind, tuple(map(repr, x)) if 0.0 in x or kinds == _BOTH else tuple(x)))
            return
        tokens.append((kind, len(x)))
        stack += reversed(x)

    def _mapping(self, x: dict[Any, Any], kind: type, tokens: list[Any], stack: list[Any]) -> None:
        now = self._without_ignored(x) if self._ignored else x
        self._dicts.append((x, dict(now), now is x or len(now) == len(x)))
        tokens.append((kind, tuple(now)))
        stack += reversed(now.values())

    def _array(self, x: Any, tokens: list[Any], stack: list[Any]) -> None:
        if x.dtype == object:
            tokens.append(("array", x.shape))
            stack += reversed(x.ravel().tolist())
            return
        if x.size > _LARGE:
            tokens.append(Same(x))
            return
        content = x.tobytes()
        self._arrays.append((x, content))
        tokens.append(("array", x.shape, x.dtype.str, content))

    def _object(self, x: Any, kind: type, tokens: list[Any], stack: list[Any]) -> None:
        tokens.append(kind)
        inside = getattr(x, "__dict__", None)
        if inside:
            unfollowed = getattr(kind, "unfollowed", ())
            self._ignored |= frozenset((id(inside), name) for name in unfollowed)
            stack.append(inside)
        for base in kind.__mro__:
            own = base.__dict__.get("__slots__", ())
            for name in [own] if isinstance(own, str) else own:
                if name not in ("__dict__", "__weakref__"):
                    item = getattr(x, name, _MISSING)
                    self._slots.append((x, name, item))
                    if item is not _MISSING:
                        tokens.append(name)
                        stack.append(item)
            if _package(base) not in ("tinygrad_edu", "builtins", "abc", "typing"):
                for name, item in vars(base).items():  # numbers that a class gives its objects
                    if type(item) in _SIMPLE and not name.startswith("__"):
                        self._names.append((vars(base), name, item))
                        tokens.append((name, type(item), repr(item)))

    def _seen_by(self, function: FunctionType) -> list[Any]:
        """Return what a function can see: its closure, defaults, and the globals it names."""
        code, found = function.__code__, []
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            if (id(cell), name) in self._ignored:
                continue
            old = _content(cell)
            self._cells.append((cell, old, name))
            self._keep.append(cell)
            found.append(old)
        found += [function.__defaults__, function.__kwdefaults__]
        if _package(function) != "tinygrad_edu":
            names = function.__globals__
            for name in _names_in(code):
                item = names.get(name, _MISSING)
                if item is _MISSING or (id(names), name) in self._ignored:
                    continue
                if _package(item) == "tinygrad_edu" and not hasattr(item, "__dict__"):
                    continue
                self._names.append((names, name, item))
                found.append(item)
                source = getattr(item, "__self__", item)  # random.gauss is a method of one
                if isinstance(source, random.Random):
                    self._sources.append(source)
                elif item is random:
                    self._sources.append(random.gauss.__self__)  # type: ignore[attr-defined]
                if isinstance(item, ModuleType):
                    found += self._numbers_of(item, code)
        return found[::-1]

    def _numbers_of(self, module: ModuleType, code: CodeType) -> list[Any]:
        """Return plain numbers of a module that code may look up, as in ``settings.rate``."""
        package = module.__name__.partition(".")[0]
        if package in _OTHERS or package in sys.stdlib_module_names or package == "tinygrad_edu":
            return []
        inside, found = vars(module), []
        for name in _names_in(code):
            if (
                type(inside.get(name, _MISSING)) in _SIMPLE
                and (id(inside), name) not in self._ignored
            ):
                self._names.append((inside, name, inside[name]))
                found += [name, inside[name]]
        return found


_BOTH = {int, float}


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return _MISSING


def _names_in(code: CodeType) -> Iterator[str]:
    """The names that code, and the functions defined in it, may look up."""
    waiting, seen = [code], set()
    while waiting:
        code = waiting.pop()
        for name in code.co_names:
            if name not in seen:
                seen.add(name)
                yield name
        waiting += [x for x in code.co_consts if isinstance(x, CodeType)]


def _package(x: Any) -> str:
    return str(getattr(x, "__module__", None) or "").partition(".")[0]


def _followed(kind: type) -> bool:
    package = _package(kind)
    if kind.__name__ in ("SimpleNamespace", "Namespace"):
        return True
    return package not in _OTHERS and (
        package == "__main__" or package not in sys.stdlib_module_names
    )


def _odd(items: Any) -> bool:
    return any(type(x) not in _SIMPLE for x in items)


class Form:
    """The structure of a module, without the numbers of its parameters: equal ones are one variant.

    Attributes:
        module: A copy of the module as it was when its form was taken.
        size: How many parameters it has.
    """

    __slots__ = ("_hash", "_key", "module", "names", "size")

    def __init__(self, module: Any, key: tuple[Any, ...]) -> None:
        parameters = list(module.parameters())
        self.module = module.with_parameters(parameters)
        self.names = [name for name, _ in module.named_parameters()]
        self.size = len(parameters)
        self._key = key
        self._hash = hash(key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Form) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash


_forms: dict[int, tuple[weakref.ref[Any], Survey, Form]] = {}


def form_of(module: Any) -> Form:
    """Return the form of a module, from the last time if nothing has changed."""
    place = id(module)
    known = _forms.get(place)
    if known is not None and known[0]() is module and known[1].unchanged():
        return known[2]
    survey = Survey(module, numbered=True)
    form = Form(module, survey.key)
    alive = weakref.ref(module, lambda _, place=place: _forms.pop(place, None))  # type: ignore[misc]
    _forms[place] = (alive, survey, form)
    return form
