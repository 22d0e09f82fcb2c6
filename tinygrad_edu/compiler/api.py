"""``compile``: scalar Python code at native speed.

>>> from tinygrad_edu import tanh
>>> from tinygrad_edu.compiler import compile
>>> fast = compile(lambda w, x: tanh(w[0] * x[0] + w[1] * x[1]))
>>> fast([1.0, 2.0], [0.5, -0.25])
0.0
>>> fast.value_and_grad([1.0, 2.0], [0.5, -0.25], wrt=0)
(0.0, [0.5, -0.25])

The function is run once on symbols for each shape of its arguments (``symbol.py``). What it did is
differentiated with the table's rules (``gradient_program.py``), lowered (``lowering.py``) and
turned into machine code (``kernel.py``). Source of the gradients: the notes, section 'The
Backpropagation Algorithm'.
"""

# ruff: noqa: ARG002 - what calls.takes_names takes by keyword stands in the signatures

from __future__ import annotations

import inspect
import math
import operator
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload
from weakref import WeakKeyDictionary

from tinygrad_edu._forks import held_while_forking
from tinygrad_edu.compiler.calls import arrange, parameter_names, static_names, takes_names
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.export import ONE, Exported, export
from tinygrad_edu.compiler.nodes import gradient_of, record_call
from tinygrad_edu.compiler.trace.arguments import (
    Shape,
    array_shape,
    build,
    elements,
    is_array,
    read_numbers,
    read_rows,
    refuse_masked,
    shape_of,
    write_numbers,
)
from tinygrad_edu.compiler.trace.surroundings import Survey
from tinygrad_edu.compiler.trace.symbol import Symbol
from tinygrad_edu.compiler.variant import ALONG, Variant, check_repeats
from tinygrad_edu.compiler.verification import check as check_results
from tinygrad_edu.compiler.verification import eager_results
from tinygrad_edu.engine.operation import to_float
from tinygrad_edu.engine.tracing import tracing
from tinygrad_edu.engine.value import Value

R = TypeVar("R")  # what a compiled function returns
_KEPT = 256  # variants at most
_LOOKS = 16  # how often surroundings may change before a warning
Wrt = Any  # None, a position, a captured Value, or a sequence of these


@overload
def compile(
    function: Callable[..., Value | float],
    *,
    strict: bool = False,
    check: bool = False,
    verify: bool = False,
    static: str | int | Sequence[str | int] = (),
) -> Compiled[float]: ...
@overload
def compile(
    function: Callable[..., list[Value]],
    *,
    strict: bool = False,
    check: bool = False,
    verify: bool = False,
    static: str | int | Sequence[str | int] = (),
) -> Compiled[list[float]]: ...
@overload
def compile(
    function: Callable[..., tuple[Value, Value]],
    *,
    strict: bool = False,
    check: bool = False,
    verify: bool = False,
    static: str | int | Sequence[str | int] = (),
) -> Compiled[tuple[float, float]]: ...
@overload
def compile(
    function: Callable[..., Any],
    *,
    strict: bool = False,
    check: bool = False,
    verify: bool = False,
    static: str | int | Sequence[str | int] = (),
) -> Compiled[Any]: ...
def compile(
    function: Callable[..., Any],
    *,
    strict: bool = False,
    check: bool = False,
    verify: bool = False,
    static: str | int | Sequence[str | int] = (),
) -> Compiled[Any]:
    """Compile a function over scalars to native code, at its first call for each argument shape.

    Args:
        function: Takes numbers, and lists, tuples, dicts, numpy arrays and modules of them; returns
            a number or a structure of them. It is run once on symbols (twice if it computes with
            Values of its surroundings alone), so its side effects happen then, and an ``if`` on a
            traced number is an error.
        strict: Values equal the eager engine bit for bit: no contraction of ``a * b + c`` into one
            rounding, no reassociation, and the C library's exp, log, ... only.
        check: Raise ``FloatingPointError`` if a result is infinite or nan. Compiled code itself
            never raises: it goes on with inf and nan as IEEE 754 has them.
        verify: At the first call for each kind of question and shape run the function eagerly as
            well (of rows: up to five), and raise ``RuntimeError`` if results or gradients differ by
            more than rounding.
        static: Names or positions of arguments that are not numbers to be traced: a count of turns,
            a flag, a text. The function gets them as they are, and is compiled for each value.

    Raises:
        ImportError: If numpy or llvmlite is missing (``pip install "tinygrad_edu[fast]"``).
        TypeError: If ``function`` cannot be called.

    >>> from tinygrad_edu.compiler import compile
    >>> fast = compile(lambda x, y: x * y + y)
    >>> fast(2.0, 3.0), fast.value_and_grad(2.0, 3.0, wrt=0)
    (9.0, (9.0, 3.0))
    """
    if not callable(function):
        raise TypeError(f"compile: expected a function, got {type(function).__name__}")
    native.llvm()
    return Compiled(function, strict, check, verify, static_names(function, static))


# One function is traced and compiled at a time, and none while the process forks: a child would
# wait for ever for what another thread held (this lock, those of imports within numpy, LLVM's).
_COMPILING = held_while_forking(threading.RLock())


class Compiled(Generic[R]):
    """A compiled function; made by ``compile``. It may be called from several threads at once.

    Values (leaves) that the function uses from its surroundings are inputs, too: their data are
    read at each call. Where plain numbers that it uses have changed (in its closure, in globals, in
    attributes of modules), it is traced again. Arguments that are Values count as the numbers they
    hold. Gradients come in the structure of the arguments; a module's as a dict by parameter name.

    >>> from tinygrad_edu.compiler import compile
    >>> fast = compile(lambda x: x[0] * x[1])
    >>> fast([2.0, 3.0]), fast.value_and_grad([2.0, 3.0])
    (6.0, (6.0, [3.0, 2.0]))
    """

    def __init__(
        self,
        function: Callable[..., Any],
        strict: bool,
        check: bool,
        verify: bool = False,
        static: frozenset[Any] = frozenset(),
    ) -> None:
        self.function = function
        self.strict = strict
        self.check = check
        self.verify = verify
        self.static = static
        self._arranged: dict[Any, Compiled[R]] = {}
        self._verified: set[int] = set()
        self.__name__: Any | str = getattr(function, "__name__", "function")
        self.__qualname__: Any | str = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__doc__ = function.__doc__
        self._bound: WeakKeyDictionary[Any, Compiled[R]] = WeakKeyDictionary()
        self._variants: dict[Any, Variant] = {}
        self._known: dict[Any, Variant] = {}
        self._gradients: dict[Any, Compiled[Any]] = {}
        self._survey: Survey | None = None
        self._looks: dict[Any, int] = {}  # what was seen around the function -> its number
        self._look = 0
        self._own: frozenset[Any] = frozenset()  # what the function itself changes
        self._lock = _COMPILING

    def gradient_function(
        self,
        shapes: tuple[Shape, ...],
        places: tuple[int, ...],
        captured: tuple[Value, ...],
        k: int,
    ) -> Compiled[Any]:
        """Return the slopes of result ``k`` as a compiled function of all numbers in a list."""
        key = (shapes, places, captured, k)
        found = self._gradients.get(key)
        if found is None:
            slopes = gradient_of(self.function, shapes, places, captured, k)
            found = self._gradients[key] = Compiled(slopes, self.strict, self.check, self.verify)
        return found

    def arranged(
        self, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Compiled[R], tuple[Any, ...], dict[int | str, int], int]:
        """Return this function for such a call as one of positional arguments; see ``calls.py``."""
        names = parameter_names(self.function) or []
        call = arrange(self.function, self.static, names, args, named)
        found = self._arranged.get(call.key)
        if found is None:
            found = Compiled(call.function, self.strict, self.check, self.verify)
            found.__name__ = self.__name__
            self._arranged[call.key] = found
        return found, call.args, call.positions, len(args)

    def captured_by(self, args: tuple[Any, ...]) -> list[Value]:
        """Return the Values of its surroundings that the function uses for such arguments."""
        return self._variant("value", args, ()).captured

    # --- one evaluation ---

    @takes_names
    def __call__(self, *args: Any, **named: Any) -> R:
        """Return what the function returns, with floats for numbers.

        Arguments may be given by keyword, here and in all other questions.

        Called inside another function being compiled, it is inlined. Called on Values (numbers,
        or in lists, tuples, dicts and arrays; a module's parameters count as numbers), it gives
        Values: nodes of the graph whose gradients are the compiled ones, to any order.

        >>> from tinygrad_edu import Value, compile
        >>> x = Value(3.0)
        >>> y = compile(lambda a: a * a)(x) + x
        >>> y.backward()
        >>> y.data, x.grad
        (12.0, 7.0)
        """
        if tracing() or any(_holds_symbols(x) for x in args):
            inlined: R = self.function(*args)
            return inlined
        if any(_holds_values(x) for x in args):
            recorded: R = record_call(self, args)
            return recorded
        variant = self._variant("value", args, ())
        numbers: R = read_numbers(variant.outputs, self._run(variant, args))
        return numbers

    @takes_names
    def value_and_grad(self, *args: Any, wrt: Wrt = None, **named: Any) -> tuple[float, Any]:
        """Return the value and its gradients, in the structure of the arguments.

        Args:
            args: The arguments of the function, which must return one number.
            wrt: The position of an argument, or a captured Value, or a sequence of these; all
                arguments if ``None``. For one position (or a single argument) the gradient comes as
                it is, otherwise as a tuple.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x, y: x * y).value_and_grad(3.0, 4.0)
        (12.0, (4.0, 3.0))
        """
        variant = self._variant("value_and_grad", args, _wanted(wrt, args))
        numbers = self._run(variant, args)
        return float(numbers[0]), _slopes(variant, numbers, 1, _single(wrt, args))

    @takes_names
    def jacobian(self, *args: Any, wrt: Wrt = None, sparse: bool = False, **named: Any) -> Any:
        """Return the matrix of derivatives: a row per number returned, a column per number of wrt.

        Args:
            args: The arguments of the function.
            wrt: What to differentiate by, as for ``value_and_grad``.
            sparse: Compute only the entries that can differ from 0, found from what was traced,
                and return them as a ``scipy.sparse.csr_array``. Columns without a common row are
                computed together; ``report()`` says how many are left.

        Raises:
            ImportError: If ``sparse`` and scipy is missing.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: [x[0] * x[1], x[0] + x[1]]).jacobian([2.0, 3.0]).tolist()
        [[3.0, 2.0], [1.0, 1.0]]
        """
        if sparse:
            return self._sparse("sparse_jacobian", args, wrt)
        variant = self._variant("jacobian", args, _wanted(wrt, args))
        columns = sum(shape.size for shape in variant.slopes)
        return self._run(variant, args).reshape(variant.outputs.size, columns)

    @takes_names
    def hessian(self, *args: Any, wrt: Wrt = None, sparse: bool = False, **named: Any) -> Any:
        """Return the matrix of second derivatives by the numbers of ``wrt``, in their order.

        Args:
            args: The arguments of the function, which must return one number.
            wrt: What to differentiate by, as for ``value_and_grad``.
            sparse: As for ``jacobian``; the symmetry of the matrix is used, too.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: x[0] ** 2 * x[1]).hessian([2.0, 3.0]).tolist()
        [[6.0, 4.0], [4.0, 0.0]]
        """
        if sparse:
            return self._sparse("sparse_hessian", args, wrt)
        variant = self._variant("hessian", args, _wanted(wrt, args))
        side = sum(shape.size for shape in variant.slopes)
        return self._run(variant, args).reshape(side, side)

    @takes_names
    def hvp(self, *args: Any, vector: Any, wrt: Wrt = None, **named: Any) -> Any:
        """Return the Hessian times ``vector``, both in the structure of the gradient.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: x[0] ** 2 * x[1]).hvp([2.0, 3.0], vector=[1.0, 0.0])
        [6.0, 4.0]
        """
        variant = self._variant("hvp", (*args, vector), _wanted(wrt, args))
        numbers = self._run(variant, (*args, vector))
        return _slopes(variant, numbers, 0, _single(wrt, args))

    @takes_names
    def jvp(self, *args: Any, tangent: Any, wrt: Wrt = None, **named: Any) -> tuple[Any, Any]:
        """Return the value and its derivative along ``tangent``, both as the function returns it.

        Forward mode: it costs about as much as the function, however many arguments there are.

        Args:
            args: The arguments of the function.
            tangent: A direction, in the structure of what is differentiated by.
            wrt: What to differentiate by, as for ``value_and_grad``.

        Raises:
            ValueError: If ``tangent`` has not as many numbers as what is differentiated by.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: [x[0] * x[1], x[0]]).jvp([2.0, 3.0], tangent=[1.0, 0.0])
        ([6.0, 2.0], [3.0, 1.0])
        """
        variant = self._variant("jvp", (*args, tangent), _wanted(wrt, args))
        numbers, size = self._run(variant, (*args, tangent)), variant.outputs.size
        return read_numbers(variant.outputs, numbers), read_numbers(variant.outputs, numbers, size)

    @takes_names
    def vjp(self, *args: Any, cotangent: Any, wrt: Wrt = None, **named: Any) -> tuple[Any, Any]:
        """Return the value, and the gradients of the sum of its numbers weighed by ``cotangent``.

        Reverse mode for functions that return several numbers: the transposed Jacobian times
        ``cotangent``, at a small multiple of the function's cost.

        Args:
            args: The arguments of the function.
            cotangent: Weights, in the structure of what the function returns.
            wrt: What to differentiate by, as for ``value_and_grad``.

        Raises:
            ValueError: If ``cotangent`` has not as many numbers as the function returns.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x: [x[0] * x[1], x[0]]).vjp([2.0, 3.0], cotangent=[1.0, 10.0])
        ([6.0, 2.0], [13.0, 2.0])
        """
        variant = self._variant("vjp", (*args, cotangent), _wanted(wrt, args))
        numbers = self._run(variant, (*args, cotangent))
        slopes = _slopes(variant, numbers, variant.outputs.size, _single(wrt, args))
        return read_numbers(variant.outputs, numbers), slopes

    def _sparse(self, question: str, args: tuple[Any, ...], wrt: Wrt) -> Any:
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise ImportError(
                'sparse=True needs scipy: pip install "tinygrad_edu[optimize]"'
            ) from error
        variant = self._variant(question, args, _wanted(wrt, args))
        found = variant.compressed
        assert found is not None
        numbers = self._run(variant, args)
        return csr_array((numbers, found.columns.copy(), found.starts.copy()), shape=found.shape)

    # --- many rows ---

    @takes_names
    def map(self, *args: Any, shared: Any = (), threads: int = 1, **named: Any) -> Any:
        """Evaluate the function for every row: like ``[f(*row) for row in zip(*args)]``.

        Args:
            args: Arrays (or nested lists) whose first axis counts the rows.
            shared: Positions of arguments that are the same for all rows, passed as they are.
            threads: How many threads share the rows.

        Returns:
            What the function returns, with an array over the rows in place of each number.

        Raises:
            TypeError, ValueError: If arguments have no rows, or not equally many.

        >>> from tinygrad_edu.compiler import compile
        >>> compile(lambda x, y: x * y).map([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).tolist()
        [4.0, 10.0, 18.0]
        """
        variant, matrices = self._row_variant("map", args, shared, ())
        out, _ = self._run_rows(variant, args, matrices, threads)
        return read_rows(variant.outputs, out)

    @takes_names
    def map_value_and_grad(
        self, *args: Any, wrt: Wrt = None, shared: Any = (), threads: int = 1, **named: Any
    ) -> tuple[Any, Any]:
        """Return value and gradients for every row, the gradients of shared arguments included.

        >>> from tinygrad_edu.compiler import compile
        >>> value, slope = compile(lambda x: x * x).map_value_and_grad([1.0, 2.0, 3.0])
        >>> value.tolist(), slope.tolist()
        ([1.0, 4.0, 9.0], [2.0, 4.0, 6.0])
        """
        variant, matrices = self._row_variant("map_value_and_grad", args, shared, wrt)
        out, _ = self._run_rows(variant, args, matrices, threads)
        found, start = [], 1
        for shape in variant.slopes:
            found.append(read_rows(shape, out, start))
            start += shape.size
        return out[:, 0].copy(), found[0] if _single(wrt, args) else tuple(found)

    @takes_names
    def batch_value_and_grad(
        self,
        *args: Any,
        wrt: Wrt = 0,
        shared: Any = (0,),
        reduce: str = "mean",
        threads: int = 1,
        **named: Any,
    ) -> tuple[float, Any, Any]:
        """Return the mean (or sum) of a loss over rows and its gradients: a training step.

        Args:
            args: As for ``map``; by default the first argument is shared (the parameters).
            wrt: Which arguments to differentiate by; shared ones only.
            shared: Positions of shared arguments.
            reduce: ``"mean"`` or ``"sum"``.
            threads: How many threads share the rows.

        Returns:
            ``(value, gradients, outputs)``. The function returns the loss of a row, or a pair of
            it and further outputs; ``outputs`` has those for every row (the losses if none).

        Raises:
            TypeError, ValueError: If an argument, or what the function returns, does not fit.

        >>> from tinygrad_edu.compiler import compile
        >>> fast = compile(lambda w, x, y: (w * x - y) ** 2)
        >>> loss, slope, losses = fast.batch_value_and_grad(2.0, [1.0, 2.0], [1.0, 1.0])
        >>> loss, slope, losses.tolist()
        (5.0, 7.0, [1.0, 9.0])
        """
        if reduce not in ("mean", "sum"):
            raise ValueError(f'reduce: expected "mean" or "sum", got {reduce!r}')
        variant, matrices = self._row_variant("batch", args, shared, wrt)
        out, sums = self._run_rows(variant, args, matrices, threads)
        if reduce == "mean":
            sums *= 1.0 / len(out) if len(out) else math.nan  # as numpy's mean of nothing
        if self.check:
            self._finite(sums)
        outputs = variant.outputs
        if outputs.kind == "number":
            further = out.reshape(-1)
        elif outputs.parts:
            further = read_rows(outputs.parts[1], out, 1)
        else:
            further = out[:, 1].copy()
        return float(sums[-1]), _slopes(variant, sums, 0, _single(wrt, args)), further

    # --- elsewhere ---

    def export(
        self,
        path: str | os.PathLike[str],
        *args: Any,
        what: str | Sequence[str] = ("value", "value_and_grad"),
        wrt: Wrt = None,
        shared: Sequence[int] = (),
        name: str | None = None,
        target: str | None = None,
        cpu: str | None = None,
    ) -> Exported:
        """Write compiled code as a file for other programs, and a C header beside it.

        The C functions take their numbers in one array, in the order that the header documents, and
        work in memory that the caller gives them: no allocation, no global state. All they need is
        the C library's mathematics (``-lm``).

        Args:
            path: An object file (``.o``, ``.obj``), LLVM IR (``.ll``), or a shared library
                (``.so``, ``.dylib``, ``.dll``), which this system's C compiler links.
            args: Arguments as the function takes them, for their shapes; with rows, as for ``map``.
            what: Which functions: some of ``"value"``, ``"value_and_grad"``, ``"jacobian"``,
                ``"hessian"``; or, for rows, of ``"map"``, ``"map_value_and_grad"``, ``"batch"``
                (sums over rows, as ``batch_value_and_grad``).
            wrt: What to differentiate by, as for ``value_and_grad``.
            shared: Positions of arguments that are the same for all rows.
            name: The name of the functions in C, by default the function's own; ``"value"`` is
                called ``name``, the others ``name_value_and_grad`` and so on.
            target: Another machine, as a triple of LLVM's such as ``"aarch64-unknown-linux-gnu"``,
                ``"thumbv7em-none-eabihf"``, ``"wasm32-unknown-unknown"``; by default this one.
            cpu: LLVM's name of a processor; by default this very one (``"generic"`` for code that
                runs on all of its kind), or, with ``target``, any of the target's.

        Returns:
            The paths that were written and the names of the functions.

        Raises:
            ValueError: For a suffix, target, question or name that does not fit.
            RuntimeError: If a shared library is wanted and there is no C compiler.
            OSError: If a file cannot be written.

        >>> import tempfile, os
        >>> from tinygrad_edu.compiler import compile
        >>> fast = compile(lambda x, y: x * y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = fast.export(os.path.join(folder, "product.o"), 1.0, 1.0, name="product")
        ...     made.functions, sorted(os.listdir(folder))
        (('product', 'product_value_and_grad'), ['product.h', 'product.o'])
        """
        wanted = _wanted(wrt, args)

        def shapes(question: str) -> tuple[tuple[Shape, ...], tuple[int, ...]]:
            if question in ONE:
                return tuple([shape_of(x, f"{self.__name__}: argument") for x in args]), ()
            taken, rows, _ = self._row_shapes(question, args, shared, wanted)
            return taken, rows

        return export(
            self.function, path, shapes, what, wanted,
            strict=self.strict, name=name or self.__name__, target=target, cpu=cpu,
        )  # fmt: skip

    def report(self) -> str:
        """Say in plain words what was compiled and what came out, a line for each variant."""
        several = (self, *self._arranged.values())
        variants = [variant for x in several for variant in x._variants.values()]
        if not variants:
            return f"{self.__name__}: nothing compiled yet"
        return "\n".join(variant.report() for variant in variants)

    def __repr__(self) -> str:
        return f"<compiled {self.report()}>"  # a notebook shows the report

    # --- as a value in Python programs ---

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind to an instance, as functions in a class do; its parameters are captured Values."""
        if instance is None:
            return self
        bound = self._bound.get(instance)
        if bound is None:
            function, where = self.function, weakref.ref(instance)  # no cycle through the instance

            def method(*args: Any, **named: Any) -> Any:
                return function(where(), *args, **named)

            with suppress(TypeError, ValueError):  # a function that says no names
                signature = inspect.signature(function)
                rest = list(signature.parameters.values())[1:]
                method.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]

            method.__name__ = self.__name__
            method.__doc__ = self.__doc__
            bound = self._bound[instance] = Compiled(
                method, self.strict, self.check, self.verify, self.static
            )
        return bound

    def __copy__(self) -> Compiled[R]:
        return Compiled(self.function, self.strict, self.check, self.verify, self.static)

    def __deepcopy__(self, memo: Any) -> Compiled[R]:
        return Compiled(
            self.function, self.strict, self.check, self.verify
        )  # compiled code is made again

    def __reduce__(self) -> Any:
        module, name = getattr(self.function, "__module__", None), self.__qualname__
        home = sys.modules.get(module or "")
        if home is not None and getattr(home, name, None) is self:
            return name  # decorated: found again by its name
        return (Compiled, (self.function, self.strict, self.check, self.verify, self.static))

    # --- finding the variant ---

    def _variant(self, question: str, args: tuple[Any, ...], wanted: tuple[Any, ...]) -> Variant:
        if tracing() and any(_holds_values(x) for x in args):
            raise TypeError(
                f"{self.__name__}.{question}: a compiled function was asked about Values inside "
                "another function being compiled, where their numbers are not known; call the "
                "function itself, and grad(output, inputs) for gradients"
            )
        where = f"{self.__name__}: argument"
        shapes = tuple([shape_of(x, where) for x in args])
        return self._found(question, shapes, wanted, (), 1)

    def _row_variant(
        self, question: str, args: tuple[Any, ...], shared: Sequence[int], wrt: Wrt
    ) -> tuple[Variant, list[Any]]:
        """Return the variant for arguments with rows, and the rows as matrices.

        Where all arguments are arrays that kernels can read as they are, the answer of the last
        call with the same shapes is looked up: a training step is shorter than all the checks.
        """
        key: Any = None
        if all(map(_ready, args)) and type(shared) is tuple:
            several = tuple(wrt) if type(wrt) is list else wrt
            key = (question, several, shared, *[x.shape for x in args])
            known = self._known.get(key)
            if known is not None and self._survey is not None and self._survey.unchanged():
                return known, [args[i] for i in known.row_positions]
        found = self._checked_row_variant(question, args, shared, _wanted(wrt, args))
        if key is not None:
            if len(self._known) >= 1000:  # a key for each number of rows: not without end
                self._known.clear()
            self._known[key] = found[0]
        return found

    def _checked_row_variant(
        self,
        question: str,
        args: tuple[Any, ...],
        shared: Sequence[int],
        wanted: tuple[Any, ...],
    ) -> tuple[Variant, list[Any]]:
        shapes, rows, matrices = self._row_shapes(question, args, shared, wanted)
        return self._found(question, shapes, wanted, rows, native.native_lanes()), matrices

    def _row_shapes(
        self,
        question: str,
        args: tuple[Any, ...],
        shared: Sequence[int],
        wanted: tuple[Any, ...],
    ) -> tuple[tuple[Shape, ...], tuple[int, ...], list[Any]]:
        """Return the shape of each argument in one row, which have rows, and these as matrices."""
        common = _positions(shared, len(args), "shared")
        shapes: list[Shape] = []
        matrices: list[Any] = []
        rows: list[int] = []
        for i, x in enumerate(args):
            where = f"{self.__name__}: argument {i}"
            if i in common:
                shapes.append(shape_of(x, where))
                continue
            matrix, shape = _as_rows(x, where)
            if matrices and len(matrix) != len(matrices[0]):
                raise ValueError(
                    f"{where}: expected {len(matrices[0])} rows as before, got {len(matrix)}"
                )
            matrices.append(matrix)
            shapes.append(shape)
            rows.append(i)
        if not rows:
            raise ValueError(f"{self.__name__}: every argument is shared, so there are no rows")
        if question == "batch":
            for w in wanted:
                if w in rows:
                    raise ValueError(
                        f"batch_value_and_grad: argument {w} has a value per row, so it has no "
                        "gradient summed over rows; use map_value_and_grad, or list it in shared"
                    )
        return tuple(shapes), tuple(rows), matrices

    def _found(
        self,
        question: str,
        shapes: tuple[Shape, ...],
        wanted: tuple[Any, ...],
        rows: tuple[int, ...],
        lanes: int,
        exact: bool = False,
    ) -> Variant:
        key = (question, shapes, wanted, rows, exact)
        variant = self._variants.get((self._look_around(), *key))
        if variant is None:
            with self._lock:
                variant = self._variants.get((self._look_around(), *key))
                if variant is None:
                    drawn = self._survey.drawn() if self._survey else []
                    variant = Variant(
                        self.function, question, shapes, wanted, rows, lanes, self.strict,
                        exact=exact,
                    )  # fmt: skip
                    self._look_after(question, shapes, drawn)
                    while len(self._variants) >= _KEPT:
                        del self._variants[next(iter(self._variants))]
                        self._known.clear()
                    self._variants[(self._look, *key)] = variant
        return variant

    def _look_around(self) -> int:
        """Return the number of what is to be seen around the function now."""
        survey = self._survey
        if survey is not None and survey.unchanged():
            return self._look
        with self._lock:
            if survey is not None and len(self._looks) == _LOOKS:
                names = ", ".join(sorted({name for _, name in survey.changes()})[:5])
                warnings.warn(
                    f"{self.__name__} is traced and compiled again whenever what it uses changes, "
                    f"which is often: {names}; make it an argument",
                    RuntimeWarning,
                    stacklevel=6,
                )
            self._look_anew()
            self._known.clear()
        return self._look

    def _look_anew(self) -> None:
        self._survey = Survey(self.function, ignored=self._own)
        self._look = self._looks.setdefault(self._survey.key, len(self._looks))

    def _look_after(self, question: str, shapes: tuple[Shape, ...], drawn: list[Any]) -> None:
        """See whether the function, when it was traced, changed what it uses itself."""
        survey = self._survey
        if survey is None or (survey.unchanged() and survey.drawn() == drawn):
            return
        check_repeats(self.function, shapes, question)
        self._own |= frozenset(survey.changes())
        self._look_anew()

    # --- running it ---

    def _write(self, variant: Variant, args: tuple[Any, ...]) -> Any:
        """Write the shared arguments and captured Values where the kernel reads them."""
        shared = variant.kernel.own_shared_array()
        end, where = 0, self.__name__
        for i, (x, shape) in enumerate(zip(args, variant.shapes)):
            if i not in variant.row_positions:
                end = write_numbers(x, shape, shared, end, where)
        for i, value in enumerate(variant.captured):
            shared[end + i] = value.data
        return shared

    def _run(self, variant: Variant, args: tuple[Any, ...]) -> Any:
        numbers = variant.kernel.run(self._write(variant, args)).copy()
        if variant.inexact and _any_nan(numbers):
            exact = self._exactly(variant)
            numbers = exact.kernel.run(self._write(exact, args)).copy()
        if self.verify and id(variant) not in self._verified:
            self._verify(variant, [self._numbers(variant, args)])
        if self.check:
            self._finite(numbers)
        return numbers

    def _run_rows(
        self, variant: Variant, args: tuple[Any, ...], matrices: list[Any], threads: int
    ) -> tuple[Any, Any]:
        if _whole(threads) is None or threads < 1:
            raise ValueError(f"threads: expected a whole number from 1, got {threads!r}")
        threads = int(threads)
        out, sums = variant.kernel.run_rows(self._write(variant, args), matrices, threads)
        if variant.inexact and (_any_nan(sums) or _any_nan(out.ravel())):
            exact = self._exactly(variant)
            out, sums = exact.kernel.run_rows(self._write(exact, args), matrices, threads)
        if self.verify and id(variant) not in self._verified:
            rows = sorted({len(out) * i // 5 for i in range(5)} if len(out) else ())
            self._verify(variant, [self._numbers(variant, args, matrices, i) for i in rows])
        if self.check:
            self._finite(out)
        return out, sums

    def _numbers(
        self, variant: Variant, args: tuple[Any, ...], matrices: Sequence[Any] = (), row: int = 0
    ) -> list[list[float]]:
        """Return the numbers of each argument, those of one row where there are rows."""
        import numpy

        found, rest = [], iter(matrices)
        for i, (x, shape) in enumerate(zip(args, variant.shapes)):
            if i in variant.row_positions:
                found.append(numpy.ravel(next(rest)[row]).tolist())
            else:
                numbers = numpy.zeros(shape.size)
                write_numbers(x, shape, numbers, 0, self.__name__)
                found.append(numbers.tolist())
        return found

    def _verify(self, variant: Variant, cases: list[list[list[float]]]) -> None:
        """Compare with the function run eagerly; see ``verification.py``."""
        shapes = variant.shapes[:-1] if variant.question in ALONG else variant.shapes
        every = tuple(range(len(shapes)))
        for numbers in cases:
            expected = eager_results(self.function, shapes, numbers)
            if expected is None:
                continue
            plain = tuple([build(shape, map(Value, part)) for shape, part in zip(shapes, numbers)])
            values = self._found("value", shapes, (), (), 1)
            slopes = self._found("jacobian", shapes, every, (), 1)
            self._verified |= {id(variant), id(values), id(slopes)}
            found = self._run(values, plain), self._run(slopes, plain)
            rows = found[1].reshape(len(expected[0]), -1) if expected[0] else []
            check_results(self.__name__, (found[0], rows), expected)

    def _exactly(self, variant: Variant) -> Variant:
        """Return the variant in which the derivatives of what was not chosen cannot make a nan."""
        rows, lanes = variant.row_positions, native.native_lanes() if variant.row_positions else 1
        return self._found(
            variant.question, variant.shapes, variant.wanted, rows, lanes, exact=True
        )

    def _finite(self, numbers: Any) -> None:
        import numpy

        finite = numpy.isfinite(numbers)
        if not finite.all():
            first = tuple(int(i) for i in numpy.argwhere(~finite)[0])
            raise FloatingPointError(
                f"{self.__name__}: result number {first} is {numbers[first]}; the eager function "
                "says which operation it comes from"
            )


def _any_nan(numbers: Any) -> bool:
    return bool((numbers != numbers).any())


def _ready(x: Any) -> bool:
    """Is ``x`` an array of floats whose numbers lie side by side, row by row?"""
    return (
        is_array(x)
        and x.dtype.char == "d"
        and x.dtype.isnative
        and x.flags.c_contiguous
        and x.flags.aligned
        and x.ndim > 0
        and not hasattr(x, "mask")
    )


def _as_rows(x: Any, where: str) -> tuple[Any, Shape]:
    """Return an argument with one entry per row as a C-contiguous array, and the shape of a row.

    Rows of an array are arrays; rows in a list are what they are: lists, tuples, dicts, ...
    """
    import numpy

    if isinstance(x, (list, tuple)) and x and (shape := shape_of(x[0], where)).kind != "number":
        matrix = numpy.empty((len(x), shape.size))
        for i, row in enumerate(x):
            if shape_of(row, f"{where}, row {i}") != shape:
                raise ValueError(f"{where}: row {i} is of another form than row 0")
            write_numbers(row, shape, matrix[i], 0, where)
        return matrix, shape
    array = x if is_array(x) else numpy.array(x, dtype=object)
    refuse_masked(array, where)
    if array.ndim == 0:
        raise TypeError(f"{where}: expected rows, got one number; list it in shared")
    if array.dtype.kind not in "fiu":
        flat = [y.data if isinstance(y, Value) else to_float(y, where) for y in array.ravel()]
        array = numpy.array(flat, dtype=float).reshape(array.shape)
    return numpy.require(array, numpy.float64, ["C", "A"]), array_shape(array.shape[1:])


def _values_in(x: Any) -> list[Value]:
    """The Values in an argument: in lists, tuples, dicts, arrays, dataclasses; not in modules."""
    kind = type(x)
    if kind is float or kind is int or kind is str or (is_array(x) and x.dtype != object):
        return []
    if hasattr(x, "with_parameters") or x is None:
        return []
    if (kind is list or kind is tuple) and _NUMBERS.issuperset(map(type, x)):
        return []
    return [y for y in elements(x) if isinstance(y, Value)]


def _holds_values(x: Any) -> bool:
    return bool(_values_in(x))


_NUMBERS = {float, int}


def _holds_symbols(x: Any) -> bool:
    kind = type(x)
    if kind is float or kind is int:
        return False
    if kind is Symbol:
        return True
    if isinstance(x, (list, tuple)):
        return Symbol in set(map(type, x)) or any(
            _holds_symbols(y) for y in x if type(y) is not float
        )
    if isinstance(x, dict):
        return any(_holds_symbols(y) for y in x.values())
    if is_array(x):
        return x.dtype == object and any(type(y) is Symbol for y in x.ravel())
    return hasattr(x, "with_parameters") and any(type(p) is Symbol for p in x.parameters())


def _positions(positions: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    found = []
    for p in positions:
        position = _whole(p)
        if position is None or not -count <= position < count:
            raise ValueError(f"{what}: expected positions from 0 to {count - 1}, got {p!r}")
        found.append(position % count)
    return tuple(found)


def _whole(x: Any) -> int | None:
    """Return a whole number, numpy's or Python's, as an int; ``None`` for anything else."""
    try:
        return None if isinstance(x, bool) else operator.index(x)
    except TypeError:
        return None


def _wanted(wrt: Wrt, args: tuple[Any, ...]) -> tuple[Any, ...]:
    count = len(args)
    if wrt is None:
        return tuple(range(count))
    several = wrt if isinstance(wrt, (list, tuple)) else (wrt,)
    for w in several:
        if isinstance(w, Value) and any(w is y for x in args for y in _values_in(x)):
            raise ValueError(
                f"wrt: {w._name()} is among the arguments, where only its number counts: name its "
                "position, as in wrt=0, or let the function use the Value from its surroundings"
            )
    return tuple(
        [w if isinstance(w, Value) else _positions((w,), count, "wrt")[0] for w in several]
    )


def _single(wrt: Wrt, args: tuple[Any, ...]) -> bool:
    return len(args) == 1 if wrt is None else not isinstance(wrt, (list, tuple))


def _slopes(variant: Variant, numbers: Any, start: int, single: bool) -> Any:
    """Build the gradients from an array, in the structure of what they are taken by."""
    found = []
    for shape in variant.slopes:
        found.append(read_numbers(shape, numbers, start))
        start += shape.size
    return found[0] if single else tuple(found)
