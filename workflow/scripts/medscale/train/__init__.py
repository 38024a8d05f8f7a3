"""The fine-tuning step: the loss, the order of the data, the checkpoints.

May import the rooms up to `model`. Open `trainer.py` first; `checkpoints.py` says which one a run resumes from.
"""
