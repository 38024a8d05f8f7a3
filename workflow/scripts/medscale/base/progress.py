"""How far a step is: a bar on a terminal, and in a log file a line every ten seconds or so that people can read.

`make status` and the view of running jobs read these lines back, so what they show is what stands in the log.

    with Progress("answers of lora_20k", total=2000, unit="answers") as progress:
        for answer in answers:
            progress.update(1)

    answers of lora_20k: 120 of 2,000 answers, 3.1/s, about 10 min left
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, TextIO, TypeVar

Item = TypeVar("Item")

MIB = 2**20
FIRST = 5.0  # seconds: what is done sooner says nothing
BAR_AFTER = 1.0  # and on a terminal, what is done sooner shows no bar
EVERY = 10.0  # seconds between two lines,
SELDOM = 30.0  # and of what takes long, a night in a log file being 1,400 lines then,
LONG = 600.0  # which is from so many seconds on

_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?"
_COUNT = re.compile(
    rf"(?P<what>\S.*?): (?P<done>{_NUMBER})(?: of (?P<total>{_NUMBER}))? (?P<unit>[A-Za-z]+)(?P<rest>,.*)?"
)
_SO_FAR = re.compile(r"(?P<what>\S.*?): (?P<time>[\dhmins ]+) so far")
_RATE = re.compile(rf"({_NUMBER})/s")
_SPEED = re.compile(rf"({_NUMBER}) (\w+/s)")
_VALUE = re.compile(rf"([a-z ]+) (-?{_NUMBER}|nan|inf)")
_LEFT = re.compile(r"about ([\dhmins ]+) left")
_TOOK = re.compile(r"in ([\dhmins ]+)")


class Line(NamedTuple):
    """What one line says.

    Attributes:
        what: the work, such as ``fine-tuning``.
        done, total: of ``unit``; None where it cannot be counted.
        unit: in the plural; empty where nothing is counted.
        values: numbers of the work, such as ``loss``; those in ``…/s`` are speeds.
        rate: of ``unit`` a second.
        left: seconds, as estimated from the mean rate of this sitting.
        took: seconds; where it is told, the work is done, or cannot be counted and goes on.
    """

    what: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    values: Mapping[str, float] = {}
    rate: float | None = None
    left: float | None = None
    took: float | None = None

    @property
    def shown_values(self) -> list[str]:
        """The values in words, speeds last."""
        ordered = sorted(self.values.items(), key=lambda item: item[0].endswith("/s"))
        return [f"{value:,.0f} {name}" if name.endswith("/s") else f"{name} {value:.3f}" for name, value in ordered]

    def __str__(self) -> str:
        if self.done is None:
            return f"{self.what}: {duration(self.took or 0.0)} so far"
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"{self.what}: {self.done:,}{of} {self.unit}"]
        parts += self.shown_values
        if self.rate is not None:
            parts.append(f"{_figures(self.rate)}/s")
        if self.left is not None:
            parts.append(f"about {duration(self.left)} left")
        if self.took is not None:
            parts.append(f"in {duration(self.took)}")
        return ", ".join(parts)


def read_line(text: str) -> Line | None:
    """Return what a line says, or None where it is no line of progress.

    >>> read_line("answers of lora_20k: 120 of 2,000 answers, 3.1/s, about 10 min left").total
    2000
    """
    if so_far := _SO_FAR.fullmatch(text):
        return Line(so_far["what"], took=_seconds(so_far["time"]))
    found = _COUNT.fullmatch(text)
    if found is None:
        return None
    values: dict[str, float] = {}
    rest: dict[str, float] = {}
    for part in (found["rest"] or "").split(", ")[1:]:
        if match := _RATE.fullmatch(part):
            rest["rate"] = _number(match[1])
        elif match := _LEFT.fullmatch(part):
            rest["left"] = _seconds(match[1])
        elif match := _TOOK.fullmatch(part):
            rest["took"] = _seconds(match[1])
        elif match := _SPEED.fullmatch(part):
            values[match[2]] = _number(match[1])
        elif match := _VALUE.fullmatch(part):
            values[match[1]] = _number(match[2])
        else:
            return None
    total = found["total"] and int(_number(found["total"]))
    return Line(found["what"], int(_number(found["done"])), total, found["unit"], values, **rest)


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(42), duration(780), duration(7500)
    ('42 s', '13 min', '2 h 5 min')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _seconds(text: str) -> float:
    units = {"s": 1, "min": 60, "h": 3600}
    return float(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) (h|min|s)", text)))


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _figures(rate: float) -> str:
    """Return a rate with two figures or more.

    >>> _figures(12345.6), _figures(3.14), _figures(0.0123)
    ('12,346', '3.1', '0.012')
    """
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


class Progress:
    """Says how far a step is while it goes on; nothing of one that takes less than five seconds.

    A thread of its own writes the lines, so that a log shows a sign of life also while one part takes long, and
    `update` costs next to nothing.

    Parameters
    ----------
    what : the work, without a number.
    total : of what is counted; None where it is not known.
    unit : what is counted, in the plural; empty where nothing is, and the time alone is told.
    done : what an earlier sitting did.
    measure : asked for what is done whenever a line is written, where nobody calls `update`.
    shown : False in all but the first of several processes of one step.
    stream : default: standard error.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "",
        done: int = 0,
        measure: Callable[[], int] | None = None,
        shown: bool = True,
        stream: TextIO | None = None,
    ):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self.measure, self.shown = measure, shown
        self.values: dict[str, float] = {}
        self._before, self._began, self._said = done, time.monotonic(), False
        self._stream = sys.stderr if stream is None else stream
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        return self.start()

    def start(self) -> "Progress":
        """Begin; who cannot use a with block calls `end` when the work is done."""
        self._began = time.monotonic()
        if not self.shown:
            return self
        if self._stream.isatty():
            from tqdm import tqdm

            counted = {"unit": self.unit} if self.unit else {"bar_format": "{desc}: {elapsed}"}
            shown = {"desc": self.what, "total": self.total, "initial": self.done, "file": self._stream}
            self._bar = tqdm(**shown, **counted, mininterval=1, delay=BAR_AFTER, dynamic_ncols=True)
        else:
            self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error is None)

    def end(self, finished: bool = True) -> None:
        """Say no more; where the work was finished, and lines were written, say in what time."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._bar is not None:
            self._bar.close()
        if self._thread is not None:
            self._thread.join()
            if self._said and self.unit and finished:
                self._say(self.line()._replace(left=None, took=time.monotonic() - self._began))

    def update(self, count: int = 1, values: Mapping[str, float] | None = None) -> None:
        """Count what was done, and take note of numbers that tell how the work is."""
        self.done += count
        if values:
            self.values |= values
        if self._bar is not None:
            if values:
                self._bar.set_postfix({name: f"{value:,.4g}" for name, value in self.values.items()}, refresh=False)
            self._bar.update(count)

    def line(self) -> Line:
        """Return what there is to say now."""
        spent = time.monotonic() - self._began
        if not self.unit:
            return Line(self.what, took=spent)
        if self.measure is not None:
            self.done = self.measure()
        new = self.done - self._before
        rate = new / spent if new > 0 and spent > 0 else None
        left = (self.total - self.done) / rate if rate and self.total is not None and self.done <= self.total else None
        return Line(self.what, self.done, self.total, self.unit, dict(self.values), rate, left)

    def _tell(self) -> None:
        wait = FIRST
        while not self._ended.wait(wait):
            self._say(self.line())
            self._said = True
            wait = EVERY if time.monotonic() - self._began < LONG else SELDOM

    def _say(self, line: Line) -> None:
        print(line, file=self._stream, flush=True)


def working(what: str, shown: bool = True) -> Progress:
    """Return a step whose end is not known: every ten seconds it says what it does, and for how long it has."""
    return Progress(what, shown=shown)


def counted(
    items: Iterable[Item],
    what: str,
    unit: str,
    total: int | None = None,
    size: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Item]:
    """Yield items as they come, and say how far that is; ``size`` tells how many an item counts for."""
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.update(size(item))


class Bytes(Progress):
    """Progress in MiB, told in bytes."""

    def __init__(self, what: str, total: int, **more: Any):
        super().__init__(what, round(total / MIB), "MiB", **more)
        self._bytes = 0

    def update(self, count: int = 1, values: Mapping[str, float] | None = None) -> None:
        self._bytes += count
        super().update(round(self._bytes / MIB) - self.done, values)
