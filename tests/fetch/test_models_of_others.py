"""Models that other people packed: each kind that would go wrong on a card is refused before, by its file."""

import json
from contextlib import nullcontext

import pytest

from fetch_runner import HUBS, Runner, safetensors
from hub_server import FakeHub
from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.files import write_json
from medscale.base.study import runs_of
from medscale.fetch.manifest import read_manifest
from medscale.fetch.model_config import is_known
from medscale.fetch.model_files import model_files
from medscale.fetch.model_folder import identity
from medscale.fetch.sources import own_path, point_to_own, source_of
from medscale.fetch.weights import embedding_rows

CONFIG = {
    "model_type": "qwen2",
    "num_hidden_layers": 2,
    "vocab_size": 10,
    "tie_word_embeddings": True,
    "layer_types": ["full_attention"] * 2,
}
SHAPES = {"model.embed_tokens.weight": [10, 4], "model.norm.weight": [4]}
SHAPES |= {f"model.layers.{i}.{name}.weight": [4, 4] for i in range(2) for name in ("self_attn.q_proj", "mlp.up_proj")}
SHAPES |= {f"model.layers.{i}.input_layernorm.weight": [4] for i in range(2)}
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "model.safetensors": safetensors(**SHAPES),
    "tokenizer.json": b"{}",
    "generation_config.json": b"{}",
}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "own" / "net"
    folder.mkdir(parents=True)
    put(folder, FILES)
    return folder


def put(folder, files):
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)


def config(**changes):
    return {"config.json": json.dumps(CONFIG | changes).encode()}


def weights(**changes):
    shapes = {name: shape for name, shape in (SHAPES | changes).items() if shape}
    return {"model.safetensors": safetensors(**shapes)}


def index(**names):
    text = json.dumps({"weight_map": names}).encode()
    return {"model.safetensors": None, "model.safetensors.index.json": text, "a.safetensors": safetensors(w=[2, 2])}


def quantised(dtype):
    return {"model.safetensors": FILES["model.safetensors"].replace(b"F32", dtype)}


def test_a_model_with_nothing_wrong_is_taken(model, tmp_path):
    point_to_own("model", own_path("model", str(model)), tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json")["id"] == "net"
    assert embedding_rows(model) == 10


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"adapter_config.json": b"{}"}, "holds an adapter beside the model"),
        (config(quantization_config={"quant_method": "awq"}), "quantised already .*awq"),
        (config(text_config={"quantization_config": {"quant_method": "gptq"}}), "quantised already .*gptq"),
        (quantised(b"I32"), "holds .*weight as I32: these weights are quantised"),
        (weights(**{"model.layers.0.mlp.up_proj.qweight": [4, 4]}), "quantised already"),
        ({"config.json": b"{"}, "config.json is no JSON"),
        ({"config.json": b"[]"}, "config.json is no JSON .*list"),
        ({"config.json": b"\xff\xfe"}, "config.json is no JSON"),
        ({"generation_config.json": b"<html>"}, "generation_config.json is no JSON"),
        ({"tokenizer.json": b"{"}, "tokenizer.json is no JSON"),
        (config(model_type=None), "does not say model_type"),
        (config(model_type="quen9"), "model_type quen9 .*none that the installed transformers"),
        (config(model_type="../llama"), "model_type ../llama .*none that the installed"),
        (config(model_type="whisper_of_old", auto_map={"AutoModel": "m.M"}), "auto_map in config.json. is never run"),
        ({"model.safetensors": b""}, "model.safetensors: has no safetensors header"),
        ({"model.safetensors": b"\xff" * 100}, "model.safetensors: has no safetensors header"),
        ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "git lfs pull"),
        ({"model.safetensors": (5).to_bytes(8, "little") + b"abcde"}, "header cannot be read"),
        ({"model.safetensors": FILES["model.safetensors"][:-1]}, "bytes, and its header tells of"),
        ({"model.safetensors": None, "adapter_model.safetensors": b"x"}, "no weights in safetensors"),
        ({"model.safetensors": None, "pytorch_model.bin": b"x"}, "save_pretrained"),
        ({"model.safetensors": None, "net.Q4_K.gguf": b"x"}, "GGUF is quantised already"),
        ({"model.safetensors": None, "consolidated.safetensors": b"x"}, "no model.safetensors, by which name"),
        ({"model.safetensors": None, "model-00001-of-00002.safetensors": b"x"}, "no model.safetensors.index.json"),
        (index(w="b.safetensors"), "weights that are not there: b.safetensors"),
        (index(v="a.safetensors"), "names 1 weights that its files do not hold, such as v in a.safetensors"),
        (index(w="../a.safetensors"), "is no index of weights"),
        (index(), "is no index of weights"),
        (config(num_hidden_layers=3), r"no weights of the layers \[2\]"),
        (config(num_hidden_layers=1), r"weights of the layers \[1\] too"),
        (weights(**{"model.layers.1.mlp.up_proj.weight": None}), "layer 1 has no mlp.up_proj.weight"),
        (config(vocab_size=12), "embedding has 10 rows, and vocab_size in config.json is 12"),
        (config(tie_word_embeddings=False), "has no lm_head.weight"),
        ({"tokenizer.json": b'{"model": {"vocab": {"a": 3, "b": 10}}}'}, "has 11 tokens and its embedding 10 rows"),
        (
            {"tokenizer.json": b'{"model": {"vocab": [["a", 0]]}, "added_tokens": [{"id": 12, "content": "<x>"}]}'},
            "13 .* <x>",
        ),
        ({"tokenizer_config.json": b'{"added_tokens_decoder": {"10": {"content": "<y>"}}}'}, "has 11 tokens .* <y>"),
        ({"config.json": None, "adapter_config.json": b"{}"}, "is an adapter and not a model"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_file(model, tmp_path, files, named):
    put(model, files)
    with pytest.raises(UserError, match=named) as error:
        point_to_own("model", own_path("model", str(model)), tmp_path / "manifest.json")
    assert str(model) in str(error.value)
    assert not (tmp_path / "manifest.json").exists()


def test_planning_refuses_what_json_tells(model, tmp_path):
    study(tmp_path, model, "all-linear")
    put(model, {"adapter_config.json": b"{}"})
    with pytest.raises(UserError, match=r"move adapter_config\.json and adapter_model"):
        study(tmp_path, model, "all-linear")
    put(model, {"adapter_config.json": None} | config(quantization_config={"quant_method": "bitsandbytes"}))
    with pytest.raises(UserError, match=r"quantised already .*bitsandbytes.* QLoRA quantises it by itself"):
        study(tmp_path, model, "all-linear")


def test_layers_of_several_kinds_need_not_be_alike(model, tmp_path):
    put(model, config(layer_types=["linear_attention", "full_attention"]))
    put(model, weights(**{"model.layers.1.mlp.up_proj.weight": None}))
    point_to_own("model", model, tmp_path / "manifest.json")


@pytest.mark.parametrize(("kind", "known"), [("qwen2", True), ("llama", True), ("gpt2", True), ("whisperer", False)])
def test_which_architectures_are_known(kind, known):
    assert is_known(kind) == known


def study(folder, path, targets):
    paths = {"results": str(folder / "results"), "resources": str(folder / "resources")}
    changes = {"model": {"source": "local", "path": str(path)}, "paths": paths, "lora": {"target_modules": targets}}
    return source_of(resolve(changes), "model", None)


@pytest.mark.parametrize(
    ("targets", "named"),
    [
        (["q_proj", "v_porj"], "no linear layer called v_porj; its layers have q_proj, up_proj"),
        (["input_layernorm"], "no linear layer called input_layernorm"),
        (["embed_tokens"], "the embedding and the head at once"),
        (["lm_head", "q_proj"], "lm_head is of .* the embedding and the head at once"),
    ],
)
def test_an_adapters_place_is_looked_for_when_the_study_is_planned(model, tmp_path, targets, named):
    with pytest.raises(UserError, match=named):
        study(tmp_path, model, targets)
    for right in ("all-linear", ["q_proj"], ["self_attn.q_proj", "up_proj"]):
        study(tmp_path, model, right)


def test_an_untied_head_may_have_an_adapter(model, tmp_path):
    put(model, config(tie_word_embeddings=False) | weights(**{"lm_head.weight": [10, 4]}))
    study(tmp_path, model, ["lm_head", "embed_tokens"])


def cache(root, commits, main=None):
    """Lay out the cache of a hub's client: blobs, and snapshots that link to them."""
    base = root / "models--org--net-1.5"
    (base / "blobs").mkdir(parents=True)
    for name, content in FILES.items():
        (base / "blobs" / name).write_bytes(content)
    for commit in commits:
        (base / "snapshots" / commit).mkdir(parents=True)
        for name in FILES:
            (base / "snapshots" / commit / name).symlink_to(f"../../blobs/{name}")
    if main:
        (base / "refs").mkdir()
        (base / "refs" / "main").write_text(main)
    return base


@pytest.mark.parametrize(("commits", "main", "meant"), [(["a1"], None, "a1"), (["a1", "b2"], "b2", "b2")])
def test_a_hubs_cache_is_its_snapshot(tmp_path, commits, main, meant):
    base = cache(tmp_path, commits, main)
    found = own_path("model", str(base))
    assert found == base / "snapshots" / meant
    point_to_own("model", found, tmp_path / "to" / "manifest.json")
    manifest = read_manifest(tmp_path / "to" / "manifest.json")
    assert (manifest["id"], manifest["revision"]) == ("org/net-1.5", meant)
    assert study(tmp_path, base, "all-linear").own_content == study(tmp_path, found, "all-linear").own_content


@pytest.mark.parametrize(("commits", "main"), [(["a1", "b2"], None), ([], "gone")])
def test_a_cache_that_does_not_say_which_snapshot_is_refused(tmp_path, commits, main):
    base = cache(tmp_path, commits, main)
    (base / "snapshots").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=r"name the folder of one of them|holds no model"):
        own_path("model", str(base))


def test_a_folder_above_the_model_names_those_below(tmp_path):
    cache(tmp_path / "hub", ["a1"])
    below = tmp_path / "hub" / "models" / "Org" / "Net-2___5"
    below.mkdir(parents=True)
    put(below, FILES)
    with pytest.raises(UserError, match=r"below it do: models--org--net-1.5, models/Org/Net-2___5; name one"):
        own_path("model", str(tmp_path / "hub"))
    assert identity(own_path("model", str(below))) == ("Org/Net-2.5", None)


def test_a_download_that_was_cut_off_lacks_what_its_links_point_to(tmp_path):
    base = cache(tmp_path, ["a1"])
    (base / "blobs" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights in safetensors"):
        point_to_own("model", own_path("model", str(base)), tmp_path / "manifest.json")


def test_an_empty_folder_is_said_to_lack_all(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no config\.json, and no weights .*, and no tokenizer"):
        point_to_own("model", own_path("model", str(tmp_path / "empty")), tmp_path / "manifest.json")


def test_a_study_that_is_trained_is_planned_whatever_its_adapters_place(model, tmp_path):
    targets = ["q_proj", "gone_proj"]
    with pytest.raises(UserError, match="no linear layer called gone_proj"):
        study(tmp_path, model, targets)
    config = resolve({"paths": {"results": str(tmp_path / "results")}})
    for run in runs_of(config):
        write_json(
            tmp_path / "results" / run.name / "training.json", {"settings": {"lora": {"target_modules": targets}}}
        )
    study(tmp_path, model, targets)
    with pytest.raises(UserError, match="no linear layer called other_proj"):
        study(tmp_path, model, ["other_proj"])


def test_weights_of_any_name_in_the_top_folder_are_fetched():
    names = ["config.json", "tokenizer.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]
    others = ["consolidated.safetensors", "consolidated-00001-of-2.safetensors", "adapter_model.safetensors"]
    assert model_files([*names, "mtp.safetensors", *others], "here") == sorted([*names, "mtp.safetensors"])


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"image_token": "<soft>"}, False),
        ({"image_token": {"content": "<soft>"}}, False),
        ({"image_token": "<soft>", "chat_template": "{{ '<soft>' }}"}, True),
        ({"additional_special_tokens": ["<soft>"]}, True),
        ({"eos_token": "<soft>"}, True),
    ],
)
def test_a_placeholder_of_pictures_needs_no_row_where_nothing_writes_it(model, tmp_path, settings, refused):
    tokenizer = {"model": {"vocab": {"a": 3}}, "added_tokens": [{"id": 10, "content": "<soft>", "special": True}]}
    files = {"tokenizer.json": tokenizer, "tokenizer_config.json": settings}
    put(model, {name: json.dumps(content).encode() for name, content in files.items()})
    with pytest.raises(UserError, match=r"has 11 tokens .* <soft>") if refused else nullcontext():
        point_to_own("model", model, tmp_path / "manifest.json")


@pytest.mark.parametrize("source", HUBS)
def test_no_weights_are_fetched_of_a_model_that_its_config_rules_out(tmp_path, source):
    with FakeHub() as hub:
        hub.add("models", "org/net", FILES | config(quantization_config={"quant_method": "gptq"}))
        error = Runner(tmp_path).fails("fetch_model.py", source=source, id="org/net", endpoint=hub.url)
        assert "is quantised already" in error
        assert hub.asked("config.json")
        assert not hub.asked("model.safetensors")
