"""Each stage is killed before each of its writes; called again, it makes what it would have made without the kill."""

from pathlib import Path

import pytest

from faults import WARM
from kill_at_writes import commands_of, killed_at_writes
from killing import TARGETS, new_study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
LIGHT = ("clean", "split", "subset", "encode", "score", "evaluate")
HEAVY = ("finetune", "predict")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study that has run, and the command of each stage; of those with several runs, the last one's."""
    copy = new_study(tmp_path_factory.mktemp("killed") / "repo")
    copy.served = True
    copy.run(*TARGETS)
    printed = copy.run("-n", "-p", "--forceall", *TARGETS).stdout
    copy.commands = {Path(command[0]).stem: command for command in commands_of(printed)}
    return copy


@pytest.mark.parametrize("stage", [*LIGHT, *HEAVY])
def test_killed_before_any_write_it_makes_the_same(study, stage):
    """Of the heavy stages a few writes; benchmarks/faults.py takes all."""
    chosen = {} if stage in LIGHT else {"which": "kinds", "most": 6}
    warm = WARM.get(stage, [])
    result = killed_at_writes(study.commands[stage], study.folder, study.environment(), warm, **chosen)
    assert result["wrong"] == []
    assert result["kills"] >= 2
