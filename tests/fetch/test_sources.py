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
from medscale.fetch import hashes, sources
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
    with pytest.raises(UserError, match=r"model\.path: .*nowhere is not a folder"):
        source(source="local", path=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"data\.path: .*own is a folder; name one file"):
        source("data", source="file", path=str(tmp_path / "own"))
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
        request_of("data", {"source": "demo", "rows": 1, "seed": 1, "noise": 0}, None)


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
