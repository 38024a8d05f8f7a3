"""What a hub offers is data: no code is fetched, no name leads elsewhere, and no secret is told to anybody."""

import os
import subprocess
import sys

import pytest

from fetch_runner import HUBS, MODEL
from medscale.base.errors import UserError
from medscale.fetch.secrets import hide, nothing_told
from places import ROOT
from proxy_server import FakeProxy

SECRETS = {
    "HF_TOKEN": "hf_geheimAAAA1111",
    "MODELSCOPE_API_TOKEN": "ms-geheimBBBB2222",
    "ALL_PROXY": "http://wang:geheimC@CC3@{proxy}",
}
PLANTED = ["geheimAAAA1111", "geheimBBBB2222", "geheimC", "geheimDDDD4444"]


@pytest.mark.parametrize("source", HUBS)
def test_code_beside_a_model_is_not_fetched(hub, runner, source):
    config = b'{"model_type": "qwen2", "auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}'
    code = {
        "modeling_own.py": b"raise SystemExit",
        "model.bin": b"\x80",
        "pytorch_model.bin": b"\x80",
        "x.pkl": b"\x80",
    }
    hub.add("models", "org/net", MODEL | code | {"config.json": config, "sub/setup.py": b"", ".git/hooks/x": b""})
    runner.fetch("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert runner.files() == set(MODEL)


def test_nothing_of_ours_trusts_remote_code():
    for path in (ROOT / "workflow").rglob("*.py"):
        assert "trust_remote_code=True" not in path.read_text(encoding="utf-8").replace(" ", ""), path


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("name", ["C:evil.json", "a\\..\\evil.json", "a\nb.json", "nul.json", "evil.json:x.json"])
def test_a_model_with_names_that_lead_elsewhere_is_refused(hub, runner, source, name):
    hub.add("models", "org/net", MODEL | {name: b"{}"})
    error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert f"offers a file {name!r}" in error
    assert "nothing was fetched" in error
    assert runner.files() == set()


@pytest.mark.parametrize("source", HUBS)
def test_names_that_are_one_file_elsewhere_are_refused(hub, runner, source):
    hub.add("models", "org/net", MODEL | {"Config.json": b"{}"})
    error = runner.fails("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert "'Config.json' and 'config.json', which are one file on some systems" in error
    assert runner.files() == set()


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize(
    "file", ["../rows.csv", "/tmp/rows.csv", "a/../../rows.csv", ".git/hooks/post-checkout", "rows.pkl", "C:/rows.csv"]
)
def test_a_data_file_that_would_lie_elsewhere_is_refused(hub, runner, source, file):
    hub.add("datasets", "org/rows", {file: b"x", "README.md": b"x"})
    error = runner.fails("fetch_data.py", source=source, id="org/rows", file=file, endpoint=hub.url)
    assert f"offers a file {file!r}" in error or (file == "rows.pkl" and "a file of Python objects" in error)
    assert runner.files() == set()
    assert not list(runner.folder.parent.parent.glob("**/rows.csv"))


def texts(*folders):
    """Return every file below the folders."""
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("source", HUBS)
def test_no_secret_is_told_by_a_fetch_of_the_workflow(hub, tmp_path, source, works):
    """Tokens, the password of a proxy and that of an endpoint: used, and neither printed nor written anywhere."""
    if works:
        hub.add("models", "org/net", MODEL)
    study, home = tmp_path / "study", tmp_path / "home"
    (study / "config").mkdir(parents=True)
    home.mkdir()
    endpoint = "http://li:geheimDDDD4444@hub.invalid"
    (tmp_path / "mine.yaml").write_text(f"model: {{source: {source}, id: org/net, endpoint: '{endpoint}'}}\n")
    with FakeProxy(hub.url, "wang", "geheimC@CC3") as proxy:
        environment = {name: value.format(proxy=proxy.place) for name, value in SECRETS.items()}
        environment |= {"PATH": os.environ["PATH"], "HOME": str(home), "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "1"}
        command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--directory", study, "--cores", "1"]
        command += ["--configfile", tmp_path / "mine.yaml", "--verbose", "--printshellcmds"]
        command += ["--", "results/data/model.json"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode == 0) == works, done.stdout[-3000:] + done.stderr[-3000:]
        assert proxy.asked
    assert any(request.authorized for request in hub.requests)
    if not works:
        assert "no such model" in done.stderr + done.stdout
        assert "at http://hub.invalid through the proxy http://***@127.0.0.1" in done.stderr + done.stdout
    told = {"output": (done.stdout + done.stderr).encode(), **texts(study, home)}
    for place, text in told.items():
        assert not [secret for secret in PLANTED if secret.encode() in text], place


@pytest.mark.parametrize("endpoint", ["li:geheimDDDD4444@hub.example", "ftp://li:geheim@DDDD4444@hub.example"])
def test_a_wrong_endpoint_is_named_without_its_password(tmp_path, endpoint):
    from medscale.base.config import ConfigError, resolve

    with pytest.raises(ConfigError, match=r"model\.endpoint = .*hub\.example") as caught:
        resolve({"model": {"endpoint": endpoint}})
    assert "geheim" not in str(caught.value)
    assert "DDDD" not in str(caught.value)


@pytest.mark.parametrize(
    ("told", "code"), [(("F101", "hf_geheimAAAA1111 refused"), "F101"), (("hf_geheimAAAA1111",), None)]
)
def test_a_message_keeps_its_code_when_secrets_are_hidden_in_it(monkeypatch, told, code):
    monkeypatch.setenv("HF_TOKEN", "hf_geheimAAAA1111")
    with pytest.raises(UserError) as caught, nothing_told(None):
        raise UserError(*told)
    assert (caught.value.code, caught.value.text) == (code, told[-1].replace("hf_geheimAAAA1111", "***"))


@pytest.mark.parametrize(
    ("word", "text", "told"),
    [
        ("data", "resources/data/demodata: data", "resources/***/demodata: ***"),
        ("secret", "secretary has secret", "secretary has ***"),
        ("geheim77", "xgeheim77y", "x***y"),
    ],
)
def test_short_and_common_words_are_hidden_where_they_stand_alone(word, text, told):
    assert hide(text, [word]) == told


def test_a_full_disk_is_told_without_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "geheim77")
    with pytest.raises(UserError, match=r"no space is left on a disk .* free some space"), nothing_told(None):
        raise OSError(28, "No space left on device", "/geheim77/x")
