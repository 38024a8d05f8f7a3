"""The demonstration corpus: made from a tracked table of medical facts, with a noise that cleaning must find.

May import what `data` may. Open `corpus.py` first; `phrasings.py` holds the sentences.
"""
