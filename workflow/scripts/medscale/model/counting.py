"""What operators do: live bytes, floating-point operations, bytes moved, kernels launched; of fake tensors too."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

BLOCK = 512  # bytes: what CUDA's allocator rounds to
FOUR_BIT_KERNELS = 5  # of bitsandbytes' 4-bit product


class Work(NamedTuple):
    """What a device does: floating-point operations, bytes read and written, kernels launched.

    ``products`` of the operations are in matrix products, and ``product_bytes`` of the bytes.
    """

    flops: float = 0.0
    bytes: float = 0.0
    product_bytes: float = 0.0
    launches: float = 0.0

    def __add__(self, other: "Work") -> "Work":  # type: ignore[override]
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Work":
        """Return this work done ``factor`` times."""
        return Work(*(value * factor for value in self))


class Segment(NamedTuple):
    """A part of a step: live bytes at its start, at most, and at its end, and the work in it."""

    name: str
    start: int
    peak: int
    end: int
    work: Work


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Let garbage be looked for among new objects alone, which takes a hundredth of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Counter(TorchDispatchMode):
    """Counts what is alive of what operators have returned, and what they do.

    Attributes:
        live: bytes that are alive.
        segments: the parts that have ended.
        forward: whether no backward pass has begun yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.forward = True
        self.segments: list[Segment] = []
        self._known: set[int] = set()
        self._begun: tuple[str, int] | None = None
        self._work = [0.0, 0.0, 0.0, 0.0]

    def begin(self, name: str) -> None:
        """End the present segment, and begin one."""
        self.end()
        self.forward = self.forward and not name.startswith("backward")
        self._begun, self.peak, self._work = (name, self.live), self.live, [0.0, 0.0, 0.0, 0.0]

    def end(self) -> None:
        """End the present segment."""
        if self._begun:
            before, start = self._begun
            self.segments.append(Segment(before, start, self.peak, self.live, Work(*self._work)))
        self._begun = None

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        found = operator(*arguments, **(named or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self._add(tensor.untyped_storage())
        if self._begun:
            self._note(operator, arguments, named or {}, found)
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        if id(storage) in self._known:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._known.add(id(storage))
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, id(storage), size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size

    def _note(self, operator: Any, arguments: Any, named: Any, found: Any) -> None:
        packet = operator._overloadpacket
        name = str(packet)
        if operator.is_view or name in VIEWS or name.startswith(("prim", "aten.empty")):
            return
        tensors = [value for value in tree_leaves((arguments, named)) if isinstance(value, torch.Tensor)]
        moved = sum(_bytes(tensor) for tensor in tensors)
        moved += sum(_bytes(value) for value in tree_leaves(found) if isinstance(value, torch.Tensor))
        flops, launches = 0.0, 1
        if packet in flop_registry:
            flops = flop_registry[packet](*arguments, **named, out_val=found)
        elif name == "bitsandbytes.gemm_4bit":
            rows, columns = arguments[2]
            flops, launches = 2.0 * arguments[0].numel() * rows, FOUR_BIT_KERNELS
            moved += 4 * rows * columns  # unpacked, written and read
        for place, value in enumerate((flops, moved, moved if flops else 0.0, launches)):
            self._work[place] += value


VIEWS = {f"aten.{name}" for name in ("detach", "alias", "lift_fresh", "_unsafe_view", "reshape")}


def _bytes(tensor: torch.Tensor) -> int:
    """Return what is read of a tensor; an expanded one has fewer values than places."""
    return tensor.untyped_storage().nbytes() if 0 in tensor.stride() else tensor.numel() * tensor.element_size()
