"""The hub clients: their settings are in force, and what a hub says is understood."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub_server import FakeHub
from medscale.fetch.hub import HubFile
from places import SCRIPTS

CLIENT_ENDPOINT = {
    "huggingface": "from huggingface_hub import constants; print(constants.ENDPOINT)",
    "modelscope": "from modelscope_hub import HubApi; print(HubApi().legacy.endpoint)",
}


def python(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh process, without this process's imports and settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(SCRIPTS), **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("source", CLIENT_ENDPOINT)
@pytest.mark.parametrize(
    ("endpoint", "in_force"),
    [("https://mirror.example/hub/", "https://mirror.example/hub"), ("mirror.example", "https://mirror.example")],
)
def test_the_endpoint_is_set_before_the_client_is_imported(tmp_path, source, endpoint, in_force):
    done = python(
        f"from medscale.fetch.hub import prepare_client; prepare_client({source!r}, {endpoint!r})\n"
        f"{CLIENT_ENDPOINT[source]}",
        tmp_path,
    )
    assert done.stdout.split() == [in_force], done.stderr


@pytest.mark.parametrize(
    ("source", "variable"), [("huggingface", "HF_ENDPOINT"), ("modelscope", "MODELSCOPE_ENDPOINT")]
)
def test_without_an_endpoint_the_users_environment_stays_in_force(tmp_path, source, variable):
    done = python(
        f"from medscale.fetch.hub import prepare_client; prepare_client({source!r}, None); {CLIENT_ENDPOINT[source]}",
        tmp_path,
        **{variable: "https://users.example"},
    )
    assert done.stdout.split() == ["https://users.example"], done.stderr


def test_settings_that_would_come_too_late_are_an_error(tmp_path):
    done = python(
        "import huggingface_hub; from medscale.fetch.hub import prepare_client; prepare_client('huggingface', None)",
        tmp_path,
    )
    assert "call prepare_client before importing it" in done.stderr


def test_nothing_heavy_is_imported_for_a_download(tmp_path):
    code = (
        "import sys; from medscale.fetch.hub import Repository, connect, prepare_client\n"
        "for source in ('huggingface', 'modelscope'):\n"
        "    prepare_client(source, None); connect(Repository(source, 'model', 'a/b'))\n"
        "print(sorted({'torch', 'transformers', 'modelscope'} & set(sys.modules)))"
    )
    assert python(code, tmp_path).stdout.strip() == "[]"


def test_telemetry_is_off(tmp_path):
    code = (
        "from medscale.fetch.hub import prepare_client; prepare_client('huggingface', None)\n"
        "from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    assert python(code, tmp_path).stdout.strip() == "True"


LISTING = """
from medscale.fetch.hub import Repository, connect, prepare_client
prepare_client({source!r}, {url!r})
listing = connect(Repository({source!r}, "model", "org/net", {revision!r})).list_files()
print(listing.revision, listing.licence, *sorted(file.path for file in listing.files))
"""


@pytest.mark.parametrize("revision", [None, "v1", "c" * 40])
@pytest.mark.parametrize(("source", "licence"), [("huggingface", "mit"), ("modelscope", None)])
def test_a_revision_is_resolved_to_its_commit(tmp_path, source, licence, revision):
    with FakeHub() as hub:
        hub.add("models", "org/net", {"a.json": b"1", "b.bin": b"2"}, commit="c" * 40, tags={"v1"}, licence="mit")
        done = python(LISTING.format(source=source, url=hub.url, revision=revision), tmp_path)
    assert done.stdout.split() == ["c" * 40, str(licence), "a.json", "b.bin"], done.stderr


def test_where_modelscope_names_no_commit_the_revision_stays_as_asked(tmp_path):
    with FakeHub() as hub:
        hub.add("models", "org/net", {"a.json": b"1"}, names_commit=False)
        done = python(LISTING.format(source="modelscope", url=hub.url, revision=None), tmp_path)
    assert done.stdout.splitlines()[-1].split()[0] == "master", done.stderr


def test_content_is_compared_with_what_the_hub_states(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    sha256 = hashlib.sha256(b"hello\n").hexdigest()
    git = "ce013625030ba8dba906f756967f9e9ca394464a"  # printf 'hello\n' | git hash-object --stdin
    assert HubFile("file", sha256=sha256).matches(path) is True
    assert HubFile("file", sha256=sha256.upper(), git_sha1="0" * 40).matches(path) is True
    assert HubFile("file", sha256="0" * 64).matches(path) is False
    assert HubFile("file", git_sha1=git).matches(path) is True
    assert HubFile("file", git_sha1="0" * 40).matches(path) is False
    assert HubFile("file").matches(path) is None
