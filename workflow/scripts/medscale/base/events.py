"""What happened on the way: resumes, fallbacks and warnings of a run, kept through kills and restarts."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from medscale.base.files import read_jsonl


def now() -> str:
    """Return the present time as UTC ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(kind: str, message: str, action: str | None = None) -> dict[str, str | None]:
    """Return an event of now; see `EventLog.add`."""
    return {"time": now(), "kind": kind, "message": message, "action": action}


class EventLog:
    """An append-only list of events in a JSON-lines file; each is on disk before the work goes on.

    Without a path nothing is kept or told: so is it in all but the first of several processes of a run.
    """

    def __init__(self, path: str | os.PathLike | None):
        self.path = None if path is None else Path(path)
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()

    def add(self, kind: str, message: str, action: str | None = None) -> None:
        """Append an event.

        Args:
            kind: started, resumed, fallback, warning or finished.
            message: what happened.
            action: what was done about it, if anything was.
        """
        if self.path is None:
            return
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(event(kind, message, action), ensure_ascii=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        print(f"{kind}: {message}" + (f" ({action})" if action else ""), flush=True)

    def all(self) -> list[dict]:
        """Return all events, oldest first."""
        return list(read_jsonl(self.path)) if self.path and self.path.exists() else []

    def _drop_torn_line(self) -> None:
        """Cut off a last line that a kill left half-written."""
        if self.path.exists():
            whole, _, torn = self.path.read_bytes().rpartition(b"\n")
            if torn:
                self.path.write_bytes(whole + b"\n" if whole else b"")
