"""The two hubs, Hugging Face and ModelScope, through their own clients: list a repository, download files of it.

A client reads the address of its hub from the environment when it is imported. So `prepare_client` comes first, and
the clients are imported inside functions.
"""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from medscale.base.credentials import split_address
from medscale.base.disk import sync_file
from medscale.base.files import sha256_file, sha256_json
from medscale.fetch.manifest import BOOKKEEPING
from medscale.fetch.proxies import is_refusal, proxy_for, settle_proxies

CLIENTS = {"huggingface": "huggingface_hub", "modelscope": "modelscope_hub"}
ENDPOINTS = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}
# Set only where the user has set nothing else.
CLIENT_SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MODELSCOPE_API_CONNECT_TIMEOUT": "5",  # seconds: without network the error must come soon
    "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1",  # `download.fetch` tries again itself
    "MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": "86400",  # seconds a file: an hour is too short for 4 GB on a slow line
}
COMMIT = re.compile("[0-9a-f]{40}")
PROXY_REFUSES = "the proxy does not take the user name and password"


@dataclass(frozen=True)
class Repository:
    """What to fetch: ``kind`` is "model" or "data"; ``revision`` None is the hub's default branch."""

    source: str
    kind: str
    id: str
    revision: str | None = None

    @property
    def type(self) -> str:
        """The hubs' own word for the kind."""
        return "dataset" if self.kind == "data" else "model"


@dataclass(frozen=True)
class HubFile:
    """A file on offer. Of small files Hugging Face states no sha256, but a git hash; ModelScope always a sha256."""

    path: str
    size: int = 0
    sha256: str | None = None
    git_sha1: str | None = None

    def matches(self, path: Path) -> bool | None:
        """Compare the file at ``path`` with what the hub states; None where it states nothing to compare with."""
        if self.sha256:
            return sha256_file(path) == self.sha256.lower()
        if self.git_sha1:
            content = path.read_bytes()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.git_sha1
        return None


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one revision, which is a commit where the hub tells it."""

    revision: str
    files: list[HubFile]
    licence: str | None = None


class TransferError(Exception):
    """A hub did not do what was asked; ``temporary`` says whether asking again may help."""

    def __init__(self, reason: str, temporary: bool = False):
        super().__init__(reason)
        self.temporary = temporary


def refuse_web_page(response: Any, **_: Any) -> None:
    """Raise `TransferError` where a page for people came in place of a hub's answer, before a client takes it for one.

    A client that asked for the rest of a file would begin anew with it, and lose what had come.
    """
    if response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferError(
            "the answer is no hub's but a web page; the network may want a log-in, or a proxy sends its own",
            temporary=True,
        )


class Hub(Protocol):
    """What fetching needs of a client. ``raises`` are the client's errors, which ``explain`` puts into plain words."""

    repository: Repository
    endpoint: str
    raises: tuple[type[Exception], ...]

    def list_files(self) -> Listing: ...

    def partial(self, folder: Path, file: HubFile) -> Path: ...

    def download(self, listing: Listing, folder: Path) -> None: ...

    def explain(self, error: Exception) -> TransferError: ...


def prepare_client(source: str, endpoint: str | None) -> None:
    """Put the settings of a hub's client into the environment, before that client is imported.

    Parameters
    ----------
    source : "huggingface" or "modelscope".
    endpoint : address of the hub or of a mirror; None leaves what the user's environment says.
    """
    if CLIENTS[source] in sys.modules:
        raise RuntimeError(f"{CLIENTS[source]} has read its settings already; call prepare_client before importing it")
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    if not sys.stderr.isatty():  # a log file needs no moving bars: `download.fetch` writes lines
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")
    if endpoint:
        address = endpoint if endpoint.startswith(("http://", "https://")) else f"https://{endpoint}"
        credentials, bare = split_address(address.rstrip("/"))
        scheme, _, rest = bare.partition("://")
        os.environ[ENDPOINTS[source]] = f"{scheme}://{credentials}@{rest}" if credentials else bare
    settle_proxies(source, os.environ.get(ENDPOINTS[source]))


def connect(repository: Repository) -> Hub:
    """Import the client of the repository's hub and return the hub."""
    return {"huggingface": HuggingFace, "modelscope": ModelScope}[repository.source](repository)


class HuggingFace:
    """The Hugging Face Hub through huggingface_hub, over plain HTTP, which every mirror speaks."""

    def __init__(self, repository: Repository):
        import httpx2
        from huggingface_hub import constants, errors, get_session

        self.repository, self.errors, self.constants = repository, errors, constants
        self.endpoint = constants.ENDPOINT
        self.connection_error, self.circle = httpx2.RequestError, httpx2.TooManyRedirects
        self.raises = (httpx2.RequestError, httpx2.InvalidURL, OSError, ValueError)
        get_session().event_hooks = get_session().event_hooks | {"response": [refuse_web_page]}

    def list_files(self) -> Listing:
        from huggingface_hub import HfApi

        info = HfApi().repo_info(
            self.repository.id,
            repo_type=self.repository.type,
            revision=self.repository.revision,
            files_metadata=True,
            timeout=self.constants.HF_HUB_DOWNLOAD_TIMEOUT,
        )
        files = [
            HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id)
            for file in info.siblings or []
        ]
        card = info.card_data or {}
        licence = card.get("license_name") or card.get("license")
        revision = info.sha or self.repository.revision or self.constants.DEFAULT_REVISION
        return Listing(revision, files, ", ".join(licence) if isinstance(licence, list) else licence)

    def partial(self, folder: Path, file: HubFile) -> Path:
        key = file.sha256 or file.git_sha1 or sha256_json([self.repository.id, self.repository.revision, file.path])
        return folder / BOOKKEEPING / f"{key}.incomplete"

    def download(self, listing: Listing, folder: Path) -> None:
        for file in listing.files:
            if not (folder / file.path).is_file() or not file.matches(folder / file.path):
                self._download_file(listing.revision, file, folder)

    def _download_file(self, revision: str, file: HubFile, folder: Path) -> None:
        """Download one file, continuing its partial file.

        `hf_hub_download` would begin anew after a killed process, since each of its calls writes to a file of its own
        name. So this is the client's `http_get`, with its retries and its resume, on a partial file that stays.
        """
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        partial, target = self.partial(folder, file), folder / file.path
        partial.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if partial.is_file() and partial.stat().st_size > file.size > 0:
            partial.unlink()
        with open(partial, "ab") as handle:
            http_get(
                hf_hub_url(self.repository.id, file.path, repo_type=self.repository.type, revision=revision),
                handle,
                resume_size=handle.tell(),
                headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                expected_size=file.size or None,
                displayed_filename=file.path,
            )
        if file.matches(partial) is False:
            partial.unlink()
            raise TransferError(f"{file.path} arrived damaged", temporary=True)
        sync_file(partial)
        os.replace(partial, target)
        print(f"fetched {file.path}, {target.stat().st_size:,} bytes", flush=True)

    def explain(self, error: Exception) -> TransferError:
        import httpx2

        errors = self.errors
        if proxy_for(self.endpoint) and is_refusal(error):
            return TransferError(PROXY_REFUSES)
        if isinstance(error, errors.OfflineModeIsEnabled):
            return TransferError("HF_HUB_OFFLINE is set, so nothing may be downloaded")
        if isinstance(error, errors.GatedRepoError):
            return TransferError("access is gated; accept the terms on the hub and set HF_TOKEN")
        if isinstance(error, errors.RepositoryNotFoundError):
            return TransferError(f"no such {self.repository.type}, or it is private and HF_TOKEN does not open it")
        if isinstance(error, errors.RevisionNotFoundError):
            return TransferError(f"no such revision: {self.repository.revision} (the default branch here is main)")
        if isinstance(error, errors.HfHubHTTPError):
            status = error.response.status_code
            return TransferError(f"the answer was HTTP {status}", status in (408, 429) or status >= 500)
        if isinstance(error, self.circle):
            return TransferError("the answers redirect in a circle; the endpoint is no hub's, or its mirror is broken")
        if isinstance(error, (ValueError, httpx2.InvalidURL)):
            return TransferError(f"the request is wrong or the answer is no hub's ({_headline(error)})")
        if isinstance(error, self.connection_error):
            return TransferError(f"the connection failed ({_headline(_root(error))})", temporary=True)
        # An OSError with a number is the disk's; one without is the client's, about a file that came short.
        return TransferError(_headline(error), temporary=error.errno is None)


class ModelScope:
    """ModelScope through modelscope_hub, the client that the package `modelscope` itself calls, without its torch."""

    def __init__(self, repository: Repository):
        import requests
        from modelscope_hub import HubApi, errors

        self.repository, self.errors, self.api = repository, errors, HubApi()
        self.endpoint = self.api.legacy.endpoint
        for session in (self.api.legacy._session, self.api.legacy._read_session):
            session.hooks["response"].append(refuse_web_page)
        self.raises = (errors.HubError, requests.RequestException, OSError)
        self.asked = repository.revision or "master"
        self.entries: dict[str, dict[str, Any]] = {}

    def list_files(self) -> Listing:
        """List the repository, at the commit behind the revision where one is found that holds the very same files.

        The hub does not name the commit of a branch, but of each file the commit that changed it last.
        """
        revision, entries = self.asked, self._entries(self.asked)
        newest = max(entries, key=lambda entry: entry.get("CommittedDate") or 0, default={})
        commit = newest.get("Revision") or ""
        if commit != revision and COMMIT.fullmatch(commit) and not COMMIT.fullmatch(revision):
            try:
                if _contents(self._entries(commit)) == _contents(entries):
                    revision = commit
            except self.errors.NotExistError:
                print(f"{self.repository.id}: no listing at commit {commit}; the revision stays {revision}")
        self.entries = {entry["Path"]: entry for entry in entries}
        files = [HubFile(path, entry.get("Size") or 0, entry.get("Sha256")) for path, entry in self.entries.items()]
        return Listing(revision, files)

    def _entries(self, revision: str) -> list[dict[str, Any]]:
        entries = self.api.legacy.list_repo_files(self.repository.id, self.repository.type, revision)
        return [entry for entry in entries if entry.get("Type") != "tree"]

    def partial(self, folder: Path, file: HubFile) -> Path:
        return folder / f"{file.path}.incomplete"  # the client's own

    def download(self, listing: Listing, folder: Path) -> None:
        self.api.download_repo(
            self.repository.id,
            self.repository.type,
            revision=listing.revision,
            local_dir=folder,
            cache_dir=folder / BOOKKEEPING,  # for its locks
            file_list=[self.entries[file.path] for file in listing.files],
        )

    def explain(self, error: Exception) -> TransferError:
        errors = self.errors
        if isinstance(error, TransferError):
            return error
        if proxy_for(self.endpoint) and is_refusal(error):
            return TransferError(PROXY_REFUSES)
        if isinstance(error, errors.FileDownloadError):
            reasons = [self.explain(reason) for reason in error.failed_files.values()]
            files = ", ".join(error.failed_files)
            return TransferError(f"{files}: {reasons[0]}", temporary=all(reason.temporary for reason in reasons))
        if isinstance(error, errors.NotExistError):
            return TransferError(f"no such {self.repository.type} or revision ({self.asked}), or it is private")
        if isinstance(error, (errors.AuthenticationError, errors.PermissionDeniedError)):
            return TransferError("access is denied; accept the terms on the hub and set MODELSCOPE_API_TOKEN")
        if isinstance(error, ValueError):
            return TransferError(f"the request is wrong or the answer is no hub's ({_headline(error)})")
        if isinstance(error, errors.NetworkError):  # deadlines included: what has arrived is kept
            return TransferError(f"the connection failed ({_headline(_root(error))})", temporary=True)
        return TransferError(_headline(error), temporary=getattr(error, "retryable", False))


def _contents(entries: list[dict[str, Any]]) -> dict[str, tuple]:
    return {entry["Path"]: (entry.get("Size"), entry.get("Sha256")) for entry in entries}


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _headline(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
