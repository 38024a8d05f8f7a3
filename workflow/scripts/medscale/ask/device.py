"""The card, or the CPU, for as long as questions are asked; a study that computes on it is not disturbed. No torch."""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

from filelock import FileLock, Timeout

from medscale.base.cards import VISIBLE, Card, cores, leased_cards, lock_file, visible_cards
from medscale.base.errors import UserError


@contextmanager
def leased(wait: bool) -> Iterator[None]:
    """Take a card, or the CPU where there is none; what is said of it goes where messages go, not among the answers.

    Args:
        wait: wait while other jobs hold all of them.

    Raises:
        UserError: all are held by jobs of this user, and ``wait`` is false.
    """
    if not wait:
        require_free()
    with ExitStack() as held:
        with redirect_stdout(sys.stderr):
            held.enter_context(leased_cards())
        try:
            yield
        finally:
            with redirect_stdout(io.StringIO()):  # how long it was held is for the log of a job
                held.close()


def require_free() -> None:
    """Raise `UserError` if other jobs of this user hold every card, or a core of the CPU where there is none."""
    cards = visible_cards()
    if any(map(_is_free, cards)) or (not cards and all(map(_is_free, cores()))):
        return
    otherwise = f', or ask on the CPU, which is slow: {VISIBLE}="" make ask …' if cards else ""
    what = "every card" if len(cards) > 1 else "the card" if cards else "the CPU"
    raise UserError(
        "K110",
        f"{what} is in use by a job of a study; wait until it has ended, or let this wait for it (--wait, with make "
        f"WAIT=1){otherwise}",
    )


def _is_free(place: Card) -> bool:
    lock = FileLock(lock_file(place.name))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True
