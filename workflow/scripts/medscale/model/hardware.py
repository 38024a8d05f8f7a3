"""What the machine is, and how much memory and energy a piece of work took."""

import os
import re
import resource
import sys
import threading
from contextlib import suppress
from typing import Any

import torch

from medscale.base.errors import UserError
from medscale.base.machine import GIB, cpu_hardware, versions

PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "snakemake")


def use_one_device() -> None:
    """Hide all GPUs but the first visible one; call it before CUDA is used.

    A run is a matter of one card, whose lock it holds; the Trainer would take every card that it sees, for a larger
    effective batch than was asked for.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def device() -> torch.device:
    """Return the first visible CUDA device, or the CPU.

    Raises:
        UserError: this build of torch has no code for the card.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    capability = torch.cuda.get_device_capability(0)
    if not supported(capability, torch.cuda.get_arch_list()):
        raise UserError(
            f"{torch.cuda.get_device_name(0)} has compute capability {capability[0]}.{capability[1]}, and torch "
            f"{torch.__version__} was built for {', '.join(torch.cuda.get_arch_list())} only; install a build of torch "
            "for an older CUDA, as pytorch.org tells"
        )
    return torch.device("cuda", 0)


def supported(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Return whether a build for ``architectures`` (sm_75, compute_120, …) runs on a card, newer ones included."""
    numbers = [int(digits[1]) for name in architectures if (digits := re.search(r"_(\d+)", name))]
    return not numbers or capability[0] * 10 + capability[1] >= min(numbers)


def device_id() -> str:
    """Return what tells the device from others on this machine: the UUID of a GPU, or ``cpu``.

    Not the index, because inside a cluster job every card may be number 0.
    """
    return f"gpu-{torch.cuda.get_device_properties(0).uuid}" if torch.cuda.is_available() else "cpu"


def rows_a_pass(asked: int | str = "auto") -> int:
    """Return how many rows of full length a forward pass of training takes.

    ``auto`` is 4 on a card. On a CPU it is 1: the matrix products are no faster with more, and what lies between them
    leaves the caches.
    """
    if asked != "auto":
        return int(asked)
    return 1 if device().type == "cpu" else 4


def card_gib() -> float:
    """Return all memory of the card in GiB."""
    return torch.cuda.get_device_properties(0).total_memory / GIB


def free_gib() -> float:
    """Return what of the card's memory this process can have: what is free, and what it holds itself, in GiB."""
    free, _ = torch.cuda.mem_get_info()
    return (free + torch.cuda.memory_reserved()) / GIB


def hardware() -> dict[str, Any]:
    """Return what the machine is, for provenance; null where there is no such thing."""
    properties = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return cpu_hardware() | {
        "device": device().type,
        "gpu_model": properties.name if properties else None,
        "gpu_memory_gib": round(properties.total_memory / GIB, 2) if properties else None,
        "compute_capability": f"{properties.major}.{properties.minor}" if properties else None,
        "cuda": torch.version.cuda if properties else None,
        "driver": _driver() if properties else None,
        "torch_threads": torch.get_num_threads(),
    }


def software() -> dict[str, str | None]:
    """Return the versions that a result depends on; null for a package that is not installed."""
    return versions(PACKAGES)


class MemoryMeter:
    """Peak memory in GiB: CUDA's allocated and reserved bytes, or the process's resident peak on a CPU."""

    def __init__(self) -> None:
        self.cuda = torch.cuda.is_available()
        self.kind = "cuda" if self.cuda else "resident set of the process (CPU)"

    def restart(self) -> None:
        """Begin a new phase. A process's resident peak cannot be reset, so on a CPU phases share one peak."""
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()

    def allocated(self) -> float:
        """Return the peak since `restart`."""
        if self.cuda:
            return round(torch.cuda.max_memory_allocated() / GIB, 3)
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB, 3)

    def reserved(self) -> float | None:
        """Return what the caching allocator held at most; null on a CPU, which has no such thing."""
        return round(torch.cuda.max_memory_reserved() / GIB, 3) if self.cuda else None


class EnergyMeter:
    """Energy of the GPU in kWh, by NVML's counter or by its power readings once a second.

    Use as a context manager around the work.
    """

    def __enter__(self) -> "EnergyMeter":
        self._handle, self._integral = _nvml_handle(), None
        self._start = self._counter()
        if self._handle is not None and self._start is None:  # before Volta (a P100, say) there is no counter
            self._integral = _PowerIntegral(self._handle)
            self._integral.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._integral:
            self._integral.stopped.set()

    def so_far(self) -> float | None:
        """Return the energy since the work began; None where there is no NVIDIA driver or it measures none."""
        if self._integral:
            return self._integral.joules / 3.6e6 if self._integral.joules else None
        now = self._counter()
        return None if now is None or self._start is None else (now - self._start) / 3.6e9

    def _counter(self) -> int | None:
        """Return NVML's energy counter in millijoules."""
        if self._handle is None:
            return None
        import pynvml

        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except pynvml.NVMLError:
            return None


class _PowerIntegral(threading.Thread):
    """Adds up the power of a card, read once a second; stays at 0 where the card does not tell it."""

    def __init__(self, handle: Any):
        super().__init__(daemon=True)
        self.handle, self.joules, self.stopped = handle, 0.0, threading.Event()

    def run(self) -> None:
        import pynvml

        with suppress(pynvml.NVMLError):
            while not self.stopped.wait(1.0):
                self.joules += pynvml.nvmlDeviceGetPowerUsage(self.handle) / 1000


def _nvml_handle() -> Any:
    """Return NVML's handle of the device that torch uses, or None where there is no NVIDIA driver."""
    if not torch.cuda.is_available():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    except pynvml.NVMLError:
        return None


def _driver() -> str | None:
    import pynvml

    return pynvml.nvmlSystemGetDriverVersion() if _nvml_handle() is not None else None
