"""Fetching a repository's files into a folder: enough disk, another try where it may help, and a clear end if not."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from medscale.base.errors import UserError
from medscale.fetch.hub import Hub, Listing, Repository, TransferError, connect
from medscale.fetch.manifest import BOOKKEEPING

LISTING_PATIENCE = 30.0  # seconds after which an unreachable hub is not asked again
GIB = 2**30
Result = TypeVar("Result")


def fetch(
    repository: Repository,
    folder: Path,
    choose: Callable[[list[str]], list[str]],
    attempts: int = 3,
    wait: float = 3.0,
) -> Listing:
    """Download files of a repository into ``folder``, continuing what an earlier call began.

    Parameters
    ----------
    repository : what to fetch; `hub.prepare_client` was called for its source.
    folder : where the files go; it may hold what an earlier fetch of the same files left, and nothing else.
    choose : gets the paths on offer and returns those to download.
    attempts : how often in a row a step may fail for a temporary reason without a byte arriving; default 3.
    wait : seconds before the second attempt, twice as many before the third, and so on; default 3.

    Returns the listing, of the downloaded files only. Raises `UserError` that names the source, the repository, what
    failed and what to do.
    """
    hub = connect(repository)
    folder.mkdir(parents=True, exist_ok=True)
    listing = _persist(hub, hub.list_files, folder, attempts, wait, LISTING_PATIENCE)
    wanted = set(choose([file.path for file in listing.files]))
    listing = replace(listing, files=[file for file in listing.files if file.path in wanted])
    _refuse_strangers(folder, wanted)
    _check_space(hub, folder, listing)
    _persist(hub, lambda: hub.download(listing, folder), folder, attempts, wait)
    shutil.rmtree(folder / BOOKKEEPING, ignore_errors=True)
    return listing


def _persist(
    hub: Hub,
    step: Callable[[], Result],
    folder: Path,
    attempts: int,
    wait: float,
    patience: float = float("inf"),
) -> Result:
    """Call ``step`` until it works, fails for good, or has failed ``attempts`` times without a byte arriving."""
    began, failures = time.monotonic(), 0
    while True:
        before = _bytes_below(folder)
        try:
            return step()
        except TransferError as error:
            failure = error
        except hub.raises as error:
            failure = hub.explain(error)
        failures = 1 if _bytes_below(folder) > before else failures + 1
        if not failure.temporary or failures >= attempts or time.monotonic() - began > patience:
            raise UserError("F101", _advice(hub, failure)) from failure
        print(f"{hub.repository.id}: {failure}; trying again in {wait * failures:g} s", file=sys.stderr, flush=True)
        time.sleep(wait * failures)


def _advice(hub: Hub, failure: TransferError) -> str:
    source, kind = hub.repository.source, hub.repository.kind
    other, mirror = ("modelscope", "hf-mirror.com") if source == "huggingface" else ("huggingface", "www.modelscope.ai")
    by_hand = "local" if kind == "model" else "file"
    return (
        f"{source}, {hub.repository.id}, at {hub.endpoint}: {failure}. Check {kind}.id and {kind}.revision; "
        f"or set {kind}.endpoint to a mirror such as https://{mirror}; or set {kind}.source: {other}; "
        f"or fetch the files by hand and set {kind}.source: {by_hand} and {kind}.path"
    )


def _refuse_strangers(folder: Path, wanted: set[str]) -> None:
    """Raise `UserError` if the folder holds other files, which a loader could take for part of the model."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    visible = [name.as_posix() for name in names if not name.parts[0].startswith(".") and name.name != "manifest.json"]
    strangers = sorted(name for name in visible if not name.startswith(tuple(wanted)))
    if strangers:
        raise UserError(
            "F102",
            f"{folder}: holds files that are not of this repository ({', '.join(strangers[:5])}); "
            f"delete them, or the folder, and run again",
        )


def _check_space(hub: Hub, folder: Path, listing: Listing) -> None:
    needed = 0
    for file in listing.files:
        here = [path for path in (folder / file.path, hub.partial(folder, file)) if path.is_file()]
        needed += max(0, file.size - sum(path.stat().st_size for path in here))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            "F103",
            f"{folder}: the download needs {needed / GIB:.1f} GiB and {free / GIB:.1f} GiB are free there; "
            f"free some space, or point paths.resources to a larger disk",
        )


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
