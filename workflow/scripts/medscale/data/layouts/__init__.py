"""How a record holds its questions and answers: one file a layout, and the one that chooses among them.

Start with `choice.py`; `turns.py` reads the turns of a dialogue, `history.py` what stands before a question.
"""
