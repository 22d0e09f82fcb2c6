"""The command: what it finds, writes, goes on from, and returns. The grading itself is a stand-in
here that reads the verdict from the file; tests/grading/test_corpus.py runs the real one."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu.grading import command
from tinygrad_edu.grading.batch import Options, grade_all
from tinygrad_edu.grading.record import CheckRecord, LoadedAs, Record
from tinygrad_edu.grading.rubric import Rubric
from tinygrad_edu.grading.submissions import find_submissions

CLASS = "class Value:\n    def __add__(self, o): ...\n    def backward(self): ...\n"


class Fake:
    """Grades by the first line of a file: ``# passed``, ``# failed``, ``# crashed``, ..."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, path: Path, **options: Any) -> Record:
        self.seen.append(Path(path).name)
        self.options.append(options)
        verdict: Any = Path(path).read_text().split("\n")[0].removeprefix("# ")
        if verdict == "bug":
            raise ZeroDivisionError("ours")
        check = CheckRecord("forward of a + b", "operators", True, operation="+")
        wrong = CheckRecord(
            "gradients add up", "accumulation", verdict != "failed",
            "`**` & <b> overwrites\x01", "a = Value(3.0)\nb = a * a\nb.backward()",
            {"a.grad": 6.0}, {"a.grad": 3.0}, 2, cause="overwrite in pow",
        )  # fmt: skip
        if verdict not in ("passed", "failed"):
            return Record(str(path), verdict, message="=it did not load", seconds=0.5)
        advice = CheckRecord("tanh of a large number", "numerics", False, "it overflows")
        checks = (check, wrong)
        score = options["rubric"].score(checks)
        return Record(str(path), verdict, score, 0.25, LoadedAs("Scalar"), checks, (advice,))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hand_in(folder: Path, **verdicts: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, verdict in verdicts.items():
        (folder / f"{name}.py").write_text(f"# {verdict.replace('_', ' ')}\n{CLASS}")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ({"a": "passed", "b": "passed"}, 0),
        ({"a": "passed", "b": "failed"}, 1),
        ({"a": "failed", "b": "not loaded"}, 3),
        ({"a": "passed", "b": "timed out"}, 3),
        ({"a": "passed", "b": "bug"}, 3),
    ],
)
def test_the_exit_code_tells_how_the_class_did(
    room: Path, verdicts: dict[str, str], code: int
) -> None:
    hand_in(room / "class", **verdicts)
    assert command.main(["class", "-q"], Fake()) == code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no file or folder nowhere"),
        (["empty"], "no .py or .ipynb file"),
        (["notes.txt"], "expected a .py or .ipynb file"),
        (["class", "--rubric", "none.toml"], "none.toml"),
        (["class", "--rubric", "bad.json"], "rubric bad.json"),
        (["class", "--class", "a b"], "--class"),
        (["class/a.py", "class/b.py", "--gradescope", "x.json"], "for one submission, got 2"),
        (["class", "--json", "bad.json"], "holds no records"),
        (["class", "--json", "there/not.json"], "there is no folder there"),
        (["class", "--csv", "empty"], "is a folder"),
        (["class", "--html", "notes.txt"], "is a file"),
        ([], "required"),
        (["class", "--time", "0"], "expected seconds"),
        (["class", "--time", "nan"], "expected seconds"),
        (["class", "--memory", "1K"], "expected MB"),
        (["class", "--seed", "-1"], "whole number from 0"),
        (["class", "--jobs", "0"], "whole number from 1"),
        (["class", "--map", "data"], "expected such as data=value"),
        (["class", "--map", "date=value"], "expected such as data=value"),
        (["class", "--map", "data=a,data=b"], "expected such as data=value"),
        (["class", "--map", "data=a.b"], "expected such as data=value"),
    ],
)
def test_wrong_usage_is_told_before_anything_runs(
    room: Path, arguments: list[str], words: str, capsys: Any
) -> None:
    hand_in(room / "class", a="passed", b="passed")
    (room / "empty").mkdir()
    (room / "notes.txt").touch()
    (room / "bad.json").write_text('{"weights": {"ordr": 1}}')
    fake = Fake()
    try:
        code = command.main(arguments, fake)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not fake.seen


def test_options_reach_the_grader(room: Path) -> None:
    hand_in(room / "class", a="passed")
    (room / "r.json").write_text('{"required": ["+"]}')
    fake = Fake()
    words = "class -q --time 3 --memory 2G --seed 7 --map data=value,backward=run --class Scalar"
    assert command.main([*words.split(), "--rubric", "r.json"], fake) == 0
    assert fake.options == [
        {
            "seed": 7, "time": 3.0, "memory": 2 << 30, "class_name": "Scalar",
            "mapping": {"data": "value", "backward": "run"},
            "rubric": Rubric.read({"required": ["+"]}),
        }
    ]  # fmt: skip


def everything(name: str) -> list[str]:
    return f"--json {name}.json --csv {name}.csv --junitxml {name}.xml --html {name}".split()


def normal(text: str) -> str:
    return re.sub(r"\d\.\d{3}", "0", text)


def test_the_report_is_the_same_in_any_order_and_number_of_jobs(room: Path) -> None:
    verdicts = ["passed", "failed", "not loaded", "timed out", "crashed", "bug"]
    hand_in(room / "class", **{f"s{i}": verdicts[i % 6] for i in range(24)})
    paths = [str(path) for path in (room / "class").iterdir()]
    texts = set()
    for i in range(3):
        random.Random(i).shuffle(paths)
        code = command.main([*paths, *everything("out"), "-q", "--jobs", str(1 + 3 * i)], Fake())
        assert code == 3
        pages = sorted((room / "out").iterdir())
        files = [room / "out.json", room / "out.csv", room / "out.xml", *pages]
        assert len(files) == 3 + 25
        texts.add("\n".join(normal(f.read_text(encoding="utf-8")) for f in files))
        (room / "out.json").unlink()
    assert len(texts) == 1


def test_what_is_written_can_be_read_by_others(room: Path) -> None:
    hand_in(room / "class", ada="passed", bob="failed", cyd="not loaded")
    assert command.main(["class", *everything("out"), "-q"], Fake()) == 3
    found = json.loads((room / "out.json").read_text())
    assert [entry["verdict"] for entry in found] == ["passed", "failed", "not loaded"]
    assert [Path(entry["submission"]).name for entry in found] == ["ada.py", "bob.py", "cyd.py"]
    with open(room / "out.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["ada", "bob", "cyd"]
    assert rows[1]["accumulation"] == "0.0000"
    assert rows[1]["causes"] == "overwrite in pow"
    assert rows[2]["message"] == "'=it did not load"  # a spreadsheet would run it
    suites = ElementTree.parse(room / "out.xml").getroot()
    assert [s.attrib["failures"] + s.attrib["errors"] for s in suites] == ["00", "10", "01"]
    failure = suites[1].find("testcase/failure")
    assert failure is not None
    assert "`**` & <b> overwrites\ufffd" in str(failure.text)
    page = (room / "out" / "bob.html").read_text()
    assert "<code>**</code> &amp; &lt;b&gt; overwrites" in page
    assert "data:image/svg+xml" in page
    assert '<span class="blame">   2  class Value:</span>' in page
    about = (room / "out" / "index.html").read_text()
    assert "1 &times; overwrite in pow" in about
    assert '<a href="bob.html">bob</a>' in about


def test_gradescope(room: Path) -> None:
    hand_in(room / "class", bob="failed")
    assert command.main(["class/bob.py", "--gradescope", "results.json", "-q"], Fake()) == 1
    found = json.loads((room / "results.json").read_text())
    assert found["score"] == pytest.approx(sum(t["score"] for t in found["tests"]), abs=0.05)
    assert sum(t["max_score"] for t in found["tests"]) == pytest.approx(100.0, abs=0.05)
    told = next(t for t in found["tests"] if t["name"] == "accumulation")
    assert told["status"] == "failed"
    assert "overwrites" in told["output"]
    (room / "class" / "nn.py").write_text("class Neuron: pass")
    assert command.main(["class", "--gradescope", "folder.json", "-q"], Fake()) == 1
    assert json.loads((room / "folder.json").read_text()) == found
    hand_in(room / "class", bob="out_of_memory")
    assert command.main(["class/bob.py", "--gradescope", "results.json", "-q"], Fake()) == 3
    found = json.loads((room / "results.json").read_text())
    assert found["score"] == 0.0
    assert "out of memory" in found["output"]


def test_what_is_unchanged_is_not_graded_again(room: Path) -> None:
    hand_in(room / "class", a="passed", b="failed", c="crashed")
    (room / "class" / "helper.py").write_text("# passed\nx = 1\n")
    (room / "class" / "b.py").write_text(f"# failed\nimport helper\n{CLASS}")
    base = ["class", "-q", "--json", "out.json"]

    def again(*more: str) -> list[str]:
        fake = Fake()
        command.main([*base, *more], fake)
        return sorted(fake.seen)

    everybody = ["a.py", "b.py", "c.py", "helper.py"]
    assert again() == everybody
    first = (room / "out.json").read_text()
    assert again() == []
    assert (room / "out.json").read_text() == first
    hand_in(room / "class", a="failed")
    assert again() == ["a.py"]
    (room / "class" / "helper.py").write_text("# passed\nx = 2\n")
    assert again() == ["b.py", "helper.py"]  # b imports it
    (room / "class" / "notes.txt").touch()
    assert again() == []
    for more in ("--seed 1", "--time 5", "--memory 2G", "--class Scalar", "--map data=v"):
        assert again(*more.split()) == everybody, more
    (room / "r.json").write_text('{"required": ["+"]}')
    assert again("--rubric", "r.json") == everybody
    (room / "class" / "a.py").unlink()
    assert again("--rubric", "r.json") == []
    assert "a.py" not in (room / "out.json").read_text()


def test_ctrl_c_keeps_what_is_done(room: Path) -> None:
    hand_in(room / "class", **{f"s{i}": "passed" for i in range(6)})
    fake = Fake()
    slow = threading.Event()

    def grader(path: Path, **options: Any) -> Record:
        if len(fake.seen) == 4:
            signal.raise_signal(signal.SIGINT)  # to the main thread
            slow.wait(10.0)
        return fake(path, **options)

    try:
        words = ["class", "-q", "--jobs", "1", "--json", "out.json", "--html", "out"]
        assert command.main(words, grader) == 130
        assert len(json.loads((room / "out.json").read_text())) == 4
        assert len(list((room / "out").iterdir())) == 5
    finally:
        slow.set()
    time.sleep(0.1)
    rest = Fake()
    assert command.main(["class", "-q", "--json", "out.json"], rest) == 0
    assert len(rest.seen) == 2


def test_submissions_are_found(room: Path) -> None:
    hand_in(room / "class", zoe="passed")
    for folder, files in {
        "ada": {"nn.py": "class Neuron:\n def __call__(self): ...\n", "engine.py": CLASS,
                "test_engine.py": CLASS, ".hidden.py": CLASS},
        "bob": {"deep/er/work.ipynb": json.dumps({"cells": [
            {"cell_type": "code", "source": ["%pip install x\n", CLASS]}]}), "plot.py": "x = 1"},
        "cyd": {"essay.pdf": "%PDF"},
        "dan": {"scalar.py": CLASS.replace("Value", "Scalar"), "value.py": "class Value: pass"},
        "eve": {"broken.py": CLASS + "def (:\n", "a.py": "import broken"},
        "fay": {"venv/pyvenv.cfg": "", "venv/lib/v.py": CLASS, "mine.py": "x = 1"},
        ".git": {"x.py": CLASS}, "__pycache__": {"x.py": CLASS}, "gus": {},
    }.items():  # fmt: skip
        for name, text in files.items():
            path = room / "class" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (room / "class" / "gus").mkdir()
    found = {s.name: s.path.as_posix() for s in find_submissions(["class"])}
    assert found == {
        "ada": "class/ada/engine.py", "bob": "class/bob/deep/er/work.ipynb", "cyd": "class/cyd",
        "dan": "class/dan/scalar.py", "eve": "class/eve/broken.py", "fay": "class/fay/mine.py",
        "zoe": "class/zoe.py",
    }  # fmt: skip
    named = {s.name: s.path.as_posix() for s in find_submissions(["class"], "Value")}
    assert named["dan"] == "class/dan/value.py"
    twice = find_submissions(["class/zoe.py", "class", room / "class" / "zoe.py"])
    assert sum(s.path.name == "zoe.py" for s in twice) == 1
    assert command.main(["class", "-q", "--json", "out.json"], lambda path, **_: Record(
        str(path), "passed", 1.0)) == 3  # fmt: skip
    (cyd,) = [r for r in json.loads((room / "out.json").read_text()) if "cyd" in r["submission"]]
    assert cyd["verdict"] == "not loaded"


def test_files_of_the_same_name_have_pages_of_their_own(room: Path) -> None:
    for folder in ("one", "two", "One"):
        hand_in(room / folder, value="failed")
    (room / "one" / "index.py").write_text(f"# passed\n{CLASS}")
    assert command.main(["one", "two", "One", "-q", "--html", "out"], Fake()) == 1
    about = (room / "out" / "index.html").read_text()
    for page in set(re.findall(r'href="([^"]+)"', about)):
        assert (room / "out" / page).is_file()
    assert len(list((room / "out").iterdir())) == 5


def test_content_is_what_the_key_is_made_of(room: Path) -> None:
    (room / "ada").mkdir()
    (room / "ada" / "v.py").write_text(CLASS)
    (submission,) = find_submissions(["."])
    before = Options().key(submission)
    assert Options().key(submission) == before
    (room / "ada" / "weights.txt").write_text("1")
    assert Options().key(submission) != before


def test_one_submission_does_not_wait_for_another() -> None:
    first_may_go = threading.Event()
    here = Path(__file__)

    def grader(path: Path, **_: Any) -> Record:
        if path == here:
            assert first_may_go.wait(20.0)
        else:
            first_may_go.set()
        return Record(str(path), "passed", 1.0)

    submissions = find_submissions([here, here.with_name("test_record.py")])
    found = list(grade_all(submissions, Options(), grader, jobs=2))
    assert [Path(r.submission).name for r in found] == ["test_record.py", "test_command.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_progress_goes_to_stderr_and_letters_a_terminal_lacks_are_no_error(room: Path) -> None:
    hand_in(room / "class", **{"ada": "passed", "źoë": "passed"})
    script = (
        "import sys; from tinygrad_edu.grading import command\n"
        "from tinygrad_edu.grading.record import Record\n"
        "sys.exit(command.main(['class'], lambda path, **_: Record(str(path), 'passed', 1.0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"[2/2]" in done.stderr
    assert b"2 passed" in done.stdout
