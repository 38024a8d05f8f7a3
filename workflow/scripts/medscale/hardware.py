"""What the machine is, which precision it should use, and how much memory and energy a piece of work took."""

import importlib.metadata
import os
import platform
import resource
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

GIB = 1024**3
PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "snakemake")


def device() -> torch.device:
    """Return the first visible CUDA device, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_id() -> str:
    """Return what tells the device from others on this machine: the UUID of a GPU, or ``cpu``.

    Not the index, because inside a cluster job every card may be number 0.
    """
    return f"gpu-{torch.cuda.get_device_properties(0).uuid}" if torch.cuda.is_available() else "cpu"


def precision(asked: str = "auto") -> str:
    """Return ``bf16``, ``fp16`` or ``fp32``.

    ``auto`` goes by compute capability (bf16 from 8.0, fp16 below) and not by ``torch.cuda.is_bf16_supported()``, which
    answers yes on a T4, where bf16 is emulated at a tenth of the speed. On a CPU it is fp32.
    """
    if asked != "auto":
        return asked
    if device().type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(0) >= (8, 0) else "fp16"


def torch_dtype(name: str) -> torch.dtype:
    """Return the torch type of `precision`'s answer."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[name]


def hardware() -> dict[str, Any]:
    """Return what the machine is, for provenance; null where there is no such thing."""
    properties = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "device": device().type,
        "gpu_model": properties.name if properties else None,
        "gpu_memory_gib": round(properties.total_memory / GIB, 2) if properties else None,
        "compute_capability": f"{properties.major}.{properties.minor}" if properties else None,
        "cuda": torch.version.cuda if properties else None,
        "driver": _driver() if properties else None,
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 2),
    }


def software() -> dict[str, str | None]:
    """Return the versions that a result depends on; null for a package that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = None
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


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
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, 3)

    def reserved(self) -> float | None:
        """Return what the caching allocator held at most; null on a CPU, which has no such thing."""
        return round(torch.cuda.max_memory_reserved() / GIB, 3) if self.cuda else None


class EnergyMeter:
    """Energy of the GPU in kWh, by NVML's counter or by its power readings once a second; null without NVML.

    Use as a context manager around the work.
    """

    def __init__(self) -> None:
        self.kwh: float | None = None
        self._stop = threading.Event()

    def __enter__(self) -> "EnergyMeter":
        self._handle = _nvml_handle()
        if self._handle is None:
            return self
        import pynvml

        try:
            self._start = pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
            self._thread = None
        except pynvml.NVMLError:  # before Volta (a P100, say) there is no counter: integrate the power instead
            self._start, self._joules = None, 0.0
            self._thread = threading.Thread(target=self._integrate, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is None:
            return
        import pynvml

        if self._thread:
            self._stop.set()
            self._thread.join()
            self.kwh = round(self._joules / 3.6e6, 6)
        else:
            millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) - self._start
            self.kwh = round(millijoules / 3.6e9, 6)

    def _integrate(self) -> None:
        import pynvml

        while not self._stop.wait(1.0):
            self._joules += pynvml.nvmlDeviceGetPowerUsage(self._handle) / 1000


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


def _cpu_model() -> str:
    """Return the processor's name as Linux tells it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
