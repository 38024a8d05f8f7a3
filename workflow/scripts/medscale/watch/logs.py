"""What the log of a step says: how far it is, whether it waits, and in one line why it failed."""

import re
from pathlib import Path
from typing import NamedTuple

from medscale.base.progress import Line, read_line

TAIL = 16384  # bytes of the end of a log that are looked at
WAITS = "waiting for the device: "  # see `base.cards`
ENDS = "device "
ERROR = re.compile(r"error: (.*)")
EXCEPTION = re.compile(r"((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*)")


class Told(NamedTuple):
    """What the end of a log tells.

    Attributes:
        line: the newest line of progress; of a fine-tuning that of the steps, where it validates meanwhile.
        waits: for what, where the step waits for a card.
        error: why it failed, in one line, with its code where it has one.
        written: seconds since 1970 of the last line.
    """

    line: Line | None = None
    waits: str | None = None
    error: str | None = None
    written: float = 0.0


def read_log(path: Path) -> Told | None:
    """Return what a log tells; None where there is none."""
    try:
        with open(path, "rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - TAIL))
            text = handle.read().decode("utf-8", errors="replace")
        written = path.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return Told(_progress(lines), _waits(lines), reason(lines), written)


def _progress(lines: list[str]) -> Line | None:
    found = [line for line in map(read_line, lines) if line is not None]
    if not found:
        return None
    newest = found[-1]
    if newest.what == "validation" and newest.took is None:  # it is part of the fine-tuning, whose loss says more
        steps = [line for line in found if line.unit == "steps"]
        return steps[-1] if steps else newest
    return newest


def _waits(lines: list[str]) -> str | None:
    last = lines[-1] if lines else ""
    return last.removeprefix(WAITS) if last.startswith(WAITS) else None


def reason(lines: list[str]) -> str | None:
    """Return the line that says why a step failed: that of a `UserError`, or the last of a traceback; else None.

    After the message there may be what libraries and the holder of the device say when a process ends.
    """
    for line in reversed(lines[-12:]):
        if found := ERROR.fullmatch(line):
            return found[1]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        for line in reversed(lines):
            if found := EXCEPTION.fullmatch(line):
                return found[1]
    return None
