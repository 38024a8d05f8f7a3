"""The recipes for containers: their steps are carried out, in a folder in the place of an image."""

import re
import shutil
import subprocess

import pytest
import yaml

from container_files import Image, apptainer, dockerfile, ignored
from places import ROOT
from workflow_runner import SMALL, job_counts

RECIPES = {"docker": ROOT / "containers" / "Dockerfile", "apptainer": ROOT / "containers" / "medscale.def"}
READ = {"docker": dockerfile, "apptainer": apptainer}


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The repository as a study leaves it: with results, fetched models and an environment."""
    folder = tmp_path_factory.mktemp("context")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("results/lora_20k/eval.json", "resources/models/m/model.safetensors", ".venv/bin/x", "logs/a.log"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("private")
    return folder


@pytest.fixture(scope="module", params=RECIPES)
def image(request, context, tmp_path_factory):
    return Image(READ[request.param](RECIPES[request.param]), tmp_path_factory.mktemp(request.param), context).build()


def test_the_image_plans_the_real_study_when_called_without_words(image):
    (image.folder / "study").mkdir(exist_ok=True)
    assert "--cores 4 --resources gpu=1" in image.recipe.call
    call = image.recipe.call.replace("--cores 4 --resources gpu=1", "--cores 4 --resources gpu=1 -n")
    planned = job_counts(image.shell(call, image.recipe.workdir))
    assert (planned["finetune"], planned["report"]) == (6, 1)


def test_the_image_plans_what_it_is_asked_for(image):
    (image.folder / "study").mkdir(exist_ok=True)
    (image.folder / "study" / "small.yaml").write_text(yaml.safe_dump(SMALL, allow_unicode=True), encoding="utf-8")
    small = str(image.folder / "study" / "small.yaml")
    planned = job_counts(image.run("results/qlora_16/eval.json", "-n", "--cores", "2", "--configfile", small))
    assert planned["finetune"] == 1
    assert "report" not in planned
    assert not (image.folder / "opt" / "medscale" / ".snakemake").exists(), "the study's records lie in its folder"


def test_what_a_study_has_made_enters_no_image(image):
    names = {name.removeprefix("opt/medscale/") for name in image.copied}
    assert {"Snakefile", "envs/install.py", "requirements.lock", "resources/demo/conditions.json"} <= names
    folders = {name.split("/")[0] for name in names}
    assert not folders & {"results", "logs", ".venv", ".git", "tests", "docs"}
    assert not [name for name in names if name.startswith("resources/models") or "__pycache__" in name]


def test_both_recipes_have_the_same_files_and_the_same_base(context, tmp_path):
    made = [Image(READ[kind](path), tmp_path / kind, context).copied for kind, path in RECIPES.items()]
    assert made[0] == made[1]
    bases = [re.search(r"^(?:ARG BASE=|From: )(\S+)", path.read_text("utf-8"), re.M)[1] for path in RECIPES.values()]
    assert bases[0] == bases[1]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_lines_of_the_readme_are_those_of_the_recipes(readme):
    heads = "".join(path.read_text(encoding="utf-8") for path in RECIPES.values())
    lines = re.findall(r"^(?:docker|apptainer) .*$", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        assert f"#   {line}\n" in heads
        assert not re.search(r"-f (\S+)", line) or (ROOT / re.search(r"-f (\S+)", line)[1]).is_file()
        for place in re.findall(r"\S+\.def", line):
            assert (ROOT / place).is_file()


def test_the_image_runs_as_nobody_in_particular():
    text = RECIPES["docker"].read_text(encoding="utf-8")
    assert text.index("USER 1000:1000") < text.index("ENTRYPOINT")


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("Snakefile", False),
        ("resources/demo/conditions.json", False),
        ("resources/models/a/config.json", True),
        ("workflow/scripts/__pycache__/a.pyc", True),
        ("results/a", True),
        ("README.md", True),
    ],
)
def test_the_last_pattern_that_fits_decides(name, out):
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored(name, [line for line in lines if line and line[0] != "#"]) is out


@pytest.fixture
def docker():
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no docker daemon answers here")
    return "docker"


@pytest.mark.slow
def test_the_image_is_built_and_plans_the_demo(docker, tmp_path):
    """With the build of torch for CPUs, which is a tenth of the download."""
    index = "TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    subprocess.run(
        [docker, "build", "--build-arg", index, "-f", RECIPES["docker"], "-t", "medscale-test", ROOT], check=True
    )
    (tmp_path / "study").mkdir(mode=0o777)
    (tmp_path / "study").chmod(0o777)
    words = ["-n", "--configfile", "/opt/medscale/config/demo.yaml"]
    run = [docker, "run", "--rm", "-v", f"{tmp_path / 'study'}:/study", "medscale-test", *words]
    done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert job_counts(done.stdout)["finetune"] == 6
