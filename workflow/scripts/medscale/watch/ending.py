"""What is told at the end of a call: the table of the study, the answer and the path of the report, or what failed."""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple, TextIO

from medscale.base.progress import read_line
from medscale.watch.logs import read_log
from medscale.watch.words import language, word

TABLE_ENDS = "± is half the width"


class Call(NamedTuple):
    """This call of Snakemake: where its study lies, and when it began (seconds since 1970)."""

    results: str
    logs: str
    began: float


_calls: list[Call] = []
_views: list[object] = []


def begin(results: str, logs: str) -> None:
    """Note what this call is about, when the Snakefile is read."""
    _calls[:] = [Call(results, logs, time.time())]


def the_call() -> Call | None:
    """Return this call; None where the Snakefile was not read to its end."""
    return _calls[0] if _calls else None


def taken_by(view: object) -> None:
    """Leave the end to a view that tells it itself."""
    _views[:] = [view]


def tell(stream: TextIO | None = None) -> None:
    """Print the end of a call that worked; nothing where it made no report, or a view tells it."""
    call = the_call()
    if call is None or _views:
        return
    if reported(call):
        print(ending(call), file=stream or sys.stdout, flush=True)


def tell_failures(stream: TextIO | None = None) -> None:
    """Print in one line each which steps failed, and why; nothing where a view tells it."""
    call = the_call()
    if call is None or _views:
        return
    failed = failures(call)
    if failed:
        print("\n".join(failed_lines(failed)), file=stream or sys.stderr, flush=True)


def reported(call: Call) -> bool:
    """Return whether the call made a report."""
    began = call.began - 2  # a drive may keep times in steps of two seconds
    return has_report(call) and page_of(call).stat().st_mtime >= began


def has_report(call: Call) -> bool:
    """Return whether the study has a report."""
    return page_of(call).is_file()


def page_of(call: Call) -> Path:
    """Return where the report is."""
    return Path(call.results) / "summary" / "report.html"


def ending(call: Call, tongue: str | None = None) -> str:
    """Return the table of the study, the answer with its warnings, and where the report is."""
    tongue = tongue or language()
    summary = Path(call.results) / "summary"
    parts = [table(Path(call.logs) / "aggregate.log")]
    path = summary / "recommendation.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        warnings = [word("warning", tongue, warning[tongue]) for warning in found["warnings"]]
        parts.append("\n".join([word("answer", tongue, found["sentence"][tongue]), *warnings]))
    parts.append(word("report", tongue, page_of(call).absolute()))
    return "\n" + "\n\n".join(filter(None, parts))


def table(log: Path) -> str:
    """Return the table that `aggregate.py` printed; empty where its log is not there."""
    if not log.is_file():
        return ""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if read_line(line) is None]
    ends = [place for place, line in enumerate(lines) if line.startswith(TABLE_ENDS)]
    rule = next((place for place, line in enumerate(lines) if line.startswith("---")), 1)
    return "\n".join(lines[max(0, rule - 1) : ends[0] + 1]) if ends else ""


def failures(call: Call) -> dict[str, tuple[str, str]]:
    """Return the steps whose logs of this call say that they failed: the reason in one line, and the log."""
    found = {}
    for path in sorted(Path(call.logs).glob("*.log")):
        told = read_log(path)
        if told and told.error and told.written >= call.began - 2:
            found[path.stem] = (told.error, str(path))
    return found


def failed_lines(failed: dict[str, tuple[str, str]], tongue: str | None = None) -> list[str]:
    """Return a line for each step that failed, and one that says what to do."""
    tongue = tongue or language()
    lines = [
        f"{word('has failed', tongue, name, reason)} ({word('log', tongue, log)})"
        for name, (reason, log) in failed.items()
    ]
    return [*lines, word("failures", tongue, ", ".join(failed))]
