"""Scripts of the workflow, and Snakemake, run in processes forked from one that has imported the slow libraries.

A job of the small study works for a second and imports for seven. `program` returns a program that tests call in place
of Python: it hands what it can to `serve`, which starts a process with the libraries for each kind of call at the first
one, and another for each environment in which anything differs that Python or a library may read at its start, such as
a locale or a path of modules. That process forks one for the call, which gets the arguments, the folder, the
environment and the streams of its caller, and runs the script as Python would. Its exit status and its signals are
those of the program that was called; where that one is killed, it is killed. Beside it lie `python3` and `snakemake`,
which do the same: its folder may come first on a path.

Anything else is run by Python itself: other scripts, other words before them. With MEDSCALE_UNSERVED in the environment
all is, or, where its value is not 1, each call that has it in a word; with MEDSCALE_SERVED_ONLY a call of the kinds
above fails where it is not served.

What a start does is not tested by such a run, nor what a job imports, what it does when many of it begin at once, or
what a kill leaves: such tests call Python itself.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

LIBRARIES = {
    "snakemake": ["snakemake.cli", "jsonschema", "tabulate"],
    "jobs": [
        *("numpy", "pandas", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "jieba", "rapidfuzz", "jsonschema"),
        *("matplotlib.pyplot", "seaborn", "torch", "datasets", "bitsandbytes", "peft", "transformers"),
        *("transformers.trainer", "transformers.generation", "transformers.models.qwen2.modeling_qwen2"),
        *("torch.utils.tensorboard", "bm25s"),
    ],
}
"""What is imported before a call of a kind is forked."""

JOBS = {
    *("aggregate", "clean", "encode", "evaluate", "exam_questions", "examine", "export", "fetch_model", "finetune"),
    *("floor", "judge_import", "leak_check", "mix_rows", "pilot", "plan", "predict", "record", "report", "score"),
    *("retention_texts", "split"),
}
"""The scripts that are served: those that import for longer than a fork takes."""

TEMPORARY = ("TMPDIR", "TEMPDIR", "TEMP", "TMP")  # which Snakemake sets, and `become` has read anew
# What is read when a job works, not when it starts, or by nothing; libraries set some where tests import them.
UNREAD = ("MEDSCALE_", "PYTEST_", "TORCHINDUCTOR_", "HF_XET_", "SLURM", "SRUN_")
UNREAD_NAMES = {"PATH", "COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "_", "LLAMA_CPP", *TEMPORARY}
UNREAD_NAMES |= {"CUDA_VISIBLE_DEVICES", "ENVIRONMENT", "GPU_DEVICE_ORDINAL", "HOSTNAME", "JPY_PARENT_PID"}
UNREAD_NAMES |= {"ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
LENGTH, STATUS = struct.Struct("!q"), struct.Struct("!i")
REFUSED = 1000
MOST = 3
"""So many environments have a process with libraries, of each kind; at one more the least recent ends."""
STREAMS, UNBUFFERED = (sys.stdin, sys.stdout, sys.stderr), "PYTHONUNBUFFERED" in os.environ

PROGRAM = '''#!{python} -IS
"""Python, as tests call it: see tests/helpers/served.py."""
import os, sys
words, named = sys.argv[1:], os.path.basename(sys.argv[0])
bare = [{python!r}, *words]
if named == "snakemake":
    words, bare = ["-m", "snakemake", *words], [{python!r}, {snakemake!r}, *words]
script = words[0] if words else ""
kind = "snakemake" if words[:2] == ["-m", "snakemake"] else ""
if script.endswith(".py") and os.path.basename(script)[:-3] in {jobs!r} and script.split("/")[-2:-1] == ["scripts"]:
    kind = "jobs"
unserved = os.environ.get("MEDSCALE_UNSERVED")
# A hub's client reads its settings when it is imported.
hubs = ['"source": "' + hub for hub in ("huggingface", "modelscope")] if kind == "jobs" else []
by_itself = unserved == "1" or any(text in word for word in words for text in [*hubs, *filter(None, [unserved])])
if kind and by_itself and "MEDSCALE_SERVED_ONLY" in os.environ:
    sys.exit("not served")
if not kind or by_itself:
    os.execv({python!r}, bare)
import json, signal, socket, struct
connection = socket.socket(socket.AF_UNIX)
status = {refused}
def pass_on(number, frame):
    try:
        connection.sendall(bytes([number]))
    except OSError:
        pass  # it has ended
minded = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
minded = [number for number in minded if signal.getsignal(number) != signal.SIG_IGN]
signal.pthread_sigmask(signal.SIG_BLOCK, minded)  # until there is whom to pass them on to
try:
    connection.connect({address!r})
    first = os.path.dirname({snakemake!r}) if named == "snakemake" else os.getcwd()
    call = {{"kind": kind, "words": words, "folder": os.getcwd(), "first": first, "group": os.getpgrp()}}
    text = os.fsencode(json.dumps(call | {{"environment": dict(os.environ)}}, ensure_ascii=False))
    socket.send_fds(connection, [struct.pack("!q", len(text))], [0, 1, 2])
    connection.sendall(text)
    for number in minded:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, minded)
    (status,) = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))
except (FileNotFoundError, ConnectionRefusedError):
    pass
except struct.error:
    sys.exit("the process that served this one has ended")
signal.pthread_sigmask(signal.SIG_UNBLOCK, minded)
if status == {refused}:
    if "MEDSCALE_SERVED_ONLY" in os.environ:
        sys.exit("not served")
    os.execv({python!r}, bare)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
os._exit(status)
'''


@cache
def program() -> str:
    """Return the program that runs scripts as Python does, but sooner; its server ends with this process."""
    if os.environ.get("MEDSCALE_UNSERVED") == "1" or Path("/proc/driver/nvidia").exists():
        return sys.executable  # a card is seen once for all by who imports torch
    place = tempfile.mkdtemp(prefix="served-")  # the server takes it away, also where this process is killed
    address, path = f"{place}/socket", Path(place, "bin", "python")
    path.parent.mkdir()
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    values = {"python": sys.executable, "snakemake": snakemake, "jobs": JOBS, "address": address, "refused": REFUSED}
    path.write_text(PROGRAM.format(**values))
    path.chmod(0o755)
    for name in ("python3", "snakemake"):
        path.with_name(name).symlink_to(path.name)
    command = [sys.executable, __file__, "serve", address, str(path)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"

    def end() -> None:
        server.stdin.close()
        server.wait()
        server.stdout.close()

    atexit.register(end)
    return str(path)


def read_at_start(environment: dict[str, str]) -> dict[str, str]:
    """Return what Python or a library may read of an environment when it starts. Jobs are told their threads."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(UNREAD) and name not in UNREAD_NAMES and not name.endswith("_THREADS")
    }


def receive(connection: socket.socket, most: int) -> tuple[dict[str, Any], list[int]] | None:
    """Return a call, empty where none will follow, and the streams that came with it; None if the other side ended."""
    head, streams, _, _ = socket.recv_fds(connection, LENGTH.size, most)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    text = connection.recv(length, socket.MSG_WAITALL)
    if len(text) == length:
        return json.loads(os.fsdecode(text) or "{}"), streams
    for stream in streams:
        os.close(stream)
    return None


def warmed(kind: str, start: dict[str, str], path: str) -> tuple[socket.socket, subprocess.Popen]:
    """Start a process that has the libraries of a kind, in an environment; return how to reach it."""
    here, there = socket.socketpair()
    command = [sys.executable, __file__, "warm", kind, str(there.fileno()), path]
    environment = start | {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1"}
    with there:
        return here, subprocess.Popen(command, env=environment, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)


def serve(address: str, path: str) -> None:
    """Take calls until the standard input ends, and hand each to the process that has its libraries and environment."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm: dict[tuple, tuple[socket.socket, subprocess.Popen]] = {}
    ending: list[subprocess.Popen] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    print("ready", flush=True)
    while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
        connection, _ = listening.accept()
        with connection:
            received = receive(connection, 3)
            if received is None:
                continue
            call, streams = received
            kind, start = call["kind"], read_at_start(call["environment"])
            key = (kind, *sorted(start.items()))
            of_kind = [other for other in warm if other[0] == kind]
            if key not in warm and len(of_kind) == MOST:
                channel, process = warm.pop(of_kind[0])
                with channel, suppress(BrokenPipeError):
                    channel.sendall(LENGTH.pack(0))
                ending.append(process)
            ending = [process for process in ending if process.poll() is None]
            # The most recent one is the last.
            channel, process = warm[key] = warm.pop(key, None) or warmed(kind, start, path)
            text = os.fsencode(json.dumps(call, ensure_ascii=False))
            try:
                socket.send_fds(channel, [LENGTH.pack(len(text))], [*streams, connection.fileno()])
                channel.sendall(text)
            except BrokenPipeError:
                with suppress(BrokenPipeError):
                    connection.sendall(STATUS.pack(REFUSED))
            for stream in streams:
                os.close(stream)
    for channel, process in warm.values():
        channel.close()
        process.wait()
    shutil.rmtree(Path(address).parent, ignore_errors=True)


def warm_up(kind: str, number: int) -> dict[str, Any]:
    """Import the libraries of a kind and fork a process for each call; return the call in each of these.

    This process never returns: it ends with the server.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in LIBRARIES[kind]:
        importlib.import_module(library)
    threads = {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")}
    # A forked process has one thread. The allocator of PyArrow knows that, and starts its own again.
    assert threads == {Path("/proc/self/comm").read_text().strip()} | threads & {"jemalloc_bg_thd"}, threads
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=number)
    awake, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    calls_come = True
    while calls_come or running:
        ready = select.select([channel, awake, *running.values()][not calls_come :], [], [])[0]
        if awake in ready:
            awake.recv(1000)
            for pid in list(running):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with running.pop(pid) as connection, suppress(OSError):
                        connection.sendall(STATUS.pack(os.waitstatus_to_exitcode(status)))
        for pid, connection in list(running.items()):
            if connection in ready:
                numbers = b""
                with suppress(OSError):
                    numbers = connection.recv(100)
                for number in numbers or [signal.SIGKILL]:
                    os.kill(pid, number)
                if not numbers:  # its caller is gone
                    running.pop(pid).close()
                    os.waitpid(pid, 0)
        if channel in ready:
            received = receive(channel, 4)
            if received is None:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                os._exit(0)
            if not received[0]:
                calls_come = False
                channel.close()
                continue
            call, (*streams, connection) = received
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for other in (channel, awake, waking, *running.values()):
                    other.close()
                os.close(connection)
                for place, stream in enumerate(streams):
                    os.dup2(stream, place)
                    os.close(stream)
                return call
            running[pid] = socket.socket(fileno=connection)
            for stream in streams:
                os.close(stream)
    os._exit(0)


def like(stream: io.TextIOWrapper, place: int) -> io.TextIOWrapper:
    """Return a stream as Python opens it at its start. The one of before still takes what is behind it for another."""
    raw = io.FileIO(place, stream.buffer.mode, closefd=False)
    buffer = io.BufferedReader(raw) if raw.readable() else raw if UNBUFFERED else io.BufferedWriter(raw)
    line_by_line = {"line_buffering": raw.isatty() or stream is sys.stderr, "write_through": UNBUFFERED}
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, **line_by_line)


def become(call: dict[str, Any], path: str) -> Callable[[], Any]:
    """Make this process that of a call, and return what is to be run in it."""
    with suppress(OSError):  # of another session
        os.setpgid(0, call["group"])
    sys.stdin, sys.stdout, sys.stderr = (like(stream, place) for place, stream in enumerate(STREAMS))
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    tempfile.tempdir = None
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if "torch" in sys.modules and threads.isdigit():
        sys.modules["torch"].set_num_threads(int(threads))
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    words = call["words"]
    if call["kind"] == "snakemake":
        sys.executable = path  # so that its jobs are served, too
        sys.argv, sys.orig_argv = words[1:], [path, *words]
        sys.path.insert(0, call["first"])
        return partial(runpy.run_module, "snakemake", run_name="__main__", alter_sys=True)
    sys.argv, sys.orig_argv = words, [sys.executable, *words]
    sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = words[0]
    return partial(exec, compile(Path(words[0]).read_bytes(), words[0], "exec"), vars(main))


def run(work: Callable[[], Any]) -> NoReturn:
    """Work, and end as Python does after a script, but for the memory, which is the system's to free."""
    status, interrupted = 0, False
    try:
        work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if not isinstance(error.code, int | None):
            print(error.code, file=sys.stderr)
    except BaseException as error:
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
        sys.excepthook(type(error), error, error.__traceback__.tb_next)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3])
    else:
        del sys.path[0]  # the folder of this file
        run(become(warm_up(sys.argv[2], int(sys.argv[3])), sys.argv[4]))
