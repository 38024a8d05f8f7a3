"""Kill a script of the workflow before each of its writes, run it again each time, and compare what it made.

`killed_at_writes` calls this file as a program. It imports what the script imports, which takes longest, and then runs
the script in forked processes: one is killed by SIGKILL before its k-th write, and the next one lives. A write is a
file opened to be written, a rename, a removal, a new folder. Python tells of them before they are done (`sys.audit`);
what libraries in C and Rust open is not told of, and the process is then killed at the next write that is.
"""

import contextlib
import importlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

KEPT = {"finetune": "checkpoints", "predict": "answers"}
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
SHELL = "Shell command: "
TIMED = re.compile(r"second|_at$|^time$|peak|energy|hardware|software|events|co2|resumed")
"""Keys of what differs between two runs of the same command."""


def killed_at_writes(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    warm: list[str],
    which: str = "all",
    most: int | None = None,
) -> dict[str, Any]:
    """Kill a command at each of its writes.

    Args:
        command: a script of the workflow and its arguments, as Snakemake calls it; its inputs are there.
        folder: where it is called.
        environment: its environment.
        warm: modules to import before the processes fork, beside those that the script imports at its top.
        which: ``all`` writes, or ``kinds``: of those that differ in their numbers only, the first.
        most: of these, as many, evenly from the first to the last; default all.

    Returns:
        writes, kills, and of each kill that did not end well what was wrong.
    """
    job = {"command": command, "warm": warm, "which": which, "most": most}
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(job)],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def commands_of(printed: str) -> list[list[str]]:
    """Return the calls of scripts among what ``snakemake -n -p`` printed, without where their output goes."""
    found = []
    for line in printed.splitlines():
        words = shlex.split(line.removeprefix(SHELL)) if line.startswith(SHELL) else []
        ends = [place for place, word in enumerate(words) if word in (">", "2>&1", "|")]
        if words[:1] == ["python"]:
            found.append(words[1 : ends[0] if ends else None])
    return found


def main() -> None:
    job = json.loads(sys.argv[1])
    script, *arguments = job["command"]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="imported")
    for module in job["warm"]:
        importlib.import_module(module)
    before = state(Path())
    status, log = run(script, arguments, 0)
    assert status == 0, f"it fails without a kill:\n{log}"
    outputs = sorted(path for path, found in state(Path()).items() if before.get(path) != found)
    expected = contents(outputs)
    written = run(script, arguments, -1)[1].splitlines()
    kinds: dict[str, int] = {}
    for number, line in enumerate(written, 1):
        kinds.setdefault(re.sub(r"\d+", "#", line), number)
    chosen = range(1, len(written) + 1) if job["which"] == "all" else sorted(kinds.values())
    if job["most"] and len(chosen) > job["most"]:
        chosen = [chosen[place * (len(chosen) - 1) // (job["most"] - 1)] for place in range(job["most"])]
    result: dict[str, Any] = {"writes": len(written), "kills": 0, "wrong": []}
    for number in chosen:
        remove(script, outputs)
        status, _ = run(script, arguments, number)
        if status != -signal.SIGKILL:
            continue  # what was made before it makes it unnecessary
        result["kills"] += 1
        status, log = run(script, arguments, 0)
        place = f"{Path(script).name}, killed before write {number} ({written[number - 1]})"
        if status != 0:
            result["wrong"].append(f"{place}: fails\n{log[-2000:]}")
        elif differing := [path for path, content in contents(outputs).items() if content != expected[path]]:
            result["wrong"].append(f"{place}: differs in {', '.join(differing)}")
        elif left := [str(path) for top in tops(outputs) for path in top.rglob(".*.tmp*")]:
            result["wrong"].append(f"{place}: leaves {', '.join(left)}")
    print(json.dumps(result))


def tops(outputs: list[str]) -> set[Path]:
    return {Path(path).parent for path in outputs}


def remove(script: str, outputs: list[str]) -> None:
    """Remove outputs, as Snakemake does before it starts a job, and what is kept for a resume, so that all is done."""
    for path in map(Path, outputs):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder.name in ("adapter", "tensorboard"):
                shutil.rmtree(folder, ignore_errors=True)
    for folder in tops(outputs):
        if kept := KEPT.get(Path(script).stem):
            shutil.rmtree(folder / kept, ignore_errors=True)


def run(script: str, arguments: list[str], kill_at: int) -> tuple[int, str]:
    """Run the script in a forked process; -1 prints its writes instead of what it prints, 0 does nothing to it.

    Returns:
        Its exit status, negative for a signal, and what it printed.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.dup2(write, 1 if kill_at >= 0 else 3)
        os.dup2(write if kill_at >= 0 else os.open(os.devnull, os.O_WRONLY), 2)
        if kill_at < 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        watch(kill_at)
        sys.argv = [script, *arguments]
        status = 1
        with contextlib.suppress(BaseException):
            try:
                runpy.run_path(script, run_name="__main__")
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
            except BaseException as error:
                os.write(2, repr(error).encode())
        with contextlib.suppress(io.UnsupportedOperation, ValueError):
            sys.stdout.flush()
        os._exit(status)
    os.close(write)
    with open(read, encoding="utf-8", errors="replace") as pipe:
        printed = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed


def watch(kill_at: int) -> None:
    """Let this process be killed before its write of that number; -1: print each write to the third stream."""
    here, count = os.path.realpath("."), [0]

    def told(event: str, arguments: tuple) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not writing and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        elif event not in WRITES:
            return
        path = arguments[0]
        if isinstance(path, int) or path is None:
            return
        # A path that is relative to an open folder is one that shutil removes.
        path = os.path.join(here, os.fsdecode(path))
        if not path.startswith(f"{here}/") or "__pycache__" in path or "/.snakemake/" in path:
            return
        count[0] += 1
        if kill_at < 0:
            os.write(3, f"{event} {os.path.relpath(path, here)}\n".encode())
        elif count[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if kill_at:
        sys.addaudithook(told)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each file below a folder was changed; what is kept for a resume is none of the outputs."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.parts
        if path.is_file() and not {".snakemake", "__pycache__", "checkpoints", "answers", "logs"} & set(parts):
            found[str(path)] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def contents(outputs: list[str]) -> dict[str, Any]:
    """Return what does not depend on the time of each output; None where it is missing."""
    found: dict[str, Any] = {}
    for name in outputs:
        path = Path(name)
        if "tensorboard" in path.parts:
            continue
        if not path.is_file():
            found[name] = None
        elif path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text(encoding="utf-8")))
        elif path.name == "train_log.csv":
            rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
            timed = rows[0].index("seconds")
            found[name] = [row[:timed] + row[timed + 1 :] for row in rows]
        else:
            found[name] = path.read_bytes()
    return found


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if not TIMED.search(key)}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
