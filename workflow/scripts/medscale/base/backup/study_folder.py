"""The side of the study: its folders, their files, and what Snakemake has noted of them in ``.snakemake``."""

import json
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medscale.base.backup.index import STAMP
from medscale.base.files import read_json, write_text
from medscale.base.safe_names import unsafe
from medscale.base.temporary import NAME as TEMPORARY

OF_A_MACHINE = ("shellcmd", "external_jobid", "job_hash", "incomplete")
"""What a record says of the machine and the call; whether an output is stale does not depend on it."""
CHECKPOINTS = "checkpoints"
ANSWERS = "answers"  # of a prediction that goes on, which grow
EXAMINED = "examined"  # what an examination has computed, which grows until it is done
GROWING = ("events.jsonl", "runs/")
"""What a run that goes on appends to, of which an archive has what was there when it was looked at."""
MARK = "complete"
NAMED = re.compile(r"checkpoint-[0-9]+")
LOGS_KEPT = ".benchmark.tsv"
"""Of the logs go along what was measured of the jobs; the texts name folders of the machine."""


@dataclass(frozen=True)
class StudyFolder:
    """Where a study lies on this machine.

    Attributes:
        results, logs: as Snakemake calls them, relative to the study's folder or absolute.
        records: Snakemake's own folder, ``.snakemake``.
    """

    results: str
    logs: str
    records: Path = Path(".snakemake")

    def path(self, name: str) -> Path:
        """Return the path of a file by its place in the study, such as ``results/base/eval.json``."""
        return Path(self.key(name))

    def key(self, name: str) -> str:
        """Return what Snakemake calls a file of the study."""
        root, _, rest = name.partition("/")
        return f"{ {'results': self.results, 'logs': self.logs}[root] }/{rest}"

    def place(self, key: str) -> str:
        """Return a file's place in the study from what Snakemake calls it; other names are returned as they are."""
        for root, folder in (("results", self.results), ("logs", self.logs)):
            if key.startswith(f"{folder}/"):
                return f"{root}/{key.removeprefix(folder + '/')}"
        return key

    def files(self, rows: list[str], checkpoints: bool) -> list[str]:
        """Return the finished files of rows, data, summary, pilots and judging, by place in the study.

        Args:
            rows: names of the rows of the study.
            checkpoints: whether the newest whole checkpoint of a run that is not trained yet goes along.
        """
        found = [f"logs/{path.relative_to(self.logs).as_posix()}" for path in self._below(Path(self.logs))]
        found = [name for name in found if name.endswith(LOGS_KEPT)]
        for row in ["data", "summary", "pilot", "judging", *rows]:
            top = Path(self.results) / row
            names = [f"results/{row}/{path.relative_to(top).as_posix()}" for path in self._below(top)]
            growing = (CHECKPOINTS, ANSWERS, *([] if f"results/{row}/examination.json" in names else [EXAMINED]))
            kept = [name for name in names if name.split("/")[2] not in growing]
            found += [name for name in kept if not self._is_being_made(name)]
            if checkpoints and f"results/{row}/training.json" not in found:
                found += self._checkpoint(row, names)
        return sorted(found)

    def _below(self, folder: Path) -> Iterator[Path]:
        for path in folder.rglob("*"):
            if TEMPORARY.fullmatch(path.name) or not path.is_file():
                continue
            reason = unsafe(path.relative_to(folder).as_posix().removesuffix(STAMP).rstrip("/"))
            if reason is None:
                yield path
            else:
                print(f"{path}: left out, because of its name: {reason}")

    def _checkpoint(self, row: str, names: list[str]) -> list[str]:
        """Return the files of the newest whole checkpoint, of the best one, and those that tell of the run so far."""
        steps: dict[str, int] = {}
        for name in names:
            parts = name.split("/")
            if parts[2] == CHECKPOINTS and parts[-1] == MARK and NAMED.fullmatch(parts[-2]):
                steps["/".join(parts[:-1])] = int(parts[-2].removeprefix("checkpoint-"))
        if not steps:
            return []
        latest = max(steps, key=lambda folder: self.path(f"{folder}/{MARK}").stat().st_mtime_ns)
        run = latest.rpartition("/")[0]
        newest = max((folder for folder in steps if folder.startswith(f"{run}/")), key=steps.__getitem__)
        kept = {newest, self._best_beside(newest)}
        return [
            name
            for name in names
            if name.startswith(f"{run}/")
            and ("/checkpoint-" not in name or "/".join(name.split("/")[:5]) in kept)
            and not name.removeprefix(f"{run}/").startswith("torn-")
        ]

    @staticmethod
    def grows(name: str) -> bool:
        """Say whether a run that goes on appends to a file; what an archive has of it is its beginning."""
        parts = name.split("/", 4)
        return len(parts) == 5 and parts[2] == CHECKPOINTS and parts[4].startswith(GROWING)

    def _best_beside(self, checkpoint: str) -> str:
        """Return the checkpoint with the least validation loss so far, whose weights the run may end with."""
        state = self.path(f"{checkpoint}/trainer_state.json")
        best = read_json(state).get("best_model_checkpoint") if state.is_file() else None
        return f"{checkpoint.rpartition('/')[0]}/{Path(best).name}" if best else checkpoint

    def _is_being_made(self, name: str) -> bool:
        parts = self.key(name).split("/")
        keys = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return any(self._noted("incomplete", key).is_file() for key in keys if key)

    def record(self, name: str) -> dict[str, Any] | None:
        """Return what Snakemake noted of an output, with files by their place; None for what is no output."""
        path = self._noted("metadata", self.key(name))
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # torn, which Snakemake takes for none too
            return None
        record = record | dict.fromkeys(OF_A_MACHINE)
        return self._renamed(record, self.place)

    def write_record(self, name: str, record: dict[str, Any]) -> None:
        """Note of an output what `record` returned, on this machine or another."""
        path = self._noted("metadata", self.key(name))
        write_text(path, json.dumps(self._renamed(record, self.key_of_place) | {"incomplete": False}))

    def key_of_place(self, name: str) -> str:
        """Return what Snakemake calls a file that stands in a record."""
        return self.key(name) if name.startswith(("results/", "logs/")) else name

    def _renamed(self, record: dict[str, Any], rename: Any) -> dict[str, Any]:
        lists = {kind: sorted(map(rename, record[kind])) for kind in ("input", "log") if record.get(kind)}
        sums = {rename(key): value for key, value in (record.get("input_checksums") or {}).items()}
        return record | lists | {"input_checksums": sums}

    def _noted(self, kind: str, key: str) -> Path:
        """Return where Snakemake keeps a note of a file: its name in base64, in pieces where that is too long."""
        folder = self.records / kind
        longest = os.pathconf(self.records, "PC_NAME_MAX") if self.records.is_dir() else 255
        name, step = urlsafe_b64encode(key.encode()).decode(), (longest or 255) - 1
        pieces = [name[start : start + step] for start in range(0, len(name), step)]
        return folder.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])
