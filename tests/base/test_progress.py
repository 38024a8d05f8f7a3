"""How far a step is: lines in a log that people read, and that `make status` reads back."""

import io
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base import progress
from medscale.base.progress import Bytes, Line, Progress, counted, duration, read_line, working


@pytest.fixture
def quick(monkeypatch):
    """Lines every few hundredths of a second."""
    for name, seconds in {"FIRST": 0.02, "EVERY": 0.03, "SELDOM": 5.0, "LONG": 0.2}.items():
        monkeypatch.setattr(progress, name, seconds)


def lines_after(log: io.StringIO, count: int) -> list[str]:
    """Return what the log says when it has so many lines."""
    end = time.monotonic() + 10
    while len(log.getvalue().splitlines()) < count:
        assert time.monotonic() < end, log.getvalue()
        time.sleep(0.005)
    return log.getvalue().splitlines()


def test_a_log_file_gets_lines_that_say_how_far_it_is(quick):
    log = io.StringIO()
    with Progress("answers of lora_20k", 2000, "answers", done=100, stream=log) as answers:
        answers.update(20, {"loss": 2.31449})
        lines_after(log, 2)
    lines = log.getvalue().splitlines()
    assert "\r" not in log.getvalue()
    said = r"answers of lora_20k: 120 of 2,000 answers, loss 2\.314, [\d,.]+/s, about \d+ s left"
    assert re.fullmatch(said, lines[0]), lines[0]
    assert re.fullmatch(r"answers of lora_20k: 120 of 2,000 answers, loss 2\.314, [\d,.]+/s, in 0 s", lines[-1])


def test_the_rate_is_that_of_this_sitting():
    step = Progress("answers", 1000, "answers", done=900)
    step.update(50)
    step._began -= 10
    line = step.line()
    assert (line.rate, line.left) == (pytest.approx(5, rel=0.01), pytest.approx(10, rel=0.01))
    assert "about 10 s left" in str(line)


def test_what_is_done_in_a_moment_says_nothing():
    log = io.StringIO()
    with Progress("scoring", 10, "predictions", stream=log) as step:
        step.update(10)
    assert log.getvalue() == ""


def test_what_cannot_be_counted_says_for_how_long_it_goes_on(quick, monkeypatch, capsys):
    with working("loading the model"):
        time.sleep(0.05)
    said = capsys.readouterr().err.splitlines()
    assert said
    assert set(said) == {"loading the model: 0 s so far"}


def test_what_takes_long_says_so_less_often(quick):
    log = io.StringIO()
    with Progress("fine-tuning", 10, "steps", stream=log):
        time.sleep(0.6)
        told = len(log.getvalue().splitlines())
    assert 2 <= told <= 9  # of 20 at the pace of the beginning


def test_work_that_failed_is_not_told_to_be_done(quick):
    log = io.StringIO()

    def failing():
        with Progress("scoring", 10, "predictions", stream=log) as step:
            step.update(3)
            lines_after(log, 1)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        failing()
    assert all(read_line(line).took is None for line in log.getvalue().splitlines())
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_only_the_first_of_several_processes_speaks(quick):
    log = io.StringIO()
    with Progress("fine-tuning", 10, "steps", shown=False, stream=log) as step:
        step.update(5)
        time.sleep(0.06)
    assert log.getvalue() == ""


@pytest.mark.parametrize(("after", "shown"), [(0, True), (60, False)])
def test_a_terminal_gets_a_bar_if_it_takes_long_enough(monkeypatch, after, shown):
    monkeypatch.setattr(progress, "BAR_AFTER", after)
    screen = io.StringIO()
    screen.isatty = lambda: True
    with Progress("fine-tuning", 10, "steps", stream=screen) as step:
        step.update(10, {"loss": 1.5})
    assert ("fine-tuning: 100%" in screen.getvalue()) is shown
    assert shown or not screen.getvalue()


def test_items_are_counted_as_they_are_taken(quick, capsys):
    taken = []
    for batch in counted([[1, 2], [3], [4, 5, 6]], "cleaning", "records", size=len):
        taken += batch
        time.sleep(0.05)
    assert taken == [1, 2, 3, 4, 5, 6]
    last = read_line(capsys.readouterr().err.splitlines()[-1])
    assert (last.what, last.done, last.total, last.unit) == ("cleaning", 6, None, "records")


def test_bytes_are_told_in_mebibytes():
    step = Bytes("reading", 10 * 2**20)
    for _ in range(20):
        step.update(2**18 + 1)
    assert (step.line().done, step.line().total) == (5, 10)


def test_what_is_measured_is_asked_for_when_it_is_told():
    assert Progress("fetching", 10, "MiB", measure=lambda: 7).line().done == 7


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99.4, "99 s"), (99.5, "2 min"), (780, "13 min"), (5970, "1 h 40 min"), (7200, "2 h 0 min")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


positive = st.floats(1e-3, 1e6)
names = st.sampled_from(["loss", "validation loss", "tokens/s"])


@given(
    what=st.sampled_from(["fine-tuning", "answers of lora_20k", "fetching Qwen/Qwen2.5-3B-Instruct", "a: b, c 3 of 4"]),
    done=st.integers(0, 10**9),
    total=st.none() | st.integers(0, 10**9),
    unit=st.sampled_from(["steps", "answers", "MiB"]),
    values=st.dictionaries(names, st.floats(0, 1e6)),
    rate=st.none() | positive,
    left=st.none() | st.floats(0, 1e7),
    took=st.none() | st.floats(0, 1e7),
)
def test_each_line_is_read_back(what, done, total, unit, values, rate, left, took):
    line = Line(what, done, total, unit, values, rate, left, took)
    found = read_line(str(line))
    assert found[:4] == line[:4]
    assert found.values == {name: pytest.approx(value, abs=0.5) for name, value in values.items()}
    for name, value in (("rate", rate), ("left", left), ("took", took)):
        read = getattr(found, name)
        assert (read is None) == (value is None)
        if value is not None:
            assert read == pytest.approx(value, rel=0.06, abs=31)
    assert str(read_line(str(found))) == str(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error: data.path: no such file: 3 of 4 files, see below [D101]",
        "started: lora_16 on cpu",
        "kept 287 of 300 rows; dropped {'too_short': 13}",
        "device cpu: held from 2026-01-01T00:00:00+00:00 to 2026-01-01T00:00:10+00:00",
        "results/x.json: 8 answers of floor_bm25 in 0.1 s; {'method': 'lucene'}",
        "loading: so far",
    ],
)
def test_other_lines_are_no_progress(text):
    assert read_line(text) is None
