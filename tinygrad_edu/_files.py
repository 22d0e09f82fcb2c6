"""Writing files so that a reader finds the old content or the new; and where the cache lives."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from time import sleep, time
from typing import Any

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
_ABANDONED = 600.0  # seconds; no writing takes that long, so a temporary file that old is nobody's


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write ``content`` to ``path``, all or nothing.

    The content goes to a temporary file in the same folder, reaches the disk, and takes the place
    of ``path`` in one step. Text is written as UTF-8, its line ends as they are. An existing file
    keeps its permissions; a symbolic link stays one, and the file it points to gets the content.
    Whatever interrupts the writing, Ctrl-C included, is raised as it is and leaves no temporary
    file; those of processes that were killed are removed when the same file is next written.

    Args:
        path: Where to write; the folder must exist.
        content: Bytes, or text. Half of a surrogate pair, which is no character and has no place in
            UTF-8, is written as U+FFFD.

    Raises:
        TypeError: If ``content`` is neither bytes nor text.
        OSError: If the folder does not exist or cannot be written (FileNotFoundError and others),
            if ``path`` is a folder or ends like one (IsADirectoryError), is marked read-only
            (PermissionError), or is a device, a pipe or a socket, whose place a file may not take.
            ``path`` is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "note.txt"
    ...     write_atomically(path, "f = g * z")
    ...     path.read_text()
    'f = g * z'
    """
    if isinstance(content, str):
        content = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", content).encode("utf-8")
    elif not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"content: expected bytes or text, got {type(content).__name__}")
    asked = os.fspath(path)
    try:
        target, mode = _target(asked)
        _write(target, content, mode)
    except OSError as error:  # name the file that was asked for, not the temporary one
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, asked) from error
    with suppress(OSError):  # all is written: neither of these can still fail it
        _sync_folder(target.parent)
        _remove_abandoned(target)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _target(path: str) -> tuple[Path, int | None]:
    """Return the file that ``path`` leads to, and its permissions if it exists."""
    if not path:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    target = Path(os.path.realpath(path))
    if path.endswith((os.sep, os.altsep or os.sep)):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target, None
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"Not a regular file but {_kind(mode)}")
    # root may write everything, but what nobody may write was meant to stay
    if not mode & 0o222 or not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, f"{os.strerror(errno.EACCES)}: the file is read-only")
    return target, stat.S_IMODE(mode)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _write(target: Path, content: Any, mode: int | None) -> None:
    # Not tempfile: its files may be read by their owner alone, and os.open() gives a new file the
    # permissions that open() would have given it.
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        _replace(temporary, target)
    except BaseException:
        # An interrupt may have come before there was a file, or after it took its place.
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _replace(temporary: Path, target: Path) -> None:
    """Move a file to its place; on Windows wait for others who are just reading what is there."""
    if sys.platform == "win32":
        for attempt in range(10):
            try:
                return os.replace(temporary, target)
            except PermissionError:  # noqa: PERF203
                sleep(0.01 * 1.5**attempt)  # a bit more than a second in all
    return os.replace(temporary, target)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, so that a file that took its place stays there."""
    if sys.platform == "win32":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(target: Path) -> None:
    """Remove temporary files of the same target that were left by processes killed in between."""
    start, old = f".{target.name[:40]}.", time() - _ABANDONED
    with os.scandir(target.parent) as entries:
        found = [e for e in entries if e.name.startswith(start) and e.name.endswith(".tmp")]
    for entry in found:
        secret = entry.name[len(start) : -len(".tmp")]
        if (
            re.fullmatch("[0-9a-f]{16}", secret)
            and entry.stat(follow_symlinks=False).st_mtime < old
        ):
            with suppress(OSError):
                os.unlink(entry.path)


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
