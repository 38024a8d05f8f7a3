"""What the machine and the software are, for stages that use no model: no torch, no GPU."""

from __future__ import annotations  # envs/install.py is called by older Pythons too

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

GIB = 1024**3


def cpu_hardware() -> dict[str, Any]:
    """Return what the machine is, in the keys that eval.json has; what only a GPU has is null."""
    return {
        "device": "cpu",
        "gpu_model": None,
        "cuda": None,
        "driver": None,
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 2),
    }


def cpu_model() -> str:
    """Return the processor's name as Linux tells it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Return the versions of Python and of ``packages``; null for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        found[package] = None
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
