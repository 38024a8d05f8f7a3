"""The configuration: defaults, types, overrides, and one clear message for each mistake."""

import subprocess
import sys

import pytest
import yaml

from medscale.base.config import ConfigError, resolve
from medscale.base.settings import settings_for
from medscale.base.study import runs_of, size_label
from places import ROOT


def test_the_shipped_configurations_are_valid():
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    names = [run.name for run in runs_of(resolve(study))]
    assert names == ["lora_20k", "lora_50k", "lora_100k", "qlora_20k", "qlora_50k", "qlora_100k"]
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    assert len(runs_of(resolve(demo))) == 6


def test_values_from_the_command_line_get_their_types():
    """Snakemake hands over '1' and '0.001', and YAML reads 1e-4 as a text."""
    training = resolve({"training": {"epochs": "2", "learning_rate": "1e-4", "max_steps": "null"}})["training"]
    assert (training["epochs"], training["learning_rate"], training["max_steps"]) == (2, 1e-4, None)


def test_the_more_exact_override_wins():
    config = resolve(
        {
            "overrides": {
                "qlora": {"training": {"learning_rate": "1e-3", "epochs": 2}},
                "100k": {"training": {"learning_rate": 0.002}},
                "qlora_100k": {"training": {"learning_rate": 0.003}, "lora": {"r": 32}},
            }
        }
    )
    runs = {run.name: settings_for(config, run) for run in runs_of(config)}
    rates = {name: settings["training"]["learning_rate"] for name, settings in runs.items()}
    assert rates == {
        "lora_20k": 0.0002,
        "lora_50k": 0.0002,
        "lora_100k": 0.002,
        "qlora_20k": 0.001,
        "qlora_50k": 0.001,
        "qlora_100k": 0.003,
    }
    assert runs["qlora_100k"]["training"]["epochs"] == 2
    assert (runs["qlora_100k"]["lora"]["r"], runs["qlora_20k"]["lora"]["r"]) == (32, 16)


@pytest.mark.parametrize("sizes", [[1000.0, 200], ["1e3", "2e2"]])
def test_whole_numbers_may_be_written_as_floats(sizes):
    config = resolve({"study": {"sizes": sizes}})
    assert [run.name for run in runs_of(config)][:2] == ["lora_1k", "lora_200"]


def test_seeds_after_the_first_are_named():
    config = resolve({"study": {"sizes": [200], "methods": ["lora"], "seeds": [1, 2]}})
    assert [run.name for run in runs_of(config)] == ["lora_200", "lora_200_seed2"]


def test_the_scaling_study_has_seven_sizes_and_a_control_of_equal_steps():
    study = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    scaling = yaml.safe_load((ROOT / "config" / "scaling.yaml").read_text(encoding="utf-8"))
    config = resolve({**study, **scaling, "study": {**study["study"], **scaling["study"]}})
    runs = {run.name: run for run in runs_of(config)}
    assert [run.size for run in runs.values() if run.method == "lora" and run.arm == "main"] == [
        *(1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
    ]
    for method in ("lora", "qlora"):
        control, largest = runs[f"{method}_20k_5epochs"], runs[f"{method}_100k"]
        assert (control.arm, largest.arm) == ("control", "main")
        epochs = [settings_for(config, run)["training"]["epochs"] for run in (control, largest)]
        assert epochs[0] * control.size == epochs[1] * largest.size


@pytest.mark.parametrize(("size", "label"), [(20_000, "20k"), (200, "200"), (1500, "1500"), (1000, "1k")])
def test_labels_of_sizes(size, label):
    assert size_label(size) == label


MISTAKES = [
    ({"traning": {"epochs": 1}}, "traning: unknown key (did you mean training?)"),
    ({"training": {"epoch": 1}}, "training.epoch: unknown key (did you mean epochs?)"),
    ({"training": {"learning_rate": "fast"}}, 'training.learning_rate = "fast": must be a number'),
    ({"training": {"epochs": 0}}, "training.epochs = 0: must be greater than 0"),
    ({"study": {"sizes": [0]}}, "study.sizes[0] = 0: must be at least 1"),
    ({"study": {"sizes": []}}, "study.sizes = []: must have at least 1 item(s)"),
    ({"study": {"sizes": [500, 500]}}, "study.sizes = [500, 500]: has the same item twice"),
    ({"study": {"methods": ["full"]}}, 'study.methods[0] = "full": must be one of "lora", "qlora"'),
    (
        {"study": {"controls": [{"method": "lora", "size": 30000, "epochs": 5}]}},
        "study.controls[0].size = 30000: must be one of study.sizes, which are [20000, 50000, 100000]",
    ),
    ({"study": {"controls": [{"method": "lora", "size": 20000}]}}, "needs each of method, size, epochs"),
    ({"evaluation": {"extra_metrics": ["bertscore"]}}, "evaluation.bertscore_model = null: must name the directory"),
    ({"training": {"epochs": float("nan")}}, "training.epochs = nan: must be a finite number"),
    ({"evaluation": {"max_samples": 2001}}, "evaluation.max_samples = 2001: must be at most study.test_size"),
    ({"study": 3}, "study = 3: must be a section"),
    ({"model": {"source": "local"}}, "model.path = null: must name a model directory"),
    ({"data": {"source": "file"}}, "data.path = null: must name a corpus file"),
    ({"data": {"source": "demo"}}, "needs 103000 rows, and data.rows is 6000"),
    (
        {"training": {"micro_batch": 0}},
        "training.micro_batch = 0: is not allowed: Rows of max_length tokens",
    ),
    ({"training": {"micro_batch": "all"}}, 'training.micro_batch = "all": is not allowed: Rows of max_length'),
    ({"training": {"effective_batch": 0}}, "training.effective_batch = 0: must be at least 1"),
    ({"overrides": {"qlorra": {"lora": {"r": 8}}}}, "overrides.qlorra: no such method, size or run"),
    ({"overrides": {"qlora": {"lora": {"rank": 8}}}}, "overrides.qlora.lora.rank: unknown key"),
    ({"overrides": {"qlora": {"training": {"max_length": 64}}}}, "cannot differ between runs"),
    ({"model": {"endpoint": "hf-mirror.com"}}, 'model.endpoint = "hf-mirror.com": must look like ^https?://'),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_named(config, message):
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    assert message in str(caught.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve({"traning": {}, "training": {"epochs": 0}, "lora": {"r": "big"}})
    assert str(caught.value).count("\n  - ") == 3


def test_snakemake_shows_the_message_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--config", "training={epochs: 0}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1
    assert "training.epochs = 0: must be greater than 0" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_home_folder_is_written_out_in_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = resolve({"paths": {"results": "~/研究 results/", "resources": "/"}})["paths"]
    assert paths == {"results": f"{tmp_path}/研究 results", "resources": "/"}
    with pytest.raises(ConfigError, match=r'paths\.results = "~nobody-of-this-name/x": there is no such user'):
        resolve({"paths": {"results": "~nobody-of-this-name/x"}})
