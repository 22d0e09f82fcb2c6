"""LLVM, loaded when first needed: all stages of the compiler that ask it something ask it here."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

_LEAST_LLVM = 20  # older ones read other IR


def llvm() -> ModuleType:
    """Return llvmlite's binding, set up for this machine.

    Raises:
        ImportError: If llvmlite or numpy is not installed, or llvmlite is too old.
    """
    install = 'pip install "tinygrad_edu[fast]"'
    try:
        import llvmlite
        import llvmlite.binding as binding
        import numpy  # noqa: F401
    except ImportError as error:
        raise ImportError(f"compile needs numpy and llvmlite: {install}") from error
    if binding.llvm_version_info[0] < _LEAST_LLVM:
        raise ImportError(
            f"compile needs llvmlite 0.45 or later, got {llvmlite.__version__}: {install}"
        )
    _initialise(binding)
    return binding  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _initialise(binding: Any) -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


@lru_cache(maxsize=1024)
def has_symbol(name: str) -> bool:
    """Is there a C function of this name in the running process?"""
    return bool(llvm().address_of_symbol(name))
