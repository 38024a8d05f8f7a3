"""Answers, likelihoods and scores of one run, and of the floors that need no model.

May import the rooms up to `train`. Open `metrics.py` first: the registry of scores; `floors.py` for BM25 and the
others, `generation.py` for the answers, `eval_file.py` for the file that they end in.
"""
