"""What was computed of an exam or of texts, kept under the digest of all that decides it: done once. No torch.

Each lies in a file of its own in a folder beside the outputs. A killed examination goes on from there, and a new or a
changed exam costs its own questions only.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from medscale.base.checked_lines import CheckedLines
from medscale.evaluate.kept_answers import Shelf

FOLDER = "examined"


class KeptResults(Shelf):
    """Results by their place, over all the sittings that they take.

    Args:
        path: of the file; its name says what the results are made from.
        peak: returns the peak memory of this sitting in GiB.

    Attributes:
        seconds: what the results took, in all sittings.
        peak_memory_gib: the highest of all sittings; None where nothing was computed.
        events: what happened on the way, in all sittings.
    """

    def __init__(self, path: Path, peak: Callable[[], float]):
        super().__init__()
        self._lines, self._peak, self._began = CheckedLines(path), peak, time.perf_counter()
        lines = self._lines.values
        self._earlier: dict[int, dict[str, Any]] = {}
        for line in lines:
            self.found |= {place: tuple(found) for place, found in line["results"]}
            self._earlier[line["sitting"]] = line
        self._sitting = 1 + max(self._earlier, default=0)

    def begin(self) -> None:
        """Begin to count the seconds of this sitting."""
        self._began = time.perf_counter()

    def add(self, results: dict[int, tuple | None], events: list[dict]) -> None:
        super().add(results, events)
        line = {
            "sitting": self._sitting,
            "results": list(results.items()),
            "seconds": time.perf_counter() - self._began,
            "peak_memory_gib": self._peak(),
            "events": events,
        }
        self._lines.add(line)
        self._earlier[self._sitting] = line

    @property
    def seconds(self) -> float:
        return sum(line["seconds"] for line in self._earlier.values())

    @property
    def peak_memory_gib(self) -> float | None:
        return max((line["peak_memory_gib"] for line in self._earlier.values()), default=None)

    @property
    def events(self) -> list[dict]:
        return [found for line in self._earlier.values() for found in line["events"]]


def kept_file(run: Path, name: str, digest: str) -> Path:
    """Return the file of the results of one exam, or of the texts."""
    return run / FOLDER / f"{name}-{digest[:16]}.jsonl"


def forget_others(run: Path, files: Iterable[Path]) -> None:
    """Remove the results of what is no longer asked for, or is made from something else now."""
    wanted = set(files)
    for path in (run / FOLDER).glob("*.jsonl"):
        if path not in wanted:
            path.unlink()
