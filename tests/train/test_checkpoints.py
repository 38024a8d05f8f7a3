"""What is left of a finished run's checkpoints."""

import pytest

from medscale.train.checkpoints import mark_complete, newest_checkpoint, slim


def checkpoints(folder, *steps):
    for step in steps:
        path = folder / f"checkpoint-{step}"
        path.mkdir()
        for name in ("optimizer.pt", "scheduler.pt", "trainer_state.json", "adapter_model.safetensors"):
            (path / name).write_text(name)
        mark_complete(path)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("best", "kept"),
    [
        ("/elsewhere/now/checkpoint-20", ["checkpoint-20", "checkpoint-40"]),
        ("checkpoint-40", ["checkpoint-40"]),
        (None, ["checkpoint-40"]),
    ],
)
def test_the_newest_and_the_best_stay_without_the_optimisers_state(tmp_path, best, kept):
    checkpoints(tmp_path, 10, 20, 30, 40)
    torn = tmp_path / "torn-checkpoint-25"
    torn.mkdir()
    slim(tmp_path, best)
    assert left(tmp_path) == kept
    for name in kept:
        assert left(tmp_path / name) == ["adapter_model.safetensors", "complete", "scheduler.pt", "trainer_state.json"]
    assert newest_checkpoint(tmp_path) == (tmp_path / "checkpoint-40", [])


def test_what_is_slim_stays_as_it_is(tmp_path):
    checkpoints(tmp_path, 10, 20)
    for _ in range(2):
        slim(tmp_path, str(tmp_path / "checkpoint-10"))
    assert left(tmp_path) == ["checkpoint-10", "checkpoint-20"]
