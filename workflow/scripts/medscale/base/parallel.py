"""Work on pieces of a stream in several processes, with the results in the order of the pieces."""

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from medscale.base.errors import UserError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

# A stream of so few pieces is done before a second process has started.
_FEW = 8
# Pieces that wait, for each process: enough that none is idle, and few, since each is held in memory.
_AHEAD = 2


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batched(items: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    """Yield lists of ``size`` items, the last one perhaps shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def ordered_map(function: Callable[[Piece], Result], pieces: Iterable[Piece], processes: int) -> Iterator[Result]:
    """Yield ``function(piece)`` for each piece, in order, with a bounded number of pieces in memory.

    The processes are spawned, not forked, because the libraries that they use have threads.

    Parameters
    ----------
    function : a function that can be pickled; its result depends on the piece alone.
    pieces : read as they are needed.
    processes : how many work; 1 works in this process.
    """
    pieces = iter(pieces)
    first = list(itertools.islice(pieces, 1 if processes == 1 else _FEW))
    if processes == 1 or len(first) < _FEW:
        while first:
            yield function(first.pop(0))
        yield from map(function, pieces)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare_worker) as pool:
        waiting: deque = deque()
        try:
            for piece in itertools.chain(first, pieces):
                waiting.append(pool.submit(function, piece))
                if len(waiting) > processes * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "B110",
                "a worker process was killed, most likely for lack of memory; free some, or run with --threads 1",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    # The libraries of a worker need no thread for each core: the workers are that already.
    os.environ["RAYON_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the process that it works for was killed; it would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
