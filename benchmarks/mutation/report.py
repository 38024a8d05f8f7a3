"""What a run of mutants found: the score, and the survivors for somebody to read."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mutation.running import Verdict


def score(verdicts: Sequence[Verdict]) -> str:
    """Return the counts and the share of mutants that a test noticed, in one line."""
    counts = Counter(verdict.status for verdict in verdicts)
    killed = counts["killed"] + counts["timeout"]
    judged = len(verdicts) - counts["broken"]
    broken = f"; {counts['broken']} could not be tried" if counts["broken"] else ""
    return (
        f"{killed} of {judged} mutants killed ({killed / max(judged, 1):.1%}; {counts['timeout']} by a time-out), "
        f"{counts['survived']} survived the tests that run them, {counts['untested']} are run by no test{broken}"
    )


def write(path: Path, title: str, verdicts: Sequence[Verdict]) -> None:
    """Write the survivors with their changes as text, and beside it what became of every mutant as JSON."""
    path.parent.mkdir(exist_ok=True)
    lines = [f"{title}: {score(verdicts)}", ""]
    for verdict in sorted(verdicts, key=lambda verdict: (verdict.mutant.path, verdict.mutant.line)):
        if verdict.status in ("killed", "timeout"):
            continue
        mutant = verdict.mutant
        why = {"untested": "no test runs it", "broken": "could not be tried"}.get(
            verdict.status, f"{verdict.tests} tests run it"
        )
        lines += [f"=== {mutant.name}  (line {mutant.line}; {why})", mutant.diff(), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    results = {verdict.mutant.name: verdict.status for verdict in verdicts}
    path.with_suffix(".json").write_text(json.dumps(results, indent=0) + "\n", encoding="utf-8")


def record(path: Path, room: str, when: str, statuses: Sequence[str], **facts: Any) -> None:
    """Put the counts of a room into a file of results, under a word such as before; what else stands there stays.

    ``killed`` has the time-outs in it; ``score`` is its share of the mutants that were tried.
    """
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    counts = Counter(statuses)
    tried = len(statuses) - counts["broken"]
    killed = counts["killed"] + counts["timeout"]
    results.setdefault(room, {})[when] = {
        "tried": tried,
        "killed": killed,
        "timed_out": counts["timeout"],
        "survived": counts["survived"],
        "untested": counts["untested"],
        "score": round(killed / max(tried, 1), 4),
        **facts,
    }
    path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def survivors(path: Path) -> set[str]:
    """Return the names of those that survived when ``path`` was written."""
    results = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return {name for name, status in results.items() if status not in ("killed", "timeout")}
