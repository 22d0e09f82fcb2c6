"""Writing files: interrupted at every line, repeatedly, for real; and onto what is no file."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from interrupting import interrupted_at

from tinygrad_edu import _files
from tinygrad_edu._files import write_atomically
from tinygrad_edu.nn import MLP, cross_entropy
from tinygrad_edu.saving import checkpoint, load_model
from tinygrad_edu.training import fit

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


# between the opening of a file and its first use, the interpreter closes it
closed_late = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@closed_late
def test_ctrl_c_anywhere_is_ctrl_c_and_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text("old")
    events, _ = interrupted_at(-1, lambda: write_atomically(path, "old"), _files.__file__)
    assert events > 150
    found = []
    for event in range(1, events + 1):
        path.write_text("old")
        _, raised = interrupted_at(event, lambda: write_atomically(path, "new"), _files.__file__)
        assert type(raised) is KeyboardInterrupt, (event, raised)
        found.append(path.read_text())
        assert os.listdir(tmp_path) == ["note"], event
    turn = found.index("new")
    assert found == ["old"] * turn + ["new"] * (events - turn)


@closed_late
def test_ctrl_c_while_a_checkpoint_is_written_returns_the_history(tmp_path: Path) -> None:
    path = tmp_path / "xor.safetensors"
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]

    def training() -> Any:
        model = MLP(2, [2, 1], seed=1)
        return fit(model, X, y, loss=cross_entropy, epochs=2, callbacks=[checkpoint(path)])

    training()
    events, _ = interrupted_at(-1, training, _files.__file__)
    for event in random.Random(3).sample(range(1, events + 1), 60):
        ended: list[Any] = []

        def trained(ended: list[Any] = ended) -> None:
            ended.append(training())

        _, raised = interrupted_at(event, trained, _files.__file__)
        assert raised is None, (event, raised)
        assert ended[0].stopped == "interrupted", event
        assert os.listdir(tmp_path) == [path.name], event
        load_model(path)


def test_what_killed_processes_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "note"
    names = {
        ".note.0123456789abcdef.tmp": True,
        ".note.0123456789abcde0.tmp": False,  # young: somebody may be writing it
        ".other.0123456789abcdef.tmp": False,
        ".note.tmp": False,
        ".note.backup.tmp": False,
    }
    for name in names:
        (tmp_path / name).write_text("half a no")
        age = 0 if name.endswith("0.tmp") else 3600
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_atomically(path, "all of it")
    kept = [name for name, removed in names.items() if not removed]
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "note"])


@posix
def test_only_files_are_replaced(tmp_path: Path) -> None:
    fifo, folder, listening = tmp_path / "fifo", tmp_path / "folder", tmp_path / "socket"
    os.mkfifo(fifo)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(listening))
        refused: dict[str, tuple[type[OSError], int]] = {
            os.fspath(fifo): (OSError, errno.EINVAL),
            os.fspath(listening): (OSError, errno.EINVAL),
            os.devnull: (OSError, errno.EINVAL),
            os.fspath(folder): (IsADirectoryError, errno.EISDIR),
            f"{folder}/": (IsADirectoryError, errno.EISDIR),
            f"{tmp_path}/new/": (IsADirectoryError, errno.EISDIR),
            "": (FileNotFoundError, errno.ENOENT),
            f"{tmp_path}/no/note": (FileNotFoundError, errno.ENOENT),
        }
        (tmp_path / "link").symlink_to(fifo)
        refused[f"{tmp_path}/link"] = (OSError, errno.EINVAL)
        before = {p: p.lstat() for p in tmp_path.iterdir()}
        for path, (kind, number) in refused.items():
            with pytest.raises(kind) as caught:
                write_atomically(path, "note")
            assert caught.value.errno == number, path
            assert caught.value.filename == path
        assert {p: p.lstat() for p in tmp_path.iterdir()} == before
        assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
        with pytest.raises(OSError, match="a pipe"):
            write_atomically(fifo, "note")


def test_what_is_marked_read_only_stays(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    path.chmod(0o644)
    write_atomically(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(("failures", "written"), [(0, True), (3, True), (99, False)])
def test_windows_waits_for_readers(
    failures: int, written: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, replace, tried = tmp_path / "note", os.replace, []
    path.write_text("old")

    def held_open(*names: Any) -> None:
        tried.append(names)
        if len(tried) <= failures:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(*names)

    monkeypatch.setattr(_files.sys, "platform", "win32")
    monkeypatch.setattr(_files.os, "replace", held_open)
    monkeypatch.setattr(_files, "sleep", lambda seconds: None)
    if written:
        write_atomically(path, "new")
    else:
        with pytest.raises(PermissionError):
            write_atomically(path, "new")
    assert path.read_text() == ("new" if written else "old")
    assert os.listdir(tmp_path) == ["note"]


@posix
def test_the_folder_reaches_the_disk_after_the_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(_files.os, "fsync", synced)
    monkeypatch.setattr(_files.os, "replace", lambda *a: (done.append("name"), replace(*a))[1])
    write_atomically(tmp_path / "note", "all of it")
    assert done == ["file", "name", "folder"]


def test_half_a_surrogate_pair_is_no_character(tmp_path: Path) -> None:
    write_atomically(tmp_path / "note", "a\ud800b")
    assert (tmp_path / "note").read_text(encoding="utf-8") == "a\N{REPLACEMENT CHARACTER}b"


SAVING = """
import signal, sys
from tinygrad_edu._files import write_atomically
signal.signal(signal.SIGINT, signal.default_int_handler)
contents = [b"a" * 200_000, b"b" * 200_000]
write_atomically(sys.argv[1], contents[0])
print("ready", flush=True)
i = 0
while True:
    try:
        while True:
            i += 1
            write_atomically(sys.argv[1], contents[i % 2])
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@posix
@pytest.mark.slow
def test_ctrl_c_at_random_times(tmp_path: Path) -> None:
    path, source = tmp_path / "note", random.Random(5)
    root = Path(_files.__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SAVING, os.fspath(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for attempt in range(1000):
            time.sleep(source.uniform(0.0, 0.01))
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n", attempt
            assert set(path.read_bytes()) in ({97}, {98}), attempt
    finally:
        process.kill()
        process.communicate()
    assert len(os.listdir(tmp_path)) <= 2  # the kill itself may leave one
