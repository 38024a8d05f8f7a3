"""Which names of somebody else's may be written below a folder, on any system."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.safe_names import colliding, unsafe

HOSTILE = [
    *("", "/", "/etc/passwd", "../x", "a/../../x", "a/..", "..", "a//b", "./a", "a/.", "a/"),
    *("C:/x", "c:x", "\\\\host\\share", "a\\b", "a\0b", "a\nb", "a\x7fb", "a\ud800", "a:b", "x.json:stream"),
    *(".git/hooks/pre-commit", "a/.git/config", ".bashrc", "a/.x", "con", "NUL.json", "a/aux.txt", "lpt1", "x ", "x."),
    *("a" * 300, "很" * 100 + "/x"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_leads_elsewhere_or_hides_is_refused(name):
    assert unsafe(name)


@pytest.mark.parametrize(
    "name", ["a.json", "onnx/model.json", "数据/训练 集.csv", "a..b", "context", "model-1 (2).csv"]
)
def test_usual_names_are_allowed(name):
    assert unsafe(name) is None


@given(st.text(max_size=30) | st.lists(st.sampled_from(["..", ".", "", "a", "/", "\\", "C:"])).map("/".join))
def test_what_is_allowed_stays_below_the_folder(name):
    if unsafe(name) is None:
        inside = os.path.normpath(os.path.join("/folder", name))
        assert inside == f"/folder/{name}"
        assert not PurePosixPath(name).is_absolute()


@pytest.mark.parametrize(
    "names",
    [("config.json", "Config.json"), ("é.json", "e\u0301.json"), ("a", "a/b"), ("A/x", "a"), ("straße", "STRASSE")],
)
def test_names_that_are_one_file_somewhere_collide(names):
    assert set(colliding([*names, "other"])) <= {*names}
    assert colliding(reversed(names))


def test_other_names_do_not():
    assert colliding(["a", "b/a", "b/c", "b.a", "a b", "ab/x"]) is None
    assert colliding(["a", "a"]) is None
