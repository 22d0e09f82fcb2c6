"""Records as others read them: JSON, CSV, JUnit's XML, Gradescope's results, plain text."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tinygrad_edu.grading.causes import cause_of
from tinygrad_edu.grading.record import CONCEPTS, CheckRecord, Record, Shown
from tinygrad_edu.grading.rubric import Rubric

# what XML 1.0 cannot hold, escaped or not
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def json_text(records: Sequence[Record]) -> str:
    """A list of records, one a line."""
    return "[\n" + ",\n".join(record.to_json() for record in records) + "\n]\n"


def csv_text(records: Sequence[Record], rubric: Rubric, names: Mapping[str, str]) -> str:
    """One row per submission: verdict, score, the share of each concept, the first message.

    ``names`` gives the submissions their names. A text that a spreadsheet would take for a formula
    gets an apostrophe in front.
    """
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow
    concepts = [concept for concept in CONCEPTS if rubric.weights[concept]]
    write(["name", "submission", "verdict", "score", *concepts, "class", "causes", "message"])
    for record in records:
        shares = rubric.shares(record.checks) if record.graded else {}
        numbers = [shares.get(concept) for concept in concepts]
        texts = [
            record.loaded_as.class_name,
            "; ".join(causes(record)),
            record.message or " ".join(check.message for check in record.failures[:1]),
        ]
        write(
            [
                _cell(names.get(record.submission, record.submission)),
                _cell(record.submission),
                record.verdict,
                f"{record.score:.4f}",
                *("" if x is None else f"{x:.4f}" for x in numbers),
                *map(_cell, texts),
            ]
        )
    return out.getvalue()


def _cell(text: str) -> str:
    text = text.replace("\x00", "")
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@\t\r") and text.strip() else text


def causes(record: Record) -> list[str]:
    """The misconceptions that are proven, each once, in the order of the checks."""
    return list(dict.fromkeys(filter(None, map(cause_of, record.failures))))


def junit_text(records: Sequence[Record], names: Mapping[str, str]) -> str:
    """JUnit's XML: a suite per submission, a case per check; what was not graded is an error."""
    suites = []
    for record in records:
        name = names.get(record.submission, record.submission)
        cases = []
        for check in record.checks:
            cases.append(f"<testcase classname={_quoted(name)} name={_quoted(check.name)}")
            if check.passed:
                cases[-1] += "/>"
                continue
            cases[-1] += (
                f"><failure message={_quoted(check.message)}>{_escaped(check_text(check))}"
                "</failure></testcase>"
            )
        if not record.graded:
            cases.append(
                f'<testcase classname={_quoted(name)} name="loading">'
                f"<error message={_quoted(record.message)} type={_quoted(record.verdict)}/>"
                "</testcase>"
            )
        counts = (
            f'tests="{len(record.checks) + (not record.graded)}" '
            f'failures="{len(record.failures)}" errors="{int(not record.graded)}"'
        )
        suites += [
            f"<testsuite name={_quoted(name)} file={_quoted(record.submission)} {counts} "
            f'time="{record.seconds:.3f}">',
            *cases,
            "</testsuite>",
        ]
    body = "\n".join(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n{body}\n</testsuites>\n'


def _escaped(text: str) -> str:
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def _quoted(text: str) -> str:
    safe = _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return quoteattr(safe, {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def gradescope_text(record: Record, rubric: Rubric) -> str:
    """Gradescope's ``results.json``: a test per concept, 100 points in all."""
    shares = rubric.shares(record.checks)
    total = sum(rubric.weights.values())
    tests: list[dict[str, Any]] = []
    for concept, weight in rubric.weights.items():
        failures = [check for check in record.failures if check.concept == concept]
        share = shares[concept]
        if not weight or (share is None and record.verdict == "passed"):
            continue
        output = "\n\n".join(check_text(check) for check in failures)
        if share is None:
            output = "Not judged: what comes before it has to work first."
        tests.append(
            {
                "name": concept,
                "score": round(100 * weight / total * (share or 0.0), 2),
                "max_score": round(100 * weight / total, 2),
                "status": "failed" if failures or share is None else "passed",
                "output": output,
                "output_format": "text",
            }
        )
    summary = [headline(record), record.message, *loading_lines(record)]
    found = {
        "score": round(100 * record.score, 2),
        "execution_time": round(record.seconds),
        "output": "\n".join(filter(None, summary)),
        "output_format": "text",
        "tests": tests if record.graded else [],
    }
    return json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


# --- plain text -----------------------------------------------------------------------------------


def headline(record: Record, name: str = "") -> str:
    """One line: verdict and score."""
    score = f", {record.score:.0%}" if record.graded else ""
    return f"{name}: {record.verdict}{score}" if name else f"{record.verdict}{score}"


def loading_lines(record: Record) -> list[str]:
    """How it was read, where that is not as a matter of course."""
    loaded = record.loaded_as
    lines = []
    if loaded.class_name and (loaded.class_name != "Value" or loaded.mapping):
        names = ", ".join(f"{theirs} as {ours}" for ours, theirs in loaded.mapping.items())
        lines.append(f"Graded: class {loaded.class_name}" + (f", with {names}." if names else "."))
    lines += [f"Left out: {text}" for text in loaded.skipped]
    return [*lines, *loaded.notes]


def shown_text(shown: Shown) -> str:
    """What was expected, or came, as text.

    >>> shown_text({"a.grad": 12.0, "b.grad": 0.1})
    'a.grad = 12, b.grad = 0.1'
    """
    if isinstance(shown, dict):
        return ", ".join(f"{name} = {shown_text(x)}" for name, x in shown.items())
    if isinstance(shown, (int, float)):
        return f"{shown:.10g}"
    return shown or ""


def check_text(check: CheckRecord) -> str:
    """A failed check (or advice) as text: the message, the program, expected and got."""
    parts = ["\n".join(textwrap.wrap(check.message, 88, break_long_words=False)), check.program]
    if check.expected is not None or check.got is not None:
        parts.append(f"expected: {shown_text(check.expected)}\n     got: {shown_text(check.got)}")
    return "\n\n".join(part for part in parts if part)


def record_text(record: Record, name: str = "") -> str:
    """The whole report on one submission, for a terminal."""
    blocks = [headline(record, name or record.submission)]
    blocks += textwrap.wrap(record.message, 92) + loading_lines(record)
    for mark, checks in (("FAILED", record.failures), ("advice", record.advice)):
        for check in checks:
            if not check.passed:
                text = textwrap.indent(check_text(check), "  ")
                blocks += ["", f"{mark}: {check.name} ({check.concept})", text]
    return "\n".join(blocks)


def class_text(records: Sequence[Record], names: Mapping[str, str]) -> str:
    """A line per submission, and how often each verdict and each misconception occurs."""
    width = max((len(names.get(r.submission, r.submission)) for r in records), default=0)
    lines = []
    for record in records:
        first = record.message or next((c.message for c in record.failures), "")
        name = names.get(record.submission, record.submission)
        score = f"{record.score:4.0%}" if record.graded else "    "
        line = f"{name:<{min(width, 40)}}  {record.verdict:<13} {score}  {first}"
        lines.append(f"{line[:157]}..." if len(line) > 160 else line.rstrip())
    counts: dict[str, int] = {}
    for record in records:
        counts[record.verdict] = counts.get(record.verdict, 0) + 1
    lines += ["", ", ".join(f"{n} {verdict}" for verdict, n in counts.items())]
    found = misconceptions(records)
    lines += [f"{len(who):>5}  {cause}" for cause, who in found.items()]
    return "\n".join(lines)


def misconceptions(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Cause -> the submissions in which it is proven, the most frequent first."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for cause in causes(record):
            found.setdefault(cause, []).append(record)
    return dict(sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0])))
