"""The report as pages: one per submission, and one about the class to talk about next day."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from tinygrad_edu._files import write_atomically
from tinygrad_edu.grading.causes import cause_of
from tinygrad_edu.grading.failing_graph import failing_figure
from tinygrad_edu.grading.formats import loading_lines, misconceptions, shown_text
from tinygrad_edu.grading.record import CONCEPTS, VERDICTS, CheckRecord, Record
from tinygrad_edu.grading.rubric import Rubric
from tinygrad_edu.grading.submissions import source_of

# what a verdict says to a beginner
_VERDICTS = {
    "passed": "Everything that was tried is right.",
    "failed": "Some of it is not right yet; the first thing below is the one to mend first.",
    "not loaded": "The file could not be read as a class to grade.",
    "timed out": "It did not come to an end within the time allowed.",
    "out of memory": "It asked for more memory than is allowed.",
    "crashed": "The Python that ran it broke down.",
}

_CONCEPTS = {
    "operators": "What +, -, *, / and ** compute, and that they return a new Value.",
    "reversed operators": "A plain number on the left: 2 * a, 1 - a.",
    "local derivatives": "The derivative of one operation by each of its operands.",
    "chain rule": "The local derivative times the gradient that comes from behind.",
    "accumulation": "A node that is used more than once adds up what comes back: += , not =.",
    "order": "A node passes its gradient on once, after everything that uses it has done so.",
    "functions": "relu, tanh, exp and others.",
    "numerics": "Large, small and special numbers.",
    "style of use": "What users of the class take for granted.",
}

_STYLE = """\
:root { color-scheme: light dark; --ink: #1f2328; --soft: #57606a; --line: #d0d7de;
  --paper: #fff; --panel: #f6f8fa; --good: #15803d; --bad: #c81e1e; --link: #0b62c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #3a424c;
  --paper: #0f1419; --panel: #191f26; --good: #5fd387; --bad: #ff8f85; --link: #7db8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0.2rem 0 0.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 1.8rem 0 0.4rem; }
a { color: var(--link); } p { margin: 0.4rem 0; overflow-wrap: anywhere; }
pre, code { font: 0.92em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.6rem 0.8rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem 0.3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
td.soft { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.wide { overflow-x: auto; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
.fault { border-left: 4px solid var(--bad); padding-left: 1rem; margin: 1.4rem 0; }
.advice { border-left-color: var(--soft); }
figure { margin: 0.8rem 0; overflow-x: auto; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { color: var(--soft); font-size: 0.9rem; }
.blame { background: color-mix(in srgb, var(--bad) 18%, transparent); display: block; }
ul.who { columns: 14rem; padding-left: 1.2rem; margin: 0.4rem 0; }
@media print { body { max-width: none; } .fault { break-inside: avoid; } }
"""


def write_pages(
    folder: Path, records: Sequence[Record], names: Mapping[str, str], rubric: Rubric
) -> None:
    """Write ``index.html``, and a page per submission, into a folder, which is made if needed.

    Raises:
        OSError: If they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = page_names(records, names)
    for record in records:
        page = submission_page(record, names.get(record.submission, record.submission), rubric)
        write_atomically(folder / files[record.submission], page)
    write_atomically(folder / "index.html", class_page(records, names, files))


def page_names(records: Sequence[Record], names: Mapping[str, str]) -> dict[str, str]:
    """A file name for each submission that any system can hold, the same from run to run."""
    plain = {
        r.submission: re.sub(r"[^A-Za-z0-9._-]+", "-", names.get(r.submission, r.submission))
        .strip("-.")[:60]
        for r in records
    }  # fmt: skip
    lower = [name.lower() for name in plain.values()]
    files = {}
    for submission, name in plain.items():
        if lower.count(name.lower()) > 1 or name.lower() in ("", "index"):
            digest = hashlib.sha256(submission.encode("utf-8", "surrogatepass")).hexdigest()
            name = f"{name}-{digest[:8]}".lstrip("-")
        files[submission] = f"{name}.html"
    return files


def submission_page(record: Record, name: str, rubric: Rubric) -> str:
    """The page for one student."""
    parts = ['<p class="soft"><a href="index.html">the class</a></p>', f"<h1>{_text(name)}</h1>"]
    tone = "good" if record.verdict == "passed" else "bad"
    score = f" &nbsp; score {record.score:.0%}" if record.graded else ""
    parts += [
        f'<p><strong class="{tone}">{record.verdict}</strong>{score}</p>',
        f"<p>{_VERDICTS[record.verdict]}</p>",
    ]
    parts += [f"<p>{_prose(text)}</p>" for text in (record.message,) if text]
    parts += [f'<p class="soft">{_prose(text)}</p>' for text in loading_lines(record)]
    if record.graded:
        parts.append(_concept_table(record, rubric))
    source = source_of(Path(record.submission)).splitlines()
    notebook = record.submission.lower().endswith(".ipynb")
    for title, kind, checks in (
        ("To mend", "fault", record.failures),
        ("Good to know", "fault advice", [c for c in record.advice if not c.passed]),
    ):
        if checks:
            parts.append(f"<h2>{title}</h2>")
        for check in checks:
            lines = [] if notebook else source
            parts.append(f'<section class="{kind}">{_check(check, lines)}</section>')
    return _page(name, parts)


def _concept_table(record: Record, rubric: Rubric) -> str:
    shares = rubric.shares(record.checks)
    rows = []
    for concept in CONCEPTS:
        share, weight = shares[concept], rubric.weights[concept]
        if share is None and (record.verdict == "passed" or not weight):
            continue
        told = "not judged yet" if share is None else f"{share:.0%}"
        tone = "good" if share == 1.0 else "bad"
        weighs = f"{weight:g}" if weight else "advice"
        rows.append(
            f'<tr><th scope="row">{concept}</th><td class="number {tone}">{told}</td>'
            f'<td class="number soft">{weighs}</td><td class="soft">{_text(_CONCEPTS[concept])}'
            "</td></tr>"
        )
    head = '<tr><th>concept</th><th class="number">right</th><th class="number">weight</th></tr>'
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _check(check: CheckRecord, source: Sequence[str]) -> str:
    parts = [f"<h3>{_text(check.name)}</h3>", f"<p>{_prose(check.message)}</p>"]
    if check.program:
        parts.append(f"<p>This shows it:</p><pre>{_text(check.program)}</pre>")
    if check.expected is not None or check.got is not None:
        parts.append(
            f'<p>expected: <span class="good">{_text(shown_text(check.expected))}</span><br>'
            f'got: <span class="bad">{_text(shown_text(check.got))}</span></p>'
        )
    parts.append(_figure(check))
    if check.line is not None and 0 < check.line <= len(source):
        shown = []
        for i in range(max(1, check.line - 2), min(len(source), check.line + 2) + 1):
            line = _text(f"{i:4}  {source[i - 1]}"[:200])
            shown.append(f'<span class="blame">{line}</span>' if i == check.line else f"{line}\n")
        parts.append(f"<p>Line {check.line} of your file:</p><pre>{''.join(shown)}</pre>")
    return "".join(parts)


def _figure(check: CheckRecord) -> str:
    svg = failing_figure(check)
    if svg is None:
        return ""
    # an image of its own: its names and styles do not meet those of the others
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    what = f"the graph of: {'; '.join(check.program.splitlines())}"
    caption = (
        "Above each line the value, below it the gradient. Where yours differs it stands beside "
        "the right one, and the circle is yellow."
    )
    return (
        f'<figure><img alt="{_text(what)[:500]}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def class_page(
    records: Sequence[Record], names: Mapping[str, str], files: Mapping[str, str]
) -> str:
    """The page about the class: what is misunderstood, by how many, and everybody's result."""

    def link(record: Record) -> str:
        name = names.get(record.submission, record.submission)
        return f'<a href="{files[record.submission]}">{_text(name)}</a>'

    counts = {v: sum(r.verdict == v for r in records) for v in VERDICTS}
    told = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
    graded = sorted(r.score for r in records if r.graded)
    parts = ["<h1>The class</h1>", f"<p>{len(records)} submissions: {told or 'none'}.</p>"]
    if graded:
        middle = (graded[(len(graded) - 1) // 2] + graded[len(graded) // 2]) / 2
        parts.append(f"<p>Median score of those graded: {middle:.0%}.</p>")
    found = misconceptions(records)
    if found:
        parts += [
            "<h2>What to talk about</h2>",
            '<p class="soft">Misconceptions that an experiment proves, the most frequent first.'
            "</p>",
        ]
    for cause, who in found.items():
        check = _clearest(who, cause)
        parts.append(
            f'<section class="fault"><h3>{len(who)} &times; {_text(cause)}</h3>'
            f'<p class="soft">{_text(check.concept)}: {_text(_CONCEPTS[check.concept])}</p>'
            f"<p>{_prose(check.message)}</p>"
            + (f"<pre>{_text(check.program)}</pre>" if check.program else "")
            + _figure(check)
            + f'<ul class="who">{"".join(f"<li>{link(r)}</li>" for r in who)}</ul></section>'
        )
    parts += _open_failures(records, link)
    rows = []
    for record in records:
        tone = "good" if record.verdict == "passed" else "bad"
        score = f"{record.score:.0%}" if record.graded else ""
        first = record.message or next((c.message for c in record.failures), "")
        first = shorten(first, 200, placeholder=" ...")
        rows.append(
            f'<tr><td>{link(record)}</td><td class="{tone}">{record.verdict}</td>'
            f'<td class="number">{score}</td><td class="soft">{_prose(first)}</td></tr>'
        )
    head = '<tr><th>submission</th><th>verdict</th><th class="number">score</th><th>first</th></tr>'
    parts.append(f'<h2>Everybody</h2><div class="wide"><table>{head}{"".join(rows)}</table></div>')
    return _page("The class", parts)


def _clearest(who: Sequence[Record], cause: str) -> CheckRecord:
    """The check that shows a cause best: one that can be drawn, with the shortest program."""
    checks = [c for r in who for c in r.failures if cause_of(c) == cause]
    return min(
        checks, key=lambda c: (failing_figure(c) is None, len(c.program), c.program, c.message)
    )


def _open_failures(records: Sequence[Record], link: object) -> list[str]:
    """Failures without a proven cause, by check: how many have them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for check in record.failures:
            if not cause_of(check):
                found.setdefault(check.name, []).append(record)
    if not found or not callable(link):
        return []
    items = [
        f"<li>{len(who)} &times; {_text(name)}: {', '.join(link(r) for r in who[:12])}"
        f"{f' and {len(who) - 12} more' if len(who) > 12 else ''}</li>"
        for name, who in sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    ]
    return ["<h2>Checks that failed for other reasons</h2>", f"<ul>{''.join(items)}</ul>"]


def _text(text: str) -> str:
    return html.escape(text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))


def _prose(text: str) -> str:
    """Plain text as HTML; what stands in `backticks` is code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", _text(text))


def _page(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
