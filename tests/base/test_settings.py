"""What each rule is told: all that decides its result, and nothing that differs between machines."""

import json
import os

import pytest

from medscale.base import settings
from medscale.base.config import resolve
from medscale.base.study import runs_of
from medscale.data.table_files import FileOptions

OVERRIDES = {"qlora": {"training": {"learning_rate": 0.5, "micro_batch": 2, "precision": "bf16"}, "lora": {"r": 4}}}
CONFIG = resolve({"study": {"sizes": [100]}, "overrides": OVERRIDES})
LORA, QLORA = runs_of(CONFIG)


def test_json_is_the_same_for_the_same_value():
    assert settings.as_json({"b": "问", "a": [1, None]}) == '{"a": [1, null], "b": "问"}'


def test_a_training_is_told_of_its_own_values_and_of_no_micro_batch():
    told = settings.training_settings(CONFIG, QLORA)
    assert told["training"]["learning_rate"] == 0.5
    assert told["lora"]["r"] == 4
    assert not {"micro_batch", "report_to", "offline"} & set(told["training"])
    assert told["quantization"] == CONFIG["quantization"]
    assert told["chat"] == CONFIG["chat"]
    assert settings.training_settings(CONFIG, LORA)["training"]["learning_rate"] != 0.5
    assert CONFIG["training"]["micro_batch"] == "auto", "the configuration itself is left alone"


def test_what_a_method_does_not_override_stays_and_a_control_has_its_own_epochs():
    study = {"sizes": [100], "controls": [{"method": "qlora", "size": 100, "epochs": 5}]}
    config = resolve({"study": study, "overrides": OVERRIDES | {"100": {"training": {"epochs": 3}}}})
    lora, qlora, control = (settings.settings_for(config, run) for run in runs_of(config))
    assert lora == {"training": CONFIG["training"] | {"epochs": 3}, "lora": CONFIG["lora"]}
    changed = {"epochs": 3, "learning_rate": 0.5, "micro_batch": 2, "precision": "bf16"}
    assert qlora == {"training": CONFIG["training"] | changed, "lora": CONFIG["lora"] | {"r": 4}}
    assert control == {"training": qlora["training"] | {"epochs": 5}, "lora": qlora["lora"]}


def test_the_micro_batch_of_a_run():
    assert settings.micro_batch(CONFIG, QLORA) == 2
    assert settings.micro_batch(CONFIG, LORA) == "auto"


@pytest.mark.parametrize(
    ("results", "project"),
    [("results", "medscale"), ("results/demo", "medscale-demo"), ("/mnt/my study/results", "medscale-study")],
)
def test_finetune_is_told_of_trackers_apart_and_of_a_project_named_after_the_results(results, project):
    asked = {"qlora": {"training": {"report_to": ["tensorboard", "wandb"], "offline": True}}}
    config = resolve({"study": {"sizes": [100]}, "paths": {"results": results}, "overrides": asked})
    lora, qlora = runs_of(config)
    folder = f"'{results}/trackers'" if " " in results else f"{results}/trackers"
    assert settings.tracker_options(config, lora) == f"--report-to tensorboard --project {project} --trackers {folder}"
    assert settings.tracker_options(config, qlora).startswith("--report-to tensorboard wandb --offline --project")
    assert settings.trackers(config) == ["tensorboard", "wandb"]


def test_a_prediction_is_told_of_its_training_precision_and_the_study_s_length():
    told = settings.prediction_settings(CONFIG, QLORA)
    assert told["precision"] == "bf16"
    assert settings.prediction_settings(CONFIG, None)["precision"] == CONFIG["training"]["precision"]
    assert told["max_length"] == CONFIG["training"]["max_length"]
    assert told["evaluation"].keys() == {"engine", "max_samples", "max_new_tokens", "batch_size"}
    assert (told["chat"], told["quantization"]) == (CONFIG["chat"], CONFIG["quantization"])


def test_vllm_answers_for_all_but_qlora():
    config = resolve({"study": {"sizes": [100]}, "evaluation": {"engine": "vllm"}})
    lora, qlora = runs_of(config)
    engines = [settings.prediction_settings(config, run)["evaluation"]["engine"] for run in (lora, qlora, None)]
    assert engines == ["vllm", "transformers", "vllm"]


def test_the_report_shows_nothing_of_this_machine():
    private = {
        "model": {"source": "local", "path": "/home-of-me/model", "endpoint": "http://mirror-of-me"},
        "data": {"source": "file", "path": "/home-of-me/data.csv", "endpoint": "http://mirror-of-me"},
        "evaluation": {"bertscore_model": "/home-of-me/bert"},
        "paths": {"results": "/home-of-me/results", "resources": "/home-of-me/resources"},
        "training": {"micro_batch": 3},
    }
    shown = settings.shared_config(resolve(private))
    text = json.dumps(shown)
    assert "of-me" not in text
    assert shown["training"]["micro_batch"] is None
    assert shown["model"]["source"] == "local"
    assert shown["training"]["learning_rate"] == CONFIG["training"]["learning_rate"]


def test_cleaning_options_say_every_value():
    told = settings.cleaning_options(CONFIG).split()
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        f"--{key.replace('_', '-')}": settings.as_json(value) for key, value in CONFIG["cleaning"].items()
    }


def test_file_settings_are_what_a_reader_of_files_takes():
    assert FileOptions(**settings.file_settings(CONFIG)) == FileOptions()
    said = {"csv": {"delimiter": ";", "header": 2}, "json": {"rows_key": "rows"}, "encoding": "big5"}
    told = settings.file_settings(resolve({"data": said | {"department_folder": 1}}))
    assert FileOptions(**told) == FileOptions("big5", ";", None, 2, "rows", 1)


@pytest.mark.parametrize(
    ("run", "name", "told"),
    [
        (LORA, "lora_100", "--method lora --size-label 100 --train-size 100 --seed 42 --arm main"),
        (None, "base", "--method base"),
        (None, "floor_bm25", "--method floor_bm25"),
    ],
)
def test_evaluate_is_told_what_a_row_is(run, name, told):
    assert settings.run_options(run, name) == told


def test_the_encoder_is_named_only_where_bertscore_is_asked_for():
    evaluation = {"bertscore_model": "bert"}
    assert settings.bertscore_model(resolve({"evaluation": evaluation})) is None
    evaluation |= {"extra_metrics": ["bertscore"]}
    assert settings.bertscore_model(resolve({"evaluation": evaluation})) == "bert"
    evaluation["bertscore_model"] = "~/bert"
    assert settings.bertscore_model(resolve({"evaluation": evaluation})) == os.path.expanduser("~/bert")


@pytest.mark.parametrize(
    ("value", "told"), [("a b", " --x 'a b'"), ("模型", " --x '模型'"), (None, ""), ([], ""), ("", "")]
)
def test_an_option_is_quoted_and_left_out_where_there_is_no_value(value, told):
    assert settings.option("--x", value) == told


def test_what_decides_the_questions_of_an_exam_is_no_place():
    exams = {"own": {"path": "a.csv", "max_questions": 5}, "facts": {"source": "demo", "rows": 40}}
    config = resolve({"evaluation": {"exams": exams}})
    own, facts = (settings.exam_settings(config, name) for name in exams)
    assert not own.keys() & {"path", "endpoint", "source", "scored_by"}
    assert (own["max_questions"], facts["max_questions"]) == (5, 40)
    assert settings.exam_training(config, "own", "train.jsonl") == []
    assert settings.exam_training(config, "facts", "train.jsonl") == ["train.jsonl"]
