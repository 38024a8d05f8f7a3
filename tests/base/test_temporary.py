"""Half-written files of killed writers go; those of writers that may live stay."""

import os
import subprocess
import sys
import time

import pytest

from medscale.base.files import write_text
from medscale.base.temporary import OLD, host_name, remove_leftovers, temporary_beside

NOBODY = 2**22 + 1


def leave(folder, stem="eval", host=None, pid=NOBODY, age=0.0, suffix=".json"):
    path = folder / f".{stem}.{host or host_name()}-{pid}.tmp{suffix}"
    path.write_text("{")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from medscale.base.files import atomic_path\n"
        "with atomic_path(sys.argv[2]) as path:\n"
        "    path.write_text('{'); os.kill(os.getpid(), 9)"
    )
    package = str(sys.modules["medscale.base.files"].__file__).split("/medscale/")[0]
    target = tmp_path / "eval.json"
    assert subprocess.run([sys.executable, "-c", script, package, target]).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    write_text(target, "{}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["eval.json"]


def test_what_another_may_still_write_stays(tmp_path):
    kept = [leave(tmp_path, pid=os.getppid()), leave(tmp_path, host="node7"), leave(tmp_path, stem="evaluation")]
    gone = [leave(tmp_path), leave(tmp_path, host="node7", pid=1, age=OLD + 60)]
    remove_leftovers(tmp_path, "eval")
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    remove_leftovers(tmp_path)
    assert [path.exists() for path in kept] == [True, True, False]


@pytest.mark.parametrize("name", [".eval.tmp.json", ".gitignore", "eval.tmp.json", ".eval.4711.tmpx"])
def test_other_hidden_files_are_left_alone(tmp_path, name):
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a.json", "训练 [1].manifest.json", "x*y.csv", "plain"])
def test_a_name_is_recognised_as_one_that_is_being_written(tmp_path, name):
    path = tmp_path / name
    own = temporary_beside(path)
    assert own.suffix == (path.suffix or ".tmp")
    own.touch()
    dead = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{NOBODY}."))
    dead.touch()
    write_text(path, "new")
    assert not dead.exists()


def test_a_folder_that_is_missing_has_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "none")
