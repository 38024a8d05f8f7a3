"""The workflow from anywhere: another folder, another workflow, another locale."""

import os
import subprocess

import pytest
import yaml

from places import ROOT
from served import program
from workflow_runner import SMALL, Study, job_counts

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
RUN = ("--cores", "2", "--resources", "gpu=1")
NO_FLOORS = {**SMALL["evaluation"], "floors": []}


def snakemake(folder, *arguments, check=True, **environment):
    """Run Snakemake in a folder and return what it printed."""
    done = subprocess.run(
        [program(), "-m", "snakemake", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "MEDSCALE_LOCK_DIR": str(folder / "locks"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_a_folder_without_a_configuration_takes_the_repositorys(tmp_path):
    plan = job_counts(snakemake(tmp_path, "-n", "-s", ROOT / "Snakefile"))
    assert plan["finetune"] == 6
    assert plan["fetch_model"] == 1
    assert not (tmp_path / "config").exists()


def test_a_folder_with_a_configuration_takes_its_own(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    plan = job_counts(snakemake(tmp_path, "-n", "-s", ROOT / "Snakefile"))
    assert plan["finetune"] == 4


def test_where_catalogs_look_is_the_whole_workflow(tmp_path):
    demo = ("--configfile", ROOT / "config" / "demo.yaml")
    counts = [
        job_counts(snakemake(tmp_path, "-n", "-s", path, *demo))
        for path in (ROOT / "Snakefile", ROOT / "workflow" / "Snakefile")
    ]
    assert counts[0] == counts[1]
    assert counts[0]["report"] == 1
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert catalog["usage"]["mandatory-flags"]["flags"]
    assert catalog["usage"]["software-stack-deployment"]["conda"] is True
    assert catalog["usage"]["report"] is True


MODULE = """configfile: "study.yaml"


module medscale:
    snakefile:
        {snakefile!r}
    config:
        config


use rule * from medscale{names}


rule mine:
    input:
        "results/summary/report.html",
    output:
        "mine.txt",
    shell:
        "grep -c medical {{input}} > {{output}} || true"
"""


@pytest.mark.parametrize(("names", "prefix"), [("", ""), (" as med_*", "med_")])
def test_another_workflow_plans_the_demo_as_a_module(tmp_path, names, prefix):
    (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=str(ROOT / "Snakefile"), names=names))
    (tmp_path / "study.yaml").write_text((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    config = yaml.safe_load((tmp_path / "study.yaml").read_text(encoding="utf-8"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config | {"paths": {"results": "results"}}), encoding="utf-8")
    plan = job_counts(snakemake(tmp_path, "-n", "mine.txt"))
    assert plan[f"{prefix}finetune"] == 6
    assert plan[f"{prefix}report"] == plan["mine"] == 1


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_another_workflow_keeps_its_own_first_rule(tmp_path, snakefile):
    other, mine = MODULE.format(snakefile=str(ROOT / snakefile), names=" as med_*").split("rule mine:")
    first = "rule first:\n    input:\n        'mine.txt',\n\n\n"
    (tmp_path / "Snakefile").write_text(f"{first}{other}rule mine:{mine}")
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(demo | {"paths": {"results": "results"}}), encoding="utf-8")
    plan = job_counts(snakemake(tmp_path, "-n"))
    assert plan["first"] == plan["mine"] == 1


def test_another_workflow_runs_a_study_as_a_module(tmp_path):
    """In a folder whose name has a space, Chinese and an emoji."""
    folder = tmp_path / "别的 工作流 🧪"
    folder.mkdir()
    (folder / "Snakefile").write_text(MODULE.format(snakefile=str(ROOT / "Snakefile"), names=" as med_*"))
    study = {"methods": ["qlora"], "sizes": [16], "test_size": 8, "validation_size": 6}
    small = SMALL | {"study": study, "evaluation": NO_FLOORS}
    (folder / "study.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    snakemake(folder, "mine.txt", *RUN)
    assert (folder / "mine.txt").exists()
    assert (folder / "results" / "qlora_16" / "eval.json").exists()
    assert "Nothing to be done" in snakemake(folder, "-n", "mine.txt")


@pytest.fixture(scope="module")
def latin1(tmp_path_factory):
    """The environment of a machine whose locale is en_US in ISO-8859-1."""
    folder = tmp_path_factory.mktemp("locales")
    try:
        subprocess.run(
            ["localedef", "-i", "en_US", "-f", "ISO-8859-1", folder / "en_US.ISO-8859-1"],
            check=True,
            capture_output=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"localedef cannot make the locale en_US.ISO-8859-1 ({error}): install the package locales")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}


CHINESE = {
    "chat": {"system_prompt": "你是医生。"},
    "study": {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
    "paths": {"results": "结果 🩺", "resources": "资源"},
}


def test_a_locale_changes_nothing(tmp_path, latin1):
    """Neither what comes out nor what is taken for stale, with Chinese in the configuration and in all names."""
    studies = [Study(ROOT, tmp_path / name / "研究 目录") for name in ("utf8", "latin1")]
    for study, environment in zip(studies, ({}, latin1), strict=True):
        study.configure(**CHINESE)
        study.run("结果 🩺/lora_16/eval.json", *RUN, **environment)
    made = [(study.folder / "结果 🩺" / "lora_16" / "predictions.jsonl").read_bytes() for study in studies]
    assert made[0] == made[1]
    for environment in (
        latin1,
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ):
        said = studies[0].run("-n", "结果 🩺/lora_16/eval.json", **environment).stdout
        assert "Nothing to be done" in said
        assert "Traceback" not in said
        assert "Logging error" not in said
