"""What a base model's licence asks of an export: read from its files, else known by its id, else told to be unknown."""

import pytest

from medscale.export.licences import UNKNOWN, copy_agreements, licence_for


def manifest(id=None, licence=None):
    return {"id": id, "licence": licence, "source": "huggingface"}


@pytest.mark.parametrize(
    ("size", "licence", "display"),
    [("3B", "qwen-research", "Built with Qwen"), ("1.5B", "apache-2.0", None), ("72B", "qwen", "Built with Qwen")],
)
def test_the_licences_of_qwen_by_size(tmp_path, size, licence, display):
    for name in (f"Qwen/Qwen2.5-{size}-Instruct", f"Qwen/Qwen2.5-{size}"):
        found = licence_for(manifest(name), tmp_path)
        assert (found.id, found.display) == (licence, display)
    assert (found.commercial is False) == (size == "3B")


def test_what_the_model_states_comes_first_then_the_hub(tmp_path):
    assert licence_for(manifest("Qwen/Qwen2.5-3B", "mit"), tmp_path).id == "mit"
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: qwen-research\n---\n")
    found = licence_for(manifest("a/b", "mit"), tmp_path)
    assert (found.id, found.hub, found.source) == ("qwen-research", "other", "the model's own card")


def test_one_that_is_stated_but_not_known_keeps_its_name(tmp_path):
    found = licence_for(manifest("a/b", "gemma"), tmp_path)
    assert (found.id, found.hub, found.display, found.commercial) == ("gemma", "other", None, None)


@pytest.mark.parametrize("id", [None, "a/b", "Qwen/Qwen2.5-9B"])
def test_one_that_nobody_states_is_unknown(tmp_path, id):
    assert licence_for(manifest(id), tmp_path).id == UNKNOWN


def test_agreements_travel_and_a_notice_is_written_where_one_is_asked_for(tmp_path):
    base, target = tmp_path / "base", tmp_path / "export"
    base.mkdir()
    target.mkdir()
    (base / "LICENSE").write_text("the terms")
    research = licence_for(manifest("Qwen/Qwen2.5-3B"), base)
    assert copy_agreements(base, target, research) == ["LICENSE", "NOTICE"]
    assert (target / "LICENSE").read_text() == "the terms"
    assert "Qwen RESEARCH LICENSE AGREEMENT, Copyright (c) Alibaba Cloud" in (target / "NOTICE").read_text()
    (target / "NOTICE").write_text("the model's own")
    copy_agreements(base, target, research)
    assert (target / "NOTICE").read_text() == "the model's own"
