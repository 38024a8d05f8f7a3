"""The run matrix: names of runs and rows, and what the wildcards of the rules may be."""

import re

import pytest

from medscale.base.config import resolve
from medscale.base.pilots import piloted
from medscale.base.study import (
    files_of,
    floors_of,
    folder_name,
    mix_of,
    mixed_rows,
    runs_of,
    size_label,
    sizes_of,
    wildcard_patterns,
)

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


@pytest.mark.parametrize(
    ("seeds_at", "several"),
    [
        (["smallest", "largest"], {200, 20000}),
        (["largest"], {20000}),
        ([1000], {1000}),
        (["smallest", 200], {200}),
        (None, {200, 1000, 20000}),
    ],
)
def test_further_seeds_are_trained_at_the_sizes_that_are_named_and_names_do_not_change(seeds_at, several):
    config = resolve({"study": STUDY | {"seeds_at": seeds_at, "mix": {"source": "demo"}}})
    everywhere = [run.name for run in runs_of(resolve({"study": STUDY | {"mix": {"source": "demo"}}}))]
    runs = runs_of(config)
    assert {run.size for run in runs if run.name.endswith("_seed7")} == several
    assert {run.size for run in runs if not run.name.endswith("_seed7")} == {200, 1000, 20000}
    assert [name for name in everywhere if name in {run.name for run in runs}] == [run.name for run in runs]
    # A control is trained with the seeds of its size.
    assert ("lora_200_4epochs_seed7" in {run.name for run in runs}) == (200 in several)
    assert ("qlora_20k_mix10_seed7" in {run.name for run in runs}) == (20000 in several)


def test_runs_with_general_rows_are_controls_of_the_largest_size_or_of_those_that_are_named():
    config = resolve({"study": STUDY | {"mix": {"source": "demo"}}})
    mixed = [run for run in runs_of(config) if run.mix is not None]
    assert [run.name for run in mixed] == [
        *("lora_20k_mix10", "lora_20k_mix10_seed7", "qlora_20k_mix10", "qlora_20k_mix10_seed7")
    ]
    assert {(run.arm, run.epochs, run.part) for run in mixed} == {("control", None, "train_20k_mix10")}
    asked = {"source": "demo", "share": 0.25, "runs": [{"method": "lora", "size": 200}]}
    config = resolve({"study": STUDY | {"seeds": [42], "mix": asked}})
    assert [(run.name, run.part) for run in runs_of(config)][-1] == ("lora_200_mix25", "train_200_mix25")
    patterns = wildcard_patterns(config)
    assert re.fullmatch(patterns["part"], "train_200_mix25")
    assert re.fullmatch(patterns["mixed"], "200_mix25")
    assert not re.fullmatch(patterns["size"], "200_mix25")


@pytest.mark.parametrize(("size", "percent"), [(20_000, 10), (16, 20), (1000, 1), (100, 90), (333, 33)])
def test_general_rows_are_the_asked_share_of_all_rows(size, percent):
    general = mixed_rows(size, percent)
    assert abs(general / (size + general) - percent / 100) < 1 / size
    assert mixed_rows(2 * size, percent) >= general


@pytest.mark.parametrize(
    ("run", "percent"),
    [("lora_20k_mix10", 10), ("qlora_200_mix25_seed7", 25), ("lora_20k", None), ("lora_20k_5epochs", None)],
)
def test_a_run_tells_by_its_name_whether_it_has_general_rows(run, percent):
    assert mix_of(run) == percent


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


def test_a_run_with_general_rows_stands_for_no_size_of_the_study():
    """It is no run of the main arm: a pilot is made of the size itself, and of a method without a main run of none."""
    asked = {"source": "demo", "runs": [{"method": "lora", "size": 1000}, {"method": "qlora", "size": 200}]}
    config = resolve({"study": STUDY | {"methods": ["lora"], "mix": asked}, "pilot": {"check": True}})
    assert [run.name for run in piloted(config, "lora")] == ["lora_200", "lora_20k"]
    assert piloted(config, "qlora") == []
