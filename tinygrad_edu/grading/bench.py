"""Where a student's objects live: small programs come in as data, numbers and words go out.

The same bench serves in this process and in a process of its own (``child.py`` loads this file by
its path), so it imports nothing but the standard library. Whoever judges never holds an object of
the student's: a handle is a whole number, a result is a plain number or text, and an exception of
the student's code, of whatever kind, is a description of it.
"""

from __future__ import annotations

import linecache
import math
import operator
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import Any

Reply = dict[str, Any]
BINARY: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
INTERFACE = ("data", "grad", "backward")


class TooLong(BaseException):
    """Raised inside code that does not end; not an Exception, so that few handlers swallow it.

    >>> issubclass(TooLong, Exception)
    False
    """


class Bench:
    """The class under test and the objects made of it.

    Args:
        kind: The class.
        bounded: Calls a function of no arguments and stops it when it does not end; its second
            argument is how many times more patience than usual it has.
        names: What the class calls ``data``, ``grad`` and ``backward``, where it is another name.
        functions: Free functions of the student's file, by name: a mapped ``backward`` and the
            functions like ``tanh(x)`` may be there.
        own: Whether a file is the student's.
    """

    def __init__(
        self,
        kind: Any,
        bounded: Callable[[Callable[[], Any], float], Any],
        names: Mapping[str, str] | None = None,
        functions: Mapping[str, Any] | None = None,
        own: Callable[[str], bool] = lambda _file: True,
    ) -> None:
        self.kind = kind
        self.bounded = bounded
        self.names = dict(names or {})
        self.functions = dict(functions or {})
        self.own = own
        self.objects: dict[int, Any] = {}
        self.count = 0

    def ask(self, request: Mapping[str, Any]) -> Reply:
        """Answer one request; never raises for what the student's code does."""
        answer: Callable[..., Reply] = getattr(self, "do_" + request["do"])
        arguments = {key: value for key, value in request.items() if key != "do"}
        try:
            return answer(**arguments)
        except _Stop as stop:
            return {**stop.partial, "error": stop.error}

    # --- requests ---------------------------------------------------------------------------

    def do_class(self) -> Reply:
        """What can be seen of the class without running it."""
        found: set[str] = set()
        defaults: list[str] = []
        mro = getattr(self.kind, "__mro__", ())
        for base in mro[:-1]:
            for name, value in list(vars(base).items()):
                if callable(value) or isinstance(value, (staticmethod, classmethod, property)):
                    found.add(str(name))
                    function = getattr(value, "__func__", value)
                    given = getattr(function, "__defaults__", None) or ()
                    if any(type(x) in (list, set, dict) for x in given):
                        defaults.append(str(name))
        return {
            "name": str(getattr(self.kind, "__qualname__", "Value")),
            "methods": sorted(found),
            "shared_defaults": sorted(set(defaults)),
            "unhashable": getattr(self.kind, "__hash__", object.__hash__) is None,
            "own_equality": any("__eq__" in vars(base) for base in mro[:-1]),
            "own_hash": any(callable(vars(base).get("__hash__")) for base in mro[:-1]),
        }

    def do_fresh(self) -> Reply:
        """Forget all objects."""
        self.objects.clear()
        return {}

    def do_nodes(self, inputs: list[float], steps: list[list[Any]], patience: float = 1.0) -> Reply:
        """Make leaves and apply operations; ``made`` holds the handles, also after an error."""
        made: list[int] = []

        def build() -> None:
            for x in inputs:  # one by one: they are told also after an exception
                made.append(self._keep(self.kind(x)))  # noqa: PERF401
            for form, *operands in steps:
                given = [self.objects[made[x[0]]] if isinstance(x, list) else x for x in operands]
                made.append(self._keep(self._apply(form, given)))

        self._run(build, patience, {"made": made})
        return {"made": made}

    def do_backward(self, node: int, seeded: bool = False, patience: float = 1.0) -> Reply:
        """Call ``backward()``; ``seeded`` sets the gradient to 1 before."""
        found = self.objects[node]
        name = self.names.get("backward", "backward")

        def call() -> None:
            if seeded:
                setattr(found, self.names.get("grad", "grad"), 1.0)
            if name.endswith("()"):  # a free function of the file
                self.functions[name[:-2]](found)
            else:
                getattr(found, name)()

        self._run(call, patience)
        return {}

    def do_read(self, wanted: list[list[Any]]) -> Reply:
        """Read numbers: pairs of a handle and ``data`` or ``grad``."""
        values: list[list[Any]] = []
        for node, attribute in wanted:
            values.append(self._number(self.objects[node], attribute, {"values": values}))
        return {"values": values}

    def do_run(
        self, inputs: list[float], steps: list[list[Any]], seeded: bool, patience: float = 1.0
    ) -> Reply:
        """Build, read the data, go backward, read the gradients; the objects are not kept."""
        before, self.objects = self.objects, {}
        reply: Reply = {"made": [], "data": [], "grads": [], "stage": "build"}
        try:
            try:
                made = self.do_nodes(inputs, steps, patience)["made"]
            except _Stop as stop:
                reply.update(stop.partial)
                raise
            reply["made"], reply["stage"] = made, "data"
            for node in made:
                reply["data"].append(self._number(self.objects[node], "data", {}))
            reply["stage"] = "backward"
            self.do_backward(made[-1], seeded, patience)
            reply["stage"] = "grad"
            for node in made:
                reply["grads"].append(self._number(self.objects[node], "grad", {}))
        except _Stop as stop:
            reply["error"] = stop.error
        finally:
            self.objects = before
        return reply

    def do_has(self, node: int, names: list[str]) -> Reply:
        """Which of the interface's names an object lacks, and what it is."""
        found = self.objects[node]
        absent = []
        for name in names:
            mapped = self.names.get(name, name)
            if mapped.endswith("()"):
                continue
            value = self._run(partial(getattr, found, mapped, _ABSENT))
            if value is _ABSENT or (name == "backward" and not callable(value)):
                absent.append(name)
        return {"absent": absent, **self._what(found)}

    def do_same(self, one: int, other: int) -> Reply:
        """Are two handles one object, and does the class call them equal?"""
        a, b = self.objects[one], self.objects[other]
        equal = self._run(lambda: bool(a == b))
        return {"same": a is b, "equal": bool(equal)}

    def do_is(self, one: int, other: int) -> Reply:
        """Are two handles one object?"""
        return {"same": self.objects[one] is self.objects[other]}

    def do_apply(self, form: str, nodes: list[int]) -> Reply:
        """One operation on objects that are there."""
        given = [self.objects[i] for i in nodes]
        return {"made": [self._keep(self._run(lambda: self._apply(form, given)))]}

    def do_sum(self, nodes: list[int]) -> Reply:
        """``sum([...])`` of objects."""
        objects = [self.objects[i] for i in nodes]
        return {"made": [self._keep(self._run(lambda: sum(objects)))]}

    def do_augmented(self, form: str, node: int, operand: Any) -> Reply:
        """``a += b`` (or ``*=``, ...): the object that ``a`` is afterwards, and is it another?"""
        table: dict[str, Callable[[Any, Any], Any]] = {
                  "+": operator.iadd, "-": operator.isub, "*": operator.imul,
                  "/": operator.itruediv, "**": operator.ipow}  # fmt: skip
        action = table[form]
        found = self.objects[node]
        other = self.objects[operand[0]] if isinstance(operand, list) else operand
        result = self._run(lambda: action(found, other))
        return {"made": [self._keep(result)], "same": result is found}

    def do_show(self, node: int) -> Reply:
        """``repr`` of an object."""
        found = self.objects[node]
        return {"text": str(self._run(lambda: repr(found)))[:200]}

    def do_calls(self, inputs: list[float], steps: list[list[Any]]) -> Reply:
        """Which methods of the class a program calls, apart from the one that Python calls."""
        called: set[str] = set()

        def note(frame: Any, event: str, _argument: Any) -> None:
            if event == "call" and self.own(frame.f_code.co_filename):
                called.add(frame.f_code.co_name)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            self.do_nodes(inputs, steps)
        finally:
            sys.setprofile(before)
        return {"called": sorted(called)}

    def do_time(self, leaves: int, repeat: int = 3) -> Reply:
        """The least CPU seconds of ``backward()`` on a balanced sum of so many leaves."""
        best = math.inf
        for _ in range(repeat):
            layer = [self._run(lambda: self.kind(1.0)) for _ in range(leaves)]
            while len(layer) > 1:
                pairs = list(zip(layer[::2], layer[1::2]))
                layer = self._run(partial(_added, pairs), 4.0)
            handle = self._keep(layer[0])
            start = time.process_time()
            self.do_backward(handle, patience=4.0)
            best = min(best, time.process_time() - start)
            del self.objects[handle]
        return {"seconds": best}

    def do_cure(self, what: str) -> Reply:
        """Set one thing right from outside, to see whether a fault goes away."""
        if what == "identity":
            for base in self.kind.__mro__[:-1]:
                for name in ("__eq__", "__hash__", "__ne__"):
                    if name in vars(base):
                        setattr(base, name, getattr(object, name))
        return {}

    # --- inside -----------------------------------------------------------------------------

    def _keep(self, found: Any) -> int:
        self.count += 1
        self.objects[self.count] = found
        return self.count

    def _apply(self, form: str, given: list[Any]) -> Any:
        if form in BINARY:
            return BINARY[form](*given)
        if form == "neg":
            return -given[0]
        method = getattr(given[0], form, None)
        if method is None and form in self.functions:
            return self.functions[form](*given)
        return getattr(given[0], form)(*given[1:])

    def _run(
        self, function: Callable[[], Any], patience: float = 1.0, partial: Reply | None = None
    ) -> Any:
        try:
            return self.bounded(function, patience)
        except _Stop:
            raise
        except BaseException as error:  # GeneratorExit and KeyboardInterrupt are the student's too
            raise _Stop(self.describe(error), partial or {}) from None

    def _number(self, found: Any, attribute: str, partial: Reply) -> list[Any]:
        name = self.names.get(attribute, attribute)
        value = self._run(lambda: getattr(found, name, _ABSENT), 1.0, partial)
        if value is _ABSENT:
            text = f"'{type(found).__name__}' object has no attribute '{name}'"
            return ["absent", text, self._what(found)]
        kind = type(value)
        if callable(value) and not isinstance(value, type) and not isinstance(found, type):
            value = self._run(value, 1.0, partial)  # .data() in place of .data
            kind = type(value)
        if isinstance(value, Real) and not isinstance(value, bool):
            return ["number", self._float(value, partial), kind.__name__]
        if kind.__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "item"):
            number = self._run(lambda: value.item() if math.prod(value.shape) == 1 else None)
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                name = str(getattr(value, "dtype", kind.__name__)).rpartition(".")[2]
                return ["number", float(number), name]
        return ["other", self._shown(value), kind.__name__]

    def _float(self, value: Any, partial: Reply) -> float:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        except Exception as error:
            raise _Stop(self.describe(error), partial) from None

    def _what(self, found: Any) -> Reply:
        return {
            "type": type(found).__name__,
            "value": isinstance(self.kind, type) and isinstance(found, self.kind),
            "shown": self._shown(found),
        }

    def _shown(self, found: Any) -> str:
        """``repr``, or where that fails, the name of the type."""
        try:
            return str(self.bounded(lambda: repr(found), 1.0))[:60]
        except BaseException:
            return f"a {type(found).__name__}"

    def describe(self, error: BaseException) -> Reply:
        """An exception as data: its type, text, and the student's line where it arose."""
        try:
            text = str(error)
        except BaseException:
            text = "(its text cannot be shown)"
        found: Reply = {
            "type": type(error).__name__,
            "bases": [base.__name__ for base in type(error).__mro__],
            "text": text[:300],
            "file": "",
            "line": None,
            "name": "",
            "source": "",
        }
        if isinstance(error, SyntaxError) and error.filename and self.own(error.filename):
            found["file"], found["line"] = error.filename, error.lineno
            found["source"] = (error.text or "").strip()[:120]
            return found
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if self.own(code.co_filename):
                found["file"] = code.co_filename.replace("\\", "/").rpartition("/")[2]
                found["line"], found["name"] = trace.tb_lineno, code.co_name
                source = linecache.getline(code.co_filename, trace.tb_lineno)
                found["source"] = source.strip()[:120]
            trace = trace.tb_next
        return found


class _Stop(Exception):
    """The student's code raised; carries the description and what was done before it."""

    def __init__(self, error: Reply, partial: Reply) -> None:
        super().__init__()
        self.error = error
        self.partial = partial


_ABSENT = object()


def _added(pairs: list[tuple[Any, Any]]) -> list[Any]:
    return [a + b for a, b in pairs]
