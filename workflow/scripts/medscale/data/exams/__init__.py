"""Multiple-choice exams: which format a file has, the questions that it holds, and which of them training knows.

May import what `data` may. Open `question.py` first: what a question is; then `choice.py`: how a format is recognised;
`reading.py` puts an exam together, and `leaks.py` looks for its questions in the training rows.
"""
