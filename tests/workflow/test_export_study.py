"""Runs of the real workflow, exported: each form is measured as the run was, and nothing of the study is made anew."""

import pytest

from medscale.base.files import read_json
from places import ROOT
from workflow_runner import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ONE_SIZE = {"sizes": [16], "test_size": 8, "validation_size": 6}
EXPORTS = ("results/lora_16/export", "results/qlora_16/export")
NO_CONVERTER = {"LLAMA_CPP": ""}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(ROOT, tmp_path_factory.mktemp("export") / "study")
    study.configure(study=ONE_SIZE, export={"forms": ["adapter", "merged"]})
    study.run(*EXPORTS, "--cores", "2", "--resources", "gpu=1", **NO_CONVERTER)
    return study


def told(study, method):
    return read_json(study.folder / "results" / f"{method}_16" / "export" / "export.json")


def test_lora_s_forms_are_the_run(study):
    found = told(study, "lora")
    assert (found["sample"]["items"], found["sample"]["of"]) == (8, 8)
    evaluation = read_json(study.folder / "results" / "lora_16" / "eval.json")
    for name in ("adapter", "merged"):
        form = found["forms"][name]
        assert form["nll_run"] == pytest.approx(evaluation["metrics"]["nll"]["value"], abs=1e-6), (
            "all items, so its own"
        )
        assert abs(form["difference"]) < 1e-5
        assert form["identical_answers"] == 1
        assert form["prompts_identical"] == 8
        assert form["warning"] is None
    assert found["provenance"] == evaluation["provenance"]


def test_qlora_ships_the_nearer_of_two_mergers(study):
    forms = told(study, "qlora")["forms"]
    assert abs(forms["adapter"]["difference"]) < 1e-5
    assert forms["merged"]["into"] == "dequantized"
    other = forms["merged_base"]
    assert not other["made"]
    assert other["files"] == []
    assert forms["merged"]["mean_absolute_difference"] < 1e-4 < other["mean_absolute_difference"]


def test_an_export_makes_nothing_else_stale_and_is_made_anew_for_its_own_settings(study):
    assert study.plan(*EXPORTS, "--cores", "2") == {}
    study.configure(study=ONE_SIZE, export={"forms": ["adapter", "merged"], "tolerance": 0.5})
    assert study.plan(*EXPORTS, "--cores", "2") == {"export": 2}
    assert study.plan("results/lora_16/eval.json", "results/qlora_16/eval.json", "--cores", "2") == {}


def test_the_base_model_and_the_floors_have_nothing_to_export(study):
    for name, said in (("base", "base is the base model itself"), ("floor_bm25", "floor_bm25 is a floor")):
        done = study.run("-n", f"results/{name}/export", "--cores", "2", check=False)
        assert done.returncode
        assert said in done.stdout
        assert "[G101]" in done.stdout
