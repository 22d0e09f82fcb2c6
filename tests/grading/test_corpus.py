"""Every submission of the corpus gets the verdict and the message that its first lines ask for.

``# verdict:`` one or several verdicts; ``# says:`` words that the record must have; ``# class:``
the class that must have been graded.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinygrad_edu.grading.isolated import grade_file

CORPUS = Path(__file__).with_name("corpus")
FAST = {
    "right_scalar.py", "trains_at_import.py", "notebook_right.ipynb", "no_class.py",
    "imported_from_micrograd.py", "exits_with_0_in_backward.py", "patches_the_grader.py",
    "overwrites_in_pow.py", "too_early.py", "segfault.py",
}  # fmt: skip


def wanted(path: Path) -> dict[str, list[str]]:
    raw = path.read_text(encoding="utf-8", errors="replace")
    text = "".join(json.loads(raw)["cells"][0]["source"]) if path.suffix == ".ipynb" else raw
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        key, _, value = line[2:].partition(": ")
        found.setdefault(key, []).append(value)
    return found


ENTRIES = {
    path.relative_to(CORPUS).as_posix(): wanted(path)
    for path in sorted(CORPUS.rglob("*"))
    if path.suffix in (".py", ".ipynb") and wanted(path).get("verdict") != ["helper"]
}


def test_the_corpus_is_large_and_says_what_it_wants() -> None:
    assert len(ENTRIES) >= 100
    assert all("verdict" in entry for entry in ENTRIES.values())
    assert ENTRIES.keys() >= FAST


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if name in FAST else [pytest.mark.slow]


@pytest.mark.parametrize("name", [pytest.param(n, marks=_marks(n)) for n in ENTRIES])
def test_each_submission_gets_its_verdict_and_message(name: str) -> None:
    entry = ENTRIES[name]
    record = grade_file(CORPUS / name, time=6.0, memory=600 << 20)
    text = record.to_json().replace('\\"', '"')
    assert record.verdict in entry["verdict"][0].split("|"), text
    for words in entry.get("says", []):
        assert words in text, f"{words!r} not in {text}"
    assert record.loaded_as.class_name == entry.get("class", [record.loaded_as.class_name])[0]
    assert (record.score == 1.0) <= (record.verdict == "passed"), text
    assert "grader itself" not in text
