"""Records go to JSON and come back; rubrics are read, wrong ones refused, and scores add up."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu.grading.record import CONCEPTS, CheckRecord, LoadedAs, Record
from tinygrad_edu.grading.rubric import FUNCTIONS, OPERATORS, Rubric


def record(**changes: Any) -> Record:
    check = CheckRecord(
        "gradient of a * b", "local derivatives", False, "wrong", "a = Value(2.0)",
        {"a.grad": 3.0, "b.grad": math.inf}, {"a.grad": 1.0, "b.grad": 1.0}, 7, "*", "overwrite",
    )  # fmt: skip
    loaded = LoadedAs("Scalar", {"data": "value"}, ("line 3: a plot",), ("no matplotlib",))
    fields = {
        "submission": "é/a.py", "verdict": "failed", "score": 0.5, "seconds": 1.25,
        "loaded_as": loaded, "checks": (check,), "advice": (check,), "message": "",
    }  # fmt: skip
    return Record(**{**fields, **changes})


def test_a_record_goes_to_json_and_comes_back() -> None:
    text = record().to_json()
    back = Record.from_json(text)
    assert back.to_json() == text
    assert back.loaded_as == record().loaded_as
    assert back.checks[0].expected == {"a.grad": 3.0, "b.grad": "inf"}  # JSON has no infinity
    keys = ["submission", "verdict", "score", "seconds", "loaded_as", "checks"]
    assert list(json.loads(text))[:6] == keys
    keys = ["name", "concept", "passed", "message", "program", "expected", "got", "line"]
    assert list(json.loads(text)["checks"][0])[:8] == keys
    assert list(json.loads(text)["loaded_as"])[:3] == ["class", "mapping", "skipped"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "fine"}, "verdict: expected one of passed"),
        ({"score": 1.5}, "score: expected a number from 0 to 1"),
        ({"score": "1"}, "score: expected float"),
        ({"seconds": None}, "seconds: expected float"),
        ({"checks": {}}, "expected a list of checks"),
        ({"checks": [{"name": "x"}]}, "missing"),
        ({"checks": [{"name": "x", "concept": "magic", "passed": True}]}, "concept: expected one"),
        ({"checks": [{"name": "x", "concept": "order", "passed": 1}]}, "passed: expected bool"),
        ({"loaded_as": []}, "expected a LoadedAs"),
        ({"loaded_as": {"klass": "x"}}, "no 'klass'"),
        ({"extra": 1}, "no 'extra'"),
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Record.from_dict({**record().to_dict(), **change})
    with pytest.raises(ValueError):
        Record.from_json("[1]")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "tables of a rubric"),
        ({"weight": {}}, "did you mean 'weights'"),
        ({"weights": {"ordr": 1}}, "did you mean 'order'"),
        ({"weights": []}, "weights: expected concepts"),
        ({"weights": {"order": -1}}, "order: expected a number from 0"),
        ({"weights": {"order": True}}, "order: expected a number from 0"),
        ({"weights": {"order": math.nan}}, "order: expected a number from 0"),
        ({"weights": dict.fromkeys(CONCEPTS, 0)}, "all are 0"),
        ({"required": "tanh"}, "required: expected a list"),
        ({"required": ["tan h"]}, "did you mean 'tanh'"),
        ({"required": ["tanh"], "optional": ["tanh"]}, "both required and optional"),
    ],
)
def test_wrong_rubrics_are_refused(found: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rubric.read(found)


def test_rubrics_come_from_files(tmp_path: Path) -> None:
    wanted = Rubric.read({"weights": {"style of use": 0}, "required": ["+", "tanh"]})
    path = tmp_path / "rubric.json"
    path.write_text(json.dumps(wanted.to_dict()))
    assert Rubric.load(path) == wanted
    assert "tanh" not in wanted.optional
    toml = tmp_path / "rubric.toml"
    toml.write_text('required = ["+", "tanh"]\n[weights]\n"style of use" = 0\n')
    tomllib = pytest.importorskip("tomllib")
    assert tomllib
    assert Rubric.load(toml) == wanted
    toml.write_text("required = [")
    with pytest.raises(ValueError, match=r"rubric .*rubric\.toml: "):
        Rubric.load(toml)
    with pytest.raises(FileNotFoundError):
        Rubric.load(tmp_path / "none.toml")


def all_checks() -> list[CheckRecord]:
    made = [CheckRecord(f"forward of {x}", "operators", True, operation=x) for x in OPERATORS]
    made += [CheckRecord(f"forward of {x}", "functions", True, operation=x) for x in FUNCTIONS]
    made += [CheckRecord(f"gradient of {x}", "functions", True, operation=x) for x in FUNCTIONS]
    rest = ("reversed operators", "local derivatives", "chain rule", "accumulation", "order")
    return [*made, *(CheckRecord(f"{c} {i}", c, True) for c in rest for i in range(3))]


def but(checks: list[CheckRecord], *wrong: str) -> list[CheckRecord]:
    assert set(wrong) <= {c.name for c in checks}
    return [CheckRecord(c.name, c.concept, c.name not in wrong, operation=c.operation)
            for c in checks]  # fmt: skip


def test_the_score_is_by_concept() -> None:
    rubric, checks = Rubric(), all_checks()
    assert rubric.score(checks) == 1.0
    assert rubric.score([]) == 0.0
    order = rubric.score(but(checks, "order 0", "order 1", "order 2"))
    radd = rubric.score(but(checks, "reversed operators 0"))
    rest = [c for c in checks if c.concept not in ("accumulation", "order")]
    alone = rubric.score([*rest, CheckRecord("gradients add up", "accumulation", False)])
    assert 0.7 < alone < 0.8  # what waits for it costs nothing more
    nothing = [CheckRecord("gradient of the result", "chain rule", False)]
    assert rubric.score([c for c in checks if c.concept == "operators"] + nothing) < 0.2
    assert order < 0.85 < 0.9 < radd < 1.0


def test_a_missing_function_is_never_better_than_a_broken_one() -> None:
    rng = random.Random(0)
    checks = all_checks()
    for _ in range(300):
        listed = rng.sample(FUNCTIONS, 6)
        rubric = Rubric.read({"required": ["+", *listed[:2]], "optional": listed[2:]})
        wrong = rng.sample([c.name for c in checks if c.concept == "functions"], 8)
        one = rng.choice(FUNCTIONS)
        broken = but(checks, *wrong, f"gradient of {one}")
        missing = [c for c in broken if c.operation != one]
        assert rubric.score(missing) <= rubric.score(broken), (listed, wrong, one)
        assert one not in listed or rubric.score(broken) < 1.0
