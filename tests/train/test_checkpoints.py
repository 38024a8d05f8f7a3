"""What says that a checkpoint is whole, which one is gone on from, and what is left of a run's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.train.checkpoints import MARK, damage, mark_complete, newest_checkpoint, rotate, slim

FILES = ("optimizer.pt", "scheduler.pt", "adapter_model.safetensors")


def checkpoints(folder, *steps, best=None):
    """Make marked checkpoints; ``best`` is the best step at each, where there was one."""
    for step in steps:
        path = folder / f"checkpoint-{step}"
        path.mkdir()
        for name in FILES:
            (path / name).write_text(f"{name} of {step}")
        state = {"global_step": step, "best_global_step": (best or {}).get(step)}
        (path / "trainer_state.json").write_text(json.dumps(state))
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
        assert damage(tmp_path / name) is None
    assert newest_checkpoint(tmp_path) == (tmp_path / "checkpoint-40", [])


def test_what_is_slim_stays_as_it_is(tmp_path):
    checkpoints(tmp_path, 10, 20)
    for _ in range(2):
        slim(tmp_path, str(tmp_path / "checkpoint-10"))
    assert left(tmp_path) == ["checkpoint-10", "checkpoint-20"]


@pytest.mark.parametrize("name", [*FILES, "trainer_state.json"])
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "longer", "a bit", "zeros"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, name, how):
    checkpoints(tmp_path, 10, 20, 30)
    file = tmp_path / "checkpoint-30" / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        flipped = content[:5] + bytes([content[5] ^ 1]) + content[6:]
        damaged = {"empty": b"", "cut": content[:-1], "longer": content + b"\0", "a bit": flipped}
        file.write_bytes(damaged.get(how, bytes(len(content))))
    usable, ((path, reason),) = newest_checkpoint(tmp_path)
    assert usable == tmp_path / "checkpoint-20"
    assert path == tmp_path / "torn-checkpoint-30"
    assert name in reason
    assert newest_checkpoint(tmp_path) == (usable, [])


@pytest.mark.parametrize(
    "mark", ["", "{", "[]", "null", '{"files": []}', '{"files": {"a": 1}}', '{"files": 3}', "\0" * 40]
)
def test_a_mark_that_is_not_whole_vouches_for_nothing(tmp_path, mark):
    """As a power cut can leave it, or an older version, whose mark was empty."""
    checkpoints(tmp_path, 10, 20)
    (tmp_path / "checkpoint-20" / MARK).write_text(mark)
    usable, ((_, reason),) = newest_checkpoint(tmp_path)
    assert (usable.name, reason) == ("checkpoint-10", "its mark is damaged")


def test_a_damaged_best_costs_no_newer_checkpoint(tmp_path):
    checkpoints(tmp_path, 10, 20, 30, 40, best={10: 10, 20: 10, 30: 10, 40: 10})
    (tmp_path / "checkpoint-10" / "adapter_model.safetensors").write_text("")
    usable, aside = newest_checkpoint(tmp_path)
    assert usable.name == "checkpoint-40"
    assert [path.name for path, _ in aside] == ["torn-checkpoint-10"]


def test_what_was_set_aside_stays_until_the_run_has_a_newer_checkpoint(tmp_path):
    checkpoints(tmp_path, 10, 20, 30)
    (tmp_path / "checkpoint-30" / "adapter_model.safetensors").write_text("")
    newest_checkpoint(tmp_path)
    checkpoints(tmp_path, 25)
    (tmp_path / "checkpoint-28").mkdir()
    for _ in range(2):
        newest_checkpoint(tmp_path)
        rotate(tmp_path, 2)
    assert left(tmp_path) == ["checkpoint-20", "checkpoint-25", "torn-checkpoint-28", "torn-checkpoint-30"]
    checkpoints(tmp_path, 35)
    rotate(tmp_path, 2)
    assert left(tmp_path) == ["checkpoint-25", "checkpoint-35"]


def test_the_same_step_may_be_damaged_twice(tmp_path):
    for _ in range(2):
        checkpoints(tmp_path, 10)
        (tmp_path / "checkpoint-10" / "adapter_model.safetensors").write_text("")
        assert newest_checkpoint(tmp_path)[0] is None
    assert left(tmp_path) == ["torn-checkpoint-10"]


def test_a_copy_of_a_checkpoint_is_none(tmp_path):
    checkpoints(tmp_path, 10, 20)
    for name in ("checkpoint-20 copy", "checkpoint-old", "checkpoint-20-copy"):
        (tmp_path / name).mkdir()
    assert newest_checkpoint(tmp_path) == (tmp_path / "checkpoint-20", [])


def test_nothing_is_left_where_all_are_damaged(tmp_path):
    checkpoints(tmp_path, 10, 20)
    for path in tmp_path.glob("checkpoint-*"):
        (path / "optimizer.pt").unlink()
    usable, aside = newest_checkpoint(tmp_path)
    assert usable is None
    assert len(aside) == 2


@pytest.mark.parametrize(
    ("limit", "kept"), [(1, (40, 50)), (2, (40, 50)), (3, (30, 40, 50)), (9, (10, 20, 30, 40, 50))]
)
def test_two_stay_at_least(tmp_path, limit, kept):
    checkpoints(tmp_path, 10, 20, 30, 40, 50)
    rotate(tmp_path, limit)
    assert left(tmp_path) == [f"checkpoint-{step}" for step in kept]


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6, unique=True), st.integers(1, 4))
def test_whatever_was_the_best_the_one_before_the_newest_can_be_gone_on_from(tmp_path_factory, losses, limit):
    folder = tmp_path_factory.mktemp("run")
    for step in range(1, len(losses) + 1):
        best = min(range(step), key=losses.__getitem__) + 1
        checkpoints(folder, step, best={step: best})
        rotate(folder, limit)
    (folder / f"checkpoint-{len(losses)}" / "optimizer.pt").unlink()
    usable, _ = newest_checkpoint(folder)
    assert usable.name == f"checkpoint-{len(losses) - 1}"
    assert len(left(folder)) <= max(limit, 2) + 2  # the bests of the kept ones at most


def test_what_a_kill_left_of_a_removal_goes(tmp_path):
    checkpoints(tmp_path, 10, 20)
    (tmp_path / "checkpoint-10").rename(tmp_path / ".checkpoint-10.gone.tmp")
    assert newest_checkpoint(tmp_path) == (tmp_path / "checkpoint-20", [])
    assert left(tmp_path) == ["checkpoint-20"]
