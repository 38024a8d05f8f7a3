"""The rooms of the package: who may import whom, what a room says of itself, and where its tests lie."""

import ast
from pathlib import Path

import pytest

from medscale.base.digest import local_imports
from medscale.base.rooms import ROOMS
from places import ROOT, SCRIPTS

PACKAGE = SCRIPTS / "medscale"
HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "vllm"}
# Modules that import the heavy libraries at their top. A module that is not here may be imported where there are none.
MODELS = {
    *(
        "model/hardware",
        "model/precision",
        "model/loading",
        "model/padding",
        "model/demo_base",
        "model/tiny",
        "model/blank",
        "model/counting",
    ),
    *(
        "train/accelerations",
        "train/adapter_dropout",
        "train/answer_loss",
        "train/trainer",
        "train/run",
        "train/pilot",
        "train/saved_adapter",
        "train/fitting",
        "train/simulation",
        "train/disk",
        "train/distributed",
        "train/trackers/callback",
        "train/trackers/mlflow_run",
        "train/trackers/swanlab_run",
        "train/trackers/wandb_run",
    ),
    *(
        "evaluate/generation",
        "evaluate/continuations",
        "evaluate/examination",
        "evaluate/decoding",
        "evaluate/vllm_engine",
        "evaluate/bertscore",
        "evaluate/run",
        "evaluate/simulation",
    ),
    *("ask/adapters", "ask/asker", "ask/sampling", "ask/look", "ask/terminal", "ask/page"),
    *("export/making", "export/measuring", "export/part", "export/llama_engine"),
    *("plan/random_model", "plan/training", "plan/prediction", "plan/examining", "plan/forecast", "plan/computed"),
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
PACKAGES = sorted(path for path in PACKAGE.rglob("__init__.py"))


def imports_at_the_top(path: Path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_list_of_rooms_is_the_list_of_folders():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    assert {path.parent.name for path in PACKAGE.glob("*.py")} == {"medscale"}, "a module lies in no room"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_from_rooms_before_it(path):
    """Imports inside functions count as those at the top do."""
    own = ROOMS.index(room_of(path))
    behind = {
        name_of(file) for file in local_imports(path) if file.parent != PACKAGE and ROOMS.index(room_of(file)) > own
    }
    assert not behind


def test_modules_import_each_other_in_no_circle():
    done: set[Path] = set()

    def visit(path: Path, way: tuple[Path, ...]) -> None:
        assert path not in way, " -> ".join(name_of(step) for step in (*way, path))
        if path not in done:
            for file in local_imports(path):
                visit(file, (*way, path))
            done.add(path)

    for path in MODULES:
        visit(path, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_needs_no_model_imports_no_torch(path):
    heavy = {name.split(".")[0] for name in imports_at_the_top(path)} & HEAVY
    assert bool(heavy) <= (name_of(path) in MODELS), f"imports {heavy}"
    if name_of(path) not in MODELS:
        ours = {name.removeprefix("medscale.").replace(".", "/") for name in imports_at_the_top(path)}
        assert not ours & MODELS


def test_what_is_said_to_be_heavy_exists():
    assert {name_of(path) for path in MODULES} >= MODELS


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_a_room_says_what_it_is_and_does_nothing(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = ast.get_docstring(tree)
    assert said
    assert len(tree.body) == 1
    if path.parent != PACKAGE:
        assert "ay import" in said
        opened = said.partition("Open `")[2].partition("`")[0]
        assert (path.parent / opened).is_file(), f"says to open {opened} first"


def test_every_module_says_what_it_is():
    for path in MODULES:
        first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
        assert len(first) > 20, name_of(path)
        assert first.endswith((".", "?")), name_of(path)


def test_tests_lie_in_folders_of_the_rooms_names():
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders - set(ROOMS) <= {"workflow", "repository"}
