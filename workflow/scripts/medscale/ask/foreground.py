"""Ctrl+C in a terminal is for who asks, and not for the `make` that started it. No torch."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreground() -> Iterator[None]:
    """Be the one that the terminal's Ctrl+C reaches, where another program, such as make, leads the group.

    Make would take it for the end of everything: it tells so and exits with an error, even where the answer alone was
    to stop. Ctrl+Z is off meanwhile, because make would wait for a stopped child forever.
    """
    if not _led_by_another():
        yield
        return
    leader, former = os.getpgrp(), {number: signal.getsignal(number) for number in (signal.SIGTTOU, signal.SIGTSTP)}
    for number in former:
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(0, leader)
        for number, handler in former.items():
            signal.signal(number, handler)


def _led_by_another() -> bool:
    """Return whether this process has the terminal together with one that leads it."""
    return sys.stdin.isatty() and os.getpgrp() not in (os.getpid(), 0) and os.tcgetpgrp(0) == os.getpgrp()
