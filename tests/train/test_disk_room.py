"""The room that a training takes on the disk: asked for before it begins, and told when it is used up."""

import os
import shutil
import subprocess

import pytest
import torch
from test_training import adapter_weights, rows, trainer_for
from transformers import TrainerCallback

from medscale.base.errors import UserError
from medscale.train.checkpoints import OPTIMIZER, damage, newest_checkpoint
from medscale.train.disk import REST, checkpoint_bytes, most_bytes, require_room

__all__ = ["rows"]  # a fixture
GIB = 2**30


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "disk", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk may be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


class Fill(TrainerCallback):
    """Fills a disk when a checkpoint of a step was written, all but some bytes."""

    def __init__(self, file, step, left):
        self.file, self.step, self.left = file, step, left

    def on_save(self, args, state, control, **_):
        if state.global_step == self.step:
            with open(self.file, "wb") as handle:
                os.posix_fallocate(handle.fileno(), 0, shutil.disk_usage(self.file.parent).free - self.left)


@pytest.mark.parametrize("left", [4096, 200_000])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(tiny_model, rows, disk, tmp_path, left):
    """Where there is room for the adapter and not for the optimiser, too."""
    few = rows.select(range(16))
    straight = trainer_for(tiny_model, few, tmp_path / "straight", epochs=2, eval_interval=0.25)
    straight.train()
    full = trainer_for(tiny_model, few, disk / "run", epochs=2, eval_interval=0.25)
    full.add_callback(Fill(disk / "filler", 2, left))
    needed = checkpoint_bytes(full.model, "adamw_torch") / 2**20
    message = (
        rf"^{disk}/run: checkpoint-3 takes {needed:.1f} MiB and could not be written: .*, .* are free there; free some"
    )
    with pytest.raises(UserError, match=message):
        full.train()
    assert sorted(path.name for path in (disk / "run").glob("*checkpoint*")) == ["checkpoint-1", "checkpoint-2"]
    (disk / "filler").unlink()
    checkpoint, aside = newest_checkpoint(disk / "run")
    assert (checkpoint.name, aside) == ("checkpoint-2", [])
    again = trainer_for(tiny_model, few, disk / "run", epochs=2, eval_interval=0.25)
    again.train(resume_from_checkpoint=str(checkpoint))
    for name, weight in adapter_weights(straight).items():
        assert torch.equal(weight, adapter_weights(again)[name]), name


def test_a_checkpoint_takes_no_more_than_was_said(tiny_model, rows, tmp_path):
    trainer = trainer_for(tiny_model, rows.select(range(8)), tmp_path, epochs=1, eval_interval=1.0)
    trainer.train()
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert damage(checkpoint) is None
    weights = (checkpoint / "adapter_model.safetensors").stat().st_size + (checkpoint / OPTIMIZER).stat().st_size
    said = checkpoint_bytes(trainer.model, "adamw_torch") - REST
    assert said <= weights <= said + 200_000  # names and shapes are in the files, too
    whole = sum(path.stat().st_size for path in checkpoint.iterdir())
    assert whole < checkpoint_bytes(trainer.model, "adamw_torch")


def test_the_room_of_a_run_is_that_of_its_checkpoints_and_adapter(tmp_path, monkeypatch):
    """By hand, for 2,500 weights in 32 bits."""
    model = torch.nn.Linear(50, 50, bias=False)
    of_one = 10_000 + 20_000 + REST
    training = {"save_total_limit": 3, "optimizer": "adamw_torch"}
    assert most_bytes(model, training, 99) == 5 * of_one + 10_000 + REST
    assert most_bytes(model, training | {"save_total_limit": 1}, 99) == 4 * of_one + 10_000 + REST  # two stay at least
    assert most_bytes(model, training | {"save_total_limit": 5000}, 4) == 4 * of_one + 10_000 + REST  # one a step
    assert checkpoint_bytes(model, "paged_adamw_8bit") == 10_000 + 5_000 + REST
    model.weight.requires_grad = False
    assert checkpoint_bytes(model, "adamw_torch") == REST
    model.weight.requires_grad = True

    free = [5 * of_one + 10_000 + REST]
    monkeypatch.setattr("medscale.base.disk.shutil.disk_usage", lambda folder: type("Usage", (), {"free": free[0]})())
    require_room(tmp_path, model, training, 99)
    free[0] -= 7
    with pytest.raises(
        UserError, match=rf"^{tmp_path}: this run, with .* needs 96\.2 MiB and 96\.2 MiB are free there; .*lora\.r"
    ):
        require_room(tmp_path, model, training, 99)
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "optimizer.pt").write_bytes(bytes(7))
    require_room(tmp_path, model, training, 99)  # what it has already written it need not write again
