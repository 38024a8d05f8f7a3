"""One job a device: a file lock that holds between Snakemake processes, checkouts and orphans of one user."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def gpu_lock(device: str) -> Iterator[None]:
    """Hold the lock of a device; wait for it where another job has it.

    The operating system frees the lock when its holder dies, however it dies. ``MEDSCALE_LOCK_DIR`` moves the lock
    files from the temporary folder.

    Args:
        device: what tells the device from others on this machine, such as the UUID of a GPU.
    """
    folder = Path(os.environ.get("MEDSCALE_LOCK_DIR", tempfile.gettempdir()))
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"medscale-{os.getuid()}-{device}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for the device: another job holds {lock.lock_file}", flush=True)
        lock.acquire()
    taken = datetime.now(UTC)
    try:
        yield
    finally:
        print(f"device {device}: held from {taken.isoformat()} to {datetime.now(UTC).isoformat()}", flush=True)
        lock.release()
