"""Which runs can be asked, and every way in which one cannot."""

import importlib.util
import shutil
import subprocess
import sys

import psutil
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from asked_study import edit_json
from medscale.ask.adapters import WEIGHTS, require_memory
from medscale.ask.asker import Asker
from medscale.ask.device import require_free
from medscale.ask.quiet_gradio import require_gradio
from medscale.ask.study import open_study
from medscale.base import cards
from medscale.base.cards import lock_file
from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.fetch.manifest import root_of
from places import SCRIPTS


def test_finished_runs_are_those_with_an_adapter_in_the_order_of_the_study(opened):
    assert opened.finished() == ["lora_100", "lora_200", "qlora_100"]
    run = opened.asked("qlora_100")
    assert (run.method, run.chat["system_prompt"], run.max_length) == ("qlora", "你是医生。", 128)


def test_a_run_is_asked_as_it_was_trained_whatever_the_configuration_says_now(own_study):
    training = read_json(own_study.results / "lora_100" / "training.json")
    training["settings"]["chat"]["system_prompt"] = "你是护士。"
    edit_json(own_study.results / "lora_100" / "training.json", settings=training["settings"])
    assert open_study([], None).asked("lora_100").chat["system_prompt"] == "你是护士。"


def test_files_of_the_configuration_are_merged_as_snakemake_merges_them(asked_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text("evaluation: {max_new_tokens: 7, batch_size: 2}\n", encoding="utf-8")
    (tmp_path / "two.yaml").write_text("evaluation: {max_new_tokens: 8}\n", encoding="utf-8")
    study = open_study(["one.yaml", "two.yaml"], str(asked_study.folder))
    assert (study.max_new_tokens, study.config["evaluation"]["batch_size"]) == (8, 2)
    assert study.config["training"]["max_length"] == 128


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "qlora_200",
            r"qlora_200 is not trained yet; finished: lora_100, lora_200, qlora_100. To make it: snakemake "
            r"results/qlora_200/adapter --cores 2 --resources gpu=1 \[K101\]",
        ),
        ("lora_1", r"RUN = lora_1: no such run in this study; finished: lora_100.*and base;.*\[K102\]"),
        ("../../etc", r"no such run.*\[K102\]"),
        ("data", r"no such run.*\[K102\]"),
    ],
)
def test_a_run_that_cannot_be_asked_is_told_with_those_that_can(name, said, opened):
    with pytest.raises(UserError, match=said):
        opened.asked(name)


def test_without_a_name_the_terminal_lists_the_runs_and_the_page_takes_one(opened, own_study):
    assert opened.first_choice(page=True) == "qlora_100"
    with pytest.raises(UserError, match=r"RUN=…; finished: lora_100, lora_200, qlora_100 \[K113\]"):
        opened.first_choice(page=False)
    for name in own_study.finished:
        shutil.rmtree(own_study.results / name)
    with pytest.raises(UserError, match=r"none is finished in results \[K113\]"):
        open_study([], None).first_choice(page=True)


def test_a_run_of_another_base_model_is_refused(own_study):
    path = own_study.results / "lora_100" / "training.json"
    edit_json(path, provenance={"model_manifest_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"trained on another base model.*results/lora_100/adapter.*\[K103\]"):
        open_study([], None).asked("lora_100")


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", None])
def test_a_configuration_that_cannot_be_read_is_named(text, tmp_path):
    if text is not None:
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.yaml: cannot be read.*\[K104\]"):
        open_study([str(tmp_path / "a.yaml")], None)
    with pytest.raises(UserError, match=r"nowhere is not a folder.*\[K104\]"):
        open_study([], "nowhere")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def poison(path):
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_file(weights, path)


def thin(path):
    weights = load_file(path)
    weights.pop(min(weights))
    save_file(weights, path)


def grow(path):
    weights = load_file(path)
    name = min(weights)
    weights[name] = torch.zeros(weights[name].shape[0] + 1, weights[name].shape[1])
    save_file(weights, path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "cannot be read"),
        (poison, "no numbers"),
        (thin, "lacks or has too many weights, such as .*lora_A"),
        (grow, "does not fit this base model"),
        (lambda path: path.rename(path.with_suffix(".bin")), f"has no {WEIGHTS}"),
    ],
)
def test_a_damaged_adapter_is_refused_and_the_former_run_stays(damage, said, own_study):
    asker = Asker(open_study([], None))
    asker.switch("lora_200")
    damage(own_study.results / "lora_100" / "adapter" / WEIGHTS)
    with pytest.raises(UserError, match=rf"{said}.*\[K105\]"):
        asker.switch("lora_100")
    assert asker.run.name == "lora_200"
    (answer,) = asker.ask("头痛怎么办", asker.sides()[1:], max_new_tokens=2)
    assert [each.n_tokens for each in answer.steps()]


def test_a_model_that_does_not_fit_the_memory_is_refused(opened, monkeypatch):
    folder = root_of(opened.manifest)
    require_memory(folder, "lora", "fp32")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})())
    with pytest.raises(UserError, match=r"GiB in fp32, and 0\.0 GiB of this machine are free.*\[K109\]"):
        require_memory(folder, "lora", "fp32")


def test_a_study_at_work_is_not_disturbed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSCALE_LOCK_DIR", str(tmp_path))
    monkeypatch.setattr(cards, "_cards", lambda: [])
    require_free()
    last = cards.cores()[-1].name
    with FileLock(lock_file(last)), pytest.raises(UserError, match=r"the CPU is in use.*WAIT=1\) \[K110\]"):
        require_free()
    require_free()
    monkeypatch.setattr(cards, "_cards", lambda: [[cards.Card("GPU-1")], [cards.Card("GPU-2")]])
    with FileLock(lock_file("GPU-1")):
        require_free()
        with FileLock(lock_file("GPU-2")), pytest.raises(UserError, match=r'every card .*CUDA_VISIBLE_DEVICES=""'):
            require_free()


def test_the_page_says_how_to_get_gradio(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("NO_PROXY", "example.org")
    with pytest.raises(UserError, match=r"make ask PAGE=1 RUN=….*\[K111\]"):
        require_gradio()


def test_a_mistake_takes_no_torch():
    """It is told in a second, before a library of several seconds is imported."""
    code = "import sys, ask; ask.open_study([], None); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
