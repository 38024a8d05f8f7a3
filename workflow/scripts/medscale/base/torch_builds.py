"""Which build of torch a card and its driver need. Python's own library alone: the set-up asks before it installs."""

from __future__ import annotations  # envs/install.py is called by older Pythons too

from typing import NamedTuple

INDEX = "https://download.pytorch.org/whl/{label}"


class Build(NamedTuple):
    """A build of the torch version that requirements.lock names.

    Attributes:
        label: of the index that has it; empty for the build that pip finds by itself.
        cuda: the CUDA that it was built for.
        driver: the oldest driver's first number on Linux (NVIDIA, CUDA compatibility guide).
        capability: the least compute capability that it has code for.
    """

    label: str
    cuda: str
    driver: int
    capability: tuple[int, int]


BUILDS = (Build("", "13.0", 580, (7, 5)), Build("cu126", "12.6", 525, (5, 0)))
"""The preferred one first."""


def build_for(driver: str | None, capability: tuple[int, int] | None = None) -> Build | None:
    """Return the first build that a machine can use; None where its driver is too old for all of them.

    Args:
        driver: version of the driver, such as 550.54.15; None where it is not known, which rules nothing out.
        capability: compute capability of the card; default None, not known.
    """
    for build in BUILDS:
        new_enough = driver is None or major(driver) >= build.driver
        if new_enough and (capability is None or capability >= build.capability):
            return build
    return None


def major(driver: str) -> int:
    """Return a driver's first number."""
    return int(driver.split(".")[0])


def how_to_install(build: Build | None) -> str:
    """Return in words how a machine gets this build, from the project's folder."""
    if build is None:
        return f"update the driver to {BUILDS[0].driver} or newer"
    index = f" --extra-index-url {INDEX.format(label=build.label)}" if build.label else ""
    return f"install torch's build for CUDA {build.cuda}: pip install --force-reinstall -r requirements.lock{index}"
