"""What an export is told, and that nothing of it is part of a result or names a place on this machine."""

import json

import pytest

from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.export_settings import export_settings, exported_run, without_export, without_private
from medscale.base.identity import planned_fingerprint
from medscale.base.settings import portable_config, shared_config
from medscale.base.study import runs_of

SECTION = {"gguf_converter": "/of-me/llama.cpp", "sample": None, "tolerance": 0.5}
PLAIN, OTHER = resolve({"study": {"sizes": [100]}}), resolve({"study": {"sizes": [100]}, "export": SECTION})
RUNS = {run.name: run for run in runs_of(PLAIN)}


def test_an_export_is_told_its_section_and_how_the_run_was_measured():
    told = export_settings(OTHER, RUNS["qlora_100"])
    assert (told["export"]["sample"], told["export"]["tolerance"]) == (None, 0.5)
    assert told["resamples"] == OTHER["evaluation"]["bootstrap_resamples"]
    assert told["evaluation"]["max_new_tokens"] == OTHER["evaluation"]["max_new_tokens"]
    assert told["chat"] == OTHER["chat"]


def test_the_place_of_the_converter_stays_here():
    shown = [export_settings(OTHER, RUNS["lora_100"]), portable_config(without_private(OTHER))]
    assert "of-me" not in json.dumps(shown)
    assert shown[1]["export"]["tolerance"] == 0.5, "the rest goes with a backup"


@pytest.mark.parametrize("name", ["lora_100", "qlora_100", "base", "floor_bm25"])
def test_no_result_depends_on_the_section(name):
    assert planned_fingerprint(PLAIN, name, "m", "d") == planned_fingerprint(OTHER, name, "m", "d")


def test_the_report_does_not_either():
    assert shared_config(without_export(PLAIN)) == shared_config(without_export(OTHER))
    assert "export" not in shared_config(without_export(OTHER))


def test_a_run_is_one_that_was_trained():
    assert exported_run(RUNS, "lora_100") is RUNS["lora_100"]
    for name, said in (("base", "base model itself"), ("floor_fixed", "a floor")):
        with pytest.raises(UserError, match=f"{said}.*name a run: lora_100, qlora_100") as caught:
            exported_run(RUNS, name)
        assert caught.value.code == "G101"
