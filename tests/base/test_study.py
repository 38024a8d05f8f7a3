"""The run matrix: names of runs and rows, and what the wildcards of the rules may be."""

import re

import pytest

from medscale.base.config import resolve
from medscale.base.study import files_of, floors_of, folder_name, runs_of, size_label, sizes_of, wildcard_patterns

STUDY = {
    "methods": ["lora", "qlora"],
    "sizes": [200, 1000, 20000],
    "seeds": [42, 7],
    "controls": [{"method": "lora", "size": 200, "epochs": 4}],
}
CONFIG = resolve({"study": STUDY})


def test_runs_stand_in_the_order_of_the_study_and_controls_last():
    assert [run.name for run in runs_of(CONFIG)] == [
        *("lora_200", "lora_200_seed7", "lora_1k", "lora_1k_seed7", "lora_20k", "lora_20k_seed7"),
        *("qlora_200", "qlora_200_seed7", "qlora_1k", "qlora_1k_seed7", "qlora_20k", "qlora_20k_seed7"),
        *("lora_200_4epochs", "lora_200_4epochs_seed7"),
    ]
    last = runs_of(CONFIG)[-1]
    assert (last.method, last.size, last.size_label, last.seed, last.epochs, last.arm) == (
        *("lora", 200, "200", 7, 4, "control"),
    )
    assert runs_of(CONFIG)[0].arm == "main"


@pytest.mark.parametrize(("size", "label"), [(1, "1"), (999, "999"), (1000, "1k"), (1500, "1500"), (100_000, "100k")])
def test_a_size_is_written_in_thousands_where_it_is_whole(size, label):
    assert size_label(size) == label


def test_sizes_and_floors_by_the_names_that_stand_in_files():
    assert sizes_of(CONFIG) == {"200": 200, "1k": 1000, "20k": 20000}
    assert floors_of(CONFIG) == [f"floor_{name}" for name in CONFIG["evaluation"]["floors"]]
    assert "floor_bm25" in floors_of(CONFIG)


def test_wildcards_match_what_there_is_and_nothing_else():
    patterns = wildcard_patterns(CONFIG)

    def matches(wildcard, text):
        return re.fullmatch(patterns[wildcard], text) is not None

    assert matches("tuned", "lora_200")
    assert matches("tuned", "lora_200_4epochs_seed7")
    assert not matches("tuned", "base")
    assert not matches("tuned", "lora_2000")
    assert matches("model", "base")
    assert not matches("model", "floor_bm25")
    assert matches("run", "floor_bm25")
    assert matches("run", "qlora_20k")
    assert matches("run", "base")
    assert matches("floor", "bm25")
    assert matches("size", "1k")
    assert matches("part", "train_1k")
    assert matches("part", "validation")
    assert not matches("part", "test")


def test_a_study_without_floors_has_a_pattern_that_no_floor_has():
    assert wildcard_patterns(resolve({"evaluation": {"floors": []}}))["floor"] == "none"


@pytest.mark.parametrize("path", ["Qwen/NetX", "/a/b/NetX", "/a/b/NetX/", "NetX", "b/NetX//"])
def test_the_folder_of_a_repository_or_path(path):
    assert folder_name(path) == "NetX"


def test_the_files_of_rows():
    assert files_of("results", ["base", "lora_1k"], "eval.json") == [
        "results/base/eval.json",
        "results/lora_1k/eval.json",
    ]
    assert files_of("results", [], "eval.json") == []
