"""The tables of docs/installs.md say what pyproject.toml says, and what the package index has."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="reading TOML needs Python 3.11, or tomli")

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "installs.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# the tags of pip for the rows of the first table
PLATFORMS = {
    "Linux x86-64, glibc": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "Linux 64-bit ARM, glibc": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "Linux x86-64, musl (Alpine)": ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
    "macOS, Apple silicon": ("macosx_12_0_arm64", "macosx_11_0_arm64"),
    "macOS, Intel": ("macosx_12_0_x86_64", "macosx_10_13_x86_64", "macosx_10_12_x86_64"),
    "Windows x86-64": ("win_amd64",),
    "Windows on ARM": ("win_arm64",),
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table that begins with a column ``heading``, by their first cells."""
    lines = PAGE.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        key, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[key] = cells
    return rows


def names(text: str) -> set[str]:
    return set(re.findall(r"`?([a-z][\w-]*)`?", text))


def engines(python: str) -> set[str]:
    """What the package itself brings for layout on a version of Python."""
    wanted = [Requirement(text) for text in PROJECT["dependencies"]]
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    return {
        r.name
        for r in wanted
        if r.name not in ("graphviz", "resvg-py") and (r.marker is None or r.marker.evaluate(here))
    }


def test_the_layout_engine_of_each_python_is_what_the_markers_say() -> None:
    rows = table("Python")
    assert set(rows) == {"3.10", "3.11 - 3.14"}
    for minor in range(10, 15):
        row = rows["3.10"] if minor == 10 else rows["3.11 - 3.14"]
        assert names(row[0]) == engines(f"3.{minor}")
        assert f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"]


def test_the_extras_are_those_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    rows = table("extra")
    assert {key.strip("`[]") for key in rows} == set(extras)
    for key, cells in rows.items():
        brings: set[str] = set()
        waiting = [key.strip("`[]")]
        while waiting:
            for text in extras[waiting.pop()]:
                requirement = Requirement(text)
                if requirement.name == "tinygrad-edu":
                    waiting += requirement.extras
                else:
                    brings.add(requirement.name)
        if cells[0] != "all of these":
            assert set(cells[0].split(", ")) == brings, key


def test_every_system_of_the_table_has_its_tags() -> None:
    assert set(table("system")) == set(PLATFORMS)


def has_wheel(requirement: str, python: str, platforms: tuple[str, ...]) -> bool:
    """Ask the package index, as pip would on such a machine."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "-q", "--target",
               "nowhere", "--only-binary", ":all:", "--python-version", python,
               "--implementation", "cp", requirement]  # fmt: skip
    for platform in platforms:
        command += ["--platform", platform]
    return subprocess.run(command, capture_output=True, timeout=120).returncode == 0


@cache
def index_answers() -> bool:
    return has_wheel("packaging", "3.12", ("any",))


@pytest.mark.slow
@pytest.mark.parametrize("system", PLATFORMS)
def test_the_package_index_has_the_wheels(system: str) -> None:
    if not index_answers():
        pytest.skip("no package index to be asked")
    fast = table("system")[system][1]
    oldest = re.search(r"from 3\.(\d+)", fast)
    for minor in (10, 14):
        expected = fast != "no" and (oldest is None or minor >= int(oldest[1]))
        # numpy has wheels wherever llvmlite has
        (wanted,) = (t for t in PROJECT["optional-dependencies"]["fast"] if "llvmlite" in t)
        found = has_wheel(wanted, f"3.{minor}", PLATFORMS[system])
        assert found == expected, f"{system}, Python 3.{minor}"
