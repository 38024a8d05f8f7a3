"""What a prediction has answered already: kept while it goes on, so that a killed one goes on from there. No torch.

The answers and likelihoods lie in a file beside the outputs, in a folder named by what the predictions are made from,
and are removed when the outputs are written.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medscale.base.checked_lines import CheckedLines
from medscale.base.disk import require_space
from medscale.base.events import event
from medscale.base.files import remove_folder

FOLDER = "answers"
TOKEN_BYTES = 8  # of a token's text in UTF-8 at most, on the average of an answer


class Shelf:
    """Results of one kind by their place among the questions; this one forgets them when the process ends.

    Attributes:
        found: a result as a tuple of plain values, or None where there is none to be had.
    """

    def __init__(self) -> None:
        self.found: dict[int, tuple | None] = {}

    def add(self, results: dict[int, tuple | None], events: list[dict]) -> None:
        """Keep results.

        Args:
            results: by their place.
            events: all that happened so far in this sitting.
        """
        self.found |= results


class KeptShelf(Shelf):
    """A shelf whose results are in a file, too."""

    def __init__(self, write: Callable[[dict[int, tuple | None], list[dict]], None]):
        super().__init__()
        self._write = write

    def add(self, results: dict[int, tuple | None], events: list[dict]) -> None:
        super().add(results, events)
        self._write(results, events)


class KeptAnswers:
    """The answers and likelihoods of one prediction, over all the sittings that it takes.

    Args:
        path: of the file; its name says what the predictions are made from.

    Attributes:
        answers, likelihoods: what was found, and what is added.
        sitting: 1, and one more after each kill that left something.
    """

    def __init__(self, path: Path):
        self._lines = CheckedLines(path)
        self._seconds: dict[int, float] = {}
        self._peaks: list[float] = []
        self._events: dict[str, list[dict]] = {}
        self.answers = KeptShelf(lambda *new: self._keep("answers", *new))
        self.likelihoods = KeptShelf(lambda *new: self._keep("likelihoods", *new))
        for line in self._lines.values:
            self._take(line)
        self.sitting = 1 + max((line["sitting"] for line in self._lines.values), default=0)
        self._peak: Callable[[], float | None] = lambda: None
        self._began: float | None = None

    def begin(self, total: int, peak: Callable[[], float | None]) -> None:
        """Begin to count the seconds of this sitting's answers; say what is left of earlier ones.

        Args:
            total: questions.
            peak: returns the peak memory of this sitting in GiB, or None where it is not measured.
        """
        self._peak, self._began = peak, time.perf_counter()
        if self.sitting > 1:
            kept = f"{len(self.answers.found)} of {total} answers and {len(self.likelihoods.found)} likelihoods"
            message = f"sitting {self.sitting}: {kept} were kept when the one before was interrupted"
            resumed = event("resumed", message, "the others were made; the seconds are those of all sittings")
            print(f"resumed: {message}", flush=True)
            self._add({"events": {f"{self.sitting}": [resumed]}})

    def end(self) -> tuple[float, float | None]:
        """Return the seconds that the answers took in all sittings, and the highest of the peaks."""
        self._add(self._spent())
        self._began = None
        return sum(self._seconds.values()), max(self._peaks, default=None)

    def events(self) -> list[dict]:
        """Return what happened in all sittings, oldest first."""
        return [found for events in self._events.values() for found in events]

    def _keep(self, kind: str, results: dict[int, tuple | None], events: list[dict]) -> None:
        line: dict[str, Any] = {kind: list(results.items())}
        if events:
            line["events"] = {f"{self.sitting} {kind}": events}
        self._add(line | self._spent())

    def _spent(self) -> dict[str, float]:
        """Return what this sitting's answers have taken so far; nothing once they are all there."""
        if self._began is None:
            return {}
        spent, peak = {"seconds": time.perf_counter() - self._began}, self._peak()
        return spent if peak is None else spent | {"peak_memory_gib": peak}

    def _add(self, line: dict[str, Any]) -> None:
        line = {"sitting": self.sitting} | line
        self._lines.add(line)
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        for kind, shelf in (("answers", self.answers), ("likelihoods", self.likelihoods)):
            shelf.found |= {place: None if found is None else tuple(found) for place, found in line.get(kind, [])}
        self._events |= line.get("events", {})
        if "seconds" in line:
            self._seconds[line["sitting"]] = line["seconds"]
        if "peak_memory_gib" in line:
            self._peaks.append(line["peak_memory_gib"])


def open_kept(run: Path, fingerprint: str, made_from: str, rows: list[dict], max_new_tokens: int) -> KeptAnswers:
    """Return what is kept of a prediction, or a new file for it; the disk must have room for all answers.

    Args:
        run: folder of the run's outputs.
        fingerprint: of the predictions.
        made_from: digest of everything else that decides an answer.
        rows: the test rows.
        max_new_tokens: of the longest answer.

    Raises:
        UserError: the disk has too little room.
    """
    folder = run / FOLDER / fingerprint
    texts = sum(len(text.encode("utf-8")) for row in rows for text in row.values() if isinstance(text, str))
    answers = len(rows) * max_new_tokens * TOKEN_BYTES  # once as they are kept, once in the output
    needed = texts + 2 * answers + 2**20
    require_space(folder, needed, f"the prediction of {len(rows)} answers", "let paths.results be on a larger disk")
    return KeptAnswers(folder / f"{made_from[:16]}.jsonl")


def remove_kept(run: Path) -> None:
    """Remove what was kept, of whatever prediction, when the run's outputs are written."""
    remove_folder(run / FOLDER)
