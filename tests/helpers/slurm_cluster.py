"""A Slurm of one node on loopback, started for a test: munged, slurmctld and slurmd, with one card that is none."""

import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medscale.base.temporary import process_exists

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
FOLDER = Path("/etc/slurm")  # where Slurm's programs look, also in a job, whose SLURM_ variables Snakemake removes
FILES = ("slurm.conf", "gres.conf")
MARK = "# Of a test in process "

# Accounting is off, as on many a small cluster. linuxproc and task/none need no cgroups, which containers lack.
CONFIGURATION = """{mark}
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=2
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=128000 Gres=gpu:1 State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why there can be no such cluster here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"Slurm is not installed ({', '.join(absent)} missing): apt install slurmctld slurmd slurm-client munge"
    if os.geteuid():
        return "only root can start a Slurm that runs jobs"
    if there := [name for name in FILES if (FOLDER / name).exists() and not _left(FOLDER / name)]:
        return f"{FOLDER} has a {there[0]}: another Slurm is set up here"
    return None


def _left(path: Path) -> bool:
    """Return whether a file is of a test that was killed before it could remove it."""
    mark = path.read_text(encoding="utf-8").partition("\n")[0]
    return mark.startswith(MARK) and not process_exists(int(mark.removeprefix(MARK)))


def _end_with_parent() -> None:
    """Let a daemon be ended when its test is killed (prctl, PR_SET_PDEATHSIG), for it has taken a place in /etc."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Cluster:
    """The running cluster.

    Attributes:
        folder: of its logs and of ``jobs.txt``, in which Slurm notes each job that has ended.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def jobs(self) -> list[dict[str, str]]:
        """Return what Slurm noted of the jobs that have ended, in that order."""
        path = self.folder / "jobs.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def queue(self) -> list[dict[str, str]]:
        """Return the jobs that wait or run: number, state, cards, comment (Snakemake's rule and wildcards)."""
        widths = {"JobID": 12, "State": 12, "tres-per-job": 30, "Comment": 120}
        form = ",".join(f"{name}:{width}" for name, width in widths.items())
        lines = _call("squeue", "--noheader", "--states", "PD,R", "--Format", form).stdout.splitlines()
        ends = list(itertools.accumulate(widths.values(), initial=0))
        cells = [[line[start:end].strip() for start, end in itertools.pairwise(ends)] for line in lines]
        return [dict(zip(("id", "state", "cards", "comment"), row, strict=True)) for row in cells]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster whose files lie in ``folder``, and end it, by the numbers of its processes, with all its jobs."""
    folder.mkdir(parents=True)
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host, ports = socket.gethostname().split(".")[0], _free_ports(2)
    values = {"host": host, "folder": folder, "controller": ports[0], "node": ports[1], "cores": 8}
    values["mark"] = mark = f"{MARK}{os.getpid()}"
    FOLDER.mkdir(exist_ok=True)
    running: list[subprocess.Popen] = []
    try:
        (FOLDER / "slurm.conf").write_text(CONFIGURATION.format(**values), encoding="utf-8")
        (FOLDER / "gres.conf").write_text(f"{mark}\nNodeName={host} Name=gpu File=/dev/zero\n", encoding="utf-8")
        munged = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge/socket"]
        munged += [f"--{name}={folder}/munge/{name}" for name in ("pid-file", "log-file", "seed-file")]
        for command in (munged, ["slurmctld", "-D", "-i"], ["slurmd", "-D", "-N", host]):
            with open(folder / f"{command[0]}.out", "wb") as out:
                options = {"start_new_session": True, "preexec_fn": _end_with_parent}
                running.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **options))
            if command is munged:
                _wait(lambda: (folder / "munge" / "socket").exists(), folder, running)
        _wait(lambda: "idle" in _call("sinfo", "--noheader", "--format", "%t").stdout, folder, running)
        yield Cluster(folder)
    finally:
        if len(running) == 3:
            _call("scancel", "--partition", "gpu", "--full", "--signal", "KILL")
            _call("scancel", "--partition", "gpu")
            time.sleep(1)
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
        for name in FILES:
            (FOLDER / name).unlink(missing_ok=True)


def _call(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def _wait(ready, folder: Path, running: list[subprocess.Popen], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not ready():
        ended = [process.args[0] for process in running if process.poll() is not None]
        logs = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in folder.glob("*.*"))
        assert not ended, f"{ended} did not come up:\n{logs}"
        assert time.monotonic() < end, f"the node did not come up:\n{logs}"
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
