"""A small hub on 127.0.0.1 that speaks enough of Hugging Face and of ModelScope for their real clients to download.

It can also misbehave as real hubs do: cut a connection midway, stop in the middle of a file, answer 503 for a while,
send damaged bytes. Every request is recorded, so that a test can see what was asked and how many bytes were served.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

HEAD = "a" * 39 + "1"  # the commit that both default branches stand at
DEFAULT_BRANCHES = {"main", "master"}


@dataclass
class Repo:
    """One repository. Only the newest state of its files is kept, and that state is known under ``commit`` too."""

    files: dict[str, bytes]
    commit: str = HEAD
    tags: set[str] = field(default_factory=set)
    licence: str | None = None
    gated: bool = False
    names_commit: bool = True  # whether the ModelScope listing names, of some file, the commit the branch stands at
    sizes: dict[str, int] = field(default_factory=dict)  # sizes to claim that are not the true ones

    def knows(self, revision: str) -> bool:
        return revision in DEFAULT_BRANCHES | self.tags | {self.commit}


@dataclass(frozen=True)
class Request:
    """What a client asked, and how many bytes of a file it was sent."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int
    authorized: bool


class FakeHub:
    """The server as a context manager; ``url`` is the endpoint of both hubs."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[Request] = []
        self.cuts: dict[str, list[int]] = {}  # file: bytes after which to cut, one entry a request
        self.stalls: dict[str, int] = {}  # file: bytes after which the first request hears nothing more
        self.stalled = threading.Event()  # set once a request waits so
        self.failures: dict[str, int] = {}  # part of a path: how many times to answer 503
        self.damaged: dict[str, int] = {}  # file: how many times to send wrong bytes
        self.pages: dict[str, int] = {}  # file: how many times to send a web page in its place, with status 200
        self.whole: set[str] = set()  # files of which the whole is sent, whatever range was asked for
        self.limited: dict[str, int] = {}  # part of a path: how many times to answer 429, try again in a second
        self.loops: dict[str, int] = {}  # part of a path: how many times to redirect to the very same address
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, kind: str, name: str, files: dict[str, bytes], **settings) -> Repo:
        """Add a repository; ``kind`` is "models" or "datasets"."""
        self.repos[kind, name] = Repo(files, **settings)
        return self.repos[kind, name]

    def asked(self, file: str, method: str = "GET") -> list[Request]:
        """Return the answered downloads of one file, in order."""
        return [one for one in self.requests if one.method == method and one.path == file and one.status in (200, 206)]

    def take(self, plan: dict[str, int], key: str) -> bool:
        """Say whether a plan holds for this request, and count it."""
        for name in plan:
            if name in key and plan[name] > 0:
                plan[name] -= 1
                return True
        return False


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), {key: value[0] for key, value in parse_qs(url.query).items()}
        if self.hub.take(self.hub.failures, path):
            return self._error(503, "try later")
        if self.hub.take(self.hub.limited, path):
            return self._error(429, "too many", {"Retry-After": "1"})
        if self.hub.take(self.hub.loops, path):
            return self._redirect(self.path)
        for pattern, answer in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                return answer(self, query, **match.groupdict())
        return self._error(404, f"no route for {path}")

    # Hugging Face -----------------------------------------------------------------------------------------------

    def _hf_info(self, query: dict, kind: str, name: str, revision: str | None = None) -> None:
        repo = self._hf_repo(kind, name, revision or "main")
        if repo is None:
            return
        siblings = []
        for path, content in sorted(repo.files.items()):
            size = repo.sizes.get(path, len(content))
            entry = {"rfilename": path}
            if "blobs" in query:
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                entry |= {"size": size, "blobId": blob}
                if _is_large(path):
                    entry["lfs"] = {"size": size, "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
            siblings.append(entry)
        card = {"license": repo.licence} if repo.licence else {}
        self._json({"id": name, "sha": repo.commit, "siblings": siblings, "cardData": card, "tags": []})

    def _hf_file(self, query: dict, name: str, revision: str, file: str, kind: str | None = None) -> None:
        repo = self._hf_repo("datasets" if kind else "models", name, revision)
        if repo is None:
            return
        if repo.gated:
            self._error(403, "gated", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif file not in repo.files:
            self._error(404, "no such file", {"X-Error-Code": "EntryNotFound"})
        elif _is_large(file) and "stored" not in query:
            # As the hub sends clients to its storage, which is another host.
            self._redirect(f"http://localhost:{self.server.server_port}{urlsplit(self.path).path}?stored=1")
        else:
            self._file(file, repo.files[file])

    def _hf_repo(self, kind: str, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            self._error(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        elif not repo.knows(revision) or revision == "master":
            self._error(404, "Invalid rev id", {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo

    # ModelScope -------------------------------------------------------------------------------------------------

    def _ms_list(self, query: dict, kind: str, name: str) -> None:
        repo = self._ms_repo(kind, name, query["Revision"])
        if repo is None:
            return
        files = [{"Path": "folder", "Name": "folder", "Type": "tree", "Size": 0, "Revision": repo.commit}]
        for number, (path, content) in enumerate(sorted(repo.files.items())):
            files.append(
                {
                    "Path": path,
                    "Name": path.rpartition("/")[2],
                    "Type": "blob",
                    "Size": repo.sizes.get(path, len(content)),
                    "Sha256": hashlib.sha256(content).hexdigest(),
                    "Revision": repo.commit if number == 0 and repo.names_commit else "b" * 40,
                    "CommittedDate": 1_700_000_000 - number,
                    "IsLFS": _is_large(path),
                }
            )
        latest = {"Id": "", "ShortId": repo.commit[:8]}
        self._json({"Code": 200, "Success": True, "Data": {"Files": files, "LatestCommitter": latest}})

    def _ms_file(self, query: dict, kind: str, name: str) -> None:
        repo = self._ms_repo(kind, name, query["Revision"])
        if repo is None:
            return
        if query["FilePath"] not in repo.files:
            self._error(404, "no such file")
        else:
            self._file(query["FilePath"], repo.files[query["FilePath"]])

    def _ms_repo(self, kind: str, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get((kind, name))
        if repo is None or not repo.knows(revision) or revision == "main":
            self._error(404, "not found")
            return None
        if repo.gated:
            self._error(403, "access denied")
            return None
        return repo

    ROUTES = (
        (r"/api/v1/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/repo/(files|tree)", _ms_list),
        (r"/api/v1/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)/repo", _ms_file),
        (r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(/revision/(?P<revision>.+))?", _hf_info),
        (r"/((?P<kind>datasets)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _hf_file),
    )

    # Answers ----------------------------------------------------------------------------------------------------

    def _file(self, file: str, content: bytes) -> None:
        wanted = None if file in self.hub.whole else self.headers.get("Range")
        page = self.hub.take(self.hub.pages, file)
        if page:
            wanted, content = None, b"<html>Please log in</html>"
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        status = 206 if wanted else 200
        body = content[start:]
        if self.hub.take(self.hub.damaged, file):
            body = bytes(len(body))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cuts = self.hub.cuts.get(file, [])
        stall = self.hub.stalls.pop(file, None)
        sent = body[: cuts.pop(0)] if cuts else body[:stall]
        self._record(file, status, len(sent), wanted)
        if self.command == "GET":
            try:
                self.wfile.write(sent)
                self.wfile.flush()
            except OSError:  # the client has gone
                self.close_connection = True
                return
        if stall is not None:
            self.hub.stalled.set()
            self.hub._closing.wait()
        self.close_connection = len(sent) < len(body)

    def _json(self, value: dict, status: int = 200, headers: dict | None = None) -> None:
        body = json.dumps(value).encode()
        self._record(urlsplit(self.path).path, status, 0, None)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _error(self, status: int, message: str, headers: dict | None = None) -> None:
        self._json({"Code": status, "Success": False, "Message": message, "error": message}, status, headers)

    def _redirect(self, location: str) -> None:
        self._record(urlsplit(self.path).path, 302, 0, None)
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _record(self, path: str, status: int, sent: int, wanted: str | None) -> None:
        authorized = "Authorization" in self.headers
        self.hub.requests.append(Request(self.command, path, wanted, status, sent, authorized))

    def log_message(self, *_) -> None:
        pass


def _is_large(path: str) -> bool:
    """Say whether the hub keeps the file in its large-file storage."""
    return path.endswith((".safetensors", ".bin", ".csv", ".parquet"))
