"""What bytes a study's model and corpus are: known before a job runs, or expected to be what they were."""

import hashlib
import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from fetch_runner import MODEL
from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.files import sha256_json
from medscale.fetch import hashes, sources
from medscale.fetch.corpus_files import own_corpus
from medscale.fetch.hashes import Hashes
from medscale.fetch.manifest import content_of, read_manifest, remember, root_of, write_manifest
from medscale.fetch.program import parse, parser_of, run_fetcher
from medscale.fetch.sources import (
    UNKNOWN,
    fetch_options,
    folder_content,
    follow,
    is_needed,
    point_to_own,
    request_of,
    source_of,
)
from places import ROOT

CONDITIONS = ROOT / "resources" / "demo" / "conditions.json"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "own" / "net"
    folder.mkdir(parents=True)
    for name, data in MODEL.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def source(tmp_path):
    """Return the source of a section of a study in ``tmp_path``."""

    def make(section="model", **settings):
        paths = {"results": str(tmp_path / "results"), "resources": str(tmp_path / "resources")}
        return source_of(resolve({section: settings, "paths": paths}), section, CONDITIONS)

    return make


def arrives(source, files, **facts):
    """Put files where fetching would put them, with their manifest."""
    folder = Path(source.manifest).parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_manifest(folder, kind=source.section, source=source.request["source"], files=list(files), **facts)
    remember(source.manifest, source.request)


def kept(source):
    """Write the study's copy as the fetching programs do."""
    words = ["--output", source.manifest, "--copy", source.copy, "--fetches", str(source.fetches(True))]
    args = parser_of("", "model", {}).parse_args([*words, "--conditions", str(CONDITIONS)])
    for key, value in source.request.items():
        if key not in ("conditions", "code"):
            setattr(args, key, value)
    run_fetcher(args, source.section, {source.request["source"]: lambda args: None})


def test_own_files_are_known_by_their_bytes_wherever_they_lie(source, model, tmp_path):
    before = source(source="local", path=str(model)).known()
    moved = model.rename(tmp_path / "own" / "renamed 模型")
    assert source(source="local", path=str(moved)).known() == before
    (moved / "config.json").write_bytes(b"{}")
    assert source(source="local", path=str(moved)).known() != before


def test_links_and_what_no_result_depends_on_change_nothing(source, model, tmp_path):
    before = source(source="local", path=str(model)).known()
    for name in ("README.md", "LICENSE", "configuration.json"):
        (model / name).write_bytes(b'{"other": 1}')
    blob = (model / "model.safetensors").rename(tmp_path / "blob")
    (model / "model.safetensors").symlink_to(blob)
    assert source(source="local", path=str(model)).known() == before


@pytest.mark.parametrize("name", [name for name in MODEL if name not in ("README.md", "LICENSE")])
def test_every_file_that_a_model_is_loaded_from_counts(source, model, name):
    before = source(source="local", path=str(model)).known()
    (model / name).write_bytes(MODEL[name] + b" ")
    assert source(source="local", path=str(model)).known() != before


def test_a_corpus_is_its_bytes_and_its_ending(source, tmp_path):
    def known(name):
        return source("data", source="file", path=str(tmp_path / name)).known()

    for name in ("a.csv", "b c.CSV", "a.jsonl"):
        (tmp_path / name).write_text("question,answer\n")
    assert known("a.csv") == known("b c.CSV") != known("a.jsonl")


def test_the_copy_of_the_study_holds_no_path(source, model, tmp_path):
    own = source(source="local", path=str(model))
    arrives_own(own)
    text = Path(own.copy).read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["content"] == own.known()
    assert json.loads(text)["id"] == "net"


def test_the_user_is_told_what_is_wrong_with_a_path(source, model, tmp_path):
    with pytest.raises(UserError, match=r"model\.path: .*nowhere is not a folder; name that of a model"):
        source(source="local", path=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.path: .*empty is a folder without files"):
        source("data", source="file", path=str(tmp_path / "empty"))
    (model / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"model\.path, .*has no tokenizer"):
        source(source="local", path=str(model))


def test_what_a_hub_has_is_known_once_it_was_fetched_for_the_same_request(source):
    hub = source(source="huggingface", id="org/net")
    assert hub.known() is None
    assert hub.expected() == UNKNOWN
    assert not hub.is_the_same()
    arrives(hub, MODEL)
    assert hub.known() == hub.expected() == content_of(read_manifest(hub.manifest))
    assert source(source="huggingface", id="org/net", revision="v2").known() is None
    Path(hub.manifest).unlink()
    assert hub.known() is None


def test_own_files_and_the_same_from_a_hub_are_the_same(source, model):
    hub = source(source="modelscope", id="org/net")
    arrives(hub, MODEL | {"configuration.json": b"{}"})
    assert source(source="local", path=str(model)).known() == hub.known()


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"source": "huggingface", "id": "a/b"}, {"source": "modelscope", "id": "a/b"}, True),
        ({"source": "huggingface", "id": "a/b"}, {"source": "huggingface", "id": "a/b", "endpoint": "http://x"}, True),
        ({"source": "huggingface", "id": "a/b"}, {"source": "huggingface", "id": "a/b", "revision": "v2"}, False),
        ({"source": "huggingface", "id": "a/b"}, {"source": "modelscope", "id": "a/c"}, False),
        ({"source": "tiny"}, {"source": "tiny", "tiny": {"layers": 3}}, False),
        ({"source": "tiny"}, {"source": "huggingface", "id": "a/b"}, False),
        ({"source": "local"}, {"source": "huggingface", "id": "a/b"}, False),
        ({"source": "local"}, {"source": "tiny"}, False),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_is_the_same_model(source, model, before, after, same, there):
    """The same request to any hub is, whether its files still lie there or not. Another is not known before a fetch."""
    first = source(**before, **({"path": str(model)} if before["source"] == "local" else {}))
    arrives(first, MODEL)
    kept(first)
    known, second = first.known(), source(**after)
    if not there:
        Path(first.manifest).unlink()
    assert second.is_the_same() is same
    assert second.expected() == (known if same else UNKNOWN)
    assert second.fetches(needed=False) == (1 if same else 2)


def test_the_embedded_model_is_another_where_the_code_that_makes_it_is(source, monkeypatch):
    tiny = source(source="tiny")
    arrives(tiny, MODEL)
    kept(tiny)
    assert source(source="tiny").is_the_same()
    monkeypatch.setattr(sources, "code_digest", lambda script: "changed")
    assert not source(source="tiny").is_the_same()


def test_own_files_are_the_same_as_what_was_fetched_if_their_bytes_are(source, model):
    hub = source(source="huggingface", id="org/net")
    arrives(hub, MODEL)
    kept(hub)
    own = source(source="local", path=str(model))
    assert own.is_the_same()
    assert own.fetches(needed=True) == 1
    (model / "config.json").write_bytes(b"{}")
    own = source(source="local", path=str(model))
    assert not own.is_the_same()
    assert own.fetches(needed=True) == 2


def test_fetching_is_due_once_and_again_only_where_needed_files_are_gone(source):
    hub = source(source="huggingface", id="org/net")
    assert hub.fetches(needed=True) == hub.fetches(needed=False) == 1
    arrives(hub, MODEL)
    kept(hub)
    assert hub.fetches(needed=True) == 1
    Path(hub.manifest).unlink()
    assert hub.fetches(needed=False) == 1
    assert hub.fetches(needed=True) == 2
    arrives(hub, MODEL)
    assert hub.fetches(needed=True) == 1, "what another study has put there serves this one too"


def test_own_files_are_followed_where_they_go(source, model, tmp_path):
    own = source(source="local", path=str(model))
    arrives_own(own)
    assert root_of(own.manifest) == model
    moved = model.rename(tmp_path / "net")
    own = source(source="local", path=str(moved))
    follow(own)
    assert root_of(own.manifest) == moved
    renamed = moved.rename(tmp_path / "other name")
    own = source(source="local", path=str(renamed))
    assert not Path(own.manifest).exists()
    follow(own)
    assert root_of(own.manifest) == renamed


def test_a_renamed_corpus_is_followed(source, tmp_path):
    first, second = tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv"
    first.parent.mkdir()
    second.parent.mkdir()
    first.write_text("question,answer\n")
    own = source("data", source="file", path=str(first))
    arrives_own(own)
    first.rename(second)
    follow(source("data", source="file", path=str(second)))
    assert root_of(own.manifest) == second.parent


def test_files_that_the_study_was_not_made_with_are_not_followed(source, model):
    own = source(source="local", path=str(model))
    follow(own)
    assert not Path(own.manifest).exists()


def arrives_own(own):
    point_to_own(own.section, own.own, Path(own.manifest))
    kept(own)


def test_requests_need_their_table_of_facts():
    with pytest.raises(UserError, match=r"data\.source: demo needs the table"):
        request_of("data", {"source": "demo", "rows": 1, "condition_count": None, "seed": 1, "noise": 0}, None)


def test_an_option_goes_before_the_section(tmp_path, monkeypatch):
    parser = parser_of("Fetch.", "model", {"local": "a folder"})
    words = ["--model", '{"source": "local", "path": "/a", "tiny": 1}', "--path", "/b", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["fetch_model.py", *words])
    args = parse(parser, "model")
    assert (args.source, args.path) == ("local", "/b")
    assert not hasattr(args, "tiny")


def test_a_file_is_read_once_however_often_it_is_asked_for(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(hashes, "sha256_file", lambda path: read.append(path) or f"hash {len(read)}")
    file, note = tmp_path / "model.safetensors", tmp_path / "notes" / "sha256.json"
    file.write_bytes(b"x")
    first = Hashes(note).sha256(file)
    assert Hashes(note).sha256(file) == first
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").rename(tmp_path / "other")
    assert Hashes(note).sha256(file) == first
    assert len(read) == 1
    assert str(tmp_path) not in note.read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"y"),
        lambda file: file.write_bytes(b"xx"),
        lambda file: os.utime(file, ns=(1, 1)),
    ],
)
def test_a_changed_file_is_read_again(tmp_path, change):
    file, note = tmp_path / "a", tmp_path / "sha256.json"
    file.write_bytes(b"x")
    Hashes(note).sha256(file)
    change(file)
    assert Hashes(note).sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_full_disk_of_resources_costs_only_the_memory_of_hashes(tmp_path, monkeypatch):
    file = tmp_path / "rows.csv"
    file.write_text("q,a")
    monkeypatch.setattr("medscale.base.files.sync_file", lambda path: (_ for _ in ()).throw(OSError(28, "full")))
    assert Hashes(tmp_path / "sha256.json").sha256(file) == hashlib.sha256(b"q,a").hexdigest()


def test_a_torn_note_of_hashes_is_written_anew(tmp_path):
    file, note = tmp_path / "a", tmp_path / "sha256.json"
    file.write_bytes(b"x")
    expected = Hashes(note).sha256(file)
    for torn in ("{", "[]", ""):
        note.write_text(torn)
        assert Hashes(note).sha256(file) == expected
        assert expected in note.read_text()


def test_files_are_needed_until_all_is_made_of_them(tmp_path):
    config = resolve({"study": {"methods": ["lora"], "sizes": [100]}, "paths": {"results": str(tmp_path)}})
    for row in ("lora_100", "base"):
        assert is_needed(config, "model")
        (tmp_path / row).mkdir()
        (tmp_path / row / "predictions.jsonl").touch()
    assert not is_needed(config, "model")
    examined = resolve(config | {"evaluation": {"retention": {"source": "demo"}}})
    assert is_needed(examined, "model"), "a model is needed for exams and texts, too"
    for row in ("lora_100", "base"):
        (tmp_path / row / "examination.json").touch()
    assert not is_needed(examined, "model")
    assert is_needed(config, "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clean.parquet").touch()
    assert not is_needed(config, "data")


def test_the_program_is_told_all_that_the_configuration_says(source, tmp_path, monkeypatch):
    settings = {"source": "huggingface", "id": "org/net", "endpoint": "http://mirror/it's here"}
    hub = source(**settings)
    config = resolve({"model": settings})
    monkeypatch.setattr(sys, "argv", ["fetch_model.py", *shlex.split(fetch_options(config, hub, CONDITIONS))])
    args = parse(parser_of("", "model", {}), "model")
    assert (args.source, args.id, args.endpoint) == ("huggingface", "org/net", "http://mirror/it's here")
    assert (str(args.output), args.conditions) == (hub.manifest, CONDITIONS)


def test_a_folder_is_its_names_and_bytes(tmp_path):
    config = resolve({"paths": {"resources": str(tmp_path / "resources")}})
    folder = tmp_path / "bert"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("1")
    before = folder_content(config, str(folder))
    assert folder_content(config, str(folder.rename(tmp_path / "elsewhere"))) == before
    (tmp_path / "elsewhere" / "inner" / "a").write_text("2")
    assert folder_content(config, str(tmp_path / "elsewhere")) != before
    assert folder_content(config, None) is None


def test_no_more_than_so_many_hashes_are_kept_and_the_oldest_go_first(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "KEPT", 2)
    note = tmp_path / "sha256.json"
    for name in "abc":
        (tmp_path / name).write_text(name)
        Hashes(note).sha256(tmp_path / name)
    kept = list(json.loads(note.read_text()).values())
    assert kept == [hashlib.sha256(name.encode()).hexdigest() for name in "bc"]


def test_the_reader_is_told_why_a_large_file_takes_a_while(tmp_path, monkeypatch, capsys):
    assert hashes.LARGE == 1024**3
    monkeypatch.setattr(hashes, "LARGE", 2)
    for name in ("x", "yy"):
        (tmp_path / name).write_text(name)
        Hashes(tmp_path / "sha256.json").sha256(tmp_path / name)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"reading {tmp_path / 'yy'} once, to know its content\n")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    file = tmp_path / "a"
    file.write_text("x")
    monkeypatch.setattr(hashes, "sha256_file", refuse)
    with pytest.raises(UserError) as caught:
        Hashes(tmp_path / "sha256.json").sha256(file)
    assert caught.value.text == f"{file} may not be read; change its permissions"


def test_hashes_that_cannot_be_kept_are_computed_again(tmp_path, monkeypatch):
    """A study on a disk that is mounted to be read only can be looked at."""

    def refuse(path, value):
        raise OSError(30, "Read-only file system", str(path))

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(hashes, "write_json", refuse)
    for _ in range(2):
        assert Hashes(tmp_path / "sha256.json").sha256(tmp_path / "a") == hashes.sha256_file(tmp_path / "a")


@pytest.mark.parametrize(
    ("section", "settings", "manifest", "copy", "keys"),
    [
        ("model", {"source": "tiny"}, "models/tiny", "model", ["source", "tiny", "conditions", "code"]),
        ("model", {"source": "demo"}, "models/demo", "model", ["source", "content"]),
        ("model", {"source": "modelscope", "id": "a/Net"}, "models/Net", "model", ["source", "id", "revision"]),
        (
            *("data", {"source": "demo", "rows": 103_000}, "data/demo", "corpus"),
            ["source", "rows", "condition_count", "seed", "noise", "conditions", "code"],
        ),
        ("data", {"source": "huggingface", "id": "a/B"}, "data/B", "corpus", ["source", "id", "revision", "file"]),
    ],
)
def test_where_files_lie_and_what_is_asked_for(source, tmp_path, section, settings, manifest, copy, keys):
    made = source(section, **settings)
    config = resolve({section: settings})[section]
    assert (made.section, made.own, made.own_content) == (section, None, None)
    assert made.manifest == f"{tmp_path}/resources/{manifest}/manifest.json"
    assert made.copy == f"{tmp_path}/results/data/{copy}.json"
    assert list(made.request) == keys
    assert {key: made.request[key] for key in keys if key in config} == {
        key: config[key] for key in keys if key in config
    }
    if "code" in keys:
        assert made.request["conditions"] == hashlib.sha256(CONDITIONS.read_bytes()).hexdigest()


def test_what_is_made_depends_on_the_code_that_makes_it(source, monkeypatch):
    monkeypatch.setattr(sources, "code_digest", lambda script: f"digest of {script}")
    corpus = "digest of medscale/data/demo/corpus.py"
    assert source(source="tiny").request["code"] == ["digest of medscale/model/tiny.py", corpus]
    assert source("data", source="demo", rows=103_000).request["code"] == [corpus]


def test_own_files_are_where_the_user_says(source, model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    own = source(source="local", path="~/own/net")
    assert (own.own, own.request) == (model, {"source": "local", "path": "~/own/net"})
    assert own.manifest == f"{tmp_path}/resources/models/net/manifest.json"
    hashes_note = tmp_path / "resources" / ".medscale" / "sha256.json"
    assert len(json.loads(hashes_note.read_text())) >= 3
    (tmp_path / "a b.csv").write_text("question,answer\n")
    corpus = source("data", source="file", path=str(tmp_path / "a b.csv"))
    assert corpus.manifest == f"{tmp_path}/resources/data/a b.csv/manifest.json"


@pytest.mark.parametrize(
    ("section", "path", "message"),
    [
        ("model", None, "model.path is not set; with model.source: local it is the folder of the model; name that"),
        (
            *("data", ""),
            "data.path is not set; with data.source: file it is the file of questions and answers, or a folder, "
            "a pattern such as data/**/*.csv, or a list of these",
        ),
        ("model", "/nowhere/net", "model.path: /nowhere/net is not a folder; name that of a model"),
        (
            *("data", "/nowhere/a.csv"),
            "data.path: /nowhere/a.csv is not there; name a file, a folder or a pattern such as data/**/*.csv",
        ),
    ],
)
def test_a_path_that_leads_nowhere_is_named(section, path, message):
    with pytest.raises(UserError) as caught:
        sources.own_path(section, path)
    assert caught.value.text == message


@pytest.mark.parametrize("section", ["model", "data"])
def test_a_table_of_facts_that_is_not_there_is_asked_for(section, tmp_path):
    kind = {"model": "tiny", "data": "demo"}[section]
    for conditions in (None, tmp_path / "nowhere.json"):
        with pytest.raises(UserError) as caught:
            request_of(section, {"source": kind}, conditions)
        assert caught.value.text == (
            f"{section}.source: {kind} needs the table of medical facts; --conditions names no file"
        )


def test_the_manifest_of_own_files_says_what_they_are(source, model, tmp_path):
    own = source(source="local", path=str(model))
    point_to_own("model", model, Path(own.manifest))
    told = read_manifest(own.manifest)
    assert (told["kind"], told["source"], told["id"]) == ("model", "local", "net")
    assert "config.json" in [file["path"] for file in told["files"]]
    assert root_of(own.manifest) == model
    corpus = tmp_path / "own" / "a.csv"
    corpus.write_text("question,answer\n")
    own = source("data", source="file", path=str(corpus))
    point_to_own("data", own.own, Path(own.manifest))
    told = read_manifest(own.manifest)
    assert (told["kind"], told["source"], told["id"]) == ("data", "file", "a.csv")
    assert [file["path"] for file in told["files"]] == ["a.csv"]
    assert root_of(own.manifest) == corpus.parent


@pytest.mark.parametrize("section", ["model", "data"])
def test_own_files_that_may_not_be_read_are_named(section, model, tmp_path, monkeypatch):
    def refuse(*args, **told):
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(sources, "write_manifest", refuse)
    own = model if section == "model" else own_corpus(str(model / "config.json"))
    with pytest.raises(UserError) as caught:
        point_to_own(section, own, tmp_path / "manifest.json")
    assert caught.value.text == f"{section}.path: /secret may not be read; change its permissions"


def test_a_model_without_one_of_its_shards_is_refused(model, tmp_path):
    (model / "model.safetensors").unlink()
    (model / "model-00001-of-00002.safetensors").write_bytes(b"x")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=f"model.path, {model}.*model-00002-of-00002"):
        point_to_own("model", model, tmp_path / "manifest.json")


def test_a_corpus_under_another_name_is_pointed_to_anew(source, tmp_path):
    """In the folder of a name only one can lie: so the manifest is written where the new name wants it."""
    first, second = tmp_path / "a" / "x.csv", tmp_path / "a" / "y.csv"
    first.parent.mkdir()
    first.write_text("question,answer\n")
    arrives_own(source("data", source="file", path=str(first)))
    first.rename(second)
    own = source("data", source="file", path=str(second))
    point_to_own("data", own.own, Path(own.manifest))
    told = read_manifest(own.manifest)
    told["files"][0]["path"] = "x.csv"
    Path(own.manifest).write_text(json.dumps(told))
    follow(own)
    assert read_manifest(own.manifest)["files"][0]["path"] == "y.csv"


def test_what_is_fetched_is_followed_nowhere_and_others_after_it_are(source, model):
    hub = source("data", source="demo", rows=103_000)
    own = source(source="local", path=str(model))
    arrives_own(own)
    Path(own.manifest).unlink()
    follow(hub, own)
    assert Path(own.manifest).is_file()
    assert not Path(hub.manifest).exists()


def test_an_own_manifest_of_other_bytes_is_written_anew(source, model):
    own = source(source="local", path=str(model))
    arrives_own(own)
    told = read_manifest(own.manifest)
    told["files"][0]["sha256"] = "0" * 64
    Path(own.manifest).write_text(json.dumps(told))
    follow(own)
    assert content_of(read_manifest(own.manifest)) == own.own_content


def test_the_options_of_the_fetching_program(source):
    settings = {"source": "huggingface", "id": "org/net"}
    hub = source(**settings)
    section = json.dumps(resolve({"model": settings})["model"], ensure_ascii=False, sort_keys=True)
    assert shlex.split(fetch_options(resolve({"model": settings}), hub, CONDITIONS)) == [
        f"--model={section}",
        "--endpoint=",
        f"--conditions={CONDITIONS}",
        f"--output={hub.manifest}",
    ]


def test_a_folder_s_content_is_that_of_its_files_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = resolve({"paths": {"resources": str(tmp_path / "resources")}})
    (tmp_path / "bert" / "b").mkdir(parents=True)
    for name in ("b/x", "a"):
        (tmp_path / "bert" / name).write_text(name)
    expected = [[name, hashlib.sha256(name.encode()).hexdigest()] for name in ("a", "b/x")]
    assert folder_content(config, "~/bert") == sha256_json(expected)
    assert (tmp_path / "resources" / ".medscale" / "sha256.json").is_file()
    assert folder_content(config, "") is None


def test_a_moved_model_is_not_read_again(source, model, tmp_path, monkeypatch):
    arrives_own(source(source="local", path=str(model)))
    monkeypatch.setattr(sources, "point_to_own", lambda *told: pytest.fail("it is read once more"))
    moved = model.rename(tmp_path / "net")
    follow(source(source="local", path=str(moved)))
    assert root_of(source(source="local", path=str(moved)).manifest) == moved
    monkeypatch.setattr(sources, "relocate", lambda *told: pytest.fail("it has not moved"))
    follow(source(source="local", path=str(moved)))


def test_of_an_own_model_only_what_it_is_loaded_from_is_listed_and_its_licence(source, model):
    (model / "modeling_net.py").write_text("print()")
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    own = source(source="local", path=str(model))
    point_to_own("model", model, Path(own.manifest))
    told = read_manifest(own.manifest)
    assert told["licence"] == "apache-2.0"
    assert "modeling_net.py" not in [file["path"] for file in told["files"]]
    (model / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=f"model.path, {model}.*has no tokenizer"):
        point_to_own("model", model, Path(own.manifest))
