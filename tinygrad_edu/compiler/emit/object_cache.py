"""Machine code on disk, for the next process: read back only what this user wrote for this key.

What is read here is run, so it is taken from regular files alone that belong to the user, in
folders that nobody else may write to; links are not followed, and a pipe in the place of a file is
no reason to wait. The checksum covers the key, so one valid object copied over another is no hit.
The folder is kept below a size: what was not used for longest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from time import time

from tinygrad_edu import _files

LIMIT = 256 << 20  # bytes; TINYGRAD_EDU_CACHE_SIZE says another number
_EVERY = 64  # writes between two looks at the size
_DAY = 86400.0
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_written = [0]


def cache_folder() -> Path | None:
    """Return the folder of compiled objects; ``None`` if there is none."""
    if os.environ.get("TINYGRAD_EDU_CACHE") == "0":
        return None
    folder = _files.cache_folder()
    return None if folder is None else folder / "objects"


def limit() -> int:
    """Return how many bytes the folder may hold."""
    try:
        return max(0, int(os.environ.get("TINYGRAD_EDU_CACHE_SIZE", LIMIT)))
    except ValueError:
        return LIMIT


def read(key: str) -> bytes | None:
    """Return the code that was written under ``key``, a hash in hexadecimal digits."""
    path = _path(key)
    if path is None or not all(map(_safe_folder, (path.parents[1], path.parent))):
        return None
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or not _own(state):
            return None
        with open(handle, "rb", closefd=False) as file:
            data = file.read()
    except OSError:
        return None
    finally:
        os.close(handle)
    code = data[32:]
    if not code or _digest(key, code) != data[:32]:
        return None
    if state.st_mtime < time() - _DAY:  # in use: among the last to go
        with contextlib.suppress(OSError):
            os.utime(path)
    return code


def write(key: str, code: bytes) -> None:
    """Keep ``code``; where that cannot be, it costs time the next time, not results."""
    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(OSError):
        for folder in (path.parents[2], path.parents[1], path.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not all(map(_safe_folder, (path.parents[1], path.parent))):
            return
        if path.is_symlink():  # a link would be written through
            path.unlink()
        _files.write_atomically(path, _digest(key, code) + code)
        if os.name == "posix":
            path.chmod(0o600)
    _written[0] += 1
    if _written[0] % _EVERY == 1:
        evict()


def contents() -> list[tuple[float, int, Path]]:
    """Return time of last use (seconds), size (bytes) and path of every object."""
    folder = cache_folder()
    found: list[tuple[float, int, Path]] = []
    if folder is None or not _safe_folder(folder):
        return found
    for path in folder.glob("*/*.o"):
        with contextlib.suppress(OSError):
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                found.append((state.st_mtime, state.st_size, path))
    return found


def evict(most: int | None = None) -> int:
    """Remove what was not used for longest until at most ``most`` bytes are left (by default the
    limit, and then three quarters of it); return how many objects were removed."""
    found = sorted(contents())
    total = sum(size for _, size, _ in found)
    if most is None:
        if total <= limit():
            return 0
        most = limit() * 3 // 4
    removed = 0
    for _, size, path in found:
        if total <= most:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
            removed += 1
    return removed


def _path(key: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / key[:2] / f"{key[2:]}.o"


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(key.encode() + code).digest()


def _own(state: os.stat_result) -> bool:
    """Does it belong to this user, and may nobody else write to it?"""
    if os.name != "posix":
        return True
    return state.st_uid == os.geteuid() and not state.st_mode & 0o022


def _safe_folder(folder: Path) -> bool:
    try:
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and _own(state)
