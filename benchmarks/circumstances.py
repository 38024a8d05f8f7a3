"""When, where and with which versions and command a benchmark ran, and how a figure of several rounds is told."""

import os
import platform
import shlex
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.base.machine import cpu_hardware, versions


def circumstances(packages: Iterable[str]) -> dict[str, Any]:
    """Return date, machine, versions and command; take it before the measurement, for the load of the machine."""
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {
            **cpu_hardware(),
            "system": platform.platform(),
            "load_average_before": round(os.getloadavg()[0], 2),
        },
        "versions": versions(packages),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(shlex.quote, sys.argv[1:])]),
    }


def load_average() -> float:
    """Return how many processes want to run, over the last minute."""
    return round(os.getloadavg()[0], 2)


def told(result: dict[str, Any]) -> str:
    """Return the line under a table: machine, versions, date and load."""
    machine = result["machine"]
    numbers = ", ".join(f"{name} {number}" for name, number in result["versions"].items() if number)
    load = f"load {machine['load_average_before']} before, {result['load_average_after']} after"
    return f"{machine['cpu']}, {machine['cores']} cores, {load}; {numbers}; {result['measured_at']}"


def median(values: Sequence[float], digits: int = 3) -> float:
    """Return the median, rounded."""
    return round(statistics.median(values), digits)


def peak_resident_gib() -> float:
    """Return the most memory that this process has had resident, in GiB.

    Linux keeps it a memory map, which is new after exec; the resource usage of a process counts its parent's too.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024**2, 3)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3, 3)
