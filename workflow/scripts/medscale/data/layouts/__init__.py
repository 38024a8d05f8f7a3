"""How a record holds its questions and answers: one file a layout, and the one that chooses among them.

May import what `data` may. Open `choice.py` first: how a layout is recognised; then `turns.py`, which reads the turns
of a dialogue, and `history.py`, which reads what stands before a question.
"""
