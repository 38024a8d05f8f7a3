"""Which question is answered when: longest first, within the memory of the longest, and joined in not too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.evaluate.answer_queue import JOIN, AnswerQueue


def queue(prompts, new=10, batch=2):
    return AnswerQueue(prompts, new, batch)


def test_the_longest_prompts_begin():
    assert queue([5, 30, 20]).join([]) == [1, 2]
    waiting = queue([5, 30, 20, 30]).waiting
    assert waiting == [1, 3, 2, 0], "equal ones in the order that they came in"


def test_of_shorter_questions_more_fit_beside_each_other():
    """The memory is that of 2 x (30 + 10) tokens: room for five of 16."""
    line = queue([30, 30, 6, 6, 6, 6, 6, 6])
    assert line.join([]) == [0, 1]
    assert line.join([]) == [2, 3, 4, 5, 6]
    assert line.join([]) == [7]
    assert line.join([]) == []


def test_the_width_is_that_of_the_widest_running():
    line = queue([30, 6, 6, 6])
    assert line.join([]) == [0, 1]
    assert line.join([0]) == [2], "beside a long one, two places as before"
    assert line.join([2]) == [3]


@pytest.mark.parametrize(("free", "joins"), [(1, False), (2, False), (3, True), (4, True)])
def test_questions_join_when_an_eighth_of_the_places_is_free(free, joins):
    """Of 24 places that is three: a place for each that ended would cost a pass over the model each time."""
    assert JOIN == 1 / 8
    line = queue([10] * 100, batch=24)
    running = line.join([])
    assert len(running) == 24
    joined = line.join(running[free:])
    assert len(joined) == (free if joins else 0)


def test_where_few_are_answered_at_once_one_free_place_is_enough():
    line = queue([10] * 10, batch=2)
    assert len(line.join([])) == 2
    assert len(line.join([0])) == 1
    assert line.join([0, 1]) == []


def test_one_question_is_answered_however_long_it_is():
    line = queue([100, 1], new=1, batch=1)
    assert line.join([]) == [0]


def test_nothing_waits_and_nothing_begins():
    assert queue([]).join([]) == []
    line = queue([1])
    line.join([])
    assert line.join([0]) == []


def test_half_as_many_are_answered_after_a_lack_of_memory_and_none_is_lost():
    line = queue([10, 40, 30, 20], new=10, batch=4)
    running = line.join([])
    assert running == [1, 2, 3, 0]
    line.halve(running)
    assert line.waiting == [1, 2, 3, 0]
    assert line.join([]) == [1, 2]
    line.halve([1, 2])
    assert line.waiting == [1, 2, 3, 0]
    assert line.join([]) == [1]
    with pytest.raises(ValueError, match="one question is the fewest"):
        line.halve([1])


def test_half_of_an_odd_number_is_the_smaller_half():
    line = queue([10, 10, 10], batch=3)
    line.halve(line.join([]))
    assert len(line.join([])) == 1


@given(st.lists(st.integers(1, 300), max_size=40), st.integers(0, 50), st.integers(1, 9), st.randoms())
def test_every_question_has_its_turn_and_memory_is_never_exceeded(prompts, new, batch, chance):
    line, running, answered = queue(prompts, new, batch), [], []
    budget = batch * (max(prompts, default=0) + new)
    while line.waiting or running:
        begun = line.join(running)
        running += begun
        assert running, "somebody must be answered"
        width = max(prompts[i] + new for i in running)
        assert len(running) == 1 or len(running) * width <= budget
        ended = [i for i in running if chance.random() < 0.5] or [running[0]]
        answered += ended
        running = [i for i in running if i not in ended]
    assert sorted(answered) == list(range(len(prompts)))
