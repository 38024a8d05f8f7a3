"""What happened on the way: resumes, fallbacks and warnings of a run, kept through kills and restarts."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from medscale.base.disk import full_disk_named, make_folder, sync_folder
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
        make_folder(self.path.parent)
        self._drop_torn_lines()

    def add(self, kind: str, message: str, action: str | None = None) -> None:
        """Append an event.

        Args:
            kind: started, resumed, fallback, warning or finished.
            message: what happened.
            action: what was done about it, if anything was.
        """
        if self.path is None:
            return
        known = self.path.exists()
        line = json.dumps(event(kind, message, action), ensure_ascii=False) + "\n"
        with full_disk_named(self.path.parent, self.path.name), open(self.path, "a", encoding="utf-8") as handle:
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())
        if not known:
            sync_folder(self.path.parent)
        print(f"{kind}: {message}" + (f" ({action})" if action else ""), flush=True)

    def all(self) -> list[dict]:
        """Return all events, oldest first."""
        return list(read_jsonl(self.path)) if self.path and self.path.exists() else []

    def _drop_torn_lines(self) -> None:
        """Cut off what a kill or a power cut left at the end that is no event; the file is cut in place."""
        if not self.path.exists():
            return
        end = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            end += len(line)
        os.truncate(self.path, end)
