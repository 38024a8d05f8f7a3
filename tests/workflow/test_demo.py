"""What the demo promises whoever runs it first: more data is better, visibly, and better than what needs no model."""

import shutil

import pytest

from medscale.base.files import read_json
from places import ROOT
from workflow_runner import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
FLOORS = ("floor_fixed", "floor_common_words", "floor_department", "floor_bm25")
SMALLEST, LARGEST = "lora_100", "lora_1k"
THREADS = ("finetune=1", "predict=1", "score=1", "examine=1")


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """The smallest and the largest LoRA run of the demo and its floors, as `make demo` makes them."""
    study = Study(ROOT, tmp_path_factory.mktemp("demo") / "study")
    study.served = False
    shutil.copy(ROOT / "config" / "demo.yaml", study.folder / "small.yaml")
    runs = (SMALLEST, LARGEST, *FLOORS)
    targets = [f"results/demo/{run}/eval.json" for run in runs]
    study.run(*targets, "--cores", "2", "--resources", "gpu=2", "--set-threads", *THREADS)
    return {run: read_json(study.folder / "results" / "demo" / run / "eval.json") for run in runs}


@pytest.mark.parametrize(("metric", "value", "better"), [("nll", "value", -1), ("rouge_l", "f", 1)])
def test_more_data_is_better_with_intervals_that_do_not_touch(evaluations, metric, value, better):
    small, large = (evaluations[run]["metrics"][metric] for run in (SMALLEST, LARGEST))
    assert better * (large[value] - small[value]) > 0
    low, high = sorted((small, large), key=lambda found: found[value])
    assert low["ci95"][1] < high["ci95"][0]


@pytest.mark.parametrize("floor", FLOORS)
def test_the_largest_run_stands_above_every_floor(evaluations, floor):
    tuned, simple = (evaluations[run]["metrics"]["rouge_l"] for run in (LARGEST, floor))
    assert tuned["ci95"][0] > simple["ci95"][1]


def test_facts_of_the_training_rows_are_learned_and_no_others(evaluations):
    seen, unseen = (
        {run: evaluations[run]["exams"]["facts"]["by_subject"][part] for run in (SMALLEST, LARGEST)}
        for part in ("seen", "unseen")
    )
    assert seen[LARGEST]["ci95"][0] > seen[SMALLEST]["ci95"][1]
    for part in unseen.values():
        low, high = part["ci95"]
        assert low < 25 < high


def test_what_the_medicine_cost_elsewhere_is_measured(evaluations):
    small, large = (evaluations[run]["retention"] for run in (SMALLEST, LARGEST))
    assert large["ci95"][0] > small["ci95"][1]
