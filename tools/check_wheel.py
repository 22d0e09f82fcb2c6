"""Build the wheel and try it where a user would: ``python tools/check_wheel.py`` (``make wheel``).

1. Build the source distribution, and the wheel from it, so that both are complete.
2. Look into the wheel: the data files are there, the tests are not.
3. For the oldest and the newest supported Python on this machine: install the wheel, without
   extras, into a fresh environment, and run ``SMOKE`` there, in a folder and with a PATH that have
   neither this project nor Graphviz.

Other interpreters can be named: ``python tools/check_wheel.py python3.12 /opt/python/bin/python3``.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_REQUIRES = re.search(
    r'^requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M
)
assert _REQUIRES, "pyproject.toml does not say which Python it needs"
OLDEST = (3, int(_REQUIRES[1]))
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]

SMOKE = r"""
import shutil, subprocess, sys
from pathlib import Path

import tinygrad_edu
from tinygrad_edu import Value, draw, fit

# the wheel, not the project
assert Path(sys.prefix) in Path(tinygrad_edu.__file__).parents, tinygrad_edu.__file__
assert (Path(tinygrad_edu.__file__).parent / "py.typed").is_file()

# the notes' Figure 2
x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
f = ((x + y) + (x * y)) * z
f.backward()
assert (f.data, x.grad, y.grad, z.grad) == (44.0, 16.0, 12.0, 11.0)

# a picture of it, without a Graphviz of the system
assert shutil.which("dot") is None
draw(f).save("figure2.png")
assert Path("figure2.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
try:
    draw(f).save("figure2.pdf")
except ImportError as error:
    assert 'pip install "tinygrad_edu[pdf]"' in str(error), error
    assert not Path("figure2.pdf").exists()
else:
    raise AssertionError("PDF without reportlab?")

# a model learns without any extra
from tinygrad_edu.nn import LinearRegression, squared_error
line = LinearRegression(1, seed=0)
fit(line, [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0], loss=squared_error.mean(), learning_rate=0.3,
    epochs=500)
assert [round(p.data, 6) for p in line.parameters()] == [2.0, 1.0], line.parameters()

# what needs an extra names it
try:
    tinygrad_edu.compile(lambda a: a * a)
except ImportError as error:
    assert 'pip install "tinygrad_edu[fast]"' in str(error), error
else:
    raise AssertionError("compile() works without llvmlite?")

# the commands
scripts = Path(sys.executable).parent
for command in ([str(scripts / "tinygrad-edu")], [sys.executable, "-m", "tinygrad_edu"]):
    done = subprocess.run(
        [*command, "draw", "((x + y) + (x * y)) * z", "x=2", "y=3", "z=4", "-o", "figure2.svg"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "44" in done.stdout and "<svg" in Path("figure2.svg").read_text(encoding="utf-8")
    Path("figure2.svg").unlink()
Path("student.py").write_text("class Value:\n    pass\n", encoding="utf-8")
graded = subprocess.run([sys.executable, "-m", "tinygrad_edu.grading", "student.py"],
                        capture_output=True, text=True)
assert graded.returncode == 1 and "FAILED: interface" in graded.stdout, graded.stderr

foreign = {"numpy", "matplotlib", "llvmlite", "torch", "sklearn"} & set(sys.modules)
assert not foreign, foreign
print("figure 2, PNG, PDF, training, commands, grading")
"""


def run(command: list[str | Path], **options: object) -> str:
    """Run a command; its output, or an end with its errors."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return str(done.stdout)


def version_of(python: str) -> tuple[int, ...] | None:
    """The version of an interpreter, ``None`` if it does not run or cannot make environments."""
    try:
        done = subprocess.run(
            [python, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:3])"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def interpreters() -> dict[tuple[int, ...], str]:
    """The supported interpreters on the PATH and in pyenv's folder, by version."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    candidates = [
        *(p for minor in range(10, 20) if (p := shutil.which(f"python3.{minor}"))),
        *sorted(glob.glob(os.path.join(pyenv, "versions", "3.*", "bin", "python"))),
        sys.executable,
    ]
    found = {}
    for python in candidates:
        version = version_of(python)
        if version is not None and version[:2] >= OLDEST:
            found.setdefault(version, python)
    return found


def build(folder: Path) -> Path:
    """Build the source distribution and from it the wheel; return the wheel."""
    python = make_environment(sys.executable, folder / "build")
    run([python, *PIP, "install", "build"])
    run([python, "-m", "build", "--outdir", folder / "dist", ROOT])
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def make_environment(python: str, folder: Path) -> Path:
    """A fresh environment; return its interpreter."""
    run([python, "-m", "venv", folder])
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def look_into(wheel: Path) -> None:
    """Every file of the package that git knows is in the wheel, and nothing else is."""
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    listed = run(["git", "ls-files", "tinygrad_edu"], cwd=ROOT).split()
    missing, extra = set(listed) - names, {n for n in names if not n.startswith("tinygrad_edu/")}
    if missing or extra:
        sys.exit(f"{wheel.name}: missing {sorted(missing)}, should not have {sorted(extra)}")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size / 1024:.0f} KiB")


def check(wheel: Path, python: str, version: tuple[int, ...], folder: Path) -> None:
    """Install the wheel into a fresh environment of this interpreter, and use it."""
    fresh = make_environment(python, folder / "environment")
    run([fresh, *PIP, "install", "--only-binary", ":all:", wheel])
    run([fresh, *PIP, "check"])
    work = folder / "work"
    work.mkdir()
    (work / "smoke.py").write_text(SMOKE, encoding="utf-8")
    keep = {k: v for k, v in os.environ.items() if not re.match("PYTHON|VIRTUAL_ENV|PATH$", k)}
    environment = {**keep, "PATH": str(fresh.parent), "HOME": str(folder)}
    said = run([fresh, "-X", "dev", "-W", "error", "smoke.py"], cwd=work, env=environment)
    print(f"Python {'.'.join(map(str, version))} ({python}): {said.strip()}")


def main() -> int:
    """Build, install, try."""
    parser = argparse.ArgumentParser(
        description="Build the wheel and try it in clean environments."
    )
    parser.add_argument("pythons", nargs="*", help="interpreters (the oldest and the newest found)")
    found: dict[tuple[int, ...], str] = {}
    named = parser.parse_args().pythons
    for python in named:
        version = version_of(python)
        if version is None or version[:2] < OLDEST:
            sys.exit(f"{python}: expected Python {OLDEST[0]}.{OLDEST[1]} or newer, with venv")
        found[version] = python
    if not named:
        found = interpreters()
        found = {version: found[version] for version in {min(found), max(found)}}
        if len(found) == 1:
            print("only one supported Python on this machine: oldest and newest are the same")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = build(folder)
        look_into(wheel)
        for version in sorted(found):
            place = folder / ".".join(map(str, version))
            place.mkdir()
            check(wheel, found[version], version, place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
