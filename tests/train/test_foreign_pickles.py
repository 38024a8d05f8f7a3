"""A pickle that somebody put into a checkpoint is not run when a training goes on from it."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from test_training import rows, trainer_for

from medscale.base.errors import UserError
from medscale.train.checkpoints import MARK, damage, foreign_pickles_refused, mark_complete, newest_checkpoint

__all__ = ["rows"]  # a fixture

RAN = "a pickle was run"


class Bomb:
    """Its pickle writes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.fixture(scope="module")
def trained(tiny_model, rows, tmp_path_factory):
    """The folder of a run that stopped at its second step of two."""
    folder = tmp_path_factory.mktemp("trained")
    trainer_for(tiny_model, rows.select(range(8)), folder, epochs=2, eval_interval=0.5).train()
    return folder


def files_of(folder):
    checkpoint, _ = newest_checkpoint(folder)
    return sorted(path.name for path in checkpoint.iterdir() if path.name != MARK)


def test_the_bomb_goes_off_where_it_is_loaded(tmp_path):
    (tmp_path / "bomb").write_bytes(pickle.dumps(Bomb(tmp_path / RAN)))
    pickle.loads((tmp_path / "bomb").read_bytes())
    assert (tmp_path / RAN).is_dir()


def ending(trainer, checkpoint):
    """Return the error that going on from a checkpoint ends with, or None."""
    try:
        with foreign_pickles_refused(str(checkpoint)):
            trainer.train(resume_from_checkpoint=str(checkpoint))
    except Exception as error:
        return error
    return None


def test_no_file_of_a_checkpoint_is_run(trained, tiny_model, rows, tmp_path):
    """Found damaged, and not run either where a mark was made that matches it."""
    names = [*files_of(trained), "pytorch_model.bin", "adapter_model.bin"]
    pickled = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"}
    assert {"trainer_state.json", "training_args.bin"} | pickled <= {*names}
    texts = [name for name in names if name.endswith((".json", ".jinja", ".md"))]
    for number, name in enumerate(name for name in names if name not in texts or name == "trainer_state.json"):
        folder = tmp_path / name
        shutil.copytree(trained, folder)
        checkpoint, _ = newest_checkpoint(folder)
        known = (checkpoint / name).exists()
        bomb = Bomb(tmp_path / RAN)
        if number % 2:
            (checkpoint / name).write_bytes(pickle.dumps(bomb))
        else:
            torch.save(bomb, checkpoint / name)
        assert (damage(checkpoint) is not None) == known  # what the mark names is found out
        mark_complete(checkpoint)
        error = ending(trainer_for(tiny_model, rows.select(range(8)), folder, epochs=3, eval_interval=1.0), checkpoint)
        assert not (tmp_path / RAN).exists(), name
        if name in pickled:
            assert isinstance(error, UserError), f"{name}: {error!r}"
            assert str(checkpoint) in str(error)
            assert "it was not run" in str(error)
        else:  # nobody loads it, or it cannot be read as what it should be
            assert error is None or name.endswith((".json", ".safetensors")), f"{name}: {error!r}"
