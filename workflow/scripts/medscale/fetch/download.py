"""Fetching a repository's files into a folder: enough disk, another try where it may help, and a clear end if not."""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from medscale.base.credentials import split_address
from medscale.base.disk import full_disk_named, require_space
from medscale.base.errors import UserError
from medscale.base.progress import MIB, Progress
from medscale.base.safe_names import colliding, unsafe
from medscale.base.scarcity import full_disk
from medscale.fetch.hub import Hub, Listing, Repository, TransferError, connect
from medscale.fetch.manifest import BOOKKEEPING
from medscale.fetch.proxies import proxy_for

LISTING_PATIENCE = 30.0  # seconds after which an unreachable hub is not asked again
CODE = (
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".npy",
    ".py",
    ".pyc",
    ".so",
    ".sh",
    ".dll",
    ".exe",
)
"""Endings of what runs, or unpickles, when it is read; never fetched, whoever asks for it."""
Result = TypeVar("Result")


def fetch(
    repository: Repository,
    folder: Path,
    choose: Callable[[list[str]], list[str]],
    attempts: int = 3,
    wait: float = 3.0,
    first: tuple[str, Callable[[Path], None]] | None = None,
) -> Listing:
    """Download files of a repository into ``folder``, continuing what an earlier call began.

    Parameters
    ----------
    repository : what to fetch; `hub.prepare_client` was called for its source.
    folder : where the files go; it may hold what an earlier fetch of the same files left, and nothing else.
    choose : gets the paths on offer and returns those to download.
    attempts : how often in a row a step may fail for a temporary reason without a byte arriving; default 3.
    wait : seconds before the second attempt, twice as many before the third, and so on; default 3.
    first : a file that is fetched before the others, and what then looks at the folder and may raise `UserError`.

    Returns the listing, of the downloaded files only. Raises `UserError` that names the source, the repository, what
    failed and what to do.
    """
    hub = connect(repository)
    folder.mkdir(parents=True, exist_ok=True)
    listing = _persist(hub, hub.list_files, folder, attempts, wait, LISTING_PATIENCE)
    wanted = set(choose([file.path for file in listing.files]))
    listing = replace(listing, files=[file for file in listing.files if file.path in wanted])
    _refuse_names(hub, wanted)
    _refuse_strangers(folder, wanted)
    _check_space(hub, folder, listing)
    if first:
        alone = replace(listing, files=[file for file in listing.files if file.path == first[0]])
        _persist(hub, lambda: hub.download(alone, folder), folder, attempts, wait)
        first[1](folder)
    size = sum(file.size for file in listing.files)
    arrived = Progress(
        *(f"fetching {repository.id}", round(size / MIB), "MiB"),
        done=_bytes_below(folder) // MIB,
        measure=lambda: _bytes_below(folder) // MIB,
        shown=not sys.stderr.isatty(),  # there the client has bars of its own
    )
    with full_disk_named(folder, f"{repository.id}", size), arrived:
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
            # ModelScope's client gathers the errors of several files.
            for reason in (error, *getattr(error, "failed_files", {}).values()):
                if full_disk(reason):  # no hub is to blame, and no other try helps
                    raise reason from None
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
    proxy, host = proxy_for(hub.endpoint), urlsplit(hub.endpoint).hostname
    way = f" through the proxy {proxy.shown} ({proxy.variable})" if proxy else ""
    first = f"Check the proxy, or add {host} to NO_PROXY to go without; check" if proxy else "Check"
    return (
        f"{source}, {hub.repository.id}, at {split_address(hub.endpoint)[1]}{way}: {failure}. "
        f"{first} {kind}.id and {kind}.revision; "
        f"or set {kind}.endpoint to a mirror such as https://{mirror}; or set {kind}.source: {other}; "
        f"or fetch the files by hand and set {kind}.source: {by_hand} and {kind}.path"
    )


def _refuse_names(hub: Hub, wanted: set[str]) -> None:
    """Raise `UserError` if a file that was chosen could hold code, or would not lie where its name says."""
    where = f"{hub.repository.source}, {hub.repository.id}"
    for name in sorted(wanted):
        reason = "such a file can hold code" if name.lower().endswith(CODE) else unsafe(name)
        if reason:
            raise UserError(
                "F115", f"{where}: offers a file {name!r}, and {reason}; nothing was fetched. Choose another source"
            )
    if twins := colliding(wanted):
        raise UserError(
            "F115",
            f"{where}: offers {twins[0]!r} and {twins[1]!r}, which are one file on some systems; nothing was fetched. "
            "Choose another source",
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
    require_space(folder, needed, "the download", "point paths.resources to a larger disk")


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a partial file took its name meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total
