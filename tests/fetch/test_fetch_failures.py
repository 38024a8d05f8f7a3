"""Broken downloads are continued, and what cannot be fetched is said plainly: real clients, a hub that misbehaves."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetch_runner import HUBS, MODEL, safetensors
from medscale.base.errors import UserError
from medscale.fetch.manifest import verify

MIB = 2**20
WEIGHTS = safetensors(16 * MIB)


@pytest.mark.parametrize("source", HUBS)
def test_a_killed_download_is_continued_where_it_stopped(hub, runner, source):
    hub.add("models", "org/net", MODEL | {"model.safetensors": WEIGHTS})
    hub.stalls["model.safetensors"] = 13 * MIB
    options = {"source": source, "id": "org/net", "endpoint": hub.url}
    process = subprocess.Popen(
        runner.command("fetch_model.py", **options),
        env=runner.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while (began := bytes_under_way(runner.folder)) < 10 * MIB:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not runner.manifest.exists()

    before = len(hub.asked("model.safetensors"))
    runner.fetch("fetch_model.py", **options)
    (resumed,) = hub.asked("model.safetensors")[before:]
    assert resumed.range.startswith("bytes=")
    assert int(resumed.range[6:].partition("-")[0]) >= began >= 10 * MIB
    assert resumed.sent <= len(WEIGHTS) - began
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert runner.files() == set(MODEL)


def partial_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.incomplete"))


def bytes_under_way(folder: Path) -> int:
    total = 0
    for file in partial_files(folder):
        with contextlib.suppress(FileNotFoundError):  # it was complete, and got its name, since it was listed
            total += file.stat().st_size
    return total


@pytest.mark.parametrize("source", HUBS)
def test_a_cut_connection_is_taken_up_again_within_the_run(hub, runner, source):
    hub.add("models", "org/net", MODEL | {"model.safetensors": WEIGHTS})
    hub.cuts["model.safetensors"] = [12 * MIB]
    runner.fetch("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    first, second = hub.asked("model.safetensors")
    assert first.sent == 12 * MIB
    assert second.sent <= len(WEIGHTS) - 10 * MIB
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("where", ["listing", "file"])
def test_a_hub_that_is_busy_for_a_moment_is_asked_again(hub, runner, source, where):
    hub.add("models", "org/net", MODEL)
    paths = {
        ("huggingface", "listing"): "/api/models/org/net",
        ("huggingface", "file"): "/resolve/",
        ("modelscope", "listing"): "/repo/files",
        ("modelscope", "file"): "/org/net/repo",
    }
    hub.failures[paths[source, where]] = 2
    done = runner.run("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert done.returncode == 0, done.stderr
    if where == "listing":  # within a file the clients try again themselves
        assert done.stderr.count("org/net: the answer was HTTP 503; trying again") == 2 or source == "modelscope"
        assert done.stderr.count("trying again") == 2


@pytest.mark.parametrize("source", HUBS)
def test_a_hub_that_stays_busy_ends_with_what_to_do(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    hub.failures["org/net"] = 1000
    error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert f"{source}, org/net" in error
    assert "503" in error
    for way_out in ("model.endpoint", "model.source: local", "model.path", hub.url):
        assert way_out in error


@pytest.mark.parametrize("source", HUBS)
def test_damaged_bytes_are_fetched_again(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    hub.damaged["model.safetensors"] = 1
    runner.fetch("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert len(hub.asked("model.safetensors")) == 2
    assert (runner.folder / "model.safetensors").read_bytes() == MODEL["model.safetensors"]


@pytest.mark.parametrize("source", HUBS)
def test_a_corrupt_file_is_the_only_one_fetched_again(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    options = {"source": source, "id": "org/net", "endpoint": hub.url}
    runner.fetch("fetch_model.py", **options)
    (runner.folder / "model.safetensors").write_bytes(b"WEIGHTS" * 1000)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        verify(runner.manifest)
    runner.fetch("fetch_model.py", **options)
    assert len(hub.asked("model.safetensors")) == 2
    assert len(hub.asked("tokenizer.json")) == 1


@pytest.mark.parametrize("source", HUBS)
def test_another_revision_replaces_the_files_and_nothing_else_may_lie_there(hub, runner, source):
    repo = hub.add("models", "org/net", MODEL, commit="c" * 40)
    options = {"source": source, "id": "org/net", "endpoint": hub.url}
    runner.fetch("fetch_model.py", revision="c" * 40, **options)
    new = safetensors(500, seed=1)
    repo.files, repo.commit = MODEL | {"model.safetensors": new}, "d" * 40
    manifest = runner.fetch("fetch_model.py", revision="d" * 40, **options)
    assert manifest["revision"] == "d" * 40
    assert (runner.folder / "model.safetensors").read_bytes() == new

    (runner.folder / "model-00001-of-00002.safetensors").write_bytes(b"of another model")
    runner.manifest.unlink()
    error = runner.fails("fetch_model.py", revision="d" * 40, **options)
    assert "model-00001-of-00002.safetensors" in error
    assert "delete them" in error


@pytest.mark.parametrize("source", HUBS)
def test_what_cannot_be_had_is_said_plainly(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    hub.add("models", "org/gated", MODEL, gated=True)
    hub.add("models", "org/pickled", {**MODEL, "pytorch_model.bin": b"x"} | {"model.safetensors": b""})
    del hub.repos["models", "org/pickled"].files["model.safetensors"]
    options = {"source": source, "endpoint": hub.url}
    assert "no such model" in (error := runner.fails("fetch_model.py", id="org/absent", **options))
    assert f"{source}, org/absent" in error
    assert "model.id" in error
    error = runner.fails("fetch_model.py", id="org/net", revision="v9", **options)
    assert "revision" in error
    assert "v9" in error
    assert "accept the terms" in runner.fails("fetch_model.py", id="org/gated", **options)
    error = runner.fails("fetch_model.py", id="org/pickled", **options)
    assert "no weights in safetensors" in error
    assert runner.files() == set()


@pytest.mark.parametrize("source", HUBS)
def test_a_disk_that_is_too_small_is_told_before_the_download(hub, runner, source):
    hub.add("models", "org/net", MODEL, sizes={"model.safetensors": 10**18})
    error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert "needs 931322574.6 GiB" in error
    assert "GiB are free" in error
    assert not hub.asked("tokenizer.json")


@pytest.mark.parametrize("source", HUBS)
def test_without_network_the_error_is_clear_and_soon(runner, source):
    began = time.monotonic()
    error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint="http://127.0.0.1:9")
    assert "the connection failed" in error
    assert "http://127.0.0.1:9" in error
    assert time.monotonic() - began < 20


def test_offline_mode_is_named(runner):
    error = runner.fails("fetch_model.py", {"HF_HUB_OFFLINE": "1"}, source="huggingface", id="org/net")
    assert "HF_HUB_OFFLINE is set" in error


@pytest.mark.parametrize("source", HUBS)
def test_an_endpoint_that_is_no_hub_is_said_to_be_none(runner, source, tmp_path):
    server = subprocess.Popen(
        [sys.executable, "-c", NO_HUB], stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
    )
    try:
        url = server.stdout.readline().strip()
        error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint=url)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert "no hub's" in error
    assert url in error


NO_HUB = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Portal(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"<html>Please log in</html>")
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Portal)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


def test_a_data_file_that_is_not_there_names_those_that_are(hub, runner):
    hub.add("datasets", "org/rows", {"data/a.csv": b"x", "README.md": b"x"})
    error = runner.fails("fetch_data.py", source="huggingface", id="org/rows", file="b.csv", endpoint=hub.url)
    assert "has no b.csv; it has data/a.csv" in error
