"""What the report says the peak of the memory tells of."""

from types import SimpleNamespace

import pytest

from medscale.report.costs import cost_table


def evaluation(method, layers=36, rows=4):
    training = {"checkpointed_layers": layers, "micro_batch": rows, "seconds": 10.0}
    return {
        "run": f"{method}_20k",
        "method": method,
        "size_label": "20k",
        "train_size": 20_000,
        "seed": 42,
        "arm": "main",
        "hardware": {"device": "cuda"},
        "training": training | {"peak_memory_gib": {"train_allocated": 6.9, "kind": "CUDA allocator"}},
    }


def notes(*evaluations):
    base = {"run": "base", "method": "base", "inference": {"samples_per_second": 1.0}}
    runs = {each["run"]: each for each in (*evaluations, base)}
    summary = SimpleNamespace(configurations=[])
    return cost_table(SimpleNamespace(evaluations=runs, summary=summary))["note"].en


def test_runs_with_the_same_settings_differ_in_memory_by_their_method():
    told = notes(evaluation("lora"), evaluation("qlora"))
    assert told.startswith("Memory measured as: CUDA allocator. The peak")
    assert "36 decoder layers recomputed" in told
    assert "4 rows of full length at once" in told


@pytest.mark.parametrize("other", [{"layers": 0}, {"rows": 2}])
def test_runs_with_other_settings_are_told_apart(other):
    told = notes(evaluation("lora"), evaluation("qlora", **other))
    assert "did not all recompute the same number of layers" in told


def test_a_record_without_these_settings_is_left_without_the_sentence():
    here = evaluation("lora") | {"hardware": {"device": "cpu"}}
    assert notes(here) == "Memory measured as: CUDA allocator.", "a CPU is given no such settings"
    old = evaluation("lora")
    del old["training"]["checkpointed_layers"]
    assert notes(old) == "Memory measured as: CUDA allocator."
