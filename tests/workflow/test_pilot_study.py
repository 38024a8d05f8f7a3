"""A small study whose learning rate a pilot finds: the choice reaches the runs, and another grid trains nothing."""

import json

import pytest

from workflow_runner import SMALL, Copy

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
TRAINED = [f"results/lora_{size}/training.json" for size in (16, 32)]
RESOURCES = ("--cores", "2", "--resources", "gpu=1")
TOO_LOW = 1e-7


def configure(study, rate="auto", rates=(0.003, 0.01), **pilot):
    section = {"rates": list(rates), "extend": False, "least_steps": 2, "share": 0.5} | pilot
    changes = {"training": SMALL["training"] | {"learning_rate": rate}, "pilot": section}
    study.configure(study={**SMALL["study"], "methods": ["lora"]}, **changes)


def adapters(study):
    return [(study.folder / target).with_name("adapter") / "adapter_model.safetensors" for target in TRAINED]


def test_the_choice_reaches_the_runs_and_another_grid_trains_nothing(tmp_path):
    study = Copy(tmp_path / "repo")
    configure(study)
    study.run(*TRAINED, *RESOURCES)
    pilot = json.loads((study.folder / "results/pilot/lora.json").read_text(encoding="utf-8"))
    for size, target in zip(("16", "32"), TRAINED, strict=True):
        training = json.loads((study.folder / target).read_text(encoding="utf-8"))
        assert training["training"]["learning_rate"] == pilot["sizes"][size]["chosen"]
        assert training["settings"]["training"]["learning_rate"] == pilot["sizes"][size]["chosen"]
    assert study.plan(*TRAINED) == {}, "a second call does nothing"

    configure(study, rates=(TOO_LOW, 0.003, 0.01))
    assert study.plan(*TRAINED) == {"pilot": 1, "finetune": 2}
    before = [path.read_bytes() for path in adapters(study)]
    study.run(*TRAINED, *RESOURCES)
    assert [path.read_bytes() for path in adapters(study)] == before
    log = (study.folder / "logs/results/pilot_lora.log").read_text(encoding="utf-8")
    assert log.count("started: lora_") == 2, "of each size the new rate alone"
    for target in TRAINED:
        training = json.loads((study.folder / target).read_text(encoding="utf-8"))
        assert training["training"]["resumed_from_step"] == training["training"]["steps"], "no step was made"

    configure(study, rate=0.003)
    assert study.plan(*TRAINED) == {"finetune": 2}, "a number needs no pilot"
    configure(study, rate=0.003, check=True)
    plan = study.plan("results/summary/learning_rates.png")
    assert plan["pilot"] == plan["aggregate"] == 1, "asked for, it is made for the report"
