"""Writing files so that a reader finds the old content or the new; and where the cache lives."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write ``content`` to ``path``, all or nothing.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the place
    of ``path`` in one step. Text is written as UTF-8, its line ends as they are. An existing file
    keeps its permissions; a symbolic link stays one, and the file it points to gets the content.

    Args:
        path: Where to write; the folder must exist.
        content: Bytes, or text.

    Raises:
        TypeError: If ``content`` is neither bytes nor text.
        OSError: If the folder does not exist or cannot be written; ``path`` is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "note.txt"
    ...     write_atomically(path, "f = g * z")
    ...     path.read_text()
    'f = g * z'
    """
    if isinstance(content, str):
        content = content.encode("utf-8")
    elif not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"content: expected bytes or text, got {type(content).__name__}")
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode & 0o7777
    except FileNotFoundError:
        mode = None
    # Not tempfile: its files may be read by their owner alone, and os.open() gives a new file the
    # permissions that open() would have given it.
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")
    try:
        _write(temporary, target, content, mode)
    except OSError as error:  # name the file that was asked for, not the temporary one
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _write(temporary: Path, target: Path, content: Any, mode: int | None) -> None:
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def cache_folder() -> Path | None:
    """Return the folder for what can be computed again; ``None`` if the user has no home.

    ``$XDG_CACHE_HOME/tinygrad_edu``, by default ``~/.cache/tinygrad_edu``; on Windows below
    ``%LOCALAPPDATA%``, on macOS below ``~/Library/Caches``. The folder may not exist yet.
    """
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):
        return Path(chosen) / "tinygrad_edu"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        return Path(local) / "tinygrad_edu" / "cache" if local else None
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if not home.is_absolute():
        return None
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return caches / "tinygrad_edu"
