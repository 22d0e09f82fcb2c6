"""Finding a student's class in a file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from tinygrad_edu.grading.running import Runner, bounded, local_bench


class Unloadable(Exception):
    """The file could not be read or run, or has no such class; the message is for the student."""


def load_class(where: str) -> type[Any]:
    """Run a student's file and return its class.

    Args:
        where: A path, or ``path:ClassName``; the name is ``Value`` if left out.

    Raises:
        Unloadable: If there is no such file, it does not run, or the class is not in it.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "student.py")
    ...     _ = path.write_text("class Value:\\n    pass\\n")
    ...     load_class(str(path)).__name__
    'Value'
    """
    path_text, colon, name = where.rpartition(":")
    if not colon or not name.isidentifier():  # no class named, or the colon of C:\\student.py
        path_text, name = where, "Value"
    path = Path(path_text)
    if not path.is_file():
        raise Unloadable(f"there is no file {path}")
    module_name = f"_student_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise Unloadable(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        bounded(lambda: loader.exec_module(module))
    except BaseException as error:
        bench = local_bench(object)
        text = Runner.of(bench).explain(bench.describe(error), path.name)
        raise Unloadable(text) from error
    finally:
        del sys.modules[module_name]
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise Unloadable(f"{path} has no class {name}")
    return found
