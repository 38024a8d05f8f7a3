"""What hubs and the lines to them do wrong: the right bytes in the end, or one message, and what came is kept."""

import subprocess
import time

import pytest

from fetch_runner import HUBS, MODEL, safetensors

MIB = 2**20
WEIGHTS = safetensors(12 * MIB)
FILES = MODEL | {"model.safetensors": WEIGHTS}
PLACES = {
    ("huggingface", "listing"): "/api/models/org/net",
    ("huggingface", "file"): "/resolve/",
    ("modelscope", "listing"): "/repo/files",
    ("modelscope", "file"): "/org/net/repo",
}


@pytest.fixture
def hub(hub):
    hub.add("models", "org/net", dict(FILES))
    return hub


def options(hub, source):
    return {"source": source, "id": "org/net", "endpoint": hub.url}


def half_done(hub, runner, source):
    """Leave a download that was killed in the middle of the weights, and return how many bytes of them are there."""
    hub.stalls["model.safetensors"] = 11 * MIB
    command = runner.command("fetch_model.py", **options(hub, source))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=runner.environment(), **quiet)
    try:
        deadline = time.monotonic() + 30
        while kept(runner) < 10 * MIB:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    return kept(runner)


def kept(runner):
    return max((file.stat().st_size for file in runner.folder.rglob("*.incomplete")), default=0)


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("where", ["listing", "file"])
def test_a_hub_that_limits_its_rate_is_waited_for(hub, runner, source, where):
    hub.limited[PLACES[source, where]] = 2
    runner.fetch("fetch_model.py", **options(hub, source))
    assert runner.files() == set(MODEL)


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("where", ["listing", "file"])
def test_a_redirect_to_itself_ends_with_a_message(hub, runner, source, where):
    hub.loops[PLACES[source, where]] = 10**6
    error = runner.fails("fetch_model.py", **options(hub, source))
    assert f"{source}, org/net, at {hub.url}" in error
    assert "redirect" in error


@pytest.mark.parametrize("source", HUBS)
def test_a_web_page_in_place_of_a_file_is_not_taken_for_it(hub, runner, source):
    hub.pages["model.safetensors"] = 1
    runner.fetch("fetch_model.py", **options(hub, source))
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("source", HUBS)
def test_a_web_page_that_stays_is_told(hub, runner, source):
    hub.pages["model.safetensors"] = 10**6
    error = runner.fails("fetch_model.py", **options(hub, source))
    assert f"{source}, org/net, at {hub.url}" in error
    assert "no hub's but a web page" in error
    assert not (runner.folder / "model.safetensors").exists()


@pytest.mark.parametrize("source", HUBS)
def test_a_web_page_costs_nothing_of_what_had_come(hub, runner, source):
    """As behind a hotel's log-in: the gigabytes of yesterday are still there tomorrow."""
    came = half_done(hub, runner, source)
    hub.pages["model.safetensors"] = 10**6
    runner.fails("fetch_model.py", **options(hub, source))
    hub.pages.clear()
    before = len(hub.asked("model.safetensors"))
    runner.fetch("fetch_model.py", **options(hub, source))
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(request.sent for request in hub.asked("model.safetensors")[before:]) <= len(WEIGHTS) - came


@pytest.mark.parametrize("source", HUBS)
def test_a_server_without_ranges_gives_the_right_bytes(hub, runner, source):
    half_done(hub, runner, source)
    hub.whole.add("model.safetensors")
    runner.fetch("fetch_model.py", **options(hub, source))
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert runner.files() == set(MODEL)


@pytest.mark.parametrize("source", HUBS)
def test_a_file_that_changes_between_listing_and_download_is_told(hub, runner, source):
    hub.damaged["model.safetensors"] = 10**6
    error = runner.fails("fetch_model.py", **options(hub, source))
    assert f"{source}, org/net, at {hub.url}" in error
    assert "model.safetensors" in error
    hub.damaged.clear()
    runner.fetch("fetch_model.py", **options(hub, source))


def test_a_transfer_that_stands_still_is_given_up_and_continued(hub, runner):
    hub.stalls["model.safetensors"] = 11 * MIB
    environment = {"HF_HUB_DOWNLOAD_TIMEOUT": "2"}
    done = runner.run("fetch_model.py", environment, **options(hub, "huggingface"))
    assert done.returncode == 0, done.stderr
    assert hub.asked("model.safetensors")[-1].range
    assert (runner.folder / "model.safetensors").read_bytes() == WEIGHTS
