"""The manifest: what it says, and that no changed file passes."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.base.files import sha256_json
from medscale.fetch.manifest import (
    content_of,
    fetched_for,
    is_current,
    read_manifest,
    relocate,
    remember,
    root_of,
    verify,
    write_manifest,
)

NAMES = st.text("abc模型_-0", min_size=1, max_size=8).map(lambda name: f"{name}.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"0123456789")
    return tmp_path


def test_the_manifest_lists_each_file_with_size_and_sha256(folder):
    path = write_manifest(folder, kind="model", source="huggingface", id="a/b", revision="c" * 40, licence="mit")
    assert path == folder / "manifest.json"
    assert json.loads(path.read_text()) == {
        "schema_version": 1,
        "kind": "model",
        "source": "huggingface",
        "id": "a/b",
        "revision": "c" * 40,
        "files": [
            {
                "path": "config.json",
                "size": 2,
                "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            },
            {
                "path": "weights/model.safetensors",
                "size": 10,
                "sha256": "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
            },
        ],
        "licence": "mit",
    }
    assert verify(path) == folder


def test_hidden_files_stay_out_and_a_second_manifest_has_the_same_bytes(folder):
    first = write_manifest(folder, kind="model", source="tiny").read_bytes()
    (folder / ".medscale").mkdir()
    (folder / ".medscale" / "part.incomplete").write_bytes(b"x")
    (folder / ".hidden").write_bytes(b"x")
    assert write_manifest(folder, kind="model", source="tiny").read_bytes() == first


def test_files_that_stay_elsewhere_are_found_by_their_root(folder, tmp_path_factory):
    here = tmp_path_factory.mktemp("manifest")
    path = write_manifest(here, kind="data", source="file", root=folder, files=["config.json"])
    assert [file["path"] for file in read_manifest(path)["files"]] == ["config.json"]
    assert verify(path) == root_of(path) == folder
    (folder / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"config.json: its sha256.*put the file back"):
        verify(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "no such file"),
        (lambda file: file.write_bytes(b"01234"), "has 5 bytes"),
        (lambda file: file.write_bytes(b"012345678X"), "its sha256 is not"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(folder, damage, message):
    path = write_manifest(folder, kind="model", source="huggingface", id="a/b")
    damage(folder / "weights" / "model.safetensors")
    with pytest.raises(UserError, match=rf"model\.safetensors.*{message}.*delete .*manifest\.json and fetch again"):
        verify(path)


def test_the_cheap_check_compares_sizes_only(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    (folder / "config.json").write_text("[]")
    assert verify(path, deep=False) == folder
    (folder / "config.json").write_text("[ ]")
    with pytest.raises(UserError, match="has 3 bytes"):
        verify(path, deep=False)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"schema_version": 1}'])
def test_what_is_no_manifest_is_said_to_be_none(tmp_path, text):
    path = tmp_path / "manifest.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        verify(path)


def test_a_manifest_of_another_version_is_refused(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UserError, match="not a manifest of version 1"):
        read_manifest(path)


@settings(max_examples=40)
@given(contents=st.dictionaries(NAMES, st.binary(min_size=1, max_size=64), min_size=1, max_size=4), choice=st.data())
def test_any_changed_byte_is_found(tmp_path_factory, contents, choice):
    folder = tmp_path_factory.mktemp("any")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    path = write_manifest(folder, kind="data", source="demo")
    assert verify(path) == folder
    name = choice.draw(st.sampled_from(sorted(contents)))
    position = choice.draw(st.integers(0, len(contents[name]) - 1))
    changed = bytearray(contents[name])
    changed[position] ^= choice.draw(st.integers(1, 255))
    (folder / name).write_bytes(changed)
    with pytest.raises(UserError):
        verify(path)


def test_only_the_same_request_with_whole_files_is_current(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    assert not is_current(path, {"seed": 1})
    remember(path, {"seed": 1})
    assert is_current(path, {"seed": 1})
    assert not is_current(path, {"seed": 2})
    before = path.read_bytes()
    path.unlink()  # as Snakemake does before a job
    assert is_current(path, {"seed": 1})
    assert path.read_bytes() == before
    (folder / "config.json").write_text("[]")
    assert not is_current(path, {"seed": 1})
    assert not path.exists(), "a manifest that does not hold must not stay"


def test_what_another_study_has_put_there_is_refused(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    content = content_of(read_manifest(path))
    assert verify(path, content=content) == folder
    with pytest.raises(UserError) as caught:
        verify(path, content="other")
    assert caught.value.text == (
        f"{path}: holds another model than this study is made with, maybe put there by another study. "
        "Run again with --forcerun fetch_model, or give each study a paths.resources of its own"
    )


def test_of_files_with_an_ending_to_skip_only_the_size_counts(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    weights = folder / "weights" / "model.safetensors"
    weights.write_bytes(b"012345678X")
    assert verify(path, skip=(".bin", ".safetensors")) == folder
    with pytest.raises(UserError, match="its sha256 is not"):
        verify(path, skip=(".bin",))
    weights.write_bytes(b"0")
    with pytest.raises(UserError, match="has 1 bytes"):
        verify(path, skip=(".safetensors",))


def test_the_whole_message_of_a_damaged_file(folder, tmp_path_factory):
    path = write_manifest(folder, kind="model", source="tiny")
    elsewhere = write_manifest(tmp_path_factory.mktemp("manifest"), kind="model", source="local", root=folder)
    file = folder / "config.json"
    again = f"delete {path} and fetch again: only what is damaged is downloaded anew"
    back = f"put the file back, or, if the change is meant, delete {elsewhere} and run again"

    def messages():
        for manifest in (path, elsewhere):
            with pytest.raises(UserError) as caught:
                verify(manifest)
            yield caught.value.text

    file.write_text("[]")
    assert list(messages()) == [
        f"{file}: its sha256 is not the one in {path}; {again}",
        f"{file}: its sha256 is not the one in {elsewhere}; {back}",
    ]
    file.write_text("")
    assert next(messages()) == f"{file}: has 0 bytes, {path} says 2; {again}"
    file.unlink()
    assert next(messages()) == f"{file}: named in {path}, but there is no such file; {again}"


def test_the_whole_message_where_there_is_no_manifest(tmp_path):
    path = tmp_path / "manifest.json"
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    assert caught.value.text == (
        f"{path}: no such file. If fetched files were deleted, run again with --forcerun fetch_model fetch_data"
    )
    path.write_text("[]")
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    assert caught.value.text == f"{path}: not a manifest of version 1; delete it and fetch again"


def test_a_file_that_the_request_did_not_bring_makes_it_fetch_again(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    remember(path, {"seed": 1})
    (folder / ".hidden").touch()
    assert is_current(path, {"seed": 1})
    (folder / "stranger.json").touch()
    assert not is_current(path, {"seed": 1})


def test_files_that_stay_elsewhere_may_have_others_beside_them(folder, tmp_path_factory):
    path = write_manifest(tmp_path_factory.mktemp("m"), kind="data", source="file", root=folder, files=["config.json"])
    remember(path, {"path": "x"})
    assert is_current(path, {"path": "x"})
    assert json.loads((path.parent / ".medscale" / "location.json").read_text()) == {"root": str(folder)}


def test_a_changed_manifest_is_put_back_and_a_damage_is_told(folder, capsys):
    path = write_manifest(folder, kind="model", source="tiny")
    remember(path, {"seed": 1})
    before = path.read_bytes()
    assert json.loads((folder / ".medscale" / "fetched.json").read_text()) == {
        "request": {"seed": 1},
        "manifest": json.loads(before),
    }
    path.write_text("{}")
    assert is_current(path, {"seed": 1})
    assert path.read_bytes() == before
    assert fetched_for(path) == {"seed": 1}
    (folder / "config.json").write_text("[]")
    assert not is_current(path, {"seed": 1})
    assert capsys.readouterr().out.startswith(f"fetching again: {folder / 'config.json'}: its sha256 is not")


def test_nothing_is_known_of_what_was_never_asked_for(folder):
    path = write_manifest(folder, kind="model", source="tiny")
    assert fetched_for(path) is None
    (folder / ".medscale").mkdir()
    (folder / ".medscale" / "fetched.json").write_text("{}")
    assert fetched_for(path) is None


def test_files_are_beside_their_manifest_again_once_no_root_is_given(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "manifest.json"
    relocate(path, folder)
    assert root_of(path) == folder
    relocate(path, None)
    relocate(path, None)
    assert root_of(path) == path.parent


def test_a_model_is_the_names_and_bytes_of_what_it_is_loaded_from():
    files = [{"path": "b.json", "sha256": "2", "size": 1}, {"path": "a/a.bin", "sha256": "1", "size": 1}]
    content = content_of({"kind": "model", "files": files})
    assert content == content_of({"kind": "model", "files": files[::-1], "id": "x"})
    for name in ("README", "README.md", "LICENSE", "LICENCE.txt", "NOTICE", "configuration.json"):
        assert content_of({"kind": "model", "files": [*files, {"path": name, "sha256": "3"}]}) == content
    for name in ("readme.md", "my README", "configuration.jsonl", "generation_config.json"):
        assert content_of({"kind": "model", "files": [*files, {"path": name, "sha256": "3"}]}) != content
    assert content == sha256_json([["a/a.bin", "1"], ["b.json", "2"]])


def test_a_corpus_is_its_bytes_and_its_ending_in_small_letters():
    content = content_of({"kind": "data", "files": [{"path": "b c.CSV", "sha256": "1"}]})
    assert content == sha256_json([[".csv", "1"]])
