"""The disk cache of compiled objects."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_edu.cli import main
from tinygrad_edu.compiler import compile
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.compiler.emit import object_cache

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of a POSIX system")

SCRIPT = (
    "from tinygrad_edu.compiler import compile\n"
    "f = compile(lambda x: x * x + 0.125)\n"
    "print(f(3.0), [e.kernel.statistics.cached for e in f._variants.values()][0])\n"
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TINYGRAD_EDU_CACHE", raising=False)
    return tmp_path / "tinygrad_edu" / "objects"


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def cached(function, *args):
    fast = compile(function)
    value = fast(*args)
    return value, [e.kernel.statistics.cached for e in fast._variants.values()]


def f(x):
    return x * x + 0.125


def test_the_second_time_comes_from_the_cache(cache):
    assert cached(f, 3.0) == (9.125, [0])
    (file,) = files(cache)
    assert cached(f, 3.0) == (9.125, [1])
    assert cached(lambda x: x * x + 0.25, 3.0) == (9.25, [0])  # another program, another file
    assert len(files(cache)) == 2
    assert file in files(cache)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "replaced"])
def test_a_corrupted_entry_is_compiled_again_and_repaired(cache, damage):
    cached(f, 3.0)
    (file,) = files(cache)
    good = file.read_bytes()
    bad = {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "flipped": good[:-5] + bytes([good[-5] ^ 1]) + good[-4:],
        "replaced": b"not an object file" * 50,
    }[damage]
    file.write_bytes(bad)
    assert cached(f, 3.0) == (9.125, [0])
    assert file.read_bytes() == good
    assert cached(f, 3.0) == (9.125, [1])


def test_the_key_depends_on_the_machine(cache, monkeypatch):
    cached(f, 3.0)
    monkeypatch.setattr(native, "_FORMAT", "another")
    assert cached(f, 3.0) == (9.125, [0])
    assert len(files(cache)) == 2


def test_an_unwritable_or_missing_folder_costs_nothing_but_time(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert cached(f, 3.0) == (9.125, [0])
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert object_cache.cache_folder() is None
    assert cached(f, 3.0) == (9.125, [0])


def test_the_cache_can_be_turned_off(cache, monkeypatch):
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", "0")
    assert cached(f, 3.0) == (9.125, [0])
    assert cached(f, 3.0) == (9.125, [0])
    assert not cache.exists()


def test_several_processes_share_one_cache(cache):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parent.parent)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for worker in workers:
        out, _ = worker.communicate(timeout=120)
        assert out.startswith("9.125 ")
    assert len(files(cache)) == 1  # no temporary files are left behind
    assert cached(f, 3.0) == (9.125, [1])


CYCLE = """
import gc
from tinygrad_edu.compiler import compile

class Holder:
    def __init__(self):
        self.compiled = compile(self.square)  # a method: the holder holds itself

    def square(self, x):
        return x * x

for _ in range(10):
    holder = Holder()
    assert holder.compiled(3.0) == 9.0
    del holder
    gc.collect()
"""


def test_a_compiled_function_may_be_part_of_a_reference_cycle():
    # The collector closes what LLVM owns in any order; in the wrong one the process would crash.
    subprocess.run([sys.executable, "-c", CYCLE], check=True, timeout=120)


# --- whom it trusts ---


def _objects(cache):
    cached(f, 3.0)
    cached(lambda x: x * x + 0.25, 3.0)
    first, second = sorted(files(cache))
    return first, second


@posix
def test_folders_and_files_are_the_users_own(cache):
    for path in _objects(cache):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for folder in (path.parent, path.parents[1], path.parents[2]):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_object_copied_over_another_is_no_hit(cache):
    first, second = _objects(cache)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert cached(f, 3.0) == (9.125, [0])
    assert cached(f, 3.0) == (9.125, [1])


@posix
@pytest.mark.parametrize("what", ["file", "inner folder", "folder"])
def test_what_others_may_write_to_is_not_run(cache, what):
    cached(f, 3.0)
    (file,) = files(cache)
    {"file": file, "inner folder": file.parent, "folder": file.parents[1]}[what].chmod(0o777)
    assert cached(f, 3.0) == (9.125, [0])


@posix
def test_links_are_not_followed(cache, tmp_path):
    cached(f, 3.0)
    (file,) = files(cache)
    elsewhere = tmp_path / "elsewhere.o"
    file.rename(elsewhere)
    before = elsewhere.read_bytes()
    elsewhere.write_bytes(before)
    file.symlink_to(elsewhere)
    assert cached(f, 3.0) == (9.125, [0])  # not read through the link
    assert elsewhere.read_bytes() == before  # nor written
    assert not file.is_symlink()
    assert cached(f, 3.0) == (9.125, [1])


@posix
def test_a_pipe_or_a_folder_in_the_place_of_an_object_is_no_reason_to_wait(cache):
    cached(f, 3.0)
    (file,) = files(cache)
    file.unlink()
    os.mkfifo(file)
    assert cached(f, 3.0)[0] == 9.125
    file.unlink()
    file.mkdir()
    assert cached(f, 3.0) == (9.125, [0])


def test_the_size_is_limited_and_the_oldest_go_first(cache, monkeypatch):
    monkeypatch.setattr(object_cache, "_EVERY", 1)
    made = []
    for i in range(8):
        cached(lambda x, i=i: x * x + float(i), 3.0)
        (new,) = set(files(cache)) - set(made)
        os.utime(new, (1e9 + i, 1e9 + i))
        made.append(new)
    size = made[0].stat().st_size
    monkeypatch.setenv("TINYGRAD_EDU_CACHE_SIZE", str(5 * size))
    object_cache.evict()
    left = set(files(cache))
    assert 0 < len(left) <= 5
    assert left == set(made[-len(left) :])
    cached(lambda x: x * 7.5, 3.0)
    assert sum(path.stat().st_size for path in files(cache)) <= 5 * size
    monkeypatch.setenv("TINYGRAD_EDU_CACHE_SIZE", "many")
    assert object_cache.limit() == object_cache.LIMIT


def test_the_command_shows_and_clears_it(cache, capsys):
    _objects(cache)
    assert main(["cache"]) == 0
    said = capsys.readouterr().out
    assert str(cache) in said
    assert "2 objects" in said
    assert main(["cache", "--clear"]) == 0
    assert "removed 2 objects" in capsys.readouterr().out
    assert files(cache) == []
    assert cached(f, 3.0) == (9.125, [0])
