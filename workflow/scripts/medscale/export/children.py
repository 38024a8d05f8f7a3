"""One part of an export in a process of its own, whose memory is free again when it ends. No torch."""

import os
import signal
import subprocess
import sys
import threading
import time

from medscale.base.errors import UserError

PARENT = "MEDSCALE_EXPORTER"
"""Set by us for the processes of the parts, with the number of the one that has the lease of the card."""
POLL = 0.5


def run_part(name: str, *details: str) -> None:
    """Run this very command for one part alone, on the card that this process has.

    Who is asked to end asks the part to, and waits: the card is not free before it is gone.

    Args:
        name: of the part, as ``--part`` takes it.
        details: what the part is told besides.

    Raises:
        UserError: it failed; it has told why.
    """
    command = [sys.executable, *sys.argv, "--part", name, *details]
    process = subprocess.Popen(command, env=os.environ | {PARENT: str(os.getpid())})
    before = {
        number: signal.signal(number, lambda *_: process.terminate())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        raise UserError(
            "G106",
            f"the part {name} of this export failed; what it said stands above. The parts that were made before it are "
            "kept, and the same command goes on from them",
        )


def end_with_parent() -> None:
    """End this process when the one that started it as a part is gone; called by hand, it has none."""
    if PARENT not in os.environ:
        return
    parent = int(os.environ[PARENT])

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
