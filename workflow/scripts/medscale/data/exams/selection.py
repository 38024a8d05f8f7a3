"""Which of an exam's questions are asked: none twice, those of the wanted subjects, as many as are wanted."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from medscale.base.errors import UserError
from medscale.data.exams.account import Exam
from medscale.data.exams.answers import comparable
from medscale.data.exams.fields import Reading
from medscale.data.exams.question import Question
from medscale.data.splitting import row_ranks, stratified_order


def without_twins(questions: Sequence[Question], exam: Exam) -> Iterator[Question]:
    """Leave out what stands twice, in whatever order of the options, and what is answered in two ways altogether."""

    def key_of(question: Question) -> tuple:
        return comparable(question.question), tuple(sorted(map(comparable, question.options.values())))

    def right(question: Question) -> frozenset:
        return frozenset(comparable(question.options[letter]) for letter in question.answer)

    answered = defaultdict(dict)  # of what is asked, the first question with each answer
    for question in questions:
        answered[key_of(question)].setdefault(right(question), question)
    for question in questions:
        first = answered[key_of(question)]
        if len(first) > 1:
            other = next(one for answer, one in first.items() if answer != right(question))
            told = "; ".join(other.options[letter] for letter in other.answer)
            exam.drop(question.id, "answered_in_two_ways", f"{other.id} has the same question, and {told} is right")
        elif (kept := first[right(question)]) is not question:
            exam.drop(question.id, "duplicate", f"of {kept.id}")
        else:
            yield question


def of_subjects(questions: Sequence[Question], reading: Reading, exam: Exam) -> Iterator[Question]:
    if reading.subjects is None:
        yield from questions
        return
    there = Counter(question.subject or "none" for question in questions)
    if absent := [subject for subject in reading.subjects if subject not in there]:
        shown = ", ".join(name for name, _ in there.most_common(20))
        more = f" and {len(there) - 20} more" if len(there) > 20 else ""
        raise UserError(
            "D157",
            f"{reading.where}.subjects: no question is about {', '.join(absent)}; the subjects are {shown}{more}",
        )
    for question in questions:
        if question.subject in reading.subjects:
            yield question
        else:
            exam.drop(question.id, "other_subject")


def drawn(questions: list[Question], reading: Reading, exam: Exam) -> list[Question]:
    """Return as many questions as are wanted, drawn evenly over the subjects, in their order."""
    count = reading.max_questions
    if count is None or count >= len(questions):
        return questions
    ranks = row_ranks([question.id for question in questions], reading.seed)
    order = stratified_order(np.arange(len(questions)), [question.subject or "" for question in questions], ranks)
    for place in sorted(order[count:].tolist()):
        exam.drop(questions[place].id, "not_drawn")
    return [questions[place] for place in sorted(order[:count].tolist())]
