"""The cards of this machine: which of them a job may take, and taking them, one job a card.

No torch: CUDA reads which cards are visible once, when it starts, and some libraries start it when they are imported.
So a card is taken before any of them is. What is known of cards comes from NVML, the driver's own library.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pynvml
from filelock import FileLock, Timeout

from medscale.base.errors import UserError
from medscale.base.parallel import available_cores

VISIBLE = "CUDA_VISIBLE_DEVICES"
PROC = Path("/proc/driver/nvidia")
FULL = 0.5
"""A card of whose memory more than this share is in use is passed over, while another may come free."""
PATIENCE = 15.0
"""Seconds after which a card that others fill is taken nevertheless, where no job of ours will free one."""
POLL = 0.5
ALLOCATOR = "expandable_segments:True"
"""For torch's allocator: memory that rows of one length leave can then be used for another."""


class Card(NamedTuple):
    """A card, or a slice of one.

    Attributes:
        name: as CUDA_VISIBLE_DEVICES takes it: the UUID (GPU-… or MIG-…), or an index where NVML does not answer.
        model: what it is called; None where that is not known.
        used: share of its memory that is in use; 0 where that is not known.
    """

    name: str
    model: str | None = None
    used: float = 0.0


def visible_cards() -> list[Card]:
    """Return the cards that this process may use.

    ``CUDA_VISIBLE_DEVICES`` is read as CUDA reads it: indices in the order of the PCI bus, UUIDs or beginnings of them,
    MIG slices; what follows the first name that no card has is ignored, and an empty one hides every card.
    """
    cards = _cards()
    asked = os.environ.get(VISIBLE)
    if asked is None:
        return [part for parts in cards for part in parts]
    found: list[Card] = []
    for word in asked.split(","):
        card = _named(word.strip(), cards)
        if card is None or card in found:
            break
        found.append(card)
    return found


def _named(word: str, cards: list[list[Card]]) -> Card | None:
    if word.isdecimal():
        return cards[int(word)][0] if int(word) < len(cards) else None
    if not word.startswith(("GPU-", "MIG-")):
        return None
    found = [part for parts in cards for part in parts if part.name.startswith(word)]
    if word.startswith("MIG-") and not found:
        return Card(word)  # older drivers name slices in another way
    return found[0] if len(found) == 1 else None


def _cards() -> list[list[Card]]:
    """Return all cards, each as its MIG slices or, without such, as itself."""
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [[_card(part) for part in _slices(handle)] for handle in handles]
    except pynvml.NVMLError:
        return [[Card(str(index))] for index, _ in enumerate(PROC.glob("gpus/*"))]


def _slices(handle: Any) -> list[Any]:
    found = []
    with suppress(pynvml.NVMLError):  # most cards know no MIG
        if pynvml.nvmlDeviceGetMigMode(handle)[0]:
            for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with suppress(pynvml.NVMLError):  # a place without a slice
                    found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
    return found or [handle]


def _card(handle: Any) -> Card:
    used = 0.0
    with suppress(pynvml.NVMLError):  # cards with memory of the machine's own do not tell
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        used = memory.used / memory.total
    return Card(pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle), used)


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, such as 550.54.15; None where there is none or it is not known."""
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return pynvml.nvmlSystemGetDriverVersion()
    version = PROC / "version"
    if version.is_file():
        for word in version.read_text(encoding="utf-8", errors="replace").split():
            if word.replace(".", "").isdecimal() and "." in word:
                return word
    return None


def cores() -> list[Card]:
    """Return the cores of the CPU, which are taken where there are no cards; no job is bound to those it takes."""
    return [Card("cpu"), *(Card(f"cpu-{number}") for number in range(1, available_cores()))]


@contextmanager
def leased_cards(count: int = 1, threads: int | None = None) -> Iterator[list[Card]]:
    """Take cards that no other job of this user has, and hide all others from this process; wait while there are none.

    The first free cards are taken, all or none. One that others fill is passed over. On a machine without cards as many
    cores of the CPU are taken as the job has threads, so that jobs beside each other do not slow each other down. The
    operating system frees a card when its holder dies, however it dies. To be called before torch is imported.
    ``MEDSCALE_LOCK_DIR`` moves the lock files from the temporary folder.

    Args:
        count: how many cards the job computes on.
        threads: how many threads it has where it computes on the CPU; None takes the whole of it.

    Yields:
        The cards; none where the CPU was taken.

    Raises:
        UserError: fewer cards are visible.
    """
    with ExitStack() as held:
        cards = _take(count, threads, held)
        names = ",".join(card.name for card in cards)
        if cards:
            os.environ[VISIBLE] = names
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
            os.environ.setdefault("PYTORCH_ALLOC_CONF", ALLOCATOR)
        taken = datetime.now(UTC)
        try:
            yield cards
        finally:
            device = names.lower() or "cpu"
            print(f"device {device}: held from {taken.isoformat()} to {datetime.now(UTC).isoformat()}", flush=True)


def _take(count: int, threads: int | None, held: ExitStack) -> list[Card]:
    began, told = time.monotonic(), False
    while True:
        visible = visible_cards()
        if 0 < len(visible) < count:
            raise UserError("B120", f"training.gpus_per_run = {count}: {len(visible)} cards are visible; lower it")
        places = visible or cores()
        wanted = count if visible else min(threads or len(places), len(places))
        free, filled, ours = [], [], []
        for card in places:
            lock = FileLock(lock_file(card.name))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                ours.append(card)
            else:
                (filled if card.used > FULL else free).append((card, lock))
            if len(free) == wanted:
                break
        patient = ours or time.monotonic() - began < PATIENCE
        chosen = (free if patient else sorted(free + filled, key=lambda taken: taken[0].used))[:wanted]
        whole = len(chosen) == wanted
        for taken in free + filled:
            if whole and taken in chosen:
                held.callback(taken[1].release)
            else:
                taken[1].release()
        if whole:
            cards = [card for card, _ in chosen] if visible else []
            for card in cards:
                if card.used > FULL:
                    print(f"device {card.name.lower()}: {card.used:.0%} of its memory is in use by others", flush=True)
            return cards
        if not told:
            print(f"waiting for the device: {_reason(ours, [card for card, _ in filled])}", flush=True)
            told = True
        time.sleep(POLL)


def lock_file(name: str) -> Path:
    """Return the file whose lock is the card's; its folder is there."""
    folder = Path(os.environ.get("MEDSCALE_LOCK_DIR", tempfile.gettempdir()))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"medscale-{os.getuid()}-{name.lower().replace('/', '-')}.lock"


def _reason(ours: list[Card], filled: list[Card]) -> str:
    reasons = [f"another job holds {lock_file(card.name)}" for card in ours]
    reasons += [f"{card.used:.0%} of the memory of {card.name} is in use by others" for card in filled]
    return ", ".join(reasons)
