"""fetch_model.py and fetch_data.py: what arrives from each source, with the real clients against a small hub."""

import hashlib
import json
import shutil
import sys
import types
from pathlib import Path

import pytest

from fetch_runner import HUBS, MODEL, safetensors
from hub_server import HEAD
from medscale.fetch.manifest import read_manifest, verify
from places import SCRIPTS

FACTS = SCRIPTS.parent.parent / "resources" / "demo" / "conditions.json"
NOT_WANTED = {
    "pytorch_model.bin": b"pickle",
    "modeling_net.py": b"raise SystemExit",
    "training_args.bin": b"pickle",
    "consolidated.safetensors": b"the same weights again",
    "onnx/model.safetensors": b"another form",
    ".gitattributes": b"*.safetensors filter=lfs",
}
ROWS = '{"instruction": "发烧怎么办？", "input": "", "output": "多喝水。"}\n'.encode()


@pytest.mark.parametrize("source", HUBS)
def test_a_model_arrives_whole_and_without_anything_executable(hub, runner, source):
    hub.add("models", "org/net", MODEL | NOT_WANTED)
    manifest = runner.fetch("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
    assert runner.files() == set(MODEL)
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in MODEL.items()
    }
    assert [file["path"] for file in manifest["files"]] == sorted(MODEL)
    assert {key: manifest[key] for key in ("kind", "source", "id", "revision", "licence")} == {
        "kind": "model",
        "source": source,
        "id": "org/net",
        "revision": HEAD,
        "licence": "qwen-research",
    }
    assert not any(hub.asked(name) for name in NOT_WANTED)
    kept_at_home = {path.relative_to(runner.home).as_posix() for path in runner.home.rglob("*") if path.is_file()}
    assert kept_at_home <= {".modelscope/credentials/session"}  # no second copy, no locks


@pytest.mark.parametrize("source", HUBS)
def test_a_data_file_arrives_as_it_is(hub, runner, source):
    files = {"finetune/train_zh_0.json": ROWS, "finetune/train_en_1.json": b"{}", "README.md": b"a dataset"}
    hub.add("datasets", "shibing624/medical", files, licence="apache-2.0")
    options = {"source": source, "id": "shibing624/medical", "file": "finetune/train_zh_0.json", "endpoint": hub.url}
    manifest = runner.fetch("fetch_data.py", **options)
    assert runner.files() == {"finetune/train_zh_0.json"}
    assert (runner.folder / "finetune" / "train_zh_0.json").read_bytes() == ROWS
    assert manifest["kind"] == "data"
    assert manifest["revision"] == HEAD
    assert [file["path"] for file in manifest["files"]] == ["finetune/train_zh_0.json"]
    assert manifest["licence"] == ("apache-2.0" if source == "huggingface" else None)


@pytest.mark.parametrize("source", HUBS)
def test_the_environments_endpoint_is_used_where_none_is_configured(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    variable = {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_ENDPOINT"}[source]
    done = runner.run("fetch_model.py", {variable: hub.url}, source=source, id="org/net")
    assert done.returncode == 0, done.stderr
    assert hub.asked("model.safetensors")


def test_a_token_is_shown_to_the_hub_and_not_to_its_storage(hub, runner):
    hub.add("models", "org/net", MODEL)
    options = {"source": "huggingface", "id": "org/net", "endpoint": hub.url}
    done = runner.run("fetch_model.py", {"HF_TOKEN": "hf_secret"}, **options)
    assert done.returncode == 0, done.stderr
    assert [one.authorized for one in hub.asked("config.json")] == [True]
    assert [one.authorized for one in hub.asked("model.safetensors")] == [False]


@pytest.mark.parametrize("source", HUBS)
def test_a_tag_is_pinned_to_its_commit(hub, runner, source):
    hub.add("models", "org/net", MODEL, commit="c" * 40, tags={"v1.0"})
    manifest = runner.fetch("fetch_model.py", source=source, id="org/net", revision="v1.0", endpoint=hub.url)
    assert manifest["revision"] == "c" * 40


@pytest.mark.parametrize("source", HUBS)
def test_a_second_fetch_only_verifies(hub, runner, source):
    hub.add("models", "org/net", MODEL)
    options = {"source": source, "id": "org/net", "endpoint": hub.url}
    runner.fetch("fetch_model.py", **options)
    first, asked = runner.manifest.read_bytes(), len(hub.requests)
    done = runner.run("fetch_model.py", **options)
    assert "every file verified" in done.stdout
    assert len(hub.requests) == asked

    runner.manifest.unlink()  # as Snakemake does before it runs a rule again
    runner.fetch("fetch_model.py", **options)
    assert runner.manifest.read_bytes() == first
    assert len(hub.asked("model.safetensors")) == 1


@pytest.fixture
def local_model(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    for name, content in MODEL.items():
        (folder / name).write_bytes(content)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, shard in index["weight_map"].items():
        (folder / shard).write_bytes(safetensors(**{name: [2, 3]}))
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "model.safetensors").write_bytes(b"not this")
    return folder


def test_a_local_model_stays_where_it_is(runner, local_model):
    manifest = runner.fetch("fetch_model.py", source="local", path=local_model)
    assert manifest["id"] == local_model.name
    assert str(local_model.parent) not in runner.manifest.read_text(encoding="utf-8")
    assert verify(runner.manifest) == local_model
    names = {file["path"] for file in manifest["files"]}
    assert names == {path.name for path in local_model.iterdir()} - {"pytorch_model.bin", "checkpoint-10"}
    assert runner.files() == set()
    assert manifest["licence"] == "qwen-research"


@pytest.mark.parametrize(
    ("absent", "named"),
    [
        (["config.json"], "no config.json"),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], "no weights in safetensors"),
        (["model-00002-of-00002.safetensors"], "weights that are not there: model-00002-of-00002.safetensors"),
        (["tokenizer.json"], "no tokenizer"),
    ],
)
def test_a_local_model_that_lacks_a_part_is_refused(runner, local_model, absent, named):
    for name in absent:
        (local_model / name).unlink()
    error = runner.fails("fetch_model.py", source="local", path=local_model)
    assert named in error
    assert str(local_model) in error


def test_a_sentencepiece_tokenizer_is_one_too(runner, local_model):
    (local_model / "tokenizer.json").rename(local_model / "tokenizer.model")
    runner.fetch("fetch_model.py", source="local", path=local_model)


@pytest.mark.parametrize(
    ("script", "options", "named"),
    [
        ("fetch_model.py", {}, "model.source: None is none of huggingface, modelscope, local, tiny"),
        ("fetch_data.py", {"data": '{"source": "csv"}'}, "data.source: csv is none of"),
        ("fetch_model.py", {"source": "local"}, "model.path is not set"),
        (
            "fetch_model.py",
            {"source": "local", "path": "/no/such/folder"},
            "model.path: /no/such/folder is not a folder",
        ),
        ("fetch_model.py", {"source": "modelscope"}, "model.id is not set"),
        ("fetch_model.py", {"source": "tiny", "tiny": "{}", "conditions": __file__}, "model.tiny.seed"),
        ("fetch_model.py", {"source": "tiny"}, "--conditions names no file"),
        ("fetch_data.py", {"source": "file"}, "data.path is not set"),
        ("fetch_data.py", {"source": "file", "path": "/no/such/file.csv"}, "data.path: /no/such/file.csv is not there"),
        ("fetch_data.py", {"source": "file", "path": "/no/such/*.csv"}, "there is no folder /no/such"),
        ("fetch_data.py", {"source": "huggingface", "id": "a/b"}, "data.file"),
        ("fetch_data.py", {"source": "demo", "conditions": "/no/such"}, "--conditions names no file"),
    ],
)
def test_an_option_that_is_missing_or_wrong_is_named(runner, script, options, named):
    assert named in runner.fails(script, **options)


def test_a_section_of_the_configuration_says_it_all_and_single_options_go_before_it(hub, runner):
    hub.add("datasets", "org/rows", {"a.csv": b"x", "b.csv": b"y"})
    columns = {"question": "q", "answer": "a", "department": None}
    section = {"source": "huggingface", "id": "org/rows", "revision": None, "file": "a.csv", "columns": columns}
    manifest = runner.fetch("fetch_data.py", data=json.dumps(section), endpoint=hub.url)
    assert [file["path"] for file in manifest["files"]] == ["a.csv"]
    (runner.folder / "a.csv").unlink()
    manifest = runner.fetch("fetch_data.py", data=json.dumps(section), endpoint=hub.url, file="b.csv")
    assert [file["path"] for file in manifest["files"]] == ["b.csv"]


SHARDS = {f"data/train-{n}.parquet": f"rows {n}".encode() for n in (1, 2, 10)} | {
    "data/test-0.csv": b"x",
    "README.md": b"# Rows",
    "dataset_infos.json": b"{}",
    "data/notes.xlsx": b"x",
}


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("data/train-*.parquet", ["data/train-1.parquet", "data/train-2.parquet", "data/train-10.parquet"]),
        (["data/train-10.parquet", "data/test-0.csv"], ["data/test-0.csv", "data/train-10.parquet"]),
        (["data/train-1.parquet", "data/*-[12].parquet"], ["data/train-1.parquet", "data/train-2.parquet"]),
    ],
)
def test_several_files_of_a_data_set_are_fetched_in_their_order(hub, runner, source, file, names):
    hub.add("datasets", "org/rows", SHARDS)
    section = {"source": source, "id": "org/rows", "file": file}
    manifest = runner.fetch("fetch_data.py", data=json.dumps(section), endpoint=hub.url)
    assert [entry["path"] for entry in manifest["files"]] == names
    assert runner.files() == set(names)
    assert all((runner.folder / name).read_bytes() == SHARDS[name] for name in names)
    asked = len(hub.requests)
    runner.fetch("fetch_data.py", data=json.dumps(section), endpoint=hub.url)
    assert len(hub.requests) == asked, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("file", "said", "code"),
    [
        ("data/train-*.csv", "has no data/train-*.csv; it has data/test-0.csv, data/train-1.parquet", "F104"),
        ("data", "data/notes.xlsx: a spreadsheet; save each sheet as CSV", "D101"),
        ("data/notes.xlsx", "data/notes.xlsx: a spreadsheet; save each sheet as CSV", "D101"),
    ],
)
def test_files_of_a_data_set_that_are_not_there_or_not_read_are_named(hub, runner, file, said, code):
    hub.add("datasets", "org/rows", SHARDS)
    error = runner.fails("fetch_data.py", source="huggingface", id="org/rows", file=file, endpoint=hub.url)
    assert said in error
    assert error.rstrip().endswith(f" [{code}]")
    assert error.count(f"[{code}]") == 1


def test_a_data_file_of_ones_own_stays_where_it_is(runner, tmp_path):
    path = tmp_path / "问答.csv"
    path.write_bytes("department,title,ask,answer\n".encode("gb18030"))
    manifest = runner.fetch("fetch_data.py", source="file", path=path)
    assert str(tmp_path) not in runner.manifest.read_text(encoding="utf-8")
    assert [file["path"] for file in manifest["files"]] == ["问答.csv"]
    assert verify(runner.manifest) / "问答.csv" == path
    before = runner.manifest.read_bytes()
    path.write_bytes(b"changed")
    runner.fetch("fetch_data.py", source="file", path=path)
    assert runner.manifest.read_bytes() != before


def test_the_tiny_model_is_built_from_its_settings_and_seed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import fetch_model

    def build(folder, settings, seed, texts):
        (Path(folder) / "config.json").write_text(json.dumps({**settings, "seed": seed, "texts": len(texts) > 100}))

    monkeypatch.setitem(sys.modules, "medscale.model.tiny", types.SimpleNamespace(build=build))
    output = tmp_path / "tiny" / "manifest.json"
    section = {"source": "tiny", "id": "Qwen/Qwen2.5-3B-Instruct", "path": None, "tiny": {"layers": 2, "seed": 7}}
    command = ["--model", json.dumps(section), "--endpoint", "", "--conditions", str(FACTS), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["fetch_model.py", *command])
    fetch_model.main()
    assert json.loads((verify(output) / "config.json").read_text()) == {"layers": 2, "seed": 7, "texts": True}
    manifest = read_manifest(output)
    assert (manifest["source"], manifest["id"], manifest["revision"]) == ("tiny", None, None)


def test_the_demos_model_is_copied_from_the_repository_and_nothing_else_is_taken_for_it(runner, tmp_path):
    facts = tmp_path / "demo" / "conditions.json"
    shutil.copytree(FACTS.parent / "base", facts.parent / "base")
    shutil.copy(FACTS, facts)
    runner.folder.mkdir(parents=True)
    (runner.folder / "model-of-an-older-version.safetensors").write_bytes(b"old")
    manifest = runner.fetch("fetch_model.py", source="demo", conditions=facts)
    assert (manifest["source"], manifest["licence"]) == ("demo", "MIT")
    names = {file["path"] for file in manifest["files"]}
    assert {"config.json", "model.safetensors", "tokenizer.json"} < names
    assert {path.name for path in runner.folder.iterdir() if not path.name.startswith(".")} == {"manifest.json", *names}
    weights = facts.parent / "base" / "model.safetensors"
    assert (runner.folder / "model.safetensors").read_bytes() == weights.read_bytes()

    (runner.folder / "model.safetensors").write_bytes(b"damaged here")  # and put right by the next call
    runner.fetch("fetch_model.py", source="demo", conditions=facts)
    assert (runner.folder / "model.safetensors").read_bytes() == weights.read_bytes()

    runner.manifest.unlink()
    (runner.folder / "model.safetensors").unlink()
    weights.write_bytes(weights.read_bytes()[:-1] + bytes([weights.read_bytes()[-1] ^ 1]))
    told = runner.fails("fetch_model.py", source="demo", conditions=facts)
    assert "[F160]" in told
    assert "model.safetensors changed since" in told
    assert not runner.manifest.exists()
    weights.unlink()
    assert "model.safetensors is missing" in runner.fails("fetch_model.py", source="demo", conditions=facts)
    shutil.rmtree(weights.parent)
    assert "git checkout -- resources/demo/base" in runner.fails("fetch_model.py", source="demo", conditions=facts)


def test_the_demos_corpus_is_generated_from_its_table_and_seed(runner):
    options = {"source": "demo", "conditions": FACTS, "rows": 50, "seed": 1}
    manifest = runner.fetch("fetch_data.py", **options)
    assert [file["path"] for file in manifest["files"]] == ["demo.csv"]
    text = (runner.folder / "demo.csv").read_bytes()
    assert text.decode("gb18030").splitlines()[0] == "department,title,ask,answer"
    first = runner.manifest.read_bytes()
    runner.manifest.unlink()
    runner.fetch("fetch_data.py", **options)
    assert runner.manifest.read_bytes() == first
    runner.fetch("fetch_data.py", **options | {"seed": 2})
    assert (runner.folder / "demo.csv").read_bytes() != text
    runner.fetch("fetch_data.py", **options | {"condition_count": 1})
    departments = {line.split(",")[0] for line in (runner.folder / "demo.csv").read_text("gb18030").splitlines()[1:]}
    assert len(departments) == 1
    runner.manifest.unlink()
    assert "[C104]" in runner.fails("fetch_data.py", **options | {"condition_count": 10_000})
