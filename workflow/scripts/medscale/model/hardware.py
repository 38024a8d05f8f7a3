"""What the machine is, and how much memory and energy a piece of work took."""

import re
import resource
import sys
import threading
from contextlib import suppress
from typing import Any

import torch

from medscale.base.cards import VISIBLE, Card, driver_version, visible_cards
from medscale.base.errors import UserError
from medscale.base.machine import GIB, cpu_hardware, versions
from medscale.base.torch_builds import BUILDS, build_for, how_to_install, major

PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "snakemake")

ROOM = 0.9
"""Share of a card's memory that is planned for; the rest is the CUDA context, workspaces and fragments."""


def device() -> torch.device:
    """Return the first visible CUDA device, or the CPU of a machine without one.

    Raises:
        UserError: this build of torch cannot use the card that is there, or has no code for it.
    """
    if not torch.cuda.is_available():
        if cards := visible_cards():
            raise unusable(cards[0], driver_version(), torch.version.cuda, torch.__version__)
        return torch.device("cpu")
    capability = torch.cuda.get_device_capability(0)
    if not supported(capability, torch.cuda.get_arch_list()):
        raise UserError(
            "B133",
            f"{torch.cuda.get_device_name(0)} has compute capability {capability[0]}.{capability[1]}, and torch "
            f"{torch.__version__} was built for {', '.join(torch.cuda.get_arch_list())} only; "
            f"{how_to_install(build_for(driver_version(), capability))}",
        )
    return torch.device("cuda", 0)


def unusable(card: Card, driver: str | None, cuda: str | None, version: str) -> UserError:
    """Return the error that tells why torch does not see a card that the driver knows, and what to do.

    Args:
        card: the card.
        driver: version of the NVIDIA driver, or None where it does not tell.
        cuda: the CUDA that this torch was built for; None for a build for CPUs.
        version: torch's version.
    """
    there = f"{card.model or 'a card'} is here (driver {driver or 'unknown'}), and torch {version} cannot use it"
    on_cpu = f'to compute on the CPU nevertheless, set {VISIBLE}=""'
    if cuda is None:
        return UserError("B130", f"{there}: it is a build for CPUs; {how_to_install(build_for(driver))}; {on_cpu}")
    needed = next((build.driver for build in BUILDS if build.cuda.split(".")[0] == cuda.split(".")[0]), None)
    if needed and driver and major(driver) < needed:
        build = build_for(driver)
        update = "" if build is None else ", or update the driver"
        return UserError(
            "B131", f"{there}: CUDA {cuda} needs driver {needed} or newer; {how_to_install(build)}{update}; {on_cpu}"
        )
    return UserError(
        "B132",
        f"{there}; `python -c 'import torch; torch.cuda.init()'` tells why. Often the driver was updated and the "
        f"machine not restarted, or a container was started without its cards; {on_cpu}",
    )


def supported(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Return whether a build for ``architectures`` (sm_75, compute_120, …) runs on a card, newer ones included."""
    numbers = [int(digits[1]) for name in architectures if (digits := re.search(r"_(\d+)", name))]
    return not numbers or capability[0] * 10 + capability[1] >= min(numbers)


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
