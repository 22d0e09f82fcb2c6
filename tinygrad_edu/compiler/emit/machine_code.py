"""From LLVM IR to code in memory: the machine at hand, and the cache of compiled objects on disk.

The cache (``object_cache.py``) lives in ``objects`` below ``_files.cache_folder()``, for most
``~/.cache/tinygrad_edu``. A file is named by a hash of all that its content depends on: the IR,
the CPU and its features, the versions. It is written to a temporary file and renamed, so processes
may share the folder; it carries a checksum, and what does not match is compiled again.
``TINYGRAD_EDU_CACHE=0`` turns the cache off.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
import time
from collections import OrderedDict
from functools import lru_cache
from typing import Any

from tinygrad_edu._forks import held_while_forking
from tinygrad_edu.compiler.emit import object_cache
from tinygrad_edu.compiler.llvm import llvm as llvm

_FORMAT = "1"  # part of every cache key: raise it when the calling convention changes
_LOCK = held_while_forking(
    threading.RLock()
)  # LLVM contexts are not to be used by two threads at once


@lru_cache(maxsize=1)
def machine() -> tuple[str, str]:
    """Return the name of this CPU and its features, as LLVM writes them."""
    binding = llvm()
    try:
        features = binding.get_host_cpu_features().flatten()
    except RuntimeError:  # not known on every platform
        features = ""
    return binding.get_host_cpu_name(), features


@lru_cache(maxsize=1)
def native_lanes() -> int:
    """Return how many doubles one vector register of this machine holds."""
    features = machine()[1].split(",")
    if "+avx512f" in features:
        return 8
    return 4 if "+avx" in features else 2


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return the context of all loaded libraries, which outlives them.

    One of its own would go away with its library. Where that is part of a reference cycle, Python's
    garbage collector may close the context first, and LLVM then crashes closing the library.
    """
    return llvm().create_context()


@lru_cache(maxsize=4)
def _target_machine(level: int) -> Any:
    binding = llvm()
    name, features = machine()
    target = binding.Target.from_triple(binding.get_process_triple())
    return target.create_target_machine(cpu=name, features=features, opt=level, jit=True)


def compile_object(ir: str, level: int) -> tuple[bytes, bool]:
    """Compile a module to an object file; return it and whether it came from the cache.

    Args:
        ir: The text of the module.
        level: LLVM's code generation level, 0 to 3.
    """
    binding = llvm()
    name, features = machine()
    key = hashlib.sha256()
    for part in (_FORMAT, str(level), name, features, binding_version(), ir):
        key.update(part.encode())
        key.update(b"\0")
    cached = object_cache.read(key.hexdigest())
    if cached is not None:
        return cached, True
    with _LOCK:
        module = binding.parse_assembly(ir, binding.create_context())
        code = _target_machine(level).emit_object(module)
    object_cache.write(key.hexdigest(), code)
    return code, False


_made: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()  # the last objects made here
_KEPT = 256


def compile_again(ir: str, level: int) -> tuple[bytes, bool]:
    """As ``compile_object``, for code that other kernels of this process may have, too."""
    key = (level, hashlib.sha256(ir.encode()).digest())
    with _LOCK:
        code = _made.get(key)
        if code is not None:
            _made.move_to_end(key)
            return code, True
    code, hit = compile_object(ir, level)
    with _LOCK:
        _made[key] = code
        if len(_made) > _KEPT:
            _made.popitem(last=False)
    return code, hit


@lru_cache(maxsize=1)
def binding_version() -> str:
    """Return the versions of llvmlite and LLVM."""
    import llvmlite

    return f"{llvmlite.__version__} {llvm().llvm_version_info}"


class Library:
    """Object files, loaded and linked with each other; functions are called without the GIL."""

    def __init__(self, objects: list[bytes]) -> None:
        binding = llvm()
        start = time.perf_counter()
        with _LOCK:
            empty = binding.parse_assembly("", _context())
            name, features = machine()
            target = binding.Target.from_triple(binding.get_process_triple())
            own = target.create_target_machine(cpu=name, features=features, opt=1, jit=True)
            self._engine = binding.create_mcjit_compiler(empty, own)
            for code in objects:
                self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
            self._engine.finalize_object()
        self.seconds: float = time.perf_counter() - start

    def function(self, name: str, arguments: int) -> Any:
        """Return a function of pointers and integers, all passed as 64-bit words."""
        address = self._engine.get_function_address(name)
        if not address:
            raise RuntimeError(f"the compiled library has no function {name}")
        return ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * arguments)(address)
